//! What clients, operators and disks get wrong. Bad input costs its sender, and nobody else: the server goes on, serves
//! others, and its memory stays within bounds.

mod bytes;
mod configuration;
mod crowds;
mod damage;
mod full_disk;
mod limits;
mod names;

use crate::deployment::Deployment;
use crate::metaq_wire;
use crate::process::run_to_end;
use crate::server::Server;
use crate::zookeeper_wire;
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

/// A small generator, so that garbage is the same in each run of a seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From this seed.
    pub(crate) fn from(seed: u64) -> Dice {
        Dice(seed)
    }

    /// From `SEED`, or a fixed one.
    fn new() -> Dice {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(1);
        Dice(seed)
    }

    /// A number below `end`.
    pub(crate) fn roll(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.roll(256)).expect("below 256"))
            .collect()
    }
}
