//! How a server is doing: one model, filled in by the node and shown by every command and page.
//!
//! Plain data, with units in the names: it travels as JSON over the control socket, and `status --json`
//! prints it as it is, so a field never changes its meaning.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ports;
use crate::units::counted;

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The folder's name, such as `server1`.
    pub name: String,
    /// Its number.
    pub id: u16,
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// What it is doing.
    pub state: ServerState,
    /// Seconds since it began to start.
    pub uptime_s: u64,
    /// What it listens on.
    pub ports: Ports,
    /// What clients are told to connect to, `HOST:PORT`, if it is a broker.
    pub advertised: Option<String>,
    /// The coordinator, if it is one.
    pub coordinator: Option<CoordinatorStatus>,
    /// The broker, if it is one.
    pub broker: Option<BrokerStatus>,
    /// What it shows to the other servers of its cluster, if it shows them anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// The journal.
    pub journal: JournalStatus,
    /// The disk.
    pub disk: DiskStatus,
    /// Memory the process has in use.
    pub resident_bytes: u64,
    /// Log lines that could not be written since the start.
    #[serde(default)]
    pub log_lines_lost: u64,
    /// What an operator should know or do: a sentence each.
    pub warnings: Vec<String>,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It reads what is on disk.
    #[default]
    Starting,
    /// Its ports serve.
    Serving,
    /// It stops in order.
    Stopping,
}

/// A server's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// When it ends, for people.
    pub ends: String,
    /// Seconds until then; less than 0 when it has expired.
    pub left_s: i64,
    /// Whether the key of the cluster's authority is here, so that this server makes itself a new one.
    pub renewed_here: bool,
    /// Why there is no new one although it is time for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_renewed: Option<String>,
}

/// The coordinator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoordinatorStatus {
    /// `standalone`, `leader`, `follower`, or `read-only` while no server leads and clients may read all the same.
    pub role: String,
    /// The last transaction's number.
    pub zxid: i64,
    /// Nodes in the tree.
    pub znodes: u64,
    /// Ephemeral nodes among them.
    pub ephemerals: u64,
    /// Watches that are set.
    pub watches: u64,
    /// Sessions that are open.
    pub sessions: u64,
    /// Sessions of clients that only read, while that is all they may do here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_sessions: Option<u64>,
    /// Connections that are open.
    pub connections: u64,
    /// Bytes of paths and data, about.
    pub data_bytes: u64,
    /// Requests since the start.
    pub requests: u64,
}

/// The broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Whether clients find it in ZooKeeper, or why not.
    pub registration: Registration,
    /// Whether the broker sees who owns its partitions: only an owner's get waits for a message.
    pub owners: Owners,
    /// Topics with data or a section of their own.
    pub topics: u64,
    /// Partitions with data.
    pub partitions: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Gets that wait for a message.
    pub held_gets: u64,
    /// Messages stored since the start.
    pub messages: u64,
    /// Puts since the start, and those that failed.
    pub puts: u64,
    /// Puts that failed since the start.
    pub puts_failed: u64,
    /// Gets since the start.
    pub gets: u64,
    /// Partitions in which damage was found, `TOPIC-PARTITION`.
    pub damaged: Vec<String>,
    /// Partitions that an operator has closed, `TOPIC-PARTITION`.
    pub closed: Vec<String>,
    /// Whether puts are refused for lack of room.
    pub refusing_puts: bool,
    /// Those whose gets wait for messages.
    #[serde(default)]
    pub consumers: Consumers,
}

/// Consumers whose gets wait for messages, all together. What is counted is counted since each of them came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumers {
    /// How many have a get that waits now.
    pub count: u64,
    /// How many have fewer fetch threads than partitions, and were given turns or 404s for it.
    pub few_threads: u64,
    /// Turns that these were given.
    pub turns: u64,
    /// Gets of these that were answered 404 in the place of a turn.
    pub refused: u64,
    /// Why, by group.
    pub not_turned: BTreeMap<String, NotTurned>,
}

/// Whether clients find the broker in ZooKeeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// It is not to be registered.
    Off,
    /// They do.
    Registered,
    /// Not yet, or no longer; it goes on trying.
    #[default]
    Trying,
    /// Not yet, or no longer, because of this; it goes on trying.
    Failing {
        /// The reason.
        reason: String,
    },
}

/// Whether the broker sees who owns its partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owners {
    /// No get is to wait: nobody asks.
    Off,
    /// It does.
    #[default]
    Seen,
    /// It does not, so every get is answered at once.
    Unseen {
        /// The reason.
        reason: String,
    },
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Files there may be at most.
    pub files_max: u32,
    /// Files that some group still needs.
    pub files_needed: u32,
    /// How it is written: `io_uring` or `threads`.
    pub backend: String,
    /// Batches since the journal was made.
    pub batches: u64,
    /// Bytes written since the start.
    pub written_bytes: u64,
}

/// The disk beneath the data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Its size.
    pub total_bytes: u64,
    /// What is free for this server.
    pub free_bytes: u64,
}

/// One topic in a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Partitions by configuration; of one that is only on disk, up to the last that has messages.
    pub partitions: u32,
    /// Bytes on disk.
    pub bytes: u64,
    /// Messages, as far as they were counted.
    pub messages: u64,
    /// Whether producers find it.
    pub accept_publish: bool,
    /// Whether consumers find it.
    pub accept_subscribe: bool,
    /// Whether its section, or a wildcard's, is in the configuration.
    pub configured: bool,
    /// Partitions that an operator has closed.
    pub closed: u32,
    /// Partitions in which damage was found.
    pub damaged: u32,
}

/// One topic, what holds for it, its partitions and who reads them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicDetail {
    /// The topic.
    pub topic: TopicSummary,
    /// What holds for it, in the order of docs/configuration.md.
    pub settings: Vec<TopicSetting>,
    /// Its partitions, in order: those that are configured, and those that only have files.
    pub partitions: Vec<PartitionStatus>,
    /// The groups that read it, as far as they are known: by group and partition.
    pub consumers: Vec<PartitionConsumer>,
    /// Where they keep their offsets, if not in this server: another ZooKeeper's connect string.
    #[serde(default)]
    pub offsets_at: Option<String>,
    /// Those of their consumers that have fewer fetch threads than partitions, and were given turns or 404s for it.
    #[serde(default)]
    pub few_threads: Vec<Consumer>,
}

impl TopicDetail {
    /// What it keeps in partitions that no client is shown.
    pub fn unshown(&self) -> Option<Unshown> {
        let beyond = self
            .partitions
            .iter()
            .filter(|partition| partition.read_only);
        let kept = beyond.filter(|partition| partition.min_offset < partition.max_offset);
        let kept = kept.map(|partition| (partition.partition, partition.messages));
        self.topic
            .configured
            .then(|| Unshown::of(&self.topic.name, kept))?
    }
}

/// What a topic keeps in partitions beyond the number that is configured. ZooKeeper shows none of these to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unshown {
    /// The topic.
    pub topic: String,
    /// These partitions, at least one.
    pub partitions: Vec<u32>,
    /// Their messages.
    pub messages: u64,
}

impl Unshown {
    /// Of these partitions of a topic, each with its messages; none where there is no such partition.
    pub fn of(topic: &str, kept: impl Iterator<Item = (u32, u64)>) -> Option<Unshown> {
        let (partitions, messages): (Vec<u32>, Vec<u64>) = kept.unzip();
        (!partitions.is_empty()).then(|| Unshown {
            topic: topic.to_owned(),
            partitions,
            messages: messages.iter().sum(),
        })
    }
}

impl fmt::Display for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.partitions.last().copied().unwrap_or_default();
        let (is, they, them, keep) = match self.partitions.as_slice() {
            [one] => {
                write!(f, "partition {one}")?;
                ("is", "it", "it", "keeps")
            }
            [before @ .., last] => {
                let before: Vec<String> = before.iter().map(u32::to_string).collect();
                write!(f, "partitions {} and {last}", before.join(", "))?;
                ("are", "they", "them", "keep")
            }
            [] => return Ok(()),
        };
        let messages = counted(self.messages, "messages");
        write!(
            f,
            " {is} no longer shown to clients; {they} {keep} {messages} until retention takes {them}, and {is} shown again \
             with num_partitions = {} (in a server.ini numPartitions)",
            last.saturating_add(1)
        )
    }
}

/// A pattern of topics in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPattern {
    /// As its section is called; '*' stands for any characters.
    pub pattern: String,
    /// How many partitions a topic that matches has.
    pub partitions: u32,
}

/// One setting of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSetting {
    /// The key, as it is called in `[topics.NAME]`.
    pub key: String,
    /// What holds: as it was written, where it was.
    pub value: String,
    /// The section it stands in, such as `[topics."order-*"]` or `[broker]`; none for a default.
    pub section: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: u32,
    /// Offset of the oldest byte that is kept.
    pub min_offset: u64,
    /// Offset behind the last one that consumers see.
    pub max_offset: u64,
    /// Messages, as far as they were counted.
    pub messages: u64,
    /// Segment files; 0 before the first message.
    pub segments: u32,
    /// Gets that wait here.
    pub held_gets: u32,
    /// Whether it was closed by an operator.
    pub closed: bool,
    /// Whether it is beyond the configured number: it can be read and not written.
    pub read_only: bool,
    /// Where damage was found, as an offset.
    pub damaged_at: Option<u64>,
}

/// A consumer whose gets wait for messages. What is counted is counted since it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its group.
    pub group: String,
    /// Its id, as its owner nodes have it.
    pub consumer: String,
    /// Partitions of this broker that it owns, of all topics.
    pub partitions: u32,
    /// Whether it owns partitions of other brokers, too.
    pub elsewhere: bool,
    /// Its fetch threads: the most gets that it had outstanding at a time.
    pub threads: u32,
    /// Turns it was given.
    pub turns: u64,
    /// Gets of it that were answered 404 in the place of a turn.
    pub refused: u64,
    /// Why.
    pub not_turned: Option<NotTurned>,
}

/// Why a get is answered 404 in the place of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotTurned {
    /// A word for programs: `old-client`.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// A group that reads a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionConsumer {
    /// The group.
    pub group: String,
    /// The partition.
    pub partition: u32,
    /// The consumer that owns the partition, if somebody does.
    pub owner: Option<String>,
    /// The offset the group has committed, if it is known.
    pub offset: Option<u64>,
    /// Bytes between that and the end.
    pub behind_bytes: Option<u64>,
    /// Gets of it that wait here.
    pub held_gets: u32,
}
