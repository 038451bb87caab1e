//! Java consumers, made up: the fetching of Metamorphosis 1.4.6.2, as far as a broker can tell.
//!
//! T threads take requests, one a partition, from one queue that is ordered by a stamp: when the request's last
//! delay ended, in milliseconds. Data sets the delay to zero and the stamp to now, an empty answer raises the delay by
//! half a second, an answer with a bad record leaves both. What was read is remembered by its id, for the whole
//! process, and passed over when it comes again. Positions are told every five seconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;

use super::harness::World;
use crate::broker::word::Word;
use crate::broker::{Effect, Event, Get, Name, OffsetQuery, Options, Put, Reply, Request, Topics};
use crate::segments::format::{HEADER_BYTES, Next, next_record};
use crate::units::{ConnectionId, Moment, Random, Seed, ServerId};

pub(super) const TOPIC: &str = "t";
pub(super) const GROUP: &str = "g";
/// One more empty answer, and the longest a client waits for that.
const DELAY_STEP: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// A client waits so long for the answer to a get.
const TIMEOUT: Duration = Duration::from_secs(10);
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// From an answer to the next request of the same thread: the network and the client's work.
const STEP: Duration = Duration::from_micros(300);
/// A listener may fail so often before the message is set aside.
const RETRIES_MAX: u32 = 5;
/// Ids that a process remembers.
const REMEMBERED: usize = 4096;
const PRODUCER: u64 = 1;

/// A client's way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 1.4.6.2, as it comes.
    Modern,
    /// 1.4.5.1: it has no memory.
    Old,
    /// 1.4.6.2 with a consumer id of its user's.
    OwnName,
    /// It acknowledges by hand, one batch in so many.
    AcknowledgesEvery(u32),
    /// It keeps its positions outside of ZooKeeper.
    PositionsElsewhere,
}

/// A request of the client's queue.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    partition: i32,
    offset: u64,
    delay: Duration,
    /// Milliseconds.
    stamp: u64,
    retries: u32,
    /// What ZooKeeper is to be told, if it has to be told anything.
    to_tell: Option<u64>,
}

/// What a thread does.
#[derive(Clone, Debug)]
enum Work {
    /// Sends a get, or the question where to go on, in a moment.
    SendGet(Fetch),
    SendOffset(Fetch),
    Get(Fetch),
    Offset(Fetch),
    /// The listener has these records.
    Listen(Fetch, Bytes),
}

impl Work {
    fn fetch(&self) -> &Fetch {
        match self {
            Work::SendGet(fetch)
            | Work::SendOffset(fetch)
            | Work::Get(fetch)
            | Work::Offset(fetch)
            | Work::Listen(fetch, _) => fetch,
        }
    }
}

/// The ids that a process remembers.
#[derive(Debug, Default)]
struct Memory {
    used: HashMap<i64, u64>,
    order: BTreeMap<u64, i64>,
    clock: u64,
}

impl Memory {
    fn touch(&mut self, id: i64) {
        self.clock += 1;
        if let Some(before) = self.used.insert(id, self.clock) {
            self.order.remove(&before);
        }
        self.order.insert(self.clock, id);
        while self.used.len() > REMEMBERED {
            let (_, oldest) = self.order.pop_first().expect("both hold the same");
            self.used.remove(&oldest);
        }
    }

    fn has(&mut self, id: i64) -> bool {
        let known = self.used.contains_key(&id);
        if known {
            self.touch(id);
        }
        known
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    name: String,
    connection: u64,
    threads: usize,
    kind: Kind,
    queue: Vec<Fetch>,
    /// By opaque, or by a number of its own; until when.
    busy: BTreeMap<i32, (Moment, Work)>,
    next: i32,
    memory: Memory,
    batches: u32,
    commit_at: Moment,
}

impl Consumer {
    fn start(&mut self, until: Moment, work: Work) -> i32 {
        self.next += 1;
        self.busy.insert(self.next, (until, work));
        self.next
    }

    fn idle(&self) -> bool {
        self.busy.len() < self.threads
    }
}

/// How a group of consumers behaves beyond reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// One message in so many takes up to three seconds; none if 0.
    pub(super) slow_one_in: u64,
    /// One message in so many makes the listener fail; none if 0.
    pub(super) fails_one_in: u64,
    pub(super) kind: Kind,
}

impl Habits {
    pub(super) const CALM: Habits = Habits {
        slow_one_in: 0,
        fails_one_in: 0,
        kind: Kind::Modern,
    };
}

/// What a broker told another, and when it arrives.
#[derive(Debug)]
struct Letter {
    at: Moment,
    from: usize,
    to: usize,
    word: Word,
}

/// A group before a broker, or several.
pub(super) struct Run {
    /// One a broker. A partition's is the rest of its number.
    pub(super) worlds: Vec<World>,
    /// On their way between brokers.
    letters: Vec<Letter>,
    /// One in so many is lost; none if 0.
    pub(super) letters_lost_one_in: u64,
    pub(super) letters_sent: u64,
    random: Random,
    partitions: i32,
    pub(super) consumers: Vec<Consumer>,
    habits: Habits,
    last_connection: u64,
    last_opaque: i32,
    /// What ZooKeeper was told, by partition.
    committed: BTreeMap<i32, u64>,
    /// All below was given to a listener, or set aside.
    delivered: BTreeMap<i32, u64>,
    ends: BTreeMap<i32, u64>,
    /// Messages that nobody was given yet, by partition and offset.
    pub(super) waiting: BTreeMap<(i32, u64), Moment>,
    pub(super) waited: Vec<Duration>,
    /// Messages that a listener was given again although they had been acknowledged, and those that had not.
    pub(super) twice: u64,
    pub(super) again: u64,
    acknowledged: BTreeSet<(i32, u64)>,
    quiet_since: Moment,
}

impl Run {
    pub(super) fn new(
        seed: u64,
        partitions: i32,
        threads: &[usize],
        habits: Habits,
        change: impl FnOnce(&mut Options),
    ) -> Run {
        Run::before(1, seed, partitions, threads, habits, change)
    }

    /// Before so many brokers, which have not met.
    pub(super) fn before(
        brokers: u16,
        seed: u64,
        partitions: i32,
        threads: &[usize],
        habits: Habits,
        change: impl FnOnce(&mut Options),
    ) -> Run {
        let mut random = Random::new(Seed(seed));
        let url = "meta://10.0.0.1:8123".to_owned();
        let topics = Topics::plain(&[(TOPIC, partitions)]);
        let mut options = Options::new(ServerId(1), url, 8123, topics);
        change(&mut options);
        let world = |id| {
            options.broker_id = ServerId(id);
            World::new(options.clone(), Seed(random.next()))
        };
        let worlds: Vec<World> = (1..=brokers).map(world).collect();
        let mut run = Run {
            quiet_since: worlds[0].now,
            worlds,
            letters: Vec::new(),
            letters_lost_one_in: 0,
            letters_sent: 0,
            random,
            partitions,
            consumers: Vec::new(),
            habits,
            last_connection: PRODUCER,
            last_opaque: 0,
            committed: BTreeMap::new(),
            delivered: BTreeMap::new(),
            ends: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waited: Vec::new(),
            twice: 0,
            again: 0,
            acknowledged: BTreeSet::new(),
        };
        run.connect(PRODUCER);
        for &threads in threads {
            run.join(threads);
        }
        run.balance();
        run
    }

    pub(super) fn now(&self) -> Moment {
        self.worlds[0].now
    }

    /// All brokers are connected with each other, or none.
    pub(super) fn meet(&mut self, connected: bool) {
        let brokers = self.worlds.len();
        self.letters.clear();
        for (index, world) in self.worlds.iter_mut().enumerate() {
            for other in (0..brokers).filter(|other| *other != index) {
                let server = server(other);
                world.event(match connected {
                    true => Event::Met { server },
                    false => Event::Parted { server },
                });
            }
        }
    }

    /// Where a partition is, and its number there.
    fn place(&self, partition: i32) -> (usize, i32) {
        let brokers = i32::try_from(self.worlds.len()).unwrap();
        let index = usize::try_from(partition % brokers).unwrap();
        (index, partition / brokers)
    }

    fn connect(&mut self, connection: u64) {
        let connection = ConnectionId(connection);
        for world in &mut self.worlds {
            world.event(Event::Connected { connection });
        }
    }

    pub(super) fn join(&mut self, threads: usize) {
        self.last_connection += 1;
        let connection = self.last_connection;
        self.connect(connection);
        let name = match self.habits.kind {
            Kind::Old => format!("{GROUP}_10.0.0.9-{}-1", 1_374_200_000_000 + connection),
            Kind::OwnName => format!("{GROUP}_consumer{connection}"),
            _ => format!("{GROUP}_10.0.0.9-{connection}-1374200000000-1"),
        };
        self.consumers.push(Consumer {
            name,
            connection,
            threads,
            kind: self.habits.kind,
            queue: Vec::new(),
            busy: BTreeMap::new(),
            next: i32::MIN,
            memory: Memory::default(),
            batches: 0,
            commit_at: self.worlds[0].now + COMMIT_EVERY,
        });
    }

    /// The partitions go round; everybody tells what was read and begins anew.
    pub(super) fn balance(&mut self) {
        let now = self.now();
        self.quiet_since = now;
        for index in 0..self.consumers.len() {
            self.commit(index);
        }
        for world in &mut self.worlds {
            world.owners.clear();
            world.elsewhere.clear();
        }
        let brokers = self.worlds.len();
        let members = self.consumers.len();
        for (index, consumer) in self.consumers.iter_mut().enumerate() {
            consumer.busy.clear();
            consumer.queue.clear();
            for partition in 0..self.partitions {
                if usize::try_from(partition).unwrap() % members != index {
                    continue;
                }
                let at = usize::try_from(partition).unwrap() % brokers;
                let number = partition / i32::try_from(brokers).unwrap();
                let key = (GROUP.to_owned(), TOPIC.to_owned(), number);
                self.worlds[at].owners.insert(key, consumer.name.clone());
                for other in (0..brokers).filter(|other| *other != at) {
                    let elsewhere = self.worlds[other].elsewhere.entry(consumer.name.clone());
                    elsewhere.or_default().insert(Some(server(at)));
                }
                consumer.queue.push(Fetch {
                    partition,
                    offset: self.committed.get(&partition).copied().unwrap_or(0),
                    delay: Duration::ZERO,
                    stamp: now.as_millis(),
                    retries: 0,
                    to_tell: None,
                });
            }
        }
    }

    /// One member is gone, and what it had not told with it.
    pub(super) fn leave(&mut self, index: usize) {
        let gone = self.consumers.remove(index);
        let connection = ConnectionId(gone.connection);
        for world in &mut self.worlds {
            world.event(Event::Disconnected { connection });
        }
    }

    /// The broker dies and is back after a while; its clients find it again, each request after its own pause.
    pub(super) fn restart(&mut self) {
        let [world] = &mut self.worlds[..] else {
            panic!("only one that is alone is restarted");
        };
        world.kill();
        let away = Duration::from_millis(self.random.below(5000));
        world.now = world.now + away;
        world.start(false).expect("nothing is damaged");
        world.seen.clear();
        self.quiet_since = world.now;
        let now = world.now;
        self.connect(PRODUCER);
        for index in 0..self.consumers.len() {
            self.last_connection += 1;
            let connection = self.last_connection;
            self.connect(connection);
            let consumer = &mut self.consumers[index];
            consumer.connection = connection;
            let busy = std::mem::take(&mut consumer.busy);
            let busy = busy.into_values().map(|(_, work)| work.fetch().clone());
            consumer.queue.extend(busy);
            for fetch in &mut consumer.queue {
                let failures = u32::try_from(self.random.below(11)).unwrap();
                fetch.delay = (DELAY_STEP * failures).min(DELAY_MAX);
                let pause = u64::try_from(fetch.delay.as_millis()).unwrap();
                let pause = self.random.below(pause + 1);
                fetch.stamp = now.as_millis() + pause;
            }
        }
    }

    pub(super) fn put_anywhere(&mut self) {
        let partitions = u64::try_from(self.partitions).unwrap();
        let partition = i32::try_from(self.random.below(partitions)).unwrap();
        let bytes = usize::try_from(self.random.below(60)).unwrap();
        self.put(partition, bytes);
    }

    pub(super) fn put(&mut self, partition: i32, bytes: usize) {
        let data = Bytes::from(vec![b'x'; bytes]);
        let offset = self.ends.entry(partition).or_default();
        self.waiting
            .insert((partition, *offset), self.worlds[0].now);
        *offset += u64::try_from(HEADER_BYTES + data.len()).unwrap();
        self.last_opaque += 1;
        let (index, number) = self.place(partition);
        let put = Put {
            topic: Name::from(TOPIC),
            partition: number,
            flag: 0,
            checksum: -1,
            transaction: None,
            data,
        };
        self.worlds[index].request(PRODUCER, self.last_opaque, Request::Put(put));
        self.act();
    }

    /// Everything that can be done at this moment.
    fn act(&mut self) {
        loop {
            let mut any = self.deliver();
            for index in 0..self.worlds.len() {
                self.worlds[index].turn();
                any |= self.take_answers(index);
            }
            for index in 0..self.consumers.len() {
                if self.consumers[index].commit_at <= self.now() {
                    self.commit(index);
                }
                any |= self.end_work(index);
                any |= self.begin_work(index);
            }
            if !any {
                return;
            }
        }
    }

    /// A consumer tells ZooKeeper how far it has read.
    fn commit(&mut self, index: usize) {
        let now = self.now();
        let brokers = self.worlds.len();
        let consumer = &mut self.consumers[index];
        consumer.commit_at = now + COMMIT_EVERY;
        let busy = consumer.busy.values_mut().map(|(_, work)| match work {
            Work::SendGet(fetch)
            | Work::SendOffset(fetch)
            | Work::Get(fetch)
            | Work::Offset(fetch)
            | Work::Listen(fetch, _) => fetch,
        });
        for fetch in consumer.queue.iter_mut().chain(busy) {
            let Some(offset) = fetch.to_tell.take() else {
                continue;
            };
            let read = self.delivered.get(&fetch.partition).copied().unwrap_or(0);
            assert!(
                offset <= read,
                "partition {} is told read up to {offset}, and was to {read}",
                fetch.partition
            );
            self.committed.insert(fetch.partition, offset);
            if consumer.kind != Kind::PositionsElsewhere {
                let at = usize::try_from(fetch.partition).unwrap() % brokers;
                let number = fetch.partition / i32::try_from(brokers).unwrap();
                let key = (GROUP.to_owned(), TOPIC.to_owned(), number);
                self.worlds[at].positions.insert(key, offset);
            }
        }
    }

    fn begin_work(&mut self, index: usize) -> bool {
        let now = self.now();
        let consumer = &mut self.consumers[index];
        if !consumer.idle() {
            return false;
        }
        // Of equal stamps the one that was put into the queue first.
        let first = (0..consumer.queue.len()).min_by_key(|&nth| consumer.queue[nth].stamp);
        let Some(first) = first.filter(|&nth| consumer.queue[nth].stamp <= now.as_millis()) else {
            return false;
        };
        let fetch = consumer.queue.remove(first);
        consumer.start(now, Work::SendGet(fetch));
        true
    }

    fn end_work(&mut self, index: usize) -> bool {
        let now = self.now();
        let consumer = &mut self.consumers[index];
        let done = consumer.busy.iter().find(|(_, (until, _))| *until <= now);
        let Some(opaque) = done.map(|(&opaque, _)| opaque) else {
            return false;
        };
        let (_, work) = consumer.busy.remove(&opaque).unwrap();
        let (at, number) = self.place(work.fetch().partition);
        let consumer = &mut self.consumers[index];
        match work {
            Work::SendGet(fetch) => {
                let get = Get {
                    topic: Name::from(TOPIC),
                    group: Name::from(GROUP),
                    partition: number,
                    offset: i64::try_from(fetch.offset).unwrap(),
                    max_size: 300,
                };
                let opaque = consumer.start(now + TIMEOUT, Work::Get(fetch));
                let connection = consumer.connection;
                self.worlds[at].request(connection, opaque, Request::Get(get));
            }
            Work::SendOffset(fetch) => {
                let query = OffsetQuery {
                    topic: Name::from(TOPIC),
                    group: Name::from(GROUP),
                    partition: number,
                    offset: i64::try_from(fetch.offset).unwrap(),
                };
                let opaque = consumer.start(now + TIMEOUT, Work::Offset(fetch));
                let connection = consumer.connection;
                self.worlds[at].request(connection, opaque, Request::Offset(query));
            }
            Work::Get(fetch) | Work::Offset(fetch) => empty(consumer, fetch, now),
            Work::Listen(fetch, records) => self.heard(index, fetch, records),
        }
        true
    }

    /// The listener is through with what it was given.
    fn heard(&mut self, index: usize, mut fetch: Fetch, mut records: Bytes) {
        let now = self.now();
        let consumer = &mut self.consumers[index];
        consumer.batches += 1;
        let acknowledges = match consumer.kind {
            Kind::AcknowledgesEvery(batches) => consumer.batches.is_multiple_of(batches),
            _ => true,
        };
        let set_aside = fetch.retries > RETRIES_MAX;
        let remembers = consumer.kind != Kind::Old;
        let (begin, all) = (fetch.offset, records.len());
        while let Next::Record(record) = next_record(&mut records) {
            let id = record.header.message_id;
            let start = fetch.offset;
            let end = begin + u64::try_from(all - records.len()).unwrap();
            if !set_aside && remembers && consumer.memory.has(id) {
                fetch.offset = end;
                continue;
            }
            let fails = self.habits.fails_one_in > 0
                && self.random.below(self.habits.fails_one_in) == 0
                && !set_aside;
            if fails {
                break;
            }
            match self.waiting.remove(&(fetch.partition, start)) {
                Some(put) => self.waited.push(now.since(put.max(self.quiet_since))),
                None if self.acknowledged.contains(&(fetch.partition, start)) => self.twice += 1,
                None => self.again += 1,
            }
            let delivered = self.delivered.entry(fetch.partition).or_default();
            assert!(start <= *delivered, "nothing is left out");
            *delivered = end.max(*delivered);
            fetch.offset = end;
            if set_aside {
                break;
            }
            if acknowledges {
                self.acknowledged.insert((fetch.partition, start));
                consumer.memory.touch(id);
            }
        }
        fetch.retries = if fetch.offset > begin {
            0
        } else {
            fetch.retries + 1
        };
        if acknowledges && fetch.offset > begin {
            fetch.to_tell = Some(fetch.offset);
        }
        fetch.delay = (DELAY_STEP * fetch.retries).min(DELAY_MAX);
        fetch.stamp = (now + fetch.delay).as_millis();
        consumer.queue.push(fetch);
    }

    /// Words that have arrived.
    fn deliver(&mut self) -> bool {
        let now = self.now();
        let due: Vec<Letter> = self.letters.extract_if(.., |it| it.at <= now).collect();
        let any = !due.is_empty();
        for Letter { from, to, word, .. } in due {
            let from = server(from);
            self.worlds[to].event(Event::Told { from, word });
        }
        any
    }

    fn send(&mut self, from: usize, to: ServerId, word: Word) {
        self.letters_sent += 1;
        let one_in = self.letters_lost_one_in;
        if one_in == 0 || self.random.below(one_in) > 0 {
            let to = usize::from(to.0) - 1;
            let at = self.now() + STEP;
            self.letters.push(Letter { at, from, to, word });
        }
    }

    fn take_answers(&mut self, index: usize) -> bool {
        let seen = std::mem::take(&mut self.worlds[index].seen);
        let any = !seen.is_empty();
        for effect in seen {
            match effect {
                Effect::Place {
                    connection,
                    opaque,
                    place,
                } => {
                    let bytes = self.worlds[index].read(&place);
                    self.given(connection, opaque, bytes.into());
                }
                Effect::Reply {
                    connection,
                    opaque,
                    reply,
                } if connection.0 != PRODUCER => self.answered(connection, opaque, reply),
                Effect::Tell { to, word } => self.send(index, to, word),
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

    fn given(&mut self, connection: ConnectionId, opaque: i32, bytes: Bytes) {
        let Some((index, Work::Get(fetch))) = self.asked(connection, opaque) else {
            return;
        };
        let slow = self.habits.slow_one_in > 0 && self.random.below(self.habits.slow_one_in) == 0;
        let listens = if slow {
            Duration::from_millis(self.random.below(3000))
        } else {
            Duration::from_micros(self.random.below(500))
        };
        let until = self.now() + STEP + listens;
        self.consumers[index].start(until, Work::Listen(fetch, bytes));
    }

    fn answered(&mut self, connection: ConnectionId, opaque: i32, reply: Reply) {
        let now = self.now();
        let Some((index, work)) = self.asked(connection, opaque) else {
            return;
        };
        let consumer = &mut self.consumers[index];
        match (work, reply) {
            (Work::Get(fetch), Reply::Value(_)) => {
                consumer.start(now + STEP, Work::SendOffset(fetch));
            }
            (Work::Offset(mut fetch), Reply::Offset(offset)) => {
                // Its delay, and with it its place in the queue, is as it was.
                assert!(offset <= fetch.offset, "nobody is sent on over anything");
                assert!(
                    fetch.offset - offset <= 120,
                    "and back over one message only"
                );
                fetch.offset = offset;
                fetch.retries = 0;
                let by_hand = matches!(consumer.kind, Kind::AcknowledgesEvery(_));
                fetch.to_tell = if by_hand { fetch.to_tell } else { Some(offset) };
                consumer.queue.push(fetch);
            }
            (Work::Get(fetch), Reply::Refused(_)) => empty(consumer, fetch, now),
            (work, reply) => panic!("{reply:?} to {work:?}"),
        }
    }

    /// How long messages waited that were received: so many percent of them no longer than this.
    pub(super) fn waited_at(&mut self, percents: [usize; 2]) -> [Duration; 2] {
        let mut waited = std::mem::take(&mut self.waited);
        waited.sort_unstable();
        percents.map(|percent| waited[(waited.len() * percent / 100).min(waited.len() - 1)])
    }

    /// The longest that a message has waited by now.
    pub(super) fn longest_wait(&self) -> Option<(i32, u64, Duration)> {
        let (&(partition, offset), &put) = self.waiting.iter().min_by_key(|(_, put)| **put)?;
        let waited = self.now().since(put.max(self.quiet_since));
        Some((partition, offset, waited))
    }

    /// Lets time pass until then, and everybody do what is due.
    pub(super) fn until(&mut self, end: Moment, late: Duration) {
        loop {
            self.act();
            let consumers = &self.consumers;
            let busy = consumers.iter().flat_map(|one| one.busy.values());
            let busy = busy.map(|(until, _)| *until);
            let idle = consumers.iter().filter(|one| one.idle());
            let due = idle.flat_map(|one| one.queue.iter().map(|fetch| fetch.stamp));
            let due = due.map(Moment::from_millis);
            let next = busy
                .chain(due)
                .chain(consumers.iter().map(|one| one.commit_at))
                .chain(self.letters.iter().map(|letter| letter.at))
                .chain(self.worlds.iter().filter_map(|it| it.broker.deadline()));
            let next = next.min().unwrap_or(end).clamp(self.now(), end);
            if let Some((partition, offset, waited)) = self.longest_wait() {
                assert!(
                    waited <= late,
                    "message {offset} of partition {partition} waits for {waited:?}: {:#?} {:#?}",
                    self.consumers,
                    self.worlds[self.place(partition).0]
                        .broker
                        .status()
                        .consumers
                );
            }
            if self.now() >= end {
                return;
            }
            let passed = next.since(self.now());
            for world in &mut self.worlds {
                world.wait(passed);
            }
        }
    }

    pub(super) fn pass(&mut self, duration: Duration, late: Duration) {
        self.until(self.now() + duration, late);
    }
}

/// An empty answer, or none in time.
fn empty(consumer: &mut Consumer, mut fetch: Fetch, now: Moment) {
    fetch.delay = (fetch.delay + DELAY_STEP).min(DELAY_MAX);
    fetch.stamp = (now + fetch.delay).as_millis();
    consumer.queue.push(fetch);
}

/// The server of a broker.
fn server(index: usize) -> ServerId {
    ServerId(u16::try_from(index + 1).unwrap())
}
