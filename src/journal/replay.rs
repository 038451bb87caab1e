//! Records in their order -> what each group remembers.
//!
//! For one group: `marker ≤ missing_end`, where entries up to `missing` were in files that may have been used
//! again; a later marker must cover them, or they are lost. The entries in memory follow without a gap.

use std::collections::{BTreeMap, VecDeque};

use super::circle::LogChange;
use super::format::{Body, State};
use crate::consensus::{Entry, HardState, Marker, Record, Remembered};
use crate::units::GroupId;

/// All groups, while their records are read.
#[derive(Debug, Default)]
pub(super) struct Replay {
    groups: BTreeMap<GroupId, GroupReplay>,
}

#[derive(Debug, Default)]
struct GroupReplay {
    hard_state: HardState,
    marker: Marker,
    incomplete: bool,
    /// Entries up to here existed when the first file that was read began, and are not in memory.
    missing: u64,
    entries: VecDeque<Entry>,
}

impl GroupReplay {
    fn last_index(&self) -> u64 {
        let known = self.entries.back().map_or(0, |entry| entry.index);
        known.max(self.missing).max(self.marker.index)
    }

    fn state(&self) -> State {
        State {
            hard_state: self.hard_state,
            marker: self.marker.clone(),
            last_index: self.last_index(),
            incomplete: self.incomplete,
        }
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        let last = self.last_index();
        if entry.index <= self.marker.index || entry.index > last + 1 {
            return Err(format!(
                "entry {} comes where the marker is at {} and the last entry is {last}",
                entry.index, self.marker.index
            ));
        }
        while self
            .entries
            .back()
            .is_some_and(|last| last.index >= entry.index)
        {
            self.entries.pop_back();
        }
        self.missing = self.missing.min(entry.index - 1);
        self.entries.push_back(entry);
        Ok(())
    }

    fn compact(&mut self, marker: Marker) -> Result<(), String> {
        if marker.index < self.marker.index || marker.index > self.last_index() {
            return Err(format!(
                "a marker at {} comes where the marker is at {} and the last entry is {}",
                marker.index,
                self.marker.index,
                self.last_index()
            ));
        }
        while self
            .entries
            .front()
            .is_some_and(|first| first.index <= marker.index)
        {
            self.entries.pop_front();
        }
        self.marker = marker;
        Ok(())
    }
}

impl Replay {
    /// Takes the next record in. `Ok` names what it changed about the group's log.
    ///
    /// # Errors
    /// A phrase that says how the record contradicts those before it.
    pub(super) fn apply(
        &mut self,
        group: GroupId,
        body: Body,
    ) -> Result<Option<LogChange>, String> {
        let known = self.groups.contains_key(&group);
        let replay = self.groups.entry(group).or_default();
        match body {
            Body::State(state) if known => {
                // An opening that accepted a loss notes it in the start of the file it begins.
                replay.incomplete = state.incomplete;
                if state != replay.state() {
                    return Err(format!(
                        "the file's start contradicts what is known of group {group}"
                    ));
                }
                Ok(None)
            }
            Body::State(state) => {
                replay.missing = state.last_index;
                replay.hard_state = state.hard_state;
                replay.incomplete = state.incomplete;
                let index = state.marker.index;
                replay.marker = state.marker;
                Ok(Some(LogChange::Compacted { index }))
            }
            Body::Record(Record::Entry(entry)) => {
                let index = entry.index;
                replay
                    .entry(entry)
                    .map_err(|what| format!("group {group}: {what}"))?;
                Ok(Some(LogChange::Appended {
                    first: index,
                    last: index,
                }))
            }
            Body::Record(Record::HardState(state)) => {
                replay.hard_state = state;
                Ok(None)
            }
            Body::Record(Record::Marker(marker)) => {
                let index = marker.index;
                replay
                    .compact(marker)
                    .map_err(|what| format!("group {group}: {what}"))?;
                Ok(Some(LogChange::Compacted { index }))
            }
            Body::Record(Record::Reset(marker)) => {
                let index = marker.index;
                replay.entries.clear();
                replay.missing = 0;
                replay.marker = marker;
                Ok(Some(LogChange::Emptied { index }))
            }
            Body::Record(Record::Incomplete) => {
                replay.incomplete = true;
                Ok(None)
            }
            Body::Record(Record::Healed) => {
                replay.incomplete = false;
                Ok(None)
            }
        }
    }

    /// The groups whose entries behind the marker are not all there, with the last index that is missing.
    pub(super) fn missing(&self) -> impl Iterator<Item = (GroupId, u64)> + '_ {
        let missing = self
            .groups
            .iter()
            .filter(|(_, replay)| replay.missing > replay.marker.index);
        missing.map(|(group, replay)| (*group, replay.missing))
    }

    /// Forgets all entries: what is left is each group's marker and hard state.
    pub(super) fn forget_entries(&mut self) {
        for replay in self.groups.values_mut() {
            replay.entries.clear();
            replay.missing = 0;
        }
    }

    /// A loss was accepted: none of the groups may rely on its memory alone.
    pub(super) fn mark_incomplete(&mut self) {
        for replay in self.groups.values_mut() {
            replay.incomplete = true;
        }
    }

    /// What a file's start would say now.
    pub(super) fn states(&self) -> BTreeMap<GroupId, State> {
        self.groups
            .iter()
            .map(|(group, replay)| (*group, replay.state()))
            .collect()
    }

    /// What the groups get back.
    pub(super) fn finish(self) -> BTreeMap<GroupId, Remembered> {
        let group = |mut replay: GroupReplay| {
            // A hard state may have been written just before entries that were cut off.
            replay.hard_state.commit = replay.hard_state.commit.min(replay.last_index());
            Remembered {
                hard_state: replay.hard_state,
                marker: replay.marker,
                entries: replay.entries.into(),
                incomplete: replay.incomplete,
            }
        };
        self.groups
            .into_iter()
            .map(|(id, replay)| (id, group(replay)))
            .collect()
    }
}
