//! Who belongs to a group, as a marker and a snapshot keep it.
//!
//! ```text
//!   version 1   1 | voter u64 …
//!   version 2   2 | flags u8 | ensemble u128 | next u64 | four times: count u8, member u64 …
//!                 | count u8, each: member u64, server u16, journal u128
//!                 | of one that was recovered: replaces u128, void_to u64
//! ```
//!
//! The four are voters, voters of the outgoing half, learners, and voters of the outgoing half that become learners;
//! the flags say that the group leaves a joint configuration by itself, that it was recovered, that it was replaced. A group of one that never had other members is
//! written in version 1, which every release reads.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use raft::eraftpb::ConfState;

use crate::units::ServerId;

/// Voters alone.
const VOTERS: u8 = 1;
/// All that a configuration may be.
const JOINT: u8 = 2;
/// The group leaves its joint configuration by itself.
const LEAVES: u8 = 1;
/// It goes on from what one server had of another ensemble.
const RECOVERED: u8 = 2;
/// Another ensemble goes on in its place.
const REPLACED: u8 = 4;
/// All flags that are known.
const FLAGS: u8 = LEAVES | RECOVERED | REPLACED;

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
    #[error("the voters in its marker are of version {0}")]
    Newer(u8),
    /// Its bytes do not add up.
    #[error("its marker's voters cannot be read")]
    Malformed,
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

    /// What this ensemble becomes when it goes on with this server alone, as a new one with this id. Its log ends at entry `last`.
    pub fn recovered_by(&self, own: Identity, ensemble: u128, last: u64) -> Membership {
        let members = self.members();
        let number = members.last().map_or(1, |it| it.saturating_add(1));
        let number = number.max(self.next);
        // That of a group of one that grew is its first member's, which is not in its marker yet.
        let replaces = match self.ensemble {
            0 => own.journal,
            ensemble => ensemble,
        };
        Membership {
            identities: BTreeMap::from([(number, own)]),
            ensemble,
            recovered: Some(Recovered {
                replaces,
                void_to: last,
            }),
            ..Membership::of_voters([number])
        }
    }

    /// Whether this ensemble goes on in the place of another one.
    pub fn replaces(&self, other: &Membership) -> bool {
        let replaces = |it: Recovered| it.replaces == other.ensemble;
        other.ensemble != 0 && self.recovered.is_some_and(replaces)
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
        let count = |count: usize| u8::try_from(count).expect("a group has fewer than 256 members");
        bytes.put_u8(JOINT);
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        bytes.put_u8(
            flag(self.leaves, LEAVES)
                | flag(self.recovered.is_some(), RECOVERED)
                | flag(self.replaced, REPLACED),
        );
        bytes.put_u128(self.ensemble);
        bytes.put_u64(self.next);
        for list in [
            &self.voters,
            &self.outgoing,
            &self.learners,
            &self.learners_next,
        ] {
            bytes.put_u8(count(list.len()));
            list.iter().for_each(|member| bytes.put_u64(*member));
        }
        put_identities(&self.identities, &mut bytes);
        if let Some(Recovered { replaces, void_to }) = self.recovered {
            bytes.put_u128(replaces);
            bytes.put_u64(void_to);
        }
        bytes.freeze()
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
            JOINT => decode_joint(&mut bytes).ok_or(Unreadable::Malformed),
            VOTERS => Err(Unreadable::Malformed),
            newer => Err(Unreadable::Newer(newer)),
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

    /// What the crate has made of it by a change that brought these newcomers. In order, so that every member writes the
    /// same bytes.
    pub(super) fn changed(
        &self,
        state: ConfState,
        newcomers: BTreeMap<u64, Identity>,
    ) -> Membership {
        let sorted = |mut members: Vec<u64>| {
            members.sort_unstable();
            members
        };
        let mut changed = Membership {
            voters: sorted(state.voters),
            outgoing: sorted(state.voters_outgoing),
            learners: sorted(state.learners),
            learners_next: sorted(state.learners_next),
            leaves: state.auto_leave,
            identities: self.identities.clone(),
            next: self.next,
            ensemble: self.ensemble,
            recovered: self.recovered,
            replaced: self.replaced,
        };
        changed.identities.extend(newcomers);
        if changed.ensemble == 0 {
            // A group of one grows: the first journal's id is as good as any, and the same to every member.
            let first = changed.identities.values().next();
            changed.ensemble = first.map_or(0, |identity| identity.journal);
        }
        let members = changed.members();
        changed
            .identities
            .retain(|number, _| members.contains(number));
        let last = members.last().copied().unwrap_or(0);
        changed.next = changed.next.max(last.saturating_add(1));
        changed
    }
}

/// Identities by member, as a change of members carries those of the newcomers.
pub(super) fn encode_identities(identities: &BTreeMap<u64, Identity>) -> Bytes {
    let mut bytes = BytesMut::new();
    put_identities(identities, &mut bytes);
    bytes.freeze()
}

/// The same, read; none where there are no bytes.
pub(super) fn decode_identities(bytes: &Bytes) -> Option<BTreeMap<u64, Identity>> {
    let mut bytes = bytes.clone();
    if bytes.is_empty() {
        return Some(BTreeMap::new());
    }
    take_identities(&mut bytes).filter(|_| bytes.is_empty())
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
    let mut list = || -> Option<Vec<u64>> {
        let count = bytes.try_get_u8().ok()?;
        (0..count).map(|_| bytes.try_get_u64().ok()).collect()
    };
    let membership = Membership {
        voters: list()?,
        outgoing: list()?,
        learners: list()?,
        learners_next: list()?,
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
    };
    let is_sound = flags & !FLAGS == 0 && bytes.is_empty() && !membership.is_empty();
    is_sound.then_some(membership)
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
            recovered: None,
            replaced: false,
        };
        let lone = Membership::of_voters([u64::MAX]);
        let three = Membership::founded_by(&[identity(2), identity(1), identity(3)], 5);
        let recovered = three.recovered_by(identity(2), 9, 70);
        let replaced = Membership {
            replaced: true,
            ..three.clone()
        };
        let all = [
            Membership::default(),
            lone,
            joint,
            three,
            recovered,
            replaced,
        ];
        for membership in all {
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
    fn what_is_not_known_is_not_guessed() {
        let decode = |bytes: &'static [u8]| Membership::decode(&Bytes::from_static(bytes));
        assert_eq!(decode(&[3]), Err(Unreadable::Newer(3)));
        for bad in [&[1, 0, 0][..], &[2], &[2, 0, 1, 0], &[2; 14], &[2, 0]] {
            assert_eq!(decode(bad), Err(Unreadable::Malformed), "{bad:?}");
        }
    }
}
