//! Clients that write until the server is gone, and a ledger of what they were told.

use crate::harness::dice::Dice;
use crate::harness::metaq_wire::{self, Answer, checksum, stored};
use crate::harness::zookeeper_wire::{self, Body, create, op};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The partitions that are written to.
pub(super) const PARTITIONS: i32 = 2;

const WRITERS: u64 = 4;
const MAKERS: u64 = 2;

/// What was tried, and what the server said about it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Every message that was ever sent.
    tried: BTreeSet<Vec<u8>>,
    /// Where an acknowledged message is.
    acknowledged: BTreeMap<(i32, i64), Vec<u8>>,
    /// Messages that were there when somebody looked, and those that were not: neither changes any more.
    seen: BTreeSet<Vec<u8>>,
    lost: BTreeSet<Vec<u8>>,
    /// Every znode that was ever asked for, by its data, and those that were acknowledged, by path.
    wanted: BTreeSet<Vec<u8>>,
    made: BTreeMap<String, Vec<u8>>,
    /// For each counter the last value acknowledged and the last one tried.
    counters: BTreeMap<String, (u64, u64)>,
}

impl Ledger {
    /// How much was acknowledged so far.
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len() + self.made.len()
    }

    /// Compares with what the server has now.
    ///
    /// # Panics
    /// Something acknowledged is missing or false, something is there that nobody sent, or something came back.
    pub(super) fn verify(&mut self, coordinator: SocketAddr, broker: SocketAddr) {
        let mut client = metaq_wire::Client::connect(broker);
        let mut present = BTreeSet::new();
        for partition in 0..PARTITIONS {
            let all: BTreeMap<i64, metaq_wire::Record> =
                client.read_all("load", partition).into_iter().collect();
            for ((_, offset), data) in self
                .acknowledged
                .iter()
                .filter(|((p, _), _)| *p == partition)
            {
                let found = all.get(offset).map(|record| &record.data);
                assert_eq!(
                    found,
                    Some(data),
                    "an acknowledged message in partition {partition} at {offset}"
                );
            }
            for (offset, record) in all {
                assert!(
                    record.sound,
                    "partition {partition} at {offset}: a checksum that is wrong"
                );
                assert!(
                    self.tried.contains(&record.data),
                    "partition {partition} at {offset}: nobody sent this"
                );
                assert!(
                    !self.lost.contains(&record.data),
                    "partition {partition} at {offset}: it was gone, and came back"
                );
                assert!(
                    present.insert(record.data),
                    "partition {partition} at {offset}: it is there twice"
                );
            }
        }
        assert!(
            self.seen.is_subset(&present),
            "a message that was there has gone"
        );
        self.lost = self.tried.difference(&present).cloned().collect();
        self.seen = present;

        let mut zookeeper = zookeeper_wire::Client::connect(coordinator);
        let names = zookeeper.children("/load", false).unwrap_or_default();
        for (path, data) in &self.made {
            let found = zookeeper.get(path, false).map(|(data, _)| data);
            assert_eq!(
                found,
                Ok(Some(data.clone())),
                "an acknowledged znode {path}"
            );
        }
        for name in names.iter().filter(|name| name.starts_with("c-")) {
            let data = zookeeper
                .get(&format!("/load/{name}"), false)
                .expect("it was listed")
                .0
                .expect("data");
            assert!(
                self.wanted.contains(&data),
                "/load/{name}: nobody asked for this"
            );
        }
        for (path, (acknowledged, tried)) in &mut self.counters {
            let Ok((Some(data), stat)) = zookeeper.get(path, false) else {
                assert_eq!(*acknowledged, 0, "the counter {path} has gone");
                continue;
            };
            let value: u64 = String::from_utf8(data)
                .expect("text")
                .parse()
                .expect("a number");
            assert!(
                (*acknowledged..=*tried).contains(&value),
                "{path} is {value}; {acknowledged} was acknowledged, {tried} tried"
            );
            assert_eq!(
                u64::try_from(stat.version),
                Ok(value),
                "{path}: one version a write"
            );
            *acknowledged = value;
        }
        zookeeper.close();
    }
}

/// Clients at work.
pub(super) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Sets them to work; `round` makes what they send unlike that of other rounds.
    pub(super) fn start(
        ledger: Ledger,
        coordinator: SocketAddr,
        broker: SocketAddr,
        round: u64,
        seed: u64,
    ) -> Load {
        let ledger = Arc::new(Mutex::new(ledger));
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for number in 0..WRITERS {
            let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
            let dice = Dice::from(seed.wrapping_add(number));
            threads.push(thread::spawn(move || {
                write(&ledger, &stop, broker, round, number, dice)
            }));
        }
        for number in 0..MAKERS {
            let (ledger, stop) = (Arc::clone(&ledger), Arc::clone(&stop));
            threads.push(thread::spawn(move || {
                make(&ledger, &stop, coordinator, round, number)
            }));
        }
        Load {
            ledger,
            threads,
            stop,
        }
    }

    /// How much was acknowledged so far.
    pub(super) fn acknowledged(&self) -> usize {
        lock(&self.ledger).acknowledged()
    }

    /// Waits for their end, which comes when the server is gone.
    pub(super) fn finish(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread
                .join()
                .expect("a client that does not understand the server");
        }
        Arc::into_inner(self.ledger)
            .expect("all clients have ended")
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(ledger: &Mutex<Ledger>) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts, several at a time, until the connection breaks.
fn write(
    ledger: &Mutex<Ledger>,
    stop: &AtomicBool,
    broker: SocketAddr,
    round: u64,
    number: u64,
    mut dice: Dice,
) {
    let Ok(mut client) = metaq_wire::Client::try_connect(broker) else {
        return;
    };
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let mut under_way = Vec::new();
        let mut bytes = Vec::new();
        for _ in 0..=dice.roll(8) {
            count += 1;
            let length = if dice.roll(20) == 0 {
                dice.roll(30_000)
            } else {
                dice.roll(800)
            };
            let mut data = format!("message {round}.{number}.{count} ").into_bytes();
            data.extend(std::iter::repeat_n(
                b'.',
                usize::try_from(length).expect("small"),
            ));
            let partition = i32::try_from(dice.roll(2)).expect("0 or 1") % PARTITIONS;
            let opaque = client.next_opaque();
            bytes.extend(
                format!(
                    "put load {partition} {} 0 {} {opaque}\r\n",
                    data.len(),
                    checksum(&data)
                )
                .into_bytes(),
            );
            bytes.extend_from_slice(&data);
            under_way.push(data);
        }
        lock(ledger).tried.extend(under_way.iter().cloned());
        if client.send(&bytes).is_err() {
            return;
        }
        for data in under_way {
            match client.receive() {
                Ok(Answer::Result {
                    code: 200, text, ..
                }) => {
                    let place = stored(&text);
                    lock(ledger)
                        .acknowledged
                        .insert((place.partition, place.offset), data);
                }
                // Refused: it may not be there, and nothing says that it is not.
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Makes znodes and counts, until the connection breaks.
fn make(
    ledger: &Mutex<Ledger>,
    stop: &AtomicBool,
    coordinator: SocketAddr,
    round: u64,
    number: u64,
) {
    let Ok(mut client) = zookeeper_wire::Client::try_raw(coordinator) else {
        return;
    };
    if client.handshake(0, 10_000, 0, &[0; 16], true).is_none() {
        return;
    }
    let counter = format!("/load/counter-{round}-{number}");
    let mut call = |opcode: i32, body: &Body| {
        client.send(opcode, body);
        client.receive().ok()
    };
    // Somebody else may be first, or it is there from the last round.
    if call(op::CREATE, &create("/load", b"", 0)).is_none() {
        return;
    }
    lock(ledger).counters.insert(counter.clone(), (0, 0));
    if call(op::CREATE, &create(&counter, b"0", 0)).is_none() {
        return;
    }
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let data = format!("znode {round}.{number}.{count}").into_bytes();
        lock(ledger).wanted.insert(data.clone());
        let Some(reply) = call(op::CREATE, &create("/load/c-", &data, 2)) else {
            return;
        };
        assert_eq!(reply.error, 0, "create a znode");
        lock(ledger).made.insert(reply.reader().string(), data);
        lock(ledger)
            .counters
            .insert(counter.clone(), (count - 1, count));
        let set = Body::new()
            .string(&counter)
            .bytes(count.to_string().as_bytes())
            .int(-1);
        let Some(reply) = call(op::SET_DATA, &set) else {
            return;
        };
        assert_eq!(reply.error, 0, "set a counter");
        lock(ledger)
            .counters
            .insert(counter.clone(), (count, count));
    }
}
