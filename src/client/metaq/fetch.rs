//! One `get` and what it brought.
//!
//! A `value` is a piece of the segment file: whole records, and usually the beginning of one more. What is
//! not whole is asked for again, with a size that fits it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connection::Connection;
use super::error::Error;
use super::message::{Received, split};
use crate::broker::{Get, Name, OffsetQuery, Request};
use crate::segments::format::{self, HEADER_BYTES, Header, Next};
use crate::wire::metaq::StatusCode;
use crate::wire::metaq::reply::Content;

/// What is read, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) topic: Arc<str>,
    pub(super) group: Name,
    pub(super) broker: Option<u16>,
    pub(super) partition: i32,
}

/// What a `get` brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Whole messages, at least one.
    Messages(Vec<Received>),
    /// Nothing new at this offset, or no such partition yet.
    Nothing,
    /// No message begins here: go on from this offset.
    Moved(i64),
    /// The message here needs a size of so many bytes.
    Larger(usize),
    /// What is here is no message. It can be the end of a hold (the broker then names the same
    /// offset again), a wrong offset, or damage.
    NotAMessage,
}

/// Asks once.
pub(super) async fn fetch(
    connection: &Connection,
    source: &Source,
    offset: i64,
    size_max: usize,
    timeout: Duration,
) -> Result<Fetched, Error> {
    let get = Request::Get(Get {
        topic: Name::from(&*source.topic),
        group: source.group.clone(),
        partition: source.partition,
        offset,
        max_size: i32::try_from(size_max).unwrap_or(i32::MAX),
    });
    match connection.ask(&get, timeout).await? {
        Content::Value(records) => Ok(messages(source, offset, records)),
        Content::Result {
            code: StatusCode::MOVED,
            text,
        } => Ok(Fetched::Moved(number(connection, "get", &text)?)),
        Content::Result {
            code: StatusCode::NOT_FOUND,
            ..
        } => Ok(Fetched::Nothing),
        Content::Result { code, text } => Err(refused(connection, code, &text)),
    }
}

/// Asks from where reading near an offset works.
pub(super) async fn nearest_offset(
    connection: &Connection,
    source: &Source,
    offset: i64,
    timeout: Duration,
) -> Result<Option<i64>, Error> {
    let query = Request::Offset(OffsetQuery {
        topic: Name::from(&*source.topic),
        group: source.group.clone(),
        partition: source.partition,
        offset,
    });
    match connection.ask(&query, timeout).await? {
        Content::Result {
            code: StatusCode::SUCCESS,
            text,
        } => Ok(Some(number(connection, "offset", &text)?)),
        Content::Result {
            code: StatusCode::NOT_FOUND,
            ..
        } => Ok(None),
        Content::Result { code, text } => Err(refused(connection, code, &text)),
        Content::Value(_) => Err(answer(connection, "offset", "records")),
    }
}

/// The whole messages at the head of a piece of a partition.
fn messages(source: &Source, offset: i64, mut records: Bytes) -> Fetched {
    let mut received = Vec::new();
    let mut offset = offset;
    loop {
        match format::next_record(&mut records) {
            Next::Record(record) => {
                let Some((attribute, payload)) = split(record.header.flag, &record.data) else {
                    break;
                };
                let next_offset = offset.saturating_add_unsigned(record.header.record_bytes());
                received.push(Received {
                    topic: Arc::clone(&source.topic),
                    broker: source.broker,
                    partition: source.partition,
                    offset,
                    next_offset,
                    id: record.header.message_id,
                    flag: record.header.flag,
                    attribute,
                    payload,
                });
                offset = next_offset;
            }
            Next::Incomplete if received.is_empty() && !records.is_empty() => {
                return Fetched::Larger(record_bytes(&records));
            }
            Next::Incomplete if received.is_empty() => return Fetched::Nothing,
            Next::Incomplete | Next::Damaged => break,
        }
    }
    if received.is_empty() {
        Fetched::NotAMessage
    } else {
        Fetched::Messages(received)
    }
}

/// How long the record is whose beginning this is.
fn record_bytes(beginning: &[u8]) -> usize {
    let header = beginning.first_chunk().and_then(Header::decode);
    let bytes = header.map_or(HEADER_BYTES as u64, |header| header.record_bytes());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The error for a refusal. What the broker says goes into one line of a log or a terminal.
pub(super) fn refused(connection: &Connection, code: StatusCode, text: &[u8]) -> Error {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_end().replace(char::is_control, " ");
    Error::Refused {
        address: connection.address().clone(),
        code,
        text,
    }
}

/// The error for an answer that does not fit.
pub(super) fn answer(connection: &Connection, asked: &'static str, answer: &str) -> Error {
    Error::Answer {
        address: connection.address().clone(),
        asked,
        answer: answer.to_string(),
    }
}

fn number(connection: &Connection, asked: &'static str, text: &[u8]) -> Result<i64, Error> {
    let text = String::from_utf8_lossy(text);
    text.trim()
        .parse()
        .map_err(|_| answer(connection, asked, &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            topic: Arc::from("t"),
            group: Name::from("g"),
            broker: Some(3),
            partition: 1,
        }
    }

    fn record(id: i64, flag: i32, data: &[u8]) -> Vec<u8> {
        let header = Header {
            length: u32::try_from(data.len()).expect("short data"),
            checksum: format::checksum(data),
            message_id: id,
            flag,
        };
        [&header.encode()[..], data].concat()
    }

    fn check(records: &[u8]) -> Fetched {
        messages(&source(), 100, Bytes::copy_from_slice(records))
    }

    #[test]
    fn whole_messages_are_taken_and_a_cut_one_is_left_for_the_next_time() {
        let mut records = [record(1, 0, b"hello"), record(-2, 1, b"\0\0\0\x01aworld")].concat();
        records.extend_from_slice(&record(3, 0, b"cut off")[..21]);
        let Fetched::Messages(messages) = check(&records) else {
            panic!("messages")
        };
        let shown: Vec<_> = messages
            .iter()
            .map(|m| {
                (
                    m.offset,
                    m.next_offset,
                    m.id,
                    m.attribute.as_deref(),
                    &m.payload[..],
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (100, 125, 1, None, &b"hello"[..]),
                (125, 155, -2, Some("a"), &b"world"[..])
            ]
        );
    }

    #[test]
    fn a_message_larger_than_what_was_asked_for_says_what_it_needs() {
        let large = record(1, 0, &[7; 1000]);
        assert_eq!(check(&large[..500]), Fetched::Larger(1020));
        assert_eq!(check(&large[..5]), Fetched::Larger(20));
    }

    #[test]
    fn what_does_not_check_is_no_message() {
        let mut end_of_hold = [0; 20];
        end_of_hold[4..8].copy_from_slice(&12345_i32.to_be_bytes());
        assert_eq!(check(&end_of_hold), Fetched::NotAMessage);
        assert_eq!(check(&[0xff; 20]), Fetched::NotAMessage);
        assert_eq!(
            check(&record(1, 1, b"\0\0\0\x09short")),
            Fetched::NotAMessage
        );
    }

    #[test]
    fn good_messages_before_bad_bytes_are_taken() {
        let records = [record(1, 0, b"hello"), vec![0xff; 30]].concat();
        let Fetched::Messages(messages) = check(&records) else {
            panic!("messages")
        };
        assert_eq!(messages.len(), 1);
    }

    #[test]
    fn an_empty_piece_is_nothing() {
        assert_eq!(check(b""), Fetched::Nothing);
    }
}
