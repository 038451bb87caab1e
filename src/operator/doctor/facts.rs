//! What is known of a server and its host before any check looks at it. Plain data: a test makes it up.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::appliance::cluster::ClusterStatus;
use crate::appliance::status::ServerStatus;
use crate::config::{Config, ServerFolder, Zookeeper, ZookeeperAt};
use crate::report::shell_word;

/// Something that is known, or why it is not.
pub type Known<T> = Result<T, Unknown>;

/// Why something is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// This server has nothing of the kind: there is nothing to know.
    DoesNotApply,
    /// It could not be found out.
    Because(String),
}

/// It could not be found out because of this.
pub fn hidden<T>(why: impl Into<String>) -> Known<T> {
    Err(Unknown::Because(why.into()))
}

/// One server, and what it lives on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its folder.
    pub folder: ServerFolder,
    /// Its configuration, or what is wrong with it, a line each.
    pub config: Result<Config, Vec<String>>,
    /// What a start would refuse although the configuration is right, a line each.
    pub refusals: Vec<String>,
    /// Its process.
    pub process: Process,
    /// How it says it is doing.
    pub status: Known<ServerStatus>,
    /// What it says of its ensemble.
    pub cluster: Known<ClusterStatus>,
    /// Who answers where clients are told to find its broker.
    pub advertised: Known<Answering>,
    /// When its broker was registered, by the clock of whoever leads the coordinator.
    pub registered: Known<Registered>,
    /// What its next start would meet; only of one that does not run.
    pub start: Start,
    /// Its unit of systemd, where systemd knows one.
    pub unit: Known<Unit>,
    /// Whose its files are.
    pub files: Files,
    /// What its folders lie on, each file system once.
    pub file_systems: Known<Vec<FileSystem>>,
    /// How fast its disk makes a write safe.
    pub speed: Known<Speed>,
    /// The host.
    pub machine: Machine,
}

impl Facts {
    /// The configuration.
    ///
    /// # Errors
    /// It has mistakes.
    pub fn config(&self) -> Known<&Config> {
        let mistakes =
            |_: &Vec<String>| Unknown::Because("the configuration has mistakes".to_owned());
        self.config.as_ref().map_err(mistakes)
    }

    /// Its own status.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub fn status(&self) -> Known<&ServerStatus> {
        self.status.as_ref().map_err(Unknown::clone)
    }

    /// Its ensemble.
    ///
    /// # Errors
    /// It has none, does not run, or does not answer.
    pub fn cluster(&self) -> Known<&ClusterStatus> {
        self.cluster.as_ref().map_err(Unknown::clone)
    }

    /// The end of a command that is suggested: ` --folder DIR`.
    pub fn flag(&self) -> String {
        format!(" {}", crate::server::flag(&self.folder))
    }

    /// The node below which brokers register, and the options with which `chrysalis zk` leads there, behind a blank.
    pub fn registry(&self) -> (String, String) {
        let broker = self
            .config
            .as_ref()
            .ok()
            .and_then(|config| config.broker.as_ref());
        match broker.map(|broker| &broker.zookeeper) {
            Some(Zookeeper {
                at: ZookeeperAt::External(servers),
                root,
                ..
            }) => {
                let (hosts, chroot) = match servers.find('/') {
                    Some(slash) => servers.split_at(slash),
                    None => (servers.as_str(), ""),
                };
                (
                    format!("{chroot}{root}"),
                    format!(" --server {}", shell_word(hosts)),
                )
            }
            Some(own) => (own.root.clone(), self.flag()),
            None => ("/meta".to_owned(), self.flag()),
        }
    }

    /// The command that starts, stops or restarts the server: systemd's, where systemd has it.
    pub fn command(&self, verb: &str) -> String {
        match &self.unit {
            Ok(unit) => format!("systemctl {verb} {}", unit.name),
            Err(_) => format!("chrysalis {verb}{}", self.flag()),
        }
    }
}

/// The process of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// There is none.
    Stopped,
    /// There is one.
    Running(Running),
}

/// A process that serves the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Its number, unless it has not written it yet.
    pub pid: Option<u32>,
    /// It is suspended.
    pub suspended: bool,
    /// Why it does not answer, if it does not.
    pub silent: Option<String>,
    /// The file of its program is not on disk any more.
    pub program_is_gone: Option<bool>,
}

/// Who answers at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answering {
    /// This server.
    Own,
    /// Nobody; why.
    Nobody(String),
    /// Another one; what it says of itself.
    Another(String),
}

/// When the broker was registered. By the clock of this host that was between its start and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// As the coordinator's leader stamped it, in milliseconds since 1970.
    pub at_ms: i64,
    /// When this server's process began, by the clock of this host.
    pub began_ms: i64,
    /// When that was read, by the clock of this host.
    pub now_ms: i64,
}

/// What a start would meet.
#[derive(Clone, Debug)]
pub struct Start {
    /// Ports of the configuration that somebody else has.
    pub taken: Known<Vec<TakenPort>>,
    /// What the process's limits refuse, or spoil.
    pub limits: Known<Limits>,
    /// The journal.
    pub journal: Known<Journal>,
    /// Folders of topics that there were, and are not any more.
    pub topics_gone: Known<Vec<PathBuf>>,
    /// Folders of data that another process has locked.
    pub locked: Known<Vec<Locked>>,
    /// What the last start said before it ended.
    pub last_words: Known<Option<String>>,
}

impl Start {
    /// Nothing of it is to be looked at.
    pub fn none(why: &Unknown) -> Start {
        Start {
            taken: Err(why.clone()),
            limits: Err(why.clone()),
            journal: Err(why.clone()),
            topics_gone: Err(why.clone()),
            locked: Err(why.clone()),
            last_words: Err(why.clone()),
        }
    }
}

/// A port that somebody else has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenPort {
    /// The key that says it.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Who has it, such as `process 17 (java)`, as far as this user may know.
    pub by: Option<String>,
}

/// What limits do to a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Why it would be refused.
    pub refused: Option<String>,
    /// What it would do without, a sentence each.
    pub notes: Vec<String>,
}

/// How a journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Journal {
    /// It can be read to its end, or there is none yet.
    Whole,
    /// There was one, and its folder is gone.
    Gone,
    /// It is damaged: where, and what is wrong.
    Damaged(String),
    /// A newer version wrote it.
    Newer(String),
}

/// A folder that another process has locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The folder.
    pub folder: PathBuf,
    /// The process.
    pub pid: u32,
}

/// A unit of systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// systemd has given it up.
    pub failed: bool,
    /// What the process ended with, as a number.
    pub exit_code: Option<u8>,
}

/// Whose the files of a server are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The user that owns the folder of data.
    pub owner: Known<u32>,
    /// Files and folders of others in it, each with its user; the first few.
    pub strangers: Known<Vec<(PathBuf, u32)>>,
    /// Folders that the owner may not write to, each with the reason.
    pub closed: Known<Vec<(PathBuf, String)>>,
}

/// A file system that folders of the server lie on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// The folder that was asked about.
    pub folder: PathBuf,
    /// Its kind, where it is one that keeps no promise of its own.
    pub kind: Option<Dishonest>,
    /// Nothing can be written to it.
    pub read_only: bool,
    /// Its size.
    pub total_bytes: u64,
    /// What is free for the server.
    pub free_bytes: u64,
    /// Files that can still be made; none where it does not count them.
    pub files_free: Option<u64>,
}

/// A file system that does not itself put onto a disk what is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dishonest {
    /// In memory.
    Memory(&'static str),
    /// On another host.
    Network(&'static str),
    /// Of a container, with which it goes.
    Container(&'static str),
    /// A process.
    UserSpace(&'static str),
}

/// How long writes took, each safe before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// Half of them took no longer, in microseconds.
    pub median_us: u64,
    /// The longest, in microseconds.
    pub longest_us: u64,
    /// How many there were.
    pub writes: usize,
}

/// The host.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's release, such as `6.1.0-13-amd64`.
    pub kernel: String,
    /// The most memory a server may have.
    pub memory: Known<Memory>,
    /// `vm.overcommit_memory`.
    pub overcommit: Known<u32>,
    /// `kernel.io_uring_disabled`, where the kernel has it.
    pub ring_disabled: Option<u32>,
    /// What keeps the clock.
    pub clock: Known<Clock>,
}

/// Memory, and what bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes.
    pub bytes: u64,
    /// What bounds it, as in `memory.max of its control group is`.
    pub bound: String,
}

/// What keeps the host's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The process that does, by its name.
    pub keeper: Option<String>,
    /// That process says that the clock is not right yet.
    pub not_yet: bool,
}
