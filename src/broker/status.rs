//! What an operator may see of a broker. Plain data.

use super::Broker;
use super::event::Shortage;
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

/// A topic with everything there is to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDetail {
    /// The section whose settings hold for it: its name, or a pattern. `None`: it is only on disk.
    pub section: Option<String>,
    /// The topic, with those of its configured partitions that have no files yet.
    pub topic: TopicStatus,
    /// Who reads it, as far as their gets have met the end: by group and partition.
    pub readers: Vec<ReaderStatus>,
}

/// A group that reads a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStatus {
    /// The group.
    pub group: Name,
    /// The partition.
    pub partition: i32,
    /// The consumer that owns the partition, if it is known.
    pub owner: Option<Name>,
    /// Gets held now.
    pub held: usize,
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

    /// The disk is full: what is committed waits for space, and gets go by what is in the files.
    pub fn is_parked(&self) -> bool {
        self.writer.is_parked()
    }

    /// What is lacking, while it is parked.
    pub fn shortage(&self) -> Option<Shortage> {
        self.writer.shortage()
    }

    /// The partitions in which damage was found that nobody has passed over, `TOPIC-PARTITION`, by name.
    pub fn damaged_partitions(&self) -> Vec<String> {
        let damage = |partition: &&super::partition::Partition| {
            partition.segments.iter().any(|segment| {
                let mut damaged = segment.verified.damaged().iter();
                damaged.any(|at| segment.start + at >= partition.skips_below)
            })
        };
        let name = |partition: &super::partition::Partition| {
            let topic = &self.catalog.topic(partition.topic).name;
            format!("{topic}-{}", partition.number)
        };
        let mut names: Vec<String> = self.partitions.iter().filter(damage).map(name).collect();
        names.sort_unstable();
        names
    }

    /// The partitions that are closed, by topic and number.
    pub fn closed_partitions(&self) -> Vec<(&Name, i32)> {
        self.catalog.closed()
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

    /// Everything there is to say of a topic that is on disk, or configured by its name or by a pattern.
    pub fn topic_detail(&self, name: &str) -> Option<TopicDetail> {
        let name = Name::from(name);
        let section = self.catalog.section_for(name.as_str()).map(str::to_owned);
        let known = self.catalog.find(&name).map(|id| self.catalog.topic(id));
        let mut topic = match (known, self.catalog.settings_for(name.as_str())) {
            (Some(known), _) => self.topic_status(known),
            (None, Some(settings)) => TopicStatus {
                topic: name.clone(),
                configured: Some(settings.partitions),
                partitions: Vec::new(),
            },
            (None, None) => return None,
        };
        // A pattern is no topic: it has none.
        let is_pattern = known.is_none() && name.as_str().contains('*');
        let configured = topic.configured.filter(|_| !is_pattern);
        for number in 0..configured.unwrap_or(0) {
            let partitions = &mut topic.partitions;
            if let Err(at) = partitions.binary_search_by_key(&number, |one| one.number) {
                partitions.insert(
                    at,
                    PartitionStatus {
                        number,
                        first: 0,
                        end: 0,
                        messages: 0,
                        files: 0,
                        damaged: Vec::new(),
                        closed: self.catalog.is_closed(&name, number),
                    },
                );
            }
        }
        let partitions = known.map_or(&[][..], super::topic::Topic::partitions);
        let mut readers: Vec<ReaderStatus> = partitions
            .iter()
            .flat_map(|&(number, id)| self.waiting.readers(number, id))
            .collect();
        readers.sort_by(|a, b| (&a.group, a.partition).cmp(&(&b.group, b.partition)));
        Some(TopicDetail {
            section,
            topic,
            readers,
        })
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
