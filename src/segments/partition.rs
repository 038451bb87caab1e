//! One partition's files as the core knows them: the plan, which runs ahead of what is written.

use std::collections::VecDeque;

use super::checkpoint::SegmentCheckpoint;
use super::verify::Verified;
use super::{FileId, PartitionId};
use crate::units::WallTime;

/// One file of a partition.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The offset of its first byte.
    pub start: u64,
    /// Its bytes, those on their way included.
    pub length: u64,
    /// Messages that were written and counted; 0 for a file of another broker that was not scanned.
    pub messages: u64,
    /// When it was last written to.
    pub modified: WallTime,
    /// What may be sent without a check.
    pub verified: Verified,
}

impl Segment {
    /// A file that is about to be made.
    pub fn begun(start: u64, modified: WallTime) -> Segment {
        Segment {
            start,
            length: 0,
            messages: 0,
            modified,
            verified: Verified::opened(0),
        }
    }

    /// A file that was found.
    pub fn opened(found: &SegmentCheckpoint) -> Segment {
        Segment {
            start: found.start,
            length: found.length,
            messages: found.messages,
            modified: found.modified,
            verified: Verified::opened(found.length),
        }
    }

    /// One past its last byte.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// The files of a partition, first to last. Each begins where the one before ends, and only the last one
/// grows.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    list: VecDeque<Segment>,
}

impl Segments {
    /// These files.
    ///
    /// # Panics
    /// They do not join.
    pub fn new(list: VecDeque<Segment>) -> Segments {
        let joined = list
            .iter()
            .zip(list.iter().skip(1))
            .all(|(one, next)| one.end() == next.start);
        assert!(joined, "the segments of a partition join");
        Segments { list }
    }

    /// The offset of the first byte that is there.
    pub fn first(&self) -> u64 {
        self.list.front().map_or(0, |segment| segment.start)
    }

    /// One past the last byte, those on their way included.
    pub fn end(&self) -> u64 {
        self.list.back().map_or(0, Segment::end)
    }

    /// The file that grows.
    pub fn last(&self) -> Option<&Segment> {
        self.list.back()
    }

    /// No file at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many files.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// All files, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.list.iter()
    }

    /// Messages written and counted.
    pub fn messages(&self) -> u64 {
        self.list.iter().map(|segment| segment.messages).sum()
    }

    /// The file that holds `offset`, or that ends there if it is the last.
    pub fn around(&self, offset: u64) -> Option<&Segment> {
        self.list.get(self.index_around(offset)?)
    }

    /// The file that begins at `start`.
    pub fn starting_at(&mut self, start: u64) -> Option<&mut Segment> {
        let index = self.list.partition_point(|segment| segment.start < start);
        self.list
            .get_mut(index)
            .filter(|segment| segment.start == start)
    }

    fn index_around(&self, offset: u64) -> Option<usize> {
        self.list
            .partition_point(|segment| segment.start <= offset)
            .checked_sub(1)
    }

    /// Begins a file at the end.
    pub(super) fn begin(&mut self, start: u64, modified: WallTime) {
        debug_assert!(
            self.is_empty() || self.end() == start,
            "a new segment joins the last one"
        );
        self.list.push_back(Segment::begun(start, modified));
    }

    /// The file that grows.
    pub(super) fn last_mut(&mut self) -> Option<&mut Segment> {
        self.list.back_mut()
    }

    /// Takes away all files that end at or before `first`, but never the last one.
    pub(super) fn drop_front(&mut self, first: u64) -> Vec<Segment> {
        let keep = self.list.partition_point(|segment| segment.end() <= first);
        let drop = keep.min(self.list.len().saturating_sub(1));
        self.list.drain(..drop).collect()
    }

    /// The file of this partition that begins at `start`.
    pub fn file(partition: PartitionId, start: u64) -> FileId {
        FileId { partition, start }
    }
}
