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

/// Numbers of znodes in the order of their names. Most znodes have none, which takes one word.
#[derive(Debug, Default)]
pub(super) struct Children(Option<Box<Runs>>);

#[derive(Debug, Default)]
struct Runs {
    runs: Vec<Vec<u32>>,
    count: usize,
}

impl Children {
    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |runs| runs.count)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All of them in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|runs| &runs.runs).flatten().copied()
    }

    /// Adds a child whose name compares with that of another as `against` says (of the other).
    pub(super) fn insert(&mut self, child: u32, against: impl Fn(u32) -> Ordering) {
        self.0.get_or_insert_default().insert(child, against);
    }

    /// Takes a child away, found by its name as in [`Children::insert`]. Says whether it was there.
    pub(super) fn remove(&mut self, child: u32, against: impl Fn(u32) -> Ordering) -> bool {
        let Some(runs) = &mut self.0 else {
            return false;
        };
        let was_there = runs.remove(child, against);
        if runs.count == 0 {
            self.0 = None;
        }
        was_there
    }

    /// Keeps only those children for which `stays` holds.
    pub(super) fn retain(&mut self, stays: impl Fn(u32) -> bool) {
        let Some(runs) = &mut self.0 else {
            return;
        };
        for run in &mut runs.runs {
            run.retain(|&child| stays(child));
        }
        runs.runs.retain(|run| !run.is_empty());
        runs.count = runs.runs.iter().map(Vec::len).sum();
        if runs.count == 0 {
            self.0 = None;
        }
    }

    /// Children whose names ascend already.
    pub(super) fn from_ordered(ordered: &[u32]) -> Children {
        if ordered.is_empty() {
            return Children::default();
        }
        Children(Some(Box::new(Runs {
            runs: ordered.chunks(RUN_MAX).map(<[u32]>::to_vec).collect(),
            count: ordered.len(),
        })))
    }
}

impl Runs {
    /// The first run that does not end before the name, and the name's place in it.
    fn place(&self, against: &impl Fn(u32) -> Ordering) -> (usize, usize) {
        let is_before = |&other: &u32| against(other) == Ordering::Less;
        let run = self
            .runs
            .partition_point(|run| run.last().is_some_and(is_before));
        let run_found = self.runs.get(run);
        (
            run,
            run_found.map_or(0, |run| run.partition_point(is_before)),
        )
    }

    fn insert(&mut self, child: u32, against: impl Fn(u32) -> Ordering) {
        self.count += 1;
        let (place, at) = self.place(&against);
        let Some(run) = self.runs.get_mut(place) else {
            match self.runs.last_mut() {
                Some(run) if run.len() < RUN_MAX => run.push(child),
                _ => self.runs.push(vec![child]),
            }
            return;
        };
        run.insert(at, child);
        if run.len() > RUN_MAX {
            let upper = run.split_off(RUN_MAX / 2);
            self.runs.insert(place + 1, upper);
        }
    }

    fn remove(&mut self, child: u32, against: impl Fn(u32) -> Ordering) -> bool {
        let (place, at) = self.place(&against);
        let Some(run) = self.runs.get_mut(place) else {
            return false;
        };
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
}
