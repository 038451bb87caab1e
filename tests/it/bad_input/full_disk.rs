//! No room: puts are refused with a reason, everything else goes on, and puts do again when there is room.

use super::assert_serves_others;
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::lab::mount::Mount;
use crate::harness::metaq_wire::{Answer, Client, checksum, stored};
use crate::harness::process::eventually;
use crate::harness::server::{CHRYSALIS, Server, set_key};
use crate::harness::zookeeper_wire;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// Puts on their way at a time.
const WINDOW: u32 = 16;

/// A server in a file system of its own with this much room.
fn prepare(mount: &Mount) -> Server {
    let mut server = Server::prepare(
        &mount.path().join("server1"),
        &[("alive", 1), ("fill", 1)],
        |config| {
            set_key(config, "journal", "file_bytes", &(4 * MIB).to_string());
            set_key(config, "journal", "files_max", "6");
            set_key(config, "disk", "reserve_bytes", &(2 * MIB).to_string());
            set_key(
                config,
                "disk",
                "refuse_below_bytes",
                &(40 * MIB).to_string(),
            );
        },
    );
    // Where there is room, so that it can be read.
    server.log_to(&mount.path().with_extension("log"));
    server
}

/// Takes all the room there is, but for `left` bytes.
fn take_room(folder: &Path, left: u64) {
    let mut ballast = File::options()
        .create(true)
        .append(true)
        .open(folder.join("ballast"))
        .expect("make the ballast");
    let block = vec![0; 64 << 10];
    loop {
        let stat = nix::sys::statvfs::statvfs(folder).expect("ask for the room");
        let free = stat.blocks_available() * stat.fragment_size();
        if free <= left + (64 << 10) || ballast.write_all(&block).is_err() {
            break;
        }
    }
    if left == 0 {
        take_crumbs(folder);
    }
}

/// Takes what is too little for a block of the ballast, and room for names and inodes, where these need any.
fn take_crumbs(folder: &Path) {
    for number in 0..1000 {
        if fs::write(folder.join(format!("crumb-{number}")), [0; 4096]).is_err() {
            return;
        }
    }
}

/// Gives it back, all of it and now.
fn make_room(folder: &Path) {
    for entry in fs::read_dir(folder).expect("list the mount") {
        let path = entry.expect("list the mount").path();
        if path.is_file() {
            fs::remove_file(path).expect("make room");
        }
    }
    nix::unistd::sync();
}

/// A producer, and what it was told.
struct Producer {
    client: Client,
    /// The offsets of what was acknowledged.
    acknowledged: BTreeSet<i64>,
}

impl Producer {
    /// # Errors
    /// The text of the refusal.
    fn put(&mut self, data: &[u8]) -> Result<(), String> {
        match self.client.put("fill", 0, data) {
            Ok(stored) => {
                self.acknowledged.insert(stored.offset);
                Ok(())
            }
            Err((code, text)) => {
                assert_eq!(code, 500, "{text}");
                Err(text)
            }
        }
    }

    /// Puts until one is refused: the first may come before the server has looked.
    fn is_refused(&mut self) {
        let refused = (0..1000).find_map(|_| self.put(&[3; 1000]).err());
        let text = refused.expect("1000 puts do not fit where there is no room");
        assert!(names_the_cause(&text), "{text}");
    }

    /// Has many puts on their way at a time until one is refused; each is answered.
    fn put_without_waiting(&mut self, limit: u32) -> String {
        let data = vec![2; 50_000];
        let line = format!("put fill 0 {} 0 {}", data.len(), checksum(&data));
        for _ in 0..limit {
            for _ in 0..WINDOW {
                let opaque = self.client.next_opaque();
                let head = format!("{line} {opaque}\r\n").into_bytes();
                let put = [head.as_slice(), &data].concat();
                self.client.send(&put).expect("the server reads");
            }
            let mut refused = None;
            for _ in 0..WINDOW {
                match self.client.receive().expect("each put is answered") {
                    Answer::Result {
                        code: 200, text, ..
                    } => {
                        self.acknowledged.insert(stored(&text).offset);
                    }
                    Answer::Result { code, text, .. } => {
                        assert_eq!(code, 500, "{text}");
                        refused = Some(text);
                    }
                    Answer::Value { .. } => panic!("a value in answer to a put"),
                }
            }
            if let Some(text) = refused {
                return text;
            }
        }
        panic!("{limit} times {WINDOW} puts of 50 KB went into a small disk");
    }

    /// Fails unless everything that was acknowledged, and nothing else, can be read in the end.
    fn check(&mut self) {
        let mut read = BTreeSet::new();
        eventually("all of it is readable", Duration::from_secs(30), || {
            let stored = self.client.read_all("fill", 0);
            assert!(stored.iter().all(|(_, record)| record.sound));
            read = stored.into_iter().map(|(offset, _)| offset).collect();
            read.is_superset(&self.acknowledged)
        });
        assert_eq!(read, self.acknowledged, "what was refused is not stored");
    }

    /// Puts go on by themselves, and nothing is lost.
    fn recovers(&mut self, server: &Server) {
        eventually("puts go on", Duration::from_secs(30), || {
            self.put(b"after").is_ok()
        });
        self.check();
        assert_serves_others(server);
        eventually("commands are heard", Duration::from_secs(30), || {
            let mut status = Command::new(CHRYSALIS);
            let output = status.arg("status").arg(server.folder()).output();
            output.expect("the binary starts").status.success()
        });
    }
}

fn names_the_cause(text: &str) -> bool {
    text.contains("full") || text.contains("room")
}

/// Starts it where there is no room at all: it serves what is in the files, and refuses the rest.
fn start_without_room(server: &mut Server, producer: &mut Producer) {
    server.resume();
    producer.client = Client::connect(server.broker());
    // What is acknowledged and not in the files yet comes when there is room.
    let stored = producer.client.read_all("fill", 0);
    let offsets: BTreeSet<i64> = stored.into_iter().map(|(offset, _)| offset).collect();
    assert!(offsets.is_subset(&producer.acknowledged));
    assert!(offsets.contains(&0), "a full disk still serves reads");
    producer.is_refused();
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    let path = zookeeper.create("/n-", b"no room", 2);
    let path = path.expect("the coordinator goes on");
    zookeeper.get(&path, false).expect("get");
}

fn the_server_survives_a_full_disk(mount: &Mount) {
    let mut server = prepare(mount);
    server.resume();
    let mut producer = Producer {
        client: Client::connect(server.broker()),
        acknowledged: BTreeSet::new(),
    };
    producer.put(b"first").expect("put");
    take_room(mount.path(), 48 * MIB);
    let refused = (0..1000).find_map(|_| producer.put(&[1; 100_000]).err());
    let text = refused.expect("1000 puts of 100 KB do not fit");
    assert!(names_the_cause(&text), "{text}");
    // Reads go on, and so do writes to the coordinator.
    let stored = producer.client.read_all("fill", 0);
    assert_eq!(stored[0].1.data, b"first");
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    for number in 0..20 {
        zookeeper
            .create("/n-", format!("{number}").as_bytes(), 2)
            .expect("the coordinator goes on");
    }
    make_room(mount.path());
    producer.recovers(&server);

    // While it is idle.
    take_room(mount.path(), 0);
    producer.is_refused();
    make_room(mount.path());
    producer.recovers(&server);

    // Nothing at all left, also while it starts.
    server.stop();
    take_room(mount.path(), 0);
    start_without_room(&mut server, &mut producer);
    make_room(mount.path());
    producer.recovers(&server);

    // Faster than the server looks, with puts on their way; and then it is killed.
    let folder = mount.path().to_owned();
    let taken = thread::spawn(move || take_room(&folder, 0));
    let text = producer.put_without_waiting(1000);
    assert!(names_the_cause(&text), "{text}");
    taken.join().expect("the room is taken");
    server.kill();
    take_room(mount.path(), 0);
    start_without_room(&mut server, &mut producer);
    make_room(mount.path());
    producer.recovers(&server);
    server.stop();
}

/// The same in a file system of this type, in an image.
fn a_full(kind: &'static str, bytes: u64) {
    if !lab::full() {
        return;
    }
    if let Some(mount) = Mount::image(kind, bytes) {
        the_server_survives_a_full_disk(&mount);
    }
}

#[test]
fn a_full_tmpfs_stops_puts_and_nothing_else() {
    if let Some(mount) = Mount::tmpfs(128 * MIB) {
        the_server_survives_a_full_disk(&mount);
    }
}

#[test]
fn a_full_ext4_stops_puts_and_nothing_else() {
    a_full("ext4", 192 * MIB);
}

#[test]
fn a_full_xfs_stops_puts_and_nothing_else() {
    a_full("xfs", 400 * MIB);
}

#[test]
fn a_full_btrfs_stops_puts_and_nothing_else() {
    a_full("btrfs", 400 * MIB);
}
