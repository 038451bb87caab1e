//! One ZooKeeper client: received bytes in, requests out, replies into its output.
//!
//! No socket, no clock. The driver appends what it read to [`Codec::room`], says how
//! much that was, takes what was decoded until there is nothing more, and writes the output once a
//! turn.
//!
//! ```text
//!   fresh ──handshake──▶ connecting ──reply──▶ serving ──last reply──▶ closing
//!     └───four-letter word──▶ asked ──answer────────────────────────────▲
//! ```
//!
//! Nothing is decoded between the handshake and its answer; what was read by then waits. What is no
//! protocol ends the connection without a word, as the originals do.
//!
//! Memory: an announced length makes no room. The input grows with what has arrived, at most to one
//! frame of `payload_bytes_max` and one read. Requests that wait for their answer may hold their whole
//! frames, padding included, so nothing more is taken while those are too long together
//! ([`ZookeeperConnection::is_laden`]); how many may wait is the coordinator's to say. A client that does
//! not read is [congested](ZookeeperConnection::is_congested), and lost when too much piles up
//! nevertheless; one single reply may be as long as it wants.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::codec::Codec;
use super::input::Input;
use super::output::Output;
use crate::coordinator::{ConnectReply, ConnectRequest, Refusal, Reply, Request, WatchEvent};
use crate::units::{Moment, WallTime, Zxid};
use crate::wire::zookeeper::four_letter::{self, Whitelist, Word};
use crate::wire::zookeeper::frame::{self, BadLength};
use crate::wire::zookeeper::{DecodeError, handshake, reply, request};

mod statistics;

pub use statistics::{Totals, Traffic};

use statistics::Statistics;

/// What a connection that sends much is read with.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Replies that wait in memory beyond this mean that the client does not read.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// What may pile up on top of that before a client is lost, unless configured: replies to what it had asked
/// before, and watch events.
pub const UNREAD_BYTES_MAX_DEFAULT: u64 = 64 * 1024 * 1024;
/// Frames of requests that wait for their answer, beyond which no more are taken.
const WAITING_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How long a connection may take to its session, and to take the last bytes meant for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest frame taken: `jute.maxbuffer`.
    pub payload_bytes_max: usize,
    /// The four-letter words that are answered.
    pub whitelist: Whitelist,
    /// Bytes of replies and watch events that may pile up before the client is lost; the longest of them
    /// does not count.
    pub unread_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            payload_bytes_max: frame::PAYLOAD_BYTES_MAX_DEFAULT,
            whitelist: Whitelist::default(),
            unread_bytes_max: UNREAD_BYTES_MAX_DEFAULT,
        }
    }
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A four-letter word, to be answered with [`ZookeeperConnection::answer`]. `mask` came with `stmk`.
    Word {
        /// The word.
        word: Word,
        /// The trace mask to set.
        mask: Option<i64>,
    },
    /// A four-letter word that is not on the whitelist, to be answered with
    /// [`not_whitelisted`](four_letter::not_whitelisted).
    WordNotAllowed(Word),
    /// The handshake. Nothing more comes out until [`ZookeeperConnection::connect_reply`].
    Connect(ConnectRequest),
    /// A request.
    Request {
        /// The client's number for it.
        xid: i32,
        /// What it asks.
        request: Request,
    },
}

/// Why a connection has to be closed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame is longer than permitted, in either direction.
    #[error(transparent)]
    Length(#[from] BadLength),
    /// The first frame is no handshake.
    #[error("the first frame is no handshake: {0}")]
    Handshake(DecodeError),
    /// A later frame is no request.
    #[error("a frame is no request: {0}")]
    Request(DecodeError),
    /// The client does not read what it asked for.
    #[error("{0} bytes of replies wait for a client that does not read them")]
    Unread(u64),
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A four-letter word or a handshake.
    Fresh,
    /// Nothing: a four-letter word waits for its answer.
    Asked,
    /// Nothing: the handshake waits for its answer.
    Connecting { new_session: bool },
    /// Requests.
    Serving { session: i64, timeout_ms: i32 },
    /// Nothing any more.
    Closing,
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    xid: i32,
    /// As the statistics name it, if they count it.
    operation: Option<&'static str>,
    writes: bool,
    since: Moment,
    /// Of its frame.
    bytes: u64,
}

/// One client's connection, without its socket.
#[derive(Debug)]
pub struct ZookeeperConnection {
    options: Options,
    peer: SocketAddr,
    established: WallTime,
    stage: Stage,
    /// When the stage has to be over: without a session, and when closing, nothing else ends a connection.
    stage_end: Option<Moment>,
    input: Input,
    output: Output,
    waiting: VecDeque<Waiting>,
    /// Bytes of the frames of those that wait.
    waiting_bytes: u64,
    statistics: Statistics,
}

impl ZookeeperConnection {
    /// A connection on which nothing was received yet.
    pub fn new(options: Options, peer: SocketAddr, now: Moment, wall: WallTime) -> Self {
        ZookeeperConnection {
            options,
            peer,
            established: wall,
            stage: Stage::Fresh,
            stage_end: Some(now + PATIENCE),
            input: Input::new(READ_BYTES_MAX),
            output: Output::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            statistics: Statistics::default(),
        }
    }

    /// Whether the socket should be read: something may come, and what came before is taken care of.
    pub fn wants_bytes(&self) -> bool {
        matches!(self.stage, Stage::Fresh | Stage::Serving { .. })
            && !self.is_congested()
            && !self.is_laden()
    }

    /// What the client sent next, if it is all there and may come now: not while the handshake waits for
    /// its answer, nor while the connection is congested. `totals` counts for all connections together.
    ///
    /// # Errors
    /// The client sent what is not the protocol: close the connection at once.
    #[inline]
    pub fn next_received(
        &mut self,
        now: Moment,
        totals: &mut Totals,
    ) -> Result<Option<Received>, Violation> {
        match self.stage {
            Stage::Serving { .. } if self.is_congested() || self.is_laden() => Ok(None),
            Stage::Serving { .. } => {
                let Some(payload) = self.next_frame()? else {
                    return Ok(None);
                };
                let (xid, request) = request::decode(&payload).map_err(Violation::Request)?;
                self.count_received(totals);
                let bytes = payload.len() as u64;
                self.waiting_bytes += bytes;
                self.waiting.push_back(Waiting {
                    bytes,
                    xid,
                    operation: request::operation_name(&request),
                    writes: writes(&request),
                    since: now,
                });
                Ok(Some(Received::Request { xid, request }))
            }
            Stage::Fresh => self.next_of_fresh(now, totals),
            Stage::Asked | Stage::Connecting { .. } => Ok(None),
            Stage::Closing => {
                self.input.clear();
                Ok(None)
            }
        }
    }

    /// Splits off the payload of the next frame, if it is whole.
    #[inline]
    fn next_frame(&mut self) -> Result<Option<Bytes>, BadLength> {
        let limit = self.options.payload_bytes_max;
        let Some(bytes) = self.input.decodable(frame::HEADER_BYTES) else {
            return Ok(None);
        };
        let frame = frame::take(bytes, limit)?;
        let need = match frame {
            Some(_) => 0,
            None => frame::frame_bytes(bytes, limit)?.unwrap_or(0),
        };
        self.input.need(need);
        Ok(frame)
    }

    fn next_of_fresh(
        &mut self,
        now: Moment,
        totals: &mut Totals,
    ) -> Result<Option<Received>, Violation> {
        let first = self.input.bytes().first_chunk::<4>();
        if let Some(word) = first.and_then(|first| Word::from_bytes(*first)) {
            return Ok(self.next_word(word, totals));
        }
        let Some(payload) = self.next_frame()? else {
            return Ok(None);
        };
        let request = handshake::decode_request(&payload).map_err(Violation::Handshake)?;
        self.count_received(totals);
        self.stage = Stage::Connecting {
            new_session: request.session == 0,
        };
        self.waiting.push_back(Waiting {
            bytes: 0,
            xid: 0,
            operation: Some("SESS"),
            writes: false,
            since: now,
        });
        Ok(Some(Received::Connect(request)))
    }

    fn next_word(&mut self, word: Word, totals: &mut Totals) -> Option<Received> {
        let received = if !self.options.whitelist.allows(word) {
            Received::WordNotAllowed(word)
        } else if word == Word::Stmk {
            let bytes = self.input.bytes().get(4..)?.first_chunk::<8>()?;
            let mask = Some(i64::from_be_bytes(*bytes));
            Received::Word { word, mask }
        } else {
            Received::Word { word, mask: None }
        };
        self.count_received(totals);
        self.stage = Stage::Asked;
        self.input.clear();
        Some(received)
    }

    /// Answers a four-letter word and closes after it.
    pub fn answer(&mut self, now: Moment, totals: &mut Totals, text: impl FnOnce(&mut BytesMut)) {
        self.write(text);
        self.count_sent(totals);
        self.close(now);
    }

    /// Answers the handshake. `zxid` is the last one applied.
    pub fn connect_reply(
        &mut self,
        now: Moment,
        totals: &mut Totals,
        zxid: Zxid,
        reply: &ConnectReply,
    ) {
        self.write(|out| handshake::encode_reply(reply, out));
        self.count_sent(totals);
        let waiting = self.waiting.pop_front();
        if reply.session == 0 {
            self.close(now);
            return;
        }
        if let (Some(waiting), Stage::Connecting { new_session: true }) = (waiting, self.stage) {
            self.count_reply(now, totals, waiting, zxid);
        }
        // From here on the session's end is the connection's.
        self.stage_end = None;
        self.stage = Stage::Serving {
            session: reply.session,
            timeout_ms: reply.timeout_ms,
        };
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The client does not read its replies, or this one is longer than a frame can say: close the
    /// connection at once.
    #[inline]
    pub fn reply(
        &mut self,
        now: Moment,
        totals: &mut Totals,
        xid: i32,
        zxid: Zxid,
        result: &Result<Reply, Refusal>,
    ) -> Result<(), Violation> {
        let tail = self.output.tail();
        let before = tail.len();
        reply::encode(xid, zxid, result.as_ref().map_err(|refusal| *refusal), tail)?;
        self.output.appended(before);
        self.count_sent(totals);
        if let Some(waiting) = self.take_waiting(xid) {
            self.count_reply(now, totals, waiting, zxid);
        }
        self.check_unread()
    }

    /// Tells the client that a watch of its fired.
    ///
    /// # Errors
    /// The client does not read what it is told: close the connection at once.
    pub fn notify(&mut self, totals: &mut Totals, event: &WatchEvent) -> Result<(), Violation> {
        self.write(|out| reply::encode_event(event, out));
        self.count_sent(totals);
        self.check_unread()
    }

    /// Takes nothing more from the client; the connection is finished once the output is written.
    pub fn close(&mut self, now: Moment) {
        self.stage = Stage::Closing;
        self.stage_end = Some(now + PATIENCE);
        self.input.clear();
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Whether the socket can be closed: nothing more may come and all that was to be sent is sent.
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Closing && self.output.is_empty()
    }

    /// Whether the requests that wait for their answer are so long together that nothing more is taken
    /// before some are answered.
    #[inline]
    pub fn is_laden(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX
    }

    /// The session, once there is one.
    pub fn session(&self) -> Option<i64> {
        match self.stage {
            Stage::Serving { session, .. } => Some(session),
            Stage::Fresh | Stage::Asked | Stage::Connecting { .. } | Stage::Closing => None,
        }
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// How many requests wait for their reply.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// Its line of `stat` and `cons`.
    pub fn facts(&self) -> four_letter::Connection {
        let reading = u8::from(self.wants_bytes());
        let writing = if self.output.is_empty() { 0 } else { 4 };
        four_letter::Connection {
            address: self.peer,
            interest: reading | writing,
            queued: self.waiting.len() as u64,
            received: self.statistics.traffic.received,
            sent: self.statistics.traffic.sent,
            session: match self.stage {
                Stage::Serving {
                    session,
                    timeout_ms,
                } => Some(self.statistics.facts(session, timeout_ms, self.established)),
                Stage::Fresh | Stage::Asked | Stage::Connecting { .. } | Stage::Closing => None,
            },
        }
    }

    /// `crst`: forgets its numbers.
    pub fn reset_statistics(&mut self) {
        self.statistics = Statistics::default();
    }

    /// Replies leave in the order of the requests, but for auth, which overtakes.
    #[inline]
    fn take_waiting(&mut self, xid: i32) -> Option<Waiting> {
        let waiting = if self.waiting.front()?.xid == xid {
            self.waiting.pop_front()
        } else {
            let place = self.waiting.iter().position(|waiting| waiting.xid == xid)?;
            self.waiting.remove(place)
        }?;
        self.waiting_bytes -= waiting.bytes;
        Some(waiting)
    }

    #[inline]
    fn count_received(&mut self, totals: &mut Totals) {
        self.statistics.traffic.received += 1;
        totals.traffic.received += 1;
    }

    #[inline]
    fn count_sent(&mut self, totals: &mut Totals) {
        self.statistics.traffic.sent += 1;
        totals.traffic.sent += 1;
    }

    #[inline]
    fn count_reply(&mut self, now: Moment, totals: &mut Totals, waiting: Waiting, zxid: Zxid) {
        if let Some(operation) = waiting.operation {
            let latency = now.since(waiting.since);
            totals.traffic.count_latency(latency);
            if waiting.writes {
                totals.writes.record(latency);
            }
            self.statistics
                .count_reply(now, latency, waiting.xid, zxid, operation);
        }
    }

    #[inline]
    fn check_unread(&self) -> Result<(), Violation> {
        let unread = self.output.piled_bytes();
        if unread > self.options.unread_bytes_max {
            return Err(Violation::Unread(unread));
        }
        Ok(())
    }

    fn write(&mut self, encode: impl FnOnce(&mut BytesMut)) {
        let tail = self.output.tail();
        let before = tail.len();
        encode(tail);
        self.output.appended(before);
    }
}

impl Codec for ZookeeperConnection {
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
    }

    fn is_amid_frame(&self) -> bool {
        matches!(self.stage, Stage::Fresh | Stage::Serving { .. }) && !self.input.bytes().is_empty()
    }

    fn held_bytes(&self) -> u64 {
        self.input.held_bytes() + self.waiting_bytes + self.output.held_bytes()
    }

    fn shrink(&mut self) {
        self.input.shrink();
        self.waiting.shrink_to_fit();
    }

    /// When it must be closed if it has no session by then, or has not taken the last bytes meant for it. While it has
    /// a session, the session's end closes it.
    fn deadline(&self) -> Option<Moment> {
        self.stage_end
    }
}

fn writes(request: &Request) -> bool {
    matches!(
        request,
        Request::Create(_)
            | Request::Delete(_)
            | Request::SetData(_)
            | Request::SetAcl { .. }
            | Request::Multi(_)
    )
}

#[cfg(test)]
mod tests;
