//! Turns across brokers: a message waits here, and its consumer's threads are held by other brokers of the ensemble.
//!
//! ```text
//!   a message for a partition whose owner holds no get here
//!     wanted (group, consumer)  ->  each broker that it has partitions of, in one word a turn
//!                                   one of its gets that is held there is given a turn
//! ```
//!
//! The thread goes where its client's queue sends it, perhaps to a third broker first. So who was asked gives turns to
//! what of that consumer comes in the next milliseconds, too, and who asks does so again while the message waits. Words are
//! lost at the price of the time until the next one. Nobody who is asked asks others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ConsumerId, End, KeyId, NotTurned, Waiting};
use crate::broker::word::{NAME_BYTES_MAX, Reader, WANTED_MAX, Word};
use crate::units::{Moment, ServerId};

/// Gets that come so soon after their consumer was wanted elsewhere are given a turn at once.
const CALLED_FOR: Duration = Duration::from_millis(10);
/// While a message waits its consumer is asked for again after this long,
const AGAIN: Duration = Duration::from_millis(5);
/// so many times, and then twice as long each time.
const TIMES: u32 = 8;
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// And not sooner than this, whatever comes.
const APART: Duration = Duration::from_millis(2);
/// A get that comes back sooner than this after its turn has found nothing else due: what is wanted is in its client's listener.
const LENT_AGAIN: Duration = Duration::from_millis(20);
/// A consumer that may be given no turn now makes way for others with one 404 in so long.
const ROOM_EVERY: Duration = Duration::from_millis(100);

/// What was done to have a thread of a consumer from other brokers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call {
    /// For the newest that was wanted since then,
    newest: Option<Moment>,
    /// so many times,
    times: u32,
    /// the last time then.
    last: Option<Moment>,
    /// When it was last answered 404 for others' sake.
    room: Option<Moment>,
}

impl Call {
    fn pause(&self) -> Duration {
        let doubled = 1 << self.times.saturating_sub(TIMES).min(10);
        (AGAIN * doubled).min(AGAIN_MAX)
    }
}

impl Waiting {
    /// Something is wanted of a consumer, and no thread of it is here. When to look again, if others can be asked for one.
    pub(super) fn call(&mut self, now: Moment, owner: ConsumerId) -> Option<Moment> {
        let consumer = &self.consumers[&owner];
        let brokers = consumer.brokers.iter();
        let servers = brokers.filter_map(|broker| self.beside.server(*broker));
        let servers: BTreeSet<ServerId> = servers.collect();
        if servers.is_empty() {
            // What else it owns may not be known yet.
            if !self.beside.is_empty() && self.groups[&consumer.group].shaken {
                self.ask_positions(now, owner);
            }
            return None;
        }
        let newest = consumer.wanted.newest_since();
        let mut call = consumer.call;
        if call.newest != newest {
            (call.newest, call.times) = (newest, 0);
        }
        let pause = match call.times {
            0 => APART,
            _ => call.pause(),
        };
        let due = call.last.map_or(now, |last| last + pause);
        if due > now {
            self.consumer_mut(owner).call = call;
            return Some(due);
        }
        call.last = Some(now);
        call.times = call.times.saturating_add(1);
        for server in servers {
            self.beside.calls.entry(server).or_default().insert(owner);
        }
        self.consumer_mut(owner).call = call;
        Some(now + call.pause())
    }

    /// The turn ends: what is wanted of others goes out, as far as there is room in a word.
    pub(in crate::broker) fn call_out(&mut self) {
        let mut calls = std::mem::take(&mut self.beside.calls);
        for (server, wanted) in &mut calls {
            let mut readers = Vec::new();
            while readers.len() < WANTED_MAX
                && let Some(consumer) = wanted.pop_first()
            {
                readers.extend(self.reader(consumer));
            }
            if !readers.is_empty() {
                self.words.push((*server, Word::Wanted(readers)));
            }
        }
        calls.retain(|_, wanted| !wanted.is_empty());
        self.beside.calls = calls;
    }

    /// A consumer as it is called elsewhere, while something is wanted of it.
    fn reader(&self, consumer: ConsumerId) -> Option<Reader> {
        let consumer = self.consumers.get(&consumer)?;
        let reader = Reader {
            group: self.groups[&consumer.group].name.clone(),
            consumer: consumer.name.clone(),
        };
        let short =
            [&reader.group, &reader.consumer].map(|name| name.as_bytes().len() <= NAME_BYTES_MAX);
        (short == [true; 2] && !consumer.wanted.is_empty()).then_some(reader)
    }

    /// Another broker wants a thread of this consumer.
    pub(super) fn called(&mut self, now: Moment, reader: &Reader) {
        let group = self.group_ids.get(&reader.group);
        let ids = group.and_then(|group| {
            let id = (*group, reader.consumer.clone());
            self.consumer_ids.get(&id)
        });
        let Some(&owner) = ids else { return };
        self.beside.called.insert(owner, now + CALLED_FOR);
        self.stir(now);
        self.make_way(now, owner);
    }

    /// A get comes while another broker wants its thread: that goes on, unless it comes back from there.
    pub(super) fn pass_on(&mut self, now: Moment, key: KeyId, owner: ConsumerId) {
        let lent = self.keys[&key].lent;
        if lent.is_none_or(|lent| now.since(lent) >= LENT_AGAIN) {
            self.make_way(now, owner);
        }
    }

    /// Lets a thread of a consumer go that another broker wants, if none is on its way: by a turn, or else with 404.
    pub(super) fn make_way(&mut self, now: Moment, owner: ConsumerId) {
        let called = self.beside.called.get(&owner);
        let consumer = &self.consumers[&owner];
        if called.is_none_or(|until| *until <= now) || consumer.mirror.on_their_way(now) > 0 {
            return;
        }
        let held = self.by_expectation(now, consumer.held.iter().copied().collect());
        let mut refused = None;
        for id in held {
            match self.may_turn(now, id) {
                Ok(_) if self.consumers[&owner].budget.ready() <= now => {
                    let key = self.held[&id].key;
                    self.key_mut(key).lent = Some(now);
                    return self.answer(now, id, End::Turn);
                }
                Ok(_) => return,
                // Its thread comes free by itself, or at the end of a brief hold.
                Err(_) if self.is_about_to_end(id) => return,
                Err(why) if why.is_for_good() => return,
                Err(why) => refused = refused.or(Some((id, why))),
            }
        }
        let Some((id, why)) = refused else { return };
        let waits = why == NotTurned::MayHaveForgotten && self.awaits_counts(now, owner)
            || why.lacks_positions() && self.ask_positions(now, owner);
        let room = self.consumers[&owner].call.room;
        if waits || room.is_some_and(|room| now.since(room) < ROOM_EVERY) {
            return;
        }
        self.consumer_mut(owner).call.room = Some(now);
        self.note_room(now, owner, why);
        self.answer(now, id, End::Room);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Elsewhere, Ownership, PartitionId};
    use super::*;
    use crate::broker::options::WaitingOptions;
    use crate::broker::request::Name;
    use crate::broker::word::Counts;
    use crate::units::Seed;

    const BROKER: ServerId = ServerId(8);
    const SERVER: ServerId = ServerId(2);
    const PARTITION: PartitionId = PartitionId(0);

    /// The other broker tells what it has sent, as it was at a moment.
    fn counts_come(waiting: &mut Waiting, now: Moment, at: Moment) {
        let counts = Counts {
            stamp: 1,
            echo: at.as_nanos(),
            asks: false,
            broker: BROKER,
            processes: Vec::new(),
        };
        waiting.told(now, SERVER, Word::Counts(counts));
    }

    /// A broker that has met another one, and groups with a consumer each, which have a partition at both.
    fn with_groups(now: Moment, count: usize) -> Waiting {
        let mut waiting = Waiting::new(WaitingOptions::default(), ServerId(7), Seed(1));
        waiting.met(now, SERVER);
        counts_come(&mut waiting, now, now);
        for nth in 0..count {
            let group = Name::from(format!("g{nth}"));
            let consumer = Name::from(format!("g{nth}_10.0.0.1-17-1374200000000-1"));
            waiting.key_or_new(now, &group, PARTITION);
            let owned = Ownership {
                partition: PARTITION,
                consumer: consumer.clone(),
                has_messages: false,
                position: None,
            };
            let elsewhere = Elsewhere {
                consumer,
                brokers: BTreeSet::from([Some(BROKER)]),
            };
            waiting.owned(now, &group, &[owned], &[elsewhere]);
        }
        waiting.words.clear();
        waiting
    }

    /// How many consumers the words name that go out with a turn.
    fn called_out(waiting: &mut Waiting) -> Vec<usize> {
        waiting.call_out();
        let words = std::mem::take(&mut waiting.words).into_iter();
        let named = words.map(|(to, word)| match word {
            Word::Wanted(readers) if to == SERVER => readers.len(),
            other => panic!("{other:?} to {to}"),
        });
        named.collect()
    }

    #[test]
    fn what_a_turn_wants_of_a_broker_goes_into_one_word_of_a_bounded_size() {
        let now = Moment::from_millis(100_000);
        let mut waiting = with_groups(now, 300);
        waiting.data(now, PARTITION, 100);
        assert_eq!(waiting.deadline(), Some(Moment::START));
        assert_eq!(called_out(&mut waiting), [WANTED_MAX]);
        assert_eq!(waiting.deadline(), Some(Moment::START));
        assert_eq!(called_out(&mut waiting), [300 - WANTED_MAX]);
        assert_eq!(called_out(&mut waiting), Vec::<usize>::new());
        // More data at the same moment is not called for again.
        waiting.data(now, PARTITION, 200);
        assert_eq!(called_out(&mut waiting), Vec::<usize>::new());
    }

    /// Whoever may write owner nodes may write nonsense.
    #[test]
    fn two_owners_of_one_partition_do_no_harm() {
        let now = Moment::from_millis(100_000);
        let mut waiting = with_groups(now, 1);
        let owned = ["g0_first", "g0_second"].map(|consumer| Ownership {
            partition: PARTITION,
            consumer: Name::from(consumer),
            has_messages: true,
            position: None,
        });
        waiting.owned(now, &Name::from("g0"), &owned, &[]);
        waiting.data(now, PARTITION, 100);
        waiting.expire(now + Duration::from_secs(60));
    }

    /// Where counts take longer to come than they stay fresh, each wait for them has an end.
    #[test]
    fn a_consumer_does_not_wait_for_ever_newer_counts() {
        let mut now = Moment::from_millis(100_000);
        let mut waiting = with_groups(now, 1);
        let owner = *waiting.consumers.keys().next().expect("there is one");
        let mut before = Moment::from_millis(100_005 - 40);
        let mut waits = 0;
        for _ in 0..20 {
            now = now + Duration::from_millis(5);
            if waiting.awaits_counts(now, owner) {
                waits += 1;
            }
            counts_come(&mut waiting, now, before);
            before = before + Duration::from_millis(5);
        }
        assert!((4..16).contains(&waits), "it waited at {waits} of 20 looks");
    }

    /// A server without a broker never says which it has.
    #[test]
    fn a_server_without_a_broker_keeps_nobody_waiting() {
        let mut now = Moment::from_millis(100_000);
        let mut waiting = with_groups(now, 1);
        waiting.met(now, ServerId(3));
        let owner = *waiting.consumers.keys().next().expect("there is one");
        for _ in 0..100 {
            now = now + Duration::from_millis(50);
            waiting.expire(now);
            counts_come(&mut waiting, now, now);
        }
        let words = std::mem::take(&mut waiting.words).len();
        assert!(words < 60, "{words} words while nobody sends anything");
        assert!(waiting.awaits_counts(now + Duration::from_millis(100), owner));
    }

    #[test]
    fn a_consumer_that_does_not_come_is_called_for_less_and_less() {
        let mut now = Moment::from_millis(100_000);
        let mut waiting = with_groups(now, 1);
        waiting.data(now, PARTITION, 100);
        let mut words = called_out(&mut waiting).len();
        let mut in_first_second = 0;
        for ms in 0..60_000 {
            now = now + Duration::from_millis(1);
            waiting.expire(now);
            let counts = |(_, word): &(ServerId, Word)| matches!(word, Word::Counts(_));
            waiting.words.extract_if(.., |it| counts(it)).count();
            words += called_out(&mut waiting).len();
            if ms == 1000 {
                in_first_second = words;
            }
        }
        assert!((10..25).contains(&in_first_second), "{in_first_second}");
        assert!((40..90).contains(&words), "{words} words in a minute");
    }
}
