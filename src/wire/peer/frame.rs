//! One frame: its length, its checksum, its body.

use bytes::{Bytes, BytesMut};

use super::Malformed;
use crate::cursor::{Reader, Writer};

/// The bytes in front of a body.
pub const HEADER_BYTES: usize = 8;

/// Writes a frame whose body `body` writes.
///
/// # Panics
/// The body is longer than 4 GiB.
pub fn encode(out: &mut BytesMut, body: impl FnOnce(&mut Writer<'_>)) {
    let mut writer = Writer::new(out);
    let length = writer.gap_32();
    let checksum = writer.gap_32();
    body(&mut writer);
    let bytes = writer.length_after(&checksum);
    let start = writer.position() - bytes;
    writer.fill_u32(length, u32::try_from(bytes).expect("a body is bounded"));
    let sum = crc32fast::hash(&out[start..]);
    let mut writer = Writer::new(out);
    writer.fill_u32(checksum, sum);
}

/// How many bytes the frame at the start of `input` has in all, as far as is known.
pub fn needed_bytes(input: &[u8]) -> usize {
    let length = Reader::new(input).u32().unwrap_or(0);
    HEADER_BYTES + usize::try_from(length).unwrap_or(usize::MAX - HEADER_BYTES)
}

/// Takes the body of the frame at the start of `input`, without a copy; `None` while it is not all there. No body has
/// more than `limit` bytes.
///
/// # Errors
/// It is too long, or its checksum is wrong.
pub fn decode(input: &mut BytesMut, limit: u32) -> Result<Option<Bytes>, Malformed> {
    let mut reader = Reader::new(input);
    let (Ok(length), Ok(checksum)) = (reader.u32(), reader.u32()) else {
        return Ok(None);
    };
    if length > limit {
        return Err(Malformed::TooLong(length));
    }
    let length = usize::try_from(length).map_err(|_| Malformed::TooLong(length))?;
    if reader.remaining() < length {
        return Ok(None);
    }
    let body = input.split_to(HEADER_BYTES + length).freeze();
    let body = body.slice(HEADER_BYTES..);
    match crc32fast::hash(&body) == checksum {
        true => Ok(Some(body)),
        false => Err(Malformed::Checksum),
    }
}
