//! kazoo, the Python client, in all that it offers. The scenarios are in `tests/conformance/kazoo`.

use crate::harness::cluster::{Cluster, ThroughFollower};
use crate::harness::conversation::converse;
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::lab::python;
use crate::harness::originals::{Originals, SUPER_DIGEST};
use crate::harness::server::{Server, set_text};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const SCENARIOS: &[&str] = &[
    "create-get-set-delete",
    "names-and-paths",
    "ephemeral",
    "sequence",
    "watches",
    "locks",
    "election",
    "recipes",
    "transactions",
    "authentication",
    "session-survives-a-restart",
    "an-expired-session-leaves-nothing",
    "pipelining",
];

fn run(deployment: &mut dyn Deployment) {
    let folder = TempDir::new().expect("make a folder for the log");
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", python::kazoo())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(lab::assets().join("kazoo/conformance.py"))
        .arg(deployment.coordinator().to_string())
        .args(SCENARIOS);
    converse(
        &mut command,
        &folder.path().join("kazoo.log"),
        deployment,
        SCENARIOS,
        Duration::from_secs(90),
    );
}

#[test]
fn kazoo_and_its_recipes_work() {
    if !lab::online() {
        return;
    }
    let mut server = Server::start_with(&[], |config| {
        set_text(config, "coordinator", "super_digest", SUPER_DIGEST);
    });
    run(&mut server);
}

#[test]
fn kazoo_and_its_recipes_work_through_a_follower() {
    if !lab::online() {
        return;
    }
    let cluster = Cluster::start_with(3, &[], |config| {
        set_text(config, "coordinator", "super_digest", SUPER_DIGEST);
    });
    run(&mut ThroughFollower::of(cluster));
}

#[test]
fn the_kazoo_scenarios_hold_for_the_original() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    run(&mut Originals::start(&[("meta-test", 1)]));
}
