//! A whole server in one thread, from a seed: the real node, codecs and all, on the simulated disk, with
//! clients whose bytes arrive in pieces, power that goes and disk operations that fail.
//!
//! After every life of the server the clients read everything back. What was acknowledged is there, at the
//! offset that was told; what was sent and not acknowledged is whole, once, or absent.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use chrysalis::appliance::Ports;
use chrysalis::broker::{Get, Name, Put, Request};
use chrysalis::config::{self, Config, Machine, ServerFolder};
use chrysalis::coordinator::{self, Acl, ConnectRequest, Create, CreateMode, Reply, SetData};
use chrysalis::disk::{Class, Completion, Disk, Error, File, Lane, Operation, Outcome, Token};
use chrysalis::net::output::Chunk;
use chrysalis::node::{Event, Node, Port};
use chrysalis::segments::format::{Next, Record, next_record};
use chrysalis::server::{Random as StartRandom, Start, System};
use chrysalis::units::{ConnectionId, GroupId, Moment, Random, Seed, ServerId, WallTime, Zxid};
use chrysalis::wire::metaq::reply::Content;
use chrysalis::wire::metaq::{Decoded, Limits, reply as metaq_reply, request as metaq_request};
use chrysalis::wire::zookeeper::four_letter::Environment;
use chrysalis::wire::zookeeper::{frame, handshake, reply as zk_reply, request as zk_request};

use super::disk::{Fault, SimulatedDisk};
use crate::harness::lab::seeds;
use crate::harness::tally::Tally;

/// What a start meets.
mod restart;

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

const PARTITIONS: i32 = 3;
/// Producers.
const PRODUCERS: u64 = 3;
const ZNODES: u64 = 5;

/// The simulated disk, shared between the server and the test.
#[derive(Clone)]
struct Shared(Rc<RefCell<SimulatedDisk>>);

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

/// What a client knows it has sent and got back.
#[derive(Default)]
struct Memory {
    /// Acknowledged messages: partition, offset, message.
    stored: BTreeMap<(i32, u64), Bytes>,
    /// Every message that was ever sent, by content; all are different.
    sent: BTreeMap<Bytes, i32>,
    /// By znode: the last acknowledged value, and those sent since.
    znodes: BTreeMap<u64, (u64, BTreeSet<u64>)>,
}

/// A connection from the client's side.
#[derive(Default)]
struct Client {
    inbox: BytesMut,
    waiting: BTreeMap<i32, Waiting>,
    next: i32,
}

/// What an answer is awaited for.
#[derive(Clone)]
enum Waiting {
    Put { message: Bytes },
    Get,
    Create { znode: u64 },
    Set { znode: u64, value: u64 },
    Read { znode: u64 },
}

struct World {
    random: Random,
    disk: Shared,
    node: Option<Node>,
    config: Config,
    now: Moment,
    memory: Memory,
    clients: BTreeMap<ConnectionId, Client>,
    connection_last: u64,
    zookeeper: Option<ConnectionId>,
    established: bool,
    message_last: u64,
    /// Answers to reads, for whoever asked.
    read: BTreeMap<i32, Content>,
    /// The operator has read what is lost, and goes on without it.
    accept_loss: bool,
    trace: Vec<String>,
    /// What happened so far.
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> World {
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
            trace: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn wall(&self) -> WallTime {
        WallTime(1_700_000_000_000 + i64::try_from(self.now.as_millis()).expect("small"))
    }

    /// Starts the server on what is on the disk; false if a fault came first.
    fn start(&mut self) -> bool {
        match self.open() {
            Ok(()) => self.come_up(),
            Err(error) => {
                assert!(self.disk.0.borrow().is_dead() || self.faulted(), "{error}");
                false
            }
        }
    }

    /// Opens the server in its folder.
    fn open(&mut self) -> Result<(), chrysalis::report::Error> {
        let system = System {
            environment: Environment {
                host_name: "simulated".into(),
                os_version: "0".into(),
                user_name: "nobody".into(),
                user_home: "/".into(),
                user_folder: "/".into(),
            },
            descriptors: || None,
            descriptors_max: None,
            utc_offset_s: 0,
            pid: 1,
            syncs_as_one: if self.random.below(2) == 0 {
                |_| true
            } else {
                |_| false
            },
        };
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

    fn connect(&mut self, port: Port) -> ConnectionId {
        self.connection_last += 1;
        let id = ConnectionId(self.connection_last);
        let (now, wall) = (self.now, self.wall());
        let address = ([127, 0, 0, 1], 40_000).into();
        let node = self.node.as_mut().expect("the server runs");
        node.handle(
            now,
            wall,
            Event::Connected {
                connection: id,
                port,
                address,
            },
        );
        self.clients.insert(id, Client::default());
        if port == Port::Coordinator {
            let mut bytes = BytesMut::new();
            let hello = ConnectRequest {
                last_zxid_seen: Zxid(0),
                timeout_ms: 30_000,
                session: 0,
                password: Bytes::from_static(&[0; 16]),
                read_only: Some(false),
            };
            handshake::encode_request(&hello, &mut bytes).expect("it is small");
            self.send(id, &bytes);
        }
        id
    }

    /// The client's bytes arrive, in one piece or in two.
    fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        let cut = usize::try_from(self.random.below(bytes.len() as u64 + 1)).expect("small");
        let (now, wall) = (self.now, self.wall());
        let Some(node) = self.node.as_mut() else {
            return;
        };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let Some(connection) = node.connection(id) else {
                return;
            };
            if !piece.is_empty() {
                connection.room().extend_from_slice(piece);
                node.handle(
                    now,
                    wall,
                    Event::Received {
                        connection: id,
                        count: piece.len(),
                    },
                );
            }
        }
    }

    /// One turn of the loop; false if the server died of it.
    fn turn(&mut self) -> bool {
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

    fn take_answers(&mut self) {
        let ids: Vec<ConnectionId> = self.clients.keys().copied().collect();
        for id in ids {
            if Some(id) == self.zookeeper {
                self.take_zookeeper_answers(id);
            } else {
                self.take_metaq_answers(id);
            }
        }
    }

    fn take_metaq_answers(&mut self, id: ConnectionId) {
        let client = self.clients.get_mut(&id).expect("it was just listed");
        while let Ok(Decoded::Frame(answer)) =
            metaq_reply::decode(&mut client.inbox, &Limits::default())
        {
            let waiting = client.waiting.remove(&answer.opaque).expect("it was asked");
            match (waiting, answer.content) {
                (Waiting::Put { message, .. }, Content::Result { code, text }) => {
                    if code.is_success() {
                        let text = std::str::from_utf8(&text).expect("ASCII");
                        let words: Vec<&str> = text.split(' ').collect();
                        let partition = words[1].parse().expect("a number");
                        let offset = words[2].parse().expect("a number");
                        let before = self.memory.stored.insert((partition, offset), message);
                        assert!(before.is_none(), "two messages at {partition}:{offset}");
                    }
                }
                (Waiting::Get, content) => {
                    self.read.insert(answer.opaque, content);
                }
                _ => panic!("an answer of another kind"),
            }
        }
    }

    fn take_zookeeper_answers(&mut self, id: ConnectionId) {
        let client = self.clients.get_mut(&id).expect("it was just listed");
        while let Some(answer) = frame::take(&mut client.inbox, 1 << 20).expect("a frame") {
            if !self.established {
                let reply = handshake::decode_reply(&answer).expect("a handshake's answer");
                assert_ne!(reply.session, 0, "a new session is granted");
                self.established = true;
                continue;
            }
            let header = zk_reply::decode_header(&answer).expect("a header");
            let waiting = client.waiting.remove(&header.xid).expect("it was asked");
            match waiting {
                Waiting::Create { znode } => {
                    if header.error == 0 {
                        let value = self.memory.znodes.entry(znode).or_default();
                        value.0 = value.0.max(1);
                    }
                }
                Waiting::Set { znode, value } => {
                    if header.error == 0 {
                        self.tally.add("znodes set", 1);
                        let known = self.memory.znodes.entry(znode).or_default();
                        known.0 = value;
                        known.1.retain(|later| *later > value);
                    }
                }
                Waiting::Read { znode } => {
                    let known = self.memory.znodes.get(&znode).cloned().unwrap_or_default();
                    let found = if header.error == 0 {
                        let kind = zk_reply::Kind::of(&coordinator::Request::GetData {
                            path: Bytes::new(),
                            watch: false,
                        });
                        match zk_reply::decode(&answer, kind).expect("data") {
                            Reply::Data {
                                data: Some(data), ..
                            } => std::str::from_utf8(&data)
                                .expect("ASCII")
                                .parse()
                                .expect("a number"),
                            other => panic!("{other:?}"),
                        }
                    } else {
                        0
                    };
                    assert!(
                        found == known.0 || known.1.contains(&found),
                        "znode {znode} is {found}; {} was acknowledged, {:?} sent since",
                        known.0,
                        known.1
                    );
                    // What was found is now known to be there.
                    self.memory.znodes.insert(znode, (found, BTreeSet::new()));
                    self.read.insert(header.xid, Content::Value(Bytes::new()));
                }
                _ => panic!("an answer of another kind"),
            }
        }
    }

    fn ask_metaq(&mut self, id: ConnectionId, request: &Request, waiting: Waiting) -> i32 {
        let client = self.clients.get_mut(&id).expect("it is connected");
        client.next += 1;
        let opaque = client.next + 1000 * i32::try_from(id.0).expect("small");
        client.waiting.insert(opaque, waiting);
        let mut bytes = BytesMut::new();
        metaq_request::encode(&mut bytes, opaque, request);
        self.send(id, &bytes);
        opaque
    }

    fn ask_zookeeper(&mut self, request: &coordinator::Request, waiting: Waiting) -> i32 {
        let id = self.zookeeper.expect("it is connected");
        let client = self.clients.get_mut(&id).expect("it is connected");
        client.next += 1;
        let xid = client.next;
        client.waiting.insert(xid, waiting);
        let mut bytes = BytesMut::new();
        zk_request::encode(xid, request, &mut bytes).expect("it is small");
        self.send(id, &bytes);
        xid
    }

    fn put(&mut self) {
        let most = if self.random.below(10) == 0 {
            40_000
        } else {
            300
        };
        let bytes = self.random.below(most);
        self.put_bytes(usize::try_from(bytes).expect("small"));
    }

    /// Puts a message with so many bytes, and a few more.
    fn put_bytes(&mut self, bytes: usize) {
        let producers: Vec<ConnectionId> = self
            .clients
            .keys()
            .copied()
            .filter(|id| Some(*id) != self.zookeeper)
            .collect();
        let which = usize::try_from(self.random.below(producers.len() as u64)).expect("small");
        self.message_last += 1;
        let mut message = format!("message {} ", self.message_last).into_bytes();
        message.resize(message.len() + bytes, b'.');
        let message = Bytes::from(message);
        let partition = i32::try_from(self.random.below(3)).expect("small");
        self.memory.sent.insert(message.clone(), partition);
        let put = Put {
            topic: Name::from_static("test"),
            partition,
            flag: 0,
            checksum: -1,
            transaction: None,
            data: message.clone(),
        };
        self.ask_metaq(
            producers[which],
            &Request::Put(put),
            Waiting::Put { message },
        );
    }

    fn write_znode(&mut self) {
        if !self.established {
            return;
        }
        let znode = self.random.below(ZNODES);
        let path = Bytes::from(format!("/{znode}"));
        if self
            .memory
            .znodes
            .get(&znode)
            .is_none_or(|known| known.0 == 0)
        {
            self.memory.znodes.entry(znode).or_default().1.insert(1);
            let create = Create {
                path,
                data: Some(Bytes::from_static(b"1")),
                acl: vec![Acl::open()],
                mode: CreateMode::Persistent,
            };
            self.ask_zookeeper(
                &coordinator::Request::Create(create),
                Waiting::Create { znode },
            );
        } else {
            self.message_last += 1;
            let value = self.message_last + 1;
            self.memory.znodes.entry(znode).or_default().1.insert(value);
            let data = Some(Bytes::from(value.to_string()));
            let set = SetData {
                path,
                data,
                version: -1,
            };
            self.ask_zookeeper(
                &coordinator::Request::SetData(set),
                Waiting::Set { znode, value },
            );
        }
    }

    /// A life: writes until the power goes, a disk operation fails, or the server is stopped.
    fn live(&mut self) {
        let steps = 20 + self.random.below(150);
        for _ in 0..steps {
            match self.random.below(10) {
                0..4 => {
                    for _ in 0..=self.random.below(8) {
                        self.put();
                    }
                }
                4..6 => self.write_znode(),
                6 => self.now = self.now + Duration::from_millis(self.random.below(40_000)),
                _ => {}
            }
            if !self.turn() {
                return;
            }
        }
    }

    /// The end of a life, one way or the other.
    fn die(&mut self) {
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

    /// Turns until an answer is there; `None` if the server died first.
    fn wait_for(&mut self, number: i32) -> Option<Content> {
        for _ in 0..200_000 {
            if let Some(content) = self.read.remove(&number) {
                return Some(content);
            }
            if !self.turn() {
                return None;
            }
        }
        panic!("a request is not answered");
    }

    /// Reads everything back.
    fn verify(&mut self) {
        let id = *self.clients.keys().next().expect("there are producers");
        let mut seen = BTreeSet::new();
        for partition in 0..PARTITIONS {
            let mut offset = 0_u64;
            loop {
                let get = Get {
                    topic: Name::from_static("test"),
                    group: Name::from_static("verify"),
                    partition,
                    offset: i64::try_from(offset).expect("small"),
                    max_size: 100_000,
                };
                let number = self.ask_metaq(id, &Request::Get(get), Waiting::Get);
                let Some(content) = self.wait_for(number) else {
                    return;
                };
                let Content::Value(records) = content else {
                    break;
                };
                let mut records = records;
                let before = offset;
                while let Next::Record(record) = next_record(&mut records) {
                    let Record { header, data } = record;
                    let sent = self.memory.sent.get(&data);
                    assert_eq!(
                        sent,
                        Some(&partition),
                        "a record nobody sent there: {header:?}"
                    );
                    assert!(seen.insert(data.clone()), "a message is there twice");
                    if let Some(stored) = self.memory.stored.get(&(partition, offset)) {
                        assert_eq!(stored, &data, "another message at {partition}:{offset}");
                    }
                    offset += header.record_bytes();
                }
                assert!(
                    offset > before,
                    "no whole record in a value at {partition}:{offset}"
                );
            }
        }
        let (sent, stored) = (self.memory.sent.len(), self.memory.stored.len());
        self.tally.add("acknowledged messages looked for", stored);
        self.tally
            .add("other messages found", seen.len().saturating_sub(stored));
        self.tally.add("other messages gone", sent - seen.len());
        for ((partition, offset), message) in &self.memory.stored {
            assert!(
                seen.contains(message),
                "acknowledged at {partition}:{offset} and gone"
            );
        }
        for znode in 0..ZNODES {
            while !self.established {
                if !self.turn() {
                    return;
                }
            }
            let path = Bytes::from(format!("/{znode}"));
            let request = coordinator::Request::GetData { path, watch: false };
            let number = self.ask_zookeeper(&request, Waiting::Read { znode });
            if self.wait_for(number).is_none() {
                return;
            }
        }
    }

    /// Something will go wrong at some operation of the disk in the life that begins.
    fn arm(&mut self) {
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
}

/// How a life ends in the middle of what the disk does.
const CUT_WITHIN: &str = "power cuts within an operation";
const FAILED: &str = "failed operations";

/// Several lives of one server: what happened in them, and a trace of it.
fn run(seed: u64) -> (Tally, String) {
    let mut world = World::new(seed);
    for life in 0..5 {
        world.trace.push(format!("life {life}"));
        if world.start() {
            world.verify();
            if world.node.is_some() && !world.disk.0.borrow().is_dead() {
                world.arm();
                world.live();
            }
        }
        world.die();
    }
    world.trace.push("last".to_owned());
    assert!(world.start(), "without a fault the server starts");
    world.verify();
    for path in world.disk.0.borrow().paths() {
        let name = path.to_string_lossy();
        let kept = match &*name {
            "/server/data/broker/checkpoint" => "checkpoints",
            name if name.ends_with(".snapshot") => "snapshots",
            name if name.ends_with(".meta") && !name.ends_with("/00000000000000000000.meta") => {
                "further segments"
            }
            name if name.ends_with(".journal") && name != FIRST_FILE => "further journal files",
            _ => continue,
        };
        world.tally.add(kept, 1);
    }
    let trace = format!(
        "{:?} stored {} sent {} znodes {:?}",
        world.trace,
        world.memory.stored.len(),
        world.memory.sent.len(),
        world.memory.znodes
    );
    (world.tally, trace)
}

#[test]
fn a_server_keeps_what_it_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(60, 3000) {
        tally.merge(&run(seed).0);
    }
    tally.assert_at_least(&[
        ("power cuts", 90),
        (CUT_WITHIN, 10),
        (FAILED, 15),
        ("kills", 30),
        ("acknowledged messages looked for", 50_000),
        ("other messages found", 900),
        ("other messages gone", 2000),
        ("znodes set", 1800),
        ("checkpoints", 25),
        ("snapshots", 3),
        ("further segments", 500),
        ("further journal files", 25),
    ]);
}

/// Where the journal's oldest batches are: damage there takes what came after them.
const FIRST_FILE: &str = "/server/data/journal/00.journal";

impl World {
    /// Flips a bit of one of the journal's first batches; true if the start finds it.
    fn lose(&mut self) -> bool {
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

    /// The clients know that anything may be gone; what they sent may be there.
    fn know_nothing(&mut self) {
        self.memory.stored.clear();
        let values: BTreeSet<u64> = (1..=self.message_last + 1).collect();
        for known in self.memory.znodes.values_mut() {
            *known = (0, values.clone());
        }
    }

    /// Writes, and turns until both cores have said yes.
    fn is_served(&mut self) -> bool {
        let values = |world: &World| -> Vec<u64> {
            let known = world.memory.znodes.values();
            known.map(|(value, _)| *value).collect()
        };
        self.memory.stored.clear();
        let before = values(self);
        for turn in 0..100_000 {
            if turn % 1000 == 0 {
                self.put();
                self.write_znode();
            }
            if !self.turn() {
                return false;
            }
            if values(self) != before && !self.memory.stored.is_empty() {
                return true;
            }
        }
        false
    }
}

/// A checkpoint or a snapshot may hold more than is left of the journal: what is written next must not be taken
/// for what they hold already.
#[test]
fn a_server_that_lost_its_journal_keeps_what_it_acknowledges_from_then_on() {
    let mut losses = 0;
    for seed in seeds(25, 1000) {
        let mut world = World::new(seed);
        for _ in 0..3 {
            assert!(world.start(), "without a fault the server starts");
            world.live();
            world.die();
        }
        // Without one its files are taken for another broker's.
        let checkpoint = Path::new("/server/data/broker/checkpoint");
        let paths = world.disk.0.borrow().paths();
        if !paths.iter().any(|path| path == checkpoint) || !world.lose() {
            continue;
        }
        losses += 1;
        world.accept_loss = true;
        world.know_nothing();
        assert!(world.start(), "a loss is accepted");
        world.accept_loss = false;
        world.verify();
        assert!(world.is_served(), "writes are answered");
        world.live();
        world.die();
        assert!(world.start(), "it starts again");
        world.verify();
    }
    assert!(losses > 10, "{losses} losses");
}

impl World {
    /// Writes znodes until a file with this ending is in the server's folder.
    fn write_until(&mut self, ending: &str) {
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

/// Whatever fails while a snapshot is written, and wherever the power goes: what has a snapshot's name is whole.
#[test]
fn a_snapshot_is_in_place_only_when_it_is_whole() {
    for seed in seeds(5, 100) {
        let faults = [
            Fault::Fails(Class::NoSpace),
            Fault::Fails(Class::Damaged),
            Fault::Power,
        ];
        for (nth, fault) in (0..12).flat_map(|nth| faults.map(|fault| (nth, fault))) {
            let mut world = World::new(seed);
            assert!(world.start(), "it starts");
            world.write_until(".snapshot.new");
            world
                .trace
                .push(format!("fault {fault:?} at operation {nth}"));
            world.disk.0.borrow_mut().fault(nth, fault);
            for _ in 0..200 {
                if !world.turn() {
                    break;
                }
            }
            world.die();
            if let Err(error) = world.open() {
                panic!("{fault:?} at operation {nth}: {error}");
            }
        }
    }
}

/// The journal is not told of the snapshot: nothing but a new start knows that the coordinator's entries are needless.
#[test]
fn puts_go_on_after_a_kill_between_a_snapshot_and_the_word_of_it() {
    for seed in seeds(3, 100) {
        let mut world = World::new(seed);
        assert!(world.start(), "it starts");
        let in_place = |world: &World| {
            let paths = world.disk.0.borrow().paths();
            let mut names = paths.iter().filter_map(|path| path.extension());
            names.any(|extension| extension == "snapshot")
        };
        for turn in 0..100_000 {
            if in_place(&world) {
                break;
            }
            if (60..260).contains(&turn) {
                // The journal goes on in another file.
                world.put_bytes(40_000);
            } else {
                world.write_znode();
            }
            assert!(world.turn(), "nothing fails");
        }
        assert!(in_place(&world), "a snapshot was made");
        world.node = None;
        world.clients.clear();
        world.established = false;
        world.disk.0.borrow_mut().kill();

        assert!(world.start(), "it starts again");
        // Twice as much as all files hold.
        for _ in 0..800 {
            world.put_bytes(40_000);
            for _ in 0..10 {
                assert!(world.turn(), "nothing fails");
            }
        }
        let before = world.memory.stored.len();
        for _ in 0..100 {
            world.put_bytes(100);
            world.now = world.now + Duration::from_secs(1);
            for _ in 0..10 {
                assert!(world.turn(), "nothing fails");
            }
        }
        assert!(
            world.memory.stored.len() > before,
            "puts are refused for ever"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in seeds(3, 30) {
        assert_eq!(run(seed).1, run(seed).1);
    }
}
