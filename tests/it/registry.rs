//! The broker's registration against a ZooKeeper that is late, goes away, stands still, forgets, or has
//! something else in the place: a second server of ours, and the original.

use crate::harness::command::status;
use crate::harness::deployment::{Deployment as _, START_LIMIT};
use crate::harness::ensemble::{Ensemble, against_the_original, prepare_broker};
use crate::harness::lab;
use crate::harness::metaq_wire::{self, Answer};
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::process::eventually;
use crate::harness::roaming::Roamer;
use crate::harness::server::{CHRYSALIS, Server, set_text};
use crate::harness::zookeeper_wire::{Body, Client, four_letter_word, op};
use nix::sys::signal::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use tempfile::TempDir;

/// For a session that is to last as long as its test.
const LONG_MS: i32 = 40_000;
/// It goes with a session.
const EPHEMERAL: i32 = 1;

const MASTER: &str = "/meta/brokers/ids/2/master";
const CONTAINER: &str = "/meta/brokers/ids/2";

/// A broker with two topics, and no coordinator of its own.
fn start_broker(home: &TempDir, zookeeper: SocketAddr) -> Server {
    let topics = [("orders", 3), ("test", 1)];
    let mut broker = prepare_broker(home, zookeeper, &topics, |_| {});
    broker.resume();
    broker
}

fn home() -> TempDir {
    TempDir::new().expect("make a folder")
}

/// Everything that clients of any age look for, by path.
fn expected(broker: &Server) -> BTreeMap<String, String> {
    let url = format!("meta://127.0.0.1:{}", broker.broker().port());
    // It is that of the configuration as the broker gives it to its slaves.
    let mut client = metaq_wire::Client::connect(broker.broker());
    let Answer::Result { text, .. } = client.call("stats config", b"") else {
        panic!("it is text");
    };
    let checksum = crc32fast::hash(text.as_bytes());
    let mut nodes = BTreeMap::from([
        (CONTAINER.to_owned(), url.clone()),
        (MASTER.to_owned(), url),
        (
            format!("{CONTAINER}/master_config_checksum"),
            checksum.to_string(),
        ),
    ]);
    for (topic, partitions) in [("orders", 3), ("test", 1)] {
        let json = format!(r#"{{"numParts":{partitions},"broker":"2-m"}}"#);
        let node = |layout: &str| format!("/meta/brokers/{layout}/{topic}/2-m");
        nodes.insert(node("topics"), partitions.to_string());
        nodes.insert(node("topics-pub"), json.clone());
        nodes.insert(node("topics-sub"), json);
    }
    nodes
}

/// The one session with which all of it goes, if it is all there as it should be. Nothing, too, from a server of an
/// ensemble that hangs up because it has lost its leader.
fn registered(zookeeper: SocketAddr, expected: &BTreeMap<String, String>) -> Option<i64> {
    let mut client = Roamer::new(vec![zookeeper], 0, 10_000);
    let mut owner = |path: &str, content: &str| {
        let body = Body::new().string(path).bool(false);
        let reply = client.call(op::GET_DATA, &body).ok()?;
        let mut reader = reply.reader();
        let is_right = reply.error == 0 && reader.bytes().as_deref() == Some(content.as_bytes());
        is_right.then(|| reader.stat().ephemeral_owner)
    };
    let owners: Option<BTreeSet<i64>> = expected
        .iter()
        .map(|(path, content)| Some((path, owner(path, content)?)))
        // It has children, so it goes with no session.
        .filter(|node| node.is_none_or(|(path, _)| path != CONTAINER))
        .map(|node| node.map(|(_, owner)| owner))
        .collect();
    // Where it is lost, its session ends by itself.
    let _closed = client.call(op::CLOSE, &Body::new());
    let mut owners = owners?;
    let owner = owners.pop_first()?;
    (owners.is_empty() && owner != 0).then_some(owner)
}

/// Waits until all of it goes with one session for which `is_it` holds.
fn wait_until_registered(
    zookeeper: SocketAddr,
    broker: &mut Server,
    is_it: impl Fn(i64) -> bool,
) -> i64 {
    let expected = expected(broker);
    let mut owner = None;
    broker.process().wait_until("registered", START_LIMIT, || {
        owner = registered(zookeeper, &expected).filter(|&owner| is_it(owner));
        owner.is_some()
    });
    owner.expect("waited for")
}

/// Waits until this session has ended and all that went with it is gone; the registration is still whole.
fn outlive(zookeeper: SocketAddr, broker: &mut Server, session: i64) {
    let name = format!("{session:#x}");
    eventually("the old session has expired", START_LIMIT, || {
        !four_letter_word(zookeeper, "dump")
            .expect("it is asked")
            .contains(&name)
    });
    wait_until_registered(zookeeper, broker, |owner| owner != session);
}

/// Until the status says this of the registration; all that it says then.
fn wait_for_status(broker: &Server, part: &str) -> String {
    let mut said = String::new();
    let what = format!("the status of the registration has {part:?}");
    eventually(&what, START_LIMIT, || {
        said = status(broker)["broker"]["registration"].to_string();
        said.contains(part)
    });
    said
}

/// Clients that know where the broker is do not notice anything.
fn assert_serves(broker: &Server) {
    let mut client = metaq_wire::Client::connect(broker.broker());
    client.put("test", 0, b"hello").expect("a put is taken");
}

fn contents(client: &mut Client, path: &str) -> Option<String> {
    let (data, _) = client.get(path, false).ok()?;
    Some(String::from_utf8(data.unwrap_or_default()).expect("it is text"))
}

fn goes_away_and_comes_back(mut zookeeper: Ensemble) {
    let home = home();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    wait_until_registered(address, &mut broker, |_| true);
    zookeeper.stop();
    wait_for_status(&broker, "trying");
    assert_serves(&broker);
    zookeeper.resume();
    wait_until_registered(address, &mut broker, |_| true);
    wait_for_status(&broker, "registered");
}

fn stands_still_until_the_session_is_over(mut zookeeper: Ensemble) {
    let home = home();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    let before = wait_until_registered(address, &mut broker, |_| true);
    zookeeper.process().signal(Signal::SIGSTOP);
    broker
        .process()
        .wait_until("without a session", START_LIMIT, || {
            fs::read_to_string(home.path().join("broker.log"))
                .is_ok_and(|log| log.contains("registry session ended"))
        });
    assert_serves(&broker);
    zookeeper.process().signal(Signal::SIGCONT);
    wait_until_registered(address, &mut broker, |owner| owner != before);
    outlive(address, &mut broker, before);
}

fn an_earlier_process_left_its_nodes(zookeeper: Ensemble) {
    let home = home();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    let before = wait_until_registered(address, &mut broker, |_| true);
    broker.kill_and_restart();
    wait_until_registered(address, &mut broker, |owner| owner != before);
    outlive(address, &mut broker, before);
}

fn somebody_deletes_nodes(zookeeper: Ensemble) {
    let home = home();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    let owner = wait_until_registered(address, &mut broker, |_| true);
    let mut client = Client::session(address, LONG_MS).0;
    for path in expected(&broker).keys().filter(|path| *path != CONTAINER) {
        assert_eq!(client.delete(path, -1), 0, "{path}");
    }
    wait_until_registered(address, &mut broker, |again| again == owner);
    // Even the folder that all brokers are in.
    let path = "/meta/brokers/topics-sub/test";
    assert_eq!(client.delete(&format!("{path}/2-m"), -1), 0);
    let folder = client.delete(path, -1);
    // It may have been faster.
    assert!(folder == 0 || folder == -111, "{folder}");
    wait_until_registered(address, &mut broker, |again| again == owner);
    // Or writes something else there.
    let body = Body::new().string(&format!("{path}/2-m"));
    assert_eq!(
        client.call(op::SET_DATA, &body.bytes(b"7").int(-1)).error,
        0
    );
    wait_until_registered(address, &mut broker, |again| again == owner);
}

#[test]
fn a_broker_registers_when_its_zookeeper_appears() {
    let home = home();
    let mut zookeeper = Server::prepare(&home.path().join("zookeeper"), &[], |_| {});
    let address = zookeeper.coordinator();
    let mut broker = start_broker(&home, address);
    assert_serves(&broker);
    wait_for_status(&broker, &format!("connect to ZooKeeper at {address}"));
    zookeeper.resume();
    wait_until_registered(address, &mut broker, |_| true);
    wait_for_status(&broker, "registered");
}

#[test]
fn a_broker_stops_in_order_without_its_zookeeper() {
    let home = home();
    let zookeeper = Server::prepare(&home.path().join("zookeeper"), &[], |_| {});
    let mut broker = start_broker(&home, zookeeper.coordinator());
    assert_serves(&broker);
    broker.stop();
}

#[test]
fn a_registration_is_whole_when_zookeeper_was_away() {
    goes_away_and_comes_back(Ensemble::ours());
}

#[test]
fn a_registration_is_whole_when_the_original_was_away() {
    against_the_original(goes_away_and_comes_back);
}

/// Whichever of the three has the broker's session.
#[test]
fn a_registration_outlives_each_of_three_originals() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut zookeepers = ZooKeepers::start(Jvm::Quick);
    let addresses = zookeepers.addresses();
    let home = home();
    let topics = [("orders", 3), ("test", 1)];
    let mut broker = prepare_broker(&home, addresses[0], &topics, |config| {
        let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        set_text(config, "zookeeper", "connect", &all.join(","));
    });
    broker.resume();
    for gone in 0..addresses.len() {
        zookeepers.server(gone).stop();
        let left = addresses.iter().filter(|it| **it != addresses[gone]);
        let left: Vec<SocketAddr> = left.copied().collect();
        let session = wait_until_registered(left[0], &mut broker, |_| true);
        // It was with the one that is gone, or never noticed anything.
        let name = format!("sid={session:#x}");
        eventually("the session is with another server", START_LIMIT, || {
            let connections = |it: &SocketAddr| four_letter_word(*it, "cons");
            left.iter()
                .filter_map(connections)
                .any(|text| text.contains(&name))
        });
        assert_serves(&broker);
        zookeepers.server(gone).resume();
    }
}

#[test]
fn a_registration_is_made_anew_after_its_session() {
    stands_still_until_the_session_is_over(Ensemble::ours());
}

#[test]
fn a_registration_is_made_anew_after_its_session_in_the_original() {
    against_the_original(stands_still_until_the_session_is_over);
}

#[test]
fn what_an_earlier_process_left_is_taken_over() {
    an_earlier_process_left_its_nodes(Ensemble::ours());
}

#[test]
fn what_an_earlier_process_left_in_the_original_is_taken_over() {
    against_the_original(an_earlier_process_left_its_nodes);
}

#[test]
fn nodes_that_somebody_deleted_come_back() {
    somebody_deletes_nodes(Ensemble::ours());
}

#[test]
fn nodes_that_somebody_deleted_in_the_original_come_back() {
    against_the_original(somebody_deletes_nodes);
}

/// Claims the broker's id for this URL, whoever has it.
fn take_place(client: &mut Client, url: &str) {
    // The broker may be faster, and have it again.
    while client.create(MASTER, url.as_bytes(), EPHEMERAL).is_err() {
        client.delete(MASTER, -1);
    }
}

/// Another broker's registration as far as clients need it, with a session of its own.
fn foreign_broker(zookeeper: SocketAddr) -> (Client, i64) {
    let (mut foreign, welcome) = Client::session(zookeeper, LONG_MS);
    for path in ["/meta", "/meta/brokers", "/meta/brokers/ids", CONTAINER] {
        // The folders may be there already.
        let _ = foreign.create(path, b"", 0);
    }
    take_place(&mut foreign, "meta://elsewhere:8123");
    let body = Body::new()
        .string(CONTAINER)
        .bytes(b"meta://elsewhere:8123");
    assert_eq!(foreign.call(op::SET_DATA, &body.int(-1)).error, 0);
    (foreign, welcome.session)
}

#[test]
fn another_broker_with_the_same_id_is_named_and_not_disturbed() {
    let home = home();
    let zookeeper = Ensemble::ours();
    let address = zookeeper.address();
    let (mut foreign, session) = foreign_broker(address);
    let mut broker = start_broker(&home, address);
    assert_serves(&broker);
    let said = wait_for_status(&broker, "meta://elsewhere:8123");
    for part in [
        MASTER,
        &format!("{session:#x}"),
        "another broker has this id",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert_eq!(
        foreign.children("/meta/brokers", false),
        Ok(vec!["ids".to_owned()]),
        "nothing is registered for a broker that clients would take for the other"
    );
    // It also leaves the other alone when it goes.
    broker.stop();
    for path in [MASTER, CONTAINER] {
        let found = contents(&mut foreign, path);
        assert_eq!(found.as_deref(), Some("meta://elsewhere:8123"), "{path}");
    }
    broker.resume();
    wait_for_status(&broker, "meta://elsewhere:8123");
    foreign.close();
    wait_until_registered(address, &mut broker, |_| true);
}

#[test]
fn a_broker_whose_place_was_taken_steps_back_until_it_is_free() {
    let home = home();
    let zookeeper = Ensemble::ours();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    let own = wait_until_registered(address, &mut broker, |_| true);
    let (mut foreign, _) = foreign_broker(address);
    wait_for_status(&broker, "meta://elsewhere:8123");
    for layout in ["topics", "topics-pub", "topics-sub"] {
        let path = format!("/meta/brokers/{layout}/test/2-m");
        assert_eq!(contents(&mut foreign, &path), None, "{path}");
    }
    foreign.close();
    wait_until_registered(address, &mut broker, |owner| owner == own);

    // Another process that says it is this one: they do not chase each other away.
    let url = expected(&broker)[MASTER].clone();
    let mut twin = Client::session(address, LONG_MS).0;
    take_place(&mut twin, &url);
    let taken = twin.exists(MASTER, false);
    wait_for_status(&broker, "another process that calls itself");
    assert_eq!(twin.exists(MASTER, false), taken);
    twin.close();
    wait_until_registered(address, &mut broker, |owner| owner == own);
}

#[test]
fn a_node_of_no_session_in_the_place_is_named() {
    let home = home();
    let zookeeper = Ensemble::ours();
    let address = zookeeper.address();
    let mut client = Client::session(address, LONG_MS).0;
    for path in ["/meta", "/meta/brokers", "/meta/brokers/ids", CONTAINER] {
        client.create(path, b"", 0).expect("the tree is empty");
    }
    client
        .create(MASTER, b"by hand", 0)
        .expect("the place is free");
    let mut broker = start_broker(&home, address);
    let said = wait_for_status(&broker, "goes with no session; delete it");
    assert!(said.contains(MASTER) && said.contains("by hand"), "{said}");
    assert_eq!(client.delete(MASTER, -1), 0);
    wait_until_registered(address, &mut broker, |_| true);
}

#[test]
fn one_topic_that_cannot_be_registered_keeps_no_other_from_clients() {
    let home = home();
    let zookeeper = Ensemble::ours();
    let address = zookeeper.address();
    let mut client = Client::session(address, LONG_MS).0;
    let below = "/meta/brokers/topics-pub/orders/2-m/below";
    for (end, _) in below.match_indices('/').skip(1) {
        client
            .create(&below[..end], b"", 0)
            .expect("the tree is empty");
    }
    client.create(below, b"", 0).expect("the place is free");
    let mut broker = start_broker(&home, address);
    let said = wait_for_status(
        &broker,
        "delete /meta/brokers/topics-pub/orders/2-m in ZooKeeper",
    );
    assert!(said.contains("children"), "{said}");
    let path = "/meta/brokers/topics-sub/test/2-m";
    assert!(contents(&mut client, path).is_some(), "{path}");
    assert_eq!(client.delete(below, -1), 0);
    wait_until_registered(address, &mut broker, |_| true);
}

#[test]
fn new_settings_of_a_topic_are_seen_by_clients_that_watch() {
    let home = home();
    let zookeeper = Ensemble::ours();
    let address = zookeeper.address();
    let mut broker = start_broker(&home, address);
    wait_until_registered(address, &mut broker, |_| true);
    let (mut client, _) = Client::session(address, LONG_MS);
    let checksum = format!("{CONTAINER}/master_config_checksum");
    let changed = "/meta/brokers/topics-sub/orders";
    let same = "/meta/brokers/topics-sub/test/2-m";
    let unchanged = client.exists(same, false);
    client.get(&checksum, true).expect("it is registered");
    client.children(changed, true).expect("it is registered");

    let file = broker.folder().join("conf/server.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let mut config: toml::Table = text.parse().expect("it is TOML");
    config["topics"]["orders"]["num_partitions"] = toml::Value::Integer(5);
    fs::write(&file, config.to_string()).expect("write the configuration");
    let reload = Command::new(CHRYSALIS)
        .arg("reload")
        .arg(broker.folder())
        .status();
    assert!(reload.expect("the binary under test starts").success());

    let mut events = vec![client.event(), client.event()];
    events.sort();
    assert_eq!(
        events,
        [(3, checksum.clone()), (4, changed.to_owned())],
        "slaves watch the checksum's content, clients which brokers a topic has"
    );
    eventually("the topic has five partitions", START_LIMIT, || {
        contents(&mut client, &format!("{changed}/2-m")).as_deref()
            == Some(r#"{"numParts":5,"broker":"2-m"}"#)
    });
    assert_eq!(client.exists(same, false), unchanged);
    client.close();
}
