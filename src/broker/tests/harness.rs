//! A server around the broker: a journal, files with a page cache, owner nodes and a clock, all made up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::broker::{
    Broker, Effect, Elsewhere, Event, Name, Options, Owned, Request, Shortage, Ticket,
};
use crate::segments::checkpoint::Checkpoint;
use crate::segments::format::{file_name, folder_partition};
use crate::segments::recovery::{Damage, Found, FoundFile, Opening, Scanner};
use crate::segments::verify::{Checker, Outcome, Range};
use crate::segments::{FileId, FileOperation, Place};
use crate::units::{ConnectionId, Moment, Random, Seed, ServerId, WallTime};

/// The wall clock when a test begins.
pub(crate) const WALL_START: i64 = 1_700_000_000_000;

/// Folder and start of a segment file.
pub(crate) type Path = (String, u64);

/// A file in the page cache, and what of it would survive a power cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    /// On stable storage.
    pub(crate) synced: Vec<u8>,
    pub(crate) modified: i64,
}

/// A server.
pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) options: Options,
    seed: Seed,
    pub(crate) now: Moment,
    /// When the clock showed [`WALL_START`].
    pub(crate) utc_offset_s: i32,
    /// All entries that were committed; entry n has index n + 1.
    pub(crate) journal: Vec<Bytes>,
    /// Up to here the journal was told that it may forget.
    pub(crate) released: u64,
    pub(crate) files: BTreeMap<Path, File>,
    /// Names on stable storage.
    pub(crate) listed: BTreeSet<Path>,
    /// Files that are gone, but whose names stable storage still has.
    removed: BTreeMap<Path, File>,
    pub(crate) checkpoint: Option<Bytes>,
    pub(crate) owners: BTreeMap<(String, String, i32), String>,
    /// What groups have told of their reading.
    pub(crate) positions: BTreeMap<(String, String, i32), u64>,
    /// Consumers that own partitions of other brokers.
    pub(crate) elsewhere: BTreeMap<String, BTreeSet<Option<ServerId>>>,
    /// Proposals, file jobs and questions wait.
    pub(crate) hold_commits: bool,
    pub(crate) hold_writes: bool,
    pub(crate) hold_syncs: bool,
    pub(crate) hold_owners: bool,
    pub(crate) disk_full: bool,
    /// Which operations find space on a full disk; without it none that need it.
    pub(crate) full: Option<Random>,
    proposals: VecDeque<Bytes>,
    jobs: VecDeque<(Ticket, Vec<FileOperation>)>,
    syncs: VecDeque<Effect>,
    questions: VecDeque<(Name, Name, i32)>,
    /// What left the broker and the server did nothing about.
    pub(crate) seen: Vec<Effect>,
    pub(crate) operations: Vec<FileOperation>,
    pub(crate) halted: bool,
}

impl World {
    /// A new server that leads.
    pub(crate) fn new(options: Options, seed: Seed) -> World {
        let mut world = World {
            broker: Broker::new(options.clone(), seed),
            options,
            seed,
            now: Moment::from_millis(1000),
            utc_offset_s: 0,
            journal: Vec::new(),
            released: 0,
            files: BTreeMap::new(),
            listed: BTreeSet::new(),
            removed: BTreeMap::new(),
            checkpoint: None,
            owners: BTreeMap::new(),
            positions: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            hold_commits: false,
            hold_writes: false,
            hold_syncs: false,
            hold_owners: false,
            disk_full: false,
            full: None,
            proposals: VecDeque::new(),
            jobs: VecDeque::new(),
            syncs: VecDeque::new(),
            questions: VecDeque::new(),
            seen: Vec::new(),
            operations: Vec::new(),
            halted: false,
        };
        world.lead();
        world
    }

    pub(crate) fn wall(&self) -> WallTime {
        let passed = self.now.as_millis() - 1000;
        WallTime(WALL_START + i64::try_from(passed).unwrap())
    }

    /// One event, and what it leads to at once.
    pub(crate) fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.broker.handle(self.now, event, &mut effects);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// A request, within a turn.
    pub(crate) fn request(&mut self, connection: u64, opaque: i32, request: Request) {
        let connection = ConnectionId(connection);
        let wall = self.wall();
        self.event(Event::Request {
            connection,
            opaque,
            request,
            wall,
        });
    }

    /// Ends turns until nothing is due any more that is not held back.
    pub(crate) fn turn(&mut self) {
        loop {
            self.event(Event::EndOfTurn);
            if !self.progress() {
                break;
            }
        }
    }

    /// Lets the world do what it was asked. False: there was nothing.
    fn progress(&mut self) -> bool {
        let mut any = false;
        while !self.hold_commits && !self.halted {
            let Some(data) = self.proposals.pop_front() else {
                break;
            };
            self.commit(data);
            any = true;
        }
        while !self.hold_owners {
            let Some((group, topic, partition)) = self.questions.pop_front() else {
                break;
            };
            self.answer_owner(&group, &topic, partition);
            any = true;
        }
        while !self.hold_writes {
            let Some((ticket, operations)) = self.jobs.pop_front() else {
                break;
            };
            let done = !self.disk_full || self.operate_without_space(&operations);
            if done {
                self.operate(&operations);
                self.event(Event::FilesWritten { ticket });
            } else {
                let shortage = Shortage::Space;
                self.event(Event::FilesRefused { ticket, shortage });
            }
            any = true;
        }
        while !self.hold_syncs {
            let Some(effect) = self.syncs.pop_front() else {
                break;
            };
            self.sync(effect);
            any = true;
        }
        any
    }

    /// A job on a full disk: each operation is tried, some find space. False: one did not.
    fn operate_without_space(&mut self, operations: &[FileOperation]) -> bool {
        let mut all = true;
        for operation in operations {
            let needs_space = matches!(
                operation,
                FileOperation::Create { .. } | FileOperation::Write { .. }
            );
            let is_new = !self.files.contains_key(&self.path(operation.file()));
            let no_file = is_new && !matches!(operation, FileOperation::Create { .. });
            let no_space = needs_space && self.full.as_mut().is_none_or(|full| full.below(3) > 0);
            if no_space || no_file {
                all = false;
            } else {
                self.operate(std::slice::from_ref(operation));
            }
        }
        all
    }

    fn commit(&mut self, data: Bytes) {
        self.journal.push(data.clone());
        let index = self.journal.len() as u64;
        self.event(Event::Committed { index, data });
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Propose(data) => self.proposals.push_back(data),
            Effect::Files { ticket, operations } => self.jobs.push_back((ticket, operations)),
            Effect::Sync { .. } | Effect::SaveCheckpoint { .. } => self.syncs.push_back(effect),
            Effect::Release { index } => self.released = index,
            Effect::AskOwner {
                group,
                topic,
                partition,
            } => {
                self.questions
                    .push_back((group.clone(), topic.clone(), partition));
                if !self.hold_owners {
                    let (group, topic, partition) = self.questions.pop_back().unwrap();
                    self.answer_owner(&group, &topic, partition);
                }
            }
            Effect::AskOwned { group } => {
                let owned = self.owners.iter();
                let owned = owned
                    .filter(|((owner_group, ..), _)| *owner_group == group.to_string())
                    .map(|((_, topic, partition), consumer)| Owned {
                        topic: Name::from(topic.as_str()),
                        partition: *partition,
                        consumer: Name::from(consumer.as_str()),
                        position: self
                            .positions
                            .get(&(group.to_string(), topic.clone(), *partition))
                            .copied(),
                    })
                    .collect();
                let elsewhere = self.elsewhere.iter();
                let elsewhere = elsewhere.map(|(consumer, brokers)| Elsewhere {
                    consumer: Name::from(consumer.as_str()),
                    brokers: brokers.clone(),
                });
                let elsewhere = elsewhere.collect();
                self.event(Event::Owned {
                    group,
                    owned,
                    elsewhere,
                });
            }
            Effect::Verify { ticket, range } => {
                let outcome = self.verify(&range);
                self.seen.push(Effect::Verify { ticket, range });
                self.event(Event::Verified { ticket, outcome });
            }
            Effect::Halt { .. } => {
                self.halted = true;
                self.seen.push(effect);
            }
            other => self.seen.push(other),
        }
    }

    fn answer_owner(&mut self, group: &Name, topic: &Name, partition: i32) {
        let key = (group.to_string(), topic.to_string(), partition);
        let consumer = self
            .owners
            .get(&key)
            .map(|consumer| Name::from(consumer.as_str()));
        let (group, topic) = (group.clone(), topic.clone());
        self.event(Event::Owner {
            group,
            topic,
            partition,
            consumer,
        });
    }

    pub(crate) fn path(&self, file: FileId) -> Path {
        (self.broker.folder(file.partition).1, file.start)
    }

    fn operate(&mut self, operations: &[FileOperation]) {
        let modified = self.wall().0;
        for operation in operations {
            self.operations.push(operation.clone());
            let path = self.path(operation.file());
            match operation {
                FileOperation::Create { .. } => {
                    self.files.entry(path).or_insert(File {
                        modified,
                        ..File::default()
                    });
                }
                FileOperation::Write {
                    position, slices, ..
                } => {
                    let file = self
                        .files
                        .get_mut(&path)
                        .expect("a file is made before it is written");
                    let mut at = usize::try_from(*position).unwrap();
                    for slice in slices {
                        let end = at + slice.len();
                        if file.bytes.len() < end {
                            file.bytes.resize(end, 0);
                        }
                        file.bytes[at..end].copy_from_slice(slice);
                        at = end;
                    }
                    file.modified = modified;
                }
                FileOperation::Truncate { length, .. } => {
                    let length = usize::try_from(*length).unwrap();
                    let file = self
                        .files
                        .get_mut(&path)
                        .expect("only files that exist are cut");
                    file.bytes.resize(length, 0);
                }
                FileOperation::Remove { .. } | FileOperation::Archive { .. } => {
                    if let Some(file) = self.files.remove(&path)
                        && self.listed.contains(&path)
                    {
                        self.removed.insert(path, file);
                    }
                }
            }
        }
    }

    fn sync(&mut self, effect: Effect) {
        match effect {
            Effect::Sync {
                ticket,
                files,
                folders,
            } => {
                for dirty in files {
                    let path = self.path(dirty.file);
                    if let Some(file) = self.files.get_mut(&path) {
                        file.synced = file.bytes.clone();
                    }
                }
                for folder in folders {
                    let (_, name) = self.broker.folder(folder);
                    self.listed.retain(|path| path.0 != name);
                    self.removed.retain(|path, _| path.0 != name);
                    let now = self.files.keys().filter(|path| path.0 == name);
                    self.listed.extend(now.cloned());
                }
                self.event(Event::Synced { ticket });
            }
            Effect::SaveCheckpoint { ticket, content } => {
                self.checkpoint = Some(content);
                self.event(Event::CheckpointSaved { ticket });
            }
            other => panic!("{other:?} is no sync"),
        }
    }

    fn verify(&self, range: &Range) -> Outcome {
        let Some(file) = self.files.get(&self.path(range.file)) else {
            return Outcome::Unreadable;
        };
        let mut checker = Checker::new(range);
        // Pieces of odd sizes, as a read may return them.
        for piece in file.bytes[usize::try_from(range.from).unwrap()..].chunks(7) {
            if let Some(outcome) = checker.feed(piece) {
                return outcome;
            }
        }
        checker.feed(&[]).unwrap_or_else(|| checker.end_of_file())
    }

    /// The bytes of a place.
    pub(crate) fn read(&self, place: &Place) -> Vec<u8> {
        let file = &self.files[&self.path(place.file)];
        let from = usize::try_from(place.position).unwrap();
        let length = usize::try_from(place.length).unwrap();
        file.bytes[from..from + length].to_vec()
    }

    /// Time passes; the broker is woken when it wants to be.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.broker.deadline() {
            if deadline > end || self.halted {
                break;
            }
            self.now = self.now.max(deadline);
            self.tick();
            self.turn();
            assert!(
                self.broker.deadline().is_none_or(|next| next > self.now),
                "what was due at {:?} was done",
                self.now
            );
        }
        self.now = end;
    }

    pub(crate) fn tick(&mut self) {
        let (wall, utc_offset_s) = (self.wall(), self.utc_offset_s);
        self.event(Event::Tick { wall, utc_offset_s });
    }

    /// The server becomes the leader of its group of one.
    pub(crate) fn lead(&mut self) {
        // The consensus begins each term with an entry of its own.
        self.commit(Bytes::new());
        let wall = self.wall();
        self.event(Event::Led { wall });
        self.tick();
        self.turn();
    }

    /// The process dies; the page cache does not.
    pub(crate) fn kill(&mut self) {
        self.proposals.clear();
        self.jobs.clear();
        self.syncs.clear();
        self.questions.clear();
        self.halted = false;
        self.hold_commits = false;
        self.hold_writes = false;
        self.hold_syncs = false;
        self.hold_owners = false;
    }

    /// The power is cut: of what was not synced, some is there and some is not.
    pub(crate) fn cut_power(&mut self, random: &mut Random) {
        self.kill();
        let mut survivors = BTreeMap::new();
        for (path, mut file) in std::mem::take(&mut self.files) {
            if !self.listed.contains(&path) && random.below(2) == 0 {
                continue;
            }
            let synced = file.synced.len();
            if random.below(3) > 0 && file.bytes.len() > synced {
                let unsynced = (file.bytes.len() - synced) as u64;
                let kept = synced + usize::try_from(random.below(unsynced + 1)).unwrap();
                let mut bytes = file.synced.clone();
                bytes.extend_from_slice(&file.bytes[synced..kept]);
                // The length was written, some of the bytes were not.
                for byte in bytes[synced..].chunks_mut(16) {
                    if random.below(4) == 0 {
                        byte.fill(0);
                    }
                }
                file.bytes = bytes;
            } else {
                file.bytes = file.synced.clone();
            }
            file.synced = file.bytes.clone();
            survivors.insert(path, file);
        }
        for (path, file) in std::mem::take(&mut self.removed) {
            if random.below(2) == 0 {
                survivors.entry(path).or_insert(file);
            }
        }
        self.listed = survivors.keys().cloned().collect();
        self.files = survivors;
    }

    /// A new process on what is there: opens, applies what the checkpoint does not hold, and leads.
    pub(crate) fn start(&mut self, accept_loss: bool) -> Result<(), Damage> {
        let checkpoint = self
            .checkpoint
            .as_ref()
            .map(|bytes| Checkpoint::decode(bytes).unwrap());
        let mut opening = Opening::new(self.found(), checkpoint, accept_loss)?;
        for scan in opening.scans() {
            let start = crate::segments::format::file_start(&scan.file).unwrap();
            let file = &self.files[&(scan.folder.clone(), start)];
            let mut scanner = Scanner::new(scan.from, scan.to);
            for piece in file.bytes[usize::try_from(scan.from).unwrap()..].chunks(11) {
                scanner.feed(piece);
            }
            opening.scanned(scan.partition, scanner.finish());
        }
        let applied = opening.applied;
        assert!(
            applied >= self.released,
            "the journal kept what the checkpoint does not hold"
        );
        self.broker = Broker::open(self.options.clone(), self.seed, opening);
        for index in applied + 1..=self.journal.len() as u64 {
            let data = self.journal[usize::try_from(index - 1).unwrap()].clone();
            self.event(Event::Committed { index, data });
            if index % 3 == 0 {
                self.turn();
            }
        }
        self.lead();
        Ok(())
    }

    /// The data folder, as a start finds it.
    pub(crate) fn found(&self) -> Vec<Found> {
        let mut folders: BTreeMap<&str, Vec<FoundFile>> = BTreeMap::new();
        for ((folder, start), file) in &self.files {
            let length = file.bytes.len() as u64;
            let modified = WallTime(file.modified);
            folders.entry(folder).or_default().push(FoundFile {
                start: *start,
                length,
                modified,
            });
        }
        let found = |(folder, files): (&str, Vec<FoundFile>)| {
            let (topic, number) = folder_partition(folder).expect("only partitions' folders");
            Found {
                topic: topic.to_owned(),
                number,
                data_folder: 0,
                files,
            }
        };
        folders.into_iter().map(found).collect()
    }

    /// The name of a file as people read it.
    pub(crate) fn file_name(&self, file: FileId) -> String {
        let (folder, start) = self.path(file);
        format!("{folder}/{}", short_name(start))
    }
}

/// `00000000000000000264.meta` as `264.meta`.
pub(crate) fn short_name(start: u64) -> String {
    let name = file_name(start);
    let short = name.trim_start_matches('0');
    if short.starts_with('.') {
        format!("0{short}")
    } else {
        short.to_owned()
    }
}
