//! When sessions end: the leader's clock, in steps of a tick.
//!
//! A session's deadline is rounded up to the next whole tick after its timeout, so all that end in one
//! tick end together: `timeout < time since the last touch ≤ timeout + tick`. None of this is
//! replicated: a new leader begins anew and gives every session its full time.
//!
//! The clock here stands still while the server does. The leader wants to be called twice a tick; if
//! nothing came for more than a tick (a stopped virtual machine, a stuck disk), that time does not
//! count, because clients could not be heard either.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use ahash::RandomState;

use crate::units::Moment;

#[cfg(test)]
mod tests;

/// The end of a step, in whole milliseconds of the clock of this file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket(u64);

/// The deadlines.
#[derive(Debug)]
pub(super) struct Expiry {
    tick_ms: u64,
    /// When this server was last awake.
    awake: Moment,
    /// How long it was not, in all, since it leads.
    asleep: Duration,
    buckets: BTreeMap<Bucket, BTreeSet<i64>>,
    deadlines: HashMap<i64, Deadline, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    bucket: Bucket,
    /// Whether its end was proposed already: only a new attach saves it now.
    ending: bool,
}

impl Expiry {
    /// The clock of a server that begins to lead now.
    pub(super) fn new(tick: Duration, now: Moment, hasher: &RandomState) -> Expiry {
        Expiry {
            tick_ms: u64::try_from(tick.as_millis()).unwrap_or(u64::MAX).max(1),
            awake: now,
            asleep: Duration::ZERO,
            buckets: BTreeMap::new(),
            deadlines: HashMap::with_hasher(hasher.clone()),
        }
    }

    /// Says that the server is awake. To be called before anything else happens at `now`.
    pub(super) fn wake(&mut self, now: Moment) {
        let gap = now.since(self.awake);
        if gap > Duration::from_millis(self.tick_ms) {
            self.asleep += gap;
        }
        self.awake = self.awake.max(now);
    }

    /// When a session that is touched now would end.
    #[inline]
    pub(super) fn bucket(&self, now: Moment, timeout_ms: i32) -> Bucket {
        let timeout = u64::try_from(timeout_ms).unwrap_or(0);
        let asleep = u64::try_from(self.asleep.as_millis()).unwrap_or(u64::MAX);
        let time = now
            .as_millis()
            .saturating_sub(asleep)
            .saturating_add(timeout);
        Bucket(
            (time / self.tick_ms)
                .saturating_add(1)
                .saturating_mul(self.tick_ms),
        )
    }

    /// A session showed that it lives. Too late if its end is on the way.
    pub(super) fn touch(&mut self, session: i64, bucket: Bucket) {
        let deadline = self.deadlines.get(&session);
        if deadline.is_none_or(|deadline| !deadline.ending && deadline.bucket < bucket) {
            self.set(session, bucket, false);
        }
    }

    /// A session begins, or begins anew.
    pub(super) fn begin(&mut self, session: i64, bucket: Bucket) {
        self.set(session, bucket, false);
    }

    /// A session is gone.
    pub(super) fn forget(&mut self, session: i64) {
        if let Some(deadline) = self.deadlines.remove(&session) {
            self.take_from_bucket(session, deadline.bucket);
        }
    }

    /// The sessions whose time is over, each of which is to be ended. They come again a tick later unless
    /// they are forgotten or begin anew, because a proposal may be lost.
    pub(super) fn expired(&mut self, now: Moment) -> Vec<i64> {
        let mut expired = Vec::new();
        while let Some(bucket) = self.buckets.first_entry() {
            if now < moment(*bucket.key(), self.asleep) {
                break;
            }
            expired.extend(bucket.remove());
        }
        let again = self.bucket(now, 0);
        for &session in &expired {
            self.deadlines.remove(&session);
            self.set(session, again, true);
        }
        expired
    }

    /// When to call again: at the end of the first bucket, or half a tick after the last time.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let (&first, _) = self.buckets.first_key_value()?;
        let half_tick = Duration::from_millis(self.tick_ms) / 2;
        Some(moment(first, self.asleep).min(self.awake + half_tick))
    }

    /// When a session will end if nothing more is heard of it.
    pub(super) fn end_of(&self, session: i64) -> Option<Moment> {
        let deadline = self.deadlines.get(&session)?;
        Some(moment(deadline.bucket, self.asleep))
    }

    fn set(&mut self, session: i64, bucket: Bucket, ending: bool) {
        let deadline = Deadline { bucket, ending };
        if let Some(former) = self.deadlines.insert(session, deadline) {
            self.take_from_bucket(session, former.bucket);
        }
        self.buckets.entry(bucket).or_default().insert(session);
    }

    fn take_from_bucket(&mut self, session: i64, bucket: Bucket) {
        if let Some(sessions) = self.buckets.get_mut(&bucket) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }
}

fn moment(bucket: Bucket, asleep: Duration) -> Moment {
    Moment::from_millis(bucket.0) + asleep
}
