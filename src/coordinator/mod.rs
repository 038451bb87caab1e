//! The replicated tree of znodes with its sessions and watches: ZooKeeper's semantics as a pure core.
//!
//! Events go in, effects come out, in the order in which they have to reach the sockets. A write
//! becomes a command ([`Effect::Propose`]) and is judged only when it comes back committed, from the
//! command alone, so that every replica decides alike. Reads are answered here, from what is applied.
//!
//! What is not here: bytes of the protocol (`wire::zookeeper`), sockets, clocks, consensus.
//!
//! Invariants:
//! - replies of one connection leave in the order of its requests, each after all that its
//!   predecessors changed was applied;
//! - a watch event leaves before any reply that could show the change;
//! - `zxid` counts the writes applied; no client sees one that is not committed.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::units::{ConnectionId, Moment, Seed, ServerId, WallTime, Zxid};

mod vocabulary;

pub use vocabulary::{
    Acl, ConnectReply, ConnectRequest, Create, CreateMode, Delete, Names, Operation,
    OperationReply, Refusal, Reply, Request, SetData, Shared, Stat, WatchEvent, WatchEventKind,
    permissions,
};

/// What the coordinator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client connected; nothing was read from it yet.
    Connected {
        /// Its socket.
        connection: ConnectionId,
        /// From where: it is the client's first identity.
        address: IpAddr,
    },
    /// The first frame of a connection.
    Connect {
        /// The socket it came on.
        connection: ConnectionId,
        /// The time of day.
        wall: WallTime,
        /// What it said.
        request: ConnectRequest,
    },
    /// A later frame. May come before the session is established; it is then kept until it is.
    Request {
        /// The socket it came on.
        connection: ConnectionId,
        /// The client's number for it, echoed with the reply.
        xid: i32,
        /// The time of day, which becomes the znode's time where it matters.
        wall: WallTime,
        /// What it said.
        request: Request,
    },
    /// The socket is gone, or the node closed it by itself. Not needed after [`Effect::Close`].
    Disconnected {
        /// The socket.
        connection: ConnectionId,
    },
    /// Time has passed; wanted at [`Coordinator::deadline`] at the latest.
    Tick,
    /// A command is committed and durable on a majority. In the order of the log, each exactly once.
    Committed {
        /// Its entry's number in the log. Several commands of one entry come with the same number.
        index: u64,
        /// The command as it was proposed; empty for an entry that means nothing to the coordinator.
        data: Bytes,
    },
    /// The answer to [`Effect::ReadIndex`].
    ReadIndex {
        /// Which one.
        round: u64,
        /// All that was committed when it was asked lies at or before this entry.
        index: u64,
    },
    /// This server leads the group now; all entries of former terms were handed in.
    Led {
        /// The term.
        term: u64,
    },
    /// This server does not lead the group any more.
    Deposed,
}

/// What has to be done now. Effects for one connection are in the order in which they must reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put this command into the group's log; it comes back as [`Event::Committed`] or never.
    Propose(Bytes),
    /// Answer the handshake.
    ConnectReply {
        /// To whom.
        connection: ConnectionId,
        /// With what.
        reply: ConnectReply,
    },
    /// Answer a request.
    Reply {
        /// To whom.
        connection: ConnectionId,
        /// The number the request came with.
        xid: i32,
        /// The zxid of the header: the last one applied; 0 for auth and sasl, -1 for what is unknown.
        zxid: Zxid,
        /// The answer.
        result: Result<Reply, Refusal>,
    },
    /// Tell a connection that a watch of its fired.
    Notify {
        /// Whom.
        connection: ConnectionId,
        /// What happened.
        event: WatchEvent,
    },
    /// Close a connection after all that was sent to it. The coordinator has forgotten it already.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// Why, for the log.
        reason: CloseReason,
    },
    /// Find out up to which entry the group has committed, and answer with [`Event::ReadIndex`].
    ReadIndex {
        /// To be given back.
        round: u64,
    },
    /// A subtree is larger than its quota. Only a warning, as in ZooKeeper.
    QuotaExceeded(QuotaExceeded),
    /// An entry could not be understood: it is from a later version, or damaged behind its checksum.
    /// Nothing more is applied; the process must end and say so.
    Halt {
        /// The entry.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why the coordinator closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The client closed its session.
    #[error("the client closed its session")]
    SessionClosed,
    /// The session expired.
    #[error("the session expired")]
    SessionExpired,
    /// The client went on with its session on another connection.
    #[error("the session moved to another connection")]
    SessionMoved,
    /// The session it wants to go on with does not exist, or the password is wrong.
    #[error("the session is not known, or its password is wrong")]
    SessionInvalid,
    /// The client has seen more than this server has applied: it must find another one.
    #[error("the client has seen a zxid that is not applied here")]
    ClientAhead,
    /// The client could not show who it is.
    #[error("authentication failed")]
    AuthFailed,
    /// A request of an unknown kind.
    #[error("unknown kind of request")]
    UnknownRequest,
    /// A request without a handshake, or a second handshake.
    #[error("a frame out of turn")]
    OutOfTurn,
}

/// A subtree that outgrew its quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The root of the subtree.
    pub path: Shared,
    /// Which of the two.
    pub what: Quota,
    /// How much it holds.
    pub used: i64,
    /// How much it should hold at most.
    pub limit: i64,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Znodes.
    Count,
    /// Bytes of data.
    Bytes,
}

/// How the coordinator behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// This server; its number becomes the first byte of the session ids it gives out.
    pub server: ServerId,
    /// The unit of session expiry: a session ends within one tick after its timeout.
    pub tick: Duration,
    /// The shortest session timeout granted.
    pub session_timeout_min: Duration,
    /// The longest session timeout granted.
    pub session_timeout_max: Duration,
    /// Whether everybody may do everything, whatever the permissions say.
    pub skip_acl: bool,
    /// The digest id (`user:base64`) that may do everything.
    pub super_digest: Option<String>,
    /// Requests of one connection that may wait for their answer before no more are read from it.
    pub connection_outstanding_max: usize,
    /// Their bytes.
    pub connection_outstanding_bytes_max: usize,
    /// Requests of all connections that may wait before no more are read from those that have some.
    pub outstanding_max: usize,
    /// Their bytes.
    pub outstanding_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server: ServerId(1),
            tick: Duration::from_millis(2000),
            session_timeout_min: Duration::from_millis(4000),
            session_timeout_max: Duration::from_millis(40_000),
            skip_acl: false,
            super_digest: None,
            connection_outstanding_max: 1000,
            connection_outstanding_bytes_max: 4 << 20,
            outstanding_max: 20_000,
            outstanding_bytes_max: 64 << 20,
        }
    }
}

/// Requests that wait for their answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many.
    pub requests: usize,
    /// How many bytes they hold.
    pub bytes: usize,
}

/// What an operator may see at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The last zxid applied.
    pub zxid: Zxid,
    /// The last entry applied.
    pub applied: u64,
    /// Whether this server leads the group.
    pub leads: bool,
    /// Znodes, counted as ZooKeeper counts them: the root twice.
    pub nodes: u64,
    /// Bytes of all paths and data, as ZooKeeper counts them.
    pub data_bytes: u64,
    /// Znodes that go with a session.
    pub ephemerals: u64,
    /// Sessions.
    pub sessions: u64,
    /// Connections of this server, those without a session included.
    pub connections: u64,
    /// Watches of this server.
    pub watches: u64,
    /// Requests of this server that wait for their answer.
    pub outstanding: Outstanding,
}

/// The coordinator.
#[derive(Debug)]
pub struct Coordinator {
    options: Options,
}

impl Coordinator {
    /// An empty tree, no sessions.
    pub fn new(options: Options, seed: Seed) -> Coordinator {
        let _ = seed;
        Coordinator { options }
    }

    /// Takes in one event. Everything the world must now do is pushed to `effects`, in order.
    pub fn handle(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        let _ = (now, event, effects, &self.options);
    }

    /// When `handle` wants to be called with [`Event::Tick`], at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// What an operator may see.
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// Requests of a connection that wait for their answer.
    pub fn outstanding(&self, connection: ConnectionId) -> Outstanding {
        let _ = connection;
        Outstanding::default()
    }

    /// Whether more may be read from this connection now: its handshake is done, and neither it nor all
    /// together have too much outstanding. To be asked again after each turn while the answer is no.
    pub fn accepts(&self, connection: ConnectionId) -> bool {
        let _ = connection;
        true
    }

    /// The data of a znode without permission checks or a watch; null counts as empty. For the server
    /// itself.
    pub fn peek(&self, path: &[u8]) -> Option<&[u8]> {
        let _ = path;
        None
    }

    /// The names of a znode's children in order, without permission checks or a watch. For the server
    /// itself.
    pub fn peek_children(&self, path: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
        let _ = path;
        None::<std::iter::Empty<&[u8]>>
    }
}
