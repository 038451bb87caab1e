//! One of the servers: the real node on its own disk, with clocks of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrysalis::appliance::Ports;
use chrysalis::config::{self, Config, Machine, ServerFolder};
use chrysalis::disk::Class;
use chrysalis::net::output::Chunk;
use chrysalis::node::{Event, Failure, Node, Port};
use chrysalis::report::{Code, Error};
use chrysalis::server::{Random as StartRandom, Start};
use chrysalis::units::feature::Levels;
use chrysalis::units::{ConnectionId, Moment, Random, Seed, WallTime};

use super::still::Still;
use super::world::{MS, SECOND, SERVERS};
use crate::simulation::disk::{Fault, SimulatedDisk};
use crate::simulation::server::Shared;
use crate::simulation::system;

/// Small everything, so that the journal turns, and who was away for a while needs a snapshot.
const CONFIG: &str = r#"
[broker]
enabled = false
[coordinator]
tick_time_ms = 500
session_timeout_min_ms = 4000
read_only = true
snapshot_every_entries = 25
[journal]
files_max = 4
[disk]
reserve_bytes = 0
refuse_below_bytes = 0
"#;

/// So long after it found no space a server tries to write a snapshot again: until then it may be unable to help who needs
/// one.
const TRIES_AGAIN: u64 = 11 * SECOND;

/// A journal's last batches are in so many bytes.
const TAIL_BYTES: usize = 64 << 10;

/// The true time of day when a simulation begins.
const WALL_START_MS: i64 = 1_700_000_000_000;

pub(super) struct Server {
    config: Config,
    /// What its release supports.
    pub(super) levels: Levels,
    pub(super) disk: Shared,
    pub(super) node: Option<Node>,
    /// Counts its starts: a connection belongs to one.
    pub(super) life: u64,
    /// When this life began: its clock counts from there.
    born: u64,
    /// How far its time of day is off.
    pub(super) skew_ms: i64,
    /// When it takes a turn next.
    pub(super) wake_at: u64,
    /// It does nothing before.
    pub(super) paused_until: u64,
    /// Its disk does nothing before.
    pub(super) still_until: u64,
    is_still: Rc<Cell<bool>>,
    /// How often it read entries back for another one.
    pub(super) reads_back: Rc<Cell<usize>>,
    /// Its disk is full until then.
    full_until: u64,
    is_full: bool,
    /// An operation of its disk is to fail.
    fails: bool,
    /// A bit of its files was turned over.
    pub(super) is_damaged: bool,
    /// Its operator accepts what was lost.
    accepts_loss: bool,
    /// The power goes in so many of its next starts, or soon after.
    pub(super) starts_cut: u32,
    /// It found damage at its start, and is a new member without anybody's doing.
    pub(super) is_healed: bool,
    /// When it is started again, while it is not there.
    pub(super) start_at: u64,
    connection_last: u64,
    /// Connections that may have something to be written.
    pub(super) dirty: BTreeSet<ConnectionId>,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Kill,
    Power,
}

impl Server {
    /// One of so many servers; those behind the third are observers.
    pub(super) fn new(place: usize, count: usize, seed: u64, skew_ms: i64) -> Server {
        let entry = |id: usize| {
            let role = if id > SERVERS { ":observer" } else { "" };
            format!("\"{id}=10.0.0.{id}:2888{role}\"")
        };
        let servers: Vec<String> = (1..=count).map(entry).collect();
        let servers = servers.join(", ");
        let text = format!(
            "[server]\nid = {}\n[cluster]\nservers = [{servers}]\nwindow_bytes = 4096\n{CONFIG}",
            place + 1
        );
        let config = config::from_toml(Path::new("/server"), &text, &Machine::default());
        let mut config = config.expect("the configuration is sound");
        // An operator may not have so small a journal beside other servers, whose clients may write more; here none does.
        config.journal.file_bytes = 4 << 20;
        Server {
            config,
            levels: Levels::FIRST,
            disk: empty_disk(seed),
            node: None,
            life: 0,
            born: 0,
            skew_ms,
            wake_at: 0,
            paused_until: 0,
            still_until: 0,
            is_still: Rc::default(),
            reads_back: Rc::default(),
            full_until: 0,
            is_full: false,
            fails: false,
            is_damaged: false,
            accepts_loss: false,
            starts_cut: 0,
            is_healed: false,
            start_at: 0,
            connection_last: 0,
            dirty: BTreeSet::new(),
        }
    }

    /// Starts on what is on the disk. Where that is impossible, and there is a reason for it, that is told, and the server is
    /// started again later.
    pub(super) fn start(&mut self, now: u64, random: &mut Random) -> Result<(), NotStarted> {
        self.find_space(now);
        let before = self.identity();
        if self.starts_cut > 0 {
            self.starts_cut -= 1;
            let nth = random.below(100);
            self.disk.0.borrow_mut().fault(nth, Fault::Power);
        }
        let system = system(|_| true);
        let mut journal = [0; 16];
        journal[..8].copy_from_slice(&random.next().to_be_bytes());
        let started = chrysalis::server::open(Start {
            config: &self.config,
            folder: &ServerFolder::new("/server"),
            accept_loss: self.accepts_loss,
            disk: Box::new(Still {
                disk: self.disk.clone(),
                is_still: Rc::clone(&self.is_still),
                reads_back: Rc::clone(&self.reads_back),
            }),
            random: StartRandom {
                journal,
                seed: Seed(random.next()),
            },
            system,
            ports: Ports::default(),
            levels: self.levels,
        });
        match started {
            Ok(node) => self.node = Some(node),
            Err(error) => return Err(self.does_not_start(now, &error)),
        }
        self.is_healed = self.is_damaged && !self.accepts_loss && self.identity() != before;
        self.is_damaged = false;
        self.accepts_loss = false;
        self.life += 1;
        self.born = now - now.min(random.below(5_000));
        self.wake_at = now;
        self.dirty.clear();
        Ok(())
    }

    /// Who it is to the others, since it lost what it was.
    fn identity(&self) -> Option<Vec<u8>> {
        let path = Path::new("/server/data/coordinator/identity");
        let disk = self.disk.0.borrow();
        let is_there = disk.paths().iter().any(|it| it == path);
        is_there.then(|| disk.bytes(path).to_vec())
    }

    /// What the operator does about it.
    fn does_not_start(&mut self, now: u64, error: &Error) -> NotStarted {
        self.start_at = now + 500 * MS;
        if self.disk.0.borrow().is_dead() {
            self.disk.0.borrow_mut().power_cut();
            return NotStarted::For("power cuts within a start");
        }
        self.disk.0.borrow_mut().kill();
        if error.code() == Code::E0112 {
            return NotStarted::Level;
        }
        if self.is_full {
            return NotStarted::For("starts on a full disk");
        }
        let is_damage = matches!(error.code(), Code::E0201 | Code::E0202);
        assert!(
            is_damage && self.is_damaged && !self.accepts_loss,
            "a server does not start: {error}"
        );
        self.accepts_loss = true;
        NotStarted::For("losses accepted")
    }

    /// There is no more space until then, but for so many bytes.
    pub(super) fn fill(&mut self, until: u64, left: u64) {
        let mut disk = self.disk.0.borrow_mut();
        let used = disk.used();
        disk.set_capacity(used + left);
        self.full_until = until;
        self.is_full = true;
    }

    /// There is space again, if it is time.
    pub(super) fn find_space(&mut self, now: u64) {
        if self.is_full && self.full_until <= now {
            self.is_full = false;
            self.disk.0.borrow_mut().set_capacity(u64::MAX);
        }
    }

    /// One of its next operations fails.
    pub(super) fn let_fail(&mut self, nth: u64) {
        let mut disk = self.disk.0.borrow_mut();
        disk.fault(nth, Fault::Fails(Class::Damaged));
        self.fails = true;
    }

    /// Turns a bit of its journal or of a snapshot over, away from the end, where a power cut might have left such a thing.
    pub(super) fn damage(&mut self, random: &mut Random) -> bool {
        let mut disk = self.disk.0.borrow_mut();
        let is_ours = |path: &PathBuf| {
            path.extension()
                .is_some_and(|it| it == "journal" || it == "snapshot")
        };
        let paths: Vec<PathBuf> = disk.paths().into_iter().filter(is_ours).collect();
        let mut below = |end: usize| usize::try_from(random.below(end as u64)).expect("small");
        for _ in 0..50 {
            let path = &paths[below(paths.len())];
            let bytes = disk.bytes(path);
            let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let is_journal = path.extension().is_some_and(|it| it == "journal");
            let end = match is_journal {
                true => last.saturating_sub(TAIL_BYTES),
                false => last,
            };
            let position = below(end.max(1));
            if end > 0 && bytes[position] != 0 {
                let bit = u8::try_from(below(8)).expect("small");
                disk.flip(path, position, bit);
                self.is_damaged = true;
                return true;
            }
        }
        false
    }

    /// Whether it is there and nothing holds it up.
    pub(super) fn works(&self, now: u64) -> bool {
        self.node.is_some()
            && self.paused_until <= now
            && self.still_until <= now
            && !self.is_full
            && (self.full_until == 0 || self.full_until + TRIES_AGAIN <= now)
    }

    /// No more faults.
    pub(super) fn heal(&mut self, now: u64) {
        let mut disk = self.disk.0.borrow_mut();
        // Of an operation that has failed already it may hear later.
        self.fails &= disk.has_failed();
        disk.forget_faults();
        drop(disk);
        self.paused_until = 0;
        self.still_until = 0;
        self.full_until = self.full_until.min(now);
        self.find_space(now);
        self.wake_at = self.wake_at.min(now);
        self.start_at = self.start_at.min(now);
    }

    /// The process ends.
    pub(super) fn end(&mut self, end: End) {
        self.node = None;
        self.still_until = 0;
        self.fails = false;
        let mut disk = self.disk.0.borrow_mut();
        disk.forget_faults();
        match end {
            End::Kill if !disk.is_dead() => disk.kill(),
            _ => disk.power_cut(),
        }
    }

    /// Its folder is empty when it starts next.
    pub(super) fn wipe(&mut self, seed: u64) {
        self.disk = empty_disk(seed);
        self.full_until = 0;
        self.is_full = false;
        self.is_damaged = false;
        self.accepts_loss = false;
        self.starts_cut = 0;
    }

    pub(super) fn is_awake(&self, now: u64) -> bool {
        self.node.is_some() && self.paused_until <= now
    }

    fn clocks(&self, now: u64) -> (Moment, WallTime) {
        let moment = Moment::START + Duration::from_micros(now - self.born);
        (moment, WallTime(wall_ms(now) + self.skew_ms))
    }

    /// A number for a new connection.
    pub(super) fn next_connection(&mut self) -> ConnectionId {
        self.connection_last += 1;
        ConnectionId(self.connection_last)
    }

    pub(super) fn handle(&mut self, now: u64, event: Event) {
        let (moment, wall) = self.clocks(now);
        if let Some(node) = &mut self.node {
            node.handle(moment, wall, event);
            self.wake_at = self.wake_at.min(now + 20);
        }
    }

    pub(super) fn connect(&mut self, now: u64, port: Port, host: u8) -> ConnectionId {
        let connection = self.next_connection();
        let address = ([10, 0, 1, host], 40_000).into();
        self.handle(
            now,
            Event::Connected {
                connection,
                port,
                address,
                certified: None,
            },
        );
        self.dirty.insert(connection);
        connection
    }

    /// How many bytes it would read from this connection now; `None` if the connection is over.
    pub(super) fn reads(&mut self, connection: ConnectionId) -> Option<usize> {
        let node = self.node.as_mut()?;
        let reads = node.reads(connection);
        let room = node.connection(connection)?.room();
        Some(match reads {
            true => room.capacity() - room.len(),
            false => 0,
        })
    }

    pub(super) fn receive(&mut self, now: u64, connection: ConnectionId, bytes: &Bytes) {
        let node = self.node.as_mut();
        let Some(known) = node.and_then(|node| node.connection(connection)) else {
            return;
        };
        known.room().extend_from_slice(bytes);
        let count = bytes.len();
        self.handle(now, Event::Received { connection, count });
    }

    /// Takes what is to be written to a connection, at most so many bytes.
    pub(super) fn write(&mut self, connection: ConnectionId, most: usize) -> Written {
        let known = self.node.as_mut().and_then(|it| it.connection(connection));
        let Some(known) = known else {
            return Written::Over(Bytes::new());
        };
        let output = known.output();
        let mut bytes = BytesMut::new();
        while bytes.len() < most
            && let Some(chunk) = output.front()
        {
            let Chunk::Bytes(chunk) = chunk else {
                panic!("a coordinator sends no files");
            };
            let count = chunk.len().min(most - bytes.len());
            bytes.extend_from_slice(&chunk[..count]);
            output.written(count as u64);
        }
        let is_over = output.is_empty() && known.is_closing();
        match is_over {
            true => Written::Over(bytes.freeze()),
            false => Written::Open(bytes.freeze()),
        }
    }

    /// Takes a turn; what ended the server in it, if anything did.
    pub(super) fn turn(&mut self, now: u64, random: &mut Random) -> Option<Ended> {
        let (moment, wall) = self.clocks(now);
        let node = self.node.as_mut()?;
        self.is_still.set(now < self.still_until);
        let turned = node.turn(moment, wall);
        if self.disk.0.borrow().is_dead() {
            return Some(Ended::Power);
        }
        match turned {
            Ok(()) => {}
            Err(Failure::Level { .. }) => return Some(Ended::Level),
            Err(failure) => {
                assert!(self.fails, "a server gave up: {failure}");
                return Some(Ended::Disk);
            }
        }
        self.dirty.extend(node.take_dirty());
        let deadline = node.deadline().map(|at| {
            let since = at.since(Moment::START);
            self.born + u64::try_from(since.as_micros()).expect("small") + 1
        });
        let disk = self.disk.0.borrow();
        let disk = (!disk.is_idle()).then(|| match random.below(50) {
            0 => now + random.below(60_000),
            _ => now + 100 + random.below(2_000),
        });
        let disk = disk.map(|at| at.max(self.still_until));
        let next = deadline.into_iter().chain(disk).min();
        self.wake_at = next.unwrap_or(u64::MAX).max(now + 50);
        None
    }
}

/// Why a server did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotStarted {
    /// What is on its disk is of a feature level that its release does not support.
    Level,
    /// For this reason; it is started again later.
    For(&'static str),
}

/// What ended a server in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The power went.
    Power,
    /// Its disk failed.
    Disk,
    /// The ensemble is at a feature level that its release does not support.
    Level,
}

/// What a connection had to be written.
pub(super) enum Written {
    /// These bytes, and it goes on.
    Open(Bytes),
    /// These are the last.
    Over(Bytes),
}

/// The true time of day.
pub(super) fn wall_ms(now: u64) -> i64 {
    WALL_START_MS + i64::try_from(now / 1000).expect("small")
}

fn empty_disk(seed: u64) -> Shared {
    Shared(Rc::new(RefCell::new(SimulatedDisk::new(Seed(seed)))))
}
