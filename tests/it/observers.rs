//! Three servers that vote and one that observes, as processes.

use crate::ensemble::is_not_serving;
use crate::harness::cluster::Cluster;
use crate::harness::command::{chrysalis, chrysalis_with};
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::load::Load;
use crate::harness::process::eventually;
use crate::harness::zookeeper_wire::{Body, create, four_letter_word, op};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than any election takes on a machine that is busy with other tests.
const GAP_MAX: Duration = Duration::from_secs(10);
/// The place of the observer.
const OBSERVER: usize = 3;

/// Four servers, the last of them listed as an observer; none runs.
fn prepare() -> Cluster {
    Cluster::prepare(4, &[], |config| {
        let entry = config.find("\"4=").expect("it is listed");
        let end = config[entry + 1..].find('"').expect("it ends");
        config.insert_str(entry + 1 + end, ":observer");
    })
}

fn start() -> Cluster {
    let mut cluster = prepare();
    cluster.places().for_each(|i| cluster.begin(i));
    cluster.wait_until_all_serve();
    cluster
}

/// What a server says of itself and the others.
fn status(cluster: &Cluster, i: usize) -> Value {
    let said = chrysalis(cluster.server(i), &["cluster", "status", "--json"]);
    serde_json::from_str(&said).expect("it is JSON")
}

/// What server `of` is, as server `i` says.
fn role(cluster: &Cluster, i: usize, of: usize) -> String {
    let status = status(cluster, i);
    let role = &status["servers"][of]["role"];
    role.as_str().expect("each has one").to_owned()
}

fn word(cluster: &Cluster, i: usize, word: &str) -> String {
    four_letter_word(cluster.address(i), word).expect("it answers")
}

#[test]
fn an_observer_serves_and_decides_nothing() {
    let mut cluster = prepare();
    (0..OBSERVER).for_each(|i| cluster.begin(i));
    (0..OBSERVER).for_each(|i| cluster.wait_until_serves(i));
    let load = Load::start_at(&cluster, "load", &[0, 1, 2]);
    load.goes_on(GAP_MAX);
    cluster.resume(OBSERVER);
    assert!(word(&cluster, OBSERVER, "srvr").contains("Mode: observer\n"));
    assert!(word(&cluster, OBSERVER, "mntr").contains("zk_server_state\tobserver\n"));
    assert!(word(&cluster, OBSERVER, "conf").contains("peerType=1\n"));
    let leader = cluster.leader();
    eventually("the leader counts it", START_LIMIT, || {
        let said = word(&cluster, leader, "mntr");
        said.contains("zk_followers\t3\n") && said.contains("zk_synced_followers\t2\n")
    });
    assert_eq!(role(&cluster, leader, OBSERVER), "observer");
    load.goes_on(GAP_MAX);

    // It sees what was written through it.
    let mut session = cluster.session(OBSERVER);
    for i in 0..50 {
        let path = format!("/own-{i}");
        assert_eq!(session.call(op::CREATE, &create(&path, b"x", 0)).error, 0);
        assert!(session.exists(&path, false).is_ok(), "{path}");
    }
    session.close();

    // It comes back without its data as what it was, and that it is gone stops nobody.
    cluster.kill(OBSERVER);
    load.goes_on(GAP_MAX);
    assert_eq!(status(&cluster, leader)["may_be_lost"], 1);
    cluster.wipe(OBSERVER);
    cluster.resume(OBSERVER);
    assert_eq!(role(&cluster, leader, OBSERVER), "observer");
    assert_eq!(cluster.said("a server votes"), 0);
    let mut ledger = load.end();

    // One voter and the observer are no majority.
    let killed = cluster.followers();
    let killed: Vec<usize> = killed.into_iter().filter(|i| *i != OBSERVER).collect();
    killed.iter().for_each(|i| cluster.kill(*i));
    for i in [leader, OBSERVER] {
        eventually("nobody serves", GAP_MAX, || is_not_serving(&cluster, i));
    }
    killed.iter().for_each(|i| cluster.begin(*i));
    cluster.wait_until_all_serve();
    let load = Load::start(&cluster, "again");
    load.goes_on(GAP_MAX);
    ledger.add(load.end());
    ledger.check(&cluster);
}

#[test]
fn a_vote_moves_under_load_and_its_giver_may_be_lost_then_with_another_one() {
    let mut cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let leader = cluster.leader();
    let refused = |cluster: &Cluster, at: usize, words: [&str; 2]| {
        let arguments = [&["cluster", "move-vote"][..], &words].concat();
        let done = chrysalis_with(cluster.server(at), &arguments, b"");
        assert!(!done.status.success(), "{words:?}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let (giver, taker) = (format!("{}", leader + 1), format!("{}", OBSERVER + 1));
    let other = cluster.followers().into_iter().find(|i| *i != OBSERVER);
    let other = other.expect("there are three");
    let other_id = format!("{}", other + 1);
    let why = refused(&cluster, leader, [&giver, &other_id]);
    assert!(why.contains("votes already"), "{why}");
    let why = refused(&cluster, leader, [&taker, &taker]);
    assert!(why.contains("has no vote to give"), "{why}");
    let why = refused(&cluster, leader, ["9", &taker]);
    assert!(why.contains("server 9 is no member"), "{why}");
    let why = refused(&cluster, other, [&giver, &taker]);
    assert!(why.contains("which leads"), "{why}");

    // The leader itself gives its vote: it hands over.
    let moves = ["cluster", "move-vote", &giver, &taker, "--json"];
    let said = chrysalis(cluster.server(leader), &moves);
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    let (from, to) = (leader + 1, OBSERVER + 1);
    assert_eq!(said, json!({ "giver": from, "taker": to, "moved": true }));
    load.goes_on(GAP_MAX);
    let next = cluster.leader();
    assert_ne!(next, leader, "who has no vote does not lead");
    assert_eq!(role(&cluster, next, leader), "observer");
    assert_eq!(role(&cluster, next, OBSERVER), "voter");
    eventually("it says so", START_LIMIT, || {
        word(&cluster, leader, "srvr").contains("Mode: observer\n")
    });
    let said = chrysalis(cluster.server(next), &moves);
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(said["moved"], false, "it was before");

    // Of the new voters two are left.
    let another = (0..OBSERVER).find(|i| *i != leader && *i != next);
    let another = another.expect("there are three");
    cluster.kill(leader);
    cluster.kill(another);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    cluster.resume(another);
    // And one of them is no majority, with the former voter beside it.
    let mut ledger = load.end();
    cluster.kill(next);
    cluster.kill(OBSERVER);
    for i in [leader, another] {
        eventually("nobody serves", GAP_MAX, || is_not_serving(&cluster, i));
    }
    cluster.begin(next);
    cluster.begin(OBSERVER);
    cluster.wait_until_all_serve();
    let load = Load::start(&cluster, "again");
    load.goes_on(GAP_MAX);
    ledger.add(load.end());
    ledger.check(&cluster);
}

/// The place of a server that is gone for good is taken by one that is there.
#[test]
fn the_vote_of_a_dead_server_moves_and_it_comes_back_as_an_observer() {
    let mut cluster = start();
    let leader = cluster.leader();
    let dead = cluster.followers().into_iter().find(|i| *i != OBSERVER);
    let dead = dead.expect("there are three");
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    cluster.kill(dead);
    let (giver, taker) = (format!("{}", dead + 1), format!("{}", OBSERVER + 1));
    let moves = ["cluster", "move-vote", &giver, &taker];
    let said = chrysalis(cluster.server(leader), &moves);
    assert!(said.contains("server 4 votes, and server"), "{said}");
    assert_eq!(status(&cluster, leader)["may_be_lost"], 1);
    // With what it knew, or with nothing of that.
    if lab::is_full() {
        cluster.wipe(dead);
    }
    cluster.resume(dead);
    eventually("it observes", START_LIMIT, || {
        word(&cluster, dead, "srvr").contains("Mode: observer\n")
    });
    load.goes_on(GAP_MAX);
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    load.end().check(&cluster);
}

#[test]
fn a_server_is_added_as_an_observer_and_gets_a_vote_when_that_is_asked_for() {
    // The list names three, and one is to be an observer only by the operator's word.
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let added = cluster.followers()[0];
    let id = format!("{}", added + 1);
    chrysalis(cluster.server(leader), &["cluster", "remove", &id]);
    let add = ["cluster", "add", &id, "--observer"];
    let said = chrysalis(cluster.server(leader), &add);
    assert!(said.contains("is a member and observes"), "{said}");
    cluster.wait_until_serves(added);
    eventually("it says so", START_LIMIT, || {
        word(&cluster, added, "srvr").contains("Mode: observer\n")
    });
    assert_eq!(status(&cluster, leader)["may_be_lost"], 0);
    chrysalis(cluster.server(leader), &["cluster", "add", &id]);
    assert_eq!(status(&cluster, leader)["may_be_lost"], 1);
    let mut session = cluster.session(added);
    assert_eq!(session.call(op::SYNC, &Body::new().string("/")).error, 0);
    session.close();
}
