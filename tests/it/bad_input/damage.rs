//! A byte that flipped on the disk is found before it is served, and told with its file and the way out.

use super::{assert_serves_others, refused_start};
use crate::harness::bits::{files, flip};
use crate::harness::deployment::Deployment;
use crate::harness::metaq_wire::{Answer, Client, records};
use crate::harness::server::{CHRYSALIS, Server, set_key};
use crate::harness::zookeeper_wire;
use std::fs;
use std::process::Command;

const DAMAGED_DATA: i32 = 11;

fn prepared(edit: impl FnOnce(&mut String)) -> Server {
    Server::start_with(&[("alive", 1), ("hurt", 1), ("well", 1)], edit)
}

fn run_accepting_loss(server: &mut Server) {
    let mut command = server.command();
    command.arg("--accept-loss");
    server.resume_with(&mut command);
}

fn status(server: &Server) -> String {
    let mut command = Command::new(CHRYSALIS);
    let output = command.arg("status").arg(server.folder()).output();
    let output = output.expect("the binary under test starts");
    String::from_utf8(output.stdout).expect("a status is text")
}

#[test]
fn a_flipped_byte_in_the_journal_stops_the_start_until_the_loss_is_accepted() {
    let mut server = prepared(|_| {});
    let mut client = Client::connect(server.broker());
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    for number in 0..50 {
        client
            .put("hurt", 0, format!("message {number:04}").as_bytes())
            .expect("put");
        zookeeper
            .create("/n-", format!("znode {number:04}").as_bytes(), 2)
            .expect("create");
    }
    // After a kill the journal is all there is to believe.
    server.kill();
    let journal = files(&server.folder().join("data/journal"), ".journal");
    let file = flip(&journal, b"message 0010");
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, DAMAGED_DATA, "{said}");
    assert!(
        said.contains("E0201") && said.contains(&*file.to_string_lossy()),
        "{said}"
    );
    let cure = format!(
        "`chrysalis run --accept-loss --folder {}`",
        server.folder().display()
    );
    assert!(said.contains(&cure), "{said}");
    let (again, _) = refused_start(&mut server.command());
    assert_eq!(again, DAMAGED_DATA, "asking twice does not make it whole");

    run_accepting_loss(&mut server);
    // How much went with the damage is in the log, and in the status while this process runs.
    let told = status(&server);
    for part in [
        "accepted a loss",
        "batches (",
        "group 0 (the coordinator): ",
        "group 2 (broker 1): ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let log = server.process().log();
    assert!(
        log.contains("also what is whole") && log.contains("lost="),
        "{log}"
    );
    // What was before the damage is there, and nothing that is served is false.
    let mut client = Client::connect(server.broker());
    let all = client.read_all("hurt", 0);
    assert!(all.len() >= 10, "only {} messages are left", all.len());
    for (number, (_, record)) in all.iter().enumerate().take(10) {
        assert!(record.sound);
        assert_eq!(record.data, format!("message {number:04}").as_bytes());
    }
    assert!(
        all.iter()
            .all(|(_, record)| record.sound && record.data.starts_with(b"message "))
    );
    assert_serves_others(&server);
    server.restart();
    assert_serves_others(&server);
    assert!(!status(&server).contains("accepted a loss"));
}

#[test]
fn a_flipped_byte_in_a_snapshot_is_never_served() {
    let mut server = prepared(|config| {
        set_key(config, "coordinator", "snapshot_every_entries", "1000");
    });
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    for number in 0..1500 {
        zookeeper
            .create("/n-", format!("znode {number:04}").as_bytes(), 2)
            .expect("create");
    }
    drop(zookeeper);
    server.stop();
    let snapshots = files(&server.folder().join("data/coordinator"), "");
    assert!(
        !snapshots.is_empty(),
        "there is a snapshot after 1,500 entries"
    );
    for snapshot in &snapshots {
        flip(std::slice::from_ref(snapshot), b"znode 0500");
    }
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, DAMAGED_DATA, "{said}");
    assert!(
        said.contains("E0202") && said.contains("data/coordinator"),
        "{said}"
    );
    run_accepting_loss(&mut server);
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    for name in zookeeper.children("/", false).expect("list") {
        if let Some(number) = name.strip_prefix("n-") {
            let number: usize = number.parse().expect("a number");
            let data = zookeeper.get(&format!("/{name}"), false).expect("get").0;
            assert_eq!(
                data,
                Some(format!("znode {number:04}").into_bytes()),
                "{name}"
            );
        }
    }
    assert_serves_others(&server);
}

/// What docs/operating.md says of the bytes that no checksum covers.
#[test]
fn a_flipped_id_or_flag_is_mended_by_the_journal_until_a_checkpoint_and_served_afterwards() {
    const ID: usize = 15;
    const FLAG: usize = 19;
    let mut server = prepared(|_| {});
    let mut client = Client::connect(server.broker());
    let id = client.put("hurt", 0, b"hello").expect("put").id;
    let file = server
        .topics_folder()
        .join("hurt-0/00000000000000000000.meta");
    let flip = |at: usize| {
        let mut bytes = fs::read(&file).expect("read a file");
        bytes[at] ^= 0x10;
        fs::write(&file, bytes).expect("write a file");
    };
    let read = |server: &Server| {
        let record = Client::connect(server.broker())
            .read_all("hurt", 0)
            .remove(0)
            .1;
        assert!(record.sound && record.data == b"hello");
        (record.id, record.flag)
    };
    // Whoever reads it waits until it is in its file.
    assert_eq!(read(&server), (id, 0), "as it was sent");
    server.kill();
    flip(ID);
    flip(FLAG);
    server.resume();
    assert_eq!(read(&server), (id, 0), "the journal has them");
    // An orderly stop makes a checkpoint; a crash after that changes nothing.
    server.restart();
    server.kill();
    flip(ID);
    flip(FLAG);
    server.resume();
    assert_eq!(read(&server), (id ^ 0x10, 0x10), "nothing covers them");
    assert_serves_others(&server);
}

#[test]
fn a_flipped_byte_in_a_segment_is_answered_500_and_the_rest_is_served() {
    let mut server = prepared(|config| {
        set_key(config, "broker", "segment_bytes", "4096");
    });
    let mut client = Client::connect(server.broker());
    let mut offsets = Vec::new();
    for number in 0..400 {
        let stored = client
            .put("hurt", 0, format!("message {number:04}").as_bytes())
            .expect("put");
        offsets.push(stored.offset);
        client
            .put("well", 0, format!("message {number:04}").as_bytes())
            .expect("put");
    }
    // After an orderly stop nothing is applied again from the journal.
    server.stop();
    let segments = files(&server.topics_folder().join("hurt-0"), ".meta");
    assert!(segments.len() > 2, "several segments");
    let file = flip(&segments, b"message 0150");
    server.resume();
    let mut client = Client::connect(server.broker());
    assert_eq!(
        client.read_all("well", 0).len(),
        400,
        "another partition is whole"
    );
    // Reading from the start: everything before the damaged record, then 500; never the false bytes, and never 301.
    let mut offset = 0;
    let mut seen = 0;
    loop {
        match client.get("hurt", 0, offset, 1000) {
            Answer::Value { bytes, .. } => {
                let (found, length) = records(&bytes);
                for record in &found {
                    assert!(record.sound);
                    assert_eq!(record.data, format!("message {seen:04}").as_bytes());
                    seen += 1;
                }
                assert!(
                    length > 0,
                    "at {offset}: {} bytes and no record",
                    bytes.len()
                );
                offset += i64::try_from(length).expect("a length");
            }
            Answer::Result {
                code: 500, text, ..
            } => {
                assert!(!text.is_empty());
                break;
            }
            Answer::Result { code, text, .. } => panic!("at {offset}: {code} {text}"),
        }
    }
    assert!(
        seen <= 150,
        "message {seen} was served from behind the damage"
    );
    let log = server.process().log();
    assert!(
        log.contains(&*file.to_string_lossy()),
        "the log names the file:
{log}"
    );
    // Segments behind it are served.
    let Answer::Value { bytes, .. } = client.get("hurt", 0, offsets[399], 1000) else {
        panic!("the last message")
    };
    assert_eq!(records(&bytes).0[0].data, b"message 0399");
    client.put("hurt", 0, b"new").expect("puts go on");
    assert_serves_others(&server);
}

/// Metamorphosis takes `0.meta` for the file at 0, and `x.meta` ends its start.
#[test]
fn files_named_nearly_like_message_files_are_passed_over_or_told_by_name() {
    let mut server = prepared(|_| {});
    let mut client = Client::connect(server.broker());
    client.put("well", 0, b"hello").expect("put");
    server.stop();

    let partition = server.topics_folder().join("well-0");
    let file = partition.join("00000000000000000000.meta");
    let copies = ["0.meta", "x.meta", "copy of 0.meta", ".meta"].map(|name| partition.join(name));
    for copy in &copies {
        fs::write(copy, "not this").expect("write a file");
    }
    fs::create_dir(partition.join("7.meta")).expect("make a folder");
    fs::write(partition.join("00000000000000000000.meta~"), "a backup").expect("write a file");
    server.resume();
    let mut client = Client::connect(server.broker());
    assert_eq!(client.read_all("well", 0).len(), 1);
    let log = server.process().log();
    for copy in &copies {
        assert!(log.contains(&*copy.to_string_lossy()), "{copy:?}: {log}");
    }
    server.stop();

    // Without the file that it may be a copy of, it may be that file.
    fs::remove_file(&copies[0]).expect("remove it");
    fs::rename(&file, partition.join("00.meta")).expect("rename it");
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, DAMAGED_DATA, "{said}");
    assert!(said.contains("well-0/00.meta"), "{said}");
    assert!(
        said.contains("rename it to 00000000000000000000.meta"),
        "{said}"
    );
    fs::rename(partition.join("00.meta"), &file).expect("rename it");
    server.resume();
    let mut client = Client::connect(server.broker());
    assert_eq!(client.read_all("well", 0)[0].1.data, b"hello");
}
