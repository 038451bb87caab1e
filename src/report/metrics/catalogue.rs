//! Every metric there is, in the order of `docs/metrics.md`.

use super::{Kind, Metric};

/// Metrics about one thing.
#[derive(Debug)]
pub struct Part {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [&'static Metric],
}

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    PARTS.iter().flat_map(|part| part.metrics.iter().copied())
}

/// A metric a line: what it is called here, its kind, name, unit and labels; then what it means.
macro_rules! metrics {
    ($($title:literal {
        $($constant:ident $kind:ident $name:literal $unit:literal [$($label:literal),*] $help:literal)*
    })*) => {
        $($(
            #[doc = $help]
            pub static $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*)*

        /// Every metric, by what it is about.
        pub static PARTS: &[Part] = &[$(Part {
            title: $title,
            metrics: &[$(&$constant),*],
        }),*];
    };
}

metrics! {
    "The process" {
        UPTIME_SECONDS Gauge "uptime" "seconds" []
            "Time since the server began to start"
        READY Gauge "ready" "" []
            "1 while the server does everything it is there for, otherwise 0; /ready gives the reasons"
        MEMORY_BYTES Gauge "resident_memory" "bytes" []
            "Resident memory of the process, as the kernel counts it"
        OPEN_FILES Gauge "open_files" "" []
            "Files and sockets the process has open"
        OPEN_FILES_MAX Gauge "open_files_max" "" []
            "Files and sockets the process may have open"
        LOG_LINES_LOST Counter "log_lines_lost" "" []
            "Log lines that could not be written"
    }
    "Connections" {
        CONNECTIONS Gauge "connections" "" ["port"]
            "Open connections"
        CONNECTIONS_ACCEPTED Counter "connections_accepted" "" ["port"]
            "Connections accepted"
        CONNECTIONS_REFUSED Counter "connections_refused" "" ["port", "limit"]
            "Connections closed at once at a limit: that of the port (all) or of one client address (address)"
        CONNECTIONS_DROPPED Counter "connections_dropped" "" ["port", "reason"]
            "Connections closed for what the client did: protocol, slow, silent, no_session, memory, unread, limit"
        RECEIVED_BYTES Counter "received" "bytes" ["port"]
            "Bytes received from clients"
        SENT_BYTES Counter "sent" "bytes" ["port"]
            "Bytes sent to clients"
        CONNECTION_MEMORY_BYTES Gauge "connection_memory" "bytes" []
            "Memory taken by requests and unread answers"
    }
    "Broker" {
        BROKER_REQUESTS Counter "broker_requests" "" ["command"]
            "MetaQ requests: put, get, offset"
        BROKER_PUTS_FAILED Counter "broker_puts_failed" "" []
            "Puts answered with status 500"
        BROKER_GET_MISSES Counter "broker_get_misses" "" []
            "Gets that found no message, at once or after waiting"
        BROKER_PUT_BYTES Counter "broker_put" "bytes" []
            "Bytes of messages put, headers included"
        BROKER_GET_BYTES Counter "broker_get" "bytes" []
            "Bytes of messages sent to consumers, headers included"
        BROKER_PUT_LATENCY Latency "broker_put_latency" "seconds" []
            "Time from the arrival of a put until it was durable, visible and answered"
        BROKER_HELD_GETS Gauge "broker_held_gets" "" []
            "Gets that wait for a message"
        BROKER_HELD_GETS_ENDED Counter "broker_held_gets_ended" "" ["by"]
            "Waiting gets that ended: with data, by another get (again), for a turn, with 404 instead of a turn (room), with nothing, closed"
        BROKER_TOPICS Gauge "broker_topics" "" []
            "Topics that have data or a section in the configuration"
        BROKER_PARTITIONS Gauge "broker_partitions" "" []
            "Partitions with data"
        BROKER_PARTITION_MIN_OFFSET Gauge "broker_partition_min_offset" "bytes" ["topic", "partition"]
            "Offset of the oldest message kept"
        BROKER_PARTITION_MAX_OFFSET Gauge "broker_partition_max_offset" "bytes" ["topic", "partition"]
            "Offset after the newest message"
        BROKER_DAMAGED_PARTITIONS Gauge "broker_damaged_partitions" "" []
            "Partitions in which damage was found, including damage that skip-damage passes over"
        BROKER_CLOSED_PARTITIONS Gauge "broker_closed_partitions" "" []
            "Partitions closed by an operator: puts and gets get status 403"
        BROKER_REGISTERED Gauge "broker_registered" "" []
            "1 while the broker and its topics are registered in ZooKeeper, otherwise 0"
        BROKER_OWNERS_SEEN Gauge "broker_owners_seen" "" []
            "1 while the broker can read in ZooKeeper who owns partitions; at 0 no get waits"
    }
    "Coordinator" {
        COORDINATOR_REQUESTS Counter "coordinator_requests" "" []
            "Requests and four-letter words from ZooKeeper clients; srst sets it to 0"
        COORDINATOR_WRITE_LATENCY Latency "coordinator_write_latency" "seconds" []
            "Time from the arrival of a write until it was durable, applied and answered"
        COORDINATOR_OUTSTANDING Gauge "coordinator_outstanding_requests" "" []
            "ZooKeeper requests not answered yet"
        COORDINATOR_SESSIONS Gauge "coordinator_sessions" "" []
            "Open sessions"
        COORDINATOR_READ_ONLY Gauge "coordinator_read_only" "" []
            "1 while no server leads and clients that ask for it are served old data, read-only, otherwise 0"
        COORDINATOR_READ_ONLY_SESSIONS Gauge "coordinator_read_only_sessions" "" []
            "Sessions of such clients here"
        COORDINATOR_ZNODES Gauge "coordinator_znodes" "" []
            "Znodes"
        COORDINATOR_EPHEMERALS Gauge "coordinator_ephemerals" "" []
            "Ephemeral znodes"
        COORDINATOR_WATCHES Gauge "coordinator_watches" "" []
            "Watches set"
        COORDINATOR_DATA_BYTES Gauge "coordinator_data" "bytes" []
            "Bytes of paths and data in the tree, approximately"
        COORDINATOR_ZXID Gauge "coordinator_zxid" "" []
            "The last zxid"
    }
    "Ensemble" {
        ENSEMBLE_LEADS Gauge "ensemble_leads" "" []
            "1 while this server leads its ensemble or is alone, otherwise 0; one server of an ensemble has 1"
        ENSEMBLE_TERM Gauge "ensemble_term" "" []
            "The term: it grows with each election"
        ENSEMBLE_MEMBERS Gauge "ensemble_members" "" []
            "Servers that are members, as far as this one knows, itself included"
        ENSEMBLE_VOTERS Gauge "ensemble_voters" "" []
            "Members that vote: a majority of them has to be there; observers are members, and nothing waits for them"
        ENSEMBLE_CONNECTED Gauge "ensemble_connected_servers" "" []
            "Other servers that are connected with this one"
        ENSEMBLE_COMMITTED Gauge "ensemble_committed_index" "" []
            "The last entry that is known to be committed"
        ENSEMBLE_APPLIED Gauge "ensemble_applied_index" "" []
            "The last entry applied here"
        ENSEMBLE_BEHIND Gauge "ensemble_behind_entries" "" ["server"]
            "Committed entries that a member does not have on its disk; only the leader knows"
        ENSEMBLE_CERTIFICATE_LEFT Gauge "ensemble_certificate_left" "seconds" []
            "Time until this server's certificate ends; only where cluster.certificates is set"
        ENSEMBLE_DIFFERING Gauge "ensemble_differing_servers" "" []
            "Servers whose data is not that of the others, and which serve nobody until they have a snapshot"
        ENSEMBLE_DIFFERING_FOUND Counter "ensemble_differing_found" "" []
            "How often this server has found another's data, or its own, to differ"
    }
    "Journal, snapshots and checkpoints" {
        JOURNAL_BATCHES Counter "journal_batches" "" []
            "Batches written to the journal since the folder was made"
        JOURNAL_ENTRIES Counter "journal_entries" "" []
            "Entries written to the journal"
        JOURNAL_READ_BACK Counter "journal_entries_read_back" "" []
            "Entries read back from the journal for servers that lacked them"
        JOURNAL_WRITTEN_BYTES Counter "journal_written" "bytes" []
            "Bytes written to the journal, padding included"
        JOURNAL_BATCH_LATENCY Latency "journal_batch_latency" "seconds" []
            "Time from handing a batch to the disk until it and all earlier ones were durable"
        JOURNAL_FILES Gauge "journal_files" "" []
            "Files the journal may have"
        JOURNAL_FILES_NEEDED Gauge "journal_files_needed" "" []
            "Journal files still needed; the others can be reused"
        SNAPSHOTS Counter "snapshots" "" []
            "Snapshots of the coordinator written"
        CHECKPOINTS Counter "checkpoints" "" []
            "Checkpoints of the message files written"
    }
    "Disk and event loop" {
        DISK_FREE_BYTES Gauge "disk_free" "bytes" []
            "Free bytes on the file system of the data folder"
        DISK_REFUSING_PUTS Gauge "disk_refusing_puts" "" []
            "1 while puts are refused because the disk is nearly full, otherwise 0"
        DISK_RING Gauge "disk_ring" "" []
            "1 if the disk is written through io_uring, 0 if by threads"
        LOOP_TURNS Counter "loop_turns" "" []
            "Turns of the event loop"
        LOOP_TURN_LATENCY Latency "loop_turn_latency" "seconds" []
            "Time that a turn of the event loop took"
    }
}
