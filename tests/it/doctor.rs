//! `chrysalis doctor` at real servers, to which something real has happened: the first line names the cause, and the exit code
//! says how bad it is. What cannot be made to happen here is in the library's own tests, a fault for each check.

// Servers that do not start.
mod stopped;
// Servers that run.
mod running;
// Several that are one coordinator.
mod several;

use crate::harness::process::{Outcome, run_to_end};
use crate::harness::server::CHRYSALIS;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// It ends by then, whoever does not answer; this machine has more to do.
const LIMIT: Duration = Duration::from_secs(30);
/// What is found on some machines, whatever the server does.
const OF_THE_MACHINE: [&str; 8] = [
    "syncs-not-honest",
    "disk-slow",
    "memory-too-small",
    "memory-not-overcommitted",
    "io-uring-refused",
    "clock-unkept",
    "kernel-old",
    "connections-limited",
];

const BROKEN: i32 = 6;
const AT_RISK: i32 = 5;

/// What it says of the server in a folder.
fn doctor(folder: &Path) -> Outcome {
    examined(Command::new(CHRYSALIS).arg("doctor").arg(folder))
}

fn examined(command: &mut Command) -> Outcome {
    let began = Instant::now();
    let outcome = run_to_end(command, "", LIMIT);
    assert!(began.elapsed() < LIMIT);
    outcome
}

/// The findings, the worst first, without those of the machine.
fn findings(folder: &Path) -> Vec<Value> {
    let outcome = examined(
        Command::new(CHRYSALIS)
            .args(["doctor", "--json"])
            .arg(folder),
    );
    let told: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    let findings = told["servers"][0]["findings"]
        .as_array()
        .expect("a list")
        .iter();
    let own =
        findings.filter(|it| !OF_THE_MACHINE.contains(&it["name"].as_str().unwrap_or_default()));
    own.cloned().collect()
}

/// The names of these findings.
fn names(findings: &[Value]) -> Vec<&str> {
    findings
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect()
}

/// Asserts the exit code, and how the first line begins and what it has. Gives back all that was said.
#[track_caller]
fn assert_first(folder: &Path, code: i32, begins: &str, has: &str) -> String {
    let outcome = doctor(folder);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let first = outcome.stdout.lines().next().unwrap_or_default();
    let (_, first) = first.split_once(": ").expect("the server is named first");
    assert!(first.starts_with(begins) && first.contains(has), "{said}");
    assert_eq!(outcome.status.code(), Some(code), "{said}");
    assert_eq!(
        outcome.stderr, "",
        "what is wrong stands in the output alone"
    );
    said
}
