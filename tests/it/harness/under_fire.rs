//! Several servers that are one coordinator, ours or the originals, and what befalls them one after the other while a
//! conformance program's clients go on: it asks for `kill leader`, `stop follower`, `pause leader`, `wipe follower`,
//! `kill ADDRESS`, `leave ADDRESS` (all others are killed) and `bring back`.

use super::cluster::Cluster;
use super::deployment::{Deployment, START_LIMIT};
use super::originals::ZooKeepers;
use super::process::eventually;
use nix::sys::signal::Signal;
use std::net::SocketAddr;

/// What a leader writes to its log when a server that was wiped is a member as before.
const VOTES: &str = "a server votes";

/// Servers by their place, from 0.
pub(crate) trait Servers {
    /// For messages.
    fn name(&self) -> &'static str;
    fn addresses(&self) -> Vec<SocketAddr>;
    /// The one that leads.
    fn leader(&mut self) -> usize;
    /// `kill -9`.
    fn kill(&mut self, i: usize);
    /// An orderly stop.
    fn stop(&mut self, i: usize);
    /// Has one that does not run forget everything.
    fn wipe(&mut self, i: usize);
    fn signal(&mut self, i: usize, signal: Signal);
    /// Starts one that does not run, and waits until it serves.
    fn resume(&mut self, i: usize);
    /// The same for one that was wiped: the others may do without one of them again when it returns.
    fn rejoin(&mut self, i: usize);
    /// Waits until one that runs serves.
    fn wait_until_serves(&mut self, i: usize);
}

/// All of them, and the one that is away.
pub(crate) struct UnderFire<S: Servers> {
    servers: S,
    away: Option<Away>,
}

/// How a server is away.
#[derive(Clone, Copy)]
enum Away {
    Ended(usize),
    Wiped(usize),
    Paused(usize),
    /// All but this one.
    Others(usize),
}

impl<S: Servers> UnderFire<S> {
    pub(crate) fn of(servers: S) -> UnderFire<S> {
        UnderFire {
            servers,
            away: None,
        }
    }

    /// All addresses, as clients are given them.
    pub(crate) fn connect_string(&self) -> String {
        let addresses = self.servers.addresses();
        let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        addresses.join(",")
    }

    /// The place of `leader`, of a `follower`, or of an address.
    fn place(&mut self, whose: &str) -> Option<usize> {
        let addresses = self.servers.addresses();
        match whose {
            "leader" => Some(self.servers.leader()),
            "follower" => Some((self.servers.leader() + 1) % addresses.len()),
            address => addresses.iter().position(|a| a.to_string() == address),
        }
    }

    fn others(&self, left: usize) -> impl Iterator<Item = usize> + use<S> {
        let count = self.servers.addresses().len();
        (0..count).filter(move |i| *i != left)
    }

    fn bring_back(&mut self) {
        match self.away.take() {
            None => {}
            Some(Away::Ended(i)) => self.servers.resume(i),
            Some(Away::Wiped(i)) => self.servers.rejoin(i),
            Some(Away::Others(left)) => {
                for i in self.others(left) {
                    self.servers.resume(i);
                }
                self.servers.wait_until_serves(left);
            }
            Some(Away::Paused(i)) => {
                self.servers.signal(i, Signal::SIGCONT);
                self.servers.wait_until_serves(i);
            }
        }
    }
}

impl<S: Servers> Deployment for UnderFire<S> {
    fn name(&self) -> &'static str {
        self.servers.name()
    }

    fn coordinator(&self) -> SocketAddr {
        self.servers.addresses()[0]
    }

    /// No MetaQ client comes here.
    fn broker(&self) -> SocketAddr {
        self.coordinator()
    }

    fn restart(&mut self) {
        let leader = self.servers.leader();
        self.servers.stop(leader);
        self.servers.resume(leader);
    }

    fn kill_and_restart(&mut self) {
        let leader = self.servers.leader();
        self.servers.kill(leader);
        self.servers.resume(leader);
    }

    fn carry_out(&mut self, request: &str) -> bool {
        if request == "bring back" {
            self.bring_back();
            return true;
        }
        let Some((what, whose)) = request.split_once(' ') else {
            return false;
        };
        assert!(self.away.is_none(), "{request}: one is away already");
        let Some(i) = self.place(whose) else {
            return false;
        };
        self.away = Some(match what {
            "kill" => {
                self.servers.kill(i);
                Away::Ended(i)
            }
            "wipe" => {
                self.servers.kill(i);
                self.servers.wipe(i);
                Away::Wiped(i)
            }
            "stop" => {
                self.servers.stop(i);
                Away::Ended(i)
            }
            "leave" => {
                for other in self.others(i) {
                    self.servers.kill(other);
                }
                Away::Others(i)
            }
            "pause" => {
                self.servers.signal(i, Signal::SIGSTOP);
                Away::Paused(i)
            }
            _ => return false,
        });
        true
    }
}

impl Servers for Cluster {
    fn name(&self) -> &'static str {
        "three of ours"
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        Cluster::addresses(self)
    }

    fn leader(&mut self) -> usize {
        Cluster::leader(self)
    }

    fn kill(&mut self, i: usize) {
        Cluster::kill(self, i);
    }

    fn stop(&mut self, i: usize) {
        Cluster::stop(self, i);
    }

    fn wipe(&mut self, i: usize) {
        Cluster::wipe(self, i);
    }

    fn signal(&mut self, i: usize, signal: Signal) {
        Cluster::signal(self, i, signal);
    }

    fn resume(&mut self, i: usize) {
        Cluster::resume(self, i);
    }

    fn rejoin(&mut self, i: usize) {
        let before = self.said(VOTES);
        Cluster::resume(self, i);
        eventually("it votes", START_LIMIT, || self.said(VOTES) > before);
    }

    fn wait_until_serves(&mut self, i: usize) {
        Cluster::wait_until_serves(self, i);
    }
}

impl Servers for ZooKeepers {
    fn name(&self) -> &'static str {
        "three of the original"
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        ZooKeepers::addresses(self)
    }

    fn leader(&mut self) -> usize {
        ZooKeepers::leader(self)
    }

    fn kill(&mut self, i: usize) {
        self.server(i).process().kill();
    }

    fn stop(&mut self, i: usize) {
        self.server(i).stop();
    }

    fn wipe(&mut self, i: usize) {
        self.server(i).wipe();
    }

    fn signal(&mut self, i: usize, signal: Signal) {
        self.server(i).process().signal(signal);
    }

    fn resume(&mut self, i: usize) {
        self.server(i).resume();
    }

    fn rejoin(&mut self, i: usize) {
        self.server(i).resume();
    }

    fn wait_until_serves(&mut self, i: usize) {
        self.server(i).wait_until_serves();
    }
}
