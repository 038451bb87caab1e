//! Whether other servers decide with one of a group, as far as its memory can be read.

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeType, ConfChangeV2};

use super::membership::Membership;
use super::record::{Entry, EntryKind};
use crate::units::ServerId;

/// Whether another server has a vote after all these entries, which follow on a state with these members: it has what this
/// server may have lost. A change counts although it may not be committed, and who it brings in does not: so the answer is no
/// where it is not certain.
pub fn decide_with(members: &Membership, own: ServerId, entries: &[Entry]) -> bool {
    let is_another = |voter: &u64| {
        let identity = members.identities.get(voter);
        identity.is_some_and(|identity| identity.server != own)
    };
    let voters = members.voters.iter().copied();
    let mut others: Vec<u64> = voters.filter(is_another).collect();
    for entry in entries.iter().filter(|it| it.kind != EntryKind::Normal) {
        let Ok(change) = ConfChangeV2::parse_from_bytes(&entry.data) else {
            return false;
        };
        let leaves = |voter: &u64| {
            let mut changes = change.changes.iter();
            let stays = ConfChangeType::AddNode;
            changes.any(|it| it.node_id == *voter && it.get_change_type() != stays)
        };
        others.retain(|voter| !leaves(voter));
    }
    !others.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Identity;
    use crate::consensus::group::change_of;

    fn founded(servers: &[u16]) -> Membership {
        let identity = |server: &u16| Identity {
            server: ServerId(*server),
            journal: u128::from(*server),
        };
        let servers: Vec<Identity> = servers.iter().map(identity).collect();
        Membership::founded_by(&servers, 5)
    }

    fn entry(changes: &[(u64, ConfChangeType)]) -> Entry {
        let changes = changes
            .iter()
            .map(|(member, kind)| change_of(*member, *kind));
        let mut change = ConfChangeV2::default();
        change.set_changes(changes.collect::<Vec<_>>().into());
        Entry {
            index: 2,
            term: 1,
            kind: EntryKind::ConfChangeV2,
            data: change.write_to_bytes().expect("it is whole").into(),
        }
    }

    #[test]
    fn others_decide_as_long_as_one_of_them_keeps_its_vote() {
        let three = founded(&[1, 2, 3]);
        let number = |server: u16| three.numbers_of(ServerId(server))[0];
        let own = ServerId(1);
        assert!(decide_with(&three, own, &[]));
        assert!(!decide_with(&founded(&[1]), own, &[]));
        let gone = |server: u16, kind| entry(&[(number(server), kind)]);
        let second = gone(2, ConfChangeType::RemoveNode);
        let third = gone(3, ConfChangeType::AddLearnerNode);
        assert!(decide_with(&three, own, std::slice::from_ref(&second)));
        assert!(!decide_with(&three, own, &[second, third]));
        // One that is new does not count, and what cannot be read may be anything.
        let replaced = entry(&[
            (number(2), ConfChangeType::RemoveNode),
            (number(3), ConfChangeType::RemoveNode),
            (9, ConfChangeType::AddNode),
        ]);
        assert!(!decide_with(&three, own, &[replaced]));
        let unreadable = Entry {
            data: vec![0xff; 3].into(),
            ..entry(&[])
        };
        assert!(!decide_with(&three, own, &[unreadable]));
        let normal = Entry {
            kind: EntryKind::Normal,
            data: vec![0xff; 3].into(),
            ..entry(&[])
        };
        assert!(decide_with(&three, own, &[normal]));
    }
}
