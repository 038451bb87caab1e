//! The figures of docs/performance.md, measured through the public protocols, ours and the original in turn.
//!
//! `cargo bench --bench figures` measures all but `rare`, which takes half an hour; `cargo bench --bench figures --
//! put-pipelined get` measures those named, and `cargo test --bench figures -- turns` does so with a build for debugging.
//! `ROUNDS` (5) and `SECONDS` (5) say how often and how long; temporary folders are made in `TMPDIR`, whose disk is what is
//! measured. Every line is a median over the rounds. `ROWS=random-300,hot-300` and `SIDES=ours` choose rows and sides of
//! `turns` and `three-turns`, and `EACH=1` tells each of their messages.

#![allow(clippy::print_stdout, reason = "a benchmark tells its figures")]

// The servers and clients are those of the tests, which use more of them than the figures do.
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;

// A server that has nothing to do, and one that starts.
mod alone;
// Sessions, watches and znodes by the thousand, at three coordinators.
mod crowds;
// Three coordinators.
mod ensembles;
// A leader that ends.
mod failover;
// Messages: put, consume, and from end to end with the Java client.
mod messages;
// Runs in turn, and their medians.
mod rounds;
// Messages to consumers with fewer threads than partitions.
mod turns;
// The coordinator's operations.
mod znodes;

use harness::cluster::Cluster;
use std::fs;

/// A figure's name, what it measures, and how.
type Figure = (&'static str, &'static str, fn());

const FIGURES: [Figure; 25] = [
    ("put-pipelined", "put 1 KB, 8 connections x 64", || {
        messages::put(8, 64)
    }),
    ("put-parallel", "put 1 KB, 64 connections x 1", || {
        messages::put(64, 1)
    }),
    (
        "put-alone",
        "put 1 KB, one at a time, beside the disk",
        messages::put_alone,
    ),
    ("consume", "consume 1 KB from the start", messages::consume),
    (
        "latency",
        "end to end, Java client, a message a second",
        messages::latency,
    ),
    (
        RARE,
        "the same, a message every 3 minutes (half an hour)",
        messages::rare_latency,
    ),
    (
        "turns",
        "end to end, Java client with fewer threads than partitions",
        turns::measure,
    ),
    (
        "three-turns",
        "the same with its partitions on three brokers",
        turns::measure_three,
    ),
    ("set", "coordinator, set 100 B, 64 x 32", || {
        znodes::measure("set")
    }),
    ("get", "coordinator, get 100 B, 64 x 32", || {
        znodes::measure("get")
    }),
    ("create", "coordinator, create 100 B, 64 x 32", || {
        znodes::measure("create")
    }),
    (
        "three-set",
        "three coordinators, set 100 B, 64 x 32",
        || ensembles::measure("set", 64, 32),
    ),
    (
        "three-set-tls",
        "three coordinators, set 100 B, 64 x 32, with and without cluster.certificates",
        ensembles::measure_certificates,
    ),
    (
        "three-set-one",
        "three coordinators, set 100 B, 16 x 1",
        || ensembles::measure("set", 16, 1),
    ),
    (
        "three-set-alone",
        "three coordinators, set 100 B, one client, one at a time",
        || ensembles::measure("set", 1, 1),
    ),
    (
        "three-create",
        "three coordinators, create 100 B, 64 x 32",
        || ensembles::measure("create", 64, 32),
    ),
    (
        "three-get",
        "three coordinators, get 100 B, 64 x 32",
        || ensembles::measure("get", 64, 32),
    ),
    (
        "three-sessions",
        "three coordinators, 10,000 sessions connect at once",
        crowds::sessions,
    ),
    (
        "three-watches",
        "three coordinators, 1,000 clients watch 100 znodes, which all change",
        crowds::watches,
    ),
    (
        "three-million",
        "three coordinators, 1,000,000 znodes of 100 B: memory, and restarts",
        crowds::million,
    ),
    ("three-idle", "three servers without clients", crowds::idle),
    (
        "leader-killed",
        "three coordinators, their leader is killed",
        || failover::measure(Cluster::kill),
    ),
    (
        "leader-stopped",
        "three coordinators, their leader stops in good order",
        || failover::measure(Cluster::stop),
    ),
    ("idle", "a server without clients", alone::idle),
    (
        "start",
        "an empty folder until both ports serve",
        alone::start,
    ),
];

const RARE: &str = "rare";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, names): (Vec<&String>, Vec<&String>) = arguments
        .iter()
        .partition(|argument| argument.starts_with("--"));
    for name in &names {
        assert!(
            FIGURES.iter().any(|(known, ..)| known == name),
            "no figure {name}; there are {:?}",
            FIGURES.map(|(known, ..)| known)
        );
    }
    // Cargo says --bench when figures are wanted, and not when it only tries whether benchmarks start.
    if names.is_empty() && !flags.iter().any(|flag| *flag == "--bench") {
        return;
    }
    println!("{}", machine());
    for (name, what, measure) in FIGURES {
        let wanted = names.iter().any(|wanted| *wanted == name);
        if wanted || (names.is_empty() && name != RARE) {
            println!("\n{name}: {what}");
            measure();
        }
    }
}

/// What was measured on.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("unknown");
    format!(
        "{processors} cores of {model}, Linux {}, load average before: {load}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}
