//! What servers tell each other: frames of our own, checksummed, that carry the messages of all their groups.
//!
//! ```text
//!   byte   0          4          8
//!          +----------+----------+---------------------+
//!          | length   | checksum | body                |
//!          | u32      | u32      | `length` bytes      |
//!          +----------+----------+---------------------+
//!
//!   body   kind u8 | …          kind 1: messages
//!
//!   messages, one behind the other until the body ends:
//!          group u32 | what u8 | from u64 | to u64 | term u64 | the fields of `what`
//! ```
//!
//! All integers are big-endian. The checksum is the crc32 of the body. Many messages share a frame, those of several groups
//! too: heartbeats of a thousand groups are one frame. A frame whose length is beyond the limit, whose checksum is wrong or
//! whose body cannot be understood ends the connection: nothing that follows can be trusted.

// One frame.
pub mod frame;
// The messages of groups.
pub mod message;

/// Why what a server sent cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A frame would be longer than a frame may be.
    #[error("a frame of {0} bytes is longer than a frame may be")]
    TooLong(u32),
    /// The checksum is not that of the bytes.
    #[error("the checksum of a frame is wrong")]
    Checksum,
    /// A kind, of a frame or of a message, that is not known.
    #[error("kind {0} is not known")]
    Kind(u8),
    /// The fields do not add up.
    #[error("a frame ends in the middle of a field")]
    Truncated,
    /// A field has a value that it cannot have.
    #[error("{0} is not possible")]
    Impossible(&'static str),
}

impl From<crate::cursor::Truncated> for Malformed {
    fn from(_: crate::cursor::Truncated) -> Malformed {
        Malformed::Truncated
    }
}
