//! From a folder to a journal: survey, walk, judge, cut, and the first batch of a new incarnation.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::circle::{Circle, FoundSlot};
use super::dump::{self, DumpedRecord};
use super::format::{BLOCK, Body, Header, Kind, Malformed, decode_record};
use super::identity::{self, Identity};
use super::readback::Readings;
use super::replay::Replay;
use super::survey::{Survey, slot_name, survey};
use super::walk::{Place, Reader, Walked, walk};
use super::write::{Chain, Writer};
use super::{Current, Cut, Damage, Journal, Lost, OpenError, Options, Recovered, Salvage};
use crate::consensus::Record;
use crate::disk::{self, Class, Disk, Mode, Operation, Outcome};
use crate::units::GroupId;

pub(super) fn open(
    disk: &mut dyn Disk,
    options: Options,
    fresh_id: [u8; 16],
) -> Result<(Journal, Recovered), OpenError> {
    check(&options)?;
    disk.run(Operation::MakeFolder {
        path: options.folder.clone(),
    })?;
    if let Some(above) = options
        .folder
        .parent()
        .filter(|above| !above.as_os_str().is_empty())
    {
        disk.run(Operation::SyncFolder {
            path: above.to_path_buf(),
        })?;
    }
    // A process before this one may have ended between making a file and making its name last.
    disk.run(Operation::SyncFolder {
        path: options.folder.clone(),
    })?;
    let identity = read_identity(disk, &options.folder)?;
    let known = match identity {
        Some(Identity::Known(id)) => Some(id),
        Some(Identity::Newer(format)) => {
            let path = options.folder.join(identity::NAME);
            let what = format!("the journal is of format {format}");
            return Err(OpenError::Newer { path, what });
        }
        Some(Identity::Damaged) | None => None,
    };
    let survey = survey(disk, &options.folder, known, Mode::Durable)?;
    match (identity, known) {
        (_, Some(id)) => reopen(disk, options, survey, id, None),
        // A journal is named last when it is made: without a name, only its very first batch can be there.
        (None, None) if survey.sequence <= 1 => create(disk, options, survey, fresh_id),
        _ => rename(disk, options, survey, identity),
    }
}

/// Refuses options with which the circle cannot turn.
fn check(options: &Options) -> Result<(), OpenError> {
    let aligned = |bytes: u64| bytes >= 2 * BLOCK && bytes.is_multiple_of(BLOCK);
    if !aligned(options.first_file_bytes) || !aligned(options.file_bytes) {
        return Err(OpenError::Options(
            "a file has a multiple of 4096 bytes, at least two",
        ));
    }
    if !aligned(options.fill_step_bytes) && options.fill_step_bytes != BLOCK {
        return Err(OpenError::Options(
            "a step of filling has a multiple of 4096 bytes",
        ));
    }
    if options.first_file_bytes > options.file_bytes {
        return Err(OpenError::Options(
            "the first file is not longer than the others",
        ));
    }
    if options.files_max < 3 || options.in_flight_max == 0 {
        return Err(OpenError::Options(
            "there are at least three files, and one batch in flight",
        ));
    }
    if options.batch_bytes_max as u64 > options.file_bytes / 2 {
        return Err(OpenError::Options("a batch is not longer than half a file"));
    }
    Ok(())
}

/// What `journal.id` says; `None` when there is none.
pub(super) fn read_identity(
    disk: &mut dyn Disk,
    folder: &Path,
) -> Result<Option<Identity>, disk::Error> {
    let file = disk.reserve();
    let path = folder.join(identity::NAME);
    match disk.run(Operation::Open {
        file,
        path,
        mode: Mode::ReadOnly,
    }) {
        Err(error) if error.class == Class::Missing => return Ok(None),
        result => result?,
    };
    let read = disk.run(Operation::Read {
        file,
        position: 0,
        length: identity::BYTES_MAX,
    });
    disk.run(Operation::Close { file })?;
    match read {
        Ok(Outcome::Read(bytes)) => Ok(Some(identity::decode(&bytes))),
        Ok(_) => unreachable!("a read reads"),
        Err(error) if error.class == Class::Damaged => Ok(Some(Identity::Damaged)),
        Err(error) => Err(error),
    }
}

fn write_identity(disk: &mut dyn Disk, options: &Options, id: [u8; 16]) -> Result<(), disk::Error> {
    let path = options.folder.join(identity::NAME);
    let pieces = vec![identity::encode(id).into_bytes().into()];
    disk.run(Operation::Replace { path, pieces })?;
    Ok(())
}

/// The name is gone or unreadable, but batches are there: damage, unless the operator accepts it.
fn rename(
    disk: &mut dyn Disk,
    options: Options,
    survey: Survey,
    identity: Option<Identity>,
) -> Result<(Journal, Recovered), OpenError> {
    let gone = identity.is_none();
    let damage = Damage {
        path: options.folder.join(identity::NAME),
        position: 0,
        sequence: 0,
        acknowledged: survey.durable,
        what: if gone {
            "the file is missing"
        } else {
            "its check does not match"
        }
        .to_owned(),
    };
    let newest = survey
        .headers()
        .max_by_key(|(_, _, header)| header.sequence);
    match newest.map(|(_, _, header)| header.id) {
        Some(id) if options.accept_loss => {
            write_identity(disk, &options, id)?;
            reopen(disk, options, survey, id, Some(damage))
        }
        _ => {
            close(disk, &survey)?;
            Err(OpenError::Damaged(damage))
        }
    }
}

/// Lets go of the files.
fn close(disk: &mut dyn Disk, survey: &Survey) -> Result<(), disk::Error> {
    for slot in &survey.slots {
        disk.run(Operation::Close { file: slot.file })?;
    }
    Ok(())
}

/// Reads what a damaged journal still tells. Changes nothing.
pub(super) fn salvage(disk: &mut dyn Disk, folder: &Path) -> Result<Salvage, OpenError> {
    let options = Options {
        accept_loss: true,
        ..Options::new(folder)
    };
    let known = match read_identity(disk, folder)? {
        Some(Identity::Known(id)) => Some(id),
        Some(Identity::Newer(_) | Identity::Damaged) | None => None,
    };
    let mut survey = survey(disk, folder, known, Mode::ReadOnly)?;
    let salvaged = salvage_from(disk, &options, &mut survey);
    close(disk, &survey)?;
    salvaged
}

fn salvage_from(
    disk: &mut dyn Disk,
    options: &Options,
    survey: &mut Survey,
) -> Result<Salvage, OpenError> {
    let Read {
        replay,
        walked,
        lost,
        ..
    } = read(disk, options, survey)?;
    let damage = walked.damage.as_ref().or(lost.as_ref());
    let mut behind: Vec<(GroupId, Record)> = Vec::new();
    if let Some(damage) = damage {
        let before = damage.sequence.saturating_sub(1);
        let take = &mut |group, body| {
            behind.push(match body {
                Body::Record(record) => (group, record),
                Body::State(state) => (group, Record::Marker(state.marker)),
            });
        };
        dump::behind(disk, survey, (0, before), &mut |_| (), take)?;
    }
    Ok(Salvage {
        groups: replay.finish(),
        behind,
    })
}

/// Makes a journal: one small file with its start, then the name.
fn create(
    disk: &mut dyn Disk,
    options: Options,
    survey: Survey,
    id: [u8; 16],
) -> Result<(Journal, Recovered), OpenError> {
    let mut found: Vec<FoundSlot> = found_slots(&survey);
    let (file, path) = match found.first() {
        Some(slot) => (slot.file, slot.path.clone()),
        None => {
            let (file, path) = (disk.reserve(), options.folder.join(slot_name(0)));
            found.push(FoundSlot {
                path: path.clone(),
                file,
                length: 0,
            });
            (file, path)
        }
    };
    let opened = disk.run(Operation::Open {
        file,
        path,
        mode: Mode::Durable,
    })?;
    let Outcome::Opened { direct, .. } = opened else {
        unreachable!("an open opens")
    };
    let length = options.first_file_bytes;
    disk.run(Operation::Preallocate { file, length })?;
    disk.run(Operation::Fill {
        file,
        position: 0,
        length,
    })?;
    disk.run(Operation::SyncFolder {
        path: options.folder.clone(),
    })?;
    let length = length.max(found[0].length);
    found[0].length = length;
    let chain = Chain {
        id,
        incarnation: 1,
        sequence: 0,
        sequence_next: 1,
        previous: 0,
    };
    let mut writer = Writer::new(chain, BTreeMap::new());
    let mut current = Current {
        number: 1,
        file,
        position: 0,
        length,
        direct,
    };
    write_first(disk, &mut writer, &mut current, Kind::FileStart, 1)?;
    let mut circle = Circle::new(&options, found);
    circle.begin(1, 0, 1);
    write_identity(disk, &options, id)?;
    let recovered = Recovered {
        created: true,
        incarnation: 1,
        ..Recovered::default()
    };
    Ok((
        Journal {
            options,
            circle,
            writer,
            readings: Readings::default(),
            current,
            seal_at: None,
            stalled: false,
            failed: false,
        },
        recovered,
    ))
}

/// Opens a journal that is there.
fn reopen(
    disk: &mut dyn Disk,
    options: Options,
    mut survey: Survey,
    id: [u8; 16],
    loss: Option<Damage>,
) -> Result<(Journal, Recovered), OpenError> {
    let Read {
        mut circle,
        mut replay,
        walked,
        lost,
    } = match read(disk, &options, &mut survey) {
        Ok(read) => read,
        Err(error) => {
            close(disk, &survey)?;
            return Err(error);
        }
    };
    let damage = walked.damage.clone().or(lost);
    let lost = match &damage {
        Some(damage) => what_is_lost(disk, &survey, &replay, damage)?,
        None => Lost::default(),
    };
    let loss = damage.or(loss);
    if loss.is_some() {
        replay.mark_incomplete();
    }
    let cut = cut(&survey, &walked).filter(|_| loss.is_none());
    let chain = Chain {
        id,
        incarnation: survey.incarnation + 1,
        sequence: walked.last.map_or(0, |last| last.sequence),
        sequence_next: survey.sequence_next(),
        previous: walked.last.map_or(0, |last| last.crc),
    };
    let mut writer = Writer::new(chain, replay.states());
    let end = open_end(&survey, &walked).filter(|_| loss.is_none());
    let current = begin(disk, &survey, &mut circle, &mut writer, end)?;
    let incarnation = writer.incarnation();
    let groups = replay.finish();
    let recovered = Recovered {
        groups,
        created: false,
        incarnation,
        cut,
        loss,
        lost,
    };
    Ok((
        Journal {
            options,
            circle,
            writer,
            readings: Readings::default(),
            current,
            seal_at: None,
            stalled: false,
            failed: false,
        },
        recovered,
    ))
}

/// What the chain gave.
struct Read {
    circle: Circle,
    replay: Replay,
    walked: Walked,
    /// The chain begins behind entries that a group still needs.
    lost: Option<Damage>,
}

/// Walks the chain and takes all batches in. Where it is damaged and the operator accepts that, what is left is
/// the longest beginning that is consistent.
fn read(disk: &mut dyn Disk, options: &Options, survey: &mut Survey) -> Result<Read, OpenError> {
    let mut read = read_from_oldest(disk, options, survey)?;
    let damaged = |read: &Read| read.walked.damage.as_ref().or(read.lost.as_ref()).cloned();
    let Some(damage) = damaged(&read) else {
        return Ok(read);
    };
    if !options.accept_loss {
        return Err(OpenError::Damaged(damage));
    }
    // What made older files needless may be among what is lost; they may still be there.
    if let (Some(last), Some(_)) = (read.walked.last, &read.lost)
        && last.oldest < survey.oldest
    {
        let oldest = std::mem::replace(&mut survey.oldest, last.oldest);
        let again = read_from_oldest(disk, options, survey)?;
        if again.lost.is_none() && again.walked.last == read.walked.last {
            read = again;
        } else {
            survey.oldest = oldest;
        }
    }
    if read.walked.last.is_none() {
        read.replay = first_readable_start(disk, survey)?;
    }
    if read.walked.last.is_none() || read.lost.is_some() {
        // Nothing consistent is left but what the checkpoints hold.
        read.replay.forget_entries();
        read.circle = Circle::new(options, found_slots(survey));
    }
    Ok(read)
}

/// Walks the chain from the oldest file that is needed.
fn read_from_oldest(
    disk: &mut dyn Disk,
    options: &Options,
    survey: &Survey,
) -> Result<Read, OpenError> {
    let mut circle = Circle::new(options, found_slots(survey));
    let mut replay = Replay::default();
    let walked = walk(disk, survey, &mut |place, header, body| {
        if place.position == 0 {
            circle.begin(header.file, place.slot, header.sequence);
        }
        read_batch(survey, place, header, body, &mut |group, body| {
            if let Some(change) = replay.apply(group, body)? {
                circle.apply(header.file, place.position, group, change);
            }
            Ok(())
        })
    })?;
    let lost = lost_entries(survey, &walked, &replay);
    Ok(Read {
        circle,
        replay,
        walked,
        lost,
    })
}

/// Takes a good batch apart.
pub(super) fn read_batch(
    survey: &Survey,
    place: Place,
    header: &Header,
    mut body: Bytes,
    take: &mut dyn FnMut(GroupId, Body) -> Result<(), String>,
) -> Result<(), OpenError> {
    let path = || survey.slots[place.slot].path.clone();
    while !body.is_empty() {
        let what = match decode_record(&mut body) {
            Ok((group, body)) => match take(group, body) {
                Ok(()) => continue,
                Err(what) => what,
            },
            Err(Malformed::Wrong(what)) => what.to_owned(),
            Err(unknown) => return Err(newer(survey, place, &unknown)),
        };
        return Err(OpenError::Damaged(Damage {
            path: path(),
            position: place.position,
            sequence: header.sequence,
            acknowledged: survey.durable,
            what,
        }));
    }
    Ok(())
}

/// A record in the batch at `place` is from the future.
pub(super) fn newer(survey: &Survey, place: Place, unknown: &Malformed) -> OpenError {
    let at = place.position;
    let what = match unknown {
        Malformed::Unknown { kind, version } => {
            format!("the batch at byte {at} has a record of kind {kind}, version {version}")
        }
        Malformed::UnknownEntry { kind } => {
            format!("the batch at byte {at} has an entry of kind {kind}")
        }
        Malformed::Wrong(what) => unreachable!("{what}: that is no version's"),
    };
    let path = survey.slots[place.slot].path.clone();
    OpenError::Newer { path, what }
}

/// The chain is whole, but begins behind entries that a group still needs.
pub(super) fn lost_entries(survey: &Survey, walked: &Walked, replay: &Replay) -> Option<Damage> {
    let (group, index) = replay.missing().next()?;
    let first = walked.files.first()?;
    Some(Damage {
        path: survey.slots[first.slot].path.clone(),
        position: 0,
        sequence: first.start_sequence,
        acknowledged: survey.durable,
        what: format!("the entries of group {group} up to {index} are in no file"),
    })
}

/// What goes with the damage: all batches from it on, and the entries that they are known to have held. The groups
/// keep what `replay` has.
fn what_is_lost(
    disk: &mut dyn Disk,
    survey: &Survey,
    replay: &Replay,
    damage: &Damage,
) -> Result<Lost, OpenError> {
    let last = survey.sequence.max(survey.durable);
    let kept = replay.states();
    let mut lost = Lost {
        batches: (damage.sequence <= last).then_some((damage.sequence, last)),
        entries: BTreeMap::new(),
    };
    let before = damage.sequence.saturating_sub(1);
    dump::behind(
        disk,
        survey,
        (0, before),
        &mut |batch| {
            for (group, record) in batch.records {
                let seen = match record {
                    DumpedRecord::Entry { index, .. } => index,
                    DumpedRecord::State { last, .. } => last,
                    DumpedRecord::Other(_) | DumpedRecord::Newer { .. } => continue,
                };
                let first = kept.get(&group).map_or(0, |state| state.last_index) + 1;
                if seen >= first {
                    let range = lost.entries.entry(group).or_insert((first, seen));
                    range.1 = range.1.max(seen);
                }
            }
        },
        &mut |_, _| (),
    )?;
    Ok(lost)
}

/// What the earliest file start that can be read says about the groups.
fn first_readable_start(disk: &mut dyn Disk, survey: &Survey) -> Result<Replay, OpenError> {
    let mut starts: Vec<(usize, Header)> = survey
        .slots
        .iter()
        .enumerate()
        .filter_map(|(slot, surveyed)| Some((slot, surveyed.start()?)))
        .filter(|(_, header)| header.file >= survey.oldest)
        .collect();
    starts.sort_by_key(|(_, header)| header.sequence);
    let mut reader = Reader::default();
    for (slot, header) in starts {
        let place = Place { slot, position: 0 };
        if let Some(body) = reader.body(disk, survey, place, &header)? {
            let mut replay = Replay::default();
            read_batch(survey, place, &header, body, &mut |group, body| {
                replay.apply(group, body).map(|_| ())
            })?;
            return Ok(replay);
        }
    }
    Ok(Replay::default())
}

/// What was in flight at the end, if anything.
fn cut(survey: &Survey, walked: &Walked) -> Option<Cut> {
    let last = walked.last.filter(|_| walked.batches_behind > 0)?;
    Some(Cut {
        path: survey.slots[walked.end.slot].path.clone(),
        position: walked.end.position,
        sequence: last.sequence + 1,
        batches_behind: walked.batches_behind,
    })
}

/// The place behind the last good batch, if there is room for another one.
fn open_end(survey: &Survey, walked: &Walked) -> Option<Current> {
    let slot = survey.slots.get(walked.end.slot)?;
    let current = Current {
        number: walked.last?.file,
        file: slot.file,
        position: walked.end.position,
        length: slot.length - slot.length % BLOCK,
        direct: slot.direct,
    };
    (current.remaining() >= BLOCK).then_some(current)
}

/// Writes the first batch of a new incarnation, and waits for it: at `end`, or at the start of a file.
///
/// What was cut is behind this batch, in no chain, and below every number it begins.
fn begin(
    disk: &mut dyn Disk,
    survey: &Survey,
    circle: &mut Circle,
    writer: &mut Writer,
    end: Option<Current>,
) -> Result<Current, OpenError> {
    let oldest = circle.oldest(writer.durable_sequence());
    if let Some(mut current) = end {
        write_first(disk, writer, &mut current, Kind::Seal, oldest)?;
        circle.release(oldest);
        return Ok(current);
    }
    let number = survey.file + 1;
    let (slot, taken) = match circle.ready() {
        Some(ready) => ready,
        None => circle.make(disk)?,
    };
    let direct = survey.slots.first().is_some_and(|slot| slot.direct);
    let mut current = Current {
        number,
        file: taken.file,
        position: 0,
        length: taken.length,
        direct,
    };
    // Without any file in the walk the journal begins with this one.
    let oldest = if oldest == 0 { number } else { oldest };
    let sequence = writer.sequence() + 1;
    write_first(disk, writer, &mut current, Kind::FileStart, oldest)?;
    circle.begin(number, slot, sequence);
    circle.release(oldest);
    Ok(current)
}

fn write_first(
    disk: &mut dyn Disk,
    writer: &mut Writer,
    current: &mut Current,
    kind: Kind,
    oldest: u64,
) -> Result<(), disk::Error> {
    let buffer = writer.first_batch(kind, current.number, oldest);
    let length = buffer.len() as u64;
    let operation = Operation::Write {
        file: current.file,
        position: current.position,
        buffer,
    };
    let Outcome::Written(buffer) = disk.run(operation)? else {
        unreachable!("a write writes")
    };
    current.position += length;
    writer.first_batch_written(buffer);
    Ok(())
}

fn found_slots(survey: &Survey) -> Vec<FoundSlot> {
    let found = survey.slots.iter();
    found
        .map(|s| FoundSlot {
            path: s.path.clone(),
            file: s.file,
            length: s.length,
        })
        .collect()
}
