//! `[broker]`: what MetaQ's clients talk to.

use std::net::IpAddr;

use super::{KIB, MIB, NUM_PARTITIONS, PATH};
use crate::config::key::{Key, Preset, Range, Section, TextRule};
use crate::config::topic::{DeletePolicy, Schedule};

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
    help: "The folder of the message files, relative to the server's folder. It may be one that the original broker wrote, if \
           that broker is stopped.",
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
    help: "What happens to a full message file once every message in it is older than AGE: it is deleted, renamed to `.arc`, or \
           packed into a `.zip`. Files go from the oldest on. The active file is never touched.",
    replaces: "server.ini: deletePolicy",
};

/// `broker.delete_when`
pub static BROKER_DELETE_WHEN: Key<Schedule> = Key {
    section: Section::Broker,
    name: "delete_when",
    unit: "",
    default: Preset::Value("0 0 6,18 * * ?"),
    permitted: (),
    help: "When the server looks for old message files, in the machine's time zone.",
    replaces: "server.ini: deleteWhen",
};

/// `broker.accept_publish`
pub static BROKER_ACCEPT_PUBLISH: Key<bool> = Key {
    section: Section::Broker,
    name: "accept_publish",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether producers find a topic's partitions here. The broker still takes a put that comes.",
    replaces: "server.ini: acceptPublish",
};

/// `broker.accept_subscribe`
pub static BROKER_ACCEPT_SUBSCRIBE: Key<bool> = Key {
    section: Section::Broker,
    name: "accept_subscribe",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether consumers find a topic's partitions here. The broker still answers a get that comes.",
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
           default.",
    replaces: "",
};

/// `broker.transfer_bytes_max`
pub static BROKER_TRANSFER_BYTES_MAX: Key<u32> = Key {
    section: Section::Broker,
    name: "transfer_bytes_max",
    unit: "bytes",
    default: Preset::Derived("message_bytes_max + 20"),
    permitted: Range {
        min: 4 * KIB,
        max: 64 * MIB,
    },
    help: "The most that one get returns, however much it asks for. It is raised to the largest message and its 20 bytes if it is \
           less, because no consumer could get past such a message.",
    replaces: "server.ini: maxTransferSize",
};

/// `broker.update_consumer_offsets`
pub static BROKER_UPDATE_CONSUMER_OFFSETS: Key<bool> = Key {
    section: Section::Broker,
    name: "update_consumer_offsets",
    unit: "",
    default: Preset::Value(false),
    permitted: (),
    help: "Whether a consumer whose offset is beyond the end is sent back to the end. Otherwise it is told that there is \
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
    help: "Whether a subscribed consumer's get at the end of a partition waits here for the next message. The consumer then has \
           it within milliseconds. Without it the broker answers every get at once, as the original does, and the consumer \
           asks again after up to 5 seconds.",
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

/// `broker.turns`
pub static BROKER_TURNS: Key<bool> = Key {
    section: Section::Broker,
    name: "turns",
    unit: "",
    default: Preset::Value(true),
    permitted: (),
    help: "Whether a Java consumer that has fewer fetch threads than partitions is led back over its last message when one of \
           its threads is needed for another partition: it passes over what it has read. Set this to false for consumers \
           that gave themselves another memory of message ids, or none (`metaq.consumer.message_ids.lru_cache.size`): they \
           would read messages twice. Without turns such a consumer sees many messages half a second late and later.",
    replaces: "",
};

/// `broker.turns_without_positions`
pub static BROKER_TURNS_WITHOUT_POSITIONS: Key<Vec<String>> = Key {
    section: Section::Broker,
    name: "turns_without_positions",
    unit: "",
    default: Preset::Value(&[]),
    permitted: TextRule {
        words: "a list of consumer groups",
        accepts: |group| !group.is_empty() && !group.contains(char::is_whitespace),
    },
    help: "Consumer groups that keep their positions outside of ZooKeeper and are given turns all the same. Their consumers \
           must acknowledge what they read by themselves, as the Java client does unless it is told otherwise.",
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
