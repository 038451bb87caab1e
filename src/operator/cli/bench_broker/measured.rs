//! What came out, for people and for programs.

use std::fmt;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde_json::{Value, json};

use crate::operator::cli::bench_disk::Baseline;
use crate::operator::cli::quantiles::Quantiles;

/// One measurement.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// What was measured.
    pub(super) title: String,
    /// What came out, a line each.
    pub(super) lines: Vec<String>,
    /// How long things took.
    pub(super) times: Vec<(&'static str, Quantiles)>,
    /// How much of a core this client used.
    pub(super) busy: f64,
    /// What the disk can do.
    pub(super) disk: Option<Baseline>,
    /// An object with what was asked and what came out, but for the fields above.
    pub(super) json: Value,
}

impl Measured {
    /// One object.
    pub(super) fn json(&self) -> Value {
        let mut object = self.json.clone();
        for (name, times) in &self.times {
            object[format!("{name}_us")] = times.json();
        }
        object["client_cores"] = json!(self.busy);
        if let Some(disk) = &self.disk {
            object["disk"] = disk.json();
        }
        object
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        for (name, times) in &self.times {
            writeln!(f, "  {name}: {times}")?;
        }
        writeln!(f, "  this client used {:.2} of a core", self.busy)?;
        match &self.disk {
            Some(disk) => write!(f, "{disk}"),
            None => Ok(()),
        }
    }
}

/// What this process uses of the processor.
pub(super) struct Cost {
    since: Instant,
    used: Duration,
}

impl Cost {
    pub(super) fn begin() -> Cost {
        Cost {
            since: Instant::now(),
            used: used(),
        }
    }

    /// The share of one core since the beginning.
    pub(super) fn end(&self) -> f64 {
        let used = used().saturating_sub(self.used).as_secs_f64();
        used / self.since.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Processor time of this thread: the load runs on it, an instant broker does not.
fn used() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    let time = |usage: &Usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        let micros = |seconds: i64, micros: i64| {
            let whole = seconds.saturating_mul(1_000_000).saturating_add(micros);
            Duration::from_micros(whole.unsigned_abs())
        };
        micros(user.tv_sec(), user.tv_usec()) + micros(system.tv_sec(), system.tv_usec())
    };
    usage.as_ref().map(time).unwrap_or_default()
}
