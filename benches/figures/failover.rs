//! How long no write is acknowledged when the leader of three coordinators ends.

use crate::harness::cluster::Cluster;
use crate::harness::deployment::START_LIMIT;
use crate::harness::process::eventually;
use crate::harness::roaming::Roamer;
use crate::harness::server::set_key;
use crate::harness::zookeeper_wire::{Body, op};
use crate::rounds::{from_environment, median};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Each sets a znode of its own, one time after the other; a third of them on each server.
const WRITERS: usize = 24;
/// So many acknowledgements to each writer, and it is as before.
const AS_BEFORE: u64 = 100;
/// For sessions that outlive every outage.
const TIMEOUT_MS: i32 = 30_000;

/// What all writers were told.
struct Acknowledgements {
    began: Instant,
    /// When the last one came, in microseconds, and the longest time without one.
    last: AtomicU64,
    longest: AtomicU64,
    /// The longest that one writer waited.
    longest_of_one: AtomicU64,
    ends: AtomicBool,
}

impl Acknowledgements {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("it is short")
    }

    fn came(&self, asked_at: u64) {
        let now = self.now();
        let last = self.last.swap(now, Ordering::SeqCst);
        let silence = now.saturating_sub(last);
        self.longest.fetch_max(silence, Ordering::SeqCst);
        self.longest_of_one
            .fetch_max(now - asked_at, Ordering::SeqCst);
    }
}

/// `TIMES` (20) times: the leader is killed, or stopped in good order, while clients of all servers write.
pub(crate) fn measure(end: fn(&mut Cluster, usize)) {
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "connections_per_address_max", "0");
        // The broker has nothing to do with it.
        set_key(config, "broker", "enabled", "false");
    });
    let told = Acknowledgements {
        began: Instant::now(),
        last: AtomicU64::new(0),
        longest: AtomicU64::new(0),
        longest_of_one: AtomicU64::new(0),
        ends: AtomicBool::new(false),
    };
    let counts: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let clients: Vec<Roamer> = (0..WRITERS)
        .map(|i| cluster.client(i % 3, TIMEOUT_MS))
        .collect();
    thread::scope(|scope| {
        for (number, (client, count)) in clients.into_iter().zip(&counts).enumerate() {
            let told = &told;
            scope.spawn(move || write(client, number, told, count));
        }
        let mut silences = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..from_environment("TIMES", 20) {
            go_on(&counts);
            let leader = cluster.leader();
            told.longest.store(0, Ordering::SeqCst);
            told.longest_of_one.store(0, Ordering::SeqCst);
            end(&mut cluster, leader);
            go_on(&counts);
            silences.push(milliseconds(&told.longest));
            waits.push(milliseconds(&told.longest_of_one));
            cluster.resume(leader);
        }
        told.ends.store(true, Ordering::SeqCst);
        tell("nobody was acknowledged anything for", silences);
        tell("the longest that one client waited was", waits);
    });
    let total: u64 = counts.iter().map(|it| it.load(Ordering::SeqCst)).sum();
    println!("  {total} writes in {:?}", told.began.elapsed());
}

/// Sets one znode again and again.
fn write(mut client: Roamer, number: usize, told: &Acknowledgements, count: &AtomicU64) {
    let path = format!("/failover-{number}");
    client.create(&path, b"", 0);
    let set = Body::new().string(&path).bytes(&[7; 100]).int(-1);
    while !told.ends.load(Ordering::SeqCst) {
        let asked_at = told.now();
        assert_eq!(client.answer(op::SET_DATA, &set).error, 0);
        told.came(asked_at);
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until every writer writes as before.
fn go_on(counts: &[AtomicU64]) {
    let load = || counts.iter().map(|it| it.load(Ordering::SeqCst));
    let before: Vec<u64> = load().collect();
    eventually("all write on", START_LIMIT, || {
        let mut pairs = before.iter().zip(load());
        pairs.all(|(before, now)| now >= before + AS_BEFORE)
    });
}

fn milliseconds(microseconds: &AtomicU64) -> f64 {
    let microseconds = u32::try_from(microseconds.load(Ordering::SeqCst)).expect("no hour");
    f64::from(microseconds) / 1e3
}

fn tell(what: &str, numbers: Vec<f64>) {
    let slowest = numbers.iter().copied().fold(0.0, f64::max);
    let count = numbers.len();
    println!(
        "  {what} {:.0} ms (median of {count}), {slowest:.0} ms at most",
        median(numbers)
    );
}
