//! What is in a journal's files, for people: the chain batch by batch, how it ends, and what lies behind.
//!
//! Only reads. It may be used on a server's files while it runs; then the end may be in the middle of a batch. What
//! a later version wrote is shown as what is not known, and the rest all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::format::{Body, Header, Kind, Malformed, decode_record};
use super::identity::{self, Identity};
use super::open::{lost_entries, newer, read_identity};
use super::replay::Replay;
use super::survey::{CHUNK_BYTES, Survey, survey, survey_beginnings};
use super::walk::{Place, Reader, walk};
use super::{Damage, OpenError};
use crate::consensus::{EntryKind, Record};
use crate::disk::{self, Disk, Mode};
use crate::units::GroupId;

/// A batch, and whether it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedBatch {
    /// The file.
    pub path: PathBuf,
    /// Its first byte.
    pub position: u64,
    /// Its bytes, header and padding included.
    pub bytes: u64,
    /// `records`, `file start` or `seal`.
    pub kind: &'static str,
    /// The opening that wrote it.
    pub incarnation: u64,
    /// Its number.
    pub sequence: u64,
    /// The last batch that was known durable when it was written.
    pub durable: u64,
    /// The file's number.
    pub file: u64,
    /// The number of the oldest file that was needed then.
    pub oldest: u64,
    /// It lies behind the end of the chain: lost if the end is damage, never acknowledged if it is a tail.
    pub behind: bool,
    /// What is in it.
    pub records: Vec<(GroupId, DumpedRecord)>,
}

/// A record, without the entries' data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpedRecord {
    /// An entry.
    Entry {
        /// Its number.
        index: u64,
        /// Its term.
        term: u64,
        /// What its bytes are.
        kind: EntryKind,
        /// How many there are.
        bytes: usize,
    },
    /// Any other record.
    Other(Record),
    /// One that only a later version knows.
    Newer {
        /// Its number, or none for an entry of which only the kind of bytes is not known.
        kind: Option<u8>,
    },
    /// A group's state at the start of a file.
    State {
        /// The newest term.
        term: u64,
        /// The vote in it.
        vote: u64,
        /// The commit index.
        commit: u64,
        /// The marker's index.
        marker: u64,
        /// The last entry's index.
        last: u64,
        /// It may have lost something.
        incomplete: bool,
    },
}

/// How the chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpEnd {
    /// The file.
    pub path: PathBuf,
    /// The first byte that does not count.
    pub position: u64,
    /// The last good batch.
    pub sequence: u64,
    /// What is damaged; `None` for a clean end or a torn tail.
    pub damage: Option<Damage>,
    /// The first record that only a later version knows. What follows from the records was not judged then.
    pub newer: Option<String>,
}

/// Shows every batch of the journal in `folder`, in order; those behind the chain's end last.
///
/// # Errors
/// The files cannot be read, or are of a newer format. Damage is no error here but part of the answer, and so are
/// records of a newer version.
pub fn dump(
    disk: &mut dyn Disk,
    folder: &Path,
    show: &mut dyn FnMut(DumpedBatch),
) -> Result<DumpEnd, OpenError> {
    let id = match read_identity(disk, folder)? {
        Some(Identity::Known(id)) => Some(id),
        Some(Identity::Newer(format)) => {
            let path = folder.join(identity::NAME);
            return Err(OpenError::Newer {
                path,
                what: format!("the journal is of format {format}"),
            });
        }
        Some(Identity::Damaged) | None => None,
    };
    let survey = survey(disk, folder, id, Mode::ReadOnly)?;
    if survey.slots.is_empty() {
        let none = std::io::Error::new(std::io::ErrorKind::NotFound, "there is none");
        return Err(disk::Error::new("find a journal in", folder, none).into());
    }
    let mut replay = Replay::default();
    let mut wrong = Wrong::default();
    let walked = walk(disk, &survey, &mut |place, header, body| {
        let mut batch = describe(&survey, place, header, false);
        let blind = wrong.newer.is_some();
        let found = take_apart(
            &survey,
            (place, header),
            body,
            &mut batch,
            &mut |group, body| {
                if blind {
                    return Ok(());
                }
                replay.apply(group, body).map(|_| ())
            },
        );
        wrong.first(found);
        show(batch);
        Ok(())
    })?;
    // What an unknown record changes is unknown too.
    let lost = lost_entries(&survey, &walked, &replay).filter(|_| wrong.newer.is_none());
    let last = walked
        .last
        .map_or((0, 0), |last| (last.incarnation, last.sequence));
    wrong.newer = wrong
        .newer
        .or(behind(disk, &survey, last, show, &mut |_, _| ())?);
    let damage = wrong.contradiction.or(walked.damage).or(lost);
    let end = survey.slots.get(walked.end.slot);
    let path = end.map_or_else(|| folder.to_path_buf(), |slot| slot.path.clone());
    Ok(DumpEnd {
        path,
        position: walked.end.position,
        sequence: last.1,
        damage,
        newer: wrong.newer,
    })
}

/// The groups that have something in the beginnings of a journal's files: all there are, because each file begins
/// with every group's state, and the very first one with what they were founded with. Only reads, and little.
///
/// # Errors
/// As [`dump`].
pub fn groups(disk: &mut dyn Disk, folder: &Path) -> Result<BTreeSet<GroupId>, OpenError> {
    let mut groups = BTreeSet::new();
    let Some(Identity::Known(id)) = read_identity(disk, folder)? else {
        return Ok(groups);
    };
    let bytes_max = CHUNK_BYTES as u64;
    let survey = survey_beginnings(disk, folder, Some(id), Mode::ReadOnly, bytes_max)?;
    let mut reader = Reader::default();
    for (slot, surveyed) in survey.slots.iter().enumerate() {
        for (position, header) in &surveyed.headers {
            let place = Place {
                slot,
                position: *position,
            };
            let Some(body) = reader.body(disk, &survey, place, header)? else {
                continue;
            };
            let mut batch = describe(&survey, place, header, false);
            take_apart(
                &survey,
                (place, header),
                body,
                &mut batch,
                &mut |group, _| {
                    groups.insert(group);
                    Ok(())
                },
            );
        }
    }
    Ok(groups)
}

/// What is wrong with records whose checksum is right.
#[derive(Default)]
struct Wrong {
    contradiction: Option<Damage>,
    /// A later version's record, in words.
    newer: Option<String>,
}

impl Wrong {
    /// Keeps what was found first. A contradiction behind a later version's record says nothing.
    fn first(&mut self, found: Wrong) {
        if self.newer.is_none() {
            self.contradiction = self.contradiction.take().or(found.contradiction);
            self.newer = found.newer;
        }
    }
}

/// Takes a good batch apart: all records that can be told from each other, whoever knows them.
fn take_apart(
    survey: &Survey,
    (place, header): (Place, &Header),
    mut body: Bytes,
    batch: &mut DumpedBatch,
    take: &mut dyn FnMut(GroupId, Body) -> Result<(), String>,
) -> Wrong {
    let mut wrong = Wrong::default();
    while !body.is_empty() {
        let group = body.get(4..8).and_then(|group| group.try_into().ok());
        let group = GroupId(group.map_or(0, u32::from_le_bytes));
        let what = match decode_record(&mut body) {
            Ok((group, body)) => {
                batch.records.push((group, record(&body)));
                match take(group, body) {
                    Err(what) if wrong.newer.is_none() => what,
                    _ => continue,
                }
            }
            Err(Malformed::Wrong(what)) => what.to_owned(),
            Err(unknown) => {
                let kind = match unknown {
                    Malformed::Unknown { kind, .. } => Some(kind),
                    _ => None,
                };
                batch.records.push((group, DumpedRecord::Newer { kind }));
                let newer = newer(survey, place, &unknown).to_string();
                wrong.newer.get_or_insert(newer);
                continue;
            }
        };
        wrong.contradiction.get_or_insert(Damage {
            path: batch.path.clone(),
            position: place.position,
            sequence: header.sequence,
            acknowledged: survey.durable,
            what,
        });
        break;
    }
    wrong
}

/// Shows what can be read behind the last good batch, and hands out its records. Gives back the first record that only a later
/// version knows.
pub(super) fn behind(
    disk: &mut dyn Disk,
    survey: &Survey,
    last: (u64, u64),
    show: &mut dyn FnMut(DumpedBatch),
    take: &mut dyn FnMut(GroupId, Body),
) -> Result<Option<String>, OpenError> {
    let mut later: Vec<(Place, Header)> = Vec::new();
    for (slot, surveyed) in survey.slots.iter().enumerate() {
        for (position, header) in &surveyed.headers {
            if header.incarnation >= last.0 && header.sequence > last.1 {
                later.push((
                    Place {
                        slot,
                        position: *position,
                    },
                    *header,
                ));
            }
        }
    }
    later.sort_by_key(|(_, header)| (header.incarnation, header.sequence));
    let mut reader = Reader::default();
    let mut wrong = Wrong::default();
    for (place, header) in later {
        let Some(body) = reader.body(disk, survey, place, &header)? else {
            continue;
        };
        let mut batch = describe(survey, place, &header, true);
        let found = take_apart(
            survey,
            (place, &header),
            body,
            &mut batch,
            &mut |group, body| {
                take(group, body);
                Ok(())
            },
        );
        wrong.first(found);
        show(batch);
    }
    Ok(wrong.newer)
}

fn describe(survey: &Survey, place: Place, header: &Header, behind: bool) -> DumpedBatch {
    DumpedBatch {
        path: survey.slots[place.slot].path.clone(),
        position: place.position,
        bytes: header.batch_bytes(),
        kind: match header.kind {
            Kind::Records => "records",
            Kind::FileStart => "file start",
            Kind::Seal => "seal",
        },
        incarnation: header.incarnation,
        sequence: header.sequence,
        durable: header.durable,
        file: header.file,
        oldest: header.oldest,
        behind,
        records: Vec::new(),
    }
}

fn record(body: &Body) -> DumpedRecord {
    match body {
        Body::Record(Record::Entry(entry)) => DumpedRecord::Entry {
            index: entry.index,
            term: entry.term,
            kind: entry.kind,
            bytes: entry.data.len(),
        },
        Body::Record(record) => DumpedRecord::Other(record.clone()),
        Body::State(state) => DumpedRecord::State {
            term: state.hard_state.term,
            vote: state.hard_state.vote,
            commit: state.hard_state.commit,
            marker: state.marker.index,
            last: state.last_index,
            incomplete: state.incomplete,
        },
    }
}
