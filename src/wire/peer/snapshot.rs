//! Snapshots, in parts: each names its place, so that one that was cut off is resumed where it ended.

use bytes::{Bytes, BytesMut};

use super::{Malformed, PART, TAKEN, flag, frame};
use crate::cursor::Reader;
use crate::units::GroupId;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose state it is.
    pub group: GroupId,
    /// The entry that it stands for.
    pub index: u64,
    /// Where in the snapshot its bytes begin.
    pub offset: u64,
    /// Nothing follows.
    pub is_last: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// How far a snapshot was taken, and is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whose state it is.
    pub group: GroupId,
    /// The entry that it stands for.
    pub index: u64,
    /// The first byte that is missing.
    pub offset: u64,
}

/// Writes the frame of a part.
pub fn encode_part(part: &Part, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(PART);
        writer.u32(part.group.0);
        writer.u64(part.index);
        writer.u64(part.offset);
        writer.bool(part.is_last);
        writer.bytes(&part.bytes);
    });
}

/// Writes the frame that says how far one was taken.
pub fn encode_taken(taken: &Taken, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(TAKEN);
        writer.u32(taken.group.0);
        writer.u64(taken.index);
        writer.u64(taken.offset);
    });
}

pub(super) fn decode_part(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Part, Malformed> {
    Ok(Part {
        group: GroupId(reader.u32()?),
        index: reader.u64()?,
        offset: reader.u64()?,
        is_last: flag(reader)?,
        bytes: {
            let rest = reader.remaining();
            reader.take_shared(rest, owner)?
        },
    })
}

pub(super) fn decode_taken(reader: &mut Reader<'_>) -> Result<Taken, Malformed> {
    let taken = Taken {
        group: GroupId(reader.u32()?),
        index: reader.u64()?,
        offset: reader.u64()?,
    };
    match reader.is_empty() {
        true => Ok(taken),
        false => Err(Malformed::Impossible("something behind a number")),
    }
}
