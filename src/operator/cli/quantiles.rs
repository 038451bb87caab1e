//! How long things took: what is told of a distribution.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The longest time that is told apart, in nanoseconds.
const NANOS_MAX: u64 = 100_000_000_000;

/// Collected times.
#[derive(Clone, Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    /// None yet.
    pub(super) fn new() -> Times {
        Times(Histogram::new_with_max(NANOS_MAX, 3).expect("the bounds are good ones"))
    }

    /// One more.
    pub(super) fn record(&mut self, time: Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Those of somebody else as well.
    pub(super) fn add(&mut self, other: &Times) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What is told of them.
    pub(super) fn quantiles(&self) -> Quantiles {
        let at = |quantile| Duration::from_nanos(self.0.value_at_quantile(quantile));
        Quantiles {
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: Duration::from_nanos(self.0.max()),
        }
    }
}

/// What is told of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) p99_9: Duration,
    pub(super) max: Duration,
}

impl Quantiles {
    /// One object, in microseconds.
    pub(super) fn json(&self) -> Value {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        json!({
            "p50": us(self.p50), "p99": us(self.p99), "p99_9": us(self.p99_9), "max": us(self.max),
        })
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (p50, p99, p99_9, max) = (ms(self.p50), ms(self.p99), ms(self.p99_9), ms(self.max));
        write!(
            f,
            "p50 {p50:.3} ms, p99 {p99:.3} ms, p99.9 {p99_9:.3} ms, max {max:.3} ms"
        )
    }
}

/// How many a second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a measurement has no fifteen digits"
    )]
    let count = count as f64;
    count / time.as_secs_f64().max(f64::MIN_POSITIVE)
}
