//! Every header in the folder, wherever it lies, and the highest numbers among them.
//!
//! Read before anything is believed: what is written next must be above everything found, and a batch that
//! cannot be read is damage exactly when some header anywhere says that it was acknowledged.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::OpenError;
use super::format::{BLOCK, Found, HEADER_BYTES, Header, Kind};
use crate::disk::{self, Class, Disk, Mode, Operation, Outcome};

/// How much is read at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// One file of the folder.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: PathBuf,
    pub(super) file: disk::File,
    pub(super) length: u64,
    pub(super) direct: bool,
    /// The headers in it by position, of any use the file ever had.
    pub(super) headers: Vec<(u64, Header)>,
}

impl Slot {
    /// The header that lies at `position`.
    pub(super) fn header(&self, position: u64) -> Option<Header> {
        let found = self
            .headers
            .binary_search_by_key(&position, |(position, _)| *position)
            .ok()?;
        Some(self.headers[found].1)
    }

    /// The header the file begins with.
    pub(super) fn start(&self) -> Option<Header> {
        self.header(0)
            .filter(|header| header.kind == Kind::FileStart)
    }
}

/// The whole folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) slots: Vec<Slot>,
    /// The highest of each number that any header shows.
    pub(super) incarnation: u64,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) file: u64,
    /// The oldest file that is needed, as the newest header knows it. True also where that batch is torn: it was
    /// known durably before it was written.
    pub(super) oldest: u64,
}

impl Survey {
    /// Above every sequence that was ever given out, also where the batch itself is gone.
    pub(super) fn sequence_next(&self) -> u64 {
        self.sequence.max(self.durable) + 1
    }

    /// All headers with the slot they lie in.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&Slot, u64, &Header)> {
        self.slots.iter().flat_map(|slot| {
            slot.headers
                .iter()
                .map(move |(position, header)| (slot, *position, header))
        })
    }
}

/// The name of the n-th file.
pub(super) fn slot_name(number: usize) -> String {
    format!("{number:02}.journal")
}

pub(super) fn is_slot(name: &str) -> bool {
    let digits = name.strip_suffix(".journal");
    digits.is_some_and(|d| d.len() >= 2 && d.bytes().all(|b| b.is_ascii_digit()))
}

/// Reads the headers of journal `id` in all files of the folder; of any journal where `id` is not known.
///
/// # Errors
/// The disk fails otherwise than by unreadable sectors (those hold no header, and the walk will judge them), or
/// a header is of a newer format.
pub(super) fn survey(
    disk: &mut dyn Disk,
    folder: &Path,
    id: Option<[u8; 16]>,
    mode: Mode,
) -> Result<Survey, OpenError> {
    survey_beginnings(disk, folder, id, mode, u64::MAX)
}

/// The same for the first bytes of each file alone: what lies behind `bytes_max` is not looked at.
///
/// # Errors
/// As [`survey`].
pub(super) fn survey_beginnings(
    disk: &mut dyn Disk,
    folder: &Path,
    id: Option<[u8; 16]>,
    mode: Mode,
    bytes_max: u64,
) -> Result<Survey, OpenError> {
    let mut survey = Survey::default();
    let entries = disk::folder::entries(disk, folder)?;
    for entry in entries
        .iter()
        .filter(|entry| !entry.folder && is_slot(&entry.name))
    {
        let path = folder.join(&entry.name);
        let file = disk.reserve();
        let opened = disk.run(Operation::Open {
            file,
            path: path.clone(),
            mode,
        })?;
        let Outcome::Opened { direct, length, .. } = opened else {
            unreachable!("an open opens")
        };
        let mut slot = Slot {
            path,
            file,
            length,
            direct,
            headers: Vec::new(),
        };
        let mut position = 0;
        while position < length.min(bytes_max) {
            let chunk = read_tolerant(disk, file, position, CHUNK_BYTES)?;
            collect(&mut slot, position, &chunk, id)?;
            position += CHUNK_BYTES as u64;
        }
        for (_, header) in &slot.headers {
            survey.incarnation = survey.incarnation.max(header.incarnation);
            survey.sequence = survey.sequence.max(header.sequence);
            survey.durable = survey.durable.max(header.durable);
            survey.file = survey.file.max(header.file);
        }
        survey.slots.push(slot);
    }
    let newest = survey
        .headers()
        .max_by_key(|(_, _, h)| (h.incarnation, h.sequence));
    survey.oldest = newest.map_or(0, |(_, _, header)| header.oldest);
    Ok(survey)
}

/// Finds the headers in a chunk.
fn collect(
    slot: &mut Slot,
    position: u64,
    chunk: &[u8],
    id: Option<[u8; 16]>,
) -> Result<(), OpenError> {
    let mut at = position;
    for block in chunk.chunks(usize::try_from(BLOCK).expect("4096 fits")) {
        match Header::decode(&block[..block.len().min(HEADER_BYTES)]) {
            Found::Header(header) if id.is_none_or(|id| id == header.id) => {
                slot.headers.push((at, header));
            }
            Found::Newer(format) => {
                let what = format!("the batch at byte {at} is of format {format}");
                return Err(OpenError::Newer {
                    path: slot.path.clone(),
                    what,
                });
            }
            Found::Header(_) | Found::Nothing => {}
        }
        at += BLOCK;
    }
    Ok(())
}

/// Reads a range; blocks that the medium cannot give read as zeros.
fn read_tolerant(
    disk: &mut dyn Disk,
    file: disk::File,
    position: u64,
    length: usize,
) -> Result<Bytes, disk::Error> {
    match read(disk, file, position, length) {
        Err(error) if error.class == Class::Damaged => {}
        result => return result,
    }
    let block = usize::try_from(BLOCK).expect("4096 fits");
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        match read(disk, file, position + bytes.len() as u64, block) {
            Ok(read) if read.is_empty() => break,
            Ok(read) => bytes.extend_from_slice(&read),
            Err(error) if error.class == Class::Damaged => bytes.resize(bytes.len() + block, 0),
            Err(error) => return Err(error),
        }
    }
    Ok(Bytes::from(bytes))
}

/// Reads a range.
pub(super) fn read(
    disk: &mut dyn Disk,
    file: disk::File,
    position: u64,
    length: usize,
) -> Result<Bytes, disk::Error> {
    match disk.run(Operation::Read {
        file,
        position,
        length,
    })? {
        Outcome::Read(bytes) => Ok(bytes),
        _ => unreachable!("a read reads"),
    }
}
