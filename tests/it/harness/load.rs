//! Small writers through all servers of a cluster, and the ledger of what was acknowledged to them.

use super::cluster::Cluster;
use super::process::eventually;
use super::roaming::Roamer;
use super::zookeeper_wire::{Body, Client, op};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where the writers write.
const ROOT: &str = "/load";
/// For sessions that outlive every outage of a test.
const TIMEOUT_MS: i32 = 30_000;
/// After so many writes a writer goes on through the next server.
const STAYS_FOR: u64 = 100;

/// Writers at work.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Written>>,
    /// How many writes of each were acknowledged.
    progress: Vec<Arc<AtomicU64>>,
}

struct Written {
    names: Vec<String>,
    worst: Duration,
}

/// What was acknowledged.
pub(crate) struct Ledger {
    names: BTreeSet<String>,
    /// The longest that one write took, from its first try.
    pub(crate) worst: Duration,
}

impl Load {
    /// A writer for each server, beginning there. Each load of a cluster has a name of its own.
    pub(crate) fn start(cluster: &Cluster, name: &str) -> Load {
        let places: Vec<usize> = cluster.places().collect();
        Load::start_at(cluster, name, &places)
    }

    /// One writer at each of these servers.
    pub(crate) fn start_at(cluster: &Cluster, name: &str, places: &[usize]) -> Load {
        let first = places.iter().copied().find(|i| cluster.serves(*i));
        let mut client = cluster.client(first.expect("a server serves"), TIMEOUT_MS);
        client.create(ROOT, b"", 0);
        let ends = Arc::new(AtomicBool::new(false));
        let progress: Vec<Arc<AtomicU64>> = places.iter().map(|_| Arc::default()).collect();
        let writers = places.iter().zip(&progress).map(|(i, progress)| {
            let client = cluster.client(*i, TIMEOUT_MS);
            let (ends, progress) = (Arc::clone(&ends), Arc::clone(progress));
            let name = format!("{name}-{i}");
            thread::spawn(move || write(client, &name, &ends, &progress))
        });
        Load {
            writers: writers.collect(),
            ends,
            progress,
        }
    }

    fn counts(&self) -> Vec<u64> {
        let counts = self.progress.iter();
        counts.map(|count| count.load(Ordering::SeqCst)).collect()
    }

    /// Waits until each writer has begun a write and had it acknowledged from now on.
    pub(crate) fn goes_on(&self, limit: Duration) {
        let before = self.counts();
        eventually("every writer writes on", limit, || {
            assert!(
                self.writers.iter().all(|writer| !writer.is_finished()),
                "a writer has failed"
            );
            // One was under way.
            let pairs = before.iter().zip(self.counts());
            pairs.into_iter().all(|(before, now)| now >= before + 2)
        });
    }

    /// Lets each writer finish its write.
    pub(crate) fn end(self) -> Ledger {
        self.ends.store(true, Ordering::SeqCst);
        let mut ledger = Ledger {
            names: BTreeSet::new(),
            worst: Duration::ZERO,
        };
        for writer in self.writers {
            let written = writer.join().expect("no writer fails");
            ledger.names.extend(written.names);
            ledger.worst = ledger.worst.max(written.worst);
        }
        ledger
    }
}

fn write(mut client: Roamer, name: &str, ends: &AtomicBool, progress: &AtomicU64) -> Written {
    let mut written = Written {
        names: Vec::new(),
        worst: Duration::ZERO,
    };
    for number in 1.. {
        if ends.load(Ordering::SeqCst) {
            break;
        }
        let began = Instant::now();
        let znode = format!("{name}-{number:06}");
        client.create(&format!("{ROOT}/{znode}"), name.as_bytes(), 0);
        written.worst = written.worst.max(began.elapsed());
        written.names.push(znode);
        progress.store(number, Ordering::SeqCst);
        if number % STAYS_FOR == 0 {
            client.leave();
        }
    }
    written
}

impl Ledger {
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn add(&mut self, other: Ledger) {
        self.names.extend(other.names);
        self.worst = self.worst.max(other.worst);
    }

    /// Asks each server that serves: nothing acknowledged is missing, and all have the same.
    pub(crate) fn check(&self, cluster: &Cluster) {
        let mut first: Option<(BTreeSet<String>, String)> = None;
        for i in cluster.places().filter(|i| cluster.serves(*i)) {
            let (names, stat) = list(&mut cluster.session(i));
            let missing: Vec<&String> = self.names.difference(&names).collect();
            assert!(
                missing.is_empty(),
                "server {}: of {} acknowledged, {} are missing: {missing:?}",
                i + 1,
                self.names.len(),
                missing.len()
            );
            let Some((others, others_stat)) = &first else {
                first = Some((names, stat));
                continue;
            };
            let differ: Vec<&String> = names.symmetric_difference(others).collect();
            assert!(differ.is_empty(), "server {}: differ: {differ:?}", i + 1);
            assert_eq!(stat, *others_stat, "server {}", i + 1);
        }
        assert!(first.is_some(), "a server serves");
    }
}

/// What a server lists after a sync, and the parent's facts.
fn list(client: &mut Client) -> (BTreeSet<String>, String) {
    let synced = client.call(op::SYNC, &Body::new().string(ROOT));
    assert_eq!(synced.error, 0, "sync");
    let reply = client.call(op::GET_CHILDREN2, &Body::new().string(ROOT).bool(false));
    assert_eq!(reply.error, 0, "list");
    let mut reader = reply.reader();
    let names = reader.strings().into_iter().collect();
    (names, format!("{:?}", reader.stat()))
}
