//! Who reads which partition (pure).
//!
//! The members of a consumer group agree without talking to each other: each one reads the same two
//! lists from ZooKeeper and computes the same answer. So the answer must be, to the letter, the one
//! that the Java clients in the same group compute, or a partition is read twice, or by nobody.
//!
//! Invariants, for any strategy: every partition has exactly one owner; the order in which the lists
//! are given does not matter, because both are sorted as strings first (`0-10` before `0-2`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

/// How many points each consumer has on the ring is this many digests of four points each.
const KETAMA_DIGESTS: u32 = 40;

/// How the partitions of a topic are shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Consecutive runs, as equal as possible; the first consumers get one more. The Java default.
    #[default]
    Range,
    /// A hash ring: when a consumer joins or leaves, few partitions change hands. Java calls it CONSIST.
    Ketama,
}

/// One partition of one broker, written `<broker>-<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The broker's id.
    pub broker: u16,
    /// The number within the broker, from 0.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.broker, self.number)
    }
}

/// Text that is not `<broker>-<partition>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a partition: expected BROKER-PARTITION, such as 1-0")]
pub struct NotAPartition(pub String);

impl FromStr for Partition {
    type Err = NotAPartition;

    fn from_str(text: &str) -> Result<Partition, NotAPartition> {
        let parsed = text.split_once('-').and_then(|(broker, number)| {
            Some(Partition {
                broker: broker.parse().ok()?,
                number: number.parse().ok()?,
            })
        });
        parsed
            .filter(|partition| partition.number >= 0)
            .ok_or_else(|| NotAPartition(text.to_string()))
    }
}

/// The partitions that `consumer` reads, sorted as strings; empty if it is not one of `consumers`.
pub fn assign(
    strategy: Strategy,
    consumer: &str,
    consumers: &[String],
    partitions: &[Partition],
) -> Vec<Partition> {
    let mut consumers: Vec<&str> = consumers.iter().map(String::as_str).collect();
    consumers.sort_unstable();
    consumers.dedup();
    let mut partitions: Vec<(String, Partition)> = partitions
        .iter()
        .map(|partition| (partition.to_string(), *partition))
        .collect();
    partitions.sort_unstable();
    partitions.dedup();
    let Ok(place) = consumers.binary_search(&consumer) else {
        return Vec::new();
    };
    match strategy {
        Strategy::Range => range(place, consumers.len(), &partitions),
        Strategy::Ketama => ketama(consumer, &consumers, &partitions),
    }
}

fn range(place: usize, consumers: usize, partitions: &[(String, Partition)]) -> Vec<Partition> {
    let share = partitions.len() / consumers;
    let larger = partitions.len() % consumers;
    let start = place * share + place.min(larger);
    let count = share + usize::from(place < larger);
    partitions
        .iter()
        .skip(start)
        .take(count)
        .map(|(_, partition)| *partition)
        .collect()
}

fn ketama(
    consumer: &str,
    consumers: &[&str],
    partitions: &[(String, Partition)],
) -> Vec<Partition> {
    // Later consumers take over a point that collides, as they do in the Java client's map.
    let mut ring = BTreeMap::new();
    for name in consumers {
        for digest in 0..KETAMA_DIGESTS {
            for point in points(&format!("{name}-{digest}")) {
                ring.insert(point, *name);
            }
        }
    }
    let owner = |partition: &str| {
        let [point, ..] = points(partition);
        ring.range(point..)
            .next()
            .or_else(|| ring.first_key_value())
            .map(|(_, owner)| *owner)
    };
    partitions
        .iter()
        .filter(|(name, _)| owner(name) == Some(consumer))
        .map(|(_, partition)| *partition)
        .collect()
}

/// The four little-endian words of a text's MD5.
fn points(text: &str) -> [u32; 4] {
    let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let (words, _) = digest.as_chunks::<4>();
    [0, 1, 2, 3].map(|word| u32::from_le_bytes(words[word]))
}

#[cfg(test)]
mod tests;
