//! Starting a server in the background: `chrysalis start` executes `chrysalis run` anew, which detaches
//! itself before it does anything else, and hears from it over a pipe how it went.
//!
//! The pipe is the new process's standard output: one line of JSON a [`Progress`]. Its end without a
//! `Serving` means that the process has ended. Standard error goes to `logs/chrysalis.log`. Nothing
//! forks after a thread exists: the starter only executes, and `run` detaches in its first statements.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Ports;
use super::readiness::write_line;
use crate::config::ServerFolder;

/// What a server tells the one who started it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The ports serve. Nothing more follows.
    Serving {
        /// On which addresses.
        ports: Ports,
        /// What keeps the server from doing all that it is there for.
        obstacles: Vec<String>,
    },
    /// It ends, and this is why: the whole message and the exit code.
    Failed {
        /// As an operator reads it.
        message: String,
        /// What the process ends with.
        exit_code: u8,
    },
}

/// How a start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server serves.
    Serving {
        /// On which addresses.
        ports: Ports,
        /// What keeps it from doing all that it is there for.
        obstacles: Vec<String>,
    },
    /// It has ended with this message and exit code.
    Failed {
        /// As an operator reads it.
        message: String,
        /// What the process ended with.
        exit_code: u8,
    },
    /// It has ended without a word.
    Died,
    /// It is still starting after the time allowed.
    StillStarting,
}

/// The option of `run` that [`start`] uses; not for operators.
pub const DETACH_OPTION: &str = "--detach";

/// Starts the server of `folder` in the background and waits until it serves or has ended, but not
/// longer than `wait_max`. `options` are handed to `run` as they are.
///
/// # Errors
/// The log file cannot be opened or the program not executed.
pub fn start(folder: &ServerFolder, options: &[String], wait_max: Duration) -> io::Result<Outcome> {
    let log = match append_to(&folder.log_file()) {
        Ok(log) => Stdio::from(log),
        // A server serves on a full disk, too. Its first lines are lost.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Stdio::null(),
        Err(error) => return Err(error),
    };
    let mut launched = Command::new(std::env::current_exe()?)
        .arg("run")
        .arg(folder.root())
        .arg(DETACH_OPTION)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let said = launched
        .stdout
        .take()
        .expect("standard output was asked for as a pipe");
    let outcome = hear(BufReader::new(said), wait_max)?;
    // The process executed here has handed over to the one it forked, and is only to be reaped.
    if outcome != Outcome::StillStarting {
        launched.wait()?;
    }
    Ok(outcome)
}

fn append_to(log: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(log)
}

/// Listens to a server that starts. The waiting thread belongs to the starter, not to a server.
fn hear(said: impl io::BufRead + Send + 'static, wait_max: Duration) -> io::Result<Outcome> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    })?;
    let until = Instant::now() + wait_max;
    loop {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Progress::Serving { ports, obstacles }) => {
                    return Ok(Outcome::Serving { ports, obstacles });
                }
                Ok(Progress::Failed { message, exit_code }) => {
                    return Ok(Outcome::Failed { message, exit_code });
                }
                // Whatever else was printed is not for us.
                Err(_) => {}
            },
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(Outcome::StillStarting),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Outcome::Died),
        }
    }
}

/// Which of the two processes this is after [`detach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was started: it has nothing more to do.
    Left,
    /// The new one, which belongs to no terminal and no session of anybody's.
    Detached,
}

/// Leaves the terminal, the session, the working folder and the open files of whoever started this
/// process, by forking. There must be no other thread yet, and no file of our own.
///
/// # Errors
/// The process cannot be forked or its session not be left.
pub fn detach(folder: &ServerFolder) -> Result<Side, daemonize::Error> {
    close_inherited();
    let outcome = daemonize::Daemonize::new()
        .working_directory(folder.root())
        .umask(0o027)
        .stdout(daemonize::Stdio::keep())
        .stderr(daemonize::Stdio::keep())
        .execute();
    match outcome {
        daemonize::Outcome::Parent(left) => left.map(|_| Side::Left),
        daemonize::Outcome::Child(detached) => detached.map(|_| Side::Detached),
    }
}

/// Closes what was open in the program that started us, but for the standard streams: whoever waits for
/// the end of a pipe of theirs would otherwise wait as long as the server runs.
fn close_inherited() {
    const FIRST: i32 = 3;
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let names: Vec<_> = descriptors
        .flatten()
        .map(|descriptor| descriptor.file_name())
        .collect();
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    for number in numbers.filter(|number: &i32| *number >= FIRST) {
        // The one of the listing itself is closed by now.
        let _closed = nix::unistd::close(number);
    }
}

/// Tells the starter, for the first and last time, and lets go of the pipe to it.
pub fn tell_starter(progress: &Progress) {
    let line = serde_json::to_string(progress).expect("a progress is plain data");
    // The starter may be gone; the server goes on without it.
    let _told = write_line(&line);
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _left = nix::unistd::dup2_stdout(null);
    }
}

#[cfg(test)]
mod tests;
