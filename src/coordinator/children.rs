//! The children of one znode: their numbers, ordered by name.
//!
//! Names are not kept here but in the znodes themselves, so every method is told how to compare. The
//! numbers sit in runs of at most [`RUN_MAX`], so that a change in a directory of a million costs a
//! search and a short move, and one child at the end, where sequential names go, costs next to nothing.
//!
//! Invariants: names ascend within a run and from run to run; no run is empty.

use std::cmp::Ordering;

#[cfg(test)]
mod tests;

const RUN_MAX: usize = 512;

/// Numbers of znodes in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Children {
    runs: Vec<Vec<u32>>,
    count: usize,
}

impl Children {
    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().flatten().copied()
    }

    /// Adds a child whose name compares with that of another as `against` says (of the other).
    pub(super) fn insert(&mut self, child: u32, against: impl Fn(u32) -> Ordering) {
        let place = self.runs.partition_point(|run| {
            run.last()
                .is_some_and(|&last| against(last) == Ordering::Less)
        });
        self.count += 1;
        let Some(run) = self.runs.get_mut(place) else {
            match self.runs.last_mut() {
                Some(run) if run.len() < RUN_MAX => run.push(child),
                _ => self.runs.push(vec![child]),
            }
            return;
        };
        let at = run.partition_point(|&other| against(other) == Ordering::Less);
        run.insert(at, child);
        if run.len() > RUN_MAX {
            let upper = run.split_off(RUN_MAX / 2);
            self.runs.insert(place + 1, upper);
        }
    }

    /// Takes a child away, found by its name as in [`Children::insert`]. Says whether it was there.
    pub(super) fn remove(&mut self, child: u32, against: impl Fn(u32) -> Ordering) -> bool {
        let place = self.runs.partition_point(|run| {
            run.last()
                .is_some_and(|&last| against(last) == Ordering::Less)
        });
        let Some(run) = self.runs.get_mut(place) else {
            return false;
        };
        let at = run.partition_point(|&other| against(other) == Ordering::Less);
        if run.get(at) != Some(&child) {
            return false;
        }
        run.remove(at);
        if run.is_empty() {
            self.runs.remove(place);
        }
        self.count -= 1;
        true
    }

    /// Children whose names ascend already.
    pub(super) fn from_ordered(ordered: &[u32]) -> Children {
        Children {
            runs: ordered.chunks(RUN_MAX).map(<[u32]>::to_vec).collect(),
            count: ordered.len(),
        }
    }
}
