//! ZooKeeper's client protocol, as 3.4.5 and later speak it: frames of records without tags.
//!
//! ```text
//! client                                         server
//!   │  "ruok", or any four-letter word             │   four_letter: text back, then closed
//!   │─────────────────────────────────────────────▶│
//!   │                                              │
//!   │  frame: connect request                      │   handshake
//!   │─────────────────────────────────────────────▶│
//!   │               frame: connect reply           │
//!   │◀─────────────────────────────────────────────│
//!   │  frame: xid, opcode, body                    │   request
//!   │─────────────────────────────────────────────▶│
//!   │  frame: xid, zxid, error, body if error is 0 │   reply
//!   │◀─────────────────────────────────────────────│
//!   │  frame: -1, -1, 0, watch event               │   reply
//!   │◀─────────────────────────────────────────────│
//! ```
//!
//! Both directions are here, for the server and for our own client, and decode what the other one
//! encodes. Values are the coordinator's own. Which frame may come when, and what a bad one costs, is
//! `net::zookeeper_connection`'s.

// The one table of refusals and their numbers.
pub mod error_code;
// The four-letter words and their texts.
pub mod four_letter;
// Lengths and payloads.
pub mod frame;
// The first frame in each direction.
pub mod handshake;
// What the server answers and tells.
pub mod reply;
// What a client asks.
pub mod request;

mod jute;

pub use jute::DecodeError;

#[cfg(test)]
mod tests;
