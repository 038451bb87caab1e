//! Who wants to know how the server is doing: systemd, and the `chrysalis start` that started it.

use std::io::{self, Write as _};
use std::time::Duration;

use sd_notify::NotifyState;

use super::Ports;
use super::background::Progress;

/// Tells those who wait for it that the server serves, lives, stops. Without systemd and without a
/// starter it tells nobody; telling never fails the server.
#[derive(Debug, Default)]
pub struct Readiness {
    systemd: bool,
    starter: bool,
}

impl Readiness {
    /// Tells systemd if it started this process and wants to know, and with `starter` the process at
    /// the other end of standard output (see [`super::background`]).
    pub fn new(starter: bool) -> Readiness {
        Readiness {
            systemd: std::env::var_os("NOTIFY_SOCKET").is_some(),
            starter,
        }
    }

    /// The ports serve, and clients find them, but for these obstacles.
    pub fn serving(&mut self, ports: &Ports, obstacles: &[String]) {
        let mut status = format!("serving {ports}");
        for obstacle in obstacles {
            status.push_str("; ");
            status.push_str(obstacle);
        }
        self.notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
        if std::mem::take(&mut self.starter) {
            super::background::tell_starter(&Progress::Serving {
                ports: *ports,
                obstacles: obstacles.to_vec(),
            });
        }
    }

    /// What the server is doing while it starts, for `systemctl status`.
    pub fn doing(&self, what: &str) {
        self.notify(&[NotifyState::Status(what)]);
    }

    /// The server stops.
    pub fn stopping(&self) {
        self.notify(&[NotifyState::Stopping]);
    }

    /// How often [`Readiness::alive`] must be called, if anybody waits for it: half of what systemd
    /// allows.
    pub fn alive_every(&self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
    }

    /// The event loop turns.
    pub fn alive(&self) {
        self.notify(&[NotifyState::Watchdog]);
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        if self.systemd
            && let Err(error) = sd_notify::notify(states)
        {
            tracing::debug!(%error, "systemd was not told");
        }
    }
}

/// Whether standard error is systemd's journal. It says so itself, by device and inode: the variable alone may
/// be inherited by a process whose output was led elsewhere.
pub fn standard_error_is_systemds_journal() -> bool {
    let Some(journal) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = nix::sys::stat::fstat(io::stderr());
    stderr.is_ok_and(|stderr| journal == format!("{}:{}", stderr.st_dev, stderr.st_ino).as_str())
}

/// Writes one line to standard output, whoever reads it.
pub(super) fn write_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
