//! Bytes to values and back. No state, no I/O.
//!
//! The values are the cores' own: `wire` depends on them and never the reverse, so that a second
//! protocol touches no core. A decoder trusts no length and never panics; what it cannot decode is a
//! value that says why, and what that costs the sender is decided by the connection.

// MetaQ's client protocol.
pub mod metaq;
// What servers tell each other.
pub mod peer;
// ZooKeeper's client protocol.
pub mod zookeeper;
