//! What waits to be written to one connection: bytes, and ranges of segment files that go out by
//! `sendfile` without passing through the process.
//!
//! Invariant: `queued_bytes` is the sum over all chunks of what is still to be written of them, and
//! `held_bytes` the part of it that occupies memory here.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Replies smaller than this are gathered into one chunk, so that a turn's replies leave in one write.
const GATHER_BYTES: usize = 64 * 1024;

/// A range of a file that the socket sends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// The file.
    pub path: Rc<PathBuf>,
    /// The first byte to send.
    pub position: u64,
    /// How many bytes are still to be sent.
    pub length: u64,
}

/// One piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes of a file.
    File(FileRange),
}

/// A connection's output, in order.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    /// The newest bytes, still growing; they come after all `chunks`.
    tail: BytesMut,
    queued_bytes: u64,
    file_bytes: u64,
    /// The longest piece appended since the queue was empty last.
    longest_bytes: u64,
    written_bytes: u64,
}

impl Output {
    /// Bytes that are still to be written, those of files included.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Bytes that occupy memory here.
    pub fn held_bytes(&self) -> u64 {
        self.queued_bytes - self.file_bytes
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Bytes that occupy memory here because the peer does not read: all but the longest piece, which is as
    /// long as what was asked for, however fast the peer is.
    pub fn piled_bytes(&self) -> u64 {
        self.held_bytes().saturating_sub(self.longest_bytes)
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.queued_bytes == 0
    }

    /// The buffer to append a reply to; call [`Output::appended`] afterwards.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Counts what was appended to [`Output::tail`] since `length_before`.
    pub fn appended(&mut self, length_before: usize) {
        let appended = (self.tail.len() - length_before) as u64;
        self.queued_bytes += appended;
        self.longest_bytes = self.longest_bytes.max(appended);
        if self.tail.len() >= GATHER_BYTES {
            self.close_tail();
        }
    }

    /// Appends a copy of `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        let before = self.tail.len();
        self.tail.extend_from_slice(bytes);
        self.appended(before);
    }

    /// Appends a range of a file.
    pub fn file(&mut self, range: FileRange) {
        if range.length > 0 {
            self.close_tail();
            self.queued_bytes += range.length;
            self.file_bytes += range.length;
            self.chunks.push_back(Chunk::File(range));
        }
    }

    /// The next chunk to write, if any.
    pub fn front(&mut self) -> Option<&Chunk> {
        if self.chunks.is_empty() {
            self.close_tail();
        }
        self.chunks.front()
    }

    /// The bytes at the front, for one gathering write of several chunks; stops at the first file range.
    pub fn front_bytes(&mut self) -> impl Iterator<Item = &Bytes> {
        self.close_tail();
        self.chunks.iter().map_while(|chunk| match chunk {
            Chunk::Bytes(bytes) => Some(bytes),
            Chunk::File(_) => None,
        })
    }

    /// Takes note that `count` bytes from the front are written.
    ///
    /// # Panics
    /// More than was queued.
    pub fn written(&mut self, count: u64) {
        assert!(
            count <= self.queued_bytes,
            "no more can be written than was queued"
        );
        self.queued_bytes -= count;
        self.written_bytes += count;
        if self.queued_bytes == 0 {
            self.longest_bytes = 0;
        }
        let mut left = count;
        while left > 0 {
            let chunk = self
                .chunks
                .front_mut()
                .expect("the counters cover the chunks");
            let done = match chunk {
                Chunk::Bytes(bytes) => {
                    let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes.advance(step);
                    left -= step as u64;
                    bytes.is_empty()
                }
                Chunk::File(range) => {
                    let step = left.min(range.length);
                    range.position += step;
                    range.length -= step;
                    self.file_bytes -= step;
                    left -= step;
                    range.length == 0
                }
            };
            if done {
                self.chunks.pop_front();
            }
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks
                .push_back(Chunk::Bytes(self.tail.split().freeze()));
        }
    }
}
