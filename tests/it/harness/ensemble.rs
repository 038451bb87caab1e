//! A broker of ours alone, and the ZooKeeper that it registers in: ours or the original.

use super::command::status;
use super::deployment::{Deployment, START_LIMIT, Topic};
use super::lab;
use super::originals::ZooKeeper;
use super::process::{Process, eventually};
use super::server::{Server, set_key};
use std::net::SocketAddr;
use tempfile::TempDir;

/// The broker's id in every test.
pub(crate) const BROKER_ID: u16 = 2;
/// The least that the original grants with its usual tick.
const SESSION_TIMEOUT_MS: &str = "4000";

/// The ZooKeeper that a broker registers in.
pub(crate) enum Ensemble {
    Ours(Server),
    Original(ZooKeeper),
}

impl Ensemble {
    pub(crate) fn ours() -> Ensemble {
        Ensemble::Ours(Server::coordinator_alone(|_| {}))
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
pub(crate) fn prepare_broker(
    home: &TempDir,
    zookeeper: SocketAddr,
    topics: &[Topic],
    edit: impl FnOnce(&mut String),
) -> Server {
    let connect = format!("\"{zookeeper}\"");
    let folder = home.path().join("broker");
    Server::prepare(&folder, topics, |text| {
        set_key(text, "server", "id", &BROKER_ID.to_string());
        set_key(text, "server", "host_name", "\"127.0.0.1\"");
        set_key(text, "coordinator", "enabled", "false");
        set_key(text, "zookeeper", "connect", &connect);
        set_key(text, "zookeeper", "session_timeout_ms", SESSION_TIMEOUT_MS);
        edit(text);
    })
}

/// A scenario against the original, if one may be fetched.
pub(crate) fn against_the_original(scenario: fn(Ensemble)) {
    if lab::online() {
        let _alone = lab::heavy();
        scenario(Ensemble::Original(ZooKeeper::start()));
    }
}

/// A broker beside the ZooKeeper that it is registered in.
pub(crate) struct Beside {
    pub(crate) zookeeper: Ensemble,
    pub(crate) broker: Server,
    _home: TempDir,
}

impl Beside {
    /// A broker with these topics and changes to its configuration, serving and registered.
    pub(crate) fn start(
        zookeeper: Ensemble,
        topics: &[Topic],
        edit: impl FnOnce(&mut String),
    ) -> Beside {
        let home = TempDir::new().expect("make a folder");
        let mut broker = prepare_broker(&home, zookeeper.address(), topics, edit);
        broker.resume();
        eventually("the broker is registered", START_LIMIT, || {
            status(&broker)["broker"]["registration"] == "registered"
        });
        Beside {
            zookeeper,
            broker,
            _home: home,
        }
    }
}

impl Deployment for Beside {
    fn name(&self) -> &'static str {
        "ours beside another ZooKeeper"
    }

    fn coordinator(&self) -> SocketAddr {
        self.zookeeper.address()
    }

    fn broker(&self) -> SocketAddr {
        self.broker.broker()
    }

    fn restart(&mut self) {
        self.broker.stop();
        self.zookeeper.stop();
        self.zookeeper.resume();
        self.broker.resume();
    }

    /// Of the ZooKeeper: the broker goes on.
    fn kill_and_restart(&mut self) {
        self.zookeeper.process().kill();
        self.zookeeper.resume();
    }
}
