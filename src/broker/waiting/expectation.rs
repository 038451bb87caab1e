//! When a partition's next message is to be expected, and so whose get is let go first.
//!
//! Many producers send to one partition after the other. Then the order says more than the gaps: the next message
//! is for the partition that had its last one longest ago.

use std::cmp::Reverse;
use std::time::Duration;

use super::{ConsumerId, HeldId, KeyId, PartitionState, Waiting};
use crate::segments::PartitionId;
use crate::units::Moment;

/// Partitions that got their messages in turn so often get them in turn,
const IN_TURN_MIN: u8 = 4;
/// also where, of so many, the first two come in either order.
const IN_TURN_BESIDE: usize = 8;
/// A partition that expects nothing for so long may be blind for a second or two, where turns are used up.
const FAR: Duration = Duration::from_secs(5);

impl PartitionState {
    /// Messages came: how far apart they come is the mean of the last few gaps.
    pub(super) fn note_data(&mut self, now: Moment) {
        if let Some(last) = self.last_data {
            let gap = now.since(last);
            self.gap = Some(self.gap.map_or(gap, |mean| (mean * 3 + gap) / 4));
        }
        self.data_before = self.last_data.replace(now);
    }

    /// How long it is to its next message, as far as can be expected.
    fn next_data(&self, now: Moment) -> Option<Duration> {
        let passed = now.since(self.last_data?);
        let gap = self.gap.unwrap_or(passed);
        if gap > passed {
            return Some(gap - passed);
        }
        // What is late comes sooner than what just came, and what is twice as late is expected less.
        let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX / 2);
        Some(Duration::from_nanos(nanos.next_power_of_two() / 2))
    }
}

impl Waiting {
    fn partition(&self, partition: PartitionId) -> Option<&PartitionState> {
        self.partitions.get(partition.0 as usize)
    }

    fn last_data(&self, partition: PartitionId) -> Option<Moment> {
        self.partition(partition)?.last_data
    }

    /// A key that has no get got data: was it its partition's turn?
    pub(super) fn note_turn(&mut self, now: Moment, owner: ConsumerId, key: KeyId) {
        let in_turn = self.is_in_turn(now, owner, key);
        let consumer = self.consumer_mut(owner);
        consumer.in_turn = if in_turn {
            consumer.in_turn.saturating_add(1)
        } else {
            0
        };
    }

    /// Whether the others of a consumer's partitions got data later than this one got its last but one.
    fn is_in_turn(&self, now: Moment, owner: ConsumerId, key: KeyId) -> bool {
        let partition = self.partition(self.keys[&key].partition);
        let before = partition.and_then(|state| state.data_before);
        // Holds that end in between change the order of the client's queue.
        let Some(before) = before.filter(|before| now.since(*before) < self.options.hold_max)
        else {
            return false;
        };
        let keys = &self.consumers[&owner].keys;
        let earlier = |other: &&KeyId| {
            let last = self.last_data(self.keys[other].partition);
            last.is_none_or(|last| last < before)
        };
        let beside = usize::from(keys.len() >= IN_TURN_BESIDE);
        keys.iter().filter(earlier).take(beside + 1).count() <= beside
    }

    /// A consumer's held gets in the order in which they are let go for so many threads, and how many of them at most.
    pub(super) fn let_go_first(
        &self,
        now: Moment,
        owner: ConsumerId,
        threads: usize,
    ) -> (Vec<HeldId>, usize) {
        let consumer = &self.consumers[&owner];
        let held = consumer.held.iter().copied().collect();
        if consumer.in_turn < IN_TURN_MIN {
            return (self.by_expectation(now, held), threads);
        }
        let (held, spare) = self.by_order(owner, held);
        let most = match spare {
            0 if consumer.mirror.on_their_way(now) > 0 => 0,
            spare => spare.max(1),
        };
        (held, threads.min(most))
    }

    /// Those first whose partitions expect their next message last.
    pub(super) fn by_expectation(&self, now: Moment, mut held: Vec<HeldId>) -> Vec<HeldId> {
        let expected = |id: &HeldId| {
            let partition = self.held[id].get.partition;
            let next = self.partition(partition).and_then(|it| it.next_data(now));
            let last = self.last_data(partition);
            (Reverse(next.unwrap_or(Duration::MAX)), Reverse(last), *id)
        };
        held.sort_by_cached_key(expected);
        held
    }

    /// Those first whose partitions had their last message last; and how many of them are not among those that have
    /// the next, one for each thread.
    fn by_order(&self, owner: ConsumerId, mut held: Vec<HeldId>) -> (Vec<HeldId>, usize) {
        let last = |id: &HeldId| self.last_data(self.held[id].get.partition);
        held.sort_by_cached_key(|id| Reverse((last(id), *id)));
        let consumer = &self.consumers[&owner];
        let keys = consumer.keys.iter();
        let mut all: Vec<_> = keys
            .map(|key| self.last_data(self.keys[key].partition))
            .collect();
        all.sort_unstable();
        let threads = consumer.mirror.threads_seen();
        let next = all.get(threads.saturating_sub(1)).copied();
        let spare = held
            .iter()
            .take_while(|id| next.is_none_or(|next| last(id) > next));
        let spare = spare.count();
        (held, spare)
    }

    /// Nothing is expected of its partition for so long that it may be blind for a while.
    pub(super) fn is_far(&self, now: Moment, id: HeldId) -> bool {
        let partition = self.partition(self.held[&id].get.partition);
        let next = partition.and_then(|state| state.next_data(now));
        next.is_none_or(|next| next > FAR)
    }
}
