//! Committed entries take effect.
//!
//! What an entry does depends on nothing but the entry and those before it. A server that meets one it does
//! not know, or one that does not continue where the files end, stops: going on would make its files
//! different from everybody else's.

use bytes::Bytes;

use super::Broker;
use super::command::{Append, Command, Commands, Cut, Retire, RunHead, Unknown};
use super::event::Effect;
use super::files::Advance;
use crate::segments::append::Run;
use crate::segments::format::last_record;
use crate::segments::recovery::{Damage, Settled};
use crate::segments::{FileId, PartitionId};
use crate::units::WallTime;

/// Why a server cannot go on.
#[derive(Debug)]
pub(super) struct Stop {
    /// A later release wrote the entry.
    pub(super) newer: bool,
    /// What happened.
    pub(super) reason: String,
}

impl From<Unknown> for Stop {
    fn from(unknown: Unknown) -> Stop {
        Stop {
            newer: unknown.is_newer(),
            reason: unknown.to_string(),
        }
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Stop {
        Stop {
            newer: false,
            reason: damage.to_string(),
        }
    }
}

impl Broker {
    /// Applies an entry.
    pub(super) fn committed(&mut self, index: u64, data: Bytes, effects: &mut Vec<Effect>) {
        if index <= self.writer.job.index {
            // The checkpoint holds it already.
            return;
        }
        if let Err(stop) = self.apply(index, data) {
            self.halt(stop, effects);
            return;
        }
        self.writer.job.index = index;
    }

    fn apply(&mut self, index: u64, data: Bytes) -> Result<(), Stop> {
        let mut commands = Commands::new(index, data);
        loop {
            match commands.next()? {
                Some(Command::Append(append)) => self.apply_append(index, append)?,
                Some(Command::Retire(retire)) => self.apply_retire(&retire),
                None => return Ok(()),
            }
        }
    }

    fn apply_append(&mut self, index: u64, mut append: Append) -> Result<(), Stop> {
        self.ids.seen(append.last_message_id);
        while let Some((head, records)) = append.next_run(index)? {
            self.apply_run(index, &head, records, append.wall)?;
        }
        if let Some(pending) = self.proposals.committed(append.proposer, append.sequence) {
            self.writer.job.pending.push(pending);
        }
        Ok(())
    }

    fn apply_run(
        &mut self,
        index: u64,
        head: &RunHead,
        records: Bytes,
        wall: WallTime,
    ) -> Result<(), Stop> {
        let id = self.partition_or_new(&head.topic, head.partition);
        let partition = &mut self.partitions[id.0 as usize];
        if let Some(unsettled) = partition.unsettled.take() {
            let settled = unsettled.cut(id, head.offset)?;
            self.settle(id, settled);
        }
        let partition = &mut self.partitions[id.0 as usize];
        if partition.has_files() && partition.segments.end() != head.offset {
            let (topic, number) = (&head.topic, head.partition);
            let (end, offset) = (partition.segments.end(), head.offset);
            let reason = format!(
                "entry {index} continues partition {topic}-{number} at {offset}, but it ends at {end}; \
                 the journal and the files in the data folder do not belong together"
            );
            return Err(Stop {
                newer: false,
                reason,
            });
        }
        let end = head.offset + records.len() as u64;
        let last = head.offset + last_record(&records);
        self.waiting
            .appended(id, head.offset, head.messages.into(), last, end);
        let run = Run {
            offset: head.offset,
            records,
            rolls: head.rolls,
        };
        let segment = partition
            .segments
            .append(id, run, wall, &mut self.writer.writes);
        let messages = head.messages;
        self.writer.job.advances.push(Advance {
            partition: id,
            segment,
            end,
            messages,
            wall,
        });
        Ok(())
    }

    fn apply_retire(&mut self, retire: &Retire) {
        for Cut {
            topic,
            partition,
            first,
            action,
        } in &retire.cuts
        {
            let id = self.partition_or_new(topic, *partition);
            let partition = &mut self.partitions[id.0 as usize];
            let gone = match &mut partition.unsettled {
                Some(unsettled) => unsettled.retire(*first),
                None => partition.segments.retire(*first),
            };
            for start in gone {
                self.removals.retired(
                    FileId {
                        partition: id,
                        start,
                    },
                    *action,
                );
            }
        }
        self.retired = true;
        self.retiring = self.retiring.saturating_sub(1);
        self.checkpoints.request();
    }

    /// Takes over what the files of a partition turned out to be.
    pub(super) fn settle(&mut self, id: PartitionId, settled: Settled) {
        let Settled {
            segments,
            operations,
            ..
        } = settled;
        for operation in operations {
            match operation {
                crate::segments::FileOperation::Write {
                    file,
                    position,
                    slices,
                } => {
                    let mut position = position;
                    for slice in slices {
                        let length = slice.len() as u64;
                        self.writer.writes.write(file, position, slice);
                        position += length;
                    }
                }
                other => self.writer.writes.push(other.file(), other),
            }
        }
        let partition = &mut self.partitions[id.0 as usize];
        partition.segments = crate::segments::partition::Segments::new(segments);
        partition.visible = partition.segments.end();
        partition.written = partition.has_files();
    }

    /// Settles the partitions that no entry concerned. False: something is damaged.
    pub(super) fn settle_all(&mut self, wall: WallTime) -> Result<(), Damage> {
        for index in 0..self.partitions.len() {
            let id = PartitionId(u32::try_from(index).expect("there is a limit"));
            let partition = &mut self.partitions[index];
            if let Some(unsettled) = partition.unsettled.take() {
                let settled = unsettled.adopt(id)?;
                if let Some(message_id) = settled.last_message_id {
                    self.ids.adopted(message_id, wall);
                }
                self.adopting |= settled.adopted;
                self.settle(id, settled);
            }
        }
        Ok(())
    }
}
