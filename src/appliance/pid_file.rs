//! One process per folder: a file that is locked while the process lives and names it.
//!
//! The lock is what counts. It goes with the process, whatever ends it, so a file that is left behind
//! hinders nobody, and a process id that was given to another program deceives nobody.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The lock of a folder, held until this is dropped.
#[derive(Debug)]
pub struct PidFile {
    _locked: File,
}

/// Why a folder's lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A process serves the folder.
    #[error("process {} serves this folder", .0.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string()))]
    Held(Option<u32>),
    /// The file cannot be opened, locked or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PidFile {
    /// Locks the folder whose lock file is `path`, and writes this process's id into it.
    ///
    /// # Errors
    /// Another process holds it, or the file cannot be written.
    pub fn lock(path: &Path) -> Result<PidFile, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_pid(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let text = format!("{}\n", std::process::id());
        // Over the former one, whose space a full disk still has.
        match file.write_all(text.as_bytes()) {
            Ok(()) => file.set_len(text.len() as u64)?,
            // The lock is what counts, and a full disk must not keep the server from serving reads.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => file.set_len(0)?,
            Err(error) => return Err(LockError::Io(error)),
        }
        Ok(PidFile { _locked: file })
    }

    /// The process that holds the lock of `path`, if one does.
    ///
    /// # Errors
    /// The file is there and cannot be opened or locked.
    pub fn holder(path: &Path) -> io::Result<Option<Holder>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A shared lock, so that two who ask do not take each other for the server.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Holder {
                pid: read_pid(&mut file),
            })),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process id, unless the holder has not written it yet.
    pub pid: Option<u32>,
}

impl Holder {
    /// The process id, where that process is suspended: by SIGSTOP, by Ctrl-Z, or by a debugger. `path` is the lock
    /// that it holds.
    pub fn suspended(self, path: &Path) -> Option<u32> {
        let pid = self.pid.filter(|pid| has_open(*pid, path))?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may have parentheses of its own.
        let (_, behind_the_name) = stat.rsplit_once(')')?;
        matches!(behind_the_name.trim_start().chars().next(), Some('T' | 't')).then_some(pid)
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    const PID_BYTES_MAX: u64 = 32;
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Tells the process that holds the lock of `path` to stop in order, by SIGTERM.
///
/// # Errors
/// There is none to be found, or it is not ours to signal.
pub fn signal_to_stop(path: &Path) -> io::Result<()> {
    let holder = PidFile::holder(path)?.and_then(|holder| holder.pid);
    let pid = holder.filter(|pid| has_open(*pid, path)).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "its process is not on this machine, or not ours to see",
        )
    })?;
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    Ok(())
}

/// Whether a process has the file or folder open, as far as this user may see: in a container its number is another, and might be somebody
/// else's here.
pub fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let mut opened = descriptors.into_iter().flatten().flatten();
    opened
        .any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|target| target == path))
}

#[cfg(test)]
mod tests;
