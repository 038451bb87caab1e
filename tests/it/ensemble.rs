//! Three servers that are one coordinator, as processes: killed, stopped, wiped and brought back while clients write.
//!
//! Every test ends with the ledger: whatever was acknowledged to a writer is there on each server, and all list the same.

use crate::harness::cluster::Cluster;
use crate::harness::command::{chrysalis, chrysalis_with};
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::load::{Ledger, Load};
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::process::eventually;
use crate::harness::roaming::{NO_NODE, Roamer};
use crate::harness::server::set_key;
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::{Body, Client, create, four_letter_word, hello, op};
use crate::simulation::altered;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// It goes with a session.
const EPHEMERAL: i32 = 1;

/// Longer than any election takes on a machine that is busy with other tests. What it took is told.
const GAP_MAX: Duration = Duration::from_secs(10);

/// Tells how long the clients of a test were kept waiting.
fn tell(what: &str, ledger: &Ledger) {
    let (count, worst) = (ledger.count(), ledger.worst);
    lab::note(&format!(
        "{what}: {count} writes, the longest took {worst:?}"
    ));
}

/// Whether this does not come true for a while.
fn never(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < end {
        if condition() {
            return false;
        }
    }
    true
}

/// Whether a server turns clients away, and says why.
pub(super) fn is_not_serving(cluster: &Cluster, i: usize) -> bool {
    let said = four_letter_word(cluster.address(i), "srvr").unwrap_or_default();
    let mut alone = Roamer::new(vec![cluster.address(i)], 0, 10_000);
    said.contains("not currently serving requests") && alone.ping().is_err()
}

/// A load for a moment, and the ledger.
fn write_and_check(cluster: &Cluster, name: &str) {
    let load = Load::start(cluster, name);
    load.goes_on(GAP_MAX);
    load.end().check(cluster);
}

#[test]
fn three_empty_folders_become_one_ensemble_in_whatever_order_they_start() {
    let orders = [
        [2, 0, 1],
        [0, 1, 2],
        [1, 2, 0],
        [0, 2, 1],
        [1, 0, 2],
        [2, 1, 0],
    ];
    let count = if lab::is_full() { 6 } else { 2 };
    for order in &orders[..count] {
        let mut cluster = Cluster::prepare(3, &[], |_| {});
        let [first, second, third] = *order;
        cluster.open(first);
        assert!(is_not_serving(&cluster, first), "one of three");
        cluster.open(second);
        let founded = never(|| cluster.serves(first) || cluster.serves(second));
        assert!(founded, "two of three found nothing");
        assert!(is_not_serving(&cluster, first), "two of three");
        assert!(is_not_serving(&cluster, second), "two of three");
        cluster.begin(third);
        cluster.wait_until_all_serve();
        write_and_check(&cluster, "new");
        // Each broker waits for the ensemble to register in it, and the library tells of each try.
        assert_eq!(cluster.said("fails to establish session"), 0);
    }
}

#[test]
fn writes_go_on_when_the_leader_is_killed_again_and_again() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for _ in 0..lab::rounds(3, 12) {
        load.goes_on(GAP_MAX);
        let leader = cluster.leader();
        cluster.kill(leader);
        load.goes_on(GAP_MAX);
        cluster.resume(leader);
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("leaders were killed", &ledger);
    assert!(ledger.worst < GAP_MAX, "{:?}", ledger.worst);
    ledger.check(&cluster);
}

#[test]
fn five_servers_go_on_without_two() {
    if !lab::full() {
        return;
    }
    let mut cluster = Cluster::start(5);
    let load = Load::start(&cluster, "load");
    for _ in 0..4 {
        load.goes_on(GAP_MAX);
        let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
        cluster.kill(leader);
        cluster.kill(follower);
        load.goes_on(GAP_MAX);
        cluster.resume(leader);
        cluster.resume(follower);
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("two of five were killed", &ledger);
    ledger.check(&cluster);
}

#[test]
fn a_follower_is_killed_and_comes_back_and_nobody_else_waits() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for _ in 0..lab::rounds(1, 6) {
        load.goes_on(GAP_MAX);
        let follower = cluster.followers()[0];
        cluster.kill(follower);
        load.goes_on(GAP_MAX);
        cluster.resume(follower);
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("followers were killed", &ledger);
    ledger.check(&cluster);
}

#[test]
fn each_server_is_restarted_in_turn_in_good_order() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for _ in 0..lab::rounds(1, 4) {
        for i in cluster.places() {
            load.goes_on(GAP_MAX);
            cluster.stop(i);
            load.goes_on(GAP_MAX);
            cluster.resume(i);
        }
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("each was restarted", &ledger);
    ledger.check(&cluster);
}

/// Sets a znode again and again, each time only if it has the version of the last time, many at once. Were one done twice,
/// passed over or out of its order, one behind it would be refused. Returns how often the znode was set.
fn count_up(mut client: Roamer, path: &str, ends: &AtomicBool, progress: &AtomicU64) -> i32 {
    const BURST: i32 = 50;
    client.create(path, b"", 0);
    let mut version = 0;
    while !ends.load(Ordering::SeqCst) {
        let set = |version: i32| Body::new().string(path).bytes(b"data").int(version);
        let sets: Vec<Body> = (version..version + BURST).map(set).collect();
        let replies = client.burst(op::SET_DATA, &sets);
        for reply in &replies {
            assert_eq!(reply.error, 0, "{path}, version {version}");
            version += 1;
            assert_eq!(reply.reader().stat().version, version);
        }
        if replies.len() < sets.len() {
            // Of those without an answer, the first few may be done.
            let reply = client.answer(op::EXISTS, &Body::new().string(path).bool(false));
            let found = reply.reader().stat().version;
            let unknown = BURST - i32::try_from(replies.len()).expect("a few");
            assert!((version..=version + unknown).contains(&found), "{found}");
            version = found;
        }
        progress.fetch_add(1, Ordering::SeqCst);
    }
    version
}

#[test]
fn what_clients_of_all_servers_write_is_done_once_and_in_order_while_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let ends = AtomicBool::new(false);
    let progress = AtomicU64::new(0);
    let counted: Vec<i32> = thread::scope(|scope| {
        let counters: Vec<_> = (0..6)
            .map(|i| {
                let client = cluster.client(i % 3, 30_000);
                let (ends, progress) = (&ends, &progress);
                scope.spawn(move || count_up(client, &format!("/count-{i}"), ends, progress))
            })
            .collect();
        let wait = || {
            let before = progress.load(Ordering::SeqCst);
            eventually("they count on", START_LIMIT, || {
                assert!(counters.iter().all(|it| !it.is_finished()), "one failed");
                progress.load(Ordering::SeqCst) >= before + 18
            });
        };
        for _ in 0..lab::rounds(3, 20) {
            wait();
            let leader = cluster.leader();
            cluster.kill(leader);
            wait();
            cluster.resume(leader);
        }
        ends.store(true, Ordering::SeqCst);
        let ended = counters.into_iter();
        ended.map(|it| it.join().expect("none failed")).collect()
    });
    for i in cluster.places() {
        let mut session = cluster.session(i);
        assert!(is_there(&mut session, "/count-0"));
        let found = (0..6).map(|i| session.exists(&format!("/count-{i}"), false));
        let found: Vec<i32> = found
            .map(|stat| stat.expect("it is there").version)
            .collect();
        assert_eq!(found, counted, "server {}", i + 1);
        session.close();
    }
    lab::note(&format!("they counted to {counted:?}"));
}

#[test]
fn one_of_three_acknowledges_nothing_until_another_is_back() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "before");
    load.goes_on(GAP_MAX);
    let mut ledger = load.end();
    for _ in 0..lab::rounds(1, 4) {
        let left = cluster.leader();
        let killed = cluster.followers();
        let mut client = Roamer::new(vec![cluster.address(left)], 0, 30_000);
        client.ping().expect("it is connected");
        killed.iter().for_each(|i| cluster.kill(*i));
        // It may have been sent; nobody has said that it is done.
        let create = create("/alone", b"", 0);
        assert!(client.call(op::CREATE, &create).is_err(), "acknowledged");
        eventually("reads end", GAP_MAX, || is_not_serving(&cluster, left));
        let read = Body::new().string("/load").bool(false);
        assert!(client.call(op::EXISTS, &read).is_err(), "nobody serves");
        cluster.resume(killed[0]);
        cluster.wait_until_serves(left);
        let load = Load::start(&cluster, "two");
        load.goes_on(GAP_MAX);
        cluster.resume(killed[1]);
        load.goes_on(GAP_MAX);
        ledger.add(load.end());
        ledger.check(&cluster);
    }
}

/// It knew nothing of the loss, and waited on: the other servers may have come back meanwhile.
#[test]
fn a_client_whose_session_nobody_agreed_on_is_sent_away_too() {
    // Nobody else is there to be sent away.
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "broker", "enabled", "false");
    });
    // One that comes when the leader has given up already is turned away at the door.
    let seen = (0..5).any(|_| {
        let left = cluster.leader();
        let killed = cluster.followers();
        killed.iter().for_each(|i| cluster.kill(*i));
        let mut client = Client::raw(cluster.address(left));
        client.send_raw(&hello(30_000)).expect("it is connected");
        assert!(client.is_closed(), "nobody serves");
        let seen = cluster.said("clients are sent away") == 1;
        killed.iter().for_each(|i| cluster.begin(*i));
        cluster.wait_until_all_serve();
        seen
    });
    assert!(seen, "it was never in time");
}

#[test]
fn nothing_is_lost_when_all_are_killed_at_once() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for _ in 0..lab::rounds(2, 12) {
        load.goes_on(GAP_MAX);
        cluster.places().for_each(|i| cluster.kill(i));
        cluster.places().for_each(|i| cluster.begin(i));
        cluster.wait_until_all_serve();
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("all were killed", &ledger);
    ledger.check(&cluster);
}

#[test]
fn a_wiped_server_gets_everything_and_its_vote_before_another_one_is_killed() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for round in 1..=usize::try_from(lab::rounds(1, 4)).expect("a few") {
        load.goes_on(GAP_MAX);
        // The leader in turn with a follower.
        let (leader, follower) = (cluster.leader(), cluster.followers()[0]);
        let (wiped, other) = match round % 2 {
            1 => (follower, leader),
            _ => (leader, follower),
        };
        cluster.kill(wiped);
        cluster.wipe(wiped);
        cluster.resume(wiped);
        // Before that its former self has still a vote, and is gone for good.
        eventually("it votes", GAP_MAX, || {
            cluster.said("a server votes") == round
        });
        load.goes_on(GAP_MAX);
        cluster.kill(other);
        load.goes_on(GAP_MAX);
        cluster.resume(other);
    }
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("a server was wiped and another one killed", &ledger);
    ledger.check(&cluster);
}

/// It would be taken for the first one that was wiped, and take its vote; and the first would take it back.
#[test]
fn a_second_process_with_a_servers_number_is_not_let_in_beside_the_first() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let mut second = cluster.second(0);
    second.begin();
    let why = "a second process says that it is this server";
    eventually("the others say so", START_LIMIT, || cluster.said(why) == 2);
    for i in [1, 2] {
        eventually("the status says so", START_LIMIT, || {
            chrysalis(cluster.server(i), &["cluster", "status"]).contains(why)
        });
    }
    load.goes_on(GAP_MAX);
    assert_eq!(cluster.said("a server is taken into the ensemble"), 0);
    // When the first is gone for good it is as good as one that was wiped.
    cluster.kill(0);
    eventually("it votes", START_LIMIT, || {
        cluster.said("a server votes") == 1
    });
    let ledger = load.end();
    tell("a number was there twice", &ledger);
    drop(second);
    cluster.resume(0);
    ledger.check(&cluster);
}

/// It would serve a tree of its own, and give that to others.
#[test]
fn a_server_that_lost_its_tree_gets_everything_and_its_vote() {
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "snapshot_every_entries", "100");
    });
    let load = Load::start(&cluster, "load");
    let damaged = cluster.followers()[0];
    let folder = cluster.server(damaged).folder().join("data/coordinator");
    eventually("there is a snapshot", GAP_MAX, || {
        snapshot(&folder).is_some()
    });
    cluster.kill(damaged);
    let path = snapshot(&folder).expect("it is still there");
    let mut bytes = fs::read(&path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("it can be written");
    cluster.resume(damaged);
    eventually("it votes", GAP_MAX, || cluster.said("a server votes") == 1);
    let leader = cluster.leader();
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    let ledger = load.end();
    tell("a server lost its tree and another one was killed", &ledger);
    ledger.check(&cluster);
}

/// The library ended the process, at each start, because a heartbeat named entries that it did not have.
#[test]
fn a_server_whose_older_data_was_put_back_is_a_new_member() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let older = cluster.followers()[0];
    cluster.stop(older);
    let kept = cluster.keep(older, "data");
    loop {
        cluster.resume(older);
        load.goes_on(GAP_MAX);
        let led = cluster.said("the coordinator serves");
        cluster.stop(older);
        cluster.put_back(older, "data", &kept);
        cluster.begin(older);
        let mut is_found = false;
        eventually("it is found out, or serves", START_LIMIT, || {
            is_found = cluster.log(older).contains("E0207");
            is_found || cluster.serves(older)
        });
        if is_found {
            break;
        }
        // On a busy machine another one was elected meanwhile, which cannot know.
        assert!(cluster.said("the coordinator serves") > led);
        cluster.stop(older);
    }
    assert!(!cluster.ended(older).success());
    cluster.resume(older);
    eventually("it votes", GAP_MAX, || cluster.said("a server votes") == 1);
    load.goes_on(GAP_MAX);
    let leader = cluster.leader();
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    let ledger = load.end();
    tell("older data was put back, and the leader killed", &ledger);
    ledger.check(&cluster);
}

/// It was taken for one that had just got a snapshot of another server.
#[test]
fn a_server_whose_journal_is_older_than_its_snapshot_does_not_go_on_as_who_it_was() {
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "snapshot_every_entries", "100");
    });
    let load = Load::start(&cluster, "load");
    let older = cluster.followers()[0];
    load.goes_on(GAP_MAX);
    cluster.stop(older);
    let kept = cluster.keep(older, "data/journal");
    let folder = cluster.server(older).folder().join("data/coordinator");
    let before = snapshot(&folder);
    cluster.resume(older);
    eventually("there is another snapshot", START_LIMIT, || {
        let now = snapshot(&folder);
        now.is_some() && now > before
    });
    cluster.stop(older);
    cluster.put_back(older, "data/journal", &kept);
    cluster.begin(older);
    assert!(!cluster.ended(older).success());
    assert!(cluster.log(older).contains("E0201"));
    cluster.resume_accepting_loss(older);
    eventually("it votes", GAP_MAX, || cluster.said("a server votes") == 1);
    let ledger = load.end();
    tell("an older journal was put back", &ledger);
    ledger.check(&cluster);
}

/// The newest snapshot in this folder.
fn snapshot(folder: &Path) -> Option<PathBuf> {
    let paths = fs::read_dir(folder).ok()?.flatten().map(|it| it.path());
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|it| it == "snapshot");
    paths.filter(is_snapshot).max()
}

#[test]
fn a_server_whose_data_differs_says_so_and_gets_that_of_the_others() {
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "snapshot_every_entries", "100");
    });
    let load = Load::start(&cluster, "load");
    let differs = cluster.followers()[0];
    let folder = cluster.server(differs).folder().join("data/coordinator");
    eventually("there is a snapshot", GAP_MAX, || {
        snapshot(&folder).is_some()
    });
    cluster.kill(differs);
    let path = snapshot(&folder).expect("it is still there");
    let bytes = fs::read(&path).expect("it can be read");
    fs::write(&path, altered(&bytes)).expect("it can be written");
    cluster.begin(differs);
    eventually("it is found out", START_LIMIT, || {
        let log = cluster.log(differs);
        log.contains("the data of this server is not that of the others")
    });
    eventually("it has theirs", START_LIMIT, || {
        let log = cluster.log(differs);
        log.contains("the state is another server's snapshot now")
    });
    cluster.wait_until_serves(differs);
    let said = "the data of a server is that of the others again";
    eventually("the leader knows", START_LIMIT, || cluster.said(said) == 1);
    load.goes_on(GAP_MAX);
    let ledger = load.end();
    tell("a server had other data", &ledger);
    ledger.check(&cluster);
}

#[test]
fn a_server_that_was_away_for_longer_than_the_journal_reaches_gets_a_snapshot() {
    let (snapshots, _) = away_for_long(100);
    assert!(snapshots > 0);
}

#[test]
fn a_server_that_was_away_gets_from_the_journal_what_is_in_memory_no_more() {
    let (snapshots, read_back) = away_for_long(10_000_000);
    assert_eq!(snapshots, 0);
    assert!(read_back > 100, "{read_back} entries");
}

/// Of which entry the newest snapshot in this folder is; 0 for none.
fn newest_snapshot(folder: &Path) -> u64 {
    let path = snapshot(folder);
    let index = path.and_then(|path| path.file_stem()?.to_str()?.parse().ok());
    index.unwrap_or(0)
}

/// How many snapshots a server got that was away, and how many entries its leader read back for it, where a snapshot is taken
/// after so many entries.
fn away_for_long(every: u64) -> (usize, u64) {
    const GOT: &str = "the state is another server's snapshot now";
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "cluster", "window_bytes", "4096");
        set_key(
            config,
            "coordinator",
            "snapshot_every_entries",
            &every.to_string(),
        );
    });
    let (leader, away) = (cluster.leader(), cluster.followers()[0]);
    cluster.kill(away);
    let before = cluster.log(away).matches(GOT).count();
    let mut client = cluster.client(leader, 30_000);
    // More than the servers keep in memory for each other, and some of it deleted again.
    for number in 0..30_u8 {
        client.create(&format!("/large-{number}"), &[number; 500_000], 0);
    }
    for number in 20..30 {
        client.delete(&format!("/large-{number}"));
    }
    for number in 0..150 {
        client.create(&format!("/small-{number}"), b"", 0);
    }
    if every < 1000 {
        // The journal keeps all for one that is there and behind.
        let folder = cluster.server(leader).folder().join("data/coordinator");
        eventually("a snapshot is behind what it has", GAP_MAX, || {
            newest_snapshot(&folder) >= every
        });
    }
    let load = Load::start(&cluster, "load");
    cluster.resume(away);
    let got = cluster.log(away).matches(GOT).count() - before;
    load.goes_on(GAP_MAX);
    let metrics = scrape(cluster.server(leader).web());
    let read_back = value(&metrics, "chrysalis_journal_entries_read_back_total");
    // It is as good as the others.
    cluster.kill(leader);
    load.goes_on(GAP_MAX);
    cluster.resume(leader);
    let ledger = load.end();
    tell("a server got a snapshot", &ledger);
    ledger.check(&cluster);
    for i in cluster.places() {
        let mut session = cluster.session(i);
        for number in 0..20_u8 {
            let (data, _) = session
                .get(&format!("/large-{number}"), false)
                .expect("it is there");
            assert_eq!(data.as_deref(), Some(&[number; 500_000][..]));
        }
        assert_eq!(session.exists("/large-20", false), Err(NO_NODE));
        session.close();
    }
    (got, read_back)
}

#[test]
fn a_server_that_stands_still_for_a_while_goes_on_and_its_clients_elsewhere() {
    // Longer than an election; in the full suite also longer than the connections between servers last.
    let still = Duration::from_secs(lab::rounds(3, 10));
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    for leads in [false, true] {
        load.goes_on(GAP_MAX);
        let stopped = match leads {
            true => cluster.leader(),
            false => cluster.followers()[0],
        };
        cluster.signal(stopped, Signal::SIGSTOP);
        let end = Instant::now() + still;
        while Instant::now() < end {
            load.goes_on(GAP_MAX);
        }
        cluster.signal(stopped, Signal::SIGCONT);
        cluster.wait_until_serves(stopped);
        load.goes_on(GAP_MAX);
    }
    let ledger = load.end();
    tell("servers stood still", &ledger);
    ledger.check(&cluster);
}

/// Whether a znode is there, after a sync.
fn is_there(client: &mut Client, path: &str) -> bool {
    assert_eq!(client.call(op::SYNC, &Body::new().string("/")).error, 0);
    client.exists(path, false).is_ok()
}

fn is_on_all(cluster: &Cluster, path: &str) -> Vec<bool> {
    let places = cluster.places().filter(|i| cluster.serves(*i));
    places
        .map(|i| is_there(&mut cluster.session(i), path))
        .collect()
}

#[test]
fn a_session_moves_when_its_server_is_killed_and_its_ephemeral_stays() {
    let mut cluster = Cluster::start(3);
    let homes: &[bool] = match lab::is_full() {
        true => &[false, true],
        false => &[true],
    };
    for leads in homes {
        let home = match leads {
            true => cluster.leader(),
            false => cluster.followers()[0],
        };
        let mut client = cluster.client(home, 6_000);
        let path = format!("/ephemeral-{leads}");
        client.create(&path, b"", EPHEMERAL);
        let session = client.id();
        cluster.kill(home);
        // It would have ended by then, had nobody heard of it.
        let end = Instant::now() + Duration::from_secs(lab::rounds(7, 15));
        while Instant::now() < end {
            // A try may fail while it looks for a server.
            let _ = client.ping();
            thread::sleep(Duration::from_millis(50));
        }
        client.answer(op::EXISTS, &Body::new().string(&path).bool(false));
        assert_ne!(client.at(), home);
        assert_eq!((client.id(), client.sessions), (session, 1), "one session");
        assert_eq!(is_on_all(&cluster, &path), [true; 2]);
        cluster.resume(home);
        assert_eq!(is_on_all(&cluster, &path), [true; 3]);
        // The client dies.
        drop(client);
        eventually("the ephemeral is gone", START_LIMIT, || {
            is_on_all(&cluster, &path) == [false; 3]
        });
    }
}

/// What becomes of a session's old connection when it goes on at another server: whether it is given an answer to each of
/// these. Nothing of them is done, and the session works where it is now.
fn losers_are_answered(addresses: &[SocketAddr]) -> Vec<(&'static str, &'static str, bool)> {
    let leads = |address: &SocketAddr| {
        let said = four_letter_word(*address, "srvr").unwrap_or_default();
        said.contains("Mode: leader")
    };
    let leader = addresses.iter().copied().find(leads).expect("one leads");
    let others: Vec<SocketAddr> = addresses
        .iter()
        .copied()
        .filter(|it| *it != leader)
        .collect();
    let moves = [
        ("from the leader", leader, others[0]),
        ("to the leader", others[0], leader),
        ("between others", others[0], others[1]),
    ];
    let asked = [
        ("create", op::CREATE, create("/loser", b"", 0)),
        (
            "set",
            op::SET_DATA,
            Body::new().string("/moved").bytes(b"loser").int(-1),
        ),
        ("delete", op::DELETE, Body::new().string("/moved").int(-1)),
    ];
    let mut seen = Vec::new();
    Client::connect(leader)
        .create("/moved", b"", 0)
        .expect("it is new");
    for (way, from, to) in moves {
        for (what, opcode, body) in &asked {
            let (mut old, welcome) = Client::session(from, 10_000);
            let sync = Body::new().string("/");
            assert_eq!(old.call(op::SYNC, &sync).error, 0);
            let mut new = Client::raw(to);
            let answer = new.handshake(0, 10_000, welcome.session, &welcome.password, true);
            assert_eq!(answer.map(|it| it.session), Some(welcome.session), "{way}");
            old.send(*opcode, body);
            let answered = old.receive().is_ok();
            seen.push((way, *what, answered));
            assert_eq!(new.call(op::SYNC, &sync).error, 0);
            assert_eq!(new.exists("/loser", false), Err(NO_NODE), "{way}");
            let (data, _) = new.get("/moved", false).expect("it is there");
            assert_eq!(data.as_deref(), Some(&b""[..]), "{way}");
            let created = new.create("/winner", b"", EPHEMERAL);
            assert_eq!(created.as_deref(), Ok("/winner"), "{way}");
            new.close();
        }
    }
    seen
}

#[test]
fn who_loses_its_session_to_another_server_is_closed_as_by_three_originals() {
    if !lab::online() {
        return;
    }
    let ours = losers_are_answered(&Cluster::start(3).addresses());
    assert_eq!(ours.len(), 9);
    let originals = ZooKeepers::start(Jvm::Quick);
    assert_eq!(ours, losers_are_answered(&originals.addresses()));
}

#[test]
fn sessions_end_when_their_clients_die_with_the_leader() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let clients: Vec<Roamer> = cluster
        .places()
        .map(|i| {
            let mut client = cluster.client(i, 4_000);
            client.create(&format!("/dead-{i}"), b"", EPHEMERAL);
            client
        })
        .collect();
    drop(clients);
    cluster.kill(leader);
    let began = Instant::now();
    for i in cluster.places() {
        eventually("the ephemeral is gone", START_LIMIT, || {
            is_on_all(&cluster, &format!("/dead-{i}")) == [false; 2]
        });
    }
    let took = began.elapsed();
    lab::note(&format!(
        "sessions of 4 s whose leader was killed ended after {took:?}"
    ));
    cluster.resume(leader);
    assert_eq!(is_on_all(&cluster, "/dead-0"), [false; 3]);
}

/// What the holders of a lock do by turns.
#[derive(Default)]
struct Lock {
    is_held: AtomicBool,
    /// How often it was taken.
    turns: AtomicU64,
    ends: AtomicBool,
}

/// Takes the lock, holds it for some pings, and gives it back, again and again. Whoever loses its connection holds nothing,
/// as careful clients have it.
fn take_turns(mut client: Roamer, lock: &Lock) {
    while !lock.ends.load(Ordering::SeqCst) {
        let taken = client.call(op::CREATE, &create("/lock", b"", EPHEMERAL));
        if taken.is_ok_and(|reply| reply.error == 0) {
            let was_held = lock.is_held.swap(true, Ordering::SeqCst);
            assert!(!was_held, "two hold the lock");
            lock.turns.fetch_add(1, Ordering::SeqCst);
            let _lost = (0..20).try_for_each(|_| client.ping());
            lock.is_held.store(false, Ordering::SeqCst);
        }
        give_back(&mut client);
    }
}

/// Deletes the lock if it is of this session: nobody knows what became of a request without an answer.
fn give_back(client: &mut Roamer) {
    let reply = client.answer(op::EXISTS, &Body::new().string("/lock").bool(false));
    let is_own = reply.error == 0 && reply.reader().stat().ephemeral_owner == client.id();
    if is_own {
        client.delete("/lock");
    }
}

#[test]
fn a_lock_is_never_held_by_two_while_leaders_are_killed() {
    let mut cluster = Cluster::start(3);
    let lock = Lock::default();
    thread::scope(|scope| {
        let holders: Vec<_> = (0..6)
            .map(|i| {
                let client = cluster.client(i % 3, 4_000);
                scope.spawn(|| take_turns(client, &lock))
            })
            .collect();
        for _ in 0..lab::rounds(3, 20) {
            let before = lock.turns.load(Ordering::SeqCst);
            eventually("the lock is taken", START_LIMIT, || {
                assert!(holders.iter().all(|it| !it.is_finished()), "one failed");
                lock.turns.load(Ordering::SeqCst) >= before + 20
            });
            let leader = cluster.leader();
            cluster.kill(leader);
            cluster.resume(leader);
        }
        lock.ends.store(true, Ordering::SeqCst);
    });
    let turns = lock.turns.load(Ordering::SeqCst);
    lab::note(&format!("the lock was taken {turns} times"));
}

/// Who has the topic, as producers find it.
fn brokers_of(cluster: &Cluster, i: usize, topic: &str) -> BTreeSet<String> {
    let mut client = cluster.session(i);
    let names = client.children(&format!("/meta/brokers/topics-pub/{topic}"), false);
    client.close();
    names.unwrap_or_default().into_iter().collect()
}

pub(super) fn wait_for_brokers(cluster: &Cluster, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|it| (*it).to_owned()).collect();
    for i in cluster.places().filter(|i| cluster.serves(*i)) {
        let what = format!("server {} lists {expected:?}", i + 1);
        eventually(&what, START_LIMIT, || {
            brokers_of(cluster, i, "orders") == expected
        });
    }
}

#[test]
fn the_brokers_of_all_servers_are_found_in_each_and_leave_with_their_server() {
    let mut cluster = Cluster::start_with(3, &[("orders", 2)], |text| {
        set_key(text, "zookeeper", "session_timeout_ms", "4000");
    });
    wait_for_brokers(&cluster, &["1-m", "2-m", "3-m"]);
    let mut sent = BTreeSet::new();
    send_through_each(&cluster, &[1, 2, 3], "first", &mut sent);
    assert_read_by_each(&cluster, &sent);
    let killed = cluster.leader();
    let id = format!("{}-m", killed + 1);
    let others: Vec<&str> = ["1-m", "2-m", "3-m"]
        .into_iter()
        .filter(|it| *it != id)
        .collect();
    cluster.kill(killed);
    wait_for_brokers(&cluster, &others);
    let master = format!("/meta/brokers/ids/{}/master", killed + 1);
    assert_eq!(is_on_all(&cluster, &master), [false; 2]);
    let left: Vec<usize> = (1..=3).filter(|id| *id != killed + 1).collect();
    send_through_each(&cluster, &left, "second", &mut sent);
    cluster.resume(killed);
    wait_for_brokers(&cluster, &["1-m", "2-m", "3-m"]);
    assert_eq!(is_on_all(&cluster, &master), [true; 3]);
    send_through_each(&cluster, &[1, 2, 3], "third", &mut sent);
    assert_read_by_each(&cluster, &sent);
}

/// Sends a message to each of these brokers through each server that runs.
fn send_through_each(cluster: &Cluster, ids: &[usize], name: &str, sent: &mut BTreeSet<String>) {
    for i in cluster.places().filter(|i| cluster.serves(*i)) {
        for id in ids {
            let message = format!("{name}-{i}-to-{id}");
            let partition = format!("{id}-1");
            let arguments = ["produce", "orders", &message, "--partition", &partition];
            chrysalis(cluster.server(i), &arguments);
            sent.insert(message);
        }
    }
}

/// Through each server all is read that was sent.
fn assert_read_by_each(cluster: &Cluster, sent: &BTreeSet<String>) {
    for i in cluster.places() {
        let read = chrysalis(cluster.server(i), &["consume", "orders"]);
        let read: BTreeSet<String> = read.lines().map(str::to_owned).collect();
        assert_eq!(read, *sent, "through server {}", i + 1);
    }
}

/// What a command says where it is not confirmed, about each server: where its log ends.
fn log_end(cluster: &Cluster, i: usize) -> (u64, u64) {
    let said = chrysalis(cluster.server(i), &["cluster", "recover", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    let number = |name: &str| said[name].as_u64().expect("a number");
    (number("term"), number("last_entry"))
}

fn zxid(cluster: &Cluster, i: usize) -> u64 {
    let said = four_letter_word(cluster.address(i), "srvr").expect("it answers");
    let zxid = said.split("Zxid: 0x").nth(1).expect("a zxid");
    let zxid = zxid.lines().next().expect("a line");
    u64::from_str_radix(zxid, 16).expect("a hexadecimal number")
}

#[test]
fn one_server_that_is_left_goes_on_as_another_ensemble_and_the_others_come_back_to_it() {
    let mut cluster = Cluster::start(3);
    let load = Load::start(&cluster, "load");
    load.goes_on(GAP_MAX);
    let mut ledger = load.end();
    let seen = zxid(&cluster, 0);
    let running = chrysalis_with(cluster.server(0), &["cluster", "recover", "--yes"], b"");
    assert!(!running.status.success(), "it runs");
    cluster.places().for_each(|i| cluster.kill(i));
    let left = cluster.places().max_by_key(|i| log_end(&cluster, *i));
    let left = left.expect("there are three");
    let asked = chrysalis_with(cluster.server(left), &["cluster", "recover"], b"");
    assert!(!asked.status.success(), "it is not confirmed");
    cluster.begin(left);
    assert!(never(|| cluster.serves(left)), "nothing was changed");
    cluster.kill(left);
    chrysalis(cluster.server(left), &["cluster", "recover", "--yes"]);
    // Killed before and after it is done, it is done once.
    cluster.begin(left);
    cluster.kill(left);
    cluster.resume(left);
    eventually("a new history begins", GAP_MAX, || {
        zxid(&cluster, left) >> 32 > seen >> 32
    });
    ledger.check(&cluster);
    let alone = Load::start_at(&cluster, "alone", &[left]);
    alone.goes_on(GAP_MAX);
    ledger.add(alone.end());
    cluster.kill(left);
    cluster.resume(left);
    let history = zxid(&cluster, left) >> 32;
    for i in cluster.places().filter(|i| *i != left).collect::<Vec<_>>() {
        cluster.begin(i);
        eventually("it gives way", GAP_MAX, || {
            cluster.log(i).contains("recovered on another server")
        });
        // It stays so without the other.
        cluster.stop(i);
        cluster.begin(i);
        assert!(never(|| cluster.serves(i)), "it serves nobody");
        let said = chrysalis(cluster.server(i), &["cluster", "status", "--json"]);
        assert!(said.contains("\"standing\": \"replaced\""), "{said}");
        cluster.stop(i);
        cluster.begin_accepting_loss(i);
        let id = (i + 1).to_string();
        chrysalis(cluster.server(left), &["cluster", "add", &id]);
        cluster.wait_until_serves(i);
    }
    assert_eq!(zxid(&cluster, left) >> 32, history, "it began once");
    let load = Load::start(&cluster, "three");
    load.goes_on(GAP_MAX);
    cluster.kill(left);
    load.goes_on(GAP_MAX);
    cluster.resume(left);
    ledger.add(load.end());
    ledger.check(&cluster);
}
