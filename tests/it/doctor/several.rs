//! Several servers that are one coordinator: who is missing, since when, and where they are.

use super::{AT_RISK, BROKEN, assert_first, findings, names};
use crate::harness::cluster::Cluster;
use crate::harness::command::chrysalis;
use crate::harness::deployment::START_LIMIT;
use crate::harness::process::eventually;

/// What the first finding at a server is called.
fn first(cluster: &Cluster, server: usize) -> String {
    let found = findings(cluster.server(server).folder());
    names(&found)
        .first()
        .map_or_else(String::new, |name| (*name).to_owned())
}

#[test]
fn one_of_three_alone_names_who_is_missing_and_since_when() {
    let mut cluster = Cluster::start(3);
    let folder = |cluster: &Cluster, i: usize| cluster.server(i).folder().to_owned();
    // On one host they are together: that is a risk.
    let at = folder(&cluster, 0);
    eventually("all of them serve", START_LIMIT, || {
        first(&cluster, 0) == "voters-on-one-host"
    });
    let said = assert_first(&at, AT_RISK, "3 of 3 voters are on one host, 127.0.0.1", "");
    assert!(said.contains("on 127.0.0.1: server 1, 2, 3"), "{said}");
    // One is away.
    cluster.kill(1);
    eventually("it is missed", START_LIMIT, || {
        first(&cluster, 0) == "voter-missing"
    });
    assert_first(
        &at,
        AT_RISK,
        "server 2 (127.0.0.1:",
        ") has been missing for",
    );
    // And another one.
    cluster.kill(2);
    eventually("both are missed", START_LIMIT, || {
        first(&cluster, 0) == "no-quorum"
    });
    let begins = "nothing is served, because servers 2 and 3 are missing: 2 of 3 voters are needed";
    let said = assert_first(&at, BROKEN, begins, "");
    for server in [2, 3] {
        let since = said
            .lines()
            .find(|line| line.contains(&format!("  server {server} (")));
        assert!(
            since.is_some_and(|line| line.contains("has been missing for ")),
            "{said}"
        );
    }
    // What follows from it is not told.
    let found = findings(&at);
    assert_eq!(names(&found), ["no-quorum", "voters-on-one-host"]);
}

#[test]
fn an_ensemble_that_is_not_founded_names_who_was_never_there() {
    let mut cluster = Cluster::prepare(3, &[], |_| {});
    cluster.open(0);
    eventually("it waits", START_LIMIT, || {
        first(&cluster, 0) == "ensemble-not-founded"
    });
    let begins = "nothing is served, because the ensemble is not founded yet: servers 2 and 3 have to be there once";
    assert_first(cluster.server(0).folder(), BROKEN, begins, "");
}

#[test]
fn a_server_that_was_taken_out_says_so() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let other = cluster.followers()[0];
    let id = (other + 1).to_string();
    chrysalis(cluster.server(leader), &["cluster", "remove", &id]);
    eventually("it knows", START_LIMIT, || {
        first(&cluster, other) == "taken-out"
    });
    let begins = "nothing is served here, because this server was taken out of the ensemble";
    let said = assert_first(cluster.server(other).folder(), BROKEN, begins, "");
    assert!(
        said.contains(&format!("chrysalis cluster add {id}")),
        "{said}"
    );
}
