//! What a client's requests say about it: what kind it is, how long it waits, and what it does next.

use super::identity::Client;
use super::room::{HOLD_MIN, OWNER_BELIEVED};
use super::{Connection, ConnectionId, ConsumerId, End, HeldId, KeyId, Waiting, WaitingGet};
use crate::broker::request::Name;
use crate::units::Moment;

/// Bad records running that a connection may fail to react to.
const STRIKES_MAX: u8 = 3;
/// After this many holds that ended in time a client is believed to wait twice as long again.
const PATIENCE_STEPS: u32 = 32;

impl Connection {
    /// One of its consumers is known. What is known of a process is not forgotten for a name that says less.
    pub(super) fn identified(&mut self, client: Client) {
        if !matches!(self.client, Some(Client::Remembers { .. })) {
            self.client = Some(client);
        }
    }
}

impl Waiting {
    pub(super) fn is_java(&self, connection: ConnectionId) -> bool {
        let java = |state: &Connection| state.java && state.strikes < STRIKES_MAX;
        self.connections.get(&connection).is_some_and(java)
    }

    /// A get came: what was expected of its client is settled. Its key, if that is known.
    pub(super) fn came(&mut self, now: Moment, group: &Name, get: WaitingGet) -> Option<KeyId> {
        if !self.options.enabled {
            return None;
        }
        let connection = get.connection;
        if get.opaque < 0 {
            self.connections.entry(connection).or_default().java = true;
        }
        let key = self.find_key(group, get.partition)?;
        self.returned(now, key, &get);
        let state = self.key_mut(key);
        state.used = now;
        state.connection = connection;
        state.fresh = false;
        state.due = false;
        let question = state.question.take();
        if question.is_some_and(|asked| asked.connection == connection && !asked.heard) {
            let client = self.connections.entry(connection).or_default();
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
            self.key_mut(key).impatient = Some((connection, (waited / 2).max(HOLD_MIN), 0));
            self.answer(now, id, End::Nothing);
            if let Some(owner) = owner {
                self.begin_anew(now, owner);
            }
        }
        if let Some(owner) = owner {
            let consumer = &self.consumers[&owner];
            let ours = consumer.connection == connection;
            let unheard = consumer.mirror.is_asking(key);
            let held = consumer.held.len() + usize::from(!unheard);
            // Of one that reads from other brokers, too, more threads may come here at any time.
            let all_are_here = !consumer.is_elsewhere();
            if ours && all_are_here && consumer.mirror.threads_are_fewer_than(held) {
                self.begin_anew(now, owner);
            }
            self.consumer_mut(owner).heard(key);
            self.taken(now, key, owner);
            if ours {
                let consumer = self.consumer_mut(owner);
                consumer.mirror.observe(now, consumer.held.len() + 1);
            }
        }
        Some(key)
    }

    /// A get is answered with data before its client met the end of the partition. Of a Java client's it is asked
    /// whose it is: what goes to its process is counted, and its queue is known from the beginning.
    pub(super) fn find_out_whose(
        &mut self,
        now: Moment,
        group: &Name,
        get: WaitingGet,
    ) -> Option<KeyId> {
        if !self.options.enabled {
            return None;
        }
        let connection = self.connections.entry(get.connection).or_default();
        let lately = |asked: Moment| now.since(asked) < OWNER_BELIEVED;
        // A stranger can make nothing be kept: one question a second, or else only for groups that are here.
        let known = connection.client.is_some() && self.group_ids.contains_key(group);
        if !connection.java || !known && connection.asked.is_some_and(lately) {
            return None;
        }
        connection.asked = Some(now);
        let key = self.key_or_new(now, group, get.partition);
        self.key_mut(key).connection = get.connection;
        self.ask(key);
        Some(key)
    }

    /// A client asks again what it is held for, or more than it has threads, or does not mind the end of a
    /// hold, or partitions of its group have changed hands: it gave up waiting, or fetches all its partitions
    /// anew. What it was held for before it did has nobody any more who waits for it.
    pub(super) fn begin_anew(&mut self, now: Moment, owner: ConsumerId) {
        self.shake(owner);
        self.consumer_mut(owner).follows.began = Some(now);
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
        let key = held.key;
        let key = self.key_mut(key);
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
}
