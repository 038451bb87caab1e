//! The seed of a test with randomness: taken from `SEED`, or a fixed one, and printed if the test dies.

use crate::units::{Random, Seed};

/// Names the seed if the test dies. Made before anything else in the test.
pub(crate) struct Replay {
    test: String,
    seed: u64,
}

impl Replay {
    /// For the test of this name in the module with this path, with the randomness it has.
    pub(crate) fn new(module: &str, test: &str, seed: u64) -> (Replay, Random) {
        // The test runner does not name the crate.
        let module = module.split_once("::").map_or(module, |(_, path)| path);
        let test = format!("{module}::{test}");
        (Replay { test, seed }, Random::new(Seed(seed)))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Replay { test, seed } = self;
            eprintln!("replay: SEED={seed} cargo test --lib {test}");
        }
    }
}

/// `SEED`, or this one.
pub(crate) fn seed_or(fixed: u64) -> u64 {
    let asked = std::env::var("SEED").ok();
    asked.and_then(|seed| seed.parse().ok()).unwrap_or(fixed)
}
