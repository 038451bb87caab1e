//! How long a message takes to a Java consumer that has fewer fetch threads than partitions, and what waiting for it
//! costs: ours beside the originals, at the same time; and the same where its partitions are on three brokers of ours.

use std::net::SocketAddr;
use std::thread;

use tempfile::TempDir;

use crate::harness::cluster::Cluster;
use crate::harness::deployment::{Deployment, Topic};
use crate::harness::lab::maven::JavaProject;
use crate::harness::originals::{Originals, ZK_ROOT};
use crate::harness::server::Server;

/// Messages of one kind, in a topic of the row's name.
struct Row {
    name: &'static str,
    /// One of the orders that `Turns.java` knows.
    order: &'static str,
    gap_ms: u32,
    partitions: u32,
    threads: u32,
    messages: u32,
}

const fn row(
    name: &'static str,
    order: &'static str,
    gap_ms: u32,
    (partitions, threads): (u32, u32),
    messages: u32,
) -> Row {
    Row {
        name,
        order,
        gap_ms,
        partitions,
        threads,
        messages,
    }
}

const ROWS: [Row; 12] = [
    row("round-robin-1000", "round-robin", 1000, (4, 2), 25),
    row("round-robin-300", "round-robin", 300, (4, 2), 40),
    row("round-robin-60", "round-robin", 60, (4, 2), 60),
    row("random-1000", "random", 1000, (4, 2), 25),
    row("random-300", "random", 300, (4, 2), 40),
    row("random-60", "random", 60, (4, 2), 60),
    row("hot-300", "hot", 300, (4, 2), 40),
    // Ten at once, then a pause.
    row("burst-2000", "burst", 2000, (4, 2), 60),
    row("random-300-of-8", "random", 300, (8, 2), 40),
    row("random-100-of-8", "random", 100, (8, 2), 60),
    row("random-100-of-32", "random", 100, (32, 4), 60),
    // As many threads as partitions: nobody has to make room.
    row("random-300-of-2", "random", 300, (2, 2), 40),
];

/// A partition on each of three brokers.
const ROWS_OF_THREE: [Row; 8] = [
    row("three-round-robin-1000", "round-robin", 1000, (3, 1), 25),
    row("three-round-robin-50", "round-robin", 50, (3, 1), 200),
    row("three-round-robin-2", "round-robin", 2, (3, 1), 2000),
    row("three-random-1000", "random", 1000, (3, 1), 25),
    row("three-random-50", "random", 50, (3, 1), 200),
    row("three-all-1000", "round-robin", 1000, (3, 3), 25),
    row("three-all-50", "round-robin", 50, (3, 3), 200),
    row("three-all-2", "round-robin", 2, (3, 3), 2000),
];

/// One coordinator and broker, as the client knows them.
struct Side {
    name: &'static str,
    coordinator: SocketAddr,
    broker: SocketAddr,
    pids: Vec<String>,
}

/// The rows that `ROWS` names, or all, on the sides that `SIDES` names, or both; `EACH=1` tells every message.
pub(crate) fn measure() {
    let rows = chosen("ROWS", ROWS, |row| row.name);
    let names = chosen("SIDES", ["ours", "original"], |side| side);
    let topics: Vec<Topic> = rows.iter().map(|row| (row.name, row.partitions)).collect();
    let mut ours = names.contains(&"ours").then(|| Server::start(&topics));
    let mut originals = names
        .contains(&"original")
        .then(|| Originals::start_fast(&topics));
    let mut sides = Vec::new();
    if let Some(server) = &mut ours {
        let pid = server.process().pid();
        sides.push(Side::of(&*server, vec![pid.to_string()]));
    }
    if let Some(servers) = &mut originals {
        let pids = [
            servers.broker.process().pid(),
            servers.zookeeper.process().pid(),
        ];
        sides.push(Side::of(
            &*servers,
            pids.map(|pid| pid.to_string()).to_vec(),
        ));
    }
    tell_columns();
    for row in &rows {
        thread::scope(|scope| {
            let running: Vec<_> = sides
                .iter()
                .map(|side| scope.spawn(|| (side.name, side.run(row))))
                .collect();
            for running in running {
                let (side, said) = running.join().expect("a row is measured");
                tell(row, side, &said);
            }
        });
    }
}

/// The rows that `ROWS` names, or all, on three brokers that are one ensemble.
pub(crate) fn measure_three() {
    let rows = chosen("ROWS", ROWS_OF_THREE, |row| row.name);
    let topics: Vec<Topic> = rows.iter().map(|row| (row.name, 1)).collect();
    let mut cluster = Cluster::start_with(3, &topics, |_| {});
    let leader = cluster.leader();
    let pids = cluster.pids().map(|pid| pid.to_string()).collect();
    let side = Side {
        name: "ours",
        coordinator: cluster.address(leader),
        broker: cluster.server(leader).broker(),
        pids,
    };
    tell_columns();
    for row in &rows {
        tell(row, side.name, &side.run(row));
    }
}

fn tell_columns() {
    println!(
        "  {:22} {:9} {:>9} {:>9} {:>9} {:>5} {:>5} {:>8} {:>8}",
        "ms; share of a core", "", "p50", "p99", "slowest", "twice", "lost", "server", "client"
    );
}

/// What the environment names of all there is.
fn chosen<T, const COUNT: usize>(
    variable: &str,
    all: [T; COUNT],
    name: impl Fn(&T) -> &'static str,
) -> Vec<T> {
    let Ok(wanted) = std::env::var(variable) else {
        return Vec::from(all);
    };
    let known: Vec<&str> = all.iter().map(&name).collect();
    for wanted in wanted.split(',') {
        assert!(
            known.contains(&wanted),
            "{variable}: no {wanted}; there are {known:?}"
        );
    }
    all.into_iter()
        .filter(|one| wanted.split(',').any(|wanted| wanted == name(one)))
        .collect()
}

impl Side {
    fn of(deployment: &dyn Deployment, pids: Vec<String>) -> Side {
        Side {
            name: deployment.name(),
            coordinator: deployment.coordinator(),
            broker: deployment.broker(),
            pids,
        }
    }

    /// A consumer and a producer in a JVM of their own.
    fn run(&self, row: &Row) -> String {
        let scenario = format!(
            "turns:topic={},order={},gap={},threads={},count={},pids={},each=1",
            row.name,
            row.order,
            row.gap_ms,
            row.threads,
            row.messages,
            self.pids.join(":")
        );
        let (said, well) = java(self.coordinator, self.broker, &[scenario]);
        assert!(well, "{}: the Java client:\n{said}", row.name);
        said
    }
}

fn tell(row: &Row, side: &str, said: &str) {
    let measured = said
        .lines()
        .find(|line| line.starts_with("@measure"))
        .unwrap_or_else(|| panic!("{} {side}: nothing was measured:\n{said}", row.name));
    let value = |name: &str| {
        let mut values = measured.split(' ').filter_map(|pair| pair.split_once('='));
        values
            .find(|(key, _)| *key == name)
            .map_or("", |(_, it)| it)
    };
    println!(
        "  {:22} {side:9} {:>9} {:>9} {:>9} {:>5} {:>5} {:>8} {:>8}",
        row.name,
        value("p50_ms"),
        value("p99_ms"),
        value("max_ms"),
        value("twice"),
        value("lost"),
        value("server_cpu"),
        value("client_cpu"),
    );
    if std::env::var("EACH").is_ok() {
        for message in said
            .lines()
            .filter_map(|line| line.strip_prefix("@message "))
        {
            println!("    {side} {message}");
        }
    }
}

/// Runs scenarios of `tests/conformance/java` at the same time. Returns what the program wrote, and whether all went well.
pub(crate) fn java(
    coordinator: SocketAddr,
    broker: SocketAddr,
    scenarios: &[String],
) -> (String, bool) {
    let home = TempDir::new().expect("make a home for the client");
    let output = JavaProject::get()
        .command(home.path(), &[])
        .args([&coordinator.to_string(), ZK_ROOT, &broker.to_string()])
        .arg(scenarios.len().to_string())
        .args(scenarios)
        .output()
        .expect("java starts");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (said, output.status.success())
}
