//! What clients, operators and disks get wrong. Bad input costs its sender, and nobody else: the server goes on, serves
//! others, and its memory stays within bounds.

mod bytes;
mod configuration;
mod crowds;
mod damage;
mod folders;
mod full_disk;
mod limits;
mod names;

use crate::harness::deployment::Deployment;
use crate::harness::metaq_wire;
use crate::harness::process::run_to_end;
use crate::harness::server::Server;
use crate::harness::zookeeper_wire;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a server may take in these tests beyond its configured bound for connections: code, caches, the journal's
/// buffers, and a debug build's appetite.
const BASE_BYTES: u64 = 96 << 20;

/// Fails unless both halves of the server do their work for a new client, and soon.
///
/// The server needs a topic `alive`.
fn assert_serves_others(server: &Server) {
    let start = Instant::now();
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    let path = zookeeper.create("/alive-", b"yes", 2).expect("create");
    assert_eq!(
        zookeeper.get(&path, false).expect("get").0,
        Some(b"yes".to_vec())
    );
    zookeeper.close();
    let mut metaq = metaq_wire::Client::connect(server.broker());
    let stored = metaq.put("alive", 0, b"yes").expect("put");
    let metaq_wire::Answer::Value { bytes, .. } = metaq.get("alive", 0, stored.offset, 1000) else {
        panic!("the message is not there");
    };
    assert_eq!(metaq_wire::records(&bytes).0[0].data, b"yes");
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "serving another client took {took:?}"
    );
}

/// Fails if the server takes more memory than it may.
fn assert_memory_within(server: &mut Server, connections_bytes: u64) {
    let resident = server.process().resident_bytes();
    assert!(
        resident < BASE_BYTES + connections_bytes,
        "{} MiB resident, with {} MiB for connections",
        resident >> 20,
        connections_bytes >> 20
    );
}

/// Runs the server where it must not come up, and returns its exit code and what it said.
fn refused_start(command: &mut Command) -> (i32, String) {
    let outcome = run_to_end(command, "", Duration::from_secs(30));
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    (
        outcome
            .status
            .code()
            .unwrap_or_else(|| panic!("killed by a signal:\n{said}")),
        said,
    )
}
