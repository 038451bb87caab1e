//! What the program uses: every value present, in range, and consistent with the others.
//!
//! [`check`] looks at every key even after the first mistake, so that an operator sees all of them
//! at once. It asks nothing of the machine but what [`Machine`] tells it. Each module gets its own small
//! options by value from these; nobody carries the whole.

mod cluster;
mod reader;
mod rules;

pub use cluster::{CLUSTER_SERVERS_MAX, Cluster, ClusterServer};
pub(super) use cluster::{server_id, server_port};
pub use rules::{COORDINATOR_ID_MAX, Machine, check};

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::legacy;
use super::mistake::Place;
use super::topic::{Topic, TopicSettings, Words};
use super::words::{Backend, LogFilter, LogFormat};
use crate::units::ServerId;

/// A server's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This server's number.
    pub id: ServerId,
    /// The servers it works together with, unless it is alone. One that has others is a coordinator.
    pub cluster: Option<Cluster>,
    /// The folder of this server's certificate, if servers show each other theirs.
    pub certificates: Option<PathBuf>,
    /// Whether each other server has to show one.
    pub certificates_required: bool,
    /// The ZooKeeper-compatible half, if this server has it.
    pub coordinator: Option<Coordinator>,
    /// The MetaQ-compatible half, if this server has it. At least one of the two is there.
    pub broker: Option<Broker>,
    /// What connections may cost.
    pub network: Network,
    /// The journal.
    pub journal: Journal,
    /// The disk.
    pub disk: Disk,
    /// The web port, if there is one.
    pub web: Option<Web>,
    /// Lines for people.
    pub log: Log,
    /// Where all this was read.
    pub source: Source,
}

/// What the coordinator needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinator {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 takes any.
    pub port: u16,
    /// How finely session timeouts are kept.
    pub tick_time: Duration,
    /// The shortest session timeout there is.
    pub session_timeout_min: Duration,
    /// The longest session timeout there is, not shorter than the shortest.
    pub session_timeout_max: Duration,
    /// Connections one client address may have; none is no limit.
    pub connections_per_address_max: Option<u32>,
    /// The largest request frame in bytes.
    pub request_bytes_max: u32,
    /// Requests under way before reading stops.
    pub outstanding_requests_max: u32,
    /// Memory for the watches of one connection.
    pub watch_bytes_per_connection_max: u64,
    /// Memory for all watches.
    pub watch_bytes_max: u64,
    /// Sessions there may be.
    pub sessions_max: u32,
    /// Sessions one client address may have.
    pub sessions_per_address_max: u32,
    /// Memory for the nodes.
    pub tree_bytes_max: u64,
    /// `super:` and the base64 SHA-1, if anybody may be super.
    pub super_digest: Option<String>,
    /// Whether no ACL is checked.
    pub skip_acl: bool,
    /// Whether clients that ask for it may read while no server leads.
    pub read_only: bool,
    /// The monitoring commands that are answered, by name; `*` is among them where all are.
    pub four_letter_words: Vec<String>,
    /// Entries after which a snapshot is made.
    pub snapshot_every_entries: u32,
}

/// What the broker needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 takes any.
    pub port: u16,
    /// The name or address that clients find in ZooKeeper; an IPv6 address without brackets.
    pub advertised_host: String,
    /// What holds for a topic whose section says nothing else.
    pub topic_defaults: TopicSettings,
    /// The topics that are accepted, in the order of the file.
    pub topics: Vec<Topic>,
    /// The size at which a segment is closed.
    pub segment_bytes: u32,
    /// The largest message, attribute included.
    pub message_bytes_max: u32,
    /// The most one get returns.
    pub transfer_bytes_max: u32,
    /// Whether a consumer beyond the end is sent back to it.
    pub update_consumer_offsets: bool,
    /// How long a get at the end may wait; none answers at once.
    pub hold_max: Option<Duration>,
    /// Whether consumers with fewer threads than partitions are given turns.
    pub turns: bool,
    /// Groups that are given turns although ZooKeeper has no positions of them.
    pub turns_without_positions: Vec<String>,
    /// How many may wait at a time.
    pub held_gets_max: u32,
    /// Where it registers.
    pub zookeeper: Zookeeper,
}

/// Where and how the broker registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Zookeeper {
    /// The ZooKeeper.
    pub at: ZookeeperAt,
    /// The node below which everything is registered, such as `/meta`.
    pub root: String,
    /// Whether the broker registers at all.
    pub register: bool,
    /// The session's timeout.
    pub session_timeout: Duration,
    /// How long an orderly stop goes on serving after it has unregistered.
    pub drain: Duration,
}

/// Which ZooKeeper it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZookeeperAt {
    /// This server's own coordinator.
    BuiltIn,
    /// The one at this connect string, `HOST:PORT[,HOST:PORT]...[/PATH]`.
    External(String),
}

/// What connections may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Connections of one port.
    pub connections_max: u32,
    /// Memory of one connection, in bytes; room for the largest message and the largest request.
    pub connection_bytes_max: u32,
    /// Memory of all connections together, in bytes; not less than that of one.
    pub all_connections_bytes_max: u64,
}

/// The journal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Bytes of one file, a multiple of 4096.
    pub file_bytes: u64,
    /// How many files there are at most.
    pub files_max: u32,
}

/// How the disk is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// How it is written.
    pub backend: Backend,
    /// The size of the reserve file.
    pub reserve_bytes: u64,
    /// With less free than this, puts are refused.
    pub refuse_below_bytes: u64,
}

/// The web port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Web {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 takes any.
    pub port: u16,
}

/// Lines for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which are written.
    pub level: LogFilter,
    /// How they look.
    pub format: LogFormat,
    /// Where; none is standard error.
    pub file: Option<PathBuf>,
}

/// Where a configuration was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The files, as an operator would name them.
    pub files: Vec<PathBuf>,
    /// What `stats config` answers: the bytes of `server.ini`, or for a server with a `server.toml` a
    /// `server.ini` that says the same. The original's slaves and dashboards parse it strictly.
    pub stats_config: Vec<u8>,
    /// The CRC-32 of those bytes, which is what registers as the configuration's checksum.
    pub checksum: u32,
    /// Lines for the log: what was accepted without an effect, or means something else now.
    pub notes: Vec<String>,
    /// Every key outside the topics with the value that holds.
    pub effective: Vec<Effective>,
    /// What was written of topics.
    pub words: Vec<Words>,
}

/// A key outside the topics, and what holds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its name with the section: `server.id`.
    pub key: String,
    /// The value as TOML has it.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was written: this is the default.
    Default,
    /// Nothing was written: it follows from what this sentence says.
    Derived(&'static str),
    /// An original's file says it by being there.
    Implied(Place),
    /// It was written.
    Written {
        /// Where.
        place: Place,
        /// Section, key and value as they stand there.
        shown: String,
    },
}

impl Source {
    /// The value that holds for the key with this name, such as `server.id`, as TOML has it.
    pub fn held(&self, key: &str) -> Option<&str> {
        let held = self.effective.iter().find(|held| held.key == key);
        held.map(|held| held.value.as_str())
    }

    /// Where a mistake about the key with this name is put down: its line, or the whole file.
    pub fn place(&self, key: &str) -> Place {
        let found = self.effective.iter().find(|held| held.key == key);
        self.place_of(found.map(|held| &held.origin))
    }

    /// Where a mistake about a key in this topic's section is put down.
    pub fn topic_place(&self, topic: &str, key: &str) -> Place {
        let of_topic = |words: &&Words| words.topic.as_deref() == Some(topic) && words.key == key;
        let found = self.words.iter().find(of_topic);
        self.place_of(found.map(|words| &words.origin))
    }

    fn place_of(&self, origin: Option<&Origin>) -> Place {
        match origin {
            Some(Origin::Written { place, .. } | Origin::Implied(place)) => place.clone(),
            _ => Place::new(
                self.files.first().map_or(Path::new(""), PathBuf::as_path),
                0,
            ),
        }
    }
}

impl Config {
    /// The files this was read from, for messages.
    pub fn files_shown(&self) -> String {
        let names: Vec<String> = self
            .source
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        names.join(" and ")
    }

    pub(super) fn with_source(
        mut self,
        files: Vec<PathBuf>,
        server_ini: Option<Vec<u8>>,
        notes: Vec<String>,
    ) -> Config {
        let stats_config =
            server_ini.unwrap_or_else(|| legacy::render_server_ini(&self).into_bytes());
        self.source.checksum = crc32fast::hash(&stats_config);
        self.source.stats_config = stats_config;
        self.source.files = files;
        self.source.notes.splice(0..0, notes);
        self
    }
}
