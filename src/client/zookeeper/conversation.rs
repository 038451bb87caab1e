//! The client's half of the protocol, without the socket: requests into bytes, bytes into replies.
//!
//! Replies are matched by their number. They come in the order of the requests, but for the one to
//! auth, which may overtake.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{Error, Refused};
use crate::coordinator::{ConnectReply, ConnectRequest, Reply, Request, WatchEvent};
use crate::units::Zxid;
use crate::wire::zookeeper::frame::{self, BadLength};
use crate::wire::zookeeper::reply::Kind;
use crate::wire::zookeeper::request::{self, xid};
use crate::wire::zookeeper::{error_code, handshake, reply};

/// What a server may send at most: beyond it a reply is no reply but a mistaken port.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Room for one read.
const READ_BYTES: usize = 32 * 1024;

/// What came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The answer to a request.
    Reply(Result<Reply, Refused>),
    /// A watch fired.
    Event(WatchEvent),
}

/// One conversation, from the handshake on.
#[derive(Debug, Default)]
pub struct Conversation {
    last_xid: i32,
    last_zxid: Zxid,
    waiting: VecDeque<(i32, Kind)>,
    input: BytesMut,
    output: BytesMut,
}

impl Conversation {
    /// Nothing said yet.
    pub fn new() -> Conversation {
        Conversation::default()
    }

    /// Puts the handshake into the output.
    ///
    /// # Errors
    /// The password is longer than a frame.
    pub fn connect(&mut self, request: &ConnectRequest) -> Result<(), BadLength> {
        handshake::encode_request(request, &mut self.output)
    }

    /// The answer to the handshake, if it is all there.
    ///
    /// # Errors
    /// What came is not the protocol.
    pub fn take_connect_reply(&mut self) -> Result<Option<ConnectReply>, Error> {
        match frame::take(&mut self.input, PAYLOAD_BYTES_MAX)? {
            Some(payload) => Ok(Some(handshake::decode_reply(&payload)?)),
            None => Ok(None),
        }
    }

    /// Puts a request into the output.
    ///
    /// # Errors
    /// It is longer than a frame.
    pub fn send(&mut self, request: &Request) -> Result<(), BadLength> {
        let number = match request {
            Request::Ping => xid::PING,
            Request::Auth { .. } => xid::AUTH,
            Request::SetWatches { .. } => xid::SET_WATCHES,
            _ => self.last_xid.checked_add(1).unwrap_or(1),
        };
        request::encode(number, request, &mut self.output)?;
        if number > 0 {
            self.last_xid = number;
        }
        self.waiting.push_back((number, Kind::of(request)));
        Ok(())
    }

    /// What came next, if it is all there.
    ///
    /// # Errors
    /// What came is not the protocol.
    pub fn take(&mut self) -> Result<Option<Incoming>, Error> {
        let Some(payload) = frame::take(&mut self.input, PAYLOAD_BYTES_MAX)? else {
            return Ok(None);
        };
        let header = reply::decode_header(&payload)?;
        if header.xid == xid::NOTIFICATION {
            return Ok(Some(Incoming::Event(reply::decode_event(&payload)?)));
        }
        self.last_zxid = self.last_zxid.max(header.zxid);
        let place = self
            .waiting
            .iter()
            .position(|(number, _)| *number == header.xid);
        let Some((_, kind)) = place.and_then(|place| self.waiting.remove(place)) else {
            return Err(Error::Unasked(header.xid));
        };
        Ok(Some(Incoming::Reply(match header.error {
            error_code::OK => Ok(reply::decode(&payload, kind)?),
            number => Err(Refused { number }),
        })))
    }

    /// How many requests wait for their reply.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// The highest zxid of a reply so far.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Where received bytes are appended, with room for a read.
    pub fn input(&mut self) -> &mut BytesMut {
        self.input.reserve(READ_BYTES);
        &mut self.input
    }

    /// What is to be sent.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }
}

#[cfg(test)]
mod tests;
