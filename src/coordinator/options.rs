//! How the coordinator behaves.

use std::time::Duration;

use crate::units::ServerId;

/// How the coordinator behaves. What decides about a write travels with it, so servers may differ.
#[derive(Clone, Debug)]
pub struct Options {
    /// This server; its number becomes the first byte of the session ids it gives out.
    pub server: ServerId,
    /// The unit of session expiry: a session ends within one tick after its timeout.
    pub tick: Duration,
    /// The shortest session timeout granted.
    pub session_timeout_min: Duration,
    /// The longest session timeout granted.
    pub session_timeout_max: Duration,
    /// Whether clients of this server may do everything, whatever the permissions say.
    pub skip_acl: bool,
    /// The digest id (`user:base64`) that may do everything.
    pub super_digest: Option<String>,
    /// Requests of one connection that may wait for their answer before no more are read from it.
    pub connection_outstanding_max: usize,
    /// Their bytes.
    pub connection_outstanding_bytes_max: usize,
    /// Requests of all connections that may wait before no more are read from those that have some.
    pub outstanding_max: usize,
    /// Their bytes.
    pub outstanding_bytes_max: usize,
    /// What the watches of one connection may take.
    pub watch_bytes_per_connection_max: usize,
    /// What the watches of all connections may take.
    pub watch_bytes_max: usize,
    /// How many sessions there may be.
    pub sessions_max: usize,
    /// How many of them one address may have made.
    pub sessions_per_address_max: usize,
    /// What the tree may take before nothing is added to it any more.
    pub tree_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server: ServerId(1),
            tick: Duration::from_millis(2000),
            session_timeout_min: Duration::from_millis(4000),
            session_timeout_max: Duration::from_millis(40_000),
            skip_acl: false,
            super_digest: None,
            connection_outstanding_max: 1000,
            connection_outstanding_bytes_max: 4 << 20,
            outstanding_max: 20_000,
            outstanding_bytes_max: 64 << 20,
            watch_bytes_per_connection_max: 64 << 20,
            watch_bytes_max: 256 << 20,
            sessions_max: 100_000,
            sessions_per_address_max: 10_000,
            tree_bytes_max: 1 << 30,
        }
    }
}

impl Options {
    /// The session timeout granted to who wants this one, in milliseconds.
    pub(super) fn grant(&self, wanted_ms: i32) -> i32 {
        let ms = |timeout: Duration| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let min = ms(self.session_timeout_min);
        wanted_ms.clamp(min, ms(self.session_timeout_max).max(min))
    }
}
