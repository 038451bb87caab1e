//! What the library's tests have in common: golden files, transcripts, the seed that a failing
//! test prints, and counts of what it met.

pub(crate) mod golden;
mod replay;
mod tally;
pub(crate) mod transcript;

pub(crate) use replay::Seeds;
pub(crate) use tally::Tally;

use crate::units::{Random, Seed};
use replay::{Replay, seed_or};

/// The randomness of a test, from `SEED` or this seed, with what names the seed if the test dies.
pub(crate) fn seeded(fixed: u64) -> (Replay, Random) {
    let seed = seed_or(fixed);
    (Replay::new(seed), Random::new(Seed(seed)))
}
