//! Who is known: groups, their consumers, and the partitions those own. Nothing is kept that no held get,
//! no owner and no open question names, so strangers cannot fill the memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::identity::{self, Client};
use super::queue::Mirror;
use super::reading::Follows;
use super::turn::Budget;
use super::wanted::Wanted;
use super::{
    Brokers, Call, Consumer, ConsumerId, End, Group, GroupId, Held, HeldId, Key, KeyId,
    PartitionState, Question, Told, Waiting,
};
use crate::broker::request::Name;
use crate::segments::PartitionId;
use crate::units::{ConnectionId, Moment};

/// What was not used for so long is forgotten.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(600);

impl Waiting {
    pub(super) fn consumer_mut(&mut self, id: ConsumerId) -> &mut Consumer {
        self.consumers
            .get_mut(&id)
            .expect("a consumer is kept while keys or gets name it")
    }

    pub(super) fn key_mut(&mut self, id: KeyId) -> &mut Key {
        self.keys
            .get_mut(&id)
            .expect("a key is kept while anything names it")
    }

    pub(super) fn held_mut(&mut self, id: HeldId) -> &mut Held {
        self.held
            .get_mut(&id)
            .expect("keys and consumers name only gets that are held")
    }

    pub(super) fn partition_mut(&mut self, id: PartitionId) -> &mut PartitionState {
        let index = id.0 as usize;
        if self.partitions.len() <= index {
            self.partitions
                .resize_with(index + 1, PartitionState::default);
        }
        &mut self.partitions[index]
    }

    pub(super) fn find_key(&self, group: &Name, partition: PartitionId) -> Option<KeyId> {
        let group = *self.group_ids.get(group)?;
        self.key_ids.get(&(group, partition)).copied()
    }

    pub(super) fn key_or_new(
        &mut self,
        now: Moment,
        group: &Name,
        partition: PartitionId,
    ) -> KeyId {
        let group = match self.group_ids.get(group) {
            Some(&group) => group,
            None => {
                let id = GroupId(self.fresh_id());
                let name = group.detached();
                self.group_ids.insert(name.clone(), id);
                let present_until = Moment::START;
                let unclaimed = BTreeMap::new();
                let group = Group {
                    name,
                    present_until,
                    shaken: true,
                    read: None,
                    asked: false,
                    keys: 0,
                    consumers: 0,
                    elsewhere: Vec::new(),
                    unclaimed,
                };
                self.groups.insert(id, group);
                id
            }
        };
        if let Some(&key) = self.key_ids.get(&(group, partition)) {
            return key;
        }
        let key = KeyId(self.fresh_id());
        self.key_ids.insert((group, partition), key);
        self.group_mut(group).keys += 1;
        self.partition_mut(partition).keys.push(key);
        self.keys.insert(
            key,
            Key {
                group,
                partition,
                owner: None,
                owner_known: Moment::START,
                asked: false,
                held: Vec::new(),
                told: Told::Never,
                told_at: now,
                data_at: now,
                stamp: Moment::START,
                stamp_guessed: false,
                delay: Duration::ZERO,
                fresh: false,
                settled: false,
                due: false,
                question: None,
                reading: None,
                impatient: None,
                lent: None,
                connection: ConnectionId(0),
                used: now,
            },
        );
        key
    }

    pub(super) fn group_mut(&mut self, id: GroupId) -> &mut Group {
        self.groups
            .get_mut(&id)
            .expect("a group is kept while keys or consumers name it")
    }

    /// Drops a key that nothing hangs on, and its group if that was the last.
    pub(super) fn forget_key(&mut self, id: KeyId) {
        let idle = |key: &Key| key.held.is_empty() && key.owner.is_none() && !key.asked;
        if !self.keys.get(&id).is_some_and(idle) {
            return;
        }
        let key = self.keys.remove(&id).expect("it was just found");
        self.key_ids.remove(&(key.group, key.partition));
        self.partition_mut(key.partition)
            .keys
            .retain(|&other| other != id);
        self.group_mut(key.group).keys -= 1;
        self.forget_group(key.group);
    }

    pub(super) fn forget_group(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get(&id)
            && group.keys == 0
            && group.consumers == 0
        {
            self.group_ids.remove(&group.name);
            if let Some(group) = self.groups.remove(&id) {
                self.forget_elsewhere(&group.elsewhere);
            }
        }
    }

    pub(super) fn consumer_or_new(&mut self, group: GroupId, name: &Name) -> ConsumerId {
        if let Some(&id) = self.consumer_ids.get(&(group, name.clone())) {
            return id;
        }
        let id = ConsumerId(self.fresh_id());
        let name = name.detached();
        self.consumer_ids.insert((group, name.clone()), id);
        self.group_mut(group).consumers += 1;
        let client = identity::client(self.groups[&group].name.as_str(), name.as_str());
        self.consumers.insert(
            id,
            Consumer {
                group,
                name,
                client,
                keys: BTreeSet::new(),
                held: BTreeSet::new(),
                mirror: Mirror::default(),
                wanted: Wanted::default(),
                brokers: Brokers::new(),
                call: Call::default(),
                in_turn: 0,
                follows: Follows::default(),
                budget: Budget::default(),
                look: None,
                unheard: None,
                rounds: 0,
                room_made: 0,
                turns: 0,
                not_turned: None,
                connection: ConnectionId(0),
            },
        );
        id
    }

    pub(super) fn own(&mut self, now: Moment, key: KeyId, owner: ConsumerId) {
        let state = &self.keys[&key];
        if state.owner != Some(owner) {
            // What the owner before has here is stale: it stopped fetching, or is about to. All the group's
            // consumers begin anew when partitions change hands.
            let changes = state.owner.is_some();
            if changes {
                let group = state.group;
                for id in state.held.clone() {
                    if self.held[&id].consumer.is_some() {
                        self.answer(now, id, End::Nothing);
                    }
                }
                let members = self.consumers.iter();
                let members: BTreeSet<ConsumerId> = members
                    .filter(|(_, consumer)| consumer.group == group)
                    .map(|(&id, _)| id)
                    .collect();
                for member in members {
                    self.begin_anew(now, member);
                }
            }
            self.disown(key);
            let consumer = self.consumer_mut(owner);
            consumer.keys.insert(key);
            let group = consumer.group;
            self.group_mut(group).shaken = true;
            if changes {
                let state = self.key_mut(key);
                (state.told, state.settled) = (Told::Never, false);
                (state.stamp, state.delay) = (Moment::START, Duration::ZERO);
                state.reading = None;
            }
            self.join_queue(key, owner);
        }
        let state = self.key_mut(key);
        state.owner = Some(owner);
        state.owner_known = now;
    }

    pub(super) fn disown(&mut self, key: KeyId) {
        let state = self.key_mut(key);
        let stamp = state.stamp;
        let Some(owner) = state.owner.take() else {
            return;
        };
        let consumer = self.consumer_mut(owner);
        consumer.keys.remove(&key);
        consumer.mirror.remove(stamp, key);
        consumer.wanted.remove(key);
        if consumer.keys.is_empty() && consumer.held.is_empty() {
            self.look_at(owner, None);
            let consumer = self.consumers.remove(&owner).expect("it was just found");
            self.group_mut(consumer.group).consumers -= 1;
            self.consumer_ids.remove(&(consumer.group, consumer.name));
        }
    }

    pub(super) fn ask(&mut self, key: KeyId) {
        let state = self.key_mut(key);
        let asked = std::mem::replace(&mut state.asked, true);
        if !asked {
            let (group, partition) = (state.group, state.partition);
            let group = self.groups[&group].name.clone();
            self.questions.push(Question::Owner { group, partition });
        }
    }

    /// Forgets what was not used for long.
    pub(super) fn sweep(&mut self, now: Moment) {
        let old: Vec<KeyId> = self
            .keys
            .iter()
            .filter(|(_, key)| key.held.is_empty() && now.since(key.used) >= FORGET_AFTER)
            .map(|(&id, _)| id)
            .collect();
        for key in old {
            self.disown(key);
            self.key_mut(key).asked = false;
            self.forget_key(key);
        }
        let mut named: BTreeSet<&str> = BTreeSet::new();
        let of_consumers = self
            .consumers
            .values()
            .map(|consumer| Some(&consumer.client));
        let of_connections = self.connections.values().map(|one| one.client.as_ref());
        for client in of_consumers.chain(of_connections).flatten() {
            if let Client::Remembers { process } = client {
                named.insert(process);
            }
        }
        self.sent.keep(|process| named.contains(process));
    }
}
