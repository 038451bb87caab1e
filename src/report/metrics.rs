//! Every metric: its name, its unit, what it means; and how a scrape turns numbers into text.
//!
//! Parts of the server count in plain integers of their own status structs; nothing here is shared or
//! atomic. When `/metrics` is asked for, the node makes a [`Scrape`], puts the numbers in by metric, and
//! renders it. To add a metric: a block below, a line in [`ALL`], and a line where the node fills it in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something took how long.
    Latency,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name without unit and without `_total`, which are appended when it is rendered.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit in the plural; empty for a number of things that its name says.
    pub unit: &'static str,
    /// What it means, in a sentence without a full stop.
    pub help: &'static str,
}

/// How long things took: counts by bound, in plain integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    counts: [u64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: u64,
}

/// The upper bounds of a latency histogram's buckets; what took longer is in one more.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 10_000_000,
];

impl LatencyHistogram {
    /// Counts one that took so long.
    pub fn record(&mut self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < took_us);
        self.counts[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(took_us);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What was measured.
#[derive(Clone, Debug)]
enum Measured {
    Whole(u64),
    Fraction(f64),
    Latency(LatencyHistogram),
}

type Labels = Vec<(&'static str, String)>;

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    families: BTreeMap<&'static str, (&'static Metric, Vec<(Labels, Measured)>)>,
}

impl Scrape {
    /// A number of things or bytes.
    pub fn set(&mut self, metric: &'static Metric, value: u64) {
        self.put(metric, Vec::new(), Measured::Whole(value));
    }

    /// The same for one topic, port or kind of request.
    pub fn set_for(
        &mut self,
        metric: &'static Metric,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        self.put(metric, owned(labels), Measured::Whole(value));
    }

    /// A number with a fraction, such as seconds.
    pub fn set_fraction(&mut self, metric: &'static Metric, value: f64) {
        self.put(metric, Vec::new(), Measured::Fraction(value));
    }

    /// How long things took.
    pub fn set_latency(
        &mut self,
        metric: &'static Metric,
        labels: &[(&'static str, &str)],
        latency: &LatencyHistogram,
    ) {
        self.put(metric, owned(labels), Measured::Latency(latency.clone()));
    }

    fn put(&mut self, metric: &'static Metric, labels: Labels, measured: Measured) {
        let (_, values) = self
            .families
            .entry(metric.name)
            .or_insert_with(|| (metric, Vec::new()));
        values.push((labels, measured));
    }

    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub fn render(self) -> String {
        let mut registry = Registry::with_prefix("chrysalis");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a String cannot fail");
        text
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (metric, values) in self.families.values() {
            let unit = match metric.unit {
                "" => None,
                unit => Some(Unit::Other(unit.to_owned())),
            };
            let family = Family { metric, values };
            let encoder = encoder.encode_descriptor(
                metric.name,
                metric.help,
                unit.as_ref(),
                family.metric_type(),
            )?;
            family.encode(encoder)?;
        }
        Ok(())
    }
}

struct Family<'a> {
    metric: &'static Metric,
    values: &'a [(Labels, Measured)],
}

impl EncodeMetric for Family<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, measured) in self.values {
            if labels.is_empty() {
                encode_one(self.metric, measured, &mut encoder)?;
            } else {
                encode_one(self.metric, measured, &mut encoder.encode_family(labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Latency => MetricType::Histogram,
        }
    }
}

fn encode_one(
    metric: &Metric,
    measured: &Measured,
    encoder: &mut MetricEncoder<'_>,
) -> Result<(), fmt::Error> {
    const MICROSECONDS: f64 = 1e6;
    #[allow(
        clippy::cast_precision_loss,
        reason = "a scrape's float is exact to 2^53 and no matter beyond"
    )]
    let seconds = |microseconds: u64| microseconds as f64 / MICROSECONDS;
    match (metric.kind, measured) {
        (Kind::Counter, Measured::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Counter, Measured::Fraction(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (_, Measured::Whole(value)) => encoder.encode_gauge(value),
        (_, Measured::Fraction(value)) => encoder.encode_gauge(value),
        (_, Measured::Latency(latency)) => {
            let mut buckets: Vec<(f64, u64)> = LATENCY_BOUNDS_US
                .iter()
                .zip(latency.counts)
                .map(|(bound, count)| (seconds(*bound), count))
                .collect();
            buckets.push((f64::MAX, latency.counts[LATENCY_BOUNDS_US.len()]));
            encoder.encode_histogram::<NoLabelSet>(
                seconds(latency.sum_us),
                latency.count(),
                &buckets,
                None,
            )
        }
    }
}

// The metrics. `_total` is appended to counters, the unit to what has one.

/// Time since the server began to start.
pub static UPTIME_SECONDS: Metric = Metric {
    name: "uptime",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Time since the server began to start",
};

/// Memory the process has in use, as the kernel counts it.
pub static MEMORY_BYTES: Metric = Metric {
    name: "resident_memory",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Memory the process has in use, as the kernel counts it",
};

/// Files and sockets the process has open.
pub static OPEN_FILES: Metric = Metric {
    name: "open_files",
    kind: Kind::Gauge,
    unit: "",
    help: "Files and sockets the process has open",
};

/// Connections that are open, by port.
pub static CONNECTIONS: Metric = Metric {
    name: "connections",
    kind: Kind::Gauge,
    unit: "",
    help: "Connections that are open, by port",
};

/// Connections accepted, by port.
pub static CONNECTIONS_ACCEPTED: Metric = Metric {
    name: "connections_accepted",
    kind: Kind::Counter,
    unit: "",
    help: "Connections accepted, by port",
};

/// Connections closed at once because a limit was reached, by port and limit.
pub static CONNECTIONS_REFUSED: Metric = Metric {
    name: "connections_refused",
    kind: Kind::Counter,
    unit: "",
    help: "Connections closed at once because a limit was reached, by port and limit",
};

/// Connections closed for what their client did, by port and reason.
pub static CONNECTIONS_DROPPED: Metric = Metric {
    name: "connections_dropped",
    kind: Kind::Counter,
    unit: "",
    help: "Connections closed for what their client did, by port and reason",
};

/// Bytes received from clients, by port.
pub static RECEIVED_BYTES: Metric = Metric {
    name: "received",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes received from clients, by port",
};

/// Bytes sent to clients, by port.
pub static SENT_BYTES: Metric = Metric {
    name: "sent",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes sent to clients, by port",
};

/// Memory that requests and unread answers take.
pub static CONNECTION_MEMORY_BYTES: Metric = Metric {
    name: "connection_memory",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Memory that requests and unread answers take",
};

/// MetaQ requests, by command.
pub static BROKER_REQUESTS: Metric = Metric {
    name: "broker_requests",
    kind: Kind::Counter,
    unit: "",
    help: "MetaQ requests, by command",
};

/// MetaQ replies, by status code.
pub static BROKER_REPLIES: Metric = Metric {
    name: "broker_replies",
    kind: Kind::Counter,
    unit: "",
    help: "MetaQ replies, by status code",
};

/// Bytes of messages stored.
pub static BROKER_PUT_BYTES: Metric = Metric {
    name: "broker_put",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes of messages stored",
};

/// Bytes of messages sent to consumers.
pub static BROKER_GET_BYTES: Metric = Metric {
    name: "broker_get",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes of messages sent to consumers",
};

/// Time from a put's arrival until it was durable, visible and answered.
pub static BROKER_PUT_LATENCY: Metric = Metric {
    name: "broker_put_latency",
    kind: Kind::Latency,
    unit: "seconds",
    help: "Time from a put's arrival until it was durable, visible and answered",
};

/// Gets that wait for a message.
pub static BROKER_HELD_GETS: Metric = Metric {
    name: "broker_held_gets",
    kind: Kind::Gauge,
    unit: "",
    help: "Gets that wait for a message",
};

/// Gets that waited, by what ended it.
pub static BROKER_HELD_GETS_ENDED: Metric = Metric {
    name: "broker_held_gets_ended",
    kind: Kind::Counter,
    unit: "",
    help: "Gets that waited, by what ended it",
};

/// Topics with data or a section of their own.
pub static BROKER_TOPICS: Metric = Metric {
    name: "broker_topics",
    kind: Kind::Gauge,
    unit: "",
    help: "Topics with data or a section of their own",
};

/// Partitions with data.
pub static BROKER_PARTITIONS: Metric = Metric {
    name: "broker_partitions",
    kind: Kind::Gauge,
    unit: "",
    help: "Partitions with data",
};

/// Offset of the oldest message that is kept, by topic and partition.
pub static BROKER_PARTITION_MIN_OFFSET: Metric = Metric {
    name: "broker_partition_min_offset",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Offset of the oldest message that is kept, by topic and partition",
};

/// Offset behind the newest message, by topic and partition.
pub static BROKER_PARTITION_MAX_OFFSET: Metric = Metric {
    name: "broker_partition_max_offset",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Offset behind the newest message, by topic and partition",
};

/// Partitions in which damage was found.
pub static BROKER_DAMAGED_PARTITIONS: Metric = Metric {
    name: "broker_damaged_partitions",
    kind: Kind::Gauge,
    unit: "",
    help: "Partitions in which damage was found",
};

/// 1 while the broker is registered in ZooKeeper, otherwise 0.
pub static BROKER_REGISTERED: Metric = Metric {
    name: "broker_registered",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while the broker is registered in ZooKeeper, otherwise 0",
};

/// ZooKeeper requests, by operation.
pub static COORDINATOR_REQUESTS: Metric = Metric {
    name: "coordinator_requests",
    kind: Kind::Counter,
    unit: "",
    help: "ZooKeeper requests, by operation",
};

/// Time from a write's arrival until it was durable, applied and answered.
pub static COORDINATOR_WRITE_LATENCY: Metric = Metric {
    name: "coordinator_write_latency",
    kind: Kind::Latency,
    unit: "seconds",
    help: "Time from a write's arrival until it was durable, applied and answered",
};

/// ZooKeeper requests under way.
pub static COORDINATOR_OUTSTANDING: Metric = Metric {
    name: "coordinator_outstanding_requests",
    kind: Kind::Gauge,
    unit: "",
    help: "ZooKeeper requests under way",
};

/// Sessions that are open.
pub static COORDINATOR_SESSIONS: Metric = Metric {
    name: "coordinator_sessions",
    kind: Kind::Gauge,
    unit: "",
    help: "Sessions that are open",
};

/// Nodes in the tree.
pub static COORDINATOR_ZNODES: Metric = Metric {
    name: "coordinator_znodes",
    kind: Kind::Gauge,
    unit: "",
    help: "Nodes in the tree",
};

/// Ephemeral nodes in the tree.
pub static COORDINATOR_EPHEMERALS: Metric = Metric {
    name: "coordinator_ephemerals",
    kind: Kind::Gauge,
    unit: "",
    help: "Ephemeral nodes in the tree",
};

/// Watches that are set.
pub static COORDINATOR_WATCHES: Metric = Metric {
    name: "coordinator_watches",
    kind: Kind::Gauge,
    unit: "",
    help: "Watches that are set",
};

/// Bytes of paths and data in the tree, about.
pub static COORDINATOR_DATA_BYTES: Metric = Metric {
    name: "coordinator_data",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Bytes of paths and data in the tree, about",
};

/// The last transaction's number.
pub static COORDINATOR_ZXID: Metric = Metric {
    name: "coordinator_zxid",
    kind: Kind::Gauge,
    unit: "",
    help: "The last transaction's number",
};

/// Batches written to the journal.
pub static JOURNAL_BATCHES: Metric = Metric {
    name: "journal_batches",
    kind: Kind::Counter,
    unit: "",
    help: "Batches written to the journal",
};

/// Entries written to the journal.
pub static JOURNAL_ENTRIES: Metric = Metric {
    name: "journal_entries",
    kind: Kind::Counter,
    unit: "",
    help: "Entries written to the journal",
};

/// Bytes written to the journal, padding included.
pub static JOURNAL_WRITTEN_BYTES: Metric = Metric {
    name: "journal_written",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes written to the journal, padding included",
};

/// Time from a batch's submission until it was durable.
pub static JOURNAL_BATCH_LATENCY: Metric = Metric {
    name: "journal_batch_latency",
    kind: Kind::Latency,
    unit: "seconds",
    help: "Time from a batch's submission until it was durable",
};

/// Journal files there are.
pub static JOURNAL_FILES: Metric = Metric {
    name: "journal_files",
    kind: Kind::Gauge,
    unit: "",
    help: "Journal files there are",
};

/// Journal files that are still needed by a group.
pub static JOURNAL_FILES_NEEDED: Metric = Metric {
    name: "journal_files_needed",
    kind: Kind::Gauge,
    unit: "",
    help: "Journal files that are still needed by a group",
};

/// Snapshots written, by group.
pub static SNAPSHOTS: Metric = Metric {
    name: "snapshots",
    kind: Kind::Counter,
    unit: "",
    help: "Snapshots written, by group",
};

/// Checkpoints of the message files.
pub static CHECKPOINTS: Metric = Metric {
    name: "checkpoints",
    kind: Kind::Counter,
    unit: "",
    help: "Checkpoints of the message files",
};

/// Bytes free on the data folder's file system.
pub static DISK_FREE_BYTES: Metric = Metric {
    name: "disk_free",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Bytes free on the data folder's file system",
};

/// 1 while puts are refused for lack of room, otherwise 0.
pub static DISK_REFUSING_PUTS: Metric = Metric {
    name: "disk_refusing_puts",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while puts are refused for lack of room, otherwise 0",
};

/// 1 if the disk is written through io_uring, 0 if by threads.
pub static DISK_RING: Metric = Metric {
    name: "disk_ring",
    kind: Kind::Gauge,
    unit: "",
    help: "1 if the disk is written through io_uring, 0 if by threads",
};

/// Turns of the event loop.
pub static LOOP_TURNS: Metric = Metric {
    name: "loop_turns",
    kind: Kind::Counter,
    unit: "",
    help: "Turns of the event loop",
};

/// Time that a turn of the event loop took.
pub static LOOP_TURN_LATENCY: Metric = Metric {
    name: "loop_turn_latency",
    kind: Kind::Latency,
    unit: "seconds",
    help: "Time that a turn of the event loop took",
};

/// Every metric, in the order of the documentation.
pub static ALL: &[&Metric] = &[
    &UPTIME_SECONDS,
    &MEMORY_BYTES,
    &OPEN_FILES,
    &CONNECTIONS,
    &CONNECTIONS_ACCEPTED,
    &CONNECTIONS_REFUSED,
    &CONNECTIONS_DROPPED,
    &RECEIVED_BYTES,
    &SENT_BYTES,
    &CONNECTION_MEMORY_BYTES,
    &BROKER_REQUESTS,
    &BROKER_REPLIES,
    &BROKER_PUT_BYTES,
    &BROKER_GET_BYTES,
    &BROKER_PUT_LATENCY,
    &BROKER_HELD_GETS,
    &BROKER_HELD_GETS_ENDED,
    &BROKER_TOPICS,
    &BROKER_PARTITIONS,
    &BROKER_PARTITION_MIN_OFFSET,
    &BROKER_PARTITION_MAX_OFFSET,
    &BROKER_DAMAGED_PARTITIONS,
    &BROKER_REGISTERED,
    &COORDINATOR_REQUESTS,
    &COORDINATOR_WRITE_LATENCY,
    &COORDINATOR_OUTSTANDING,
    &COORDINATOR_SESSIONS,
    &COORDINATOR_ZNODES,
    &COORDINATOR_EPHEMERALS,
    &COORDINATOR_WATCHES,
    &COORDINATOR_DATA_BYTES,
    &COORDINATOR_ZXID,
    &JOURNAL_BATCHES,
    &JOURNAL_ENTRIES,
    &JOURNAL_WRITTEN_BYTES,
    &JOURNAL_BATCH_LATENCY,
    &JOURNAL_FILES,
    &JOURNAL_FILES_NEEDED,
    &SNAPSHOTS,
    &CHECKPOINTS,
    &DISK_FREE_BYTES,
    &DISK_REFUSING_PUTS,
    &DISK_RING,
    &LOOP_TURNS,
    &LOOP_TURN_LATENCY,
];
