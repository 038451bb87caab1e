//! Runs in turn (A B A B), so that a busy minute of the machine meets both, and their medians.

use serde_json::Value;
use std::process::Command;

use crate::harness::server::CHRYSALIS;

/// How often each side is measured.
pub(crate) fn rounds() -> usize {
    from_environment("ROUNDS", 5)
}

/// How long one run takes, without warming up.
pub(crate) fn seconds() -> usize {
    from_environment("SECONDS", 5)
}

/// What is asked for by an environment variable.
pub(crate) fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: it is a number"))
    })
}

/// What `chrysalis bench` measured.
pub(crate) struct Run(Value);

impl Run {
    /// Runs `chrysalis bench` with these arguments, on a disk that has nothing left to write.
    pub(crate) fn of(arguments: &[&str]) -> Run {
        nix::unistd::sync();
        let output = Command::new(CHRYSALIS)
            .arg("bench")
            .args(arguments)
            .arg("--json")
            .output()
            .expect("the binary starts");
        assert!(
            output.status.success(),
            "chrysalis bench {arguments:?}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Run(serde_json::from_slice(&output.stdout).expect("--json prints JSON"))
    }

    /// The number at this JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        self.0
            .pointer(pointer)
            .and_then(Value::as_f64)
            .unwrap_or_else(|| panic!("no number at {pointer} in {}", self.0))
    }
}

/// Several runs of one server.
pub(crate) struct Series(pub(crate) Vec<Run>);

impl Series {
    /// Each side once in each round.
    pub(crate) fn in_turn<const SIDES: usize>(
        mut run: impl FnMut(usize) -> Run,
    ) -> [Series; SIDES] {
        let mut sides = [const { Series(Vec::new()) }; SIDES];
        for _ in 0..rounds() {
            for (side, series) in sides.iter_mut().enumerate() {
                series.0.push(run(side));
            }
        }
        sides
    }

    pub(crate) fn median(&self, pointer: &str) -> f64 {
        median(self.0.iter().map(|run| run.number(pointer)).collect())
    }
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.get(numbers.len() / 2) {
        Some(&upper) if numbers.len() % 2 == 1 => upper,
        Some(&upper) => f64::midpoint(numbers[numbers.len() / 2 - 1], upper),
        None => f64::NAN,
    }
}

/// Ours and the original's requests a second and latencies, and what one is of the other.
pub(crate) fn compare(unit: &str, ours: &Series, original: &Series) {
    compare_as(["ours", "original"], unit, ours, original);
}

/// The same of two sides with these names, of nine letters and less.
pub(crate) fn compare_as(sides: [&str; 2], unit: &str, ours: &Series, original: &Series) {
    for (side, series) in sides.into_iter().zip([ours, original]) {
        println!(
            "  {side:9} {:>11.0} {unit}/s   p50 {:>8.3} ms   p99 {:>8.3} ms   p99.9 {:>8.3} ms",
            series.median("/per_second"),
            series.median("/latency_us/p50") / 1e3,
            series.median("/latency_us/p99") / 1e3,
            series.median("/latency_us/p99_9") / 1e3,
        );
    }
    let ratio = |pointer| ours.median(pointer) / original.median(pointer);
    println!(
        "  ratio     {:>11.2}            p50 {:>8.2}      p99 {:>8.2}",
        ratio("/per_second"),
        ratio("/latency_us/p50"),
        ratio("/latency_us/p99"),
    );
}
