//! One Raft group: the `raft` crate held over the journal.
//!
//! The crate decides; this file keeps its rules: what must be on disk before what, which entries are
//! still needed in memory, and that no clock or generator but the caller's is used. It knows no
//! journal: what has to survive leaves as [`Record`]s, and [`Group::durable`] says when it did.
//!
//! Invariants, for one group:
//!
//! - `marker ≤ applied ≤ committed ≤ durable ≤ last`;
//! - entries stay in memory until applied, and then as many as [`Options::window_bytes`] say, for members that are
//!   a little behind; the uncommitted ones hold at most [`Options::uncommitted_bytes_max`];
//! - a hard state in which only the commit index moved is not persisted, so that a lone put is written once; unless it is
//!   the members' change that is committed;
//! - a reply waits for `committed`, and `committed` waits for `durable`: nothing is acknowledged that
//!   a power cut could take;
//! - what promises something (a vote, an acknowledgement) leaves when it is durable; what does not, at once.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{
    self, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, EntryType,
    MessageType,
};
use raft::{GetEntriesContext, ProgressState, RawNode, SnapshotStatus, StateRole};

use super::log::Log;
use super::membership::{Along, Identity, Membership, Unreadable};
use super::message::{Body, Message, Round, marker_of};
use super::record::{Entry, HardState, Marker, Record, Remembered};
use crate::units::feature::{Levels, Unsupported};
use crate::units::{GroupId, Random, Seed};

#[cfg(test)]
mod tests;

/// How a group is held.
#[derive(Clone, Debug)]
pub struct Options {
    /// The group.
    pub id: GroupId,
    /// This server's number in the group; never 0, and another one after it has forgotten what it promised.
    pub member: u64,
    /// Where nobody is known to belong to the group, wait to be admitted. Otherwise this server founds it, alone.
    pub joins: bool,
    /// The feature levels that this server supports.
    pub levels: Levels,
    /// Who this server is, to the others; of no use where it is alone.
    pub identity: Identity,
    /// Bytes of proposals that may wait for their commit before new ones are refused.
    pub uncommitted_bytes_max: u64,
    /// Bytes of applied entries that stay in memory for members that are behind; 0 where there are none.
    pub window_bytes: usize,
    /// Ticks without a leader's word before an election; up to twice as many, by chance.
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
    /// Something for another member. It may be lost, come twice or late.
    Send(Message),
    /// The answer to [`Group::read_index`]: a read after everything up to `index` is applied sees all that was
    /// acknowledged before it was asked.
    ReadAt {
        /// The question.
        number: u64,
        /// The index.
        index: u64,
    },
    /// A member lacks entries that only the journal has: read them, then call [`Group::fetched`].
    Fetch {
        /// To be named then.
        number: u64,
        /// The first entry.
        from: u64,
        /// One behind the last.
        to: u64,
        /// So many bytes are enough; at least one entry.
        bytes: u64,
    },
    /// A member lacks what the journal has forgotten: make a snapshot, then call [`Group::offer_snapshot`].
    SnapshotWanted {
        /// Who.
        member: u64,
    },
    /// The snapshot that came with a [`Body::Snapshot`] took the place of everything:
    /// the state machine is to be made of it, before anything else is applied.
    Installed(Marker),
    /// The leader knows that this member had more on disk than it has: an older state of its was put back. It has forgotten
    /// what it promised, and takes no part any more; it is to come back as somebody else.
    Forgot {
        /// What it had acknowledged, at least.
        acknowledged: u64,
        /// Its last entry.
        last: u64,
    },
    /// This entry is committed, and this server cannot go on with it: nothing behind it is given out.
    Halted {
        /// The entry.
        index: u64,
        /// Why.
        why: Halt,
    },
}

/// Why a group cannot go on past a committed entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// It raises the feature level to one that this server does not support.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Only a later release can have written it.
    #[error("this change of the members is not known")]
    Unknown,
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

/// Why the members, or who leads them, did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// Another server leads, or none.
    #[error("this server does not lead group {0}")]
    NotLeader(GroupId),
    /// They change already, or too much waits for its commit; try again later.
    #[error("the members of group {0} are changing")]
    Busy(GroupId),
    /// The leader would leave: another is to lead first.
    #[error("the leader of group {0} cannot leave it")]
    Leader(GroupId),
    /// Too few of the voters that would be left answer.
    #[error("of the voters of group {0} that would be left, too few answer")]
    Quorum(GroupId),
    /// Nobody of that number can lead.
    #[error("no voter of group {0} has that number")]
    NoVoter(GroupId),
    /// Nobody of that number belongs to it.
    #[error("no member of group {0} has that number")]
    NoMember(GroupId),
    /// Not every member supports the level.
    #[error("a member of group {0} does not support that feature level")]
    Unsupported(GroupId),
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
    /// Whether a later version wrote it, or it is of a feature level that is not supported here.
    pub fn is_newer(&self) -> bool {
        matches!(self, Unusable::Voters { why, .. } if why.is_newer())
    }
}

/// One Raft group on one server.
pub struct Group {
    options: Options,
    node: RawNode<Log>,
    random: Random,
    /// Readies whose records are not all durable.
    persisting: VecDeque<Persisting>,
    /// What may leave with the next turn.
    released: Vec<Message>,
    /// The entry of a snapshot that took the place of everything, while the word of it is not durable.
    installing: Option<u64>,
    /// The last ticket given for this group.
    ticket_last: u64,
    role: Role,
    /// Term, state and leader when the election timeout was drawn.
    stand: (u64, StateRole, u64),
    /// In ticks.
    election_timeout: usize,
    /// Ticks since the leader was last heard.
    silent_ticks: usize,
    /// Entries that are being read from the journal, by number, and for whom.
    fetching: BTreeMap<u64, (u64, GetEntriesContext)>,
    fetches: u64,
    /// This server was a member and is none any more.
    removed: bool,
    /// It has forgotten what it promised: what it had acknowledged at least.
    forgot: Option<u64>,
    /// An entry was met that this server cannot go on with.
    halted: bool,
}

/// A ready whose records are on their way to the disk.
struct Persisting {
    /// The ticket of the last record.
    ticket: u64,
    /// The ready's number.
    number: u64,
    /// What promises that they are there.
    messages: Vec<Message>,
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
    /// The members in this marker; none for a group that was never founded.
    ///
    /// # Errors
    /// They cannot be read, so no group could go on from it.
    pub fn members(
        group: GroupId,
        marker: &Marker,
        levels: Levels,
    ) -> Result<Membership, Unusable> {
        let members = Membership::decode_at(&marker.state, levels);
        members.map_err(|why| Unusable::Voters { group, why })
    }

    /// The group as it was when the server stopped; or a new one whose only voter is this server, or one to be
    /// admitted to.
    ///
    /// # Errors
    /// What is remembered is a later version's, or contradicts itself.
    pub fn new(options: Options, remembered: Remembered, seed: Seed) -> Result<Group, Unusable> {
        let mut membership = Group::members(options.id, &remembered.marker, options.levels)?;
        if membership.is_empty() && !options.joins {
            membership = Membership::of_voters([options.member]);
        }
        let last = remembered.last_index();
        let Remembered {
            hard_state,
            marker,
            entries,
            ..
        } = remembered;
        let config = raft::Config {
            id: options.member,
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
        let hard_state = eraftpb::HardState {
            term: hard_state.term,
            vote: hard_state.vote,
            commit: hard_state.commit.min(last).max(marker.index),
            ..eraftpb::HardState::default()
        };
        let decides = membership.is_decided_by(options.member);
        let entries = entries.into_iter().map(Entry::into_raft);
        let log = Log::new(
            hard_state,
            membership,
            &marker,
            entries,
            options.window_bytes,
        );
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let group = options.id;
        let contradiction = |why| Unusable::Contradiction { group, why };
        let mut node = RawNode::new(&config, log, &logger).map_err(contradiction)?;
        node.set_batch_append(true);
        let mut group = Group {
            random: Random::new(seed),
            node,
            persisting: VecDeque::new(),
            released: Vec::new(),
            installing: None,
            ticket_last: 0,
            role: Role::Follows,
            stand: (0, StateRole::Follower, u64::MAX),
            election_timeout: options.election_ticks,
            silent_ticks: 0,
            fetching: BTreeMap::new(),
            fetches: 0,
            removed: false,
            forgot: None,
            halted: false,
            options,
        };
        group.set_election_timeout();
        group.note_removed();
        if decides {
            group.node.campaign().map_err(contradiction)?;
        }
        Ok(group)
    }

    /// Which group this is.
    pub fn id(&self) -> GroupId {
        self.options.id
    }

    /// Which member this server is, and who.
    pub(super) fn own_identity(&self) -> Option<(u64, Identity)> {
        let identity = self.options.identity;
        (identity.journal != 0).then_some((self.options.member, identity))
    }

    /// This server's number in the group.
    pub fn member(&self) -> u64 {
        self.options.member
    }

    /// Whether this server was a member, and knows that it is none any more.
    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// Looks whether the members, or this server's number, say so.
    fn note_removed(&mut self) {
        let now = self.membership();
        self.removed = !now.is_empty() && !now.members().contains(&self.options.member);
    }

    /// This server was taken out and is taken in again, with all that it remembers: only its number is another one. It follows,
    /// and does not vote before it hears of it.
    pub fn renumber(&mut self, member: u64) {
        let term = self.node.raft.term;
        self.node.raft.become_follower(term, 0);
        self.node.raft.id = member;
        self.options.member = member;
        self.note_removed();
    }

    /// Who belongs to it now.
    pub fn membership(&self) -> &Membership {
        self.node.store().membership()
    }

    /// Since which entry these are the members.
    pub fn members_since(&self) -> u64 {
        self.node.store().members_since()
    }

    /// Whether nobody else belongs to it: then nothing ticks and nobody is asked.
    pub fn is_alone(&self) -> bool {
        self.membership().is_only(self.options.member)
    }

    /// Who leads, as far as this server knows.
    pub fn leader(&self) -> Option<u64> {
        Some(self.node.raft.leader_id).filter(|leader| *leader != 0)
    }

    /// Where this server stands.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this server may propose.
    pub(super) fn proposes(&self) -> bool {
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

    /// Up to which entry another member is known to have everything on disk; `None` where this server does not lead, or
    /// that is no member.
    pub fn matched_index(&self, member: u64) -> Option<u64> {
        let progress = self.node.raft.prs().get(member);
        progress
            .filter(|_| self.proposes())
            .map(|progress| progress.matched)
    }

    /// What the member has that is furthest behind of those that have answered lately, counting a snapshot that is on its way to
    /// it: all behind that is still to be sent. `None` where this server does not lead, or nobody answers.
    pub fn behind(&self) -> Option<u64> {
        if !self.proposes() {
            return None;
        }
        let others = self.node.raft.prs().iter();
        let others =
            others.filter(|(member, it)| **member != self.options.member && it.recent_active);
        others
            .map(|(_, it)| match it.state {
                ProgressState::Snapshot => it.pending_snapshot,
                ProgressState::Probe | ProgressState::Replicate => it.matched,
            })
            .min()
    }

    /// Whether a member answers: this server itself does.
    pub(super) fn answers(&self, member: u64) -> bool {
        member == self.options.member || self.is_replicating(member)
    }

    /// Whether another member takes entries as they come: it lacks no snapshot, and has answered lately. False where this
    /// server does not lead.
    pub fn is_replicating(&self, member: u64) -> bool {
        let progress = self.node.raft.prs().get(member);
        let progress = progress.filter(|_| self.proposes());
        progress.is_some_and(|it| it.state == ProgressState::Replicate && it.recent_active)
    }

    /// The last index known to be committed.
    pub fn committed_index(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    /// What is to be remembered when everything up to `index` is safe elsewhere: the term and the members of that
    /// entry. `None` where they are not known any more.
    pub fn marker_at(&self, index: u64) -> Option<Marker> {
        let log = self.node.store();
        Some(Marker {
            index,
            term: log.term_at(index)?,
            state: log.membership_at(index)?.encode(),
        })
    }

    /// The journal has forgotten everything up to `index`.
    pub fn marked(&mut self, index: u64) {
        self.node.mut_store().marked(index);
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
        message.from = self.options.member;
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

    /// Changes who belongs to the group to these voters and learners; one voter more or less at once, several by a
    /// joint configuration that the group leaves by itself. What goes `along` says who those are that were not in it.
    ///
    /// # Errors
    /// [`Unchanged`].
    pub(super) fn change(
        &mut self,
        voters: &[u64],
        learners: &[u64],
        along: &Along,
    ) -> Result<(), Unchanged> {
        self.check_changes()?;
        let now = self.membership();
        if !voters.contains(&self.options.member) {
            return Err(Unchanged::Leader(self.options.id));
        }
        let mut changes: Vec<ConfChangeSingle> = Vec::new();
        let mut add = |member: &u64, kind| {
            changes.push(change_of(*member, kind));
        };
        let is_new = |list: &[u64], member: &&u64| !list.contains(member);
        for member in voters.iter().filter(|it| is_new(&now.voters, it)) {
            add(member, ConfChangeType::AddNode);
        }
        for member in learners.iter().filter(|it| is_new(&now.learners, it)) {
            add(member, ConfChangeType::AddLearnerNode);
        }
        let stays = |member: &&u64| !voters.contains(member) && !learners.contains(member);
        for member in now.members().iter().filter(stays) {
            add(member, ConfChangeType::RemoveNode);
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.propose_change(changes, along, ConfChangeTransition::Auto)
    }

    /// Changes what the members' state says beside who they are.
    ///
    /// # Errors
    /// [`Unchanged`].
    pub(super) fn change_along(&mut self, along: &Along) -> Result<(), Unchanged> {
        self.check_changes()?;
        // The crate takes a change of nothing for the end of a joint configuration: this one leaves a voter what it is.
        let own = change_of(self.options.member, ConfChangeType::AddNode);
        self.propose_change(vec![own], along, ConfChangeTransition::Auto)
    }

    /// Whether a change of the members is in the log and not applied.
    pub(super) fn is_changing(&self) -> bool {
        self.node.raft.has_pending_conf()
    }

    /// Whether the members may change now.
    pub(super) fn check_changes(&self) -> Result<(), Unchanged> {
        let id = self.options.id;
        if !self.proposes() {
            return Err(Unchanged::NotLeader(id));
        }
        if self.is_changing() || !self.membership().outgoing.is_empty() {
            return Err(Unchanged::Busy(id));
        }
        Ok(())
    }

    /// Proposes a change. By the explicit transition the group stays in the joint configuration until its leader ends it.
    pub(super) fn propose_change(
        &mut self,
        changes: Vec<ConfChangeSingle>,
        along: &Along,
        transition: ConfChangeTransition,
    ) -> Result<(), Unchanged> {
        let id = self.options.id;
        let mut change = ConfChangeV2::default();
        change.set_transition(transition);
        change.set_changes(changes.into());
        change.context = along.encode();
        // The crate takes a change that it drops, because too much is uncommitted, for one that is pending: nothing could
        // change until something else has got its place in the log.
        let pending = self.node.raft.pending_conf_index;
        let proposed = self.node.propose_conf_change(Vec::new(), change);
        proposed.map_err(|_| {
            self.node.raft.pending_conf_index = pending;
            Unchanged::Busy(id)
        })
    }

    /// Hands the lead to another voter, when that has all entries. While it is under way nothing can be proposed.
    ///
    /// # Errors
    /// [`Unchanged`]; this server goes on leading then.
    pub fn transfer(&mut self, to: u64) -> Result<(), Unchanged> {
        if !self.proposes() {
            return Err(Unchanged::NotLeader(self.options.id));
        }
        if !self.membership().voters.contains(&to) {
            return Err(Unchanged::NoVoter(self.options.id));
        }
        self.node.transfer_leader(to);
        Ok(())
    }

    /// Asks which index is committed now, so that a read behind it misses nothing. The answer is [`Output::ReadAt`];
    /// where none comes, because nobody leads or a message was lost, ask again.
    pub fn read_index(&mut self, number: u64) {
        let round = Round {
            member: self.options.member,
            number,
        };
        self.node.read_index(round.to_bytes().to_vec());
    }

    /// Takes a message of another member. One that is not for this member, or for one that it was before it forgot, is
    /// passed over.
    pub fn step(&mut self, message: Message) {
        if message.to != self.options.member || message.from == self.options.member {
            return;
        }
        if message.body == Body::TimeoutNow && self.installing.is_some() {
            // Whoever stands has applied all that it has.
            return;
        }
        self.note_forgotten(&message);
        if self.forgot.is_some() {
            return;
        }
        if let Body::Snapshot(marker) = &message.body
            && Membership::decode_at(&marker.state, self.options.levels).is_err()
        {
            // Servers of different levels hear of that by their greetings.
            return;
        }
        let (from, leads) = (message.from, message.is_of_a_leader());
        if let Some(message) = message.into_raft() {
            // What it refuses is late: from a member that left, or an answer that nobody waits for.
            let _ = self.node.step(message);
        }
        if leads && self.leader() == Some(from) {
            self.silent_ticks = 0;
        }
        self.set_election_timeout();
    }

    /// A heartbeat names no more than what this member has acknowledged to that very leader, when it was on disk. Within a
    /// term nothing of that is ever replaced.
    fn note_forgotten(&mut self, message: &Message) {
        if let Body::Heartbeat { commit, .. } = &message.body
            && message.term >= self.term()
            && *commit > self.node.raft.raft_log.last_index()
            && self.forgot.is_none()
        {
            self.forgot = Some(*commit);
        }
    }

    /// A member does not take messages: what was sent to it may be lost.
    pub fn unreachable(&mut self, member: u64) {
        self.node.report_unreachable(member);
    }

    /// A snapshot that was to be sent with a [`Body::Snapshot`] is there, or is not.
    pub fn snapshot_sent(&mut self, member: u64, arrived: bool) {
        let status = match arrived {
            true => SnapshotStatus::Finish,
            false => SnapshotStatus::Failure,
        };
        self.node.report_snapshot(member, status);
    }

    /// A snapshot of the state machine is on disk, and stays there until a newer one is offered or the group starts anew.
    ///
    /// # Panics
    /// Its members cannot be read; they are those of [`Group::marker_at`].
    pub fn offer_snapshot(&mut self, snapshot: Marker) {
        let membership = Membership::decode(&snapshot.state);
        let membership = membership.expect("a marker's members are those that were given out");
        self.node.mut_store().offer(snapshot, membership);
    }

    /// What an [`Output::Fetch`] asked for; nothing if it could not be read, and then the member needs a snapshot.
    pub fn fetched(&mut self, number: u64, entries: Vec<Entry>) {
        let Some((from, context)) = self.fetching.remove(&number) else {
            return;
        };
        let entries = entries.into_iter().map(Entry::into_raft).collect();
        self.node.mut_store().begin_fetched(from, entries);
        self.node.on_entries_fetched(context);
        self.node.mut_store().end_fetch();
    }

    /// Lets Raft's time pass by one tick. Not needed where one server is alone and leads.
    pub fn tick(&mut self) {
        if self.forgot.is_some() {
            return;
        }
        self.note_silence();
        let log = &self.node.raft.raft_log;
        let decides = self.membership().is_decided_by(self.options.member);
        // Who decides alone is elected at once, and must have on disk what it leads with.
        let waits = decides && !self.proposes() && log.persisted < log.last_index();
        // And whoever stands has applied what it has: one that is alone may have to apply changes of members first.
        let leads_alone = self.is_alone() && self.proposes();
        if !leads_alone && !waits && self.installing.is_none() {
            self.node.tick();
            self.set_election_timeout();
        }
    }

    /// Who may not stand for election would hold for ever to a leader that it does not hear: a learner, or a voter that has
    /// to apply a change of members first. All others have stood by then.
    fn note_silence(&mut self) {
        self.silent_ticks = self.silent_ticks.saturating_add(1);
        let is_silent = self.silent_ticks >= 2 * self.options.election_ticks;
        let raft = &mut self.node.raft;
        if is_silent && raft.state == StateRole::Follower {
            raft.leader_id = 0;
        }
    }

    /// Takes what the group wants done: hands what must survive to `persist`, which returns the ticket
    /// that [`Group::durable`] will be told of, and appends what is known now to `outputs`.
    pub fn turn(&mut self, mut persist: impl FnMut(Record) -> u64, outputs: &mut Vec<Output>) {
        if let Some(acknowledged) = self.forgot {
            // Nothing else that it says is worth anything.
            let last = self.node.raft.raft_log.last_index();
            outputs.push(Output::Forgot { acknowledged, last });
            return;
        }
        outputs.extend(self.released.drain(..).map(Output::Send));
        while !self.halted && self.node.has_ready() {
            let mut ready = self.node.ready();
            let at_once = ready.take_messages();
            let at_once = at_once.into_iter().filter_map(|it| self.outgoing(it));
            outputs.extend(at_once.map(Output::Send));
            let mut messages = Vec::new();
            let persisted = ready.take_persisted_messages();
            for message in persisted.into_iter().filter_map(|it| self.outgoing(it)) {
                match message.promises_nothing() {
                    true => outputs.push(Output::Send(message)),
                    false => messages.push(message),
                }
            }
            if ready.must_sync() {
                if !ready.snapshot().is_empty() {
                    let marker = marker_of(ready.snapshot());
                    self.ticket_last = persist(Record::Reset(marker.clone()));
                    self.install(marker, outputs);
                }
                let entries = ready.take_entries();
                if let Some(state) = ready.hs() {
                    let mut state = state.clone();
                    if let Some(first) = entries.first() {
                        // Where only this record survives a power cut, another leader's entries may still have these
                        // places: they must not be taken for committed.
                        state.commit = state.commit.min(first.index - 1);
                    }
                    self.ticket_last = persist(hard_state_of(&state));
                }
                for entry in entries {
                    self.node.mut_store().append(entry.clone());
                    self.ticket_last = persist(Record::Entry(Entry::from_raft(entry)));
                }
            }
            if let Some(state) = ready.hs() {
                self.node.mut_store().hard_state = state.clone();
            }
            self.note_role(ready.ss().map(|soft| soft.raft_state), outputs);
            for read in ready.take_read_states() {
                if let Some(round) = Round::from_bytes(&read.request_ctx) {
                    let (number, index) = (round.number, read.index);
                    outputs.push(Output::ReadAt { number, index });
                }
            }
            self.persisting.push_back(Persisting {
                ticket: self.ticket_last,
                number: ready.number(),
                messages,
            });
            let committed = ready.take_committed_entries();
            self.node.advance_append_async(ready);
            let normal = |entry: &eraftpb::Entry| entry.get_entry_type() == EntryType::EntryNormal;
            if !committed.iter().all(normal) {
                // Who does not remember that a change is committed needs, after a restart, a majority of those that
                // have left as well, and they may be gone for good.
                self.ticket_last = persist(hard_state_of(&self.node.raft.hard_state()));
            }
            for entry in committed {
                if !self.halted {
                    self.commit(entry, outputs);
                }
            }
        }
        self.tell_wants(outputs);
        self.set_election_timeout();
    }

    /// The crate's message as ours.
    fn outgoing(&self, message: eraftpb::Message) -> Option<Message> {
        let log = &self.node.raft.raft_log;
        Message::from_raft(at_its_place(message, |index| log.term(index).ok())?)
    }

    /// Everything up to this ticket is on stable storage.
    pub fn durable(&mut self, ticket: u64) {
        while let Some(first) = self.persisting.pop_front_if(|first| first.ticket <= ticket) {
            self.node.on_persist_ready(first.number);
            self.released.extend(first.messages);
        }
        // The crate counts as applied only what is durable.
        let persisted = self.node.raft.raft_log.persisted;
        if let Some(index) = self.installing.take_if(|index| *index <= persisted) {
            self.node.advance_apply_to(index);
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
            self.node.mut_store().applied(index);
        }
    }

    fn commit(&mut self, entry: eraftpb::Entry, outputs: &mut Vec<Output>) {
        if entry.get_entry_type() != EntryType::EntryNormal
            && let Err(why) = self.change_members(&entry)
        {
            self.halted = true;
            let index = entry.index;
            return outputs.push(Output::Halted { index, why });
        }
        let (index, term) = (entry.index, entry.term);
        let log = &self.node.raft.raft_log;
        assert!(
            self.applied_index() < index && index <= log.committed && index <= log.persisted,
            "an entry is given out once, when it is committed and on this disk"
        );
        outputs.push(Output::Committed(Entry::from_raft(entry)));
        if self.role == (Role::Elected { term }) {
            self.role = Role::Leads { term, since: index };
            outputs.push(Output::Led { term });
        }
    }

    fn change_members(&mut self, entry: &eraftpb::Entry) -> Result<(), Halt> {
        // Only this form is ever proposed here.
        let change = ConfChangeV2::parse_from_bytes(&entry.data).map_err(|_| Halt::Unknown)?;
        let along = Along::decode(&change.context).ok_or(Halt::Unknown)?;
        if let Some((level, release)) = along.raised {
            self.options.levels.check(level, release)?;
        }
        let recovered = self.membership().recovered;
        if recovered.is_some_and(|it| entry.index <= it.void_to) {
            // The members are void. What the former ensemble wrote behind a raise is of that level all the same.
            if let Some((level, release)) = along.raised {
                let membership = self.membership().raised(level, release);
                self.node.mut_store().change(entry.index, membership);
            }
            return Ok(());
        }
        let state = self.node.apply_conf_change(&change);
        let state = state.expect("a committed change of members was checked when it was proposed");
        let membership = self.membership().changed(state, along);
        self.node.mut_store().change(entry.index, membership);
        self.note_removed();
        self.give_up_lead();
        Ok(())
    }

    /// Who has no vote any more does not lead on: it may have been elected with the change that took its vote in its log, and
    /// where one voter is left, the crate would let it answer reads alone.
    fn give_up_lead(&mut self) {
        if self.proposes() && !self.membership().votes(self.options.member) {
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, 0);
        }
    }

    fn install(&mut self, marker: Marker, outputs: &mut Vec<Output>) {
        let membership = Membership::decode(&marker.state);
        let membership = membership.expect("a snapshot's members were read when it came");
        self.node.mut_store().install(&marker, membership);
        self.note_removed();
        self.installing = Some(marker.index);
        self.fetching.clear();
        outputs.push(Output::Installed(marker));
    }

    /// What members lack that is not in memory.
    fn tell_wants(&mut self, outputs: &mut Vec<Output>) {
        let store = self.node.mut_store();
        for fetch in store.take_fetches() {
            self.fetches += 1;
            outputs.push(Output::Fetch {
                number: self.fetches,
                from: fetch.from,
                to: fetch.to,
                bytes: fetch.bytes,
            });
            self.fetching
                .insert(self.fetches, (fetch.from, fetch.context));
        }
        let wanted = self.node.mut_store().take_wanted();
        outputs.extend(
            wanted
                .into_iter()
                .map(|member| Output::SnapshotWanted { member }),
        );
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
    }

    /// The crate draws its election timeout from the thread's generator whenever it begins to follow, to stand or to
    /// lead; a simulation could not be replayed with that. So ours is drawn then, and takes its place before the next tick.
    fn set_election_timeout(&mut self) {
        let raft = &self.node.raft;
        let stand = (raft.term, raft.state, raft.leader_id);
        if stand != self.stand {
            self.stand = stand;
            let span = u64::try_from(self.options.election_ticks).unwrap_or(u64::MAX);
            let extra = usize::try_from(self.random.below(span)).unwrap_or(0);
            self.election_timeout = self.options.election_ticks + extra;
        }
        let timeout = self.election_timeout;
        self.node.raft.set_randomized_election_timeout(timeout);
    }
}

/// The crate adds entries to an append that waits to be sent, also to an empty one that stands somewhere else. The entries
/// are right, and the entry before them is not: a message says where its entries are by that alone. `None` where it is not
/// known any more; to lose a message is no harm.
fn at_its_place(
    mut message: eraftpb::Message,
    term: impl Fn(u64) -> Option<u64>,
) -> Option<eraftpb::Message> {
    let first = message.entries.first().map(|entry| entry.index);
    if let Some(first) = first.filter(|first| *first != message.index + 1)
        && message.get_msg_type() == MessageType::MsgAppend
    {
        message.index = first.checked_sub(1)?;
        message.log_term = term(message.index)?;
    }
    Some(message)
}

fn hard_state_of(state: &eraftpb::HardState) -> Record {
    Record::HardState(HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
    })
}

pub(super) fn change_of(member: u64, kind: ConfChangeType) -> ConfChangeSingle {
    ConfChangeSingle {
        node_id: member,
        change_type: kind,
        ..ConfChangeSingle::default()
    }
}
