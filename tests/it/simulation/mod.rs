//! The simulated world: everything from a seed.

/// A disk that forgets at a power cut what was not made durable.
pub(crate) mod disk;

/// A whole server from a seed.
mod server;

/// Groups of several servers, alone.
mod groups;

/// An ensemble of three whole servers.
mod ensemble;
