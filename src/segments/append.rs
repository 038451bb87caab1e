//! Committed records to file writes.
//!
//! Where records go was decided when they were proposed; here the decision is only carried out, so that
//! applying an entry a second time writes the same bytes to the same places. Runs of one file that follow
//! each other become one gathered write, across entries too.

use std::collections::HashMap;

use bytes::Bytes;

use super::partition::Segments;
use super::{FileId, FileOperation, PartitionId};
use crate::units::WallTime;

/// Slices of one write; the kernel takes 1024 at a time.
const SLICES_MAX: usize = 512;

/// File operations, gathered until they are carried out.
#[derive(Debug)]
pub struct Writes {
    operations: Vec<FileOperation>,
    /// The operation of each file that a following write may still join.
    open: HashMap<FileId, usize, ahash::RandomState>,
    bytes: u64,
}

impl Default for Writes {
    fn default() -> Writes {
        // The keys are the broker's own numbers, nobody can choose them to collide.
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        Writes {
            operations: Vec::new(),
            open: HashMap::with_hasher(hasher),
            bytes: 0,
        }
    }
}

impl Writes {
    /// Nothing gathered.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether something is to be done to this file.
    pub fn touches(&self, file: FileId) -> bool {
        self.operations
            .iter()
            .any(|operation| operation.file() == file)
    }

    /// Bytes to be written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All that was gathered, in order.
    pub fn take(&mut self) -> Vec<FileOperation> {
        self.open.clear();
        self.bytes = 0;
        std::mem::take(&mut self.operations)
    }

    /// Adds an operation that is not a write.
    pub fn push(&mut self, file: FileId, operation: FileOperation) {
        self.open.remove(&file);
        self.operations.push(operation);
    }

    /// Adds a write.
    pub fn write(&mut self, file: FileId, position: u64, slice: Bytes) {
        let length = slice.len() as u64;
        self.bytes += length;
        if let Some(&index) = self.open.get(&file)
            && let FileOperation::Write {
                position: begin,
                slices,
                ..
            } = &mut self.operations[index]
            && slices.len() < SLICES_MAX
        {
            debug_assert_eq!(
                *begin + slices.iter().map(|slice| slice.len() as u64).sum::<u64>(),
                position,
                "runs of one file follow each other"
            );
            slices.push(slice);
            return;
        }
        self.open.insert(file, self.operations.len());
        self.operations.push(FileOperation::Write {
            file,
            position,
            slices: vec![slice],
        });
    }
}

/// Records of one partition that follow each other, all in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first one goes.
    pub offset: u64,
    /// The records.
    pub records: Bytes,
    /// The file is full after them: the next one begins where they end.
    pub rolls: bool,
}

impl Segments {
    /// Appends a run; returns the start of the file it goes to.
    ///
    /// # Panics
    /// The run does not begin where the partition ends: entries were lost or applied twice.
    pub fn append(
        &mut self,
        id: PartitionId,
        run: Run,
        wall: WallTime,
        writes: &mut Writes,
    ) -> u64 {
        if self.is_empty() {
            let file = FileId {
                partition: id,
                start: run.offset,
            };
            self.begin(run.offset, wall);
            writes.push(file, FileOperation::Create { file });
        }
        assert_eq!(
            self.end(),
            run.offset,
            "a run begins where its partition ends"
        );
        let last = self
            .last_mut()
            .expect("a segment was begun if there was none");
        let file = FileId {
            partition: id,
            start: last.start,
        };
        let position = last.length;
        last.length += run.records.len() as u64;
        if !run.records.is_empty() {
            writes.write(file, position, run.records);
        }
        if run.rolls {
            let end = self.end();
            let next = FileId {
                partition: id,
                start: end,
            };
            self.begin(end, wall);
            writes.push(next, FileOperation::Create { file: next });
        }
        file.start
    }
}
