//! One Raft group: the `raft` crate held over the journal.
//!
//! The crate decides; this file keeps its rules: what must be on disk before what, which entries are
//! still needed in memory, and that no clock or generator but the caller's is used. It knows no
//! journal: what has to survive leaves as [`Record`]s, and [`Group::durable`] says when it did.
//!
//! Invariants, for one group:
//!
//! - `marker ≤ applied ≤ committed ≤ durable ≤ last`;
//! - entries stay in memory until applied, and the uncommitted ones hold at most
//!   [`Options::uncommitted_bytes_max`];
//! - a hard state in which only the commit index moved is not persisted: a lone put is written once;
//! - a reply waits for `committed`, and `committed` waits for `durable`: nothing is acknowledged that
//!   a power cut could take.

use std::collections::VecDeque;

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{self, ConfState, EntryType, MessageType};
use raft::{GetEntriesContext, RaftState, RawNode, StateRole, StorageError};

use super::record::{Entry, EntryKind, HardState, Marker, Record, Remembered};
use super::voters::{self, Unreadable};
use crate::units::{GroupId, Random, Seed};

#[cfg(test)]
mod tests;

/// How a group is held.
#[derive(Clone, Debug)]
pub struct Options {
    /// The group.
    pub id: GroupId,
    /// This server's number among the voters; never 0.
    pub voter: u64,
    /// Bytes of proposals that may wait for their commit before new ones are refused.
    pub uncommitted_bytes_max: u64,
    /// Ticks without a leader's word before an election.
    pub election_ticks: usize,
    /// Ticks between two heartbeats.
    pub heartbeat_ticks: usize,
}

/// What a turn of the group brought, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// An entry is committed: apply it, then call [`Group::applied`].
    Committed(Entry),
    /// This server leads, and everything before its term has been given out as committed.
    Led {
        /// The term it leads.
        term: u64,
    },
    /// This server no longer leads: what it proposed may or may not commit.
    Deposed {
        /// The term in which another leads or may lead.
        term: u64,
    },
}

/// Why a proposal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another server leads, or none.
    #[error("this server does not lead group {0}")]
    NotLeader(GroupId),
    /// Too much waits for its commit already; try again when some of it is through.
    #[error("group {0} has too much uncommitted")]
    Full(GroupId),
}

/// Why a group cannot go on from what is remembered.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its voters are not known.
    #[error("group {group}: {why}")]
    Voters {
        /// The group.
        group: GroupId,
        /// What is wrong with the marker's bytes.
        why: Unreadable,
    },
    /// What is remembered contradicts itself.
    #[error("group {group}: {why}")]
    Contradiction {
        /// The group.
        group: GroupId,
        /// How.
        why: raft::Error,
    },
}

impl Unusable {
    /// Whether a later version wrote it.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Unusable::Voters {
                why: Unreadable::Newer(_),
                ..
            }
        )
    }
}

/// One Raft group on one server.
pub struct Group {
    options: Options,
    node: RawNode<Log>,
    random: Random,
    /// Readies whose records are not all durable: (ticket of the last record, number of the ready).
    persisting: VecDeque<(u64, u64)>,
    /// The last ticket given for this group.
    ticket_last: u64,
    role: Role,
    /// From which index on which term, oldest first; a marker may be set at any applied entry.
    terms: VecDeque<(u64, u64)>,
}

/// Where this server stands in its group. The one place that says who leads; whoever needs to know asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Another server leads, or none.
    Follows,
    /// Elected; what was committed in former terms has not all been given out yet.
    Elected {
        /// The term.
        term: u64,
    },
    /// Leads, and all of former terms has been given out.
    Leads {
        /// The term.
        term: u64,
        /// The entry with which it began.
        since: u64,
    },
}

impl Group {
    /// Whether a group could go on from this marker: its voters can be read.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(group: GroupId, marker: &Marker) -> Result<(), Unusable> {
        voters_of(group, marker).map(drop)
    }

    /// The group as it was when the server stopped, or a new one whose only voter is this server.
    ///
    /// # Errors
    /// What is remembered is a later version's, or contradicts itself.
    pub fn new(options: Options, remembered: Remembered, seed: Seed) -> Result<Group, Unusable> {
        let mut voters = voters_of(options.id, &remembered.marker)?;
        if voters.is_empty() {
            voters.push(options.voter);
        }
        let last = remembered.last_index();
        let Remembered {
            hard_state,
            marker,
            entries,
            ..
        } = remembered;
        let config = raft::Config {
            id: options.voter,
            election_tick: options.election_ticks,
            heartbeat_tick: options.heartbeat_ticks,
            applied: marker.index,
            max_size_per_msg: options.uncommitted_bytes_max.min(1 << 20),
            max_inflight_msgs: 64,
            check_quorum: true,
            pre_vote: true,
            max_uncommitted_size: options.uncommitted_bytes_max,
            max_committed_size_per_ready: 8 << 20,
            ..raft::Config::default()
        };
        let log = Log {
            hard_state: eraftpb::HardState {
                term: hard_state.term,
                vote: hard_state.vote,
                commit: hard_state.commit.min(last).max(marker.index),
                ..eraftpb::HardState::default()
            },
            conf_state: ConfState {
                voters,
                ..ConfState::default()
            },
            compacted: (marker.index, marker.term),
            entries: entries.into_iter().map(to_raft).collect(),
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let contradiction = |why| Unusable::Contradiction {
            group: options.id,
            why,
        };
        let mut node = RawNode::new(&config, log, &logger).map_err(contradiction)?;
        node.set_batch_append(true);
        let mut group = Group {
            random: Random::new(seed),
            node,
            persisting: VecDeque::new(),
            ticket_last: 0,
            role: Role::Follows,
            terms: VecDeque::from([(marker.index, marker.term)]),
            options,
        };
        group.seed_election_timeout();
        if group.is_only_voter() {
            let campaigned = group.node.campaign();
            campaigned.map_err(|why| Unusable::Contradiction {
                group: group.id(),
                why,
            })?;
        }
        Ok(group)
    }

    /// Which group this is.
    pub fn id(&self) -> GroupId {
        self.options.id
    }

    /// The voters, this server among them or not.
    pub fn voters(&self) -> Vec<u64> {
        self.node.raft.prs().conf().to_conf_state().voters
    }

    /// Whether this server alone decides: then nothing ticks and nobody else is asked.
    pub fn is_only_voter(&self) -> bool {
        self.voters() == [self.options.voter]
    }

    /// Where this server stands.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this server may propose.
    fn proposes(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// The current term.
    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// The last index given out as committed and applied.
    pub fn applied_index(&self) -> u64 {
        self.node.raft.raft_log.applied
    }

    /// What is to be remembered when everything up to `index` is safe elsewhere; `None` where that is not known
    /// any more.
    pub fn marker_at(&self, index: u64) -> Option<Marker> {
        let term = self.term_at(index)?;
        let state = voters::encode(&self.voters());
        Some(Marker { index, term, state })
    }

    /// The term of a committed entry at or behind the last marker.
    fn term_at(&self, index: u64) -> Option<u64> {
        self.terms
            .iter()
            .rev()
            .find(|(first, _)| *first <= index)
            .map(|(_, term)| *term)
    }

    /// Entries up to here are no longer in the journal: their terms are forgotten.
    pub fn marked(&mut self, index: u64) {
        while self.terms.get(1).is_some_and(|(first, _)| *first <= index) {
            self.terms.pop_front();
        }
    }

    /// Bytes proposed and not yet given out as committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.node.raft.uncommitted_size()
    }

    /// Puts one entry at the end of the log; it goes out with the next [`Group::turn`].
    ///
    /// # Errors
    /// [`Refused`]; the command is not in the log then.
    pub fn propose(&mut self, data: Bytes) -> Result<u64, Refused> {
        if !self.proposes() {
            return Err(Refused::NotLeader(self.options.id));
        }
        let mut message = eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.options.voter;
        // `RawNode::propose` would take a `Vec`; the bytes are shared with the journal instead.
        let entry = eraftpb::Entry {
            data,
            ..eraftpb::Entry::default()
        };
        message.set_entries(vec![entry].into());
        match self.node.raft.step(message) {
            Ok(()) => Ok(self.node.raft.raft_log.last_index()),
            Err(_) if self.proposes() => Err(Refused::Full(self.options.id)),
            Err(_) => Err(Refused::NotLeader(self.options.id)),
        }
    }

    /// Lets Raft's time pass by one tick. Not needed where one server decides alone.
    pub fn tick(&mut self) {
        if !self.is_only_voter() {
            self.node.tick();
            self.seed_election_timeout();
        }
    }

    /// Takes what the group wants done: hands what must survive to `persist`, which returns the ticket
    /// that [`Group::durable`] will be told of, and appends what is known now to `outputs`.
    pub fn turn(&mut self, mut persist: impl FnMut(Record) -> u64, outputs: &mut Vec<Output>) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            if ready.must_sync() {
                if let Some(state) = ready.hs() {
                    self.ticket_last = persist(Record::HardState(HardState {
                        term: state.term,
                        vote: state.vote,
                        commit: state.commit,
                    }));
                }
                for entry in ready.take_entries() {
                    self.node.mut_store().append(entry.clone());
                    self.ticket_last = persist(Record::Entry(from_raft(entry)));
                }
            }
            if let Some(state) = ready.hs() {
                self.node.mut_store().hard_state = state.clone();
            }
            self.note_role(ready.ss().map(|soft| soft.raft_state), outputs);
            self.persisting
                .push_back((self.ticket_last, ready.number()));
            let committed = ready.take_committed_entries();
            self.node.advance_append_async(ready);
            for entry in committed {
                self.commit(entry, outputs);
            }
        }
    }

    /// Everything up to this ticket is on stable storage.
    pub fn durable(&mut self, ticket: u64) {
        while let Some(&(last, number)) = self.persisting.front() {
            if last > ticket {
                break;
            }
            self.persisting.pop_front();
            self.node.on_persist_ready(number);
        }
    }

    /// Everything up to `index` has been applied, and its entries are no longer needed in memory.
    pub fn applied(&mut self, index: u64) {
        if index > self.applied_index() {
            assert!(
                index <= self.node.raft.raft_log.committed,
                "what is applied was committed"
            );
            self.node.advance_apply_to(index);
            self.node.mut_store().compact(index);
        }
    }

    fn commit(&mut self, entry: eraftpb::Entry, outputs: &mut Vec<Output>) {
        if entry.get_entry_type() != EntryType::EntryNormal {
            self.change_voters(&entry);
        }
        let (index, term) = (entry.index, entry.term);
        let log = &self.node.raft.raft_log;
        assert!(
            self.applied_index() < index && index <= log.committed && index <= log.persisted,
            "an entry is given out once, when it is committed and on this disk"
        );
        if self.terms.back().is_none_or(|(_, last)| *last != term) {
            self.terms.push_back((index, term));
        }
        outputs.push(Output::Committed(from_raft(entry)));
        if self.role == (Role::Elected { term }) {
            self.role = Role::Leads { term, since: index };
            outputs.push(Output::Led { term });
        }
    }

    fn change_voters(&mut self, entry: &eraftpb::Entry) {
        // Only this form is ever proposed here.
        let change = eraftpb::ConfChangeV2::parse_from_bytes(&entry.data)
            .expect("a committed change of voters was encoded by a leader of this group");
        let state = self.node.apply_conf_change(&change);
        self.node.mut_store().conf_state =
            state.expect("a committed change of voters was checked when it was proposed");
    }

    fn note_role(&mut self, state: Option<StateRole>, outputs: &mut Vec<Output>) {
        let term = self.term();
        match state {
            Some(StateRole::Leader) => self.role = Role::Elected { term },
            Some(_) if self.role != Role::Follows => {
                self.role = Role::Follows;
                outputs.push(Output::Deposed { term });
            }
            _ => {}
        }
        if state.is_some() {
            self.seed_election_timeout();
        }
    }

    /// The crate draws its election timeout from the thread's generator at each reset; a simulation
    /// could not be replayed with that.
    fn seed_election_timeout(&mut self) {
        let span = u64::try_from(self.options.election_ticks).unwrap_or(u64::MAX);
        let extra = usize::try_from(self.random.below(span)).unwrap_or(0);
        self.node
            .raft
            .set_randomized_election_timeout(self.options.election_ticks + extra);
    }
}

/// The entries not yet applied, and where they begin: what the crate reads back.
struct Log {
    hard_state: eraftpb::HardState,
    conf_state: ConfState,
    /// Index and term of the last entry that is no longer here.
    compacted: (u64, u64),
    entries: VecDeque<eraftpb::Entry>,
}

impl Log {
    fn last(&self) -> u64 {
        self.entries
            .back()
            .map_or(self.compacted.0, |entry| entry.index)
    }

    /// Where in `entries` this index lies.
    fn place(&self, index: u64) -> Option<usize> {
        let place = usize::try_from(index.checked_sub(self.compacted.0 + 1)?).ok()?;
        (place < self.entries.len()).then_some(place)
    }

    fn append(&mut self, entry: eraftpb::Entry) {
        assert!(
            entry.index > self.compacted.0 && entry.index <= self.last() + 1,
            "entries follow each other without a gap, and what was applied is never replaced"
        );
        if let Some(place) = self.place(entry.index) {
            self.entries.truncate(place);
        }
        self.entries.push_back(entry);
    }

    fn compact(&mut self, index: u64) {
        while let Some(entry) = self.entries.front() {
            if entry.index > index {
                break;
            }
            self.compacted = (entry.index, entry.term);
            self.entries.pop_front();
        }
    }
}

impl raft::Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(
            self.hard_state.clone(),
            self.conf_state.clone(),
        ))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.compacted.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let max = max_size.into().unwrap_or(u64::MAX);
        let start = self.place(low).unwrap_or(self.entries.len());
        let mut taken = Vec::new();
        let mut bytes = 0_u64;
        for entry in self
            .entries
            .iter()
            .skip(start)
            .take_while(|entry| entry.index < high)
        {
            bytes += u64::try_from(entry.data.len()).unwrap_or(u64::MAX);
            // At least one, or the caller would wait for ever.
            if bytes > max && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.compacted.0 {
            return Ok(self.compacted.1);
        }
        if index < self.compacted.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        match self.place(index) {
            Some(place) => Ok(self.entries[place].term),
            None => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.compacted.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        // Only a group with followers asks; those take the state machine's files out of band.
        Err(raft::Error::Store(
            StorageError::SnapshotTemporarilyUnavailable,
        ))
    }
}

/// The voters in a marker; none for a group that was never founded.
fn voters_of(group: GroupId, marker: &Marker) -> Result<Vec<u64>, Unusable> {
    voters::decode(&marker.state).map_err(|why| Unusable::Voters { group, why })
}

fn to_raft(entry: Entry) -> eraftpb::Entry {
    let kind = match entry.kind {
        EntryKind::Normal => EntryType::EntryNormal,
        EntryKind::ConfChange => EntryType::EntryConfChange,
        EntryKind::ConfChangeV2 => EntryType::EntryConfChangeV2,
    };
    eraftpb::Entry {
        entry_type: kind,
        index: entry.index,
        term: entry.term,
        data: entry.data,
        ..eraftpb::Entry::default()
    }
}

fn from_raft(entry: eraftpb::Entry) -> Entry {
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
