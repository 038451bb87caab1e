//! The mirror of a Java consumer's queue: which partition its threads take next, and how many threads it has.
//!
//! A consumer keeps one request a partition in a queue that is ordered by a stamp: when the request's last delay
//! ended. Its T threads take from the head what is due. Data sets the stamp to now, behind everything that is due; an
//! empty answer sets it to now and the new delay; the bad record leaves it. So the gets outstanding are always
//! those with the oldest stamps.
//!
//! The mirror is a belief: a listener may take long, a client may begin anew, other brokers' partitions are in the
//! same queue. Each get that comes corrects it: what the client should have taken before this one is not in its
//! queue.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ConsumerId, KeyId, Told, Waiting};
use crate::units::Moment;

/// What an empty answer adds to a client's delay, and the longest delay.
const DELAY_STEP: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// How long the most outstanding gets of a consumer are remembered, at least.
const THREADS_WINDOW: Duration = Duration::from_secs(30);
/// A thread that was answered less than this ago is on its way back.
pub(super) const ON_ITS_WAY: Duration = Duration::from_millis(5);
/// A thread that was answered with data longer ago is in its listener.
const SHORT_WORK: Duration = Duration::from_millis(50);
/// Stamps closer to each other than this may stand in either order.
const SLACK: Duration = Duration::from_millis(2);

/// The most gets that a consumer had outstanding at a time, lately: a client that was interrupted leaves
/// gets behind that nobody waits for, and they must not count for ever.
#[derive(Debug, Default)]
struct Threads {
    before: usize,
    current: usize,
    /// When the current count began; `None` before the first get.
    current_from: Option<Moment>,
}

impl Threads {
    fn seen(&self) -> usize {
        self.before.max(self.current)
    }

    fn observe(&mut self, now: Moment, outstanding: usize) {
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

/// One consumer's queue and threads, as far as they can be known from here.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// Keys that no thread has, by stamp.
    queue: BTreeSet<(Moment, KeyId)>,
    /// Those of them whose last get was answered with data: a thread may still work on it.
    out: BTreeSet<KeyId>,
    /// Keys that were sent the bad record: each has a thread that asks where to go on.
    asking: BTreeSet<KeyId>,
    /// When threads were answered that have not come back, the newest last.
    working: Vec<Moment>,
    threads: Threads,
}

impl Mirror {
    pub(super) fn threads_seen(&self) -> usize {
        self.threads.seen()
    }

    /// Keys whose last get was answered with data and that have not come back.
    pub(super) fn out(&self) -> impl Iterator<Item = KeyId> {
        self.out.iter().copied()
    }

    pub(super) fn is_asking(&self, key: KeyId) -> bool {
        self.asking.contains(&key)
    }

    /// Threads that will be back in a moment.
    pub(super) fn on_their_way(&self, now: Moment) -> usize {
        let soon = |since: &&Moment| now.since(**since) < ON_ITS_WAY;
        self.asking.len() + self.working.iter().rev().take_while(soon).count()
    }

    /// No thread is in a listener for long: with so many gets held all threads are accounted for.
    pub(super) fn all_accounted_for(&self, now: Moment, held: usize) -> bool {
        if self.threads.before == 0 {
            // There may be more of them than were seen so far.
            return false;
        }
        let short = |since: &&Moment| now.since(**since) < SHORT_WORK;
        let working = self.working.iter().rev().take_while(short).count();
        held + self.asking.len() + working >= self.threads.seen()
    }

    /// Gets are outstanding, this many of them held.
    pub(super) fn observe(&mut self, now: Moment, held: usize) {
        self.threads.observe(now, held + self.asking.len());
    }

    /// Whether they were watched for long, and so many gets held would be more than ever before.
    pub(super) fn threads_are_fewer_than(&self, held: usize) -> bool {
        self.threads.before > 0 && held + self.asking.len() > self.threads.seen()
    }

    /// The oldest stamp of the keys that no get is outstanding of.
    pub(super) fn first_in_queue(&self) -> Option<Moment> {
        self.queue.first().map(|&(stamp, _)| stamp)
    }

    /// How many of the due keys the client takes before this one; no more than `most` are counted.
    pub(super) fn ahead_of(&self, stamp: Moment, key: KeyId, most: usize) -> usize {
        self.queue.range(..(stamp, key)).take(most).count()
    }

    /// A thread was answered, and will take what comes first.
    fn answered(&mut self, now: Moment) {
        self.working.push(now);
        let excess = self
            .working
            .len()
            .saturating_sub(self.threads.seen().max(1));
        self.working.drain(..excess);
    }

    fn add(&mut self, stamp: Moment, key: KeyId) {
        self.queue.insert((stamp, key));
    }

    pub(super) fn remove(&mut self, stamp: Moment, key: KeyId) {
        self.queue.remove(&(stamp, key));
        self.out.remove(&key);
        self.asking.remove(&key);
    }

    /// A key's stamp is another one.
    pub(super) fn move_to(&mut self, from: Moment, to: Moment, key: KeyId) {
        if self.queue.remove(&(from, key)) {
            self.queue.insert((to, key));
        }
    }

    /// Nothing that its threads were told is believed any more.
    pub(super) fn forget_threads(&mut self) {
        self.out.clear();
        self.asking.clear();
        self.working.clear();
        self.threads = Threads::default();
    }
}

impl Waiting {
    /// A key's get was answered: where the client's queue has the key now.
    pub(super) fn tell(&mut self, now: Moment, key: KeyId, told: Told) {
        let state = self.key_mut(key);
        let before = state.stamp;
        state.stamp_guessed = false;
        state.told = told;
        state.told_at = now;
        state.settled &= told != Told::Data;
        match told {
            Told::Data => {
                (state.stamp, state.delay) = (now, Duration::ZERO);
                state.data_at = now;
            }
            Told::Nothing => {
                state.delay = (state.delay + DELAY_STEP).min(DELAY_MAX);
                state.stamp = now + state.delay;
            }
            Told::Again => {}
            Told::Never | Told::Starting => state.stamp = Moment::START,
        }
        let (stamp, owner) = (state.stamp, state.owner);
        let Some(owner) = owner else { return };
        let led_back = self.keys[&key]
            .reading
            .as_ref()
            .is_some_and(|it| it.led_back);
        let process = self.consumers[&owner].client.process();
        let reads_elsewhere = process.is_some_and(|process| self.elsewhere.has(process));
        if told == Told::Data && !led_back && reads_elsewhere {
            self.stir(now);
        }
        let consumer = self.consumer_mut(owner);
        consumer.wanted.restamp(key, stamp);
        let mirror = &mut consumer.mirror;
        mirror.remove(before, key);
        match told {
            Told::Again => {
                mirror.asking.insert(key);
                return;
            }
            Told::Data => {
                mirror.out.insert(key);
                mirror.answered(now);
            }
            Told::Nothing => mirror.answered(now),
            Told::Never | Told::Starting => {}
        }
        mirror.add(stamp, key);
    }

    /// A client that was sent the bad record has asked where to go on: the key is back where it was in its queue.
    pub(super) fn asked_where(&mut self, now: Moment, key: KeyId) {
        let state = &self.keys[&key];
        let (stamp, owner) = (state.stamp, state.owner);
        let Some(owner) = owner else { return };
        let consumer = self.consumer_mut(owner);
        consumer.heard(key);
        if consumer.mirror.asking.remove(&key) {
            consumer.mirror.add(stamp, key);
            consumer.mirror.answered(now);
        }
    }

    /// A key without a get becomes its owner's.
    pub(super) fn join_queue(&mut self, key: KeyId, owner: ConsumerId) {
        let state = &self.keys[&key];
        if state.held.is_empty() {
            let (stamp, out) = (state.stamp, state.told == Told::Data);
            let mirror = &mut self.consumer_mut(owner).mirror;
            mirror.add(stamp, key);
            if out {
                mirror.out.insert(key);
            }
        }
    }

    /// A thread of its owner came with a get of this key: it is in the queue no more, and neither is what the client
    /// should have taken before.
    pub(super) fn taken(&mut self, now: Moment, key: KeyId, owner: ConsumerId) {
        let state = &self.keys[&key];
        let (stamp, told, guessed) = (state.stamp, state.told, state.stamp_guessed);
        let consumer = self.consumer_mut(owner);
        consumer.wanted.remove(key);
        let unheard = consumer.mirror.is_asking(key);
        consumer.mirror.remove(stamp, key);
        consumer.mirror.working.pop();
        // Gets of two threads may come in another order than they were taken in. The later one was moved behind all
        // others then, and its coming says nothing of those.
        if unheard || guessed || matches!(told, Told::Never | Told::Starting) {
            return;
        }
        let before: Vec<(Moment, KeyId)> = consumer
            .mirror
            .queue
            .range(..(stamp, key))
            .take_while(|(at, _)| *at + SLACK < stamp && *at <= now)
            .copied()
            .collect();
        for (at, other) in before {
            let consumer = self.consumer_mut(owner);
            consumer.mirror.move_to(at, now, other);
            consumer.wanted.passed_over(now, other, now);
            let state = self.key_mut(other);
            (state.stamp, state.stamp_guessed) = (now, true);
        }
    }

    /// The last of its threads came back from elsewhere: what is wanted must be in its queue.
    pub(super) fn believe_queued(&mut self, now: Moment, owner: ConsumerId) {
        self.consumer_mut(owner).wanted.believe_queued(now);
    }
}
