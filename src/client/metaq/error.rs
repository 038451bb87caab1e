//! What can go wrong between a client and a broker or ZooKeeper.
//!
//! A message does not repeat its source's: print the chain ([`Error::chain`], or an `anyhow` error with `{:#}`).

use std::io;
use std::time::Duration;

use super::address::Address;
use crate::wire::metaq::{DecodeError, StatusCode};

/// Why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A host name is unknown.
    #[error(transparent)]
    Resolve(#[from] crate::net::resolve::Error),
    /// Nobody accepts connections there, or nobody in time.
    #[error("connect to {address}")]
    Connect {
        /// The broker.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// The connection ended before the answer came. What was asked may or may not have been done.
    #[error("connection to {address} lost: {reason}")]
    Disconnected {
        /// The broker.
        address: Address,
        /// What ended it.
        reason: String,
    },
    /// No answer in time. What was asked may or may not have been done.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// The broker.
        address: Address,
        /// How long was waited.
        after: Duration,
    },
    /// The broker understood and refused.
    #[error("{address} answered {code}: {text}")]
    Refused {
        /// The broker.
        address: Address,
        /// Its code.
        code: StatusCode,
        /// Its reason.
        text: String,
    },
    /// The broker sent what is not the protocol.
    #[error("{address} sent what is not the protocol")]
    Protocol {
        /// The broker.
        address: Address,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The broker's answer does not fit the question.
    #[error("{address} answered {asked} with {answer:?}")]
    Answer {
        /// The broker.
        address: Address,
        /// What was asked.
        asked: &'static str,
        /// The answer's text.
        answer: String,
    },
    /// No broker has the topic.
    #[error("no broker in ZooKeeper has topic {topic}")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// No broker has the partition, or its broker is not up.
    #[error("no broker in ZooKeeper has partition {partition} of topic {topic}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: String,
    },
    /// ZooKeeper could not be reached, or refused.
    #[error("{doing}")]
    ZooKeeper {
        /// What was tried.
        doing: String,
        /// What it answered.
        source: zookeeper_client::Error,
    },
    /// A node in ZooKeeper holds what is not understood.
    #[error("node {path} holds {content:?}: {reason}")]
    Node {
        /// The node.
        path: String,
        /// Its content.
        content: String,
        /// What was expected.
        reason: String,
    },
    /// A topic or group name that the protocol or ZooKeeper cannot carry.
    #[error("{name:?} cannot be the name of a {what}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Topic or group.
        what: &'static str,
        /// Which characters it must not have.
        reason: &'static str,
    },
    /// No whole message is where the reading has come to: the offset is not that of a message, the message is larger
    /// than is accepted, or the broker serves damage.
    #[error(
        "no message of up to {bytes_max} bytes begins at offset {offset} of partition {partition}"
    )]
    NotAMessage {
        /// The partition.
        partition: String,
        /// Where.
        offset: i64,
        /// The most that is accepted.
        bytes_max: usize,
    },
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
    /// Something that only works with ZooKeeper was asked of a client that has none.
    #[error("{0} needs ZooKeeper")]
    NeedsZooKeeper(&'static str),
}

impl Error {
    /// The message and those of its sources, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }

    /// Whether the same could succeed later, at the same broker or another one.
    pub fn is_temporary(&self) -> bool {
        match self {
            Error::Resolve(_)
            | Error::Connect { .. }
            | Error::Disconnected { .. }
            | Error::Timeout { .. }
            | Error::ZooKeeper { .. }
            | Error::NoTopic { .. }
            | Error::NoPartition { .. } => true,
            Error::Refused { code, .. } => *code != StatusCode::BAD_REQUEST,
            Error::Protocol { .. }
            | Error::Answer { .. }
            | Error::Node { .. }
            | Error::Name { .. }
            | Error::NotAMessage { .. }
            | Error::Closed
            | Error::NeedsZooKeeper(_) => false,
        }
    }
}

/// Checks a topic's name.
pub(super) fn check_topic(name: &str) -> Result<(), Error> {
    let reason = "it must have a character, and no space, line end or slash";
    let wrong = name.is_empty() || name.contains([' ', '\r', '\n', '/', '\0']);
    if wrong {
        Err(Error::Name {
            name: name.to_string(),
            what: "topic",
            reason,
        })
    } else {
        Ok(())
    }
}

/// Checks a group's name, by the Java client's rule.
pub(super) fn check_group(name: &str) -> Result<(), Error> {
    let reason = "it must have a character, and no space nor any of ~!#$%^&*()+=`'\",;/?[]<>.:";
    let forbidden = |c: char| c.is_whitespace() || "~!#$%^&*()+=`'\",;/?[]<>.:\0".contains(c);
    if name.is_empty() || name.contains(forbidden) {
        return Err(Error::Name {
            name: name.to_string(),
            what: "group",
            reason,
        });
    }
    Ok(())
}
