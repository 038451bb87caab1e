//! Bytes on their way from one side of a connection to the other.

use std::collections::VecDeque;

use bytes::Bytes;

/// One direction of a connection. What was put in first comes out first, in pieces of any length.
#[derive(Default)]
pub(super) struct Pipe {
    pieces: VecDeque<(u64, Bytes)>,
    held_bytes: usize,
    /// Nothing comes out before.
    stalled_until: u64,
}

impl Pipe {
    /// So many bytes are in a pipe before whoever writes has to wait.
    const FULL_BYTES: usize = 96 * 1024;

    /// How much more it takes.
    pub(super) fn room(&self) -> usize {
        Self::FULL_BYTES.saturating_sub(self.held_bytes)
    }

    /// Puts bytes in that arrive then, or later if those before them do.
    pub(super) fn put(&mut self, at: u64, bytes: Bytes) {
        let last = self.pieces.back().map_or(0, |(at, _)| *at);
        self.held_bytes += bytes.len();
        self.pieces.push_back((at.max(last), bytes));
    }

    /// When the next bytes arrive.
    pub(super) fn due_at(&self) -> Option<u64> {
        let (at, _) = self.pieces.front()?;
        Some((*at).max(self.stalled_until))
    }

    /// When all that is in it has arrived.
    pub(super) fn last_at(&self) -> u64 {
        let last = self.pieces.back().map_or(0, |(at, _)| *at);
        last.max(self.stalled_until)
    }

    /// Takes at most so many bytes of the next piece.
    pub(super) fn take(&mut self, most: usize) -> Option<Bytes> {
        let (_, front) = self.pieces.front_mut()?;
        let taken = front.split_to(most.min(front.len()));
        if front.is_empty() {
            self.pieces.pop_front();
        }
        self.held_bytes -= taken.len();
        Some(taken)
    }

    /// Nothing comes out before `until`.
    pub(super) fn stall(&mut self, until: u64) {
        self.stalled_until = self.stalled_until.max(until);
    }

    /// What holds it up is gone.
    pub(super) fn flow(&mut self) {
        self.stalled_until = 0;
    }

    /// What is in it is lost.
    pub(super) fn clear(&mut self) {
        *self = Pipe::default();
    }
}
