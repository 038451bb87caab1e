//! From an offset to bytes of a file.

use super::partition::Segments;
use super::verify::Verdict;
use super::{FileId, PartitionId, Place};

/// What lies at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// These bytes, at least one.
    Place(Place),
    /// Nothing any more: the partition begins here.
    Before(u64),
    /// Nothing yet.
    AtEnd,
    /// These bytes must be checked first.
    Check(super::verify::Range),
    /// A damaged record.
    Damaged {
        /// Which file.
        file: FileId,
        /// The position of the damage.
        at: u64,
    },
}

impl Segments {
    /// The bytes from `offset` on: at most `bytes_max`, none at or beyond `visible`, none of the next file.
    pub fn lookup(&self, id: PartitionId, offset: u64, visible: u64, bytes_max: u64) -> Lookup {
        if offset < self.first() {
            return Lookup::Before(self.first());
        }
        let Some(segment) = self.around(offset) else {
            return Lookup::AtEnd;
        };
        let end = segment.end().min(visible);
        if offset >= end {
            return Lookup::AtEnd;
        }
        let file = FileId {
            partition: id,
            start: segment.start,
        };
        let position = offset - segment.start;
        let to = position + bytes_max.min(end - offset);
        match segment.verified.judge(position, to) {
            Verdict::Send { to } => Lookup::Place(Place {
                file,
                position,
                length: to - position,
            }),
            Verdict::Check { from, to } => {
                let length = end - segment.start;
                Lookup::Check(super::verify::Range {
                    file,
                    from,
                    to,
                    length,
                })
            }
            Verdict::Damaged { at } => Lookup::Damaged { file, at },
        }
    }

    /// Where reading near `offset` can begin: the start of the file that holds it, the first start below
    /// the first, the visible end at or beyond it.
    pub fn nearest(&self, offset: u64, visible: u64) -> u64 {
        if offset >= visible {
            return visible;
        }
        self.around(offset)
            .map_or(self.first(), |segment| segment.start)
    }
}
