//! Small numbers at random, the same in each run of a seed.

/// A small generator.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From this seed.
    pub(crate) fn from(seed: u64) -> Dice {
        Dice(seed)
    }

    /// From `SEED`, or a fixed one.
    pub(crate) fn new() -> Dice {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(1);
        Dice(seed)
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
