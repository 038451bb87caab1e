//! What a consumer has not asked for although there is data: its *wanted* keys.
//!
//! A consumer may own thousands of partitions, and each message that comes asks which of the wanted ones its threads
//! can come to. So they are kept in the order in which that is asked, and none is looked at that did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::KeyId;
use crate::units::Moment;

/// What did not come although it should have is looked for again after this long, and then twice as long each time.
const PATIENCE_MIN: Duration = Duration::from_millis(3);
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// A key with data and without a get.
#[derive(Clone, Copy, Debug)]
struct Want {
    since: Moment,
    /// Where the client's queue has it.
    stamp: Moment,
    /// It is not in the client's queue before.
    not_before: Moment,
    patience: Duration,
    /// The patience is that of this belief; with a new one it begins anew.
    belief: u64,
}

impl Want {
    fn due_at(&self) -> Moment {
        self.stamp.max(self.not_before)
    }
}

/// The wanted keys of one consumer.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    all: BTreeMap<KeyId, Want>,
    /// Those the client can take, as it takes them: by stamp.
    due: BTreeSet<(Moment, KeyId)>,
    /// The others, by when it can.
    later: BTreeSet<(Moment, KeyId)>,
    by_age: BTreeSet<(Moment, KeyId)>,
    /// `due` and `later` were told apart at this time.
    told_apart: Moment,
    belief: u64,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn contains(&self, key: KeyId) -> bool {
        self.all.contains_key(&key)
    }

    /// Since when the newest of them is wanted.
    pub(super) fn newest_since(&self) -> Option<Moment> {
        self.by_age.last().map(|(since, _)| *since)
    }

    /// Since when the oldest of them is wanted.
    pub(super) fn oldest_since(&self) -> Option<Moment> {
        self.by_age.first().map(|(since, _)| *since)
    }

    /// All of them with the moment from which the client can take them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyId, Moment)> {
        self.all.iter().map(|(&key, want)| (key, want.due_at()))
    }

    pub(super) fn insert(&mut self, now: Moment, key: KeyId, stamp: Moment, not_before: Moment) {
        self.remove(key);
        let want = Want {
            since: now,
            stamp,
            not_before,
            patience: PATIENCE_MIN,
            belief: self.belief,
        };
        self.by_age.insert((now, key));
        self.place(key, want);
    }

    pub(super) fn remove(&mut self, key: KeyId) {
        if let Some(want) = self.take_out(key) {
            self.by_age.remove(&(want.since, key));
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.due.clear();
        self.later.clear();
        self.by_age.clear();
    }

    /// The client's queue has this key elsewhere now.
    pub(super) fn restamp(&mut self, key: KeyId, stamp: Moment) {
        if let Some(want) = self.take_out(key) {
            self.place(key, Want { stamp, ..want });
        }
    }

    /// It should have come and did not: it is elsewhere for a while.
    pub(super) fn passed_over(&mut self, now: Moment, key: KeyId, stamp: Moment) {
        let Some(want) = self.take_out(key) else {
            return;
        };
        let patience = if want.belief == self.belief {
            want.patience
        } else {
            PATIENCE_MIN
        };
        let want = Want {
            stamp,
            not_before: now + patience,
            patience: (patience * 2).min(PATIENCE_MAX),
            belief: self.belief,
            ..want
        };
        self.place(key, want);
    }

    /// All that is wanted must be in the client's queue.
    pub(super) fn believe_queued(&mut self, now: Moment) {
        self.belief += 1;
        let later: Vec<KeyId> = self.later.iter().map(|&(_, key)| key).collect();
        for key in later {
            if let Some(want) = self.take_out(key) {
                let not_before = want.not_before.min(now);
                self.place(key, Want { not_before, ..want });
            }
        }
    }

    /// The one that the client takes last of those it can take now.
    pub(super) fn last_due(&mut self, now: Moment) -> Option<(Moment, KeyId)> {
        self.told_apart = self.told_apart.max(now);
        while let Some(&(at, key)) = self.later.first()
            && at <= self.told_apart
        {
            self.later.pop_first();
            self.due.insert((self.all[&key].stamp, key));
        }
        self.due.last().copied()
    }

    /// When the client can take the next of the others.
    pub(super) fn next_due_at(&self) -> Option<Moment> {
        self.later.first().map(|(at, _)| *at)
    }

    fn take_out(&mut self, key: KeyId) -> Option<Want> {
        let want = self.all.remove(&key)?;
        self.due.remove(&(want.stamp, key));
        self.later.remove(&(want.due_at(), key));
        Some(want)
    }

    fn place(&mut self, key: KeyId, want: Want) {
        if want.due_at() <= self.told_apart {
            self.due.insert((want.stamp, key));
        } else {
            self.later.insert((want.due_at(), key));
        }
        self.all.insert(key, want);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert {
            key: u64,
            stamp: u64,
            not_before: u64,
        },
        Remove {
            key: u64,
        },
        Restamp {
            key: u64,
            stamp: u64,
        },
        PassedOver {
            key: u64,
            stamp: u64,
        },
        BelieveQueued,
        TimePasses {
            by: u64,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (key, at) = (0..6u64, 0..40u64);
        prop_oneof![
            (key.clone(), at.clone(), at.clone()).prop_map(|(key, stamp, not_before)| {
                Step::Insert {
                    key,
                    stamp,
                    not_before,
                }
            }),
            key.clone().prop_map(|key| Step::Remove { key }),
            (key.clone(), at.clone()).prop_map(|(key, stamp)| Step::Restamp { key, stamp }),
            (key, at).prop_map(|(key, stamp)| Step::PassedOver { key, stamp }),
            Just(Step::BelieveQueued),
            (0..8u64).prop_map(|by| Step::TimePasses { by }),
        ]
    }

    fn ms(at: u64) -> Moment {
        Moment::from_nanos(at * 1_000_000)
    }

    proptest! {
        /// The orders that are kept say what looking at each of them would say.
        #[test]
        fn what_is_kept_in_order_is_what_one_would_find(steps in prop::collection::vec(step(), 1..60)) {
            let mut wanted = Wanted::default();
            let mut now = ms(10);
            for step in steps {
                match step {
                    Step::Insert { key, stamp, not_before } => {
                        wanted.insert(now, KeyId(key), ms(stamp), ms(not_before));
                    }
                    Step::Remove { key } => wanted.remove(KeyId(key)),
                    Step::Restamp { key, stamp } => wanted.restamp(KeyId(key), ms(stamp)),
                    Step::PassedOver { key, stamp } => wanted.passed_over(now, KeyId(key), ms(stamp)),
                    Step::BelieveQueued => wanted.believe_queued(now),
                    Step::TimePasses { by } => now = now + Duration::from_millis(by),
                }
                let due = |(key, want): (&KeyId, &Want)| (want.due_at() <= now).then_some((want.stamp, *key));
                let last_due = wanted.all.iter().filter_map(due).max();
                prop_assert_eq!(wanted.last_due(now), last_due);
                let later = wanted.all.values().map(Want::due_at).filter(|at| *at > now).min();
                prop_assert_eq!(wanted.next_due_at(), later);
                prop_assert_eq!(wanted.newest_since(), wanted.all.values().map(|want| want.since).max());
            }
        }

        /// What does not come is looked for at once, then less and less often, and anew once all threads are back.
        #[test]
        fn patience_doubles_and_begins_anew(rounds in 1..20u32) {
            let mut wanted = Wanted::default();
            let (key, now) = (KeyId(1), ms(10));
            wanted.insert(now, key, now, now);
            let mut expected = PATIENCE_MIN;
            for _ in 0..rounds {
                wanted.passed_over(now, key, now);
                prop_assert_eq!(wanted.all[&key].not_before, now + expected);
                expected = (expected * 2).min(PATIENCE_MAX);
            }
            wanted.believe_queued(now);
            prop_assert_eq!(wanted.last_due(now), Some((now, key)));
            wanted.passed_over(now, key, now);
            prop_assert_eq!(wanted.all[&key].not_before, now + PATIENCE_MIN);
        }
    }
}
