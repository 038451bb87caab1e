//! Other projects' own test suites, as they were published, against three of our servers that are one ensemble.
//!
//! Only what starts ZooKeeper's servers is replaced: by `tests/conformance/suites`, in a network namespace of its own. A
//! test that fails is tried once more alone, because many of them judge fractions of a second. Then every test has to pass
//! but those that are left out by name, and no fewer may pass than did when this was written.

mod aiozk;
mod c_client;
mod go_zookeeper;
mod kazoo;
mod rust_clients;
mod verdicts;

use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::lab::namespace::Namespace;
use crate::harness::process::{Process, eventually, run_to_end};
use crate::harness::server::CHRYSALIS;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use verdicts::{LeftOut, Verdicts};

/// A suite that is being run.
struct Suite {
    namespace: Namespace,
    /// Where it may write.
    folder: TempDir,
}

impl Suite {
    fn new() -> Suite {
        Suite {
            namespace: Namespace::new(),
            folder: TempDir::new().expect("make a folder"),
        }
    }

    /// A command in the suite's network that finds our launchers where it looks for ZooKeeper's.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![launchers()];
        folders.extend(std::env::split_paths(&path));
        let mut command = self.namespace.command(program);
        command
            .current_dir(self.folder.path())
            .env("PATH", std::env::join_paths(folders).expect("no colons"))
            .env("CHRYSALIS", CHRYSALIS)
            .env("CHRYSALIS_LOG", self.log())
            .env("TMPDIR", self.folder.path());
        command
    }

    /// What all servers write.
    fn log(&self) -> PathBuf {
        self.folder.path().join("servers.log")
    }

    /// Three servers, one of which listens on this port, and the others on those 10,020 and 10,030 above.
    fn serve(&self, port: u16) -> Process {
        let config = self.folder.path().join("zoo.cfg");
        let data = self.folder.path().join("data");
        fs::create_dir_all(&data).expect("make a folder");
        let text = format!(
            "tickTime=2000\nclientPort={port}\ndataDir={}\n",
            data.display()
        );
        fs::write(&config, text).expect("write zoo.cfg");
        let mut command = self.command(launchers().join("zkServer.sh"));
        command.arg("start-foreground").arg(&config);
        let servers = Process::start("three servers", &mut command, &self.log());
        for port in [port, port + 10_020, port + 10_030] {
            let asking = format!(
                "exec 3<>/dev/tcp/127.0.0.1/{port} && printf srvr >&3 && grep -q Mode: <&3"
            );
            eventually("all serve", START_LIMIT, || {
                let mut probe = self.namespace.command("timeout");
                probe.args(["5", "bash", "-c", &asking]);
                let probed = run_to_end(&mut probe, "", Duration::from_secs(10));
                probed.status.success()
            });
        }
        servers
    }

    /// Runs all, those that failed once more, and judges. `run` is given the tests to run, or none for all of them.
    fn judge(
        &self,
        left_out: &[LeftOut],
        floor: usize,
        mut run: impl FnMut(&Suite, Option<&[String]>) -> Verdicts,
    ) {
        let mut verdicts = run(self, None);
        let failed = verdicts.failed(left_out);
        if !failed.is_empty() {
            lab::note(&format!("failed, and tried once more: {failed:?}"));
            verdicts.replace(run(self, Some(&failed)));
        }
        let (passed, complaint) = (verdicts.passed(), verdicts.complaint(left_out, floor));
        if let Some(complaint) = complaint {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            panic!("{complaint}\n{}\nthe servers:\n{tail}", verdicts.said);
        }
        lab::note(&format!("{passed} passed, {} left out", left_out.len()));
    }
}

/// Whether suites are run here.
fn wanted() -> bool {
    lab::full() && lab::may_make_namespaces()
}

/// What stands in for the programs that start ZooKeeper.
fn launchers() -> PathBuf {
    lab::assets().join("suites")
}
