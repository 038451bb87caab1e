//! The message files: their format and their rules.
//!
//! A partition is one endless stream of records, cut into files that are bit for bit what Metamorphosis
//! writes: `<topic>-<partition>/<start, 20 digits>.meta`. An *offset* is a byte of the stream, a
//! *position* a byte of one file. Nothing here opens a file: what is to be done to files leaves as
//! [`FileOperation`]s, and what files hold comes in as bytes.
//!
//! For one partition: `first ≤ visible ≤ written end`, segment i's end = segment i+1's start, and only the
//! last segment ever grows.

pub mod append;
pub mod checkpoint;
pub mod dump;
pub mod format;
pub mod lookup;
pub mod partition;
pub mod recovery;
pub mod retention;
pub mod search;
pub mod verify;
pub mod walk;

#[cfg(test)]
mod tests;

use bytes::Bytes;

/// A partition with files, numbered in the order this run met it. Means nothing after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// One segment file. Its path is the partition's folder and [`format::file_name`] of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// The offset of its first byte.
    pub start: u64,
}

/// What is to be done to a segment file. Carried out strictly in the order given, one lane for all
/// partitions; each can be done a second time with the same outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// Make the file, empty, and its folder when missing; leave it as it is when it exists.
    Create {
        /// Which.
        file: FileId,
    },
    /// Write the slices one after the other from `position` on.
    Write {
        /// Which.
        file: FileId,
        /// The byte of the file where the first slice goes.
        position: u64,
        /// Slices of committed entries; never empty ones.
        slices: Vec<Bytes>,
    },
    /// Cut the file to `length` bytes.
    Truncate {
        /// Which.
        file: FileId,
        /// Bytes that stay.
        length: u64,
    },
    /// Remove the file; done already when it is missing.
    Remove {
        /// Which.
        file: FileId,
    },
    /// Put the file aside under a name that is not loaded any more: `.meta.arc`, or compressed as
    /// `.meta.zip`; done already when it is missing.
    Archive {
        /// Which.
        file: FileId,
        /// Compress it.
        compress: bool,
    },
}

impl FileOperation {
    /// The file it concerns.
    pub fn file(&self) -> FileId {
        match self {
            FileOperation::Create { file }
            | FileOperation::Write { file, .. }
            | FileOperation::Truncate { file, .. }
            | FileOperation::Remove { file }
            | FileOperation::Archive { file, .. } => *file,
        }
    }
}

/// Bytes of a segment file that answer a `get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub file: FileId,
    /// The first byte.
    pub position: u64,
    /// How many bytes; all of them are in the file.
    pub length: u64,
}
