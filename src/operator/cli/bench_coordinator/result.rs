//! What came out, for people and for programs.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::Load;
use super::{BenchCoordinator, Operation};
use crate::units::counted;
use crate::wire::zookeeper::error_code;

/// The quantiles told, by the names they are told with.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999)];

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measured {
    server: String,
    operation: &'static str,
    connections: u32,
    in_flight: u32,
    size_bytes: u32,
    seconds: f64,
    requests: u64,
    errors: u64,
    first_error: Option<i32>,
    /// Microseconds: those of [`QUANTILES`], then the largest.
    latency_us: [f64; 4],
}

impl Measured {
    pub(super) fn new(bench: &BenchCoordinator, server: String, load: &Load) -> Measured {
        let us = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e6;
        let [p50, p99, p99_9] =
            QUANTILES.map(|(_, quantile)| us(load.latency.value_at_quantile(quantile)));
        Measured {
            server,
            operation: match bench.operation {
                Operation::Set => "set",
                Operation::Get => "get",
                Operation::Create => "create",
            },
            connections: bench.connections,
            in_flight: bench.in_flight,
            size_bytes: bench.size,
            seconds: load.measured.as_secs_f64(),
            requests: load.latency.len(),
            errors: load.errors,
            first_error: load.first_error,
            latency_us: [p50, p99, p99_9, us(load.latency.max())],
        }
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let [p50, p99, p99_9, max] = self.latency_us;
        json!({
            "bench": "coordinator",
            "server": self.server,
            "operation": self.operation,
            "connections": self.connections,
            "in_flight": self.in_flight,
            "size_bytes": self.size_bytes,
            "seconds": self.seconds,
            "requests": self.requests,
            "errors": self.errors,
            "per_second": self.per_second(),
            "latency_us": { "p50": p50, "p99": p99, "p99_9": p99_9, "max": max },
        })
    }

    /// A measurement in which requests were refused measured something else.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.first_error {
            None => Ok(()),
            Some(number) => Err(anyhow::anyhow!(
                "refused: {} of {}, the first with {} ({number}); this is no measurement",
                self.errors,
                counted(self.requests, "requests"),
                error_code::name(number),
            )),
        }
    }

    fn per_second(&self) -> f64 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "a measurement has no fifteen digits"
        )]
        let requests = self.requests as f64;
        requests / self.seconds
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} {} B, {} x {} in flight, {} s, {}",
            self.operation,
            self.size_bytes,
            self.connections,
            self.in_flight,
            self.seconds,
            self.server
        )?;
        writeln!(f, "  {:>10.0} requests/s", self.per_second())?;
        for (name, us) in ["p50", "p99", "p99.9", "max"].iter().zip(self.latency_us) {
            writeln!(f, "  {:>10.3} ms {name}", us / 1000.0)?;
        }
        Ok(())
    }
}
