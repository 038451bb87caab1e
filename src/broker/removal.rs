//! From the entry that retires files to the files being gone.
//!
//! Four stages: the entry takes a file out of its partition; a checkpoint lists it as retired; when that
//! checkpoint is durable the file is removed or archived; and the first checkpoint after that, which syncs
//! the folder, lists it no more. So a file that a checkpoint names as good is there after any crash, and
//! none comes back unexplained. Removals do not queue behind writes: on a full disk they are the cure.

use std::collections::BTreeMap;

use super::Broker;
use super::event::{Effect, Ticket, Warning};
use crate::segments::retention::{Action, Retired};
use crate::segments::{FileId, FileOperation, PartitionId};
use crate::units::Moment;

/// How far a file has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// An entry retired it.
    Applied,
    /// A checkpoint that is being made lists it.
    Noted,
    /// A durable checkpoint lists it.
    Listed,
    /// Its removal was given out.
    Leaving,
    /// It is gone from the folder; its name may come back with a power cut.
    Gone,
}

/// Files that were retired.
#[derive(Debug, Default)]
pub(super) struct Removals {
    files: Vec<(FileId, Action, Stage)>,
    jobs: BTreeMap<Ticket, Vec<FileId>>,
    /// A removal found no space; when to try again.
    retry: Option<Moment>,
}

impl Removals {
    /// An entry retired a file.
    pub(super) fn retired(&mut self, file: FileId, action: Action) {
        self.files.push((file, action, Stage::Applied));
    }

    /// The checkpoint the server opened with lists a file.
    pub(super) fn listed(&mut self, file: FileId, action: Action) {
        self.files.push((file, action, Stage::Listed));
    }

    /// Files are on their way out.
    pub(super) fn under_way(&self) -> bool {
        self.files.iter().any(|&(_, _, stage)| stage != Stage::Gone)
    }

    pub(super) fn retry(&self) -> Option<Moment> {
        self.retry
    }

    /// A checkpoint begins: what it must list, by partition.
    pub(super) fn note(&mut self) -> BTreeMap<PartitionId, Vec<Retired>> {
        self.files.retain(|&(_, _, stage)| stage != Stage::Gone);
        let mut noted: BTreeMap<PartitionId, Vec<Retired>> = BTreeMap::new();
        for (file, action, stage) in &mut self.files {
            if *stage == Stage::Applied {
                *stage = Stage::Noted;
            }
            let retired = Retired {
                start: file.start,
                action: *action,
            };
            noted.entry(file.partition).or_default().push(retired);
        }
        noted
    }

    /// The checkpoint that noted files is durable.
    pub(super) fn checkpointed(&mut self) {
        self.change(|_| true, Stage::Noted, Stage::Listed);
    }

    fn change(&mut self, which: impl Fn(FileId) -> bool, from: Stage, to: Stage) {
        let chosen = self
            .files
            .iter_mut()
            .filter(|(file, _, stage)| *stage == from && which(*file));
        chosen.for_each(|(_, _, stage)| *stage = to);
    }
}

impl Broker {
    /// Gives out the removal of what may go.
    pub(super) fn remove_files(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.removals.files.is_empty() || self.removals.retry.is_some_and(|retry| retry > now) {
            return;
        }
        self.removals.retry = None;
        let mut operations = Vec::new();
        let mut leaving = Vec::new();
        for (file, action, stage) in &mut self.removals.files {
            // A write that comes later would make the file again.
            if *stage != Stage::Listed || self.writer.touches(*file) {
                continue;
            }
            *stage = Stage::Leaving;
            leaving.push(*file);
            let file = *file;
            operations.push(match *action {
                Action::Delete => FileOperation::Remove { file },
                Action::Archive { compress } => FileOperation::Archive { file, compress },
            });
        }
        if !operations.is_empty() {
            let ticket = self.ticket();
            self.removals.jobs.insert(ticket, leaving);
            effects.push(Effect::Files { ticket, operations });
        }
    }

    /// A job was reported; true: it was a removal.
    pub(super) fn removal_reported(
        &mut self,
        now: Moment,
        ticket: Ticket,
        done: bool,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(files) = self.removals.jobs.remove(&ticket) else {
            return false;
        };
        let mine = |file: FileId| files.contains(&file);
        if done {
            for &(file, action, stage) in &self.removals.files {
                if stage == Stage::Leaving && mine(file) {
                    let (topic, partition) = self.name_of(file.partition);
                    effects.push(Effect::Warn(Warning::FileRetired {
                        topic: topic.clone(),
                        partition,
                        start: file.start,
                        action,
                    }));
                }
            }
            self.removals.change(mine, Stage::Leaving, Stage::Gone);
            for file in files {
                self.checkpoints.removed(now, file);
            }
        } else {
            self.removals.change(mine, Stage::Leaving, Stage::Listed);
            self.removals.retry = Some(now + self.options.disk_full_retry);
        }
        true
    }
}
