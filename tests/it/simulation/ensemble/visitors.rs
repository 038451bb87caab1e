//! Clients that are content with reading: they come to every server, also to one to which nobody leads.
//!
//! What they are told there is old and never more than that: one state as long as the connection lasts, all of it committed.
//! Nothing that they want is done, and none of them is left when the server serves again.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use chrysalis::coordinator::{ConnectRequest, Operation, Reply, Request, SetData};
use chrysalis::node::{Node, Port};
use chrysalis::units::{ConnectionId, Zxid};
use chrysalis::wire::zookeeper::request::xid;
use chrysalis::wire::zookeeper::{frame, handshake, reply as zk_reply, request as zk_request};

use super::clients::{creation, number_in};
use super::server::End;
use super::world::{MS, SECOND, SERVERS, World};
use super::{FAULTS_LAST, Story};
use crate::harness::lab::seeds;
use crate::harness::tally::Tally;

/// The hosts of the other clients come before.
const HOST: usize = 100;
/// What a read-only server refuses with.
const NOT_READ_ONLY: i32 = -119;
/// Whoever is not answered for so long goes.
const PATIENCE: u64 = 6 * SECOND;
/// The first byte of the ids of sessions that are one server's own.
const LOCAL: u8 = 0xff;

/// What an answer is awaited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Ping,
    Watches,
    /// Anything that is not to be done.
    Refused,
    Close,
}

/// A connection from the visitor's side.
struct Visit {
    server: usize,
    life: u64,
    connection: ConnectionId,
    outbox: BytesMut,
    inbox: BytesMut,
    /// Whether the server only reads, once it has said so.
    read_only: Option<bool>,
    /// What the server shows, where it only reads.
    shown: Option<Zxid>,
    asked: VecDeque<(i32, Asked)>,
    heard_at: u64,
}

pub(super) struct Visitor {
    visit: Option<Visit>,
    session: i64,
    password: Bytes,
    zxid: Zxid,
    xid: i32,
    pub(super) act_at: u64,
}

impl Visitor {
    pub(super) fn new(act_at: u64) -> Visitor {
        Visitor {
            visit: None,
            session: 0,
            password: Bytes::from_static(&[0; 16]),
            zxid: Zxid(0),
            xid: 0,
            act_at,
        }
    }

    fn forget_session(&mut self) {
        self.session = 0;
        self.password = Bytes::from_static(&[0; 16]);
        self.zxid = Zxid(0);
    }

    fn is_at(&self, server: usize, connection: ConnectionId) -> bool {
        let visit = self.visit.as_ref();
        visit.is_some_and(|it| it.server == server && it.connection == connection)
    }
}

fn is_local(session: i64) -> bool {
    session.to_be_bytes()[0] == LOCAL
}

impl World {
    /// What is due of a visitor.
    pub(super) fn visitor_step(&mut self, which: usize) {
        self.take_answers(which);
        self.look_whether_it_may_stay(which);
        if self.visitors[which].act_at > self.now {
            return;
        }
        self.visitors[which].act_at = self.now + MS * (20 + self.random.below(250));
        let (now, calm) = (self.now, self.calm);
        match &self.visitors[which].visit {
            None if calm => self.visitors[which].act_at = u64::MAX,
            None => self.visit(which),
            Some(visit) if calm || visit.heard_at + PATIENCE < now => self.go(which),
            Some(visit) if visit.read_only.is_some() && visit.asked.len() < 4 => self.want(which),
            Some(_) => {}
        }
        self.bring(which);
    }

    /// What the server has written to this connection of a visitor; `is_over` where it was the last.
    pub(super) fn tell_visitor(
        &mut self,
        server: usize,
        connection: ConnectionId,
        bytes: &Bytes,
        is_over: bool,
    ) {
        let visitors = 0..self.visitors.len();
        let mut visitors = visitors.filter(|it| self.visitors[*it].is_at(server, connection));
        let Some(which) = visitors.next() else {
            return;
        };
        if let Some(visit) = &mut self.visitors[which].visit {
            visit.inbox.extend_from_slice(bytes);
        }
        self.take_answers(which);
        if is_over {
            self.visitors[which].visit = None;
        }
    }

    /// A server that serves again has none that may only read.
    fn look_whether_it_may_stay(&mut self, which: usize) {
        let Some(visit) = &self.visitors[which].visit else {
            return;
        };
        let (server, life, connection) = (visit.server, visit.life, visit.connection);
        let only_reads = visit.read_only == Some(true);
        let there = &mut self.servers[server];
        if there.life != life || there.node.is_none() {
            self.visitors[which].visit = None;
            return;
        }
        let known = there.node.as_mut().expect("it is there");
        let serves = known.serves();
        let is_open = known
            .connection(connection)
            .is_some_and(|it| !it.is_closing());
        assert!(
            !(only_reads && serves && is_open),
            "visitor {which} may only read at {server}, which serves"
        );
    }

    /// Comes to some server.
    fn visit(&mut self, which: usize) {
        let (now, server) = (self.now, self.below(SERVERS));
        if !self.servers[server].is_awake(now) {
            return;
        }
        if self.random.below(3) == 0 {
            self.visitors[which].forget_session();
        }
        // Java's client forgets a session that it could only read with, kazoo does not.
        if is_local(self.visitors[which].session) && self.random.below(2) == 0 {
            self.visitors[which].session = 0;
        }
        let host = u8::try_from(HOST + which).expect("few");
        let connection = self.servers[server].connect(now, Port::Coordinator, host);
        let visitor = &mut self.visitors[which];
        let hello = ConnectRequest {
            last_zxid_seen: visitor.zxid,
            timeout_ms: 5_000,
            session: visitor.session,
            password: visitor.password.clone(),
            read_only: Some(true),
        };
        let mut outbox = BytesMut::new();
        handshake::encode_request(&hello, &mut outbox).expect("it is small");
        visitor.visit = Some(Visit {
            server,
            life: self.servers[server].life,
            connection,
            outbox,
            inbox: BytesMut::new(),
            read_only: None,
            shown: None,
            asked: VecDeque::new(),
            heard_at: now,
        });
    }

    fn go(&mut self, which: usize) {
        let Some(visit) = self.visitors[which].visit.take() else {
            return;
        };
        let (server, life, connection) = (visit.server, visit.life, visit.connection);
        self.hangups.push((self.now, server, life, connection));
    }

    /// Hands over what is sent, as far as the server reads.
    fn bring(&mut self, which: usize) {
        let now = self.now;
        let Some(visit) = &mut self.visitors[which].visit else {
            return;
        };
        let server = &mut self.servers[visit.server];
        if visit.outbox.is_empty() || !server.is_awake(now) {
            return;
        }
        let most = server.reads(visit.connection).unwrap_or(0);
        let most = most.min(visit.outbox.len());
        if most > 0 {
            let bytes = visit.outbox.split_to(most).freeze();
            server.receive(now, visit.connection, &bytes);
        }
    }

    /// Asks for something; of a server that only reads also for what it must not do.
    fn want(&mut self, which: usize) {
        let visit = self.visitors[which].visit.as_ref().expect("it is there");
        let only_reads = visit.read_only == Some(true);
        let counter = Bytes::from_static(b"/counter");
        let number = self.memory.next();
        let set = SetData {
            path: counter.clone(),
            data: Some(Bytes::from(number.to_string())),
            version: -1,
        };
        let create = creation(format!("/n{number}"), number);
        let (request, asked) = match self.random.below(if only_reads { 14 } else { 7 }) {
            0..5 => {
                let (path, watch) = (counter, only_reads && number.is_multiple_of(2));
                (Request::GetData { path, watch }, Asked::Read)
            }
            5 | 6 => (Request::Ping, Asked::Ping),
            7 => {
                let relative_zxid = self.visitors[which].zxid;
                let (data, exist, child) = (vec![counter], Vec::new(), Vec::new());
                let again = Request::SetWatches {
                    relative_zxid,
                    data,
                    exist,
                    child,
                };
                (again, Asked::Watches)
            }
            8 => (Request::SetData(set), Asked::Refused),
            9 => (Request::Create(create), Asked::Refused),
            10 => {
                let all = vec![Operation::SetData(set), Operation::Create(create)];
                (Request::Multi(all), Asked::Refused)
            }
            11 | 12 => (Request::Sync { path: counter }, Asked::Refused),
            // What is of the ensemble cannot be closed here.
            _ => match is_local(self.visitors[which].session) {
                true => (Request::CloseSession, Asked::Close),
                false => (Request::CloseSession, Asked::Refused),
            },
        };
        let visitor = &mut self.visitors[which];
        let number = match asked {
            Asked::Ping => xid::PING,
            Asked::Watches => xid::SET_WATCHES,
            _ => {
                visitor.xid += 1;
                visitor.xid
            }
        };
        let visit = visitor.visit.as_mut().expect("it is there");
        zk_request::encode(number, &request, &mut visit.outbox).expect("it is small");
        visit.asked.push_back((number, asked));
    }

    fn take_answers(&mut self, which: usize) {
        while let Some(visit) = &mut self.visitors[which].visit
            && let Some(answer) = frame::take(&mut visit.inbox, 1 << 20).expect("a frame")
        {
            visit.heard_at = self.now;
            match visit.read_only {
                None => self.greet_visitor(which, &answer),
                Some(only_reads) => self.answer_visitor(which, only_reads, &answer),
            }
        }
    }

    fn greet_visitor(&mut self, which: usize, answer: &Bytes) {
        let reply = handshake::decode_reply(answer).expect("a handshake's answer");
        if reply.session == 0 {
            assert_ne!(self.visitors[which].session, 0, "a new session is granted");
            self.visitors[which].forget_session();
            return self.go(which);
        }
        let visitor = &mut self.visitors[which];
        let before = std::mem::replace(&mut visitor.session, reply.session);
        assert!(before == 0 || before == reply.session, "it is the same");
        visitor.password = Bytes::copy_from_slice(&reply.password);
        let visit = visitor.visit.as_mut().expect("it spoke");
        visit.read_only = reply.read_only;
        let (only_reads, local) = (reply.read_only == Some(true), is_local(reply.session));
        assert!(
            only_reads || !local,
            "a session of its own where all is served"
        );
        let what = match (only_reads, local) {
            (true, true) => "sessions that only read",
            (true, false) => "sessions that only read meanwhile",
            (false, _) => "visitors that could write",
        };
        self.tally.add(what, 1);
        if local {
            self.local_sessions.insert(reply.session);
        }
    }

    fn answer_visitor(&mut self, which: usize, only_reads: bool, answer: &Bytes) {
        let header = zk_reply::decode_header(answer).expect("a header");
        if header.xid == xid::NOTIFICATION {
            // What its watch had missed; of anything that happened later it hears elsewhere.
            return;
        }
        let visitor = &mut self.visitors[which];
        let visit = visitor.visit.as_mut().expect("it spoke");
        let (number, asked) = visit.asked.pop_front().expect("it was asked");
        assert_eq!(header.xid, number, "answers come in order");
        assert!(header.zxid >= visitor.zxid, "{header:?}");
        visitor.zxid = header.zxid;
        if only_reads {
            let shown = *visit.shown.get_or_insert(header.zxid);
            assert_eq!(shown, header.zxid, "it is shown one state");
        }
        match asked {
            Asked::Refused => {
                assert_eq!(header.error, NOT_READ_ONLY);
                self.tally.add("writes that were refused", 1);
            }
            Asked::Ping | Asked::Watches => assert_eq!(header.error, 0),
            Asked::Close => {
                assert_eq!(header.error, 0);
                visitor.forget_session();
                self.go(which);
            }
            Asked::Read if header.error == 0 => {
                let reply = zk_reply::decode(answer, zk_reply::Kind::Data).expect("a reply");
                let Reply::Data { data, stat } = reply else {
                    panic!("{reply:?}");
                };
                let value = number_in(&data.expect("it has data"));
                self.memory.saw(stat.version, value);
                // It counts as told: what was shown and is lost later was never committed.
                self.memory.version = self.memory.version.max(stat.version);
                self.tally
                    .add("reads without a leader", usize::from(only_reads));
            }
            // The counter is not made yet.
            Asked::Read => assert_eq!(header.error, -101),
        }
    }

    /// Nothing on any disk knows a session that a server had to itself.
    fn look_for_local_sessions(&self) {
        let known: BTreeSet<[u8; 8]> = self
            .local_sessions
            .iter()
            .map(|it| it.to_be_bytes())
            .collect();
        for server in &self.servers {
            let disk = server.disk.0.borrow();
            for path in disk.paths() {
                let mut rest = disk.bytes(&path);
                while let Some(at) = rest.iter().position(|byte| *byte == LOCAL) {
                    rest = &rest[at..];
                    let found = rest.first_chunk::<8>().filter(|it| known.contains(*it));
                    assert_eq!(found, None, "{}", path.display());
                    rest = &rest[1..];
                }
            }
        }
    }
}

#[test]
fn a_server_without_a_leader_is_read_and_nothing_is_done_there() {
    let mut tally = Tally::default();
    for seed in seeds(4, 60) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.until("all vote", 60 * SECOND, |world| world.whole_since.is_some());
        while world.now < FAULTS_LAST {
            // Two go, one after the other, and come back; the one that is left may be stopped and started, too.
            let left = world.below(SERVERS);
            let away = 5 * SECOND + world.random.below(5 * SECOND);
            let restarts = world.random.below(6) == 0;
            for server in (0..SERVERS).filter(|it| *it != left) {
                world.stop(server, End::Kill, away);
            }
            if restarts {
                world.stop(left, End::Kill, SECOND);
            }
            let by = world.now + 30 * SECOND;
            world.until("they are back", by, |world| {
                (0..SERVERS).all(|it| world.serves(it))
            });
            let on = world.now + SECOND + world.random.below(4 * SECOND);
            world.until("time passes", u64::MAX, |world| world.now >= on);
        }
        world.end_well();
        world.look_for_local_sessions();
        tally.merge(&world.tally);
    }
    tally.assert_at_least(&[
        ("sessions that only read", 2),
        ("sessions that only read meanwhile", 2),
        ("visitors that could write", 8),
        ("reads without a leader", 30),
        ("writes that were refused", 30),
    ]);
}

/// Whoever may be wrong shows nothing: a server whose state is not that of the others, one that is being taken in again, one
/// whose disk does nothing.
#[test]
fn a_server_that_may_be_wrong_shows_nothing_without_a_leader() {
    for seed in seeds(2, 20) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.until("all vote", 60 * SECOND, |world| world.whole_since.is_some());
        let left = world.below(SERVERS);
        let reads = |world: &World| {
            let node = world.servers[left].node.as_ref();
            node.is_some_and(Node::is_read_only)
        };
        // Its disk does nothing from a moment on in which there is something to do.
        world.servers[left].still_until = world.now + 15 * SECOND;
        let on = world.now + SECOND;
        world.until("it is given something", u64::MAX, |world| world.now >= on);
        for server in (0..SERVERS).filter(|it| *it != left) {
            world.stop(server, End::Kill, 40 * SECOND);
        }
        while world.servers[left].still_until > world.now {
            assert!(!reads(world), "its disk does nothing");
            world.step();
        }
        let by = world.now + 10 * SECOND;
        world.until("its disk is back", by, reads);
        // It is started again and does not know what is committed; and then it has forgotten all.
        for wiped in [false, true] {
            match wiped {
                true => world.wipe(left, SECOND),
                false => world.stop(left, End::Kill, SECOND),
            }
            let on = world.now + 6 * SECOND;
            while world.now < on {
                assert!(!reads(world), "it has nothing to show");
                world.step();
            }
        }
        world.end_well();
    }
}
