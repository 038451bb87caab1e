//! What a client's requests say about it: what kind it is, how long it waits, and what it does next.

use super::room::{HOLD_MIN, OWNER_BELIEVED};
use super::{Connection, ConnectionId, ConsumerId, End, HeldId, KeyId, Told, Waiting};
use crate::broker::request::Name;
use crate::segments::PartitionId;
use crate::units::Moment;

/// Bad records running that a connection may fail to react to.
const STRIKES_MAX: u8 = 3;
/// After this many holds that ended in time a client is believed to wait twice as long again.
const PATIENCE_STEPS: u32 = 32;

impl Waiting {
    pub(super) fn is_java(&self, connection: ConnectionId) -> bool {
        let java = |state: &Connection| state.java && state.strikes < STRIKES_MAX;
        self.connections.get(&connection).is_some_and(java)
    }

    /// A get of a known key came: what was expected of its client is settled.
    pub(super) fn came(
        &mut self,
        now: Moment,
        group: &Name,
        connection: ConnectionId,
        opaque: i32,
        partition: PartitionId,
    ) -> Option<KeyId> {
        if !self.options.enabled {
            return None;
        }
        if opaque < 0 {
            self.connections.entry(connection).or_default().java = true;
        }
        let key = self.find_key(group, partition)?;
        let client = self.connections.entry(connection).or_default();
        let state = self
            .keys
            .get_mut(&key)
            .expect("the index names only keys that exist");
        state.used = now;
        state.fresh = false;
        state.due = false;
        if let Some((_, held_on, asked)) = &mut state.again
            && *held_on == connection
            && !*asked
        {
            *asked = true;
            client.strikes = client.strikes.saturating_add(1);
        }
        let state = &self.keys[&key];
        let owner = state.owner;
        let double = state
            .held
            .iter()
            .find(|id| self.held[id].get.connection == connection);
        if let Some(&id) = double {
            // Its client gave up on that one: it waits less than it was held.
            let waited = now.since(self.held[&id].since);
            let state = self.keys.get_mut(&key).expect("it was just found");
            state.impatient = Some((connection, (waited / 2).max(HOLD_MIN), 0));
            self.answer(now, id, End::Nothing);
            if let Some(owner) = owner {
                self.begin_anew(now, owner);
            }
        }
        if let Some(owner) = owner {
            let consumer = &self.consumers[&owner];
            let ours = consumer.connection == connection;
            let outstanding = consumer.held.len() + 1;
            if ours && consumer.threads.are_fewer_than(outstanding) {
                self.begin_anew(now, owner);
            }
            let consumer = self.consumer_mut(owner);
            consumer.heard(key);
            consumer.away.remove(&key);
            consumer.wanted.remove(&key);
            if ours {
                consumer.threads.observe(now, consumer.held.len() + 1);
            }
            if consumer.wanted.is_empty() {
                self.stop_probing(owner);
            }
        }
        Some(key)
    }

    /// A client asks again what it is held for, or more than it has threads, or does not mind the end of a
    /// hold, or partitions of its group have changed hands: it gave up waiting, or fetches all its partitions
    /// anew. What it was held for before it did has nobody any more who waits for it.
    pub(super) fn begin_anew(&mut self, now: Moment, owner: ConsumerId) {
        self.shake(owner);
        for id in self.consumers[&owner].held.clone() {
            if now.since(self.held[&id].since) >= OWNER_BELIEVED {
                self.answer(now, id, End::Nothing);
            }
        }
    }

    /// A hold ended without a complaint: its client waits at least that long.
    pub(super) fn waited(&mut self, id: HeldId) {
        let held = &self.held[&id];
        let connection = held.get.connection;
        let hold_max = self.options.hold_max;
        let key = self
            .keys
            .get_mut(&held.key)
            .expect("a held get has its key");
        if let Some((client, limit, steps)) = &mut key.impatient
            && *client == connection
        {
            *steps += 1;
            if *steps >= PATIENCE_STEPS {
                (*limit, *steps) = (*limit * 2, 0);
            }
            if *limit >= hold_max {
                key.impatient = None;
            }
        }
    }

    pub(super) fn tell(&mut self, now: Moment, key: KeyId, told: Told) {
        let state = self.keys.get_mut(&key).expect("the caller has the key");
        state.told = told;
        state.told_at = now;
        state.settled &= told != Told::Data;
        if let Some(owner) = state.owner {
            let consumer = self.consumer_mut(owner);
            if told == Told::Data {
                consumer.away.insert(key);
            } else {
                consumer.away.remove(&key);
            }
        }
    }
}
