//! Sending and reading with the commands and with the library, against our own server.

use crate::harness::command::{chrysalis, chrysalis_with};
use crate::harness::deployment::Deployment as _;
use crate::harness::metaq_wire;
use crate::harness::server::{CHRYSALIS, Server, set_key};
use chrysalis::client::metaq::{
    Client, Consumer, ConsumerOptions, Message, Received, Start, ZooKeeper,
};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_is_produced_is_consumed() {
    let server = Server::start(&[("test", 2)]);
    let sent = chrysalis(&server, &["produce", "test", "one", "two", "three"]);
    assert_eq!(sent.lines().count(), 3, "{sent}");
    chrysalis(
        &server,
        &["produce", "test", "--attribute", "urgent", "four"],
    );
    let read = chrysalis(&server, &["consume", "test"]);
    assert_eq!(sorted(&read), ["four", "one", "three", "two"]);
    let beside = chrysalis(&server, &["consume", "test", "--verbose"]);
    assert!(beside.contains(" [urgent] four\n"), "{beside}");
    assert_eq!(
        chrysalis(&server, &["consume", "test", "--max", "1"])
            .lines()
            .count(),
        1
    );
    assert_eq!(
        chrysalis(&server, &["consume", "test", "--from", "last"]),
        ""
    );
}

#[test]
fn lines_and_files_are_messages_byte_for_byte() {
    let server = Server::start(&[("test", 1)]);
    let lines: String = (0..3000).map(|line| format!("line {line}\n")).collect();
    let sent = chrysalis_with(&server, &["produce", "test", "--quiet"], lines.as_bytes());
    assert!(
        String::from_utf8_lossy(&sent.stdout).starts_with("3000 messages"),
        "{sent:?}"
    );
    // One partition: the order stays.
    assert_eq!(chrysalis(&server, &["consume", "test"]), lines);

    let end = chrysalis(&server, &["consume", "test", "--verbose"])
        .lines()
        .count();
    assert_eq!(end, 3000);
    let file = server.folder().join("bytes");
    std::fs::write(&file, b"a\nb\0\xff").expect("write a file");
    let path = file.to_str().expect("a plain path");
    let stored = chrysalis(&server, &["produce", "test", "--file", path, "--json"]);
    let stored: serde_json::Value = serde_json::from_str(&stored).expect("an object");
    let offset = stored["offset"].to_string();
    let read = chrysalis(&server, &["consume", "test", "--from", &offset, "--json"]);
    let read: serde_json::Value = serde_json::from_str(&read).expect("an object");
    assert_eq!(read["id"], stored["id"]);
    assert_eq!(read["payload_base64"], "YQpiAP8=");
}

#[test]
fn a_partition_can_be_chosen_with_and_without_its_broker() {
    let server = Server::start(&[("test", 4)]);
    let sent = chrysalis(&server, &["produce", "test", "--partition", "2", "two"]);
    assert!(sent.starts_with("test 1-2 offset 0 id "), "{sent}");
    chrysalis(&server, &["produce", "test", "--partition", "1-3", "three"]);
    assert_eq!(
        chrysalis(&server, &["consume", "test", "--partition", "3"]),
        "three\n"
    );
    assert_eq!(
        chrysalis(&server, &["consume", "test", "--partition", "1-2"]),
        "two\n"
    );
    let missing = chrysalis_with(&server, &["produce", "test", "--partition", "4", "x"], b"");
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(
        told.starts_with("E0303 send to test: no broker in ZooKeeper has partition 4"),
        "{told}"
    );
}

#[test]
fn a_mistyped_topic_is_told_at_once_and_leaves_no_trace() {
    let server = Server::start(&[("orders", 2)]);
    for command in ["produce", "consume"] {
        let mistyped = chrysalis_with(&server, &[command, "order"], b"x\n");
        let told = String::from_utf8_lossy(&mistyped.stderr);
        assert_eq!(mistyped.status.code(), Some(1), "{told}");
        let part = "no broker has topic order; did you mean orders? Nothing was done";
        assert!(told.starts_with("E0303 ") && told.contains(part), "{told}");
    }
    let nodes = chrysalis(&server, &["zk", "ls", "-R", "/meta"]);
    assert!(nodes.contains("/orders/") && !nodes.lines().any(|node| node.ends_with("/order")));
}

#[test]
fn a_broker_can_be_asked_without_zookeeper() {
    let server = Server::start(&[("test", 2)]);
    let broker = server.broker().to_string();
    let direct = |arguments: &[&str]| {
        let output = Command::new(CHRYSALIS)
            .args(arguments)
            .args(["--broker", &broker])
            .output();
        output.expect("the binary under test starts")
    };
    let sent = direct(&["produce", "test", "one", "two"]);
    assert!(sent.status.success(), "{sent:?}");
    let read = direct(&["consume", "test"]);
    assert_eq!(
        sorted(&String::from_utf8_lossy(&read.stdout)),
        ["one", "two"]
    );
    let wrong = direct(&["produce", "nosuch", "x"]);
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        told.starts_with("E0402 send to nosuch: ") && told.contains("do not accept"),
        "{told}"
    );
}

#[test]
fn a_group_goes_on_where_it_stopped() {
    let server = Server::start(&[("test", 2)]);
    chrysalis(&server, &["produce", "test", "one", "two", "three"]);
    let first = chrysalis(&server, &["consume", "test", "--group", "g", "--max", "2"]);
    let rest = chrysalis(&server, &["consume", "test", "--group", "g", "--max", "1"]);
    assert_eq!(sorted(&(first + &rest)), ["one", "three", "two"]);
}

fn describe(server: &Server, arguments: &[&str]) -> String {
    let mut command = Command::new(CHRYSALIS);
    command.args(["topic", "describe"]).arg(server.folder());
    let output = command.args(arguments).output();
    let output = output.expect("the binary under test starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn a_topic_is_described_with_its_settings_its_partitions_and_who_reads_it() {
    let server = Server::start_with(&[], |text| {
        text.push_str(
            "\n[topics.\"order-*\"]\nnum_partitions = 2\ndelete_policy = \"delete, 24h\"\n",
        );
        set_key(text, "broker", "delete_when", "\"0 30 4 * * ?\"");
    });
    let before = describe(&server, &["order-paid"]);
    let nothing_yet = "order-paid: 2 partitions, 0 messages, 0 B\n";
    assert!(before.starts_with(nothing_yet), "{before}");

    let mut sender = metaq_wire::Client::connect(server.broker());
    for _ in 0..3 {
        sender.put("order-paid", 1, b"hello").expect("it is taken");
    }
    // A get is answered from the file: then all of it is written.
    assert_eq!(sender.read_all("order-paid", 1).len(), 3);
    chrysalis(
        &server,
        &["consume", "order-paid", "--group", "billing", "--max", "2"],
    );
    let close = Command::new(CHRYSALIS)
        .args(["partition", "close"])
        .arg(server.folder())
        .args(["order-paid", "0"])
        .output();
    assert!(
        close
            .expect("the binary under test starts")
            .status
            .success()
    );

    let folder = server.topics_folder();
    let expected = format!(
        "order-paid: 2 partitions, 3 messages, 75 B
  num_partitions    2             [topics.\"order-*\"]
  delete_policy     delete, 24h   [topics.\"order-*\"]
  delete_when       0 30 4 * * ?  [broker]
  accept_publish    true          default
  accept_subscribe  true          default
  statistics        false         default
  folder            {}  default

PARTITION  STATE   FIRST  END  BYTES  MESSAGES  FILES  WAITING
        0  closed             0            0    0 B         0         0             0
        1  open               0           75   75 B         3         1             0

GROUP    PARTITION  OFFSET  BEHIND  WAITING  OWNER
billing          1      50    25 B             0  nobody
",
        folder.display()
    );
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let told = describe(&server, &["order-paid"]);
    assert_eq!(words(&told), words(&expected), "{told}");

    let json: serde_json::Value =
        serde_json::from_str(&describe(&server, &["order-paid", "--json"])).expect("it is JSON");
    assert_eq!(json["partitions"][0]["closed"], true);
    assert_eq!(json["partitions"][1]["max_offset"], 75);
    assert_eq!(json["consumers"][0]["behind_bytes"], 25);
}

#[test]
fn nobody_there_is_told_with_what_to_do() {
    let nobody = ["--zookeeper", "127.0.0.1:1"];
    for arguments in [["produce", "test", "x"].as_slice(), &["consume", "test"]] {
        let output = Command::new(CHRYSALIS)
            .args(arguments)
            .args(nobody)
            .output();
        let output = output.expect("the binary under test starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.starts_with("E0401 ") && told.contains("chrysalis start, in the server's folder"),
            "{told}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

fn client(server: &Server) -> Client {
    Client::with_zookeeper(ZooKeeper {
        session_timeout: Duration::from_secs(4),
        ..ZooKeeper::at(server.coordinator().to_string())
    })
}

fn member(client: &Client) -> Consumer {
    let options = ConsumerOptions {
        start: Start::First,
        ..ConsumerOptions::default()
    };
    client
        .consumer("group", &["test"], options)
        .expect("the names are good")
}

async fn next(consumer: &mut Consumer) -> Received {
    let message = tokio::time::timeout(LIMIT, consumer.next()).await;
    message
        .expect("a message comes in time")
        .expect("the consumer lives")
}

/// Reads until all numbers below `count` have come, to whichever consumer.
async fn all_numbers(consumers: &mut [&mut Consumer], count: u32) -> Vec<BTreeSet<i32>> {
    let mut missing: BTreeSet<String> = (0..count).map(|number| number.to_string()).collect();
    let mut partitions = vec![BTreeSet::new(); consumers.len()];
    let reading = async {
        while !missing.is_empty() {
            for (consumer, partitions) in consumers.iter_mut().zip(&mut partitions) {
                while let Some(message) = consumer.next_ready() {
                    missing.remove(std::str::from_utf8(&message.payload).expect("a number"));
                    partitions.insert(message.partition);
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("all messages come in time");
    partitions
}

fn numbers(count: u32) -> impl Iterator<Item = Message> {
    (0..count).map(|number| Message::from(number.to_string().as_str()))
}

async fn send_numbers(client: &Client, count: u32) {
    for outcome in client.producer().send_all("test", numbers(count)).await {
        outcome.expect("each message is stored");
    }
}

#[tokio::test]
async fn members_of_a_group_share_the_partitions_and_take_over_from_each_other() {
    let server = Server::start(&[("test", 4)]);
    let (client, other_client) = (client(&server), client(&server));
    let (mut one, mut other) = (member(&client), member(&other_client));
    // Until the second one has its share, everything may come to the first.
    let mut both = BTreeSet::new();
    while both.len() < 2 {
        send_numbers(&client, 100).await;
        let partitions = all_numbers(&mut [&mut one, &mut other], 100).await;
        both = partitions
            .into_iter()
            .filter(|partitions| partitions.len() == 2)
            .collect();
    }
    assert_eq!(
        both.iter().flatten().count(),
        4,
        "no partition is read twice: {both:?}"
    );
    other.close().await;
    send_numbers(&client, 100).await;
    let partitions = all_numbers(&mut [&mut one], 100).await;
    assert_eq!(
        partitions[0].len(),
        4,
        "the one that is left reads all of them"
    );
}

#[tokio::test]
async fn clients_go_on_after_the_server_has_restarted() {
    let mut server = Server::start(&[("test", 2)]);
    let client = client(&server);
    let producer = client.producer();
    let mut consumer = member(&client);
    producer
        .send("test", Message::from("before"))
        .await
        .expect("stored");
    assert_eq!(&next(&mut consumer).await.payload[..], b"before");
    server.kill();
    server.resume();
    let stored = async {
        loop {
            match producer.send("test", Message::from("after")).await {
                Ok(_) => return,
                Err(error) => assert!(error.is_temporary(), "{}", error.chain()),
            }
        }
    };
    tokio::time::timeout(LIMIT, stored)
        .await
        .expect("a send succeeds in time");
    loop {
        // The one before may come once more: its progress was not written when the server died.
        let message = next(&mut consumer).await;
        if &message.payload[..] == b"after" {
            break;
        }
        assert_eq!(&message.payload[..], b"before");
    }
}

#[tokio::test]
async fn a_message_larger_than_one_request_comes_whole() {
    let server = Server::start(&[("test", 1)]);
    let client = client(&server);
    let large = vec![7; 1_500_000];
    let message = Message::new(large.clone()).with_attribute("large");
    client
        .producer()
        .send("test", message)
        .await
        .expect("stored");
    let options = ConsumerOptions {
        fetch_bytes: 1000,
        ..ConsumerOptions::default()
    };
    let mut consumer = client
        .consumer("group", &["test"], options)
        .expect("the names are good");
    let message = next(&mut consumer).await;
    assert_eq!(message.attribute.as_deref(), Some("large"));
    assert!(message.payload == large);
}

#[test]
fn measurements_run_against_a_server_and_against_themselves() {
    let server = Server::start(&[("test", 4)]);
    let broker = server.broker().to_string();
    let folder = server.folder().to_str().expect("a plain path").to_string();
    let bench = |arguments: &[&str]| {
        let short = ["--seconds", "1", "--json"];
        let output = Command::new(CHRYSALIS)
            .arg("bench")
            .args(arguments)
            .args(short)
            .output();
        let output = output.expect("the binary under test starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("an object")
    };
    let at_server = ["--broker", &broker, "--warm-up", "0"];
    let put = bench(&[&["broker", "put", "--connections", "2"], &at_server[..]].concat());
    assert!(
        put["messages"].as_u64() > Some(0) && put["latency_us"]["p99"].is_number(),
        "{put}"
    );
    let get = bench(&[&["broker", "get", "--disk", &folder], &at_server[..]].concat());
    assert!(
        get["messages"].as_u64() > Some(0) && get["disk"]["writes"].is_array(),
        "{get}"
    );
    let latency = bench(&["broker", "latency", "--folder", &folder]);
    assert!(latency["received_us"]["p50"].is_number(), "{latency}");
    let ceiling = bench(&["broker", "put", "--ceiling", "--warm-up", "0"]);
    assert!(ceiling["messages"].as_u64() > Some(0), "{ceiling}");
    let ceiling = bench(&["broker", "get", "--ceiling", "--warm-up", "0"]);
    assert!(ceiling["messages"].as_u64() > Some(0), "{ceiling}");
    let disk = bench(&["disk", &folder]);
    assert_eq!(disk["writes"].as_array().map(Vec::len), Some(4), "{disk}");
}

/// Whoever makes the znodes and removes them has nothing to do meanwhile: its session was over before the end.
#[test]
fn a_measurement_of_the_coordinator_may_last_longer_than_a_session_without_a_word() {
    let server = Server::start_with(&[], |text| {
        set_key(text, "coordinator", "session_timeout_min_ms", "500");
        set_key(text, "coordinator", "session_timeout_max_ms", "500");
    });
    let brief = ["--seconds", "3", "--warm-up", "0"];
    chrysalis(&server, &[&["bench", "coordinator"], &brief[..]].concat());
    let left = chrysalis(&server, &["zk", "ls", "/"]);
    assert!(!left.contains("bench"), "{left}");
}
