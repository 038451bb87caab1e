//! Messages: our broker beside the Java broker in group-commit mode, each registered in its own coordinator.

use crate::harness::deployment::{Deployment, Topic};
use crate::harness::originals::Originals;
use crate::harness::server::Server;
use crate::rounds::{Run, Series, compare, median, rounds, seconds};
use crate::turns::java;

const TOPIC: &str = "figures";
/// All its partitions.
const ALL: [&str; 2] = ["--partitions", "4"];
const TOPICS: &[Topic] = &[
    (TOPIC, 4),
    // As many partitions as the Java client has threads on two cores, and twice as many.
    ("threads", 2),
    ("twice-threads", 4),
];

fn servers() -> (Server, Originals) {
    (Server::start(TOPICS), Originals::start_fast(TOPICS))
}

/// One run of puts of 1 KB.
fn run_puts(server: &dyn Deployment, connections: u32, in_flight: u32, more: &[&str]) -> Run {
    let broker = server.broker().to_string();
    let (connections, in_flight) = (connections.to_string(), in_flight.to_string());
    let seconds = seconds().to_string();
    let mut arguments = vec!["broker", "put", "--broker", &broker, "--topic", TOPIC];
    arguments.extend(["--connections", &connections, "--in-flight", &in_flight]);
    arguments.extend(["--seconds", &seconds]);
    arguments.extend(more);
    Run::of(&arguments)
}

pub(crate) fn put(connections: u32, in_flight: u32) {
    let (ours, originals) = servers();
    let sides: [&dyn Deployment; 2] = [&ours, &originals];
    // A JVM is slow until it has compiled what runs often.
    run_puts(&originals, connections, in_flight, &ALL);
    let [ours, original] =
        Series::in_turn(|side| run_puts(sides[side], connections, in_flight, &ALL));
    compare("messages", &ours, &original);
}

/// One put at a time, and in the same round one aligned write of the disk at a time.
pub(crate) fn put_alone() {
    let (ours, originals) = servers();
    let sides: [&dyn Deployment; 2] = [&ours, &originals];
    let folder = ours.folder().display().to_string();
    let [ours, original] = Series::in_turn(|side| {
        let more = ["--partitions", "1", "--disk", &folder];
        run_puts(
            sides[side],
            1,
            1,
            if side == 0 { &more } else { &more[..2] },
        )
    });
    compare("messages", &ours, &original);
    let disk = "/disk/writes/0/latency_us/p50";
    let of_the_disk = ours
        .0
        .iter()
        .map(|run| run.number("/latency_us/p50") / run.number(disk));
    println!(
        "  the disk's own 4 KiB O_DSYNC write: p50 {:.3} ms; a put takes {:.2} times that",
        ours.median(disk) / 1e3,
        median(of_the_disk.collect())
    );
}

/// Both hold some gigabytes and are read from the start again and again, out of the page cache.
pub(crate) fn consume() {
    const BYTES: f64 = 2e9;
    let (ours, originals) = servers();
    let sides: [&dyn Deployment; 2] = [&ours, &originals];
    for side in sides {
        let mut stored = 0.0;
        while stored < BYTES {
            let run = run_puts(side, 8, 64, &[&ALL[..], &["--warm-up", "0"]].concat());
            stored += run.number("/messages") * 1024.0;
        }
    }
    let read = |side: usize| {
        let (broker, seconds) = (sides[side].broker().to_string(), seconds().to_string());
        let mut arguments = vec!["broker", "get", "--broker", &broker, "--topic", TOPIC];
        arguments.extend(["--seconds", &seconds]);
        arguments.extend(ALL);
        Run::of(&arguments)
    };
    read(1);
    let [ours, original] = Series::in_turn(read);
    compare("messages", &ours, &original);
    for (side, series) in [("ours", &ours), ("original", &original)] {
        let rate = series.median("/bytes_per_second") / 1e6;
        println!("  {side:9} {rate:>11.0} MB/s");
    }
}

/// A message a second, from just before `sendMessage` to the listener's call, in the unmodified Java client.
pub(crate) fn latency() {
    let (ours, originals) = servers();
    let sides: [&dyn Deployment; 2] = [&ours, &originals];
    for round in 0..rounds().min(2) {
        for side in sides {
            // The original takes half a second for most, so that fewer tell as much.
            let count = if side.name() == "ours" { 100 } else { 20 };
            println!("  round {}, {}:", round + 1, side.name());
            java_latency(side, &[format!("latency:threads,1000,{count},0,0")]);
        }
    }
}

/// Ten messages, one every three minutes, to as many partitions as the client has threads, and to twice as many.
pub(crate) fn rare_latency() {
    let ours = Server::start(TOPICS);
    let scenarios =
        ["threads", "twice-threads"].map(|topic| format!("latency:{topic},180000,10,0,0"));
    java_latency(&ours, &scenarios);
}

/// Runs scenarios of `tests/conformance/java` at the same time, and prints what they measured.
fn java_latency(server: &dyn Deployment, scenarios: &[String]) {
    let (said, well) = java(server.coordinator(), server.broker(), scenarios);
    assert!(well, "the Java client:\n{said}");
    for line in said
        .lines()
        .filter_map(|line| line.strip_prefix("@measure"))
    {
        println!("   {line}");
    }
}
