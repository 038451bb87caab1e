//! What a journal must remember, told the slow and obvious way: a list of records a group, applied from the
//! beginning each time.

use std::collections::BTreeMap;

use chrysalis::consensus::{Entry, EntryKind, HardState, Marker, Record, Remembered};
use chrysalis::journal::{Journal, Recovered, Ticket};
use chrysalis::units::GroupId;

use crate::harness::tally::Tally;

/// One group: what it was at the last opening, and what was appended since.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupModel {
    base: Remembered,
    /// What the hard state says about the commit index, also where the entries were cut off.
    base_commit: u64,
    appended: Vec<(Ticket, Record)>,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) groups: BTreeMap<GroupId, GroupModel>,
}

impl GroupModel {
    /// The group after the first `count` of its records.
    fn after(&self, count: usize) -> (Remembered, u64) {
        let mut group = self.base.clone();
        group.hard_state.commit = self.base_commit;
        for (_, record) in &self.appended[..count] {
            match record.clone() {
                Record::Entry(entry) => {
                    group.entries.retain(|earlier| earlier.index < entry.index);
                    group.entries.push(entry);
                }
                Record::HardState(state) => group.hard_state = state,
                Record::Marker(marker) => {
                    group.entries.retain(|entry| entry.index > marker.index);
                    group.marker = marker;
                }
                Record::Reset(marker) => {
                    group.entries.clear();
                    group.marker = marker;
                }
                Record::Incomplete => group.incomplete = true,
                Record::Healed => group.incomplete = false,
            }
        }
        let commit = group.hard_state.commit;
        let last = group
            .entries
            .last()
            .map_or(group.marker.index, |entry| entry.index);
        group.hard_state.commit = commit.min(last);
        (group, commit)
    }

    /// Records appended since the last opening.
    pub(crate) fn len(&self) -> usize {
        self.appended.len()
    }

    /// The group with everything that was appended.
    pub(crate) fn now(&self) -> Remembered {
        self.after(self.appended.len()).0
    }
}

impl Model {
    /// Appends to the journal and to the model.
    pub(crate) fn append(&mut self, journal: &mut Journal, group: GroupId, record: Record) {
        let ticket = journal.append(group, record.clone());
        let model = self.groups.entry(group).or_default();
        if let Some((last, _)) = model.appended.last() {
            assert!(*last < ticket, "tickets rise");
        }
        model.appended.push((ticket, record));
    }

    /// A group with what of its records was acknowledged.
    pub(crate) fn durable(&self, journal: &Journal, group: GroupId) -> Remembered {
        let count = self.acknowledged(journal).get(&group).copied();
        let model = self.groups.get(&group).cloned().unwrap_or_default();
        model.after(count.unwrap_or(0)).0
    }

    /// How many records of each group were acknowledged.
    pub(crate) fn acknowledged(&self, journal: &Journal) -> BTreeMap<GroupId, usize> {
        let count = |group: &GroupId, model: &GroupModel| {
            let durable = journal.durable(*group);
            model
                .appended
                .iter()
                .filter(|(ticket, _)| *ticket <= durable)
                .count()
        };
        self.groups
            .iter()
            .map(|(group, model)| (*group, count(group, model)))
            .collect()
    }

    /// Compares what came back with what must be there: for each group all that was acknowledged, and of the
    /// rest a beginning. Goes on from there, and tells what became of the records.
    pub(crate) fn recover(
        &mut self,
        acknowledged: &BTreeMap<GroupId, usize>,
        recovered: &Recovered,
    ) -> Result<Tally, String> {
        let mut tally = Tally::default();
        for group in recovered.groups.keys() {
            if !self.groups.contains_key(group) {
                return Err(format!("group {group} was never heard of"));
            }
        }
        for (id, model) in &mut self.groups {
            let least = acknowledged.get(id).copied().unwrap_or(0);
            let found = recovered.groups.get(id).cloned().unwrap_or_default();
            let matching =
                (least..=model.appended.len()).find(|count| model.after(*count).0 == found);
            let Some(count) = matching else {
                let all = model.appended.len();
                let (expected, _) = model.after(least);
                return Err(format!(
                    "group {id} is none of its states after {least}..={all} records\n found {}\n with {least} {}",
                    brief(&found),
                    brief(&expected)
                ));
            };
            tally.add("records acknowledged", least);
            tally.add("records kept though not acknowledged", count - least);
            tally.add("records lost", model.appended.len() - count);
            let (base, base_commit) = model.after(count);
            *model = GroupModel {
                base,
                base_commit,
                appended: Vec::new(),
            };
        }
        Ok(tally)
    }

    /// Checks what came back after an accepted loss: each group is as it was at some time, or has lost all its
    /// entries; and it says that it is incomplete.
    pub(crate) fn check_loss(&self, recovered: &Recovered) -> Result<(), String> {
        for (id, found) in &recovered.groups {
            let model = self
                .groups
                .get(id)
                .ok_or(format!("group {id} was never heard of"))?;
            let at_some_time = (0..=model.appended.len()).any(|count| {
                let (mut then, _) = model.after(count);
                then.incomplete = true;
                let whole = then == *found;
                then.entries.clear();
                then.hard_state.commit = then.hard_state.commit.min(then.marker.index);
                whole || then == *found
            });
            if !at_some_time {
                return Err(format!("group {id} was never like this: {}", brief(found)));
            }
        }
        Ok(())
    }

    /// An entry behind the group's last one, or so many before.
    pub(crate) fn entry(
        &self,
        group: GroupId,
        index_back: u64,
        term: u64,
        data: Vec<u8>,
    ) -> Record {
        let now = self
            .groups
            .get(&group)
            .map(GroupModel::now)
            .unwrap_or_default();
        let last = now
            .entries
            .last()
            .map_or(now.marker.index, |entry| entry.index);
        // What is committed is never replaced.
        let kept = now.marker.index.max(now.hard_state.commit);
        let index = (last + 1 - index_back.min(last)).max(kept + 1);
        let kind = EntryKind::Normal;
        Record::Entry(Entry {
            index,
            term,
            kind,
            data: data.into(),
        })
    }

    /// The group as it should be now.
    pub(crate) fn now(&self, group: GroupId) -> Remembered {
        self.groups
            .get(&group)
            .map(GroupModel::now)
            .unwrap_or_default()
    }
}

/// One line about a group.
fn brief(group: &Remembered) -> String {
    let Remembered {
        hard_state,
        marker,
        entries,
        incomplete,
    } = group;
    let HardState { term, vote, commit } = hard_state;
    let Marker {
        index,
        term: marker_term,
        state,
    } = marker;
    let tags: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}@{}#{}", entry.index, entry.term, entry.data.len()))
        .collect();
    format!(
        "term {term} vote {vote} commit {commit}, marker {index}@{marker_term} {state:?}, incomplete \
         {incomplete}, entries {}",
        tags.join(" ")
    )
}
