//! Parked gets: how long they wait, and how a consumer's threads come to where messages are.
//!
//! A consumer of Metamorphosis asks again and again, at an idle partition every five seconds, and each
//! empty answer makes it wait longer. Here a `get` at the visible end is held until there is data. What the
//! client does with an answer decides how a hold may end:
//!
//! - **Data** sets its delay to zero. Nothing better can happen.
//! - **404** makes it wait half a second longer before it asks for this partition again.
//! - **A record whose checksum is wrong** makes it ask `offset`, hear the very offset it has, and fetch
//!   again at once, its delay and its place in the client's queue unchanged ([`End::Again`]).
//! - **A turn** ([`End::Turn`], `turn`): the same record, but `offset` leads the client back over its last message,
//!   which it passes over as read. That counts as data: it goes behind everything else that is due.
//!
//! *Who is held.* Only a get of a (group, partition) that has an owner node in ZooKeeper: subscribed
//! consumers make one, a plain pull and the topic browser do not, and those would show the bad record to
//! their caller.
//!
//! *Who may be sent the bad record.* Only a client that is sure to be the Java consumer; any other gets 404
//! at the end of a hold. The Java client's heartbeat (`version`) would prove it, but is only sent on a
//! connection without traffic for 10 s, and one whose gets are held for 8 s never is. What it does always:
//! it numbers its requests from -2147483648 up, one counter for the whole process. So a connection is taken
//! for a Java client's when one of its gets had a negative number (Python's begins there too, but only
//! produces) or when it sent `version`. And it is watched: if three times running the next thing it asks
//! about that partition is not `offset` with the very offset it was held at, it gets 404s from then on.
//! (Once proves nothing: a rebalance starts a client's fetching anew at any time.)
//!
//! *The answer to that `offset`* is the same offset even if data came meanwhile; "the start of the segment",
//! which is what the question normally gets, would send the consumer back by up to a whole file.
//!
//! *Room on demand* (`room`). A consumer has T threads for its partitions, and a thread whose get is held serves no
//! other partition. When data comes for a partition that its owner holds no get on (it is *wanted*), held gets are
//! given turns until the wanted one arrives: as many as the mirror of the client's queue (`queue`) says it
//! takes. A get that may not be given a turn makes room with 404, and of those the one whose partition expects its
//! next message last.
//!
//! *Beside other brokers* (`call`, `beside`). A consumer's threads may be held by other brokers. Those of the same ensemble are asked to
//! give turns, and tell how much they sent to its process. Where they cannot be asked, holds are short.
//!
//! *No partition is starved.* Data may also lie there already: from before this server was started, before
//! the consumer was, or behind what it was told last. So when a group begins to be held, or something
//! happened to it (an owner changed, a connection went, a client began to fetch anew), its owner nodes are
//! read, and every partition with messages that its owner did not reach the end of is wanted too. While
//! something is wanted, the others' holds are short.
//!
//! *A client that begins anew* (its group was balanced, its threads were interrupted) leaves gets behind that
//! nobody waits for, and they look like threads. It shows in a second get for the same partition, in more
//! gets than it ever had, in a bad record that it does not mind, in an owner that changed. Then its old
//! gets are let go and its threads are counted anew; what is still miscounted is forgotten after
//! `THREADS_WINDOW`, and that is the longest a partition can be passed over.

mod beside;
mod call;
mod client;
mod elsewhere;
mod expectation;
mod identity;
mod index;
mod memory;
mod owners;
mod queue;
mod reading;
mod room;
mod turn;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use self::beside::Beside;
use self::call::Call;
use self::elsewhere::Processes;
use self::identity::Client;
use self::index::FORGET_AFTER;
use self::memory::{Appended, Sent};
use self::queue::Mirror;
use self::reading::{Follows, Reading};
use self::room::OWNER_BELIEVED;
pub use self::turn::NotTurned;
use self::turn::{Asked, Budget};
use self::wanted::Wanted;
use super::event::Elsewhere;
use super::options::WaitingOptions;
use super::request::Name;
use super::status::ReaderStatus;
use super::word::Word;
use crate::segments::PartitionId;
use crate::units::{ConnectionId, Moment, Seed, ServerId};

/// A get that can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaitingGet {
    pub(super) connection: ConnectionId,
    pub(super) opaque: i32,
    pub(super) partition: PartitionId,
    pub(super) offset: u64,
    pub(super) bytes_max: u32,
    /// Who asks, if that is known.
    pub(super) reader: Option<KeyId>,
}

/// How a get with data is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The data is there; else it is being written.
    pub(super) at_once: bool,
    /// There is more than fits into the answer.
    pub(super) more: bool,
}

/// How a held get is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is data.
    Data,
    /// 404.
    Nothing,
    /// 404, because it may not be given a turn.
    Room,
    /// The bad record: ask again at once.
    Again,
    /// The bad record: ask where to go on, to be led back over the last message.
    Turn,
    /// The partition was closed: look once more.
    Decide,
}

/// A held get that is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) get: WaitingGet,
    pub(super) end: End,
}

/// What must be known of the owner nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Who owns this partition.
    Owner { group: Name, partition: PartitionId },
    /// All that the group owns here.
    Owned { group: Name },
}

/// A partition here that a consumer owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) partition: PartitionId,
    pub(super) consumer: Name,
    /// There are messages in it.
    pub(super) has_messages: bool,
    /// The position that its group has told ZooKeeper.
    pub(super) position: Option<u64>,
}

/// What an operator may see of one consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Its group.
    pub group: Name,
    /// Its name in the owner nodes.
    pub consumer: Name,
    /// Partitions of this broker that it owns, as far as they were asked for.
    pub partitions: usize,
    /// It owns partitions of other brokers too.
    pub elsewhere: bool,
    /// Gets of it that are held now.
    pub held: usize,
    /// The most gets it had outstanding at a time: its fetch threads, at least.
    pub threads_seen: usize,
    /// It has more partitions than threads, as far as one can see.
    pub lacks_threads: bool,
    /// Held gets that were answered 404 instead of a turn, to make room for another partition of it.
    pub room_made: u64,
    /// Turns it was given.
    pub turns: u64,
    /// Why and when it was last answered 404 instead of a turn, if it was given none since.
    pub not_turned: Option<(NotTurned, Moment)>,
}

impl ConsumerStatus {
    /// Why it is answered 404 instead of a turn, while that goes on.
    pub fn not_turned_now(&self, now: Moment) -> Option<NotTurned> {
        let (why, at) = self.not_turned?;
        (now.since(at) < REASON_HOLDS).then_some(why)
    }
}

/// How many gets were held and answered, by what ended it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoldsEnded {
    /// Data came.
    pub data: u64,
    /// Its time was over; the client was told to ask again at once.
    pub again: u64,
    /// A turn: the client was led back over its last message, to come to its other partitions.
    pub turn: u64,
    /// 404 instead of a turn: it made room for another partition of its consumer.
    pub room: u64,
    /// 404: its time was over, or nobody owns the partition.
    pub nothing: u64,
    /// The partition was closed.
    pub closed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct HeldId(u64);
/// A (group, partition).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyId(u64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct GroupId(u64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ConsumerId(u64);

/// One parked get.
#[derive(Debug)]
struct Held {
    get: WaitingGet,
    key: KeyId,
    since: Moment,
    /// `None` until the owner is known.
    consumer: Option<ConsumerId>,
    /// When it ends without data.
    deadline: Moment,
}

/// What the last get of a key was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing yet: no get has come, or its answer is due.
    Never,
    /// Nothing, and it was found to be its consumer's just now: its first get may be on its way.
    Starting,
    /// Data; a thread of the client works on it, or will come back without a delay.
    Data,
    /// The bad record: the same thread asks where to go on, and then again.
    Again,
    /// 404: the client waits before it asks again.
    Nothing,
}

/// A (group, partition).
#[derive(Debug)]
struct Key {
    group: GroupId,
    partition: PartitionId,
    owner: Option<ConsumerId>,
    owner_known: Moment,
    /// The owner was asked for and the answer is due.
    asked: bool,
    held: Vec<HeldId>,
    told: Told,
    told_at: Moment,
    /// When it was last told data, whatever was believed of it since.
    data_at: Moment,
    /// Where the client's queue has it while no get of it is outstanding.
    stamp: Moment,
    /// The stamp was set because a get did not come when it was expected.
    stamp_guessed: bool,
    /// How long the client waits after an empty answer.
    delay: Duration,
    /// Data came since the last get.
    fresh: bool,
    /// Its owner has reached the end of it: no get of it is missed until there is more.
    settled: bool,
    /// Its get waits for data that is being written.
    due: bool,
    /// The last bad record, until the get that follows it.
    question: Option<Asked>,
    reading: Option<Reading>,
    /// A client that waited less than the hold: which, how long it is held now, holds since that ended in
    /// time.
    impatient: Option<(ConnectionId, Duration, u32)>,
    /// When its get was last given a turn because another broker wanted the thread.
    lent: Option<Moment>,
    /// The connection that asked last.
    connection: ConnectionId,
    used: Moment,
}

/// Other brokers; `None` is one that could not be seen.
type Brokers = BTreeSet<Option<ServerId>>;

#[derive(Debug)]
struct Group {
    name: Name,
    present_until: Moment,
    /// What its consumers own must be read anew.
    shaken: bool,
    /// When it was read last.
    read: Option<Moment>,
    /// The answer is due.
    asked: bool,
    keys: usize,
    consumers: usize,
    /// The processes of those of its consumers that own partitions of other brokers, and of which.
    elsewhere: Vec<(String, Brokers)>,
    /// Partitions that got data and had no owner in this group when last asked.
    unclaimed: BTreeMap<PartitionId, Moment>,
}

#[derive(Debug)]
struct Consumer {
    group: GroupId,
    name: Name,
    client: Client,
    keys: BTreeSet<KeyId>,
    held: BTreeSet<HeldId>,
    mirror: Mirror,
    /// Keys with data and without a get.
    wanted: Wanted,
    /// It owns partitions of these other brokers.
    brokers: Brokers,
    /// What was done to have a thread of it from there.
    call: Call,
    /// So often in succession the partition that was wanted was the one that had its data longest ago.
    in_turn: u8,
    follows: Follows,
    budget: Budget,
    /// When to see whether what is wanted has come.
    look: Option<Moment>,
    /// It was told to ask again at once, and did not yet: about which key, since when.
    unheard: Option<(KeyId, Moment)>,
    /// Holds that ended with nothing to do about it.
    rounds: u64,
    room_made: u64,
    turns: u64,
    not_turned: Option<(NotTurned, Moment)>,
    connection: ConnectionId,
}

impl Consumer {
    /// It owns partitions of other brokers.
    fn is_elsewhere(&self) -> bool {
        !self.brokers.is_empty()
    }

    fn heard(&mut self, key: KeyId) {
        self.unheard.take_if(|(unheard, _)| *unheard == key);
    }

    /// It has more partitions than threads, as far as one can see.
    fn lacks_threads(&self) -> bool {
        self.is_elsewhere() || self.keys.len() > self.mirror.threads_seen()
    }
}

#[derive(Debug, Default)]
struct Connection {
    held: BTreeSet<HeldId>,
    java: bool,
    /// Bad records running that it did not react to as the Java consumer does.
    strikes: u8,
    /// Whose it is; not known before one of its gets met the end of a partition.
    client: Option<Client>,
    /// When that was asked for last.
    asked: Option<Moment>,
}

#[derive(Debug, Default)]
struct PartitionState {
    keys: Vec<KeyId>,
    appended: Appended,
    last_data: Option<Moment>,
    data_before: Option<Moment>,
    /// How far apart its messages come.
    gap: Option<Duration>,
    /// The groups were looked through, at which state of them and when.
    looked: Option<(u64, Moment)>,
}

/// All parked gets.
#[derive(Debug)]
pub(super) struct Waiting {
    options: WaitingOptions,
    broker: ServerId,
    next_id: u64,
    held: HashMap<HeldId, Held, ahash::RandomState>,
    ends: BTreeSet<(Moment, HeldId)>,
    looks: BTreeSet<(Moment, ConsumerId)>,
    keys: HashMap<KeyId, Key, ahash::RandomState>,
    key_ids: HashMap<(GroupId, PartitionId), KeyId, ahash::RandomState>,
    groups: BTreeMap<GroupId, Group>,
    group_ids: HashMap<Name, GroupId, ahash::RandomState>,
    /// Raised whenever a group appears.
    groups_epoch: u64,
    consumers: HashMap<ConsumerId, Consumer, ahash::RandomState>,
    consumer_ids: HashMap<(GroupId, Name), ConsumerId, ahash::RandomState>,
    connections: HashMap<ConnectionId, Connection, ahash::RandomState>,
    partitions: Vec<PartitionState>,
    sent: Sent,
    elsewhere: Processes,
    beside: Beside,
    swept: Moment,
    pub(super) ended: HoldsEnded,
    /// Taken by the caller after each call.
    pub(super) answers: Vec<Answer>,
    /// Taken by the caller after each call.
    pub(super) questions: Vec<Question>,
    /// To the brokers of other servers; taken by the caller after each call.
    pub(super) words: Vec<(ServerId, Word)>,
}

impl Waiting {
    pub(super) fn new(options: WaitingOptions, broker: ServerId, seed: Seed) -> Waiting {
        let hasher = ahash::RandomState::with_seeds(seed.0, 4, 5, 6);
        Waiting {
            options,
            broker,
            next_id: 0,
            held: HashMap::with_hasher(hasher.clone()),
            ends: BTreeSet::new(),
            looks: BTreeSet::new(),
            keys: HashMap::with_hasher(hasher.clone()),
            key_ids: HashMap::with_hasher(hasher.clone()),
            groups: BTreeMap::new(),
            group_ids: HashMap::with_hasher(hasher.clone()),
            groups_epoch: 0,
            consumers: HashMap::with_hasher(hasher.clone()),
            consumer_ids: HashMap::with_hasher(hasher.clone()),
            connections: HashMap::with_hasher(hasher.clone()),
            partitions: Vec::new(),
            sent: Sent::new(hasher),
            elsewhere: Processes::default(),
            beside: Beside::default(),
            swept: Moment::START,
            ended: HoldsEnded::default(),
            answers: Vec::new(),
            questions: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Whether gets are held at all.
    pub(super) fn enabled(&self) -> bool {
        self.options.enabled
    }

    /// Gets held now, those included whose owner is being asked for.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// When [`Waiting::expire`] must be called at the latest.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let end = self.ends.first().map(|&(at, _)| at);
        let look = self.looks.first().map(|&(at, _)| at);
        [end, look, self.beside.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// All consumers known, in a fixed order.
    pub(super) fn consumers(&self) -> Vec<ConsumerStatus> {
        let mut list: Vec<ConsumerStatus> = self
            .consumers
            .values()
            .map(|consumer| ConsumerStatus {
                group: self.groups[&consumer.group].name.clone(),
                consumer: consumer.name.clone(),
                partitions: consumer.keys.len(),
                elsewhere: consumer.is_elsewhere(),
                held: consumer.held.len(),
                threads_seen: consumer.mirror.threads_seen(),
                lacks_threads: consumer.lacks_threads(),
                room_made: consumer.room_made,
                turns: consumer.turns,
                not_turned: consumer.not_turned,
            })
            .collect();
        list.sort_by(|a, b| (&a.group, &a.consumer).cmp(&(&b.group, &b.consumer)));
        list
    }

    /// The groups known to read a partition, in a fixed order.
    pub(super) fn readers(&self, number: i32, partition: PartitionId) -> Vec<ReaderStatus> {
        let keys = self
            .partitions
            .get(partition.0 as usize)
            .map(|state| &state.keys);
        let readers = keys.into_iter().flatten().map(|key| {
            let key = &self.keys[key];
            let owner = key.owner.and_then(|owner| self.consumers.get(&owner));
            ReaderStatus {
                group: self.groups[&key.group].name.clone(),
                partition: number,
                owner: owner.map(|owner| owner.name.clone()),
                held: key.held.len(),
            }
        });
        readers.collect()
    }

    /// A get that finds nothing new. True: it is parked, its answer comes later. False: answer it now.
    pub(super) fn arrive(&mut self, now: Moment, group: &Name, get: WaitingGet) -> bool {
        if !self.options.enabled {
            return false;
        }
        let known = self.came(now, group, get);
        let on_connection = self
            .connections
            .get(&get.connection)
            .map_or(0, |one| one.held.len());
        if self.held.len() >= self.options.held_max
            || on_connection >= self.options.held_per_connection_max
        {
            if let Some(key) = known {
                self.tell(now, key, Told::Nothing);
            }
            return false;
        }
        let key = self.key_or_new(now, group, get.partition);
        let id = HeldId(self.fresh_id());
        let deadline = now + self.options.owner_answer_max;
        let get = WaitingGet {
            reader: Some(key),
            ..get
        };
        self.held.insert(
            id,
            Held {
                get,
                key,
                since: now,
                consumer: None,
                deadline,
            },
        );
        self.ends.insert((deadline, id));
        self.connections
            .entry(get.connection)
            .or_default()
            .held
            .insert(id);
        let state = self.key_mut(key);
        state.held.push(id);
        state.connection = get.connection;
        let state = &self.keys[&key];
        match state.owner {
            Some(owner)
                if now.since(state.owner_known) <= OWNER_BELIEVED
                    && self.consumers[&owner].connection == get.connection =>
            {
                self.hold(now, id, owner);
            }
            _ => self.ask(key),
        }
        true
    }

    /// A get that is answered with data: at once, or as soon as that is written. Who asks, if it is known.
    pub(super) fn served(
        &mut self,
        now: Moment,
        group: &Name,
        get: WaitingGet,
        served: Served,
    ) -> Option<KeyId> {
        let key = match self.came(now, group, get) {
            Some(key) => key,
            None => self.find_out_whose(now, group, get)?,
        };
        self.tell(now, key, Told::Data);
        self.key_mut(key).due = !served.at_once;
        if served.more {
            self.want(now, key);
        }
        Some(key)
    }

    /// A `version` request.
    pub(super) fn heartbeat(&mut self, connection: ConnectionId) {
        if self.options.enabled {
            self.connections.entry(connection).or_default().java = true;
        }
    }

    /// Records were appended to a partition in this run; `last` is where the last of them begins.
    pub(super) fn appended(
        &mut self,
        partition: PartitionId,
        from: u64,
        messages: u64,
        last: u64,
        end: u64,
    ) {
        let state = self.partition_mut(partition);
        state.appended.run(from, messages, last, end);
    }

    /// The visible end of a partition moved.
    pub(super) fn data(&mut self, now: Moment, partition: PartitionId, visible: u64) {
        if self.groups.is_empty() {
            return;
        }
        let state = self.partition_mut(partition);
        state.note_data(now);
        for key in state.keys.clone() {
            let state = self.key_mut(key);
            if state.held.is_empty() {
                // A get that waits for this very data is answered in a moment.
                if !std::mem::take(&mut state.due) {
                    self.wake_owner(now, key);
                }
                continue;
            }
            for id in state.held.clone() {
                let get = self.held[&id].get;
                if get.offset < visible {
                    self.answer(now, id, End::Data);
                    if get.offset + u64::from(get.bytes_max) < visible {
                        self.want(now, key);
                    }
                }
            }
        }
        self.look_for_owners(now, partition);
    }

    /// A partition was closed or opened: its held gets are decided anew.
    pub(super) fn decide(&mut self, now: Moment, partition: PartitionId) {
        let Some(state) = self.partitions.get(partition.0 as usize) else {
            return;
        };
        for key in state.keys.clone() {
            for id in self.keys[&key].held.clone() {
                self.answer(now, id, End::Decide);
            }
        }
    }

    /// A connection is gone.
    pub(super) fn disconnected(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.remove(&connection) else {
            return;
        };
        for id in state.held {
            self.remove(id);
        }
        let left: Vec<ConsumerId> = self
            .consumers
            .iter()
            .filter(|(_, consumer)| consumer.connection == connection)
            .map(|(&id, _)| id)
            .collect();
        for consumer in left {
            self.shake(consumer);
        }
    }

    /// The client wants no more of this connection's held gets.
    pub(super) fn quit(&mut self, now: Moment, connection: ConnectionId) {
        let held = self
            .connections
            .get(&connection)
            .map(|state| state.held.clone());
        for id in held.unwrap_or_default() {
            self.answer(now, id, End::Nothing);
        }
    }

    /// Nobody is held any more and nothing is known.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.ends.clear();
        self.looks.clear();
        self.keys.clear();
        self.key_ids.clear();
        self.groups.clear();
        self.group_ids.clear();
        self.consumers.clear();
        self.consumer_ids.clear();
        self.connections.clear();
        self.partitions.clear();
        self.sent.clear();
        self.elsewhere.clear();
        self.beside.clear();
        self.answers.clear();
        self.questions.clear();
        self.words.clear();
    }

    /// Ends the holds whose time has come, and looks after what is wanted.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some(&(ends, id)) = self.ends.first() {
            if ends > now {
                break;
            }
            if self.asks_before_it_ends(now, id) {
                continue;
            }
            let end = self.end_without_data(now, id);
            self.waited(id);
            self.answer(now, id, end);
        }
        while let Some(&(at, owner)) = self.looks.first() {
            if at > now {
                break;
            }
            self.look_at(owner, None);
            self.make_room(now, owner);
        }
        self.tell_counts_when_due(now);
        if now.since(self.swept) >= FORGET_AFTER {
            self.swept = now;
            self.sweep(now);
        }
    }

    /// How a hold ends that met no data.
    fn end_without_data(&mut self, now: Moment, id: HeldId) -> End {
        let held = &self.held[&id];
        // Nobody could say who owns it.
        let Some(owner) = held.consumer else {
            return End::Nothing;
        };
        let java = self.is_java(held.get.connection);
        let consumer = self.consumer_mut(owner);
        consumer.rounds += 1;
        let (lacks, rounds) = (consumer.lacks_threads(), consumer.rounds);
        let wanted = self.misses_something(owner);
        // Its partitions elsewhere may wait for a thread, and their brokers cannot tell us: if some here do, those do, too.
        let short = self.is_apart(now, owner) && self.waits_for_a_thread(now, owner);
        match self.may_turn(now, id) {
            Ok(_) if lacks => return End::Turn,
            Err(why) if lacks && (wanted || short) => {
                self.note_room(now, owner, why);
                return End::Room;
            }
            _ => {}
        }
        // Whatever others were told, or were not: no thread stays here for ever.
        let gives_way =
            rounds.is_multiple_of(GIVES_WAY_EVERY) && self.consumers[&owner].is_elsewhere();
        if !java || wanted || gives_way {
            End::Nothing
        } else {
            End::Again
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Takes a get out and answers it.
    fn answer(&mut self, now: Moment, id: HeldId, end: End) {
        let back_to = match end {
            End::Turn => self.turn(now, id),
            _ => None,
        };
        let Some(held) = self.remove(id) else { return };
        let ended = match end {
            End::Data => &mut self.ended.data,
            End::Again => &mut self.ended.again,
            End::Turn => &mut self.ended.turn,
            End::Room => &mut self.ended.room,
            End::Nothing => &mut self.ended.nothing,
            End::Decide => &mut self.ended.closed,
        };
        *ended += 1;
        let told = match end {
            End::Data => Told::Data,
            End::Again | End::Turn => Told::Again,
            End::Nothing | End::Room | End::Decide => Told::Nothing,
        };
        self.tell(now, held.key, told);
        if told == Told::Again {
            self.key_mut(held.key).question = Some(Asked {
                at: held.get.offset,
                connection: held.get.connection,
                back_to,
                heard: false,
            });
            if let Some(owner) = held.consumer.and_then(|id| self.consumers.get_mut(&id)) {
                owner.unheard.get_or_insert((held.key, now));
            }
        }
        self.answers.push(Answer { get: held.get, end });
    }

    fn remove(&mut self, id: HeldId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        self.ends.remove(&(held.deadline, id));
        if let Some(connection) = self.connections.get_mut(&held.get.connection) {
            connection.held.remove(&id);
        }
        if let Some(key) = self.keys.get_mut(&held.key) {
            key.held.retain(|&other| other != id);
        }
        if let Some(consumer) = held.consumer.and_then(|id| self.consumers.get_mut(&id)) {
            consumer.held.remove(&id);
        }
        Some(held)
    }
}

/// Why a consumer gets 404s says something for so long after the last of them.
const REASON_HOLDS: Duration = Duration::from_secs(60);
/// Of a consumer's holds that end with the bad record although it has partitions on other brokers, one in so many ends with
/// 404.
const GIVES_WAY_EVERY: u64 = 4;
