//! Every metric there is. `_total` is appended to counters, the unit to what has one.

use super::{Kind, Metric};

/// Time since the server began to start.
pub static UPTIME_SECONDS: Metric = Metric {
    name: "uptime",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Time since the server began to start",
};

/// 1 while the server does all that it is there for: what /ready says.
pub static READY: Metric = Metric {
    name: "ready",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while the server does all that it is there for: what /ready says",
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

/// Files and sockets the process may have open.
pub static OPEN_FILES_MAX: Metric = Metric {
    name: "open_files_max",
    kind: Kind::Gauge,
    unit: "",
    help: "Files and sockets the process may have open",
};

/// Log lines that could not be written.
pub static LOG_LINES_LOST: Metric = Metric {
    name: "log_lines_lost",
    kind: Kind::Counter,
    unit: "",
    help: "Log lines that could not be written",
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

/// MetaQ requests, by command (put, get, offset).
pub static BROKER_REQUESTS: Metric = Metric {
    name: "broker_requests",
    kind: Kind::Counter,
    unit: "",
    help: "MetaQ requests, by command (put, get, offset)",
};

/// Puts that were answered 500.
pub static BROKER_PUTS_FAILED: Metric = Metric {
    name: "broker_puts_failed",
    kind: Kind::Counter,
    unit: "",
    help: "Puts that were answered 500",
};

/// Gets that found nothing, at once or after waiting.
pub static BROKER_GET_MISSES: Metric = Metric {
    name: "broker_get_misses",
    kind: Kind::Counter,
    unit: "",
    help: "Gets that found nothing, at once or after waiting",
};

/// Bytes of the messages that were put, headers included.
pub static BROKER_PUT_BYTES: Metric = Metric {
    name: "broker_put",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes of the messages that were put, headers included",
};

/// Bytes of messages in answers to gets, headers included.
pub static BROKER_GET_BYTES: Metric = Metric {
    name: "broker_get",
    kind: Kind::Counter,
    unit: "bytes",
    help: "Bytes of messages in answers to gets, headers included",
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

/// Partitions that an operator has closed: puts and gets there are answered 403.
pub static BROKER_CLOSED_PARTITIONS: Metric = Metric {
    name: "broker_closed_partitions",
    kind: Kind::Gauge,
    unit: "",
    help: "Partitions that an operator has closed: puts and gets there are answered 403",
};

/// 1 while the broker is registered in ZooKeeper, otherwise 0.
pub static BROKER_REGISTERED: Metric = Metric {
    name: "broker_registered",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while the broker is registered in ZooKeeper, otherwise 0",
};

/// Always 1 where consumers use this server's own coordinator.
pub static BROKER_OWNERS_SEEN: Metric = Metric {
    name: "broker_owners_seen",
    kind: Kind::Gauge,
    unit: "",
    help: "1 while ZooKeeper shows who owns partitions, otherwise 0: then no get waits",
};

/// Frames and four-letter words received from ZooKeeper clients; `srst` begins anew.
pub static COORDINATOR_REQUESTS: Metric = Metric {
    name: "coordinator_requests",
    kind: Kind::Counter,
    unit: "",
    help: "Frames and four-letter words received from ZooKeeper clients; `srst` begins anew",
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

/// Batches written to the journal since it was made.
pub static JOURNAL_BATCHES: Metric = Metric {
    name: "journal_batches",
    kind: Kind::Counter,
    unit: "",
    help: "Batches written to the journal since it was made",
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

/// Time from a batch's submission until it was durable together with all before it.
pub static JOURNAL_BATCH_LATENCY: Metric = Metric {
    name: "journal_batch_latency",
    kind: Kind::Latency,
    unit: "seconds",
    help: "Time from a batch's submission until it was durable together with all before it",
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

/// Snapshots of the coordinator written.
pub static SNAPSHOTS: Metric = Metric {
    name: "snapshots",
    kind: Kind::Counter,
    unit: "",
    help: "Snapshots of the coordinator written",
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
    &READY,
    &MEMORY_BYTES,
    &OPEN_FILES,
    &OPEN_FILES_MAX,
    &LOG_LINES_LOST,
    &CONNECTIONS,
    &CONNECTIONS_ACCEPTED,
    &CONNECTIONS_REFUSED,
    &CONNECTIONS_DROPPED,
    &RECEIVED_BYTES,
    &SENT_BYTES,
    &CONNECTION_MEMORY_BYTES,
    &BROKER_REQUESTS,
    &BROKER_PUTS_FAILED,
    &BROKER_GET_MISSES,
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
    &BROKER_CLOSED_PARTITIONS,
    &BROKER_REGISTERED,
    &BROKER_OWNERS_SEEN,
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
