//! Several servers of ours that are one coordinator, each with a broker of its own, on the loopback or on hosts of their own.

use super::deployment::{Deployment, START_LIMIT, Topic};
use super::lab;
use super::lab::network::Network;
use super::process::eventually;
use super::roaming::Roamer;
use super::server::{Ports, Server, set_key, set_text};
use super::socket::{free_port, is_listening};
use super::zookeeper_wire::{Client, four_letter_word};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use tempfile::TempDir;

/// What a server writes to its log when it begins to lead.
const LEADS: &str = "the coordinator serves";

/// Servers by their place, from 0; their ids are from 1. Those that run end with it.
pub(crate) struct Cluster {
    servers: Vec<Server>,
    running: Vec<bool>,
    /// The hosts that they run on, if each has its own.
    network: Option<Network>,
    _home: TempDir,
}

impl Cluster {
    /// So many fresh servers, all serving.
    pub(crate) fn start(count: usize) -> Cluster {
        Cluster::start_with(count, &[], |_| {})
    }

    /// The same with these topics on each, and changes to each configuration.
    pub(crate) fn start_with(
        count: usize,
        topics: &[Topic],
        edit: impl Fn(&mut String),
    ) -> Cluster {
        let mut cluster = Cluster::prepare(count, topics, edit);
        cluster.begin_all();
        cluster
    }

    /// Starts all, and waits until they serve.
    pub(crate) fn begin_all(&mut self) {
        self.places().for_each(|i| self.begin(i));
        self.wait_until_all_serve();
    }

    /// Empty folders; nothing runs.
    pub(crate) fn prepare(count: usize, topics: &[Topic], edit: impl Fn(&mut String)) -> Cluster {
        Cluster::prepare_each(count, |_| topics.to_vec(), edit)
    }

    /// The same with these topics on server `i`.
    pub(crate) fn prepare_each(
        count: usize,
        topics: impl Fn(usize) -> Vec<Topic>,
        edit: impl Fn(&mut String),
    ) -> Cluster {
        Cluster::prepare_at(&vec![Ipv4Addr::LOCALHOST; count], topics, edit)
    }

    /// The same with a server on each host of a network.
    pub(crate) fn prepare_on(network: Network, edit: impl Fn(&mut String)) -> Cluster {
        let mut cluster = Cluster::prepare_at(&network.addresses(), |_| Vec::new(), edit);
        cluster.network = Some(network);
        cluster
    }

    fn prepare_at(
        hosts: &[Ipv4Addr],
        topics: impl Fn(usize) -> Vec<Topic>,
        edit: impl Fn(&mut String),
    ) -> Cluster {
        let home = TempDir::new().expect("make a folder");
        let numbered = || (1..).zip(hosts);
        let entries: Vec<String> = numbered()
            .map(|(id, host)| format!("\"{id}={host}:{}\"", free_port()))
            .collect();
        let list = format!("[{}]", entries.join(", "));
        let servers = numbered().map(|(id, host): (usize, _)| {
            let folder = home.path().join(format!("server{id}"));
            let topics = topics(id - 1);
            let mut server = Server::prepare_at(&folder, Ports::free(), &topics, |text| {
                set_key(text, "server", "id", &id.to_string());
                set_text(text, "server", "host_name", &host.to_string());
                set_text(text, "server", "listen", &host.to_string());
                set_key(text, "cluster", "servers", &list);
                edit(text);
            });
            server.set_host(*host);
            server
        });
        Cluster {
            servers: servers.collect(),
            running: vec![false; hosts.len()],
            network: None,
            _home: home,
        }
    }

    /// Has a server that never ran keep its data in another folder.
    pub(crate) fn keep_data_in(&self, i: usize, folder: &Path) {
        let data = self.servers[i].folder().join("data");
        fs::remove_dir(&data).expect("it is empty");
        symlink(folder, data).expect("nothing is there");
    }

    /// Another server with the number of this one, and a folder and ports of its own; it does not run.
    pub(crate) fn second(&self, i: usize) -> Server {
        let config = self.servers[i].folder().join("conf/server.toml");
        let config = fs::read_to_string(config).expect("it was prepared");
        let config: toml::Table = config.parse().expect("it is TOML");
        let servers = config["cluster"]["servers"].as_array().expect("a list");
        let mut servers = servers.clone();
        servers[i] = format!("{}=127.0.0.1:{}", i + 1, free_port()).into();
        let folder = self.servers[i].folder().with_extension("second");
        Server::prepare(&folder, &[], |text| {
            set_key(text, "server", "id", &(i + 1).to_string());
            set_key(text, "server", "host_name", "\"127.0.0.1\"");
            let servers = toml::Value::from(servers).to_string();
            set_key(text, "cluster", "servers", &servers);
        })
    }

    pub(crate) fn places(&self) -> Range<usize> {
        0..self.servers.len()
    }

    pub(crate) fn server(&self, i: usize) -> &Server {
        &self.servers[i]
    }

    /// Where clients find server `i`.
    pub(crate) fn address(&self, i: usize) -> SocketAddr {
        self.servers[i].coordinator()
    }

    /// Where the other servers find server `i`.
    pub(crate) fn peer_address(&self, i: usize) -> SocketAddr {
        let config = self.servers[i].folder().join("conf/server.toml");
        let config = fs::read_to_string(config).expect("it was prepared");
        let config: toml::Table = config.parse().expect("it is TOML");
        let entry = config["cluster"]["servers"][i].as_str().expect("a text");
        let (_, address) = entry.split_once('=').expect("ID=HOST:PORT");
        address.parse().expect("an address")
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Server::coordinator).collect()
    }

    /// The hosts that the servers run on.
    pub(crate) fn network(&self) -> &Network {
        self.network.as_ref().expect("each has its own host")
    }

    /// Starts a server and waits for nothing.
    pub(crate) fn begin(&mut self, i: usize) {
        self.begin_by(i, Server::begin);
    }

    /// Starts a server whose operator has accepted what is lost, and waits for nothing.
    pub(crate) fn begin_accepting_loss(&mut self, i: usize) {
        self.begin_by(i, Server::begin_accepting_loss);
    }

    fn begin_by(&mut self, i: usize, begin: fn(&mut Server)) {
        let server = &mut self.servers[i];
        match &self.network {
            Some(network) => network.on(i, || begin(server)),
            None => begin(server),
        }
        self.running[i] = true;
    }

    /// The same, and waits until it serves.
    pub(crate) fn resume_accepting_loss(&mut self, i: usize) {
        self.begin_accepting_loss(i);
        self.wait_until_serves(i);
    }

    /// Starts a server and waits until its port is open; it may not serve.
    pub(crate) fn open(&mut self, i: usize) {
        self.begin(i);
        let address = self.address(i);
        let process = self.servers[i].process();
        process.wait_until("listening", START_LIMIT, || is_listening(address));
    }

    /// Starts a server and waits until it serves.
    pub(crate) fn resume(&mut self, i: usize) {
        self.begin(i);
        self.wait_until_serves(i);
    }

    pub(crate) fn wait_until_serves(&mut self, i: usize) {
        let address = self.address(i);
        let process = self.servers[i].process();
        process.wait_until("serving", START_LIMIT, || serves(address));
    }

    pub(crate) fn wait_until_all_serve(&mut self) {
        for i in self.places() {
            self.wait_until_serves(i);
        }
    }

    /// Their processes, all of which run.
    pub(crate) fn pids(&mut self) -> impl Iterator<Item = Pid> {
        let servers = self.servers.iter_mut();
        servers.map(|server| server.process().pid())
    }

    /// What a running server has in memory.
    #[allow(dead_code, reason = "benches/figures measures")]
    pub(crate) fn resident_bytes(&mut self, i: usize) -> u64 {
        self.servers[i].process().resident_bytes()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, i: usize) {
        self.servers[i].kill();
        self.running[i] = false;
    }

    /// An orderly stop.
    pub(crate) fn stop(&mut self, i: usize) {
        self.servers[i].stop();
        self.running[i] = false;
    }

    /// Sends a signal to a server.
    pub(crate) fn signal(&mut self, i: usize, signal: Signal) {
        self.servers[i].process().signal(signal);
    }

    /// A server that does not run forgets everything.
    pub(crate) fn wipe(&mut self, i: usize) {
        assert!(!self.running[i], "it runs");
        fs::remove_dir_all(self.servers[i].folder().join("data")).expect("there is data");
    }

    /// What is in a server's `data/` while it does not run, or a part of that, is kept aside under a name.
    pub(crate) fn keep(&self, i: usize, what: &str) -> PathBuf {
        assert!(!self.running[i], "it runs");
        let kept = self.servers[i].folder().with_extension("kept");
        copy(&self.servers[i].folder().join(what), &kept);
        kept
    }

    /// What was kept takes the place of what is there.
    pub(crate) fn put_back(&self, i: usize, what: &str, kept: &Path) {
        assert!(!self.running[i], "it runs");
        let place = self.servers[i].folder().join(what);
        fs::remove_dir_all(&place).expect("it is there");
        copy(kept, &place);
    }

    /// Waits until a server's process has ended by itself.
    pub(crate) fn ended(&mut self, i: usize) -> ExitStatus {
        self.running[i] = false;
        self.servers[i].process().wait(START_LIMIT)
    }

    /// Whether a server says that it serves.
    pub(crate) fn serves(&self, i: usize) -> bool {
        self.running[i] && serves(self.address(i))
    }

    /// The server that leads, as soon as there is one.
    pub(crate) fn leader(&mut self) -> usize {
        let mut leader = None;
        eventually("a server leads", START_LIMIT, || {
            leader = self.who_leads();
            leader.is_some()
        });
        leader.expect("waited for")
    }

    /// The running servers that do not lead.
    pub(crate) fn followers(&mut self) -> Vec<usize> {
        let leader = self.leader();
        let places = self.places();
        places
            .filter(|i| *i != leader && self.running[*i])
            .collect()
    }

    /// Each term has one leader, which says so in its log.
    fn who_leads(&mut self) -> Option<usize> {
        let terms = self.places().map(|i| (self.last_term_led(i), i));
        let (term, last) = terms.max()?;
        (term > 0 && self.serves(last)).then_some(last)
    }

    fn last_term_led(&self, i: usize) -> u64 {
        let log = self.log(i);
        let line = log.lines().rev().find(|line| line.contains(LEADS));
        let term = line.and_then(|line| line.split("term=").nth(1));
        let term = term.and_then(|term| term.split_whitespace().next());
        term.map_or(0, |term| term.parse().expect("the term is a number"))
    }

    /// All that a server has written to its log.
    pub(crate) fn log(&self, i: usize) -> String {
        let log = self.servers[i].folder().with_extension("log");
        fs::read_to_string(log).unwrap_or_default()
    }

    /// How many lines of all logs have this.
    pub(crate) fn said(&self, what: &str) -> usize {
        let logs = self.places().map(|i| self.log(i));
        logs.map(|log| log.matches(what).count()).sum()
    }

    /// A client that begins at server `i` and knows all.
    pub(crate) fn client(&self, i: usize, timeout_ms: i32) -> Roamer {
        Roamer::new(self.addresses(), i, timeout_ms)
    }

    /// A session with server `i` alone.
    pub(crate) fn session(&self, i: usize) -> Client {
        Client::connect(self.address(i))
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("there is a cp").success(), "it is copied");
}

/// A follower's clients, while all are restarted.
pub(crate) struct ThroughFollower {
    cluster: Cluster,
    follower: usize,
}

impl ThroughFollower {
    pub(crate) fn of(mut cluster: Cluster) -> ThroughFollower {
        let follower = cluster.followers()[0];
        ThroughFollower { cluster, follower }
    }
}

impl Deployment for ThroughFollower {
    fn name(&self) -> &'static str {
        "ours, a follower of three"
    }

    fn coordinator(&self) -> SocketAddr {
        self.cluster.address(self.follower)
    }

    fn broker(&self) -> SocketAddr {
        self.cluster.server(self.follower).broker()
    }

    fn restart(&mut self) {
        self.cluster.places().for_each(|i| self.cluster.stop(i));
        self.cluster.begin_all();
    }

    /// The server that leads is another one's.
    fn kill_and_restart(&mut self) {
        let leader = self.cluster.leader();
        self.cluster.kill(leader);
        self.cluster.resume(leader);
    }
}

/// A test that fails tells what the servers had to say.
impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            for i in self.places() {
                let log = self.log(i);
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(60)..].join("\n");
                lab::note(&format!("server {}:\n{tail}", i + 1));
            }
        }
    }
}

fn serves(address: SocketAddr) -> bool {
    let said = is_listening(address).then(|| four_letter_word(address, "srvr"));
    let said = said.flatten().unwrap_or_default();
    said.contains("Mode: ") && !said.contains("Mode: read-only")
}
