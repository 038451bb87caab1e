//! A session goes from one server to another: two coordinators that apply the same entries.

use bytes::Bytes;

use super::harness::WALL_START;
use crate::coordinator::session::password;
use crate::coordinator::{
    Acl, CloseReason, ConnectRequest, Coordinator, Create, CreateMode, Effect, Event, Operation,
    Options, Refusal, Reply, Request,
};
use crate::units::{ConnectionId, Moment, Seed, ServerId, WallTime, Zxid};

/// One leads, the other follows; each has at most one connection a test.
struct Pair {
    servers: [Coordinator; 2],
    /// Proposed and not committed.
    proposed: Vec<Bytes>,
    index: u64,
}

const CLIENT: ConnectionId = ConnectionId(1);

impl Pair {
    fn new() -> Pair {
        let server = |number: u16| {
            let options = Options {
                server: ServerId(number),
                ..Options::default()
            };
            Coordinator::new(options, Seed(u64::from(number)))
        };
        let mut pair = Pair {
            servers: [server(1), server(2)],
            proposed: Vec::new(),
            index: 0,
        };
        pair.handle(0, Event::Led { term: 1 });
        pair
    }

    /// What this server's client gets; what is proposed waits.
    fn handle(&mut self, server: usize, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.servers[server].handle(Moment::START, event, &mut effects);
        let (proposed, shown): (Vec<Effect>, Vec<Effect>) = effects
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Propose(_)));
        for effect in proposed {
            if let Effect::Propose(command) = effect {
                self.proposed.push(command);
            }
        }
        shown
    }

    /// Commits all that waits; what the clients of each server get.
    fn commit(&mut self) -> [Vec<Effect>; 2] {
        let mut shown = [Vec::new(), Vec::new()];
        for data in std::mem::take(&mut self.proposed) {
            self.index += 1;
            let index = self.index;
            for (server, shown) in shown.iter_mut().enumerate() {
                let data = data.clone();
                shown.extend(self.handle(server, Event::Committed { index, data }));
                shown.extend(self.handle(server, Event::EntryEnd { index }));
            }
        }
        shown
    }

    fn connect(&mut self, server: usize, session: i64, seen: Zxid) {
        let address = "127.0.0.1".parse().expect("an address");
        let connection = CLIENT;
        self.handle(
            server,
            Event::Connected {
                connection,
                address,
            },
        );
        let request = ConnectRequest {
            last_zxid_seen: seen,
            timeout_ms: 10_000,
            session,
            password: Bytes::copy_from_slice(&password(session)),
            read_only: None,
        };
        let wall = WallTime(WALL_START);
        let shown = self.handle(
            server,
            Event::Connect {
                connection,
                wall,
                request,
            },
        );
        assert_eq!(shown, [], "it goes through the log");
    }

    /// A new session, at this server.
    fn session(&mut self, server: usize) -> i64 {
        self.connect(server, 0, Zxid(0));
        match &self.commit()[server][..] {
            [Effect::ConnectReply { reply, .. }] => reply.session,
            other => panic!("no session: {other:?}"),
        }
    }

    fn request(&mut self, server: usize, xid: i32, request: Request) {
        let (connection, wall) = (CLIENT, WallTime(WALL_START));
        let event = Event::Request {
            connection,
            xid,
            wall,
            request,
        };
        assert_eq!(self.handle(server, event), [], "it waits");
    }
}

fn make(path: &'static str) -> Create {
    Create {
        path: Bytes::from_static(path.as_bytes()),
        data: None,
        acl: vec![Acl::open()],
        mode: CreateMode::Persistent,
    }
}

fn multi(path: &'static str) -> Request {
    Request::Multi(vec![
        Operation::Create(make(path)),
        Operation::Check {
            path: Bytes::from_static(b"/"),
            version: -1,
        },
    ])
}

fn closed(reason: CloseReason) -> Effect {
    Effect::Close {
        connection: CLIENT,
        reason,
    }
}

fn is_welcome(shown: &[Effect], session: i64) -> bool {
    matches!(shown, [Effect::ConnectReply { reply, .. }] if reply.session == session)
}

#[test]
fn who_loses_its_session_to_another_server_is_told_by_the_end_of_its_connection() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut pair = Pair::new();
        let session = pair.session(from);
        pair.request(from, 1, Request::Create(make("/before")));
        pair.connect(to, session, Zxid(0));
        pair.request(from, 2, Request::Create(make("/behind")));
        let shown = pair.commit();
        let is_answered = |effect: &Effect| {
            matches!(
                effect,
                Effect::Reply {
                    xid: 1,
                    result: Ok(Reply::Created { .. }),
                    ..
                }
            )
        };
        assert!(is_answered(&shown[from][0]), "{:?}", shown[from]);
        assert_eq!(shown[from][1..], [closed(CloseReason::SessionMoved)]);
        assert!(is_welcome(&shown[to], session), "{:?}", shown[to]);
        for server in &pair.servers {
            assert!(server.peek(b"/before").is_some());
            assert!(server.peek(b"/behind").is_none(), "its session was away");
        }
    }
}

/// As ZooKeeper 3.4 does. Whatever stands behind it gets no answer.
#[test]
fn a_multi_of_a_session_that_has_moved_says_so_inside() {
    let mut pair = Pair::new();
    let session = pair.session(1);
    pair.connect(0, session, Zxid(0));
    pair.request(1, 1, multi("/one"));
    pair.request(1, 2, Request::Create(make("/two")));
    pair.request(1, 3, multi("/three"));
    let shown = pair.commit();
    let refused = Effect::Reply {
        connection: CLIENT,
        xid: 1,
        zxid: Zxid(1),
        result: Ok(Reply::MultiRefused {
            operations: 2,
            refused: 0,
            refusal: Refusal::SessionMoved,
        }),
    };
    assert_eq!(shown[1], [refused, closed(CloseReason::SessionMoved)]);
    assert!(is_welcome(&shown[0], session), "{:?}", shown[0]);
    for path in [&b"/one"[..], b"/two", b"/three"] {
        assert!(pair.servers[0].peek(path).is_none(), "{path:?}");
    }
}

/// A server that is behind must not turn a client away that saw more: what it saw lies before its session's entry.
#[test]
fn what_a_client_has_seen_is_compared_when_its_sessions_entry_is_applied() {
    for (seen, is_let_in) in [(Zxid(3), true), (Zxid(4), false)] {
        let mut pair = Pair::new();
        let session = pair.session(0);
        for (xid, path) in [(1, "/a"), (2, "/b")] {
            pair.request(0, xid, Request::Create(make(path)));
        }
        assert_eq!(pair.servers[1].status().zxid, Zxid(1), "it is behind");
        pair.connect(1, session, seen);
        let shown = pair.commit();
        let ahead = CloseReason::ClientAhead {
            seen,
            applied: Zxid(3),
        };
        match is_let_in {
            true => assert!(is_welcome(&shown[1], session), "{:?}", shown[1]),
            false => assert_eq!(shown[1], [closed(ahead)]),
        }
    }
}
