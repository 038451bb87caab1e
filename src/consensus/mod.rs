//! Raft groups: what the servers of a group agree on, and in which order.
//!
//! Each group is a node of the `raft` crate. What it must not forget leaves as [`Record`]s, in order, and comes
//! back at a start as [`Remembered`]; where they are kept is not known here. A single server is a group of one:
//! same code, commit = own disk.

// How a server comes into a group.
pub mod admission;

// How servers become a group.
pub mod founding;

// One group.
pub mod group;

// What all of its members support.
mod level;

// Its entries in memory.
mod log;

// Who belongs to a group.
mod membership;

// How a vote goes from one member to another.
pub mod moving;

// Whether others decide without a server, as far as its memory can be read.
pub mod others;

// What members tell each other.
pub mod message;

// What a group wants remembered.
mod record;

pub use membership::{Identity, Membership, Unreadable};
pub use record::{
    ENTRY_BYTES_MAX, Entry, EntryKind, HardState, Marker, Record, Remembered, STATE_BYTES_MAX,
};
