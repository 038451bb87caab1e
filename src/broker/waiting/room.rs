//! Whether a get may be held, and what happens when data comes for a partition without one.
//!
//! Everything here is about one question: does the owner of a partition with data have a thread left to
//! fetch it?

use std::time::Duration;

use super::{ConsumerId, End, GroupId, HeldId, KeyId, Question, Told, Waiting};
use crate::segments::PartitionId;
use crate::units::Moment;

/// How long an owner's name is believed without asking again.
pub(super) const OWNER_BELIEVED: Duration = Duration::from_secs(1);
/// How long a wanted get is waited for.
const WANTED_MAX: Duration = Duration::from_secs(10);
/// How long a get is held when it is not clear that a thread is left for the wanted one.
const PROBE: Duration = Duration::from_millis(100);
/// How long the most outstanding gets of a consumer are remembered, at least.
const THREADS_WINDOW: Duration = Duration::from_secs(30);
/// A client that was told to ask again at once and has not done so in this time does not know of it.
const UNHEARD_MAX: Duration = Duration::from_secs(2);
/// How long after it was answered a partition is taken to be on its way back.
const WORKING: Duration = Duration::from_millis(250);
/// No client is held for less: most that ask again so soon do not give up, they begin to fetch anew.
pub(super) const HOLD_MIN: Duration = Duration::from_millis(500);
/// A group counts as present for so long after its last held get.
const PRESENT_FOR: Duration = Duration::from_secs(15);
/// Partitions of unknown ownership remembered per group.
const UNCLAIMED_MAX: usize = 1024;
/// Owners asked for at a time on behalf of those.
const QUESTIONS_AT_ONCE: usize = 64;

/// While a thread is missing the others' gets are held for so long, so that each has its turn.
const TURN: Duration = Duration::from_secs(1);

/// The most gets that a consumer had outstanding at a time, lately: a client that was interrupted leaves
/// gets behind that nobody waits for, and they must not count for ever.
#[derive(Debug, Default)]
pub(super) struct Threads {
    before: usize,
    current: usize,
    /// When the current count began; `None` before the first get.
    current_from: Option<Moment>,
}

impl Threads {
    pub(super) fn seen(&self) -> usize {
        self.before.max(self.current)
    }

    /// Whether they were watched for long, and so many gets outstanding would be more than ever before.
    pub(super) fn are_fewer_than(&self, outstanding: usize) -> bool {
        self.before > 0 && outstanding > self.seen()
    }

    pub(super) fn observe(&mut self, now: Moment, outstanding: usize) {
        let from = *self.current_from.get_or_insert(now);
        let passed = now.since(from);
        if passed >= THREADS_WINDOW {
            self.before = if passed < 2 * THREADS_WINDOW {
                self.current
            } else {
                0
            };
            self.current = 0;
            self.current_from = Some(now);
        }
        self.current = self.current.max(outstanding);
    }
}

/// Whether a consumer has a thread left for what is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// If what is wanted is on its way back.
    Perhaps,
    None,
}

impl Waiting {
    /// Holds a parked get now that its owner is known.
    pub(super) fn hold(&mut self, now: Moment, id: HeldId, owner: ConsumerId) {
        let held = &self.held[&id];
        let (key, connection, since) = (held.key, held.get.connection, held.since);
        let limit = match self.keys[&key].impatient {
            Some((client, limit, _)) if client == connection => limit.min(self.options.hold_max),
            _ => self.options.hold_max,
        };
        self.keys
            .get_mut(&key)
            .expect("a held get has its key")
            .settled = true;
        let consumer = self.consumer_mut(owner);
        let unheard = |(_, since): (KeyId, Moment)| now.since(since) >= UNHEARD_MAX;
        if consumer.unheard.is_some_and(unheard) {
            self.begin_anew(now, owner);
        }
        let consumer = self.consumer_mut(owner);
        consumer.connection = connection;
        let outstanding = consumer.held.len() + 1;
        consumer.threads.observe(now, outstanding);
        let probe = match self.room(now, owner, outstanding) {
            Room::Enough => None,
            Room::Perhaps => Some(now + PROBE),
            Room::None => {
                self.consumer_mut(owner).room_made += 1;
                self.answer(now, id, End::Nothing);
                return;
            }
        };
        self.consumer_mut(owner).held.insert(id);
        let limit = if self.lacks_thread(now, owner) {
            limit.min(TURN)
        } else {
            limit
        };
        let held = self.held.get_mut(&id).expect("it was just found");
        self.ends.remove(&(held.ends(), id));
        held.consumer = Some(owner);
        held.deadline = since + limit;
        held.probe = probe;
        self.ends.insert((held.ends(), id));
        let group = self.keys[&key].group;
        self.keep_present(now, group);
    }

    /// The group has a held get: data anywhere may concern it.
    pub(super) fn keep_present(&mut self, now: Moment, id: GroupId) {
        let group = self.groups.get_mut(&id).expect("a key names it");
        if group.present_until < now {
            self.groups_epoch += 1;
            group.shaken = true;
        }
        group.present_until = now + PRESENT_FOR;
        let may_read = group
            .read
            .is_none_or(|read| now.since(read) >= OWNER_BELIEVED);
        if group.shaken && may_read {
            (group.shaken, group.read) = (false, Some(now));
            let group = group.name.clone();
            self.questions.push(Question::Owned { group });
        }
        let due = |asked: &Moment| now.since(*asked) >= OWNER_BELIEVED;
        let again: Vec<PartitionId> = group
            .unclaimed
            .iter()
            .filter(|(_, asked)| due(asked))
            .map(|(&partition, _)| partition)
            .take(QUESTIONS_AT_ONCE)
            .collect();
        let name = group.name.clone();
        for partition in again {
            group.unclaimed.insert(partition, now);
            self.questions.push(Question::Owner {
                group: name.clone(),
                partition,
            });
        }
    }

    /// Data came for a key without a get: see that its owner can fetch it.
    pub(super) fn wake_owner(&mut self, now: Moment, key: KeyId) {
        let state = self.keys.get_mut(&key).expect("the caller has the key");
        state.fresh = true;
        if state.owner.is_none() || now.since(state.owner_known) > OWNER_BELIEVED {
            self.ask(key);
        } else {
            self.want(now, key);
        }
    }

    /// Whether a consumer with so many gets outstanding has a thread left for each key that is wanted.
    pub(super) fn room(&self, now: Moment, owner: ConsumerId, outstanding: usize) -> Room {
        let consumer = &self.consumers[&owner];
        let wanted: Vec<KeyId> = consumer
            .wanted
            .iter()
            .filter(|(_, since)| now.since(**since) <= WANTED_MAX)
            .map(|(&id, _)| id)
            .collect();
        if wanted.is_empty() {
            return Room::Enough;
        }
        let coming = |id: &KeyId| {
            let key = &self.keys[id];
            let soon = now.since(key.told_at) < WORKING;
            let comes = match key.told {
                Told::Data | Told::Again => true,
                Told::Starting => soon,
                Told::Never | Told::Nothing => false,
            };
            (comes, soon)
        };
        let back: Vec<(bool, bool)> = wanted.iter().map(coming).collect();
        let again = wanted
            .iter()
            .filter(|id| !consumer.away.contains(id))
            .count();
        let threads_left = consumer.threads.seen().saturating_sub(outstanding);
        if back.iter().any(|&(coming, _)| !coming) {
            Room::None
        } else if consumer.away.len() + again <= threads_left {
            Room::Enough
        } else if back.iter().all(|&(_, soon)| soon) {
            Room::Perhaps
        } else {
            Room::None
        }
    }

    /// A key has data, an owner, and no get. Makes room if no thread of its owner is left for it.
    pub(super) fn want(&mut self, now: Moment, key: KeyId) {
        let Some(owner) = self.keys[&key].owner else {
            return;
        };
        let consumer = self.consumer_mut(owner);
        let known = consumer.wanted.get(&key);
        if known.is_some_and(|&since| now.since(since) <= WANTED_MAX) {
            return;
        }
        consumer.wanted.insert(key, now);
        let outstanding = consumer.held.len();
        let Some(id) = self.longest_idle(owner) else {
            return;
        };
        match self.room(now, owner, outstanding) {
            Room::Enough => {}
            Room::Perhaps => {
                let held = self
                    .held
                    .get_mut(&id)
                    .expect("consumers name only what is held");
                self.ends.remove(&(held.ends(), id));
                held.probe = Some(held.probe.unwrap_or(now + PROBE));
                self.ends.insert((held.ends(), id));
            }
            Room::None => {
                self.consumer_mut(owner).room_made += 1;
                self.answer(now, id, End::Nothing);
            }
        }
    }

    /// There is more for a key than its client was sent: a get of it is missed until it comes.
    pub(super) fn miss(&mut self, now: Moment, key: KeyId) {
        if let Some(owner) = self.keys[&key].owner {
            self.consumer_mut(owner).wanted.entry(key).or_insert(now);
        }
    }

    /// All that a consumer was told is in doubt: it left, or fetches anew.
    pub(super) fn shake(&mut self, owner: ConsumerId) {
        let consumer = self.consumer_mut(owner);
        consumer.threads = Threads::default();
        consumer.unheard = None;
        consumer.away.clear();
        consumer.wanted.clear();
        let (group, keys) = (consumer.group, consumer.keys.clone());
        self.group_mut(group).shaken = true;
        for key in keys {
            let state = self
                .keys
                .get_mut(&key)
                .expect("a consumer names only keys that exist");
            (state.told, state.settled, state.due) = (Told::Never, false, false);
        }
    }

    /// Whether more gets of a consumer are missed than it has threads left for, so that some wait in its queue.
    /// How many threads it has is a guess; what was missed for long is not to wait for a better one.
    pub(super) fn lacks_thread(&self, now: Moment, owner: ConsumerId) -> bool {
        let consumer = &self.consumers[&owner];
        let missed_for_long = |since: &Moment| now.since(*since) > WANTED_MAX;
        let missed = consumer
            .wanted
            .keys()
            .filter(|id| !consumer.away.contains(id))
            .count();
        let held = consumer.held.len();
        let threads_left = consumer.threads.seen().saturating_sub(held);
        consumer.wanted.values().any(missed_for_long) || consumer.away.len() + missed > threads_left
    }

    pub(super) fn longest_idle(&self, owner: ConsumerId) -> Option<HeldId> {
        let idle = |id: &&HeldId| {
            let held = &self.held[id];
            let partition = held.get.partition.0 as usize;
            let last_data = self.partitions.get(partition).map(|state| state.last_data);
            (last_data, held.since, **id)
        };
        self.consumers[&owner].held.iter().min_by_key(idle).copied()
    }

    pub(super) fn stop_probing(&mut self, owner: ConsumerId) {
        for id in self.consumers[&owner].held.clone() {
            let held = self
                .held
                .get_mut(&id)
                .expect("a consumer names only gets that are held");
            if held.probe.is_some() {
                self.ends.remove(&(held.ends(), id));
                held.probe = None;
                self.ends.insert((held.ends(), id));
            }
        }
    }

    /// Data came: do groups that are here have owners for this partition that we never heard of?
    pub(super) fn look_for_owners(&mut self, now: Moment, partition: PartitionId) {
        let epoch = self.groups_epoch;
        let state = self.partition_mut(partition);
        if let Some((looked, at)) = state.looked
            && looked == epoch
            && now.since(at) < OWNER_BELIEVED
        {
            return;
        }
        state.looked = Some((epoch, now));
        for (&id, group) in &mut self.groups {
            if group.present_until < now {
                group.unclaimed.clear();
                continue;
            }
            let known = self
                .key_ids
                .get(&(id, partition))
                .map(|key| &self.keys[key]);
            let settled = known.is_some_and(|key| key.owner.is_some() || key.asked);
            let asked_lately = group
                .unclaimed
                .get(&partition)
                .is_some_and(|asked| now.since(*asked) < OWNER_BELIEVED);
            let room = group.unclaimed.len() < UNCLAIMED_MAX;
            if settled || asked_lately || !room && !group.unclaimed.contains_key(&partition) {
                continue;
            }
            group.unclaimed.insert(partition, now);
            self.questions.push(Question::Owner {
                group: group.name.clone(),
                partition,
            });
        }
    }
}
