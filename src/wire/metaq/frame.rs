//! Where one frame ends and the next begins.
//!
//! ```text
//! put test 0 5 0 907060870 -2147483648 CR LF  h e l l o   version -2147483647 CR LF
//! |<-- header line: tokens ---------->|       |<-body->|  |<-- the next frame --
//! ```
//!
//! The header line ends at the first CR LF; a lone CR or LF belongs to the line. Four commands have a
//! body, whose length is one of the line's tokens (`put` and `sync`: the fourth, `result`: the third,
//! `value`: the second). Nothing follows the body.
//!
//! This is the only place that knows it, for both directions and for whole and half frames alike. A
//! length is compared with the limits before anybody makes room for it.

use std::ops::{Deref, Range};

use bytes::{Bytes, BytesMut};

use super::decimal;
use super::token::Tokens;

/// What one peer may make us hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest header line, in bytes without its line end.
    pub header_bytes: usize,
    /// The longest body, in bytes.
    pub body_bytes: usize,
}

impl Limits {
    /// A name of 255 bytes and an XA key fit in the line many times over. The body is the largest that
    /// the Java client decodes (2 MiB), because nobody could read a larger message.
    pub const DEFAULT: Limits = Limits {
        header_bytes: 4096,
        body_bytes: 2 * 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// Why the bytes cannot be what the protocol says. Answered by closing the connection without a reply,
/// as the original does: what follows in the stream cannot be told apart any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No line end within the limit.
    #[error("the header line is longer than {limit} bytes")]
    HeaderTooLong {
        /// [`Limits::header_bytes`].
        limit: usize,
    },
    /// The first token is no command.
    #[error("the command is unknown")]
    UnknownCommand,
    /// A token that the command needs is missing, or there are more than it takes.
    #[error("{command} does not take {count} tokens")]
    TokenCount {
        /// The command.
        command: &'static str,
        /// How many tokens its line has, the command included.
        count: usize,
    },
    /// A number is not one, or exceeds its width.
    #[error("the {field} of {command} is not a number")]
    NotANumber {
        /// The command.
        command: &'static str,
        /// Which of its fields.
        field: &'static str,
    },
    /// A body length below 0.
    #[error("the body length of {command} is negative")]
    NegativeLength {
        /// The command.
        command: &'static str,
    },
    /// A transaction key that is neither local nor XA.
    #[error("the transaction key is malformed")]
    TransactionKey,
    /// A transaction command of an unknown type.
    #[error("the transaction type is unknown")]
    TransactionType,
    /// A frame that only the other side of a connection sends.
    #[error("a {command} was sent by the wrong side")]
    WrongSide {
        /// The command.
        command: &'static str,
    },
}

/// What the head of a buffer turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// Not a whole frame. Asking again makes sense when the buffer holds `need` bytes.
    NotYet {
        /// The shortest length the buffer must have before another attempt can say more.
        need: usize,
    },
    /// A whole frame, taken out of the buffer.
    Frame(T),
    /// A body beyond the limit. The header line was taken out of the buffer; the next `body` bytes of the
    /// stream are not a frame and have to be thrown away as they come.
    TooLarge {
        /// The frame, with an empty body.
        frame: T,
        /// How long its body is.
        body: usize,
    },
}

impl<T> Decoded<T> {
    /// The same with another frame, or the error that making it met.
    pub(crate) fn and_then<U>(
        self,
        convert: impl FnOnce(T) -> Result<U, DecodeError>,
    ) -> Result<Decoded<U>, DecodeError> {
        Ok(match self {
            Decoded::NotYet { need } => Decoded::NotYet { need },
            Decoded::Frame(frame) => Decoded::Frame(convert(frame)?),
            Decoded::TooLarge { frame, body } => Decoded::TooLarge {
                frame: convert(frame)?,
                body,
            },
        })
    }
}

/// The commands, as the first token names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Put,
    Get,
    Offset,
    Version,
    Quit,
    Stats,
    Transaction,
    Sync,
    Result,
    Value,
}

impl Command {
    /// The original looks at the first character, and then checks the whole word for all commands but
    /// `version` and `quit`: any other word with their first letter means the same.
    fn of(word: &[u8]) -> Option<Command> {
        let (expected, command): (&[u8], Command) = match word.first()? {
            b'p' => (b"put", Command::Put),
            b'g' => (b"get", Command::Get),
            b't' => (b"transaction", Command::Transaction),
            b'r' => (b"result", Command::Result),
            b'o' => (b"offset", Command::Offset),
            b's' if word == b"stats" => return Some(Command::Stats),
            b's' => (b"sync", Command::Sync),
            b'v' if word == b"value" => return Some(Command::Value),
            b'v' => return Some(Command::Version),
            b'q' => return Some(Command::Quit),
            _ => return None,
        };
        (word == expected).then_some(command)
    }

    /// The command's word, for messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Command::Put => "put",
            Command::Get => "get",
            Command::Offset => "offset",
            Command::Version => "version",
            Command::Quit => "quit",
            Command::Stats => "stats",
            Command::Transaction => "transaction",
            Command::Sync => "sync",
            Command::Result => "result",
            Command::Value => "value",
        }
    }

    /// Which token is the body's length.
    fn length_token(self) -> Option<usize> {
        match self {
            Command::Put | Command::Sync => Some(3),
            Command::Result => Some(2),
            Command::Value => Some(1),
            Command::Get
            | Command::Offset
            | Command::Version
            | Command::Quit
            | Command::Stats
            | Command::Transaction => None,
        }
    }
}

/// What a header line says about its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) command: Command,
    tokens: Tokens,
    /// Bytes up to the body: the line and its end.
    bytes: usize,
    /// Bytes of the body.
    body_bytes: usize,
}

/// A header line and what it says.
#[derive(Debug)]
pub(crate) struct Line<L> {
    header: Header,
    /// The bytes: of a buffer that is only looked at, or taken out of it.
    line: L,
}

impl<L: AsRef<[u8]>> Line<L> {
    /// The command.
    pub(crate) fn command(&self) -> Command {
        self.header.command
    }

    /// How many tokens the line has, the command included.
    pub(crate) fn token_count(&self) -> usize {
        self.header.tokens.count()
    }

    /// Bytes up to the body: the line and its end.
    pub(crate) fn header_bytes(&self) -> usize {
        self.header.bytes
    }

    /// Bytes of the body, as announced.
    pub(crate) fn body_bytes(&self) -> usize {
        self.header.body_bytes
    }

    /// The token with this number; the command is number 0.
    pub(crate) fn token(&self, number: usize) -> Result<&[u8], DecodeError> {
        Ok(&self.line.as_ref()[self.place(number)?])
    }

    /// The token with this number, as a 32-bit number.
    pub(crate) fn i32(&self, number: usize, field: &'static str) -> Result<i32, DecodeError> {
        decimal::parse_i32(self.token(number)?).ok_or(DecodeError::NotANumber {
            command: self.command().word(),
            field,
        })
    }

    /// The token with this number, as a 64-bit number.
    pub(crate) fn i64(&self, number: usize, field: &'static str) -> Result<i64, DecodeError> {
        decimal::parse_i64(self.token(number)?).ok_or(DecodeError::NotANumber {
            command: self.command().word(),
            field,
        })
    }

    /// The error for a line with too few or too many tokens.
    pub(crate) fn wrong_count(&self) -> DecodeError {
        DecodeError::TokenCount {
            command: self.command().word(),
            count: self.token_count(),
        }
    }

    fn place(&self, number: usize) -> Result<Range<usize>, DecodeError> {
        self.header
            .tokens
            .place(number)
            .ok_or_else(|| self.wrong_count())
    }
}

impl Line<Bytes> {
    /// The token with this number, sharing the buffer it came in.
    pub(crate) fn token_shared(&self, number: usize) -> Result<Bytes, DecodeError> {
        Ok(self.line.slice(self.place(number)?))
    }
}

/// A frame's fields and body, taken out of the buffer without copying them.
#[derive(Debug)]
pub(crate) struct Frame {
    line: Line<Bytes>,
    /// Empty if it is beyond the limit.
    pub(crate) body: Bytes,
}

impl Deref for Frame {
    type Target = Line<Bytes>;

    fn deref(&self) -> &Line<Bytes> {
        &self.line
    }
}

/// Looks at the header line at the head of a buffer, if its end has arrived.
///
/// # Errors
/// The stream cannot be understood any further; see [`DecodeError`].
pub(crate) fn peek<'a>(
    buffer: &'a [u8],
    limits: &Limits,
) -> Result<Option<Line<&'a [u8]>>, DecodeError> {
    Ok(header(buffer, limits)?.map(|header| Line {
        line: &buffer[..header.bytes],
        header,
    }))
}

/// Takes the frame at the head of a buffer out of it, if it is whole.
///
/// # Errors
/// The stream cannot be understood any further; see [`DecodeError`].
pub(crate) fn take(buffer: &mut BytesMut, limits: &Limits) -> Result<Decoded<Frame>, DecodeError> {
    let Some(header) = header(buffer, limits)? else {
        return Ok(Decoded::NotYet {
            need: buffer.len() + 1,
        });
    };
    let body = header.body_bytes;
    let too_large = body > limits.body_bytes;
    let need = header.bytes.saturating_add(body);
    if !too_large && buffer.len() < need {
        return Ok(Decoded::NotYet { need });
    }
    let line = buffer.split_to(header.bytes).freeze();
    let line = Line { header, line };
    Ok(if too_large {
        Decoded::TooLarge {
            frame: Frame {
                line,
                body: Bytes::new(),
            },
            body,
        }
    } else {
        Decoded::Frame(Frame {
            line,
            body: buffer.split_to(body).freeze(),
        })
    })
}

/// Reads the header line at the head of a buffer, if its end has arrived.
fn header(buffer: &[u8], limits: &Limits) -> Result<Option<Header>, DecodeError> {
    let Some(line_bytes) = line_bytes(buffer, limits)? else {
        return Ok(None);
    };
    let line = &buffer[..line_bytes];
    let tokens = Tokens::of(line);
    let token = |number: usize| tokens.place(number).map(|place| &line[place]);
    let command = token(0)
        .and_then(Command::of)
        .ok_or(DecodeError::UnknownCommand)?;
    let mut body_bytes = 0;
    if let Some(number) = command.length_token() {
        let (command, count) = (command.word(), tokens.count());
        let length = token(number).ok_or(DecodeError::TokenCount { command, count })?;
        let length = decimal::parse_i32(length).ok_or(DecodeError::NotANumber {
            command,
            field: "body length",
        })?;
        body_bytes =
            usize::try_from(length).map_err(|_| DecodeError::NegativeLength { command })?;
    }
    Ok(Some(Header {
        command,
        tokens,
        bytes: line_bytes + LINE_END.len(),
        body_bytes,
    }))
}

const LINE_END: &[u8; 2] = b"\r\n";

/// The length of the first line, if its end has arrived.
fn line_bytes(buffer: &[u8], limits: &Limits) -> Result<Option<usize>, DecodeError> {
    let window_bytes = limits.header_bytes.saturating_add(LINE_END.len());
    let window = buffer.get(..window_bytes).unwrap_or(buffer);
    let line_bytes = window
        .windows(LINE_END.len())
        .position(|pair| pair == LINE_END);
    if line_bytes.is_none() && window.len() == window_bytes {
        return Err(DecodeError::HeaderTooLong {
            limit: limits.header_bytes,
        });
    }
    Ok(line_bytes)
}

#[cfg(test)]
mod tests;
