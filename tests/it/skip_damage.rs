//! Damage in a message file: never served, and passed over where an operator wants that.

use crate::harness::deployment::Deployment;
use crate::harness::metaq_wire::{Answer, Client};
use crate::harness::server::{CHRYSALIS, Server};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const HEADER_BYTES: i64 = 20;

fn skip_damage(server: &Server) -> Output {
    Command::new(CHRYSALIS)
        .args(["partition", "skip-damage"])
        .arg(server.folder())
        .args(["orders", "0"])
        .output()
        .expect("the binary under test starts")
}

/// The code and the text of an answer that is no value.
fn result(answer: Answer) -> (i32, String) {
    match answer {
        Answer::Result { code, text, .. } => (code, text),
        Answer::Value { bytes, .. } => panic!("{} bytes instead of a result", bytes.len()),
    }
}

/// The file that all messages are in.
fn file_of(server: &Server) -> PathBuf {
    let name = "orders-0/00000000000000000000.meta";
    server.topics_folder().join(name)
}

/// Changes the data of the messages at these offsets while the server is away.
fn damage(server: &mut Server, offsets: &[i64]) {
    server.stop();
    let file = file_of(server);
    let mut bytes = fs::read(&file).expect("the messages are in it");
    for offset in offsets {
        let position = usize::try_from(offset + HEADER_BYTES).expect("a position");
        bytes[position] ^= 1;
    }
    fs::write(&file, bytes).expect("damage it");
    server.resume();
}

#[test]
fn consumers_go_on_behind_damage_when_an_operator_says_so() {
    let mut server = Server::start(&[("orders", 1)]);
    let mut client = Client::connect(server.broker());
    let mut offsets = Vec::new();
    for number in 0..8 {
        let data = format!("order number {number}");
        let stored = client.put("orders", 0, data.as_bytes());
        offsets.push(stored.expect("an open partition takes it").offset);
    }
    let refused = skip_damage(&server);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "nothing is damaged yet");
    assert!(
        told.contains("E0303") && told.contains("no damage is known in orders-0"),
        "{told}"
    );

    damage(&mut server, &[offsets[2], offsets[5]]);
    let mut client = Client::connect(server.broker());
    let (code, text) = result(client.get("orders", 0, offsets[2], 4096));
    assert_eq!(code, 500, "{text}");
    let done = skip_damage(&server);
    assert!(done.status.success(), "{done:?}");
    let moved = result(client.get("orders", 0, offsets[2], 4096));
    assert_eq!(moved, (301, offsets[3].to_string()));
    // It holds for the damage that is found later, too.
    let moved = result(client.get("orders", 0, offsets[5], 4096));
    assert_eq!(moved, (301, offsets[6].to_string()));

    // A consumer that follows the answers loses the two and nothing else.
    let read: Vec<i64> = client
        .read_all("orders", 0)
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let good: Vec<i64> = [0, 1, 3, 4, 6, 7]
        .map(|number: usize| offsets[number])
        .into();
    assert_eq!(read, good);

    // It holds for all that was there when it was said, whatever becomes of the process.
    server.restart();
    server.kill_and_restart();
    let mut client = Client::connect(server.broker());
    let moved = result(client.get("orders", 0, offsets[2], 4096));
    assert_eq!(moved, (301, offsets[3].to_string()));

    // Damage in what came later wants another decision.
    for text in ["a later one", "and one more"] {
        let stored = client.put("orders", 0, text.as_bytes());
        offsets.push(stored.expect("an open partition takes it").offset);
    }
    damage(&mut server, &[offsets[8]]);
    let mut client = Client::connect(server.broker());
    let (code, text) = result(client.get("orders", 0, offsets[8], 4096));
    assert_eq!(code, 500, "{text}");
    let done = skip_damage(&server);
    assert!(done.status.success(), "{done:?}");
    let moved = result(client.get("orders", 0, offsets[8], 4096));
    assert_eq!(moved, (301, offsets[9].to_string()));
}

/// What a file system leaves of a write that did not reach the disk. The checksum of twenty zeros is that of an empty
/// message with the id 0; and nothing but the bytes tells, where the journal and the checkpoint are lost as well.
#[test]
fn a_hole_of_zeros_is_damage_and_not_a_row_of_empty_messages() {
    let mut server = Server::start(&[("orders", 1)]);
    let mut client = Client::connect(server.broker());
    let texts: [&[u8]; 5] = [
        b"twenty bytes of data",
        b"",
        b"lost, with 40 bytes.",
        b"",
        b"what follows",
    ];
    let mut offsets = Vec::new();
    for text in texts {
        let stored = client.put("orders", 0, text).expect("it takes it");
        offsets.push(stored.offset);
    }
    server.stop();
    let file = file_of(&server);
    let mut bytes = fs::read(&file).expect("the messages are in it");
    let place = |offset: i64| usize::try_from(offset).expect("a position");
    bytes[place(offsets[2])..place(offsets[3])].fill(0);
    fs::write(&file, &bytes).expect("make the hole");
    fs::remove_file(server.folder().join("data/has-journal")).expect("lose it");
    for lost in ["journal", "broker", "coordinator"] {
        fs::remove_dir_all(server.folder().join("data").join(lost)).expect("lose it");
    }
    server.resume();

    // The folder is taken over as another broker's: nothing behind the hole is cut off.
    assert_eq!(fs::read(&file).expect("it is there"), bytes);
    let mut client = Client::connect(server.broker());
    let Answer::Value { bytes: read, .. } = client.get("orders", 0, 0, 4096) else {
        panic!("the first two are good");
    };
    assert_eq!(read, bytes[..place(offsets[2])]);
    let (code, text) = result(client.get("orders", 0, offsets[2], 4096));
    assert_eq!(code, 500, "{text}");

    let done = skip_damage(&server);
    assert!(done.status.success(), "{done:?}");
    // To the next that has data: an empty message behind zeros cannot be told from them for certain.
    let moved = result(client.get("orders", 0, offsets[2], 4096));
    assert_eq!(moved, (301, offsets[4].to_string()));
    let (_, last) = client.read_all("orders", 0).pop().expect("the last one");
    assert_eq!(last.data, texts[4]);
}
