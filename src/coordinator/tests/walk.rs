//! A walk at random: some clients, who do anything to a few znodes, each step compared with the model.

use std::time::Duration;

use bytes::Bytes;

use super::harness::Harness;
use super::model::{Asking, Model};
use crate::coordinator::session::password;
use crate::coordinator::{
    Acl, CloseReason, ConnectRequest, Create, CreateMode, Delete, Effect, Event, Operation,
    Options, Request, SetData, permissions,
};
use crate::units::{Random, Seed, Zxid};

const PATHS: [&str; 21] = [
    "/",
    "",
    "/a",
    "/a",
    "/a",
    "/b",
    "/b",
    "/a/a",
    "/a/a",
    "/a/b",
    "/b/a",
    "/a/a/a",
    "/a/",
    "/a//b",
    "a",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/a/a",
];

const USERS: [&str; 2] = ["ann:1", "bob:2"];

/// What a user is known as.
fn digest(user: &str) -> String {
    let id = match user {
        "ann:1" => "ann:/z4T+iO8KvuCdw3Y3chpp6R6RTg=",
        _ => "bob:PCGRUm8WFBmVOxjVyjYw7YBN8J8=",
    };
    id.to_owned()
}

pub(super) struct Walk {
    pub(super) harness: Harness,
    model: Model,
    clients: Vec<Asking>,
    random: Random,
}

impl Walk {
    pub(super) fn new(seed: u64) -> Walk {
        let mut walk = Walk {
            harness: Harness::leading(Options::default(), Seed(seed)),
            model: Model::new(),
            clients: Vec::new(),
            random: Random::new(Seed(seed)),
        };
        walk.connect();
        walk
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("small");
        usize::try_from(self.random.below(end)).expect("small")
    }

    fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())].clone()
    }

    /// Something happens, and it is what the model says.
    pub(super) fn step(&mut self) {
        if self.clients.is_empty() {
            return self.connect();
        }
        let which = self.below(self.clients.len());
        match self.below(100) {
            0..3 if self.clients.len() < 4 => self.connect(),
            3..5 => self.resume(which),
            5 => self.close(which),
            6 => self.expire(which),
            7..10 => self.authenticate(which),
            _ => {
                let request = self.some_request();
                self.ask(which, request);
            }
        }
        assert_eq!(
            Zxid(self.model.zxid),
            self.harness.coordinator.status().zxid
        );
    }

    fn ask(&mut self, which: usize, request: Request) {
        let asking = self.clients[which].clone();
        let wall = self.harness.wall();
        let (mut expected, result) = self.model.request(&request, &asking, wall);
        expected.push(Effect::Reply {
            connection: asking.connection,
            xid: 77,
            zxid: Zxid(self.model.zxid),
            result,
        });
        let shown = format!("{request:?} by {asking:?}");
        let happened = self.harness.request(asking.connection, 77, request);
        assert_eq!(happened, expected, "{shown}");
    }

    fn connect(&mut self) {
        let (connection, session) = self.harness.connect();
        self.model.zxid += 1;
        self.clients.push(Asking {
            connection,
            session,
            shown: vec![("ip".to_owned(), "127.0.0.1".to_owned())],
        });
    }

    /// A client comes back on another connection, which has shown nothing yet.
    fn resume(&mut self, which: usize) {
        let former = self.clients[which].connection;
        if self.below(2) == 0 {
            self.harness
                .handle(Event::Disconnected { connection: former });
        }
        self.model.forget(former);
        let connection = self.harness.connected("127.0.0.1");
        let session = self.clients[which].session;
        let effects = self.harness.handle(Event::Connect {
            connection,
            wall: self.harness.wall(),
            request: ConnectRequest {
                last_zxid_seen: Zxid(self.model.zxid),
                timeout_ms: 10_000,
                session,
                password: Bytes::copy_from_slice(&password(session)),
                read_only: None,
            },
        });
        assert!(
            matches!(effects.last(), Some(Effect::ConnectReply { reply, .. }) if reply.session == session),
            "{effects:?}"
        );
        self.clients[which].connection = connection;
        self.clients[which].shown.truncate(1);
    }

    fn close(&mut self, which: usize) {
        let asking = self.clients.remove(which);
        let wall = self.harness.wall();
        let (mut expected, result) = self.model.request(&Request::CloseSession, &asking, wall);
        let connection = asking.connection;
        expected.push(Effect::Reply {
            connection,
            xid: 77,
            zxid: Zxid(self.model.zxid),
            result,
        });
        expected.push(Effect::Close {
            connection,
            reason: CloseReason::SessionClosed,
        });
        self.model.forget(connection);
        let happened = self.harness.request(connection, 77, Request::CloseSession);
        assert_eq!(happened, expected);
    }

    /// A client is not heard of any more, all others are.
    fn expire(&mut self, which: usize) {
        let silent = self.clients.remove(which);
        let is_connected = self.below(2) == 0;
        if !is_connected {
            let connection = silent.connection;
            self.harness.handle(Event::Disconnected { connection });
            self.model.forget(connection);
        }
        let mut happened = Vec::new();
        for _ in 0..5 {
            for other in &self.clients {
                self.harness.request(other.connection, -2, Request::Ping);
            }
            happened.extend(self.harness.wait(Duration::from_secs(3)));
        }
        for other in &self.clients {
            self.harness.request(other.connection, -2, Request::Ping);
        }
        let mut expected = self.model.close(silent.session);
        self.model.forget(silent.connection);
        if is_connected {
            expected.push(Effect::Close {
                connection: silent.connection,
                reason: CloseReason::SessionExpired,
            });
        }
        assert_eq!(happened, expected);
    }

    fn authenticate(&mut self, which: usize) {
        let user = self.pick(&USERS);
        let client = &mut self.clients[which];
        let shown = ("digest".to_owned(), digest(user));
        if !client.shown.contains(&shown) {
            client.shown.push(shown);
        }
        let request = Request::Auth {
            scheme: "digest".into(),
            data: user.into(),
        };
        let effects = self.harness.request(client.connection, -4, request);
        assert!(matches!(
            effects.as_slice(),
            [Effect::Reply { result: Ok(_), .. }]
        ));
    }

    fn some_path(&mut self) -> Bytes {
        self.pick(&PATHS).into()
    }

    fn some_data(&mut self) -> Option<Bytes> {
        let data = [
            None,
            Some(""),
            Some("x"),
            Some("longer data"),
            Some("count=3,bytes=20"),
        ];
        self.pick(&data).map(Bytes::from)
    }

    fn some_version(&mut self) -> i32 {
        self.pick(&[-1, -1, -1, -1, 0, 1, 2])
    }

    fn some_acl(&mut self) -> Vec<Acl> {
        let line = |permissions, scheme: &str, id: &str| Acl {
            permissions,
            scheme: scheme.to_owned().into(),
            id: id.to_owned().into(),
        };
        match self.below(14) {
            0 => vec![],
            1 => vec![line(permissions::ALL, "auth", "")],
            2 => vec![
                line(permissions::READ, "world", "anyone"),
                line(permissions::ALL, "auth", ""),
            ],
            3 => vec![line(permissions::ALL, "ip", "127.0.0.1")],
            4 => vec![Acl::open(), Acl::open()],
            _ => vec![Acl::open()],
        }
    }

    fn some_operation(&mut self) -> Operation {
        match self.below(10) {
            0..5 => Operation::Create(Create {
                path: self.some_path(),
                data: self.some_data(),
                acl: self.some_acl(),
                mode: self.pick(&[
                    CreateMode::Persistent,
                    CreateMode::Persistent,
                    CreateMode::Persistent,
                    CreateMode::PersistentSequential,
                    CreateMode::Ephemeral,
                    CreateMode::EphemeralSequential,
                    CreateMode::Unknown(4),
                ]),
            }),
            5..7 => Operation::Delete(Delete {
                path: self.some_path(),
                version: self.some_version(),
            }),
            7..9 => Operation::SetData(SetData {
                path: self.some_path(),
                data: self.some_data(),
                version: self.some_version(),
            }),
            _ => Operation::Check {
                path: self.some_path(),
                version: self.some_version(),
            },
        }
    }

    fn some_request(&mut self) -> Request {
        let watch = self.below(2) == 0;
        match self.below(11) {
            0..5 => match self.some_operation() {
                Operation::Create(create) => Request::Create(create),
                Operation::Delete(delete) => Request::Delete(delete),
                Operation::SetData(set) => Request::SetData(set),
                check @ Operation::Check { .. } => Request::Multi(vec![check]),
            },
            5 => {
                let operations = self.below(5);
                Request::Multi((0..operations).map(|_| self.some_operation()).collect())
            }
            6 => Request::SetAcl {
                path: self.some_path(),
                acl: self.some_acl(),
                version: self.some_version(),
            },
            7 if watch => Request::GetAcl {
                path: self.some_path(),
            },
            7 | 8 => Request::Exists {
                path: self.some_path(),
                watch,
            },
            9 => Request::GetData {
                path: self.some_path(),
                watch,
            },
            _ => Request::GetChildren2 {
                path: self.some_path(),
                watch,
            },
        }
    }
}
