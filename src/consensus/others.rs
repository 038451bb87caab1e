//! Whether other servers have what one of a group may have lost, as far as its memory can be read.

use std::collections::{BTreeMap, BTreeSet};

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeType, ConfChangeV2};

use super::membership::{Along, Identity, Membership};
use super::record::{Entry, EntryKind};
use crate::units::ServerId;

/// Whether the others decide without this server after all these entries, some of which may follow on a state with these
/// members: then they have all that was committed, and can take it in again. A change counts although it may not be committed;
/// the answer is no where it is not certain.
pub fn decide_without(members: &Membership, own: ServerId, entries: &[Entry]) -> bool {
    let mut voters: BTreeSet<u64> = members.voters.iter().copied().collect();
    let mut known = members.identities.clone();
    let mut decide = decide(&voters, &known, own);
    let outgoing: BTreeSet<u64> = members.outgoing.iter().copied().collect();
    decide &= outgoing.is_empty() || self::decide(&outgoing, &known, own);
    for entry in entries.iter().filter(|it| it.kind != EntryKind::Normal) {
        let Ok(change) = ConfChangeV2::parse_from_bytes(&entry.data) else {
            return false;
        };
        let Some(along) = Along::decode(&change.context) else {
            return false;
        };
        known.extend(along.newcomers);
        for one in change.changes.iter() {
            match one.get_change_type() {
                ConfChangeType::AddNode => voters.insert(one.node_id),
                _ => voters.remove(&one.node_id),
            };
        }
        // Whichever of the changes took place.
        decide &= self::decide(&voters, &known, own);
    }
    decide
}

fn decide(voters: &BTreeSet<u64>, known: &BTreeMap<u64, Identity>, own: ServerId) -> bool {
    let is_another = |voter: &&u64| known.get(voter).is_some_and(|it| it.server != own);
    let others = voters.iter().filter(is_another).count();
    others > voters.len() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::group::change_of;

    const OWN: ServerId = ServerId(1);

    fn founded(servers: &[u16]) -> Membership {
        let identity = |server: &u16| Identity {
            server: ServerId(*server),
            journal: u128::from(*server),
        };
        let servers: Vec<Identity> = servers.iter().map(identity).collect();
        Membership::founded_by(&servers, 5)
    }

    fn entry(changes: &[(u64, ConfChangeType)], newcomers: &[(u64, u16)]) -> Entry {
        let changes = changes
            .iter()
            .map(|(member, kind)| change_of(*member, *kind));
        let newcomers = newcomers.iter().map(|(number, server)| {
            let identity = Identity {
                server: ServerId(*server),
                journal: 99,
            };
            (*number, identity)
        });
        let along = Along {
            newcomers: newcomers.collect(),
            ..Along::default()
        };
        let mut change = ConfChangeV2 {
            context: along.encode(),
            ..ConfChangeV2::default()
        };
        change.set_changes(changes.collect::<Vec<_>>().into());
        Entry {
            index: 2,
            term: 1,
            kind: EntryKind::ConfChangeV2,
            data: change.write_to_bytes().expect("it is whole").into(),
        }
    }

    #[test]
    fn a_majority_without_this_server_has_what_it_lost() {
        for (servers, decide) in [
            (&[1][..], false),
            (&[1, 2], false),
            (&[1, 2, 3], true),
            (&[1, 2, 3, 4], true),
            (&[2, 3], true),
        ] {
            assert_eq!(decide_without(&founded(servers), OWN, &[]), decide);
        }
    }

    #[test]
    fn a_change_of_members_counts_whether_it_took_place_or_not() {
        let three = founded(&[1, 2, 3]);
        let number = |server: u16| three.numbers_of(ServerId(server))[0];
        let gone = |server: u16, kind| entry(&[(number(server), kind)], &[]);
        let second = gone(2, ConfChangeType::RemoveNode);
        let third = gone(3, ConfChangeType::AddLearnerNode);
        assert!(!decide_without(&three, OWN, std::slice::from_ref(&second)));
        assert!(!decide_without(&three, OWN, &[second, third]));
        // One that was wiped is there again, under another number.
        let replaced = [
            (number(2), ConfChangeType::RemoveNode),
            (9, ConfChangeType::AddNode),
        ];
        assert!(decide_without(&three, OWN, &[entry(&replaced, &[(9, 2)])]));
        assert!(!decide_without(&three, OWN, &[entry(&replaced, &[])]));
        assert!(!decide_without(&three, OWN, &[entry(&replaced, &[(9, 1)])]));
        // It was alone for a moment.
        let back = entry(&[(number(2), ConfChangeType::AddNode)], &[]);
        let alone = gone(2, ConfChangeType::RemoveNode);
        assert!(!decide_without(&founded(&[1, 2]), OWN, &[alone, back]));
    }

    #[test]
    fn what_cannot_be_read_may_be_anything() {
        let three = founded(&[1, 2, 3]);
        let unreadable = |kind| Entry {
            data: vec![0xff; 3].into(),
            kind,
            ..entry(&[], &[])
        };
        let [change, normal] = [EntryKind::ConfChangeV2, EntryKind::Normal].map(unreadable);
        assert!(!decide_without(&three, OWN, &[change]));
        assert!(decide_without(&three, OWN, &[normal]));
    }
}
