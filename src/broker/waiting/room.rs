//! Whether a get may be held, and what happens when data comes for a partition without one.
//!
//! Everything here is about one question: does the owner of a partition with data have a thread left to
//! fetch it? Where not, held gets let their threads go: by turns, which cost a few requests and leave nothing
//! blind, or else with 404, which makes the partition blind for half a second and more.

use std::time::Duration;

use super::queue::ON_ITS_WAY;
use super::reading::{POSITIONS_EVERY, Reading};
use super::{ConsumerId, End, GroupId, HeldId, KeyId, NotTurned, Question, Told, Waiting};
use crate::segments::PartitionId;
use crate::units::Moment;

/// How long an owner's name is believed without asking again.
pub(super) const OWNER_BELIEVED: Duration = Duration::from_secs(1);
/// A client that was told to ask again at once and has not done so in this time does not know of it.
const UNHEARD_MAX: Duration = Duration::from_secs(2);
/// A first get that is not here after this long is not on its way.
const STARTING: Duration = Duration::from_millis(100);
/// A get that was told to ask again is not missed before.
const ASKING: Duration = Duration::from_millis(50);
/// Nobody is sent away with 404 for a partition whose thread may be in its listener, for so long.
const WORKING: Duration = Duration::from_millis(100);
/// No client is held for less: most that ask again so soon do not give up, they begin to fetch anew.
pub(super) const HOLD_MIN: Duration = Duration::from_millis(500);
/// A group counts as present for so long after its last held get.
const PRESENT_FOR: Duration = Duration::from_secs(15);
/// Partitions of unknown ownership remembered per group.
const UNCLAIMED_MAX: usize = 1024;
/// Owners asked for at a time on behalf of those.
const QUESTIONS_AT_ONCE: usize = 64;
/// What did not come for so long may never come; nobody is sent away for it at once.
const WANTED_MAX: Duration = Duration::from_secs(10);
/// What ZooKeeper was told is not asked for again so soon.
const POSITIONS_BELIEVED: Duration = Duration::from_millis(500);
/// While something is wanted of a consumer its gets are held for so long, so that each has its turn. So are they, where
/// they may not be given a turn, while it has partitions on other brokers: one in a few gives way to those.
const HOLD_WHILE_WANTED: Duration = Duration::from_secs(1);
/// And so long where it has not come back to another broker: mostly its threads are where they are needed, and at each end of a
/// hold a message may come.
const HOLD_WHILE_MISSED: Duration = Duration::from_secs(2);
/// So long is a get held whose consumer has partitions on other brokers that cannot say when they have data.
/// What it read last here has to be known still when it ends (`elsewhere`), with as long again to spare.
const HOLD_BESIDE_OTHERS: Duration = Duration::from_millis(100);
/// A partition that its client could have asked for so long ago waits for a thread, or for its listener.
const LATE: Duration = Duration::from_millis(250);

/// What is to be done for what is wanted of a consumer.
enum Plan {
    Nothing,
    LookAt(Moment),
    /// None of its threads is here.
    Elsewhere,
    /// So many threads are to be let go.
    LetGo(usize),
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
        self.key_mut(key).settled = true;
        let consumer = self.consumer_mut(owner);
        let unheard = |(_, since): (KeyId, Moment)| now.since(since) >= UNHEARD_MAX;
        if consumer.unheard.is_some_and(unheard) {
            self.begin_anew(now, owner);
        }
        let consumer = self.consumer_mut(owner);
        consumer.connection = connection;
        let client = consumer.client.clone();
        let before = consumer.mirror.all_accounted_for(now, consumer.held.len());
        consumer.held.insert(id);
        consumer.mirror.observe(now, consumer.held.len());
        let all = consumer.mirror.all_accounted_for(now, consumer.held.len());
        if all && !before {
            self.believe_queued(now, owner);
        }
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.identified(client);
        }
        let held = self.held_mut(id);
        held.consumer = Some(owner);
        let brief = self.brief_hold(now, id, owner);
        self.ends_at(id, since + brief.map_or(limit, |brief| limit.min(brief)));
        let group = self.keys[&key].group;
        self.keep_present(now, group, owner);
        if self.is_apart(now, owner) {
            self.stir(now);
        }
        self.make_room(now, owner);
        self.pass_on(now, key, owner);
    }

    /// Something is wanted of a consumer, or it has not come back for more of something that it was sent, and has no
    /// thread for it: its listener may have failed, and asks for the same again.
    pub(super) fn misses_something(&self, owner: ConsumerId) -> bool {
        let consumer = &self.consumers[&owner];
        let unread = |key: &KeyId| {
            let reading = self.keys[key].reading.as_ref();
            reading.is_none_or(Reading::is_unread)
        };
        let out = consumer.mirror.out().filter(unread).count();
        let held = consumer.held.len();
        !consumer.wanted.is_empty() || out > consumer.mirror.threads_seen().saturating_sub(held)
    }

    /// For how long a get is held whose thread another partition may need.
    fn brief_hold(&self, now: Moment, id: HeldId, owner: ConsumerId) -> Option<Duration> {
        let apart = self.is_apart(now, owner);
        let may_turn = self.may_turn(now, id);
        let can_turn = may_turn.is_ok();
        // Others cannot have its threads by asking.
        let never =
            may_turn.is_err_and(NotTurned::is_for_good) && self.consumers[&owner].is_elsewhere();
        if apart && (can_turn || self.waits_for_a_thread(now, owner)) {
            Some(HOLD_BESIDE_OTHERS)
        } else if !can_turn && (apart || never || self.misses_something(owner)) {
            Some(HOLD_WHILE_WANTED)
        } else if self.is_missed_elsewhere(now, owner) {
            Some(HOLD_WHILE_MISSED)
        } else {
            None
        }
    }

    fn is_missed_elsewhere(&self, now: Moment, owner: ConsumerId) -> bool {
        let process = self.consumers[&owner].client.process();
        process.is_some_and(|process| self.beside.is_missed(now, process))
    }

    /// A partition here is due in a consumer's queue and is not asked for: it has too few threads, and its partitions on
    /// other brokers wait as well.
    pub(super) fn waits_for_a_thread(&self, now: Moment, owner: ConsumerId) -> bool {
        let first = self.consumers[&owner].mirror.first_in_queue();
        first.is_some_and(|stamp| stamp + LATE <= now)
    }

    /// What is held of a consumer that was found to have partitions on other brokers is held briefly.
    pub(super) fn hold_beside_others(&mut self, now: Moment, owner: ConsumerId) {
        for id in self.consumers[&owner].held.clone() {
            let Some(brief) = self.brief_hold(now, id, owner) else {
                continue;
            };
            if self.held[&id].deadline > now + brief {
                self.ends_at(id, now + brief);
            }
        }
    }

    /// Asks what a consumer's group has told ZooKeeper, unless that was heard just now. False: the answer is here.
    pub(super) fn ask_positions(&mut self, now: Moment, owner: ConsumerId) -> bool {
        let group = self.group_mut(self.consumers[&owner].group);
        let asked = group.asked;
        let just_now = group
            .read
            .is_some_and(|read| now.since(read) < POSITIONS_BELIEVED);
        if !just_now {
            (group.read, group.asked) = (Some(now), true);
            let group = group.name.clone();
            self.questions.push(Question::Owned { group });
        }
        !just_now || asked
    }

    /// A hold ends, and could end with a turn if only its consumer's positions were known, or what others sent it: it lasts
    /// until they are.
    pub(super) fn asks_before_it_ends(&mut self, now: Moment, id: HeldId) -> bool {
        let Some(owner) = self.held[&id].consumer else {
            return false;
        };
        let lacks = self.consumers[&owner].lacks_threads();
        let asks = match self.may_turn(now, id) {
            Err(why) if lacks && why.lacks_positions() => self.ask_positions(now, owner),
            Err(NotTurned::MayHaveForgotten) if lacks => self.awaits_counts(now, owner),
            _ => false,
        };
        if asks {
            self.ends_at(id, now + ON_ITS_WAY);
        }
        asks
    }

    fn ends_at(&mut self, id: HeldId, deadline: Moment) {
        let held = self.held_mut(id);
        let before = std::mem::replace(&mut held.deadline, deadline);
        self.ends.remove(&(before, id));
        self.ends.insert((deadline, id));
    }

    /// The group has a held get: data anywhere may concern it.
    pub(super) fn keep_present(&mut self, now: Moment, id: GroupId, owner: ConsumerId) {
        let behind = |waiting: &Waiting| {
            waiting.consumers[&owner].lacks_threads() && waiting.is_behind(owner)
        };
        let read = self.groups[&id].read;
        let positions = read.is_some_and(|read| now.since(read) >= POSITIONS_EVERY) && behind(self);
        let group = self.groups.get_mut(&id).expect("a key names it");
        if group.present_until < now {
            self.groups_epoch += 1;
            group.shaken = true;
        }
        group.present_until = now + PRESENT_FOR;
        let may_read = group
            .read
            .is_none_or(|read| now.since(read) >= OWNER_BELIEVED);
        if group.shaken && may_read || positions {
            (group.shaken, group.read, group.asked) = (false, Some(now), true);
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
        let state = self.key_mut(key);
        state.fresh = true;
        if state.owner.is_none() || now.since(state.owner_known) > OWNER_BELIEVED {
            self.ask(key);
        } else {
            self.want(now, key);
        }
    }

    /// A key has data, an owner, and no get. Makes room if no thread of its owner is left for it.
    pub(super) fn want(&mut self, now: Moment, key: KeyId) {
        let state = &self.keys[&key];
        let Some(owner) = state.owner else {
            return;
        };
        let not_before = match state.told {
            Told::Starting => state.told_at + STARTING,
            Told::Again => state.told_at + ASKING,
            Told::Never | Told::Data | Told::Nothing => now,
        };
        let stamp = state.stamp;
        if !self.consumers[&owner].wanted.contains(key) {
            self.note_turn(now, owner, key);
            let wanted = &mut self.consumer_mut(owner).wanted;
            wanted.insert(now, key, stamp, not_before);
        }
        self.make_room(now, owner);
    }

    /// Lets as many threads of a consumer go as it takes to bring it to what is wanted, and no more.
    pub(super) fn make_room(&mut self, now: Moment, owner: ConsumerId) {
        let threads = match self.plan(now, owner) {
            Plan::Nothing => return self.look_at(owner, None),
            Plan::LookAt(at) => return self.look_at(owner, Some(at)),
            Plan::Elsewhere => {
                let look = self.call(now, owner);
                return self.look_at(owner, look);
            }
            Plan::LetGo(threads) => threads,
        };
        let oldest = self.consumers[&owner].wanted.oldest_since();
        if oldest.is_some_and(|since| now.since(since) >= ON_ITS_WAY) {
            // Those that were let go here went to other brokers.
            self.call(now, owner);
        }
        let (held, threads) = self.let_go_first(now, owner, threads);
        if threads == 0 {
            return self.look_at(owner, Some(now + ON_ITS_WAY));
        }
        let mut refused = None;
        let mut given = Vec::new();
        for id in held {
            if given.len() == threads {
                break;
            }
            match self.may_turn(now, id) {
                Ok(_) => given.push(id),
                Err(_) if self.is_about_to_end(id) => {}
                Err(why) => refused = refused.or(Some((id, why))),
            }
        }
        let none_comes = given.is_empty() && self.consumers[&owner].mirror.on_their_way(now) == 0;
        if let Some(ready) = self.give_turns(now, owner, &given) {
            return self.look_at(owner, Some(ready));
        }
        let mut look = now + ON_ITS_WAY;
        let waits = match refused {
            Some((_, why)) if none_comes && why.lacks_positions() => self.ask_positions(now, owner),
            Some((_, NotTurned::MayHaveForgotten)) if none_comes => self.awaits_counts(now, owner),
            _ => false,
        };
        if waits {
            return self.look_at(owner, Some(look));
        }
        let newest = self.consumers[&owner].wanted.newest_since();
        if let Some((id, why)) = refused
            && none_comes
            && newest.is_some_and(|since| now.since(since) <= WANTED_MAX)
        {
            match self.in_listener_until(now, owner) {
                Some(until) => look = until,
                None => {
                    self.note_room(now, owner, why);
                    self.answer(now, id, End::Room);
                }
            }
        }
        self.look_at(owner, Some(look));
    }

    /// What a held get waits for is being written.
    pub(super) fn is_about_to_end(&self, id: HeldId) -> bool {
        let get = &self.held[&id].get;
        let partition = self.partitions.get(get.partition.0 as usize);
        partition.is_some_and(|it| it.appended.reaches_beyond(get.offset))
    }

    /// A held get of this consumer makes room with 404, because it may not be given a turn.
    pub(super) fn note_room(&mut self, now: Moment, owner: ConsumerId, why: NotTurned) {
        let consumer = self.consumer_mut(owner);
        consumer.room_made += 1;
        consumer.not_turned = Some((why, now));
    }

    /// Gives these turns, the last one first: they go behind all others in the order in which they are expected.
    /// `Some`: the others have to wait until then, as the consumer has used up its turns.
    fn give_turns(&mut self, now: Moment, owner: ConsumerId, given: &[HeldId]) -> Option<Moment> {
        for &id in given.iter().rev() {
            let ready = self.consumers[&owner].budget.ready();
            if ready <= now {
                self.answer(now, id, End::Turn);
            } else if self.is_far(now, id) {
                self.note_room(now, owner, NotTurned::ManyTurns);
                self.answer(now, id, End::Room);
            } else {
                return Some(ready);
            }
        }
        None
    }

    fn plan(&mut self, now: Moment, owner: ConsumerId) -> Plan {
        let consumer = self.consumer_mut(owner);
        let Some((stamp, key)) = consumer.wanted.last_due(now) else {
            // What the client's delay keeps comes by itself, if a thread is free then.
            let next = consumer.wanted.next_due_at();
            return next.map_or(Plan::Nothing, |at| Plan::LookAt(at + ON_ITS_WAY));
        };
        let held = consumer.held.len();
        let coming = consumer.mirror.on_their_way(now);
        let needed = consumer.mirror.ahead_of(stamp, key, held + coming) + 1;
        match needed.saturating_sub(coming) {
            0 => Plan::LookAt(now + ON_ITS_WAY),
            // Whoever comes next is looked at then.
            _ if held == 0 => Plan::Elsewhere,
            threads => Plan::LetGo(threads.min(held)),
        }
    }

    /// What is wanted may all be in the client's listener: until when that is assumed.
    fn in_listener_until(&self, now: Moment, owner: ConsumerId) -> Option<Moment> {
        let consumer = &self.consumers[&owner];
        if consumer.mirror.all_accounted_for(now, consumer.held.len()) {
            return None;
        }
        let until = |(key, due_at): (KeyId, Moment)| {
            let state = &self.keys[&key];
            if due_at > now {
                return Some(Moment::from_nanos(u64::MAX));
            }
            let until = state.told_at + WORKING;
            (state.told == Told::Data && until > now).then_some(until)
        };
        let all: Option<Vec<Moment>> = consumer.wanted.iter().map(until).collect();
        all?.into_iter().min()
    }

    /// When to look at a consumer again.
    pub(super) fn look_at(&mut self, owner: ConsumerId, at: Option<Moment>) {
        let consumer = self.consumer_mut(owner);
        let before = std::mem::replace(&mut consumer.look, at);
        if let Some(before) = before {
            self.looks.remove(&(before, owner));
        }
        if let Some(at) = at {
            self.looks.insert((at, owner));
        }
    }

    /// All that a consumer was told is in doubt: it left, or fetches anew.
    pub(super) fn shake(&mut self, owner: ConsumerId) {
        self.look_at(owner, None);
        let consumer = self.consumer_mut(owner);
        consumer.mirror.forget_threads();
        consumer.unheard = None;
        consumer.wanted.clear();
        let (group, keys) = (consumer.group, consumer.keys.clone());
        self.group_mut(group).shaken = true;
        for key in keys {
            let state = self.key_mut(key);
            let stamp = std::mem::replace(&mut state.stamp, Moment::START);
            (state.told, state.settled, state.due) = (Told::Never, false, false);
            state.delay = Duration::ZERO;
            // The client may have the bad record, and ask on another connection where to go on; if it does not, that
            // says nothing of it.
            if let Some(asked) = &mut state.question {
                (asked.back_to, asked.heard) = (None, true);
            }
            self.consumer_mut(owner).mirror.remove(stamp, key);
            self.join_queue(key, owner);
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
