//! Received bytes that are not decoded yet.
//!
//! One buffer, of which whole frames are split off without a copy: requests share it until they are
//! dropped. Room for a read follows what reads bring, and room for a frame what has already come of it,
//! so that who announces a megabyte and sends nothing costs nothing.

use bytes::{Bytes, BytesMut};

use crate::wire::zookeeper::frame::{self, BadLength};

/// What a connection that sends little is read with.
const READ_BYTES_MIN: usize = 4 * 1024;
/// What a connection that sends much is read with: some hundred small requests at a time.
const READ_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Input {
    bytes: BytesMut,
    /// How many bytes there must be before another frame is whole.
    need: usize,
    /// How much room a read is given.
    read_bytes: usize,
}

impl Input {
    pub(super) fn new() -> Input {
        Input {
            bytes: BytesMut::new(),
            need: 0,
            read_bytes: READ_BYTES_MIN,
        }
    }

    pub(super) fn room(&mut self) -> &mut BytesMut {
        let held = self.bytes.len();
        let missing = self.need.saturating_sub(held).min(held);
        let least = (self.read_bytes / 2).max(missing);
        if self.bytes.capacity() - held < least && !self.bytes.try_reclaim(least) {
            let mut roomier = BytesMut::with_capacity(held + self.read_bytes.max(missing));
            roomier.extend_from_slice(&self.bytes);
            self.bytes = roomier;
        }
        &mut self.bytes
    }

    pub(super) fn received(&mut self, count: usize) {
        if count >= self.read_bytes / 2 {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Splits off the payload of the next frame, if it is whole.
    #[inline]
    pub(super) fn frame(&mut self, payload_bytes_max: usize) -> Result<Option<Bytes>, BadLength> {
        if self.bytes.len() < self.need.max(frame::HEADER_BYTES) {
            self.let_go();
            return Ok(None);
        }
        let frame = frame::take(&mut self.bytes, payload_bytes_max)?;
        self.need = match frame {
            Some(_) => 0,
            None => frame::frame_bytes(&self.bytes, payload_bytes_max)?.unwrap_or(0),
        };
        Ok(frame)
    }

    pub(super) fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.need = 0;
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }

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
