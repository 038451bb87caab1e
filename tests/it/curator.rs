//! Curator's recipes in their mode for servers of ZooKeeper 3.4, and ZooKeeper's own Java client of 3.4 and of 3.8, against
//! three servers that are killed, stopped, wiped and paused meanwhile. The scenarios are in `tests/conformance/curator`; each
//! watches over what its recipe promises. They run against three of the original 3.4.14 as well, which proves the
//! scenarios.

use crate::harness::cluster::Cluster;
use crate::harness::conversation::converse;
use crate::harness::lab;
use crate::harness::lab::maven::JavaProject;
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::under_fire::{Servers, UnderFire};
use std::time::Duration;
use tempfile::TempDir;

/// The last client of 3.4, which is a server as well.
const CLIENT_3_4: &str = "3.4.14";
/// The last client of 3.8. It needs no operation that 3.4 has not.
const CLIENT_3_8: &str = "3.8.6";

/// What befalls the servers, one after the other; the clients have to go on after each.
const FIRE: &str = ":kill leader,bring back,kill follower,bring back,stop leader,bring back,stop follower,bring back,\
                    wipe follower,bring back";

const RECIPES: &[&str] = &[
    "leader-latch",
    "leader-selector",
    "mutex",
    "read-write-lock",
    "semaphore",
    "path-children-cache",
    "tree-cache",
    "node-cache",
    "persistent-node",
    "group-member",
    "barrier",
    "double-barrier",
    "atomic-long",
    "shared-count",
    "queue",
    "service-discovery",
    "transaction",
    "digest",
];

/// A server that says nothing for as long as it takes its clients to turn away, or others to lead.
const PAUSE: &str = ":pause leader,bring back,pause follower,bring back";

/// Without a recipe: ZooKeeper's own client.
const PLAIN: &[&str] = &[
    "sync",
    "moved-session",
    "dead-client",
    "multi",
    "chroot",
    "read-only-flag",
    "pipeline",
    "watches-at-a-server-that-returns",
    "watches-at-another-server",
    "many-watches",
];

/// A scenario may wait so long for one thing, and for a server on top.
const SILENCE_MAX: Duration = Duration::from_secs(200);

/// A JVM that is soon there and small.
const QUICK: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// Runs these scenarios, all at a time, each with its faults behind it.
fn run<S: Servers>(client: &str, servers: &mut UnderFire<S>, scenarios: &[&str]) {
    let home = TempDir::new().expect("make a home for the client");
    let names: Vec<&str> = scenarios
        .iter()
        .map(|s| s.split(':').next().unwrap_or(s))
        .collect();
    // What the client of 3.4 takes for the servers' names.
    let hosts = lab::assets().join("curator/hosts");
    let hosts = format!("-Djdk.net.hosts.file={}", hosts.display());
    let mut flags = vec![hosts.as_str()];
    flags.extend(QUICK);
    let mut command = JavaProject::curator(client).command(home.path(), &flags);
    command.arg(servers.connect_string()).args(scenarios);
    let log = home.path().join("client.log");
    converse(&mut command, &log, servers, &names, SILENCE_MAX);
}

/// Three fresh servers of ours.
fn ours() -> UnderFire<Cluster> {
    UnderFire::of(Cluster::start(3))
}

/// The scenario of a recipe against servers of ours, while all befalls them that may.
fn recipe(scenario: &str) {
    if lab::full() {
        let _alone = lab::heavy();
        run(CLIENT_3_4, &mut ours(), &[&format!("{scenario}{FIRE}")]);
    }
}

/// The scenario of a plain client, of each version, against servers of ours.
fn plain(scenario: &str, faults: &str) {
    if lab::full() {
        let _alone = lab::heavy();
        let mut servers = ours();
        for client in [CLIENT_3_4, CLIENT_3_8] {
            lab::note(&format!("client {client}"));
            run(client, &mut servers, &[&format!("{scenario}{faults}")]);
        }
    }
}

#[test]
fn curators_recipes_work_on_three_servers() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut servers = ours();
    run(CLIENT_3_4, &mut servers, RECIPES);
    run(CLIENT_3_4, &mut servers, &["mutex:kill leader,bring back"]);
}

#[test]
fn a_leader_latch_has_one_leader() {
    recipe("leader-latch");
}

#[test]
fn a_leader_selector_has_one_leader() {
    recipe("leader-selector");
}

#[test]
fn a_mutex_has_one_holder() {
    recipe("mutex");
}

#[test]
fn nobody_reads_while_somebody_holds_the_write_lock() {
    recipe("read-write-lock");
}

#[test]
fn a_semaphore_gives_out_no_more_leases_than_it_has() {
    recipe("semaphore");
}

#[test]
fn a_cache_of_children_becomes_what_the_tree_has() {
    recipe("path-children-cache");
}

#[test]
fn a_cache_of_a_tree_becomes_what_the_tree_has() {
    recipe("tree-cache");
}

#[test]
fn a_cache_of_a_znode_becomes_what_the_tree_has() {
    recipe("node-cache");
}

#[test]
fn a_persistent_node_comes_back() {
    recipe("persistent-node");
}

#[test]
fn the_members_of_a_group_see_each_other() {
    recipe("group-member");
}

#[test]
fn nobody_passes_a_barrier() {
    recipe("barrier");
}

#[test]
fn nobody_enters_or_leaves_a_double_barrier_alone() {
    recipe("double-barrier");
}

#[test]
fn no_increment_of_an_atomic_long_is_lost() {
    recipe("atomic-long");
}

#[test]
fn no_increment_of_a_shared_count_is_lost() {
    recipe("shared-count");
}

#[test]
fn a_queue_gives_out_every_message() {
    recipe("queue");
}

#[test]
fn who_offers_a_service_is_found() {
    recipe("service-discovery");
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all() {
    recipe("transaction");
}

#[test]
fn permissions_by_digest_hold_on_each_server() {
    recipe("digest");
}

/// Its clients wait for 27 s of their 40 before they turn away.
#[test]
fn recipes_hold_while_servers_are_silent() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let mut servers = ours();
    for scenario in [
        "leader-latch",
        "leader-selector",
        "mutex",
        "atomic-long",
        "sync",
    ] {
        run(CLIENT_3_4, &mut servers, &[&format!("{scenario}{PAUSE}")]);
    }
}

#[test]
fn the_java_client_reads_what_was_acknowledged_before_its_sync() {
    plain("sync", FIRE);
}

#[test]
fn the_java_client_takes_its_session_to_another_server() {
    plain("moved-session", FIRE);
}

#[test]
fn what_a_dead_java_client_had_made_goes_after_its_timeout() {
    plain("dead-client", ":kill leader,bring back");
}

#[test]
fn the_java_client_gets_the_results_of_a_multi() {
    plain("multi", FIRE);
}

#[test]
fn the_java_client_stays_below_its_chroot() {
    plain("chroot", FIRE);
}

#[test]
fn the_java_client_that_may_be_read_only_writes() {
    plain("read-only-flag", FIRE);
}

#[test]
fn the_java_clients_pipelined_writes_are_done_in_order() {
    plain("pipeline", FIRE);
}

#[test]
fn the_java_client_is_told_what_happened_while_its_server_was_away() {
    plain("watches-at-a-server-that-returns", FIRE);
}

#[test]
fn the_java_client_is_told_what_happened_when_it_comes_to_another_server() {
    plain("watches-at-another-server", FIRE);
}

#[test]
fn the_java_client_sets_thousands_of_watches_again() {
    plain("many-watches", FIRE);
}

#[test]
fn the_recipes_hold_for_three_of_the_original() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let jars = JavaProject::curator(CLIENT_3_4).libraries();
    let mut servers = UnderFire::of(ZooKeepers::start_from(&jars, Jvm::Quick));
    for scenario in RECIPES.iter().chain(PLAIN) {
        run(CLIENT_3_4, &mut servers, &[&format!("{scenario}{FIRE}")]);
    }
}
