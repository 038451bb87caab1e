//! One of the servers: the real node on its own disk, with clocks of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrysalis::appliance::Ports;
use chrysalis::config::{self, Config, Machine, ServerFolder};
use chrysalis::net::output::Chunk;
use chrysalis::node::{Event, Node, Port};
use chrysalis::server::{Random as StartRandom, Start};
use chrysalis::units::{ConnectionId, Moment, Random, Seed, WallTime};

use super::still::Still;
use crate::simulation::disk::SimulatedDisk;
use crate::simulation::server::Shared;
use crate::simulation::system;

/// Small everything, so that the journal turns, and who was away for a while needs a snapshot.
const CONFIG: &str = r#"
[broker]
enabled = false
[cluster]
servers = ["1=10.0.0.1:2888", "2=10.0.0.2:2888", "3=10.0.0.3:2888"]
window_bytes = 4096
[coordinator]
tick_time_ms = 500
snapshot_every_entries = 40
[journal]
files_max = 4
[disk]
reserve_bytes = 0
refuse_below_bytes = 0
"#;

/// The true time of day when a simulation begins.
const WALL_START_MS: i64 = 1_700_000_000_000;

pub(super) struct Server {
    config: Config,
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
    pub(super) fn new(place: usize, seed: u64, skew_ms: i64) -> Server {
        let text = format!("[server]\nid = {}\n{CONFIG}", place + 1);
        let config = config::from_toml(Path::new("/server"), &text, &Machine::default());
        let mut config = config.expect("the configuration is sound");
        // An operator may not have so small a journal beside other servers, whose clients may write more; here none does.
        config.journal.file_bytes = 4 << 20;
        Server {
            config,
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
            start_at: 0,
            connection_last: 0,
            dirty: BTreeSet::new(),
        }
    }

    /// Starts on what is on the disk.
    pub(super) fn start(&mut self, now: u64, random: &mut Random) {
        let system = system(|_| true);
        let mut journal = [0; 16];
        journal[..8].copy_from_slice(&random.next().to_be_bytes());
        let started = chrysalis::server::open(Start {
            config: &self.config,
            folder: &ServerFolder::new("/server"),
            accept_loss: false,
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
        });
        match started {
            Ok(node) => self.node = Some(node),
            Err(error) => panic!("a server does not start: {error}"),
        }
        self.life += 1;
        self.born = now - now.min(random.below(5_000));
        self.wake_at = now;
        self.dirty.clear();
    }

    /// The process ends.
    pub(super) fn end(&mut self, end: End) {
        self.node = None;
        self.still_until = 0;
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

    /// Takes a turn; false if the power went in it.
    pub(super) fn turn(&mut self, now: u64, random: &mut Random) -> bool {
        let (moment, wall) = self.clocks(now);
        let Some(node) = &mut self.node else {
            return true;
        };
        self.is_still.set(now < self.still_until);
        let turned = node.turn(moment, wall);
        if self.disk.0.borrow().is_dead() {
            return false;
        }
        if let Err(failure) = turned {
            panic!("a server gave up: {failure}");
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
        true
    }
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
