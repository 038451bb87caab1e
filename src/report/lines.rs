//! Where lines for people are written, and what becomes of those that cannot be.
//!
//! A server neither waits for whoever reads its lines nor ends with them. A line that finds no room (a full disk, a
//! reader that is gone, one that reads nothing) is dropped and counted, and the next one that finds room says before it
//! how many are missing.
//!
//! Nothing here locks: the program may find a bug in itself while it writes a line, and has to say so.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use chrono::{SecondsFormat, Utc};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing_subscriber::fmt::MakeWriter;

/// What a pipe that says that it has room takes at once (`PIPE_BUF`).
const PIECE_BYTES: usize = 4096;
/// How long a reader is waited for that kept up until now. The event loop stands still meanwhile.
const PATIENCE_MS: u8 = 20;
/// The same for the last words of a process that ends.
const LAST_PATIENCE_MS: u16 = 1000;

/// The lines that were lost.
#[derive(Debug)]
pub(super) struct Losses {
    /// Since the process began.
    lines: AtomicU64,
    /// Since the last one that was written.
    missing: AtomicU64,
    /// Why the last one was lost, as the system numbers errors.
    errno: AtomicI32,
    /// The reader did not keep up: it is not waited for.
    behind: AtomicBool,
    /// A line was written in part.
    torn: AtomicBool,
}

impl Losses {
    pub(super) const fn none() -> Losses {
        Losses {
            lines: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            errno: AtomicI32::new(0),
            behind: AtomicBool::new(false),
            torn: AtomicBool::new(false),
        }
    }

    fn count(&self, error: &io::Error) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.missing.fetch_add(1, Ordering::Relaxed);
        let number = error.raw_os_error().unwrap_or(0);
        self.errno.store(number, Ordering::Relaxed);
    }
}

/// The losses of this process's log.
pub(super) static LOG: Losses = Losses::none();

/// How many log lines of this process could not be written.
pub fn lost() -> u64 {
    LOG.lines.load(Ordering::Relaxed)
}

/// Why the last log line was lost, if any was.
pub fn why_lost() -> Option<String> {
    (lost() > 0).then(|| reason(LOG.errno.load(Ordering::Relaxed)))
}

fn reason(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::EAGAIN => "nobody reads them".to_owned(),
        Errno::UnknownErrno => "the reason is unknown".to_owned(),
        known => io::Error::from(known).to_string(),
    }
}

/// Writes a text to standard error: without fail, and without waiting long for a reader that does not read.
pub fn say(text: &str) {
    let _told = put(
        io::stderr().as_fd(),
        text.as_bytes(),
        LAST_PATIENCE_MS.into(),
    );
}

/// Where lines go.
#[derive(Debug)]
pub(super) enum Target {
    /// Standard error, whatever that is.
    StandardError,
    /// A file, opened to append.
    File(File),
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// For systemd's journal, with its priority.
    Syslog,
    /// One JSON object.
    Json,
}

/// Takes lines, one with each write, and never fails.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) target: Target,
    pub(super) form: Form,
    pub(super) losses: &'static Losses,
}

impl Lines {
    fn take(&self, line: &[u8]) {
        let missing = self.losses.missing.load(Ordering::Relaxed);
        if missing > 0 {
            let gap = self.gap(missing);
            if let Err(error) = self.write(gap.as_bytes()) {
                return self.losses.count(&error);
            }
            self.losses.missing.fetch_sub(missing, Ordering::Relaxed);
        }
        if let Err(error) = self.write(line) {
            self.losses.count(&error);
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let stderr = io::stderr();
        let to = match &self.target {
            Target::StandardError => stderr.as_fd(),
            Target::File(file) => file.as_fd(),
        };
        let patience = match self.losses.behind.load(Ordering::Relaxed) {
            true => PollTimeout::ZERO,
            false => PATIENCE_MS.into(),
        };
        if self.losses.torn.load(Ordering::Relaxed) {
            put(to, b"\n", patience).map_err(|(_, error)| error)?;
            self.losses.torn.store(false, Ordering::Relaxed);
        }
        let result = put(to, line, patience);
        let (begun, error) = match result {
            Ok(()) => {
                self.losses.behind.store(false, Ordering::Relaxed);
                return Ok(());
            }
            Err(failed) => failed,
        };
        self.losses.torn.store(begun, Ordering::Relaxed);
        let waited = error.kind() == io::ErrorKind::WouldBlock;
        self.losses.behind.store(waited, Ordering::Relaxed);
        Err(error)
    }

    /// The line that stands for those that are missing.
    fn gap(&self, lines: u64) -> String {
        const MESSAGE: &str = "log lines are missing here: they could not be written";
        let reason = reason(self.losses.errno.load(Ordering::Relaxed));
        let now = || Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        match self.form {
            Form::Text => format!("{}  WARN {MESSAGE} lines={lines} reason={reason}\n", now()),
            Form::Syslog => format!("<4> WARN {MESSAGE} lines={lines} reason={reason}\n"),
            Form::Json => {
                let line = serde_json::json!({
                    "timestamp": now(), "level": "WARN", "message": MESSAGE, "lines": lines, "reason": reason,
                });
                format!("{line}\n")
            }
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of it, or says whether some of it was written, and why not all.
fn put(to: BorrowedFd<'_>, bytes: &[u8], patience: PollTimeout) -> Result<(), (bool, io::Error)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(PIECE_BYTES)];
        let written = has_room(to, patience).and_then(|()| nix::unistd::write(to, piece));
        match written {
            Ok(0) => return Err((rest.len() < bytes.len(), io::ErrorKind::WriteZero.into())),
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err((rest.len() < bytes.len(), error.into())),
        }
    }
    Ok(())
}

/// Waits until a piece can be written without waiting, or until it is certain that it cannot be written.
fn has_room(to: BorrowedFd<'_>, patience: PollTimeout) -> nix::Result<()> {
    let mut asked = [PollFd::new(to, PollFlags::POLLOUT)];
    match poll(&mut asked, patience)? {
        0 => Err(Errno::EAGAIN),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
