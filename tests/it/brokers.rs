//! Three brokers of ours as one cluster to the Java client: beside one coordinator of three servers of ours, and beside three of
//! the original ZooKeeper. Each server goes away and comes back while clients send and read.
//!
//! `java_client` has the same scenarios on one broker; `ensemble` has the coordinator.

use crate::ensemble::{is_not_serving, wait_for_brokers};
use crate::harness::cluster::Cluster;
use crate::harness::command::status;
use crate::harness::deployment::{Deployment, START_LIMIT, Topic};
use crate::harness::ensemble::prepare_broker;
use crate::harness::lab;
use crate::harness::metaq_wire::Client;
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key, set_text};
use crate::java_client::{
    FEW_THREADS, FEW_THREADS_TOPICS, LARGE, PEACEFUL, RESTARTS, TOPICS, TURNS, run,
    run_on_one_processor,
};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tempfile::TempDir;

const COUNT: usize = 3;

/// How soon a dead broker is given up.
const SESSION_TIMEOUT_MS: &str = "4000";

const EACH_BROKER_KILLED: &str = "each-broker-killed";
const EACH_ZOOKEEPER_KILLED: &str = "each-zookeeper-killed";

/// Those of every broker. Topics of a single partition are on the first one alone: their scenarios count on one. The one with a
/// consumer more than partitions is short, because each consumer waits for those before it.
fn topics(i: usize) -> Vec<Topic> {
    let own = [(EACH_BROKER_KILLED, 2), (EACH_ZOOKEEPER_KILLED, 2)];
    let all = TOPICS.iter().chain(FEW_THREADS_TOPICS).chain(&own);
    let all: BTreeSet<Topic> = all.copied().collect();
    let here = all.into_iter().filter(|(_, count)| i == 0 || *count > 1);
    here.map(|(topic, count)| (topic, if topic == "idle" { 1 } else { count }))
        .collect()
}

fn wait_until_registered(broker: &Server) {
    eventually("a broker is registered", START_LIMIT, || {
        status(broker)["broker"]["registration"] == "registered"
    });
}

/// The place of the server with this number in a request.
fn place(number: &str, first: usize) -> usize {
    let number: usize = number.parse().expect("a number");
    number - first
}

/// Three servers, each a coordinator and a broker.
struct Together {
    cluster: Cluster,
}

impl Together {
    fn start(topics: impl Fn(usize) -> Vec<Topic>) -> Together {
        let mut cluster = Cluster::prepare_each(COUNT, topics, |text| {
            set_key(text, "zookeeper", "session_timeout_ms", SESSION_TIMEOUT_MS);
        });
        cluster.begin_all();
        let together = Together { cluster };
        together.wait_until_registered();
        together
    }

    fn wait_until_registered(&self) {
        let servers = self.cluster.places().map(|i| self.cluster.server(i));
        servers.for_each(wait_until_registered);
    }
}

impl Deployment for Together {
    fn name(&self) -> &'static str {
        "three of ours"
    }

    fn coordinator(&self) -> SocketAddr {
        self.cluster.address(0)
    }

    fn coordinators(&self) -> String {
        joined(&self.cluster.addresses())
    }

    fn broker(&self) -> SocketAddr {
        self.cluster.server(0).broker()
    }

    fn restart(&mut self) {
        self.cluster.places().for_each(|i| self.cluster.stop(i));
        self.cluster.begin_all();
        self.wait_until_registered();
    }

    fn kill_and_restart(&mut self) {
        let leader = self.cluster.leader();
        self.cluster.kill(leader);
        self.cluster.resume(leader);
    }

    fn carry_out(&mut self, request: &str) -> bool {
        match request.split(' ').collect::<Vec<_>>()[..] {
            ["restart"] => self.restart(),
            ["kill"] => self.kill_and_restart(),
            ["kill", "broker", id] => self.cluster.kill(place(id, 1)),
            ["start", "broker", id] => self.cluster.resume(place(id, 1)),
            _ => return false,
        }
        true
    }
}

fn joined(addresses: &[SocketAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// Three brokers of ours without coordinators, and three of the original ZooKeeper.
struct Apart {
    zookeepers: ZooKeepers,
    brokers: Vec<Server>,
    _homes: Vec<TempDir>,
}

impl Apart {
    fn start(topics: impl Fn(usize) -> Vec<Topic>) -> Apart {
        let zookeepers = ZooKeepers::start(Jvm::Quick);
        let addresses = zookeepers.addresses();
        let homes: Vec<TempDir> = (0..COUNT)
            .map(|_| TempDir::new().expect("make a folder"))
            .collect();
        let prepare = |(i, home): (usize, &TempDir)| {
            prepare_broker(home, addresses[i], &topics(i), |text| {
                set_key(text, "server", "id", &(i + 1).to_string());
                set_text(text, "zookeeper", "connect", &joined(&addresses));
            })
        };
        let mut brokers: Vec<Server> = homes.iter().enumerate().map(prepare).collect();
        brokers.iter_mut().for_each(Server::resume);
        brokers.iter().for_each(wait_until_registered);
        Apart {
            zookeepers,
            brokers,
            _homes: homes,
        }
    }
}

impl Deployment for Apart {
    fn name(&self) -> &'static str {
        "three of ours beside three originals"
    }

    fn coordinator(&self) -> SocketAddr {
        self.zookeepers.addresses()[0]
    }

    fn coordinators(&self) -> String {
        joined(&self.zookeepers.addresses())
    }

    fn broker(&self) -> SocketAddr {
        self.brokers[0].broker()
    }

    fn restart(&mut self) {
        self.brokers.iter_mut().for_each(Server::stop);
        self.brokers.iter_mut().for_each(Server::resume);
        self.brokers.iter().for_each(wait_until_registered);
    }

    fn kill_and_restart(&mut self) {
        self.brokers[0].kill_and_restart();
    }

    fn carry_out(&mut self, request: &str) -> bool {
        match request.split(' ').collect::<Vec<_>>()[..] {
            ["restart"] => self.restart(),
            ["kill"] => self.kill_and_restart(),
            ["kill", "broker", id] => self.brokers[place(id, 1)].kill(),
            ["start", "broker", id] => self.brokers[place(id, 1)].resume(),
            ["kill", "zookeeper", i] => self.zookeepers.server(place(i, 0)).process().kill(),
            ["start", "zookeeper", i] => self.zookeepers.server(place(i, 0)).resume(),
            _ => return false,
        }
        true
    }
}

/// Producers go round robin over all partitions; one consumer has one, or several, or none.
const BALANCED: [&str; 4] = [
    "send",
    "two-share-four",
    "more-consumers-than-partitions",
    "take-over",
];

#[test]
fn the_java_client_goes_on_while_each_of_three_servers_is_killed() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut together = Together::start(topics);
    run(&mut together, 4, &BALANCED);
    run_on_one_processor(&mut together, &[EACH_BROKER_KILLED]);
}

#[test]
fn the_java_client_works_on_three_brokers_in_every_mode() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut together = Together::start(topics);
    run(&mut together, 4, PEACEFUL);
    run(&mut together, 1, LARGE);
    run(&mut together, 1, RESTARTS);
}

/// What is read from other brokers is in the memory that turns count on.
#[test]
fn a_consumer_with_few_threads_reads_each_message_of_three_brokers_once() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut together = Together::start(topics);
    let scenarios: Vec<&str> = FEW_THREADS.iter().copied().chain([TURNS]).collect();
    let at_a_time = u32::try_from(scenarios.len()).expect("a handful");
    run(&mut together, at_a_time, &scenarios);
}

#[test]
fn the_java_client_goes_on_while_each_of_three_brokers_and_originals_is_killed() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut apart = Apart::start(topics);
    run(&mut apart, 4, &BALANCED);
    run_on_one_processor(&mut apart, &[EACH_BROKER_KILLED]);
    run_on_one_processor(&mut apart, &[EACH_ZOOKEEPER_KILLED]);
}

/// Puts a message, and reads all that is there.
fn put_and_read(client: &mut Client, text: String, sent: &mut Vec<String>) {
    client
        .put("orders", 0, text.as_bytes())
        .expect("a put is taken");
    sent.push(text);
    let read = client.read_all("orders", 0).into_iter();
    let texts = read.map(|(_, record)| String::from_utf8(record.data).expect("it is text"));
    assert_eq!(texts.collect::<Vec<_>>(), *sent);
}

/// Whether the others are dead, or stand still as those do that the network keeps away.
#[test]
fn a_broker_whose_server_lost_the_ensemble_serves_on_and_registers_again() {
    let mut cluster = Cluster::start_with(COUNT, &[("orders", 1)], |text| {
        set_key(text, "zookeeper", "session_timeout_ms", SESSION_TIMEOUT_MS);
    });
    let all = ["1-m", "2-m", "3-m"];
    wait_for_brokers(&cluster, &all);
    let mut sent = vec![Vec::new(); COUNT];
    for are_dead in [true, false] {
        let left = cluster.leader();
        let others = cluster.followers();
        let address = cluster.server(left).broker();
        let mut connected = Client::connect(address);
        put_and_read(
            &mut connected,
            format!("before {are_dead}"),
            &mut sent[left],
        );
        for i in &others {
            match are_dead {
                true => cluster.kill(*i),
                false => cluster.signal(*i, Signal::SIGSTOP),
            }
        }
        eventually("it serves no ZooKeeper client", START_LIMIT, || {
            is_not_serving(&cluster, left)
        });
        eventually("it is known as not registered", START_LIMIT, || {
            status(cluster.server(left))["broker"]["registration"] != "registered"
        });
        put_and_read(
            &mut connected,
            format!("connected {are_dead}"),
            &mut sent[left],
        );
        let mut newcomer = Client::connect(address);
        put_and_read(
            &mut newcomer,
            format!("newcomer {are_dead}"),
            &mut sent[left],
        );
        for i in &others {
            match are_dead {
                true => cluster.begin(*i),
                false => cluster.signal(*i, Signal::SIGCONT),
            }
        }
        cluster.wait_until_all_serve();
        wait_until_registered(cluster.server(left));
        wait_for_brokers(&cluster, &all);
        put_and_read(&mut connected, format!("after {are_dead}"), &mut sent[left]);
    }
}

/// The same beside an ensemble of originals of which one is left.
#[test]
fn a_broker_whose_originals_lost_their_majority_serves_on_and_registers_again() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut apart = Apart::start(|_| vec![("orders", 1)]);
    let mut sent = Vec::new();
    let mut connected = Client::connect(apart.broker());
    put_and_read(&mut connected, "before".to_owned(), &mut sent);
    for i in [0, 1] {
        apart.zookeepers.server(i).process().kill();
    }
    eventually("it is known as not registered", START_LIMIT, || {
        status(&apart.brokers[0])["broker"]["registration"] != "registered"
    });
    put_and_read(&mut connected, "connected".to_owned(), &mut sent);
    let mut newcomer = Client::connect(apart.broker());
    put_and_read(&mut newcomer, "newcomer".to_owned(), &mut sent);
    for i in [0, 1] {
        apart.zookeepers.server(i).resume();
    }
    apart.brokers.iter().for_each(wait_until_registered);
    put_and_read(&mut connected, "after".to_owned(), &mut sent);
}
