//! What enters the journal, and its bytes.
//!
//! An entry is one command or several, one after the other. A command carries every decision: where each
//! record goes, where a file is full, which files go. Integers are big-endian.
//!
//! ```text
//!   command:    kind u8 | version u8 | 0 u16 | body length u32 | body
//!
//!   append (1): proposer u64 | sequence u64 | wall i64 | last message id i64 | run…
//!   run:        topic length u16 | flags u8 | 0 u8 | partition i32 | offset u64
//!               | messages u32 | records length u32 | topic | records
//!               flags: bit 0, the file is full after this run
//!
//!   retire (2): wall i64 | cut…
//!   cut:        topic length u16 | action u8 | 0 u8 | partition i32 | first u64 | topic
//!               action: 0 delete, 1 archive, 2 archive compressed
//! ```
//!
//! `proposer` and `sequence` let the server that proposed a command find whom to answer; they change
//! nothing in what the command does. To add a kind: a constant, a struct, an arm in [`Commands::next`] and
//! in `apply`; servers that do not know it stop at it.

use bytes::{Buf, BufMut, Bytes};
use thiserror::Error;

use super::request::Name;
use crate::segments::retention::Action;
use crate::units::WallTime;

const KIND_APPEND: u8 = 1;
const KIND_RETIRE: u8 = 2;
/// The version of both kinds that is written; the only one so far.
const VERSION: u8 = 1;
/// Bytes before a command's body.
pub(super) const COMMAND_HEADER_BYTES: usize = 8;
/// Bytes of an append's body before the runs.
pub(super) const APPEND_HEADER_BYTES: usize = 32;
/// Bytes of a run before its topic and records.
pub(super) const RUN_HEADER_BYTES: usize = 24;

const FLAG_ROLLS: u8 = 1;

/// Why an entry cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unknown {
    /// A later release proposed it.
    #[error(
        "entry {index} of the broker's group: a command of kind {kind}, version {version} is not known"
    )]
    Newer {
        /// The entry.
        index: u64,
        /// The command's kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// A later release proposed it: something in it has a number that means nothing yet.
    #[error("entry {index} of the broker's group: {what} {number} is not known")]
    NewerNumber {
        /// The entry.
        index: u64,
        /// What has the number.
        what: &'static str,
        /// The number.
        number: u8,
    },
    /// It is not what any release writes.
    #[error("entry {index} of the broker's group cannot be read: {what}")]
    Malformed {
        /// The entry.
        index: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl Unknown {
    /// Only a later release can have written it: what the journal gives out has passed its checksum.
    pub fn is_newer(&self) -> bool {
        match self {
            Unknown::Newer { .. } | Unknown::NewerNumber { .. } => true,
            Unknown::Malformed { .. } => false,
        }
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Records for partitions.
    Append(Append),
    /// Files that go.
    Retire(Retire),
}

/// Records for partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The run of the server that proposed it.
    pub proposer: u64,
    /// Its number among that run's appends.
    pub sequence: u64,
    /// When it was proposed.
    pub wall: WallTime,
    /// The highest message id in it.
    pub last_message_id: i64,
    /// The runs, not yet taken apart.
    runs: Bytes,
}

/// The head of a run of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: i32,
    /// Where the first record goes.
    pub offset: u64,
    /// How many records.
    pub messages: u32,
    /// The file is full after them.
    pub rolls: bool,
}

/// Files that go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retire {
    /// When it was proposed.
    pub wall: WallTime,
    /// What goes where.
    pub cuts: Vec<Cut>,
}

/// What goes in one partition: all files that end at or before `first`, but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: i32,
    /// The offset at which the partition begins then.
    pub first: u64,
    /// What is done to the files.
    pub action: Action,
}

/// Begins an append's bytes; its runs follow, then the end of the bytes.
pub(super) fn begin_append(out: &mut Vec<u8>, append: &AppendHead) {
    out.put_slice(&[KIND_APPEND, VERSION, 0, 0]);
    out.put_u32(0);
    out.put_u64(append.proposer);
    out.put_u64(append.sequence);
    out.put_i64(append.wall.0);
    out.put_i64(append.last_message_id);
}

/// The fields of an append before its runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppendHead {
    pub(super) proposer: u64,
    pub(super) sequence: u64,
    pub(super) wall: WallTime,
    pub(super) last_message_id: i64,
}

/// Begins a run's bytes; exactly `records_bytes` bytes of records follow.
pub(super) fn begin_run(
    out: &mut Vec<u8>,
    topic: &Name,
    partition: i32,
    offset: u64,
    rolls: bool,
    messages: u32,
    records_bytes: usize,
) {
    let topic_bytes = u16::try_from(topic.as_bytes().len());
    out.put_u16(topic_bytes.expect("a topic that was accepted is a folder's name"));
    out.put_u8(if rolls { FLAG_ROLLS } else { 0 });
    out.put_u8(0);
    out.put_i32(partition);
    out.put_u64(offset);
    out.put_u32(messages);
    out.put_u32(u32::try_from(records_bytes).expect("an entry has a few megabytes"));
    out.put_slice(topic.as_bytes());
}

/// Completes the command that begins at `start` of `out`.
pub(super) fn finish(out: &mut [u8], start: usize) {
    let body = out.len() - start - COMMAND_HEADER_BYTES;
    let body = u32::try_from(body).expect("an entry has a few megabytes");
    out[start + 4..start + 8].copy_from_slice(&body.to_be_bytes());
}

impl Retire {
    /// The command's bytes.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_slice(&[KIND_RETIRE, VERSION, 0, 0]);
        out.put_u32(0);
        out.put_i64(self.wall.0);
        for cut in &self.cuts {
            let topic_bytes = u16::try_from(cut.topic.as_bytes().len());
            out.put_u16(topic_bytes.expect("a topic that was accepted is a folder's name"));
            out.put_u8(cut.action.code());
            out.put_u8(0);
            out.put_i32(cut.partition);
            out.put_u64(cut.first);
            out.put_slice(cut.topic.as_bytes());
        }
        finish(&mut out, 0);
        Bytes::from(out)
    }

    fn decode(mut body: Bytes, index: u64) -> Result<Retire, Unknown> {
        let short = |_| malformed(index, "a cut is cut short");
        let wall = WallTime(body.try_get_i64().map_err(short)?);
        let mut cuts = Vec::new();
        while body.has_remaining() {
            let topic_bytes = usize::from(body.try_get_u16().map_err(short)?);
            let number = body.try_get_u8().map_err(short)?;
            let action = Action::from_code(number).ok_or(Unknown::NewerNumber {
                index,
                what: "action",
                number,
            })?;
            body.try_get_u8().map_err(short)?;
            let partition = body.try_get_i32().map_err(short)?;
            let first = body.try_get_u64().map_err(short)?;
            let topic = take_name(&mut body, topic_bytes, index)?;
            cuts.push(Cut {
                topic,
                partition,
                first,
                action,
            });
        }
        Ok(Retire { wall, cuts })
    }
}

impl Append {
    fn decode(mut body: Bytes, index: u64) -> Result<Append, Unknown> {
        let short = |_| malformed(index, "an append is cut short");
        Ok(Append {
            proposer: body.try_get_u64().map_err(short)?,
            sequence: body.try_get_u64().map_err(short)?,
            wall: WallTime(body.try_get_i64().map_err(short)?),
            last_message_id: body.try_get_i64().map_err(short)?,
            runs: body,
        })
    }

    /// Takes the next run off; `None` at the end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next_run(&mut self, index: u64) -> Result<Option<(RunHead, Bytes)>, Unknown> {
        let short = |_| malformed(index, "a run is cut short");
        if !self.runs.has_remaining() {
            return Ok(None);
        }
        let topic_bytes = usize::from(self.runs.try_get_u16().map_err(short)?);
        let flags = self.runs.try_get_u8().map_err(short)?;
        self.runs.try_get_u8().map_err(short)?;
        let partition = self.runs.try_get_i32().map_err(short)?;
        let offset = self.runs.try_get_u64().map_err(short)?;
        let messages = self.runs.try_get_u32().map_err(short)?;
        let records_bytes = self.runs.try_get_u32().map_err(short)? as usize;
        let topic = take_name(&mut self.runs, topic_bytes, index)?;
        if self.runs.remaining() < records_bytes {
            return Err(malformed(index, "a run's records are cut short"));
        }
        let records = self.runs.split_to(records_bytes);
        if flags & !FLAG_ROLLS != 0 {
            return Err(Unknown::NewerNumber {
                index,
                what: "set of flags",
                number: flags,
            });
        }
        let rolls = flags & FLAG_ROLLS != 0;
        Ok(Some((
            RunHead {
                topic,
                partition,
                offset,
                messages,
                rolls,
            },
            records,
        )))
    }
}

fn take_name(bytes: &mut Bytes, length: usize, index: u64) -> Result<Name, Unknown> {
    if bytes.remaining() < length {
        return Err(malformed(index, "a topic's name is cut short"));
    }
    Name::from_utf8(bytes.split_to(length))
        .map_err(|_| malformed(index, "a topic's name is not text"))
}

fn malformed(index: u64, what: &'static str) -> Unknown {
    Unknown::Malformed { index, what }
}

/// The commands of an entry.
#[derive(Clone, Debug)]
pub struct Commands {
    index: u64,
    rest: Bytes,
}

impl Commands {
    /// Of this entry.
    pub fn new(index: u64, data: Bytes) -> Commands {
        Commands { index, rest: data }
    }

    /// The next command; `None` at the end.
    ///
    /// # Errors
    /// It cannot be read, or a later release wrote it.
    #[allow(
        clippy::should_implement_trait,
        reason = "what cannot be read ends it; an iterator of results would go on"
    )]
    pub fn next(&mut self) -> Result<Option<Command>, Unknown> {
        let index = self.index;
        let short = |_| malformed(index, "a command is cut short");
        if !self.rest.has_remaining() {
            return Ok(None);
        }
        let kind = self.rest.try_get_u8().map_err(short)?;
        let version = self.rest.try_get_u8().map_err(short)?;
        self.rest.try_get_u16().map_err(short)?;
        let length = self.rest.try_get_u32().map_err(short)? as usize;
        if self.rest.remaining() < length {
            return Err(malformed(index, "a command is cut short"));
        }
        let body = self.rest.split_to(length);
        match (kind, version) {
            (KIND_APPEND, VERSION) => Ok(Some(Command::Append(Append::decode(body, index)?))),
            (KIND_RETIRE, VERSION) => Ok(Some(Command::Retire(Retire::decode(body, index)?))),
            _ => Err(Unknown::Newer {
                index,
                kind,
                version,
            }),
        }
    }
}
