//! What the owner nodes of a consumer group say: who reads which partition.
//!
//! A consumer that reads partition 3 of broker 1 has made `<root>/consumers/<group>/owners/<topic>/1-3` with its
//! id as the content. The nodes go with their consumer's session, and all of a group go and come again when it
//! is balanced.
//!
//! The tree of this process is looked into at once (`node/broker/owners`); another ZooKeeper's nodes are read and kept
//! (`cache`, `reader`).

use std::collections::{BTreeMap, BTreeSet};

use super::plan::above;
use crate::units::ServerId;

// What was read of another ZooKeeper, worked out without I/O.
mod cache;
// One session's reads and watches.
mod reader;
#[cfg(test)]
mod tests;

pub(super) use reader::Reader;

/// The most owner nodes of a group that are looked at.
const NODES_MAX: usize = 65_536;
/// The most partitions of a group that are told of at a time.
const OWNED_MAX: usize = 4096;

/// Znodes, as far as they can be seen now.
pub trait Znodes {
    /// The names below a znode; none if it is not there.
    fn children(&mut self, path: &str) -> Vec<String>;
    /// What a znode holds, if it is there.
    fn content(&mut self, path: &str) -> Option<String>;
}

/// A partition and the consumer that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The consumer.
    pub consumer: String,
    /// The position that the group has told, if it has.
    pub position: Option<u64>,
}

/// What the consumers of a group own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// The partitions of the broker that asks.
    pub here: Vec<Owner>,
    /// The consumers that own partitions of other brokers, and of which. `None` is a broker that could not be seen: where not
    /// all could, each consumer may have one.
    pub elsewhere: BTreeMap<String, BTreeSet<Option<ServerId>>>,
}

impl Owned {
    /// Not all was seen: whoever owns partitions here may own some elsewhere.
    fn incomplete(mut self) -> Owned {
        for owner in &self.here {
            let brokers = self.elsewhere.entry(owner.consumer.clone());
            brokers.or_default().insert(None);
        }
        for brokers in self.elsewhere.values_mut() {
            brokers.insert(None);
        }
        self
    }
}

/// What is asked of the owner nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who owns this partition of the broker that asks.
    Owner {
        /// The consumer group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// What the consumers of this group own.
    Owned {
        /// The consumer group.
        group: String,
    },
}

/// The answer to a question; each has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Owner`].
    Owner {
        /// As asked.
        group: String,
        /// As asked.
        topic: String,
        /// As asked.
        partition: i32,
        /// The consumer that owns it, if there is one and it could be seen.
        consumer: Option<String>,
    },
    /// To [`Question::Owned`].
    Owned {
        /// As asked.
        group: String,
        /// What they own.
        owned: Owned,
    },
}

impl Question {
    /// The answer by what can be seen of the znodes below `root`, for `broker`.
    pub fn answer(self, znodes: &mut impl Znodes, root: &str, broker: ServerId) -> Answer {
        match self {
            Question::Owner {
                group,
                topic,
                partition,
            } => {
                let path = path_of(root, &group, &topic, partition, broker);
                let consumer = znodes.content(&path);
                Answer::Owner {
                    group,
                    topic,
                    partition,
                    consumer,
                }
            }
            Question::Owned { group } => {
                let owned = owned(znodes, root, &group, broker);
                Answer::Owned { group, owned }
            }
        }
    }

    /// The answer when there is nobody to ask.
    pub fn nobody(self) -> Answer {
        self.answer(&mut Nothing, "", ServerId(0))
    }
}

impl Answer {
    fn incomplete(self) -> Answer {
        match self {
            Answer::Owned { group, owned } => Answer::Owned {
                group,
                owned: owned.incomplete(),
            },
            owner @ Answer::Owner { .. } => owner,
        }
    }
}

/// Whether another ZooKeeper's owner nodes can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// There is no connection.
    #[default]
    Away,
    /// There is one, and no answer comes.
    Silent,
    /// ZooKeeper does not show them: why.
    Refused(String),
    /// They are read.
    Read,
}

/// No znodes at all.
struct Nothing;

impl Znodes for Nothing {
    fn children(&mut self, _path: &str) -> Vec<String> {
        Vec::new()
    }

    fn content(&mut self, _path: &str) -> Option<String> {
        None
    }
}

/// The owner node of a partition of `broker`.
fn path_of(root: &str, group: &str, topic: &str, partition: i32, broker: ServerId) -> String {
    format!("{}/{topic}/{broker}-{partition}", folder(root, group))
}

/// The node of a group's position in a partition of `broker`.
fn position_path_of(
    root: &str,
    group: &str,
    topic: &str,
    partition: i32,
    broker: ServerId,
) -> String {
    let root = above(root);
    format!("{root}/consumers/{group}/offsets/{topic}/{broker}-{partition}")
}

/// Whether this is the path of a position.
fn is_position(path: &str) -> bool {
    path.rsplit('/').nth(2) == Some("offsets")
}

/// `<message id>-<offset>`, where the id may be negative; clients before 1.4.0 wrote the offset alone.
fn parse_position(text: &str) -> Option<u64> {
    let offset = match text.rfind('-') {
        Some(at) if at > 0 => &text[at + 1..],
        _ => text,
    };
    offset.parse().ok()
}

/// All that the consumers of `group` own.
fn owned(znodes: &mut impl Znodes, root: &str, group: &str, broker: ServerId) -> Owned {
    let mut owned = Owned::default();
    let mut left = NODES_MAX;
    let folder = folder(root, group);
    for topic in znodes.children(&folder) {
        for node in znodes.children(&format!("{folder}/{topic}")) {
            let Some((id, partition)) = parse(&node) else {
                continue;
            };
            if left == 0 || owned.here.len() == OWNED_MAX {
                return owned.incomplete();
            }
            left -= 1;
            let Some(consumer) = znodes.content(&format!("{folder}/{topic}/{node}")) else {
                continue;
            };
            if id == broker {
                let path = position_path_of(root, group, &topic, partition, broker);
                let position = znodes.content(&path).and_then(|text| parse_position(&text));
                owned.here.push(Owner {
                    topic: topic.clone(),
                    partition,
                    consumer,
                    position,
                });
            } else {
                let brokers = owned.elsewhere.entry(consumer).or_default();
                brokers.insert(Some(id));
            }
        }
    }
    owned
}

fn folder(root: &str, group: &str) -> String {
    format!("{}/consumers/{group}/owners", above(root))
}

/// The broker and the partition that an owner node is named for. Other spellings of the same numbers name nothing: clients
/// do not write them.
fn parse(node: &str) -> Option<(ServerId, i32)> {
    let (broker, partition) = node.split_once('-')?;
    let (broker, partition): (u16, i32) = (broker.parse().ok()?, partition.parse().ok()?);
    (format!("{broker}-{partition}") == node).then_some((ServerId(broker), partition))
}
