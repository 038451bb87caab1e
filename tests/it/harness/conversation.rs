//! The line protocol between a test and a conformance program it started (Java, Python): the program says
//! `@result`, `@measure`, `@time` or `@ask`, and gets an answer to what it asked.

use super::deployment::Deployment;
use super::lab::note;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs the program to its end, serving its requests from `deployment`.
///
/// # Panics
/// A scenario failed, or one of `expected` reported nothing, or the program says nothing for `silence`.
pub(crate) fn converse(
    command: &mut Command,
    log: &Path,
    deployment: &mut dyn Deployment,
    expected: &[&str],
    silence: Duration,
) {
    let errors = File::create(log).expect("make the log file");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let mut answers = child.stdin.take().expect("it was piped");
    let output = child.stdout.take().expect("it was piped");
    let (lines, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let mut results = BTreeMap::new();
    let mut timed_out = false;
    loop {
        let line = match said.recv_timeout(silence) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                timed_out = true;
                let _ = child.kill();
                break;
            }
        };
        if let Some(request) = line.strip_prefix("@ask ") {
            let answer = if deployment.carry_out(request) {
                "done"
            } else {
                "nobody here knows what that means"
            };
            writeln!(answers, "{answer}").expect("the program waits for the answer");
        } else if let Some(result) = line.strip_prefix("@result ") {
            let (name, outcome) = result.split_once(' ').unwrap_or((result, ""));
            results.insert(name.to_owned(), outcome.to_owned());
        } else if line.starts_with("@measure ") || line.starts_with("@time ") {
            note(&format!("{}: {line}", deployment.name()));
        }
    }
    let status = child.wait().expect("the program ends");
    let _ = reader.join();
    let mut complaints = Vec::new();
    for name in expected {
        match results.get(*name).map(String::as_str) {
            Some("ok") => {}
            Some(outcome) => complaints.push(format!("{name}: {outcome}")),
            None => complaints.push(format!("{name}: no result")),
        }
    }
    if timed_out {
        complaints.push(format!("the program said nothing for {silence:?}"));
    }
    if !complaints.is_empty() || !status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(80)..].join("\n");
        panic!(
            "against {} ({status}):\n  {}\n{tail}",
            deployment.name(),
            complaints.join("\n  ")
        );
    }
}
