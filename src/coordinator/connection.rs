//! The connections of this server: how far each is with its handshake, and what waits for an answer.
//!
//! Requests of a connection are answered in their order. Writes are proposed as they come; whatever
//! comes behind a write that is not applied yet waits in the queue, and connections do not wait for
//! each other.
//!
//! Invariants:
//! - if the queue is not empty its first is a write, or a sync that is not answered; when a write is applied
//!   it is the first, because all before it is answered at the latest then;
//! - the sequences of the writes in the queue ascend by one, up to `sequence`.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ahash::RandomState;
use bytes::Bytes;

use super::acl::Credentials;
use super::expiry::Bucket;
use super::status::Outstanding;
use super::vocabulary::{Acl, Operation, Refusal, Request};
use crate::units::{ConnectionId, WallTime, Zxid};

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: IpAddr,
    pub(super) credentials: Credentials,
    pub(super) phase: Phase,
    waiting: VecDeque<Waiting>,
    outstanding: Outstanding,
}

/// How far the handshake is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing was heard yet.
    Fresh,
    /// The session is on its way through the log.
    Connecting(Connecting),
    /// There is a session.
    Established(Established),
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) pending: PendingSession,
    pub(super) timeout_ms: i32,
    /// Whether the client said that it would be content with reading.
    pub(super) sent_read_only: bool,
    /// The last zxid that the client has seen.
    pub(super) seen: Zxid,
    /// As proposed, to be proposed again by a new leader.
    pub(super) command: Bytes,
    /// What came too early.
    pub(super) early: Vec<Early>,
}

/// By what the outcome of a handshake finds its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PendingSession {
    /// A new session with this id.
    New(i64),
    /// An old session, with the number of this request.
    Old { session: i64, request: u64 },
}

/// A request that came before the handshake was done.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) xid: i32,
    pub(super) wall: WallTime,
    pub(super) request: Request,
}

/// A connection with a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Established {
    pub(super) session: i64,
    pub(super) generation: u64,
    pub(super) timeout_ms: i32,
    /// The sequence of the last write proposed.
    pub(super) sequence: u64,
    /// Up to when the leader was told last that the session lives.
    pub(super) touched: Bucket,
    /// Whether the session's last write was proposed: what comes now is not looked at.
    pub(super) closing: bool,
    /// Whether it can only read, because nobody leads; see `read_only`.
    pub(super) read_only: bool,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) xid: i32,
    pub(super) bytes: usize,
    pub(super) what: WaitingFor,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) enum WaitingFor {
    /// Its command, to be applied.
    Command { sequence: u64, command: Bytes },
    /// Its turn.
    Turn { request: Request, asking: Bytes },
    /// Its turn to be refused.
    Refused(Refusal),
    /// That this server has applied what the group had committed.
    Sync { path: Bytes, round: u64 },
    /// That the leader has heard of it: a client that asks whether its session lives must not be told so by a server that
    /// cannot know.
    Touch { round: u64 },
}

impl Connection {
    pub(super) fn new(address: IpAddr, skip_acl: bool) -> Connection {
        Connection {
            address,
            credentials: Credentials::new(address, skip_acl),
            phase: Phase::Fresh,
            waiting: VecDeque::new(),
            outstanding: Outstanding::default(),
        }
    }

    pub(super) fn established(&self) -> Option<&Established> {
        match &self.phase {
            Phase::Established(established) => Some(established),
            Phase::Fresh | Phase::Connecting(_) => None,
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub(super) fn outstanding(&self) -> Outstanding {
        self.outstanding
    }

    /// The sequence of the write that is applied next.
    pub(super) fn next_write(&self) -> Option<u64> {
        self.waiting.iter().find_map(|waiting| match &waiting.what {
            WaitingFor::Command { sequence, .. } => Some(*sequence),
            WaitingFor::Turn { .. }
            | WaitingFor::Refused(_)
            | WaitingFor::Sync { .. }
            | WaitingFor::Touch { .. } => None,
        })
    }

    /// What was proposed for this connection and did not come back yet, in order.
    pub(super) fn proposed(&self) -> impl Iterator<Item = &Bytes> {
        let handshake = match &self.phase {
            Phase::Connecting(connecting) => Some(&connecting.command),
            Phase::Fresh | Phase::Established(_) => None,
        };
        let writes = self
            .waiting
            .iter()
            .filter_map(|waiting| match &waiting.what {
                WaitingFor::Command { command, .. } => Some(command),
                WaitingFor::Turn { .. }
                | WaitingFor::Refused(_)
                | WaitingFor::Sync { .. }
                | WaitingFor::Touch { .. } => None,
            });
        handshake.into_iter().chain(writes)
    }
}

/// All connections, and what waits on all of them together.
#[derive(Debug)]
pub(super) struct Connections {
    connections: HashMap<ConnectionId, Connection, RandomState>,
    outstanding: Outstanding,
}

impl Connections {
    pub(super) fn new(hasher: &RandomState) -> Connections {
        Connections {
            connections: HashMap::with_hasher(hasher.clone()),
            outstanding: Outstanding::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn outstanding(&self) -> Outstanding {
        self.outstanding
    }

    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: ConnectionId, connection: Connection) {
        self.connections.insert(id, connection);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.outstanding.requests -= connection.outstanding.requests;
        self.outstanding.bytes -= connection.outstanding.bytes;
        Some(connection)
    }

    /// All ids, in ascending order.
    pub(super) fn sorted_ids(&self) -> Vec<ConnectionId> {
        let mut ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Lets a request wait behind the others of its connection.
    pub(super) fn wait(&mut self, id: ConnectionId, waiting: Waiting) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.outstanding.requests += 1;
            connection.outstanding.bytes += waiting.bytes;
            self.outstanding.requests += 1;
            self.outstanding.bytes += waiting.bytes;
            connection.waiting.push_back(waiting);
        }
    }

    /// The request of a connection that waited longest, to be answered now.
    pub(super) fn next_waiting(&mut self, id: ConnectionId) -> Option<Waiting> {
        let connection = self.connections.get_mut(&id)?;
        let waiting = connection.waiting.pop_front()?;
        connection.outstanding.requests -= 1;
        connection.outstanding.bytes -= waiting.bytes;
        self.outstanding.requests -= 1;
        self.outstanding.bytes -= waiting.bytes;
        Some(waiting)
    }
}

/// About how many bytes a request holds while it waits.
pub(super) fn weight(request: &Request) -> usize {
    const FIXED: usize = 128;
    let data = |data: &Option<Bytes>| data.as_ref().map_or(0, Bytes::len);
    let operation = |operation: &Operation| match operation {
        Operation::Create(create) => {
            FIXED + create.path.len() + data(&create.data) + acl_bytes(&create.acl)
        }
        Operation::Delete(delete) => FIXED + delete.path.len(),
        Operation::SetData(set) => FIXED + set.path.len() + data(&set.data),
        Operation::Check { path, .. } => FIXED + path.len(),
    };
    let paths = |paths: &[Bytes]| paths.iter().map(|path| 32 + path.len()).sum::<usize>();
    FIXED
        + match request {
            Request::Create(create) => {
                create.path.len() + data(&create.data) + acl_bytes(&create.acl)
            }
            Request::SetData(set) => set.path.len() + data(&set.data),
            Request::Delete(delete) => delete.path.len(),
            Request::Exists { path, .. }
            | Request::GetData { path, .. }
            | Request::GetAcl { path }
            | Request::GetChildren { path, .. }
            | Request::GetChildren2 { path, .. }
            | Request::Sync { path } => path.len(),
            Request::SetAcl { path, acl, .. } => path.len() + acl_bytes(acl),
            Request::Multi(operations) => operations.iter().map(operation).sum(),
            Request::SetWatches {
                data, exist, child, ..
            } => paths(data) + paths(exist) + paths(child),
            Request::Auth { .. }
            | Request::Sasl { .. }
            | Request::Ping
            | Request::CloseSession
            | Request::Malformed { .. }
            | Request::Unknown { .. } => 0,
        }
}

/// About how many bytes a list of permissions holds.
pub(super) fn acl_bytes(acl: &[Acl]) -> usize {
    const LINE: usize = 80;
    let lines = acl.iter();
    lines
        .map(|line| LINE + line.scheme.len() + line.id.len())
        .sum()
}
