//! What servers tell each other: frames of our own, checksummed, that carry the messages of all their groups.
//!
//! ```text
//!   byte   0          4          8
//!          +----------+----------+---------------------+
//!          | length   | checksum | body                |
//!          | u32      | u32      | `length` bytes      |
//!          +----------+----------+---------------------+
//!
//!   body   kind u8 | …
//!
//!   kind 1, messages: one behind the other until the body ends
//!          group u32 | what u8 | from u64 | to u64 | term u64 | the fields of `what`
//!   kind 2, hello: the first frame, in both directions
//!          magic "CHRYSPEE" | version u16 | from version 2 on: lowest level u16, highest level u16
//!          | server u16 | journal u128
//!          | count u16, each: server u16 | length u32, the members' bytes (none: 0)
//!          | from version 2 on: observers: count u16, each: server u16 | flags u8: 1 it has forgotten what it belonged to
//!   kind 3, a part of a snapshot
//!          group u32 | index u64 | offset u64 | is last u8 | the bytes, until the body ends
//!   kind 4, how far a snapshot was taken
//!          group u32 | index u64 | offset u64
//!   kind 5, commands for the leader to propose
//!          group u32 | one behind the other until the body ends: length u32, the command
//!   kind 6, sessions that live
//!          group u32 | round u64 | session i64 … until the body ends
//!   kind 7, the leader has heard of them
//!          group u32 | round u64 | index u64
//!   kind 8, a word about the state after an entry
//!          group u32 | index u64 | 1: which digest has it? 2: this one, digest u64; 3: it differs; 4: a snapshot is wanted
//!   kind 9, a command that the leader does not propose
//!          group u32 | the command, until the body ends
//!   kind 10, a word of a broker
//!          1, consumers that have messages and ask for none: until the body ends, each: its group, its name
//!          2, counts: stamp u64 | echo u64 | asks u8 | broker u16 | until the body ends, each: process, sent u64, out u64
//!          a name: length u16, its bytes
//! ```
//!
//! All integers are big-endian. The checksum is the crc32 of the body. Many messages share a frame, those of several groups
//! too: heartbeats of a thousand groups are one frame. A frame whose length is beyond the limit, whose checksum is wrong or
//! whose body cannot be understood ends the connection: nothing that follows can be trusted.

use bytes::Bytes;

use crate::broker::word::Word;
use crate::consensus::founding::Hello;
use crate::consensus::message::Message;
use crate::cursor::Reader;
use crate::units::GroupId;

// Whether states are the same.
pub mod comparison;
// One frame.
pub mod frame;
// What a server says of itself.
pub mod hello;
// The messages of groups.
pub mod message;
// What the leader is asked for.
pub mod request;
// Snapshots, in parts.
pub mod snapshot;
// What brokers tell each other.
pub mod word;

pub use comparison::{Compare, Compared};
pub use request::{Forward, NotProposed, Touch, Touched};
pub use snapshot::{Part, Taken};

/// A frame of messages.
const MESSAGES: u8 = 1;
/// What a server says of itself.
const HELLO: u8 = 2;
/// A part of a snapshot.
const PART: u8 = 3;
/// How far a snapshot was taken.
const TAKEN: u8 = 4;
/// Commands for the leader.
const FORWARD: u8 = 5;
/// Sessions that live.
const TOUCH: u8 = 6;
/// The leader has heard of them.
const TOUCHED: u8 = 7;
/// A word about a state.
const COMPARE: u8 = 8;
/// A command that the leader does not propose.
const NOT_PROPOSED: u8 = 9;
/// A word of a broker.
const WORD: u8 = 10;

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Messages, in order.
    Messages(Vec<(GroupId, Message)>),
    /// Who the other side is.
    Hello(Box<Hello>),
    /// A part of a snapshot.
    Part(Part),
    /// How far a snapshot was taken.
    Taken(Taken),
    /// Commands for the leader to propose.
    Forward(Forward),
    /// Sessions that live.
    Touch(Touch),
    /// The leader has heard of them.
    Touched(Touched),
    /// A word about a state.
    Compare(Compare),
    /// A command that the leader does not propose.
    NotProposed(NotProposed),
    /// A word of a broker.
    Word(Word),
}

/// What the body of a frame says.
///
/// # Errors
/// It cannot be understood.
pub fn decode(body: &Bytes) -> Result<Frame, Malformed> {
    let mut reader = Reader::new(body);
    Ok(match reader.u8()? {
        MESSAGES => Frame::Messages(message::decode(&mut reader, body)?),
        HELLO => Frame::Hello(Box::new(hello::decode(&mut reader, body)?)),
        PART => Frame::Part(snapshot::decode_part(&mut reader, body)?),
        TAKEN => Frame::Taken(snapshot::decode_taken(&mut reader)?),
        FORWARD => Frame::Forward(request::decode_forward(&mut reader, body)?),
        TOUCH => Frame::Touch(request::decode_touch(&mut reader)?),
        TOUCHED => Frame::Touched(request::decode_touched(&mut reader)?),
        COMPARE => Frame::Compare(comparison::decode(&mut reader)?),
        NOT_PROPOSED => Frame::NotProposed(request::decode_not_proposed(&mut reader, body)?),
        WORD => Frame::Word(word::decode(&mut reader, body)?),
        kind => return Err(Malformed::Kind(kind)),
    })
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Impossible("a flag")),
    }
}

/// A length in front of as many bytes, which share their owner's memory.
fn counted(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Bytes, Malformed> {
    let length = usize::try_from(reader.u32()?).map_err(|_| Malformed::Truncated)?;
    Ok(reader.take_shared(length, owner)?)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what is sent fits into a frame")
}

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
    /// The other side speaks another version.
    #[error("version {0} is not known")]
    Version(u16),
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
