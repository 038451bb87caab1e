//! Whether a server does all that it is there for: what `/ready`, `chrysalis status` and the log say of it.

use crate::harness::deployment::{Deployment, START_LIMIT, Topic};
use crate::harness::metaq_wire::{self, Answer};
use crate::harness::process::eventually;
use crate::harness::server::{CHRYSALIS, Server, set_key};
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::{Body, Client, four_letter_word, op};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// For a session that is to last as long as its test.
const LONG_MS: i32 = 40_000;
/// Long enough to see that nothing comes, between two other looks.
const GLANCE: Duration = Duration::from_millis(10);

/// The first line and the body of the answer to a request on the web port.
fn ask(server: &Server, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.web()).expect("the web port serves");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let line = head.lines().next().expect("a first line");
    (line.to_owned(), body.to_owned())
}

/// What keeps the server from being ready; empty when it is.
fn obstacles(server: &Server) -> String {
    match ask(server, "/ready") {
        (line, body) if line.contains("200") => {
            assert_eq!(body, "ok\n");
            String::new()
        }
        (line, body) => {
            assert!(line.contains("503"), "{line}");
            body
        }
    }
}

fn wait_until_ready(server: &Server) {
    eventually("the server is ready", START_LIMIT, || {
        obstacles(server).is_empty()
    });
}

fn chrysalis(command: &str, server: &Server, arguments: &[&str]) -> Output {
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.args(command.split(' ')).arg(server.folder());
    let output = chrysalis.args(arguments).output();
    output.expect("the binary under test starts")
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server whose journal's next files are not where it makes them.
struct WithoutNextFile {
    server: Server,
    folder: PathBuf,
    away: PathBuf,
    client: Client,
}

impl WithoutNextFile {
    fn new() -> WithoutNextFile {
        let server = Server::start_with(&[("orders", 1)], |text| {
            set_key(text, "journal", "file_bytes", &(8 << 20).to_string());
        });
        wait_until_ready(&server);
        let mut client = Client::session(server.coordinator(), LONG_MS).0;
        client.create("/big", b"", 0).expect("it is made");
        let folder = server.folder().join("data/journal");
        let away = folder.with_extension("away");
        WithoutNextFile {
            server,
            folder,
            away,
            client,
        }
    }

    /// Moves the folder away and writes until a write is not answered.
    fn fill(&mut self) {
        fs::rename(&self.folder, &self.away).expect("move it");
        let write = Body::new().string("/big").bytes(&[7; 500_000]).int(-1);
        let mut answered = true;
        while answered {
            self.client.send(op::SET_DATA, &write);
            let (client, server) = (&mut self.client, &self.server);
            eventually("the write is answered, or waits", START_LIMIT, || {
                answered = !client.is_silent(GLANCE);
                answered || obstacles(server).contains("no write is answered")
            });
            if answered {
                assert_eq!(self.client.receive().expect("an answer").error, 0);
            }
        }
    }
}

/// Found by moving `data/journal` away under a running server: the write that needed the next file was never answered,
/// and nobody was told of anything.
#[test]
fn a_journal_file_that_cannot_be_made_is_told_of_and_made_when_it_can() {
    let mut it = WithoutNextFile::new();
    it.fill();
    let told = obstacles(&it.server);
    for part in [
        "its next file cannot be made",
        "data/journal/",
        "os error 2",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert!(said(&chrysalis("status", &it.server, &[])).contains("its next file cannot be made"));
    let silence = four_letter_word(it.server.coordinator(), "ruok");
    assert_eq!(silence.as_deref(), Some(""), "it is not in order");
    let mut producer = metaq_wire::Client::connect(it.server.broker());
    let (code, text) = producer.put("orders", 0, b"hello").expect_err("no room");
    assert_eq!(code, 500, "{text}");
    let log = it.server.process().log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let told_of =
        |line: &&str| line.contains("next file cannot be made") && line.contains("os error 2");
    assert!(
        errors.iter().all(told_of) && (1..=2).contains(&errors.len()),
        "one for each change: {errors:#?}"
    );

    fs::rename(&it.away, &it.folder).expect("move it back");
    assert_eq!(it.client.receive().expect("an answer at last").error, 0);
    wait_until_ready(&it.server);
    let imok = four_letter_word(it.server.coordinator(), "ruok");
    assert_eq!(imok.as_deref(), Some("imok"));
    producer.put("orders", 0, b"hello").expect("there is room");
    assert!(it.server.process().log().contains("writes go on"));
    it.server.restart();
    let mut client = Client::connect(it.server.coordinator());
    let (data, _) = client.get("/big", false).expect("it is there");
    assert_eq!(data.map(|data| data.len()), Some(500_000));
}

#[test]
fn a_server_that_can_write_nothing_stops_at_once() {
    let mut it = WithoutNextFile::new();
    it.fill();
    let status = it.server.process().terminate(Duration::from_secs(10));
    assert!(status.success(), "{status}");
    // Nothing that was answered is lost.
    fs::rename(&it.away, &it.folder).expect("move it back");
    it.server.resume();
    let mut client = Client::connect(it.server.coordinator());
    let (data, _) = client.get("/big", false).expect("it is there");
    assert_eq!(data.map(|data| data.len()), Some(500_000));
}

/// Found by moving `data/topics` away under a running server: it made another one without a word, and what was put before
/// and what was put after were never in the same folder again.
#[test]
fn a_topics_folder_that_is_gone_is_told_of_and_never_made_again() {
    let mut server = Server::start(&[("orders", 1), ("later", 1)]);
    wait_until_ready(&server);
    let mut producer = metaq_wire::Client::connect(server.broker());
    producer.put("orders", 0, b"before").expect("it is there");
    // The put is answered before the file is made, this one behind it.
    assert_eq!(producer.read_all("orders", 0).len(), 1);
    let folder = server.topics_folder();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away).expect("move it");
    // It needs a new file. The journal has it before that is found out.
    producer
        .put("later", 0, b"new")
        .expect("the journal has it");
    eventually("it is told", START_LIMIT, || !obstacles(&server).is_empty());
    let told = obstacles(&server);
    for part in [
        "a folder of message files is not there",
        "data/topics/later-0",
        "E0206",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    for topic in ["orders", "later"] {
        let (code, text) = producer.put(topic, 0, b"no").expect_err("it is gone");
        assert_eq!(code, 500, "{text}");
        assert!(text.contains("E0206"), "{text}");
    }
    assert!(!folder.exists(), "it is not made again");

    fs::rename(&away, &folder).expect("move it back");
    wait_until_ready(&server);
    producer.put("orders", 0, b"after").expect("it is back");
    let log = server.process().log();
    let errors = log.lines().filter(|line| line.contains("ERROR")).count();
    assert_eq!(errors, 1, "{log}");
    assert!(log.contains("puts go on"), "{log}");

    server.restart();
    let mut reader = metaq_wire::Client::connect(server.broker());
    let mut read = |topic| -> Vec<Vec<u8>> {
        let all = reader.read_all(topic, 0);
        all.into_iter()
            .map(|(_, record)| record.data.to_vec())
            .collect()
    };
    assert_eq!(read("orders"), [b"before".to_vec(), b"after".to_vec()]);
    assert_eq!(read("later"), [b"new".to_vec()]);
}

/// Files that are open can be written to wherever they are; a checkpoint must not take them for synced.
#[test]
fn a_partitions_folder_that_is_gone_is_found_by_a_stop_and_loses_nothing() {
    let mut server = Server::start(&[("orders", 1)]);
    wait_until_ready(&server);
    let mut producer = metaq_wire::Client::connect(server.broker());
    producer.put("orders", 0, b"before").expect("it is there");
    // The put is answered before the file is made, this one behind it.
    assert_eq!(producer.read_all("orders", 0).len(), 1);
    let folder = server.topics_folder().join("orders-0");
    fs::remove_dir_all(&folder).expect("remove it");
    producer
        .put("orders", 0, b"after")
        .expect("the journal has it");
    let status = server.process().terminate(Duration::from_secs(20));
    assert!(status.success(), "{status}");
    let log = server.process().log();
    assert!(log.contains("the broker's checkpoint is put off"), "{log}");
    assert!(!folder.exists());
    server.resume();
    let mut reader = metaq_wire::Client::connect(server.broker());
    assert_eq!(reader.read_all("orders", 0).len(), 2);
}

/// It was made anew, and with it gone for good: whoever moved it back moved it into the new one.
#[test]
fn a_start_without_the_topics_folder_is_refused_and_makes_none() {
    let mut server = Server::start(&[("orders", 1)]);
    let mut producer = metaq_wire::Client::connect(server.broker());
    producer.put("orders", 0, b"before").expect("it is there");
    server.stop();
    let folder = server.topics_folder();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away).expect("move it");
    let refused = server
        .command()
        .output()
        .expect("the binary under test starts");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    for part in ["E0206", "data/topics is gone", "--accept-loss"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!folder.exists(), "it is not made again");
    fs::rename(&away, &folder).expect("move it back");
    server.resume();
    let mut reader = metaq_wire::Client::connect(server.broker());
    assert_eq!(reader.read_all("orders", 0).len(), 1);
}

/// Only a folder that there was can be gone; and one that the configuration left out for a while is not forgotten.
#[test]
fn a_folder_of_topics_is_known_from_when_it_was_made_and_for_good() {
    let home = TempDir::new().expect("make a folder");
    let disk = home.path().join("disk");
    let folder = disk.join("topics");
    let extra = format!("\n[topics.extra]\nfolder = \"{}\"\n", folder.display());
    let mut server = Server::prepare(&home.path().join("server1"), &[("orders", 1)], |_| {});
    let file = server.folder().join("conf/server.toml");
    let without = fs::read_to_string(&file).expect("init writes it");
    let with = without.clone() + &extra;
    let refused = |server: &Server| {
        let output = server
            .command()
            .output()
            .expect("the binary under test starts");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    fs::write(&disk, "no folder").expect("write a file");
    fs::write(&file, &with).expect("write conf/server.toml");
    let text = refused(&server);
    assert!(!text.contains("E0206"), "{text}");
    fs::remove_file(&disk).expect("remove it");
    server.resume();
    server.stop();
    fs::write(&file, &without).expect("write conf/server.toml");
    server.resume();
    server.stop();
    fs::rename(&folder, disk.join("away")).expect("move it");
    fs::write(&file, &with).expect("write conf/server.toml");
    let text = refused(&server);
    assert!(text.contains("E0206"), "{text}");
    assert!(!folder.exists(), "it is not made again");
}

/// Found with 300 topics, which took ten seconds: a `produce` behind the `start` was told that there is no such topic.
#[test]
fn a_start_returns_when_clients_find_all_topics() {
    let home = TempDir::new().expect("make a folder");
    let name = |number| -> &str { String::leak(format!("topic{number}")) };
    let topics: Vec<Topic> = (0..300).map(|number| (name(number), 4)).collect();
    let server = Server::prepare(&home.path().join("server1"), &topics, |_| {});
    let started = said(&chrysalis("start", &server, &[]));
    let ready = obstacles(&server);
    let mut client = Client::connect(server.coordinator());
    let all = ["topics", "topics-pub", "topics-sub"].map(|layout| {
        let path = |topic: &Topic| format!("/meta/brokers/{layout}/{}/1-m", topic.0);
        let mut exists = |topic: &&Topic| client.exists(&path(topic), false).is_ok();
        topics.iter().filter(|topic| exists(topic)).count()
    });
    said(&chrysalis("stop", &server, &[]));
    assert_eq!(ready, "");
    assert!(!started.contains("not ready"), "{started}");
    assert_eq!(all, [300; 3]);
}

/// A ZooKeeper that is away keeps no broker from starting; whoever started it is told.
#[test]
fn a_start_without_zookeeper_says_that_clients_do_not_find_the_topics() {
    let home = TempDir::new().expect("make a folder");
    let zookeeper = Server::prepare(&home.path().join("zookeeper"), &[], |_| {});
    let connect = format!("\"{}\"", zookeeper.coordinator());
    let server = Server::prepare(&home.path().join("server1"), &[("orders", 1)], |text| {
        set_key(text, "coordinator", "enabled", "false");
        set_key(text, "zookeeper", "connect", &connect);
    });
    let started = said(&chrysalis("start", &server, &[]));
    let (health, _) = ask(&server, "/health");
    let ready = obstacles(&server);
    said(&chrysalis("stop", &server, &[]));
    assert!(
        started.contains(
            "not ready: clients do not find all topics in ZooKeeper: connect to ZooKeeper at"
        ),
        "{started}"
    );
    assert!(health.contains("200"), "{health}");
    assert!(ready.contains("clients do not find all topics"), "{ready}");
}

#[test]
fn damage_keeps_a_server_from_being_ready_until_it_is_passed_over() {
    let mut server = Server::start(&[("orders", 2)]);
    let mut client = metaq_wire::Client::connect(server.broker());
    let stored = client.put("orders", 1, b"hello");
    stored.expect("an open partition takes it");
    server.stop();
    let file = server
        .topics_folder()
        .join("orders-1/00000000000000000000.meta");
    let mut bytes = fs::read(&file).expect("the message is in it");
    *bytes.last_mut().expect("the message is in it") ^= 1;
    fs::write(&file, bytes).expect("damage it");
    server.resume();
    wait_until_ready(&server);
    let mut client = metaq_wire::Client::connect(server.broker());
    let Answer::Result { code, .. } = client.get("orders", 1, 0, 4096) else {
        panic!("damage is not served");
    };
    assert_eq!(code, 500);
    let told = obstacles(&server);
    assert!(told.contains("damage was found in orders-1"), "{told}");
    assert_eq!(value(&scrape(server.web()), "chrysalis_ready"), 0);
    let topics = said(&chrysalis("topic list", &server, &[]));
    assert!(topics.contains("1 partition damaged"), "{topics}");
    said(&chrysalis(
        "partition skip-damage",
        &server,
        &["orders", "1"],
    ));
    assert_eq!(obstacles(&server), "");
}

#[test]
fn closed_partitions_are_seen_wherever_one_looks() {
    let server = Server::start(&[("orders", 4)]);
    said(&chrysalis(
        "partition close",
        &server,
        &["orders", "1", "2"],
    ));
    let status = said(&chrysalis("status", &server, &[]));
    assert!(status.contains("closed: orders-1, orders-2"), "{status}");
    let topics = said(&chrysalis("topic list", &server, &[]));
    assert!(topics.contains("2 partitions closed"), "{topics}");
    let closed = || value(&scrape(server.web()), "chrysalis_broker_closed_partitions");
    assert_eq!(closed(), 2);
    said(&chrysalis("partition open", &server, &["orders"]));
    assert_eq!(closed(), 0);
    assert!(!said(&chrysalis("status", &server, &[])).contains("closed"));
}

#[test]
fn the_log_has_a_line_for_each_change_of_a_topic() {
    let mut server = Server::start(&[("orders", 2)]);
    let file = server.folder().join("conf/server.toml");
    let before = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, format!("{before}\n[topics.late]\n")).expect("write it");
    said(&chrysalis("reload", &server, &[]));
    fs::write(&file, before).expect("write it");
    said(&chrysalis("reload", &server, &[]));
    said(&chrysalis("partition close", &server, &["orders", "1"]));
    said(&chrysalis("partition open", &server, &["orders"]));
    let log = server.process().log();
    for (change, of) in [
        ("a topic is made", "late"),
        ("a topic is dropped", "late"),
        ("partitions are closed", "orders"),
        ("all partitions are open", "orders"),
        ("the broker serves", "topics=1"),
    ] {
        let told = log.lines().filter(|line| line.contains(change));
        let told: Vec<&str> = told.collect();
        assert!(
            told.len() == 1 && told[0].contains("INFO") && told[0].contains(of),
            "{change} {of}: {told:#?}"
        );
    }
}
