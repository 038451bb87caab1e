//! Folders that are links, another server's, or gone.

use super::{assert_serves_others, refused_start};
use crate::harness::deployment::Deployment;
use crate::harness::metaq_wire::{Answer, Client, records};
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire;
use std::fs;
use std::os::unix::fs::symlink;

const BUSY: &str = "E0102";

fn put(server: &Server, text: &str) {
    let mut client = Client::connect(server.broker());
    client.put("linked", 0, text.as_bytes()).expect("put");
}

/// All messages of the topic, in order.
fn messages(server: &Server) -> Vec<String> {
    let mut client = Client::connect(server.broker());
    let Answer::Value { bytes, .. } = client.get("linked", 0, 0, 1 << 20) else {
        panic!("the messages are not there");
    };
    let (found, _) = records(&bytes);
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).expect("text");
    found.iter().map(|record| text(&record.data)).collect()
}

/// An operator moves a partition, or one file of it, to a larger disk and leaves a link. What is behind a link was once
/// taken for missing, and overwritten by the next message.
#[test]
fn what_a_link_leads_to_is_read_and_appended_to() {
    let mut server = Server::start_with(&[("alive", 1), ("linked", 1)], |_| {});
    put(&server, "one");
    server.stop();
    let partition = server.topics_folder().join("linked-0");
    let elsewhere = server.folder().join("larger-disk");
    fs::rename(&partition, &elsewhere).expect("move the partition");
    symlink(&elsewhere, &partition).expect("leave a link");
    server.resume();
    put(&server, "two");
    assert_eq!(messages(&server), ["one", "two"]);
    server.stop();
    let file = elsewhere.join("00000000000000000000.meta");
    let moved = server.folder().join("moved.meta");
    fs::rename(&file, &moved).expect("move the file");
    symlink(&moved, &file).expect("leave a link");
    server.resume();
    put(&server, "three");
    assert_eq!(messages(&server), ["one", "two", "three"]);
    assert_serves_others(&server);
}

#[test]
fn two_servers_never_share_a_folder_of_data() {
    let first = Server::start_with(&[("alive", 1)], |_| {});
    let shared = first.topics_folder().display().to_string();
    let home = tempfile::tempdir().expect("a folder");
    let second = Server::prepare(&home.path().join("server2"), &[("alive", 1)], |text| {
        set_key(text, "broker", "topics_folder", &format!("\"{shared}\""));
    });
    let (_, said) = refused_start(&mut second.command());
    assert!(said.contains(BUSY) && said.contains(&shared), "{said}");
    let third = Server::prepare(&home.path().join("server3"), &[("alive", 1)], |_| {});
    fs::create_dir_all(third.folder().join("data")).expect("a folder");
    let journal = first.folder().join("data/journal");
    symlink(&journal, third.folder().join("data/journal")).expect("a link");
    let (_, said) = refused_start(&mut third.command());
    assert!(said.contains(BUSY), "{said}");
    assert_serves_others(&first);
}

/// A journal whose disk was not mounted looks like one that never was.
#[test]
fn a_server_whose_journal_is_gone_does_not_begin_anew() {
    let mut server = Server::start_with(&[("alive", 1)], |_| {});
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    let path = zookeeper.create("/kept-", b"it", 0).expect("create");
    server.kill();
    let journal = server.folder().join("data/journal");
    let away = server.folder().join("away");
    fs::rename(&journal, &away).expect("move the journal away");
    let (code, said) = refused_start(&mut server.command());
    assert!(code == 11 && said.contains("E0201"), "{code}: {said}");
    assert!(said.contains("data/journal is gone"), "{said}");
    // Asking made an empty folder, as a mount has one.
    fs::remove_dir(&journal).expect("an empty folder");
    fs::rename(&away, &journal).expect("put it back");
    server.resume();
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    let (data, _) = zookeeper.get(&path, false).expect("get");
    assert_eq!(data, Some(b"it".to_vec()));
}
