//! Our server: `chrysalis init` and `chrysalis run`, both ports on the loopback.

use super::deployment::{Deployment, START_LIMIT, STOP_LIMIT, Topic};
use super::process::Process;
use super::socket::{free_port, is_listening};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const CHRYSALIS: &str = env!("CARGO_BIN_EXE_chrysalis");

/// One server folder, and its process while it runs.
pub(crate) struct Server {
    /// Removes the folder in the end, if it is ours.
    _home: Option<TempDir>,
    folder: PathBuf,
    /// Where coordinator and broker listen.
    host: Ipv4Addr,
    ports: Ports,
    /// Where its output goes. Beside the folder, unless told otherwise: the tests fill and break the folder itself.
    log: PathBuf,
    /// False if it serves only MetaQ clients.
    has_coordinator: bool,
    /// False if it serves only ZooKeeper clients.
    has_broker: bool,
    has_web: bool,
    process: Option<Process>,
}

/// The ports of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) coordinator: u16,
    pub(crate) broker: u16,
    pub(crate) web: u16,
}

impl Ports {
    /// Three that nobody uses.
    pub(crate) fn free() -> Ports {
        Ports {
            coordinator: free_port(),
            broker: free_port(),
            web: free_port(),
        }
    }
}

/// Makes a server folder with the public command and returns what it said.
pub(crate) fn init(folder: &Path, ports: Ports, topics: &[Topic]) -> Output {
    let mut command = Command::new(CHRYSALIS);
    command
        .arg("init")
        .arg(folder)
        .args(["--coordinator-port", &ports.coordinator.to_string()])
        .args(["--broker-port", &ports.broker.to_string()])
        .args(["--web-port", &ports.web.to_string()]);
    for (topic, partitions) in topics {
        command.args(["--topic", &format!("{topic}:{partitions}")]);
    }
    command.output().expect("the binary under test starts")
}

impl Server {
    /// A fresh server with these topics, serving.
    pub(crate) fn start(topics: &[Topic]) -> Server {
        Server::start_with(topics, |_| {})
    }

    /// A fresh server whose `server.toml` is changed by `edit` before it starts.
    pub(crate) fn start_with(topics: &[Topic], edit: impl FnOnce(&mut String)) -> Server {
        let home = TempDir::new().expect("make a folder");
        let folder = home.path().join("server1");
        let mut server = Server::prepare(&folder, topics, edit);
        server._home = Some(home);
        server.resume();
        server
    }

    /// A fresh coordinator alone, so that nobody else writes, with further changes by `edit`.
    pub(crate) fn coordinator_alone(edit: impl FnOnce(&mut String)) -> Server {
        Server::start_with(&[], |text| {
            set_key(text, "broker", "enabled", "false");
            edit(text);
        })
    }

    /// A server folder at `folder`, made and not started.
    pub(crate) fn prepare(
        folder: &Path,
        topics: &[Topic],
        edit: impl FnOnce(&mut String),
    ) -> Server {
        Server::prepare_at(folder, Ports::free(), topics, edit)
    }

    /// The same with given ports.
    pub(crate) fn prepare_at(
        folder: &Path,
        ports: Ports,
        topics: &[Topic],
        edit: impl FnOnce(&mut String),
    ) -> Server {
        let output = init(folder, ports, topics);
        assert!(
            output.status.success(),
            "chrysalis init: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let file = folder.join("conf/server.toml");
        let mut text = fs::read_to_string(&file).expect("init writes conf/server.toml");
        let before = text.clone();
        edit(&mut text);
        if text != before {
            fs::write(&file, &text).expect("write conf/server.toml");
        }
        Server {
            _home: None,
            folder: folder.to_owned(),
            host: Ipv4Addr::LOCALHOST,
            ports,
            log: folder.with_extension("log"),
            has_coordinator: is_enabled(&text, "coordinator"),
            has_broker: is_enabled(&text, "broker"),
            has_web: is_enabled(&text, "web"),
            process: None,
        }
    }

    /// A fresh server that takes any free ports, on whatever addresses `edit` makes it listen; where it
    /// listens, `chrysalis status` says.
    pub(crate) fn prepare_and_run(edit: impl FnOnce(&mut String)) -> Server {
        let home = TempDir::new().expect("make a folder");
        let folder = home.path().join("server1");
        let any = Ports {
            coordinator: 0,
            broker: 0,
            web: 0,
        };
        let mut server = Server::prepare_at(&folder, any, &[], edit);
        server._home = Some(home);
        let mut process = server.spawn(&mut server.command());
        process.wait_until("serving", START_LIMIT, || {
            let mut status = Command::new(CHRYSALIS);
            let output = status.arg("status").arg(&folder).output();
            output
                .expect("the binary under test starts")
                .status
                .success()
        });
        server.process = Some(process);
        server
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the partitions' folders are.
    pub(crate) fn topics_folder(&self) -> PathBuf {
        self.folder.join("data/topics")
    }

    pub(crate) fn web(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.web))
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }

    /// The command that runs it in the foreground.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(CHRYSALIS);
        command.arg("run").arg(&self.folder);
        command
    }

    /// Starts it and waits until both ports serve.
    pub(crate) fn resume(&mut self) {
        let mut command = self.command();
        self.resume_with(&mut command);
    }

    /// Starts it by this command and waits until all its ports serve.
    pub(crate) fn resume_with(&mut self, command: &mut Command) {
        let mut process = self.spawn(command);
        let coordinator = self.has_coordinator.then(|| self.coordinator());
        let broker = self.has_broker.then(|| self.broker());
        let web = self.has_web.then(|| self.web());
        let addresses: Vec<SocketAddr> = [coordinator, broker, web].into_iter().flatten().collect();
        process.wait_until("serving", START_LIMIT, || {
            addresses.iter().all(|address| is_listening(*address))
        });
        self.process = Some(process);
    }

    /// Starts it and waits for nothing.
    pub(crate) fn begin(&mut self) {
        self.process = Some(self.spawn(&mut self.command()));
    }

    /// The same, where its operator has accepted what is lost.
    pub(crate) fn begin_accepting_loss(&mut self) {
        let mut command = self.command();
        command.arg("--accept-loss");
        self.process = Some(self.spawn(&mut command));
    }

    /// Starts it by this command and waits for nothing.
    pub(crate) fn spawn(&self, command: &mut Command) -> Process {
        Process::start("chrysalis", command, &self.log)
    }

    /// It is found at this address, where its configuration has it listen.
    pub(crate) fn set_host(&mut self, host: Ipv4Addr) {
        self.host = host;
    }

    /// Has its output written to this file.
    pub(crate) fn log_to(&mut self, log: &Path) {
        self.log = log.to_owned();
    }

    /// An orderly stop.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let status = process.terminate(STOP_LIMIT);
            assert!(
                status.success(),
                "an orderly stop ended with {status}:\n{}",
                process.log_tail()
            );
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }
}

impl Deployment for Server {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn coordinator(&self) -> SocketAddr {
        SocketAddr::from((self.host, self.ports.coordinator))
    }

    fn broker(&self) -> SocketAddr {
        SocketAddr::from((self.host, self.ports.broker))
    }

    fn restart(&mut self) {
        self.stop();
        self.resume();
    }

    fn kill_and_restart(&mut self) {
        self.kill();
        self.resume();
    }
}

/// Sets one key in the text of a `server.toml`; `value` is written as TOML.
pub(crate) fn set_key(text: &mut String, section: &str, key: &str, value: &str) {
    let mut config: toml::Table = text.parse().expect("init writes TOML");
    let setting: toml::Table = format!("{key} = {value}")
        .parse()
        .expect("the test writes TOML");
    config
        .entry(section)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .expect("a section")
        .extend(setting);
    *text = config.to_string();
}

/// The same for a text, as it is.
pub(crate) fn set_text(text: &mut String, section: &str, key: &str, value: &str) {
    let value = toml::Value::String(value.to_owned());
    set_key(text, section, key, &value.to_string());
}

fn is_enabled(config: &str, half: &str) -> bool {
    let config: toml::Table = config.parse().expect("init writes TOML");
    let enabled = config.get(half).and_then(|half| half.get("enabled"));
    enabled.and_then(toml::Value::as_bool).unwrap_or(true)
}
