//! The entries of one group, as far as they are in memory, and what the `raft` crate asks of them.
//!
//! ```text
//!     forgotten          only in the journal         in memory
//!   ─────────────┬──────────────────────────┬───────────────────────────────
//!              marker                     start              applied   last
//! ```
//!
//! Invariants: everything behind `applied` is in memory; of what is applied, at most so many bytes are; the term of each
//! entry from `min(marker, start)` on is known. A peer that needs what is only in the journal costs a [`Fetch`], one
//! that needs what is forgotten a snapshot.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};

use raft::eraftpb;
use raft::{GetEntriesContext, RaftState, StorageError};

use super::membership::Membership;
use super::message::snapshot_of;
use super::record::Marker;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 96;
/// Reads of the journal that may be under way at a time.
const FETCHES_MAX: usize = 8;

/// Entries that a peer needs and only the journal has.
#[derive(Debug)]
pub(super) struct Fetch {
    /// The first of them.
    pub(super) from: u64,
    /// One behind the last that is wanted.
    pub(super) to: u64,
    /// So many bytes are enough.
    pub(super) bytes: u64,
    /// For whom, as the crate remembers it.
    pub(super) context: GetEntriesContext,
}

/// The entries of one group.
pub(super) struct Log {
    pub(super) hard_state: eraftpb::HardState,
    /// Who belonged to the group at which entry, oldest first; the first holds at the marker.
    memberships: VecDeque<(u64, Membership)>,
    /// From which index on which term, oldest first.
    terms: VecDeque<(u64, u64)>,
    /// Up to here the journal has forgotten.
    marker: u64,
    /// The last entry in front of those in memory.
    start: u64,
    entries: VecDeque<eraftpb::Entry>,
    /// What those in memory cost that are applied.
    applied_bytes: usize,
    /// Up to here they are.
    applied: u64,
    /// How much of them is kept for peers.
    window_bytes: usize,
    /// The newest snapshot that may be sent.
    snapshot: Option<(Marker, Membership)>,
    /// Who needs one and did not get it.
    wanted: RefCell<BTreeSet<u64>>,
    fetches: RefCell<Vec<Fetch>>,
    /// The first entries of what is being fetched.
    fetching: BTreeSet<u64>,
    /// What was fetched, while the crate asks for it again.
    fetched: Vec<eraftpb::Entry>,
    /// Up to here nothing could be fetched: for peers it is as good as forgotten.
    unread: u64,
}

impl Log {
    pub(super) fn new(
        hard_state: eraftpb::HardState,
        membership: Membership,
        marker: &Marker,
        entries: impl Iterator<Item = eraftpb::Entry>,
        window_bytes: usize,
    ) -> Log {
        let mut log = Log {
            hard_state,
            memberships: VecDeque::from([(marker.index, membership)]),
            terms: VecDeque::from([(marker.index, marker.term)]),
            marker: marker.index,
            start: marker.index,
            entries: VecDeque::new(),
            applied_bytes: 0,
            applied: marker.index,
            window_bytes,
            snapshot: None,
            wanted: RefCell::default(),
            fetches: RefCell::default(),
            fetching: BTreeSet::new(),
            fetched: Vec::new(),
            unread: 0,
        };
        entries.for_each(|entry| log.append(entry));
        log
    }

    pub(super) fn last(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// How many entries are in memory.
    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.entries.len()
    }

    /// The first entry that a peer can still be sent, from wherever.
    fn first(&self) -> u64 {
        self.marker.min(self.start).max(self.unread) + 1
    }

    /// Where in `entries` this index lies.
    fn place(&self, index: u64) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.start + 1)?).ok()?;
        (place < self.entries.len()).then_some(place)
    }

    /// Puts an entry at the end, in the place of one with its index and all behind that.
    pub(super) fn append(&mut self, entry: eraftpb::Entry) {
        let (index, term) = (entry.index, entry.term);
        assert!(
            index > self.applied && index <= self.last() + 1,
            "entries follow each other without a gap, and what was applied is never replaced"
        );
        if let Some(place) = self.place(index) {
            self.entries.truncate(place);
            while self.terms.back().is_some_and(|(first, _)| *first >= index) {
                self.terms.pop_back();
            }
        }
        if self.terms.back().is_none_or(|(_, last)| *last != term) {
            self.terms.push_back((index, term));
        }
        self.entries.push_back(entry);
    }

    /// Everything up to `index` is applied: only a part of it stays in memory.
    pub(super) fn applied(&mut self, index: u64) {
        let newly = self.applied + 1..=index;
        self.applied_bytes += newly
            .filter_map(|index| self.place(index))
            .map(|place| cost(&self.entries[place]))
            .sum::<usize>();
        self.applied = index;
        while self.applied_bytes > self.window_bytes
            && let Some(entry) = self.entries.pop_front()
        {
            self.applied_bytes -= cost(&entry);
            self.start = entry.index;
        }
        self.forget();
    }

    /// The journal has forgotten everything up to `index`.
    pub(super) fn marked(&mut self, index: u64) {
        self.marker = index;
        while self
            .memberships
            .get(1)
            .is_some_and(|(at, _)| *at <= self.marker)
        {
            self.memberships.pop_front();
        }
        self.forget();
    }

    /// Terms that nobody asks for any more.
    fn forget(&mut self) {
        let first = self.marker.min(self.start);
        while self.terms.get(1).is_some_and(|(at, _)| *at <= first) {
            self.terms.pop_front();
        }
    }

    /// A snapshot took the place of everything.
    pub(super) fn install(&mut self, marker: &Marker, membership: Membership) {
        self.entries.clear();
        self.applied_bytes = 0;
        self.memberships = VecDeque::from([(marker.index, membership)]);
        self.terms = VecDeque::from([(marker.index, marker.term)]);
        (self.marker, self.start, self.applied) = (marker.index, marker.index, marker.index);
        self.hard_state.commit = self.hard_state.commit.max(marker.index);
        self.snapshot = None;
        self.fetching.clear();
        self.unread = 0;
    }

    /// From this entry on the group has these members.
    pub(super) fn change(&mut self, index: u64, membership: Membership) {
        self.memberships.push_back((index, membership));
    }

    /// Who belongs to the group now.
    pub(super) fn membership(&self) -> &Membership {
        let (_, now) = self
            .memberships
            .back()
            .expect("there is one from the start");
        now
    }

    /// Since which entry it is so.
    pub(super) fn members_since(&self) -> u64 {
        self.memberships.back().map_or(0, |(at, _)| *at)
    }

    /// Who belonged to the group at an entry from the marker on.
    pub(super) fn membership_at(&self, index: u64) -> Option<&Membership> {
        let at = self.memberships.iter().rev().find(|(at, _)| *at <= index);
        at.map(|(_, membership)| membership)
    }

    /// The term of an entry that is still known.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        let known = index <= self.last();
        let term = self.terms.iter().rev().find(|(at, _)| *at <= index);
        term.filter(|_| known).map(|(_, term)| *term)
    }

    /// This snapshot is on disk, and may be sent until a newer one is offered.
    pub(super) fn offer(&mut self, snapshot: Marker, membership: Membership) {
        self.snapshot = Some((snapshot, membership));
    }

    /// Who needed a snapshot since this was last asked, and there was none that helps.
    pub(super) fn take_wanted(&mut self) -> BTreeSet<u64> {
        std::mem::take(self.wanted.get_mut())
    }

    /// What is to be read from the journal.
    pub(super) fn take_fetches(&mut self) -> Vec<Fetch> {
        let fetches = std::mem::take(self.fetches.get_mut());
        self.fetching.extend(fetches.iter().map(|fetch| fetch.from));
        fetches
    }

    /// What was to be fetched from an entry on; until [`Log::end_fetch`] the crate is given it when it asks again. Where nothing
    /// could be fetched, whoever lacks it needs a snapshot.
    pub(super) fn begin_fetched(&mut self, from: u64, mut entries: Vec<eraftpb::Entry>) {
        self.fetching.remove(&from);
        let follows = |(index, entry): (u64, &eraftpb::Entry)| {
            entry.index == index && self.term_at(index) == Some(entry.term)
        };
        let count = (from..).zip(&entries).take_while(|it| follows(*it)).count();
        entries.truncate(count);
        if entries.is_empty() {
            self.unread = self.start;
        }
        self.fetched = entries;
    }

    /// The crate has asked for what was fetched.
    pub(super) fn end_fetch(&mut self) {
        self.fetched = Vec::new();
    }

    /// What of the fetched entries begins at `low`, if any does.
    fn of_fetched(&self, low: u64, high: u64) -> Option<Vec<eraftpb::Entry>> {
        let first = self.fetched.first()?.index;
        let skip = usize::try_from(low.checked_sub(first)?).ok()?;
        let found = self.fetched.iter().skip(skip);
        let found: Vec<_> = found.take_while(|entry| entry.index < high).collect();
        (!found.is_empty()).then(|| found.into_iter().cloned().collect())
    }
}

/// What an entry in memory costs.
fn cost(entry: &eraftpb::Entry) -> usize {
    ENTRY_BYTES + entry.data.len()
}

impl raft::Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let members = self.membership().to_raft();
        Ok(RaftState::new(self.hard_state.clone(), members))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        // Who has nothing lacks the members, too, which are in a snapshot and in no entry.
        if low == 1 && context.can_async() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if low <= self.start {
            if let Some(fetched) = self.of_fetched(low, high) {
                return Ok(fetched);
            }
            // Whoever must have them at once asks only for what is not applied, and that is in memory.
            if !context.can_async() {
                return Err(raft::Error::Store(StorageError::Compacted));
            }
            let mut fetches = self.fetches.borrow_mut();
            let is_new = |fetch: &Fetch| fetch.from != low;
            if fetches.len() + self.fetching.len() < FETCHES_MAX
                && fetches.iter().all(is_new)
                && !self.fetching.contains(&low)
            {
                fetches.push(Fetch {
                    from: low,
                    to: high.min(self.start + 1),
                    bytes: bytes_max,
                    context,
                });
            }
            return Err(raft::Error::Store(StorageError::LogTemporarilyUnavailable));
        }
        let start = self.place(low).unwrap_or(self.entries.len());
        let mut taken = Vec::new();
        let mut bytes = 0_u64;
        for entry in self.entries.range(start..) {
            if entry.index >= high {
                break;
            }
            bytes += entry.data.len() as u64;
            // At least one, or the caller would wait for ever.
            if bytes > bytes_max && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index + 1 < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let unavailable = raft::Error::Store(StorageError::Unavailable);
        self.term_at(index).ok_or(unavailable)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        // An older one would leave a gap behind it, and whoever is not in it refuses it.
        let needed = request_index.max(self.first() - 1);
        let helps = |(snapshot, membership): &&(Marker, Membership)| {
            snapshot.index >= needed && membership.members().contains(&to)
        };
        match self.snapshot.as_ref().filter(helps) {
            Some((snapshot, membership)) => Ok(snapshot_of(snapshot, membership)),
            None => {
                self.wanted.borrow_mut().insert(to);
                Err(raft::Error::Store(
                    StorageError::SnapshotTemporarilyUnavailable,
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use raft::Storage as _;

    use super::*;

    #[test]
    fn what_could_not_be_read_costs_a_snapshot_that_holds_it() {
        let entry = |index| eraftpb::Entry {
            index,
            term: 1,
            ..eraftpb::Entry::default()
        };
        let membership = Membership::of_voters([1, 2]);
        let marker = Marker::default();
        let mut log = Log::new(
            eraftpb::HardState::default(),
            membership.clone(),
            &marker,
            (1..=9).map(entry),
            2 * ENTRY_BYTES,
        );
        let old = Marker {
            index: 3,
            term: 1,
            ..Marker::default()
        };
        log.offer(old, membership.clone());
        log.applied(9);
        let ask = |log: &Log| log.entries(3, 10, None, GetEntriesContext::empty(true));
        let later = || raft::Error::Store(StorageError::LogTemporarilyUnavailable);
        assert_eq!(ask(&log), Err(later()));
        assert_eq!(log.take_fetches().len(), 1);
        assert_eq!(ask(&log), Err(later()));
        assert!(log.take_fetches().is_empty(), "it is being read already");
        log.begin_fetched(3, Vec::new());
        log.end_fetch();
        assert_eq!(ask(&log), Err(raft::Error::Store(StorageError::Compacted)));
        assert!(log.snapshot(0, 2).is_err(), "it would leave a gap");
        assert_eq!(log.take_wanted(), BTreeSet::from([2]));
        let new = Marker {
            index: 7,
            term: 1,
            ..Marker::default()
        };
        log.offer(new, membership);
        assert!(log.snapshot(0, 2).is_ok());
        let rest = log.entries(8, 10, None, GetEntriesContext::empty(true));
        assert_eq!(rest.map(|entries| entries.len()), Ok(2));
    }
}
