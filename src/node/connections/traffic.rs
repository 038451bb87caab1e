//! What is counted of a port: connections that came, that were refused or dropped, and bytes.

/// The counters of one port.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::node) struct Traffic {
    pub(in crate::node) accepted: u64,
    /// Closed at once, because there are too many in all or from their address.
    pub(in crate::node) refused: u64,
    pub(in crate::node) refused_address: u64,
    /// Closed for what the client did, by [`Dropped`].
    pub(in crate::node) dropped: [u64; Dropped::ALL.len()],
    pub(in crate::node) received_bytes: u64,
    pub(in crate::node) sent_bytes: u64,
}

/// Why a connection is closed although its client did not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Dropped {
    /// What it sent is not the protocol.
    Protocol,
    /// A request did not arrive whole in time.
    Slow,
    /// Nothing came from it for too long.
    Silent,
    /// It opened no session in time.
    NoSession,
    /// It holds too much memory, because its client does not read.
    Memory,
    /// It was to be closed, and its client did not take the last bytes meant for it.
    Unread,
    /// It ran into a limit of the coordinator.
    Limit,
}

impl Dropped {
    pub(in crate::node) const ALL: [Dropped; 7] = [
        Dropped::Protocol,
        Dropped::Slow,
        Dropped::Silent,
        Dropped::NoSession,
        Dropped::Memory,
        Dropped::Unread,
        Dropped::Limit,
    ];

    /// As metrics name it.
    pub(in crate::node) fn name(self) -> &'static str {
        match self {
            Dropped::Protocol => "protocol",
            Dropped::Slow => "slow",
            Dropped::Silent => "silent",
            Dropped::NoSession => "no_session",
            Dropped::Memory => "memory",
            Dropped::Unread => "unread",
            Dropped::Limit => "limit",
        }
    }

    /// As the log says it.
    pub(in crate::node) fn text(self) -> &'static str {
        match self {
            Dropped::Protocol => "what the client sent is not the protocol",
            Dropped::Slow => "a request did not arrive whole in time",
            Dropped::Silent => "the client is silent",
            Dropped::NoSession => "the client did not open a session",
            Dropped::Memory => "it holds too much memory, because its client does not read",
            Dropped::Unread => "the client does not take the last bytes meant for it",
            Dropped::Limit => "it ran into a limit of the coordinator",
        }
    }
}
