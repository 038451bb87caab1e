//! What is counted of a port: connections that came, that were refused or dropped, and bytes.

/// The counters of one port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) accepted: u64,
    /// Closed at once, because there are too many in all or from their address.
    pub(super) refused: u64,
    pub(super) refused_address: u64,
    /// Closed for what the client did, by [`Dropped`].
    pub(super) dropped: [u64; Dropped::ALL.len()],
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
}

/// Why a connection is closed although its client did not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
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
    pub(super) const ALL: [Dropped; 7] = [
        Dropped::Protocol,
        Dropped::Slow,
        Dropped::Silent,
        Dropped::NoSession,
        Dropped::Memory,
        Dropped::Unread,
        Dropped::Limit,
    ];

    /// As metrics name it.
    pub(super) fn name(self) -> &'static str {
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
    pub(super) fn text(self) -> &'static str {
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
