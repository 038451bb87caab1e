//! Nothing acknowledged is lost: the journal on a disk that forgets, tears, rots and fails.
//!
//! `CHRYSALIS_TESTS=full` runs many more seeds. A failure prints the command that replays it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what replays a failure is printed"
)]

/// When a batch closes, how long it gets, and whose records go first.
mod batches;
/// Files whose checksums are right and whose numbers are not.
mod forged;
/// The journal under power cuts, damage and failing calls.
mod journal;
/// What must be remembered.
mod model;
/// What outlives the file it was written in, and what frees files.
mod reuse;
/// A journal on the simulated disk, driven by a seed.
mod world;

/// Names the seed if the test dies. Made before anything else in the test.
pub(crate) struct Replay {
    /// The test's path in the binary.
    pub(crate) test: &'static str,
    /// What it runs with.
    pub(crate) seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "replay: SEED={} cargo test --test it {}",
                self.seed, self.test
            );
        }
    }
}

/// The seeds of one test: so many from `SEED` on (from 0 without it), many more in the full suite. The one that
/// failed, given as `SEED`, comes first.
pub(crate) fn seeds(fast: u64, full: u64) -> std::ops::Range<u64> {
    let first = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0);
    let many = std::env::var("CHRYSALIS_TESTS").is_ok_and(|chosen| chosen == "full");
    first..first + if many { full } else { fast }
}
