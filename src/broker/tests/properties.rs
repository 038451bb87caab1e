//! What holds whatever happens: servers that die at any moment lose nothing they acknowledged, entries put
//! the same bytes in the same places however often they are applied, and no bytes make the core panic.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::harness::{Path, World};
use crate::broker::command::{Command, Commands};
use crate::broker::{Effect, Event, Get, Name, Options, Put, Reply, Request, Topics};
use crate::segments::format::{Next, folder_name, next_record};
use crate::segments::retention::Policy;
use crate::tests::{Tally, seeded};
use crate::units::{Random, Seed, ServerId};

/// Without `SEED`.
const SEED: u64 = 8_123;

const TOPICS: [(&str, i32); 2] = [("alpha", 3), ("beta-x", 2)];

/// The longest interval of checkpoints that is tried.
const CHECKPOINT_MAX: Duration = Duration::from_millis(2200);

fn options(random: &mut Random) -> Options {
    let mut topics = Topics::plain(&TOPICS);
    if random.below(4) > 0 {
        let mut policy = Policy::parse("delete,1000", "0 0 6,18 * * ?").unwrap();
        policy.partition_bytes_max = Some(100 + random.below(800));
        topics.sections[0].settings.retention = policy;
    }
    let url = "meta://10.0.0.1:8123".to_owned();
    let mut options = Options::new(ServerId(1), url, 8123, topics);
    options.segment_bytes_max = 50 + random.below(400);
    options.entry_bytes_max = 100 + usize::try_from(random.below(500)).unwrap();
    options.checkpoint_interval = Duration::from_millis(200 + random.below(2000));
    options.files_in_flight_max = 1 + usize::try_from(random.below(4)).unwrap();
    options.disk_full_retry = Duration::from_millis(50);
    options.update_consumer_offsets = true;
    options
}

/// A message that was acknowledged.
#[derive(Clone, Debug)]
struct Stored {
    message_id: i64,
    data: Vec<u8>,
}

/// What a run did so far.
struct Run {
    world: World,
    random: Random,
    /// Puts without an answer, by opaque.
    open: BTreeMap<i32, (String, Vec<u8>)>,
    /// By topic, partition and offset.
    stored: BTreeMap<(String, i32, u64), Stored>,
    next: i32,
    last_message_id: i64,
    /// What happened so far.
    tally: Tally,
}

impl Run {
    fn new(mut random: Random) -> Run {
        let options = options(&mut random);
        let mut world = World::new(options, Seed(random.next()));
        world.full = Some(Random::new(Seed(random.next())));
        Run {
            world,
            random,
            open: BTreeMap::new(),
            stored: BTreeMap::new(),
            next: 0,
            last_message_id: 0,
            tally: Tally::default(),
        }
    }

    fn put(&mut self) {
        let (topic, partitions) = TOPICS[usize::try_from(self.random.below(2)).unwrap()];
        let partition = i32::try_from(self.random.below(partitions.unsigned_abs().into())).unwrap();
        let length = self.random.below(60);
        let data: Vec<u8> = (0..length)
            .map(|_| self.random.next().to_le_bytes()[0])
            .collect();
        self.next += 1;
        self.open
            .insert(self.next, (topic.to_owned(), data.clone()));
        let put = Put {
            topic: Name::from(topic),
            partition: if self.random.below(4) == 0 {
                -1
            } else {
                partition
            },
            flag: 0,
            checksum: -1,
            transaction: None,
            data: Bytes::from(data),
        };
        self.world.request(1, self.next, Request::Put(put));
    }

    fn collect(&mut self) {
        for effect in std::mem::take(&mut self.world.seen) {
            match effect {
                Effect::Reply {
                    opaque,
                    reply:
                        Reply::Stored {
                            message_id,
                            partition,
                            offset,
                        },
                    ..
                } => {
                    let (topic, data) = self.open.remove(&opaque).expect("one answer a put");
                    let there = self
                        .stored
                        .insert((topic, partition, offset), Stored { message_id, data });
                    assert!(there.is_none(), "one message an offset");
                }
                Effect::Reply {
                    opaque,
                    reply: Reply::Refused(refusal),
                    ..
                } => {
                    let full = refusal.text.contains("disk is full");
                    assert!(full, "{}", refusal.text);
                    self.open.remove(&opaque);
                    self.tally.add("puts refused", 1);
                }
                Effect::Halt { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..=17 => self.put(),
            18..=25 => self.world.turn(),
            26 => self.world.hold_commits ^= true,
            27 => self.world.hold_writes ^= true,
            28 => self.world.hold_syncs ^= true,
            29..=30 => {
                let ms = self.random.below(500);
                self.world.wait(Duration::from_millis(ms));
            }
            // Long enough for files to be retired by size.
            31..=32 => self.world.wait(Duration::from_secs(61)),
            33 => self.world.event(Event::Checkpoint),
            34 => self.world.disk_full ^= true,
            35..=36 => self.restart(false),
            37..=38 => self.restart(true),
            _ => self.depose(),
        }
        self.collect();
    }

    fn depose(&mut self) {
        self.world.event(Event::Deposed);
        self.collect();
        self.open.clear();
        // All that is committed of what was proposed before comes before the next term's first entry.
        let held = std::mem::take(&mut self.world.hold_commits);
        self.world.turn();
        self.world.lead();
        self.world.hold_commits = held;
    }

    fn restart(&mut self, power: bool) {
        self.tally.add("puts without an answer", self.open.len());
        if power {
            self.world.cut_power(&mut self.random);
            self.tally.add("power cuts", 1);
        } else {
            self.world.kill();
            self.tally.add("kills", 1);
        }
        // A disk that is full stays so: the server starts all the same.
        self.world.disk_full &= self.random.below(2) == 0;
        self.open.clear();
        if let Err(damage) = self.world.start(false) {
            panic!("{damage}");
        }
        self.collect();
        self.check();
    }

    /// Everything that was acknowledged is there, unless an entry deleted it.
    fn check(&mut self) {
        self.world.hold_commits = false;
        self.world.hold_writes = false;
        self.world.disk_full = false;
        // What was retired goes once a checkpoint says so, which is due by then.
        self.world.wait(CHECKPOINT_MAX + Duration::from_secs(1));
        self.collect();
        let reference = reference(&self.world.journal);
        let files: BTreeMap<&Path, &Vec<u8>> = self
            .world
            .files
            .iter()
            .map(|(path, file)| (path, &file.bytes))
            .collect();
        assert_eq!(
            files,
            reference.iter().collect(),
            "files are what the journal says"
        );
        let status = self.world.broker.status();
        for ((topic, partition, offset), stored) in self.stored.clone() {
            let topic_status = status.topics.iter().find(|one| one.topic.as_str() == topic);
            let mut partitions = topic_status
                .expect("a topic with messages")
                .partitions
                .iter();
            let found = partitions.find(|one| one.number == partition);
            if offset < found.expect("a partition with messages").first {
                self.tally.add("messages retired", 1);
                continue;
            }
            self.tally.add("messages read again", 1);
            let (message_id, data) = self.read(&topic, partition, offset);
            assert_eq!(message_id, stored.message_id);
            assert_eq!(data, stored.data, "{topic}-{partition} at {offset}");
        }
        let counted: u64 = status
            .topics
            .iter()
            .flat_map(|one| &one.partitions)
            .map(|one| one.messages)
            .sum();
        let there: usize = reference.values().map(|bytes| records(bytes)).sum();
        assert_eq!(counted, there as u64, "messages are counted");
        assert!(
            status.last_message_id >= self.last_message_id,
            "ids never go back"
        );
        self.last_message_id = status.last_message_id;
    }

    fn read(&mut self, topic: &str, partition: i32, offset: u64) -> (i64, Vec<u8>) {
        let get = Get {
            topic: Name::from(topic),
            group: Name::from("g"),
            partition,
            offset: i64::try_from(offset).unwrap(),
            max_size: 1000,
        };
        self.world.request(2, 1, Request::Get(get));
        let seen = std::mem::take(&mut self.world.seen);
        let place = seen.iter().find_map(|effect| match effect {
            Effect::Place { place, .. } => Some(*place),
            _ => None,
        });
        let place = place.unwrap_or_else(|| panic!("{topic}-{partition} at {offset}: {seen:?}"));
        let mut bytes = Bytes::from(self.world.read(&place));
        let Next::Record(record) = next_record(&mut bytes) else {
            panic!("{topic}-{partition} at {offset}: no record");
        };
        (record.header.message_id, record.data.to_vec())
    }
}

fn records(bytes: &[u8]) -> usize {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let mut count = 0;
    while let Next::Record(_) = next_record(&mut bytes) {
        count += 1;
    }
    assert!(bytes.is_empty(), "a file is records and nothing else");
    count
}

/// The files that a journal leads to, the slow way.
fn reference(journal: &[Bytes]) -> BTreeMap<Path, Vec<u8>> {
    let mut files: BTreeMap<Path, Vec<u8>> = BTreeMap::new();
    for (index, data) in journal.iter().enumerate() {
        let index = index as u64 + 1;
        let mut commands = Commands::new(index, data.clone());
        while let Some(command) = commands.next().expect("what was proposed can be read") {
            match command {
                Command::Append(mut append) => {
                    while let Some((head, records)) = append.next_run(index).unwrap() {
                        let folder = folder_name(head.topic.as_str(), head.partition);
                        let own = (folder.clone(), 0)..=(folder.clone(), u64::MAX);
                        let last = files.range(own).next_back().map(|(path, _)| path.1);
                        let start = last.unwrap_or(head.offset);
                        let file = files.entry((folder.clone(), start)).or_default();
                        assert_eq!(start + file.len() as u64, head.offset);
                        file.extend_from_slice(&records);
                        if head.rolls {
                            let next = head.offset + records.len() as u64;
                            files.insert((folder, next), Vec::new());
                        }
                    }
                }
                Command::Retire(retire) => {
                    for cut in retire.cuts {
                        let folder = folder_name(cut.topic.as_str(), cut.partition);
                        let own = (folder.clone(), 0)..(folder.clone(), cut.first);
                        let gone: Vec<Path> =
                            files.range(own).map(|(path, _)| path.clone()).collect();
                        for path in gone {
                            files.remove(&path);
                        }
                    }
                }
            }
        }
    }
    files
}

#[test]
fn nothing_acknowledged_is_lost_whenever_a_server_dies() {
    let (_replay, mut random) = seeded(SEED);
    let mut tally = Tally::default();
    for _ in 0..300 {
        let mut run = Run::new(Random::new(Seed(random.next())));
        let steps = 50 + run.random.below(250);
        for _ in 0..steps {
            run.step();
        }
        run.restart(true);
        run.restart(false);
        tally.merge(&run.tally);
    }
    tally.assert_at_least(&[
        ("power cuts", 1000),
        ("kills", 1000),
        ("puts without an answer", 4000),
        ("puts refused", 400),
        ("messages read again", 50_000),
        ("messages retired", 4000),
    ]);
}

#[test]
fn one_seed_makes_one_history() {
    let (_replay, random) = seeded(SEED);
    let history = || {
        let mut run = Run::new(random.clone());
        let mut told = Vec::new();
        for _ in 0..400 {
            run.step();
            told.push(format!("{:?}", run.world.broker.status()));
        }
        (
            told,
            run.world.journal,
            run.world.files,
            run.world.checkpoint,
        )
    };
    assert!(history() == history(), "the same seed, the same bytes");
}

#[test]
fn no_bytes_of_an_entry_make_it_panic() {
    let (_replay, mut random) = seeded(SEED);
    let mut run = Run::new(Random::new(Seed(random.next())));
    for _ in 0..200 {
        run.put();
        if run.random.below(5) == 0 {
            run.world.turn();
        }
    }
    run.world.turn();
    let journal = run.world.journal.clone();
    for _ in 0..20_000 {
        let entry = &journal[usize::try_from(random.below(journal.len() as u64)).unwrap()];
        let mut bytes = entry.to_vec();
        for _ in 0..random.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] = random.next().to_le_bytes()[0];
        }
        if random.below(3) == 0 && !bytes.is_empty() {
            bytes.truncate(usize::try_from(random.below(bytes.len() as u64)).unwrap());
        }
        let mut commands = Commands::new(1, Bytes::from(bytes));
        while let Ok(Some(command)) = commands.next() {
            if let Command::Append(mut append) = command {
                while let Ok(Some(_)) = append.next_run(1) {}
            }
        }
    }
}
