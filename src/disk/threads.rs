//! Lanes of threads: plain system calls, in order where the lane has one thread.
//!
//! Each lane that a server cannot do without has a thread from the start, so that one that is refused is told then; the others
//! are started when they are first needed. Completions go to one inbox, whose event
//! descriptor the loop polls. Dropping the lanes waits until everything submitted has been carried out, but for the archive's.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::files::{Options, Table};
use super::operation::carry_out;
use super::{Completion, Error, Lane, Operation, Token};

/// Where completions wait to be taken.
pub(super) struct Inbox {
    waiting: Mutex<Vec<Completion>>,
    /// Readable while something may wait.
    event: EventFd,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Inbox> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Inbox {
            waiting: Mutex::default(),
            event,
        })
    }

    pub(super) fn push(&self, completion: Completion) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        waiting.push(completion);
        drop(waiting);
        if first {
            // Fails only when the counter is at its end, and then the descriptor is readable anyway.
            let _ = self.event.write(1);
        }
    }

    /// Makes the descriptor unreadable. Before `take`.
    pub(super) fn clear(&self) {
        // Fails when it was not readable.
        let _ = self.event.read();
    }

    pub(super) fn take(&self, completions: &mut Vec<Completion>) {
        completions.append(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// The lanes.
pub(super) struct Lanes {
    journal: LaneThreads,
    segments: LaneThreads,
    background: LaneThreads,
    read: LaneThreads,
    archive: LaneThreads,
}

impl Lanes {
    pub(super) fn new(options: &Options, table: Arc<Table>, inbox: Arc<Inbox>) -> Lanes {
        let lane = |name, threads_max, waited_for| LaneThreads {
            name,
            threads_max,
            threads: Vec::new(),
            waited_for,
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                ready: Condvar::new(),
                table: table.clone(),
                inbox: inbox.clone(),
            }),
        };
        Lanes {
            journal: lane("disk-journal", options.journal_threads.max(1), true),
            // One thread is what makes these two strictly ordered.
            segments: lane("disk-segments", 1, true),
            background: lane("disk-background", 1, true),
            read: lane("disk-read", options.read_threads.max(1), true),
            archive: lane("disk-archive", 1, false),
        }
    }

    /// Starts a thread of each lane that is needed; of the journal's, where there is no ring.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(&mut self, journal: bool) -> io::Result<()> {
        if journal {
            self.journal.start_thread()?;
        }
        self.segments.start_thread()?;
        self.background.start_thread()?;
        self.read.start_thread()
    }

    pub(super) fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        match lane {
            Lane::Journal => self.journal.submit(token, operation),
            Lane::Segments => self.segments.submit(token, operation),
            Lane::Background => self.background.submit(token, operation),
            Lane::Read => self.read.submit(token, operation),
            Lane::Archive => self.archive.submit(token, operation),
        }
    }
}

/// One lane: a queue and the threads that empty it.
struct LaneThreads {
    name: &'static str,
    threads_max: usize,
    threads: Vec<JoinHandle<()>>,
    /// What was submitted is carried out before the lane is gone.
    waited_for: bool,
    shared: Arc<Shared>,
}

/// What a lane's threads share with its owner.
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    table: Arc<Table>,
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Token, Operation)>,
    /// Threads that wait for a job.
    idle: usize,
    /// No more will come.
    closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn work(&self) {
        let mut queue = self.queue();
        loop {
            if let Some((token, operation)) = queue.jobs.pop_front() {
                drop(queue);
                let result = carry_out(&self.table, operation);
                self.inbox.push(Completion { token, result });
                queue = self.queue();
            } else if queue.closed {
                return;
            } else {
                queue.idle += 1;
                queue = self
                    .ready
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

impl LaneThreads {
    fn submit(&mut self, token: Token, operation: Operation) {
        let mut queue = self.shared.queue();
        queue.jobs.push_back((token, operation));
        // `idle` still counts a thread that was woken and has not run yet, hence the comparison.
        let wanted = queue.jobs.len() > queue.idle && self.threads.len() < self.threads_max;
        drop(queue);
        self.shared.ready.notify_one();
        if wanted && self.start_thread().is_err() && self.threads.is_empty() {
            for (token, operation) in self.shared.queue().jobs.drain(..) {
                let error = Error::new(operation.name(), self.name, Errno::EAGAIN);
                self.shared.inbox.push(Completion {
                    token,
                    result: Err(error),
                });
            }
        }
    }

    fn start_thread(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let started = thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || shared.work());
        self.threads.push(started?);
        Ok(())
    }
}

impl Drop for LaneThreads {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.closed = true;
        if !self.waited_for {
            queue.jobs.clear();
        }
        drop(queue);
        self.shared.ready.notify_all();
        if !self.waited_for {
            return;
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has told so already.
            let _ = thread.join();
        }
    }
}
