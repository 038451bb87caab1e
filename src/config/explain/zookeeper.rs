//! `[zookeeper]`: where the broker registers.

use crate::config::key::{Key, Preset, Range, Section, TextRule};
use crate::config::words::{connect_string, zookeeper_root_is_valid};

/// `zookeeper.connect`
pub static ZOOKEEPER_CONNECT: Key<String> = Key {
    section: Section::Zookeeper,
    name: "connect",
    unit: "",
    default: Preset::Value(""),
    permitted: TextRule {
        words: "empty, or HOST:PORT[,HOST:PORT]...[/PATH]",
        accepts: |text| text.is_empty() || connect_string(text).is_some(),
    },
    help: "The ZooKeeper in which the broker registers. Empty: this server's own coordinator.",
    replaces: "server.ini: zk.zkConnect",
};

/// `zookeeper.root`
pub static ZOOKEEPER_ROOT: Key<String> = Key {
    section: Section::Zookeeper,
    name: "root",
    unit: "",
    default: Preset::Value("/meta"),
    permitted: TextRule {
        words: "a path that begins with '/' and does not end with it, such as \"/meta\"",
        accepts: zookeeper_root_is_valid,
    },
    help: "The znode below which brokers and consumers register. Clients must use the same.",
    replaces: "server.ini: zk.zkRoot",
};

/// `zookeeper.register`
pub static ZOOKEEPER_REGISTER: Key<bool> = Key {
    section: Section::Zookeeper,
    name: "register",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether the broker registers at all. Without it, only clients that know its address find it.",
    replaces: "server.ini: zk.zkEnable",
};

/// `zookeeper.session_timeout_ms`
pub static ZOOKEEPER_SESSION_TIMEOUT_MS: Key<u32> = Key {
    section: Section::Zookeeper,
    name: "session_timeout_ms",
    unit: "milliseconds",
    default: Preset::Value(30_000),
    permitted: Range {
        min: 1000,
        max: 600_000,
    },
    help: "How long the registration outlives a broker that has died. ZooKeeper may grant more or less, as its own limits \
           say (coordinator.session_timeout_min_ms and session_timeout_max_ms).",
    replaces: "server.ini: zk.zkSessionTimeoutMs",
};

/// `zookeeper.drain_ms`
pub static ZOOKEEPER_DRAIN_MS: Key<u32> = Key {
    section: Section::Zookeeper,
    name: "drain_ms",
    unit: "milliseconds",
    default: Preset::Value(5000),
    permitted: Range {
        min: 0,
        max: 60_000,
    },
    help: "How long an orderly stop serves on after the broker has left ZooKeeper, so that clients can turn elsewhere. It ends \
           earlier when no client is left. If clients use this server's own coordinator, which stops with it, it does not wait: \
           they have nowhere to go.",
    replaces: "server.ini: zk.zkSyncTimeMs",
};
