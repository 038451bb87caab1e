//! How long messages wait for a Java consumer, over all shapes of consumers and loads, beside what the original's
//! rules would make of the same load.

use std::time::Duration;

use super::java_client::{Habits, Run};
use crate::tests::seeded;
use crate::units::Random;

/// What a message may wait where nothing is in its way.
const SHORT: Duration = Duration::from_millis(5);
/// A turn takes three round trips.
const TURN: Duration = Duration::from_micros(1200);
/// One turn a consumer in so long.
const BUDGET: Duration = Duration::from_millis(2);
const NEVER: Duration = Duration::from_secs(1_000_000);

/// In which order messages go to partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    RoundRobin,
    /// Two producers, each with a round robin of its own.
    TwoRoundRobins,
    Random,
    /// Four of five go to one partition.
    Hot,
    /// Ten at once, then a pause of ten gaps.
    Burst,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    partitions: i32,
    threads: usize,
    gap: Duration,
    order: Order,
}

impl Cell {
    /// How long half of the messages may wait at most, where the budget of turns suffices: each message can take a
    /// turn of every other partition, and each thread gives them one after the other.
    fn bound(&self) -> Option<Duration> {
        let turns = u32::try_from(self.partitions).unwrap();
        let gap = if self.order == Order::Burst {
            self.gap * 10
        } else {
            self.gap
        };
        let rounds = turns.div_ceil(u32::try_from(self.threads).unwrap());
        (gap >= BUDGET * turns).then(|| (TURN * rounds).max(SHORT))
    }
}

#[derive(Clone, Copy, Debug)]
struct Waits {
    p50: Duration,
    p99: Duration,
    twice: u64,
    turns: u64,
}

fn measure(cell: Cell, seed: u64, messages: i32, held: bool) -> Waits {
    let Cell {
        partitions,
        threads,
        gap,
        order,
    } = cell;
    let mut run = Run::new(seed, partitions, &[threads], Habits::CALM, |options| {
        options.waiting.enabled = held;
    });
    let mut random = Random::new(crate::units::Seed(seed));
    // Each partition has been read from, and the positions were told.
    for partition in 0..partitions {
        run.put(partition, 50);
        run.pass(Duration::from_millis(20), NEVER);
    }
    run.pass(Duration::from_secs(20), NEVER);
    run.waited.clear();
    let turns = turns_of(&run);
    let second = partitions / 2;
    for nth in 0..messages {
        let partition = match order {
            Order::RoundRobin => nth % partitions,
            Order::TwoRoundRobins if nth % 2 == 0 => nth / 2 % partitions,
            Order::TwoRoundRobins => (nth / 2 + second) % partitions,
            Order::Hot if random.below(5) > 0 => 0,
            Order::Random | Order::Hot | Order::Burst => {
                i32::try_from(random.below(u64::try_from(partitions).unwrap())).unwrap()
            }
        };
        run.put(partition, 50);
        match order {
            Order::Burst if nth % 10 < 9 => {}
            Order::Burst => run.pass(gap * 10, NEVER),
            _ => {
                // Nothing of the world is as even as a counter.
                let jitter = u32::try_from(random.below(200)).unwrap();
                run.pass(gap * (900 + jitter) / 1000, NEVER);
            }
        }
    }
    let turns = turns_of(&run) - turns;
    run.pass(Duration::from_secs(30), NEVER);
    assert!(run.waiting.is_empty(), "{cell:?}: everything was received");
    let [p50, p99] = run.waited_at([50, 99]);
    Waits {
        p50,
        p99,
        twice: run.twice,
        turns,
    }
}

fn turns_of(run: &Run) -> u64 {
    let consumers = run.worlds[0].broker.status().consumers;
    consumers.iter().map(|one| one.turns).sum()
}

#[test]
fn a_message_waits_milliseconds_however_many_partitions_its_consumer_has() {
    let (_replay, mut random) = seeded(8_125);
    let full = std::env::var("CHRYSALIS_TESTS").is_ok_and(|value| value == "full");
    let mut cells = Vec::new();
    for partitions in [2, 4, 8, 32, 128] {
        for threads in [1, 2, 4, 8] {
            for gap in [10, 60, 300, 1000, 10_000, 60_000] {
                for order in [
                    Order::RoundRobin,
                    Order::TwoRoundRobins,
                    Order::Random,
                    Order::Hot,
                    Order::Burst,
                ] {
                    let gap = Duration::from_millis(gap);
                    cells.push(Cell {
                        partitions,
                        threads,
                        gap,
                        order,
                    });
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for cell in cells {
        let seed = random.next();
        // Of the many a few, other ones each time.
        if !full && random.below(20) > 0 {
            continue;
        }
        let messages = if cell.gap < Duration::from_secs(10) {
            100
        } else {
            40
        };
        let ours = measure(cell, seed, messages, true);
        let original = measure(cell, seed, messages, false);
        println!("{cell:?}\n  ours {ours:?}\n  original {original:?}");
        let better = ours.p50 <= original.p50.max(SHORT) && ours.p99 <= original.p99.max(SHORT);
        // In the client's own order the next message is mostly for a partition that is held.
        let needless = cell.order == Order::RoundRobin
            && ours.turns > u64::try_from(messages).unwrap() * 4
            && cell.gap * u32::try_from(cell.partitions).unwrap() < Duration::from_secs(8);
        if ours.twice > 0
            || !better
            || needless
            || cell.bound().is_some_and(|bound| ours.p50 > bound)
        {
            wrong.push((cell, ours, original));
        }
    }
    assert!(wrong.is_empty(), "{} cells: {wrong:#?}", wrong.len());
}
