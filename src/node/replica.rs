//! A replica: this server's part of one Raft group, over the server's journal.
//!
//! A core's proposals go in, committed entries come out; what has to be durable first passes through the journal.
//! The coordinator's commands of a turn are joined into one entry, each behind its length, because every
//! entry costs the group a round; the broker's come joined already. Where another server leads, closed entries go to it.
//!
//! A server that accepted a loss has forgotten what it promised: in a group with others it is somebody else from then on,
//! and is taken in again as if its folder were new (`Beginning::forgets`).
//!
//! A server that has several others on its list and belongs to nothing yet is *outside*: it founds a group with the
//! others, or finds the one that is there (`consensus/founding`). Until then it proposes nothing and gives out nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tracing::warn;

use super::Failure;
use super::backlog::Backlog;
use super::read_index::ReadIndex;
use crate::consensus::founding::{Decision, Founding, Hello};
use crate::consensus::group::{self, Group, Output, Role};
use crate::consensus::message::Message;
use crate::consensus::{
    Entry, EntryKind, HardState, Identity, Marker, Membership, Record, Remembered, others,
};
use crate::journal::{Journal, Ticket, Unread, Wanted};
use crate::units::feature::{FeatureLevel, Levels, Release};
use crate::units::{GroupId, Moment, Seed, ServerId};

/// An entry of joined commands is closed at this size.
const JOINED_BYTES: usize = 512 * 1024;

/// How commands become entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Each command is an entry.
    Alone,
    /// Commands are joined, each behind its 32-bit length.
    Framed,
}

/// How often the group's clock ticks, where there are others.
const TICK: Duration = Duration::from_millis(50);
/// Ticks without a leader's word before an election; up to twice as many, by chance.
const ELECTION_TICKS: usize = 10;
/// As long as nobody elects another leader.
const FORGETS_LEADER: Duration = Duration::from_millis(500);
/// Ticks between two heartbeats.
const HEARTBEAT_TICKS: usize = 2;
/// When the question about the commit index is asked again: who was to answer may be gone.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The other servers of a group, as the configuration names them.
#[derive(Clone, Debug)]
pub(crate) struct Others {
    /// Who this server is.
    pub(crate) identity: Identity,
    /// All servers of the list, this one among them.
    pub(crate) servers: Vec<ServerId>,
    /// Those of them that are to be observers.
    pub(crate) observers: Vec<ServerId>,
    /// This server has lost by itself what it remembered: it founds nothing with them.
    pub(crate) forgot: bool,
    /// Applied entries that stay in memory for members that are behind.
    pub(crate) window_bytes: usize,
}

impl Others {
    /// This server, while it belongs to nothing.
    fn founding(&self, levels: Levels) -> Founding {
        let (servers, observers) = (self.servers.clone(), self.observers.clone());
        Founding::new(self.identity, servers, observers, levels).forgotten(self.forgot)
    }
}

/// Whether a server was alone in its group, by what its journal or its snapshot says: nobody else can give back what it
/// has lost.
pub(crate) fn was_alone(
    server: ServerId,
    remembered: Option<&Remembered>,
    place: Option<&Marker>,
) -> bool {
    let marker = remembered.map(|remembered| &remembered.marker);
    let mut known = marker.into_iter().chain(place);
    let is_own = |members: &Membership, voter: u64| match members.identities.get(&voter) {
        Some(identity) => identity.server == server,
        None => voter == alone_as(server),
    };
    let alone = |marker: &Marker| {
        let members = Membership::decode(&marker.state).ok()?;
        let mut voters = members.voters.iter().chain(&members.outgoing);
        (!members.is_empty()).then(|| voters.all(|voter| is_own(&members, *voter)))
    };
    known.find_map(alone).unwrap_or(false)
}

/// Whether the others of its group decide without this server, by all that its journal and its snapshot say: they have what it has
/// lost, and can take it in again. `behind` is what can be read behind damage in the journal. Where nothing is said, that is not
/// known.
pub(crate) fn others_have_all<'a>(
    server: ServerId,
    remembered: Option<&Remembered>,
    place: Option<&Marker>,
    behind: impl Iterator<Item = &'a Record>,
) -> bool {
    let mut entries = remembered.map_or(Vec::new(), |group| group.entries.clone());
    let mut markers: Vec<&Marker> = remembered.map(|group| &group.marker).into_iter().collect();
    markers.extend(place);
    for record in behind {
        match record {
            Record::Entry(entry) => entries.push(entry.clone()),
            Record::Marker(marker) | Record::Reset(marker) => markers.push(marker),
            Record::HardState(_) | Record::Incomplete | Record::Healed => {}
        }
    }
    markers.retain(|marker| !marker.state.is_empty());
    let have_all = |marker: &&Marker| {
        let members = Membership::decode(&marker.state);
        let later = entries.iter().filter(|entry| entry.index > marker.index);
        let later: Vec<Entry> = later.cloned().collect();
        members.is_ok_and(|members| others::decide_without(&members, server, &later))
    };
    !markers.is_empty() && markers.iter().all(have_all)
}

/// A server that has nobody beside it needs no journal's id to be told from others.
fn lone(server: ServerId) -> Identity {
    Identity { server, journal: 0 }
}

/// The number of a server that is alone. Raft knows no voter 0, and a lone MetaQ broker may have the id 0.
fn alone_as(server: ServerId) -> u64 {
    u64::from(server.0) + 1
}

/// A new group of this server alone begins at the highest level that it supports.
fn found_alone(server: ServerId, levels: Levels) -> Marker {
    let number = alone_as(server);
    let mut members = Membership::of_voters([number]);
    members.highest.insert(number, levels.highest);
    (members.level, members.raised_by) = (levels.highest, Release::OWN);
    Marker {
        state: members.encode(),
        ..Marker::default()
    }
}

/// The group cannot go on past an entry, nor can this server.
fn halted(group: GroupId, index: u64, why: group::Halt, journal: &Journal) -> Failure {
    let entry = format!("entry {index} of group {group}");
    match why {
        group::Halt::Unsupported(why) => Failure::Level { entry, why },
        group::Halt::Unknown => Failure::halted(true, format!("{entry}: {why}"), journal),
    }
}

fn commands_length(bytes: usize) -> [u8; 4] {
    let length = u32::try_from(bytes).expect("a command is smaller than a frame");
    length.to_be_bytes()
}

/// Where a server is before it belongs to the group, and then.
enum Standing {
    /// It belongs to nothing; it may have voted in a former life.
    Outside(Box<Founding>, Remembered),
    /// It is a member.
    Member(Box<Group>),
}

/// Whether all that was acknowledged before this start is applied.
#[derive(Clone, Copy, Debug)]
enum CaughtUp {
    /// It is not known.
    No {
        /// When it was asked last.
        asked_at: Option<Moment>,
    },
    /// When everything up to here is applied.
    At(u64),
    /// It is.
    Yes,
}

/// One core's replica.
pub(crate) struct Replica {
    id: GroupId,
    standing: Standing,
    /// Whom this group may have beside this server; `None` where it is alone for good.
    others: Option<Others>,
    /// The feature levels that this server supports.
    levels: Levels,
    seed: Seed,
    /// Added to the numbers of questions, so that no answer to a former life's is taken for one of this.
    question_base: u64,
    caught_up: CaughtUp,
    /// Whether it was in this life: nothing that was ever applied here is missing since.
    is_complete: bool,
    /// How often this server was stopped, or lost its leader.
    losses: u64,
    /// Who led in which term when the core was last told that another server leads.
    followed: Option<(u64, u64)>,
    next_tick: Moment,
    joining: Joining,
    /// Closed entries that wait for room in the group.
    waiting: VecDeque<Bytes>,
    /// The entry that is being joined.
    open: BytesMut,
    /// The group had no room for all in the last turn: what comes now waits for its place in an entry.
    is_full: bool,
    backlog: Backlog,
    /// Of the group's records, the last one handed to the journal.
    appended: Ticket,
    marker: u64,
    /// The record that says that a snapshot took the place of everything.
    installed: Ticket,
    /// What the core's own files brought back holds everything up to here.
    restored: u64,
}

/// What a turn of the replica brought, in order.
#[derive(Debug)]
pub(super) enum News {
    /// A command is committed.
    Command {
        /// Its entry.
        index: u64,
        /// The command; empty for an entry without one.
        data: Bytes,
    },
    /// All commands of the entry were given out.
    EntryEnd {
        /// The entry.
        index: u64,
    },
    /// This server leads, and all of former terms was given out.
    Led {
        /// The term.
        term: u64,
    },
    /// This server leads no more.
    Deposed,
    /// Another server leads, or is in reach again: what was proposed is to be proposed anew.
    Follows,
    /// Commands for the server that leads, each behind its length.
    Forward {
        /// Who leads.
        leader: ServerId,
        /// The commands.
        commands: Bytes,
    },
    /// For another member. It may be lost.
    Send(Message),
    /// The core's question is answered: up to here all was committed when it was asked.
    ReadAt {
        /// The question.
        question: ReadIndex,
        /// The index.
        index: u64,
    },
    /// A member lacks what is not in memory any more: a snapshot is wanted.
    SnapshotWanted,
    /// A snapshot took the place of everything: the core is to be made of it.
    Installed(Marker),
    /// This server has forgotten what it had acknowledged, as far as `acknowledged` at least.
    Forgot {
        /// What it had acknowledged.
        acknowledged: u64,
        /// Its last entry.
        last: u64,
    },
}

/// An entry of joined commands whose lengths do not add up: a newer version's, or a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} of group {group} cannot be taken apart")]
struct Malformed {
    group: GroupId,
    index: u64,
}

/// Why a replica cannot go on from what is remembered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// A later version wrote it.
    #[error("{}: {why}", journal.display())]
    Newer {
        /// The journal's folder.
        journal: PathBuf,
        /// What is not known.
        why: group::Unusable,
    },
    /// It contradicts itself.
    #[error(transparent)]
    Contradiction(group::Unusable),
    /// Other servers belong to the group, and this one does not know where they are.
    #[error("{}: group {group} has members on other servers", journal.display())]
    Shared {
        /// The journal's folder.
        journal: PathBuf,
        /// The group.
        group: GroupId,
    },
    /// It is another server's: this one is no member of its group.
    #[error("{}: group {group} has no member that is server {server} with this journal", journal.display())]
    Another {
        /// The journal's folder.
        journal: PathBuf,
        /// The group.
        group: GroupId,
        /// This server.
        server: ServerId,
    },
    /// The journal has lost entries that the core's own files hold.
    #[error(
        "group {group}: the journal ends at entry {last}, but the group's own files hold {restored}"
    )]
    Behind {
        /// The group.
        group: GroupId,
        /// The journal's last entry.
        last: u64,
        /// Up to which entry the core's own files hold everything.
        restored: u64,
    },
}

impl Unusable {
    fn of(why: group::Unusable, journal: &Journal) -> Unusable {
        match why.is_newer() {
            true => Unusable::Newer {
                journal: journal.folder().to_path_buf(),
                why,
            },
            false => Unusable::Contradiction(why),
        }
    }

    /// Whether it is of a feature level that this server does not support.
    pub(crate) fn is_of_level(&self) -> bool {
        matches!(self, Unusable::Newer { why, .. } if why.is_newer())
    }
}

/// Whether what the journal remembers of a group is of a feature level that is supported here; to be asked before anything is
/// changed.
///
/// # Errors
/// It is not.
pub(crate) fn check_level(
    id: GroupId,
    marker: Option<&Marker>,
    levels: Levels,
    journal: &Journal,
) -> Result<(), Unusable> {
    let members = marker.map(|marker| Group::members(id, marker, levels));
    match members {
        Some(Err(why)) if why.is_newer() => Err(Unusable::of(why, journal)),
        _ => Ok(()),
    }
}

/// What a replica goes on from.
pub(crate) struct Beginning {
    /// What the journal holds of the group.
    pub(crate) remembered: Option<Remembered>,
    /// The core's own files hold everything up to here: its entries up to there are not given out again.
    pub(crate) restored: u64,
    /// That entry's own term and the members as of it, where the files say them.
    pub(crate) place: Option<Marker>,
    /// Whether the core's files may know more than the journal.
    pub(crate) accept_loss: bool,
    /// The core's files came from another member, and the journal may not know of them yet.
    pub(crate) received: bool,
    /// Something was lost: where others belong to the group, this server has forgotten what it promised them.
    pub(crate) forgets: bool,
    /// The group goes on with this server alone, as another one with this id, unless it does already.
    pub(crate) recovers: Option<u128>,
    /// The feature levels that this server supports.
    pub(crate) levels: Levels,
}

impl Beginning {
    /// Whether the core's files may well be ahead of the journal: a snapshot of another member is in place before the journal
    /// knows of it, and the process may end in between. Files of its own never are: the journal is an older one then.
    fn may_be_ahead(&self, own: Option<Identity>) -> bool {
        self.received && self.is_member(own)
    }

    /// Whether this server is a member as of the core's files.
    fn is_member(&self, own: Option<Identity>) -> bool {
        let members = self.place.as_ref().map(|it| Membership::decode(&it.state));
        match (members, own) {
            (Some(Ok(members)), Some(own)) => members.number_of(own).is_some(),
            _ => false,
        }
    }

    /// The journal may have lost entries that the core's files have. New entries start after the core's last index; a
    /// lower one would count as applied.
    ///
    /// # Errors
    /// It lost that, and nobody has accepted it.
    fn settle(
        self,
        own: Option<Identity>,
        group: GroupId,
        journal: &mut Journal,
    ) -> Result<(Remembered, Ticket), Unusable> {
        let may_be_ahead = self.may_be_ahead(own);
        let mut remembered = self.remembered.unwrap_or_default();
        let last = remembered.last_index();
        if self.restored <= last {
            return Ok((remembered, Ticket::default()));
        }
        if !self.accept_loss && !remembered.incomplete && !may_be_ahead {
            return Err(Unusable::Behind {
                group,
                last,
                restored: self.restored,
            });
        }
        // Files that do not say it are of a group without other members: nobody else knows the term either.
        let marker = self.place.unwrap_or_else(|| Marker {
            index: self.restored,
            term: remembered.hard_state.term,
            state: remembered.marker.state.clone(),
        });
        let reset = remembered.settle(&marker);
        journal.append(group, reset.expect("it lies behind the last entry"));
        let settled = journal.append(group, Record::HardState(remembered.hard_state));
        Ok((remembered, settled))
    }
}

impl Replica {
    /// The replica as the journal remembers it. With `others` it may be one of several.
    ///
    /// # Errors
    /// What it remembers is a later version's, or contradicts itself or what the core's own files hold.
    pub(crate) fn new(
        id: GroupId,
        server: ServerId,
        joining: Joining,
        beginning: Beginning,
        others: Option<Others>,
        seed: Seed,
        journal: &mut Journal,
    ) -> Result<Replica, Unusable> {
        let (restored, levels) = (beginning.restored, beginning.levels);
        // Before anything is changed.
        let marker = beginning.remembered.as_ref().map(|known| &known.marker);
        let mut members = marker.map_or(Ok(Membership::default()), |marker| {
            Group::members(id, marker, levels).map_err(|why| Unusable::of(why, journal))
        })?;
        if beginning.forgets && others.is_some() {
            // Nothing of the group is left: neither what it was, nor what it promised.
            journal.append(id, Record::Reset(Marker::default()));
            journal.append(id, Record::HardState(HardState::default()));
            let healed = journal.append(id, Record::Healed);
            let mut replica = Replica::outside(id, joining, others, levels, seed, journal);
            replica.installed = healed;
            return Ok(replica);
        }
        let named = others.as_ref().map(|it| it.identity);
        let recovers = beginning.recovers;
        let (mut remembered, settled) = beginning.settle(named, id, journal)?;
        if !remembered.marker.state.is_empty() {
            members = Group::members(id, &remembered.marker, levels)
                .map_err(|why| Unusable::of(why, journal))?;
        }
        if let (Some(ensemble), Some(own)) = (recovers, named)
            && members.ensemble != ensemble
            && remembered.last_index() > 0
        {
            members = members.recovered_by(own, ensemble, remembered.last_index());
            remembered.recover(&members);
            // The marker comes first: with it alone this server decides, and commits all that it has.
            journal.append(id, Record::Marker(remembered.marker.clone()));
            journal.append(id, Record::HardState(remembered.hard_state));
        }
        let marker = remembered.marker.index;
        let is_new = members.is_empty() && remembered.last_index() == 0;
        let mut replica = Replica::outside(id, joining, others, levels, seed, journal);
        replica.marker = marker;
        replica.installed = settled;
        replica.restored = marker.max(restored);
        if let Standing::Outside(_, kept) = &mut replica.standing {
            kept.hard_state = remembered.hard_state;
        }
        if is_new && replica.others.is_some() {
            return Ok(replica);
        }
        if is_new && levels.highest != FeatureLevel::FIRST {
            remembered.marker = found_alone(server, levels);
            journal.append(id, Record::Reset(remembered.marker.clone()));
        }
        let number = replica.number_in(&members, server);
        if members.replaced || number.is_none() && replica.was_taken_out(&members) {
            if let Standing::Outside(_, kept) = &mut replica.standing {
                *kept = remembered;
            }
            return Ok(replica);
        }
        let number = number.ok_or_else(|| {
            let (journal, group) = (journal.folder().to_path_buf(), id);
            match replica.others {
                None => Unusable::Shared { journal, group },
                Some(_) => Unusable::Another {
                    journal,
                    group,
                    server,
                },
            }
        })?;
        replica
            .begin(number, remembered, false)
            .map_err(|why| Unusable::of(why, journal))?;
        Ok(replica)
    }

    /// A replica of a server that belongs to nothing, and remembers nothing.
    fn outside(
        id: GroupId,
        joining: Joining,
        others: Option<Others>,
        levels: Levels,
        seed: Seed,
        journal: &Journal,
    ) -> Replica {
        let own = lone(ServerId(0));
        let founding = match &others {
            Some(others) => others.founding(levels),
            None => Founding::new(own, Vec::new(), Vec::new(), levels),
        };
        Replica {
            id,
            standing: Standing::Outside(Box::new(founding), Remembered::default()),
            question_base: journal.status().incarnation << 32,
            caught_up: CaughtUp::No { asked_at: None },
            is_complete: false,
            losses: 0,
            followed: None,
            next_tick: Moment::START,
            joining,
            waiting: VecDeque::new(),
            open: BytesMut::new(),
            is_full: false,
            backlog: Backlog::new(),
            appended: Ticket::default(),
            marker: 0,
            installed: Ticket::default(),
            restored: 0,
            others,
            levels,
            seed,
        }
    }

    /// Whether this server, which these members do not name, was one of them. A folder that is another server's has that
    /// one's journal.
    fn was_taken_out(&self, members: &Membership) -> bool {
        let Some(own) = self.others.as_ref().map(|others| others.identity) else {
            return false;
        };
        let is_another = |it: &Identity| it.journal == own.journal && it.server != own.server;
        members.ensemble != 0 && !members.identities.values().any(is_another)
    }

    /// Which member this server is.
    fn number_in(&self, members: &Membership, server: ServerId) -> Option<u64> {
        let alone = alone_as(server);
        let known = self.others.as_ref();
        let known = known.and_then(|others| members.number_of(others.identity));
        known.or((members.is_empty() || members.is_only(alone)).then_some(alone))
    }

    /// From now on this server is a member.
    fn begin(
        &mut self,
        member: u64,
        remembered: Remembered,
        joins: bool,
    ) -> Result<(), group::Unusable> {
        let options = group::Options {
            id: self.id,
            member,
            identity: self
                .others
                .as_ref()
                .map_or(lone(ServerId(0)), |it| it.identity),
            uncommitted_bytes_max: 8 << 20,
            window_bytes: self.others.as_ref().map_or(0, |it| it.window_bytes),
            joins,
            levels: self.levels,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: HEARTBEAT_TICKS,
        };
        let seed = Seed(self.seed.0 ^ member.rotate_left(32));
        let group = Group::new(options, remembered, seed)?;
        self.standing = Standing::Member(Box::new(group));
        Ok(())
    }

    /// The group, once this server belongs to it.
    pub(super) fn member(&self) -> Option<&Group> {
        match &self.standing {
            Standing::Member(group) => Some(group),
            Standing::Outside(..) => None,
        }
    }

    /// The same, to act on.
    pub(super) fn member_mut(&mut self) -> Option<&mut Group> {
        match &mut self.standing {
            Standing::Member(group) => Some(group),
            Standing::Outside(..) => None,
        }
    }

    /// What this server says of itself to others; `None` where it is alone for good.
    pub(super) fn hello(&self) -> Option<Hello> {
        let others = self.others.as_ref()?;
        let members = match &self.standing {
            Standing::Member(group) => Some(group.membership().clone()),
            // Who was taken out says so: nobody is to found a group with it.
            Standing::Outside(_, remembered) => {
                Group::members(self.id, &remembered.marker, self.levels).ok()
            }
        };
        Some(Hello {
            identity: others.identity,
            levels: self.levels,
            servers: others.servers.clone(),
            observers: others.observers.clone(),
            forgot: others.forgot,
            members: members.filter(|members| !members.is_empty()),
        })
    }

    /// Whether it belongs to nothing, and has lost by itself what it remembered.
    pub(super) fn has_forgotten(&self) -> bool {
        let forgot = self.others.as_ref().is_some_and(|others| others.forgot);
        forgot && matches!(self.standing, Standing::Outside(..))
    }

    /// Whom it has to hear from before a group can be founded.
    pub(super) fn missing(&self) -> Vec<ServerId> {
        match &self.standing {
            Standing::Outside(founding, _) => founding.missing().collect(),
            Standing::Member(_) => Vec::new(),
        }
    }

    /// Hears what another server says of itself. `ensemble` are fresh random bits. What follows for a server that belonged
    /// to nothing.
    ///
    /// # Errors
    /// A group cannot be begun.
    pub(super) fn hear(
        &mut self,
        hello: &Hello,
        ensemble: u128,
        journal: &mut Journal,
    ) -> Result<Option<Decision>, Failure> {
        if let Standing::Member(group) = &mut self.standing {
            let own = self.others.as_ref().map(|others| others.identity);
            let said = hello.members.as_ref().zip(own);
            let said = said.and_then(|(members, own)| members.number_of(own));
            // Numbers grow: it was taken out, and is taken in again.
            let number = said.filter(|number| *number > group.member());
            return Ok(number.map(|number| {
                group.renumber(number);
                Decision::Joins { number }
            }));
        }
        let Standing::Outside(founding, remembered) = &mut self.standing else {
            return Ok(None);
        };
        // Who was taken out founds nothing beside the group that it remembers.
        let was_member = !remembered.marker.state.is_empty();
        let decision = founding.hear(hello, ensemble);
        let decision = decision.filter(|it| !was_member || !matches!(it, Decision::Founds(_)));
        let decision = match decision {
            // Nobody takes it in again by itself.
            Some(Decision::Observes) if was_member => Some(Decision::Stranger),
            decision => decision,
        };
        let remembered = std::mem::take(remembered);
        let begun = match &decision {
            Some(Decision::Founds(members)) => {
                let own = self.others.as_ref().map(|others| others.identity);
                let number = own.and_then(|own| members.number_of(own));
                let remembered = Remembered::founding(members);
                journal.append(self.id, Record::Reset(remembered.marker.clone()));
                self.appended = journal.append(self.id, Record::HardState(remembered.hard_state));
                self.marker = remembered.marker.index;
                self.restored = self.marker;
                self.begin(number.expect("a founder is a member"), remembered, false)
            }
            // It may have voted in a former life, and not been sent anything yet.
            Some(Decision::Joins { number }) => self.begin(*number, remembered, true),
            _ => {
                if let Standing::Outside(_, kept) = &mut self.standing {
                    *kept = remembered;
                }
                Ok(())
            }
        };
        begun.map_err(|why| Failure::Halted(why.to_string()))?;
        Ok(decision)
    }

    /// The ensemble goes on elsewhere as another one: what this server has of it serves nobody any more, also after a restart.
    /// Whether it was a member until now.
    pub(super) fn give_way(&mut self, journal: &mut Journal) -> bool {
        let (Standing::Member(group), Some(others)) = (&self.standing, &self.others) else {
            return false;
        };
        let Some(mut marker) = group.marker_at(self.marker) else {
            return false;
        };
        let members = Membership::decode(&marker.state).unwrap_or_default();
        marker.state = Membership {
            replaced: true,
            ..members
        }
        .encode();
        self.appended = journal.append(self.id, Record::Marker(marker.clone()));
        let founding = others.founding(self.levels);
        let remembered = Remembered {
            marker,
            ..Remembered::default()
        };
        self.standing = Standing::Outside(Box::new(founding), remembered);
        self.caught_up = CaughtUp::No { asked_at: None };
        self.is_complete = false;
        true
    }

    /// Whether a server is on the list as an observer.
    pub(super) fn is_to_observe(&self, server: ServerId) -> bool {
        let others = self.others.as_ref();
        others.is_some_and(|others| others.observers.contains(&server))
    }

    /// Who leads, if that is another server.
    pub(super) fn leader(&self) -> Option<ServerId> {
        let group = self.member()?;
        let leader = group.leader().filter(|leader| *leader != group.member())?;
        let identity = group.membership().identities.get(&leader)?;
        Some(identity.server)
    }

    /// Whether somebody leads, as far as is known here.
    pub(super) fn has_leader(&self) -> bool {
        let serves = |group: &Group| group.leader().is_some() && !group.is_removed();
        self.member().is_some_and(serves)
    }

    /// Whether nobody else belongs to the group.
    pub(super) fn is_alone(&self) -> bool {
        self.member().is_some_and(Group::is_alone)
    }

    /// Whether all that was acknowledged before this start is applied.
    pub(super) fn is_caught_up(&self) -> bool {
        matches!(self.caught_up, CaughtUp::Yes)
    }

    /// Whether nothing is missing that was ever applied here. A start knows less of what is committed than was known before it.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// A server is in reach that was not, or has come back: what was sent to it may be lost.
    pub(super) fn in_reach(&mut self, server: ServerId) {
        if self.leader().is_none_or(|leader| leader == server) {
            self.followed = None;
        }
    }

    /// A server is out of reach: what it said of itself may not be so any more.
    pub(super) fn out_of_reach(&mut self, server: ServerId) {
        if let Standing::Outside(founding, _) = &mut self.standing {
            founding.forget(server);
        }
    }

    /// Whether the group may have other members.
    pub(super) fn has_others(&self) -> bool {
        self.others.is_some()
    }

    /// Asks up to which entry the group has committed; [`News::ReadAt`] answers, or nothing does.
    pub(super) fn read_index(&mut self, question: ReadIndex) {
        let number = self.question_base + question.number();
        if let Some(group) = self.member_mut() {
            group.read_index(number);
        }
    }

    /// Something happens. Whoever was stopped for so long that the others may have elected a leader, and gone on, shows
    /// nothing before it has caught up again.
    pub(super) fn wake(&mut self, now: Moment) {
        if self.deadline().is_some_and(|at| at + FORGETS_LEADER < now) {
            self.next_tick = now;
            self.fall_behind();
        }
    }

    /// What was acknowledged meanwhile is not known here: it is to be asked for, and an answer that is still on its way
    /// may be too old.
    fn fall_behind(&mut self) {
        if !matches!(self.caught_up, CaughtUp::No { asked_at: None }) {
            self.losses += 1;
            self.caught_up = CaughtUp::No { asked_at: None };
        }
    }

    /// Lets the group's time pass: at most a tick a turn, so that a server that was stopped for long hears the others
    /// before it stands for election.
    pub(super) fn tick(&mut self, now: Moment) {
        if self.others.is_none() || now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if let Some(group) = self.member_mut() {
            group.tick();
        }
        let due = match self.caught_up {
            CaughtUp::No { asked_at } => asked_at.is_none_or(|at| at + ASK_AGAIN <= now),
            _ => false,
        };
        if due && self.has_leader() {
            self.caught_up = CaughtUp::No {
                asked_at: Some(now),
            };
            self.read_index(ReadIndex::CaughtUp(self.losses));
        }
    }

    /// When [`Replica::tick`] is to be called.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let leads_alone = self.is_alone() && self.proposes();
        let ticks = self.member().is_some() && !leads_alone;
        ticks.then_some(self.next_tick)
    }

    /// Which group it is of.
    pub(super) fn group(&self) -> GroupId {
        self.id
    }

    /// Where this server stands in the group.
    pub(super) fn role(&self) -> Role {
        self.member().map_or(Role::Follows, Group::role)
    }

    /// Whether it was elected, and what is proposed here goes to the log.
    pub(super) fn proposes(&self) -> bool {
        self.role() != Role::Follows
    }

    /// The entry with which this server began to lead; `None` while it does not.
    pub(super) fn leads_since(&self) -> Option<u64> {
        match self.role() {
            Role::Leads { since, .. } => Some(since),
            Role::Follows | Role::Elected { .. } => None,
        }
    }

    /// The feature levels that this server supports.
    pub(super) fn supported(&self) -> Levels {
        self.levels
    }

    /// The feature level of the group; the first, while this server belongs to none.
    pub(super) fn level(&self) -> FeatureLevel {
        self.member().map_or(FeatureLevel::FIRST, Group::level)
    }

    /// Takes commands of another server's clients, each behind its length, those that `admit` lets in, and gives each to
    /// `stamp` first. They are void where this server does not lead: whoever sent them hears of another leader, and sends
    /// them again. Copies of one command have the same `key`.
    pub(super) fn propose_forwarded(
        &mut self,
        commands: &[u8],
        mut admit: impl FnMut(&[u8]) -> bool,
        key: impl Fn(&[u8]) -> &[u8],
        mut stamp: impl FnMut(&mut [u8]),
    ) {
        let mut rest = commands;
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let Some((command, tail)) = tail.split_at_checked(length) else {
                return;
            };
            rest = tail;
            if !admit(command) {
                continue;
            }
            if self.is_full {
                let mut stamped = BytesMut::from(command);
                stamp(&mut stamped);
                let stamped = stamped.freeze();
                self.backlog
                    .push(stamped.slice_ref(key(&stamped)), stamped.clone());
                continue;
            }
            let start = self.join(command);
            stamp(&mut self.open[start..]);
        }
    }

    /// Takes a command of the core; it is proposed at the end of the turn.
    pub(super) fn propose(&mut self, command: Bytes) {
        match self.joining {
            Joining::Alone => self.waiting.push_back(command),
            Joining::Framed if self.is_full => self.backlog.push(Bytes::new(), command),
            Joining::Framed => {
                self.join(&command);
            }
        }
    }

    /// Joins a command to the open entry, or to a new one if it has no place in it. Where in the entry it begins.
    fn join(&mut self, command: &[u8]) -> usize {
        if !self.open.is_empty() && self.open.len() + command.len() > JOINED_BYTES {
            self.close_open();
        }
        self.open.put_slice(&commands_length(command.len()));
        let start = self.open.len();
        self.open.put_slice(command);
        start
    }

    /// The last entry whose effects are applied.
    pub(super) fn applied_index(&self) -> u64 {
        self.member().map_or(0, Group::applied_index)
    }

    /// An entry's own term and the members as of it; `None` where they are not known any more.
    pub(super) fn place(&self, index: u64) -> Option<Marker> {
        self.member()?.marker_at(index)
    }

    /// The entry up to which the journal has forgotten this group.
    pub(super) fn marker_index(&self) -> u64 {
        self.marker
    }

    /// Proposes what waits or hands it to who leads, hands to the journal what must survive, and gives out what is
    /// committed.
    ///
    /// # Errors
    /// An entry cannot be taken apart.
    pub(super) fn turn(
        &mut self,
        journal: &mut Journal,
        news: &mut Vec<News>,
    ) -> Result<(), Failure> {
        self.close_open();
        let Standing::Member(group) = &mut self.standing else {
            self.waiting.clear();
            self.backlog.clear();
            self.is_full = false;
            self.followed = None;
            return Ok(());
        };
        group.durable(journal.durable(self.id).0);
        while let Some(read) = journal.take_read(self.id) {
            if let Err(why @ Unread::Damaged { .. }) = &read.entries {
                warn!(%why, "entries cannot be read back from the journal: a member that lacks them gets a snapshot");
            }
            group.fetched(read.number, read.entries.unwrap_or_default());
        }
        if let CaughtUp::At(at) = self.caught_up
            && at <= group.applied_index()
        {
            // A snapshot may have brought all of it.
            self.note_complete();
        }
        self.propose_waiting(news);
        let Standing::Member(group) = &mut self.standing else {
            return Ok(());
        };
        let id = self.id;
        let appended = &mut self.appended;
        let mut outputs = Vec::new();
        group.turn(
            |record| {
                *appended = journal.append(id, record);
                appended.0
            },
            &mut outputs,
        );
        for output in outputs {
            if let Output::Halted { index, why } = output {
                return Err(halted(id, index, why, journal));
            }
            if let Output::Fetch {
                number,
                from,
                to,
                bytes,
            } = output
            {
                journal.read(Wanted {
                    group: id,
                    number,
                    from,
                    to,
                    bytes,
                });
                continue;
            }
            self.take_output(output, news)
                .map_err(|malformed| Failure::halted(true, malformed.to_string(), journal))?;
        }
        self.tell_of_leader(news);
        Ok(())
    }

    /// Proposes what waits, as far as the group has room, or hands it to who leads.
    fn propose_waiting(&mut self, news: &mut Vec<News>) {
        let leader = self.leader().filter(|_| self.followed == self.stand());
        loop {
            self.close_open();
            let Standing::Member(group) = &mut self.standing else {
                return;
            };
            let mut refused = None;
            while let Some(entry) = self.waiting.front()
                && refused.is_none()
            {
                match group.propose(entry.clone()) {
                    Ok(_) => {
                        self.waiting.pop_front();
                    }
                    Err(why) => refused = Some(why),
                }
            }
            match (refused, leader) {
                (None, _) => {}
                (Some(group::Refused::Full(_)), _) => {
                    self.is_full = true;
                    return;
                }
                (Some(group::Refused::NotLeader(_)), Some(leader)) => news.extend(
                    self.waiting
                        .drain(..)
                        .map(|commands| News::Forward { leader, commands }),
                ),
                // The core is told who leads when that is known, and proposes again.
                (Some(group::Refused::NotLeader(_)), None) => {
                    self.waiting.clear();
                    self.followed = None;
                }
            }
            self.is_full = false;
            if self.backlog.is_empty() {
                return;
            }
            while self.waiting.is_empty()
                && let Some(command) = self.backlog.pop()
            {
                self.join(&command);
            }
        }
    }

    fn take_output(&mut self, output: Output, news: &mut Vec<News>) -> Result<(), Malformed> {
        match output {
            Output::Committed(entry) => self.give_out(entry, news)?,
            Output::Led { term } => {
                self.note_complete();
                news.push(News::Led { term });
            }
            Output::Deposed { .. } => news.push(News::Deposed),
            Output::Send(message) => news.push(News::Send(message)),
            Output::ReadAt { number, index } => {
                // An answer to a former life's question is none.
                let number = number.checked_sub(self.question_base);
                match number.map(ReadIndex::of) {
                    None => {}
                    Some(ReadIndex::CaughtUp(losses)) => self.note_caught_up(losses, index),
                    Some(question) => news.push(News::ReadAt { question, index }),
                }
            }
            Output::Fetch { .. } => unreachable!("the journal has been asked"),
            Output::Halted { .. } => unreachable!("it ends the turn"),
            Output::SnapshotWanted { .. } => news.push(News::SnapshotWanted),
            Output::Forgot { acknowledged, last } => {
                news.push(News::Forgot { acknowledged, last });
            }
            Output::Installed(marker) => {
                self.marker = marker.index;
                self.restored = marker.index;
                self.installed = self.appended;
                news.push(News::Installed(marker));
            }
        }
        Ok(())
    }

    fn note_complete(&mut self) {
        self.caught_up = CaughtUp::Yes;
        self.is_complete = true;
    }

    fn note_caught_up(&mut self, losses: u64, index: u64) {
        if let CaughtUp::No { .. } = self.caught_up
            && losses == self.losses
        {
            self.caught_up = CaughtUp::At(index);
            self.applied(self.applied_index());
        }
    }

    /// Who leads, in which term.
    pub(super) fn stand(&self) -> Option<(u64, u64)> {
        let group = self.member()?;
        Some((group.leader()?, group.term()))
    }

    /// Tells the core when another server leads than before, once.
    fn tell_of_leader(&mut self, news: &mut Vec<News>) {
        let stand = self.stand();
        if stand.is_none() {
            // What goes to whoever leads next may have been lost on its way to who led.
            self.followed = None;
            if self.others.is_some() {
                // The next leader's first word comes before what it has committed.
                self.fall_behind();
            }
        }
        if stand == self.followed {
            return;
        }
        if self.leader().is_some() {
            self.followed = stand;
            news.push(News::Follows);
        }
    }

    /// Everything up to `index` is applied: its entries leave memory.
    pub(super) fn applied(&mut self, index: u64) {
        if let Some(group) = self.member_mut() {
            group.applied(index);
        }
        if let CaughtUp::At(at) = self.caught_up
            && at <= index
        {
            self.note_complete();
        }
    }

    /// What a member that answers has, the one that is furthest behind; nothing where this server does not lead others.
    pub(super) fn behind(&self) -> Option<u64> {
        self.member()?.behind()
    }

    /// Whether the journal knows on disk what took the place of everything last: a snapshot, or nothing at all.
    pub(super) fn is_installed(&self, journal: &Journal) -> bool {
        journal.durable(self.id) >= self.installed
    }

    /// Everything up to `index` is safe in the core's own files: the journal may forget it.
    pub(super) fn release(&mut self, index: u64, journal: &mut Journal) {
        if index <= self.marker || index > self.applied_index() {
            return;
        }
        if let Some(group) = self.member_mut()
            && let Some(marker) = group.marker_at(index)
        {
            journal.compact(group.id(), marker);
            group.marked(index);
            self.marker = index;
        }
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.waiting.push_back(self.open.split().freeze());
        }
    }

    fn give_out(&self, entry: Entry, news: &mut Vec<News>) -> Result<(), Malformed> {
        let index = entry.index;
        let malformed = Malformed {
            group: self.id,
            index,
        };
        if index <= self.restored {
            // A crash came between the file and the marker that says so.
        } else if entry.kind != EntryKind::Normal || entry.data.is_empty() {
            news.push(News::Command {
                index,
                data: Bytes::new(),
            });
        } else if self.joining == Joining::Alone {
            news.push(News::Command {
                index,
                data: entry.data,
            });
        } else {
            let mut rest = entry.data;
            while !rest.is_empty() {
                let length = rest
                    .try_get_u32()
                    .ok()
                    .and_then(|length| usize::try_from(length).ok());
                match length {
                    Some(length) if length <= rest.len() => {
                        news.push(News::Command {
                            index,
                            data: rest.split_to(length),
                        });
                    }
                    _ => return Err(malformed),
                }
            }
        }
        news.push(News::EntryEnd { index });
        Ok(())
    }
}
