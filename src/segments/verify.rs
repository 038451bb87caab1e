//! (being written)

use super::FileId;

/// A range of a file that is to be checked record by record. `from` is taken as the beginning of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Which file.
    pub file: FileId,
    /// The first position to check.
    pub from: u64,
    /// All records that begin before this position are checked.
    pub to: u64,
    /// The file's valid length: no record may reach beyond.
    pub length: u64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Records without a fault from the range's `from` up to here, which is at or beyond its `to`.
    Good {
        /// One past the last checked byte; a record begins here, or the file's valid length is reached.
        to: u64,
    },
    /// What begins here is not a valid record; all before it, from the range's `from` on, is good.
    Bad {
        /// Its position.
        at: u64,
    },
}
