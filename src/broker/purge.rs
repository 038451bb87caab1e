//! All messages of a topic go, because an operator deletes it.
//!
//! Retention never takes the last file of a partition: it remembers the offset at which the next message goes. So the
//! file that grows is closed first, by a run without records, and when readers have seen its end all files but the new,
//! empty one are retired as retention does it. A topic of that name that is made again goes on at these offsets, and
//! groups that come back miss nothing of it.

use bytes::Bytes;

use super::Broker;
use super::command::{AppendHead, begin_append, begin_run, finish};
use super::request::Name;
use crate::segments::PartitionId;

/// The proposer of what nobody waits for.
const NOBODY: u64 = 0;

impl Broker {
    /// An operator wants all messages of this topic to go.
    pub(super) fn purge(&mut self, topic: &Name) {
        let Some(id) = self.catalog.find(topic).filter(|_| self.leading) else {
            return;
        };
        let mut entry = Vec::new();
        let head = AppendHead {
            proposer: NOBODY,
            sequence: 0,
            wall: self.wall,
            last_message_id: 0,
        };
        begin_append(&mut entry, &head);
        let without_runs = entry.len();
        for (number, id) in self.catalog.topic(id).partitions().to_vec() {
            let partition = &mut self.partitions[id.0 as usize];
            let end = partition.proposed_end;
            if partition.proposed_segment < end {
                partition.proposed_segment = end;
                begin_run(&mut entry, topic, number, end, true, 0, 0);
            }
            if partition.proposed_first < end {
                self.purging.push((id, end));
            }
        }
        if entry.len() > without_runs {
            finish(&mut entry, 0);
            self.commands.push(Bytes::from(entry));
        }
    }

    /// Retires the files whose last record readers can see.
    pub(super) fn retire_purged(&mut self) {
        if self.purging.is_empty() {
            return;
        }
        let due = |&(id, end): &(PartitionId, u64)| {
            let partition = &self.partitions[id.0 as usize];
            let last = partition.segments.last();
            partition.visible >= end && last.is_some_and(|last| last.start >= end)
        };
        let (due, later): (Vec<_>, Vec<_>) = self.purging.iter().copied().partition(due);
        self.purging = later;
        self.propose_deletion(self.wall, due);
    }
}
