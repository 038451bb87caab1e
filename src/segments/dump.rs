//! A segment file as a list of records, for people.
//!
//! Unlike a reader that serves clients, a dump goes on behind damage: it looks for the next place where a
//! record begins, so that one bad byte does not hide the rest.

use bytes::Bytes;

use super::format::{DATA_BYTES_MAX, HEADER_BYTES, Header};
use super::walk::{Fault, Step, Walker};

/// One line of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A valid record.
    Record {
        /// Its offset in the partition.
        offset: u64,
        /// Its header.
        header: Header,
        /// The attribute, if it has one that is well formed.
        attribute: Option<String>,
        /// The payload: the data without the attribute block.
        payload: Bytes,
    },
    /// Bytes that are no record.
    Damage {
        /// The offset of the first of them.
        offset: u64,
        /// How many.
        bytes: u64,
        /// What is wrong with the first record.
        fault: Fault,
    },
}

/// The records of a segment file that begins at `start` and holds `bytes`.
pub fn segment(start: u64, bytes: Bytes) -> impl Iterator<Item = Entry> {
    let mut position = 0;
    std::iter::from_fn(move || {
        if position >= bytes.len() {
            return None;
        }
        let offset = start + position as u64;
        match step_at(&bytes, position) {
            Ok(header) => {
                let data_from = position + HEADER_BYTES;
                position = data_from + header.length as usize;
                let (attribute, payload) = split(header.flag, bytes.slice(data_from..position));
                Some(Entry::Record {
                    offset,
                    header,
                    attribute,
                    payload,
                })
            }
            Err(fault) => {
                let next = next_record_after(&bytes, position).unwrap_or(bytes.len());
                let damaged = (next - position) as u64;
                position = next;
                Some(Entry::Damage {
                    offset,
                    bytes: damaged,
                    fault,
                })
            }
        }
    })
}

/// The first position after `position` where a valid record with data begins. Records without data are
/// passed over, because any run of zeros looks like them, and so are those that no default client could
/// decode, because summing up every imagined one would take for ever.
pub fn next_record_after(bytes: &[u8], position: usize) -> Option<usize> {
    let last = bytes.len().checked_sub(HEADER_BYTES)?;
    (position + 1..=last)
        .find(|&at| likely_record(&bytes[at..]).is_some() && is_record(&bytes[at..]))
}

/// The header at the front of `bytes`, if it may be one of a record with data.
pub(super) fn likely_record(bytes: &[u8]) -> Option<Header> {
    bytes
        .first_chunk()
        .and_then(Header::decode)
        .filter(|header| {
            (1..=DATA_BYTES_MAX).contains(&(header.length as usize)) && header.checksum >= 0
        })
}

/// Whether a whole and valid record is at the front of `bytes`.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    step_at(bytes, 0).is_ok()
}

fn step_at(bytes: &[u8], position: usize) -> Result<Header, Fault> {
    let mut walker = Walker::new(position as u64, bytes.len() as u64);
    match walker.feed(&mut &bytes[position..]) {
        Some(Step::Record { header, .. }) => Ok(header),
        Some(Step::Hole { .. }) => Err(Fault::Zeros),
        Some(Step::Fault { fault, .. }) => Err(fault),
        None => Err(Fault::ShortHeader),
    }
}

/// Attribute and payload of a record's data. Data that is not what its flag says is all payload.
pub fn split(flag: i32, data: Bytes) -> (Option<String>, Bytes) {
    if flag & 1 == 0 {
        return (None, data);
    }
    let attribute = data.first_chunk::<4>().and_then(|length| {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let end = length.checked_add(4)?;
        let text = String::from_utf8(data.get(4..end)?.to_vec()).ok()?;
        Some((text, end))
    });
    match attribute {
        Some((text, end)) => (Some(text), data.slice(end..)),
        None => (None, data),
    }
}
