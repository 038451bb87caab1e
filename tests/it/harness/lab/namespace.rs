//! A network namespace of its own, for programs that insist on a fixed port.

use super::debian::need;
use super::run;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// Has a loopback of its own and no other interface; goes away on drop.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one. Needs root.
    pub(crate) fn new() -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        need("ip", "iproute2");
        let name = format!(
            "chrysalis-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        run(
            Command::new("ip").args(["netns", "add", &name]),
            "make a network namespace (as root)",
        );
        let namespace = Namespace { name };
        run(
            namespace.command("ip").args(["link", "set", "lo", "up"]),
            "bring up its loopback",
        );
        namespace
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What still runs there was started by a test that did not come to its end.
        let listed = Command::new("ip")
            .args(["netns", "pids", &self.name])
            .output();
        let pids = listed.map(|output| output.stdout).unwrap_or_default();
        for pid in String::from_utf8_lossy(&pids).lines() {
            let pid = pid.parse().map(Pid::from_raw);
            // It may have ended a moment ago.
            let _ = pid.map(|pid| kill(pid, Signal::SIGKILL));
        }
        // Nothing depends on it: a namespace that stays behind holds only a loopback.
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .output();
    }
}
