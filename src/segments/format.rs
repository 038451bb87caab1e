//! One record and the names of files and folders, exactly as Metamorphosis has them. Integers are
//! big-endian.
//!
//! ```text
//!   byte   0         4           8             16       20
//!          +---------+-----------+-------------+--------+------------------+
//!          | length  | checksum  | message id  | flag   | data             |
//!          | i32     | i32       | i64         | i32    | `length` bytes   |
//!          +---------+-----------+-------------+--------+------------------+
//! ```
//!
//! `checksum` is the crc32 of the data alone with its top bit cleared: clients hold it in a signed int and
//! take -1 for "not given". Id and flag are not covered. Records follow each other without a gap. Metamorphosis
//! takes twenty zero bytes for an empty message with the id 0, so a file is never preallocated or filled; here
//! they are a hole ([`Header::is_hole`]).

use bytes::Bytes;

/// Bytes before the data of a record.
pub const HEADER_BYTES: usize = 20;

/// The longest data a default client can decode (2 MiB); a longer record would stop its consumer for ever.
pub const DATA_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The ending of a segment file's name.
pub const SUFFIX: &str = ".meta";

/// The checksum of a record's data.
pub fn checksum(data: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(data) & 0x7fff_ffff).expect("31 bits fit")
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of data that follow.
    pub length: u32,
    /// [`checksum`] of the data.
    pub checksum: i32,
    /// The message id; negative ones exist in files that Java wrote.
    pub message_id: i64,
    /// Bit 0: the data begins with an attribute block.
    pub flag: i32,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.checksum.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.message_id.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.flag.to_be_bytes());
        bytes
    }

    /// Reads a header; `None` when the length is negative. The checksum is compared by [`next_record`].
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        let [i, j, k, l, m, n, o, p, q, r, s, t] = rest;
        let length = u32::from_be_bytes([a, b, c, d]);
        i32::try_from(length).ok()?;
        Some(Header {
            length,
            checksum: i32::from_be_bytes([e, f, g, h]),
            message_id: i64::from_be_bytes([i, j, k, l, m, n, o, p]),
            flag: i32::from_be_bytes([q, r, s, t]),
        })
    }

    /// All zeros: what a file system leaves of a write that did not reach the disk. No message looks so, although
    /// its checksum would be right: none has the id 0. Ours are positive, and the original's counts milliseconds since
    /// one in April 2011, or (since 1.4.5) is negative for the first 41 years that a machine is up.
    pub fn is_hole(&self) -> bool {
        self.encode() == [0; HEADER_BYTES]
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }
}

/// A record and where it lies in the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its header.
    pub header: Header,
    /// Its data, attribute block included.
    pub data: Bytes,
}

/// What the next bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole, valid record; it was taken off the buffer.
    Record(Record),
    /// Not all bytes of a record; nothing was taken.
    Incomplete,
    /// No record: a negative length, or a checksum that does not match. Nothing was taken.
    Damaged,
}

/// Takes the next record off `bytes`, which is what a `value` reply or a segment file holds. A hole is one too: the
/// original sends it, and a client that took it for damage would not get past it.
pub fn next_record(bytes: &mut Bytes) -> Next {
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Next::Incomplete;
    };
    let Some(header) = Header::decode(head) else {
        return Next::Damaged;
    };
    let Ok(length) = usize::try_from(header.length) else {
        return Next::Damaged;
    };
    if bytes.len() - HEADER_BYTES < length {
        return Next::Incomplete;
    }
    if checksum(&bytes[HEADER_BYTES..HEADER_BYTES + length]) != header.checksum {
        return Next::Damaged;
    }
    let mut record = bytes.split_to(HEADER_BYTES + length);
    Next::Record(Record {
        header,
        data: record.split_off(HEADER_BYTES),
    })
}

/// Where the last of these records begins; they are whole and their lengths are true.
pub fn last_record(records: &[u8]) -> u64 {
    let (mut last, mut at) = (0, 0);
    while let Some(length) = records.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        (last, at) = (at, at + HEADER_BYTES + length);
    }
    last as u64
}

/// The name of the segment file that begins at `start`: `00000000000000000000.meta`.
pub fn file_name(start: u64) -> String {
    format!("{start:020}{SUFFIX}")
}

/// The start of the segment with this file name; `None` for any other name (archived ones included).
pub fn file_start(name: &str) -> Option<u64> {
    file_number(name).filter(|start| file_name(*start) == name)
}

/// The number in a name that ends as a segment's does, however many digits it has: Metamorphosis takes `0.meta`
/// for the segment at 0, and never writes such a name.
pub fn file_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let start: u64 = if plain {
        digits.parse().ok()?
    } else {
        return None;
    };
    (start <= i64::MAX.unsigned_abs()).then_some(start)
}

/// The name of a partition's folder: `<topic>-<partition>`.
pub fn folder_name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Topic and partition of a folder: what is before and after the last `-`. `None` for names without one
/// and for what is not a partition number.
pub fn folder_partition(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let plain = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    // `test-01` is not the folder of partition 1: that is `test-1`, and there may be both.
    let padded = partition.len() > 1 && partition.starts_with('0');
    if topic.is_empty() || !plain || padded {
        return None;
    }
    Some((topic, partition.parse().ok()?))
}
