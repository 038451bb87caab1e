//! Every key of the configuration, one block each: name, section, unit, default, range, help, and
//! which key of the originals it replaces.
//!
//! `config/server.toml`, `docs/configuration.md` and every message about a key are made from these
//! blocks. To add a key: add a block, name it in [`ALL`], and read it in `checked.rs`.

use std::net::IpAddr;

use super::key::{Described, Key, Preset, Range, Section, TextRule};
use super::topic::{DeletePolicy, Schedule};
use super::words::{
    Backend, LogFilter, LogFormat, host_name_is_valid, super_digest_is_valid,
    zookeeper_root_is_valid,
};

/// Every key, in the order of the documentation.
pub static ALL: &[&dyn Described] = &[
    &SERVER_ID,
    &SERVER_HOST_NAME,
    &SERVER_LISTEN,
    &COORDINATOR_ENABLED,
    &COORDINATOR_LISTEN,
    &COORDINATOR_PORT,
    &COORDINATOR_TICK_TIME_MS,
    &COORDINATOR_SESSION_TIMEOUT_MIN_MS,
    &COORDINATOR_SESSION_TIMEOUT_MAX_MS,
    &COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX,
    &COORDINATOR_REQUEST_BYTES_MAX,
    &COORDINATOR_OUTSTANDING_REQUESTS_MAX,
    &COORDINATOR_SUPER_DIGEST,
    &COORDINATOR_SKIP_ACL,
    &COORDINATOR_FOUR_LETTER_WORDS,
    &COORDINATOR_SNAPSHOT_EVERY_ENTRIES,
    &BROKER_ENABLED,
    &BROKER_LISTEN,
    &BROKER_PORT,
    &BROKER_TOPICS_FOLDER,
    &BROKER_NUM_PARTITIONS,
    &BROKER_DELETE_POLICY,
    &BROKER_DELETE_WHEN,
    &BROKER_ACCEPT_PUBLISH,
    &BROKER_ACCEPT_SUBSCRIBE,
    &BROKER_STATISTICS,
    &BROKER_SEGMENT_BYTES,
    &BROKER_MESSAGE_BYTES_MAX,
    &BROKER_TRANSFER_BYTES_MAX,
    &BROKER_UPDATE_CONSUMER_OFFSETS,
    &BROKER_HOLD_GETS,
    &BROKER_HOLD_MAX_MS,
    &BROKER_HELD_GETS_MAX,
    &ZOOKEEPER_CONNECT,
    &ZOOKEEPER_ROOT,
    &ZOOKEEPER_REGISTER,
    &ZOOKEEPER_SESSION_TIMEOUT_MS,
    &ZOOKEEPER_DRAIN_MS,
    &TOPIC_NUM_PARTITIONS,
    &TOPIC_DELETE_POLICY,
    &TOPIC_DELETE_WHEN,
    &TOPIC_ACCEPT_PUBLISH,
    &TOPIC_ACCEPT_SUBSCRIBE,
    &TOPIC_STATISTICS,
    &TOPIC_FOLDER,
    &NETWORK_CONNECTIONS_MAX,
    &NETWORK_CONNECTION_BYTES_MAX,
    &NETWORK_ALL_CONNECTIONS_BYTES_MAX,
    &JOURNAL_FILE_BYTES,
    &JOURNAL_FILES_MAX,
    &DISK_BACKEND,
    &DISK_RESERVE_BYTES,
    &DISK_REFUSE_BELOW_BYTES,
    &WEB_ENABLED,
    &WEB_LISTEN,
    &WEB_PORT,
    &LOG_LEVEL,
    &LOG_FORMAT,
    &LOG_FILE,
];

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;
const GIB: u64 = 1024 * 1024 * 1024;

// [server]

/// `server.id`
pub static SERVER_ID: Key<u16> = Key {
    section: Section::Server,
    name: "id",
    unit: "",
    default: Preset::Value(1),
    permitted: Range { min: 0, max: 1023 },
    help: "This server's number: its `myid` as a coordinator, which must be 1 to 254, and its broker id. No two servers \
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
        words: "a host name or address of letters, digits, '-', '.' and ':'",
        accepts: host_name_is_valid,
    },
    help: "The name or address that this broker advertises: clients find it in ZooKeeper and connect to it, so it must lead \
           here from every client.",
    replaces: "server.ini: hostName",
};

/// `server.listen`
pub static SERVER_LISTEN: Key<IpAddr> = Key {
    section: Section::Server,
    name: "listen",
    unit: "",
    default: Preset::Value("127.0.0.1"),
    permitted: (),
    help: "The address on which coordinator and broker listen. The default is reached from this machine alone; \"0.0.0.0\" \
           listens on every address. Both protocols leave everything open to whoever reaches the port.",
    replaces: "zoo.cfg: clientPortAddress",
};

// [coordinator]

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
    help: "How many requests may be under way; beyond it, nothing more is read from connections that wait for an answer.",
    replaces: "zoo.cfg: globalOutstandingLimit",
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
    help: "Who authenticates with this passes every ACL. Empty: nobody does.",
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
    help: "The monitoring commands that are answered on the coordinator's port. `wchc` and `wchp` list every watch, which \
           costs a lot where there are many.",
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
    help: "After so many entries the tree is written to disk whole, so that a start need not read the journal from \
           further back, and its space is free again.",
    replaces: "zoo.cfg: snapCount",
};

// [broker]

/// `broker.enabled`
pub static BROKER_ENABLED: Key<bool> = Key {
    section: Section::Broker,
    name: "enabled",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether this server is a broker.",
    replaces: "",
};

/// `broker.listen`
pub static BROKER_LISTEN: Key<IpAddr> = Key {
    section: Section::Broker,
    name: "listen",
    unit: "",
    default: Preset::Derived("server.listen"),
    permitted: (),
    help: "The address on which the broker listens, if it is not the coordinator's.",
    replaces: "",
};

/// `broker.port`
pub static BROKER_PORT: Key<u16> = Key {
    section: Section::Broker,
    name: "port",
    unit: "",
    default: Preset::Value(8123),
    permitted: Range {
        min: 0,
        max: u16::MAX,
    },
    help: "The port for MetaQ's clients. 0 takes any free one; `chrysalis status` tells which.",
    replaces: "server.ini: serverPort",
};

/// `broker.topics_folder`
pub static BROKER_TOPICS_FOLDER: Key<String> = Key {
    section: Section::Broker,
    name: "topics_folder",
    unit: "",
    default: Preset::Value("data/topics"),
    permitted: PATH,
    help: "The folder of the message files, from the server's folder on if it does not begin with '/'. It may be one that the \
           original broker has written, while that is stopped.",
    replaces: "server.ini: dataPath",
};

/// `broker.num_partitions`
pub static BROKER_NUM_PARTITIONS: Key<u32> = Key {
    section: Section::Broker,
    name: "num_partitions",
    unit: "partitions",
    default: Preset::Value(1),
    permitted: NUM_PARTITIONS,
    help: "How many partitions a topic has on this broker. More of them let more consumers share the work.",
    replaces: "server.ini: numPartitions",
};

/// `broker.delete_policy`
pub static BROKER_DELETE_POLICY: Key<DeletePolicy> = Key {
    section: Section::Broker,
    name: "delete_policy",
    unit: "",
    default: Preset::Value("delete,168"),
    permitted: (),
    help: "What becomes of a full segment whose last message is older than AGE: removed, or renamed to `.arc`, or packed \
           into a `.zip`. Segments go from the front only, and the one being written never.",
    replaces: "server.ini: deletePolicy",
};

/// `broker.delete_when`
pub static BROKER_DELETE_WHEN: Key<Schedule> = Key {
    section: Section::Broker,
    name: "delete_when",
    unit: "",
    default: Preset::Value("0 0 6,18 * * ?"),
    permitted: (),
    help: "When old segments are looked for, in the machine's time zone.",
    replaces: "server.ini: deleteWhen",
};

/// `broker.accept_publish`
pub static BROKER_ACCEPT_PUBLISH: Key<bool> = Key {
    section: Section::Broker,
    name: "accept_publish",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether producers find a topic's partitions here. A put that comes all the same is taken.",
    replaces: "server.ini: acceptPublish",
};

/// `broker.accept_subscribe`
pub static BROKER_ACCEPT_SUBSCRIBE: Key<bool> = Key {
    section: Section::Broker,
    name: "accept_subscribe",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether consumers find a topic's partitions here. A get that comes all the same is answered.",
    replaces: "server.ini: acceptSubscribe",
};

/// `broker.statistics`
pub static BROKER_STATISTICS: Key<bool> = Key {
    section: Section::Broker,
    name: "statistics",
    unit: "",
    default: Preset::Value(false),
    permitted: (),
    help: "Whether real-time statistics are collected for a topic (`stats realtime`, `stats TOPIC`).",
    replaces: "server.ini: stat",
};

/// `broker.segment_bytes`
pub static BROKER_SEGMENT_BYTES: Key<u32> = Key {
    section: Section::Broker,
    name: "segment_bytes",
    unit: "bytes",
    default: Preset::Value(1024 * MIB),
    permitted: Range {
        min: 4 * KIB,
        max: 2_147_483_647,
    },
    help: "The size at which a message file is closed and the next one begun. Only closed files can be deleted.",
    replaces: "server.ini: maxSegmentSize",
};

/// `broker.message_bytes_max`
pub static BROKER_MESSAGE_BYTES_MAX: Key<u32> = Key {
    section: Section::Broker,
    name: "message_bytes_max",
    unit: "bytes",
    default: Preset::Value(2 * MIB),
    permitted: Range {
        min: 1,
        max: 16 * MIB,
    },
    help: "The largest message, its attribute included; a larger put is refused. The Java client cannot read more than the \
           default unless its notify.remoting.max_read_buffer_size is raised too.",
    replaces: "",
};

/// `broker.transfer_bytes_max`
pub static BROKER_TRANSFER_BYTES_MAX: Key<u32> = Key {
    section: Section::Broker,
    name: "transfer_bytes_max",
    unit: "bytes",
    default: Preset::Value(MIB),
    permitted: Range {
        min: 4 * KIB,
        max: 64 * MIB,
    },
    help: "The most that one get returns, however much it asks for.",
    replaces: "server.ini: maxTransferSize",
};

/// `broker.update_consumer_offsets`
pub static BROKER_UPDATE_CONSUMER_OFFSETS: Key<bool> = Key {
    section: Section::Broker,
    name: "update_consumer_offsets",
    unit: "",
    default: Preset::Value(false),
    permitted: (),
    help: "Whether a consumer whose offset lies beyond the end is sent back to the end, instead of being told that there is \
           nothing.",
    replaces: "server.ini: updateConsumerOffsets",
};

/// `broker.hold_gets`
pub static BROKER_HOLD_GETS: Key<bool> = Key {
    section: Section::Broker,
    name: "hold_gets",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether a subscribed consumer's get at the end of a partition waits here for the next message, which it then has \
           within milliseconds. Without it every get is answered at once, as the original does, and the consumer asks \
           again after up to 5 seconds.",
    replaces: "",
};

/// `broker.hold_max_ms`
pub static BROKER_HOLD_MAX_MS: Key<u32> = Key {
    section: Section::Broker,
    name: "hold_max_ms",
    unit: "milliseconds",
    default: Preset::Value(8000),
    permitted: Range {
        min: 100,
        max: 60_000,
    },
    help: "How long such a get waits at most. It must be less than the consumer's own timeout, which is 10 seconds unless it \
           was changed.",
    replaces: "",
};

/// `broker.held_gets_max`
pub static BROKER_HELD_GETS_MAX: Key<u32> = Key {
    section: Section::Broker,
    name: "held_gets_max",
    unit: "gets",
    default: Preset::Value(100_000),
    permitted: Range {
        min: 0,
        max: 10_000_000,
    },
    help: "How many gets may wait at a time; one more is answered at once.",
    replaces: "",
};

// [zookeeper]

/// `zookeeper.connect`
pub static ZOOKEEPER_CONNECT: Key<String> = Key {
    section: Section::Zookeeper,
    name: "connect",
    unit: "",
    default: Preset::Value(""),
    permitted: TextRule {
        words: "empty, or HOST:PORT[,HOST:PORT]...[/PATH]",
        accepts: |text| text.is_empty() || super::words::connect_string_is_valid(text),
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
    help: "The node below which brokers and consumers register. Clients must have the same.",
    replaces: "server.ini: zk.zkRoot",
};

/// `zookeeper.register`
pub static ZOOKEEPER_REGISTER: Key<bool> = Key {
    section: Section::Zookeeper,
    name: "register",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether the broker registers at all. Without it only clients find it that were given its address.",
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
    help: "How long the registration outlives a broker that has died.",
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
    help: "How long an orderly stop goes on serving after it has unregistered, so that clients can leave; not longer than \
           there are clients.",
    replaces: "server.ini: zk.zkSyncTimeMs",
};

// [topics.NAME]

/// `topics.NAME.num_partitions`
pub static TOPIC_NUM_PARTITIONS: Key<u32> = Key {
    section: Section::Topics,
    name: "num_partitions",
    unit: "partitions",
    default: Preset::Derived("broker.num_partitions"),
    permitted: NUM_PARTITIONS,
    help: "How many partitions this topic has on this broker.",
    replaces: "server.ini: numPartitions in [topic=NAME]",
};

/// `topics.NAME.delete_policy`
pub static TOPIC_DELETE_POLICY: Key<DeletePolicy> = Key {
    section: Section::Topics,
    name: "delete_policy",
    unit: "",
    default: Preset::Derived("broker.delete_policy"),
    permitted: (),
    help: "What becomes of this topic's old segments.",
    replaces: "server.ini: deletePolicy in [topic=NAME]",
};

/// `topics.NAME.delete_when`
pub static TOPIC_DELETE_WHEN: Key<Schedule> = Key {
    section: Section::Topics,
    name: "delete_when",
    unit: "",
    default: Preset::Derived("broker.delete_when"),
    permitted: (),
    help: "When this topic's old segments are looked for.",
    replaces: "server.ini: deleteWhen in [topic=NAME]",
};

/// `topics.NAME.accept_publish`
pub static TOPIC_ACCEPT_PUBLISH: Key<bool> = Key {
    section: Section::Topics,
    name: "accept_publish",
    unit: "",
    default: Preset::Derived("broker.accept_publish"),
    permitted: (),
    help: "Whether producers find this topic here.",
    replaces: "server.ini: acceptPublish in [topic=NAME]",
};

/// `topics.NAME.accept_subscribe`
pub static TOPIC_ACCEPT_SUBSCRIBE: Key<bool> = Key {
    section: Section::Topics,
    name: "accept_subscribe",
    unit: "",
    default: Preset::Derived("broker.accept_subscribe"),
    permitted: (),
    help: "Whether consumers find this topic here.",
    replaces: "server.ini: acceptSubscribe in [topic=NAME]",
};

/// `topics.NAME.statistics`
pub static TOPIC_STATISTICS: Key<bool> = Key {
    section: Section::Topics,
    name: "statistics",
    unit: "",
    default: Preset::Derived("broker.statistics"),
    permitted: (),
    help: "Whether real-time statistics are collected for this topic.",
    replaces: "server.ini: stat in [topic=NAME]",
};

/// `topics.NAME.folder`
pub static TOPIC_FOLDER: Key<String> = Key {
    section: Section::Topics,
    name: "folder",
    unit: "",
    default: Preset::Derived("broker.topics_folder"),
    permitted: PATH,
    help: "The folder in which this topic's partitions lie, if it is not that of the others.",
    replaces: "server.ini: dataPath in [topic=NAME]",
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
    help: "How many connections each of the ports has at most; one more is closed at once.",
    replaces: "zoo.cfg: maxCnxns",
};

/// `network.connection_bytes_max`
pub static NETWORK_CONNECTION_BYTES_MAX: Key<u32> = Key {
    section: Section::Network,
    name: "connection_bytes_max",
    unit: "bytes",
    default: Preset::Value(8 * MIB),
    permitted: Range {
        min: 64 * KIB,
        max: 1024 * MIB,
    },
    help: "How much memory one connection's requests and unread answers may take; beyond it nothing more is read from it \
           until the client has read. It must have room for the largest message and the largest request.",
    replaces: "",
};

/// `network.all_connections_bytes_max`
pub static NETWORK_ALL_CONNECTIONS_BYTES_MAX: Key<u64> = Key {
    section: Section::Network,
    name: "all_connections_bytes_max",
    unit: "bytes",
    default: Preset::Value(GIB / 4),
    permitted: Range {
        min: GIB / 1024,
        max: 1024 * GIB,
    },
    help: "The same for all connections together: beyond it, those that hold the most are disconnected.",
    replaces: "",
};

// [journal]

/// `journal.file_bytes`
pub static JOURNAL_FILE_BYTES: Key<u64> = Key {
    section: Section::Journal,
    name: "file_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 16),
    permitted: Range {
        min: GIB / 1024,
        max: 4 * GIB,
    },
    help: "The size of one journal file, a multiple of 4096. A change holds for files that are made from then on.",
    replaces: "zoo.cfg: preAllocSize",
};

/// `journal.files_max`
pub static JOURNAL_FILES_MAX: Key<u32> = Key {
    section: Section::Journal,
    name: "files_max",
    unit: "files",
    default: Preset::Value(16),
    permitted: Range { min: 4, max: 1024 },
    help: "How many journal files there are at most; they are written in turn.",
    replaces: "",
};

// [disk]

/// `disk.backend`
pub static DISK_BACKEND: Key<Backend> = Key {
    section: Section::Disk,
    name: "backend",
    unit: "",
    default: Preset::Value("auto"),
    permitted: (),
    help: "How the disk is written: through io_uring, or by threads. \"auto\" takes io_uring where the kernel lets us. Both \
           keep the same promises.",
    replaces: "",
};

/// `disk.reserve_bytes`
pub static DISK_RESERVE_BYTES: Key<u64> = Key {
    section: Section::Disk,
    name: "reserve_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 16),
    permitted: Range {
        min: 0,
        max: 1024 * GIB,
    },
    help: "The size of a file that is there only to be given up when the disk is full, so that there is room to act.",
    replaces: "",
};

/// `disk.refuse_below_bytes`
pub static DISK_REFUSE_BELOW_BYTES: Key<u64> = Key {
    section: Section::Disk,
    name: "refuse_below_bytes",
    unit: "bytes",
    default: Preset::Value(GIB / 4),
    permitted: Range {
        min: 0,
        max: 1024 * GIB,
    },
    help: "With less than this free, puts are refused (500, with a text that says so) until there is room again; gets and \
           the coordinator go on.",
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
    help: "The address of the web port. It does not follow server.listen: what it shows is not everybody's.",
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
    help: "Where they are written, from the server's folder on if it does not begin with '/'. Empty: standard error, which \
           `chrysalis start` leads to logs/chrysalis.log and systemd to its journal.",
    replaces: "",
};

/// What a folder's name may be.
const PATH: TextRule = TextRule {
    words: "a path",
    accepts: |text| !text.is_empty() && !text.contains('\0'),
};

/// How many partitions a topic may have.
const NUM_PARTITIONS: Range<u32> = Range {
    min: 1,
    max: 10_000,
};
