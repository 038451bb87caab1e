//! Who belongs to a group, as a marker and a snapshot keep it.
//!
//! ```text
//!   version 1   1 | voter u64 …
//!   version 2   2 | flags u8 | ensemble u128 | next u64 | four times: count u8, member u64 …
//!                 | count u8, each: member u64, server u16, journal u128
//!                 | of one that was recovered: replaces u128, void_to u64
//!                 | of one with observers: count u8, member u64 …
//!   version 3   3 | level u16 | release: major u16, minor u16, patch u16 | as version 2, from the flags on
//!                 | count u8, each: member u64, the highest level that it supports u16
//! ```
//!
//! The four are voters, voters of the outgoing half, learners, and voters of the outgoing half that become learners;
//! the flags say that the group leaves a joint configuration by itself, that it was recovered, that it was replaced, that it has
//! observers. A group of one that never had other members is written in version 1, which every release reads; version 3 only where a level
//! other than the first has to be named. Every later version begins with level and release, too: so who cannot read the
//! rest can say what is needed.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use raft::eraftpb::ConfState;

use crate::units::ServerId;
use crate::units::feature::{FeatureLevel, Levels, Release, Unsupported};

/// Voters alone.
const VOTERS: u8 = 1;
/// All that a configuration may be.
const JOINT: u8 = 2;
/// The same, at a feature level.
const LEVELLED: u8 = 3;
/// The group leaves its joint configuration by itself.
const LEAVES: u8 = 1;
/// It goes on from what one server had of another ensemble.
const RECOVERED: u8 = 2;
/// Another ensemble goes on in its place.
const REPLACED: u8 = 4;
/// Some of its members are to have no vote.
const OBSERVERS: u8 = 8;
/// All flags that are known.
const FLAGS: u8 = LEAVES | RECOVERED | REPLACED | OBSERVERS;

/// Who belongs to a group at some entry. A member's number is never 0 and never given twice: who comes back without its
/// memory gets another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who votes; in a joint configuration those of the incoming half.
    pub voters: Vec<u64>,
    /// Who votes in the outgoing half; empty unless the configuration is joint.
    pub outgoing: Vec<u64>,
    /// Who receives entries and does not vote.
    pub learners: Vec<u64>,
    /// Voters of the outgoing half that become learners when it ends.
    pub learners_next: Vec<u64>,
    /// Learners, present and next ones, that are to stay what they are: every other learner is on its way to a vote.
    pub observers: Vec<u64>,
    /// The group leaves its joint configuration by itself.
    pub leaves: bool,
    /// Who they are, as far as it is known: a group of one need not say.
    pub identities: BTreeMap<u64, Identity>,
    /// The number that the next newcomer gets.
    pub next: u64,
    /// The id of the group that was founded, so that two never mix; 0 for a group of one.
    pub ensemble: u128,
    /// What it goes on from, where an operator has recovered it from what one server had.
    pub recovered: Option<Recovered>,
    /// It was recovered elsewhere: what this server has of it serves nobody any more.
    pub replaced: bool,
    /// The feature level: what may be in the log and in snapshots.
    pub level: FeatureLevel,
    /// The release that raised it there; none where it is the first.
    pub raised_by: Release,
    /// The highest level that each member supports, as it said last; the first, where it is not here.
    pub highest: BTreeMap<u64, FeatureLevel>,
}

/// An ensemble whose majority is gone, and that goes on with one of its servers under another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The id it had: whoever still has that one is not to serve beside it.
    pub replaces: u128,
    /// Changes of members in entries up to here are of the former one.
    pub void_to: u64,
}

/// Who a member is: a server, with the memory it had when it became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The server.
    pub server: ServerId,
    /// The id of its journal: another one has forgotten what this one promised.
    pub journal: u128,
}

/// Why a membership cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A later version wrote it.
    #[error(
        "the members in its marker are of version {version}: release {release} or a later one is needed"
    )]
    Newer {
        /// Which one.
        version: u8,
        /// At this feature level.
        level: FeatureLevel,
        /// A release that supports the level.
        release: Release,
    },
    /// It is of a feature level that is not supported here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Its bytes do not add up.
    #[error("its marker's voters cannot be read")]
    Malformed,
}

impl Unreadable {
    /// Whether a later version wrote it, or it is of a feature level that is not supported here.
    pub fn is_newer(&self) -> bool {
        matches!(self, Unreadable::Newer { .. } | Unreadable::Unsupported(_))
    }
}

impl Membership {
    /// A group of these voters and nobody else.
    pub fn of_voters(voters: impl IntoIterator<Item = u64>) -> Membership {
        let voters: Vec<u64> = voters.into_iter().collect();
        Membership {
            next: voters.iter().max().map_or(0, |last| last.saturating_add(1)),
            voters,
            ..Membership::default()
        }
    }

    /// A new group of these servers, all of which vote; `ensemble` is its id.
    pub fn founded_by(servers: &[Identity], ensemble: u128) -> Membership {
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        let numbered: BTreeMap<u64, Identity> = (1..).zip(servers).collect();
        Membership {
            identities: numbered.clone(),
            ensemble,
            ..Membership::of_voters(numbered.into_keys())
        }
    }

    /// What this ensemble becomes when it goes on with this server alone, as a new one with this id. Its log ends at entry
    /// `last`. What the log and the snapshots hold is still of the level that they were written at.
    pub fn recovered_by(&self, own: Identity, ensemble: u128, last: u64) -> Membership {
        let members = self.members();
        let number = members.last().map_or(1, |it| it.saturating_add(1));
        let number = number.max(self.next);
        // That of a group of one that grew is its first member's, which is not in its marker yet.
        let replaces = match self.ensemble {
            0 => own.journal,
            ensemble => ensemble,
        };
        let former = self.number_of(own);
        let highest = former.and_then(|former| self.highest.get(&former));
        Membership {
            identities: BTreeMap::from([(number, own)]),
            ensemble,
            recovered: Some(Recovered {
                replaces,
                void_to: last,
            }),
            level: self.level,
            raised_by: self.raised_by,
            highest: highest.map(|it| (number, *it)).into_iter().collect(),
            ..Membership::of_voters([number])
        }
    }

    /// The same, at another level.
    pub(super) fn raised(&self, level: FeatureLevel, release: Release) -> Membership {
        Membership {
            level,
            raised_by: release,
            ..self.clone()
        }
    }

    /// Whether this ensemble goes on in the place of another one.
    pub fn replaces(&self, other: &Membership) -> bool {
        let replaces = |it: Recovered| it.replaces == other.ensemble;
        other.ensemble != 0 && self.recovered.is_some_and(replaces)
    }

    /// The highest level that a member supports.
    pub fn highest_of(&self, member: u64) -> FeatureLevel {
        self.highest.get(&member).copied().unwrap_or_default()
    }

    /// The highest level that every member supports.
    pub fn possible_level(&self) -> FeatureLevel {
        let members = self.members().into_iter();
        let least = members.map(|member| self.highest_of(member)).min();
        least.unwrap_or_default()
    }

    /// Which member this server is, with this journal.
    pub fn number_of(&self, identity: Identity) -> Option<u64> {
        let known = self
            .identities
            .iter()
            .find(|(_, known)| **known == identity);
        known.map(|(number, _)| *number)
    }

    /// Which members were this server with a journal that it has no more.
    pub fn former(&self, identity: Identity) -> Vec<u64> {
        let former = self.identities.iter().filter(|(_, known)| {
            known.server == identity.server && known.journal != identity.journal
        });
        former.map(|(number, _)| *number).collect()
    }

    /// Which members this server is and was.
    pub fn numbers_of(&self, server: ServerId) -> Vec<u64> {
        let known = self.identities.iter();
        let of_it = known.filter(|(_, identity)| identity.server == server);
        of_it.map(|(number, _)| *number).collect()
    }

    /// How many of these voters may be lost before no majority is left; `None` where there is none.
    pub fn may_be_lost(&self, is_there: impl Fn(u64) -> bool) -> Option<u64> {
        let half = |voters: &[u64]| {
            let there = voters.iter().filter(|member| is_there(**member)).count();
            there.checked_sub(voters.len() / 2 + 1)
        };
        let mut least = half(&self.voters)?;
        if !self.outgoing.is_empty() {
            least = least.min(half(&self.outgoing)?);
        }
        u64::try_from(least).ok()
    }

    /// Whether this member is to have no vote. While its vote moves it still has one.
    pub fn is_observer(&self, member: u64) -> bool {
        self.observers.contains(&member)
    }

    /// Whether this member votes, by either half of a joint configuration.
    pub fn votes(&self, member: u64) -> bool {
        self.voters.contains(&member) || self.outgoing.contains(&member)
    }

    /// Whether this member's vote is on its way to another one.
    pub fn gives_vote(&self, member: u64) -> bool {
        self.outgoing.contains(&member) && self.is_observer(member)
    }

    /// Whether another member's vote is on its way to this one.
    pub fn takes_vote(&self, member: u64) -> bool {
        let gives = |it: &u64| self.gives_vote(*it);
        let is_new = self.voters.contains(&member) && !self.outgoing.contains(&member);
        is_new && self.outgoing.iter().any(gives)
    }

    /// Whether nobody belongs to it: it was never founded.
    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// Whether this member alone decides.
    pub fn is_decided_by(&self, member: u64) -> bool {
        self.voters == [member] && self.outgoing.is_empty()
    }

    /// Whether nobody but this member belongs to it.
    pub fn is_only(&self, member: u64) -> bool {
        self.is_decided_by(member) && self.learners.is_empty()
    }

    /// All that belong to it, in order.
    pub fn members(&self) -> Vec<u64> {
        let mut members = [&self.voters[..], &self.outgoing, &self.learners].concat();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// Its bytes in a marker or a snapshot.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        if *self == Membership::of_voters(self.voters.iter().copied()) {
            bytes.put_u8(VOTERS);
            self.voters.iter().for_each(|member| bytes.put_u64(*member));
            return bytes.freeze();
        }
        let is_levelled = self.level != FeatureLevel::FIRST || !self.highest.is_empty();
        if is_levelled {
            bytes.put_u8(LEVELLED);
            put_level(self.level, self.raised_by, &mut bytes);
        } else {
            bytes.put_u8(JOINT);
        }
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        bytes.put_u8(
            flag(self.leaves, LEAVES)
                | flag(self.recovered.is_some(), RECOVERED)
                | flag(self.replaced, REPLACED)
                | flag(!self.observers.is_empty(), OBSERVERS),
        );
        bytes.put_u128(self.ensemble);
        bytes.put_u64(self.next);
        for list in [
            &self.voters,
            &self.outgoing,
            &self.learners,
            &self.learners_next,
        ] {
            put_list(list, &mut bytes);
        }
        put_identities(&self.identities, &mut bytes);
        if let Some(Recovered { replaces, void_to }) = self.recovered {
            bytes.put_u128(replaces);
            bytes.put_u64(void_to);
        }
        if !self.observers.is_empty() {
            put_list(&self.observers, &mut bytes);
        }
        if is_levelled {
            put_highest(&self.highest, &mut bytes);
        }
        bytes.freeze()
    }

    /// The membership in these bytes, for a server that supports these levels.
    ///
    /// # Errors
    /// As [`Membership::decode`], and where the level is none of them.
    pub fn decode_at(bytes: &Bytes, levels: Levels) -> Result<Membership, Unreadable> {
        let membership = Membership::decode(bytes)?;
        levels.check(membership.level, membership.raised_by)?;
        Ok(membership)
    }

    /// The membership in these bytes; the empty one where nothing was written yet.
    ///
    /// # Errors
    /// A later version wrote it, or nobody did.
    pub fn decode(bytes: &Bytes) -> Result<Membership, Unreadable> {
        let mut bytes = bytes.clone();
        let Ok(version) = bytes.try_get_u8() else {
            return Ok(Membership::default());
        };
        match version {
            VOTERS if bytes.len().is_multiple_of(8) => {
                let voters = std::iter::from_fn(|| bytes.try_get_u64().ok());
                Ok(Membership::of_voters(voters))
            }
            JOINT => decode_joint(&mut bytes)
                .filter(|_| bytes.is_empty())
                .ok_or(Unreadable::Malformed),
            0 | VOTERS => Err(Unreadable::Malformed),
            version => {
                let level = take_level(&mut bytes).ok_or(Unreadable::Malformed)?;
                let (level, release) = level;
                if version != LEVELLED {
                    return Err(Unreadable::Newer {
                        version,
                        level,
                        release,
                    });
                }
                let membership = decode_joint(&mut bytes).and_then(|membership| {
                    Some(Membership {
                        level,
                        raised_by: release,
                        highest: take_highest(&mut bytes)?,
                        ..membership
                    })
                });
                membership
                    .filter(|_| bytes.is_empty())
                    .ok_or(Unreadable::Malformed)
            }
        }
    }

    pub(super) fn to_raft(&self) -> ConfState {
        ConfState {
            voters: self.voters.clone(),
            voters_outgoing: self.outgoing.clone(),
            learners: self.learners.clone(),
            learners_next: self.learners_next.clone(),
            auto_leave: self.leaves,
            ..ConfState::default()
        }
    }

    /// What the crate and what goes along have made of it. In order, so that every member writes the same bytes.
    pub(super) fn changed(&self, state: ConfState, along: Along) -> Membership {
        let sorted = |mut members: Vec<u64>| {
            members.sort_unstable();
            members
        };
        let mut changed = Membership {
            voters: sorted(state.voters),
            outgoing: sorted(state.voters_outgoing),
            learners: sorted(state.learners),
            learners_next: sorted(state.learners_next),
            observers: sorted(along.observers.unwrap_or_else(|| self.observers.clone())),
            leaves: state.auto_leave,
            identities: self.identities.clone(),
            next: self.next,
            ensemble: self.ensemble,
            recovered: self.recovered,
            replaced: self.replaced,
            level: self.level,
            raised_by: self.raised_by,
            highest: self.highest.clone(),
        };
        changed.identities.extend(along.newcomers);
        changed.highest.extend(along.highest);
        if let Some((level, release)) = along.raised {
            (changed.level, changed.raised_by) = (level, release);
        }
        if changed.ensemble == 0 {
            // A group of one grows: the first journal's id is as good as any, and the same to every member.
            let first = changed.identities.values().next();
            changed.ensemble = first.map_or(0, |identity| identity.journal);
        }
        let members = changed.members();
        changed
            .identities
            .retain(|number, _| members.contains(number));
        changed
            .highest
            .retain(|number, highest| members.contains(number) && *highest != FeatureLevel::FIRST);
        let voters = &changed.voters;
        changed
            .observers
            .retain(|number| members.contains(number) && !voters.contains(number));
        let last = members.last().copied().unwrap_or(0);
        changed.next = changed.next.max(last.saturating_add(1));
        changed
    }
}

/// What goes along with a change of members, and the crate does not know.
///
/// ```text
///   identities of newcomers | nothing more, or:
///   level u16 (0: not raised), release: major u16, minor u16, patch u16 | count u8, each: member u64, highest level u16
///   | nothing more, or: observers: count u8, member u64 …
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Along {
    /// Who those are that were not in the group.
    pub(super) newcomers: BTreeMap<u64, Identity>,
    /// The level from this entry on, and the release that raises it.
    pub(super) raised: Option<(FeatureLevel, Release)>,
    /// What members support, of whom something else was known.
    pub(super) highest: BTreeMap<u64, FeatureLevel>,
    /// All that are observers from this entry on, where that changes. Who votes is none, and need not be left out.
    pub(super) observers: Option<Vec<u64>>,
}

impl Along {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        put_identities(&self.newcomers, &mut bytes);
        if self.raised.is_some() || !self.highest.is_empty() || self.observers.is_some() {
            let (level, release) = self.raised.unwrap_or((FeatureLevel(0), Release::default()));
            put_level(level, release, &mut bytes);
            put_highest(&self.highest, &mut bytes);
        }
        if let Some(observers) = &self.observers {
            put_list(observers, &mut bytes);
        }
        bytes.freeze()
    }

    /// The same, read; nothing where there are no bytes. `None` for what a later release wrote.
    pub(super) fn decode(bytes: &Bytes) -> Option<Along> {
        let mut bytes = bytes.clone();
        if bytes.is_empty() {
            return Some(Along::default());
        }
        let mut along = Along {
            newcomers: take_identities(&mut bytes)?,
            ..Along::default()
        };
        if !bytes.is_empty() {
            let raised = take_level(&mut bytes)?;
            along.raised = Some(raised).filter(|(level, _)| *level != FeatureLevel(0));
            along.highest = take_highest(&mut bytes)?;
        }
        if !bytes.is_empty() {
            along.observers = Some(take_list(&mut bytes)?);
        }
        bytes.is_empty().then_some(along)
    }
}

fn put_level(level: FeatureLevel, release: Release, bytes: &mut BytesMut) {
    for number in [level.0, release.major, release.minor, release.patch] {
        bytes.put_u16(number);
    }
}

fn take_level(bytes: &mut Bytes) -> Option<(FeatureLevel, Release)> {
    let level = FeatureLevel(bytes.try_get_u16().ok()?);
    let release = Release {
        major: bytes.try_get_u16().ok()?,
        minor: bytes.try_get_u16().ok()?,
        patch: bytes.try_get_u16().ok()?,
    };
    Some((level, release))
}

fn put_list(members: &[u64], bytes: &mut BytesMut) {
    let count = u8::try_from(members.len()).expect("a group has fewer than 256 members");
    bytes.put_u8(count);
    members.iter().for_each(|member| bytes.put_u64(*member));
}

fn take_list(bytes: &mut Bytes) -> Option<Vec<u64>> {
    let count = bytes.try_get_u8().ok()?;
    (0..count).map(|_| bytes.try_get_u64().ok()).collect()
}

fn put_highest(highest: &BTreeMap<u64, FeatureLevel>, bytes: &mut BytesMut) {
    let count = u8::try_from(highest.len()).expect("a group has fewer than 256 members");
    bytes.put_u8(count);
    for (member, level) in highest {
        bytes.put_u64(*member);
        bytes.put_u16(level.0);
    }
}

fn take_highest(bytes: &mut Bytes) -> Option<BTreeMap<u64, FeatureLevel>> {
    let count = bytes.try_get_u8().ok()?;
    let mut one = || {
        let member = bytes.try_get_u64().ok()?;
        Some((member, FeatureLevel(bytes.try_get_u16().ok()?)))
    };
    (0..count).map(|_| one()).collect()
}

fn put_identities(identities: &BTreeMap<u64, Identity>, bytes: &mut BytesMut) {
    let count = u8::try_from(identities.len()).expect("a group has fewer than 256 members");
    bytes.put_u8(count);
    for (number, identity) in identities {
        bytes.put_u64(*number);
        bytes.put_u16(identity.server.0);
        bytes.put_u128(identity.journal);
    }
}

fn take_identities(bytes: &mut Bytes) -> Option<BTreeMap<u64, Identity>> {
    let count = bytes.try_get_u8().ok()?;
    let mut one = || {
        let number = bytes.try_get_u64().ok()?;
        let server = ServerId(bytes.try_get_u16().ok()?);
        let journal = bytes.try_get_u128().ok()?;
        Some((number, Identity { server, journal }))
    };
    (0..count).map(|_| one()).collect()
}

fn decode_joint(bytes: &mut Bytes) -> Option<Membership> {
    let flags = bytes.try_get_u8().ok()?;
    let ensemble = bytes.try_get_u128().ok()?;
    let next = bytes.try_get_u64().ok()?;
    let membership = Membership {
        voters: take_list(bytes)?,
        outgoing: take_list(bytes)?,
        learners: take_list(bytes)?,
        learners_next: take_list(bytes)?,
        leaves: flags & LEAVES != 0,
        identities: take_identities(bytes)?,
        next,
        ensemble,
        recovered: match flags & RECOVERED != 0 {
            true => Some(Recovered {
                replaces: bytes.try_get_u128().ok()?,
                void_to: bytes.try_get_u64().ok()?,
            }),
            false => None,
        },
        replaced: flags & REPLACED != 0,
        observers: match flags & OBSERVERS != 0 {
            true => take_list(bytes)?,
            false => Vec::new(),
        },
        ..Membership::default()
    };
    (flags & !FLAGS == 0 && !membership.is_empty()).then_some(membership)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(server: u16) -> Identity {
        Identity {
            server: ServerId(server),
            journal: u128::from(server) << 100,
        }
    }

    #[test]
    fn who_has_another_journal_is_somebody_else() {
        let three = Membership::founded_by(&[identity(2), identity(1), identity(3)], 5);
        assert_eq!(three.number_of(identity(2)), Some(2));
        let wiped = Identity {
            journal: 7,
            ..identity(2)
        };
        assert_eq!(three.number_of(wiped), None);
        assert_eq!(three.former(wiped), [2]);
        assert_eq!(three.next, 4, "a number is never given twice");
    }

    #[test]
    fn as_many_may_be_lost_as_leave_a_majority() {
        let three = Membership::of_voters([1, 2, 3]);
        assert_eq!(three.may_be_lost(|_| true), Some(1));
        assert_eq!(three.may_be_lost(|it| it != 2), Some(0));
        assert_eq!(three.may_be_lost(|it| it == 1), None);
        assert_eq!(Membership::of_voters([1]).may_be_lost(|_| true), Some(0));
        let joint = Membership {
            outgoing: vec![1, 4, 5],
            ..Membership::of_voters([1, 2, 3])
        };
        assert_eq!(joint.may_be_lost(|it| it != 4), Some(0), "of both halves");
        assert_eq!(joint.may_be_lost(|it| it < 4), None);
    }

    #[test]
    fn a_membership_comes_back_as_it_was() {
        let joint = Membership {
            voters: vec![1, 2, 4],
            outgoing: vec![1, 2, 3],
            learners: vec![5],
            learners_next: vec![3],
            leaves: true,
            identities: BTreeMap::from([(4, identity(3))]),
            next: 6,
            ensemble: 1 << 127,
            ..Membership::default()
        };
        let observed = Membership {
            observers: vec![3, 5],
            ..joint.clone()
        };
        let levelled = Membership {
            level: FeatureLevel(2),
            raised_by: Release {
                major: 1,
                minor: 2,
                patch: 3,
            },
            highest: BTreeMap::from([(1, FeatureLevel(2)), (5, FeatureLevel(3))]),
            ..joint.clone()
        };
        let lone = Membership::of_voters([u64::MAX]);
        let three = Membership::founded_by(&[identity(2), identity(1), identity(3)], 5);
        let recovered = three.recovered_by(identity(2), 9, 70);
        let replaced = Membership {
            replaced: true,
            ..three.clone()
        };
        let of_a_level = |membership: &Membership| Membership {
            highest: levelled.highest.clone(),
            ..membership.raised(levelled.level, levelled.raised_by)
        };
        let all = [
            Membership::default(),
            lone,
            of_a_level(&recovered),
            of_a_level(&replaced),
            of_a_level(&observed),
            Membership {
                recovered: recovered.recovered,
                ..observed.clone()
            },
            observed,
            joint,
            levelled,
            three,
            recovered,
            replaced,
        ];
        for membership in all {
            let bytes = membership.encode();
            if bytes.first().is_some_and(|version| *version >= JOINT) {
                let longer = Bytes::from([&bytes[..], &[0]].concat());
                assert_eq!(Membership::decode(&longer), Err(Unreadable::Malformed));
            }
            assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
        }
        assert_eq!(Membership::decode(&Bytes::new()), Ok(Membership::default()));
    }

    #[test]
    fn what_was_recovered_is_another_ensemble_that_replaces_the_former() {
        let three = Membership::founded_by(&[identity(2), identity(1), identity(3)], 5);
        let recovered = three.recovered_by(identity(2), 9, 70);
        assert_eq!(recovered.voters, [4], "a number is never given twice");
        assert_eq!((recovered.next, recovered.ensemble), (5, 9));
        let levelled = Membership {
            highest: BTreeMap::from([(1, FeatureLevel(2)), (2, FeatureLevel(3))]),
            ..three.raised(FeatureLevel(2), Release::OWN)
        };
        let of_it = levelled.recovered_by(identity(2), 9, 70);
        assert_eq!(
            (of_it.level, of_it.raised_by),
            (FeatureLevel(2), Release::OWN)
        );
        assert_eq!(of_it.highest, BTreeMap::from([(4, FeatureLevel(3))]));
        assert!(recovered.replaces(&three) && !three.replaces(&recovered));
        let grown = Membership::of_voters([2]).recovered_by(identity(2), 9, 70);
        let first = Membership {
            ensemble: identity(2).journal,
            ..three
        };
        assert!(grown.replaces(&first));
        assert!(
            !grown.replaces(&Membership::of_voters([2])),
            "one that is alone"
        );
    }

    #[test]
    fn voters_alone_are_written_as_the_first_release_wrote_them() {
        let bytes = Membership::of_voters([2]).encode();
        assert_eq!(&bytes[..], [1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn members_at_the_first_level_are_written_as_before_there_were_levels() {
        let two = Membership::founded_by(&[identity(1), identity(2)], 7);
        let bytes = two.encode();
        assert_eq!(bytes[0], 2);
        let levelled = Membership {
            highest: BTreeMap::from([(2, FeatureLevel(2))]),
            ..two
        };
        let of_it = levelled.encode();
        assert_eq!(of_it[..9], [3, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            of_it[9..bytes.len() + 8],
            bytes[1..],
            "the rest is the same"
        );
    }

    #[test]
    fn a_level_is_as_high_as_all_members_support() {
        let mut members = Membership::founded_by(&[identity(1), identity(2)], 7);
        assert_eq!(members.possible_level(), FeatureLevel::FIRST);
        members.highest = BTreeMap::from([(1, FeatureLevel(3)), (2, FeatureLevel(2))]);
        assert_eq!(members.possible_level(), FeatureLevel(2));
        members.learners = vec![9];
        assert_eq!(
            members.possible_level(),
            FeatureLevel::FIRST,
            "learners, too"
        );
    }

    #[test]
    fn what_goes_along_with_a_change_comes_back_as_it_was() {
        let newcomers = BTreeMap::from([(4, identity(3))]);
        let before = Along {
            newcomers: newcomers.clone(),
            ..Along::default()
        };
        assert_eq!(before.encode().len(), 27, "as before there were levels");
        let support = Along {
            highest: BTreeMap::from([(4, FeatureLevel(2))]),
            ..before.clone()
        };
        let raised = Along {
            raised: Some((FeatureLevel(2), Release::OWN)),
            ..Along::default()
        };
        let observed = Along {
            observers: Some(vec![4, 6]),
            ..before.clone()
        };
        let of_nobody = Along {
            observers: Some(Vec::new()),
            ..support.clone()
        };
        for along in [
            Along::default(),
            before,
            support,
            raised,
            observed,
            of_nobody,
        ] {
            let bytes = along.encode();
            let longer = Bytes::from([&bytes[..], &[255]].concat());
            assert_eq!(Along::decode(&longer), None);
            assert_eq!(Along::decode(&bytes), Some(along));
        }
        assert_eq!(Along::decode(&Bytes::new()), Some(Along::default()));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let decode = |bytes: &'static [u8]| Membership::decode(&Bytes::from_static(bytes));
        let release = Release {
            major: 2,
            ..Release::default()
        };
        let level = FeatureLevel(9);
        let newer = Unreadable::Newer {
            version: 4,
            level,
            release,
        };
        assert_eq!(decode(&[4, 0, 9, 0, 2, 0, 0, 0, 0, 77]), Err(newer));
        for bad in [
            &[1, 0, 0][..],
            &[2],
            &[2, 0, 1, 0],
            &[2; 14],
            &[2, 0],
            &[3],
            &[4],
            &[0],
        ] {
            assert_eq!(decode(bad), Err(Unreadable::Malformed), "{bad:?}");
        }
    }
}
