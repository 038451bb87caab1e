//! How far each file is good without the journal.
//!
//! The checkpoint is one small file beside the journal, replaced as a whole. It says: all entries up to
//! `applied` are in the segment files, those files are on stable storage, and these are their lengths.
//! What comes later is applied again from the journal. Integers are big-endian.
//!
//! ```text
//!   0        8         12        16                24
//!   +--------+---------+---------+-----------------+------------------------------+
//!   | magic  | version | crc32   | length of body  | body                         |
//!   | 8 B    | u32     | of body | u64             |                              |
//!   +--------+---------+---------+-----------------+------------------------------+
//!
//!   body:       applied u64 | last message id i64 | partitions u32 | partition…
//!   partition:  topic length u16 | topic | number i32 | segments u32 | retired u32 | segment… | gone…
//!   segment:    start u64 | length u64 | messages u64 | modified i64 (ms since 1970)
//!   gone:       start u64 | action u8: 0 delete, 1 archive, 2 archive compressed
//! ```
//!
//! The order that makes it true: write the records, sync the files and their folders, replace the
//! checkpoint, and only then let the journal forget. A sync that fails ends the process.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use super::retention::{Action, Retired};
use super::{FileId, PartitionId};
use crate::units::WallTime;

/// What the file begins with.
const MAGIC: [u8; 8] = *b"CHRYSBRK";
/// The version that is written; the only one so far.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const SEGMENT_BYTES: usize = 32;
const RETIRED_BYTES: usize = 9;
const PARTITION_BYTES_MIN: usize = 14;

/// The content of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All entries up to this index are in the files.
    pub applied: u64,
    /// The highest message id issued so far.
    pub last_message_id: i64,
    /// All partitions that have files.
    pub partitions: Vec<PartitionCheckpoint>,
}

/// One partition's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCheckpoint {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub number: i32,
    /// Its files, first to last.
    pub segments: Vec<SegmentCheckpoint>,
    /// Files before the first that may still be there and have to go.
    pub retired: Vec<Retired>,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentCheckpoint {
    /// The offset of its first byte.
    pub start: u64,
    /// Its good bytes.
    pub length: u64,
    /// The messages in it that were counted.
    pub messages: u64,
    /// When it was last written to.
    pub modified: WallTime,
}

/// Why a checkpoint cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is no checkpoint, or it is damaged.
    #[error("the broker's checkpoint is damaged ({0}); restore it, or run with --accept-loss")]
    Damaged(&'static str),
    /// A later release wrote it.
    #[error("the broker's checkpoint has version {0}, which is not known")]
    Newer(u32),
}

impl Checkpoint {
    /// The file's content.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + 64 * (1 + self.partitions.len()));
        out.put_slice(&MAGIC);
        out.put_u32(VERSION);
        out.put_u32(0);
        out.put_u64(0);
        out.put_u64(self.applied);
        out.put_i64(self.last_message_id);
        out.put_u32(count(self.partitions.len()));
        for partition in &self.partitions {
            let length = u16::try_from(partition.topic.len());
            out.put_u16(length.expect("a topic is a folder's name, at most 255 bytes"));
            out.put_slice(partition.topic.as_bytes());
            out.put_i32(partition.number);
            out.put_u32(count(partition.segments.len()));
            out.put_u32(count(partition.retired.len()));
            for segment in &partition.segments {
                out.put_u64(segment.start);
                out.put_u64(segment.length);
                out.put_u64(segment.messages);
                out.put_i64(segment.modified.0);
            }
            for retired in &partition.retired {
                out.put_u64(retired.start);
                out.put_u8(retired.action.code());
            }
        }
        let body = &out[HEADER_BYTES..];
        let (sum, length) = (crc32fast::hash(body), body.len() as u64);
        out[12..16].copy_from_slice(&sum.to_be_bytes());
        out[16..24].copy_from_slice(&length.to_be_bytes());
        out.freeze()
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// It is damaged, or a later release wrote it.
    pub fn decode(mut bytes: &[u8]) -> Result<Checkpoint, Unreadable> {
        let short = |_| Unreadable::Damaged("it is cut short");
        if bytes.len() < HEADER_BYTES || bytes[..8] != MAGIC {
            return Err(Unreadable::Damaged("it does not begin as one"));
        }
        bytes.advance(8);
        let version = bytes.try_get_u32().map_err(short)?;
        if version != VERSION {
            return Err(Unreadable::Newer(version));
        }
        let sum = bytes.try_get_u32().map_err(short)?;
        let length = bytes.try_get_u64().map_err(short)?;
        if bytes.len() as u64 != length {
            return Err(Unreadable::Damaged("its length is not what it says"));
        }
        if crc32fast::hash(bytes) != sum {
            return Err(Unreadable::Damaged("its checksum does not match"));
        }
        let applied = bytes.try_get_u64().map_err(short)?;
        let last_message_id = bytes.try_get_i64().map_err(short)?;
        let count = bytes.try_get_u32().map_err(short)?;
        let count = fitting(count, bytes, PARTITION_BYTES_MIN)?;
        let mut partitions = Vec::with_capacity(count);
        for _ in 0..count {
            partitions.push(PartitionCheckpoint::decode(&mut bytes)?);
        }
        if bytes.has_remaining() {
            return Err(Unreadable::Damaged("something follows its end"));
        }
        Ok(Checkpoint {
            applied,
            last_message_id,
            partitions,
        })
    }
}

impl PartitionCheckpoint {
    fn decode(bytes: &mut &[u8]) -> Result<PartitionCheckpoint, Unreadable> {
        let short = |_| Unreadable::Damaged("it is cut short");
        let length = usize::from(bytes.try_get_u16().map_err(short)?);
        let Some(topic) = bytes.get(..length) else {
            return Err(Unreadable::Damaged("it is cut short"));
        };
        let topic = String::from_utf8(topic.to_vec())
            .map_err(|_| Unreadable::Damaged("a topic's name is not text"))?;
        bytes.advance(length);
        let number = bytes.try_get_i32().map_err(short)?;
        let segment_count = bytes.try_get_u32().map_err(short)?;
        let retired_count = bytes.try_get_u32().map_err(short)?;
        let segment_count = fitting(segment_count, bytes, SEGMENT_BYTES)?;
        let retired_count = fitting(retired_count, bytes, RETIRED_BYTES)?;
        let mut segments = Vec::with_capacity(segment_count);
        for _ in 0..segment_count {
            segments.push(SegmentCheckpoint {
                start: bytes.try_get_u64().map_err(short)?,
                length: bytes.try_get_u64().map_err(short)?,
                messages: bytes.try_get_u64().map_err(short)?,
                modified: WallTime(bytes.try_get_i64().map_err(short)?),
            });
        }
        let mut retired = Vec::with_capacity(retired_count);
        for _ in 0..retired_count {
            let start = bytes.try_get_u64().map_err(short)?;
            let action = Action::from_code(bytes.try_get_u8().map_err(short)?);
            let action = action.ok_or(Unreadable::Damaged("an action is not known"))?;
            retired.push(Retired { start, action });
        }
        let joined = segments
            .windows(2)
            .all(|pair| pair[0].start.checked_add(pair[0].length) == Some(pair[1].start));
        if !joined {
            return Err(Unreadable::Damaged(
                "the segments of a partition do not join",
            ));
        }
        Ok(PartitionCheckpoint {
            topic,
            number,
            segments,
            retired,
        })
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2^32 partitions and segments")
}

/// A count of things that have at least `bytes_min` bytes each, checked against what remains.
fn fitting(count: u32, bytes: &[u8], bytes_min: usize) -> Result<usize, Unreadable> {
    let count = count as usize;
    if count > bytes.len() / bytes_min {
        return Err(Unreadable::Damaged("it is cut short"));
    }
    Ok(count)
}

/// A file that was written since it was last synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// Which.
    pub file: FileId,
    /// The first position written since.
    pub from: u64,
    /// One past the last position written.
    pub to: u64,
}

/// What must be synced for the next checkpoint.
#[derive(Clone, Debug, Default)]
pub struct DirtyFiles {
    files: BTreeMap<FileId, (u64, u64)>,
    folders: BTreeSet<PartitionId>,
}

impl DirtyFiles {
    /// Nothing to sync.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.folders.is_empty()
    }

    /// These bytes of a file were written.
    pub fn wrote(&mut self, file: FileId, from: u64, to: u64) {
        let range = self.files.entry(file).or_insert((from, to));
        *range = (range.0.min(from), range.1.max(to));
    }

    /// A file was made or removed.
    pub fn listed(&mut self, file: FileId) {
        self.folders.insert(file.partition);
    }

    /// A file is gone: its bytes need no sync.
    pub fn removed(&mut self, file: FileId) {
        self.files.remove(&file);
        self.listed(file);
    }

    /// Takes all: files with their ranges, and the partitions whose folders changed.
    pub fn take(&mut self) -> (Vec<Dirty>, Vec<PartitionId>) {
        let files = std::mem::take(&mut self.files);
        let files = files
            .into_iter()
            .map(|(file, (from, to))| Dirty { file, from, to })
            .collect();
        (
            files,
            std::mem::take(&mut self.folders).into_iter().collect(),
        )
    }
}
