//! What may be sent to clients although it was not written in this run: only what was checked, record by
//! record.
//!
//! A file's bytes from `fresh_from` on were written by this process and need no check. Below, [`Intervals`]
//! say what was checked already; both ends of an interval are beginnings of records. A check begins at the
//! offset that the client named: nearly always a record begins there. Where none does, either the client is
//! wrong or the bytes are, and a second check from the last known beginning of a record tells which: a
//! client that is wrong gets the bytes it asked for, as from Metamorphosis, and notices by the checksum.
//!
//! A client's offset is believed if a valid record begins there. A message could hold such a record
//! inside its data and a client could ask for just that; then only that part counts as checked, and every
//! client still has the checksum of the whole.

use super::FileId;
use super::walk::{Fault, Step, Walker};

/// A range of a file that is to be checked record by record. `from` is taken as the beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which file.
    pub file: FileId,
    /// The first position to check.
    pub from: u64,
    /// All records that begin before this position are checked.
    pub to: u64,
    /// The file's valid length: no record may reach beyond.
    pub length: u64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Records without a fault from the range's `from` up to here, which is at or beyond its `to`.
    Good {
        /// One past the last checked byte.
        to: u64,
    },
    /// What begins here is not a valid record; all before it, from the range's `from` on, is good.
    Bad {
        /// Its position.
        at: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The file could not be read.
    Unreadable,
}

/// Checks one [`Range`], fed with the file's bytes from its `from` on.
#[derive(Clone, Debug)]
pub struct Checker {
    walker: Walker,
    to: u64,
}

impl Checker {
    /// A checker for this range.
    pub fn new(range: &Range) -> Checker {
        Checker {
            walker: Walker::new(range.from, range.length),
            to: range.to,
        }
    }

    /// Takes the next bytes. `None`: feed more, the file's following bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Option<Outcome> {
        loop {
            if self.walker.position() >= self.to {
                return Some(Outcome::Good {
                    to: self.walker.position(),
                });
            }
            match self.walker.feed(&mut bytes)? {
                Step::Record { .. } => {}
                Step::Hole { position } => {
                    return Some(Outcome::Bad {
                        at: position,
                        fault: Fault::Zeros,
                    });
                }
                Step::Fault { position, fault } => {
                    return Some(Outcome::Bad {
                        at: position,
                        fault,
                    });
                }
            }
        }
    }

    /// The file ended before the check did: it is shorter than it should be.
    pub fn end_of_file(&self) -> Outcome {
        Outcome::Bad {
            at: self.walker.position(),
            fault: Fault::BeyondEnd,
        }
    }
}

/// Disjoint, sorted, non-touching ranges of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals(Vec<(u64, u64)>);

/// More islands than this are not remembered for one file: the rest is checked again.
const INTERVALS_MAX: usize = 1024;

impl Intervals {
    /// Adds a range.
    pub fn insert(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|&(_, end)| end < from);
        let last = self.0.partition_point(|&(start, _)| start <= to);
        if first == last {
            self.0.insert(first, (from, to));
            if self.0.len() > INTERVALS_MAX {
                self.forget_smallest((from, to));
            }
            return;
        }
        let merged = (self.0[first].0.min(from), self.0[last - 1].1.max(to));
        self.0.splice(first..last, [merged]);
    }

    fn forget_smallest(&mut self, keep: (u64, u64)) {
        let ranges = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, range)| **range != keep);
        if let Some((index, _)) = ranges.min_by_key(|(_, (from, to))| to - from) {
            self.0.remove(index);
        }
    }

    /// The end of the range that holds `position`.
    pub fn end_around(&self, position: u64) -> Option<u64> {
        let next = self.0.partition_point(|&(start, _)| start <= position);
        let &(_, end) = self.0.get(next.checked_sub(1)?)?;
        (position < end).then_some(end)
    }

    /// The last end of a range at or below `position`; 0 when there is none.
    pub fn end_below(&self, position: u64) -> u64 {
        let next = self.0.partition_point(|&(_, end)| end <= position);
        next.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// What is known about the bytes of one file.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// From here on the file was written in this run.
    fresh_from: u64,
    checked: Intervals,
    /// Positions from which a client asked to read and where no valid record begins.
    doubtful: Vec<u64>,
    /// Beginnings of records that are certain to be damaged, sorted.
    damaged: Vec<u64>,
    /// Where good records begin behind damage that was passed over: position to position.
    detours: Vec<(u64, u64)>,
}

/// Whether bytes may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of them, up to this position.
    Send {
        /// One past the last byte that may be sent.
        to: u64,
    },
    /// First check the records from `from` that begin before `to`.
    Check {
        /// A beginning of a record, certain or claimed.
        from: u64,
        /// One past the last position of interest.
        to: u64,
    },
    /// None: the record at this position is damaged.
    Damaged {
        /// Its position.
        at: u64,
    },
}

impl Verified {
    /// Of a file that had this length when it was opened.
    pub fn opened(length: u64) -> Verified {
        Verified {
            fresh_from: length,
            ..Verified::default()
        }
    }

    /// The first damaged record known.
    pub fn damaged(&self) -> &[u64] {
        &self.damaged
    }

    /// From here on the file was written in this run, and is good.
    pub fn fresh_from(&self) -> u64 {
        self.fresh_from
    }

    /// Where the next good record begins behind damage at `position`, if that was searched for.
    pub fn detour(&self, position: u64) -> Option<u64> {
        let known = self.detours.iter().find(|(from, _)| *from == position);
        known.map(|&(_, to)| to)
    }

    /// The next good record behind damage at `from` begins at `to`.
    pub fn learn_detour(&mut self, from: u64, to: u64) {
        if self.detours.len() >= DETOURS_MAX {
            self.detours.remove(0);
        }
        self.detours.push((from, to));
    }

    /// May the bytes `[from, to)` be sent?
    pub fn judge(&self, from: u64, to: u64) -> Verdict {
        let old_to = to.min(self.fresh_from);
        let mut checked_to = from;
        while checked_to < old_to {
            if let Some(end) = self.checked.end_around(checked_to) {
                checked_to = end;
                continue;
            }
            if checked_to > from {
                // What is checked ends with a record, so another one begins here.
                if self.damaged.binary_search(&checked_to).is_ok() {
                    return Verdict::Send { to: checked_to };
                }
                return Verdict::Check {
                    from: checked_to,
                    to: old_to,
                };
            }
            if self.damaged.binary_search(&from).is_ok() {
                return Verdict::Damaged { at: from };
            }
            if !self.doubtful.contains(&from) {
                return Verdict::Check { from, to: old_to };
            }
            let known = self.checked.end_below(from);
            if self.damaged.binary_search(&known).is_ok() {
                return Verdict::Damaged { at: known };
            }
            return Verdict::Check {
                from: known,
                to: from + 1,
            };
        }
        Verdict::Send { to }
    }

    /// Takes in what a check of `[from, …)` found.
    pub fn learn(&mut self, from: u64, outcome: Outcome) {
        match outcome {
            Outcome::Good { to } => self.checked.insert(from, to),
            Outcome::Bad { at, .. } => {
                self.checked.insert(from, at);
                let certain = at > from || from == 0 || self.checked.end_below(from) == from;
                if certain {
                    if let Err(slot) = self.damaged.binary_search(&at) {
                        self.damaged.insert(slot, at);
                    }
                } else {
                    if self.doubtful.len() >= DOUBTFUL_MAX {
                        self.doubtful.remove(0);
                    }
                    self.doubtful.push(from);
                }
            }
            Outcome::Unreadable => {}
        }
    }
}

/// More ways around damage than this are not remembered for one file.
const DETOURS_MAX: usize = 64;
/// More doubtful positions than this are not remembered for one file.
const DOUBTFUL_MAX: usize = 64;
