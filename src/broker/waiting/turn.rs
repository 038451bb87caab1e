//! Turns: a held get gives its thread to the client's other partitions, and leaves nothing blind.
//!
//! ```text
//!   get X held       <- the bad record
//!   offset X         <- X - L, where the last message before X begins
//!   get X - L        <- data, as always: that message, and what came behind it
//!   (passed over as read; the partition goes behind all that are due)
//!   get X
//! ```
//!
//! Only that message itself is sent, never a record of our own with another's id: an id that is still worked on
//! would be taken for read. And only to a client that has surely read it and still remembers it; the conditions
//! are those of [`Waiting::may_turn`]. If it dies within these milliseconds, after telling its position, its
//! successor reads one message twice, which is what "at least once" allows.

use std::fmt;
use std::time::Duration;

use super::elsewhere;
use super::identity::Client;
use super::memory::{MEMORY, REMEMBERED};
use super::reading::Doubt;
use super::{HeldId, Waiting};
use crate::broker::request::Name;
use crate::segments::PartitionId;
use crate::units::{ConnectionId, Moment};

/// Longer messages are not sent again.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024;
/// A consumer is given at most 500 turns a second,
const TURN_EVERY: Duration = Duration::from_millis(2);
/// and this many at once.
const TURNS_AT_ONCE: u32 = 128;

/// A bad record that was sent, and what is to be said when its client asks where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at: u64,
    pub(super) connection: ConnectionId,
    /// In a turn: where the last message begins.
    pub(super) back_to: Option<u64>,
    /// It has asked.
    pub(super) heard: bool,
}

impl Asked {
    /// Whether this get is where its client was led.
    pub(super) fn leads(&self, connection: ConnectionId, offset: u64) -> bool {
        self.heard && self.connection == connection && self.back_to == Some(offset)
    }
}

/// Why a consumer with fewer threads than partitions is answered 404 instead of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTurned {
    /// `broker.turns` is false.
    Off,
    /// It does not behave as the Java client.
    OtherClient,
    /// Its client is older than 1.4.6 and reads again what it is sent again.
    OldClient,
    /// Its name is the user's own and does not tell its client's version.
    OwnName,
    /// It has read no message of the partition since this server started or it connected.
    NoMessageYet,
    /// ZooKeeper was never told of its reading.
    NoPositionYet,
    /// ZooKeeper has positions from before; of its reading since it connected it was told too little.
    NotCommittedYet,
    /// ZooKeeper was told of its reading too late.
    LatePosition,
    /// It acknowledges by hand, or its listener fails.
    ComesBackInside,
    /// It read a message again that it should have passed over.
    ReadsAgain,
    /// The last message is long, or longer than it takes at a time.
    LongMessage,
    /// It was given as many turns as a consumer is.
    ManyTurns,
    /// So many messages went to its process since that it may have forgotten the last one.
    MayHaveForgotten,
}

impl NotTurned {
    /// It will be the same as long as its client is what it is.
    pub(super) fn is_for_good(self) -> bool {
        matches!(
            self,
            NotTurned::Off
                | NotTurned::OtherClient
                | NotTurned::OldClient
                | NotTurned::OwnName
                | NotTurned::ComesBackInside
        )
    }

    /// It may be another answer once it is known what ZooKeeper was told by now.
    pub(super) fn lacks_positions(self) -> bool {
        matches!(
            self,
            NotTurned::NoPositionYet | NotTurned::NotCommittedYet | NotTurned::LatePosition
        )
    }

    /// What the reason is called in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NotTurned::Off => "off",
            NotTurned::OtherClient => "other-client",
            NotTurned::OldClient => "old-client",
            NotTurned::OwnName => "own-consumer-id",
            NotTurned::NoMessageYet => "no-message-yet",
            NotTurned::NoPositionYet => "no-position-yet",
            NotTurned::NotCommittedYet => "not-committed-yet",
            NotTurned::LatePosition => "late-position",
            NotTurned::ComesBackInside => "manual-acknowledgement",
            NotTurned::ReadsAgain => "reads-again",
            NotTurned::LongMessage => "long-message",
            NotTurned::ManyTurns => "many-turns",
            NotTurned::MayHaveForgotten => "many-messages",
        }
    }
}

impl fmt::Display for NotTurned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotTurned::Off => "broker.turns is false",
            NotTurned::OtherClient => "it is not the Java client",
            NotTurned::OldClient => "its client is older than 1.4.6",
            NotTurned::OwnName => {
                "its consumer id was set by hand, so its client version is unknown"
            }
            NotTurned::NoMessageYet => "it has read no message of the partition since it connected",
            NotTurned::NoPositionYet => "ZooKeeper has no position of it yet",
            NotTurned::NotCommittedYet => {
                "it has committed the offsets of too few partitions since it connected"
            }
            NotTurned::LatePosition => "its positions reach ZooKeeper late",
            NotTurned::ComesBackInside => "it acknowledges by hand, or its listener fails",
            NotTurned::ReadsAgain => "it read a message again that it should have passed over",
            NotTurned::LongMessage => "the last message of the partition is long",
            NotTurned::ManyTurns => "it reached the limit of 500 turns a second",
            NotTurned::MayHaveForgotten => "its process reads many messages a second",
        })
    }
}

impl From<Doubt> for NotTurned {
    fn from(doubt: Doubt) -> NotTurned {
        match doubt {
            Doubt::Rereads => NotTurned::ReadsAgain,
            Doubt::Inside => NotTurned::ComesBackInside,
            Doubt::NoMessage => NotTurned::NoMessageYet,
            Doubt::NoPosition => NotTurned::NoPositionYet,
            Doubt::NotCommitted => NotTurned::NotCommittedYet,
            Doubt::Late => NotTurned::LatePosition,
        }
    }
}

/// How many turns a consumer may be given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// When it would be given the next one if they were spread evenly.
    next: Moment,
}

impl Budget {
    /// When there is one to give.
    pub(super) fn ready(&self) -> Moment {
        Moment::START + self.next.since(Moment::START + TURN_EVERY * TURNS_AT_ONCE)
    }

    fn take(&mut self, now: Moment) {
        self.next = self.next.max(now) + TURN_EVERY;
    }
}

impl Waiting {
    /// Whether a held get may be led back, and to where.
    pub(super) fn may_turn(&self, now: Moment, id: HeldId) -> Result<u64, NotTurned> {
        if !self.options.turns {
            return Err(NotTurned::Off);
        }
        let held = &self.held[&id];
        if !self.is_java(held.get.connection) {
            return Err(NotTurned::OtherClient);
        }
        let owner = held.consumer.ok_or(NotTurned::NoMessageYet)?;
        let consumer = &self.consumers[&owner];
        let process = match &consumer.client {
            Client::Remembers { process } => process,
            Client::Rereads => return Err(NotTurned::OldClient),
            Client::Unknown => return Err(NotTurned::OwnName),
        };
        let last = self.last_read(now, owner, held.key, &held.get)?;
        let length = held.get.offset - last.start;
        if length > MESSAGE_BYTES_MAX.min(held.get.bytes_max.into()) {
            return Err(NotTurned::LongMessage);
        }
        let here = self.sent.since(process, last.read);
        let elsewhere = if self.elsewhere.has(process) {
            let brokers = self.elsewhere.brokers(process);
            let read = (last.read_at, last.beside);
            let counted = self.beside.read_since(now, process, brokers, read);
            let assumed = elsewhere::read_at_most(now.since(last.read_at));
            counted.map_or(assumed, |counted| counted.min(assumed))
        } else {
            0
        };
        if here >= REMEMBERED || elsewhere.saturating_add(here) >= MEMORY {
            return Err(NotTurned::MayHaveForgotten);
        }
        Ok(last.start)
    }

    /// Begins the turn of a held get: where its client will be led.
    pub(super) fn turn(&mut self, now: Moment, id: HeldId) -> Option<u64> {
        let back_to = self.may_turn(now, id).ok()?;
        let held = &self.held[&id];
        let (key, owner) = (held.key, held.consumer?);
        if let Some(reading) = &mut self.key_mut(key).reading {
            reading.turn(back_to);
        }
        let consumer = self.consumer_mut(owner);
        consumer.turns += 1;
        consumer.not_turned = None;
        consumer.budget.take(now);
        Some(back_to)
    }

    /// An `offset` request. `Some`: it follows a bad record, and the answer is this.
    pub(in crate::broker) fn offset_asked(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        group: &Name,
        partition: PartitionId,
        offset: u64,
    ) -> Option<u64> {
        let key = self.find_key(group, partition)?;
        let asked = self.key_mut(key).question.as_mut()?;
        if asked.at != offset {
            return None;
        }
        // Its connection broke in between: that it is led back is not sure any more, and that it stands here is.
        if asked.connection != connection {
            return Some(offset);
        }
        asked.heard = true;
        let answer = asked.back_to.unwrap_or(offset);
        self.asked_where(now, key);
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.strikes = 0;
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Brokers, Elsewhere, Ownership, Served, WaitingGet};
    use super::*;
    use crate::broker::options::WaitingOptions;
    use crate::units::{Seed, ServerId};

    const CONNECTION: ConnectionId = ConnectionId(1);
    const JVM: &str = "10.0.0.1-17-1374200000000-1";
    const OTHER_JVM: &str = "10.0.0.1-18-1374200000000-1";

    /// Consumers of version 1.4.6, one a group; what they read is what there is.
    struct Readers {
        waiting: Waiting,
        now: Moment,
        ends: [u64; 8],
    }

    impl Readers {
        /// The group `free` keeps its positions elsewhere.
        fn new() -> Readers {
            let options = WaitingOptions {
                turns_without_positions: vec!["free".to_owned()],
                ..WaitingOptions::default()
            };
            Readers {
                waiting: Waiting::new(options, ServerId(1), Seed(1)),
                now: Moment::START + Duration::from_secs(100),
                ends: [0; 8],
            }
        }

        /// A group's only consumer owns these partitions, and those of other brokers too or not.
        fn owns(&mut self, group: &str, jvm: &str, partitions: &[u32], elsewhere: bool) {
            let consumer = Name::from(format!("{group}_{jvm}").as_str());
            let owned: Vec<Ownership> = partitions
                .iter()
                .map(|&partition| Ownership {
                    partition: PartitionId(partition),
                    consumer: consumer.clone(),
                    has_messages: true,
                    position: None,
                })
                .collect();
            let others = elsewhere.then(|| Elsewhere {
                consumer: consumer.clone(),
                brokers: Brokers::from([Some(ServerId(2))]),
            });
            let others: Vec<Elsewhere> = others.into_iter().collect();
            let group = Name::from(group);
            for &partition in partitions {
                self.waiting
                    .key_or_new(self.now, &group, PartitionId(partition));
            }
            self.waiting.owned(self.now, &group, &owned, &others);
        }

        /// ZooKeeper is asked, and has this position of the group's consumer.
        fn told(&mut self, group: &str, jvm: &str, partition: u32, position: u64) {
            let owned = Ownership {
                partition: PartitionId(partition),
                consumer: Name::from(format!("{group}_{jvm}").as_str()),
                has_messages: true,
                position: Some(position),
            };
            self.waiting
                .owned(self.now, &Name::from(group), &[owned], &[]);
        }

        fn get(&self, connection: ConnectionId, partition: u32, bytes_max: u32) -> WaitingGet {
            WaitingGet {
                connection,
                opaque: -9,
                partition: PartitionId(partition),
                offset: self.ends[partition as usize],
                bytes_max,
                reader: None,
            }
        }

        /// So many messages of a length come, and are sent to the group's consumer.
        fn reads(&mut self, group: &str, partition: u32, messages: u64, length: u64) {
            let get = self.get(CONNECTION, partition, 1 << 20);
            let bytes = messages * length;
            let (id, from, end) = (get.partition, get.offset, get.offset + bytes);
            self.waiting.appended(id, from, messages, end - length, end);
            let served = Served {
                at_once: true,
                more: false,
            };
            let reader = self
                .waiting
                .served(self.now, &Name::from(group), get, served);
            self.waiting.sent(&WaitingGet { reader, ..get }, bytes);
            self.ends[partition as usize] = end;
        }

        /// It comes back for what is behind them, and is held.
        fn comes_back(&mut self, group: &str, partition: u32) {
            self.comes_back_with(group, partition, CONNECTION, 1 << 20);
        }

        fn comes_back_with(&mut self, group: &str, partition: u32, by: ConnectionId, most: u32) {
            let get = self.get(by, partition, most);
            assert!(self.waiting.arrive(self.now, &Name::from(group), get));
            let key = self.waiting.find_key(&Name::from(group), get.partition);
            let owner = key.and_then(|key| self.waiting.keys[&key].owner);
            let name = owner.map(|owner| self.waiting.consumers[&owner].name.clone());
            let (group, id) = (Name::from(group), get.partition);
            self.waiting.owner(self.now, &group, id, name.as_ref());
        }

        fn wait(&mut self, ms: u64) {
            self.now = self.now + Duration::from_millis(ms);
        }

        /// Whether the get that is held for a partition may be given a turn.
        fn verdict(&self, partition: u32) -> Result<(), NotTurned> {
            let of_partition = |(_, held): &(&HeldId, &super::super::Held)| {
                held.get.partition == PartitionId(partition)
            };
            let newest = self
                .waiting
                .held
                .iter()
                .filter(of_partition)
                .max_by_key(|(id, _)| **id);
            let (&id, _) = newest.expect("a get is held");
            self.waiting.may_turn(self.now, id).map(|_| ())
        }
    }

    #[test]
    fn a_message_that_is_long_is_not_sent_again() {
        for (length, verdict) in [
            (16 * 1024, Ok(())),
            (16 * 1024 + 1, Err(NotTurned::LongMessage)),
        ] {
            let mut readers = Readers::new();
            readers.owns("free", JVM, &[0], false);
            readers.reads("free", 0, 1, length);
            readers.comes_back("free", 0);
            assert_eq!(readers.verdict(0), verdict, "{length} bytes");
        }
    }

    #[test]
    fn a_message_that_does_not_fit_into_the_get_is_not_sent_again() {
        for (most, verdict) in [(1000, Ok(())), (999, Err(NotTurned::LongMessage))] {
            let mut readers = Readers::new();
            readers.owns("free", JVM, &[0], false);
            readers.reads("free", 0, 1, 1000);
            readers.comes_back_with("free", 0, CONNECTION, most);
            assert_eq!(readers.verdict(0), verdict, "{most} bytes at a time");
        }
    }

    /// One memory for a process: what any of its groups reads counts, also what it was sent before it came back.
    #[test]
    fn a_process_that_was_sent_a_thousand_messages_since_may_have_forgotten() {
        let forgotten = Err(NotTurned::MayHaveForgotten);
        for (group, jvm, before_it_comes_back, messages, verdict) in [
            ("free", JVM, false, 999, Ok(())),
            ("free", JVM, false, 1000, forgotten),
            ("other", JVM, false, 1000, forgotten),
            ("other", JVM, true, 999, Ok(())),
            ("other", JVM, true, 1000, forgotten),
            ("other", OTHER_JVM, false, 100_000, Ok(())),
            ("other", OTHER_JVM, true, 100_000, Ok(())),
        ] {
            let mut readers = Readers::new();
            readers.owns("free", JVM, &[0, 1], false);
            if group != "free" {
                readers.owns(group, jvm, &[1], false);
            }
            readers.reads("free", 0, 1, 30);
            if !before_it_comes_back {
                readers.comes_back("free", 0);
            }
            readers.reads(group, 1, messages, 30);
            if before_it_comes_back {
                readers.comes_back("free", 0);
            }
            assert_eq!(
                readers.verdict(0),
                verdict,
                "{group} {jvm} {before_it_comes_back} {messages}"
            );
        }
    }

    #[test]
    fn a_process_that_reads_elsewhere_may_have_forgotten_after_a_fifth_of_a_second() {
        let mut readers = Readers::new();
        readers.owns("free", JVM, &[0], false);
        readers.owns("other", JVM, &[1], true);
        readers.owns("third", OTHER_JVM, &[2], true);
        readers.reads("free", 0, 1, 30);
        readers.wait(150);
        readers.comes_back("free", 0);
        assert_eq!(readers.verdict(0), Ok(()));
        readers.wait(50);
        assert_eq!(readers.verdict(0), Err(NotTurned::MayHaveForgotten));
        // Another process that does is nothing to this one.
        readers.owns("other", JVM, &[1], false);
        assert_eq!(readers.verdict(0), Ok(()));
    }

    /// Its group is balanced between that it was sent the message and that it comes back: the time runs on.
    #[test]
    fn a_consumer_that_begins_anew_read_its_message_when_it_was_sent() {
        let mut readers = Readers::new();
        readers.owns("free", JVM, &[0], true);
        readers.reads("free", 0, 1, 30);
        readers.wait(150);
        let owner = *readers
            .waiting
            .consumers
            .keys()
            .next()
            .expect("there is one");
        readers.waiting.begin_anew(readers.now, owner);
        readers.owns("free", JVM, &[0], true);
        readers.comes_back("free", 0);
        assert_eq!(readers.verdict(0), Ok(()));
        readers.wait(50);
        assert_eq!(readers.verdict(0), Err(NotTurned::MayHaveForgotten));
    }

    #[test]
    fn on_another_connection_it_has_read_nothing_yet() {
        let mut readers = Readers::new();
        readers.owns("free", JVM, &[0], false);
        readers.reads("free", 0, 1, 30);
        readers.comes_back_with("free", 0, ConnectionId(2), 1 << 20);
        assert_eq!(readers.verdict(0), Err(NotTurned::NoMessageYet));
    }

    #[test]
    fn whose_positions_come_later_than_two_commits_is_not_led_back() {
        let mut readers = Readers::new();
        readers.owns("g", JVM, &[0], false);
        readers.reads("g", 0, 1, 30);
        readers.comes_back("g", 0);
        assert_eq!(readers.verdict(0), Err(NotTurned::NoPositionYet));
        readers.wait(5000);
        readers.told("g", JVM, 0, 30);
        assert_eq!(readers.verdict(0), Ok(()));
        readers.reads("g", 0, 1, 30);
        readers.comes_back("g", 0);
        readers.wait(9_900);
        assert_eq!(readers.verdict(0), Ok(()));
        readers.wait(200);
        assert_eq!(readers.verdict(0), Err(NotTurned::LatePosition));
    }

    /// 128 at once, and 500 in each second.
    #[test]
    fn no_consumer_is_given_more_turns_than_its_budget() {
        let mut budget = Budget::default();
        let start = Moment::START + Duration::from_secs(100);
        let mut given = 0u64;
        for us in (0..3_000_000u64).step_by(100) {
            let now = start + Duration::from_micros(us);
            if budget.ready() <= now {
                budget.take(now);
                given += 1;
            }
            assert!(given <= 128 + us / 2000 + 1, "{given} after {us} us");
        }
        assert!(given >= 1500, "{given}");
    }
}
