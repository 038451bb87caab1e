//! Replies: what a broker sends.
//!
//! ```text
//! result SP code SP length SP opaque     + text
//! value SP length SP opaque              + records
//! ```
//!
//! Every error has a text: the Java client stumbles over one without.

use bytes::{Bytes, BytesMut};

use super::decimal;
use super::frame::{self, Command, DecodeError, Decoded, Frame, Limits};
use super::status_code::StatusCode;
use crate::broker::Reply;

/// Appends a broker's answer.
pub fn encode(out: &mut BytesMut, opaque: i32, reply: &Reply) {
    match reply {
        Reply::Stored {
            message_id,
            partition,
            offset,
        } => {
            encode_stored(out, opaque, *message_id, *partition, *offset);
        }
        Reply::Offset(offset) => encode_offset(out, StatusCode::SUCCESS, opaque, *offset),
        Reply::Moved(offset) => encode_offset(out, StatusCode::MOVED, opaque, *offset),
        Reply::Text(text) => encode_result(out, StatusCode::SUCCESS, opaque, text),
        Reply::Value(records) => {
            encode_value_header(out, opaque, records.len());
            out.extend_from_slice(records);
        }
        Reply::Refused(refusal) => {
            let code = StatusCode::of_refusal(refusal.kind);
            encode_result(out, code, opaque, refusal.text.as_bytes());
        }
    }
}

/// Appends the header of a `value` whose `length` bytes the caller sends next.
///
/// # Panics
/// The length is 2 GiB or more.
pub fn encode_value_header(out: &mut BytesMut, opaque: i32, length: usize) {
    out.extend_from_slice(b"value ");
    encode_length_and_opaque(out, length, opaque);
}

/// Appends a `result` with this text.
///
/// # Panics
/// The text is 2 GiB or longer.
pub fn encode_result(out: &mut BytesMut, code: StatusCode, opaque: i32, text: &[u8]) {
    encode_result_header(out, code, opaque, text.len());
    out.extend_from_slice(text);
}

fn encode_stored(out: &mut BytesMut, opaque: i32, message_id: i64, partition: i32, offset: u64) {
    let partition = i64::from(partition);
    let widths = [
        decimal::width(message_id),
        decimal::width(partition),
        decimal::width_unsigned(offset),
    ];
    let spaces = widths.len() - 1;
    let length = widths.iter().sum::<usize>() + spaces;
    encode_result_header(out, StatusCode::SUCCESS, opaque, length);
    decimal::write(out, message_id);
    out.extend_from_slice(b" ");
    decimal::write(out, partition);
    out.extend_from_slice(b" ");
    decimal::write_unsigned(out, offset);
}

fn encode_offset(out: &mut BytesMut, code: StatusCode, opaque: i32, offset: u64) {
    encode_result_header(out, code, opaque, decimal::width_unsigned(offset));
    decimal::write_unsigned(out, offset);
}

fn encode_result_header(out: &mut BytesMut, code: StatusCode, opaque: i32, length: usize) {
    out.extend_from_slice(b"result ");
    decimal::write(out, i64::from(code.0));
    out.extend_from_slice(b" ");
    encode_length_and_opaque(out, length, opaque);
}

fn encode_length_and_opaque(out: &mut BytesMut, length: usize, opaque: i32) {
    let length = i32::try_from(length).expect("a reply is shorter than 2 GiB");
    decimal::write(out, i64::from(length));
    out.extend_from_slice(b" ");
    decimal::write(out, i64::from(opaque));
    out.extend_from_slice(b"\r\n");
}

/// What a client receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number the request carried.
    pub opaque: i32,
    /// What was answered.
    pub content: Content,
}

/// The two kinds of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A code and a text.
    Result {
        /// What became of the request.
        code: StatusCode,
        /// Ids and offsets for success, else the reason.
        text: Bytes,
    },
    /// Records, as they are in the segment file. The last one may be cut off.
    Value(Bytes),
}

/// The head of an answer, for a client that counts answers more than it reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// The number the request carried.
    pub opaque: i32,
    /// The code of a `result`; a `value` has none.
    pub code: Option<StatusCode>,
    /// How long the header line is, its end included.
    pub header_bytes: usize,
    /// How long the body behind it is; it may not have come yet, and was compared with no limit.
    pub body_bytes: usize,
}

/// Looks at the answer at the head of a buffer, if its header line is whole. Takes nothing out.
///
/// # Errors
/// The stream cannot be understood any further: close the connection.
pub fn peek(buffer: &[u8], limits: &Limits) -> Result<Option<Peeked>, DecodeError> {
    let Some(peeked) = frame::peek(buffer, limits)? else {
        return Ok(None);
    };
    let (code, opaque) = match peeked.command() {
        Command::Result => (
            Some(StatusCode(peeked.i32(1, "code")?)),
            peeked.i32(3, "opaque")?,
        ),
        Command::Value => (None, peeked.i32(2, "opaque")?),
        request => {
            return Err(DecodeError::WrongSide {
                command: request.word(),
            });
        }
    };
    let (header_bytes, body_bytes) = (peeked.header_bytes(), peeked.body_bytes());
    Ok(Some(Peeked {
        opaque,
        code,
        header_bytes,
        body_bytes,
    }))
}

/// Takes the answer at the head of a buffer out of it, if it is whole.
///
/// # Errors
/// The stream cannot be understood any further: close the connection.
pub fn decode(buffer: &mut BytesMut, limits: &Limits) -> Result<Decoded<Answer>, DecodeError> {
    frame::take(buffer, limits)?.and_then(answer)
}

/// What a frame from a broker says.
pub(super) fn answer(frame: Frame) -> Result<Answer, DecodeError> {
    match frame.command() {
        Command::Result => Ok(Answer {
            opaque: frame.i32(3, "opaque")?,
            content: Content::Result {
                code: StatusCode(frame.i32(1, "code")?),
                text: frame.body,
            },
        }),
        Command::Value => Ok(Answer {
            opaque: frame.i32(2, "opaque")?,
            content: Content::Value(frame.body),
        }),
        request => Err(DecodeError::WrongSide {
            command: request.word(),
        }),
    }
}

#[cfg(test)]
mod tests;
