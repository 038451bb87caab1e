//! The seed of a test with randomness: taken from `SEED`, or a fixed one, and printed if the test dies.
//!
//! It stands by itself: the integration tests, which do not see the library's own, include this file too.

use std::ops::Range;

/// Names the seed if the test dies. Made before anything else in the test, on the test's own thread.
pub(crate) struct Replay {
    seed: u64,
}

impl Replay {
    pub(crate) fn new(seed: u64) -> Replay {
        Replay { seed }
    }

    /// What runs this test again with this seed.
    fn command(&self) -> String {
        let binary = match env!("CARGO_CRATE_NAME") {
            "chrysalis" => "--lib".to_owned(),
            name => format!("--test {name}"),
        };
        format!("SEED={} cargo test {binary} {}", self.seed, this_test())
    }
}

impl Drop for Replay {
    #[allow(
        clippy::print_stderr,
        reason = "a test's output is where its reader looks"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", self.command());
        }
    }
}

/// The path of the test that runs on this thread: the test runner gives the thread its name.
pub(crate) fn this_test() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or_default().to_owned()
}

/// `SEED`, or this one.
///
/// # Panics
/// `SEED` is no number.
pub(crate) fn seed_or(fixed: u64) -> u64 {
    match std::env::var("SEED") {
        Ok(asked) if !asked.is_empty() => asked.parse().expect("SEED is a number"),
        _ => fixed,
    }
}

/// Seeds one after the other, of which the one at hand is named if the test dies.
pub(crate) struct Seeds {
    left: Range<u64>,
    replay: Replay,
}

impl Seeds {
    /// So many, from `SEED` or this one on: the one that failed, given as `SEED`, comes first.
    pub(crate) fn from(fixed: u64, count: u64) -> Seeds {
        let first = seed_or(fixed);
        Seeds {
            left: first..first + count,
            replay: Replay::new(first),
        }
    }
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let seed = self.left.next()?;
        self.replay.seed = seed;
        Some(seed)
    }
}

#[test]
fn a_test_that_dies_says_what_runs_it_again() {
    let (krate, module) = module_path!()
        .split_once("::")
        .expect("a module of a crate");
    let binary = if krate == "chrysalis" {
        "--lib"
    } else {
        "--test it"
    };
    let test = format!("{module}::a_test_that_dies_says_what_runs_it_again");
    let mut seeds = Seeds {
        left: 7..9,
        replay: Replay::new(7),
    };
    for seed in [7, 8] {
        assert_eq!(seeds.next(), Some(seed));
        let command = seeds.replay.command();
        assert_eq!(command, format!("SEED={seed} cargo test {binary} {test}"));
    }
    assert_eq!(seeds.next(), None);
}
