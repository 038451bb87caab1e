//! A partition between the listing of its folder and the moment its history is known.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Damage, Found, FoundFile, Tail};
use crate::segments::checkpoint::{PartitionCheckpoint, SegmentCheckpoint};
use crate::segments::format::{file_name, folder_name};
use crate::segments::partition::Segment;
use crate::segments::retention::Retired;
use crate::segments::{FileId, FileOperation, PartitionId};

/// A partition whose history is not known yet.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The topic.
    pub topic: String,
    /// The number.
    pub number: i32,
    /// Which data folder it lies in.
    pub data_folder: u32,
    /// Files that the checkpoint lists as retired: they have to go, if they are still there.
    pub retired: Vec<Retired>,
    /// All others, by start.
    files: Vec<FoundFile>,
    /// What the checkpoint says; `None` if it says nothing.
    promise: Option<Vec<SegmentCheckpoint>>,
    /// Lost ranges that are filled up: start of the file, first and last position.
    fills: Vec<(u64, u64, u64)>,
    /// What is missing is filled up, and does not hinder.
    accept_loss: bool,
    /// Only what the checkpoint promises is believed.
    pub(super) forsaken: bool,
    pub(super) tail: Option<Tail>,
}

/// A partition that can be appended to.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Its files.
    pub segments: VecDeque<Segment>,
    /// What must be done to them first.
    pub operations: Vec<FileOperation>,
    /// The files are not what the checkpoint says, by another broker's doing.
    pub adopted: bool,
    /// The highest message id that was adopted.
    pub last_message_id: Option<i64>,
}

impl Unsettled {
    /// `found.files` are sorted.
    pub(super) fn new(
        found: Found,
        checkpoint: Option<PartitionCheckpoint>,
        accept_loss: bool,
    ) -> Result<Unsettled, Damage> {
        let Found {
            topic,
            number,
            data_folder,
            mut files,
        } = found;
        let (promise, retired) = match checkpoint {
            Some(checkpoint) => (Some(checkpoint.segments), checkpoint.retired),
            None => (None, Vec::new()),
        };
        files.retain(|file| retired.iter().all(|retired| retired.start != file.start));
        let (fills, tail) = (Vec::new(), None);
        let mut partition = Unsettled {
            topic,
            number,
            data_folder,
            retired,
            files,
            promise,
            fills,
            accept_loss,
            forsaken: false,
            tail,
        };
        partition.compare()?;
        Ok(partition)
    }

    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    pub(super) fn folder(&self) -> String {
        folder_name(&self.topic, self.number)
    }

    fn promised(&self) -> &[SegmentCheckpoint] {
        self.promise.as_deref().unwrap_or_default()
    }

    fn found(&self, start: u64) -> Option<&FoundFile> {
        let index = self
            .files
            .binary_search_by_key(&start, |file| file.start)
            .ok()?;
        self.files.get(index)
    }

    /// Compares the files with what the checkpoint promises.
    fn compare(&mut self) -> Result<(), Damage> {
        let mut fills = Vec::new();
        for &SegmentCheckpoint {
            start,
            length: promised,
            ..
        } in self.promised()
        {
            let has = self.found(start).map_or(0, |file| file.length);
            if has >= promised {
                continue;
            }
            if !self.accept_loss {
                let (folder, file) = (self.folder(), file_name(start));
                return Err(Damage::Short {
                    folder,
                    file,
                    has,
                    promised,
                });
            }
            fills.push((start, has, promised));
        }
        self.fills = fills;
        let Some(end) = self.promised_end() else {
            return Ok(());
        };
        let promised = |start: u64| {
            self.promised()
                .binary_search_by_key(&start, |segment| segment.start)
                .is_ok()
        };
        match self
            .files
            .iter()
            .find(|file| file.start < end && !promised(file.start))
        {
            Some(file) => Err(Damage::Stray {
                folder: self.folder(),
                file: file_name(file.start),
            }),
            None => Ok(()),
        }
    }

    /// Where the checkpoint ends.
    fn promised_end(&self) -> Option<u64> {
        let last = self.promised().last()?;
        Some(last.start + last.length)
    }

    /// The last file and the position from which it must be scanned, if it holds more than is known.
    pub(super) fn tail_to_scan(&self) -> Option<(u64, FoundFile)> {
        let file = *self.files.last()?;
        let from = match self.promised().last() {
            Some(segment) if segment.start == file.start => segment.length,
            Some(segment) if segment.start > file.start => return None,
            _ => 0,
        };
        (from < file.length).then_some((from, file))
    }

    /// Settles by an entry that is applied again and begins at `at`: what is beyond goes.
    ///
    /// # Errors
    /// The files do not reach that far without a gap.
    pub fn cut(&self, id: PartitionId, at: u64) -> Result<Settled, Damage> {
        let elsewhere = |end| Damage::Elsewhere {
            folder: self.folder(),
            end,
            entry: at,
        };
        let mut settled = Settled::default();
        if let Some(end) = self.promised_end() {
            if end != at {
                return Err(elsewhere(end));
            }
            self.keep_promise(id, &mut settled);
            return Ok(settled);
        }
        let mut end = None;
        for file in self.files.iter().take_while(|file| file.start < at) {
            self.join(&settled, file.start)?;
            let length = file.length.min(at - file.start);
            cut_to(id, file, length, &mut settled);
            end = Some(file.start + length);
            settled.segments.push_back(opened(file, length, 0));
        }
        if let Some(end) = end.filter(|&end| end != at) {
            return Err(elsewhere(end));
        }
        self.remove_from(id, at, &mut settled);
        Ok(settled)
    }

    /// Settles because no entry concerned it: what is there is what another broker left.
    ///
    /// # Errors
    /// The files do not join.
    pub fn adopt(&self, id: PartitionId) -> Result<Settled, Damage> {
        let mut settled = Settled::default();
        let nothing_new = self.tail.is_none_or(|tail| tail.messages == 0) && !self.has_new_files();
        if self.forsaken || self.promise.is_some() && nothing_new {
            self.keep_promise(id, &mut settled);
            return Ok(settled);
        }
        // All but the last file are trusted, as Metamorphosis does.
        settled.adopted = true;
        settled.last_message_id = self.tail.and_then(|tail| tail.last_message_id);
        self.fill(id, &mut settled);
        for (index, file) in self.files.iter().enumerate() {
            self.join(&settled, file.start)?;
            let known = self
                .promised()
                .iter()
                .find(|segment| segment.start == file.start);
            let mut length = file.length.max(known.map_or(0, |segment| segment.length));
            let mut messages = known.map_or(0, |segment| segment.messages);
            if index + 1 == self.files.len()
                && let Some(tail) = self.tail
            {
                length = tail.valid_to;
                messages += tail.messages;
                cut_to(id, file, length, &mut settled);
            }
            // Where the journal was lost too, nothing says what was between them.
            if let Some(next) = self.files.get(index + 1)
                && self.accept_loss
                && file.start + length < next.start
            {
                let gap = (file.start, length, next.start - file.start);
                fill_lost(id, gap, &mut settled);
                length = next.start - file.start;
            }
            settled.segments.push_back(opened(file, length, messages));
        }
        Ok(settled)
    }

    /// An entry retires what is before `first`, but never the last file; returns where the files begin.
    pub fn retire(&mut self, first: u64) -> Vec<u64> {
        let mut gone: Vec<u64> = match &mut self.promise {
            Some(promise) => {
                let keep = promise.len().saturating_sub(1);
                let old = promise.iter().take(keep);
                let old = old
                    .take_while(|segment| segment.start + segment.length <= first)
                    .count();
                promise.drain(..old).map(|segment| segment.start).collect()
            }
            None => {
                let keep = self.files.len().saturating_sub(1);
                let old = self
                    .files
                    .iter()
                    .take(keep)
                    .take_while(|file| file.start < first);
                old.map(|file| file.start).collect()
            }
        };
        self.files.retain(|file| !gone.contains(&file.start));
        self.fills.retain(|(start, ..)| !gone.contains(start));
        gone.sort_unstable();
        gone
    }

    /// There are whole files beyond what the checkpoint knows.
    fn has_new_files(&self) -> bool {
        let last = self.promised().last();
        let is_new = |file: &FoundFile| last.is_none_or(|last| file.start > last.start);
        self.files.last().is_some_and(is_new)
    }

    /// The partition is what the checkpoint says; what goes beyond that goes.
    fn keep_promise(&self, id: PartitionId, settled: &mut Settled) {
        let beyond = self.promised().last().map_or(0, |last| last.start + 1);
        self.remove_from(id, beyond, settled);
        self.fill(id, settled);
        for segment in self.promised() {
            let file = FileId {
                partition: id,
                start: segment.start,
            };
            match self.found(segment.start) {
                Some(found) if found.length > segment.length => {
                    let length = segment.length;
                    settled
                        .operations
                        .push(FileOperation::Truncate { file, length });
                }
                None if segment.length == 0 => {
                    settled.operations.push(FileOperation::Create { file });
                }
                _ => {}
            }
            settled.segments.push_back(Segment::opened(segment));
        }
    }

    /// Removes the files that begin at `start` or later.
    fn remove_from(&self, id: PartitionId, start: u64, settled: &mut Settled) {
        for file in self.files.iter().filter(|file| file.start >= start) {
            let file = FileId {
                partition: id,
                start: file.start,
            };
            settled.operations.push(FileOperation::Remove { file });
        }
    }

    fn fill(&self, id: PartitionId, settled: &mut Settled) {
        for &(start, from, to) in &self.fills {
            let file = FileId {
                partition: id,
                start,
            };
            settled.operations.push(FileOperation::Create { file });
            fill_lost(id, (start, from, to), settled);
        }
    }

    fn join(&self, settled: &Settled, next: u64) -> Result<(), Damage> {
        match settled.segments.back() {
            Some(before) if before.end() != next => {
                let (file, end) = (file_name(before.start), before.end());
                Err(Damage::Gap {
                    folder: self.folder(),
                    file,
                    end,
                    next,
                })
            }
            _ => Ok(()),
        }
    }
}

/// What lost bytes are replaced by: a negative length, which no reader takes for a record.
static LOST: [u8; 64 * 1024] = [0xff; 64 * 1024];

/// Fills up a lost range: start of the file, first and last position.
fn fill_lost(id: PartitionId, (start, from, to): (u64, u64, u64), settled: &mut Settled) {
    let file = FileId {
        partition: id,
        start,
    };
    let mut position = from;
    while position < to {
        let length = (to - position).min(LOST.len() as u64);
        let bytes = Bytes::from_static(&LOST[..usize::try_from(length).unwrap_or(0)]);
        let slices = vec![bytes];
        settled.operations.push(FileOperation::Write {
            file,
            position,
            slices,
        });
        position += length;
    }
}

/// Cuts the file, if it is longer.
fn cut_to(id: PartitionId, found: &FoundFile, length: u64, settled: &mut Settled) {
    if length < found.length {
        let file = FileId {
            partition: id,
            start: found.start,
        };
        settled
            .operations
            .push(FileOperation::Truncate { file, length });
    }
}

fn opened(file: &FoundFile, length: u64, messages: u64) -> Segment {
    let FoundFile {
        start, modified, ..
    } = *file;
    Segment::opened(&SegmentCheckpoint {
        start,
        length,
        messages,
        modified,
    })
}
