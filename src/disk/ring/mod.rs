//! io_uring for the journal's writes, and the crate's only `unsafe`.
//!
//! The one obligation: memory and descriptor handed to the kernel must live until the operation's completion
//! was seen. It is kept by ownership: a [`Parked`] operation owns its buffer and its file, lies in a slot of
//! `parked` from before its submission until its completion is taken, and the ring's drop waits for all of
//! them (or leaks them, when the kernel cannot be asked any more).
//!
//! Only plain writes go through here: the descriptors are opened so that each write is durable by itself
//! ([`Mode::Durable`](super::Mode::Durable)), and nothing has to be linked or ordered.

#![allow(unsafe_code, reason = "the one place where it is permitted")]

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, Probe, opcode, types};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;

// Overwriting instead of copying.
mod in_place;

pub(super) use in_place::write_in_place;

use super::files::OpenFile;
use super::{ALIGNMENT, AlignedBuffer, Completion, Error, Outcome, Token};

/// Operations the kernel holds at a time; more wait here. The journal keeps fewer in flight.
const ENTRIES: u16 = 64;

/// The user data of the set-up's trial operation; no slot has this number.
const TRIAL: u64 = u64::MAX;

/// A write that the kernel may be working on.
struct Parked {
    token: Token,
    /// Keeps the descriptor open.
    open: Arc<OpenFile>,
    position: u64,
    /// Keeps the memory alive; its bytes lie on the heap and do not move with this struct.
    buffer: AlignedBuffer,
    /// Bytes at its front that are on the medium already.
    written: usize,
}

/// The submission ring and what is parked in it.
pub(super) struct Ring {
    ring: IoUring,
    parked: Vec<Option<Parked>>,
    /// Empty slots of `parked`.
    slots_free: Vec<usize>,
    /// What found no slot.
    waiting: VecDeque<Parked>,
    /// Told whenever the kernel did not take a submission, so that the loop comes back.
    event: EventFd,
}

impl Ring {
    /// A ring that signals `event` at each completion.
    ///
    /// Tries the ring once with an operation that does nothing: a filter may let the set-up pass and refuse
    /// the rest.
    ///
    /// # Errors
    /// Whatever the kernel answers; the caller falls back to threads.
    pub(super) fn new(event: BorrowedFd<'_>) -> io::Result<Ring> {
        let mut ring = IoUring::new(u32::from(ENTRIES))?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Write::CODE) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let trial = opcode::Nop::new().build().user_data(TRIAL);
        // SAFETY: the operation refers to no memory and no descriptor.
        unsafe { ring.submission().push(&trial) }.map_err(|_| Errno::EBUSY)?;
        ring.submit_and_wait(1)?;
        let answer = ring.completion().next().map(|entry| entry.result());
        match answer {
            Some(0) => {}
            Some(result) => return Err(io::Error::from_raw_os_error(-result)),
            None => return Err(Errno::EIO.into()),
        }
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        let copy: OwnedFd = event.try_clone_to_owned()?;
        // SAFETY: `copy` is a duplicate of the inbox's event descriptor, made one line above.
        let event = unsafe { EventFd::from_owned_fd(copy) };
        let slots = usize::from(ENTRIES);
        Ok(Ring {
            ring,
            parked: (0..slots).map(|_| None).collect(),
            slots_free: (0..slots).rev().collect(),
            waiting: VecDeque::new(),
            event,
        })
    }

    /// Starts writing `buffer` to `open` at `position`.
    pub(super) fn write(
        &mut self,
        token: Token,
        open: Arc<OpenFile>,
        position: u64,
        buffer: AlignedBuffer,
    ) {
        self.start(Parked {
            token,
            open,
            position,
            buffer,
            written: 0,
        });
        self.enter();
    }

    /// Takes what has completed.
    pub(super) fn complete(&mut self, completions: &mut Vec<Completion>) {
        loop {
            let Some(entry) = self.ring.completion().next() else {
                break;
            };
            let parked = usize::try_from(entry.user_data())
                .ok()
                .and_then(|slot| Some((slot, self.parked.get_mut(slot)?.take()?)));
            // Every submission but the trial has the number of its slot.
            let Some((slot, parked)) = parked else {
                continue;
            };
            self.slots_free.push(slot);
            if let Some(completion) = self.ended(parked, entry.result()) {
                completions.push(completion);
            }
        }
        while !self.slots_free.is_empty()
            && let Some(parked) = self.waiting.pop_front()
        {
            self.start(parked);
        }
        self.enter();
    }

    /// Judges the kernel's answer; what was interrupted or written in part goes on.
    fn ended(&mut self, mut parked: Parked, result: i32) -> Option<Completion> {
        let failure = match usize::try_from(result) {
            Ok(count) => {
                let before = parked.written;
                parked.written += count;
                if parked.written >= parked.buffer.len() {
                    let result = Ok(Outcome::Written(parked.buffer));
                    return Some(Completion {
                        token: parked.token,
                        result,
                    });
                }
                if parked.open.direct {
                    parked.written -= parked.written % ALIGNMENT;
                }
                (parked.written == before).then(|| io::Error::from(io::ErrorKind::WriteZero))
            }
            Err(_) => match Errno::from_raw(-result) {
                Errno::EINTR | Errno::EAGAIN => None,
                number => Some(number.into()),
            },
        };
        match failure {
            Some(error) => {
                let error = Error::new("write", &parked.open.path, error);
                Some(Completion {
                    token: parked.token,
                    result: Err(error),
                })
            }
            None => {
                self.start(parked);
                None
            }
        }
    }

    /// Parks a write and puts it into the submission queue.
    fn start(&mut self, parked: Parked) {
        let Some(slot) = self.slots_free.pop() else {
            self.waiting.push_back(parked);
            return;
        };
        let parked = self.parked[slot].insert(parked);
        let rest = &parked.buffer[parked.written..];
        // A buffer is at most a journal file long; the kernel would write in part what is longer.
        let length = u32::try_from(rest.len()).unwrap_or(1 << 30);
        let descriptor = types::Fd(parked.open.file.as_raw_fd());
        let entry = opcode::Write::new(descriptor, rest.as_ptr(), length)
            .offset(parked.position + parked.written as u64)
            .build()
            .user_data(slot as u64);
        // SAFETY: `rest` and the descriptor belong to the operation parked in `slot`, which nobody mutates or
        // drops before `complete` has seen this entry's completion, or `drop` has waited for it.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "the queue has an entry for each slot");
    }

    /// Hands the queue to the kernel.
    fn enter(&mut self) {
        if self.ring.submission().is_empty() {
            return;
        }
        loop {
            match self.ring.submit() {
                Ok(_) => return,
                Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
                // Short of memory: the entries stay queued, and the loop is made to come back.
                Err(_) => {
                    let _ = self.event.write(1);
                    return;
                }
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut completions = Vec::new();
        while self.slots_free.len() < self.parked.len() || !self.waiting.is_empty() {
            if let Err(error) = self.ring.submit_and_wait(1)
                && error.raw_os_error() != Some(Errno::EINTR as i32)
            {
                // The kernel may still write from this memory: it must never be used again.
                mem::forget(mem::take(&mut self.parked));
                return;
            }
            self.complete(&mut completions);
        }
    }
}

/// Asks the kernel to begin writing a range out (`sync_file_range`, which `nix` does not offer safely).
pub(super) fn start_write_back(file: &fs::File, position: u64, length: u64) -> io::Result<()> {
    let position = i64::try_from(position).map_err(|_| Errno::EFBIG)?;
    let length = i64::try_from(length).map_err(|_| Errno::EFBIG)?;
    let flags = nix::libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: the call takes numbers only, and the descriptor is open as long as `file` is borrowed.
    let result = unsafe { nix::libc::sync_file_range(file.as_raw_fd(), position, length, flags) };
    Errno::result(result)?;
    Ok(())
}
