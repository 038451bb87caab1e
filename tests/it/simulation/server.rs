//! A whole server in one thread, from a seed: the real node, codecs and all, on the simulated disk, with
//! clients whose bytes arrive in pieces, power that goes and disk operations that fail.
//!
//! After every life of the server the clients read everything back. What was acknowledged is there, at the
//! offset that was told; what was sent and not acknowledged is whole, once, or absent.

/// What the clients do and know.
mod clients;
/// What a start meets.
mod restart;
/// The server and its disk.
mod world;

use std::path::Path;
use std::time::Duration;

use chrysalis::disk::Class;

use super::disk::Fault;
use crate::harness::lab::seeds;
use crate::harness::tally::Tally;
pub(super) use world::Shared;
use world::{CUT_WITHIN, FAILED, FIRST_FILE, World};

/// Several lives of one server: what happened in them, and a trace of it.
fn run(seed: u64) -> (Tally, String) {
    let mut world = World::new(seed);
    for life in 0..5 {
        world.trace.push(format!("life {life}"));
        if world.start() {
            world.verify();
            if world.node.is_some() && !world.disk.0.borrow().is_dead() {
                world.arm();
                world.live();
            }
        }
        world.die();
    }
    world.trace.push("last".to_owned());
    assert!(world.start(), "without a fault the server starts");
    world.verify();
    for path in world.disk.0.borrow().paths() {
        let name = path.to_string_lossy();
        let kept = match &*name {
            "/server/data/broker/checkpoint" => "checkpoints",
            name if name.ends_with(".snapshot") => "snapshots",
            name if name.ends_with(".meta") && !name.ends_with("/00000000000000000000.meta") => {
                "further segments"
            }
            name if name.ends_with(".journal") && name != FIRST_FILE => "further journal files",
            _ => continue,
        };
        world.tally.add(kept, 1);
    }
    let trace = format!(
        "{:?} stored {} sent {} znodes {:?}",
        world.trace,
        world.memory.stored.len(),
        world.memory.sent.len(),
        world.memory.znodes
    );
    (world.tally, trace)
}

#[test]
fn a_server_keeps_what_it_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(60, 3000) {
        tally.merge(&run(seed).0);
    }
    tally.assert_at_least(&[
        ("power cuts", 90),
        (CUT_WITHIN, 10),
        (FAILED, 15),
        ("kills", 30),
        ("acknowledged messages looked for", 50_000),
        ("other messages found", 900),
        ("other messages gone", 2000),
        ("znodes set", 1800),
        ("checkpoints", 25),
        ("snapshots", 3),
        ("further segments", 500),
        ("further journal files", 25),
    ]);
}

/// A checkpoint or a snapshot may hold more than is left of the journal: what is written next must not be taken
/// for what they hold already.
#[test]
fn a_server_that_lost_its_journal_keeps_what_it_acknowledges_from_then_on() {
    let mut losses = 0;
    for seed in seeds(25, 1000) {
        let mut world = World::new(seed);
        for _ in 0..3 {
            assert!(world.start(), "without a fault the server starts");
            world.live();
            world.die();
        }
        // Without one its files are taken for another broker's.
        let checkpoint = Path::new("/server/data/broker/checkpoint");
        let paths = world.disk.0.borrow().paths();
        if !paths.iter().any(|path| path == checkpoint) || !world.lose() {
            continue;
        }
        losses += 1;
        world.accept_loss = true;
        world.know_nothing();
        assert!(world.start(), "a loss is accepted");
        world.accept_loss = false;
        world.verify();
        assert!(world.is_served(), "writes are answered");
        world.live();
        world.die();
        assert!(world.start(), "it starts again");
        world.verify();
    }
    assert!(losses > 10, "{losses} losses");
}

/// Whatever fails while a snapshot is written, and wherever the power goes: what has a snapshot's name is whole.
#[test]
fn a_snapshot_is_in_place_only_when_it_is_whole() {
    for seed in seeds(5, 100) {
        let faults = [
            Fault::Fails(Class::NoSpace),
            Fault::Fails(Class::Damaged),
            Fault::Power,
        ];
        for (nth, fault) in (0..12).flat_map(|nth| faults.map(|fault| (nth, fault))) {
            let mut world = World::new(seed);
            assert!(world.start(), "it starts");
            world.write_until(".snapshot.new");
            world
                .trace
                .push(format!("fault {fault:?} at operation {nth}"));
            world.disk.0.borrow_mut().fault(nth, fault);
            for _ in 0..200 {
                if !world.turn() {
                    break;
                }
            }
            world.die();
            if let Err(error) = world.open() {
                panic!("{fault:?} at operation {nth}: {error}");
            }
        }
    }
}

/// The journal is not told of the snapshot: nothing but a new start knows that the coordinator's entries are needless.
#[test]
fn puts_go_on_after_a_kill_between_a_snapshot_and_the_word_of_it() {
    for seed in seeds(3, 100) {
        let mut world = World::new(seed);
        assert!(world.start(), "it starts");
        let in_place = |world: &World| {
            let paths = world.disk.0.borrow().paths();
            let mut names = paths.iter().filter_map(|path| path.extension());
            names.any(|extension| extension == "snapshot")
        };
        for turn in 0..100_000 {
            if in_place(&world) {
                break;
            }
            if (60..260).contains(&turn) {
                // The journal goes on in another file.
                world.put_bytes(40_000);
            } else {
                world.write_znode();
            }
            assert!(world.turn(), "nothing fails");
        }
        assert!(in_place(&world), "a snapshot was made");
        world.node = None;
        world.clients.clear();
        world.established = false;
        world.disk.0.borrow_mut().kill();

        assert!(world.start(), "it starts again");
        // Twice as much as all files hold.
        for _ in 0..800 {
            world.put_bytes(40_000);
            for _ in 0..10 {
                assert!(world.turn(), "nothing fails");
            }
        }
        let before = world.memory.stored.len();
        for _ in 0..100 {
            world.put_bytes(100);
            world.now = world.now + Duration::from_secs(1);
            for _ in 0..10 {
                assert!(world.turn(), "nothing fails");
            }
        }
        assert!(
            world.memory.stored.len() > before,
            "puts are refused for ever"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in seeds(3, 30) {
        assert_eq!(run(seed).1, run(seed).1);
    }
}
