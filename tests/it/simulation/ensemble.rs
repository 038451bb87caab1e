//! Three whole servers in one thread, from a seed: real nodes on simulated disks, the connections between them, and
//! clients that go from one to the other. Servers lose power, are killed, wiped and paused, leave and come back, and hand the
//! lead over; disks are slow, full, damaged and fail; connections are cut, stalled and half open.
//!
//! What the clients are told has to be true all the time: a read after a `sync` misses nothing that was acknowledged, no
//! session goes back in time or ends before its time, nothing is done twice, nobody shows a tree that is long out of date, a
//! lock has one holder, a watch tells once and first. When the faults end all three serve soon, what was acknowledged is
//! there, all three have the same tree, and there is an order of all that was asked that explains all that was told.

#![allow(clippy::print_stdout, reason = "a simulation tells what it met")]

/// What the clients do and know.
mod clients;
/// What goes wrong.
mod faults;
/// Servers of several releases.
mod levels;
/// The connections between the servers.
mod links;
/// A lock, and a fence behind it.
mod locks;
/// Observers, and votes that move.
mod observers;
/// What is done as a whole.
mod pairs;
/// Bytes on their way.
mod pipe;
/// Znodes whose histories are judged.
mod registers;
/// One of the servers.
mod server;
/// A disk that stands still.
mod still;
/// What has to be true in the end.
mod verify;
/// Clients that only read.
mod visitors;
/// Watches on what is set.
mod watches;
/// All of it together.
mod world;

use crate::harness::lab::{self, seeds};
use crate::harness::tally::Tally;
use server::End;
use world::{MS, SECOND, SERVERS, World};

/// How long things go wrong.
const FAULTS_LAST: u64 = 60 * SECOND;

/// Tells what happened last if a run fails.
struct Story(World);

impl Drop for Story {
    #[allow(
        clippy::print_stderr,
        reason = "a test's output is where its reader looks"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.picture());
        }
    }
}

/// Faults, and then none: what happened, and a trace of it.
fn run(seed: u64) -> (Tally, (u64, u64)) {
    run_in(World::new(seed))
}

fn run_in(world: World) -> (Tally, (u64, u64)) {
    let mut story = Story(world);
    let world = &mut story.0;
    while world.now < FAULTS_LAST {
        world.step();
        world.fault();
    }
    world.heal();
    world.end_well();
    world.count_reads();
    (world.tally.clone(), world.trace())
}

#[test]
fn an_ensemble_keeps_what_it_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(12, 300) {
        tally.merge(&run(seed).0);
    }
    tally.assert_at_least(&[
        ("leaders", 30),
        ("wiped and back", 2),
        ("snapshots sent", 10),
        ("reads of the journal", 3),
        ("sessions moved", 80),
        ("sessions closed", 15),
        ("sessions abandoned", 10),
        ("links cut", 8),
        ("partitions", 15),
        ("all stopped at once", 8),
        ("disks that stood still", 15),
        ("power cuts within an operation", 1),
        ("sets", 500),
        ("synced reads", 300),
        ("acknowledged znodes found", 600),
        ("times that are right", 300),
        ("states compared", 3000),
        ("watches that told", 20),
        ("watches set again", 4),
        ("pairs set", 20),
        ("refused as a whole", 20),
        ("locks held", 6),
        ("locks let go", 3),
        ("writes behind the fence", 6),
        ("operations in order", 100),
        ("sets of another version", 5),
        ("joint changes told", 5),
        ("full disks", 2),
    ]);
    if lab::is_full() {
        // Seldom.
        tally.assert_at_least(&[
            ("leads handed over", 20),
            ("members fewer", 1),
            ("ends for a failed disk", 20),
            ("damaged files", 20),
            ("damage that nobody cared for", 20),
            ("power cuts within a start", 5),
        ]);
    }
}

/// The snapshot is in place before the journal knows of it. A start took that for a journal that has lost entries, and
/// refused to go on.
#[test]
fn a_server_starts_again_that_ended_between_a_snapshot_and_the_word_of_it() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.until("all vote", 60 * SECOND, |world| world.whole_since.is_some());
        world.wipe(2, SECOND);
        world.until("it has a snapshot", 60 * SECOND, |world| {
            world.has_snapshot(2)
        });
        world.stop(2, End::Kill, SECOND);
        assert!(world.has_snapshot(2), "it stays");
        world.end_well();
    }
}

/// What is damaged goes step by step.
#[test]
fn a_start_on_a_damaged_file_may_end_anywhere() {
    let mut tally = Tally::default();
    for seed in seeds(8, 300) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        let leader = whole_with_snapshots(world);
        let server = (leader + 1 + world.below(SERVERS - 1)) % SERVERS;
        world.damage(server, MS);
        world.servers[server].starts_cut = 3;
        world.until("it starts", 60 * SECOND, |world| {
            world.servers[server].starts_cut == 0 && world.serves(server)
        });
        world.heal();
        world.end_well();
        tally.merge(&world.tally);
    }
    tally.assert_at_least(&[
        ("damage that nobody cared for", 4),
        ("power cuts within a start", 4),
    ]);
}

/// All have been up for a while, each with a snapshot; who leads.
fn whole_with_snapshots(world: &mut World) -> usize {
    world.fault_at = u64::MAX;
    world.until("all vote", 60 * SECOND, |world| world.whole_since.is_some());
    world.until("all have snapshots", 60 * SECOND, |world| {
        (0..SERVERS).all(|server| world.has_snapshot(server))
    });
    let (_, (leader, _)) = world.leaders.last_key_value().expect("one leads");
    *leader
}

#[test]
fn a_server_whose_state_differs_is_found_out_and_gets_the_others() {
    for seed in seeds(3, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        whole_with_snapshots(world);
        let server = world.below(SERVERS);
        world.stop(server, End::Kill, SECOND);
        world.alter(server);
        let by = world.now + 30 * SECOND;
        world.until("it is there again", by, |world| {
            world.servers[server].node.is_some()
        });
        assert!(!world.agree(), "it has another state");
        world.until("all have the same", by, |world| {
            world.agree() && world.serves(server)
        });
        world.altered = false;
        world.digests.clear();
        world.end_well();
    }
}

/// Nobody knows who is right: most are taken to be. A leader that is not one of them cannot go on.
#[test]
fn a_leader_whose_state_is_not_that_of_most_hands_over_and_gets_theirs() {
    let mut led = 0;
    for seed in seeds(6, 60) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        let leader = whole_with_snapshots(world);
        for server in (0..SERVERS).filter(|it| *it != leader) {
            world.stop(server, End::Kill, SECOND);
            world.alter(server);
        }
        let (term, _) = world.leaders.last_key_value().expect("one leads");
        let (term, by) = (*term, world.now + 30 * SECOND);
        world.until("one leads again", by, |world| {
            world.leaders.range(term + 1..).next().is_some()
        });
        let (_, (next, _)) = world.leaders.last_key_value().expect("one leads");
        led += usize::from(*next == leader);
        world.until("all have the same", by, |world| {
            world.agree() && (0..SERVERS).all(|server| world.serves(server))
        });
        world.altered = false;
        world.digests.clear();
        world.check_service();
        world.calm_down();
    }
    if lab::is_full() {
        assert!(led > 0, "none of the others was ever a leader's");
    }
}

/// Nothing is applied where nothing is durable: such a server is not to lead, and its clients are better off elsewhere.
#[test]
fn a_leader_whose_disk_does_nothing_hands_over_and_comes_back_by_itself() {
    for seed in seeds(3, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        let leader = whole_with_snapshots(world);
        let (term, _) = world.leaders.last_key_value().expect("one leads");
        let (term, by) = (*term, world.now + 10 * SECOND);
        world.servers[leader].still_until = world.now + 20 * SECOND;
        world.until("another one leads", by, |world| {
            let mut later = world.leaders.range(term + 1..);
            later.any(|(_, (next, _))| *next != leader)
        });
        world.until("it serves nobody", by, |world| !world.serves(leader));
        let by = world.now + 30 * SECOND;
        world.until("it serves again", by, |world| world.serves(leader));
        world.end_well();
    }
}

/// A server that follows, out of reach from now until a moment that is to come.
fn out_of_reach(world: &mut World) -> (usize, u64) {
    let leader = whole_with_snapshots(world);
    let server = (leader + 1 + world.below(SERVERS - 1)) % SERVERS;
    let until = world.now + 2 * SECOND + world.random.below(2 * SECOND);
    (server, until)
}

/// From now on nobody is shown less through a server than what the others have acknowledged by now. How many entries it lacks.
fn comes_back_whole(world: &mut World, server: usize) -> u64 {
    let others = (0..SERVERS).filter(|it| *it != server);
    let known = others.map(|it| world.applied(it)).max();
    let known = known.expect("there are others");
    let lacks = known - world.applied(server);
    let by = world.now + 10 * SECOND;
    world.until("it serves again", by, |world| {
        let serves = world.serves(server);
        assert!(!serves || world.applied(server) >= known, "an old tree");
        serves
    });
    world.end_well();
    lacks
}

/// The first word of a leader comes before what it has committed meanwhile.
#[test]
fn a_server_that_was_cut_off_shows_nothing_before_it_has_caught_up() {
    let mut lacked = 0;
    for seed in seeds(6, 60) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        let (server, until) = out_of_reach(world);
        for other in (0..SERVERS).filter(|it| *it != server) {
            world.block(server, other, until);
            world.block(other, server, until);
        }
        let by = world.now + 1_700 * MS;
        world.until("it serves nobody", by, |world| !world.serves(server));
        world.until("all hear each other", u64::MAX, |world| {
            assert!(!world.serves(server), "nobody leads");
            world.now >= until
        });
        lacked += comes_back_whole(world, server);
    }
    assert!(lacked > 20, "clients wrote meanwhile: {lacked}");
}

/// It may believe for a moment that it goes on where it stood.
#[test]
fn a_server_that_was_stopped_shows_nothing_before_it_has_caught_up() {
    let mut lacked = 0;
    for seed in seeds(6, 60) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        let (server, until) = out_of_reach(world);
        world.servers[server].paused_until = until;
        world.until("it goes on", u64::MAX, |world| world.now >= until);
        lacked += comes_back_whole(world, server);
    }
    assert!(lacked > 0, "clients wrote meanwhile: {lacked}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in seeds(2, 30) {
        assert_eq!(run(seed).1, run(seed).1);
    }
}
