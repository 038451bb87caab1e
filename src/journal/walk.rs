//! Follows the chain of batches from the oldest needed file to its end, and judges the end.
//!
//! The next batch lies right behind the last one, or at the start of another file; it is the next one when it
//! names the last header's checksum, and its sequence follows (in the same incarnation) or is higher (in a
//! later one), and its body's checksum is right. Where there is none the chain ends: in **damage** when any
//! header in the folder says that a batch from there on was acknowledged, and otherwise in a **tail** that was
//! in flight at the crash.

use std::path::PathBuf;

use bytes::Bytes;

use super::format::{BLOCK, Header};
use super::survey::{CHUNK_BYTES, Survey, read};
use super::{Damage, OpenError};
use crate::disk::{self, Class, Disk};

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the survey's slots.
    pub(super) slot: usize,
    /// The batch's first byte in it.
    pub(super) position: u64,
}

/// A file the walk went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalkedFile {
    pub(super) slot: usize,
    pub(super) number: u64,
    pub(super) start_sequence: u64,
}

/// How the walk ended.
#[derive(Debug)]
pub(super) struct Walked {
    /// In the order of their numbers.
    pub(super) files: Vec<WalkedFile>,
    /// The last good batch; none when the very first was not good.
    pub(super) last: Option<Header>,
    /// Where the next batch was expected.
    pub(super) end: Place,
    /// What is wrong there; `None` for a tail.
    pub(super) damage: Option<Damage>,
    /// Whole headers of batches that were in flight behind the end.
    pub(super) batches_behind: u64,
}

/// Walks, and shows each good batch's body to `visit`.
///
/// # Errors
/// What the disk or `visit` says.
pub(super) fn walk(
    disk: &mut dyn Disk,
    survey: &Survey,
    visit: &mut dyn FnMut(Place, &Header, Bytes) -> Result<(), OpenError>,
) -> Result<Walked, OpenError> {
    let mut reader = Reader::default();
    let mut walked = Walked {
        files: Vec::new(),
        last: None,
        end: Place {
            slot: 0,
            position: 0,
        },
        damage: None,
        batches_behind: 0,
    };
    let what = loop {
        let mut what = "there is no whole header";
        let mut good = None;
        for (place, header) in candidates(survey, &walked) {
            walked.end = place;
            good = reader
                .body(disk, survey, place, &header)?
                .map(|body| (place, header, body));
            if good.is_some() {
                break;
            }
            what = "its body does not match its checksum";
        }
        let Some((place, header, body)) = good else {
            break what;
        };
        visit(place, &header, body)?;
        if place.position == 0 {
            let file = WalkedFile {
                slot: place.slot,
                number: header.file,
                start_sequence: header.sequence,
            };
            walked.files.push(file);
        }
        walked.end = Place {
            position: place.position + header.batch_bytes(),
            ..place
        };
        walked.last = Some(header);
    };
    judge(survey, &mut walked, what);
    Ok(walked)
}

/// What may follow in the chain, by its header: the batch behind the last one, or the start of another file.
///
/// Two can follow where an opening has accepted a loss: it began a file, and what it cut off is still there.
/// The later incarnation's comes first, because it knew of the other.
fn candidates(survey: &Survey, walked: &Walked) -> Vec<(Place, Header)> {
    let starts = survey
        .slots
        .iter()
        .enumerate()
        .filter_map(|(slot, surveyed)| Some((Place { slot, position: 0 }, surveyed.start()?)));
    let Some(last) = walked.last else {
        return starts
            .filter(|(_, header)| header.file == survey.oldest)
            .collect();
    };
    let behind = survey.slots[walked.end.slot].header(walked.end.position);
    let behind = behind
        .filter(|header| header.file == last.file)
        .map(|header| (walked.end, header));
    let starts = starts.filter(|(_, header)| header.file > last.file);
    let mut following: Vec<(Place, Header)> = starts
        .chain(behind)
        .filter(|(_, header)| follows(&last, header))
        .collect();
    following.sort_by_key(|(_, header)| std::cmp::Reverse(header.incarnation));
    following
}

/// `next` is the batch after `last`.
fn follows(last: &Header, next: &Header) -> bool {
    let in_order = if next.incarnation == last.incarnation {
        next.sequence == last.sequence + 1
    } else {
        next.incarnation > last.incarnation && next.sequence > last.sequence
    };
    in_order && next.previous == last.crc
}

/// Tells damage from a tail.
fn judge(survey: &Survey, walked: &mut Walked, what: &str) {
    let sequence = walked.last.map_or(1, |last| last.sequence + 1);
    let incarnation = walked.last.map_or(0, |last| last.incarnation);
    let behind = |header: &Header| header.sequence >= sequence && header.incarnation >= incarnation;
    walked.batches_behind = survey
        .headers()
        .filter(|(_, _, header)| behind(header))
        .count() as u64;
    if survey.durable < sequence && walked.last.is_some() {
        return;
    }
    let (path, position) = suspect(survey, walked, sequence);
    let what = what.to_owned();
    walked.damage = Some(Damage {
        path,
        position,
        sequence,
        acknowledged: survey.durable,
        what,
    });
}

/// Where the unreadable batch lies: behind the last good one, unless the next that can be read is in a later
/// file, which then has lost its beginning.
fn suspect(survey: &Survey, walked: &Walked, sequence: u64) -> (PathBuf, u64) {
    let Some(last) = walked.last else {
        let mut of_oldest = survey
            .headers()
            .filter(|(_, _, header)| header.file == survey.oldest);
        let without_start = || survey.slots.iter().find(|slot| slot.start().is_none());
        let slot = of_oldest
            .next()
            .map(|(slot, _, _)| slot)
            .or_else(without_start);
        return (slot.map_or_else(PathBuf::new, |slot| slot.path.clone()), 0);
    };
    let after = survey
        .headers()
        .filter(|(_, _, header)| header.sequence > sequence);
    match after.min_by_key(|(_, _, header)| header.sequence) {
        Some((slot, position, header)) if header.file > last.file && position > 0 => {
            (slot.path.clone(), 0)
        }
        _ => (
            survey.slots[walked.end.slot].path.clone(),
            walked.end.position,
        ),
    }
}

/// Reads bodies through one chunk, so that small batches do not cost a read each.
#[derive(Default)]
pub(super) struct Reader {
    slot: usize,
    position: u64,
    chunk: Bytes,
}

impl Reader {
    /// The body of a batch, or nothing when it is not what its header says.
    pub(super) fn body(
        &mut self,
        disk: &mut dyn Disk,
        survey: &Survey,
        place: Place,
        header: &Header,
    ) -> Result<Option<Bytes>, disk::Error> {
        let slot = &survey.slots[place.slot];
        let length = header.batch_bytes();
        // The length is believed only as far as the file reaches.
        if length > slot.length.saturating_sub(place.position) {
            return Ok(None);
        }
        let length = usize::try_from(length).expect("a batch of a u32 length fits");
        let held = place.slot == self.slot && place.position >= self.position;
        let offset = usize::try_from(place.position.saturating_sub(self.position)).ok();
        let offset = match offset.filter(|offset| held && offset + length <= self.chunk.len()) {
            Some(offset) => offset,
            None => {
                let wanted = length.max(CHUNK_BYTES);
                let read = match read(disk, slot.file, place.position, wanted) {
                    // Something else in the chunk may be unreadable; this batch perhaps not.
                    Err(error) if error.class == Class::Damaged => {
                        read(disk, slot.file, place.position, length)
                    }
                    result => result,
                };
                match read {
                    Ok(chunk) => self.chunk = chunk,
                    Err(error) if error.class == Class::Damaged => return Ok(None),
                    Err(error) => return Err(error),
                }
                self.slot = place.slot;
                self.position = place.position;
                0
            }
        };
        debug_assert!(
            place.position.is_multiple_of(BLOCK),
            "batches begin at blocks"
        );
        Ok(header.body(&self.chunk, offset))
    }
}
