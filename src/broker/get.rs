//! `get`: from an offset to a place to read, a place to wait, or a word.
//!
//! The order of the questions is Metamorphosis's. Two answers differ, because its own lose messages or send
//! consumers back: a configured partition that was never written has the end 0 (a consumer that asks for
//! the end is told so, and one that waits there is held, instead of both being sent away until the first
//! message exists); and an offset up to what is committed is never answered 301 backwards.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Broker;
use super::event::{Effect, Elsewhere, Owned, Ticket, Warning};
use super::put::excerpt;
use super::reply::{Refusal, RefusalKind, Reply};
use super::request::{Get, Name};
use super::stats::Item;
use super::waiting::{Answer, End, Ownership, Question, Served, WaitingGet};
use crate::segments::format::Header;
use crate::segments::lookup::Lookup;
use crate::segments::verify::{Outcome, Range};
use crate::segments::{FileId, PartitionId};
use crate::units::{ConnectionId, Moment};

/// "Tell me where the end is."
const WHERE_IS_THE_END: i64 = i64::MAX;
/// Gets that may wait for writes under way at a time; more are told that there is nothing yet.
const CATCHING_UP_MAX: usize = 8192;
/// Gets that may wait for checks at a time.
const CHECKING_MAX: usize = 8192;
/// At most one warning in so many milliseconds that a consumer asks beyond the end.
const BEYOND_WARNING_MS: u64 = 60_000;

/// The record that ends a hold: no data, and a checksum that is not that of no data.
pub(super) fn bad_record() -> Bytes {
    let header = Header {
        length: 0,
        checksum: 12345,
        message_id: 0,
        flag: 0,
    };
    Bytes::copy_from_slice(&header.encode())
}

/// Ranges being checked, and the gets that wait for them.
#[derive(Debug, Default)]
pub(super) struct Checks {
    jobs: BTreeMap<Ticket, (Range, Vec<WaitingGet>)>,
    tickets: BTreeMap<(FileId, u64, u64), Ticket>,
    waiting: usize,
}

impl Checks {
    pub(super) fn clear(&mut self) {
        *self = Checks::default();
    }
}

impl Broker {
    /// Answers a get, or parks it.
    pub(super) fn get(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        opaque: i32,
        get: &Get,
        effects: &mut Vec<Effect>,
    ) {
        self.stats.gets += 1;
        let topic = self.catalog.find(&get.topic);
        self.record(now, topic, Item::Get, 1);
        if let Some(reply) = self.decide_get(now, connection, opaque, get, effects) {
            match &reply {
                Reply::Refused(refusal) if refusal.kind == RefusalKind::NotFound => {
                    self.miss(now, get);
                }
                // The original counts an offset that it had to correct as both.
                Reply::Moved(_) => {
                    self.miss(now, get);
                    self.stats.offsets += 1;
                    self.record(now, topic, Item::Offset, 1);
                }
                _ => {}
            }
            effects.push(Effect::Reply {
                connection,
                opaque,
                reply,
            });
        }
        self.answer_waiting(now, effects);
    }

    /// The decision table. `None`: it is answered or parked already.
    fn decide_get(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        opaque: i32,
        get: &Get,
        effects: &mut Vec<Effect>,
    ) -> Option<Reply> {
        if self.catalog.is_closed(&get.topic, get.partition) {
            return Some(self.closed(get.partition));
        }
        let topic = self.catalog.find(&get.topic);
        let partition = topic.and_then(|id| self.catalog.topic(id).partition(get.partition));
        let Some(id) = partition.filter(|&id| self.partition(id).has_files()) else {
            return self.decide_get_of_nothing(now, connection, opaque, get);
        };
        let Some(bytes_max) = self.bytes_max(get.max_size) else {
            let text = format!("Bad request,invalid max size:{}", get.max_size);
            return Some(Reply::Refused(Refusal {
                kind: RefusalKind::BadRequest,
                text,
            }));
        };
        let partition = self.partition(id);
        let (first, visible) = (partition.segments.first(), partition.visible);
        let end = self.readable_end(id);
        let Ok(offset) = u64::try_from(get.offset) else {
            return Some(Reply::Moved(first));
        };
        if offset < first {
            return Some(Reply::Moved(first));
        }
        let waiting = WaitingGet {
            connection,
            opaque,
            partition: id,
            offset,
            bytes_max,
            reader: None,
        };
        // What is acknowledged and still being written belongs to the answer, as far as there is room for it.
        let until = end.min(offset.saturating_add(bytes_max.into()));
        let waits = offset < until && visible < until && self.catching_up.len() < CATCHING_UP_MAX;
        if waits || offset < visible {
            let served = Served {
                at_once: !waits,
                more: until < end,
            };
            let reader = self.waiting.served(now, &get.group, waiting, served);
            let waiting = WaitingGet { reader, ..waiting };
            if waits {
                self.catching_up.push((until, waiting));
            } else {
                self.serve(waiting, effects);
            }
            return None;
        }
        if get.offset == WHERE_IS_THE_END {
            return Some(Reply::Moved(end));
        }
        let committed = self.partition(id).segments.end();
        if offset > committed {
            self.beyond_end(now, get, committed, effects);
            if self.options.update_consumer_offsets {
                return Some(Reply::Moved(end));
            }
            return Some(nothing_at(get.offset));
        }
        if self.waiting.arrive(now, &get.group, waiting) {
            return None;
        }
        Some(nothing_at(get.offset))
    }

    /// Where the partition ends for its readers: what is committed, because the puts of it are acknowledged; a
    /// get in what is still being written waits for that. With the disk full that can take long, and readers go
    /// by what is visible.
    pub(super) fn readable_end(&self, id: PartitionId) -> u64 {
        let partition = self.partition(id);
        if self.writer.is_parked() {
            partition.visible
        } else {
            partition.segments.end()
        }
    }

    /// Serves the gets whose data can be seen now.
    pub(super) fn catch_up(&mut self, effects: &mut Vec<Effect>) {
        let partitions = &self.partitions;
        let seen = |(until, get): &mut (u64, WaitingGet)| {
            partitions[get.partition.0 as usize].visible >= *until
        };
        let gets: Vec<(u64, WaitingGet)> = self.catching_up.extract_if(.., seen).collect();
        for (_, get) in gets {
            self.serve(get, effects);
        }
    }

    /// The disk is full: what is being written cannot be waited for.
    pub(super) fn give_up_catching_up(&mut self, effects: &mut Vec<Effect>) {
        for (_, get) in std::mem::take(&mut self.catching_up) {
            if get.offset < self.partition(get.partition).visible {
                self.serve(get, effects);
                continue;
            }
            let (connection, opaque) = (get.connection, get.opaque);
            let reply = self.nothing_new(&get);
            effects.push(Effect::Reply {
                connection,
                opaque,
                reply,
            });
        }
    }

    /// The same for a partition without files.
    fn decide_get_of_nothing(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        opaque: i32,
        get: &Get,
    ) -> Option<Reply> {
        let not_there = Some(no_such_partition(&get.topic, get.partition));
        let Some(bytes_max) = self.bytes_max(get.max_size) else {
            return not_there;
        };
        let configured = self.catalog.find(&get.topic).is_some()
            || self.catalog.configured_names().contains(&get.topic);
        let settings = self.catalog.settings_for(get.topic.as_str());
        let in_range = |partitions| (0..partitions).contains(&get.partition);
        if !configured || !settings.is_some_and(|settings| in_range(settings.partitions)) {
            return not_there;
        }
        if get.offset == WHERE_IS_THE_END {
            return Some(Reply::Moved(0));
        }
        if get.offset != 0 || !self.waiting.enabled() {
            return not_there;
        }
        let partition = self.partition_or_new(&get.topic, get.partition);
        let waiting = WaitingGet {
            connection,
            opaque,
            partition,
            offset: 0,
            bytes_max,
            reader: None,
        };
        if self.waiting.arrive(now, &get.group, waiting) {
            None
        } else {
            not_there
        }
    }

    fn bytes_max(&self, max_size: i32) -> Option<u32> {
        let wanted = u32::try_from(max_size).ok().filter(|&wanted| wanted > 0)?;
        Some(wanted.min(self.options.transfer_bytes_max))
    }

    fn closed(&self, partition: i32) -> Reply {
        let broker = self.options.broker_id;
        let text = format!("Partition[{broker}-{partition}] has been closed");
        Reply::Refused(Refusal {
            kind: RefusalKind::Forbidden,
            text,
        })
    }

    fn miss(&mut self, now: Moment, get: &Get) {
        self.stats.get_misses += 1;
        let topic = self.catalog.find(&get.topic);
        self.record(now, topic, Item::GetMiss, 1);
    }

    fn beyond_end(&mut self, now: Moment, get: &Get, end: u64, effects: &mut Vec<Effect>) {
        self.stats.gets_beyond_end += 1;
        let due = self
            .beyond_warned
            .is_none_or(|last| now.since(last).as_millis() >= u128::from(BEYOND_WARNING_MS));
        if due {
            self.beyond_warned = Some(now);
            effects.push(Effect::Warn(Warning::OffsetBeyondEnd {
                topic: get.topic.detached(),
                group: get.group.detached(),
                partition: get.partition,
                offset: get.offset,
                end,
            }));
        }
    }

    /// Answers a get with what is at its offset now.
    pub(super) fn serve(&mut self, get: WaitingGet, effects: &mut Vec<Effect>) {
        let WaitingGet {
            connection,
            opaque,
            partition: id,
            offset,
            bytes_max,
            ..
        } = get;
        let partition = self.partition(id);
        let found = partition
            .segments
            .lookup(id, offset, partition.visible, bytes_max.into());
        let reply = match found {
            Lookup::Place(place) => {
                self.stats.get_bytes += place.length;
                self.waiting.sent(&get, place.length);
                effects.push(Effect::Place {
                    connection,
                    opaque,
                    place,
                });
                return;
            }
            Lookup::Check(range) => match self.check(range, get, effects) {
                None => return,
                Some(reply) => reply,
            },
            Lookup::Before(first) => Reply::Moved(first),
            Lookup::AtEnd => nothing_at(i64::try_from(offset).unwrap_or(i64::MAX)),
            // Behind damage it may not be known where a record begins: then it is named for what lies behind it.
            Lookup::Damaged { file, at }
                if offset.max(file.start + at) < self.partition(id).skips_below =>
            {
                match self.pass_damage(file, at, get, effects) {
                    None => return,
                    Some(reply) => reply,
                }
            }
            Lookup::Damaged { file, at } => self.damaged(id, file.start + at),
        };
        effects.push(Effect::Reply {
            connection,
            opaque,
            reply,
        });
    }

    fn damaged(&self, id: PartitionId, at: u64) -> Reply {
        self.get_failed(
            id,
            &format!("the record at {at} is damaged; the broker's log says more"),
        )
    }

    pub(super) fn get_failed(&self, id: PartitionId, detail: &str) -> Reply {
        let url = &self.options.url;
        let (topic, number) = self.name_of(id);
        let text = format!(
            "Get messages from [broker '{url}'] [partition '{topic}-{number}'] failed.Detail:{detail}"
        );
        Reply::Refused(Refusal {
            kind: RefusalKind::Failed,
            text,
        })
    }

    /// Lets a get wait until a range is checked.
    fn check(&mut self, range: Range, get: WaitingGet, effects: &mut Vec<Effect>) -> Option<Reply> {
        if self.checks.waiting >= CHECKING_MAX {
            let kind = RefusalKind::Unavailable;
            let text = "too many reads of old messages at a time".to_owned();
            return Some(Reply::Refused(Refusal { kind, text }));
        }
        self.checks.waiting += 1;
        let same = (range.file, range.from, range.to);
        if let Some(ticket) = self.checks.tickets.get(&same)
            && let Some((_, gets)) = self.checks.jobs.get_mut(ticket)
        {
            gets.push(get);
            return None;
        }
        let ticket = self.ticket();
        self.checks.tickets.insert(same, ticket);
        self.checks.jobs.insert(ticket, (range, vec![get]));
        effects.push(Effect::Verify { ticket, range });
        None
    }

    /// A range was checked: the gets that waited for it go on.
    pub(super) fn verified(&mut self, ticket: Ticket, outcome: Outcome, effects: &mut Vec<Effect>) {
        let Some((range, gets)) = self.checks.jobs.remove(&ticket) else {
            return;
        };
        self.checks
            .tickets
            .remove(&(range.file, range.from, range.to));
        self.checks.waiting -= gets.len();
        let file = range.file;
        let partition = &mut self.partitions[file.partition.0 as usize];
        if let Some(segment) = partition.segments.starting_at(file.start) {
            let known = segment.verified.damaged().len();
            segment.verified.learn(range.from, outcome);
            if let Outcome::Bad { at, .. } = outcome
                && segment.verified.damaged().len() > known
            {
                self.stats.damaged_records += 1;
                effects.push(Effect::Warn(Warning::Damage { file, position: at }));
            }
        }
        for get in gets {
            let partition = self.partition(file.partition);
            let bytes_max = u64::from(get.bytes_max);
            let segments = &partition.segments;
            let next = segments.lookup(file.partition, get.offset, partition.visible, bytes_max);
            // A file that is gone by now is answered by where the partition begins.
            if outcome == Outcome::Unreadable && matches!(next, Lookup::Check(_)) {
                let reply = self.get_failed(file.partition, "the file cannot be read");
                let (connection, opaque) = (get.connection, get.opaque);
                effects.push(Effect::Reply {
                    connection,
                    opaque,
                    reply,
                });
            } else {
                self.serve(get, effects);
            }
        }
    }

    /// What a group's consumers own, as far as it is here.
    pub(super) fn owned(
        &mut self,
        now: Moment,
        group: &Name,
        owned: Vec<Owned>,
        elsewhere: &[Elsewhere],
    ) {
        let here = |one: Owned| {
            let topic = self.catalog.find(&one.topic)?;
            let partition = self.catalog.topic(topic).partition(one.partition)?;
            let segments = &self.partition(partition).segments;
            Some(Ownership {
                partition,
                consumer: one.consumer,
                has_messages: segments.first() < segments.end(),
                position: one.position,
            })
        };
        let owned: Vec<Ownership> = owned.into_iter().filter_map(here).collect();
        self.waiting.owned(now, group, &owned, elsewhere);
    }

    /// Answers the gets whose waiting ended, and asks what the waiting wants to know.
    pub(super) fn answer_waiting(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for (to, word) in std::mem::take(&mut self.waiting.words) {
            effects.push(Effect::Tell { to, word });
        }
        while !self.waiting.answers.is_empty() || !self.waiting.questions.is_empty() {
            for question in std::mem::take(&mut self.waiting.questions) {
                effects.push(match question {
                    Question::Owner { group, partition } => {
                        let (topic, partition) = self.name_of(partition);
                        let topic = topic.clone();
                        Effect::AskOwner {
                            group,
                            topic,
                            partition,
                        }
                    }
                    Question::Owned { group } => Effect::AskOwned { group },
                });
            }
            for Answer { get, end } in std::mem::take(&mut self.waiting.answers) {
                self.answer_waited(now, get, end, effects);
            }
        }
    }

    fn answer_waited(&mut self, now: Moment, get: WaitingGet, end: End, effects: &mut Vec<Effect>) {
        let (connection, opaque) = (get.connection, get.opaque);
        let reply = match end {
            End::Data => return self.serve(get, effects),
            End::Again | End::Turn => Reply::Value(bad_record()),
            End::Nothing | End::Room => self.nothing_new(&get),
            End::Decide => {
                let (topic, number) = self.name_of(get.partition);
                if self.catalog.is_closed(topic, number) {
                    self.closed(number)
                } else {
                    self.nothing_new(&get)
                }
            }
        };
        let topic = self.partition(get.partition).topic;
        self.stats.get_misses += 1;
        self.record(now, Some(topic), Item::GetMiss, 1);
        effects.push(Effect::Reply {
            connection,
            opaque,
            reply,
        });
    }

    /// What a get that was parked is told when there is nothing.
    fn nothing_new(&self, get: &WaitingGet) -> Reply {
        if self.partition(get.partition).has_files() {
            nothing_at(i64::try_from(get.offset).unwrap_or(i64::MAX))
        } else {
            let (topic, number) = self.name_of(get.partition);
            no_such_partition(topic, number)
        }
    }
}

fn nothing_at(offset: i64) -> Reply {
    let text = format!("Could not find message at position {offset}");
    Reply::Refused(Refusal {
        kind: RefusalKind::NotFound,
        text,
    })
}

/// A partition that was never written, for get and offset alike.
pub(super) fn no_such_partition(topic: &Name, partition: i32) -> Reply {
    let topic = excerpt(topic);
    let text = format!("The topic `{topic}` in partition `{partition}` is not exists");
    Reply::Refused(Refusal {
        kind: RefusalKind::NotFound,
        text,
    })
}
