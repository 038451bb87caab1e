//! What is in a journal's files, for people: the chain batch by batch, how it ends, and what lies behind.
//!
//! Only reads. It may be used on a server's files while it runs; then the end may be in the middle of a batch.

use std::path::{Path, PathBuf};

use super::format::{Body, Header, Kind};
use super::identity::{self, Identity};
use super::open::{lost_entries, read_batch, read_identity};
use super::replay::Replay;
use super::survey::{Survey, survey};
use super::walk::{Place, Reader, walk};
use super::{Damage, EntryKind, OpenError, Record};
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
}

/// Shows every batch of the journal in `folder`, in order; those behind the chain's end last.
///
/// # Errors
/// The files cannot be read, or are of a newer version. Damage is no error here but part of the answer.
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
        let none = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(disk::Error::new("find a journal in", folder, none).into());
    }
    let mut replay = Replay::default();
    let mut contradiction = None;
    let walked = walk(disk, &survey, &mut |place, header, body| {
        let mut batch = describe(&survey, place, header, false);
        let taken = read_batch(&survey, place, header, body, &mut |group, body| {
            batch.records.push((group, record(&body)));
            replay.apply(group, body).map(|_| ())
        });
        show(batch);
        match taken {
            Err(OpenError::Damaged(damage)) => {
                contradiction.get_or_insert(damage);
                Ok(())
            }
            taken => taken,
        }
    })?;
    let lost = lost_entries(&survey, &walked, &replay);
    let damage = contradiction.or(walked.damage).or(lost);
    let last = walked
        .last
        .map_or((0, 0), |last| (last.incarnation, last.sequence));
    behind(disk, &survey, last, show)?;
    let end = survey.slots.get(walked.end.slot);
    let path = end.map_or_else(|| folder.to_path_buf(), |slot| slot.path.clone());
    Ok(DumpEnd {
        path,
        position: walked.end.position,
        sequence: last.1,
        damage,
    })
}

/// Shows what can be read behind the last good batch.
fn behind(
    disk: &mut dyn Disk,
    survey: &Survey,
    last: (u64, u64),
    show: &mut dyn FnMut(DumpedBatch),
) -> Result<(), OpenError> {
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
    for (place, header) in later {
        let Some(body) = reader.body(disk, survey, place, &header)? else {
            continue;
        };
        let mut batch = describe(survey, place, &header, true);
        let read = read_batch(survey, place, &header, body, &mut |group, body| {
            batch.records.push((group, record(&body)));
            Ok(())
        });
        match read {
            Ok(()) | Err(OpenError::Damaged(_)) => show(batch),
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
