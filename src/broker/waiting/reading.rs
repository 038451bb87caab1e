//! What a client was sent of a partition, how it came back for more, and what it told ZooKeeper of it.
//!
//! A client may be led back over a message only if it has surely read it: it came back for what is behind it, at
//! once, and its position followed. One that acknowledges by hand, or whose listener fails, comes back inside
//! of what it was sent, or tells its position late; then nothing is certain any more.

use std::time::Duration;

use super::identity::Client;
use super::{ConsumerId, KeyId, Waiting, WaitingGet};
use crate::units::{ConnectionId, Moment};

/// A Java client tells its positions every five seconds; twice that is late.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(10);
/// How often positions are looked at while some are behind.
pub(super) const POSITIONS_EVERY: Duration = Duration::from_millis(2500);
/// A consumer that told positions so often without all of them acknowledges by hand; once or twice it may have been
/// met while it told them.
const BY_HAND_MAX: u8 = 3;
/// What was read so shortly before something else may have been told with the next.
const BESIDE_A_COMMIT: Duration = Duration::from_millis(500);
/// A client that begins anew may come back anywhere, for so long.
const BEGINS_FOR: Duration = Duration::from_secs(10);
/// A consumer that was late is not trusted for so long.
const LATE_FOR: Duration = Duration::from_secs(600);

/// What one connection was sent of a (group, partition), in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) connection: ConnectionId,
    /// Where it began, in this run.
    from: u64,
    /// The offset of the last get that was answered with data, and the end of that.
    asked: u64,
    to: u64,
    /// The last answer ended with a whole record.
    whole: bool,
    /// The client is led back just now.
    pub(super) led_back: bool,
    /// Below, something was asked for twice: its client may have given it up, and not remember it.
    doubtful_to: u64,
    /// The offset that its client came back at.
    confirmed: Option<Confirmed>,
    /// What ZooKeeper was told, when last looked.
    position: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Confirmed {
    offset: u64,
    at: Moment,
    /// When it was sent what ends here.
    sent_at: Moment,
    /// When it last read, or passed over, the message before: by the clock, and by what its process was sent.
    read_at: Moment,
    read: u64,
    /// The position that ZooKeeper has to be told at least: in a turn it is that of the message before.
    position_min: u64,
}

impl Reading {
    /// Its client is about to be led back.
    pub(super) fn turn(&mut self, back_to: u64) {
        if let Some(confirmed) = &mut self.confirmed {
            confirmed.position_min = confirmed.position_min.min(back_to);
        }
    }

    fn is_told(&self, confirmed: Confirmed) -> bool {
        self.position
            .is_some_and(|position| position >= confirmed.position_min)
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
    /// Its positions followed its reading, all of them, when last looked.
    seen: bool,
    /// So often it had told what it read just now and not what it read before: it acknowledges by hand.
    by_hand: u8,
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
    Late,
}

/// The last message that a client read.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastRead {
    pub(super) start: u64,
    pub(super) read_at: Moment,
    pub(super) read: u64,
}

impl Waiting {
    /// A get of a known key came.
    pub(super) fn returned(&mut self, now: Moment, key: KeyId, get: &WaitingGet) {
        let state = &self.keys[&key];
        let (owner, question, sent_at) = (state.owner, state.question, state.told_at);
        let Some(mut reading) = state.reading else {
            return;
        };
        if reading.connection != get.connection {
            self.key_mut(key).reading = None;
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
            let read = self.process_clock(owner);
            let known = reading
                .confirmed
                .filter(|confirmed| confirmed.offset == offset);
            let mut confirmed = known.unwrap_or(Confirmed {
                offset,
                at: now,
                sent_at,
                read_at: now,
                read,
                position_min: offset,
            });
            if reading.led_back {
                (confirmed.read_at, confirmed.read) = (now, read);
            }
            reading.confirmed = Some(confirmed);
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
            self.key_mut(key).reading = None;
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
            .and_then(|key| key.reading)
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
            }
            reading => {
                *reading = Some(Reading {
                    connection: get.connection,
                    from,
                    asked: from,
                    to,
                    whole,
                    led_back: false,
                    doubtful_to: 0,
                    confirmed: None,
                    position: None,
                });
            }
        }
    }

    /// ZooKeeper was asked for a key's position.
    pub(super) fn told_zookeeper(&mut self, key: KeyId, position: Option<u64>) {
        let state = self.key_mut(key);
        let Some(reading) = &mut state.reading else {
            return;
        };
        reading.position = position;
    }

    /// Whether what a consumer read was told as the Java client does that acknowledges by itself: each time it tells
    /// positions it tells all. So where it told what it read just now, it must have told what it read before.
    fn judge_acknowledgement(&mut self, owner: ConsumerId) {
        let mut newest = None;
        let mut untold = None;
        for key in &self.consumers[&owner].keys {
            let reading = self.keys[key].reading.as_ref();
            let Some((reading, confirmed)) = reading.and_then(|it| Some((it, it.confirmed?)))
            else {
                continue;
            };
            if reading
                .position
                .is_some_and(|told| told >= confirmed.offset)
            {
                // It told this after it was sent it, perhaps long before it came back.
                newest = newest.max(Some(confirmed.sent_at));
            } else if !reading.is_told(confirmed) {
                let at = confirmed.at + BESIDE_A_COMMIT;
                untold = Some(untold.map_or(at, |before: Moment| before.min(at)));
            }
        }
        let Some(newest) = newest else {
            return;
        };
        let by_hand = untold.is_some_and(|untold| untold < newest);
        let follows = &mut self.consumer_mut(owner).follows;
        follows.seen = !by_hand;
        follows.by_hand = if by_hand {
            follows.by_hand.saturating_add(1)
        } else if follows.by_hand < BY_HAND_MAX {
            follows.by_hand.saturating_sub(1)
        } else {
            follows.by_hand
        };
    }

    /// Whether all positions of a consumer are where they should be by now.
    pub(super) fn judge_positions(&mut self, now: Moment, owner: ConsumerId) {
        if self.keeps_positions_elsewhere(owner) {
            return;
        }
        self.judge_acknowledgement(owner);
        let late = self.consumers[&owner].keys.iter().any(|key| {
            let reading = self.keys[key].reading.as_ref();
            let overdue = |reading: &Reading| {
                let due = reading.confirmed?;
                Some(now.since(due.at) > COMMIT_MAX && !reading.is_told(due))
            };
            reading.and_then(overdue).unwrap_or(false)
        });
        if late {
            self.consumer_mut(owner).follows.late = Some(now);
        }
    }

    /// Some position of this consumer has not been told yet, as far as is known.
    pub(super) fn is_behind(&self, owner: ConsumerId) -> bool {
        self.consumers[&owner].keys.iter().any(|key| {
            let reading = self.keys[key].reading.as_ref();
            let behind =
                |reading: &Reading| reading.confirmed.is_some_and(|due| !reading.is_told(due));
            reading.is_some_and(behind)
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
        if follows.inside || follows.by_hand >= BY_HAND_MAX {
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
            if !follows.seen {
                return Err(Doubt::NoPosition);
            }
            let late = |late: Moment| now.since(late) < LATE_FOR;
            let soon = now.since(confirmed.at) <= COMMIT_MAX;
            if follows.late.is_some_and(late) || !soon && !reading.is_told(confirmed) {
                return Err(Doubt::Late);
            }
        }
        Ok(LastRead {
            start,
            read_at: confirmed.read_at,
            read: confirmed.read,
        })
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
