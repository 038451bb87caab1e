//! Frames: a length, then that many bytes, in both directions.
//!
//! ```text
//!   byte   0          4
//!          +----------+--------------------+
//!          | length   | payload            |
//!          | i32      | `length` bytes     |
//!          +----------+--------------------+
//! ```
//!
//! A frame whose length is negative or above `jute.maxbuffer` ends the connection without a word, so
//! the limit is a parameter here and its consequence is the connection's.

use bytes::{Bytes, BytesMut};

use crate::cursor::{Reader, Writer};

#[cfg(test)]
mod tests;

/// The bytes of the length before a payload.
pub const HEADER_BYTES: usize = 4;

/// `jute.maxbuffer`, unless configured: the longest payload taken from a client.
pub const PAYLOAD_BYTES_MAX_DEFAULT: usize = 0xf_ffff;

/// A length that no frame may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame length {length} is not between 0 and {limit}")]
pub struct BadLength {
    /// The length that was announced, or that would have been sent.
    pub length: i64,
    /// The longest payload taken.
    pub limit: usize,
}

/// How many bytes the frame at the start of `input` has in all, or `None` while its length has not
/// arrived.
///
/// # Errors
/// [`BadLength`] if it is negative or above `limit`: nothing that follows can be made sense of.
#[inline]
pub fn frame_bytes(input: &[u8], limit: usize) -> Result<Option<usize>, BadLength> {
    let Ok(length) = Reader::new(input).i32() else {
        return Ok(None);
    };
    match usize::try_from(length) {
        Ok(payload) if payload <= limit => Ok(Some(HEADER_BYTES + payload)),
        _ => Err(BadLength {
            length: i64::from(length),
            limit,
        }),
    }
}

/// Takes the payload of the frame at the start of `input`, without a copy, or `None` while it is not
/// all there.
///
/// # Errors
/// [`BadLength`] as of [`frame_bytes`].
#[inline]
pub fn take(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, BadLength> {
    match frame_bytes(input, limit)? {
        Some(whole) if whole <= input.len() => {
            let mut frame = input.split_to(whole).freeze();
            Ok(Some(frame.split_off(HEADER_BYTES)))
        }
        _ => Ok(None),
    }
}

/// Appends a frame with what `payload` writes.
///
/// # Errors
/// [`BadLength`] if that is more than a length can say; then nothing was appended.
#[inline]
pub fn put(out: &mut BytesMut, payload: impl FnOnce(&mut Writer<'_>)) -> Result<(), BadLength> {
    let mut writer = Writer::new(out);
    let start = writer.position();
    let gap = writer.gap_32();
    payload(&mut writer);
    let length = writer.length_after(&gap);
    match i32::try_from(length) {
        Ok(length) => {
            writer.fill_i32(gap, length);
            Ok(())
        }
        Err(_) => {
            writer.truncate(start);
            Err(BadLength {
                length: i64::try_from(length).unwrap_or(i64::MAX),
                limit: i32::MAX.unsigned_abs() as usize,
            })
        }
    }
}
