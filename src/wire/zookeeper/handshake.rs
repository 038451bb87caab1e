//! The first frame in each direction. They have no header.
//!
//! ```text
//!   connect request                          connect reply
//!     protocol version   i32   any             protocol version   i32   0
//!     last zxid seen     i64                   timeout            i32   ms; 0: session not known
//!     timeout            i32   ms wanted       session            i64
//!     session            i64   0: a new one    password           buffer, 16 bytes
//!     password           buffer                read only          bool, only if it was asked with
//!     read only          bool, or nothing
//! ```
//!
//! Clients up to 3.3, and go-zookeeper, leave the last byte out and do not expect one back.

use bytes::{Bytes, BytesMut};

use crate::coordinator::{ConnectReply, ConnectRequest};
use crate::units::Zxid;

use super::frame::{self, BadLength};
use super::jute::{DecodeError, RecordReader, put_bytes};

/// Decodes a client's first frame.
///
/// # Errors
/// It is too short. Such a connection is closed without an answer.
pub fn decode_request(frame: &Bytes) -> Result<ConnectRequest, DecodeError> {
    let mut reader = RecordReader::new(frame);
    let _protocol_version = reader.cursor.i32()?;
    Ok(ConnectRequest {
        last_zxid_seen: Zxid(reader.cursor.i64()?),
        timeout_ms: reader.cursor.i32()?,
        session: reader.cursor.i64()?,
        password: reader.or_empty()?,
        read_only: reader.cursor.bool().ok(),
    })
}

/// Appends a client's first frame.
///
/// # Errors
/// The password is longer than a frame.
pub fn encode_request(request: &ConnectRequest, out: &mut BytesMut) -> Result<(), BadLength> {
    frame::put(out, |writer| {
        writer.i32(0);
        writer.i64(request.last_zxid_seen.0);
        writer.i32(request.timeout_ms);
        writer.i64(request.session);
        put_bytes(writer, &request.password);
        if let Some(read_only) = request.read_only {
            writer.bool(read_only);
        }
    })
}

/// Decodes a server's first frame.
///
/// # Errors
/// It is too short, or its password has another length.
pub fn decode_reply(frame: &Bytes) -> Result<ConnectReply, DecodeError> {
    let mut reader = RecordReader::new(frame);
    let _protocol_version = reader.cursor.i32()?;
    let timeout_ms = reader.cursor.i32()?;
    let session = reader.cursor.i64()?;
    let length = reader.cursor.i32()?;
    if length < 0 {
        return Err(DecodeError::NegativeLength(length));
    }
    Ok(ConnectReply {
        timeout_ms,
        session,
        password: reader.cursor.array()?,
        read_only: reader.cursor.bool().ok(),
    })
}

/// Appends a server's first frame.
pub fn encode_reply(reply: &ConnectReply, out: &mut BytesMut) {
    frame::put(out, |writer| {
        writer.i32(0);
        writer.i32(reply.timeout_ms);
        writer.i64(reply.session);
        put_bytes(writer, &reply.password);
        if let Some(read_only) = reply.read_only {
            writer.bool(read_only);
        }
    })
    .expect("37 bytes fit into a frame");
}
