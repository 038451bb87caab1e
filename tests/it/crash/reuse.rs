//! What outlives the file it was written in, and what frees files.

use std::path::Path;

use chrysalis::consensus::{Entry, EntryKind, HardState, Marker, Record, Remembered};
use chrysalis::journal::OpenError;
use chrysalis::units::GroupId;

use super::world::World;

const VOTER: GroupId = GroupId(1);
const BUSY: GroupId = GroupId(2);

impl World {
    /// Appends an entry behind the group's last one.
    fn entry(&mut self, group: GroupId, bytes: usize) -> u64 {
        let record = self.model.entry(group, 0, self.term, vec![9; bytes]);
        let Record::Entry(Entry { index, .. }) = record else {
            unreachable!("the model makes entries")
        };
        self.add(group, record);
        index
    }

    fn add(&mut self, group: GroupId, record: Record) {
        let journal = self.journal.as_mut().expect("open");
        self.model.append(journal, group, record);
    }

    /// The group needs nothing up to its entry `index`.
    fn mark(&mut self, group: GroupId, index: u64, state: &'static str) {
        let marker = Marker {
            index,
            term: self.term,
            state: state.into(),
        };
        self.add(group, Record::Marker(marker));
    }

    fn recovered(&mut self) -> std::collections::BTreeMap<GroupId, Remembered> {
        self.disk.power_cut();
        self.open().expect("it opens").groups
    }
}

/// A vote and a checkpoint that were written once, long ago: each file begins with them.
#[test]
fn reuse_keeps_votes_and_checkpoints() {
    let mut world = World::new(1);
    world.reopen();
    let vote = HardState {
        term: 7,
        vote: 3,
        commit: 2,
    };
    world.add(VOTER, Record::HardState(vote));
    world.entry(VOTER, 100);
    let last = world.entry(VOTER, 100);
    world.mark(VOTER, last, "the voters and the checkpoint");
    world.idle();
    let file = world.options.file_bytes;
    let mut written = 0;
    // Until every file has been used several times.
    while written < 4 * file * world.options.files_max as u64 {
        let last = world.entry(BUSY, 1000);
        world.mark(BUSY, last, "");
        world.idle();
        written = world.journal.as_ref().expect("open").status().written_bytes;
    }
    let files = world.disk.paths();
    assert!(files.len() <= world.options.files_max + 1, "{files:?}");
    let groups = world.recovered();
    let voter = &groups[&VOTER];
    assert_eq!(voter.hard_state, vote);
    assert_eq!(voter.marker.index, last);
    assert_eq!(voter.marker.state, "the voters and the checkpoint");
    assert!(voter.entries.is_empty());
}

/// New work is refused while a file is still free, and with that file there is a way out, also after a power cut.
#[test]
fn one_file_is_always_free_for_the_work_that_frees_files() {
    for bytes in [100, 1000, 5000] {
        let mut world = World::new(2);
        world.reopen();
        let max = world.options.files_max;
        let mut last = 0;
        while !world.journal.as_ref().expect("open").pressure().refuse {
            last = world.entry(BUSY, bytes);
            world.idle();
            let pressure = world.journal.as_ref().expect("open").pressure();
            assert!(pressure.files_used < max, "{bytes}: {pressure:?}");
        }
        world.disk.power_cut();
        world.reopen();
        assert_eq!(world.model.now(BUSY).entries.len() as u64, last, "{bytes}");
        // The opening may have begun the free file; then what is left of it is what is kept.
        let pressure = world.journal.as_ref().expect("open").pressure();
        assert!(pressure.refuse && pressure.compact, "{bytes}: {pressure:?}");
        assert!(pressure.files_used <= max, "{bytes}: {pressure:?}");
        assert!(
            matches!(pressure.pinned_by, Some((BUSY, _))),
            "{bytes}: {pressure:?}"
        );

        world.mark(BUSY, last, "everything is in its own files");
        world.idle();
        // What was released is told with the next batch.
        world.add(BUSY, Record::Healed);
        world.idle();
        let pressure = world.journal.as_ref().expect("open").pressure();
        assert!(!pressure.refuse, "{bytes}: {pressure:?}");
        assert!(world.disk.paths().len() <= max + 1, "{bytes}");
    }
}

/// What must stay although it is old (a transaction that is open for long) is journaled anew: appended again as an
/// entry of today, behind which the group moves its marker. The journal names the group and the entry that pin it.
#[test]
fn an_old_entry_that_is_journaled_anew_pins_the_circle_no_longer() {
    let mut world = World::new(3);
    world.reopen();
    let open = world.entry(BUSY, 777);
    while !world.journal.as_ref().expect("open").pressure().compact {
        world.entry(BUSY, 1000);
        world.idle();
    }
    let pressure = world.journal.as_ref().expect("open").pressure();
    let Some((BUSY, needed)) = pressure.pinned_by else {
        panic!("{pressure:?}");
    };
    assert!(needed >= open);
    let again = world.entry(BUSY, 777);
    assert!(again > needed, "it is in a later file");
    world.mark(BUSY, again - 1, "all but what is open");
    world.idle();
    world.add(BUSY, Record::Healed);
    world.idle();
    let pressure = world.journal.as_ref().expect("open").pressure();
    assert_eq!(pressure.pinned_by, None, "{pressure:?}");
    assert!(!pressure.compact, "{pressure:?}");
    let groups = world.recovered();
    let entries = &groups[&BUSY].entries;
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].index, entries[0].data.len()), (again, 777));
}

/// Makes the record of the first batch behind the file's start another one, with right checksums.
fn forge(world: &mut World, at: usize, value: u8) {
    const BATCH: usize = 4096;
    const HEADER: usize = 96;
    let path = Path::new("/server/journal/00.journal");
    let mut bytes = world.disk.bytes(path).to_vec();
    let batch = &mut bytes[BATCH..];
    let length = u32::from_le_bytes(batch[72..76].try_into().expect("four bytes"));
    let body = HEADER..HEADER + usize::try_from(length).expect("small");
    batch[HEADER + at] = value;
    let check = crc32fast::hash(&batch[body]);
    batch[76..80].copy_from_slice(&check.to_le_bytes());
    let check = crc32fast::hash(&batch[..92]);
    batch[92..96].copy_from_slice(&check.to_le_bytes());
    world.disk.put(path, Some(bytes));
}

/// A later release's record stops the start: it is neither guessed, nor cut off as a tail, nor accepted as a loss.
#[test]
fn a_record_of_a_later_release_stops_the_start() {
    // The record's kind, its version, and the kind of an entry's bytes.
    for (at, value) in [(8, 99), (9, 2), (12 + 16, 9)] {
        for accept_loss in [false, true] {
            let mut world = World::new(4);
            world.reopen();
            let entry = Entry {
                index: 1,
                term: 1,
                kind: EntryKind::Normal,
                data: "of today".into(),
            };
            world.add(BUSY, Record::Entry(entry));
            // No seal: for all that the files say it may be a tail.
            let journal = world.journal.as_mut().expect("open");
            journal.flush(world.now, &mut world.disk);
            while world.journal.as_ref().expect("open").durable(BUSY).0 == 0 {
                let mut completions = Vec::new();
                chrysalis::disk::Disk::wait(&mut world.disk, &mut completions);
                world.complete(completions);
            }
            world.disk.power_cut();
            forge(&mut world, at, value);
            let before = world
                .disk
                .bytes(Path::new("/server/journal/00.journal"))
                .to_vec();
            world.options.accept_loss = accept_loss;
            match world.open() {
                Err(OpenError::Newer { .. }) => {}
                other => panic!("byte {at} is {value}: {:?}", other.map(|found| found.cut)),
            }
            let after = world.disk.bytes(Path::new("/server/journal/00.journal"));
            assert!(before == after, "byte {at}: nothing was changed");
        }
    }
}
