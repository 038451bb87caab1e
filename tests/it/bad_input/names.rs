//! Topics with names that would be paths, and commands that do not exist.

use super::assert_serves_others;
use crate::harness::deployment::Deployment;
use crate::harness::metaq_wire::{Answer, Client, checksum};
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn tree(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list a folder") {
        let path = entry.expect("list a folder").path();
        if path.is_dir() {
            tree(&path, into);
        }
        into.insert(path);
    }
}

#[test]
fn a_topic_whose_name_is_a_path_is_refused_even_where_every_topic_is_accepted() {
    let mut server = Server::start(&[("alive", 1), ("*", 1)]);
    let home = server
        .folder()
        .parent()
        .expect("it is in a folder of its own")
        .to_owned();
    let mut before = BTreeSet::new();
    tree(&home, &mut before);
    let mut client = Client::connect(server.broker());
    let long = "x".repeat(10_000);
    let names = [
        "..", ".", "/", "../x", "../../x", "a/b", "/etc/x", "a\0b", "\0", "\u{1}", "a\tb", "a\nb",
        "a\rb", "\u{7f}", &long,
    ];
    for name in names {
        // A bad name is either refused with a text, or a line that makes no sense.
        let line = format!("put {name} 0 1 0 {} 5\r\nx", checksum(b"x"));
        client.send(line.as_bytes()).expect("the server reads");
        match client.receive() {
            Ok(Answer::Result {
                code: 400 | 500,
                text,
                ..
            }) => assert!(!text.is_empty(), "{name:?}"),
            Ok(other) => panic!("{name:?}: {other:?}"),
            Err(_) => client = Client::connect(server.broker()),
        }
        for request in [
            format!("get {name} g 0 0 1000 5\r\n"),
            format!("offset {name} g 0 0 5\r\n"),
            format!("stats {name} 5\r\n"),
        ] {
            client.send(request.as_bytes()).expect("the server reads");
            if client.receive().is_err() {
                client = Client::connect(server.broker());
            }
        }
    }
    client
        .put("a-good.name", 0, b"x")
        .expect("a good name is accepted");
    assert_serves_others(&server);
    server.stop();
    let mut after = BTreeSet::new();
    tree(&home, &mut after);
    let topics = server.topics_folder();
    for path in after.difference(&before) {
        let expected = path.starts_with(topics.join("alive-0"))
            || path.starts_with(topics.join("a-good.name-0"))
            || path.starts_with(server.folder().join("data")) && !path.starts_with(&topics)
            || *path == server.folder().with_extension("log");
        assert!(expected, "{} appeared", path.display());
    }
}

#[test]
fn znode_names_that_would_be_paths_are_only_names() {
    let mut server = Server::start_with(&[("alive", 1)], |config| {
        set_key(config, "coordinator", "snapshot_every_entries", "1000");
    });
    let mut client = zookeeper_wire::Client::connect(server.coordinator());
    for bad in ["/..", "/a/../b", "/.", "/\u{0}", "//", "relative", "../x"] {
        assert!(client.create(bad, b"", 0).is_err(), "{bad:?}");
    }
    let long = format!("/{}", "n".repeat(100_000));
    assert_eq!(client.create(&long, b"x", 0), Ok(long.clone()));
    server.restart();
    let mut client = zookeeper_wire::Client::connect(server.coordinator());
    assert_eq!(
        client.get(&long, false).expect("get").0,
        Some(b"x".to_vec())
    );
}

#[test]
fn unknown_commands_are_hung_up_on() {
    let server = Server::start(&[("alive", 1)]);
    for command in [
        "unknown\r\n",
        "PUT alive 0 1 0 1\r\nx",
        "\r\n",
        " \r\n",
        "stat\r\n",
        "transactions\r\n",
        "\u{87f2} 1\r\n",
    ] {
        let mut client = Client::connect(server.broker());
        client.send(command.as_bytes()).expect("the server reads");
        assert!(client.is_closed(), "{command:?}");
    }
    // A line that never ends is not kept for ever.
    let mut client = Client::connect(server.broker());
    let mut sent = 0_usize;
    while sent < 64 << 20 && client.send(&[b'p'; 1 << 16]).is_ok() {
        sent += 1 << 16;
    }
    assert!(sent < 64 << 20, "64 MiB without a line end were taken");
    for word in ["xxxx", "quit", "help", "kill"] {
        let answer = zookeeper_wire::four_letter_word(server.coordinator(), word);
        assert_eq!(answer.as_deref(), Some(""), "{word}");
    }
    assert_serves_others(&server);
}
