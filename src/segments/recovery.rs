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
//! acknowledged and is gone.

mod scan;
mod unsettled;

use std::collections::BTreeMap;

use thiserror::Error;

pub use self::scan::{Scanner, Tail};
pub use self::unsettled::{Settled, Unsettled};
use super::checkpoint::{Checkpoint, PartitionCheckpoint};
use super::format::file_name;
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
    #[error("{folder}/{file} has {has} of its {promised} bytes: acknowledged messages are missing")]
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
    /// A file that begins where no segment begins.
    #[error("{folder}/{file} is none of the files of this partition")]
    Stray {
        /// The partition's folder.
        folder: String,
        /// The file.
        file: String,
    },
    /// A file whose number is not written as it has to be, and the file it should be is not there.
    #[error("{folder}/{file} is not named as a message file is; it would be {name}")]
    Misnamed {
        /// The partition's folder.
        folder: String,
        /// The file.
        file: String,
        /// What its number would be as a name.
        name: String,
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
    #[error("{folder} is in two data folders")]
    Twice {
        /// The partition's folder.
        folder: String,
    },
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
            let promise = promises.remove(&key);
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
            let partition = Unsettled::new(found, Some(promise), accept_loss)?;
            opened.insert((topic, number), partition);
        }
        let partitions = opened.into_values().collect();
        Ok(Opening {
            applied,
            last_message_id,
            partitions,
        })
    }

    /// The folders of partitions that are there, each with the number of its data folder.
    pub fn folders(&self) -> Vec<(u32, String)> {
        let there = self.partitions.iter().filter(|it| it.has_files());
        there.map(|it| (it.data_folder, it.folder())).collect()
    }

    /// The journal has lost entries. What the files hold beyond the checkpoint was perhaps never on stable storage, and
    /// nothing writes it again: it goes, unless an entry that is left says otherwise. Without a checkpoint the files are
    /// another broker's, and stay.
    pub fn forsake(&mut self) {
        for partition in &mut self.partitions {
            partition.forsaken = self.applied > 0;
        }
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
