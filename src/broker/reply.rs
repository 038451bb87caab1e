//! What the broker answers, free of how it is written on the wire.

use bytes::Bytes;

/// An answer that carries its bytes with it. Records in files are answered by
/// [`Effect::Place`](super::Effect::Place) instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200 to a put: `<message id> <partition> <offset>`. The record is on stable storage and visible.
    Stored {
        /// The id the broker gave.
        message_id: i64,
        /// The partition it went to.
        partition: i32,
        /// The byte offset of the record's header.
        offset: u64,
    },
    /// 200 to an offset request: the decimal offset.
    Offset(u64),
    /// 301 to a get: read from this offset instead.
    Moved(u64),
    /// 200 with text: version, stats.
    Text(Bytes),
    /// A `value` whose bytes are not in any file: what ends a hold.
    Value(Bytes),
    /// The request was understood and is not carried out.
    Refused(Refusal),
}

/// Why not. Only the client is concerned, and it always gets a text: some clients stumble over an error
/// without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class, from which the wire's status code follows.
    pub kind: RefusalKind,
    /// What the client is told.
    pub text: String,
}

/// The classes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request makes no sense (400).
    BadRequest,
    /// The partition is closed (403).
    Forbidden,
    /// Nothing there, or nothing new (404).
    NotFound,
    /// Not possible, or not now (500).
    Failed,
    /// No part of this broker serves such requests (503).
    Unavailable,
}
