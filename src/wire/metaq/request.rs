//! Requests: what clients send.
//!
//! ```text
//! put SP topic SP partition SP length SP flag [SP checksum] [SP transaction] SP opaque        + body
//! sync SP topic SP partition SP length SP flag SP message-id [SP checksum] SP opaque          + body
//! get SP topic SP group SP partition SP offset SP max-size SP opaque
//! offset SP topic SP group SP partition SP offset SP opaque
//! transaction SP key SP session SP step [SP timeout] [SP unique-qualifier] SP opaque
//! stats [SP item [SP opaque]]      version [SP opaque]      quit
//! ```
//!
//! Three generations of clients differ in the number of tokens only. A put of seven tokens has either a
//! checksum or a transaction; its sixth token's first character tells which. Names and bodies are slices
//! of the buffer they came in.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::decimal;
use super::frame::{self, Command, DecodeError, Decoded, Frame, Limits};
use super::reply;
use super::transaction_key;
use crate::broker::{Get, Name, OffsetQuery, Put, Request, Sync, Transaction, TransactionStep};

/// The opaque of a `version` or `stats` that has none.
const NO_OPAQUE: i32 = i32::MAX;
/// The checksum of a put that has none.
const NO_CHECKSUM: i32 = -1;

/// A request and the number that its reply carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Chosen by the client; 0 for `quit`, which is not answered.
    pub opaque: i32,
    /// What is asked.
    pub request: Request,
}

/// Takes the request at the head of a buffer out of it, if it is whole.
///
/// A frame without a request in it is a reply that the client sent by mistake. The original ignores
/// those, so do we.
///
/// # Errors
/// The stream cannot be understood any further: close the connection without a reply.
pub fn decode(
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<Decoded<Option<Asked>>, DecodeError> {
    frame::take(buffer, limits)?.and_then(asked)
}

fn asked(frame: Frame) -> Result<Option<Asked>, DecodeError> {
    let (opaque, request) = match frame.command() {
        Command::Put => put(&frame)?,
        Command::Get => get(&frame)?,
        Command::Offset => offset(&frame)?,
        Command::Version => (trailing_opaque(&frame, 1)?, Request::Version),
        Command::Quit => (0, Request::Quit),
        Command::Stats => stats(&frame)?,
        Command::Transaction => transaction(&frame)?,
        Command::Sync => sync(&frame)?,
        // Ignored, but not if they are malformed.
        Command::Result | Command::Value => return reply::answer(frame).map(|_| None),
    };
    Ok(Some(Asked { opaque, request }))
}

fn put(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let (checksum, transaction) = match frame.token_count() {
        6 => (None, None),
        7 => match frame.token(5)?.first() {
            Some(b'-' | b'0'..=b'9') => (Some(5), None),
            _ => (None, Some(5)),
        },
        8 => (Some(5), Some(6)),
        _ => return Err(frame.wrong_count()),
    };
    let put = Put {
        topic: name(frame, 1)?,
        partition: frame.i32(2, "partition")?,
        flag: frame.i32(4, "flag")?,
        checksum: match checksum {
            Some(number) => frame.i32(number, "checksum")?,
            None => NO_CHECKSUM,
        },
        transaction: match transaction {
            Some(number) => Some(key(frame, number)?),
            None => None,
        },
        data: frame.body.clone(),
    };
    Ok((
        frame.i32(frame.token_count() - 1, "opaque")?,
        Request::Put(put),
    ))
}

fn sync(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let checksum = match frame.token_count() {
        7 => NO_CHECKSUM,
        8 => frame.i32(6, "checksum")?,
        _ => return Err(frame.wrong_count()),
    };
    let sync = Sync {
        topic: name(frame, 1)?,
        partition: frame.i32(2, "partition")?,
        flag: frame.i32(4, "flag")?,
        message_id: frame.i64(5, "message id")?,
        checksum,
        data: frame.body.clone(),
    };
    Ok((
        frame.i32(frame.token_count() - 1, "opaque")?,
        Request::Sync(sync),
    ))
}

fn get(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let get = Get {
        topic: name(frame, 1)?,
        group: name(frame, 2)?,
        partition: frame.i32(3, "partition")?,
        offset: frame.i64(4, "offset")?,
        max_size: frame.i32(5, "maximum size")?,
    };
    Ok((frame.i32(6, "opaque")?, Request::Get(get)))
}

fn offset(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let query = OffsetQuery {
        topic: name(frame, 1)?,
        group: name(frame, 2)?,
        partition: frame.i32(3, "partition")?,
        offset: frame.i64(4, "offset")?,
    };
    Ok((frame.i32(5, "opaque")?, Request::Offset(query)))
}

fn stats(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let item = if frame.token_count() > 1 {
        name(frame, 1)?
    } else {
        Name::default()
    };
    Ok((trailing_opaque(frame, 2)?, Request::Stats { item }))
}

fn transaction(frame: &Frame) -> Result<(i32, Request), DecodeError> {
    let (timeout, unique_qualifier) = match frame.token_count() {
        5 => (None, None),
        // The original asks whether all characters are digits, and so takes an empty token for a
        // (malformed) timeout, and a negative one for a qualifier.
        6 if frame.token(4)?.iter().all(u8::is_ascii_digit) => (Some(4), None),
        6 => (None, Some(4)),
        7 => (Some(4), Some(5)),
        _ => return Err(frame.wrong_count()),
    };
    let transaction = Transaction {
        key: key(frame, 1)?,
        session: name(frame, 2)?,
        step: step(frame.token(3)?)?,
        timeout_s: match timeout {
            Some(number) => Some(frame.i32(number, "timeout")?),
            None => None,
        },
        unique_qualifier: match unique_qualifier {
            Some(number) => Some(name(frame, number)?),
            None => None,
        },
    };
    let opaque = frame.i32(frame.token_count() - 1, "opaque")?;
    Ok((opaque, Request::Transaction(transaction)))
}

const STEPS: [(&[u8], TransactionStep); 8] = [
    (b"BEGIN", TransactionStep::Begin),
    (b"PREPARE", TransactionStep::Prepare),
    (b"COMMIT_ONE_PHASE", TransactionStep::CommitOnePhase),
    (b"COMMIT_TWO_PHASE", TransactionStep::CommitTwoPhase),
    (b"ROLLBACK", TransactionStep::Rollback),
    (b"RECOVER", TransactionStep::Recover),
    (b"FORGET", TransactionStep::Forget),
    (b"END", TransactionStep::End),
];

fn step(token: &[u8]) -> Result<TransactionStep, DecodeError> {
    let found = STEPS.iter().find(|(word, _)| *word == token);
    found
        .map(|(_, step)| *step)
        .ok_or(DecodeError::TransactionType)
}

fn trailing_opaque(frame: &Frame, number: usize) -> Result<i32, DecodeError> {
    if frame.token_count() > number {
        frame.i32(number, "opaque")
    } else {
        Ok(NO_OPAQUE)
    }
}

/// A name. Bytes that are not UTF-8 become replacement characters, as in Java.
fn name(frame: &Frame, number: usize) -> Result<Name, DecodeError> {
    let token = frame.token_shared(number)?;
    Ok(match Name::from_utf8(token.clone()) {
        Ok(name) => name,
        Err(_) => Name::from(String::from_utf8_lossy(&token).into_owned()),
    })
}

/// A transaction key in the form the original gives it: two spellings of a key are the same key.
fn key(frame: &Frame, number: usize) -> Result<Name, DecodeError> {
    let name = name(frame, number)?;
    match transaction_key::canonical(name.as_str()).ok_or(DecodeError::TransactionKey)? {
        Cow::Borrowed(_) => Ok(name),
        Cow::Owned(canonical) => Ok(Name::from(canonical)),
    }
}

/// Appends a request as the Java client writes it.
///
/// Names must not contain a space or a line end, and a put's and a sync's data must be shorter than 2 GiB.
pub fn encode(out: &mut BytesMut, opaque: i32, request: &Request) {
    match request {
        Request::Put(put) => encode_put(out, opaque, put),
        Request::Sync(sync) => encode_sync(out, opaque, sync),
        Request::Get(get) => {
            let numbers = [
                i64::from(get.partition),
                get.offset,
                i64::from(get.max_size),
            ];
            encode_line(out, "get", &[&get.topic, &get.group], &numbers, opaque);
        }
        Request::Offset(query) => {
            let numbers = [i64::from(query.partition), query.offset];
            encode_line(
                out,
                "offset",
                &[&query.topic, &query.group],
                &numbers,
                opaque,
            );
        }
        Request::Version => encode_line(out, "version", &[], &[], opaque),
        Request::Stats { item } => encode_line(out, "stats", &[item], &[], opaque),
        Request::Transaction(transaction) => encode_transaction(out, opaque, transaction),
        Request::Quit => out.extend_from_slice(b"quit\r\n"),
    }
}

fn encode_put(out: &mut BytesMut, opaque: i32, put: &Put) {
    encode_start(out, "put", &put.topic, put.partition, &put.data, put.flag);
    number(out, i64::from(put.checksum));
    if let Some(key) = &put.transaction {
        token(out, key);
    }
    encode_end(out, opaque);
    out.extend_from_slice(&put.data);
}

fn encode_sync(out: &mut BytesMut, opaque: i32, sync: &Sync) {
    encode_start(
        out,
        "sync",
        &sync.topic,
        sync.partition,
        &sync.data,
        sync.flag,
    );
    number(out, sync.message_id);
    number(out, i64::from(sync.checksum));
    encode_end(out, opaque);
    out.extend_from_slice(&sync.data);
}

/// The tokens that put and sync have in common.
fn encode_start(
    out: &mut BytesMut,
    command: &str,
    topic: &Name,
    partition: i32,
    data: &Bytes,
    flag: i32,
) {
    let length = i32::try_from(data.len()).expect("a message is shorter than 2 GiB");
    out.reserve(128 + topic.as_bytes().len() + data.len());
    out.extend_from_slice(command.as_bytes());
    token(out, topic);
    number(out, i64::from(partition));
    number(out, i64::from(length));
    number(out, i64::from(flag));
}

fn encode_transaction(out: &mut BytesMut, opaque: i32, transaction: &Transaction) {
    let step = STEPS.iter().find(|(_, step)| *step == transaction.step);
    let (step, _) = step.expect("the table has every step");
    out.extend_from_slice(b"transaction");
    token(out, &transaction.key);
    token(out, &transaction.session);
    out.extend_from_slice(b" ");
    out.extend_from_slice(step);
    if let Some(timeout_s) = transaction.timeout_s {
        number(out, i64::from(timeout_s));
    }
    if let Some(unique_qualifier) = &transaction.unique_qualifier {
        token(out, unique_qualifier);
    }
    encode_end(out, opaque);
}

fn encode_line(out: &mut BytesMut, command: &str, names: &[&Name], numbers: &[i64], opaque: i32) {
    out.extend_from_slice(command.as_bytes());
    for name in names {
        token(out, name);
    }
    for value in numbers {
        number(out, *value);
    }
    encode_end(out, opaque);
}

fn encode_end(out: &mut BytesMut, opaque: i32) {
    number(out, i64::from(opaque));
    out.extend_from_slice(b"\r\n");
}

fn token(out: &mut BytesMut, name: &Name) {
    out.extend_from_slice(b" ");
    out.extend_from_slice(name.as_bytes());
}

fn number(out: &mut BytesMut, value: i64) {
    out.extend_from_slice(b" ");
    decimal::write(out, value);
}

#[cfg(test)]
mod tests;
