//! `server.ini` of Metamorphosis 1.4.

use std::path::Path;

use super::ini::{self, Entry};
use super::{Becomes, Reading, Row, Written, hint};
use crate::config::checked::Machine;
use crate::config::explain as key;
use crate::config::file::{TopicSection, shortened};
use crate::config::key::Value;
use crate::config::mistake::Place;
use crate::config::topic::{TOPIC_NAME_WORDS, topic_name_is_valid};

const FLUSH: &str =
    "an acknowledged message is on disk and visible at once, so this no longer delays anything";
const THREADS: &str = "there are no such threads";
const TRANSACTIONS: &str = "it concerns transactions, which this version does not have yet";
const JAVA_CLASSES: &str = "it names classes for a Java virtual machine, and there is none: filters run in the consumers alone";
const DIAMOND: &str = "it belongs to a service that was never published";
const NO_SETTING: &str = "the original accepts it and does nothing with it either";

/// The keys of `[system]`.
pub(super) static SYSTEM: &[Row] = &[
    Row::key("brokerId", &key::SERVER_ID),
    Row::key("hostName", &key::SERVER_HOST_NAME),
    Row::key("serverPort", &key::BROKER_PORT),
    Row::key("dashboardHttpPort", &key::WEB_PORT),
    Row::key("numPartitions", &key::BROKER_NUM_PARTITIONS),
    Row::key("dataPath", &key::BROKER_TOPICS_FOLDER),
    Row::key("maxSegmentSize", &key::BROKER_SEGMENT_BYTES),
    Row::nearest("maxTransferSize", &key::BROKER_TRANSFER_BYTES_MAX),
    Row::key("deletePolicy", &key::BROKER_DELETE_POLICY),
    Row::key("deleteWhen", &key::BROKER_DELETE_WHEN),
    Row::key("acceptPublish", &key::BROKER_ACCEPT_PUBLISH),
    Row::key("acceptSubscribe", &key::BROKER_ACCEPT_SUBSCRIBE),
    Row::key("stat", &key::BROKER_STATISTICS),
    Row::key(
        "updateConsumerOffsets",
        &key::BROKER_UPDATE_CONSUMER_OFFSETS,
    ),
    Row::nothing("unflushThreshold", FLUSH),
    Row::nothing("unflushInterval", FLUSH),
    Row::nothing("getProcessThreadCount", THREADS),
    Row::nothing("putProcessThreadCount", THREADS),
    Row::nothing("quartzThreadCount", THREADS),
    Row::nothing("loadMessageStoresInParallel", THREADS),
    Row::nothing("appClassPath", JAVA_CLASSES),
    Row::nothing("dataLogPath", TRANSACTIONS),
    Row::nothing("maxCheckpoints", TRANSACTIONS),
    Row::nothing("checkpointInterval", TRANSACTIONS),
    Row::nothing("maxTxTimeoutTimerCapacity", TRANSACTIONS),
    Row::nothing("maxTxTimeoutInSeconds", TRANSACTIONS),
    Row::nothing("flushTxLogAtCommit", TRANSACTIONS),
    // Names that pass the original's check because fields of its class are called so.
    Row::nothing("topics", NO_SETTING),
    Row::nothing("slaveConfig", NO_SETTING),
    Row::nothing("zkConfig", NO_SETTING),
    Row::nothing("diamondZKDataId", NO_SETTING),
    Row::nothing("diamondZKGroup", NO_SETTING),
    Row::nothing("topicConfigMap", NO_SETTING),
    Row::nothing("propertyChangeSupport", NO_SETTING),
    Row::nothing("statTopicSet", NO_SETTING),
    Row::nothing("lastModified", NO_SETTING),
    Row::nothing("path", NO_SETTING),
    Row::nothing("configFileChecksum", NO_SETTING),
    Row::nothing("closedPartitionMap", NO_SETTING),
];

/// The keys of `[zookeeper]`.
pub(super) static ZOOKEEPER: &[Row] = &[
    Row::key("zk.zkConnect", &key::ZOOKEEPER_CONNECT),
    Row::key("zk.zkRoot", &key::ZOOKEEPER_ROOT),
    Row::key("zk.zkEnable", &key::ZOOKEEPER_REGISTER),
    Row::nearest("zk.zkSessionTimeoutMs", &key::ZOOKEEPER_SESSION_TIMEOUT_MS),
    Row::nearest("zk.zkSyncTimeMs", &key::ZOOKEEPER_DRAIN_MS),
    Row::nothing(
        "zk.zkConnectionTimeoutMs",
        "the broker goes on trying to connect, and serves meanwhile",
    ),
    Row::nothing("diamondZKDataId", DIAMOND),
    Row::nothing("diamondZKGroup", DIAMOND),
];

/// The keys of `[topic=NAME]`.
pub(super) static TOPIC: &[Row] = &[
    Row::key("numPartitions", &key::TOPIC_NUM_PARTITIONS),
    Row::key("deletePolicy", &key::TOPIC_DELETE_POLICY),
    Row::key("deleteWhen", &key::TOPIC_DELETE_WHEN),
    Row::key("dataPath", &key::TOPIC_FOLDER),
    Row::key("acceptPublish", &key::TOPIC_ACCEPT_PUBLISH),
    Row::key("acceptSubscribe", &key::TOPIC_ACCEPT_SUBSCRIBE),
    Row::key("stat", &key::TOPIC_STATISTICS),
    Row::nothing("unflushThreshold", FLUSH),
    Row::nothing("unflushInterval", FLUSH),
    Row::nothing("group.", JAVA_CLASSES),
];

/// The keys without which the original does not start, by section.
const REQUIRED: [(&str, &[&str]); 2] = [
    (
        "system",
        &[
            "brokerId",
            "numPartitions",
            "unflushThreshold",
            "unflushInterval",
            "maxSegmentSize",
            "maxTransferSize",
        ],
    ),
    ("zookeeper", &["zk.zkConnect"]),
];

/// What a section's title says.
enum Meaning<'a> {
    Known(&'static [Row]),
    Topic(&'a str),
    Own,
    /// The original ignores it, and so do we.
    Ignored,
}

fn meaning(section: &str) -> Meaning<'_> {
    match section {
        "system" => Meaning::Known(SYSTEM),
        "zookeeper" => Meaning::Known(ZOOKEEPER),
        "chrysalis" => Meaning::Own,
        _ => match section.strip_prefix("topic=") {
            Some(topic) => Meaning::Topic(topic.trim()),
            None => Meaning::Ignored,
        },
    }
}

/// Reads the file's text.
pub(super) fn read(reading: &mut Reading, path: &Path, text: &str, machine: &Machine) {
    let content = ini::read_ini(text);
    for unreadable in &content.unreadable {
        let text = format!("not readable: {}", unreadable.why);
        reading
            .mistakes
            .add(Place::new(path, unreadable.line), text);
    }
    for title in &content.titles {
        let place = Place::new(path, title.line);
        match meaning(&title.name) {
            Meaning::Topic(topic) if topic_name_is_valid(topic) => {
                let section = TopicSection {
                    name: topic.to_owned(),
                    place,
                };
                reading.file.topics.push(section);
            }
            Meaning::Topic(topic) => {
                let text = format!(
                    "[topic={}]: a topic's name must be {TOPIC_NAME_WORDS}",
                    shortened(topic)
                );
                reading.mistakes.add(place, text);
            }
            Meaning::Ignored => {
                let hint = hint(&title.name, ["system", "zookeeper", "topic=", "chrysalis"]);
                let name = shortened(&title.name);
                reading.note(
                    place,
                    format!("[{name}]"),
                    &title.name,
                    format!("is no section of a broker's configuration and is ignored{hint}"),
                );
            }
            Meaning::Known(_) | Meaning::Own => {}
        }
    }
    for entry in &content.entries {
        read_entry(reading, path, entry);
    }
    check_required(reading, path, &content);
    imply(reading, path, &content, machine);
}

fn read_entry(reading: &mut Reading, path: &Path, entry: &Entry) {
    let place = Place::new(path, entry.line);
    let (rows, topic) = match meaning(&entry.section) {
        Meaning::Known(rows) => (rows, None),
        Meaning::Topic(topic) if topic_name_is_valid(topic) => (TOPIC, Some(topic)),
        Meaning::Own => {
            let written = Written {
                shown_key: format!("[chrysalis] {}", entry.key),
                value: &entry.value,
                place,
            };
            return reading.set_own(&entry.key, written);
        }
        Meaning::Topic(_) | Meaning::Ignored => return,
    };
    let shown_key = format!("[{}] {}", entry.section, shortened(&entry.key));
    let Some(row) = rows.iter().find(|row| row.is(&entry.key)) else {
        let hint = hint(&entry.key, rows.iter().map(|row| row.name));
        return reading
            .mistakes
            .add(place, format!("{shown_key}: unknown key{hint}"));
    };
    match row.becomes {
        Becomes::Nothing(_) if entry.value.trim().is_empty() => {}
        Becomes::Nothing(why) => {
            reading.note(place, shown_key, row.name, format!("has no effect: {why}"));
        }
        Becomes::Refused { .. } | Becomes::RefusedWithOthers { .. } => {
            unreachable!("no key of server.ini asks for security")
        }
        Becomes::Nearest(known) => {
            let written = Written {
                shown_key,
                value: &entry.value,
                place,
            };
            reading.set_nearest(known, &written);
        }
        Becomes::Key(known) => {
            let rooted;
            let value = match row.name {
                "zk.zkRoot" if !entry.value.trim().is_empty() => {
                    rooted = format!("/{}", entry.value.trim().trim_matches('/'));
                    &rooted
                }
                _ => &entry.value,
            };
            reading.set(
                known,
                topic,
                &Written {
                    shown_key,
                    value,
                    place,
                },
            );
        }
    }
}

fn check_required(reading: &mut Reading, path: &Path, content: &ini::Content) {
    let file = Place::new(path, 0);
    for (section, required) in REQUIRED {
        for name in required {
            let mut written = content
                .entries
                .iter()
                .filter(|entry| entry.section == section && entry.key == *name);
            match written.next_back() {
                Some(entry) if !entry.value.trim().is_empty() => {}
                Some(entry) => {
                    let place = Place::new(path, entry.line);
                    reading.mistakes.add(
                        place,
                        format!("[{section}] {name} is blank: it must be set"),
                    );
                }
                None => reading.mistakes.add(
                    file.clone(),
                    format!("[{section}] {name} is missing: it must be set"),
                ),
            }
        }
    }
    if reading.file.topics.is_empty() {
        reading.mistakes.add(
            file,
            "there is no [topic=NAME]: at least one topic must be named",
        );
    }
}

/// What the original does where nothing is written, and is not our default. An address that is missing
/// was told of already.
fn imply(reading: &mut Reading, path: &Path, content: &ini::Content, machine: &Machine) {
    let place = Place::new(path, 0);
    reading.imply(&key::ZOOKEEPER_CONNECT, Value::Text("localhost".to_owned()));
    reading.imply(&key::SERVER_LISTEN, Value::Text("0.0.0.0".to_owned()));
    let has_data_path = content.entries.iter().any(|entry| {
        entry.section == "system" && entry.key == "dataPath" && !entry.value.trim().is_empty()
    });
    if has_data_path {
        return;
    }
    match machine.home.as_deref().and_then(Path::to_str) {
        Some(home) => {
            let folder = format!("{home}/meta");
            reading.note(
                place,
                "[system] dataPath".to_owned(),
                "dataPath",
                format!("is not set: it is {folder}, as it was to the original"),
            );
            reading.imply(&key::BROKER_TOPICS_FOLDER, Value::Text(folder));
        }
        None => reading.mistakes.add(
            place,
            "[system] dataPath is missing: it must be set, because the user that runs the server has no home folder",
        ),
    }
}
