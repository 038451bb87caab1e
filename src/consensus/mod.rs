//! Raft groups over one journal.
//!
//! Everything that must survive goes through the journal; each group is a `raft` node whose entries and
//! votes are records in it. A single server is a group of one: same code, commit = own disk.

// One Raft group.
pub mod group;

// The storage of all groups: batches, files in a circle, recovery.
pub mod journal;
