//! What the owner nodes say: whose a partition is, and what else its consumer owns.

use std::collections::BTreeSet;

use super::{Elsewhere, End, Ownership, Told, Waiting};
use crate::broker::request::Name;
use crate::segments::PartitionId;
use crate::units::Moment;

impl Waiting {
    /// The answer to a question.
    pub(in crate::broker) fn owner(
        &mut self,
        now: Moment,
        group: &Name,
        partition: PartitionId,
        consumer: Option<&Name>,
    ) {
        let Some(&group_id) = self.group_ids.get(group) else {
            return;
        };
        let Some(name) = consumer else {
            if let Some(&key) = self.key_ids.get(&(group_id, partition)) {
                let state = self.key_mut(key);
                state.asked = false;
                for id in state.held.clone() {
                    self.answer(now, id, End::Nothing);
                }
                self.disown(key);
                self.forget_key(key);
            }
            return;
        };
        let key = self.key_or_new(now, group, partition);
        let owner = self.consumer_or_new(group_id, name);
        self.own(now, key, owner);
        let client = self.consumers[&owner].client.clone();
        if let Some(connection) = self.connections.get_mut(&self.keys[&key].connection) {
            connection.identified(client);
        }
        let claimed = self
            .group_mut(group_id)
            .unclaimed
            .remove(&partition)
            .is_some();
        let state = self.key_mut(key);
        state.asked = false;
        state.fresh |= claimed;
        let fresh = state.fresh;
        let parked = state.held.clone();
        if parked.is_empty() && fresh {
            self.want(now, key);
        }
        for id in parked {
            if self
                .held
                .get(&id)
                .is_some_and(|held| held.consumer.is_none())
            {
                self.hold(now, id, owner);
            }
        }
    }

    /// All that a group owns here, and who of it owns partitions of other brokers.
    pub(in crate::broker) fn owned(
        &mut self,
        now: Moment,
        group: &Name,
        owned: &[Ownership],
        elsewhere: &[Elsewhere],
    ) {
        let Some(&group_id) = self.group_ids.get(group) else {
            return;
        };
        self.note_elsewhere(group_id, elsewhere);
        self.group_mut(group_id).asked = false;
        let mut unread = Vec::new();
        let mut owners = BTreeSet::new();
        for one in owned {
            let key = self.key_or_new(now, group, one.partition);
            let owner = self.consumer_or_new(group_id, &one.consumer);
            self.own(now, key, owner);
            owners.insert(owner);
            self.told_zookeeper(owner, key, one.position);
            if one.has_messages {
                unread.push(key);
            }
        }
        // Where two own one partition, the first may have nothing left.
        owners.retain(|owner| self.consumers.contains_key(owner));
        for &owner in &owners {
            self.note_brokers(now, owner, elsewhere);
            self.judge_positions(now, owner);
        }
        for key in unread {
            let state = self.key_mut(key);
            if state.settled || !state.held.is_empty() || state.told == Told::Data {
                continue;
            }
            if state.told == Told::Never {
                (state.told, state.told_at) = (Told::Starting, now);
            }
            self.want(now, key);
        }
        self.group_mut(group_id).shaken = false;
        for owner in owners {
            if self.consumers.contains_key(&owner) {
                self.make_way(now, owner);
            }
        }
    }
}
