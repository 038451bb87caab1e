//! The journal under power cuts, damage and failing calls.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrysalis::consensus::{Entry, EntryKind, HardState, Record, Remembered};
use chrysalis::disk::Class;
use chrysalis::journal::{OpenError, Unread, Wanted};
use chrysalis::units::GroupId;

use super::world::{World, at_rest};
use crate::harness::lab::seeds;
use crate::harness::tally::Tally;
use crate::simulation::disk::Fault;

/// One seed: several lives, each ended by a power cut, a kill, or a failing call. What happened in them.
fn lives(seed: u64) -> Tally {
    let mut world = World::new(seed);
    world.reopen();
    for _ in 0..3 {
        // No turn at all: what the last opening cut off must not come back.
        let turns = if world.chance(25) {
            0
        } else {
            1 + world.random.below(40)
        };
        if world.chance(30) {
            let nth = world.random.below(60);
            let fault = if world.chance(50) {
                Fault::Power
            } else {
                Fault::Fails(Class::Damaged)
            };
            world.disk.fault(nth, fault);
            world.faulty = true;
        }
        for _ in 0..turns {
            world.turn();
            if world.failed || world.disk.is_dead() {
                break;
            }
        }
        if world.chance(20) && !world.failed && !world.disk.is_dead() {
            world.idle();
        }
        if world.disk.is_dead() {
            world.tally.add("power cuts within a call", 1);
        } else if world.failed {
            world.tally.add("failed calls", 1);
        }
        if turns == 0 {
            world.tally.add("lives without a turn", 1);
        }
        if world.chance(85) || world.disk.is_dead() {
            world.disk.power_cut();
            world.tally.add("power cuts", 1);
        } else {
            world.disk.kill();
            world.tally.add("kills", 1);
        }
        world.faulty = false;
        world.reopen();
    }
    world.tally
}

#[test]
fn nothing_acknowledged_is_lost() {
    let mut tally = Tally::default();
    for seed in seeds(1000, 100_000) {
        tally.merge(&lives(seed));
    }
    tally.assert_at_least(&[
        ("power cuts", 1200),
        ("power cuts within a call", 30),
        ("power cuts while it opens", 450),
        ("kills", 180),
        ("failed calls", 30),
        ("lives without a turn", 350),
        ("records acknowledged", 30_000),
        ("records kept though not acknowledged", 2000),
        ("records lost", 2500),
        ("entries read back", 3000),
    ]);
}

#[test]
fn an_entry_that_cannot_be_read_back_is_told_with_its_place() {
    let mut told = 0;
    for seed in seeds(50, 500) {
        let mut world = at_rest(seed);
        let group = GroupId(u32::try_from(seed % 4).expect("small"));
        let entries = world.model.now(group).entries;
        let Some(first) = entries.first() else {
            continue;
        };
        let files = world.disk.paths().into_iter();
        for path in files.filter(|path| path.extension().is_some_and(|it| it == "journal")) {
            for block in 0..16 {
                world.disk.lose_block(&path, block * 4096);
            }
        }
        let wanted = Wanted {
            group,
            number: 7,
            from: first.index,
            to: first.index + 1,
            bytes: 1,
        };
        let journal = world.journal.as_mut().expect("open");
        journal.read(wanted);
        world.idle();
        let journal = world.journal.as_mut().expect("open");
        let read = journal.take_read(group).expect("it is answered");
        match read.entries {
            Err(Unread::Damaged { position, .. }) => assert_eq!(position % 4096, 0),
            other => panic!("what cannot be read was read: {other:?}"),
        }
        assert!(journal.take_read(group).is_none(), "it is answered once");
        told += 1;
    }
    assert!(told > 20);
}

/// A long life, so that the circle turns many times, with crashes between.
#[test]
fn files_are_used_again_and_again() {
    for seed in seeds(15, 1500) {
        let mut world = World::new(seed);
        world.reopen();
        let mut written = 0;
        for _ in 0..4 {
            for _ in 0..400 {
                world.turn();
            }
            let journal = world.journal.as_ref().expect("open");
            written += journal.status().written_bytes;
            assert!(journal.pressure().files_used <= world.options.files_max);
            world.disk.power_cut();
            world.reopen();
        }
        assert!(written > 8 * world.options.file_bytes * world.options.files_max as u64 / 4);
        assert!(world.disk.paths().len() <= world.options.files_max + 1);
    }
}

/// A process that is killed between making a file and making its name durable leaves both to the next one.
#[test]
fn what_a_killed_process_has_made_is_made_durable_before_it_is_used() {
    for seed in seeds(400, 20_000) {
        let mut world = World::new(seed);
        world.reopen();
        for _ in 0..1 + world.random.below(4) {
            world.turn();
        }
        world.disk.kill();
        world.reopen();
        // Until it goes on in that file, and a little further.
        let mut turns = 0;
        while world.journal.as_ref().expect("open").pressure().files_used < 2 && turns < 200 {
            world.turn();
            turns += 1;
        }
        for _ in 0..world.random.below(8) {
            world.turn();
        }
        world.disk.power_cut();
        world.reopen();
    }
}

#[test]
fn a_flipped_bit_is_damage_and_never_a_tail() {
    let mut reported = 0;
    for seed in seeds(400, 40_000) {
        let mut world = at_rest(seed);
        let acknowledged = world
            .model
            .acknowledged(world.journal.as_ref().expect("open"));
        world.disk.power_cut();
        let (path, position) = somewhere(&mut world);
        if world.chance(20) && path.extension().is_some_and(|end| end == "journal") {
            world.disk.lose_block(&path, position as u64);
        } else {
            let bit = u8::try_from(world.random.below(8)).expect("small");
            world.disk.flip(&path, position, bit);
        }
        match world.open() {
            // What was hit did not count.
            Ok(recovered) => {
                world.recover(&acknowledged, &recovered);
            }
            Err(OpenError::Damaged(damage)) => {
                reported += 1;
                assert_eq!(damage.path, path, "{damage:?}");
                assert!(damage.position <= position as u64, "{damage:?}");
                go_on_without(&mut world);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(reported > 50, "{reported} reported");
}

/// Some byte of the journal's files; most often one that was written in this life.
fn somewhere(world: &mut World) -> (PathBuf, usize) {
    let paths = world.disk.paths();
    loop {
        let path = &paths[usize::try_from(world.random.below(paths.len() as u64)).expect("small")];
        let bytes = world.disk.bytes(path);
        if bytes.is_empty() {
            continue;
        }
        let position = usize::try_from(world.random.below(bytes.len() as u64)).expect("small");
        if bytes[position] != 0 || world.random.below(10) == 0 {
            return (path.clone(), position);
        }
    }
}

/// The operator accepts the loss: the journal opens with a beginning of what was there, says so for every
/// group, and goes on saying so until it is healed.
fn go_on_without(world: &mut World) {
    world.options.accept_loss = true;
    let recovered = world.open().unwrap_or_else(|error| panic!("{error}"));
    world.options.accept_loss = false;
    assert!(recovered.loss.is_some());
    // What is told to be lost begins where what is kept ends.
    for (group, (first, last)) in &recovered.lost.entries {
        let kept = recovered
            .groups
            .get(group)
            .map_or(0, Remembered::last_index);
        assert_eq!(*first, kept + 1, "group {group}");
        assert!(first <= last, "group {group}: {first} to {last}");
    }
    let (batches, entries) = (recovered.lost.batches, &recovered.lost.entries);
    assert!(
        batches.is_some() || entries.is_empty(),
        "entries are in batches"
    );
    world
        .model
        .check_loss(&recovered)
        .unwrap_or_else(|what| panic!("{what}"));
    let again = world
        .open()
        .unwrap_or_else(|error| panic!("after an accepted loss: {error}"));
    assert_eq!(again.groups, recovered.groups);
    assert!(again.loss.is_none());
    let journal = world.journal.as_mut().expect("open");
    for group in again.groups.keys() {
        journal.append(*group, Record::Healed);
    }
    world.idle();
    let healed = world.open().unwrap_or_else(|error| panic!("{error}"));
    assert!(healed.groups.values().all(|group| !group.incomplete));
}

#[test]
fn a_failed_write_is_the_end_and_a_new_start_finds_the_truth() {
    for seed in seeds(200, 20_000) {
        let mut world = World::new(seed);
        world.reopen();
        for _ in 0..world.random.below(30) {
            world.turn();
        }
        world.disk.refuse("write", Class::Damaged);
        let durable = world.journal.as_ref().expect("open").status().durable;
        let mut turns = 0;
        while !world.failed {
            world.turn();
            turns += 1;
            assert!(turns < 1000, "a failing write must be told");
        }
        for _ in 0..20 {
            world.turn();
        }
        let status = world.journal.as_ref().expect("open").status();
        // What was in flight may have arrived; the start of a file goes beside the batches.
        assert!(status.durable <= durable + world.options.in_flight_max as u64 + 1);
        world.disk.power_cut();
        world.reopen();
    }
}

#[test]
fn any_failing_call_at_the_start_is_told_or_harmless() {
    for seed in seeds(20, 500) {
        for nth in 0..60 {
            let mut world = if seed % 2 == 0 {
                at_rest(seed)
            } else {
                World::new(seed)
            };
            let acknowledged = match &world.journal {
                Some(journal) => world.model.acknowledged(journal),
                None => Default::default(),
            };
            world.disk.power_cut();
            let class = [
                Class::NoSpace,
                Class::Damaged,
                Class::Permission,
                Class::Exhausted,
            ];
            let class = class[usize::try_from(world.random.below(4)).expect("small")];
            world.disk.fault(nth, Fault::Fails(class));
            let before = world.disk.operations();
            match world.open() {
                Ok(recovered) => {
                    world.recover(&acknowledged, &recovered);
                    if world.disk.operations() - before <= nth {
                        break;
                    }
                }
                Err(OpenError::Disk(_) | OpenError::Damaged(_)) => {
                    world.disk.power_cut();
                    let recovered = world
                        .open()
                        .unwrap_or_else(|error| panic!("call {nth}: {error}"));
                    world.recover(&acknowledged, &recovered);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_new_work_and_recovers_when_space_returns() {
    for seed in seeds(50, 2000) {
        let mut world = World::new(seed);
        // Room for the first file and one more.
        world.disk.set_capacity((16 << 10) + (64 << 10) + 4096);
        world.reopen();
        for _ in 0..300 {
            world.turn();
            assert!(!world.failed, "a full disk is not the end");
        }
        let pressure = world.journal.as_ref().expect("open").pressure();
        assert!(pressure.short && pressure.refuse, "{pressure:?}");
        world.disk.set_capacity(u64::MAX);
        world.compact_all();
        world.idle();
        let pressure = world.journal.as_ref().expect("open").pressure();
        assert!(!pressure.short && !pressure.refuse, "{pressure:?}");
        world.disk.power_cut();
        world.reopen();
    }
}

/// Nobody frees files, and nobody refuses writes: the journal takes more files than it should rather than end in
/// a place from which there is no way out.
#[test]
fn a_circle_that_was_overfilled_still_turns() {
    let mut world = World::new(1);
    world.reopen();
    let journal = world.journal.as_mut().expect("open");
    for index in 1..=400 {
        let data = vec![7; 1000].into();
        let entry = Entry {
            index,
            term: 1,
            kind: EntryKind::Normal,
            data,
        };
        world
            .model
            .append(journal, GroupId(1), Record::Entry(entry));
    }
    world.idle();
    let journal = world.journal.as_ref().expect("open");
    assert_eq!(world.model.acknowledged(journal)[&GroupId(1)], 400);
    assert!(journal.pressure().refuse && journal.pressure().files_used > world.options.files_max);
    world.compact_all();
    world.idle();
    assert!(!world.journal.as_ref().expect("open").pressure().refuse);
    world.disk.power_cut();
    world.reopen();
}

#[test]
fn an_idle_journal_seals_itself_once_and_then_writes_nothing() {
    let mut world = at_rest(1);
    let operations = world.disk.operations();
    assert_eq!(world.journal.as_ref().expect("open").deadline(), None);
    for _ in 0..100 {
        world.now = world.now + Duration::from_secs(1);
        world
            .journal
            .as_mut()
            .expect("open")
            .flush(world.now, &mut world.disk);
    }
    assert_eq!(world.disk.operations(), operations);
}

/// A header whose checksum is right and whose length is not: what a forged or mended file may have.
#[test]
fn no_length_in_a_file_is_trusted() {
    for length in [u32::MAX, 1 << 30, 70_000, 0, 17] {
        let mut world = World::new(5);
        world.reopen();
        world.append();
        world.idle();
        world.disk.power_cut();
        let path = Path::new("/server/journal/00.journal");
        let mut bytes = world.disk.bytes(path).to_vec();
        bytes[4096 + 72..4096 + 76].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&bytes[4096..4096 + 92]);
        bytes[4096 + 92..4096 + 96].copy_from_slice(&crc.to_le_bytes());
        world.disk.put(path, Some(bytes));
        match world.open() {
            Err(OpenError::Damaged(damage)) => assert_eq!(damage.position, 4096, "{damage:?}"),
            other => panic!(
                "a batch of {length} bytes: {:?}",
                other.map(|recovered| recovered.cut)
            ),
        }
    }
}

/// A torn end may take entries that the hard state before them already calls committed.
#[test]
fn a_commit_index_never_goes_beyond_the_last_entry() {
    let mut world = World::new(0);
    world.reopen();
    let journal = world.journal.as_mut().expect("open");
    let state = HardState {
        term: 1,
        vote: 1,
        commit: 3,
    };
    journal.append(GroupId(1), Record::HardState(state));
    world.idle();
    world.disk.power_cut();
    let recovered = world.open().expect("opens");
    assert_eq!(
        recovered.groups[&GroupId(1)].hard_state,
        HardState { commit: 0, ..state }
    );
}

#[test]
fn a_journal_without_its_name_or_of_a_newer_format_is_refused() {
    let name = Path::new("/server/journal/journal.id");
    let mut world = at_rest(3);
    world.disk.power_cut();
    let text = world.disk.bytes(name).to_vec();

    world.disk.put(name, None);
    let gone = world.open().expect_err("refused").to_string();
    assert!(
        gone.contains("journal.id") && gone.contains("missing"),
        "{gone}"
    );

    let newer = String::from_utf8(text.clone())
        .expect("text")
        .replace("format 1", "format 2");
    let checked = newer.rfind("check").expect("a check");
    let check = crc32fast::hash(&newer.as_bytes()[..checked]);
    let newer = format!("{}check {check:08x}\n", &newer[..checked]);
    world.disk.put(name, Some(newer.into_bytes()));
    assert!(matches!(world.open(), Err(OpenError::Newer { .. })));

    world.disk.put(name, Some(text));
    assert!(world.open().is_ok());
}
