//! Whole groups of Java consumers, made up, before a broker that holds their gets: threads that are fewer than
//! partitions, delays that grow with each empty answer, listeners that are slow or fail, members that come and
//! go, a broker that dies. Whatever happens, no message waits for long once it is quiet; and where there are
//! threads enough, none waits at all.
//!
//! The client is that of Metamorphosis 1.4.6.2, as far as its fetching goes: T threads take requests, one a
//! partition, from a queue that is ordered by the end of each request's delay.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::harness::World;
use crate::broker::{Effect, Event, Get, Name, OffsetQuery, Options, Put, Reply, Request, Topics};
use crate::segments::format::{HEADER_BYTES, Next, next_record};
use crate::tests::{Replay, seed_or};
use crate::units::{ConnectionId, Moment, Random, Seed, ServerId};

const TOPIC: &str = "t";
const GROUP: &str = "g";
/// One more empty answer, and the longest a client waits for that.
const DELAY_STEP: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// A client waits so long for the answer to a get.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest a message may wait from when it was put, or from the last disturbance: until the broker has
/// forgotten the threads that a client seemed to have, a hold, and a pause that had grown.
const LATE: Duration = Duration::from_secs(75);
/// Of a hundred messages so many wait for less than [`SOON`], also where threads are few and listeners slow.
const MOST: usize = 99;
const SOON: Duration = Duration::from_secs(6);
const PRODUCER: u64 = 1;

/// A request of the client's queue.
#[derive(Clone, Debug)]
struct Fetch {
    partition: i32,
    offset: u64,
    delay: Duration,
    due: Moment,
    retries: u32,
}

/// What a thread does.
#[derive(Clone, Debug)]
enum Work {
    Get(Fetch),
    Offset(Fetch),
    /// The listener has what lies before this offset.
    Listen(Fetch, u64),
}

impl Work {
    fn fetch(self) -> Fetch {
        match self {
            Work::Get(fetch) | Work::Offset(fetch) | Work::Listen(fetch, _) => fetch,
        }
    }
}

#[derive(Debug)]
struct Consumer {
    name: String,
    connection: u64,
    threads: usize,
    queue: Vec<Fetch>,
    /// By opaque, or by a number of its own; until when.
    busy: BTreeMap<i32, (Moment, Work)>,
    next: i32,
}

struct Run {
    world: World,
    random: Random,
    partitions: i32,
    consumers: Vec<Consumer>,
    last_connection: u64,
    last_opaque: i32,
    /// What the group has read, by partition: as its members know it, and as they told ZooKeeper.
    read: BTreeMap<i32, u64>,
    committed: BTreeMap<i32, u64>,
    ends: BTreeMap<i32, u64>,
    /// Messages that nobody was given yet, by partition and offset.
    waiting: BTreeMap<(i32, u64), Moment>,
    waited: Vec<Duration>,
    quiet_since: Moment,
    slow: bool,
}

impl Run {
    fn new(seed: u64, partitions: i32, threads: &[usize], slow: bool) -> Run {
        let mut random = Random::new(Seed(seed));
        let url = "meta://10.0.0.1:8123".to_owned();
        let topics = Topics::plain(&[(TOPIC, partitions)]);
        let world = World::new(
            Options::new(ServerId(1), url, 8123, topics),
            Seed(random.next()),
        );
        let mut run = Run {
            quiet_since: world.now,
            world,
            random,
            partitions,
            consumers: Vec::new(),
            last_connection: PRODUCER,
            last_opaque: 0,
            read: BTreeMap::new(),
            committed: BTreeMap::new(),
            ends: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waited: Vec::new(),
            slow,
        };
        run.connect(PRODUCER);
        for &threads in threads {
            run.join(threads);
        }
        run.balance();
        run
    }

    fn connect(&mut self, connection: u64) {
        let connection = ConnectionId(connection);
        self.world.event(Event::Connected { connection });
    }

    fn join(&mut self, threads: usize) {
        self.last_connection += 1;
        let connection = self.last_connection;
        self.connect(connection);
        self.consumers.push(Consumer {
            name: format!("{GROUP}_c{connection}"),
            connection,
            threads,
            queue: Vec::new(),
            busy: BTreeMap::new(),
            next: i32::MIN,
        });
    }

    /// The partitions go round; everybody tells what was read and begins anew.
    fn balance(&mut self) {
        self.quiet_since = self.world.now;
        for (&partition, &read) in &self.read {
            self.committed.insert(partition, read);
        }
        self.world.owners.clear();
        let members = self.consumers.len();
        for (index, consumer) in self.consumers.iter_mut().enumerate() {
            consumer.busy.clear();
            consumer.queue.clear();
            for partition in 0..self.partitions {
                if usize::try_from(partition).unwrap() % members != index {
                    continue;
                }
                let key = (GROUP.to_owned(), TOPIC.to_owned(), partition);
                self.world.owners.insert(key, consumer.name.clone());
                let offset = self.committed.get(&partition).copied().unwrap_or(0);
                self.read.insert(partition, offset);
                consumer.queue.push(Fetch {
                    partition,
                    offset,
                    delay: Duration::ZERO,
                    due: self.world.now,
                    retries: 0,
                });
            }
        }
    }

    /// One member is gone, and what it had not told with it.
    fn leave(&mut self, index: usize) {
        let gone = self.consumers.remove(index);
        let connection = ConnectionId(gone.connection);
        self.world.event(Event::Disconnected { connection });
        let busy = gone.busy.into_values().map(|(_, work)| work.fetch());
        for fetch in gone.queue.into_iter().chain(busy) {
            let committed = self.committed.get(&fetch.partition).copied();
            self.read.insert(fetch.partition, committed.unwrap_or(0));
        }
    }

    /// The broker dies and is back after a while; its clients find it again, each request after its own pause.
    fn restart(&mut self) {
        self.world.kill();
        let away = Duration::from_millis(self.random.below(5000));
        self.world.now = self.world.now + away;
        self.world.start(false).expect("nothing is damaged");
        self.world.seen.clear();
        self.quiet_since = self.world.now;
        self.connect(PRODUCER);
        for index in 0..self.consumers.len() {
            self.last_connection += 1;
            let connection = self.last_connection;
            self.connect(connection);
            let consumer = &mut self.consumers[index];
            consumer.connection = connection;
            let busy = std::mem::take(&mut consumer.busy);
            let busy = busy.into_values().map(|(_, work)| work.fetch());
            consumer.queue.extend(busy);
            for fetch in &mut consumer.queue {
                let failures = u32::try_from(self.random.below(11)).unwrap();
                fetch.delay = (DELAY_STEP * failures).min(DELAY_MAX);
                let pause = self
                    .random
                    .below(u64::try_from(fetch.delay.as_millis()).unwrap() + 1);
                fetch.due = self.world.now + Duration::from_millis(pause);
            }
        }
    }

    fn put(&mut self) {
        let partitions = u64::try_from(self.partitions).unwrap();
        let partition = i32::try_from(self.random.below(partitions)).unwrap();
        let data = Bytes::from(vec![b'x'; usize::try_from(self.random.below(60)).unwrap()]);
        let offset = self.ends.entry(partition).or_default();
        self.waiting.insert((partition, *offset), self.world.now);
        *offset += u64::try_from(HEADER_BYTES + data.len()).unwrap();
        self.last_opaque += 1;
        let put = Put {
            topic: Name::from(TOPIC),
            partition,
            flag: 0,
            checksum: -1,
            transaction: None,
            data,
        };
        self.world
            .request(PRODUCER, self.last_opaque, Request::Put(put));
        self.act();
    }

    /// Everything that can be done at this moment.
    fn act(&mut self) {
        loop {
            self.world.turn();
            let mut any = self.take_answers();
            for index in 0..self.consumers.len() {
                any |= self.end_work(index);
                any |= self.begin_work(index);
            }
            if !any {
                return;
            }
        }
    }

    fn begin_work(&mut self, index: usize) -> bool {
        let now = self.world.now;
        let consumer = &mut self.consumers[index];
        if consumer.busy.len() >= consumer.threads {
            return false;
        }
        let first = (0..consumer.queue.len()).min_by_key(|&nth| consumer.queue[nth].due);
        let Some(first) = first.filter(|&nth| consumer.queue[nth].due <= now) else {
            return false;
        };
        let fetch = consumer.queue.remove(first);
        let get = Get {
            topic: Name::from(TOPIC),
            group: Name::from(GROUP),
            partition: fetch.partition,
            offset: i64::try_from(fetch.offset).unwrap(),
            max_size: 120,
        };
        consumer.next += 1;
        let (connection, opaque) = (consumer.connection, consumer.next);
        consumer
            .busy
            .insert(opaque, (now + TIMEOUT, Work::Get(fetch)));
        self.world.request(connection, opaque, Request::Get(get));
        true
    }

    fn end_work(&mut self, index: usize) -> bool {
        let now = self.world.now;
        let consumer = &mut self.consumers[index];
        let done = consumer.busy.iter().find(|(_, (until, _))| *until <= now);
        let Some(opaque) = done.map(|(&opaque, _)| opaque) else {
            return false;
        };
        let (_, work) = consumer.busy.remove(&opaque).unwrap();
        match work {
            Work::Get(fetch) | Work::Offset(fetch) => empty(consumer, fetch, now),
            Work::Listen(mut fetch, end) => {
                if self.random.below(30) == 0 {
                    fetch.retries += 1;
                } else {
                    fetch.retries = 0;
                    let taken = (fetch.partition, fetch.offset)..(fetch.partition, end);
                    let taken: Vec<(i32, u64)> =
                        self.waiting.range(taken).map(|(&at, _)| at).collect();
                    for message in taken {
                        let put = self.waiting.remove(&message).expect("it was just found");
                        self.waited.push(now.since(put.max(self.quiet_since)));
                    }
                    fetch.offset = end;
                    self.read.insert(fetch.partition, end);
                    if self.random.below(3) == 0 {
                        self.committed.insert(fetch.partition, end);
                    }
                }
                fetch.delay = DELAY_STEP * fetch.retries;
                fetch.due = now + fetch.delay;
                consumer.queue.push(fetch);
            }
        }
        true
    }

    fn take_answers(&mut self) -> bool {
        let seen = std::mem::take(&mut self.world.seen);
        let any = !seen.is_empty();
        for effect in seen {
            match effect {
                Effect::Place {
                    connection,
                    opaque,
                    place,
                } => {
                    let bytes = self.world.read(&place);
                    self.given(connection, opaque, bytes.into());
                }
                Effect::Reply {
                    connection,
                    opaque,
                    reply,
                } if connection.0 != PRODUCER => self.answered(connection, opaque, reply),
                _ => {}
            }
        }
        any
    }

    /// What the thread did that waits for this answer, if one still does.
    fn asked(&mut self, connection: ConnectionId, opaque: i32) -> Option<(usize, Work)> {
        let mut consumers = self.consumers.iter_mut().enumerate();
        let (index, consumer) = consumers.find(|(_, one)| one.connection == connection.0)?;
        let (_, work) = consumer.busy.remove(&opaque)?;
        Some((index, work))
    }

    fn given(&mut self, connection: ConnectionId, opaque: i32, mut bytes: Bytes) {
        let Some((index, Work::Get(fetch))) = self.asked(connection, opaque) else {
            return;
        };
        let (mut end, all) = (fetch.offset, bytes.len());
        while let Next::Record(_) = next_record(&mut bytes) {
            end = fetch.offset + u64::try_from(all - bytes.len()).unwrap();
        }
        assert!(end > fetch.offset, "there is a whole record in it");
        let listens = match self.random.below(if self.slow { 10 } else { 1000 }) {
            0 => self.random.below(3000),
            _ => self.random.below(5),
        };
        let until = self.world.now + Duration::from_millis(listens);
        let consumer = &mut self.consumers[index];
        consumer.next += 1;
        let work = (until, Work::Listen(fetch, end));
        consumer.busy.insert(consumer.next, work);
    }

    fn answered(&mut self, connection: ConnectionId, opaque: i32, reply: Reply) {
        let now = self.world.now;
        let Some((index, work)) = self.asked(connection, opaque) else {
            return;
        };
        let consumer = &mut self.consumers[index];
        match (work, reply) {
            (Work::Get(fetch), Reply::Value(_)) => {
                let query = OffsetQuery {
                    topic: Name::from(TOPIC),
                    group: Name::from(GROUP),
                    partition: fetch.partition,
                    offset: i64::try_from(fetch.offset).unwrap(),
                };
                consumer.next += 1;
                let opaque = consumer.next;
                let work = (now + TIMEOUT, Work::Offset(fetch));
                consumer.busy.insert(opaque, work);
                self.world
                    .request(connection.0, opaque, Request::Offset(query));
            }
            (Work::Offset(mut fetch), Reply::Offset(offset)) => {
                // Its delay, and with it its place in the queue, is as it was.
                assert_eq!(offset, fetch.offset, "nobody is sent elsewhere");
                fetch.offset = offset;
                consumer.queue.push(fetch);
            }
            (Work::Get(fetch), Reply::Refused(_)) => empty(consumer, fetch, now),
            (work, reply) => panic!("{reply:?} to {work:?}"),
        }
    }

    /// Lets time pass until then, and everybody do what is due.
    fn until(&mut self, end: Moment) {
        loop {
            self.act();
            let busy = self.consumers.iter().flat_map(|one| one.busy.values());
            let busy = busy.map(|(until, _)| *until);
            let idle = self
                .consumers
                .iter()
                .filter(|one| one.busy.len() < one.threads);
            let due = idle.flat_map(|one| one.queue.iter().map(|fetch| fetch.due));
            let next = busy.chain(due).chain(self.world.broker.deadline());
            let next = next.min().unwrap_or(end).clamp(self.world.now, end);
            if let Some((&message, &put)) = self.waiting.iter().min_by_key(|(_, put)| **put) {
                let waited = self.world.now.since(put.max(self.quiet_since));
                assert!(
                    waited <= LATE,
                    "{message:?} waits for {waited:?}: {:#?}",
                    self.consumers
                );
            }
            if self.world.now >= end {
                return;
            }
            self.world.wait(next.since(self.world.now));
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.until(self.world.now + duration);
    }
}

/// An empty answer, or none in time.
fn empty(consumer: &mut Consumer, mut fetch: Fetch, now: Moment) {
    fetch.delay = (fetch.delay + DELAY_STEP).min(DELAY_MAX);
    fetch.due = now + fetch.delay;
    consumer.queue.push(fetch);
}

fn replay(test: &str) -> (Replay, Random) {
    Replay::new(module_path!(), test, seed_or(8_124))
}

#[test]
fn no_message_waits_for_long_whatever_its_consumers_do() {
    let (_replay, mut random) = replay("no_message_waits_for_long_whatever_its_consumers_do");
    let mut waited = Vec::new();
    for _ in 0..200 {
        let partitions = 1 + i32::try_from(random.below(6)).unwrap();
        let members = 1 + random.below(3);
        let threads: Vec<usize> = (0..members)
            .map(|_| 1 + usize::try_from(random.below(4)).unwrap())
            .collect();
        let mut run = Run::new(random.next(), partitions, &threads, random.below(3) == 0);
        for _ in 0..random.below(60) {
            run.put();
        }
        let pause = 1 + random.below(20_000);
        for _ in 0..80 {
            match random.below(40) {
                0 => {
                    run.join(1 + usize::try_from(random.below(4)).unwrap());
                    run.balance();
                }
                1 if run.consumers.len() > 1 => {
                    let index = random.below(run.consumers.len() as u64);
                    run.leave(usize::try_from(index).unwrap());
                    run.pass(Duration::from_millis(random.below(3000)));
                    run.balance();
                }
                2 => run.restart(),
                3 => run.balance(),
                _ => run.put(),
            }
            run.pass(Duration::from_millis(random.below(pause)));
        }
        run.pass(LATE);
        assert!(run.waiting.is_empty(), "everything was received");
        waited.append(&mut run.waited);
    }
    let soon = waited.iter().filter(|waited| **waited < SOON).count();
    assert!(
        soon * 100 >= waited.len() * MOST,
        "{soon} of {} messages came within {SOON:?}",
        waited.len()
    );
}
