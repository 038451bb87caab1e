//! A connection to another server: received bytes in, frames out, and what waits to be written.
//!
//! No socket, no clock. There is one for each pair of servers, and all their groups share it.
//!
//! What is urgent (heartbeats, votes, acknowledgements) goes before what is bulk: at most `BULK_AHEAD_BYTES` of entries and
//! snapshots are handed to the socket at a time, so that what comes later and matters waits for no more than that. What waits
//! in bulk is bounded: beyond it a message is refused, and its group is told that the other server does not take it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::codec::Codec;
use super::input::Input;
use super::output::Output;
use crate::broker::word::Word;
use crate::consensus::founding::Hello;
use crate::consensus::message::{Body, Message};
use crate::units::{GroupId, Moment};
use crate::wire::peer::{
    self, Compare, Forward, Frame, Malformed, NotProposed, Part, Taken, Touch, Touched, frame,
};

#[cfg(test)]
mod tests;

/// What a read brings at most.
const READ_BYTES_MAX: usize = 256 * 1024;
/// A frame is no longer; one entry may be.
const FRAME_BYTES_MAX: u32 = 64 << 20;
/// Before the greeting nothing is taken that is longer.
const HELLO_BYTES_MAX: u32 = 64 << 10;
/// A frame of entries is closed at this size.
const FRAME_BYTES_CLOSE: usize = 256 * 1024;
/// So much of what is bulk is handed to the socket at a time.
const BULK_AHEAD_BYTES: u64 = 256 * 1024;
/// So much of it waits at most; one frame may be beyond.
const BULK_BYTES_MAX: usize = 8 << 20;
/// What is urgent waits beyond this only where the other side does not read.
const URGENT_BYTES_MAX: usize = 1 << 20;

/// A connection on which nobody says who he is for so long is closed.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// The other server does not take what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A connection to another server, without its socket.
#[derive(Debug)]
pub struct PeerConnection {
    input: Input,
    /// The other side has said who it is.
    greeted: bool,
    /// Until then it must have.
    greets_until: Moment,
    /// Set once the stream cannot be understood any more.
    broken: Option<Malformed>,
    output: Output,
    /// Messages that carry no entries, for the next frame.
    urgent: Vec<(GroupId, Message)>,
    /// Messages that carry entries, for the next frame of them.
    entries: Vec<(GroupId, Message)>,
    entries_bytes: usize,
    /// Frames that wait behind what is urgent.
    bulk: VecDeque<Bytes>,
    bulk_bytes: usize,
    /// Something was put into the output since the last flush.
    written: bool,
}

impl PeerConnection {
    /// A connection on which this server says who it is.
    pub fn new(hello: &Hello, now: Moment) -> PeerConnection {
        let mut connection = PeerConnection {
            input: Input::new(READ_BYTES_MAX),
            greeted: false,
            greets_until: now + GREETING_PATIENCE,
            broken: None,
            output: Output::default(),
            urgent: Vec::new(),
            entries: Vec::new(),
            entries_bytes: 0,
            bulk: VecDeque::new(),
            bulk_bytes: 0,
            written: false,
        };
        connection.greet(hello);
        connection
    }

    /// Says who this server is; again when what it knows of its group has changed.
    pub fn greet(&mut self, hello: &Hello) {
        self.write(|out| peer::hello::encode(hello, out));
    }

    /// The next whole frame, if there is one. The first is the other side's greeting.
    ///
    /// # Errors
    /// What came is not the protocol: close the connection. Every later call says the same.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let taken = self.take_frame();
        if let Err(error) = taken {
            self.broken = Some(error);
            self.input.clear();
        }
        taken
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let limit = match self.greeted {
            true => FRAME_BYTES_MAX,
            false => HELLO_BYTES_MAX,
        };
        let Some(input) = self.input.decodable(frame::HEADER_BYTES) else {
            return Ok(None);
        };
        let Some(body) = frame::decode(input, limit)? else {
            let need = frame::needed_bytes(input);
            self.input.need(need);
            return Ok(None);
        };
        self.input.need(0);
        let frame = peer::decode(&body)?;
        if !self.greeted && !matches!(frame, Frame::Hello(_)) {
            return Err(Malformed::Impossible("anything before a greeting"));
        }
        self.greeted = true;
        Ok(Some(frame))
    }

    /// Takes a message for the end of the turn.
    ///
    /// # Errors
    /// [`Full`]: the other side does not read, and the message is lost.
    pub fn send(&mut self, group: GroupId, message: Message) -> Result<(), Full> {
        let bytes = message.entry_bytes();
        let is_bulk = matches!(&message.body, Body::Append { entries, .. } if !entries.is_empty());
        if !is_bulk {
            if self.output.held_bytes() > BULK_AHEAD_BYTES + URGENT_BYTES_MAX as u64 {
                return Err(Full);
            }
            self.urgent.push((group, message));
            return Ok(());
        }
        if self.bulk_bytes + self.entries_bytes > BULK_BYTES_MAX {
            return Err(Full);
        }
        self.entries_bytes += bytes;
        self.entries.push((group, message));
        if self.entries_bytes >= FRAME_BYTES_CLOSE {
            self.close_entries();
        }
        Ok(())
    }

    /// Takes a part of a snapshot, behind all entries.
    ///
    /// # Errors
    /// [`Full`]: too much waits already; to be sent when there is room ([`PeerConnection::takes_parts`]).
    pub fn send_part(&mut self, part: &Part) -> Result<(), Full> {
        if !self.takes_parts() {
            return Err(Full);
        }
        self.close_entries();
        let mut bytes = BytesMut::new();
        peer::snapshot::encode_part(part, &mut bytes);
        self.push_bulk(bytes.freeze());
        Ok(())
    }

    /// Whether a part of a snapshot would be taken: only while little else waits, because entries go first.
    pub fn takes_parts(&self) -> bool {
        self.bulk_bytes + self.entries_bytes < FRAME_BYTES_CLOSE
    }

    /// Sends a leader what clients want, behind the entries. What waits is bounded by what clients may have outstanding.
    pub fn send_forward(&mut self, forward: &Forward) {
        self.close_entries();
        let mut bytes = BytesMut::new();
        peer::request::encode_forward(forward, &mut bytes);
        self.push_bulk(bytes.freeze());
    }

    /// Tells that a command is not proposed.
    pub fn send_not_proposed(&mut self, refused: &NotProposed) {
        self.write(|out| peer::request::encode_not_proposed(refused, out));
    }

    /// Tells a leader which sessions live.
    pub fn send_touch(&mut self, touch: &Touch) {
        self.write(|out| peer::request::encode_touch(touch, out));
    }

    /// Tells that it was heard.
    pub fn send_touched(&mut self, touched: &Touched) {
        self.write(|out| peer::request::encode_touched(touched, out));
    }

    /// Asks or tells something about a state.
    pub fn send_compare(&mut self, compare: &Compare) {
        self.write(|out| peer::comparison::encode(compare, out));
    }

    /// Says a word of the broker's, unless the other side does not read: a later word says it anew.
    pub fn send_word(&mut self, word: &Word) {
        if self.output.held_bytes() <= BULK_AHEAD_BYTES + URGENT_BYTES_MAX as u64 {
            self.write(|out| peer::word::encode(word, out));
        }
    }

    /// Whether something waits for [`PeerConnection::flush`], or for the socket since the last one.
    pub fn wants_flush(&self) -> bool {
        self.written || !self.urgent.is_empty() || !self.entries.is_empty() || !self.bulk.is_empty()
    }

    /// Says how far a snapshot was taken.
    pub fn send_taken(&mut self, taken: &Taken) {
        self.write(|out| peer::snapshot::encode_taken(taken, out));
    }

    /// Closes the turn: what was gathered goes out, urgent things in one frame. To be called again when the socket has
    /// taken something.
    pub fn flush(&mut self) {
        if !self.urgent.is_empty() {
            let urgent = std::mem::take(&mut self.urgent);
            self.write(|out| {
                let messages = urgent.iter().map(|(group, message)| (*group, message));
                peer::message::encode(messages, out);
            });
        }
        self.close_entries();
        self.written = false;
        while self.output.held_bytes() < BULK_AHEAD_BYTES
            && let Some(frame) = self.bulk.pop_front()
        {
            self.bulk_bytes -= frame.len();
            self.output.extend(&frame);
        }
    }

    fn close_entries(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.entries);
        self.entries_bytes = 0;
        let mut bytes = BytesMut::new();
        let messages = entries.iter().map(|(group, message)| (*group, message));
        peer::message::encode(messages, &mut bytes);
        self.push_bulk(bytes.freeze());
    }

    fn push_bulk(&mut self, frame: Bytes) {
        self.bulk_bytes += frame.len();
        self.bulk.push_back(frame);
    }

    fn write(&mut self, encode: impl FnOnce(&mut BytesMut)) {
        let tail = self.output.tail();
        let before = tail.len();
        encode(tail);
        self.output.appended(before);
        self.written = true;
    }
}

impl Codec for PeerConnection {
    fn room(&mut self) -> &mut BytesMut {
        self.input.room()
    }

    fn received(&mut self, count: usize) {
        self.input.received(count);
    }

    fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// What comes is needed whatever waits to be written.
    fn is_congested(&self) -> bool {
        false
    }

    fn is_amid_frame(&self) -> bool {
        !self.input.bytes().is_empty()
    }

    fn held_bytes(&self) -> u64 {
        let waiting = self.bulk_bytes + self.entries_bytes;
        self.input.held_bytes() + self.output.held_bytes() + waiting as u64
    }

    fn shrink(&mut self) {
        self.input.shrink();
    }

    fn deadline(&self) -> Option<Moment> {
        (!self.greeted).then_some(self.greets_until)
    }
}
