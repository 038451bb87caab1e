//! The data folder goes from one broker to the other and back, after an orderly stop.

use crate::harness::deployment::{Deployment, Topic};
use crate::harness::lab;
use crate::harness::metaq_wire::{Client, Record};
use crate::harness::originals::{JavaBroker, SEGMENT_BYTES, ZooKeeper};
use crate::harness::server::{Server, set_key};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

const TOPICS: &[Topic] = &[("swap", 2), ("one-more", 1)];

const PARTITIONS: &[(&str, i32)] = &[("swap", 0), ("swap", 1), ("one-more", 0)];

type Messages = BTreeMap<(&'static str, i32), Vec<(i64, Record)>>;

/// Puts messages of many sizes, over several segments, and waits until a get sees the last.
fn fill(broker: SocketAddr, round: u8) {
    let mut client = Client::connect(broker);
    for (topic, partition) in PARTITIONS {
        for number in 0..60_u16 {
            let data = vec![round; usize::from(number) * usize::from(number)];
            client.put(topic, *partition, &data).expect("put");
        }
    }
}

fn messages(broker: SocketAddr) -> Messages {
    let mut client = Client::connect(broker);
    PARTITIONS
        .iter()
        .map(|(topic, partition)| ((*topic, *partition), client.read_all(topic, *partition)))
        .collect()
}

/// The segments of all partitions, by path below the folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (topic, partition) in PARTITIONS {
        let name = format!("{topic}-{partition}");
        for entry in fs::read_dir(folder.join(&name)).expect("the partition has a folder") {
            let path = entry.expect("list the segments").path();
            let file = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            assert!(
                file.ends_with(".meta") && file.len() == 25,
                "in {name}: {file}"
            );
            files.insert(
                format!("{name}/{file}"),
                fs::read(&path).expect("read a segment"),
            );
        }
    }
    files
}

fn copy(from: &Path, to: &Path) {
    for (topic, partition) in PARTITIONS {
        let name = format!("{topic}-{partition}");
        let target = to.join(&name);
        fs::create_dir_all(&target).expect("make the partition's folder");
        for entry in fs::read_dir(from.join(&name)).expect("the partition has a folder") {
            let path = entry.expect("list the segments").path();
            fs::copy(&path, target.join(path.file_name().expect("a name")))
                .expect("copy a segment");
        }
    }
}

#[test]
fn a_data_folder_goes_from_the_java_broker_to_ours_and_back() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let zookeeper = ZooKeeper::start();
    let mut java = JavaBroker::start(zookeeper.address(), 1, TOPICS);
    fill(java.address(), 1);
    let written_by_java = messages(java.address());
    java.stop();
    let java_files = files(java.data());
    assert!(java_files.len() > PARTITIONS.len(), "several segments");

    let home = TempDir::new().expect("make a folder");
    let mut ours = Server::prepare(&home.path().join("server1"), TOPICS, |config| {
        set_key(
            config,
            "broker",
            "segment_bytes",
            &SEGMENT_BYTES.to_string(),
        );
    });
    copy(java.data(), &ours.topics_folder());
    ours.resume();
    assert_eq!(
        messages(ours.broker()),
        written_by_java,
        "ours serves what the Java broker wrote"
    );
    fill(ours.broker(), 2);
    let written_by_both = messages(ours.broker());
    ours.stop();
    let our_files = files(&ours.topics_folder());
    for (name, bytes) in &java_files {
        assert!(our_files[name].starts_with(bytes), "{name} was changed");
    }

    // And back, to the files as they lie there.
    let mut java = JavaBroker::prepare(zookeeper.address(), 1, TOPICS, Some(&ours.topics_folder()));
    java.resume();
    assert_eq!(
        messages(java.address()),
        written_by_both,
        "the Java broker serves what ours wrote"
    );
    fill(java.address(), 3);
    let written_by_all = messages(java.address());
    java.stop();
    assert!(written_by_all[&("swap", 0)].len() == 180, "three rounds");
}

#[test]
fn segments_are_bit_for_bit_those_of_the_java_broker() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    let zookeeper = ZooKeeper::start();
    let mut java = JavaBroker::start(zookeeper.address(), 1, TOPICS);
    fill(java.address(), 1);
    java.stop();
    let mut ours = Server::start_with(TOPICS, |config| {
        set_key(
            config,
            "broker",
            "segment_bytes",
            &SEGMENT_BYTES.to_string(),
        );
    });
    fill(ours.broker(), 1);
    ours.stop();
    let without_ids = |files: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        files
            .into_iter()
            .map(|(name, bytes)| (name, without_ids(bytes)))
            .collect()
    };
    assert_eq!(
        without_ids(files(&ours.topics_folder())),
        without_ids(files(java.data()))
    );
}

/// A segment's bytes with all message ids set to zero.
fn without_ids(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < bytes.len() {
        let length = i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        bytes[at + 8..at + 16].fill(0);
        at += 20 + usize::try_from(length).expect("a length");
    }
    bytes
}
