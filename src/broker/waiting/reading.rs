//! What a client was sent of a partition, how it came back for more, and what it told ZooKeeper of it.
//!
//! A client may be led back over a message only if it has surely read it: it came back for what is behind it, at
//! once, and its position followed. One that acknowledges by hand, or whose listener fails, comes back inside
//! of what it was sent, or tells its position late; then nothing is certain any more.

use std::collections::VecDeque;
use std::time::Duration;

use super::elsewhere::read_at_most;
use super::identity::Client;
use super::{ConsumerId, KeyId, Waiting, WaitingGet};
use crate::units::{ConnectionId, Moment};

/// A Java client tells its positions every five seconds; twice that is late.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(10);
/// How often positions are looked at while some are behind.
pub(super) const POSITIONS_EVERY: Duration = Duration::from_millis(2500);
/// So many partitions must have been told as they were read before a consumer is believed to acknowledge by itself:
/// of one that acknowledges every other batch by hand a few look like that.
const FOLLOWED_MIN: usize = 3;
/// A client takes so long, and so long for each partition, to tell all its positions, one after the other.
const COMMIT: Duration = Duration::from_millis(100);
const COMMIT_EACH: Duration = Duration::from_millis(10);
/// What was read before its position was told is remembered in steps of so much, for as long as it may take.
const STEP: Duration = Duration::from_millis(100);
const STEPS_MAX: usize = 64;
/// So often in succession a client may have been led back just when it told its position.
const EXCUSED_MAX: u8 = 2;
/// So often a position may be told later because its client was led back.
const MOVED_MAX: u8 = 2;
/// A client that begins anew may come back anywhere, for so long.
const BEGINS_FOR: Duration = Duration::from_secs(10);
/// A consumer that was late, or acknowledged by hand, is not trusted for so long.
const DISTRUSTED_FOR: Duration = Duration::from_secs(600);

/// What one connection was sent of a (group, partition), in one piece.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) connection: ConnectionId,
    /// Where it began, in this run.
    from: u64,
    /// The offset of the last get that was answered with data, and the end of that.
    asked: u64,
    to: u64,
    /// The last answer ended with a whole record.
    whole: bool,
    /// When that was sent, by the clock of what its process was sent, and by that of what everybody was.
    clock: Option<u64>,
    total: u64,
    /// What its process had read of other brokers for sure by then, if it was known whose the connection is.
    beside: Option<u64>,
    /// Messages in the last answer.
    messages: u64,
    /// The client is led back just now.
    pub(super) led_back: bool,
    /// Below, something was asked for twice: its client may have given it up, and not remember it.
    doubtful_to: u64,
    /// The offset that its client came back at.
    confirmed: Option<Confirmed>,
    /// What it read and has not told, as far as is known, oldest first. What it reads later excuses none of it.
    untold: VecDeque<Untold>,
    /// When it was sent the last that it has told.
    told_sent: Option<Moment>,
    /// What ZooKeeper has, when last looked.
    position: u64,
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    offset: u64,
    /// When it was last sent the message before, to read it or to pass over it: by the clock, and by what its process was
    /// sent. It comes back later, and may have read much from other partitions in between.
    read_at: Moment,
    read: u64,
    /// What the process had read of other brokers for sure by then.
    beside: u64,
}

/// A position that a client has to tell.
#[derive(Clone, Copy, Debug)]
struct Untold {
    offset: u64,
    /// When it was sent what ends here.
    sent_at: Moment,
    /// Since when it has to be told, or up to a [`STEP`] later.
    at: Moment,
    /// The same, or since when it has come back here from being led back: until then it tells where it was led to.
    due: Moment,
    /// How often that moved.
    moved: u8,
    /// Where its client was led back to since: if it tells positions just then, it tells that,
    led_to: Option<u64>,
    /// but not each time.
    excused: u8,
}

impl Reading {
    /// Its client is about to be led back.
    pub(super) fn turn(&mut self, back_to: u64) {
        let behind = self.untold.iter_mut().filter(|it| back_to < it.offset);
        for untold in behind {
            untold.led_to = untold.led_to.or(Some(back_to));
        }
    }

    /// Its client has come back for what is behind `offset`.
    fn has_read(&mut self, now: Moment, offset: u64, sent_at: Moment) {
        let full = self.untold.len() == STEPS_MAX;
        match self.untold.back_mut() {
            Some(last) if full || now.since(last.at) < STEP => {
                (last.offset, last.sent_at) = (offset, sent_at);
            }
            _ => self.untold.push_back(Untold {
                offset,
                sent_at,
                at: now,
                due: now,
                moved: 0,
                led_to: None,
                excused: 0,
            }),
        }
    }

    /// ZooKeeper has this position of it. Whether that says that it told more of its reading.
    fn told(&mut self, position: u64) -> bool {
        let before = self.untold.len();
        self.position = position;
        while let Some(untold) = self.untold.pop_front_if(|untold| untold.offset <= position) {
            self.told_sent = self.told_sent.max(Some(untold.sent_at));
        }
        self.untold.len() < before
    }

    /// Its client told positions after `told`, and not the oldest of this: it may have been led back just then.
    fn excuse(&mut self, now: Moment, told: Moment, commit: Duration) {
        let Some(oldest) = self.untold.front_mut() else {
            return;
        };
        let led_back = oldest.led_to.is_some_and(|led_to| led_to <= self.position);
        if oldest.at + commit < told && led_back && oldest.excused < EXCUSED_MAX {
            (oldest.excused, oldest.at, oldest.due) = (oldest.excused + 1, now, now);
        }
    }

    /// Its client has come back from where it was led: it may have been on its way there for long, among brokers.
    fn came_back(&mut self, now: Moment) {
        let mut behind = self.untold.iter_mut();
        if let Some(oldest) = behind.find(|it| it.led_to.is_some() && it.moved < MOVED_MAX) {
            (oldest.due, oldest.moved) = (now, oldest.moved + 1);
        }
    }

    /// Since when a position of it is due that its client has not told.
    fn due_since(&self) -> Option<Moment> {
        self.untold.iter().map(|untold| untold.due).min()
    }

    /// Since when its client has not told that it read something.
    fn untold_since(&self) -> Option<Moment> {
        self.untold.front().map(|untold| untold.at)
    }

    /// Messages that its client was sent and has not come back from.
    pub(super) fn messages_out(&self) -> u64 {
        match self.is_unread() {
            true => self.messages,
            false => 0,
        }
    }

    /// Its client was sent what it has not come back from.
    pub(super) fn is_unread(&self) -> bool {
        self.confirmed
            .is_none_or(|confirmed| confirmed.offset < self.to)
    }
}

/// Whether a consumer does as the Java client does that acknowledges by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Follows {
    /// ZooKeeper has a position of it, perhaps an old one.
    has_position: bool,
    /// It told all positions of what it read, when last looked.
    seen: bool,
    /// How often some partition of it was told as it was read.
    followed: u8,
    /// When it was sent the newest that it had told when last looked.
    told_sent: Option<Moment>,
    /// It told what it read just now and not what it read before: it acknowledges by hand.
    by_hand: Option<Moment>,
    /// A position stayed behind for too long.
    late: Option<Moment>,
    /// It came back inside of what it was sent.
    inside: bool,
    /// It was led back and read the message again.
    rereads: bool,
    /// When it began to fetch anew.
    pub(super) began: Option<Moment>,
}

/// Why a client cannot be trusted to have read its last message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Rereads,
    Inside,
    NoMessage,
    NoPosition,
    NotCommitted,
    Late,
}

/// The last message that a client read.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastRead {
    pub(super) start: u64,
    pub(super) read_at: Moment,
    pub(super) read: u64,
    pub(super) beside: u64,
}

impl Waiting {
    /// A get of a known key came.
    pub(super) fn returned(&mut self, now: Moment, key: KeyId, get: &WaitingGet) {
        let state = &self.keys[&key];
        let (owner, question, sent_at) = (state.owner, state.question, state.data_at);
        let Some(mut reading) = self.key_mut(key).reading.take() else {
            return;
        };
        if reading.connection != get.connection {
            return;
        }
        let offset = get.offset;
        if question.is_some_and(|asked| asked.leads(get.connection, offset)) {
            reading.led_back = true;
            self.key_mut(key).reading = Some(reading);
            return;
        }
        let began = |follows: &Follows| {
            follows
                .began
                .is_some_and(|began| now.since(began) < BEGINS_FOR)
        };
        if offset == reading.to {
            // What went to everybody went to it, where it was not known whose the connection is.
            let read = reading.clock.unwrap_or_else(|| {
                let since = self.sent.total() - reading.total;
                self.process_clock(owner).saturating_sub(since)
            });
            let beside = reading.beside.unwrap_or_else(|| {
                let process = owner.and_then(|owner| self.consumers[&owner].client.process());
                let by_now = process.map_or(0, |process| self.beside.read_for_sure(process));
                by_now.saturating_sub(read_at_most(now.since(sent_at)))
            });
            let known = reading
                .confirmed
                .filter(|confirmed| confirmed.offset == offset);
            let mut confirmed = known.unwrap_or(Confirmed {
                offset,
                read_at: sent_at,
                read,
                beside,
            });
            if known.is_none() {
                reading.has_read(now, offset, sent_at);
            }
            if reading.led_back {
                (confirmed.read_at, confirmed.read) = (sent_at, read);
                confirmed.beside = beside;
                reading.came_back(now);
            }
            let was_unread = reading.is_unread();
            reading.confirmed = Some(confirmed);
            // Others need not wait for that any more.
            if was_unread && owner.is_some_and(|owner| self.consumers[&owner].is_elsewhere()) {
                self.stir(now);
            }
        } else if (reading.from..reading.to).contains(&offset) {
            let again = offset == reading.asked;
            // Otherwise the last record did not fit into the answer, and all before it was read.
            let inside = !again && reading.whole;
            if again || inside {
                reading.doubtful_to = reading.to;
            }
            if let Some(owner) = owner {
                let follows = &mut self.consumer_mut(owner).follows;
                follows.rereads |= again && reading.led_back;
                follows.inside |= inside && !began(follows);
            }
        } else {
            return;
        }
        reading.led_back = false;
        self.key_mut(key).reading = Some(reading);
    }

    /// A get was sent this many bytes of records.
    pub(in crate::broker) fn sent(&mut self, get: &WaitingGet, length: u64) {
        if !self.options.enabled || !self.options.turns {
            return;
        }
        let (from, to) = (get.offset, get.offset + length);
        let partition = self.partition_mut(get.partition);
        let messages = partition.appended.messages_between(from, to);
        let key = get.reader.and_then(|key| self.keys.get(&key));
        let owner = key.and_then(|key| key.owner);
        // What is passed over is remembered anew, and takes nobody's place.
        let led_back = key
            .and_then(|key| key.reading.as_ref())
            .is_some_and(|it| it.led_back);
        let messages = messages.saturating_sub(u64::from(led_back));
        let consumer = owner.and_then(|owner| self.consumers.get(&owner));
        let connection = self.connections.get(&get.connection);
        let of_connection = connection.and_then(|connection| connection.client.as_ref());
        let of_consumer = consumer.map(|consumer| &consumer.client);
        match (of_consumer, of_connection) {
            (Some(Client::Remembers { process }), _) | (_, Some(Client::Remembers { process })) => {
                self.sent.count(Some(process), messages);
            }
            (Some(Client::Rereads), _) | (None, Some(Client::Rereads)) => {}
            _ => self.sent.count(None, messages),
        }
        let clock = owner.map(|owner| self.process_clock(Some(owner)));
        let total = self.sent.total();
        let process = owner.and_then(|owner| self.consumers[&owner].client.process());
        let beside = process.zip(owner).map(|(process, owner)| {
            match self.beside.read_for_sure(process) {
                0 => 0,
                // What its other threads still work on may be read after this.
                sure => sure.saturating_sub(self.messages_out(owner, get.reader)),
            }
        });
        let Some(state) = get.reader.and_then(|key| self.keys.get_mut(&key)) else {
            return;
        };
        let whole = length < u64::from(get.bytes_max);
        match &mut state.reading {
            Some(reading)
                if reading.connection == get.connection
                    && (reading.from..=reading.to).contains(&from) =>
            {
                (reading.asked, reading.to, reading.whole) = (from, to, whole);
                (reading.clock, reading.total) = (clock, total);
                (reading.beside, reading.messages) = (beside, messages);
            }
            reading => {
                *reading = Some(Reading {
                    connection: get.connection,
                    from,
                    asked: from,
                    to,
                    whole,
                    clock,
                    total,
                    beside,
                    messages,
                    led_back: false,
                    doubtful_to: 0,
                    confirmed: None,
                    untold: VecDeque::new(),
                    told_sent: None,
                    position: 0,
                });
            }
        }
    }

    /// ZooKeeper was asked for the position of a consumer's key.
    pub(super) fn told_zookeeper(&mut self, owner: ConsumerId, key: KeyId, position: Option<u64>) {
        let reading = self.key_mut(key).reading.as_mut();
        let followed = reading
            .zip(position)
            .is_some_and(|(it, told)| it.told(told));
        let follows = &mut self.consumer_mut(owner).follows;
        follows.has_position |= position.is_some();
        follows.followed = follows.followed.saturating_add(followed.into());
    }

    /// Whether what a consumer read was told as the Java client does that acknowledges by itself: each time it tells
    /// positions it tells all. So where it told what it read just now, it must have told what it read before.
    fn judge_acknowledgement(&mut self, now: Moment, owner: ConsumerId) {
        let keys: Vec<KeyId> = self.consumers[&owner].keys.iter().copied().collect();
        let reading = |key: &KeyId| self.keys[key].reading.as_ref();
        // It told this after it was sent it, perhaps long before it came back.
        let told = keys
            .iter()
            .filter_map(reading)
            .filter_map(|it| it.told_sent);
        let Some(told) = told.max() else {
            return;
        };
        let partitions = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let commit = COMMIT + COMMIT_EACH.saturating_mul(partitions);
        for key in &keys {
            if let Some(reading) = &mut self.key_mut(*key).reading {
                reading.excuse(now, told, commit);
            }
        }
        let reading = |key: &KeyId| self.keys[key].reading.as_ref();
        let untold = keys
            .iter()
            .filter_map(reading)
            .filter_map(Reading::untold_since);
        let untold = untold.min();
        let left_out = |told| untold.is_some_and(|untold| untold + commit < told);
        let follows = &mut self.consumer_mut(owner).follows;
        follows.seen = !left_out(told);
        // It may have been met while it told them. Then the rest was told by now.
        if follows.told_sent.is_some_and(left_out) {
            follows.by_hand = Some(now);
        }
        follows.told_sent = Some(told);
    }

    /// Whether all positions of a consumer are where they should be by now.
    pub(super) fn judge_positions(&mut self, now: Moment, owner: ConsumerId) {
        if self.keeps_positions_elsewhere(owner) {
            return;
        }
        self.judge_acknowledgement(now, owner);
        let late = self.consumers[&owner].keys.iter().any(|key| {
            let state = &self.keys[key];
            let reading = state.reading.as_ref().filter(|it| !it.led_back);
            // It is on its way back from where it is led to.
            let leads = state.question.is_some_and(|asked| asked.back_to.is_some());
            let due = reading.filter(|_| !leads).and_then(Reading::due_since);
            due.is_some_and(|since| now.since(since) > COMMIT_MAX)
        });
        if late {
            self.consumer_mut(owner).follows.late = Some(now);
        }
    }

    /// Some position of this consumer has not been told yet, as far as is known.
    pub(super) fn is_behind(&self, owner: ConsumerId) -> bool {
        self.consumers[&owner].keys.iter().any(|key| {
            let reading = self.keys[key].reading.as_ref();
            reading.is_some_and(|reading| reading.untold_since().is_some())
        })
    }

    /// An operator said so in the configuration.
    fn keeps_positions_elsewhere(&self, owner: ConsumerId) -> bool {
        let group = &self.groups[&self.consumers[&owner].group].name;
        let groups = &self.options.turns_without_positions;
        groups.iter().any(|one| one == group.as_str())
    }

    /// The message that ends where this get of the consumer is held, if its client has surely read it.
    pub(super) fn last_read(
        &self,
        now: Moment,
        owner: ConsumerId,
        key: KeyId,
        get: &WaitingGet,
    ) -> Result<LastRead, Doubt> {
        let follows = &self.consumers[&owner].follows;
        if follows.rereads {
            return Err(Doubt::Rereads);
        }
        let lately = |at: Option<Moment>| at.is_some_and(|at| now.since(at) < DISTRUSTED_FOR);
        if follows.inside || lately(follows.by_hand) {
            return Err(Doubt::Inside);
        }
        let reading = self.keys[&key]
            .reading
            .as_ref()
            .filter(|reading| reading.connection == get.connection)
            .ok_or(Doubt::NoMessage)?;
        let confirmed = reading
            .confirmed
            .filter(|confirmed| confirmed.offset == get.offset && !reading.led_back)
            .ok_or(Doubt::NoMessage)?;
        let start = self
            .partitions
            .get(get.partition.0 as usize)
            .and_then(|state| state.appended.last_before(get.offset))
            .filter(|start| *start >= reading.from.max(reading.doubtful_to))
            .ok_or(Doubt::NoMessage)?;
        if !self.keeps_positions_elsewhere(owner) {
            let keys = self.consumers[&owner].keys.len();
            if !follows.seen || usize::from(follows.followed) < FOLLOWED_MIN.min(keys) {
                return Err(match follows.has_position {
                    true => Doubt::NotCommitted,
                    false => Doubt::NoPosition,
                });
            }
            let overdue = |since: Moment| now.since(since) > COMMIT_MAX;
            if lately(follows.late) || reading.due_since().is_some_and(overdue) {
                return Err(Doubt::Late);
            }
        }
        Ok(LastRead {
            start,
            read_at: confirmed.read_at,
            read: confirmed.read,
            beside: confirmed.beside,
        })
    }

    /// Messages that a consumer was sent for its other partitions, and has not come back from.
    fn messages_out(&self, owner: ConsumerId, but: Option<KeyId>) -> u64 {
        let others = self.consumers[&owner].mirror.out();
        let others = others.filter(|key| Some(*key) != but);
        let readings = others.filter_map(|key| self.keys[&key].reading.as_ref());
        readings.map(Reading::messages_out).sum()
    }

    /// The clock of what a consumer's process was sent.
    pub(super) fn process_clock(&mut self, owner: Option<ConsumerId>) -> u64 {
        let client = owner
            .and_then(|owner| self.consumers.get(&owner))
            .map(|it| &it.client);
        match client {
            Some(Client::Remembers { process }) => self.sent.reading(process),
            _ => 0,
        }
    }
}
