//! (being written)

use std::time::Duration;

/// What becomes of old segments, and when that is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What is done to a segment that may go.
    pub action: Action,
    /// Segments whose last write is older than this may go.
    pub age_max: Duration,
    /// Segments at the front may go while the partition has more bytes than this.
    pub partition_bytes_max: Option<u64>,
    /// When the policy is applied, in Quartz's notation (`0 0 6,18 * * ?`), local time.
    pub when: String,
}

/// What is done to a segment that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Remove it.
    Delete,
    /// Rename it to `.meta.arc`, or compress it to `.meta.zip`.
    Archive {
        /// Compress it.
        compress: bool,
    },
}
