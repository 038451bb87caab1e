//! Whole groups of Java consumers before a broker that holds their gets: threads that are fewer than
//! partitions, listeners that are slow or fail, members that come and go, a broker that dies. Whatever happens, no
//! message waits for long once it is quiet, none is lost, and none is read twice that should not be.

use std::time::Duration;

use super::java_client::{Habits, Kind, Run};
use crate::broker::NotTurned;
use crate::tests::seeded;
use crate::units::Random;

/// The longest a message may wait from when it was put, or from the last disturbance: until the broker has
/// forgotten the threads that a client seemed to have, a hold, and a pause that had grown.
const LATE: Duration = Duration::from_secs(75);
/// Of a hundred messages so many wait for less than [`SOON`], also where threads are few and listeners slow.
const MOST: usize = 99;
const SOON: Duration = Duration::from_secs(6);

/// Without `SEED`.
const SEED: u64 = 8_124;

fn threads(random: &mut Random) -> usize {
    1 + usize::try_from(random.below(4)).unwrap()
}

fn up_to(random: &mut Random, millis: u64) -> Duration {
    Duration::from_millis(random.below(millis))
}

#[test]
fn no_message_waits_for_long_whatever_its_consumers_do() {
    let (_replay, mut random) = seeded(SEED);
    let mut waited = Vec::new();
    for _ in 0..200 {
        let partitions = 1 + i32::try_from(random.below(6)).unwrap();
        let members = 1 + random.below(3);
        let members: Vec<usize> = (0..members).map(|_| threads(&mut random)).collect();
        let kinds = [
            Kind::Modern,
            Kind::Modern,
            Kind::Old,
            Kind::OwnName,
            Kind::AcknowledgesEvery(3),
            Kind::PositionsElsewhere,
        ];
        let habits = Habits {
            slow_one_in: if random.below(3) == 0 { 10 } else { 1000 },
            fails_one_in: 30,
            kind: kinds[usize::try_from(random.below(6)).unwrap()],
        };
        let mut run = Run::new(random.next(), partitions, &members, habits, |_| {});
        for _ in 0..random.below(60) {
            run.put_anywhere();
        }
        let pause = 1 + random.below(20_000);
        for _ in 0..80 {
            match random.below(40) {
                0 => {
                    run.join(threads(&mut random));
                    run.balance();
                }
                1 if run.consumers.len() > 1 => {
                    let index = random.below(run.consumers.len() as u64);
                    run.leave(usize::try_from(index).unwrap());
                    run.pass(up_to(&mut random, 3000), LATE);
                    run.balance();
                }
                2 => run.restart(),
                3 => run.balance(),
                _ => run.put_anywhere(),
            }
            run.pass(up_to(&mut random, pause), LATE);
        }
        run.pass(LATE, LATE);
        assert!(run.waiting.is_empty(), "everything was received");
        waited.append(&mut run.waited);
    }
    let soon = waited.iter().filter(|waited| **waited < SOON).count();
    assert!(
        soon * 100 >= waited.len() * MOST,
        "{soon} of {} messages came within {SOON:?}",
        waited.len()
    );
}

/// A consumer of some partitions with two threads, and messages to random ones.
fn two_threads(seed: u64, partitions: i32, gap: Duration, kind: Kind, exempt: bool) -> Run {
    let habits = Habits {
        kind,
        ..Habits::CALM
    };
    let mut run = Run::new(seed, partitions, &[2], habits, |options| {
        if exempt {
            options.waiting.turns_without_positions = vec!["g".to_owned()];
        }
    });
    for _ in 0..400 {
        run.put_anywhere();
        run.pass(gap, LATE);
    }
    run.pass(LATE, LATE);
    assert!(run.waiting.is_empty(), "everything was received");
    run
}

fn turns(run: &Run) -> u64 {
    let consumers = run.worlds[0].broker.status().consumers;
    consumers.iter().map(|consumer| consumer.turns).sum()
}

fn refused_because(run: &Run) -> Option<NotTurned> {
    let consumers = run.worlds[0].broker.status().consumers;
    consumers[0].not_turned.map(|(why, _)| why)
}

#[test]
fn nobody_is_led_back_who_would_read_twice() {
    let (_replay, mut random) = seeded(SEED);
    let mut check = |kind, exempt, expected: Option<NotTurned>| {
        let gap = Duration::from_millis(100);
        let run = two_threads(random.next(), 4, gap, kind, exempt);
        assert_eq!(run.twice, 0, "{kind:?}");
        assert_eq!(turns(&run) > 0, expected.is_none(), "{kind:?}: turns");
        if expected.is_some() {
            assert_eq!(refused_because(&run), expected, "{kind:?}");
        }
    };
    check(Kind::Modern, false, None);
    check(Kind::Old, false, Some(NotTurned::OldClient));
    check(Kind::OwnName, false, Some(NotTurned::OwnName));
    let elsewhere = Some(NotTurned::NoPositionYet);
    check(Kind::PositionsElsewhere, false, elsewhere);
    check(Kind::PositionsElsewhere, true, None);
    check(Kind::AcknowledgesEvery(1), false, None);
}

#[test]
fn whoever_acknowledges_by_hand_reads_nothing_again_that_it_acknowledged() {
    let (_replay, mut random) = seeded(SEED);
    let (mut read, mut again) = (0, 0);
    for batches in [2, 5, 20, 100] {
        let kind = Kind::AcknowledgesEvery(batches);
        for partitions in [4, 8, 8, 8, 8, 16] {
            for gap in [100, 100, 30, 1000] {
                let gap = Duration::from_millis(gap);
                let run = two_threads(random.next(), partitions, gap, kind, false);
                assert_eq!(
                    run.twice, 0,
                    "one batch in {batches}, {partitions} partitions, a message in {gap:?}"
                );
                read += run.waited.len() as u64;
                again += run.again;
            }
        }
    }
    // For a few seconds it may look like one that acknowledges by itself.
    assert!(
        again * 100 <= read,
        "{again} of {read} messages were read again"
    );
}

/// It may be led back just when it tells its positions; that is not acknowledging by hand.
#[test]
fn whoever_acknowledges_by_itself_is_never_taken_for_one_that_does_not() {
    let (_replay, mut random) = seeded(SEED);
    for partitions in [8, 32, 128, 128, 128] {
        let gap = Duration::from_millis(300);
        let run = two_threads(random.next(), partitions, gap, Kind::Modern, false);
        let refused = refused_because(&run);
        assert_ne!(refused, Some(NotTurned::ComesBackInside));
        assert_ne!(refused, Some(NotTurned::LatePosition));
        assert!(turns(&run) > 400, "{} turns", turns(&run));
    }
}
