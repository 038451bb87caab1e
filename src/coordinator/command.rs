//! What the coordinator puts into the log, and its bytes.
//!
//! A command carries every decision that depends on where and when it was made (whose it is, who asks,
//! the time of day), so that applying it needs nothing but the state. It is judged only then.
//!
//! Integers are big-endian; a *text* is a length (u32) and that many bytes; *data* is the same with
//! length 2^32 - 1 for null.
//!
//! ```text
//!   byte 0      1         2
//!        +------+---------+----------------------------------------------------------
//!        | kind | version | body
//!        +------+---------+----------------------------------------------------------
//!   1 write            session i64, generation u64, sequence u64, wall time i64,
//!                      identities text, action u8, operations
//!   2 create session   session i64, timeout ms i32, server u16
//!   3 attach session   session i64, generation expected u64, timeout ms i32, server u16, request u64
//!   4 expire session   session i64, generation u64
//!
//!   action     1 one operation, 2 all of these operations or none, 3 close the session, 4 refused: cannot be decoded
//!   operation  1 create    path text, data, permissions text, mode u8
//!              2 delete    path text, version i32
//!              3 set data  path text, data, version i32
//!              4 set acl   path text, permissions text, version i32
//!              5 check     path text, version i32
//! ```
//!
//! To add a new kind: its number here, the feature level from which on it may be proposed ([`Command::level`]), its
//! evaluation in `apply`. A server that meets a kind or version it does not know stops there ([`Unreadable`]), so nothing
//! is proposed that a member lacks: a leader looks at what other servers want proposed ([`check`]).

use bytes::{Bytes, BytesMut};

use super::acl::{self, Identities, Permissions};
use super::encoding::{data, length, put_data, put_text, text};
use super::vocabulary::{Acl, CreateMode, Operation};
use crate::cursor::{Reader, Truncated, Writer};
use crate::units::feature::FeatureLevel;
use crate::units::{ServerId, WallTime};

#[cfg(test)]
mod tests;

const VERSION: u8 = 1;

const WRITE: u8 = 1;
const CREATE_SESSION: u8 = 2;
const ATTACH_SESSION: u8 = 3;
const EXPIRE_SESSION: u8 = 4;
const NEW_HISTORY: u8 = 5;

const ONE: u8 = 1;
const MULTI: u8 = 2;
const CLOSE_SESSION: u8 = 3;
const MALFORMED: u8 = 4;

const CREATE: u8 = 1;
const DELETE: u8 = 2;
const SET_DATA: u8 = 3;
const SET_ACL: u8 = 4;
const CHECK: u8 = 5;

/// How much of a buffer is reserved at once; commands share it.
const BLOCK_BYTES: usize = 64 << 10;

/// A committed entry that this server cannot understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// The command ends too early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// A kind, or a version of it, from a later release.
    #[error("command kind {kind}, version {version} is not known")]
    Unknown { kind: u8, version: u8 },
    /// A number within a command that means nothing yet.
    #[error("{1} {0} is not known")]
    Meaningless(u8, &'static str),
    /// More than the command needs.
    #[error("{0} bytes behind the command")]
    TooLong(usize),
    /// The ensemble is not there yet.
    #[error("it needs feature level {0}")]
    Level(FeatureLevel),
}

impl Unreadable {
    /// Only a later release can have written it: what the journal gives out has passed its checksum.
    pub(super) fn is_newer(&self) -> bool {
        match self {
            Unreadable::Unknown { .. }
            | Unreadable::Meaningless(..)
            | Unreadable::TooLong(_)
            | Unreadable::Level(_) => true,
            Unreadable::Truncated(_) => false,
        }
    }
}

/// A command, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Write(Write<'a>),
    CreateSession(CreateSession),
    AttachSession(AttachSession),
    ExpireSession {
        session: i64,
        generation: u64,
    },
    /// What came last may be lost, and clients may have seen it: zxids go on above all that there can have been.
    NewHistory,
}

/// A client's write. It counts only if it is the next of this generation of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write<'a> {
    pub(super) session: i64,
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) wall: WallTime,
    pub(super) asking: Identities<'a>,
    pub(super) action: Action<'a>,
}

/// What a client wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    One(Op<'a>),
    Multi(Vec<Op<'a>>),
    CloseSession,
    /// A write whose body could not be decoded: it only takes its zxid.
    Malformed,
}

/// One change, or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op<'a> {
    Create {
        path: &'a [u8],
        data: Option<&'a [u8]>,
        permissions: Permissions<'a>,
        mode: CreateMode,
    },
    Delete {
        path: &'a [u8],
        version: i32,
    },
    SetData {
        path: &'a [u8],
        data: Option<&'a [u8]>,
        version: i32,
    },
    SetAcl {
        path: &'a [u8],
        permissions: Permissions<'a>,
        version: i32,
    },
    Check {
        path: &'a [u8],
        version: i32,
    },
}

/// A new session. The id is unique already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CreateSession {
    pub(super) session: i64,
    pub(super) timeout_ms: i32,
    pub(super) server: ServerId,
}

/// A session goes on with another connection. The password was checked where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttachSession {
    pub(super) session: i64,
    /// The generation that the server knew when it proposed this. Another one has come meanwhile: then
    /// nothing is done, and the server proposes again if the client still waits. So a copy of this
    /// command that arrives late does no harm.
    pub(super) generation: u64,
    pub(super) timeout_ms: i32,
    pub(super) server: ServerId,
    /// By which the server finds the connection again.
    pub(super) request: u64,
}

/// The fields of a write that come from its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) session: i64,
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) wall: WallTime,
    /// Canonical, as [`acl::Credentials`] shares them.
    pub(super) asking: &'a [u8],
}

/// Encodes commands, many into one buffer.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    buffer: BytesMut,
}

impl Encoder {
    fn finish(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn begin(&mut self, kind: u8) -> Writer<'_> {
        if self.buffer.capacity() < 1 << 10 {
            self.buffer.reserve(BLOCK_BYTES);
        }
        let mut writer = Writer::new(&mut self.buffer);
        writer.u8(kind);
        writer.u8(VERSION);
        writer
    }

    fn begin_write(&mut self, origin: Origin<'_>, action: u8) -> Writer<'_> {
        let mut writer = self.begin(WRITE);
        writer.i64(origin.session);
        writer.u64(origin.generation);
        writer.u64(origin.sequence);
        writer.i64(origin.wall.0);
        put_text(&mut writer, origin.asking);
        writer.u8(action);
        writer
    }

    /// A write of one operation.
    pub(super) fn operation(&mut self, origin: Origin<'_>, operation: &Operation) -> Bytes {
        put_operation(&mut self.begin_write(origin, ONE), operation);
        self.finish()
    }

    /// A write that sets permissions.
    pub(super) fn set_acl(
        &mut self,
        origin: Origin<'_>,
        path: &[u8],
        permissions: &[Acl],
        version: i32,
    ) -> Bytes {
        let mut writer = self.begin_write(origin, ONE);
        writer.u8(SET_ACL);
        put_text(&mut writer, path);
        put_permissions(&mut writer, permissions);
        writer.i32(version);
        self.finish()
    }

    /// A write of all or nothing.
    pub(super) fn multi(&mut self, origin: Origin<'_>, operations: &[Operation]) -> Bytes {
        let mut writer = self.begin_write(origin, MULTI);
        for operation in operations {
            put_operation(&mut writer, operation);
        }
        self.finish()
    }

    /// The last write of a session.
    pub(super) fn close_session(&mut self, origin: Origin<'_>) -> Bytes {
        self.begin_write(origin, CLOSE_SESSION);
        self.finish()
    }

    /// A write that could not be decoded.
    pub(super) fn malformed(&mut self, origin: Origin<'_>) -> Bytes {
        self.begin_write(origin, MALFORMED);
        self.finish()
    }

    pub(super) fn create_session(&mut self, create: CreateSession) -> Bytes {
        let mut writer = self.begin(CREATE_SESSION);
        writer.i64(create.session);
        writer.i32(create.timeout_ms);
        writer.u16(create.server.0);
        self.finish()
    }

    pub(super) fn attach_session(&mut self, attach: AttachSession) -> Bytes {
        let mut writer = self.begin(ATTACH_SESSION);
        writer.i64(attach.session);
        writer.u64(attach.generation);
        writer.i32(attach.timeout_ms);
        writer.u16(attach.server.0);
        writer.u64(attach.request);
        self.finish()
    }

    pub(super) fn expire_session(&mut self, session: i64, generation: u64) -> Bytes {
        let mut writer = self.begin(EXPIRE_SESSION);
        writer.i64(session);
        writer.u64(generation);
        self.finish()
    }

    pub(super) fn new_history(&mut self) -> Bytes {
        self.begin(NEW_HISTORY);
        self.finish()
    }
}

fn put_operation(writer: &mut Writer<'_>, operation: &Operation) {
    match operation {
        Operation::Create(create) => {
            writer.u8(CREATE);
            put_text(writer, &create.path);
            put_data(writer, create.data.as_deref());
            put_permissions(writer, &create.acl);
            writer.u8(match create.mode {
                CreateMode::Persistent => 0,
                CreateMode::Ephemeral => 1,
                CreateMode::PersistentSequential => 2,
                CreateMode::EphemeralSequential => 3,
                CreateMode::Unknown(_) => MODE_UNKNOWN,
            });
            if let CreateMode::Unknown(mode) = create.mode {
                writer.i32(mode);
            }
        }
        Operation::Delete(delete) => {
            writer.u8(DELETE);
            put_text(writer, &delete.path);
            writer.i32(delete.version);
        }
        Operation::SetData(set) => {
            writer.u8(SET_DATA);
            put_text(writer, &set.path);
            put_data(writer, set.data.as_deref());
            writer.i32(set.version);
        }
        Operation::Check { path, version } => {
            writer.u8(CHECK);
            put_text(writer, path);
            writer.i32(*version);
        }
    }
}

/// Behind it stands the number the client sent.
const MODE_UNKNOWN: u8 = 255;

fn put_permissions(writer: &mut Writer<'_>, permissions: &[Acl]) {
    let gap = writer.gap_32();
    acl::put_permissions(writer, permissions);
    let bytes = length(writer.length_after(&gap));
    writer.fill_u32(gap, bytes);
}

impl<'a> Op<'a> {
    fn level(&self) -> FeatureLevel {
        match self {
            Op::Create { .. }
            | Op::Delete { .. }
            | Op::SetData { .. }
            | Op::SetAcl { .. }
            | Op::Check { .. } => FeatureLevel::FIRST,
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Op<'a>, Unreadable> {
        Ok(match reader.u8()? {
            CREATE => Op::Create {
                path: text(reader)?,
                data: data(reader)?,
                permissions: Permissions::parse(text(reader)?)?,
                mode: match reader.u8()? {
                    0 => CreateMode::Persistent,
                    1 => CreateMode::Ephemeral,
                    2 => CreateMode::PersistentSequential,
                    3 => CreateMode::EphemeralSequential,
                    MODE_UNKNOWN => CreateMode::Unknown(reader.i32()?),
                    other => return Err(Unreadable::Meaningless(other, "create mode")),
                },
            },
            DELETE => Op::Delete {
                path: text(reader)?,
                version: reader.i32()?,
            },
            SET_DATA => Op::SetData {
                path: text(reader)?,
                data: data(reader)?,
                version: reader.i32()?,
            },
            SET_ACL => Op::SetAcl {
                path: text(reader)?,
                permissions: Permissions::parse(text(reader)?)?,
                version: reader.i32()?,
            },
            CHECK => Op::Check {
                path: text(reader)?,
                version: reader.i32()?,
            },
            other => return Err(Unreadable::Meaningless(other, "operation")),
        })
    }
}

impl<'a> Action<'a> {
    fn level(&self) -> FeatureLevel {
        match self {
            Action::One(operation) => operation.level(),
            Action::Multi(operations) => {
                let levels = operations.iter().map(Op::level);
                levels.max().unwrap_or_default()
            }
            Action::CloseSession | Action::Malformed => FeatureLevel::FIRST,
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Action<'a>, Unreadable> {
        Ok(match reader.u8()? {
            ONE => Action::One(Op::decode(reader)?),
            MULTI => {
                let mut operations = Vec::new();
                while !reader.is_empty() {
                    operations.push(Op::decode(reader)?);
                }
                Action::Multi(operations)
            }
            CLOSE_SESSION => Action::CloseSession,
            MALFORMED => Action::Malformed,
            other => return Err(Unreadable::Meaningless(other, "action")),
        })
    }
}

/// Whether every member of an ensemble at this feature level can read a command.
///
/// # Errors
/// Why not; it must not be proposed.
pub fn check(command: &[u8], level: FeatureLevel) -> Result<(), String> {
    let needed = Command::decode(command).map(|command| command.level());
    let needed = needed.and_then(|needed| match needed <= level {
        true => Ok(()),
        false => Err(Unreadable::Level(needed)),
    });
    needed.map_err(|why| why.to_string())
}

/// Where in a write the time of day stands.
const WALL_AT: std::ops::Range<usize> = 26..34;

/// Gives a command that came from another server this one's time of day: the leader's clock counts, and no other. The
/// session whose write it is, if it is one.
pub fn stamp(command: &mut [u8], wall: WallTime) -> Option<i64> {
    let write = WriteNumber::of(command)?;
    command
        .get_mut(WALL_AT)?
        .copy_from_slice(&wall.0.to_be_bytes());
    Some(write.session)
}

/// What copies of a command have in common, and no other command has: of a write its place in its session, of any other
/// command all of it.
pub fn key(command: &[u8]) -> &[u8] {
    match WriteNumber::of(command) {
        Some(_) => &command[..WALL_AT.start],
        None => command,
    }
}

/// By what a write is known before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WriteNumber {
    pub(super) session: i64,
    pub(super) generation: u64,
    pub(super) sequence: u64,
}

impl WriteNumber {
    /// That of a command, if it is a write.
    pub(super) fn of(command: &[u8]) -> Option<WriteNumber> {
        let mut reader = Reader::new(command);
        let kind = (reader.u8().ok()?, reader.u8().ok()?);
        (kind == (WRITE, VERSION)).then_some(())?;
        Some(WriteNumber {
            session: reader.i64().ok()?,
            generation: reader.u64().ok()?,
            sequence: reader.u64().ok()?,
        })
    }
}

impl<'a> Command<'a> {
    /// How many operations a multi has; `None` for every other command, and for a multi of none.
    pub(super) fn operations_of_multi(bytes: &[u8]) -> Option<usize> {
        match Command::decode(bytes) {
            Ok(Command::Write(Write {
                action: Action::Multi(operations),
                ..
            })) if !operations.is_empty() => Some(operations.len()),
            _ => None,
        }
    }

    /// The feature level from which on it may be in the log.
    fn level(&self) -> FeatureLevel {
        match self {
            Command::Write(write) => write.action.level(),
            Command::CreateSession(_)
            | Command::AttachSession(_)
            | Command::ExpireSession { .. }
            | Command::NewHistory => FeatureLevel::FIRST,
        }
    }

    /// Reads a command from all of `bytes`.
    ///
    /// # Errors
    /// [`Unreadable`]: the process must not go on past this entry.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Command<'a>, Unreadable> {
        let mut reader = Reader::new(bytes);
        let (kind, version) = (reader.u8()?, reader.u8()?);
        let command = match (kind, version) {
            (WRITE, VERSION) => Command::Write(Write {
                session: reader.i64()?,
                generation: reader.u64()?,
                sequence: reader.u64()?,
                wall: WallTime(reader.i64()?),
                asking: Identities::parse(text(&mut reader)?)?,
                action: Action::decode(&mut reader)?,
            }),
            (CREATE_SESSION, VERSION) => Command::CreateSession(CreateSession {
                session: reader.i64()?,
                timeout_ms: reader.i32()?,
                server: ServerId(reader.u16()?),
            }),
            (ATTACH_SESSION, VERSION) => Command::AttachSession(AttachSession {
                session: reader.i64()?,
                generation: reader.u64()?,
                timeout_ms: reader.i32()?,
                server: ServerId(reader.u16()?),
                request: reader.u64()?,
            }),
            (NEW_HISTORY, VERSION) => Command::NewHistory,
            (EXPIRE_SESSION, VERSION) => Command::ExpireSession {
                session: reader.i64()?,
                generation: reader.u64()?,
            },
            (kind, version) => return Err(Unreadable::Unknown { kind, version }),
        };
        if !reader.is_empty() {
            return Err(Unreadable::TooLong(reader.remaining()));
        }
        Ok(command)
    }
}
