//! All that a node can be told.

use std::net::SocketAddr;

use super::connections::Port;
use crate::broker::{Topics, Wish};
use crate::consensus::admission::Seat;
use crate::net::listener::Full;
use crate::registry::owners::Answer;
use crate::units::{ConnectionId, ServerId};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
        /// To which port.
        port: Port,
        /// From where.
        address: SocketAddr,
        /// The server that it has shown to be, where servers show that.
        certified: Option<ServerId>,
    },
    /// A client was sent away at once.
    Refused {
        /// From which port.
        port: Port,
        /// What is full.
        full: Full,
    },
    /// Bytes were appended to the connection's room.
    Received {
        /// The connection.
        connection: ConnectionId,
        /// How many.
        count: usize,
    },
    /// A client took bytes of the connection's output.
    Sent {
        /// To which port it came.
        port: Port,
        /// How many.
        count: u64,
    },
    /// The socket is gone.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// Another ZooKeeper has answered what the broker asked of owner nodes, or cannot be asked.
    Owners(Answer),
    /// The topics of a configuration that was read again.
    Topics(Box<Topics>),
    /// What an operator wants of the broker.
    Wish(Wish),
    /// What an operator wants of the ensemble. It is for who leads, and void elsewhere.
    Ensemble(EnsembleWish),
    /// Something that the server needs found no space: the reserve is to go.
    NoSpace,
    /// Nothing more is to be read from anybody, and everything is to be brought into the cores' own files.
    Stop,
}

/// What an operator wants of the ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsembleWish {
    /// A server is to become a member, as a voter or an observer.
    Invite(ServerId, Seat),
    /// A server is to be no member any more.
    Dismiss(ServerId),
    /// Another server is to lead.
    Transfer(ServerId),
    /// The vote of one server is to go to another.
    MoveVote {
        /// Who votes, and is to be an observer.
        giver: ServerId,
        /// Who is to vote.
        taker: ServerId,
    },
    /// Whichever other server has most is to lead, because this one stops.
    HandOver,
    /// The feature level is to be as high as every member supports.
    RaiseLevel,
}
