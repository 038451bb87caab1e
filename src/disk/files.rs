//! The real disk: a table of open files, lanes of threads, and the ring for the journal's writes.
//!
//! One descriptor becomes readable when completions wait, from the ring or from the threads, so that one
//! entry in the loop's poll serves both. Which of the two carries the journal is decided once, at the start.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::operation::carry_out;
use super::ring::Ring;
use super::threads::{Inbox, Lanes};
use super::{Completion, Disk, Error, File, Lane, Operation, Outcome, Token};

/// What carries the journal's writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The ring where it works, threads where it does not.
    #[default]
    Auto,
    /// The ring, or an error that says why not.
    Ring,
    /// Threads.
    Threads,
}

/// How the disk is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// What carries the journal's writes.
    pub backend: Backend,
    /// Threads of the journal's lane where there is no ring: how many of its writes can be in flight.
    pub journal_threads: usize,
    /// Threads of the read lane.
    pub read_threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            backend: Backend::Auto,
            journal_threads: 4,
            read_threads: 2,
        }
    }
}

/// What carries the journal's writes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// io_uring.
    Ring,
    /// Threads with `pwrite` on descriptors that sync each write, and the reason.
    Threads {
        /// A phrase for the operator: `by option`, or what the kernel answered and the likely cause.
        reason: String,
    },
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chosen::Ring => write!(f, "io_uring"),
            Chosen::Threads { reason } => write!(f, "threads ({reason})"),
        }
    }
}

/// An open file and how it was opened.
pub(super) struct OpenFile {
    pub(super) file: fs::File,
    pub(super) path: PathBuf,
    /// Opened with `O_DIRECT`: memory, position and length must be aligned.
    pub(super) direct: bool,
}

/// The open files by handle. Locked for a look-up only, never across a system call on a file.
#[derive(Default)]
pub(super) struct Table(Mutex<BTreeMap<File, Arc<OpenFile>>>);

impl Table {
    pub(super) fn insert(&self, file: File, open: OpenFile) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file, Arc::new(open));
    }

    pub(super) fn remove(&self, file: File) -> Option<Arc<OpenFile>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&file)
    }

    /// The open file of a handle, or the error of `operation` on a handle that is not open.
    pub(super) fn get(&self, operation: &'static str, file: File) -> Result<Arc<OpenFile>, Error> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = table.get(&file).cloned();
        open.ok_or_else(|| Error::new(operation, format!("handle {}", file.0), Errno::EBADF))
    }
}

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The kernel refuses the ring.
    #[error("{}", likely_cause(.0))]
    Ring(io::Error),
    /// The process gets no descriptor or no thread.
    #[error("{0}")]
    Lacking(io::Error),
}

/// The files of this machine.
///
/// Its descriptor ([`AsFd`]) is readable while completions wait; `complete` makes it unreadable again.
pub struct Files {
    /// Before the table and the lanes: dropping it waits for the kernel.
    ring: Option<Ring>,
    lanes: Lanes,
    table: Arc<Table>,
    inbox: Arc<Inbox>,
    chosen: Chosen,
    handles: u64,
    /// Submitted, and not yet given back by `complete`.
    under_way: usize,
}

impl Files {
    /// A disk over this machine's files.
    ///
    /// # Errors
    /// [`NewError::Ring`]: it was demanded and the kernel refuses it. [`NewError::Lacking`]: there is no descriptor or no
    /// thread left.
    pub fn new(options: &Options) -> Result<Files, NewError> {
        let inbox = Arc::new(Inbox::new().map_err(NewError::Lacking)?);
        let (ring, chosen) = match options.backend {
            Backend::Threads => (
                None,
                Chosen::Threads {
                    reason: "by option".to_owned(),
                },
            ),
            Backend::Ring => {
                let ring = Ring::new(inbox.as_fd()).map_err(NewError::Ring)?;
                (Some(ring), Chosen::Ring)
            }
            Backend::Auto => match Ring::new(inbox.as_fd()) {
                Ok(ring) => (Some(ring), Chosen::Ring),
                Err(error) => (
                    None,
                    Chosen::Threads {
                        reason: likely_cause(&error),
                    },
                ),
            },
        };
        let table = Arc::new(Table::default());
        let mut lanes = Lanes::new(options, table.clone(), inbox.clone());
        lanes.start(ring.is_none()).map_err(NewError::Lacking)?;
        Ok(Files {
            ring,
            lanes,
            table,
            inbox,
            chosen,
            handles: 0,
            under_way: 0,
        })
    }

    /// What carries the journal's writes, and why; to be logged at the start and shown by `doctor`.
    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// Operations submitted and not yet given back.
    pub fn under_way(&self) -> usize {
        self.under_way
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

impl Disk for Files {
    fn reserve(&mut self) -> File {
        self.handles += 1;
        File(self.handles)
    }

    fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        self.under_way += 1;
        match (lane, operation, &mut self.ring) {
            (
                Lane::Journal,
                Operation::Write {
                    file,
                    position,
                    buffer,
                },
                Some(ring),
            ) => match self.table.get("write", file) {
                Ok(open) => ring.write(token, open, position, buffer),
                Err(error) => self.inbox.push(Completion {
                    token,
                    result: Err(error),
                }),
            },
            (lane, operation, _) => self.lanes.submit(lane, token, operation),
        }
    }

    fn complete(&mut self, completions: &mut Vec<Completion>) {
        let before = completions.len();
        // First the descriptor, then what it announced: what comes in between makes it readable again.
        self.inbox.clear();
        if let Some(ring) = &mut self.ring {
            ring.complete(completions);
        }
        self.inbox.take(completions);
        self.under_way -= completions.len() - before;
    }

    fn wait(&mut self, completions: &mut Vec<Completion>) {
        let before = completions.len();
        loop {
            self.complete(completions);
            if completions.len() > before || self.under_way == 0 {
                return;
            }
            let mut polled = [PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN)];
            // An interrupted or refused poll only makes this loop turn once more.
            let _ = poll(&mut polled, PollTimeout::from(100u8));
        }
    }

    fn run(&mut self, operation: Operation) -> Result<Outcome, Error> {
        carry_out(&self.table, operation)
    }
}

/// What the kernel answered to the ring, and what is usually behind it.
fn likely_cause(error: &io::Error) -> String {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => {
            "; likely a seccomp filter (containers) or the sysctl kernel.io_uring_disabled"
        }
        Some(Errno::ENOSYS) => "; the kernel was built without it",
        Some(Errno::ENOMEM) => {
            "; likely the limit of locked memory: raise it to 64 MiB (LimitMEMLOCK=64M in a unit, `ulimit -l`)"
        }
        Some(Errno::EINVAL | Errno::EOPNOTSUPP) => "; the kernel is older than 5.6",
        _ => "",
    };
    format!("io_uring answered: {error}{hint}")
}
