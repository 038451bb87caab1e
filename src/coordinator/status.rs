//! What people may see of the coordinator: plain data for commands, four-letter words and metrics.

use super::Coordinator;
use super::connection::{Connection, Phase};
use super::read_only::ReadOnly;
use super::vocabulary::Shared;
use crate::units::{ConnectionId, Moment, Zxid};

/// Requests that wait for their answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many.
    pub requests: usize,
    /// About how many bytes they hold.
    pub bytes: usize,
}

/// What an operator may see at a glance. Cheap to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The last zxid applied.
    pub zxid: Zxid,
    /// The last entry applied.
    pub applied: u64,
    /// Whether this server leads the group.
    pub leads: bool,
    /// Znodes, counted as ZooKeeper counts them: the root twice.
    pub nodes: usize,
    /// Bytes of all paths and data, as ZooKeeper counts them.
    pub data_bytes: u64,
    /// Znodes that go with a session.
    pub ephemerals: u64,
    /// Different lists of permissions.
    pub acls: usize,
    /// Sessions.
    pub sessions: usize,
    /// Whether clients that only read are served, because nobody leads.
    pub read_only: bool,
    /// Sessions of such clients here: those of the ensemble, which are among the others, and those that this server alone knows.
    pub read_only_sessions: usize,
    /// Connections of this server, those without a session included.
    pub connections: usize,
    /// Watches of this server.
    pub watches: usize,
    /// Requests of this server that wait for their answer.
    pub outstanding: Outstanding,
    /// Syncs among them.
    pub syncs: usize,
}

/// A session, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its id.
    pub session: i64,
    /// Its timeout in milliseconds.
    pub timeout_ms: i32,
    /// Its connection, if that is here.
    pub connection: Option<ConnectionId>,
    /// When it ends if nothing more is heard of it; only the leader knows. Sessions that end together
    /// have the same moment.
    pub expires: Option<Moment>,
}

/// A connection, as far as the coordinator knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// Its session; 0 until the handshake is done.
    pub session: i64,
    /// The session's timeout in milliseconds; 0 until the handshake is done.
    pub timeout_ms: i32,
    /// Its requests that wait for their answer.
    pub outstanding: Outstanding,
}

/// Watches of data and existence (those of children do not count, as in ZooKeeper).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Connections that have some.
    pub connections: usize,
    /// Paths that have some.
    pub paths: usize,
    /// How many there are.
    pub watches: usize,
}

impl Coordinator {
    /// What an operator may see at a glance.
    pub fn status(&self) -> Status {
        let tree = &self.state.tree;
        let root = tree.find(b"/").map(|root| &tree.get(root).body.data);
        let root_bytes = root
            .and_then(|data| data.as_ref())
            .map_or(0, |data| data.len());
        Status {
            zxid: self.state.zxid,
            applied: self.state.applied,
            leads: self.expiry.is_some(),
            nodes: tree.len() + 1,
            data_bytes: tree.bytes() + u64::try_from(root_bytes).unwrap_or(0),
            ephemerals: tree.ephemeral_count(),
            acls: tree.acls.len(),
            sessions: self.state.sessions.len(),
            read_only: self.read_only.is_some(),
            read_only_sessions: self.read_only.as_ref().map_or(0, ReadOnly::len),
            connections: self.connections.len(),
            watches: self.watches.len(),
            outstanding: self.connections.outstanding(),
            syncs: self.syncs.waiting(),
        }
    }

    /// Whether any connection has a session here, or has asked for one.
    pub fn has_clients(&self) -> bool {
        !(self.local.is_empty() && self.creating.is_empty() && self.attaching.is_empty())
    }

    /// All sessions, by their ids.
    pub fn sessions(&self) -> Vec<SessionStatus> {
        let status = |session: super::session::Session| SessionStatus {
            session: session.id,
            timeout_ms: session.timeout_ms,
            connection: self.local.get(&session.id).copied(),
            expires: self
                .expiry
                .as_ref()
                .and_then(|expiry| expiry.end_of(session.id)),
        };
        self.state
            .sessions
            .sorted()
            .into_iter()
            .map(status)
            .collect()
    }

    /// The sessions that have ephemeral znodes, by their ids, each with their paths in order; of all sessions
    /// together at most `paths_max`.
    pub fn ephemerals(&self, paths_max: usize) -> Vec<(i64, Vec<Shared>)> {
        let tree = &self.state.tree;
        let mut left = paths_max;
        let mut paths = |owner| {
            let ids = tree.ephemerals(owner).take(left);
            let mut paths: Vec<Shared> = ids.map(|id| tree.get(id).body.path.clone()).collect();
            left -= paths.len();
            paths.sort_unstable();
            paths
        };
        let owners = tree.ephemeral_owners();
        owners
            .into_iter()
            .map(|owner| (owner, paths(owner)))
            .collect()
    }

    /// What is known of a connection.
    pub fn connection(&self, connection: ConnectionId) -> Option<ConnectionStatus> {
        let connection = self.connections.get(connection)?;
        let established = connection.established();
        Some(ConnectionStatus {
            session: established.map_or(0, |established| established.session),
            timeout_ms: established.map_or(0, |established| established.timeout_ms),
            outstanding: connection.outstanding(),
        })
    }

    /// Whether clients that only read are served, because nobody leads.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.read_only.is_some()
    }

    /// Whether a connection's client is one of those.
    pub fn is_read_only_client(&self, connection: ConnectionId) -> bool {
        let connection = self.connections.get(connection);
        let established = connection.and_then(Connection::established);
        established.is_some_and(|established| established.read_only)
    }

    /// Whether a connection has a session, or has asked for one.
    pub fn is_client(&self, connection: ConnectionId) -> bool {
        let connection = self.connections.get(connection);
        connection.is_some_and(|connection| !matches!(connection.phase, Phase::Fresh))
    }

    /// How much is watched for data and existence.
    pub fn watch_summary(&self) -> WatchSummary {
        let (watches, connections, paths) = self.watches.data_summary();
        WatchSummary {
            connections,
            paths,
            watches,
        }
    }

    /// At most `paths_max` of the paths watched for data and existence, in order, each with the sessions that
    /// do.
    pub fn watches_by_path(&self, paths_max: usize) -> Vec<(Shared, Vec<i64>)> {
        let session = |connection| {
            let connection = self.connections.get(connection)?;
            Some(connection.established()?.session)
        };
        let sessions = |connections: Vec<ConnectionId>| {
            let mut sessions: Vec<i64> = connections.into_iter().filter_map(session).collect();
            sessions.sort_unstable();
            sessions
        };
        let paths = self.watches.data_by_path(paths_max).into_iter();
        paths
            .map(|(path, connections)| (path, sessions(connections)))
            .collect()
    }

    /// The sessions that watch for data and existence, in order, each with the paths it watches; of all paths
    /// at most `paths_max`.
    pub fn watches_by_session(&self, paths_max: usize) -> Vec<(i64, Vec<Shared>)> {
        let mut sessions = std::collections::BTreeMap::<i64, Vec<Shared>>::new();
        for (path, watchers) in self.watches_by_path(paths_max) {
            for session in watchers {
                sessions.entry(session).or_default().push(path.clone());
            }
        }
        sessions.into_iter().collect()
    }

    /// A number equal on servers that hold the same state, whatever way they came to it.
    pub fn digest(&self) -> u64 {
        self.state.digest()
    }
}
