//! One MetaQ client: received bytes in, requests out, replies into its output.
//!
//! No socket, no clock. The driver appends what it read to [`Codec::room`], says how much
//! that was, takes requests until there is none, and writes the output once a turn. Replies go out in the order in which
//! they are given, which need not be the order of the requests: clients match them by opaque.
//!
//! Memory: an announced length makes no room. The input grows with what has arrived, at most to one
//! whole frame (the limits' header and body) and one read; requests share it until they are
//! dropped. A body beyond the limit is refused at once, thrown away as it comes, and the connection
//! lives on: it is shared by all producers and consumers of its client's process.

use bytes::BytesMut;

use super::codec::Codec;
use super::input::Input;
use super::output::{FileRange, Output};
use crate::broker::Reply;
use crate::wire::metaq::request::{self, Asked};
use crate::wire::metaq::{DecodeError, Decoded, Limits, StatusCode, reply};

/// What a connection that sends much is read with: some hundred small puts at a time.
const READ_BYTES_MAX: usize = 128 * 1024;
/// Replies that wait in memory beyond this mean that the client does not read.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// The same for file ranges, which occupy no memory: what a fast client has under way.
const OUTPUT_FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One client's connection, without its socket.
#[derive(Debug)]
pub struct MetaqConnection {
    limits: Limits,
    input: Input,
    /// How many bytes of a refused body are still to come.
    discard: usize,
    /// Set once the stream cannot be understood any more.
    broken: Option<DecodeError>,
    output: Output,
}

impl MetaqConnection {
    /// A connection on which nothing was received yet.
    pub fn new(limits: Limits) -> MetaqConnection {
        MetaqConnection {
            limits,
            input: Input::new(READ_BYTES_MAX),
            discard: 0,
            broken: None,
            output: Output::default(),
        }
    }

    /// The next whole request, if there is one.
    ///
    /// # Errors
    /// The client sent what is not the protocol: close the connection without a reply to it, after the
    /// output is written. Every later call says the same.
    pub fn next_request(&mut self) -> Result<Option<Asked>, DecodeError> {
        if let Some(error) = self.broken {
            self.input.clear();
            return Err(error);
        }
        loop {
            self.discard -= self.input.discard(self.discard);
            let Some(input) = self.input.decodable(1) else {
                return Ok(None);
            };
            match request::decode(input, &self.limits) {
                Ok(Decoded::NotYet { need }) => self.input.need(need),
                Ok(Decoded::Frame(asked)) => {
                    self.input.need(0);
                    if asked.is_some() {
                        return Ok(asked);
                    }
                }
                Ok(Decoded::TooLarge { frame, body }) => {
                    self.input.need(0);
                    self.discard = body;
                    if let Some(asked) = frame {
                        self.refuse_too_large(asked.opaque, body);
                    }
                }
                Err(error) => {
                    self.broken = Some(error);
                    self.input.clear();
                    return Err(error);
                }
            }
        }
    }

    /// Queues an answer.
    pub fn reply(&mut self, opaque: i32, reply: &Reply) {
        self.write(|out| reply::encode(out, opaque, reply));
    }

    /// Queues a `value` whose records lie in a file.
    ///
    /// # Panics
    /// The range is 2 GiB or longer; a `get` asks for less.
    pub fn value(&mut self, opaque: i32, records: FileRange) {
        let length = usize::try_from(records.length).expect("64-bit sizes");
        self.write(|out| reply::encode_value_header(out, opaque, length));
        self.output.file(records);
    }

    fn refuse_too_large(&mut self, opaque: i32, body: usize) {
        let limit = self.limits.body_bytes;
        let text = format!("The message has {body} bytes, more than the {limit} permitted here.");
        self.write(|out| {
            reply::encode_result(out, StatusCode::BAD_REQUEST, opaque, text.as_bytes());
        });
    }

    fn write(&mut self, encode: impl FnOnce(&mut BytesMut)) {
        let tail = self.output.tail();
        let before = tail.len();
        encode(tail);
        self.output.appended(before);
    }
}

impl Codec for MetaqConnection {
    fn room(&mut self) -> &mut BytesMut {
        self.input.room()
    }

    fn received(&mut self, count: usize) {
        self.input.received(count);
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    fn is_congested(&self) -> bool {
        self.output.held_bytes() > OUTPUT_BYTES_MAX
            || self.output.queued_bytes() > OUTPUT_FILE_BYTES_MAX
    }

    fn is_amid_frame(&self) -> bool {
        !self.input.bytes().is_empty() || self.discard > 0
    }

    fn held_bytes(&self) -> u64 {
        self.input.held_bytes() + self.output.held_bytes()
    }

    fn shrink(&mut self) {
        self.input.shrink();
    }
}

#[cfg(test)]
mod tests;
