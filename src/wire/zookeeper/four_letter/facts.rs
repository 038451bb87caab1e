//! What the four-letter words' texts are made from: plain numbers, gathered by the node.

use std::fmt;
use std::net::SocketAddr;

use crate::units::{WallTime, Zxid};

/// Smallest, mean and largest time between a request and its reply, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The smallest; 0 before the first reply.
    pub min_ms: u64,
    /// The mean, rounded down; 0 before the first reply.
    pub avg_ms: u64,
    /// The largest.
    pub max_ms: u64,
}

/// What a server is to its ensemble, as `Mode:` and `zk_server_state` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The only voter.
    Standalone,
    /// Leads the coordinator's group.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Observer,
    /// Lost its quorum and serves what it has.
    ReadOnly,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Standalone => "standalone",
            Mode::Leader => "leader",
            Mode::Follower => "follower",
            Mode::Observer => "observer",
            Mode::ReadOnly => "read-only",
        })
    }
}

/// What only a leader can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leading {
    /// Followers and observers connected.
    pub followers: u64,
    /// Those of them that are up to date.
    pub synced_followers: u64,
    /// `sync` requests that wait.
    pub pending_syncs: u64,
    /// Bytes of the last proposal, -1 before the first.
    pub proposal_last_bytes: i64,
    /// Bytes of the smallest proposal, -1 before the first.
    pub proposal_min_bytes: i64,
    /// Bytes of the largest proposal, -1 before the first.
    pub proposal_max_bytes: i64,
}

/// The facts behind `srvr`, `stat` and `mntr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Latency over all connections since the last `srst`.
    pub latency: Latency,
    /// Frames received since the last `srst`.
    pub received: u64,
    /// Frames sent since the last `srst`.
    pub sent: u64,
    /// Connections open now, the asking one included.
    pub connections: u64,
    /// Requests taken in and not yet answered.
    pub outstanding: u64,
    /// The last transaction applied here.
    pub zxid: Zxid,
    /// What the server is to its ensemble.
    pub mode: Mode,
    /// Znodes; ZooKeeper counts the root twice, so an empty tree of 3.4 has 4.
    pub znodes: u64,
    /// Watches of all kinds.
    pub watches: u64,
    /// Ephemeral znodes.
    pub ephemerals: u64,
    /// Bytes of all paths and data.
    pub data_bytes: u64,
    /// Open file descriptors and how many there may be, where the system tells.
    pub file_descriptors: Option<(u64, u64)>,
    /// Journal syncs that took longer than the warning threshold.
    pub slow_syncs: u64,
    /// Present on the leader of several.
    pub leading: Option<Leading>,
}

/// The facts behind one line of `stat` and `cons`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The client's address.
    pub address: SocketAddr,
    /// 1 while the server reads from it, plus 4 while bytes wait to be sent; 0 for the asking one.
    pub interest: u8,
    /// Requests taken in and not yet answered.
    pub queued: u64,
    /// Frames received since the last `crst`.
    pub received: u64,
    /// Frames sent since the last `crst`.
    pub sent: u64,
    /// Present once it has a session.
    pub session: Option<ConnectionSession>,
}

/// The part of a connection's line that needs a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionSession {
    /// The session.
    pub id: i64,
    /// The last operation in four letters or so, `NA` before the first.
    pub last_operation: &'static str,
    /// When the connection was made.
    pub established: WallTime,
    /// The negotiated timeout.
    pub timeout_ms: i32,
    /// The last ordinary xid, -1 before the first.
    pub last_xid: i64,
    /// The zxid of the last reply.
    pub last_zxid: Zxid,
    /// When the last reply was sent, in milliseconds of the monotonic clock.
    pub last_response_ms: u64,
    /// How long the last reply took.
    pub last_latency_ms: u64,
    /// Over all replies since the last `crst`.
    pub latency: Latency,
}

/// The facts behind `conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The port clients use.
    pub client_port: u16,
    /// Where snapshots are.
    pub data_folder: String,
    /// Where the journal is.
    pub journal_folder: String,
    /// ZooKeeper's unit of time.
    pub tick_ms: u32,
    /// Connections one address may have, 0 for any number.
    pub connections_per_address_max: u32,
    /// The shortest session timeout given.
    pub session_timeout_min_ms: i32,
    /// The longest session timeout given.
    pub session_timeout_max_ms: i32,
    /// `myid`, 0 for a lone server.
    pub server_id: u16,
    /// Present when the server is one of several.
    pub ensemble: Option<Ensemble>,
}

/// What `conf` adds for one server of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// Ticks a follower may take to catch up.
    pub init_limit: u32,
    /// Ticks a follower may lag.
    pub sync_limit: u32,
    /// The port of elections.
    pub election_port: u16,
    /// The port of replication.
    pub quorum_port: u16,
    /// Whether the server has no vote.
    pub observer: bool,
}

/// The facts behind `envi`; what only a Java process has is reported as `<NA>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The host's name.
    pub host_name: String,
    /// The kernel's release.
    pub os_version: String,
    /// Who runs the process.
    pub user_name: String,
    /// That user's home folder.
    pub user_home: String,
    /// The working folder.
    pub user_folder: String,
}

/// Sessions that expire together, for `dump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryBucket {
    /// When they do.
    pub expires: WallTime,
    /// Which they are.
    pub sessions: Vec<i64>,
}
