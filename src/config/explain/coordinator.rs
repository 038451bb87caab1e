//! `[coordinator]`: what ZooKeeper's clients talk to.

use std::net::IpAddr;

use super::{GIB, MIB};
use crate::config::key::{Key, Preset, Range, Section, TextRule};
use crate::config::words::super_digest_is_valid;

/// `coordinator.enabled`
pub static COORDINATOR_ENABLED: Key<bool> = Key {
    section: Section::Coordinator,
    name: "enabled",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether this server is a coordinator.",
    replaces: "",
};

/// `coordinator.listen`
pub static COORDINATOR_LISTEN: Key<IpAddr> = Key {
    section: Section::Coordinator,
    name: "listen",
    unit: "",
    default: Preset::Derived("server.listen"),
    permitted: (),
    help: "The address on which the coordinator listens, if it is not the broker's.",
    replaces: "zoo.cfg: clientPortAddress",
};

/// `coordinator.port`
pub static COORDINATOR_PORT: Key<u16> = Key {
    section: Section::Coordinator,
    name: "port",
    unit: "",
    default: Preset::Value(2181),
    permitted: Range {
        min: 0,
        max: u16::MAX,
    },
    help: "The port for ZooKeeper's clients. 0 takes any free one; `chrysalis status` tells which.",
    replaces: "zoo.cfg: clientPort",
};

/// `coordinator.tick_time_ms`
pub static COORDINATOR_TICK_TIME_MS: Key<u32> = Key {
    section: Section::Coordinator,
    name: "tick_time_ms",
    unit: "milliseconds",
    default: Preset::Value(2000),
    permitted: Range {
        min: 100,
        max: 60_000,
    },
    help: "How finely session timeouts are kept: a session ends between its timeout and one tick later.",
    replaces: "zoo.cfg: tickTime",
};

/// `coordinator.session_timeout_min_ms`
pub static COORDINATOR_SESSION_TIMEOUT_MIN_MS: Key<u32> = Key {
    section: Section::Coordinator,
    name: "session_timeout_min_ms",
    unit: "milliseconds",
    default: Preset::Derived("2 x tick_time_ms"),
    permitted: Range {
        min: 100,
        max: 86_400_000,
    },
    help: "The shortest session timeout that a client can get; one that asks for less gets this.",
    replaces: "zoo.cfg: minSessionTimeout",
};

/// `coordinator.session_timeout_max_ms`
pub static COORDINATOR_SESSION_TIMEOUT_MAX_MS: Key<u32> = Key {
    section: Section::Coordinator,
    name: "session_timeout_max_ms",
    unit: "milliseconds",
    default: Preset::Derived("20 x tick_time_ms"),
    permitted: Range {
        min: 100,
        max: 86_400_000,
    },
    help: "The longest session timeout that a client can get; one that asks for more gets this.",
    replaces: "zoo.cfg: maxSessionTimeout",
};

/// `coordinator.connections_per_address_max`
pub static COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX: Key<u32> = Key {
    section: Section::Coordinator,
    name: "connections_per_address_max",
    unit: "connections",
    default: Preset::Value(60),
    permitted: Range {
        min: 0,
        max: 1_000_000,
    },
    help: "How many connections one client address may have; one more is closed at once. 0 is no limit.",
    replaces: "zoo.cfg: maxClientCnxns",
};

/// `coordinator.request_bytes_max`
pub static COORDINATOR_REQUEST_BYTES_MAX: Key<u32> = Key {
    section: Section::Coordinator,
    name: "request_bytes_max",
    unit: "bytes",
    default: Preset::Value(1_048_575),
    permitted: Range {
        min: 1024,
        max: 16 * MIB,
    },
    help: "The largest request, and so about the largest node; a client that sends a larger one is disconnected.",
    replaces: "zookeeper: jute.maxbuffer",
};

/// `coordinator.outstanding_requests_max`
pub static COORDINATOR_OUTSTANDING_REQUESTS_MAX: Key<u32> = Key {
    section: Section::Coordinator,
    name: "outstanding_requests_max",
    unit: "requests",
    default: Preset::Value(1000),
    permitted: Range {
        min: 1,
        max: 1_000_000,
    },
    help: "How many requests may wait for an answer. Beyond it the server reads nothing more from connections that wait.",
    replaces: "zoo.cfg: globalOutstandingLimit",
};

/// `coordinator.watch_bytes_per_connection_max`
pub static COORDINATOR_WATCH_BYTES_PER_CONNECTION_MAX: Key<u64> = Key {
    section: Section::Coordinator,
    name: "watch_bytes_per_connection_max",
    unit: "bytes",
    default: Preset::Value(GIB / 16),
    permitted: Range {
        min: GIB / 1024 / 1024,
        max: 1024 * GIB,
    },
    help: "How much memory the watches of one connection may take, at 200 bytes and the path for each: the default is some \
           250,000 watches. One watch too many gets error -1. A client that sets too many again after a \
           reconnect (`setWatches`) is disconnected.",
    replaces: "",
};

/// `coordinator.watch_bytes_max`
pub static COORDINATOR_WATCH_BYTES_MAX: Key<u64> = Key {
    section: Section::Coordinator,
    name: "watch_bytes_max",
    unit: "bytes",
    default: Preset::Value(GIB / 4),
    permitted: Range {
        min: GIB / 1024 / 1024,
        max: 1024 * GIB,
    },
    help: "The same for all connections together. Beyond it the connection with the most watches is closed.",
    replaces: "",
};

/// `coordinator.sessions_max`
pub static COORDINATOR_SESSIONS_MAX: Key<u32> = Key {
    section: Section::Coordinator,
    name: "sessions_max",
    unit: "sessions",
    default: Preset::Value(100_000),
    permitted: Range {
        min: 1,
        max: 10_000_000,
    },
    help: "How many sessions there may be. Sessions whose client is gone count until they expire. A client that wants one \
           more is disconnected; those that have one go on.",
    replaces: "",
};

/// `coordinator.sessions_per_address_max`
pub static COORDINATOR_SESSIONS_PER_ADDRESS_MAX: Key<u32> = Key {
    section: Section::Coordinator,
    name: "sessions_per_address_max",
    unit: "sessions",
    default: Preset::Value(10_000),
    permitted: Range {
        min: 1,
        max: 10_000_000,
    },
    help: "How many of them one client address may have.",
    replaces: "",
};

/// `coordinator.tree_bytes_max`
pub static COORDINATOR_TREE_BYTES_MAX: Key<u64> = Key {
    section: Section::Coordinator,
    name: "tree_bytes_max",
    unit: "bytes",
    default: Preset::Value(GIB),
    permitted: Range {
        min: GIB / 1024,
        max: 1024 * GIB,
    },
    help: "How much memory the znodes may take: for each, 256 bytes, its path and its data. A write that would exceed it gets \
           error -1; everything else goes on, deleting included. ZooKeeper's limit is its heap (1000 MB by default), and \
           there it ends.",
    replaces: "",
};

/// `coordinator.super_digest`
pub static COORDINATOR_SUPER_DIGEST: Key<String> = Key {
    section: Section::Coordinator,
    name: "super_digest",
    unit: "",
    default: Preset::Value(""),
    permitted: TextRule {
        words: "empty, or \"super:\" and the base64 of the SHA-1 of \"super:PASSWORD\"",
        accepts: super_digest_is_valid,
    },
    help: "A client that authenticates with this passes every ACL. Empty: nobody does.",
    replaces: "zookeeper: zookeeper.DigestAuthenticationProvider.superDigest",
};

/// `coordinator.skip_acl`
pub static COORDINATOR_SKIP_ACL: Key<bool> = Key {
    section: Section::Coordinator,
    name: "skip_acl",
    unit: "",
    default: Preset::Value(false),
    permitted: (),
    help: "Checks no ACL at all: everybody may do everything.",
    replaces: "zoo.cfg: skipACL",
};

/// `coordinator.read_only`
pub static COORDINATOR_READ_ONLY: Key<bool> = Key {
    section: Section::Coordinator,
    name: "read_only",
    unit: "",
    default: Preset::Value(false),
    permitted: (),
    help: "One server of several, when no leader has been known for 2 seconds or a tick: whether clients that ask for it (Java: \
           `canBeReadOnly`) may read what this server has, however old that is. They are closed when there is a leader again.",
    replaces: "zookeeper: readonlymode.enabled",
};

/// `coordinator.four_letter_words`
pub static COORDINATOR_FOUR_LETTER_WORDS: Key<Vec<String>> = Key {
    section: Section::Coordinator,
    name: "four_letter_words",
    unit: "",
    default: Preset::Value(&[
        "conf", "cons", "crst", "dump", "envi", "isro", "mntr", "ruok", "srst", "srvr", "stat",
        "wchs",
    ]),
    permitted: TextRule {
        words: "a list of conf, cons, crst, dump, envi, isro, mntr, ruok, srst, srvr, stat, wchc, wchp, wchs, or [\"*\"] for all",
        accepts: |word| word == "*" || FOUR_LETTER_WORDS.contains(&word),
    },
    help: "The monitoring commands that the coordinator's port answers. It always answers `srvr`, because zkServer.sh asks it. \
           `wchc` and `wchp` list every watch: with many watches that costs a lot.",
    replaces: "zoo.cfg: 4lw.commands.whitelist",
};

/// The four-letter words there are.
pub const FOUR_LETTER_WORDS: [&str; 14] = [
    "conf", "cons", "crst", "dump", "envi", "isro", "mntr", "ruok", "srst", "srvr", "stat", "wchc",
    "wchp", "wchs",
];

/// `coordinator.snapshot_every_entries`
pub static COORDINATOR_SNAPSHOT_EVERY_ENTRIES: Key<u32> = Key {
    section: Section::Coordinator,
    name: "snapshot_every_entries",
    unit: "journal entries",
    default: Preset::Value(100_000),
    permitted: Range {
        min: 10,
        max: 100_000_000,
    },
    help: "After this many entries the whole tree is written to disk. Then a start needs nothing older from the journal, and \
           the journal can reuse that space.",
    replaces: "zoo.cfg: snapCount",
};
