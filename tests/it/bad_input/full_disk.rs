//! No room: puts are refused with a reason, everything else goes on, and puts do again when there is room.

use super::assert_serves_others;
use crate::deployment::Deployment;
use crate::lab;
use crate::lab::mount::Mount;
use crate::metaq_wire::Client;
use crate::process::eventually;
use crate::server::{Server, set_key};
use crate::zookeeper_wire;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const MIB: u64 = 1 << 20;

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
            return;
        }
    }
}

/// Gives it back, all of it and now.
fn make_room(folder: &Path) {
    fs::remove_file(folder.join("ballast")).expect("make room");
    nix::unistd::sync();
}

/// Puts until it is refused, and returns the text.
fn fill(client: &mut Client, limit: u32) -> String {
    for _ in 0..limit {
        if let Err((code, text)) = client.put("fill", 0, &vec![1; 100_000]) {
            assert_eq!(code, 500, "{text}");
            return text;
        }
    }
    panic!("{limit} puts of 100 KB went into a small disk");
}

fn the_server_survives_a_full_disk(mount: &Mount) {
    let mut server = prepare(mount);
    server.resume();
    let mut client = Client::connect(server.broker());
    client.put("fill", 0, b"first").expect("put");
    take_room(mount.path(), 48 * MIB);
    let text = fill(&mut client, 1000);
    assert!(text.contains("full") || text.contains("room"), "{text}");
    // Reads go on, and so do writes to the coordinator.
    let stored = client.read_all("fill", 0);
    assert_eq!(stored[0].1.data, b"first");
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    for number in 0..20 {
        zookeeper
            .create("/n-", format!("{number}").as_bytes(), 2)
            .expect("the coordinator goes on");
    }
    // Room again.
    make_room(mount.path());
    eventually("puts go on", Duration::from_secs(30), || {
        client.put("fill", 0, b"after").is_ok()
    });
    assert_serves_others(&server);

    // Nothing at all left, also while it starts.
    server.stop();
    take_room(mount.path(), 0);
    server.resume();
    let mut client = Client::connect(server.broker());
    let again = client.read_all("fill", 0);
    assert_eq!(
        again.len(),
        stored.len() + 1,
        "a full disk at the start still serves reads"
    );
    assert!(client.put("fill", 0, b"no room").is_err());
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    assert!(
        zookeeper.exists("/n-0000000000", false).is_ok() || zookeeper.children("/", false).is_ok()
    );
    make_room(mount.path());
    eventually("puts go on", Duration::from_secs(30), || {
        client.put("fill", 0, b"after").is_ok()
    });
    assert_serves_others(&server);
    server.stop();
}

#[test]
fn a_full_tmpfs_stops_puts_and_nothing_else() {
    if let Some(mount) = Mount::tmpfs("a_full_tmpfs_stops_puts_and_nothing_else", 128 * MIB) {
        the_server_survives_a_full_disk(&mount);
    }
}

#[test]
fn a_full_ext4_stops_puts_and_nothing_else() {
    const TEST: &str = "a_full_ext4_stops_puts_and_nothing_else";
    if !lab::full(TEST) {
        return;
    }
    if let Some(mount) = Mount::image(TEST, "ext4", 192 * MIB) {
        the_server_survives_a_full_disk(&mount);
    }
}
