//! When the metrics should wake somebody: rules for Prometheus.

/// A rule that fires while its expression has held for a while.
#[derive(Debug)]
pub struct Alarm {
    /// What Prometheus calls it.
    pub name: &'static str,
    /// Who is told, and when.
    pub urgency: Urgency,
    /// The expression, in PromQL.
    pub expression: &'static str,
    /// How long it has to hold, as Prometheus writes it.
    pub hold: &'static str,
    /// What it means, in a sentence without a full stop.
    pub meaning: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// Who is told, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody now.
    Page,
    /// Whoever works next.
    Ticket,
}

impl Urgency {
    /// As a label.
    pub const fn name(self) -> &'static str {
        match self {
            Urgency::Page => "page",
            Urgency::Ticket => "ticket",
        }
    }
}

impl Alarm {
    /// The full names of our metrics that its expression looks at.
    pub fn metrics(&self) -> impl Iterator<Item = &'static str> {
        self.expression
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("chrysalis_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
    }
}

/// Every alarm, the most urgent first.
pub static ALARMS: &[Alarm] = &[
    Alarm {
        name: "ChrysalisGone",
        urgency: Urgency::Page,
        expression: "up{job=\"chrysalis\"} == 0",
        hold: "1m",
        meaning: "Prometheus cannot reach the web port: the server is down or its host is",
        cure: "Ask `chrysalis status DIR`, and read the end of the log",
    },
    Alarm {
        name: "ChrysalisNotReady",
        urgency: Urgency::Page,
        expression: "chrysalis_ready == 0",
        hold: "2m",
        meaning: "Puts are refused, clients do not find all topics, or damage was found and not yet skipped",
        cure: "Read the reasons at `/ready` or in `chrysalis status DIR`",
    },
    Alarm {
        name: "ChrysalisRestarts",
        urgency: Urgency::Page,
        expression: "resets(chrysalis_uptime_seconds[1h]) > 3",
        hold: "0m",
        meaning: "The server has started more than three times within an hour",
        cure: "The last lines before each start in the log say why it ended",
    },
    Alarm {
        name: "ChrysalisPutsFail",
        urgency: Urgency::Page,
        expression: "rate(chrysalis_broker_puts_failed_total[5m]) > 0",
        hold: "5m",
        meaning: "Producers get status 500 again and again",
        cure: "The answer has the reason in words; `/ready` usually has it, too",
    },
    Alarm {
        name: "ChrysalisDiskFillsUp",
        urgency: Urgency::Ticket,
        expression: "predict_linear(chrysalis_disk_free_bytes[6h], 86400) < 0",
        hold: "1h",
        meaning: "At the pace of the last six hours the disk is full within a day",
        cure: "Keep messages for less time (`broker.delete_policy`), or add room",
    },
    Alarm {
        name: "ChrysalisJournalFull",
        urgency: Urgency::Ticket,
        expression: "chrysalis_journal_files_needed / chrysalis_journal_files > 0.75",
        hold: "10m",
        meaning: "The journal is nearly full: checkpoints or snapshots do not free its files",
        cure: "The log says why; where the disk is slow, raise `journal.files_max`",
    },
    Alarm {
        name: "ChrysalisDiskSlow",
        urgency: Urgency::Ticket,
        expression: "histogram_quantile(0.99, rate(chrysalis_journal_batch_latency_seconds_bucket[5m])) > 0.1",
        hold: "10m",
        meaning: "One batch in a hundred takes more than 0.1 s to become durable, and every reply waits for it",
        cure: "Compare with `chrysalis bench disk DIR`, and look for what else uses the disk",
    },
    Alarm {
        name: "ChrysalisLoopSlow",
        urgency: Urgency::Ticket,
        expression: "histogram_quantile(0.99, rate(chrysalis_loop_turn_latency_seconds_bucket[5m])) > 0.05",
        hold: "10m",
        meaning: "Single requests keep all others waiting for more than 0.05 s",
        cure: "docs/performance.md lists the requests that take long",
    },
    Alarm {
        name: "ChrysalisDamage",
        urgency: Urgency::Ticket,
        expression: "chrysalis_broker_damaged_partitions > 0",
        hold: "0m",
        meaning: "A message file is damaged; this holds until retention deletes the file",
        cure: "See `chrysalis explain E0203`, and look at the disk",
    },
    Alarm {
        name: "ChrysalisDataDiffers",
        urgency: Urgency::Ticket,
        expression: "increase(chrysalis_ensemble_differing_found_total[1h]) > 0",
        hold: "0m",
        meaning: "The data of a server was not that of the others; it takes a snapshot of theirs by itself",
        cure: "Keep the logs of all servers, test the memory of the one that the log names, and report it",
    },
    Alarm {
        name: "ChrysalisCertificateEnds",
        urgency: Urgency::Ticket,
        expression: "chrysalis_ensemble_certificate_left_seconds < 86400 * 60",
        hold: "1h",
        meaning: "The certificate that a server shows to the others ends within 60 days, and it should have renewed it before",
        cure: "The line `certificate` of `chrysalis status DIR` says why there is no new one",
    },
    Alarm {
        name: "ChrysalisPartitionsClosed",
        urgency: Urgency::Ticket,
        expression: "chrysalis_broker_closed_partitions > 0",
        hold: "1h",
        meaning: "Partitions are closed: their puts and gets are answered 403, which neither `/ready` nor failed puts show",
        cure: "`chrysalis status DIR` names them; `chrysalis partition open` or a restart opens them",
    },
    Alarm {
        name: "ChrysalisOwnersUnseen",
        urgency: Urgency::Ticket,
        expression: "chrysalis_broker_owners_seen == 0",
        hold: "10m",
        meaning: "The broker cannot read who owns partitions in ZooKeeper, so no get waits and messages arrive late",
        cure: "The line `owners` of `chrysalis status DIR` says why",
    },
    Alarm {
        name: "ChrysalisConnectionsRefused",
        urgency: Urgency::Ticket,
        expression: "rate(chrysalis_connections_refused_total[5m]) > 0",
        hold: "5m",
        meaning: "Clients are turned away at a limit of connections",
        cure: "Find the client that opens so many, or raise `network.connections_max` (label `all`) or \
               `coordinator.connections_per_address_max` (label `address`)",
    },
    Alarm {
        name: "ChrysalisDescriptors",
        urgency: Urgency::Ticket,
        expression: "chrysalis_open_files / chrysalis_open_files_max > 0.9",
        hold: "10m",
        meaning: "Nine in ten of the file descriptors that the process may have are in use",
        cure: "Raise `LimitNOFILE`, or `ulimit -n`",
    },
    Alarm {
        name: "ChrysalisLogLinesLost",
        urgency: Urgency::Ticket,
        expression: "increase(chrysalis_log_lines_lost_total[1h]) > 0",
        hold: "0m",
        meaning: "Log lines could not be written",
        cure: "Check whether the log's disk is full, and whether its reader still reads",
    },
];
