//! `[server]`, `[network]`, `[web]`, `[log]`: the server as a whole and what surrounds it.

use std::net::IpAddr;

use super::{GIB, KIB, MIB};
use crate::config::key::{Key, Preset, Range, Section, TextRule};
use crate::config::words::{LogFilter, LogFormat, host_name_is_valid};

// [server]

/// `server.id`
pub static SERVER_ID: Key<u16> = Key {
    section: Section::Server,
    name: "id",
    unit: "",
    default: Preset::Value(1),
    permitted: Range { min: 0, max: 1023 },
    help: "This server's number: its `myid` as a coordinator, which must be 0 to 254, and its broker id. No two servers \
           of a cluster may share it, and it must not change once there are messages.",
    replaces: "server.ini: brokerId; zookeeper: the file myid",
};

/// `server.host_name`
pub static SERVER_HOST_NAME: Key<String> = Key {
    section: Section::Server,
    name: "host_name",
    unit: "",
    default: Preset::Derived(
        "the broker's listen address, or this machine's first address if it listens on all of them",
    ),
    permitted: TextRule {
        words: "a host name or address of letters, digits, '-', '.' and ':' (to Java's clients a name with '_' is no host)",
        accepts: host_name_is_valid,
    },
    help: "The name or address that this broker advertises in ZooKeeper. Clients connect to it, so it must lead here from \
           every client.",
    replaces: "server.ini: hostName",
};

/// `server.listen`
pub static SERVER_LISTEN: Key<IpAddr> = Key {
    section: Section::Server,
    name: "listen",
    unit: "",
    default: Preset::Value("127.0.0.1"),
    permitted: (),
    help: "The address on which coordinator and broker listen. The default admits only this machine; \"0.0.0.0\" \
           listens on every address. There are no passwords and no encryption: whoever reaches a port may do everything.",
    replaces: "",
};

// [network]

/// `network.connections_max`
pub static NETWORK_CONNECTIONS_MAX: Key<u32> = Key {
    section: Section::Network,
    name: "connections_max",
    unit: "connections",
    default: Preset::Value(10_000),
    permitted: Range {
        min: 1,
        max: 1_000_000,
    },
    help: "How many connections each port has at most, the coordinator's and the broker's. One more is closed at once.",
    replaces: "zoo.cfg: maxCnxns",
};

/// `network.connection_bytes_max`
pub static NETWORK_CONNECTION_BYTES_MAX: Key<u32> = Key {
    section: Section::Network,
    name: "connection_bytes_max",
    unit: "bytes",
    default: Preset::Derived("8388608, or what the largest message or request needs"),
    permitted: Range {
        min: 64 * KIB,
        max: 1024 * MIB,
    },
    help: "How much memory the unread answers of one connection may take. Long before that the server stops reading from it. A \
           client that exceeds it and reads nothing for half a minute is disconnected; beyond 64 MiB, at once. The longest \
           answer does not count. It must be larger than the largest message and the largest request.",
    replaces: "",
};

/// `network.all_connections_bytes_max`
pub static NETWORK_ALL_CONNECTIONS_BYTES_MAX: Key<u64> = Key {
    section: Section::Network,
    name: "all_connections_bytes_max",
    unit: "bytes",
    default: Preset::Derived("268435456, or connection_bytes_max if that is more"),
    permitted: Range {
        min: GIB / 1024,
        max: 1024 * GIB,
    },
    help: "The same for all connections together. Beyond it the server stops reading from connections that hold much. Of those \
           whose clients do not read, it disconnects the one that holds the most.",
    replaces: "",
};

// [web]

/// `web.enabled`
pub static WEB_ENABLED: Key<bool> = Key {
    section: Section::Web,
    name: "enabled",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether there is a web port.",
    replaces: "",
};

/// `web.listen`
pub static WEB_LISTEN: Key<IpAddr> = Key {
    section: Section::Web,
    name: "listen",
    unit: "",
    default: Preset::Value("127.0.0.1"),
    permitted: (),
    help: "The address of the web port. It does not follow server.listen, because what it shows is not for everybody.",
    replaces: "",
};

/// `web.port`
pub static WEB_PORT: Key<u16> = Key {
    section: Section::Web,
    name: "port",
    unit: "",
    default: Preset::Value(8120),
    permitted: Range {
        min: 0,
        max: u16::MAX,
    },
    help: "The web port. 0 takes any free one; `chrysalis status` tells which.",
    replaces: "server.ini: dashboardHttpPort",
};

// [log]

/// `log.level`
pub static LOG_LEVEL: Key<LogFilter> = Key {
    section: Section::Log,
    name: "level",
    unit: "",
    default: Preset::Value("info"),
    permitted: (),
    help: "Which lines are written: a level, or levels by module, as in \"info,chrysalis::broker=debug\".",
    replaces: "",
};

/// `log.format`
pub static LOG_FORMAT: Key<LogFormat> = Key {
    section: Section::Log,
    name: "format",
    unit: "",
    default: Preset::Value("text"),
    permitted: (),
    help: "Lines for people, or one JSON object a line.",
    replaces: "",
};

/// `log.file`
pub static LOG_FILE: Key<String> = Key {
    section: Section::Log,
    name: "file",
    unit: "",
    default: Preset::Value(""),
    permitted: TextRule {
        words: "empty or a path",
        accepts: |text| !text.contains('\0'),
    },
    help: "The file they are written to, relative to the server's folder. Empty: standard error, which `chrysalis start` \
           directs to logs/chrysalis.log, and systemd to its journal.",
    replaces: "",
};
