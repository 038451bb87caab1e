//! Three coordinators beside three of Debian's ZooKeeper, all on this machine.

use crate::harness::certificates;
use crate::harness::cluster::Cluster;
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::server::set_key;
use crate::harness::zookeeper_wire::four_letter_word;
use crate::rounds::{Run, Series, compare, compare_as, seconds};
use std::net::SocketAddr;

/// `set`, 64 x 32, by clients of the leader, of servers that show each other certificates beside servers that speak in the clear.
pub(crate) fn measure_certificates() {
    let edit = |config: &mut String| {
        set_key(config, "coordinator", "connections_per_address_max", "0");
        set_key(config, "broker", "enabled", "false");
    };
    let mut secured = certificates::prepare(3, &[], edit);
    secured.begin_all();
    let mut plain = Cluster::start_with(3, &[], edit);
    let leaders = [&mut secured, &mut plain].map(|cluster| {
        let leader = cluster.leader();
        cluster.address(leader).to_string()
    });
    let run = |side: usize| {
        let seconds = seconds().to_string();
        let mut arguments = vec!["coordinator", "--server", &leaders[side]];
        arguments.extend(["--operation", "set", "--seconds", &seconds]);
        arguments.extend(["--connections", "64", "--in-flight", "32"]);
        Run::of(&arguments)
    };
    let [secured, plain] = Series::in_turn(run);
    compare_as(["with", "without"], "requests", &secured, &plain);
}

/// One operation, `connections` x `in_flight`, by clients of the server that leads and of one that follows.
pub(crate) fn measure(operation: &str, connections: u32, in_flight: u32) {
    let mut ours = Cluster::start_with(3, &[], |config| {
        // All come from one address.
        set_key(config, "coordinator", "connections_per_address_max", "0");
        // The broker has nothing to do with it.
        set_key(config, "broker", "enabled", "false");
    });
    let originals = ZooKeepers::start(Jvm::Fast);
    let follower = ours.followers()[0];
    let our_leader = ours.leader();
    let places = [
        (
            "of the leader",
            ours.address(our_leader),
            original_that(&originals, "leader"),
        ),
        (
            "of a follower",
            ours.address(follower),
            original_that(&originals, "follower"),
        ),
    ];
    for (whose, ours, original) in places {
        println!("  clients {whose}");
        let servers = [ours, original].map(|address| address.to_string());
        let run = |side: usize| {
            let seconds = seconds().to_string();
            let counts = [connections, in_flight].map(|count| count.to_string());
            let mut arguments = vec!["coordinator", "--server", &servers[side]];
            arguments.extend(["--operation", operation, "--seconds", &seconds]);
            arguments.extend(["--connections", &counts[0], "--in-flight", &counts[1]]);
            Run::of(&arguments)
        };
        // A JVM is slow until it has compiled what runs often.
        run(1);
        let [ours, original] = Series::in_turn(run);
        compare("requests", &ours, &original);
    }
}

/// The original that says of itself that it leads, or follows.
fn original_that(originals: &ZooKeepers, mode: &str) -> SocketAddr {
    let line = format!("Mode: {mode}");
    let says = |address: &SocketAddr| {
        let text = four_letter_word(*address, "srvr").unwrap_or_default();
        text.lines().any(|it| it == line)
    };
    let addresses = originals.addresses().into_iter();
    let found = addresses.into_iter().find(says);
    found.expect("three servers have a leader and two that follow")
}
