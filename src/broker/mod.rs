//! Topics, partitions and waiting gets.
//!
//! The core knows no socket, file or clock: requests and what the disk and the consensus report come in as
//! [`Event`]s, everything the world must do leaves as [`Effect`]s.
//!
//! A put's way: `put` admits and gathers it; at the end of the turn all that were gathered are proposed as
//! one entry, in which every record has its place; when that is committed, `apply` makes file writes of it, and
//! `files` gives them out and lets the replies go; when the writes are done, it moves the visible end and wakes the
//! gets that wait. A get that comes between reply and visible end waits for it, so a 200 means durable and visible:
//! visible ≤ written ≤ replied ≤ committed.
//!
//! The caller's duties: report every entry once and in order, from behind the checkpoint's on; call with
//! [`Event::EndOfTurn`] after everything else of a turn; when the consensus does not take a proposal,
//! report [`Event::Deposed`].

mod apply;
pub mod command;
pub mod event;
mod files;
mod get;
mod message_id;
mod offset;
pub mod options;
mod partition;
mod purge;
mod put;
mod registration;
mod removal;
pub mod reply;
pub mod request;
mod retire;
mod skip;
mod stats;
pub mod status;
pub mod topic;
mod waiting;
pub mod word;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

pub use event::{
    Effect, Elsewhere, Event, Owned, Pressure, Shortage, Ticket, TopicRegistration, Warning, Wish,
};
pub use message_id::made_at;
pub use options::{Options, WaitingOptions};
pub use reply::{Refusal, RefusalKind, Reply};
pub use request::{Get, Name, OffsetQuery, Put, Request, Sync, Transaction, TransactionStep};
pub use status::Status;
pub use topic::{Section, Settings, Topics};
pub use waiting::{ConsumerStatus, HoldsEnded, NotTurned};

use bytes::Bytes;

use self::files::{Checkpoints, Writer};
use self::get::Checks;
use self::message_id::MessageIds;
use self::partition::Partition;
use self::put::Proposals;
use self::removal::Removals;
use self::retire::RetireClock;
use self::skip::Searches;
use self::stats::{Item, Stats};
use self::topic::{Catalog, TopicId};
use self::waiting::{Waiting, WaitingGet};
use crate::segments::recovery::Opening;
use crate::segments::{FileId, PartitionId};
use crate::units::{ConnectionId, Moment, Random, Seed, WallTime};

/// The state of one broker identity.
#[derive(Debug)]
pub struct Broker {
    options: Options,
    random: Random,
    catalog: Catalog,
    /// By [`PartitionId`].
    partitions: Vec<Partition>,
    ids: MessageIds,
    proposals: Proposals,
    writer: Writer,
    checkpoints: Checkpoints,
    checks: Checks,
    searches: Searches,
    waiting: Waiting,
    retire_clock: RetireClock,
    /// Deletions that were decided and not proposed yet.
    commands: Vec<Bytes>,
    /// Deletions that were decided and not applied yet.
    retiring: usize,
    removals: Removals,
    /// Partitions whose messages are to go, and up to where.
    purging: Vec<(PartitionId, u64)>,
    /// Files went: what ZooKeeper is told may be something else now.
    retired: bool,
    /// Gets of what is acknowledged and still being written, each with the visible end it waits for.
    catching_up: Vec<(u64, WaitingGet)>,
    /// Every partition's history is known.
    settled: bool,
    stats: Stats,
    connections: HashSet<ConnectionId, ahash::RandomState>,
    tickets: u64,
    /// The wall clock as it was last told.
    wall: WallTime,
    pressure: Pressure,
    leading: bool,
    /// Files of another broker were taken over: nothing is proposed before a checkpoint says so.
    adopting: bool,
    reading_paused: bool,
    halted: bool,
    beyond_warned: Option<Moment>,
}

impl Broker {
    /// A broker without any partition.
    pub fn new(options: Options, seed: Seed) -> Broker {
        let opening = Opening {
            applied: 0,
            last_message_id: 0,
            partitions: Vec::new(),
        };
        Broker::open(options, seed, opening)
    }

    /// A broker with what was found in the data folders, to which the entries after `opening.applied` are
    /// now to be reported.
    pub fn open(options: Options, seed: Seed, opening: Opening) -> Broker {
        let mut random = Random::new(seed);
        let hasher = ahash::RandomState::with_seeds(random.next(), 1, 2, 3);
        let mut options = options;
        let empty = Topics {
            sections: Vec::new(),
            defaults: Settings::default(),
            config_text: Bytes::new(),
            config_checksum: 0,
        };
        let topics = std::mem::replace(&mut options.topics, empty);
        let mut broker = Broker {
            catalog: Catalog::new(topics, Seed(random.next())),
            waiting: Waiting::new(
                options.waiting.clone(),
                options.broker_id,
                Seed(random.next()),
            ),
            ids: MessageIds::new(options.broker_id, opening.last_message_id),
            options,
            random,
            partitions: Vec::new(),
            proposals: Proposals::default(),
            writer: Writer::opened(opening.applied),
            checkpoints: Checkpoints::opened(opening.applied),
            checks: Checks::default(),
            searches: Searches::default(),
            retire_clock: RetireClock::default(),
            commands: Vec::new(),
            retiring: 0,
            removals: Removals::default(),
            purging: Vec::new(),
            retired: false,
            catching_up: Vec::new(),
            settled: false,
            stats: Stats::new(Moment::START),
            connections: HashSet::with_hasher(hasher),
            tickets: 0,
            wall: WallTime::default(),
            pressure: Pressure::default(),
            leading: false,
            adopting: false,
            reading_paused: false,
            halted: false,
            beyond_warned: None,
        };
        for unsettled in opening.partitions {
            let topic = Name::from(unsettled.topic.as_str());
            let id = broker.partition_or_new(&topic, unsettled.number);
            let partition = &mut broker.partitions[id.0 as usize];
            partition.data_folder = unsettled.data_folder;
            for retired in &unsettled.retired {
                let file = FileId {
                    partition: id,
                    start: retired.start,
                };
                broker.removals.listed(file, retired.action);
            }
            partition.unsettled = Some(Box::new(unsettled));
        }
        broker
    }

    /// Takes in one event. Everything the world must now do is pushed to `effects`, in order.
    pub fn handle(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        match event {
            Event::Connected { connection } => {
                self.connections.insert(connection);
            }
            Event::Request {
                connection,
                opaque,
                request,
                wall,
            } => {
                self.wall = wall;
                self.request(now, connection, opaque, request, effects);
            }
            Event::Disconnected { connection } => {
                self.connections.remove(&connection);
                self.waiting.disconnected(connection);
            }
            Event::Tick { wall, utc_offset_s } => {
                self.wall = wall;
                self.waiting.expire(now);
                self.answer_waiting(now, effects);
                self.retry_files(now, effects);
                if self.leading {
                    self.retire_by_policy(now, wall, utc_offset_s);
                }
                self.begin_checkpoint(now, effects);
            }
            Event::EndOfTurn => self.end_turn(now, effects),
            Event::Committed { index, data } => self.committed(index, data, effects),
            Event::FilesWritten { ticket } => self.files_written(now, ticket, effects),
            Event::FilesRefused { ticket, shortage } => {
                self.files_refused(now, ticket, shortage, effects);
            }
            Event::Synced { ticket } => self.synced(ticket, effects),
            Event::CheckpointSaved { ticket } => self.checkpoint_saved(ticket, effects),
            Event::Checkpoint => {
                self.checkpoints.request();
                self.begin_checkpoint(now, effects);
            }
            Event::Verified { ticket, outcome } => self.verified(ticket, outcome, effects),
            Event::Owner {
                group,
                topic,
                partition,
                consumer,
            } => {
                let topic = self.catalog.find(&topic);
                let id = topic.and_then(|topic| self.catalog.topic(topic).partition(partition));
                if let Some(id) = id {
                    self.waiting.owner(now, &group, id, consumer.as_ref());
                    self.answer_waiting(now, effects);
                }
            }
            Event::Owned {
                group,
                owned,
                elsewhere,
            } => {
                self.owned(now, &group, owned, &elsewhere);
                self.answer_waiting(now, effects);
            }
            Event::Met { server } => {
                self.waiting.parted(now, server);
                self.waiting.met(now, server);
            }
            Event::Parted { server } => self.waiting.parted(now, server),
            Event::Told { from, word } => {
                if self.leading {
                    self.waiting.told(now, from, word);
                    self.answer_waiting(now, effects);
                }
            }
            Event::Pressure(pressure) => {
                self.pressure = pressure;
                if !pressure.disk {
                    self.writer.hasten(now);
                    self.retry_files(now, effects);
                }
            }
            Event::DiskSpace { free_bytes } => self.retire_by_space(self.wall, free_bytes),
            Event::Reload(topics) => self.reload(*topics, effects),
            Event::Wish(wish) => self.wish(now, wish, effects),
            Event::Searched { ticket, outcome } => self.searched(ticket, outcome, effects),
            Event::Led { wall } => self.lead(wall, effects),
            Event::Deposed => self.depose(effects),
        }
    }

    fn wish(&mut self, now: Moment, wish: Wish, effects: &mut Vec<Effect>) {
        match wish {
            Wish::ClosePartitions { topic, first, last } => {
                self.catalog.close(&topic, first, last);
                self.decide_held(now, &topic, effects);
            }
            Wish::OpenPartitions { topic } => self.catalog.open(&topic),
            Wish::PurgeTopic { topic } => self.purge(&topic),
            Wish::SkipDamage { topic, partition } => self.skip_damage(&topic, partition, effects),
        }
    }

    /// When [`Event::Tick`] must come at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let retire =
            (self.leading && !self.partitions.is_empty()).then(|| self.retire_clock.deadline());
        let checkpoint = self.checkpoints.deadline(self.options.checkpoint_interval);
        [
            self.waiting.deadline(),
            self.writer.retry(),
            self.removals.retry(),
            checkpoint,
            retire,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Where a partition's files are: an index into the node's list of data folders, and the name of the
    /// partition's folder in that.
    pub fn folder(&self, id: PartitionId) -> (u32, String) {
        let (topic, number) = self.name_of(id);
        let name = crate::segments::format::folder_name(topic.as_str(), number);
        (self.partition(id).data_folder, name)
    }

    fn request(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        opaque: i32,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        if !self.leading {
            effects.push(Effect::Close { connection });
            return;
        }
        let reply = match request {
            Request::Put(put) => {
                let wall = self.wall;
                return self.put(now, wall, connection, opaque, put, effects);
            }
            Request::Get(get) => return self.get(now, connection, opaque, &get, effects),
            Request::Offset(query) => self.offset(now, connection, &query),
            Request::Version => {
                self.waiting.heartbeat(connection);
                Reply::Text(Bytes::copy_from_slice(self.options.version.as_bytes()))
            }
            Request::Stats { item } => self.stats(now, &item),
            Request::Transaction(Transaction {
                step: TransactionStep::End,
                ..
            }) => return,
            Request::Transaction(_) => refused(
                RefusalKind::Failed,
                "Transactions are not served by this release of the broker.",
            ),
            // What a master that has no slave says.
            Request::Sync(_) => refused(
                RefusalKind::Unavailable,
                "未注册请求处理器，请求处理器类为com.taobao.metamorphosis.network.SyncCommand",
            ),
            Request::Quit => {
                self.waiting.quit(now, connection);
                self.answer_waiting(now, effects);
                if !self.proposals.close_after(connection) && !self.writer.close_after(connection) {
                    effects.push(Effect::Close { connection });
                }
                return;
            }
        };
        effects.push(Effect::Reply {
            connection,
            opaque,
            reply,
        });
    }

    fn end_turn(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.leading && std::mem::take(&mut self.retired) {
            self.register_changed(effects);
        }
        if self.leading && !self.adopting {
            self.retire_purged();
            self.propose_commands(effects);
            if !self.writer.is_parked() {
                self.propose_puts(self.wall, effects);
            }
        }
        self.write_files(now, effects);
        self.remove_files(now, effects);
        self.waiting.tell_counts_when_due(now);
        self.waiting.call_out();
        self.answer_waiting(now, effects);
        self.begin_checkpoint(now, effects);
        self.pace_reading(effects);
    }

    /// Stops reading from clients while too much is on its way.
    fn pace_reading(&mut self, effects: &mut Vec<Effect>) {
        let bytes = self.proposals.bytes() + self.writer.bytes();
        let max = self.options.in_flight_bytes_max;
        // With the disk full nothing gets less, and puts are refused anyway.
        let full = bytes > max && !self.writer.is_parked();
        let eased = bytes <= max / 2 || self.writer.is_parked();
        if full && !self.reading_paused {
            self.reading_paused = true;
            effects.push(Effect::PauseReading);
        } else if eased && self.reading_paused {
            self.reading_paused = false;
            effects.push(Effect::ResumeReading);
        }
    }

    fn lead(&mut self, wall: WallTime, effects: &mut Vec<Effect>) {
        self.wall = wall;
        if let Err(damage) = self.settle_all(wall) {
            self.halt(damage.into(), effects);
            return;
        }
        if self.adopting {
            self.checkpoints.request();
        }
        self.settled = true;
        self.leading = true;
        let proposer = self.random.next();
        self.proposals.begin(proposer);
        for partition in &mut self.partitions {
            partition.forget_proposals();
        }
        self.retire_clock.topics_changed();
        self.forget_skips(effects);
        self.register_all(effects);
    }

    /// Sends everybody away. What was proposed may still be committed, so nobody is told that it was not.
    fn depose(&mut self, effects: &mut Vec<Effect>) {
        self.leading = false;
        self.proposals.begin(0);
        self.commands.clear();
        self.purging.clear();
        self.retiring = 0;
        self.waiting.clear();
        self.checks.clear();
        self.catching_up.clear();
        self.searches.clear();
        self.writer.forget_replies();
        self.forget_registrations();
        let mut connections: Vec<ConnectionId> = self.connections.iter().copied().collect();
        connections.sort_unstable();
        effects.extend(
            connections
                .into_iter()
                .map(|connection| Effect::Close { connection }),
        );
    }

    fn halt(&mut self, stop: apply::Stop, effects: &mut Vec<Effect>) {
        self.halted = true;
        let apply::Stop { newer, reason } = stop;
        effects.push(Effect::Halt { newer, reason });
    }

    fn decide_held(&mut self, now: Moment, topic: &Name, effects: &mut Vec<Effect>) {
        let Some(id) = self.catalog.find(topic) else {
            return;
        };
        for &(number, partition) in self.catalog.topic(id).partitions() {
            if self.catalog.is_closed(topic, number) {
                self.waiting.decide(now, partition);
            }
        }
        self.answer_waiting(now, effects);
    }

    /// Counts for a topic that keeps real-time figures.
    fn record(&mut self, now: Moment, topic: Option<TopicId>, item: Item, value: u64) {
        let Some(id) = topic else { return };
        let topic = self.catalog.topic_mut(id);
        if topic
            .settings
            .as_ref()
            .is_some_and(|settings| settings.stat)
        {
            self.stats.record(now, &mut topic.stats, item, value);
        }
    }

    fn partition(&self, id: PartitionId) -> &Partition {
        &self.partitions[id.0 as usize]
    }

    /// Topic and number of a partition.
    fn name_of(&self, id: PartitionId) -> (&Name, i32) {
        let partition = self.partition(id);
        (&self.catalog.topic(partition.topic).name, partition.number)
    }
}

fn refused(kind: RefusalKind, text: &str) -> Reply {
    Reply::Refused(Refusal {
        kind,
        text: text.to_owned(),
    })
}
