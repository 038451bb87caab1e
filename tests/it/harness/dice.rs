//! Small numbers at random, the same in each run of a seed.

use super::replay::{Replay, seed_or};

/// A small generator.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From this seed.
    pub(crate) fn from(seed: u64) -> Dice {
        Dice(seed)
    }

    /// From `SEED` or a fixed seed, with what names it if the test dies.
    pub(crate) fn seeded() -> (Replay, Dice) {
        let seed = seed_or(1);
        (Replay::new(seed), Dice(seed))
    }

    /// A number below `end`.
    pub(crate) fn roll(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.roll(256)).expect("below 256"))
            .collect()
    }
}
