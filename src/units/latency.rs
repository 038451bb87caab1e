//! How long things took: counts by bound, in plain integers.

use std::time::Duration;

/// The upper bounds of a latency histogram's buckets; what took longer is in one more.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 10_000_000,
];

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    counts: [u64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl LatencyHistogram {
    /// Counts one that took so long.
    #[inline]
    pub fn record(&mut self, took: Duration) {
        self.record_many(took, 1);
    }

    /// Counts so many that took so long each.
    #[inline]
    pub fn record_many(&mut self, took: Duration, many: u64) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < took_us);
        self.counts[bucket] += many;
        self.sum_us = self.sum_us.saturating_add(took_us.saturating_mul(many));
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many there are in each bucket; the last is of what exceeds all bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// What all of them took together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }
}
