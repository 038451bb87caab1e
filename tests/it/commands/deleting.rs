//! `zk delete`: what cannot be brought back has to be meant, and no answer denies what was done.

use super::{assert_ended, assert_said, text};
use crate::harness::deployment::Deployment;
use crate::harness::server::{CHRYSALIS, Server};
use crate::harness::zookeeper_wire::{Body, Client, op};
use std::process::{Command, Output};

fn zk(server: &Server, arguments: &[&str]) -> Output {
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.arg("zk").args(arguments);
    chrysalis.args(["--server", &server.coordinator().to_string()]);
    chrysalis.output().expect("the binary under test starts")
}

fn all(server: &Server) -> String {
    text(&zk(server, &["ls", "-R"]).stdout)
}

#[test]
fn what_a_coordinator_or_a_group_needs_is_not_deleted_by_mistake() {
    // Alone, so that nobody else writes.
    let server = Server::coordinator_alone(|_| {});
    assert_ended(
        &zk(
            &server,
            &["create", "-p", "/meta/consumers/g/offsets/test/1-0", "1-7"],
        ),
        0,
    );
    assert_ended(
        &zk(
            &server,
            &["create", "-p", "/zookeeper/quota/a/zookeeper_limits", "x"],
        ),
        0,
    );
    let before = all(&server);
    for path in ["/", "/zookeeper", "/zookeeper/quota"] {
        let refused = zk(&server, &["delete", "-R", path, "--yes"]);
        assert_said(&refused, 1, &format!("E0309 {path} is never deleted"));
        assert_said(&refused, 1, "Nothing was deleted");
        assert_said(&zk(&server, &["delete", path]), 1, "E0309");
    }
    for path in ["/meta", "/meta/consumers", "/meta/consumers/g/offsets/test"] {
        let refused = zk(&server, &["delete", "-R", path]);
        assert_said(&refused, 1, "positions and members of 1 group (g)");
    }
    assert_eq!(all(&server), before);

    let refused = text(&zk(&server, &["delete", "-R", "/meta/consumers"]).stderr);
    let (_, again) = refused
        .trim()
        .split_once("If you mean it: ")
        .expect("a command");
    let again = again.replace("chrysalis", CHRYSALIS);
    let deleted = Command::new("sh").args(["-c", &again]).output();
    assert_said(&deleted.expect("a shell is there"), 0, "deleted 5 znodes\n");
    assert!(!all(&server).contains("consumers"));
}

#[test]
fn many_znodes_are_deleted_when_that_is_meant() {
    let server = Server::start(&[("test", 1)]);
    let mut client = Client::connect(server.coordinator());
    client.create("/many", b"", 0).expect("it is made");
    for number in 0..300 {
        client
            .create(&format!("/many/{number}"), b"", 0)
            .expect("it is made");
    }
    let refused = zk(&server, &["delete", "-R", "/many"]);
    assert_said(&refused, 1, "301 znodes would go. Nothing was deleted");
    let deleted = zk(&server, &["delete", "-R", "/many", "--yes", "--json"]);
    assert_said(&deleted, 0, r#"{"deleted":301,"path":"/many"}"#);
}

/// It said "It was not done" when nearly all was gone.
#[test]
fn a_deletion_that_is_refused_in_the_middle_says_how_many_went() {
    let server = Server::start(&[("test", 1)]);
    let mut client = Client::connect(server.coordinator());
    for path in ["/a", "/a/open", "/a/open/1", "/a/open/2"] {
        client.create(path, b"", 0).expect("it is made");
    }
    // Below it everybody may make znodes and nobody may delete any.
    let no_delete = Body::new().acl(&[(1 | 2 | 4 | 16, "world", "anyone")]);
    let locked = Body::new()
        .string("/a/locked")
        .bytes(b"")
        .raw(&no_delete.0)
        .int(0);
    assert_eq!(client.call(op::CREATE, &locked).error, 0);
    client.create("/a/locked/1", b"", 0).expect("it is made");

    let stopped = zk(&server, &["delete", "-R", "/a"]);
    assert_said(&stopped, 1, "E0402 delete /a/locked/1 on ");
    assert_said(
        &stopped,
        1,
        "3 of 6 znodes are deleted; the others are still there",
    );
    let left = text(&zk(&server, &["ls", "-R", "/a"]).stdout);
    assert_eq!(left, "/a/locked\n/a/locked/1\n");

    let nothing = zk(&server, &["delete", "-R", "/a/locked"]);
    assert_said(&nothing, 1, "Nothing was deleted");
}

#[test]
fn a_creation_that_is_refused_at_its_end_says_what_was_made_above() {
    let server = Server::start(&[("test", 1)]);
    let half = zk(&server, &["create", "-p", "/b/c/."]);
    assert_said(
        &half,
        1,
        "It was not made; what was made above it is there: /b, /b/c",
    );
    assert_said(&zk(&server, &["ls", "-R", "/b"]), 0, "/b/c\n");
    let none = zk(&server, &["create", "-p", "/b/c/."]);
    assert_said(&none, 1, "It was not done");
}
