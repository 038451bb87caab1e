//! What an operator may see of a broker. Plain data.

use super::Broker;
use super::request::Name;
use super::waiting::{ConsumerStatus, HoldsEnded};
use crate::units::LatencyHistogram;

/// A broker, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// It leads its group: clients are served.
    pub leading: bool,
    /// The disk of the message files is full, or nearly.
    pub disk_full: bool,
    /// The journal is nearly full.
    pub journal_full: bool,
    /// Client connections.
    pub connections: usize,
    /// Puts since the start.
    pub puts: u64,
    /// Puts that were answered 500.
    pub puts_failed: u64,
    /// Bytes of records that were put and are visible.
    pub put_bytes: u64,
    /// Time from a put's arrival until it was answered 200.
    pub put_latency: LatencyHistogram,
    /// Gets since the start.
    pub gets: u64,
    /// Bytes of records that gets were given.
    pub get_bytes: u64,
    /// Gets that found nothing, at once or after waiting.
    pub get_misses: u64,
    /// Gets that asked beyond the end: their consumers may be stuck.
    pub gets_beyond_end: u64,
    /// Offset requests since the start.
    pub offsets: u64,
    /// Damaged records found in this run.
    pub damaged_records: u64,
    /// Gets held now.
    pub gets_held: usize,
    /// Gets that were held, by what ended it.
    pub holds_ended: HoldsEnded,
    /// Bytes of puts on their way.
    pub in_flight_bytes: usize,
    /// The last entry that was applied.
    pub applied: u64,
    /// The last entry whose records are in their files.
    pub written: u64,
    /// The last entry that the checkpoint covers.
    pub checkpointed: u64,
    /// Checkpoints made since the start.
    pub checkpoints: u64,
    /// Nothing is on its way: no put, no write.
    pub idle: bool,
    /// The highest message id issued.
    pub last_message_id: i64,
    /// The topics, by name.
    pub topics: Vec<TopicStatus>,
    /// The consumers whose gets were held, by group and name.
    pub consumers: Vec<ConsumerStatus>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicStatus {
    /// Its name.
    pub topic: Name,
    /// How many partitions are configured; `None` if it is only on disk.
    pub configured: Option<i32>,
    /// Its partitions that have files.
    pub partitions: Vec<PartitionStatus>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Its number.
    pub number: i32,
    /// The first offset.
    pub first: u64,
    /// The visible end.
    pub end: u64,
    /// Messages counted.
    pub messages: u64,
    /// Files.
    pub files: usize,
    /// Offsets where damaged records begin.
    pub damaged: Vec<u64>,
    /// It is closed.
    pub closed: bool,
}

impl Broker {
    /// The last entry whose records are in their files, where gets see them.
    pub fn written(&self) -> u64 {
        self.writer.written()
    }

    /// What an operator may see.
    pub fn status(&self) -> Status {
        let stats = &self.stats;
        let mut topics: Vec<TopicStatus> = self
            .catalog
            .iter()
            .map(|(_, topic)| self.topic_status(topic))
            .collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Status {
            leading: self.leading,
            disk_full: self.writer.is_parked() || self.pressure.disk,
            journal_full: self.pressure.journal,
            connections: self.connections.len(),
            puts: stats.puts,
            puts_failed: stats.puts_failed,
            put_bytes: stats.put_bytes,
            put_latency: stats.put_latency,
            gets: stats.gets,
            get_bytes: stats.get_bytes,
            get_misses: stats.get_misses,
            gets_beyond_end: stats.gets_beyond_end,
            offsets: stats.offsets,
            damaged_records: stats.damaged_records,
            gets_held: self.waiting.held(),
            holds_ended: self.waiting.ended,
            in_flight_bytes: self.proposals.bytes() + self.writer.bytes(),
            applied: self.writer.job.index,
            written: self.writer.written(),
            checkpointed: self.checkpoints.saved(),
            checkpoints: stats.checkpoints,
            idle: self.proposals.is_idle() && self.writer.is_idle() && self.commands.is_empty(),
            last_message_id: self.ids.last(),
            topics,
            consumers: self.waiting.consumers(),
        }
    }

    fn topic_status(&self, topic: &super::topic::Topic) -> TopicStatus {
        let partitions = topic.partitions().iter().filter_map(|&(number, id)| {
            let partition = self.partition(id);
            let damaged = partition.segments.iter().flat_map(|segment| {
                segment
                    .verified
                    .damaged()
                    .iter()
                    .map(|at| segment.start + at)
            });
            partition.has_files().then(|| PartitionStatus {
                number,
                first: partition.segments.first(),
                end: partition.visible,
                messages: partition.segments.messages(),
                files: partition.segments.count(),
                damaged: damaged.collect(),
                closed: self.catalog.is_closed(&topic.name, number),
            })
        });
        TopicStatus {
            topic: topic.name.clone(),
            configured: topic.settings.as_ref().map(|settings| settings.partitions),
            partitions: partitions.collect(),
        }
    }
}
