//! Raft groups: what the servers of a group agree on, and in which order.
//!
//! Each group is a node of the `raft` crate. What it must not forget leaves as [`Record`]s, in order, and comes
//! back at a start as [`Remembered`]; where they are kept is not known here. A single server is a group of one:
//! same code, commit = own disk.

// One group.
pub mod group;

// What a group wants remembered.
mod record;

// Who votes, in a marker's bytes.
mod voters;

pub use record::{Entry, EntryKind, HardState, Marker, Record, Remembered, STATE_BYTES_MAX};
