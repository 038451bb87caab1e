//! Gets that wait at a broker alone, whose consumers use another ZooKeeper: ours, and the original.

use super::*;
use crate::harness::command::json;
use crate::harness::ensemble::{BROKER_ID, Beside, Ensemble, against_the_original};
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::four_letter_word;
use nix::sys::signal::Signal;
use std::net::SocketAddr;

/// What the status says when owners are seen.
const SEEN: &str = "\"seen\"";
/// For sessions that are to outlast their test.
const LONG_MS: i32 = 40_000;

/// A broker with so many partitions of the topic `test`, that sees who owns them.
fn start(zookeeper: Ensemble, partitions: u32) -> Beside {
    let topics = [("test", partitions)];
    let beside = Beside::start(zookeeper, &topics, |text| {
        // Longer than any test may take: a get that is answered sooner was not held, or has met data.
        set_key(text, "broker", "hold_max_ms", "60000");
    });
    beside.wait_for_owners(SEEN);
    beside
}

impl Beside {
    fn broker_status(&self) -> serde_json::Value {
        status(&self.broker)["broker"].take()
    }

    /// Sends a get for each of these partitions, and waits until the broker has them all.
    fn get(&self, client: &mut Client, partitions: &[u32], offset: u64) {
        let gets = || self.broker_status()["gets"].as_u64().expect("a number");
        let before = gets();
        for &partition in partitions {
            send_get(client, partition, offset);
        }
        eventually("the gets are there", START_LIMIT, || {
            gets() >= before + partitions.len() as u64
        });
    }

    /// Until the status says this of the owners.
    fn wait_for_owners(&self, part: &str) {
        let what = format!("the status of the owners has {part:?}");
        eventually(&what, START_LIMIT, || {
            self.broker_status()["owners"].to_string().contains(part)
        });
    }

    /// Sends a get again and again until it is held; what was sent before is answered by what comes next.
    fn hold(&self, client: &mut Client, partition: u32, offset: u64) -> i32 {
        let mut last = send_get(client, partition, offset);
        eventually("a get is held", START_LIMIT, || {
            if self.broker_status()["held_gets"] == 1 {
                return true;
            }
            last = send_get(client, partition, offset);
            false
        });
        last
    }

    fn put(&self, text: &[u8]) {
        let mut client = Client::connect(self.broker.broker());
        client.put("test", 0, text).expect("it is taken");
    }
}

/// The answer to this get; earlier ones are passed over, which must be 404.
fn answer_to(client: &mut Client, get: i32) -> String {
    loop {
        let (opaque, said) = next(client);
        if opaque == get {
            return said;
        }
        assert!(said.starts_with("404"), "{said}");
    }
}

fn owner(zookeeper: &Ensemble, consumer: &str, partitions: &[u32]) -> zookeeper_wire::Client {
    let (mut tree, _) = zookeeper_wire::Client::session(zookeeper.address(), LONG_MS);
    make_owner_nodes(&mut tree, BROKER_ID, consumer, partitions);
    tree
}

/// What `topic describe --json` tells.
fn detail(broker: &Server) -> serde_json::Value {
    json(&["topic", "describe"], broker.folder(), &["test"])
}

/// Whom the broker takes for the owner of partition 0.
fn known_owner(broker: &Server) -> String {
    detail(broker)["consumers"][0]["owner"].to_string()
}

fn follows_the_owners(zookeeper: Ensemble) {
    let beside = start(zookeeper, 2);
    let address = beside.zookeeper.address().to_string();
    assert_eq!(detail(&beside.broker)["offsets_at"], address.as_str());
    let mut first = owner(&beside.zookeeper, "g_first", &[0]);
    let mut client = Client::connect(beside.broker.broker());
    first_message(&mut client, 0);
    let held = send_get(&mut client, 0, 20);
    wait_for_held(&beside.broker, 1);
    // Nobody owns this one.
    let strange = send_get(&mut client, 1, 0);
    let (opaque, said) = next(&mut client);
    assert_eq!(opaque, strange);
    assert!(said.starts_with("404"), "{said}");
    beside.put(b"news");
    assert_eq!(next(&mut client), (held, "messages news".to_owned()));
    // It changes hands.
    let path = format!("/meta/consumers/g/owners/test/{BROKER_ID}-0");
    assert_eq!(first.delete(&path, -1), 0);
    let _second = owner(&beside.zookeeper, "g_second", &[0]);
    let mut client = Client::connect(beside.broker.broker());
    let mut last = send_get(&mut client, 0, 44);
    eventually("the second is the owner", START_LIMIT, || {
        if known_owner(&beside.broker).contains("g_second") {
            return true;
        }
        last = send_get(&mut client, 0, 44);
        false
    });
    wait_for_held(&beside.broker, 1);
    beside.put(b"more");
    assert_eq!(answer_to(&mut client, last), "messages more");
}

fn is_answered_at_once_while_it_is_away(zookeeper: Ensemble) {
    let mut beside = start(zookeeper, 1);
    let _owner = owner(&beside.zookeeper, "g_first", &[0]);
    let mut client = Client::connect(beside.broker.broker());
    first_message(&mut client, 0);
    let held = send_get(&mut client, 0, 20);
    wait_for_held(&beside.broker, 1);
    // A get is held while its owner is asked for, too, and is answered 404 if nobody can say.
    eventually("the owner is known", START_LIMIT, || {
        known_owner(&beside.broker).contains("g_first")
    });
    beside.zookeeper.process().kill();
    beside.wait_for_owners("no connection to ZooKeeper");
    let metrics = scrape(beside.broker.web());
    assert_eq!(value(&metrics, "chrysalis_broker_owners_seen"), 0);
    // Held since before: it has its message as if nothing were.
    beside.put(b"news");
    assert_eq!(next(&mut client), (held, "messages news".to_owned()));
    // An owner is believed for a second; after that nobody is.
    eventually("a get is answered at once", START_LIMIT, || {
        beside.get(&mut client, &[0], 44);
        beside.broker_status()["held_gets"] == 0
    });
    beside.zookeeper.resume();
    beside.wait_for_owners(SEEN);
    let held = beside.hold(&mut client, 0, 44);
    beside.put(b"more");
    assert_eq!(answer_to(&mut client, held), "messages more");
}

fn is_answered_while_it_stands_still(zookeeper: Ensemble) {
    let mut beside = start(zookeeper, 1);
    let _owner = owner(&beside.zookeeper, "g_first", &[0]);
    let mut client = Client::connect(beside.broker.broker());
    first_message(&mut client, 0);
    beside.zookeeper.process().signal(Signal::SIGSTOP);
    let asked = send_get(&mut client, 0, 20);
    assert!(answer_to(&mut client, asked).starts_with("404"));
    beside.wait_for_owners("unseen");
    beside.zookeeper.process().signal(Signal::SIGCONT);
    beside.wait_for_owners(SEEN);
    let held = beside.hold(&mut client, 0, 20);
    beside.put(b"news");
    assert_eq!(answer_to(&mut client, held), "messages news");
}

/// Requests that this ZooKeeper has had.
fn requests(zookeeper: SocketAddr) -> u64 {
    let text = four_letter_word(zookeeper, "mntr").expect("it is asked");
    let line = text
        .lines()
        .find(|line| line.starts_with("zk_packets_received"));
    let number = line.and_then(|line| line.split_whitespace().last());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

fn is_read_once(zookeeper: Ensemble) {
    const PARTITIONS: u32 = 32;
    let all: Vec<u32> = (0..PARTITIONS).collect();
    let beside = start(zookeeper, PARTITIONS);
    let _owner = owner(&beside.zookeeper, "g_first", &all);
    let mut client = Client::connect(beside.broker.broker());
    let partitions = || 0..i32::try_from(PARTITIONS).expect("a small number");
    partitions().for_each(|partition| first_message(&mut client, partition));
    beside.get(&mut client, &all, 20);
    wait_for_held(&beside.broker, u64::from(PARTITIONS));
    // What the first gets made the broker ask is over when only our own question is counted.
    let mut before = requests(beside.zookeeper.address());
    eventually("the broker asks no more", START_LIMIT, || {
        let now = requests(beside.zookeeper.address());
        now - std::mem::replace(&mut before, now) <= 1
    });
    // On another connection nobody is believed to be the owner still: the broker asks again.
    for _ in 0..20 {
        let mut client = Client::connect(beside.broker.broker());
        beside.get(&mut client, &all, 20);
    }
    let more = requests(beside.zookeeper.address()) - before;
    // Pings of two sessions and the question itself.
    assert!(more < u64::from(PARTITIONS), "{more} requests");
}

#[test]
fn a_get_waits_for_whoever_another_zookeeper_calls_the_owner() {
    follows_the_owners(Ensemble::ours());
}

#[test]
fn a_get_waits_for_whoever_the_original_calls_the_owner() {
    against_the_original(follows_the_owners);
}

#[test]
fn a_get_is_answered_at_once_while_another_zookeeper_is_away() {
    is_answered_at_once_while_it_is_away(Ensemble::ours());
}

#[test]
fn a_get_is_answered_at_once_while_the_original_is_away() {
    against_the_original(is_answered_at_once_while_it_is_away);
}

#[test]
fn a_get_is_answered_while_another_zookeeper_stands_still() {
    is_answered_while_it_stands_still(Ensemble::ours());
}

#[test]
fn a_get_is_answered_while_the_original_stands_still() {
    against_the_original(is_answered_while_it_stands_still);
}

#[test]
fn owners_are_read_from_another_zookeeper_once() {
    is_read_once(Ensemble::ours());
}

#[test]
fn owners_are_read_from_the_original_once() {
    against_the_original(is_read_once);
}
