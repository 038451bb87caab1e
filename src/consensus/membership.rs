//! Who belongs to a group, as a marker and a snapshot keep it.
//!
//! ```text
//!   version 1   1 | voter u64 …
//!   version 2   2 | flags u8 | four times: count u8, member u64 …
//! ```
//!
//! The four are voters, voters of the outgoing half, learners, and voters of the outgoing half that become learners;
//! the flag says that the group leaves a joint configuration by itself. A group that has voters alone is written in
//! version 1, which every release reads.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use raft::eraftpb::ConfState;

/// Voters alone.
const VOTERS: u8 = 1;
/// All that a configuration may be.
const JOINT: u8 = 2;
/// The group leaves its joint configuration by itself.
const LEAVES: u8 = 1;

/// Who belongs to a group at some entry. A member's number is never 0 and never given twice.
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
        Membership {
            voters: voters.into_iter().collect(),
            ..Membership::default()
        }
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
        let lists = [
            &self.voters,
            &self.outgoing,
            &self.learners,
            &self.learners_next,
        ];
        if lists[1..].iter().all(|list| list.is_empty()) {
            bytes.put_u8(VOTERS);
            self.voters.iter().for_each(|member| bytes.put_u64(*member));
            return bytes.freeze();
        }
        bytes.put_u8(JOINT);
        bytes.put_u8(if self.leaves { LEAVES } else { 0 });
        for list in lists {
            let count = u8::try_from(list.len()).expect("a group has fewer than 256 members");
            bytes.put_u8(count);
            list.iter().for_each(|member| bytes.put_u64(*member));
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

    /// In order, so that every member writes the same bytes.
    pub(super) fn from_raft(state: ConfState) -> Membership {
        let sorted = |mut members: Vec<u64>| {
            members.sort_unstable();
            members
        };
        Membership {
            voters: sorted(state.voters),
            outgoing: sorted(state.voters_outgoing),
            learners: sorted(state.learners),
            learners_next: sorted(state.learners_next),
            leaves: state.auto_leave,
        }
    }
}

fn decode_joint(bytes: &mut Bytes) -> Option<Membership> {
    let flags = bytes.try_get_u8().ok()?;
    let mut list = || -> Option<Vec<u64>> {
        let count = bytes.try_get_u8().ok()?;
        (0..count).map(|_| bytes.try_get_u64().ok()).collect()
    };
    let membership = Membership {
        voters: list()?,
        outgoing: list()?,
        learners: list()?,
        learners_next: list()?,
        leaves: flags == LEAVES,
    };
    (flags <= LEAVES && bytes.is_empty() && !membership.is_empty()).then_some(membership)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_comes_back_as_it_was() {
        let joint = Membership {
            voters: vec![1, 2, 4],
            outgoing: vec![1, 2, 3],
            learners: vec![5],
            learners_next: vec![3],
            leaves: true,
        };
        let lone = Membership::of_voters([u64::MAX]);
        for membership in [Membership::default(), lone, joint] {
            assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
        }
        assert_eq!(Membership::decode(&Bytes::new()), Ok(Membership::default()));
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
        for bad in [&[1, 0, 0][..], &[2], &[2, 0, 1, 0], &[2, 0, 0, 0, 0, 0]] {
            assert_eq!(decode(bad), Err(Unreadable::Malformed), "{bad:?}");
        }
    }
}
