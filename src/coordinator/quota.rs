//! Quotas: what a subtree holds is written beside what it should hold at most.
//!
//! ```text
//!   /zookeeper/quota<path>/zookeeper_limits   what it should hold at most, set by an administrator
//!   /zookeeper/quota<path>/zookeeper_stats    what it holds, kept by the server, without new versions
//!   both: count=<znodes>,bytes=<bytes of data>, -1 for no limit
//! ```
//!
//! Each change counts for the longest path in force above it, and only for that one. Too much is only
//! told ([`QuotaExceeded`]), as in ZooKeeper until 3.7.

use std::collections::HashSet;

use ahash::RandomState;

use super::path;
use super::tree::{NodeId, Tree, Undo};
use super::vocabulary::Shared;
use super::{Quota, QuotaExceeded};

const LIMITS: &[u8] = b"/zookeeper_limits";
const STATS: &[u8] = b"/zookeeper_stats";

/// The paths that have a quota.
#[derive(Debug)]
pub(super) struct Quotas {
    in_force: HashSet<Shared, RandomState>,
}

impl Quotas {
    pub(super) fn new(hasher: RandomState) -> Quotas {
        Quotas {
            in_force: HashSet::with_hasher(hasher),
        }
    }

    pub(super) fn put_in_force(&mut self, prefix: Shared) {
        self.in_force.insert(prefix);
    }

    pub(super) fn lift(&mut self, prefix: &[u8]) {
        self.in_force.remove(prefix);
    }

    /// The longest path with a quota at or above this one. The root never has one.
    #[inline]
    pub(super) fn over(&self, mut path: &[u8]) -> Option<Shared> {
        if self.in_force.is_empty() {
            return None;
        }
        while path.len() > 1 {
            if let Some(prefix) = self.in_force.get(path) {
                return Some(prefix.clone());
            }
            path = path::parent(path);
        }
        None
    }
}

/// The path whose limits this znode says, if that is what it does.
pub(super) fn limits_of(path: &[u8]) -> Option<&[u8]> {
    path.strip_prefix(path::QUOTA)?.strip_suffix(LIMITS)
}

/// What a subtree holds, or should hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measure {
    count: i64,
    bytes: i64,
}

impl Measure {
    /// What cannot be read counts as -1.
    fn parse(text: Option<&[u8]>) -> Measure {
        let mut measure = Measure {
            count: -1,
            bytes: -1,
        };
        for part in text.unwrap_or_default().split(|byte| b",;".contains(byte)) {
            let mut halves = part.split(|&byte| byte == b'=');
            let (key, value) = (halves.next(), halves.next());
            let value = value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
            match key {
                Some(b"count") => measure.count = value.unwrap_or(-1),
                Some(b"bytes") => measure.bytes = value.unwrap_or(-1),
                _ => {}
            }
        }
        measure
    }

    fn text(self) -> Shared {
        format!("count={},bytes={}", self.count, self.bytes)
            .into_bytes()
            .into()
    }
}

/// What a change adds to what a subtree holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) count: i64,
    pub(super) bytes: i64,
}

/// What follows from a change for the quotas.
#[derive(Debug, Default)]
pub(super) struct Charged {
    /// How to take it back.
    pub(super) undo: Option<Undo>,
    /// What there is to tell.
    pub(super) exceeded: Vec<QuotaExceeded>,
}

impl Tree {
    /// Counts a change at this path.
    #[inline]
    pub(super) fn charge(&mut self, path: &[u8], added: Added) -> Option<Charged> {
        let prefix = self.quotas.over(path)?;
        Some(self.charge_subtree(&prefix, added))
    }

    /// Counts changes below this prefix, which has a quota.
    pub(super) fn charge_subtree(&mut self, prefix: &Shared, added: Added) -> Charged {
        let beside = |leaf: &[u8]| [path::QUOTA, prefix, leaf].concat();
        let Some(stats) = self.find(&beside(STATS)) else {
            return Charged::default();
        };
        let mut used = Measure::parse(self.get(stats).body.data.as_deref());
        used.count = used.count.saturating_add(added.count);
        used.bytes = used.bytes.saturating_add(added.bytes);
        let undo = Some(self.set_derived_data(stats, used.text()));
        let limits = self.find(&beside(LIMITS));
        let limit = limits.and_then(|limits| self.get(limits).body.data.as_deref());
        let limit = Measure::parse(limit);
        let mut exceeded = Vec::new();
        let mut compare = |what, used: i64, limit: i64, added: i64| {
            if added > 0 && limit > -1 && limit < used {
                exceeded.push(QuotaExceeded {
                    path: prefix.clone(),
                    what,
                    used,
                    limit,
                });
            }
        };
        compare(Quota::Count, used.count, limit.count, added.count);
        compare(Quota::Bytes, used.bytes, limit.bytes, added.bytes);
        Charged { undo, exceeded }
    }

    /// If this new znode is to say what a subtree holds, measures it.
    pub(super) fn measure_for(&mut self, created: NodeId) -> Option<Undo> {
        let path = self.get(created).body.path.clone();
        let prefix = path.strip_prefix(path::QUOTA)?.strip_suffix(STATS)?;
        let mut used = Measure { count: 0, bytes: 0 };
        let mut unmeasured: Vec<NodeId> = self.find(prefix).into_iter().collect();
        while let Some(id) = unmeasured.pop() {
            let data = self.get(id).body.data.as_ref().map_or(0, |data| data.len());
            used.count += 1;
            used.bytes += i64::try_from(data).expect("data came in a frame");
            unmeasured.extend(self.child_ids(id));
        }
        Some(self.set_derived_data(created, used.text()))
    }
}
