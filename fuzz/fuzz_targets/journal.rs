//! A journal that was written, then changed by the fuzzer, checksums made good or not: opening it ends without
//! a panic; it either says what is damaged or remembers what was written, in order and without a gap.
#![no_main]

use std::path::PathBuf;
use std::time::Duration;

use chrysalis::consensus::{Entry, EntryKind, Marker, Record};
use chrysalis::journal::{Journal, OpenError, Options};
use chrysalis::disk::Disk;
use chrysalis::units::{GroupId, Moment, Seed};

#[path = "../../tests/it/simulation"]
mod simulation {
    #[allow(dead_code, reason = "the tests use more of it")]
    pub(super) mod disk;
}
use simulation::disk::SimulatedDisk;

const ID: [u8; 16] = *b"a random journal";
const GROUP: GroupId = GroupId(1);
const BLOCK: usize = 4096;

fn options() -> Options {
    Options {
        first_file_bytes: 32 << 10,
        file_bytes: 32 << 10,
        files_max: 3,
        batch_bytes_close: 4 << 10,
        batch_bytes_max: 8 << 10,
        in_flight_max: 2,
        fill_step_bytes: 32 << 10,
        seal_after: Duration::from_millis(1),
        ..Options::new("/journal")
    }
}

fn first_file() -> PathBuf {
    PathBuf::from("/journal/00.journal")
}

/// The input's bytes, handed out one after the other; zeros in the end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }
}

/// Goes on until nothing more happens.
fn idle(journal: &mut Journal, disk: &mut SimulatedDisk, now: &mut Moment) {
    loop {
        journal.flush(*now, disk);
        let mut completions = Vec::new();
        disk.wait(&mut completions);
        let quiet = completions.is_empty();
        for completion in completions {
            journal.complete(*now, completion).expect("this disk fails nothing");
        }
        if quiet {
            match journal.deadline() {
                Some(at) => *now = (*now).max(at),
                None => return,
            }
        }
    }
}

/// Writes up to 16 small entries and a marker, several batches.
fn write(input: &mut Input<'_>, disk: &mut SimulatedDisk) -> Vec<Entry> {
    let (mut journal, _) = Journal::open(disk, options(), ID).expect("an empty disk");
    let mut now = Moment::START;
    let mut entries = Vec::new();
    for index in 1..=u64::from(input.byte() % 16) {
        let data = vec![input.byte(); usize::from(input.byte())].into();
        let entry = Entry { index, term: 1, kind: EntryKind::Normal, data };
        journal.append(GROUP, Record::Entry(entry.clone()));
        entries.push(entry);
        if input.byte() % 2 == 0 {
            idle(&mut journal, disk, &mut now);
        }
    }
    idle(&mut journal, disk, &mut now);
    if input.byte() % 2 == 0 && !entries.is_empty() {
        let index = 1 + u64::from(input.byte()) % entries.len() as u64;
        let marker = Marker { index, term: 1, state: "state".into() };
        journal.compact(GROUP, marker);
        idle(&mut journal, disk, &mut now);
    }
    entries
}

/// Changes the first file as told; says whether checksums were made good afterwards.
fn change(input: &mut Input<'_>, disk: &mut SimulatedDisk) -> bool {
    let mut bytes = disk.bytes(&first_file()).to_vec();
    let mut made_good = false;
    while !input.0.is_empty() && !bytes.is_empty() {
        let kind = input.byte();
        let block = usize::from(input.byte()) % bytes.len().div_ceil(BLOCK) * BLOCK;
        let at = (block + input.number() % BLOCK).min(bytes.len() - 1);
        match kind % 6 {
            0 => bytes[at] ^= 1 << (input.byte() % 8),
            1 => bytes[at] = input.byte(),
            2 => bytes.truncate(at),
            3 => bytes[block..].iter_mut().take(BLOCK).for_each(|byte| *byte = 0),
            4 => {
                let from = usize::from(input.byte()) % bytes.len().div_ceil(BLOCK) * BLOCK;
                let copied: Vec<u8> = bytes[from..].iter().copied().take(BLOCK).collect();
                bytes[block..].iter_mut().zip(copied).for_each(|(to, from)| *to = from);
            }
            _ => made_good |= make_good(&mut bytes[block..]),
        }
    }
    disk.put(&first_file(), Some(bytes));
    made_good
}

/// Gives a changed batch the checksums it would have if it had been written so: what reads its records must not
/// rely on the checksum alone.
fn make_good(batch: &mut [u8]) -> bool {
    let Some(length) = batch.get(72..76).and_then(|field| field.try_into().ok()) else { return false };
    let length = u32::from_le_bytes(length) as usize;
    let Some(body) = batch.get(96..).and_then(|rest| rest.get(..length)) else { return false };
    let sum = crc32fast::hash(body).to_le_bytes();
    batch[76..80].copy_from_slice(&sum);
    let sum = crc32fast::hash(&batch[..92]).to_le_bytes();
    batch[92..96].copy_from_slice(&sum);
    true
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let accept_loss = input.byte() % 2 == 1;
    let mut disk = SimulatedDisk::new(Seed(1));
    let written = write(&mut input, &mut disk);
    let made_good = change(&mut input, &mut disk);

    let options = Options { accept_loss, ..options() };
    match Journal::open(&mut disk, options, ID) {
        Ok((_, recovered)) => {
            for group in recovered.groups.values() {
                let mut next = group.marker.index + 1;
                for entry in &group.entries {
                    assert_eq!(entry.index, next, "there is a gap");
                    next += 1;
                    let place = usize::try_from(entry.index - 1).expect("small");
                    assert!(made_good || written.get(place) == Some(entry), "this was never written");
                }
            }
        }
        Err(OpenError::Damaged(damage)) => {
            // What contradicts itself although its checksum fits is no damage that a disk makes.
            assert!(!accept_loss || made_good, "damage was to be accepted: {damage:?}");
        }
        Err(OpenError::Newer { .. } | OpenError::Disk(_) | OpenError::Options(_)) => {}
    }
});
