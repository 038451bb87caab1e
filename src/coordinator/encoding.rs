//! Texts and data in the coordinator's own bytes, those of commands, permissions and snapshots.
//!
//! A *text* is a length (u32, big-endian) and that many bytes. *Data* is the same, with length 2^32 - 1
//! for null.

use crate::cursor::{Reader, Truncated, Writer};

const NULL: u32 = u32::MAX;

pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Truncated> {
    let length = reader.u32()?;
    reader.take(usize::try_from(length).unwrap_or(usize::MAX))
}

pub(super) fn put_text(writer: &mut Writer<'_>, text: &[u8]) {
    writer.u32(length(text.len()));
    writer.bytes(text);
}

pub(super) fn data<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Truncated> {
    match reader.u32()? {
        NULL => Ok(None),
        length => reader
            .take(usize::try_from(length).unwrap_or(usize::MAX))
            .map(Some),
    }
}

pub(super) fn put_data(writer: &mut Writer<'_>, data: Option<&[u8]>) {
    match data {
        Some(data) => put_text(writer, data),
        None => writer.u32(NULL),
    }
}

/// The length of something that came in a frame.
pub(super) fn length(length: usize) -> u32 {
    let length = u32::try_from(length).ok().filter(|&length| length != NULL);
    length.expect("it came in a frame, and frames are below 2^31 bytes")
}
