//! `[topics.NAME]`: one topic, or all that a wildcard matches.

use super::{NUM_PARTITIONS, PATH};
use crate::config::key::{Key, Preset, Section};
use crate::config::topic::{DeletePolicy, Schedule};

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
    help: "What happens to this topic's old message files.",
    replaces: "server.ini: deletePolicy in [topic=NAME]",
};

/// `topics.NAME.delete_when`
pub static TOPIC_DELETE_WHEN: Key<Schedule> = Key {
    section: Section::Topics,
    name: "delete_when",
    unit: "",
    default: Preset::Derived("broker.delete_when"),
    permitted: (),
    help: "When the server looks for this topic's old message files.",
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
    help: "The folder of this topic's partitions, if it is not that of the others.",
    replaces: "server.ini: dataPath in [topic=NAME]",
};
