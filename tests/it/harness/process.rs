//! Server processes under test: started with their output in a file, watched until ready, stopped by pid.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One child process. Killed on drop.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Process {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("open the log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("share the log file"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start {name} ({command:?}): {error}"));
        Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("Linux keeps pids below 2^22"))
    }

    /// Waits until `probe` says yes.
    ///
    /// # Panics
    /// The process ends first, or the time is over; the message has the end of its log.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut() -> bool,
    ) {
        let end = Instant::now() + limit;
        while !probe() {
            if let Some(status) = self.child.try_wait().expect("ask about a child") {
                panic!(
                    "{} ended with {status} before it was {what}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            assert!(
                Instant::now() < end,
                "{} is not {what} after {limit:?}:\n{}",
                self.name,
                self.log_tail()
            );
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("ask about a child") {
                return status;
            }
            assert!(
                Instant::now() < end,
                "{} still runs after {limit:?}:\n{}",
                self.name,
                self.log_tail()
            );
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask about a child").is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended a moment ago.
        let _ = kill(self.pid(), signal);
    }

    /// Asks it to stop, and waits.
    pub(crate) fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(limit)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it wrote, all of it.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of what it wrote.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Its resident memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("the kernel tells VmRSS");
        let kilobytes: u64 = line
            .split_whitespace()
            .nth(1)
            .expect("a number")
            .parse()
            .expect("a number");
        kilobytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a condition that others bring about.
///
/// # Panics
/// It does not come true in time.
pub(crate) fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// What a program left behind.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end with this input.
///
/// # Panics
/// It does not end in time.
pub(crate) fn run_to_end(command: &mut Command, input: &str, limit: Duration) -> Outcome {
    let folder = tempfile::TempDir::new().expect("make a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("stdin"), input).expect("write the input");
    let mut child = command
        .stdin(File::open(path("stdin")).expect("open the input"))
        .stdout(File::create(path("stdout")).expect("make an output file"))
        .stderr(File::create(path("stderr")).expect("make an output file"))
        .spawn()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let read = |name: &str| {
        String::from_utf8_lossy(&fs::read(path(name)).expect("read an output")).into_owned()
    };
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("ask about a child") {
            return Outcome {
                status,
                stdout: read("stdout"),
                stderr: read("stderr"),
            };
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "{command:?} still runs after {limit:?}:\n{}\n{}",
                read("stdout"),
                read("stderr")
            );
        }
        sleep(Duration::from_millis(5));
    }
}
