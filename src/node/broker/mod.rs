//! The broker within the node: its core, its replica and its files, and what each of the core's effects
//! becomes.
//!
//! A put's way through here: request → core → `Propose` → replica → journal → `Command` → core → `Files`,
//! `Reply`; then disk → `FilesWritten` → core, for gets that wait. A get's: request → core → `Place` → the connection's output, which
//! names the file and never reads it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::connections::Dropped;
use super::replica::{News, Replica};
use super::{Failure, World};
use crate::appliance::status::{BrokerStatus, TopicSummary, Unshown};
use crate::broker::status::{PartitionStatus, TopicStatus};
use crate::broker::{Broker, Effect, Event, Name, Pressure, Shortage, TopicRegistration, Warning};
use crate::disk::Completion;
use crate::net::codec::Codec as _;
use crate::net::output::FileRange;
use crate::registry;
use crate::registry::owners::Question;
use crate::report::metrics::{self, Scrape};
use crate::segments::format;
use crate::segments::retention::Action;
use crate::units::{ConnectionId, Moment, ServerId};
use crate::wire::metaq::request::Asked;

// What an operator is told of the consumers whose gets wait.
mod consumers;
// Who owns the broker's partitions.
pub(super) mod owners;
// The broker's files on the disk.
pub(crate) mod segment_files;
// `topic describe`.
mod topic_detail;
// Checking segments before they are served.
mod verification;

use segment_files::{Again, Finished, SegmentFiles};
use verification::Verification;

/// How long a checkpoint waits that found no space, or no descriptor.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);

/// The broker and all that belongs to it.
pub(crate) struct BrokerSide {
    pub(super) id: ServerId,
    pub(super) core: Broker,
    pub(super) replica: Replica,
    pub(super) files: SegmentFiles,
    verification: Verification,
    /// How the registry is to show the topics.
    pub(super) topics: BTreeMap<String, registry::Topic>,
    pub(super) topics_changed: bool,
    /// The core has enough under way: nothing is read from its clients.
    pub(super) reading_paused: bool,
    /// What is to be looked at: also what follows at once from carrying out an effect, behind all effects before it.
    events: VecDeque<Event>,
    /// What the core wants to know of owner nodes. Each question is to be answered once.
    pub(super) questions: VecDeque<Question>,
    pressure: Pressure,
    /// The core was asked for a checkpoint and has not finished it.
    checkpoint_asked: bool,
    /// A part of a checkpoint that was refused, and when it is done again.
    checkpoint_again: Option<(Moment, Again)>,
    /// What the last one lacked, if it was refused.
    checkpoint_refused: Option<Shortage>,
    wants_space: bool,
    /// The core has asked for its own end.
    halted: Option<Failure>,
    /// The topics that were there before are being told of: no news.
    begins: bool,
}

impl BrokerSide {
    pub(crate) fn new(
        id: ServerId,
        core: Broker,
        replica: Replica,
        files: SegmentFiles,
    ) -> BrokerSide {
        BrokerSide {
            id,
            core,
            verification: Verification::new(replica.group()),
            replica,
            files,
            topics: BTreeMap::new(),
            topics_changed: false,
            reading_paused: false,
            events: VecDeque::new(),
            questions: VecDeque::new(),
            pressure: Pressure::default(),
            checkpoint_asked: false,
            checkpoint_again: None,
            checkpoint_refused: None,
            wants_space: false,
            halted: None,
            begins: false,
        }
    }

    /// Hands an event to the core and carries out what it wants, in order, before anything else is looked at.
    pub(super) fn handle(&mut self, event: Event, world: &mut World) {
        self.events.push_back(event);
        self.look(world);
    }

    fn look(&mut self, world: &mut World) {
        let mut effects = Vec::new();
        while let Some(event) = self.events.pop_front() {
            self.core.handle(world.now, event, &mut effects);
            for effect in effects.drain(..) {
                self.carry_out(effect, world);
            }
        }
    }

    /// Takes what a client's connection has in, while its replies find room.
    pub(super) fn take_requests(&mut self, id: ConnectionId, world: &mut World) {
        let wall = world.wall;
        loop {
            let Some(client) = world.connections.metaq(id) else {
                return;
            };
            if client.is_congested() {
                world.connections.stall(id);
                return;
            }
            match client.next_request() {
                Ok(None) => {
                    // A message that was too large is answered by the client itself.
                    if !client.output().is_empty() {
                        world.connections.mark_dirty(id);
                    }
                    return;
                }
                Ok(Some(Asked { opaque, request })) => {
                    self.handle(
                        Event::Request {
                            connection: id,
                            opaque,
                            request,
                            wall,
                        },
                        world,
                    );
                }
                Err(error) => {
                    debug!(connection = id.0, %error, "connection closed");
                    world.connections.dropped(id, Dropped::Protocol);
                    world.connections.close(id);
                    self.handle(Event::Disconnected { connection: id }, world);
                    return;
                }
            }
        }
    }

    /// Tells the core of short resources when that changes, and asks for a checkpoint where the journal needs
    /// its space.
    pub(super) fn press(&mut self, pressure: Pressure, checkpoint: bool, world: &mut World) {
        if pressure != self.pressure {
            if pressure.disk && !self.pressure.disk {
                // xfs keeps room behind the end of a file that grows, tens of megabytes, and lets go of it when the file is
                // closed for the first time, or minutes later.
                self.files.close_all(world.disk.as_mut());
            }
            self.pressure = pressure;
            self.handle(Event::Pressure(pressure), world);
        }
        if checkpoint && !self.checkpoint_asked {
            self.checkpoint_asked = true;
            self.handle(Event::Checkpoint, world);
        }
    }

    /// Closes the turn: what the core gathered goes to the log, and what is committed comes back.
    /// Returns whether anything came.
    ///
    /// # Errors
    /// The log holds what this version does not understand, or the core gave up.
    pub(super) fn turn(&mut self, world: &mut World) -> Result<bool, Failure> {
        self.handle(Event::EndOfTurn, world);
        let mut news = Vec::new();
        self.replica.turn(&mut world.journal, &mut news)?;
        let any = !news.is_empty();
        for piece in news {
            match piece {
                News::Command { index, data } => {
                    self.handle(Event::Committed { index, data }, world);
                }
                News::EntryEnd { index } => self.replica.applied(index),
                News::Led { term } => {
                    self.begins = true;
                    let wall = world.wall;
                    self.handle(Event::Led { wall }, world);
                    self.begins = false;
                    info!(term, topics = self.topics.len(), "the broker serves");
                }
                News::Follows
                | News::Forward { .. }
                | News::Send(_)
                | News::ReadAt { .. }
                | News::SnapshotWanted
                | News::Forgot { .. }
                | News::Installed(_) => unreachable!("a broker's group has one member"),
                News::Deposed => self.handle(Event::Deposed, world),
            }
        }
        match self.halted.take() {
            Some(failure) => Err(failure),
            None => Ok(any),
        }
    }

    /// Takes a completion of the segment files.
    ///
    /// # Errors
    /// The files failed in a way after which they are not to be believed.
    pub(super) fn file_completed(
        &mut self,
        completion: Completion,
        world: &mut World,
    ) -> Result<(), Failure> {
        if let Some(finished) = self.files.complete(completion, world.disk.as_mut())? {
            self.finished(finished, world);
            self.look(world);
        }
        Ok(())
    }

    /// Takes a completion of a verification's read.
    pub(super) fn read_completed(&mut self, completion: Completion, world: &mut World) {
        if let Some(event) = self.verification.complete(completion, world.disk.as_mut()) {
            self.handle(event, world);
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, utc_offset_s: i32, world: &mut World) {
        if let Some((_, again)) = self.checkpoint_again.take_if(|(at, _)| *at <= world.now) {
            let finished = self.files.again(again, world.disk.as_mut());
            self.finish_at_once(finished, world);
            self.look(world);
        }
        if self.core.deadline().is_some_and(|at| at <= world.now) {
            let wall = world.wall;
            self.handle(Event::Tick { wall, utc_offset_s }, world);
        }
    }

    /// Whether a message or a checkpoint found no space since this was last asked.
    pub(super) fn take_wants_space(&mut self) -> bool {
        std::mem::take(&mut self.wants_space)
    }

    /// Message files or the checkpoint find no space.
    pub(super) fn finds_no_space(&self) -> bool {
        self.core.is_parked() || self.checkpoint_again.is_some()
    }

    /// Why a folder of message files is taken for gone.
    pub(super) fn lacks_folder(&self) -> Option<&str> {
        let lacking = [self.core.shortage(), self.checkpoint_refused];
        lacking
            .contains(&Some(Shortage::Folder))
            .then(|| self.files.refusal())
    }

    /// Whether clients may come in: this server leads, and all that was acknowledged before is where gets see it, or
    /// cannot get there before an operator makes room.
    pub(super) fn serves(&self) -> bool {
        self.replica
            .leads_since()
            .is_some_and(|index| self.core.written() >= index || self.core.is_parked())
    }

    /// Whether all that was applied is in files that need no journal.
    pub(super) fn is_checkpointed(&self) -> bool {
        self.replica.marker_index() >= self.replica.applied_index()
    }

    /// When [`BrokerSide::tick`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let again = self.checkpoint_again.as_ref().map(|(at, _)| *at);
        [self.core.deadline(), again].into_iter().flatten().min()
    }

    fn finished(&mut self, finished: Finished, world: &mut World) {
        let event = match finished {
            Finished::Written(ticket) => Event::FilesWritten { ticket },
            Finished::Refused(ticket, shortage) => {
                self.wants_space |= shortage == Shortage::Space;
                Event::FilesRefused { ticket, shortage }
            }
            Finished::Synced(ticket) => Event::Synced { ticket },
            Finished::CheckpointSaved(ticket) => {
                if self.checkpoint_refused.take().is_some() {
                    info!("the broker's checkpoint is written again");
                }
                Event::CheckpointSaved { ticket }
            }
            Finished::CheckpointRefused(again, shortage) => {
                self.wants_space |= shortage == Shortage::Space;
                // Once: the log may lie on the same disk.
                if self.checkpoint_refused.replace(shortage) != Some(shortage) {
                    let lacking = match shortage {
                        Shortage::Space => "space",
                        Shortage::Descriptors => "file descriptor",
                        Shortage::Folder => "folder of message files",
                    };
                    warn!(
                        lacking,
                        why = self.files.refusal(),
                        "the broker's checkpoint is put off; the journal keeps its entries meanwhile"
                    );
                }
                self.checkpoint_again = Some((world.now + CHECKPOINT_RETRY, again));
                return;
            }
        };
        self.events.push_back(event);
    }

    fn carry_out(&mut self, effect: Effect, world: &mut World) {
        match effect {
            Effect::Propose(command) => self.replica.propose(command),
            Effect::Reply {
                connection,
                opaque,
                reply,
            } => {
                if let Some(client) = world.connections.metaq(connection) {
                    client.reply(opaque, &reply);
                    world.connections.mark_dirty(connection);
                }
            }
            Effect::Place {
                connection,
                opaque,
                place,
            } => {
                self.learn(place.file.partition);
                let path = self.files.path(place.file);
                if let Some(client) = world.connections.metaq(connection) {
                    let range = FileRange {
                        path,
                        position: place.position,
                        length: place.length,
                    };
                    client.value(opaque, range);
                    world.connections.mark_dirty(connection);
                }
            }
            Effect::Files { ticket, operations } => {
                for operation in &operations {
                    self.learn(operation.file().partition);
                }
                let finished = self
                    .files
                    .carry_out(ticket, operations, world.disk.as_mut());
                self.finish_at_once(finished, world);
            }
            Effect::Sync {
                ticket,
                files,
                folders,
            } => {
                for partition in files
                    .iter()
                    .map(|dirty| dirty.file.partition)
                    .chain(folders.iter().copied())
                {
                    self.learn(partition);
                }
                let finished = self
                    .files
                    .sync(ticket, &files, &folders, world.disk.as_mut());
                self.finish_at_once(finished, world);
            }
            Effect::SaveCheckpoint { ticket, content } => {
                self.files
                    .save_checkpoint(ticket, content, world.disk.as_mut());
            }
            Effect::SaveSkips { content } => self.files.save_skips(content, world.disk.as_mut()),
            Effect::Release { index } => {
                self.checkpoint_asked = false;
                self.replica.release(index, &mut world.journal);
            }
            Effect::Verify { ticket, range } => {
                self.learn(range.file.partition);
                let path = self.files.path(range.file);
                self.verification
                    .check(ticket, range, &path, world.disk.as_mut());
            }
            Effect::Search { ticket, range } => {
                self.learn(range.file.partition);
                let path = self.files.path(range.file);
                self.verification
                    .search(ticket, range, &path, world.disk.as_mut());
            }
            Effect::RegisterTopic(topic) => self.register(&topic),
            Effect::UnregisterTopic { topic } => self.unregister(&topic),
            Effect::AskOwner {
                group,
                topic,
                partition,
            } => {
                let question = Question::Owner {
                    group: group.to_string(),
                    topic: topic.to_string(),
                    partition,
                };
                self.questions.push_back(question);
            }
            Effect::AskOwned { group } => {
                let group = group.to_string();
                self.questions.push_back(Question::Owned { group });
            }
            Effect::Tell { to, word } => {
                if let Some(peer) = world.peers.peer(to, &mut world.connections) {
                    peer.send_word(&word);
                }
            }
            Effect::Close { connection } => world.connections.close(connection),
            Effect::PauseReading => self.reading_paused = true,
            Effect::ResumeReading => {
                self.reading_paused = false;
                world.connections.wake_all();
            }
            Effect::Warn(Warning::Damage { file, position }) => {
                self.learn(file.partition);
                error!(
                    file = %self.files.path(file).display(),
                    position, "damaged records in a segment; gets there are answered 500"
                );
            }
            Effect::Warn(Warning::TooManyOpenFiles) => error!(
                why = self.files.refusal(),
                "the process has too many files open: puts are refused, reads go on; raise the limit (LimitNOFILE, \
                     ulimit -n) and puts go on by themselves"
            ),
            Effect::Warn(Warning::FolderMissing) => error!(
                why = self.files.refusal(),
                "E0206: a folder of message files is not there: puts are refused; mount its disk or put it back, and puts \
                 go on by themselves"
            ),
            Effect::Warn(Warning::DiskFull) => error!(
                why = self.files.refusal(),
                "the disk is full: puts are refused, reads go on; make room and puts go on by themselves"
            ),
            Effect::Warn(warning) => warn_operator(&warning),
            Effect::Halt { newer, reason } => {
                self.halted = Some(Failure::halted(newer, reason, &world.journal));
            }
        }
    }

    /// The topics, by name.
    pub(super) fn topic_summaries(&self) -> Vec<TopicSummary> {
        let closed = self.core.closed_partitions();
        self.core
            .status()
            .topics
            .iter()
            .map(|topic| self.summary(topic, &closed))
            // Of a topic that was deleted only the offsets are left.
            .filter(|topic| topic.configured || topic.bytes > 0)
            .collect()
    }

    /// What topics keep in partitions beyond the number that is configured, by topic.
    pub(super) fn unshown(&self) -> Vec<Unshown> {
        let topics = self.core.status().topics;
        let unshown = topics.iter().filter_map(|topic| {
            let configured = topic.configured?;
            let beyond = topic
                .partitions
                .iter()
                .filter(|it| it.number >= configured && it.first < it.end);
            let kept = beyond.filter_map(|it| Some((u32::try_from(it.number).ok()?, it.messages)));
            Unshown::of(topic.topic.as_str(), kept)
        });
        unshown.collect()
    }

    /// A topic in a line; `closed` are the partitions that are closed, of all topics.
    pub(super) fn summary(&self, topic: &TopicStatus, closed: &[(&Name, i32)]) -> TopicSummary {
        let shown = self.topics.get(topic.topic.as_str());
        let closed = closed.iter().filter(|(name, _)| **name == topic.topic);
        let closed = closed.count();
        let has_damage = |partition: &&PartitionStatus| !partition.damaged.is_empty();
        let damaged = topic.partitions.iter().filter(has_damage).count();
        TopicSummary {
            name: topic.topic.as_str().to_owned(),
            partitions: topic
                .configured
                .or_else(|| {
                    let last = topic.partitions.iter().rfind(|it| it.first < it.end)?;
                    last.number.checked_add(1)
                })
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            bytes: topic
                .partitions
                .iter()
                .map(|partition| partition.end - partition.first)
                .sum(),
            messages: topic
                .partitions
                .iter()
                .map(|partition| partition.messages)
                .sum(),
            accept_publish: shown.is_some_and(|shown| shown.accept_publish),
            accept_subscribe: shown.is_some_and(|shown| shown.accept_subscribe),
            configured: topic.configured.is_some(),
            closed: count(closed),
            damaged: count(damaged),
        }
    }

    /// What an operator may see, as far as the broker knows it.
    pub(super) fn status(&self, now: Moment) -> BrokerStatus {
        let status = self.core.status();
        let damaged = status.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .filter(|partition| !partition.damaged.is_empty())
                .map(|partition| format!("{}-{}", topic.topic, partition.number))
        });
        let closed = self.core.closed_partitions();
        let topics = status.topics.iter();
        let summaries: Vec<_> = topics.map(|topic| self.summary(topic, &closed)).collect();
        let closed = (closed.iter()).map(|(topic, number)| format!("{topic}-{number}"));
        BrokerStatus {
            topics: status.topics.len() as u64,
            partitions: (summaries.iter().filter(|it| it.configured))
                .map(|it| u64::from(it.partitions))
                .sum(),
            held_gets: status.gets_held as u64,
            messages: summaries.iter().map(|it| it.messages).sum(),
            puts: status.puts,
            puts_failed: status.puts_failed,
            gets: status.gets,
            damaged: damaged.collect(),
            closed: closed.collect(),
            consumers: consumers::together(now, &status.consumers),
            ..BrokerStatus::default()
        }
    }

    /// Puts the broker's numbers into a scrape.
    pub(super) fn measure(&self, scrape: &mut Scrape) {
        let status = self.core.status();
        for (command, count) in [
            ("put", status.puts),
            ("get", status.gets),
            ("offset", status.offsets),
        ] {
            scrape.set_for(&metrics::BROKER_REQUESTS, &[("command", command)], count);
        }
        scrape.set(&metrics::BROKER_PUTS_FAILED, status.puts_failed);
        scrape.set(&metrics::BROKER_GET_MISSES, status.get_misses);
        scrape.set(&metrics::BROKER_PUT_BYTES, status.put_bytes);
        scrape.set(&metrics::BROKER_GET_BYTES, status.get_bytes);
        scrape.set_latency(&metrics::BROKER_PUT_LATENCY, &[], &status.put_latency);
        scrape.set(&metrics::CHECKPOINTS, status.checkpoints);
        scrape.set(&metrics::BROKER_HELD_GETS, status.gets_held as u64);
        let ended = status.holds_ended;
        for (by, count) in [
            ("data", ended.data),
            ("again", ended.again),
            ("turn", ended.turn),
            ("room", ended.room),
            ("nothing", ended.nothing),
            ("closed", ended.closed),
        ] {
            scrape.set_for(&metrics::BROKER_HELD_GETS_ENDED, &[("by", by)], count);
        }
        scrape.set(&metrics::BROKER_TOPICS, status.topics.len() as u64);
        let (mut partitions, mut damaged) = (0, 0);
        for topic in &status.topics {
            for partition in &topic.partitions {
                partitions += 1;
                damaged += u64::from(!partition.damaged.is_empty());
                let number = partition.number.to_string();
                let labels = [
                    ("topic", topic.topic.as_str()),
                    ("partition", number.as_str()),
                ];
                scrape.set_for(
                    &metrics::BROKER_PARTITION_MIN_OFFSET,
                    &labels,
                    partition.first,
                );
                scrape.set_for(
                    &metrics::BROKER_PARTITION_MAX_OFFSET,
                    &labels,
                    partition.end,
                );
            }
        }
        scrape.set(&metrics::BROKER_PARTITIONS, partitions);
        scrape.set(&metrics::BROKER_DAMAGED_PARTITIONS, damaged);
        let closed = self.core.closed_partitions().len() as u64;
        scrape.set(&metrics::BROKER_CLOSED_PARTITIONS, closed);
    }

    fn finish_at_once(&mut self, finished: Option<Finished>, world: &mut World) {
        if let Some(finished) = finished {
            self.finished(finished, world);
        }
    }

    /// Tells the files where a partition lies, the first time it is met.
    fn learn(&mut self, partition: crate::segments::PartitionId) {
        if !self.files.knows(partition) {
            let (data_folder, name) = self.core.folder(partition);
            self.files.learn(partition, data_folder, &name);
        }
    }

    fn register(&mut self, topic: &TopicRegistration) {
        let shown = registry::Topic {
            partitions: u32::try_from(topic.partitions).unwrap_or(0),
            accept_publish: topic.accept_publish,
            accept_subscribe: topic.accept_subscribe,
        };
        let name = topic.topic.as_str();
        let before = self.topics.insert(name.to_owned(), shown);
        if before == Some(shown) {
            return;
        }
        self.topics_changed = true;
        if self.begins {
            return;
        }
        let registry::Topic {
            partitions,
            accept_publish,
            accept_subscribe,
        } = shown;
        let what = match before {
            None => "a topic is made",
            Some(_) => "a topic is changed",
        };
        info!(
            topic = name,
            partitions, accept_publish, accept_subscribe, "{what}"
        );
    }

    fn unregister(&mut self, topic: &Name) {
        if self.topics.remove(topic.as_str()).is_some() {
            self.topics_changed = true;
            info!(
                topic = topic.as_str(),
                "a topic is dropped: it is not configured, and no message of it is kept"
            );
        }
    }
}

/// As a number that the status has room for.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn warn_operator(warning: &Warning) {
    match warning {
        // Told where more is known.
        Warning::Damage { .. }
        | Warning::DiskFull
        | Warning::TooManyOpenFiles
        | Warning::FolderMissing => {}
        Warning::DamageSkipped {
            topic,
            partition,
            from,
            to,
        } => warn!(
            topic = topic.as_str(),
            partition,
            from,
            to,
            "consumers are sent on behind damage; what lies between is lost to them"
        ),
        Warning::FileRetired {
            topic,
            partition,
            start,
            action,
        } => info!(
            topic = topic.as_str(),
            partition,
            file = format::file_name(*start),
            action = match action {
                Action::Delete => "delete",
                Action::Archive { compress: false } => "archive",
                Action::Archive { compress: true } => "archive and compress",
            },
            "a message file is taken away"
        ),
        Warning::DiskHasSpace => info!("message files are written again: puts go on"),
        Warning::OffsetBeyondEnd {
            topic,
            group,
            partition,
            offset,
            end,
        } => warn!(
            topic = topic.as_str(),
            group = group.as_str(),
            partition,
            offset,
            end,
            "a consumer asks for an offset beyond the end and gets nothing until the end arrives there"
        ),
    }
}
