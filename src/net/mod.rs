//! Sockets and what waits to be written to them.
//!
//! The protocols' codecs here are pure (bytes in, requests out); `socket`, `stream`, `encrypted`, `handshake`, `listener`
//! and `resolve` are the only ones that touch the network.

// What the protocols' codecs have in common.
pub mod codec;
// A connection with TLS above its socket.
pub mod encrypted;
// Agreeing on TLS.
pub mod handshake;
// Received bytes that are not decoded yet.
mod input;
// Accepting, counting and refusing connections.
pub mod listener;
// One MetaQ client, without its socket.
pub mod metaq_connection;
// What waits to be written to a connection: bytes and ranges of files.
pub mod output;
// One other server, without its socket.
pub mod peer_connection;
// Host names to numeric addresses.
pub mod resolve;
// Writing an output queue to a socket.
pub mod socket;
// A socket, as it is or with TLS above it.
pub mod stream;
// One ZooKeeper client, without its socket.
pub mod zookeeper_connection;
