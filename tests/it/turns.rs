//! Turns across brokers: a real Java consumer whose partitions are on three brokers of one ensemble.

use crate::ensemble::wait_for_brokers;
use crate::harness::cluster::{Cluster, ThroughFollower};
use crate::harness::lab;
use crate::java_client;

/// It has one thread, which waits at one broker when a message comes to another. No message may wait for the end of that
/// hold, none may be lost, and none read twice. The limits are far above what it takes, because other tests load the machine.
#[test]
fn a_consumer_with_one_thread_reads_from_three_brokers_in_milliseconds() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut cluster = Cluster::start_with(3, &[("orders", 1), ("parcels", 1)], |_| {});
    wait_for_brokers(&cluster, &["1-m", "2-m", "3-m"]);
    let pids: Vec<String> = cluster.pids().map(|pid| pid.to_string()).collect();
    let pids = pids.join(":");
    let mut servers = ThroughFollower::of(cluster);
    let mut read = |topic: &str, order: &str, gap: u32, count: u32, limit: &str| {
        let turns = format!(
            "turns:topic={topic},order={order},gap={gap},threads=1,count={count},pids={pids},{limit}"
        );
        java_client::run(&mut servers, 1, &[&turns]);
    };
    // In no order, so that the next message is mostly for a broker that has no thread; then one broker after the other, where
    // a median would not show that some wait, and the slowest does.
    read("orders", "random", 700, 25, "p50=300");
    read("parcels", "round-robin", 700, 25, "max=1500");
}
