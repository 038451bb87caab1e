//! Clients of ZooKeeper that go from server to server with their sessions, and note what they were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use chrysalis::coordinator::{Acl, ConnectRequest, Create, CreateMode, Reply, Request, SetData};
use chrysalis::units::{ConnectionId, Zxid};
use chrysalis::wire::zookeeper::request::xid;
use chrysalis::wire::zookeeper::{frame, handshake, reply as zk_reply, request as zk_request};

use super::locks::{self, FENCE, LOCK, Place};
use super::pairs::{self, PAIR};
use super::pipe::Pipe;
use super::registers::{self, REGISTERS};
use super::world::{MS, SECOND, World};
use crate::harness::history::History;

/// Znodes that all others need.
const BASES: [&str; 9] = [
    "/counter",
    "/s",
    LARGE,
    LOCK,
    FENCE,
    PAIR[0],
    PAIR[1],
    REGISTERS[0],
    REGISTERS[1],
];
/// A server that no leader has confirmed for so long shows nothing: what was acknowledged before that is seen by every read.
const LATE: u64 = 1_700 * MS;
/// What is asked while nothing goes wrong is answered by then.
const ANSWERED_WITHIN: u64 = 2 * SECOND;
/// What is written so that the journal's files are used again and again, and so many bytes of it.
const LARGE: &str = "/large";
const LARGE_BYTES: usize = 60_000;

/// What all clients together were told.
#[derive(Default)]
pub(super) struct Memory {
    /// Counts what was made and set: every content is another one.
    last: u64,
    /// Whether the znodes are there that all others need.
    pub(super) ready: BTreeSet<&'static str>,
    /// What was to be made, by its content.
    pub(super) made: BTreeMap<u64, Made>,
    /// The counter's values, by the version that they were seen with.
    versions: BTreeMap<i32, u64>,
    /// The last version that anybody was told of.
    pub(super) version: i32,
    /// When each was acknowledged.
    acknowledged: BTreeMap<u64, i32>,
    /// What was done with the registers.
    pub(super) histories: [History; REGISTERS.len()],
    /// Whose turn it was when the fence got this version.
    pub(super) fence: BTreeMap<i32, u64>,
    /// Sessions that ended, as their clients were told.
    pub(super) ended: BTreeSet<i64>,
}

/// A znode that somebody wanted.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// As it was acknowledged.
    pub(super) path: Option<Bytes>,
    /// Whose it is.
    pub(super) session: Option<i64>,
    /// When it was asked for.
    pub(super) sent_at: u64,
    /// When that was acknowledged.
    pub(super) acknowledged_at: u64,
}

impl Memory {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The counter's last version that was acknowledged by then.
    fn acknowledged_by(&self, then: u64) -> i32 {
        let known = self.acknowledged.range(..=then).next_back();
        known.map_or(-1, |(_, version)| *version)
    }

    /// The counter was seen like this.
    pub(super) fn saw(&mut self, version: i32, value: u64) {
        let known = *self.versions.entry(version).or_insert(value);
        assert_eq!(known, value, "version {version} has two values");
        let twice = self.versions.iter().filter(|(_, it)| **it == value);
        assert_eq!(twice.count(), 1, "{value} was set twice");
    }
}

/// What an answer is awaited for.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Basis(&'static str),
    Create {
        number: u64,
    },
    Set {
        value: u64,
        floor: i32,
    },
    Sync,
    Get {
        floor: i32,
        is_synced: bool,
        watches: bool,
    },
    Register(registers::Asked),
    Pair(pairs::Asked),
    Lock(locks::Asked),
    Watches,
    Large,
    Ping,
    Close,
    Asked(Request),
}

/// A connection from the client's side.
pub(super) struct Stream {
    pub(super) server: usize,
    pub(super) life: u64,
    pub(super) connection: ConnectionId,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
    /// The server has closed it: the client learns of it then.
    pub(super) closes_at: Option<u64>,
    inbox: BytesMut,
    established: bool,
    /// What was sent, when, and what it is answered with.
    waiting: VecDeque<(i32, u64, Waiting)>,
    begun_at: u64,
    sent_at: u64,
}

pub(super) struct Client {
    /// It knows this server only.
    pinned: Option<usize>,
    pub(super) stream: Option<Stream>,
    pub(super) session: i64,
    password: Bytes,
    timeout_ms: i32,
    /// Where the session was used last.
    home: usize,
    /// The last sign of life that was confirmed: when it was sent.
    alive_at: u64,
    /// The session may have been closed.
    closing: bool,
    pub(super) zxid: Zxid,
    xid: i32,
    /// The versions of the registers that it knows of.
    pub(super) seen: [i32; REGISTERS.len()],
    /// The version of the pair's first that it has read.
    pub(super) pair: i32,
    /// The counter's version when it began to watch it.
    pub(super) watch: Option<i32>,
    pub(super) lock: Option<Place>,
    pub(super) act_at: u64,
    /// It writes by itself.
    busy: bool,
    answers: VecDeque<(i32, Option<Reply>)>,
}

impl Client {
    pub(super) fn new(pinned: Option<usize>, timeout_ms: i32, act_at: u64) -> Client {
        Client {
            pinned,
            stream: None,
            session: 0,
            password: Bytes::from_static(&[0; 16]),
            timeout_ms,
            home: 0,
            alive_at: 0,
            closing: false,
            zxid: Zxid(0),
            xid: 0,
            seen: [0; REGISTERS.len()],
            pair: 0,
            watch: None,
            lock: None,
            act_at,
            busy: pinned.is_none(),
            answers: VecDeque::new(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.stream.as_ref().is_some_and(|it| it.established) && !self.closing
    }

    fn timeout(&self) -> u64 {
        u64::try_from(self.timeout_ms).expect("positive") * MS
    }

    /// Whether its session may have ended without its knowing.
    pub(super) fn may_be_over(&self, now: u64) -> bool {
        now >= self.alive_at + self.timeout()
    }

    /// Since when it has been without an answer.
    fn waits_since(&self) -> Option<u64> {
        let stream = self.stream.as_ref()?;
        match stream.established {
            true => stream.waiting.front().map(|(_, at, _)| *at),
            false => Some(stream.begun_at),
        }
    }

    fn forget_session(&mut self) {
        self.session = 0;
        self.password = Bytes::from_static(&[0; 16]);
        self.zxid = Zxid(0);
        self.closing = false;
        self.watch = None;
        self.lock = None;
    }
}

fn create(path: String, number: u64, mode: CreateMode) -> Request {
    Request::Create(Create {
        mode,
        ..creation(path, number)
    })
}

/// A znode that holds a number and stays.
pub(super) fn creation(path: String, number: u64) -> Create {
    Create {
        path: Bytes::from(path),
        data: Some(Bytes::from(number.to_string())),
        acl: vec![Acl::open()],
        mode: CreateMode::Persistent,
    }
}

/// The number that a znode holds.
pub(super) fn number_in(data: &[u8]) -> u64 {
    let text = std::str::from_utf8(data).expect("ASCII");
    text.parse().expect("a number")
}

impl World {
    /// When a client has something to do.
    pub(super) fn client_due_at(&self, which: usize) -> u64 {
        let client = &self.clients[which];
        let Some(stream) = &client.stream else {
            return client.act_at;
        };
        let server = &self.servers[stream.server];
        let up = stream.up.due_at().filter(|_| stream.closes_at.is_none());
        let up = up.map(|at| at.max(server.paused_until));
        let ends = [up, stream.down.due_at(), stream.closes_at];
        ends.into_iter()
            .flatten()
            .fold(client.act_at, std::cmp::min)
    }

    /// What is due of a client.
    pub(super) fn client_step(&mut self, which: usize) {
        self.bring_up(which);
        self.bring_down(which);
        let now = self.now;
        let closed = self.clients[which].stream.as_ref().is_some_and(|stream| {
            stream.closes_at.is_some_and(|at| at <= now) && stream.down.due_at().is_none()
        });
        if closed {
            self.leave(which, "the server closed");
        }
        if self.clients[which].act_at <= now {
            self.act(which);
        }
    }

    /// What the client has sent arrives.
    fn bring_up(&mut self, which: usize) {
        let now = self.now;
        let Some(stream) = &mut self.clients[which].stream else {
            return;
        };
        let server = &mut self.servers[stream.server];
        if stream.closes_at.is_some()
            || server.paused_until > now
            || stream.up.due_at().is_none_or(|at| at > now)
        {
            return;
        }
        match server.reads(stream.connection) {
            None => stream.closes_at = Some(now + MS),
            Some(0) => stream.up.stall(now + MS),
            Some(most) => {
                let piece = match self.random.below(4) {
                    0 => 1 + 4 * self.random.below(64),
                    _ => 8192,
                };
                let most = most.min(usize::try_from(piece).expect("small"));
                if let Some(bytes) = stream.up.take(most) {
                    server.receive(now, stream.connection, &bytes);
                }
            }
        }
    }

    fn bring_down(&mut self, which: usize) {
        let now = self.now;
        if let Some(stream) = &mut self.clients[which].stream {
            while stream.down.due_at().is_some_and(|at| at <= now) {
                let bytes = stream.down.take(usize::MAX).expect("it is due");
                stream.inbox.extend_from_slice(&bytes);
            }
        }
        while let Some(stream) = &mut self.clients[which].stream
            && let Some(answer) = frame::take(&mut stream.inbox, 1 << 20).expect("a frame")
        {
            match stream.established {
                true => self.answered(which, &answer),
                false => self.welcomed(which, &answer),
            }
        }
    }

    /// The client's side of the connection is over.
    pub(super) fn leave(&mut self, which: usize, why: &str) {
        let now = self.now;
        let wait = MS * (10 + self.random.below(400));
        let client = &mut self.clients[which];
        if let Some(stream) = client.stream.take() {
            self.hangups
                .push((now + MS, stream.server, stream.life, stream.connection));
            self.note(&format!("client {which} leaves {}: {why}", stream.server));
        }
        let client = &mut self.clients[which];
        if let Some(place) = &mut client.lock {
            place.loses_connection();
        }
        client.act_at = now + wait;
    }

    fn act(&mut self, which: usize) {
        let now = self.now;
        if let Some(since) = self.clients[which].waits_since() {
            let calm_since = self.calm_since.unwrap_or(now).max(since);
            assert!(
                calm_since + ANSWERED_WITHIN >= now,
                "client {which} has no answer, and nothing is wrong since {calm_since}"
            );
            if since + self.clients[which].timeout() * 2 / 3 < now {
                return self.leave(which, "no answer");
            }
        }
        let pause = MS * (5 + self.random.below(400));
        self.clients[which].act_at = now + pause;
        match &self.clients[which].stream {
            None => self.arrive(which),
            Some(stream) if stream.established && !self.clients[which].closing => {
                let idle = stream.sent_at + self.clients[which].timeout() / 4 < now;
                let waits = stream.waiting.len();
                if idle {
                    self.send(which, &Request::Ping, Waiting::Ping);
                } else if waits < 4 && self.clients[which].busy && !self.calm {
                    self.ask_something(which);
                }
            }
            Some(_) => {}
        }
    }

    /// Connects to some server that is there.
    fn arrive(&mut self, which: usize) {
        let any = self.below(self.servers.len());
        let server = self.clients[which].pinned.unwrap_or(any);
        let now = self.now;
        // A server opens its port in its first turn.
        if !self.servers[server].is_awake(now) {
            return;
        }
        let host = u8::try_from(which + 1).expect("few");
        let port = chrysalis::node::Port::Coordinator;
        let connection = self.servers[server].connect(now, port, host);
        let client = &mut self.clients[which];
        let mut stream = Stream {
            server,
            life: self.servers[server].life,
            connection,
            up: Pipe::default(),
            down: Pipe::default(),
            closes_at: None,
            inbox: BytesMut::new(),
            established: false,
            waiting: VecDeque::new(),
            begun_at: now,
            sent_at: now,
        };
        let hello = ConnectRequest {
            last_zxid_seen: client.zxid,
            timeout_ms: client.timeout_ms,
            session: client.session,
            password: client.password.clone(),
            read_only: Some(false),
        };
        let mut bytes = BytesMut::new();
        handshake::encode_request(&hello, &mut bytes).expect("it is small");
        stream.up.put(now + MS, bytes.freeze());
        client.stream = Some(stream);
    }

    fn welcomed(&mut self, which: usize, answer: &Bytes) {
        let reply = handshake::decode_reply(answer).expect("a handshake's answer");
        let now = self.now;
        let client = &mut self.clients[which];
        let stream = client.stream.as_mut().expect("it spoke");
        if reply.session == 0 {
            let (session, since) = (client.session, now - client.alive_at);
            assert_ne!(session, 0, "a new session is granted");
            assert!(
                client.closing || since >= client.timeout(),
                "session {session:#x} ended {since} us after its last sign of life"
            );
            self.memory.ended.insert(session);
            self.tally.add("sessions expired", 1);
            client.forget_session();
            return self.leave(which, "session expired");
        }
        stream.established = true;
        if client.session != 0 {
            assert_eq!(client.session, reply.session, "it is the same session");
            if client.home != stream.server {
                self.tally.add("sessions moved", 1);
            }
            // A close that did not get through.
            client.closing = false;
        }
        client.session = reply.session;
        client.password = Bytes::copy_from_slice(&reply.password);
        client.timeout_ms = reply.timeout_ms;
        client.home = stream.server;
        client.alive_at = stream.begun_at;
        let (session, server) = (client.session, client.home);
        self.note(&format!("session {session:#x} at {server}"));
        self.watch_again(which);
    }

    pub(super) fn send(&mut self, which: usize, request: &Request, waiting: Waiting) -> i32 {
        let now = self.now;
        let delay = 50 + self.random.below(2_000);
        let client = &mut self.clients[which];
        let Some(stream) = &mut client.stream else {
            return 0;
        };
        let number = match waiting {
            Waiting::Ping => xid::PING,
            Waiting::Watches => xid::SET_WATCHES,
            _ => {
                client.xid += 1;
                client.xid
            }
        };
        let mut bytes = BytesMut::new();
        zk_request::encode(number, request, &mut bytes).expect("it is small");
        stream.up.put(now + delay, bytes.freeze());
        stream.waiting.push_back((number, now, waiting));
        stream.sent_at = now;
        number
    }

    fn ask_something(&mut self, which: usize) {
        for basis in BASES {
            if !self.memory.ready.contains(basis) {
                let request = create(basis.to_owned(), 0, CreateMode::Persistent);
                self.send(which, &request, Waiting::Basis(basis));
                return;
            }
        }
        match self.random.below(140) {
            0..15 => self.create(which, "/n", CreateMode::Persistent),
            15..23 => self.create(which, "/s/x", CreateMode::PersistentSequential),
            23..30 => self.create(which, "/e", CreateMode::Ephemeral),
            30..45 => self.set(which),
            45..55 => self.get(which, false),
            55..68 => self.get(which, true),
            68..83 => self.use_register(which),
            83..93 => self.use_pair(which),
            93..111 => self.use_lock(which),
            111..121 => {
                // Several at once: they come in one entry.
                self.create(which, "/n", CreateMode::Persistent);
                self.create(which, "/s/x", CreateMode::PersistentSequential);
                self.set(which);
            }
            121..123 => self.write_much(which),
            123..136 => {
                self.send(which, &Request::Ping, Waiting::Ping);
            }
            136 => self.leave(which, "it moves on"),
            137 => {
                self.clients[which].forget_session();
                self.tally.add("sessions abandoned", 1);
                self.leave(which, "it begins anew");
            }
            _ => {
                self.send(which, &Request::CloseSession, Waiting::Close);
                let client = &mut self.clients[which];
                client.closing = true;
                if let Some(place) = &mut client.lock {
                    place.lets_go();
                }
            }
        }
    }

    fn create(&mut self, which: usize, prefix: &str, mode: CreateMode) {
        let number = self.memory.next();
        let session = self.clients[which].session;
        let made = Made {
            path: None,
            session: (mode == CreateMode::Ephemeral).then_some(session),
            sent_at: self.now,
            acknowledged_at: 0,
        };
        self.memory.made.insert(number, made);
        let path = match mode {
            CreateMode::PersistentSequential => prefix.to_owned(),
            _ => format!("{prefix}{number}"),
        };
        let request = create(path, number, mode);
        self.send(which, &request, Waiting::Create { number });
    }

    /// Makes a znode by a client that otherwise only reads.
    pub(super) fn create_by(&mut self, which: usize) {
        self.create(which, "/n", CreateMode::Persistent);
    }

    fn set(&mut self, which: usize) {
        let value = self.memory.next();
        let request = Request::SetData(SetData {
            path: Bytes::from_static(b"/counter"),
            data: Some(Bytes::from(value.to_string())),
            version: -1,
        });
        let floor = self.memory.version;
        self.send(which, &request, Waiting::Set { value, floor });
    }

    fn get(&mut self, which: usize, is_synced: bool) {
        let path = Bytes::from_static(b"/counter");
        let watches = self.below(3) == 0;
        let mut floor = self.memory.acknowledged_by(self.now.saturating_sub(LATE));
        if is_synced {
            floor = self.memory.version;
            let path = path.clone();
            self.send(which, &Request::Sync { path }, Waiting::Sync);
        }
        let request = Request::GetData {
            path,
            watch: watches,
        };
        let waiting = Waiting::Get {
            floor,
            is_synced,
            watches,
        };
        self.send(which, &request, waiting);
    }

    fn write_much(&mut self, which: usize) {
        for _ in 0..6 {
            let set = SetData {
                path: Bytes::from_static(LARGE.as_bytes()),
                data: Some(Bytes::from(vec![b'x'; LARGE_BYTES])),
                version: -1,
            };
            self.send(which, &Request::SetData(set), Waiting::Large);
        }
    }

    /// Asks something for whoever waits for the answer.
    pub(super) fn ask(&mut self, which: usize, request: Request) -> i32 {
        self.send(which, &request.clone(), Waiting::Asked(request))
    }

    /// The answer to what was asked, `None` in it for a refusal.
    pub(super) fn take_answer(&mut self, which: usize) -> Option<(i32, Option<Reply>)> {
        self.clients[which].answers.pop_front()
    }

    fn answered(&mut self, which: usize, answer: &Bytes) {
        let now = self.now;
        let header = zk_reply::decode_header(answer).expect("a header");
        if header.xid == xid::NOTIFICATION {
            return self.notified(which, answer);
        }
        let client = &mut self.clients[which];
        let stream = client.stream.as_mut().expect("it spoke");
        let (number, sent_at, waiting) = stream.waiting.pop_front().expect("it was asked");
        assert_eq!(header.xid, number, "answers come in order");
        assert!(
            header.zxid >= client.zxid,
            "client {which} has seen {:?}, and now {:?}",
            client.zxid,
            header.zxid
        );
        client.zxid = header.zxid;
        let decode = |request: &Request| {
            let kind = zk_reply::Kind::of(request);
            let decoded = || zk_reply::decode(answer, kind).expect("a reply");
            (header.error == 0).then(decoded)
        };
        self.tally.add("answers", 1);
        match waiting {
            Waiting::Basis(basis) => {
                assert!(matches!(header.error, 0 | -110), "{}", header.error);
                self.memory.ready.insert(basis);
            }
            Waiting::Create { number } => self.created(number, header.error, answer),
            Waiting::Set { value, floor } => {
                assert_eq!(header.error, 0, "the counter can be set");
                self.counter_set(which, value, floor, answer);
            }
            Waiting::Sync | Waiting::Watches | Waiting::Large => {
                assert_eq!(header.error, 0, "it is answered");
            }
            Waiting::Get {
                floor,
                is_synced,
                watches,
            } => {
                assert_eq!(header.error, 0, "there is a counter");
                self.tally.add("synced reads", usize::from(is_synced));
                self.counter_read(which, floor, watches, answer);
            }
            Waiting::Register(asked) => self.register_told(which, asked, header.error, answer),
            Waiting::Pair(asked) => self.pair_told(which, asked, answer),
            Waiting::Lock(asked) => self.lock_told(which, asked, header.error, answer),
            Waiting::Ping => {
                assert_eq!(header.error, 0, "a ping is answered");
                let client = &mut self.clients[which];
                client.alive_at = client.alive_at.max(sent_at);
            }
            Waiting::Close => {
                let client = &mut self.clients[which];
                self.memory.ended.insert(client.session);
                client.forget_session();
                self.tally.add("sessions closed", 1);
                self.leave(which, "session closed");
            }
            Waiting::Asked(request) => {
                let reply = decode(&request);
                self.clients[which].answers.push_back((number, reply));
            }
        }
        self.note_number(now ^ u64::from(header.xid.unsigned_abs()));
    }

    fn counter_set(&mut self, which: usize, value: u64, floor: i32, answer: &Bytes) {
        let reply = zk_reply::decode(answer, zk_reply::Kind::Stat).expect("a reply");
        let Reply::Stat(stat) = reply else {
            panic!("{reply:?}");
        };
        assert!(
            stat.version > floor,
            "version {} comes after {floor} was acknowledged",
            stat.version
        );
        self.memory.saw(stat.version, value);
        self.memory.version = self.memory.version.max(stat.version);
        let version = self.memory.version;
        self.memory.acknowledged.insert(self.now, version);
        self.check_watch(which, stat.version, false);
        self.tally.add("sets", 1);
    }

    fn counter_read(&mut self, which: usize, floor: i32, watches: bool, answer: &Bytes) {
        let reply = zk_reply::decode(answer, zk_reply::Kind::Data).expect("a reply");
        let Reply::Data { data, stat } = reply else {
            panic!("{reply:?}");
        };
        assert!(
            stat.version >= floor,
            "a read sees version {}, and {floor} was acknowledged before",
            stat.version
        );
        let value = number_in(&data.expect("it has data"));
        self.memory.saw(stat.version, value);
        self.check_watch(which, stat.version, watches);
    }

    fn created(&mut self, number: u64, error: i32, answer: &Bytes) {
        assert_eq!(error, 0, "znode {number} is made once");
        let kind = zk_reply::Kind::of(&create(String::new(), 0, CreateMode::Persistent));
        let reply = zk_reply::decode(answer, kind).expect("a reply");
        let Reply::Created { path } = reply else {
            panic!("{reply:?}");
        };
        let made = self.memory.made.get_mut(&number).expect("it was sent");
        made.path = Some(Bytes::copy_from_slice(&path));
        made.acknowledged_at = self.now;
        self.tally.add("creates", 1);
    }

    /// Whether a client's last create was acknowledged.
    pub(super) fn is_answered(&self, which: usize) -> bool {
        let stream = self.clients[which].stream.as_ref();
        stream.is_some_and(|stream| stream.established && stream.waiting.is_empty())
    }
}
