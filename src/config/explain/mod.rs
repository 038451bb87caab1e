//! Every key of the configuration, one block each: name, section, unit, default, range, help, and
//! which key of the originals it replaces.
//!
//! `config/server.toml`, `docs/configuration.md` and every message about a key are made from these
//! blocks. To add a key: add a block, name it in [`ALL`], and read it in `checked`.

mod broker;
mod cluster;
mod coordinator;
mod disk;
mod server;
mod topics;
mod zookeeper;

pub use broker::*;
pub use cluster::*;
pub use coordinator::*;
pub use disk::*;
pub use server::*;
pub use topics::*;
pub use zookeeper::*;

use super::key::{Described, Range, TextRule};

/// Every key, in the order of the documentation.
pub static ALL: &[&dyn Described] = &[
    &SERVER_ID,
    &SERVER_HOST_NAME,
    &SERVER_LISTEN,
    &CLUSTER_SERVERS,
    &CLUSTER_LISTEN,
    &CLUSTER_CERTIFICATES,
    &CLUSTER_CERTIFICATES_REQUIRED,
    &CLUSTER_WINDOW_BYTES,
    &COORDINATOR_ENABLED,
    &COORDINATOR_LISTEN,
    &COORDINATOR_PORT,
    &COORDINATOR_TICK_TIME_MS,
    &COORDINATOR_SESSION_TIMEOUT_MIN_MS,
    &COORDINATOR_SESSION_TIMEOUT_MAX_MS,
    &COORDINATOR_CONNECTIONS_PER_ADDRESS_MAX,
    &COORDINATOR_REQUEST_BYTES_MAX,
    &COORDINATOR_OUTSTANDING_REQUESTS_MAX,
    &COORDINATOR_WATCH_BYTES_PER_CONNECTION_MAX,
    &COORDINATOR_WATCH_BYTES_MAX,
    &COORDINATOR_SESSIONS_MAX,
    &COORDINATOR_SESSIONS_PER_ADDRESS_MAX,
    &COORDINATOR_TREE_BYTES_MAX,
    &COORDINATOR_SUPER_DIGEST,
    &COORDINATOR_SKIP_ACL,
    &COORDINATOR_READ_ONLY,
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
    &BROKER_TURNS,
    &BROKER_TURNS_WITHOUT_POSITIONS,
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

/// What a folder's name may be.
pub(super) const PATH: TextRule = TextRule {
    words: "a path",
    accepts: |text| !text.is_empty() && !text.contains('\0'),
};

/// How many partitions a topic may have.
pub(super) const NUM_PARTITIONS: Range<u32> = Range {
    min: 1,
    max: 10_000,
};
