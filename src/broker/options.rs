//! What the broker core is told once, when it is made.

use std::time::Duration;

use super::topic::Topics;
use crate::units::ServerId;

/// Everything that does not change while the broker runs, and the topics it begins with.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0 to 1023; a part of every message id.
    pub broker_id: ServerId,
    /// What clients are told in errors: `meta://host:port`.
    pub url: String,
    /// The answer to `version`.
    pub version: String,
    /// The port, for `stats`.
    pub port: u16,
    /// The process id, for `stats`.
    pub pid: u32,
    /// The threads of the process, for `stats`.
    pub threads: u32,
    /// A segment that has reached this many bytes is closed and the next one begun.
    pub segment_bytes_max: u64,
    /// A get returns at most this many bytes, whatever it asks for.
    pub transfer_bytes_max: u32,
    /// A message may have this many bytes of data, attribute block included; never more than
    /// [`DATA_BYTES_MAX`](crate::segments::format::DATA_BYTES_MAX).
    pub message_bytes_max: usize,
    /// Partitions that may exist; a put that would make one more is refused. Only patterns can lead there.
    pub partitions_max: usize,
    /// A get beyond the end is told where the end is (301) instead of 404.
    pub update_consumer_offsets: bool,
    /// One proposal has at most this many bytes, unless a single message is longer.
    pub entry_bytes_max: usize,
    /// Proposed and not yet committed bytes beyond which nothing more is proposed.
    pub uncommitted_bytes_max: usize,
    /// Bytes held between the arrival of a put and its record's write, beyond which reading pauses.
    pub in_flight_bytes_max: usize,
    /// `Files` effects outstanding at a time; what is committed meanwhile is gathered into the next one.
    pub files_in_flight_max: usize,
    /// How long after the first unsynced write a checkpoint is made.
    pub checkpoint_interval: Duration,
    /// A checkpoint is made earlier once this many bytes were written since the last.
    pub checkpoint_bytes: u64,
    /// How long writing pauses when the disk is full.
    pub disk_full_retry: Duration,
    /// Below this much free space the oldest segments go before their time, as far as policies delete at
    /// all. `None` never.
    pub free_bytes_low: Option<u64>,
    /// Waiting gets.
    pub waiting: WaitingOptions,
    /// The topics.
    pub topics: Topics,
}

/// How gets wait at the end of a partition.
#[derive(Clone, Debug)]
pub struct WaitingOptions {
    /// Hold gets at all. Without it every empty get is answered 404 at once, as the original does.
    pub enabled: bool,
    /// The longest hold; must stay below the Java consumer's fetch timeout of 10 s.
    pub hold_max: Duration,
    /// Give turns to consumers that have fewer threads than partitions. Without it their gets make room with 404.
    pub turns: bool,
    /// Groups whose consumers keep their positions outside of ZooKeeper and are given turns all the same.
    pub turns_without_positions: Vec<String>,
    /// Held gets on one connection; one more is answered at once.
    pub held_per_connection_max: usize,
    /// Held gets in all; one more is answered at once.
    pub held_max: usize,
    /// A get whose owner is not known after this time is answered at once.
    pub owner_answer_max: Duration,
}

impl Default for WaitingOptions {
    fn default() -> WaitingOptions {
        WaitingOptions {
            enabled: true,
            hold_max: Duration::from_secs(8),
            turns: true,
            turns_without_positions: Vec::new(),
            held_per_connection_max: 4096,
            held_max: 65_536,
            owner_answer_max: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// The defaults of everything that has one.
    pub fn new(broker_id: ServerId, url: String, port: u16, topics: Topics) -> Options {
        Options {
            broker_id,
            url,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            port,
            pid: 0,
            threads: 1,
            segment_bytes_max: 1 << 30,
            transfer_bytes_max: 1 << 20,
            message_bytes_max: 1 << 20,
            partitions_max: 100_000,
            update_consumer_offsets: false,
            entry_bytes_max: 1 << 20,
            uncommitted_bytes_max: 4 << 20,
            in_flight_bytes_max: 16 << 20,
            files_in_flight_max: 4,
            checkpoint_interval: Duration::from_secs(30),
            checkpoint_bytes: 64 << 20,
            disk_full_retry: Duration::from_secs(1),
            free_bytes_low: None,
            waiting: WaitingOptions::default(),
            topics,
        }
    }
}
