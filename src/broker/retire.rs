//! When old files go.
//!
//! Each topic's policy is applied at the moments its cron expression names, in local time. A limit of bytes
//! is looked at every minute, and the low mark of free space whenever it is reported: then the oldest files
//! of all partitions go first, whatever their age, but only where the policy deletes at all. The decision
//! becomes an entry; nothing is deleted before that is committed.

use std::time::Duration;

use super::Broker;
use super::command::{Cut, Retire};
use super::event::Effect;
use super::topic::Settings;
use crate::segments::PartitionId;
use crate::segments::partition::Segment;
use crate::segments::retention::Action;
use crate::units::{Moment, WallTime};

/// How long the wall clock is trusted to run evenly.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A wall clock that jumped back by more than this makes all moments be counted anew.
const JUMP_MS: i64 = 120_000;

/// The wall clock as it was last told, and when policies are due.
#[derive(Debug, Default)]
pub(super) struct RetireClock {
    /// When it was told; `None` before the first time.
    told: Option<(Moment, WallTime)>,
    utc_offset_s: i32,
    /// The earliest moment of all topics.
    next: Option<WallTime>,
    /// What is due by topic must be counted anew.
    stale: bool,
}

impl RetireClock {
    /// Topics or their settings changed.
    pub(super) fn topics_changed(&mut self) {
        self.stale = true;
    }

    /// When the clock must be told again.
    pub(super) fn deadline(&self) -> Moment {
        let Some((at, wall)) = self.told else {
            return Moment::START;
        };
        let until = match self.next {
            Some(next) if next <= wall => Duration::ZERO,
            Some(next) => Duration::from_millis((next.0 - wall.0).unsigned_abs()),
            None => LOOK_EVERY,
        };
        at + until.min(LOOK_EVERY)
    }
}

impl Broker {
    /// Applies the policies that are due.
    pub(super) fn retire_by_policy(&mut self, now: Moment, wall: WallTime, utc_offset_s: i32) {
        let clock = &mut self.retire_clock;
        if let Some((at, before)) = clock.told {
            if wall.0 < before.0 - JUMP_MS || utc_offset_s != clock.utc_offset_s {
                clock.stale = true;
            } else if now < clock.deadline() && !clock.stale && now.since(at) < LOOK_EVERY {
                return;
            }
        }
        clock.told = Some((now, wall));
        clock.utc_offset_s = utc_offset_s;
        let stale = std::mem::take(&mut clock.stale);
        let mut earliest: Option<WallTime> = None;
        let mut cuts = Vec::new();
        for index in 0..self.catalog.len() {
            let topic = self.catalog.nth(index);
            if self.catalog.topic(topic).partitions().is_empty() {
                continue;
            }
            let settings = self.catalog.effective(topic);
            let due = self.catalog.topic(topic).retire_next;
            let is_due = !stale && due.is_some_and(|due| due <= wall);
            if is_due || settings.retention.partition_bytes_max.is_some() {
                self.retire_topic(topic, &settings, is_due, wall, &mut cuts);
            }
            let next = match due {
                Some(due) if !stale && !is_due => Some(due),
                _ => settings.retention.when.next_after(wall, utc_offset_s),
            };
            self.catalog.topic_mut(topic).retire_next = next;
            earliest = [earliest, next].into_iter().flatten().min();
        }
        self.retire_clock.next = earliest;
        self.propose_retire(wall, cuts);
    }

    fn retire_topic(
        &self,
        topic: super::topic::TopicId,
        settings: &Settings,
        by_age: bool,
        wall: WallTime,
        cuts: &mut Vec<Cut>,
    ) {
        let mut policy = settings.retention.clone();
        if !by_age {
            policy.age_max = Duration::MAX;
        }
        let topic = self.catalog.topic(topic);
        for &(number, id) in topic.partitions() {
            let partition = self.partition(id);
            let segments = &partition.segments;
            let first = segments.first_after_retention(&policy, wall, partition.visible);
            if first > partition.proposed_first {
                let action = policy.action;
                cuts.push(Cut {
                    topic: topic.name.clone(),
                    partition: number,
                    first,
                    action,
                });
            }
        }
    }

    /// Deletes the oldest files until there is enough free space again.
    pub(super) fn retire_by_space(&mut self, wall: WallTime, free_bytes: u64) {
        let Some(low) = self.options.free_bytes_low else {
            return;
        };
        if free_bytes >= low || self.retiring > 0 || self.removals.under_way() || !self.leading {
            return;
        }
        let mut oldest: Vec<(WallTime, PartitionId, u64, u64)> = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            let id = PartitionId(u32::try_from(index).expect("there is a limit"));
            if self.catalog.effective(partition.topic).retention.action != Action::Delete {
                continue;
            }
            let closed = partition.segments.count().saturating_sub(1);
            // Files' times do not always grow with their offsets, but they can only go in that order.
            let mut latest = WallTime(i64::MIN);
            let written = |segment: &&Segment| segment.end() <= partition.visible;
            for segment in partition.segments.iter().take(closed).take_while(written) {
                latest = latest.max(segment.modified);
                oldest.push((latest, id, segment.end(), segment.length));
            }
        }
        oldest.sort_unstable();
        let mut missing = low - free_bytes;
        let mut firsts = std::collections::BTreeMap::new();
        for (_, id, end, bytes) in oldest {
            if missing == 0 {
                break;
            }
            firsts.insert(id, end);
            missing = missing.saturating_sub(bytes);
        }
        self.propose_deletion(wall, firsts);
    }

    /// Proposes that partitions lose what lies before these offsets.
    pub(super) fn propose_deletion(
        &mut self,
        wall: WallTime,
        firsts: impl IntoIterator<Item = (PartitionId, u64)>,
    ) {
        let cut = |(id, first): (PartitionId, u64)| {
            let (topic, partition) = self.name_of(id);
            Cut {
                topic: topic.clone(),
                partition,
                first,
                action: Action::Delete,
            }
        };
        let cuts = firsts.into_iter().map(cut).collect();
        self.propose_retire(wall, cuts);
    }

    pub(super) fn propose_retire(&mut self, wall: WallTime, cuts: Vec<Cut>) {
        if cuts.is_empty() || !self.leading {
            return;
        }
        for cut in &cuts {
            let id = self.partition_or_new(&cut.topic, cut.partition);
            self.partitions[id.0 as usize].proposed_first = cut.first;
        }
        self.retiring += 1;
        self.commands.push(Retire { wall, cuts }.encode());
    }

    /// Proposes the deletions that were decided.
    pub(super) fn propose_commands(&mut self, effects: &mut Vec<Effect>) {
        effects.extend(self.commands.drain(..).map(Effect::Propose));
    }
}
