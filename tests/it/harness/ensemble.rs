//! The ZooKeeper that a broker alone registers in, ours or the original.

use super::deployment::{Deployment as _, Topic};
use super::originals::ZooKeeper;
use super::process::Process;
use super::server::{Server, set_key};
use std::net::SocketAddr;
use tempfile::TempDir;

/// The broker's id in every test.
const ID: u16 = 2;
/// The least that the original grants with its usual tick.
const SESSION_TIMEOUT_MS: &str = "4000";

/// The ZooKeeper that a broker registers in.
pub(crate) enum Ensemble {
    Ours(Server),
    Original(ZooKeeper),
}

impl Ensemble {
    pub(crate) fn ours() -> Ensemble {
        Ensemble::Ours(Server::start_with(&[], |text| {
            set_key(text, "broker", "enabled", "false");
        }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Ensemble::Ours(server) => server.coordinator(),
            Ensemble::Original(server) => server.address(),
        }
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        match self {
            Ensemble::Ours(server) => server.process(),
            Ensemble::Original(server) => server.process(),
        }
    }

    pub(crate) fn stop(&mut self) {
        match self {
            Ensemble::Ours(server) => server.stop(),
            Ensemble::Original(server) => server.stop(),
        }
    }

    pub(crate) fn resume(&mut self) {
        match self {
            Ensemble::Ours(server) => server.resume(),
            Ensemble::Original(server) => server.resume(),
        }
    }
}

/// A broker with these topics and changes to its configuration, and no coordinator of its own; made and not started.
pub(crate) fn prepare_broker_of(
    home: &TempDir,
    zookeeper: SocketAddr,
    topics: &[Topic],
    edit: impl FnOnce(&mut String),
) -> Server {
    let connect = format!("\"{zookeeper}\"");
    let folder = home.path().join("broker");
    Server::prepare(&folder, topics, |text| {
        set_key(text, "server", "id", &ID.to_string());
        set_key(text, "server", "host_name", "\"127.0.0.1\"");
        set_key(text, "coordinator", "enabled", "false");
        set_key(text, "zookeeper", "connect", &connect);
        set_key(text, "zookeeper", "session_timeout_ms", SESSION_TIMEOUT_MS);
        edit(text);
    })
}
