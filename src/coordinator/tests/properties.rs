//! Properties that hold on every walk.
//!
//! `SEED` chooses the first walk; a failing test prints how to repeat it.

use super::harness::{Harness, restore};
use super::walk::Walk;
use crate::coordinator::{Coordinator, Effect, Event, Options, Place};
use crate::tests::Seeds;
use crate::units::{Moment, Seed};

/// So many walks.
fn seeds(count: u64) -> Seeds {
    Seeds::from(1000, count)
}

#[test]
fn every_effect_is_what_the_slow_and_obvious_version_says() {
    for seed in seeds(40) {
        let mut walk = Walk::new(seed);
        for _ in 0..500 {
            walk.step();
        }
    }
}

/// A server that only hears what is committed.
fn follow(coordinator: &mut Coordinator, log: &[bytes::Bytes], from: usize) {
    for (place, data) in log.iter().enumerate().skip(from) {
        let mut effects = Vec::new();
        let event = Event::Committed {
            index: u64::try_from(place + 1).expect("short"),
            data: data.clone(),
        };
        coordinator.handle(Moment::START, event, &mut effects);
        let told = |effect: &Effect| !matches!(effect, Effect::QuotaExceeded(_));
        assert!(!effects.iter().any(told), "it has no clients: {effects:?}");
    }
}

#[test]
fn servers_that_applied_the_same_entries_hold_the_same_state() {
    for seed in seeds(10) {
        let mut walk = Walk::new(seed);
        for _ in 0..300 {
            walk.step();
        }
        let leader = &mut walk.harness;
        let mut follower = Harness::new(Options::default(), Seed(!seed));
        follow(&mut follower.coordinator, &leader.log, 0);
        assert_eq!(follower.coordinator.digest(), leader.coordinator.digest());
        assert_eq!(follower.snapshot(), leader.snapshot());
        assert_eq!(
            follower.coordinator.ephemerals(usize::MAX),
            leader.coordinator.ephemerals(usize::MAX)
        );
    }
}

#[test]
fn a_snapshot_taken_during_changes_is_the_state_when_it_began() {
    for seed in seeds(40) {
        let mut walk = Walk::new(seed);
        for _ in 0..walk.below(300) {
            walk.step();
        }
        let before = walk.harness.coordinator.digest();
        let begun = walk.harness.coordinator.snapshot_begin(Place::default());
        assert_eq!(begun, walk.harness.index);
        let mut bytes = Vec::new();
        let budget = 100 + walk.below(400);
        while let Some(slice) = walk.harness.coordinator.snapshot_step(budget) {
            bytes.extend_from_slice(&slice.bytes);
            for _ in 0..walk.below(12) {
                walk.step();
            }
        }
        let restored = restore(&bytes, Seed(seed + 1));
        assert_eq!(restored.index(), begun);
        let mut restored = Coordinator::restored(Options::default(), Seed(seed + 1), restored);
        assert_eq!(restored.digest(), before);

        // What came after it leads to the same state.
        for _ in 0..100 {
            walk.step();
        }
        let from = usize::try_from(begun).expect("short");
        follow(&mut restored, &walk.harness.log, from);
        let (restored, lasting) = (restored, &walk.harness.coordinator);
        assert_eq!(restored.digest(), lasting.digest());
        assert_eq!(
            restored.ephemerals(usize::MAX),
            lasting.ephemerals(usize::MAX)
        );
        let counts = |coordinator: &Coordinator| {
            let status = coordinator.status();
            (
                status.nodes,
                status.data_bytes,
                status.ephemerals,
                status.acls,
            )
        };
        assert_eq!(counts(&restored), counts(lasting));
    }
}

#[test]
fn the_same_seed_makes_the_same_run() {
    for seed in seeds(3) {
        let run = || {
            let mut walk = Walk::new(seed);
            for _ in 0..300 {
                walk.step();
            }
            walk.harness.log
        };
        assert_eq!(run(), run());
    }
}

#[test]
fn a_log_at_random_does_no_harm() {
    for seed in seeds(50) {
        let mut walk = Walk::new(seed);
        for _ in 0..60 {
            walk.step();
        }
        let mut log = std::mem::take(&mut walk.harness.log);
        let mut follower = Coordinator::new(Options::default(), Seed(seed));
        for _ in 0..200 {
            // Entries in any order, any number of times, some of them damaged.
            let place = walk.below(log.len());
            let mut entry = log[place].to_vec();
            if walk.below(4) == 0 {
                let at = walk.below(entry.len());
                entry[at] = entry[at].wrapping_add(1);
                log.push(entry.clone().into());
            }
            let mut effects = Vec::new();
            let data = entry.into();
            follower.handle(
                Moment::START,
                Event::Committed { index: 1, data },
                &mut effects,
            );
            if matches!(effects.last(), Some(Effect::Halt { .. })) {
                follower = Coordinator::new(Options::default(), Seed(seed));
            }
        }
        follower.digest();
    }
}
