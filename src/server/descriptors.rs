//! How the file descriptors of the process are shared out, so that no crowd of clients takes those that files and
//! local commands need, and no client's choice of partitions those of the connections.

use crate::config::Config;
use crate::report::{Code, Error};
use crate::units::counted;

/// What is open all the time, and what is for a moment: standard streams, log, ring, listeners, the web port's
/// connections, local commands, the session with ZooKeeper, files that are checked, synced or packed.
const KEPT: usize = 192;
/// What clients and message files need at least.
const SHARED_MIN: usize = 64;
/// Message files that are open for writing at a time.
const WRITTEN_MAX: usize = 1024;
/// Message files that stay open for sending.
const SENT_MAX: usize = 512;

/// Each one's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections of a port.
    pub(super) connections: usize,
    /// Message files open for writing.
    pub(super) written: usize,
    /// Message files open for sending.
    pub(super) sent: usize,
}

impl Shares {
    /// Shares out what the process may have; all there may ever be, where that is not known.
    ///
    /// # Errors
    /// It is too little to serve with.
    pub(super) fn of(config: &Config, limit: Option<u64>) -> Result<Shares, Error> {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let limit = limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        });
        let kept = KEPT.saturating_add(count(config.journal.files_max));
        let shared = limit.saturating_sub(kept);
        if shared < SHARED_MIN {
            let needed = kept.saturating_add(SHARED_MIN);
            return Err(Error::new(
                Code::E0111,
                format!("the limit of open files is {limit}, and this server needs {needed}"),
            )
            .means("The server does not start.")
            .cure(
                "Raise the limit: `ulimit -Hn`, /etc/security/limits.conf, or LimitNOFILE in a unit.",
            ));
        }
        let written = (shared / 4).min(WRITTEN_MAX);
        let sent = (shared / 8).min(SENT_MAX);
        let ports =
            usize::from(config.coordinator.is_some()) + usize::from(config.broker.is_some());
        // So that whoever crowds one port keeps nobody from the other.
        let connections = (shared - written - sent) / ports.max(1);
        Ok(Shares {
            connections: connections.min(count(config.network.connections_max)),
            written,
            sent,
        })
    }

    /// What an operator should know, if fewer connections are let in than the configuration permits.
    pub(super) fn note(&self, config: &Config) -> Option<String> {
        let wanted = usize::try_from(config.network.connections_max).unwrap_or(usize::MAX);
        (self.connections < wanted).then(|| {
            format!(
                "each port takes {}, not {wanted} (network.connections_max): the process may not have more \
                 files open; raise LimitNOFILE, or `ulimit -Hn`",
                counted(self.connections, "connections")
            )
        })
    }
}

#[cfg(test)]
mod tests;
