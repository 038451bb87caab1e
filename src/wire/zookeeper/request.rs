//! Requests: a header, then a record by its opcode.
//!
//! ```text
//!   xid i32, opcode i32, then
//!      1 create          path, data buffer, permissions vector, mode i32
//!      2 delete          path, version i32
//!      3 exists          path, watch bool
//!      4 get data        path, watch bool
//!      5 set data        path, data buffer, version i32
//!      6 get acl         path
//!      7 set acl         path, permissions vector, version i32
//!      8 get children    path, watch bool
//!      9 sync            path
//!     11 ping
//!     12 get children 2  path, watch bool
//!     14 multi           { opcode i32, false, -1 i32, record }…, -1 i32, true, -1 i32
//!    100 auth            type i32, scheme, data buffer
//!    101 set watches     relative zxid i64, data vector, exist vector, child vector
//!    102 sasl            token buffer
//!    -11 close session
//! ```
//!
//! Bytes behind a record are ignored. A body that cannot be decoded is a request of its own, because
//! it is refused in its turn; only auth and sasl, which a Java server handles before the others, end
//! the connection. Opcodes from 15 on came with 3.5 and are unknown here, as is 13 outside a multi.
//!
//! To add an opcode: the vocabulary's `Request`, here a constant, `decode`, `encode` and
//! `operation_name`, and `reply::Kind`.

use bytes::{Bytes, BytesMut};

use crate::coordinator::{Create, CreateMode, Delete, Operation, Request, SetData};
use crate::cursor::Writer;
use crate::units::Zxid;

use super::frame::{self, BadLength};
use super::jute::{DecodeError, RecordReader, put_acl, put_bytes, put_length, put_nullable};

/// The numbers of the operations.
pub mod opcode {
    /// Makes a znode.
    pub const CREATE: i32 = 1;
    /// Deletes a znode.
    pub const DELETE: i32 = 2;
    /// Asks whether a znode exists.
    pub const EXISTS: i32 = 3;
    /// Asks for data.
    pub const GET_DATA: i32 = 4;
    /// Replaces data.
    pub const SET_DATA: i32 = 5;
    /// Asks for permissions.
    pub const GET_ACL: i32 = 6;
    /// Replaces permissions.
    pub const SET_ACL: i32 = 7;
    /// Asks for children.
    pub const GET_CHILDREN: i32 = 8;
    /// Waits for all that was committed before.
    pub const SYNC: i32 = 9;
    /// Keeps the session alive.
    pub const PING: i32 = 11;
    /// Asks for children and the stat.
    pub const GET_CHILDREN_2: i32 = 12;
    /// Insists on a version; only in a multi.
    pub const CHECK: i32 = 13;
    /// All or nothing.
    pub const MULTI: i32 = 14;
    /// Shows who the client is.
    pub const AUTH: i32 = 100;
    /// Sets watches again.
    pub const SET_WATCHES: i32 = 101;
    /// A step of a SASL handshake.
    pub const SASL: i32 = 102;
    /// Ends the session.
    pub const CLOSE_SESSION: i32 = -11;
    /// In a multi's reply: an operation that was not done. In its headers: the end.
    pub const ERROR: i32 = -1;
}

/// The xids that are not numbers of a client's own.
pub mod xid {
    /// Of a watch event.
    pub const NOTIFICATION: i32 = -1;
    /// Of a ping.
    pub const PING: i32 = -2;
    /// Of auth.
    pub const AUTH: i32 = -4;
    /// Of set watches.
    pub const SET_WATCHES: i32 = -8;
}

/// Decodes a frame that came after the handshake into its xid and the request.
///
/// # Errors
/// The header is cut, or the body of auth or sasl: the connection is closed without an answer.
pub fn decode(frame: &Bytes) -> Result<(i32, Request), DecodeError> {
    let mut reader = RecordReader::new(frame);
    let xid = reader.cursor.i32()?;
    let opcode = reader.cursor.i32()?;
    let request = match decode_body(&mut reader, opcode) {
        Ok(request) => request,
        Err(error) if matches!(opcode, opcode::AUTH | opcode::SASL) => return Err(error),
        Err(_) => Request::Malformed {
            write: is_write(opcode),
        },
    };
    Ok((xid, request))
}

fn decode_body(reader: &mut RecordReader<'_>, opcode: i32) -> Result<Request, DecodeError> {
    Ok(match opcode {
        opcode::CREATE => Request::Create(create(reader)?),
        opcode::DELETE => Request::Delete(delete(reader)?),
        opcode::EXISTS => Request::Exists {
            path: reader.present()?,
            watch: reader.cursor.bool()?,
        },
        opcode::GET_DATA => Request::GetData {
            path: reader.present()?,
            watch: reader.cursor.bool()?,
        },
        opcode::SET_DATA => Request::SetData(set_data(reader)?),
        opcode::GET_ACL => Request::GetAcl {
            path: reader.present()?,
        },
        opcode::SET_ACL => Request::SetAcl {
            // A null path is a bad path here and undecodable elsewhere, as with a Java server.
            path: reader.or_empty()?,
            acl: reader.acl()?,
            version: reader.cursor.i32()?,
        },
        opcode::GET_CHILDREN => Request::GetChildren {
            path: reader.present()?,
            watch: reader.cursor.bool()?,
        },
        opcode::GET_CHILDREN_2 => Request::GetChildren2 {
            path: reader.present()?,
            watch: reader.cursor.bool()?,
        },
        opcode::SYNC => Request::Sync {
            path: reader.or_empty()?,
        },
        opcode::PING => Request::Ping,
        opcode::MULTI => Request::Multi(multi(reader)?),
        opcode::SET_WATCHES => Request::SetWatches {
            relative_zxid: Zxid(reader.cursor.i64()?),
            data: paths(reader)?,
            exist: paths(reader)?,
            child: paths(reader)?,
        },
        opcode::AUTH => {
            let _type = reader.cursor.i32()?;
            Request::Auth {
                scheme: reader.or_empty()?,
                data: reader.or_empty()?,
            }
        }
        opcode::SASL => Request::Sasl {
            token: reader.nullable()?,
        },
        opcode::CLOSE_SESSION => Request::CloseSession,
        opcode => Request::Unknown { opcode },
    })
}

fn is_write(opcode: i32) -> bool {
    matches!(
        opcode,
        opcode::CREATE
            | opcode::DELETE
            | opcode::SET_DATA
            | opcode::SET_ACL
            | opcode::MULTI
            | opcode::CLOSE_SESSION
    )
}

fn create(reader: &mut RecordReader<'_>) -> Result<Create, DecodeError> {
    Ok(Create {
        path: reader.present()?,
        data: reader.nullable()?,
        acl: reader.acl()?,
        mode: match reader.cursor.i32()? {
            0 => CreateMode::Persistent,
            1 => CreateMode::Ephemeral,
            2 => CreateMode::PersistentSequential,
            3 => CreateMode::EphemeralSequential,
            other => CreateMode::Unknown(other),
        },
    })
}

fn delete(reader: &mut RecordReader<'_>) -> Result<Delete, DecodeError> {
    Ok(Delete {
        path: reader.present()?,
        version: reader.cursor.i32()?,
    })
}

fn set_data(reader: &mut RecordReader<'_>) -> Result<SetData, DecodeError> {
    Ok(SetData {
        path: reader.or_empty()?,
        data: reader.nullable()?,
        version: reader.cursor.i32()?,
    })
}

fn multi(reader: &mut RecordReader<'_>) -> Result<Vec<Operation>, DecodeError> {
    let mut operations = Vec::new();
    loop {
        let opcode = reader.cursor.i32()?;
        let done = reader.cursor.bool()?;
        let _error = reader.cursor.i32()?;
        if done {
            return Ok(operations);
        }
        operations.push(match opcode {
            opcode::CREATE => Operation::Create(create(reader)?),
            opcode::DELETE => Operation::Delete(delete(reader)?),
            opcode::SET_DATA => Operation::SetData(set_data(reader)?),
            opcode::CHECK => Operation::Check {
                path: reader.present()?,
                version: reader.cursor.i32()?,
            },
            other => return Err(DecodeError::NotInMulti(other)),
        });
    }
}

fn paths(reader: &mut RecordReader<'_>) -> Result<Vec<Bytes>, DecodeError> {
    reader
        .vector(4, |reader| reader.present())?
        .ok_or(DecodeError::Null)
}

/// Appends a request as a frame.
///
/// What cannot be sent on purpose is encoded such that it decodes to itself: a malformed request has
/// no body, an unknown one only its number.
///
/// # Errors
/// The request is longer than a frame can say.
pub fn encode(xid: i32, request: &Request, out: &mut BytesMut) -> Result<(), BadLength> {
    frame::put(out, |writer| {
        writer.i32(xid);
        writer.i32(opcode(request));
        put_body(writer, request);
    })
}

/// The number of a request's operation.
pub fn opcode(request: &Request) -> i32 {
    match request {
        Request::Create(_) => opcode::CREATE,
        Request::Delete(_) => opcode::DELETE,
        Request::Exists { .. } => opcode::EXISTS,
        Request::GetData { .. } => opcode::GET_DATA,
        Request::SetData(_) => opcode::SET_DATA,
        Request::GetAcl { .. } => opcode::GET_ACL,
        Request::SetAcl { .. } => opcode::SET_ACL,
        Request::GetChildren { .. } => opcode::GET_CHILDREN,
        Request::GetChildren2 { .. } => opcode::GET_CHILDREN_2,
        Request::Sync { .. } => opcode::SYNC,
        Request::Multi(_) => opcode::MULTI,
        Request::SetWatches { .. } => opcode::SET_WATCHES,
        Request::Auth { .. } => opcode::AUTH,
        Request::Sasl { .. } => opcode::SASL,
        Request::Ping => opcode::PING,
        Request::CloseSession => opcode::CLOSE_SESSION,
        Request::Malformed { write: true } => opcode::CREATE,
        Request::Malformed { write: false } => opcode::EXISTS,
        Request::Unknown { opcode } => *opcode,
    }
}

/// The operation in the letters that `cons` and `stat` show, or `None` for what they do not count.
pub fn operation_name(request: &Request) -> Option<&'static str> {
    Some(match request {
        Request::Create(_) => "CREA",
        Request::Delete(_) => "DELE",
        Request::Exists { .. } => "EXIS",
        Request::GetData { .. } => "GETD",
        Request::SetData(_) => "SETD",
        Request::GetAcl { .. } => "GETA",
        Request::SetAcl { .. } => "SETA",
        Request::GetChildren { .. } | Request::GetChildren2 { .. } => "GETC",
        Request::Sync { .. } => "SYNC",
        Request::Multi(_) => "MULT",
        Request::SetWatches { .. } => "SETW",
        Request::Ping => "PING",
        Request::CloseSession => "CLOS",
        Request::Malformed { .. } => "NA",
        Request::Auth { .. } | Request::Sasl { .. } | Request::Unknown { .. } => return None,
    })
}

fn put_body(writer: &mut Writer<'_>, request: &Request) {
    match request {
        Request::Create(create) => put_create(writer, create),
        Request::Delete(delete) => put_delete(writer, delete),
        Request::SetData(set_data) => put_set_data(writer, set_data),
        Request::Exists { path, watch }
        | Request::GetData { path, watch }
        | Request::GetChildren { path, watch }
        | Request::GetChildren2 { path, watch } => {
            put_bytes(writer, path);
            writer.bool(*watch);
        }
        Request::GetAcl { path } | Request::Sync { path } => put_bytes(writer, path),
        Request::SetAcl { path, acl, version } => {
            put_bytes(writer, path);
            put_acl(writer, acl);
            writer.i32(*version);
        }
        Request::Multi(operations) => put_multi(writer, operations),
        Request::SetWatches {
            relative_zxid,
            data,
            exist,
            child,
        } => {
            writer.i64(relative_zxid.0);
            for paths in [data, exist, child] {
                put_length(writer, paths.len());
                for path in paths {
                    put_bytes(writer, path);
                }
            }
        }
        Request::Auth { scheme, data } => {
            writer.i32(0);
            put_bytes(writer, scheme);
            put_bytes(writer, data);
        }
        Request::Sasl { token } => put_nullable(writer, token.as_deref()),
        Request::Ping
        | Request::CloseSession
        | Request::Malformed { .. }
        | Request::Unknown { .. } => {}
    }
}

fn put_create(writer: &mut Writer<'_>, create: &Create) {
    put_bytes(writer, &create.path);
    put_nullable(writer, create.data.as_deref());
    put_acl(writer, &create.acl);
    writer.i32(match create.mode {
        CreateMode::Persistent => 0,
        CreateMode::Ephemeral => 1,
        CreateMode::PersistentSequential => 2,
        CreateMode::EphemeralSequential => 3,
        CreateMode::Unknown(other) => other,
    });
}

fn put_delete(writer: &mut Writer<'_>, delete: &Delete) {
    put_bytes(writer, &delete.path);
    writer.i32(delete.version);
}

fn put_set_data(writer: &mut Writer<'_>, set_data: &SetData) {
    put_bytes(writer, &set_data.path);
    put_nullable(writer, set_data.data.as_deref());
    writer.i32(set_data.version);
}

fn put_multi(writer: &mut Writer<'_>, operations: &[Operation]) {
    for operation in operations {
        let opcode = match operation {
            Operation::Create(_) => opcode::CREATE,
            Operation::Delete(_) => opcode::DELETE,
            Operation::SetData(_) => opcode::SET_DATA,
            Operation::Check { .. } => opcode::CHECK,
        };
        put_multi_header(writer, opcode, false, -1);
        match operation {
            Operation::Create(create) => put_create(writer, create),
            Operation::Delete(delete) => put_delete(writer, delete),
            Operation::SetData(set_data) => put_set_data(writer, set_data),
            Operation::Check { path, version } => {
                put_bytes(writer, path);
                writer.i32(*version);
            }
        }
    }
    put_multi_header(writer, opcode::ERROR, true, -1);
}

/// The nine bytes before an operation of a multi, before its result, and at the end of both.
pub(super) fn put_multi_header(writer: &mut Writer<'_>, opcode: i32, done: bool, error: i32) {
    writer.i32(opcode);
    writer.bool(done);
    writer.i32(error);
}
