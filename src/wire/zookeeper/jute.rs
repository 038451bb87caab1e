//! The pieces that records are made of, in Jute's encoding.
//!
//! ```text
//!   string, buffer    i32 length, then that many bytes; -1 is null
//!   vector            i32 count, then that many elements; -1 is null
//! ```
//!
//! Null and empty are told apart where the coordinator's vocabulary does. Strings stay bytes: Java
//! writes characters beyond the basic plane as two surrogates, which is no UTF-8, and gets back the
//! very bytes it sent. Negative lengths other than -1 are errors, negative counts are empty vectors:
//! both as a Java server takes them.

use bytes::Bytes;

use crate::coordinator::{Acl, Stat};
use crate::cursor::{Reader, Truncated, Writer};
use crate::units::Zxid;

/// Why a record could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends too early, or a length in it is a lie.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// A string or buffer says that it has fewer than no bytes.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null where something has to be.
    #[error("null where a value has to be")]
    Null,
    /// A multi contains an operation that has no place in one, or a result nobody asked for.
    #[error("operation {0} has no place in a multi")]
    NotInMulti(i32),
    /// An error number that is not in our table.
    #[error("unknown error number {0}")]
    UnknownError(i32),
    /// A number that is none of those the protocol has for this field.
    #[error("unknown kind of event {0}")]
    UnknownEvent(i32),
}

/// Reads records out of one frame, sharing the frame's memory.
#[derive(Debug)]
pub(super) struct RecordReader<'a> {
    pub(super) cursor: Reader<'a>,
    frame: &'a Bytes,
}

impl<'a> RecordReader<'a> {
    pub(super) fn new(frame: &'a Bytes) -> RecordReader<'a> {
        RecordReader {
            cursor: Reader::new(frame),
            frame,
        }
    }

    /// A string or a buffer.
    #[inline]
    pub(super) fn nullable(&mut self) -> Result<Option<Bytes>, DecodeError> {
        match self.cursor.i32()? {
            -1 => Ok(None),
            length => {
                let length =
                    usize::try_from(length).map_err(|_| DecodeError::NegativeLength(length))?;
                Ok(Some(self.cursor.take_shared(length, self.frame)?))
            }
        }
    }

    /// A string or a buffer that must not be null.
    #[inline]
    pub(super) fn present(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable()?.ok_or(DecodeError::Null)
    }

    /// A string or a buffer where null means the same as empty.
    #[inline]
    pub(super) fn or_empty(&mut self) -> Result<Bytes, DecodeError> {
        Ok(self.nullable()?.unwrap_or_default())
    }

    /// A vector, null if it is. `bytes_min` is the fewest bytes an element has: no more elements are
    /// made room for than can follow.
    pub(super) fn vector<T>(
        &mut self,
        bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.cursor.i32()?;
        if count == -1 {
            return Ok(None);
        }
        let count = usize::try_from(count).unwrap_or(0);
        let mut elements = Vec::with_capacity(count.min(self.cursor.remaining() / bytes_min));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// A vector of permissions; null is taken as empty, which is refused just the same.
    pub(super) fn acl(&mut self) -> Result<Vec<Acl>, DecodeError> {
        let acl = self.vector(12, |reader| {
            Ok(Acl {
                permissions: reader.cursor.i32()?,
                scheme: reader.or_empty()?,
                id: reader.or_empty()?,
            })
        })?;
        Ok(acl.unwrap_or_default())
    }

    /// A stat.
    pub(super) fn stat(&mut self) -> Result<Stat, DecodeError> {
        let cursor = &mut self.cursor;
        Ok(Stat {
            czxid: Zxid(cursor.i64()?),
            mzxid: Zxid(cursor.i64()?),
            ctime: cursor.i64()?,
            mtime: cursor.i64()?,
            version: cursor.i32()?,
            cversion: cursor.i32()?,
            aversion: cursor.i32()?,
            ephemeral_owner: cursor.i64()?,
            data_length: cursor.i32()?,
            children: cursor.i32()?,
            pzxid: Zxid(cursor.i64()?),
        })
    }
}

/// A length or a count. What is longer than a length can say makes the whole frame too long, which is
/// noticed when its own length is written.
#[inline]
pub(super) fn put_length(writer: &mut Writer<'_>, length: usize) {
    writer.i32(i32::try_from(length).unwrap_or(i32::MAX));
}

/// A string or a buffer.
#[inline]
pub(super) fn put_bytes(writer: &mut Writer<'_>, bytes: &[u8]) {
    put_length(writer, bytes.len());
    writer.bytes(bytes);
}

/// A string or a buffer, or null.
#[inline]
pub(super) fn put_nullable(writer: &mut Writer<'_>, bytes: Option<&[u8]>) {
    match bytes {
        None => writer.i32(-1),
        Some(bytes) => put_bytes(writer, bytes),
    }
}

/// A vector of permissions.
pub(super) fn put_acl(writer: &mut Writer<'_>, acl: &[Acl]) {
    put_length(writer, acl.len());
    for line in acl {
        writer.i32(line.permissions);
        put_bytes(writer, &line.scheme);
        put_bytes(writer, &line.id);
    }
}

/// A stat.
///
/// ```text
///   czxid i64, mzxid i64, ctime i64, mtime i64, version i32, cversion i32, aversion i32,
///   ephemeral owner i64, data length i32, children i32, pzxid i64
/// ```
pub(super) fn put_stat(writer: &mut Writer<'_>, stat: &Stat) {
    writer.reserve(68);
    writer.i64(stat.czxid.0);
    writer.i64(stat.mzxid.0);
    writer.i64(stat.ctime);
    writer.i64(stat.mtime);
    writer.i32(stat.version);
    writer.i32(stat.cversion);
    writer.i32(stat.aversion);
    writer.i64(stat.ephemeral_owner);
    writer.i32(stat.data_length);
    writer.i32(stat.children);
    writer.i64(stat.pzxid.0);
}
