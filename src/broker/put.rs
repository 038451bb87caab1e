//! `put`: admission, and the entry that a turn's puts become.
//!
//! A put that is admitted is only gathered; at the end of the turn all that were gathered become one entry
//! (or several, when there are many megabytes). There each gets its offset, in the order of arrival, and
//! its bytes are copied once, from the socket's buffer to their place in the entry: the records of one
//! partition side by side, so that one write brings them to their file.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Broker;
use super::command::{
    APPEND_HEADER_BYTES, AppendHead, COMMAND_HEADER_BYTES, RUN_HEADER_BYTES, begin_append,
    begin_run, finish,
};
use super::event::{Effect, Shortage};
use super::reply::{Refusal, RefusalKind, Reply};
use super::request::{Name, Put};
use super::stats::Item;
use super::topic::TopicId;
use crate::segments::PartitionId;
use crate::segments::format::{DATA_BYTES_MAX, HEADER_BYTES, Header, checksum};
use crate::units::{ConnectionId, Moment, WallTime};

/// "Choose one for me."
const ANY_PARTITION: i32 = -1;
/// "No checksum given."
const NO_CHECKSUM: i32 = -1;

/// A put that was admitted and has no offset yet.
#[derive(Debug)]
struct Gathered {
    connection: ConnectionId,
    opaque: i32,
    arrived: Moment,
    partition: PartitionId,
    message_id: i64,
    checksum: i32,
    flag: i32,
    data: Bytes,
}

impl Gathered {
    fn record_bytes(&self) -> usize {
        HEADER_BYTES + self.data.len()
    }
}

/// A put that is on its way, and what its client will be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promised {
    pub(super) connection: ConnectionId,
    pub(super) opaque: i32,
    pub(super) arrived: Moment,
    pub(super) message_id: i64,
    pub(super) partition: i32,
    pub(super) offset: u64,
}

/// What is due once a proposed append is written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sequence: u64,
    pub(super) bytes: usize,
    pub(super) replies: Vec<Promised>,
    /// Connections that asked to quit after these puts.
    pub(super) closes: Vec<ConnectionId>,
}

/// Puts between their arrival and their commit.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    gathered: Vec<Gathered>,
    gathered_bytes: usize,
    gathered_closes: Vec<ConnectionId>,
    /// Numbers this run of proposing; drawn anew whenever it begins.
    proposer: u64,
    sequence: u64,
    pending: VecDeque<Pending>,
    uncommitted_bytes: usize,
    entries: u64,
    /// The puts that follow each other in one run; kept for its memory.
    next: Vec<usize>,
}

/// A run of an entry being made.
#[derive(Debug)]
struct Run {
    partition: PartitionId,
    offset: u64,
    bytes: usize,
    messages: u32,
    rolls: bool,
    first: usize,
    last: usize,
}

const END: usize = usize::MAX;

impl Proposals {
    /// Bytes of records that are gathered or proposed.
    pub(super) fn bytes(&self) -> usize {
        self.gathered_bytes + self.uncommitted_bytes
    }

    pub(super) fn is_idle(&self) -> bool {
        self.gathered.is_empty() && self.pending.is_empty()
    }

    /// Nothing that was proposed before concerns what comes now.
    pub(super) fn begin(&mut self, proposer: u64) {
        *self = Proposals {
            proposer,
            entries: self.entries,
            ..Proposals::default()
        };
    }

    /// An append was committed: what is due for it, if it is one of this run.
    pub(super) fn committed(&mut self, proposer: u64, sequence: u64) -> Option<Pending> {
        if proposer != self.proposer || self.pending.front()?.sequence != sequence {
            return None;
        }
        let pending = self.pending.pop_front()?;
        self.uncommitted_bytes -= pending.bytes;
        Some(pending)
    }

    /// Closes the connection behind everything that is on its way. False: nothing is.
    pub(super) fn close_after(&mut self, connection: ConnectionId) -> bool {
        if !self.gathered.is_empty() {
            self.gathered_closes.push(connection);
        } else if let Some(last) = self.pending.back_mut() {
            last.closes.push(connection);
        } else {
            return false;
        }
        true
    }
}

impl Broker {
    /// Takes a put in, or refuses it.
    pub(super) fn put(
        &mut self,
        now: Moment,
        wall: WallTime,
        connection: ConnectionId,
        opaque: i32,
        put: Put,
        effects: &mut Vec<Effect>,
    ) {
        self.stats.puts += 1;
        let topic = self.catalog.find(&put.topic);
        self.record(now, topic, Item::Put, 1);
        self.record(now, topic, Item::MessageSize, put.data.len() as u64);
        match self.admit(wall, &put, effects) {
            Ok((partition, message_id, checksum)) => {
                let Put { flag, data, .. } = put;
                let gathered = Gathered {
                    connection,
                    opaque,
                    arrived: now,
                    partition,
                    message_id,
                    checksum,
                    flag,
                    data,
                };
                self.proposals.gathered_bytes += gathered.record_bytes();
                self.proposals.gathered.push(gathered);
            }
            Err(refusal) => {
                if refusal.kind == RefusalKind::Failed {
                    self.stats.puts_failed += 1;
                    let topic = self.catalog.find(&put.topic);
                    self.record(now, topic, Item::PutFailed, 1);
                }
                effects.push(Effect::Reply {
                    connection,
                    opaque,
                    reply: Reply::Refused(refusal),
                });
            }
        }
    }

    /// The rules, in the order of Metamorphosis. On success: where to, the message's id and its checksum.
    fn admit(
        &mut self,
        wall: WallTime,
        put: &Put,
        effects: &mut Vec<Effect>,
    ) -> Result<(PartitionId, i64, i32), Refusal> {
        if let Some(key) = &put.transaction {
            return Err(failed(not_started(key)));
        }
        if self.catalog.is_closed(&put.topic, put.partition) {
            let broker = self.options.broker_id;
            let number = put.partition;
            let detail = format!("partition[{broker}-{number}] has been closed");
            let kind = RefusalKind::Forbidden;
            return Err(Refusal {
                kind,
                text: self.put_failed(&put.topic, number, &detail),
            });
        }
        let known = self.catalog.find(&put.topic);
        let settings = match known {
            Some(id) => self.catalog.topic(id).settings.clone(),
            None => self.catalog.settings_for(put.topic.as_str()),
        };
        let partitions = settings
            .as_ref()
            .unwrap_or(&self.catalog.defaults)
            .partitions;
        let number = match put.partition {
            ANY_PARTITION => {
                let chosen = self
                    .random
                    .below(u64::from(partitions.max(1).unsigned_abs()));
                i32::try_from(chosen).expect("it is below an i32")
            }
            number => number,
        };
        let refuse = |broker: &Broker, detail: &str| {
            Err(failed(broker.put_failed(&put.topic, number, detail)))
        };
        let Some(settings) = settings else {
            let topic = excerpt(&put.topic);
            return refuse(self, &format!("The server do not accept topic {topic}"));
        };
        if number < 0 || number >= partitions {
            return refuse(self, &format!("wrong partition {number}"));
        }
        let bytes_max = self.options.message_bytes_max.min(DATA_BYTES_MAX);
        if put.data.len() > bytes_max {
            let bytes = put.data.len();
            let detail =
                format!("the message has {bytes} bytes, more than the {bytes_max} allowed");
            return refuse(self, &detail);
        }
        if let Some(detail) = self.no_room() {
            return refuse(self, detail);
        }
        let existing = known.and_then(|id| self.catalog.topic(id).partition(number));
        if existing.is_none() && self.partitions.len() >= self.options.partitions_max {
            return refuse(self, "there are as many partitions as this broker may have");
        }
        let topic = known.unwrap_or_else(|| self.catalog.find_or_add(&put.topic));
        // Metamorphosis registers before it appends. Here both go on at once: the registry may wait for
        // a coordinator that is away, and a producer that is connected must not. Consumers lose nothing:
        // they find the topic a moment later and begin at its first message.
        if self.catalog.topic(topic).registered.is_none() {
            self.register(topic, effects);
        }
        let checksum = checksum(&put.data);
        if put.checksum != NO_CHECKSUM && put.checksum != checksum {
            let detail =
                "Checksum failure,message may be corrupted when transfering on networking.";
            return refuse(self, detail);
        }
        let Some(message_id) = self.ids.next(wall) else {
            return refuse(self, "the message ids are used up");
        };
        let partition = match existing {
            Some(id) => id,
            None => self.add_partition(topic, number, settings.data_folder),
        };
        Ok((partition, message_id, checksum))
    }

    /// Why puts are refused just now.
    fn no_room(&self) -> Option<&'static str> {
        if self.writer.shortage() == Some(Shortage::Folder) {
            Some(
                "E0206: a folder of message files is not there: messages are stored again when it is back",
            )
        } else if self.writer.shortage() == Some(Shortage::Descriptors) {
            Some(
                "broker has too many files open: messages can be read, and stored again when it has fewer",
            )
        } else if self.writer.is_parked() || self.pressure.disk {
            Some("disk is full: messages can be read, and stored again when there is space")
        } else if self.pressure.journal {
            Some("journal is full: messages can be read, and stored again when there is room in it")
        } else {
            None
        }
    }

    /// The text of a put that did not succeed.
    pub(super) fn put_failed(&self, topic: &Name, partition: i32, detail: &str) -> String {
        let url = &self.options.url;
        let topic = excerpt(topic);
        let mut text =
            format!("Put message to [broker '{url}'] [partition '{topic}-{partition}'] failed.");
        if !detail.is_empty() {
            text.push_str("Detail:");
            text.push_str(detail);
        }
        text
    }

    /// Proposes what was gathered, as far as not too much is on its way already.
    pub(super) fn propose_puts(&mut self, wall: WallTime, effects: &mut Vec<Effect>) {
        while !self.proposals.gathered.is_empty()
            && self.proposals.uncommitted_bytes < self.options.uncommitted_bytes_max
        {
            let entry = self.draft_append(wall);
            effects.push(Effect::Propose(entry));
        }
    }

    /// Makes an entry of the oldest puts that were gathered.
    fn draft_append(&mut self, wall: WallTime) -> Bytes {
        let proposals = &mut self.proposals;
        proposals.entries += 1;
        proposals.sequence += 1;
        let number = proposals.entries;
        let mut pending = Pending {
            sequence: proposals.sequence,
            ..Pending::default()
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut topics_bytes = 0;
        let mut last_message_id = 0;
        proposals.next.clear();
        for (index, put) in proposals.gathered.iter().enumerate() {
            let bytes = put.record_bytes();
            if index > 0 && pending.bytes + bytes > self.options.entry_bytes_max {
                break;
            }
            proposals.next.push(END);
            let partition = &mut self.partitions[put.partition.0 as usize];
            let run = match partition.draft {
                (entry, Some(run)) if entry == number => {
                    proposals.next[runs[run].last] = index;
                    &mut runs[run]
                }
                _ => {
                    partition.draft = (number, Some(runs.len()));
                    topics_bytes += self.catalog.topic(partition.topic).name.as_bytes().len();
                    runs.push(Run {
                        partition: put.partition,
                        offset: partition.proposed_end,
                        bytes: 0,
                        messages: 0,
                        rolls: false,
                        first: index,
                        last: index,
                    });
                    runs.last_mut().expect("it was just pushed")
                }
            };
            pending.replies.push(Promised {
                connection: put.connection,
                opaque: put.opaque,
                arrived: put.arrived,
                message_id: put.message_id,
                partition: partition.number,
                offset: partition.proposed_end,
            });
            pending.bytes += bytes;
            last_message_id = last_message_id.max(put.message_id);
            run.last = index;
            run.bytes += bytes;
            run.messages += 1;
            partition.proposed_end += bytes as u64;
            let segment_bytes = partition.proposed_end - partition.proposed_segment;
            if segment_bytes >= self.options.segment_bytes_max {
                run.rolls = true;
                partition.proposed_segment = partition.proposed_end;
                partition.draft = (number, None);
            }
        }
        let head = AppendHead {
            proposer: proposals.proposer,
            sequence: pending.sequence,
            wall,
            last_message_id,
        };
        let heads_bytes = COMMAND_HEADER_BYTES + APPEND_HEADER_BYTES;
        let size = heads_bytes + runs.len() * RUN_HEADER_BYTES + topics_bytes + pending.bytes;
        let mut entry = Vec::with_capacity(size);
        begin_append(&mut entry, &head);
        for run in &runs {
            let partition = &self.partitions[run.partition.0 as usize];
            let topic = &self.catalog.topic(partition.topic).name;
            begin_run(
                &mut entry,
                topic,
                partition.number,
                run.offset,
                run.rolls,
                run.messages,
                run.bytes,
            );
            let mut index = run.first;
            while index != END {
                let put = &proposals.gathered[index];
                let header = Header {
                    length: u32::try_from(put.data.len()).expect("the limit is far below"),
                    checksum: put.checksum,
                    message_id: put.message_id,
                    flag: put.flag,
                };
                entry.extend_from_slice(&header.encode());
                entry.extend_from_slice(&put.data);
                index = proposals.next[index];
            }
        }
        finish(&mut entry, 0);
        debug_assert_eq!(entry.len(), size, "an entry is measured before it is made");
        proposals.gathered.drain(..pending.replies.len());
        proposals.gathered_bytes -= pending.bytes;
        proposals.uncommitted_bytes += pending.bytes;
        if proposals.gathered.is_empty() {
            pending.closes = std::mem::take(&mut proposals.gathered_closes);
        }
        proposals.pending.push_back(pending);
        Bytes::from(entry)
    }

    /// Refuses what was gathered and cannot be proposed.
    pub(super) fn refuse_gathered(&mut self, effects: &mut Vec<Effect>) {
        let gathered = std::mem::take(&mut self.proposals.gathered);
        self.proposals.gathered_bytes = 0;
        let detail = self.no_room().unwrap_or_default();
        for put in gathered {
            let (topic, number) = self.name_of(put.partition);
            let refusal = failed(self.put_failed(topic, number, detail));
            self.stats.puts_failed += 1;
            let (connection, opaque) = (put.connection, put.opaque);
            effects.push(Effect::Reply {
                connection,
                opaque,
                reply: Reply::Refused(refusal),
            });
        }
        for connection in std::mem::take(&mut self.proposals.gathered_closes) {
            effects.push(Effect::Close { connection });
        }
    }

    fn add_partition(&mut self, topic: TopicId, number: i32, data_folder: u32) -> PartitionId {
        let id = PartitionId(u32::try_from(self.partitions.len()).expect("there is a limit"));
        self.partitions
            .push(super::partition::Partition::new(topic, number, data_folder));
        self.catalog.topic_mut(topic).add_partition(number, id);
        id
    }

    /// The partition of a topic; made, without files, if it is new.
    pub(super) fn partition_or_new(&mut self, topic: &Name, number: i32) -> PartitionId {
        let topic = self.catalog.find_or_add(topic);
        if let Some(id) = self.catalog.topic(topic).partition(number) {
            return id;
        }
        let settings = self.catalog.topic(topic).settings.as_ref();
        let data_folder = settings.unwrap_or(&self.catalog.defaults).data_folder;
        self.add_partition(topic, number, data_folder)
    }
}

fn failed(text: String) -> Refusal {
    Refusal {
        kind: RefusalKind::Failed,
        text,
    }
}

/// What a transactional put is told: no transaction can have been started, for that is refused too.
fn not_started(key: &Name) -> String {
    let kind = if key.as_str().starts_with("XID:") {
        "XA"
    } else {
        "Local"
    };
    format!(
        "{kind} transaction '{}' has not been started.",
        excerpt(key)
    )
}

/// A name from a client as it is shown back: very long ones are cut.
pub(super) fn excerpt(name: &Name) -> &str {
    const SHOWN_BYTES_MAX: usize = 512;
    let name = name.as_str();
    &name[..name.floor_char_boundary(SHOWN_BYTES_MAX)]
}
