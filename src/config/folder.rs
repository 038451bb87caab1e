//! Where everything of one server lies. Names only: nothing here looks at the disk.

use std::path::{Path, PathBuf};

/// The folder of one server, laid out as design says: `conf`, `data`, `logs` below one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFolder {
    root: PathBuf,
}

impl ServerFolder {
    /// The server whose folder is `root`.
    pub fn new(root: impl Into<PathBuf>) -> ServerFolder {
        ServerFolder { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder's own name, as in `server1`; what messages call this server.
    pub fn name(&self) -> String {
        match self.root.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => self.root.display().to_string(),
        }
    }

    /// `conf/`: what the operator writes.
    pub fn conf(&self) -> PathBuf {
        self.root.join("conf")
    }

    /// `conf/server.toml`: the configuration.
    pub fn server_toml(&self) -> PathBuf {
        self.conf().join("server.toml")
    }

    /// `conf/server.ini`: the original broker's configuration, read where there is no `server.toml`.
    pub fn server_ini(&self) -> PathBuf {
        self.conf().join("server.ini")
    }

    /// `conf/zoo.cfg`: ZooKeeper's configuration, read where there is no `server.toml`.
    pub fn zoo_cfg(&self) -> PathBuf {
        self.conf().join("zoo.cfg")
    }

    /// `data/`: everything the server writes.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// `data/journal/`: the entries of all Raft groups.
    pub fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }

    /// `data/coordinator/`: snapshots of the tree.
    pub fn coordinator(&self) -> PathBuf {
        self.data().join("coordinator")
    }

    /// `data/broker/`: the broker's snapshots and checkpoints.
    pub fn broker(&self) -> PathBuf {
        self.data().join("broker")
    }

    /// `data/topics/`: the message files, unless the configuration names another folder.
    pub fn topics(&self) -> PathBuf {
        self.data().join("topics")
    }

    /// `data/control.sock`: where local commands are answered; only its owner may open it.
    pub fn control_socket(&self) -> PathBuf {
        self.data().join("control.sock")
    }

    /// `data/chrysalis.pid`: locked by the process that serves this folder, and naming it.
    pub fn pid_file(&self) -> PathBuf {
        self.data().join("chrysalis.pid")
    }

    /// `logs/`: lines for people.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// `logs/chrysalis.log`: where a server in the background writes them.
    pub fn log_file(&self) -> PathBuf {
        self.logs().join("chrysalis.log")
    }
}
