//! What the coordinator is asked in a benchmark. Also run from a test, with a tiny size.

use bytes::Bytes;
use chrysalis::coordinator::{
    Acl, ConnectRequest, Coordinator, Create, CreateMode, Delete, Effect, Event, Options, Place,
    Request, SetData,
};
use chrysalis::units::{ConnectionId, Moment, Seed, WallTime, Zxid};

/// Clients, each with this many requests under way.
const CONNECTIONS: u64 = 32;
const PIPELINE: usize = 32;

/// A leading coordinator whose log commits everything at the end of each turn.
pub(crate) struct Workload {
    coordinator: Coordinator,
    effects: Vec<Effect>,
    proposed: Vec<Bytes>,
    index: u64,
    paths: Vec<Bytes>,
    data: Bytes,
    /// Chooses znodes.
    state: u64,
}

impl Workload {
    /// That many znodes of that many bytes, in directories of a thousand.
    pub(crate) fn new(znodes: usize, data_bytes: usize) -> Workload {
        let options = Options {
            watch_bytes_per_connection_max: usize::MAX,
            watch_bytes_max: usize::MAX,
            ..Options::default()
        };
        let mut workload = Workload {
            coordinator: Coordinator::new(options, Seed(1)),
            effects: Vec::new(),
            proposed: Vec::new(),
            index: 0,
            paths: Vec::new(),
            data: vec![b'x'; data_bytes].into(),
            state: 1,
        };
        workload.handle(Event::Led { term: 1 });
        for connection in (0..CONNECTIONS).map(ConnectionId) {
            workload.handle(Event::Connected {
                connection,
                address: [127, 0, 0, 1].into(),
            });
            workload.handle(Event::Connect {
                connection,
                wall: WallTime(1_700_000_000_000),
                request: ConnectRequest {
                    last_zxid_seen: Zxid(0),
                    timeout_ms: 10_000,
                    session: 0,
                    password: Bytes::new(),
                    read_only: Some(false),
                },
            });
            workload.commit();
        }
        for directory in 0..=znodes / 1000 {
            workload.request(
                0,
                create(format!("/directory-{directory:06}").into(), &Bytes::new()),
            );
        }
        for znode in 0..znodes {
            let path: Bytes = format!("/directory-{:06}/znode-{znode:010}", znode / 1000).into();
            workload.paths.push(path.clone());
            let data = workload.data.clone();
            workload.request(znode, create(path, &data));
            if workload.proposed.len() == 1000 {
                workload.commit();
            }
        }
        workload.commit();
        workload
    }

    /// Sets the data of znodes at random. Returns how many replies came.
    pub(crate) fn set(&mut self, turns: usize) -> usize {
        let mut replies = 0;
        for _ in 0..turns {
            for request in 0..PIPELINE * usize::try_from(CONNECTIONS).expect("few") {
                let (path, data) = (self.path(), self.data.clone());
                let version = -1;
                self.request(
                    request,
                    Request::SetData(SetData {
                        path,
                        data: Some(data),
                        version,
                    }),
                );
            }
            replies += self.commit();
        }
        replies
    }

    /// Reads znodes at random. Returns how many replies came.
    pub(crate) fn get(&mut self, turns: usize) -> usize {
        let mut replies = 0;
        for _ in 0..turns {
            for request in 0..PIPELINE * usize::try_from(CONNECTIONS).expect("few") {
                let (path, watch) = (self.path(), false);
                self.request(request, Request::GetData { path, watch });
            }
            replies += self.commit();
        }
        replies
    }

    /// Makes and deletes ephemeral sequential znodes, as locks do. Returns how many replies came.
    pub(crate) fn lock(&mut self, turns: usize) -> usize {
        let mut replies = 0;
        for _ in 0..turns {
            for request in 0..PIPELINE * usize::try_from(CONNECTIONS).expect("few") {
                let acl = vec![Acl::open()];
                let (path, mode) = (
                    "/directory-000000/lock-".into(),
                    CreateMode::EphemeralSequential,
                );
                let data = None;
                self.request(
                    request,
                    Request::Create(Create {
                        path,
                        data,
                        acl,
                        mode,
                    }),
                );
            }
            replies += self.commit();
            let names = self
                .coordinator
                .peek_children(b"/directory-000000")
                .expect("it is there");
            let locks: Vec<Bytes> = names
                .into_iter()
                .filter(|name| name.starts_with(b"lock-"))
                .map(|name| [b"/directory-000000/", name].concat().into())
                .collect();
            for (request, path) in locks.into_iter().enumerate() {
                self.request(request, Request::Delete(Delete { path, version: -1 }));
            }
            replies += self.commit();
        }
        replies
    }

    /// Takes a snapshot in slices of that many bytes, with writes between them. Calls `around` for each.
    pub(crate) fn snapshot(
        &mut self,
        budget: usize,
        mut around: impl FnMut(&mut dyn FnMut()),
    ) -> usize {
        let mut bytes = 0;
        around(&mut || {
            self.coordinator.snapshot_begin(Place::default());
        });
        loop {
            let mut slice = None;
            around(&mut || slice = self.coordinator.snapshot_step(budget));
            let slice = slice.expect("a snapshot was begun");
            bytes += slice.bytes.len();
            if slice.is_last {
                return bytes;
            }
            self.set(1);
        }
    }

    /// Makes that many ephemeral znodes in one directory, then ends their session. Calls `around` for the
    /// piece in which they go.
    pub(crate) fn end_a_session(
        &mut self,
        ephemerals: usize,
        around: impl FnOnce(&mut dyn FnMut()),
    ) {
        self.request(0, create("/ephemerals".into(), &Bytes::new()));
        self.commit();
        for _ in 0..ephemerals {
            self.request(
                1,
                Request::Create(Create {
                    path: "/ephemerals/e-".into(),
                    data: None,
                    acl: vec![Acl::open()],
                    mode: CreateMode::EphemeralSequential,
                }),
            );
            if self.proposed.len() + self.effects.len() >= 1000 {
                self.commit();
            }
        }
        self.commit();
        self.request(1, Request::CloseSession);
        around(&mut || {
            self.commit();
        });
        let left = self.coordinator.peek_children(b"/ephemerals");
        assert!(left.expect("it is there").is_empty());
    }

    /// Sets that many watches on znodes that are not there, all of one connection. Calls `around` for each.
    pub(crate) fn watch(&mut self, watches: usize, mut around: impl FnMut(&mut dyn FnMut())) {
        for number in 0..watches {
            let path: Bytes = format!("/nothing/there-{number:010}").into();
            let mut request = Some(Request::Exists { path, watch: true });
            around(&mut || self.request(2, request.take().expect("called once")));
            self.effects.clear();
        }
    }

    /// Ends the connection that has them. Calls `around` for that.
    pub(crate) fn disconnect(&mut self, around: impl FnOnce(&mut dyn FnMut())) {
        let connection = ConnectionId(2);
        around(&mut || self.handle(Event::Disconnected { connection }));
    }

    fn path(&mut self) -> Bytes {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = usize::try_from(self.state >> 33).expect("31 bits");
        self.paths[random % self.paths.len()].clone()
    }

    fn request(&mut self, connection: usize, request: Request) {
        let connection = u64::try_from(connection).expect("small") % CONNECTIONS;
        self.handle(Event::Request {
            connection: ConnectionId(connection),
            xid: 1,
            wall: WallTime(1_700_000_000_000),
            request,
        });
    }

    fn handle(&mut self, event: Event) {
        self.coordinator
            .handle(Moment::START, event, &mut self.effects);
    }

    /// Ends the turn: what was proposed is committed. Returns how many replies came since the last end.
    fn commit(&mut self) -> usize {
        let mut replies = 0;
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Propose(command) => self.proposed.push(command),
                Effect::Reply { result, .. } => {
                    result.expect("nothing is refused here");
                    replies += 1;
                }
                _ => {}
            }
        }
        self.index += 1;
        for data in std::mem::take(&mut self.proposed) {
            let index = self.index;
            self.coordinator.handle(
                Moment::START,
                Event::Committed { index, data },
                &mut self.effects,
            );
        }
        for effect in self.effects.drain(..) {
            if let Effect::Reply { result, .. } = effect {
                result.expect("nothing is refused here");
                replies += 1;
            }
        }
        replies
    }
}

fn create(path: Bytes, data: &Bytes) -> Request {
    Request::Create(Create {
        path,
        data: Some(data.clone()),
        acl: vec![Acl::open()],
        mode: CreateMode::Persistent,
    })
}
