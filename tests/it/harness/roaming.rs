//! A ZooKeeper client that goes on with another server when its own is gone, in the same session.

use super::zookeeper_wire::{Body, Client, Reply, Welcome, create, op};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whoever says nothing for so long is given up, as clients do.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// No outage lasts longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The error of a create whose znode is there.
pub(crate) const NODE_EXISTS: i32 = -110;
/// The error of a read whose znode is not there.
pub(crate) const NO_NODE: i32 = -101;

/// The connection is gone, and nobody knows what became of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

pub(crate) struct Roamer {
    addresses: Vec<SocketAddr>,
    /// The server it talks to, or tries next.
    at: usize,
    timeout_ms: i32,
    session: Option<Welcome>,
    /// The last zxid it has seen.
    seen: i64,
    client: Option<Client>,
    /// How many sessions it has had.
    pub(crate) sessions: u32,
}

impl Roamer {
    pub(crate) fn new(addresses: Vec<SocketAddr>, first: usize, timeout_ms: i32) -> Roamer {
        Roamer {
            addresses,
            at: first,
            timeout_ms,
            session: None,
            seen: 0,
            client: None,
            sessions: 0,
        }
    }

    /// The id of its session.
    pub(crate) fn id(&self) -> i64 {
        self.session.as_ref().map_or(0, |welcome| welcome.session)
    }

    /// Where it is, or was last.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Leaves its server; the session stays.
    pub(crate) fn leave(&mut self) {
        self.client = None;
        self.at = (self.at + 1) % self.addresses.len();
    }

    /// Tries to connect to its server, and looks at the next one if that fails.
    pub(crate) fn connect(&mut self) -> Result<(), Lost> {
        if self.client.is_some() {
            return Ok(());
        }
        let connected = self.try_connect();
        if connected.is_none() {
            self.leave();
        }
        connected.ok_or(Lost)
    }

    fn try_connect(&mut self) -> Option<()> {
        let mut client = Client::try_raw(self.addresses[self.at]).ok()?;
        client.set_silence_max(SILENCE_MAX);
        let known = self.session.as_ref();
        let id = known.map_or(0, |welcome| welcome.session);
        let password = known.map_or(vec![0; 16], |welcome| welcome.password.clone());
        let welcome = client.handshake(self.seen, self.timeout_ms, id, &password, true)?;
        if welcome.timeout <= 0 {
            // It has expired.
            self.session = None;
            return None;
        }
        self.sessions += u32::from(self.session.is_none());
        self.session = Some(welcome);
        self.client = Some(client);
        Some(())
    }

    /// One request, tried once.
    pub(crate) fn call(&mut self, opcode: i32, body: &Body) -> Result<Reply, Lost> {
        self.connect()?;
        let client = self.client.as_mut().expect("it is connected");
        let xid = match opcode {
            op::PING => {
                client.send_with_xid(-2, opcode, body);
                -2
            }
            _ => client.send(opcode, body),
        };
        loop {
            let Ok(reply) = client.receive() else {
                self.leave();
                return Err(Lost);
            };
            self.seen = self.seen.max(reply.zxid);
            if reply.xid == xid {
                return Ok(reply);
            }
            assert!(reply.xid < 0, "the reply to another request: {reply:?}");
        }
    }

    /// Many requests at once: the answers that came, in order; fewer if the connection was lost.
    pub(crate) fn burst(&mut self, opcode: i32, bodies: &[Body]) -> Vec<Reply> {
        let mut replies = Vec::new();
        if self.connect().is_err() {
            return replies;
        }
        let client = self.client.as_mut().expect("it is connected");
        let xids: Vec<i32> = bodies.iter().map(|it| client.send(opcode, it)).collect();
        for xid in xids {
            let Ok(reply) = client.receive() else {
                self.leave();
                break;
            };
            assert_eq!(reply.xid, xid, "answers come in the order of requests");
            self.seen = self.seen.max(reply.zxid);
            replies.push(reply);
        }
        replies
    }

    /// Tries until there is an answer. It may be that of a second try.
    pub(crate) fn answer(&mut self, opcode: i32, body: &Body) -> Reply {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Ok(reply) = self.call(opcode, body) {
                return reply;
            }
            assert!(Instant::now() < end, "no answer within {PATIENCE:?}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Creates a znode that nobody else creates, whatever it takes.
    pub(crate) fn create(&mut self, path: &str, data: &[u8], flags: i32) {
        let reply = self.answer(op::CREATE, &create(path, data, flags));
        assert!(
            [0, NODE_EXISTS].contains(&reply.error),
            "create {path}: {reply:?}"
        );
    }

    /// Deletes a znode that nobody else deletes.
    pub(crate) fn delete(&mut self, path: &str) {
        let reply = self.answer(op::DELETE, &Body::new().string(path).int(-1));
        assert!(
            [0, NO_NODE].contains(&reply.error),
            "delete {path}: {reply:?}"
        );
    }

    /// Says that it lives, if it is connected.
    pub(crate) fn ping(&mut self) -> Result<(), Lost> {
        self.call(op::PING, &Body::new()).map(|_| ())
    }
}
