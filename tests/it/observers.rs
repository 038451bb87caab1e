//! Three servers that vote and one that observes, as processes.

use crate::ensemble::is_not_serving;
use crate::harness::cluster::Cluster;
use crate::harness::command::{chrysalis, chrysalis_with};
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::load::Load;
use crate::harness::process::eventually;
use crate::harness::roaming::Roamer;
use crate::harness::zookeeper_wire::{Body, four_letter_word, op};
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

/// Waits until this is so of what the leader says of itself and the others, whoever leads by then.
fn wait_until_the_leader_says(cluster: &mut Cluster, what: &str, is_so: impl Fn(&Value) -> bool) {
    eventually(what, START_LIMIT, || {
        let leader = cluster.leader();
        let words = ["cluster", "status", "--json"];
        let done = chrysalis_with(cluster.server(leader), &words, b"");
        // One that has just ceased to lead may have nothing to say.
        serde_json::from_slice::<Value>(&done.stdout).is_ok_and(|status| is_so(&status))
    });
}

/// Waits until so many servers may be lost, as the leader says.
fn wait_until_so_many_may_be_lost(cluster: &mut Cluster, count: u64) {
    let what = format!("{count} may be lost");
    wait_until_the_leader_says(cluster, &what, |status| status["may_be_lost"] == count);
}

/// Waits until server `of` is that, as the leader says.
fn wait_until_it_is(cluster: &mut Cluster, of: usize, role: &str) {
    let what = format!("server {} is {role}", of + 1);
    let is_so = |status: &Value| status["servers"][of]["role"] == role;
    wait_until_the_leader_says(cluster, &what, is_so);
}

/// A server as commands name it.
fn id(i: usize) -> String {
    format!("{}", i + 1)
}

fn word(cluster: &Cluster, i: usize, word: &str) -> String {
    four_letter_word(cluster.address(i), word).expect("it answers")
}

#[test]
fn an_observer_serves_and_decides_nothing() {
    let mut cluster = start();
    let load = Load::start_at(&cluster, "load", &[0, 1, 2]);
    load.goes_on(GAP_MAX);
    assert!(word(&cluster, OBSERVER, "srvr").contains("Mode: observer\n"));
    assert!(word(&cluster, OBSERVER, "mntr").contains("zk_server_state\tobserver\n"));
    assert!(word(&cluster, OBSERVER, "conf").contains("peerType=1\n"));
    eventually("the leader counts it", START_LIMIT, || {
        let leader = cluster.leader();
        let said = word(&cluster, leader, "mntr");
        said.contains("zk_followers\t3\n") && said.contains("zk_synced_followers\t2\n")
    });
    wait_until_it_is(&mut cluster, OBSERVER, "observer");
    load.goes_on(GAP_MAX);

    // It sees what was written through it. The client knows no other server, and comes back if this one hangs up.
    let mut client = Roamer::new(vec![cluster.address(OBSERVER)], 0, 30_000);
    for i in 0..50 {
        let path = format!("/own-{i}");
        client.create(&path, b"x", 0);
        let asked = Body::new().string(&path).bool(false);
        assert_eq!(client.answer(op::EXISTS, &asked).error, 0, "{path}");
    }

    // It comes back without its data as what it was, and that it is gone stops nobody.
    cluster.kill(OBSERVER);
    load.goes_on(GAP_MAX);
    wait_until_so_many_may_be_lost(&mut cluster, 1);
    cluster.wipe(OBSERVER);
    cluster.resume(OBSERVER);
    wait_until_it_is(&mut cluster, OBSERVER, "observer");
    assert_eq!(cluster.said("a server votes"), 0);
    let mut ledger = load.end();

    // One voter and the observer are no majority.
    let killed = cluster.followers();
    let killed: Vec<usize> = killed.into_iter().filter(|i| *i != OBSERVER).collect();
    let left = (0..OBSERVER).find(|i| !killed.contains(i));
    let left = left.expect("one leads");
    killed.iter().for_each(|i| cluster.kill(*i));
    for i in [left, OBSERVER] {
        eventually("nobody serves", GAP_MAX, || is_not_serving(&cluster, i));
    }
    killed.iter().for_each(|i| cluster.begin(*i));
    cluster.wait_until_all_serve();
    let load = Load::start(&cluster, "again");
    load.goes_on(GAP_MAX);
    ledger.add(load.end());
    ledger.check(&cluster);
}

fn senseless_moves_are_refused(cluster: &mut Cluster) {
    let refused = |cluster: &Cluster, at: usize, words: [&str; 2]| {
        let arguments = [&["cluster", "move-vote"][..], &words].concat();
        let done = chrysalis_with(cluster.server(at), &arguments, b"");
        assert!(!done.status.success(), "{words:?}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    // Who leads is asked each time: an election may come in between.
    let taker = id(OBSERVER);
    let leader = cluster.leader();
    let other = (leader + 1) % OBSERVER;
    let why = refused(cluster, leader, [&id(leader), &id(other)]);
    assert!(why.contains("votes already"), "{why}");
    let leader = cluster.leader();
    let why = refused(cluster, leader, [&taker, &taker]);
    assert!(why.contains("has no vote to give"), "{why}");
    let leader = cluster.leader();
    let why = refused(cluster, leader, ["9", &taker]);
    assert!(why.contains("server 9 is no member"), "{why}");
    let leader = cluster.leader();
    let other = (leader + 1) % OBSERVER;
    let why = refused(cluster, other, [&id(leader), &taker]);
    assert!(why.contains("which leads"), "{why}");
}

#[test]
fn a_vote_moves_under_load_and_its_giver_may_be_lost_then_with_another_one() {
    let mut cluster = start();
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    senseless_moves_are_refused(&mut cluster);

    // The leader itself gives its vote: it hands over.
    let giver = cluster.leader();
    let (giver_id, taker) = (id(giver), id(OBSERVER));
    let moves = ["cluster", "move-vote", &giver_id, &taker, "--json"];
    let said = chrysalis(cluster.server(giver), &moves);
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    let (from, to) = (giver + 1, OBSERVER + 1);
    assert_eq!(said, json!({ "giver": from, "taker": to, "moved": true }));
    load.goes_on(GAP_MAX);
    eventually("who has no vote does not lead", START_LIMIT, || {
        cluster.leader() != giver
    });
    wait_until_it_is(&mut cluster, giver, "observer");
    wait_until_it_is(&mut cluster, OBSERVER, "voter");
    eventually("it says so", START_LIMIT, || {
        word(&cluster, giver, "srvr").contains("Mode: observer\n")
    });
    let next = cluster.leader();
    let said = chrysalis(cluster.server(next), &moves);
    let said: Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(said["moved"], false, "it was before");

    // Of the new voters two are left, the former observer and one more, which leads unless the observer does.
    let next = cluster.leader();
    let another = (0..OBSERVER).find(|i| *i != giver && *i != next);
    let another = another.expect("there are three");
    let left = (0..OBSERVER).find(|i| *i != giver && *i != another);
    let left = left.expect("there are three");
    cluster.kill(giver);
    cluster.kill(another);
    load.goes_on(GAP_MAX);
    cluster.resume(giver);
    cluster.resume(another);
    // And one of them is no majority, with the former voter beside it.
    let mut ledger = load.end();
    cluster.kill(left);
    cluster.kill(OBSERVER);
    for i in [giver, another] {
        eventually("nobody serves", GAP_MAX, || is_not_serving(&cluster, i));
    }
    cluster.begin(left);
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
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let dead = cluster.followers().into_iter().find(|i| *i != OBSERVER);
    let dead = dead.expect("there are three");
    cluster.kill(dead);
    let (giver, taker) = (id(dead), id(OBSERVER));
    let moves = ["cluster", "move-vote", &giver, &taker];
    let leader = cluster.leader();
    let said = chrysalis(cluster.server(leader), &moves);
    assert!(said.contains("server 4 votes, and server"), "{said}");
    wait_until_so_many_may_be_lost(&mut cluster, 1);
    // With what it knew, or with nothing of that.
    if lab::is_full() {
        cluster.wipe(dead);
    }
    cluster.resume(dead);
    eventually("it observes", START_LIMIT, || {
        word(&cluster, dead, "srvr").contains("Mode: observer\n")
    });
    load.goes_on(GAP_MAX);
    let leader = cluster.leader();
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    load.end().check(&cluster);
}

#[test]
fn a_server_is_added_as_an_observer_and_gets_a_vote_when_that_is_asked_for() {
    // The list names three, and one is to be an observer only by the operator's word.
    let mut cluster = Cluster::start(3);
    let added = cluster.followers()[0];
    let id = id(added);
    let leader = cluster.leader();
    chrysalis(cluster.server(leader), &["cluster", "remove", &id]);
    let add = ["cluster", "add", &id, "--observer"];
    let leader = cluster.leader();
    let said = chrysalis(cluster.server(leader), &add);
    assert!(said.contains("is a member and observes"), "{said}");
    cluster.wait_until_serves(added);
    eventually("it says so", START_LIMIT, || {
        word(&cluster, added, "srvr").contains("Mode: observer\n")
    });
    wait_until_so_many_may_be_lost(&mut cluster, 0);
    let leader = cluster.leader();
    chrysalis(cluster.server(leader), &["cluster", "add", &id]);
    wait_until_so_many_may_be_lost(&mut cluster, 1);
    let mut session = cluster.session(added);
    assert_eq!(session.call(op::SYNC, &Body::new().string("/")).error, 0);
    session.close();
}
