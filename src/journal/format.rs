//! The journal's bytes, drawn once. Integers are little-endian.
//!
//! The folder holds `journal.id` (which journal this is, and its format; see `identity`) and the files
//! `00.journal`, `01.journal`, ... A file is a row of batches from its first byte on; each batch begins and
//! ends at a multiple of 4096, what lies between its body and its end is zero, and what lies behind the last
//! batch means nothing (zeros, or batches of an earlier use of the file).
//!
//! A batch is a header and a body of records:
//!
//! ```text
//!   byte  0                8          10     11     12                16
//!         +----------------+----------+------+------+-----------------+----------------------------+
//!         | "CHRYSJNL"     | format   | kind | 0    | previous        | journal id                 |
//!         | 8 bytes        | u16 = 1  | u8   | u8   | u32             | 16 bytes                   |
//!         +----------------+----------+------+------+-----------------+----------------------------+
//!         32               40         48                56            64
//!         +----------------+----------+-----------------+-------------+----------------------------+
//!         | incarnation    | sequence | durable through | file        | oldest file                |
//!         | u64            | u64      | u64             | u64         | u64                        |
//!         +----------------+----------+-----------------+-------------+----------------------------+
//!         72               76         80                92            96
//!         +----------------+----------+-----------------+-------------+----------------------------+
//!         | body length    | body crc | 0               | header crc  | body                       |
//!         | u32            | u32      | 12 bytes        | u32         | `body length` bytes        |
//!         +----------------+----------+-----------------+-------------+----------------------------+
//! ```
//!
//! - *kind*: 0 records, 1 the start of a file (always and only at byte 0 of one; its body is one `State` record
//!   a group), 2 a seal or the first batch of an incarnation (its body may be empty).
//! - *previous*: the header crc of the batch before; 0 in the very first one. This is the chain.
//! - *journal id*: 128 random bits made with the journal, so that no payload can imitate a batch.
//! - *incarnation*: raised at each opening above every one that is found in the folder.
//! - *sequence*: one higher than the batch before; at the beginning of an incarnation above every one found.
//! - *durable through*: the last sequence known durable when this batch was closed.
//! - *file*: the number of the file this batch is in; each start of a file takes one above all found.
//! - *oldest file*: no file with a lower number is needed, and such a one may be used again once this batch is
//!   durable.
//! - All of these numbers, and the records' indexes and terms, are below 2^54: a header with a higher one is none.
//! - *body crc*: crc32 of the body. *header crc*: crc32 of the 92 bytes before it.
//!
//! A record:
//!
//! ```text
//!   byte  0          4          8      9         10        12
//!         +----------+----------+------+---------+---------+---------------------+
//!         | length   | group    | kind | version | 0       | `length` bytes      |
//!         | u32      | u32      | u8   | u8 = 1  | u16     |                     |
//!         +----------+----------+------+---------+---------+---------------------+
//!
//!   kind 1  entry        index u64, term u64, kind u8 (0 normal, 1 and 2 changes of the voters), data
//!   kind 2  hard state   term u64, vote u64, commit u64
//!   kind 3  marker       index u64, term u64, state (at most 16 KiB)
//!   kind 4  reset        the same; the log is empty behind it
//!   kind 5  incomplete   nothing
//!   kind 6  healed       nothing
//!   kind 7  state        term u64, vote u64, commit u64, last index u64, incomplete u8,
//!                        marker index u64, marker term u64, marker state
//! ```
//!
//! A kind or version that is not in this list stops the start. To add one: give it a number here, and change
//! [`Body`], `encode` and `decode`; a format that an older server would misread raises `FORMAT` instead.
//!
//! # What is assumed of the media
//!
//! - A completed write with `O_DSYNC`, and what was written before a completed `fdatasync`, survives a power cut.
//! - A write that was under way at a power cut leaves each 512-byte sector of its range old or new, in any mix;
//!   bytes outside of its range stay. Several writes under way may be left in any order. Hence a header, which
//!   lies in one sector, is whole or absent, and nothing is ever written twice to a place that counts.
//! - A medium may lie about nothing else, but its bytes may rot: every byte that counts is under a checksum.
//! - After a failed write or sync nothing more is believed: the process ends and reads the medium again.
//! - A checksum of 32 bits misses one damage in four thousand million.
//!
//! Damage in the very last batches before a crash, which no *durable through* covers yet, cannot be told from
//! a torn tail. An idle journal seals itself for that reason; a busy one has at most `in_flight_max` of them.

use bytes::{Buf, Bytes};

use crate::consensus::{Entry, EntryKind, HardState, Marker, Record, STATE_BYTES_MAX};
use crate::disk::{ALIGNMENT, AlignedBuffer};
use crate::units::GroupId;

/// The format this code writes, and the newest it reads.
pub(super) const FORMAT: u16 = 1;
/// The first bytes of a batch.
pub(super) const MAGIC: [u8; 8] = *b"CHRYSJNL";
/// Bytes of a batch's header.
pub(super) const HEADER_BYTES: usize = 96;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 12;
/// What batches begin and end at.
pub(super) const BLOCK: u64 = ALIGNMENT as u64;

const RECORD_VERSION: u8 = 1;
/// No number that counts something gets here, however long a server runs: what does is false, and what does not can
/// be added to.
const NUMBER_END: u64 = 1 << 54;
const HEADER_CRC_AT: usize = 92;

const _: () = {
    assert!(
        HEADER_CRC_AT + 4 == HEADER_BYTES,
        "the header ends with its checksum"
    );
    assert!(
        HEADER_BYTES <= 512,
        "a header lies within one sector, so that it is never torn"
    );
};

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records that were appended.
    Records,
    /// The start of a file: the state of every group.
    FileStart,
    /// Nothing new: covers what came before, or begins an incarnation.
    Seal,
}

/// A batch's header, without what is the same in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) previous: u32,
    pub(super) id: [u8; 16],
    pub(super) incarnation: u64,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) file: u64,
    pub(super) oldest: u64,
    pub(super) body_length: u32,
    pub(super) body_crc: u32,
    /// The header's own checksum: what the next one calls `previous`.
    pub(super) crc: u32,
}

/// What 96 bytes at a block's beginning are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Not a header, or one that was damaged.
    Nothing,
    /// A header of a format that is not known here.
    Newer(u16),
    /// A header whose checksum is right.
    Header(Header),
}

impl Header {
    /// Bytes of the whole batch in its file.
    pub(super) fn batch_bytes(&self) -> u64 {
        batch_bytes(u64::from(self.body_length))
    }

    /// The body of a batch that begins at `start` of these bytes; nothing where it is cut off, or not what the header says.
    pub(super) fn body(&self, bytes: &Bytes, start: usize) -> Option<Bytes> {
        let start = start + HEADER_BYTES;
        let end = start.checked_add(usize::try_from(self.body_length).ok()?)?;
        let body = (end <= bytes.len()).then(|| bytes.slice(start..end))?;
        (crc32fast::hash(&body) == self.body_crc).then_some(body)
    }

    /// Writes the header into the first bytes of `batch` and returns its checksum.
    pub(super) fn encode(&self, batch: &mut [u8]) -> u32 {
        let header = &mut batch[..HEADER_BYTES];
        header.fill(0);
        header[0..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        header[10] = match self.kind {
            Kind::Records => 0,
            Kind::FileStart => 1,
            Kind::Seal => 2,
        };
        header[12..16].copy_from_slice(&self.previous.to_le_bytes());
        header[16..32].copy_from_slice(&self.id);
        header[32..40].copy_from_slice(&self.incarnation.to_le_bytes());
        header[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        header[48..56].copy_from_slice(&self.durable.to_le_bytes());
        header[56..64].copy_from_slice(&self.file.to_le_bytes());
        header[64..72].copy_from_slice(&self.oldest.to_le_bytes());
        header[72..76].copy_from_slice(&self.body_length.to_le_bytes());
        header[76..80].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&header[..HEADER_CRC_AT]);
        header[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads a header, or finds that there is none.
    pub(super) fn decode(bytes: &[u8]) -> Found {
        if bytes.len() < HEADER_BYTES || bytes[..8] != MAGIC {
            return Found::Nothing;
        }
        let mut rest = &bytes[8..HEADER_BYTES];
        let format = rest.get_u16_le();
        let kind = rest.get_u8();
        let zero = rest.get_u8();
        let previous = rest.get_u32_le();
        let mut id = [0; 16];
        rest.copy_to_slice(&mut id);
        let incarnation = rest.get_u64_le();
        let sequence = rest.get_u64_le();
        let durable = rest.get_u64_le();
        let file = rest.get_u64_le();
        let oldest = rest.get_u64_le();
        let body_length = rest.get_u32_le();
        let body_crc = rest.get_u32_le();
        rest.advance(12);
        let crc = rest.get_u32_le();
        if crc32fast::hash(&bytes[..HEADER_CRC_AT]) != crc {
            return Found::Nothing;
        }
        let numbers = [incarnation, sequence, durable, file, oldest];
        if format == FORMAT && !numbers.into_iter().all(is_count) {
            return Found::Nothing;
        }
        let kind = match (format, kind, zero) {
            (FORMAT, 0, 0) => Kind::Records,
            (FORMAT, 1, 0) => Kind::FileStart,
            (FORMAT, 2, 0) => Kind::Seal,
            _ => return Found::Newer(format),
        };
        Found::Header(Header {
            kind,
            previous,
            id,
            incarnation,
            sequence,
            durable,
            file,
            oldest,
            body_length,
            body_crc,
            crc,
        })
    }
}

/// The number may count something.
fn is_count(number: u64) -> bool {
    number < NUMBER_END
}

/// Bytes in its file of a batch with so long a body.
pub(super) const fn batch_bytes(body_length: u64) -> u64 {
    (HEADER_BYTES as u64 + body_length).next_multiple_of(BLOCK)
}

/// A group's state at the start of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) hard_state: HardState,
    pub(super) marker: Marker,
    /// The last entry's index; the marker's when there is no entry.
    pub(super) last_index: u64,
    pub(super) incomplete: bool,
}

/// What a record can be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// What was appended.
    Record(Record),
    /// What a file begins with.
    State(State),
}

/// What is wrong with a body whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// A kind or version from the future.
    Unknown { kind: u8, version: u8 },
    /// An entry whose bytes are of a kind from the future.
    UnknownEntry { kind: u8 },
    /// It does not parse: a bug of the server that wrote it.
    Wrong(&'static str),
}

/// Bytes of a record in a batch.
pub(super) fn record_bytes(record: &Record) -> usize {
    RECORD_HEADER_BYTES
        + match record {
            Record::Entry(entry) => 17 + entry.data.len(),
            Record::HardState(_) => 24,
            Record::Marker(marker) | Record::Reset(marker) => 16 + marker.state.len(),
            Record::Incomplete | Record::Healed => 0,
        }
}

/// Bytes of a state in a file start.
pub(super) fn state_bytes(state: &State) -> usize {
    RECORD_HEADER_BYTES + 24 + 8 + 1 + 16 + state.marker.state.len()
}

/// Appends a record to a batch. The caller has made room for [`record_bytes`].
pub(super) fn encode_record(buffer: &mut AlignedBuffer, group: GroupId, record: &Record) {
    let kind = match record {
        Record::Entry(_) => 1,
        Record::HardState(_) => 2,
        Record::Marker(_) => 3,
        Record::Reset(_) => 4,
        Record::Incomplete => 5,
        Record::Healed => 6,
    };
    encode_record_header(buffer, record_bytes(record), group, kind);
    match record {
        Record::Entry(entry) => {
            let mut fixed = [0; 17];
            fixed[0..8].copy_from_slice(&entry.index.to_le_bytes());
            fixed[8..16].copy_from_slice(&entry.term.to_le_bytes());
            fixed[16] = match entry.kind {
                EntryKind::Normal => 0,
                EntryKind::ConfChange => 1,
                EntryKind::ConfChangeV2 => 2,
            };
            buffer.extend(&fixed);
            buffer.extend(&entry.data);
        }
        Record::HardState(state) => encode_hard_state(buffer, state),
        Record::Marker(marker) | Record::Reset(marker) => encode_marker(buffer, marker),
        Record::Incomplete | Record::Healed => {}
    }
}

/// Appends a group's state to a file start.
pub(super) fn encode_state(buffer: &mut AlignedBuffer, group: GroupId, state: &State) {
    encode_record_header(buffer, state_bytes(state), group, 7);
    encode_hard_state(buffer, &state.hard_state);
    buffer.extend(&state.last_index.to_le_bytes());
    buffer.extend(&[u8::from(state.incomplete)]);
    encode_marker(buffer, &state.marker);
}

fn encode_record_header(buffer: &mut AlignedBuffer, bytes: usize, group: GroupId, kind: u8) {
    let length = u32::try_from(bytes - RECORD_HEADER_BYTES)
        .expect("append refuses records that are longer than a file");
    let mut header = [0; RECORD_HEADER_BYTES];
    header[0..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&group.0.to_le_bytes());
    header[8] = kind;
    header[9] = RECORD_VERSION;
    buffer.extend(&header);
}

fn encode_hard_state(buffer: &mut AlignedBuffer, state: &HardState) {
    buffer.extend(&state.term.to_le_bytes());
    buffer.extend(&state.vote.to_le_bytes());
    buffer.extend(&state.commit.to_le_bytes());
}

fn encode_marker(buffer: &mut AlignedBuffer, marker: &Marker) {
    buffer.extend(&marker.index.to_le_bytes());
    buffer.extend(&marker.term.to_le_bytes());
    buffer.extend(&marker.state);
}

/// Takes the next record off a body, one from the future too; the entries' data share the body's memory.
pub(super) fn decode_record(body: &mut Bytes) -> Result<(GroupId, Body), Malformed> {
    if body.len() < RECORD_HEADER_BYTES {
        return Err(Malformed::Wrong("a record's header is cut off"));
    }
    let length = body.get_u32_le();
    let group = GroupId(body.get_u32_le());
    let kind = body.get_u8();
    let version = body.get_u8();
    let zero = body.get_u16_le();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if version != RECORD_VERSION || zero != 0 {
        body.advance(length.min(body.len()));
        return Err(Malformed::Unknown { kind, version });
    }
    if length > body.len() {
        return Err(Malformed::Wrong("a record is longer than its batch"));
    }
    let mut rest = body.split_to(length);
    let decoded = match kind {
        1 => decode_entry(&mut rest)?.map(Record::Entry),
        2 => decode_hard_state(&mut rest).map(Record::HardState),
        3 => decode_marker(&mut rest).map(Record::Marker),
        4 => decode_marker(&mut rest).map(Record::Reset),
        5 => Some(Record::Incomplete),
        6 => Some(Record::Healed),
        7 => {
            let state = decode_state(&mut rest).ok_or(Malformed::Wrong("a state is malformed"))?;
            return Ok((group, Body::State(state)));
        }
        _ => return Err(Malformed::Unknown { kind, version }),
    };
    match decoded {
        Some(record) if rest.is_empty() => Ok((group, Body::Record(record))),
        _ => Err(Malformed::Wrong(
            "a record has the wrong length, or false numbers",
        )),
    }
}

fn decode_entry(rest: &mut Bytes) -> Result<Option<Entry>, Malformed> {
    if rest.len() < 17 {
        return Ok(None);
    }
    let index = rest.get_u64_le();
    let term = rest.get_u64_le();
    let kind = match rest.get_u8() {
        0 => EntryKind::Normal,
        1 => EntryKind::ConfChange,
        2 => EntryKind::ConfChangeV2,
        kind => return Err(Malformed::UnknownEntry { kind }),
    };
    let data = rest.split_to(rest.len());
    let entry = Entry {
        index,
        term,
        kind,
        data,
    };
    Ok(Some(entry).filter(|_| is_count(index) && is_count(term)))
}

fn decode_hard_state(rest: &mut Bytes) -> Option<HardState> {
    if rest.len() < 24 {
        return None;
    }
    let term = rest.get_u64_le();
    let vote = rest.get_u64_le();
    let commit = rest.get_u64_le();
    (is_count(term) && is_count(commit)).then_some(HardState { term, vote, commit })
}

fn decode_marker(rest: &mut Bytes) -> Option<Marker> {
    if rest.len() < 16 || rest.len() - 16 > STATE_BYTES_MAX {
        return None;
    }
    let index = rest.get_u64_le();
    let term = rest.get_u64_le();
    // Copied: a marker outlives the megabyte it was read with.
    let state = Bytes::copy_from_slice(&rest.split_to(rest.len()));
    (is_count(index) && is_count(term)).then_some(Marker { index, term, state })
}

fn decode_state(rest: &mut Bytes) -> Option<State> {
    let hard_state = decode_hard_state(rest)?;
    if rest.len() < 9 {
        return None;
    }
    let last_index = Some(rest.get_u64_le()).filter(|index| is_count(*index))?;
    let incomplete = match rest.get_u8() {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(State {
        hard_state,
        marker: decode_marker(rest)?,
        last_index,
        incomplete,
    })
}

#[cfg(test)]
mod tests;
