//! (being written)

use super::FileId;

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
