//! What should be on this host.

use std::net::IpAddr;
use std::path::PathBuf;

use super::layout::Layout;

/// What should be there when all is done.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where.
    pub layout: Layout,
    /// The program.
    pub source: Source,
    /// The server.
    pub server: NewServer,
    /// The account that systemd runs it as; none where systemd does not run it.
    pub account: Option<String>,
    /// Whether it is to serve in the end.
    pub is_started: bool,
    /// The mask of permissions that a server gets which no unit starts.
    pub umask: u32,
}

/// The binary that is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: String,
}

/// A server, with what an operator chose for it. What is not chosen is the program's default when the server is made, and
/// stays as it is afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewServer {
    /// Its number.
    pub id: u16,
    /// The address that it listens on.
    pub listen: Option<IpAddr>,
    /// For ZooKeeper's clients.
    pub coordinator_port: Option<u16>,
    /// For MetaQ's clients.
    pub broker_port: Option<u16>,
    /// For `/health`, `/ready` and `/metrics`.
    pub web_port: Option<u16>,
    /// Topics to begin with, as `NAME` or `NAME:PARTITIONS`.
    pub topics: Vec<String>,
}

impl NewServer {
    /// The options of `chrysalis init` that say what was chosen.
    pub fn options(&self) -> Vec<String> {
        let number =
            |name: &str, value: Option<u16>| value.map(|value| format!("--{name}={value}"));
        let chosen = [
            self.listen.map(|address| format!("--listen={address}")),
            number("coordinator-port", self.coordinator_port),
            number("broker-port", self.broker_port),
            number("web-port", self.web_port),
        ];
        let topics = self.topics.iter().map(|topic| format!("--topic={topic}"));
        chosen.into_iter().flatten().chain(topics).collect()
    }

    /// The ports of the `n`-th further server of a host, for those that were not chosen: each is ten higher.
    pub(super) fn with_ports_of(mut self, n: u16) -> NewServer {
        if n > 0 {
            let port = |chosen: Option<u16>, first: u16| chosen.or(Some(first + 10 * n));
            self.coordinator_port = port(self.coordinator_port, COORDINATOR_PORT);
            self.broker_port = port(self.broker_port, BROKER_PORT);
            self.web_port = port(self.web_port, WEB_PORT);
        }
        self
    }

    /// The ports that it will listen on, with the option that chooses each.
    pub(super) fn ports(&self) -> [(&'static str, u16); 3] {
        [
            (
                "coordinator",
                self.coordinator_port.unwrap_or(COORDINATOR_PORT),
            ),
            ("broker", self.broker_port.unwrap_or(BROKER_PORT)),
            ("web", self.web_port.unwrap_or(WEB_PORT)),
        ]
    }
}

/// The ports of the first server of a host: the originals'.
const COORDINATOR_PORT: u16 = 2181;
const BROKER_PORT: u16 = 8123;
const WEB_PORT: u16 = 8120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_further_server_of_a_host_has_ports_ten_higher_unless_they_were_chosen() {
        let first = NewServer::default().with_ports_of(0);
        assert!(first.options().is_empty(), "the defaults need no option");
        let chosen = NewServer {
            broker_port: Some(9000),
            ..NewServer::default()
        };
        let third = chosen.with_ports_of(2);
        let ports = third.ports().map(|(_, port)| port);
        assert_eq!(ports, [2201, 9000, 8140]);
    }
}
