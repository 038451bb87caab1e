//! The unmodified Java MetaQ client in every mode it has. The scenarios are in `tests/conformance/java`;
//! they run against the originals in the full suite, which proves the scenarios, and against ours always.

use crate::harness::command::json;
use crate::harness::conversation::converse;
use crate::harness::deployment::{Deployment, Topic};
use crate::harness::ensemble::{Beside, Ensemble};
use crate::harness::lab;
use crate::harness::lab::maven::{JavaProject, OLD_CLIENTS, OldClient};
use crate::harness::originals::{Originals, ZK_ROOT, ZooKeeper};
use crate::harness::server::{Server, set_key};
use serde_json::Value;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Every scenario has topics of its own, so that several can run at a time.
pub(super) const TOPICS: &[Topic] = &[
    ("send", 4),
    ("callback", 4),
    ("direct-send", 4),
    ("shared", 4),
    ("idle", 2),
    ("takeover", 4),
    ("groups", 4),
    ("broadcast", 4),
    ("attributes", 1),
    ("filter", 1),
    ("sizes", 1),
    ("over", 1),
    ("largest", 1),
    ("resume", 4),
    ("browser", 4),
    ("direct", 1),
    ("wrong", 2),
    ("special", 1),
    ("a-b_c@d", 1),
    ("UPPER%lower", 1),
    ("restart", 4),
    // As many partitions as the client has threads on two cores, and twice as many.
    ("threads", 2),
    ("twice-threads", 4),
    ("turns", 8),
];

/// Consumers with fewer threads than partitions, of each kind that a server might do wrong by, and one that is plain.
pub(super) const FEW_THREADS: &[&str] = &[
    "guard-manual-ack",
    "guard-late-ack",
    "guard-throwing",
    "guard-poison",
    "guard-executor",
    "guard-two-groups",
    "guard-broadcast",
    "guard-own-id",
    "guard-kill",
];
pub(super) const TURNS: &str = "turns:topic=turns,threads=2,order=random,gap=100,count=60";

/// The guards' topics have their names.
pub(super) const FEW_THREADS_TOPICS: &[Topic] = &[
    ("guard-manual-ack", 8),
    ("guard-late-ack", 8),
    ("guard-throwing", 8),
    ("guard-poison", 8),
    ("guard-executor", 8),
    ("guard-two-groups", 8),
    ("guard-broadcast", 8),
    ("guard-own-id", 8),
    ("guard-kill", 8),
    ("turns", 8),
];

/// How long a client may say nothing. The one that sends a message every 13 s says nothing for four and a half minutes.
const SILENCE_MAX: Duration = Duration::from_secs(450);

/// Scenarios that leave the servers alone and may run side by side.
pub(super) const PEACEFUL: &[&str] = &[
    "send",
    "send-callback",
    "send-direct",
    "two-share-four",
    "more-consumers-than-partitions",
    "take-over",
    "several-groups",
    "broadcast",
    "attributes",
    "client-filter",
    "sizes",
    "from-the-largest-offset",
    "topic-browser",
    "direct-get",
    "wrong-topic",
    "wrong-partition",
    "special-topics:a-b_c@d,UPPER%lower",
    "special-groups",
];

/// Not for the originals, which do not deliver a message of this size until another follows, and have no limit.
pub(super) const LARGE: &[&str] = &["large", "over-the-limit:4200000"];

pub(super) const RESTARTS: &[&str] = &["resume", "restart-while-sending", "kill-while-sending"];

/// A JVM that is soon there and small.
const QUICK: [&str; 2] = ["-Xmx512m", "-XX:TieredStopAtLevel=1"];
/// And one where the client closes no connection that it has just made: docs/compatibility.md.
const ON_ONE_PROCESSOR: [&str; 3] = [QUICK[0], QUICK[1], "-XX:ActiveProcessorCount=1"];

pub(super) fn run(deployment: &mut dyn Deployment, at_a_time: u32, scenarios: &[&str]) {
    run_with(&JavaProject::get(), deployment, at_a_time, scenarios);
}

pub(super) fn run_on_one_processor(deployment: &mut dyn Deployment, scenarios: &[&str]) {
    let java = JavaProject::get();
    run_in(&java, &ON_ONE_PROCESSOR, deployment, 1, scenarios);
}

fn run_with(
    java: &JavaProject,
    deployment: &mut dyn Deployment,
    at_a_time: u32,
    scenarios: &[&str],
) {
    run_in(java, &QUICK, deployment, at_a_time, scenarios);
}

fn run_in(
    java: &JavaProject,
    jvm: &[&str],
    deployment: &mut dyn Deployment,
    at_a_time: u32,
    scenarios: &[&str],
) {
    let home = TempDir::new().expect("make a home for the client");
    let names: Vec<&str> = scenarios
        .iter()
        .map(|s| s.split(':').next().unwrap_or(s))
        .collect();
    let mut command = java.command(home.path(), jvm);
    command
        .args([
            &deployment.coordinators(),
            ZK_ROOT,
            &deployment.broker().to_string(),
        ])
        .arg(at_a_time.to_string())
        .args(scenarios);
    converse(
        &mut command,
        &home.path().join("client.log"),
        deployment,
        &names,
        SILENCE_MAX,
    );
}

#[test]
fn the_java_client_works_in_every_mode() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut server = Server::start(TOPICS);
    run(&mut server, 4, PEACEFUL);
    run(&mut server, 1, LARGE);
}

/// Those that every run meets; the full suite has all. One that reads twice what it gets twice, and one that does not.
const OLD_CLIENTS_OF_THE_FAST_SUITE: [&str; 1] = ["1.4.5.1"];

fn old_clients() -> impl Iterator<Item = &'static OldClient> {
    let all = lab::is_full();
    OLD_CLIENTS
        .iter()
        .filter(move |client| all || OLD_CLIENTS_OF_THE_FAST_SUITE.contains(&client.version))
}

#[test]
fn the_clients_published_before_work_in_every_mode_they_have() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    for client in old_clients() {
        lab::note(&format!("client {}", client.version));
        let java = JavaProject::with(client);
        let mut server = Server::start(TOPICS);
        let scenarios: Vec<&str> = PEACEFUL
            .iter()
            .copied()
            .filter(|scenario| client.can(scenario))
            .collect();
        run_with(&java, &mut server, 4, &scenarios);
        run_with(&java, &mut server, 1, LARGE);
        run_with(&java, &mut server, 1, RESTARTS);
    }
}

/// Whatever the server does to wake a consumer in time, none may notice: each message comes as often as it would anyway, and no
/// position is stored that is beyond what was read.
#[test]
fn a_consumer_with_few_threads_reads_each_message_once() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    // Turns cost it nothing else: no message that comes after its first seconds takes the half second of a 404.
    let quick = format!("{TURNS},p50=150");
    read_with_few_threads(&JavaProject::get(), "true", &quick, |consumer| {
        consumer["turns"].as_u64() > Some(20) && consumer["threads"] == 2
    });
    if lab::is_full() {
        read_with_few_threads(&JavaProject::get(), "false", TURNS, |consumer| {
            gets_404s(consumer, "off")
        });
    }
    for client in old_clients() {
        lab::note(&format!("client {}", client.version));
        let java = JavaProject::with(client);
        // Version 1.4.6 passes over what it has read; up to 1.4.5.1 they read it again.
        match client.version {
            "1.4.6" => read_with_few_threads(&java, "true", TURNS, |consumer| {
                consumer["turns"].as_u64() > Some(20)
            }),
            _ => read_with_few_threads(&java, "true", TURNS, |consumer| {
                gets_404s(consumer, "old-client")
            }),
        }
    }
}

fn gets_404s(consumer: &Value, because: &str) -> bool {
    consumer["refused"].as_u64() > Some(0)
        && consumer["turns"] == 0
        && consumer["not_turned"]["code"] == because
}

/// Meanwhile `topic describe` shows the consumer of the plain topic as it is `seen`, and `status` has it in its sum.
fn read_with_few_threads(
    java: &JavaProject,
    turns: &str,
    plain: &str,
    seen: impl Fn(&Value) -> bool,
) {
    let mut server = Server::start_with(FEW_THREADS_TOPICS, |text| {
        set_key(text, "broker", "turns", turns);
    });
    let folder = server.folder().to_owned();
    let scenarios: Vec<&str> = FEW_THREADS.iter().copied().chain([plain]).collect();
    let at_a_time = u32::try_from(scenarios.len()).expect("a handful");
    thread::scope(|scope| {
        let reads = scope.spawn(|| run_with(java, &mut server, at_a_time, &scenarios));
        let mut shown = Value::Null;
        let mut is_seen = false;
        while !reads.is_finished() && !is_seen {
            shown = json(&["topic", "describe"], &folder, &["turns"])["few_threads"].take();
            is_seen = seen(&shown[0]) && shown[0]["partitions"] == 8;
            thread::sleep(Duration::from_millis(100));
        }
        let all = json(&["status"], &folder, &[])["broker"]["consumers"].take();
        if let Err(panic) = reads.join() {
            std::panic::resume_unwind(panic);
        }
        assert!(is_seen, "topic describe showed last: {shown}");
        assert!(all["few_threads"].as_u64() > Some(0), "{all}");
    });
}

#[test]
fn the_java_client_survives_restarts() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut server = Server::start(TOPICS);
    run(&mut server, 1, RESTARTS);
}

#[test]
fn the_java_client_sees_a_message_milliseconds_after_it_was_sent() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut server = Server::start(TOPICS);
    // The bound is the median's: a client that polls needs hundreds of milliseconds. What the slowest took is told and not
    // judged, because other tests load the machine; docs/performance.md has the figures.
    run(&mut server, 1, &["latency:threads,300,20,50,0"]);
    if lab::is_full() {
        run(&mut server, 1, &["latency:threads,13000,20,20,0"]);
        run(&mut server, 1, &["latency:twice-threads,13000,20,20,0"]);
    }
}

#[test]
fn the_java_client_sees_a_message_as_soon_beside_the_original_zookeeper() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let zookeeper = Ensemble::Original(ZooKeeper::start());
    let mut beside = Beside::start(zookeeper, TOPICS, |_| {});
    let latency = "latency:threads,1000,20,50,0";
    run(&mut beside, 1, &[latency]);
    // Its owners change, and ZooKeeper goes away in the middle and comes back.
    run(&mut beside, 1, &["take-over", "kill-while-sending"]);
    run(&mut beside, 1, &[latency]);
    // With fewer threads than partitions, too.
    run(&mut beside, 1, &["latency:twice-threads,1000,20,50,0"]);
    // And each once, in an order that takes turns.
    run(&mut beside, 1, &[&format!("{TURNS},p50=150")]);
}

#[test]
fn the_scenarios_hold_for_the_originals() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut originals = Originals::start(TOPICS);
    run(&mut originals, 4, PEACEFUL);
    run(&mut originals, 1, &["resume", "restart-while-sending"]);
    run(&mut originals, 1, &["latency:threads,1000,20,0,0"]);
}
