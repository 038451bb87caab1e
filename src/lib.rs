//! Chrysalis: a ZooKeeper-compatible coordinator and a MetaQ-compatible message broker in one process.
//!
//! The modules in reading order, bottom up. The four cores (`coordinator`, `broker`, `segments`,
//! `consensus`) are pure: no socket, file, clock, thread, task, environment or random source inside,
//! which is what lets a whole server run in one seeded simulation. `node` alone composes them. The calls
//! that clippy.toml disallows are disallowed where the attribute below stands.
//! ARCHITECTURE.md has the map and the walks.

// Units and identifiers; no behaviour beyond arithmetic.
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod units;

// A bounded reader and writer of bytes, for every codec.
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod cursor;

// Text to checked options, once.
pub mod config;

// Bytes to values and back; no state, no I/O.
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod wire;

// The replicated tree, its sessions and watches (pure).
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod coordinator;

// Topics, partitions and waiting gets (pure).
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod broker;

// The message files' format and rules (pure).
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod segments;

// Raft groups (pure).
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod consensus;

// Where the groups' records are kept: batches, files in a circle, recovery.
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod journal;

// Files: io_uring, or threads where the kernel refuses it.
pub mod disk;

// Sockets.
pub mod net;

// The cluster's own authority, and what servers show each other.
pub mod authority;

// The broker's nodes in ZooKeeper.
pub mod registry;

// The composition: events in, what is to be written out (pure).
#[cfg_attr(not(test), warn(clippy::disallowed_methods))]
pub mod node;

// One server on a machine: the loop, sockets, the clock around the composition.
pub mod server;

// What of Chrysalis is on this host, and what should be.
pub mod host;

// A MetaQ producer and consumer, and a small ZooKeeper client.
pub mod client;

// Life on a machine: readiness, signals, detaching, the pid file.
pub mod appliance;

// What people see: commands.
pub mod operator;

// Telling: error codes, logs, metrics.
pub mod report;

// What the tests of the modules have in common.
#[cfg(test)]
mod tests;
