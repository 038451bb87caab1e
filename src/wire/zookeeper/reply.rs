//! Replies and watch events: a header, then a record if nothing went wrong.
//!
//! ```text
//!   xid i32, zxid i64, error i32, then, if error is 0, to
//!      create            path
//!      exists, set data, set acl
//!                        stat
//!      get data          data buffer, stat
//!      get acl           permissions vector, stat
//!      get children      names vector
//!      get children 2    names vector, stat
//!      sync              path
//!      multi             { opcode i32, false, error i32, result }…, -1 i32, true, -1 i32
//!      sasl              token buffer
//!      the others        nothing
//!
//!   watch event:  -1 i32, -1 i64, 0 i32, then kind i32, state i32 (3: connected), path
//! ```
//!
//! A multi that was refused has an error of 0 in its header; each of its results is an opcode of -1
//! and a number: 0 before the refused operation, -2 after it.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};

use crate::coordinator::{
    Names, OperationReply, Refusal, Reply, Request, WatchEvent, WatchEventKind,
};
use crate::cursor::{Reader, Writer};
use crate::units::Zxid;

use super::error_code;
use super::frame::{self, BadLength};
use super::jute::{
    DecodeError, RecordReader, put_acl, put_bytes, put_length, put_nullable, put_stat,
};
use super::request::{opcode, put_multi_header, xid};

/// The state in every watch event that a server sends.
const STATE_CONNECTED: i32 = 3;

/// What comes before the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The request's number, or one of [`xid`].
    pub xid: i32,
    /// The last transaction the server has applied.
    pub zxid: Zxid,
    /// 0, or why there is no record.
    pub error: i32,
}

/// Appends the reply to a request as a frame.
///
/// # Errors
/// The reply is longer than a frame can say: two gigabytes of children.
#[inline]
pub fn encode(
    xid: i32,
    zxid: Zxid,
    result: Result<&Reply, Refusal>,
    out: &mut BytesMut,
) -> Result<(), BadLength> {
    frame::put(out, |writer| {
        put_header(
            writer,
            Header {
                xid,
                zxid,
                error: match result {
                    Ok(_) => error_code::OK,
                    Err(refusal) => error_code::number(refusal),
                },
            },
        );
        if let Ok(reply) = result {
            put_record(writer, reply);
        }
    })
}

/// Appends a watch event as a frame.
pub fn encode_event(event: &WatchEvent, out: &mut BytesMut) {
    frame::put(out, |writer| {
        put_header(
            writer,
            Header {
                xid: xid::NOTIFICATION,
                zxid: Zxid(-1),
                error: error_code::OK,
            },
        );
        writer.i32(match event.kind {
            WatchEventKind::Created => 1,
            WatchEventKind::Deleted => 2,
            WatchEventKind::DataChanged => 3,
            WatchEventKind::ChildrenChanged => 4,
        });
        writer.i32(STATE_CONNECTED);
        put_bytes(writer, &event.path);
    })
    .expect("a path came in a frame and fits into another");
}

#[inline]
fn put_header(writer: &mut Writer<'_>, header: Header) {
    writer.i32(header.xid);
    writer.i64(header.zxid.0);
    writer.i32(header.error);
}

fn put_record(writer: &mut Writer<'_>, reply: &Reply) {
    match reply {
        Reply::Done => {}
        Reply::Created { path } => put_bytes(writer, path),
        Reply::Stat(stat) => put_stat(writer, stat),
        Reply::Data { data, stat } => {
            put_nullable(writer, data.as_deref());
            put_stat(writer, stat);
        }
        Reply::Acl { acl, stat } => {
            put_acl(writer, acl);
            put_stat(writer, stat);
        }
        Reply::Children(names) => put_names(writer, names),
        Reply::Children2 { names, stat } => {
            put_names(writer, names);
            put_stat(writer, stat);
        }
        Reply::Synced { path } => put_bytes(writer, path),
        Reply::Multi(replies) => {
            for reply in replies {
                match reply {
                    OperationReply::Created { path } => {
                        put_multi_header(writer, opcode::CREATE, false, error_code::OK);
                        put_bytes(writer, path);
                    }
                    OperationReply::Deleted => {
                        put_multi_header(writer, opcode::DELETE, false, error_code::OK);
                    }
                    OperationReply::DataSet(stat) => {
                        put_multi_header(writer, opcode::SET_DATA, false, error_code::OK);
                        put_stat(writer, stat);
                    }
                    OperationReply::Checked => {
                        put_multi_header(writer, opcode::CHECK, false, error_code::OK);
                    }
                }
            }
            put_multi_header(writer, opcode::ERROR, true, -1);
        }
        Reply::MultiRefused {
            operations,
            refused,
            refusal,
        } => {
            for operation in 0..*operations {
                let error = match operation.cmp(refused) {
                    std::cmp::Ordering::Less => error_code::OK,
                    std::cmp::Ordering::Equal => error_code::number(*refusal),
                    std::cmp::Ordering::Greater => error_code::RUNTIME_INCONSISTENCY,
                };
                put_multi_header(writer, opcode::ERROR, false, error);
                writer.i32(error);
            }
            put_multi_header(writer, opcode::ERROR, true, -1);
        }
        Reply::Sasl { token } => put_nullable(writer, token.as_deref()),
    }
}

/// Names are packed the way the protocol has them.
fn put_names(writer: &mut Writer<'_>, names: &Names) {
    put_length(writer, names.len());
    writer.bytes(names.packed());
}

/// Which record follows the header of a reply: a client knows it from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None.
    Done,
    /// A path.
    Created,
    /// A stat.
    Stat,
    /// Data and a stat.
    Data,
    /// Permissions and a stat.
    Acl,
    /// Names.
    Children,
    /// Names and a stat.
    Children2,
    /// A path.
    Synced,
    /// Results.
    Multi,
    /// A token.
    Sasl,
}

impl Kind {
    /// What answers a request.
    pub fn of(request: &Request) -> Kind {
        match request {
            Request::Create(_) => Kind::Created,
            Request::Exists { .. } | Request::SetData(_) | Request::SetAcl { .. } => Kind::Stat,
            Request::GetData { .. } => Kind::Data,
            Request::GetAcl { .. } => Kind::Acl,
            Request::GetChildren { .. } => Kind::Children,
            Request::GetChildren2 { .. } => Kind::Children2,
            Request::Sync { .. } => Kind::Synced,
            Request::Multi(_) => Kind::Multi,
            Request::Sasl { .. } => Kind::Sasl,
            Request::Delete(_)
            | Request::SetWatches { .. }
            | Request::Auth { .. }
            | Request::Ping
            | Request::CloseSession
            | Request::Malformed { .. }
            | Request::Unknown { .. } => Kind::Done,
        }
    }
}

/// Decodes the header of a reply or of a watch event.
///
/// # Errors
/// The frame is shorter.
#[inline]
pub fn decode_header(frame: &[u8]) -> Result<Header, DecodeError> {
    header(&mut Reader::new(frame))
}

/// Decodes a reply whose header says that nothing went wrong.
///
/// # Errors
/// The record is cut, or of another kind.
pub fn decode(frame: &Bytes, kind: Kind) -> Result<Reply, DecodeError> {
    let mut reader = RecordReader::new(frame);
    header(&mut reader.cursor)?;
    Ok(match kind {
        Kind::Done => Reply::Done,
        Kind::Created => Reply::Created {
            path: reader.present()?[..].into(),
        },
        Kind::Stat => Reply::Stat(reader.stat()?),
        Kind::Data => Reply::Data {
            data: reader.nullable()?.map(|data| data[..].into()),
            stat: reader.stat()?,
        },
        Kind::Acl => Reply::Acl {
            acl: reader.acl()?,
            stat: reader.stat()?,
        },
        Kind::Children => Reply::Children(names(&mut reader)?),
        Kind::Children2 => Reply::Children2 {
            names: names(&mut reader)?,
            stat: reader.stat()?,
        },
        Kind::Synced => Reply::Synced {
            path: reader.or_empty()?,
        },
        Kind::Multi => multi(&mut reader)?,
        Kind::Sasl => Reply::Sasl {
            token: reader.nullable()?,
        },
    })
}

/// Decodes a watch event.
///
/// # Errors
/// The record is cut, or of a kind that no server sends.
pub fn decode_event(frame: &Bytes) -> Result<WatchEvent, DecodeError> {
    let mut reader = RecordReader::new(frame);
    header(&mut reader.cursor)?;
    let kind = match reader.cursor.i32()? {
        1 => WatchEventKind::Created,
        2 => WatchEventKind::Deleted,
        3 => WatchEventKind::DataChanged,
        4 => WatchEventKind::ChildrenChanged,
        other => return Err(DecodeError::UnknownEvent(other)),
    };
    let _state = reader.cursor.i32()?;
    Ok(WatchEvent {
        kind,
        path: reader.present()?[..].into(),
    })
}

#[inline]
fn header(cursor: &mut Reader<'_>) -> Result<Header, DecodeError> {
    Ok(Header {
        xid: cursor.i32()?,
        zxid: Zxid(cursor.i64()?),
        error: cursor.i32()?,
    })
}

fn names(reader: &mut RecordReader<'_>) -> Result<Names, DecodeError> {
    let mut names = Names::default();
    reader.vector(4, |reader| {
        names.push(&reader.present()?);
        Ok(())
    })?;
    Ok(names)
}

/// What a multi's results add up to.
fn multi(reader: &mut RecordReader<'_>) -> Result<Reply, DecodeError> {
    let mut done = Vec::new();
    let mut errors = Vec::new();
    while let ControlFlow::Continue(()) = multi_result(reader, &mut done, &mut errors)? {}
    if errors.is_empty() {
        return Ok(Reply::Multi(done));
    }
    let refused = errors
        .iter()
        .position(|&error| error != error_code::OK)
        .ok_or(DecodeError::UnknownError(error_code::OK))?;
    let number = errors[refused];
    Ok(Reply::MultiRefused {
        operations: errors.len(),
        refused,
        refusal: error_code::refusal(number).ok_or(DecodeError::UnknownError(number))?,
    })
}

fn multi_result(
    reader: &mut RecordReader<'_>,
    done: &mut Vec<OperationReply>,
    errors: &mut Vec<i32>,
) -> Result<ControlFlow<()>, DecodeError> {
    let opcode = reader.cursor.i32()?;
    let end = reader.cursor.bool()?;
    let _error = reader.cursor.i32()?;
    if end {
        return Ok(ControlFlow::Break(()));
    }
    match opcode {
        opcode::CREATE => done.push(OperationReply::Created {
            path: reader.present()?[..].into(),
        }),
        opcode::DELETE => done.push(OperationReply::Deleted),
        opcode::SET_DATA => done.push(OperationReply::DataSet(reader.stat()?)),
        opcode::CHECK => done.push(OperationReply::Checked),
        opcode::ERROR => errors.push(reader.cursor.i32()?),
        other => return Err(DecodeError::NotInMulti(other)),
    }
    Ok(ControlFlow::Continue(()))
}
