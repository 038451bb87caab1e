//! Received bytes that are not decoded yet, of a connection of either protocol.
//!
//! One buffer, of which whole frames are split off without a copy: requests share it until they are
//! dropped. Room for a read follows what reads bring, and room for a frame what has already come of it,
//! so that who announces a megabyte and sends nothing costs nothing.

use bytes::{Buf, BytesMut};

/// What a connection that sends little is read with.
pub(super) const READ_BYTES_MIN: usize = 4 * 1024;

/// The received bytes of one connection.
#[derive(Debug)]
pub(super) struct Input {
    bytes: BytesMut,
    /// How many bytes there must be before decoding can get any further.
    need: usize,
    /// How much room a read is given.
    read_bytes: usize,
    /// What a connection that sends much is read with: some hundred small requests at a time.
    read_bytes_max: usize,
}

impl Input {
    /// Nothing yet.
    pub(super) fn new(read_bytes_max: usize) -> Input {
        Input {
            bytes: BytesMut::new(),
            need: 0,
            read_bytes: READ_BYTES_MIN,
            read_bytes_max,
        }
    }

    /// The buffer to append received bytes to, with room for a read.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let held = self.bytes.len();
        // A frame that is under way gets as much room as has already come of it.
        let missing = self.need.saturating_sub(held).min(held);
        let least = (self.read_bytes / 2).max(missing);
        if self.bytes.capacity() - held < least && !self.bytes.try_reclaim(least) {
            let mut roomier = BytesMut::with_capacity(held + self.read_bytes.max(missing));
            roomier.extend_from_slice(&self.bytes);
            self.bytes = roomier;
        }
        &mut self.bytes
    }

    /// Says that `count` bytes were appended to [`Input::room`].
    pub(super) fn received(&mut self, count: usize) {
        if count >= self.read_bytes / 2 {
            self.read_bytes = (self.read_bytes * 2).min(self.read_bytes_max);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }

    /// All that is here.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All that is here, to split a frame of at least `frame_bytes_min` off, if there are as many bytes as
    /// decoding needs. Otherwise room that late reads do not need is given back.
    #[inline]
    pub(super) fn decodable(&mut self, frame_bytes_min: usize) -> Option<&mut BytesMut> {
        if self.bytes.len() < self.need.max(frame_bytes_min) {
            self.let_go();
            return None;
        }
        Some(&mut self.bytes)
    }

    /// Says how many bytes there must be before decoding can get any further; 0 if that is not known.
    #[inline]
    pub(super) fn need(&mut self, bytes: usize) {
        self.need = bytes;
    }

    /// Throws away as many of the first `count` bytes as have come, and returns how many.
    pub(super) fn discard(&mut self, count: usize) -> usize {
        let gone = count.min(self.bytes.len());
        self.bytes.advance(gone);
        gone
    }

    /// Throws everything away.
    pub(super) fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.need = 0;
    }

    /// Bytes of memory it occupies, apart from frames that were split off.
    pub(super) fn held_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }

    /// Gives back what is only kept for the next read.
    pub(super) fn shrink(&mut self) {
        self.read_bytes = READ_BYTES_MIN;
        if self.bytes.capacity() > self.bytes.len() + READ_BYTES_MIN {
            self.bytes = BytesMut::from(&self.bytes[..]);
        }
    }

    /// Drops an empty buffer that is larger than the reads of late need.
    fn let_go(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > self.read_bytes.saturating_mul(2) {
            self.bytes = BytesMut::new();
        }
    }
}
