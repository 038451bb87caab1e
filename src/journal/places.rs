//! Where the entries of each group lie, so that they can be read back.
//!
//! Not every batch is remembered: of a group, one about every [`STEP_BYTES`], and each that begins a file or replaces
//! entries. From such a place on the entries follow in the file up to where the next place begins:
//!
//! ```text
//!   file 4    1 2 3   4 5 6   7 8 |           file 5    5' 6'   7' 8' 9'
//!             ^                                         ^
//!             place of 1, for 1 to 4                    place of 5, for 5 and on
//! ```
//!
//! So a place's entries lie in one file, and what was replaced is never found. Only what is durable is here.

use std::collections::{BTreeMap, VecDeque};

use crate::units::GroupId;

/// So far two places of a group in one file are apart, at least: what may be read in vain before the wanted entry comes.
const STEP_BYTES: u64 = 256 << 10;

/// The batch in which an entry lies, or that is read on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first entry of the group in it.
    pub(super) first: u64,
    /// The file's number.
    pub(super) file: u64,
    /// The batch's first byte.
    pub(super) position: u64,
}

/// The places of all groups.
#[derive(Debug, Default)]
pub(super) struct Places {
    groups: BTreeMap<GroupId, GroupPlaces>,
}

#[derive(Debug, Default)]
struct GroupPlaces {
    /// By their first entries, and by files and positions.
    places: VecDeque<Place>,
    /// One behind the last entry.
    end: u64,
}

impl Places {
    /// The entries from `place.first` to `last` are durable there; those from `place.first` on that were there before are not
    /// the group's any more.
    pub(super) fn appended(&mut self, group: GroupId, place: Place, last: u64) {
        let group = self.groups.entry(group).or_default();
        let follows = place.first == group.end;
        group.forget_from(place.first);
        let is_near = group.places.back().is_some_and(|back| {
            back.file == place.file && place.position - back.position < STEP_BYTES
        });
        if !(follows && is_near) {
            group.places.push_back(place);
        }
        group.end = last + 1;
    }

    /// The group has no entries.
    pub(super) fn emptied(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }

    /// This file and those before it may be used again.
    pub(super) fn released(&mut self, file: u64) {
        for group in self.groups.values_mut() {
            while group.places.front().is_some_and(|it| it.file <= file) {
                group.places.pop_front();
            }
        }
    }

    /// From where an entry of a group is read, and one behind the last entry that is read from there.
    pub(super) fn find(&self, group: GroupId, index: u64) -> Option<(Place, u64)> {
        let group = self.groups.get(&group).filter(|it| index < it.end)?;
        let behind = group.places.partition_point(|it| it.first <= index);
        let place = group.places.get(behind.checked_sub(1)?)?;
        let end = group.places.get(behind).map_or(group.end, |it| it.first);
        Some((*place, end))
    }
}

impl GroupPlaces {
    fn forget_from(&mut self, index: u64) {
        while self.places.back().is_some_and(|it| it.first >= index) {
            self.places.pop_back();
        }
    }
}

#[cfg(test)]
mod tests;
