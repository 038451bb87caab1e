//! What a group wants remembered: entries, hard states, markers; and what is left of them after a restart.

use bytes::Bytes;
use raft::eraftpb::{self, EntryType};

use super::membership::Membership;

/// No entry of a group with several members is longer, whoever leads it: each member's journal takes so much. It is what a
/// client may write at once at most, and what goes along with it (who asks, the place in its session).
pub const ENTRY_BYTES_MAX: usize = (16 << 20) + (48 << 10);

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What its bytes are.
    pub kind: EntryKind,
    /// Its bytes; empty for the entry with which a leader begins its term.
    pub data: Bytes,
}

impl Entry {
    pub(super) fn into_raft(self) -> eraftpb::Entry {
        let kind = match self.kind {
            EntryKind::Normal => EntryType::EntryNormal,
            EntryKind::ConfChange => EntryType::EntryConfChange,
            EntryKind::ConfChangeV2 => EntryType::EntryConfChangeV2,
        };
        eraftpb::Entry {
            entry_type: kind,
            index: self.index,
            term: self.term,
            data: self.data,
            ..eraftpb::Entry::default()
        }
    }

    pub(super) fn from_raft(entry: eraftpb::Entry) -> Entry {
        Entry {
            index: entry.index,
            term: entry.term,
            kind: match entry.get_entry_type() {
                EntryType::EntryNormal => EntryKind::Normal,
                EntryType::EntryConfChange => EntryKind::ConfChange,
                EntryType::EntryConfChangeV2 => EntryKind::ConfChangeV2,
            },
            data: entry.data,
        }
    }
}

/// What an entry's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    /// A command of the group's state machine; empty at the beginning of a term.
    #[default]
    Normal,
    /// A change of the voters, in the Raft library's first form.
    ConfChange,
    /// A change of the voters, in the Raft library's second form.
    ConfChangeV2,
}

/// What a voter must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The newest term it has seen.
    pub term: u64,
    /// Whom it voted for in that term; 0 for nobody.
    pub vote: u64,
    /// Entries known to be committed; may lag behind.
    pub commit: u64,
}

/// Up to where a group no longer needs its entries, because what they did is safe elsewhere (a checkpoint or
/// a snapshot).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// The last entry that is no longer needed.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// What goes with it: the voters at that entry, the name of the checkpoint. At most
    /// [`STATE_BYTES_MAX`], because every file of the journal begins with the markers of all groups.
    pub state: Bytes,
}

/// The most bytes a marker's state may have.
pub const STATE_BYTES_MAX: usize = 16 << 10;

/// Something to remember for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Appends an entry, and forgets those of this group with its index or a higher one. Its index is at most
    /// one higher than the last one's (or the marker's).
    Entry(Entry),
    /// Replaces the group's hard state.
    HardState(HardState),
    /// Compaction: forgets the entries up to `index`, which is neither behind the present marker nor beyond the
    /// last entry. To be appended only when what it points to is on stable storage.
    Marker(Marker),
    /// A snapshot from the leader took the log's place: forgets all entries; the next one has `index + 1`. To
    /// be appended only when the snapshot is on stable storage.
    Reset(Marker),
    /// Something this group had acknowledged may be gone: see [`Remembered::incomplete`]. The journal
    /// appends it itself when it accepts a loss.
    Incomplete,
    /// What was lost has been made good from the other voters.
    Healed,
}

/// What is remembered of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The last hard state.
    pub hard_state: HardState,
    /// The last marker; the default one when there was none yet.
    pub marker: Marker,
    /// The entries behind the marker, without a gap.
    pub entries: Vec<Entry>,
    /// Something this group had acknowledged may be gone (accepted damage, and not [`Record::Healed`] since):
    /// it must neither vote nor acknowledge before it has caught up.
    pub incomplete: bool,
}

impl Remembered {
    /// A group that is founded by these members, as each of them begins it. Its first entry is the founding, so that
    /// who joins later begins with a snapshot, where the members are.
    pub fn founding(members: &Membership) -> Remembered {
        Remembered {
            hard_state: HardState {
                term: 1,
                vote: 0,
                commit: 1,
            },
            marker: Marker {
                index: 1,
                term: 1,
                state: members.encode(),
            },
            ..Remembered::default()
        }
    }

    /// Takes note of a snapshot that is on disk and whose place in the log was not, or not yet, remembered: what is
    /// committed is known by it. Returns what is to be remembered in its place, if it is not part of the log.
    pub fn settle(&mut self, snapshot: &Marker) -> Option<Record> {
        if self.term_at(snapshot.index) == Some(snapshot.term) {
            self.hard_state.commit = self.hard_state.commit.max(snapshot.index);
            return None;
        }
        if snapshot.index <= self.marker.index {
            return None;
        }
        self.entries.clear();
        self.marker = snapshot.clone();
        self.hard_state.commit = snapshot.index;
        if self.hard_state.term < snapshot.term {
            // It has promised nothing in a term that it did not remember.
            self.hard_state.term = snapshot.term;
            self.hard_state.vote = 0;
        }
        Some(Record::Reset(self.marker.clone()))
    }

    /// All that it has is committed, and these are the members.
    pub fn recover(&mut self, members: &Membership) {
        self.marker.state = members.encode();
        self.hard_state.vote = 0;
        self.hard_state.commit = self.last_index();
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.marker.index {
            return Some(self.marker.term);
        }
        let place = usize::try_from(index.checked_sub(self.marker.index + 1)?).ok()?;
        self.entries.get(place).map(|entry| entry.term)
    }

    /// The last entry, whether it is still there or needed no longer.
    pub fn last_index(&self) -> u64 {
        let last = self.entries.last();
        last.map_or(self.marker.index, |entry| entry.index)
    }
}
