//! From what is in the data folders after a start to partitions that can be served.
//!
//! Three histories lead here, and one partition can only have one of them:
//!
//! - **A crash of ours.** Entries after the checkpoint are applied again. The first one that concerns a
//!   partition says where it begins, which is where the checkpoint ends: the files are cut there and files
//!   that begin at or beyond it are removed. What the cut takes away is written again from the journal.
//! - **An orderly stop of ours**, perhaps followed by a Java broker that went on with the folder. Nothing
//!   is applied again. If the files are longer than the checkpoint says, the growth is another broker's:
//!   it is scanned and adopted, and a new checkpoint is made before anything else is accepted.
//! - **A folder of Metamorphosis** that we never saw: no checkpoint. As there, all but the last file are
//!   trusted, the last one is scanned and cut behind its last valid record, and the files must join.
//!
//! Which of the first two it is shows only when the journal has been applied, so a partition stays
//! [`Unsettled`] until then. A file that is shorter than its checkpoint says, or missing, is damage: it was
//! acknowledged and is gone. (A missing file at the front is none if an entry that deletes it follows.)

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use thiserror::Error;

use super::checkpoint::{Checkpoint, PartitionCheckpoint, SegmentCheckpoint};
use super::format::{HEADER_BYTES, file_name, folder_name};
use super::partition::Segment;
use super::walk::{Fault, Step, Walker};
use super::{FileId, FileOperation, PartitionId};
use crate::units::WallTime;

/// A partition's folder, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The topic: the folder's name up to the last `-`.
    pub topic: String,
    /// The partition's number.
    pub number: i32,
    /// Which data folder it lies in, an index into the node's list.
    pub data_folder: u32,
    /// Its segment files, in any order.
    pub files: Vec<FoundFile>,
}

/// A segment file, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// The offset in its name.
    pub start: u64,
    /// Its length.
    pub length: u64,
    /// When it was last written to.
    pub modified: WallTime,
}

/// What cannot be explained by any of the three histories.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// A file that the checkpoint names is missing or shorter.
    #[error(
        "{folder}/{file} has {has} of its {promised} bytes: acknowledged messages are missing; restore the \
         file, or run with --accept-loss"
    )]
    Short {
        /// The partition's folder.
        folder: String,
        /// The file.
        file: String,
        /// Its length.
        has: u64,
        /// What the checkpoint says.
        promised: u64,
    },
    /// A file that the checkpoint names is missing.
    #[error(
        "{folder}/{file} is missing: acknowledged messages are in it; restore the file, or run with \
         --accept-loss"
    )]
    Missing {
        /// The partition's folder.
        folder: String,
        /// The file.
        file: String,
    },
    /// A file that begins where no segment begins.
    #[error("{folder}/{file} is none of the files of this partition; move it away")]
    Stray {
        /// The partition's folder.
        folder: String,
        /// The file.
        file: String,
    },
    /// Two files do not join.
    #[error(
        "{folder}: {file} ends at {end}, the next file begins at {next}; the files between are missing"
    )]
    Gap {
        /// The partition's folder.
        folder: String,
        /// The first of the two.
        file: String,
        /// Where it ends.
        end: u64,
        /// Where the next one begins.
        next: u64,
    },
    /// The journal goes on at another place than the files end.
    #[error("{folder} ends at {end}, but its next journal entry begins at {entry}")]
    Elsewhere {
        /// The partition's folder.
        folder: String,
        /// Where the files end.
        end: u64,
        /// Where the entry begins.
        entry: u64,
    },
    /// The same partition lies in two data folders.
    #[error("{folder} is in two data folders; move one away")]
    Twice {
        /// The partition's folder.
        folder: String,
    },
}

impl Damage {
    /// A file at the front that the checkpoint names is not there, and no entry deletes it.
    pub fn missing(topic: &str, number: i32, start: u64) -> Damage {
        Damage::Missing {
            folder: folder_name(topic, number),
            file: file_name(start),
        }
    }
}

/// A range of a file to scan for its last valid record before the broker opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Whose result it is.
    pub partition: usize,
    /// Which data folder.
    pub data_folder: u32,
    /// The partition's folder in it.
    pub folder: String,
    /// The file in that.
    pub file: String,
    /// Where to begin; a record begins here.
    pub from: u64,
    /// The file's length.
    pub to: u64,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// One past the last valid record.
    pub valid_to: u64,
    /// Valid records in the range.
    pub messages: u64,
    /// The highest message id in it.
    pub last_message_id: Option<i64>,
}

/// Goes through a range of a file to its last valid record.
///
/// Zeros at the end of the file are cut off although twenty of them are a valid record: they are what a
/// file system leaves of writes that did not reach the disk. (Metamorphosis takes them for messages.)
#[derive(Clone, Debug)]
pub struct Scanner {
    walker: Walker,
    valid: Tail,
    /// The tail up to where the records that are all zeros begin which end the valid part.
    before_zeros: Option<Tail>,
    over: bool,
    rest_is_zero: bool,
}

impl Scanner {
    /// A scanner for the bytes `[from, to)` of a file.
    pub fn new(from: u64, to: u64) -> Scanner {
        Scanner {
            walker: Walker::new(from, to),
            valid: Tail {
                valid_to: from,
                ..Tail::default()
            },
            before_zeros: None,
            over: false,
            rest_is_zero: true,
        }
    }

    /// Takes the next bytes of the range.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !self.over && !bytes.is_empty() {
            let before = bytes;
            match self.walker.feed(&mut bytes) {
                Some(Step::Record { header, .. }) => {
                    let zero = header.encode() == [0; HEADER_BYTES];
                    if !zero {
                        self.before_zeros = None;
                    } else if self.before_zeros.is_none() {
                        self.before_zeros = Some(self.valid);
                    }
                    self.valid.valid_to = self.walker.position();
                    self.valid.messages += 1;
                    self.valid.last_message_id =
                        self.valid.last_message_id.max(Some(header.message_id));
                }
                Some(Step::Fault { fault, .. }) => {
                    self.over = true;
                    // Every other fault needs a byte that is not zero.
                    self.rest_is_zero = fault == Fault::ShortHeader;
                    bytes = before;
                }
                None => break,
            }
        }
        if self.over {
            self.rest_is_zero &= bytes.iter().all(|&byte| byte == 0);
        }
    }

    /// What was found, once the whole range was fed.
    pub fn finish(self) -> Tail {
        match self.before_zeros {
            Some(tail) if self.rest_is_zero => tail,
            _ => self.valid,
        }
    }
}

/// All partitions, between the listing of the folders and the broker.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The checkpoint's index: entries after it are applied again.
    pub applied: u64,
    /// The highest message id the checkpoint knows.
    pub last_message_id: i64,
    /// The partitions, in a fixed order.
    pub partitions: Vec<Unsettled>,
}

impl Opening {
    /// Joins what was found with the checkpoint, if there is one.
    ///
    /// `accept_loss` goes on without the bytes that are missing: they are filled with what no client can
    /// take for records, so that all offsets stay what they are.
    ///
    /// # Errors
    /// Files are missing, too short, or too many.
    pub fn new(
        found: Vec<Found>,
        checkpoint: Option<Checkpoint>,
        accept_loss: bool,
    ) -> Result<Opening, Damage> {
        let Checkpoint {
            applied,
            last_message_id,
            partitions,
        } = checkpoint.unwrap_or_default();
        let mut promises: BTreeMap<(String, i32), PartitionCheckpoint> = partitions
            .into_iter()
            .map(|promise| ((promise.topic.clone(), promise.number), promise))
            .collect();
        let mut opened: BTreeMap<(String, i32), Unsettled> = BTreeMap::new();
        for mut found in found {
            if found.files.is_empty() {
                continue;
            }
            found.files.sort_by_key(|file| file.start);
            let key = (found.topic.clone(), found.number);
            let promise = promises.remove(&key).map(|promise| promise.segments);
            let partition = Unsettled::new(found, promise, accept_loss)?;
            if opened.contains_key(&key) {
                return Err(Damage::Twice {
                    folder: partition.folder(),
                });
            }
            opened.insert(key, partition);
        }
        for ((topic, number), promise) in promises {
            let found = Found {
                topic: topic.clone(),
                number,
                data_folder: 0,
                files: Vec::new(),
            };
            let partition = Unsettled::new(found, Some(promise.segments), accept_loss)?;
            opened.insert((topic, number), partition);
        }
        let partitions = opened.into_values().collect();
        Ok(Opening {
            applied,
            last_message_id,
            partitions,
        })
    }

    /// What must be scanned before the broker opens.
    pub fn scans(&self) -> Vec<Scan> {
        let scan = |(index, partition): (usize, &Unsettled)| {
            let (from, file) = partition.tail_to_scan()?;
            Some(Scan {
                partition: index,
                data_folder: partition.data_folder,
                folder: partition.folder(),
                file: file_name(file.start),
                from,
                to: file.length,
            })
        };
        self.partitions
            .iter()
            .enumerate()
            .filter_map(scan)
            .collect()
    }

    /// Takes in what the scan of a partition found.
    pub fn scanned(&mut self, partition: usize, tail: Tail) {
        self.partitions[partition].tail = Some(tail);
    }
}

/// A partition whose history is not known yet.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The topic.
    pub topic: String,
    /// The number.
    pub number: i32,
    /// Which data folder it lies in.
    pub data_folder: u32,
    files: Vec<FoundFile>,
    promise: Option<Vec<SegmentCheckpoint>>,
    /// Promised files at the front that are not there.
    missing: Vec<u64>,
    /// Lost ranges that are filled up: start of the file, first and last position.
    fills: Vec<(u64, u64, u64)>,
    tail: Option<Tail>,
}

/// A partition that can be appended to.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its files.
    pub segments: VecDeque<Segment>,
    /// What must be done to them first.
    pub operations: Vec<FileOperation>,
    /// Starts of files that are not there; an entry that deletes them must follow.
    pub missing: Vec<u64>,
    /// The files are not what the checkpoint says, by another broker's doing.
    pub adopted: bool,
    /// The highest message id that was adopted.
    pub last_message_id: Option<i64>,
}

impl Unsettled {
    fn new(
        found: Found,
        promise: Option<Vec<SegmentCheckpoint>>,
        accept_loss: bool,
    ) -> Result<Unsettled, Damage> {
        let Found {
            topic,
            number,
            data_folder,
            files,
        } = found;
        let mut partition = Unsettled {
            topic,
            number,
            data_folder,
            files,
            promise: None,
            missing: Vec::new(),
            fills: Vec::new(),
            tail: None,
        };
        if let Some(promise) = promise {
            partition.compare(&promise, accept_loss)?;
            partition.promise = Some(promise);
        }
        Ok(partition)
    }

    fn folder(&self) -> String {
        folder_name(&self.topic, self.number)
    }

    fn found(&self, start: u64) -> Option<&FoundFile> {
        let index = self
            .files
            .binary_search_by_key(&start, |file| file.start)
            .ok()?;
        self.files.get(index)
    }

    /// Compares the files with what the checkpoint promises.
    fn compare(&mut self, promise: &[SegmentCheckpoint], accept_loss: bool) -> Result<(), Damage> {
        let mut front = true;
        for segment in promise {
            let has = self.found(segment.start).map(|file| file.length);
            let last = segment.start == promise.last().map_or(0, |last| last.start);
            match has {
                // Deleted, if an entry says so; an empty file needs no entry to be made again.
                None if front && !last && !accept_loss => {
                    self.missing.push(segment.start);
                    continue;
                }
                None if segment.length == 0 => {}
                Some(has) if has >= segment.length => {}
                has if accept_loss => {
                    self.fills
                        .push((segment.start, has.unwrap_or(0), segment.length));
                }
                has => {
                    return Err(Damage::Short {
                        folder: self.folder(),
                        file: file_name(segment.start),
                        has: has.unwrap_or(0),
                        promised: segment.length,
                    });
                }
            }
            front = false;
        }
        let (Some(first), Some(last)) = (promise.first(), promise.last()) else {
            return Ok(());
        };
        let inside = first.start..last.start + last.length;
        let stray = |file: &&FoundFile| {
            inside.contains(&file.start)
                && promise
                    .binary_search_by_key(&file.start, |segment| segment.start)
                    .is_err()
        };
        match self.files.iter().find(stray) {
            Some(file) => Err(Damage::Stray {
                folder: self.folder(),
                file: file_name(file.start),
            }),
            None => Ok(()),
        }
    }

    /// Where the checkpoint ends, or where the first file begins.
    fn promised_end(&self) -> Option<u64> {
        let last = self.promise.as_ref()?.last()?;
        Some(last.start + last.length)
    }

    /// The last file and the position from which it must be scanned, if it holds more than is known.
    fn tail_to_scan(&self) -> Option<(u64, FoundFile)> {
        let file = *self.files.last()?;
        let promised = self.promise.as_ref().and_then(|promise| promise.last());
        let from = match promised {
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
        let mut settled = Settled {
            segments: VecDeque::new(),
            operations: Vec::new(),
            missing: self.missing.clone(),
            adopted: false,
            last_message_id: None,
        };
        if let Some(promise) = &self.promise {
            if let Some(end) = self.promised_end()
                && end != at
            {
                return Err(Damage::Elsewhere {
                    folder: self.folder(),
                    end,
                    entry: at,
                });
            }
            self.keep_promise(id, promise, &mut settled);
            return Ok(settled);
        }
        let kept = self.files.iter().take_while(|file| file.start < at);
        let mut end = None;
        for file in kept {
            self.join(&settled, end, file.start)?;
            let length = file.length.min(at - file.start);
            if length < file.length {
                let file = FileId {
                    partition: id,
                    start: file.start,
                };
                settled
                    .operations
                    .push(FileOperation::Truncate { file, length });
            }
            end = Some(file.start + length);
            settled.segments.push_back(opened(file, length, 0));
        }
        if end.is_some_and(|end| end != at) {
            let end = end.unwrap_or(0);
            return Err(Damage::Elsewhere {
                folder: self.folder(),
                end,
                entry: at,
            });
        }
        self.remove(id, &mut settled, |start| start >= at);
        Ok(settled)
    }

    /// Settles because no entry concerned it: what is there is what another broker left.
    ///
    /// # Errors
    /// The files do not join, or some that the checkpoint promises are missing.
    pub fn adopt(&self, id: PartitionId) -> Result<Settled, Damage> {
        let mut settled = Settled {
            segments: VecDeque::new(),
            operations: Vec::new(),
            missing: Vec::new(),
            adopted: false,
            last_message_id: None,
        };
        if let Some(&start) = self.missing.first() {
            return Err(Damage::missing(&self.topic, self.number, start));
        }
        let promise = self.promise.as_deref().unwrap_or(&[]);
        if self.promise.is_some() && self.tail.is_none_or(|tail| tail.messages == 0) && !self.grew()
        {
            self.keep_promise(id, promise, &mut settled);
            return Ok(settled);
        }
        // All but the last file are trusted, as Metamorphosis does.
        settled.adopted = true;
        settled.last_message_id = self.tail.and_then(|tail| tail.last_message_id);
        let first = promise.first().map_or(0, |segment| segment.start);
        self.remove(id, &mut settled, |start| start < first);
        self.fill(id, &mut settled);
        let files: Vec<&FoundFile> = self
            .files
            .iter()
            .filter(|file| file.start >= first)
            .collect();
        let mut end = None;
        for (index, file) in files.iter().enumerate() {
            self.join(&settled, end, file.start)?;
            let known = promise.iter().find(|segment| segment.start == file.start);
            let known_length = known.map_or(0, |segment| segment.length);
            let mut length = file.length.max(known_length);
            let mut messages = known.map_or(0, |segment| segment.messages);
            if index + 1 == files.len()
                && let Some(tail) = self.tail
            {
                length = tail.valid_to;
                messages += tail.messages;
                if length < file.length {
                    let file = FileId {
                        partition: id,
                        start: file.start,
                    };
                    settled
                        .operations
                        .push(FileOperation::Truncate { file, length });
                }
            }
            end = Some(file.start + length);
            settled.segments.push_back(opened(file, length, messages));
        }
        Ok(settled)
    }

    /// Forgets and removes the files that an entry deletes before any entry appended.
    pub fn drop_front(&mut self, id: PartitionId, first: u64) -> Vec<FileOperation> {
        let gone = |start: u64, length: u64| start + length <= first;
        if let Some(promise) = &mut self.promise {
            let keep = promise.len().saturating_sub(1);
            let drop = promise.iter().take(keep);
            let drop = drop
                .take_while(|segment| gone(segment.start, segment.length))
                .count();
            promise.drain(..drop);
        }
        let keep = match self.promise.as_ref().and_then(|promise| promise.first()) {
            Some(segment) => segment.start,
            None => first,
        };
        self.missing.retain(|&start| start >= keep);
        self.fills.retain(|&(start, ..)| start >= keep);
        let drop = self
            .files
            .iter()
            .take_while(|file| file.start < keep)
            .count();
        let drop = drop.min(self.files.len().saturating_sub(1));
        let removed = self.files.drain(..drop);
        removed
            .map(|file| FileOperation::Remove {
                file: FileId {
                    partition: id,
                    start: file.start,
                },
            })
            .collect()
    }

    /// There are whole files beyond what the checkpoint knows, or bytes that a scan found valid.
    fn grew(&self) -> bool {
        let promised = self.promise.as_ref().and_then(|promise| promise.last());
        let newer = |file: &FoundFile| promised.is_none_or(|last| file.start > last.start);
        self.files.last().is_some_and(newer)
    }

    /// The partition is what the checkpoint says: everything else in its folder goes.
    fn keep_promise(&self, id: PartitionId, promise: &[SegmentCheckpoint], settled: &mut Settled) {
        let promised = |start| {
            promise
                .binary_search_by_key(&start, |one| one.start)
                .is_ok()
        };
        self.remove(id, settled, |start| !promised(start));
        self.fill(id, settled);
        for segment in promise {
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

    fn remove(&self, id: PartitionId, settled: &mut Settled, which: impl Fn(u64) -> bool) {
        for file in self.files.iter().filter(|file| which(file.start)) {
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
    }

    fn join(&self, settled: &Settled, end: Option<u64>, next: u64) -> Result<(), Damage> {
        match (end, settled.segments.back()) {
            (Some(end), Some(before)) if end != next => Err(Damage::Gap {
                folder: self.folder(),
                file: file_name(before.start),
                end,
                next,
            }),
            _ => Ok(()),
        }
    }
}

/// What lost bytes are replaced by: a negative length, which no reader takes for a record.
static LOST: [u8; 64 * 1024] = [0xff; 64 * 1024];

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
