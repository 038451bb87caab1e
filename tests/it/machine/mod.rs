//! What the machine does not give: descriptors, threads, bytes of a file, memory, IPv6, a place for log lines. A server
//! that can go on without goes on; one that cannot says what is lacking, and what to do.

mod addresses;
mod descriptors;
mod limits;
mod log;
mod permissions;

use crate::harness::deployment::Deployment as _;
use crate::harness::metaq_wire;
use crate::harness::server::{CHRYSALIS, Server};
use crate::harness::zookeeper_wire;
use nix::unistd::{Gid, Uid, chown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The command behind a tool that changes what it may have and becomes it.
fn by(tool: &str, options: &[&str], program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool);
    command.args(options).arg(program).args(arguments);
    command
}

/// Runs the server with these limits, as `prlimit` writes them.
fn limited(server: &Server, limits: &[&str]) -> Command {
    let mut command = by("prlimit", limits, Path::new(CHRYSALIS), &["run"]);
    command.arg(server.folder());
    command
}

/// Whether both halves serve; the server needs a topic `alive`.
fn assert_serves(server: &Server) {
    let mut zookeeper = zookeeper_wire::Client::connect(server.coordinator());
    zookeeper.create("/alive-", b"yes", 2).expect("create");
    zookeeper.close();
    let mut metaq = metaq_wire::Client::connect(server.broker());
    metaq.put("alive", 0, b"yes").expect("put");
}

/// An account without rights, with the program and a folder where it may go.
struct Somebody {
    home: TempDir,
    id: u32,
}

impl Somebody {
    /// One who has no processes: limits count all of a user's.
    fn new(id: u32) -> Somebody {
        let home = TempDir::new().expect("make a folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(home.path(), open).expect("open the way");
        fs::copy(CHRYSALIS, home.path().join("chrysalis")).expect("copy the program");
        Somebody { home, id }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("server1")
    }

    /// Gives everything below a folder to the account.
    fn own(&self, path: &Path) {
        let (user, group) = (Uid::from_raw(self.id), Gid::from_raw(self.id));
        chown(path, Some(user), Some(group)).expect("give it away");
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries {
            self.own(&entry.path());
        }
    }

    /// The program, run by the account behind these words.
    fn command(&self, before: &[&str]) -> Command {
        let id = self.id.to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .args(before)
            .arg(self.home.path().join("chrysalis"));
        command
    }
}
