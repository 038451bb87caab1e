//! A server on the simulated disk: how it starts, turns, meets faults and ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chrysalis::appliance::Ports;
use chrysalis::config::{self, Config, Machine, ServerFolder};
use chrysalis::disk::{Class, Completion, Disk, Error, File, Lane, Operation, Outcome, Token};
use chrysalis::net::output::Chunk;
use chrysalis::node::{Node, Port};
use chrysalis::server::{Random as StartRandom, Start};
use chrysalis::units::feature::Levels;
use chrysalis::units::{ConnectionId, Moment, Random, Seed, WallTime};
use chrysalis::wire::metaq::reply::Content;

use super::clients::{Client, Memory, PRODUCERS};
use crate::harness::tally::Tally;
use crate::simulation::disk::{Fault, SimulatedDisk};
use crate::simulation::system;

/// Small everything, so that segments roll and the journal turns within one life.
const CONFIG: &str = r#"
[server]
id = 1
[broker]
segment_bytes = 65536
[zookeeper]
register = false
[coordinator]
snapshot_every_entries = 100
[journal]
file_bytes = 4194304
files_max = 4
[disk]
reserve_bytes = 0
refuse_below_bytes = 0
[topics.test]
num_partitions = 3
"#;

/// The simulated disk, shared between the server and the test.
#[derive(Clone)]
pub(in crate::simulation) struct Shared(pub(in crate::simulation) Rc<RefCell<SimulatedDisk>>);

impl Disk for Shared {
    fn reserve(&mut self) -> File {
        self.0.borrow_mut().reserve()
    }
    fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        self.0.borrow_mut().submit(lane, token, operation);
    }
    fn complete(&mut self, completions: &mut Vec<Completion>) {
        self.0.borrow_mut().complete(completions);
    }
    fn wait(&mut self, completions: &mut Vec<Completion>) {
        self.0.borrow_mut().wait(completions);
    }
    fn run(&mut self, operation: Operation) -> Result<Outcome, Error> {
        self.0.borrow_mut().run(operation)
    }
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) disk: Shared,
    pub(super) node: Option<Node>,
    pub(super) config: Config,
    pub(super) now: Moment,
    pub(super) memory: Memory,
    pub(super) clients: BTreeMap<ConnectionId, Client>,
    pub(super) connection_last: u64,
    pub(super) zookeeper: Option<ConnectionId>,
    pub(super) established: bool,
    pub(super) message_last: u64,
    /// Answers to reads, for whoever asked.
    pub(super) read: BTreeMap<i32, Content>,
    /// The operator has read what is lost, and goes on without it.
    pub(super) accept_loss: bool,
    /// What its release supports.
    pub(super) levels: Levels,
    pub(super) trace: Vec<String>,
    /// What happened so far.
    pub(super) tally: Tally,
}

/// How a life ends in the middle of what the disk does.
pub(super) const CUT_WITHIN: &str = "power cuts within an operation";
pub(super) const FAILED: &str = "failed operations";

/// Where the journal's oldest batches are: damage there takes what came after them.
pub(super) const FIRST_FILE: &str = "/server/data/journal/00.journal";

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut random = Random::new(Seed(seed));
        let disk = Shared(Rc::new(RefCell::new(SimulatedDisk::new(Seed(
            random.next(),
        )))));
        let config = config::from_toml(Path::new("/server"), CONFIG, &Machine::default())
            .expect("the configuration is sound");
        World {
            random,
            disk,
            node: None,
            config,
            now: Moment::START,
            memory: Memory::default(),
            clients: BTreeMap::new(),
            connection_last: 0,
            zookeeper: None,
            established: false,
            message_last: 0,
            read: BTreeMap::new(),
            accept_loss: false,
            levels: Levels::FIRST,
            trace: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn wall(&self) -> WallTime {
        WallTime(1_700_000_000_000 + i64::try_from(self.now.as_millis()).expect("small"))
    }

    /// Starts the server on what is on the disk; false if a fault came first.
    pub(super) fn start(&mut self) -> bool {
        match self.open() {
            Ok(()) => self.come_up(),
            Err(error) => {
                assert!(self.disk.0.borrow().is_dead() || self.faulted(), "{error}");
                false
            }
        }
    }

    /// Opens the server in its folder.
    pub(super) fn open(&mut self) -> Result<(), chrysalis::report::Error> {
        let system = system(if self.random.below(2) == 0 {
            |_| true
        } else {
            |_| false
        });
        let mut journal = [0; 16];
        journal[..8].copy_from_slice(&self.random.next().to_be_bytes());
        let started = chrysalis::server::open(Start {
            config: &self.config,
            folder: &ServerFolder::new("/server"),
            accept_loss: self.accept_loss,
            disk: Box::new(self.disk.clone()),
            random: StartRandom {
                journal,
                seed: Seed(self.random.next()),
            },
            system,
            ports: Ports::default(),
            levels: self.levels,
        });
        self.node = Some(started?);
        Ok(())
    }

    /// Turns until it serves, and connects the clients; false if a fault came first.
    fn come_up(&mut self) -> bool {
        for _ in 0..100_000 {
            if !self.turn() {
                return false;
            }
            if self.node.as_ref().is_some_and(Node::serves) {
                for _ in 0..PRODUCERS {
                    self.connect(Port::Broker);
                }
                self.zookeeper = Some(self.connect(Port::Coordinator));
                return true;
            }
        }
        panic!("the server does not come up");
    }

    /// Whether a failing operation was asked for in this life.
    fn faulted(&self) -> bool {
        self.trace
            .last()
            .is_some_and(|line| line.starts_with("fault"))
    }

    /// One turn of the loop; false if the server died of it.
    pub(super) fn turn(&mut self) -> bool {
        self.now = self.now + Duration::from_micros(100 + self.random.below(3000));
        let (now, wall) = (self.now, self.wall());
        let Some(node) = self.node.as_mut() else {
            return false;
        };
        if let Err(failure) = node.turn(now, wall) {
            let dead = self.disk.0.borrow().is_dead();
            assert!(dead || self.faulted(), "the server gave up: {failure}");
            let end = if dead { CUT_WITHIN } else { FAILED };
            self.tally.add(end, 1);
            return false;
        }
        if self.disk.0.borrow().is_dead() {
            self.tally.add(CUT_WITHIN, 1);
            return false;
        }
        for id in node.take_dirty() {
            let Some(connection) = node.connection(id) else {
                continue;
            };
            let output = connection.output();
            while let Some(chunk) = output.front().cloned() {
                let bytes = match chunk {
                    Chunk::Bytes(bytes) => bytes,
                    Chunk::File(range) => {
                        let disk = self.disk.0.borrow();
                        let file = disk.bytes(&range.path);
                        let from = usize::try_from(range.position).expect("small");
                        let length = usize::try_from(range.length).expect("small");
                        Bytes::copy_from_slice(&file[from..from + length])
                    }
                };
                output.written(bytes.len() as u64);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.inbox.extend_from_slice(&bytes);
                }
            }
        }
        self.take_answers();
        true
    }

    /// The end of a life, one way or the other.
    pub(super) fn die(&mut self) {
        self.node = None;
        self.clients.clear();
        self.established = false;
        let mut disk = self.disk.0.borrow_mut();
        disk.forget_faults();
        if self.random.below(3) == 0 && !disk.is_dead() {
            disk.kill();
            self.tally.add("kills", 1);
        } else {
            disk.power_cut();
            self.tally.add("power cuts", 1);
        }
    }

    /// Something will go wrong at some operation of the disk in the life that begins.
    pub(super) fn arm(&mut self) {
        let nth = self.random.below(400);
        let fault = match self.random.below(4) {
            0 => Fault::Power,
            1 => Fault::Fails(Class::Damaged),
            2 => Fault::Fails(Class::NoSpace),
            _ => return,
        };
        self.trace
            .push(format!("fault {fault:?} at operation {nth}"));
        self.disk.0.borrow_mut().fault(nth, fault);
    }

    /// Flips a bit of one of the journal's first batches; true if the start finds it.
    pub(super) fn lose(&mut self) -> bool {
        let path = Path::new(FIRST_FILE);
        let mut disk = self.disk.0.borrow_mut();
        let length = disk.bytes(path).len();
        let position = loop {
            let position = self.random.below(length.min(200_000) as u64);
            let position = usize::try_from(position).expect("small");
            if disk.bytes(path)[position] != 0 {
                break position;
            }
        };
        disk.flip(path, position, 3);
        drop(disk);
        match self.open() {
            Ok(()) => {
                self.node = None;
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("E0201"), "{error}");
                true
            }
        }
    }

    /// Writes znodes until a file with this ending is in the server's folder.
    pub(super) fn write_until(&mut self, ending: &str) {
        for _ in 0..100_000 {
            if self.has(ending) {
                return;
            }
            self.write_znode();
            assert!(self.turn(), "nothing fails");
        }
        panic!("no {ending} was made");
    }

    fn has(&self, ending: &str) -> bool {
        let paths = self.disk.0.borrow().paths();
        paths
            .iter()
            .any(|path| path.to_string_lossy().ends_with(ending))
    }
}
