//! Life on a machine: one process per folder, readiness, signals, detaching, local commands.
//!
//! This is the shell around `node`: it knows the operating system and systemd, and nothing of topics or
//! znodes. The order at a start is: detach if asked to ([`background`]), lock the folder ([`pid_file`]),
//! read the configuration, set up the log, then `server::run`, which tells [`Readiness`] when the ports
//! serve. Nothing here makes a thread, so that whatever forks does so before there is one.

use std::net::SocketAddr;

pub mod background;
pub mod cluster;
pub mod control;
pub mod limits;
pub mod pid_file;
pub mod readiness;
pub mod signals;
pub mod status;

pub use pid_file::PidFile;
pub use readiness::{Readiness, standard_error_is_systemds_journal};
pub use signals::{Signal, Signals};

/// How a server is to be run, beyond its configuration.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// Whether to go on without acknowledged data that is damaged.
    pub accept_loss: bool,
    /// What an operator should know of the process's limits, a sentence each.
    pub notes: Vec<String>,
    /// Who is told when the ports serve, and while the server lives.
    pub readiness: Readiness,
}

/// What a server listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// ZooKeeper's clients.
    pub coordinator: Option<SocketAddr>,
    /// MetaQ's clients.
    pub broker: Option<SocketAddr>,
    /// `/health`, `/ready` and `/metrics`.
    pub web: Option<SocketAddr>,
}

impl std::fmt::Display for Ports {
    /// `coordinator 127.0.0.1:2181, broker 127.0.0.1:8123, web 127.0.0.1:8120`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [
            ("coordinator", self.coordinator),
            ("broker", self.broker),
            ("web", self.web),
        ];
        let mut separator = "";
        for (name, address) in named {
            if let Some(address) = address {
                write!(f, "{separator}{name} {address}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
