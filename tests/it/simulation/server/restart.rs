//! What a start meets: data of a later release, and as much of the journal as the cores' own files leave to be read.

use bytes::Bytes;
use chrysalis::consensus::{Entry, EntryKind, Record};
use chrysalis::coordinator::{self, Acl, Create, CreateMode, SetData};
use chrysalis::disk::{Disk as _, Operation};
use chrysalis::journal::{self, Journal};
use chrysalis::report::Code;
use chrysalis::units::feature::{FeatureLevel, Levels};
use chrysalis::units::{GroupId, Moment, ServerId};

use super::clients::{Waiting, ZNODES};
use super::world::World;

/// What a later release wrote is not damaged, and whoever accepts a loss does not mean it: the journal may have
/// forgotten what is in it.
#[test]
fn a_server_passes_over_no_file_of_a_later_release() {
    let mut world = World::new(7);
    assert!(world.start(), "it starts");
    let found = |world: &World, name: &str| {
        let paths = world.disk.0.borrow().paths();
        let of_name = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(name);
        // The newest: the one before may be there as well.
        paths.into_iter().filter(of_name).max()
    };
    let endings = [".snapshot", "/checkpoint"];
    while endings.iter().any(|name| found(&world, name).is_none()) {
        world.put_bytes(40_000);
        world.write_znode();
        assert!(world.turn(), "nothing fails");
    }
    world.die();
    let disk = world.disk.clone();
    for name in endings {
        let path = found(&world, name).expect("it was there");
        let before = disk.0.borrow().bytes(&path).to_vec();
        let mut bytes = before.clone();
        if name == "/checkpoint" {
            bytes[11] += 1;
        } else {
            bytes[4] += 1;
            let length = u32::from_be_bytes(bytes[20..24].try_into().expect("four bytes"));
            let body = 28..28 + usize::try_from(length).expect("32 bits");
            let check = crc32fast::hash(&[&bytes[..24], &bytes[body]].concat());
            bytes[24..28].copy_from_slice(&check.to_be_bytes());
        }
        for accept_loss in [false, true] {
            disk.0.borrow_mut().put(&path, Some(bytes.clone()));
            world.accept_loss = accept_loss;
            let error = world.open().expect_err("it does not understand it");
            assert_eq!(error.code(), Code::E0106, "{error}");
            world.die();
            assert_eq!(disk.0.borrow().bytes(&path), bytes, "{name} is as it was");
        }
        disk.0.borrow_mut().put(&path, Some(before));
    }
    world.accept_loss = false;
    assert!(world.start(), "it knows its own");
}

/// A release that does not support the level of a folder leaves it as it is, and names one that does.
#[test]
fn a_folder_is_started_by_releases_that_support_its_level() {
    let newer = Levels {
        highest: FeatureLevel(2),
        ..Levels::FIRST
    };
    for began in [Levels::FIRST, newer] {
        let mut world = World::new(5);
        world.levels = began;
        for levels in [began, newer] {
            world.levels = levels;
            assert!(world.start(), "it starts");
            // Enough for a snapshot.
            for _ in 0..300 {
                world.write_znode();
                world.now = world.now + std::time::Duration::from_millis(50);
                assert!(world.turn(), "nothing fails");
            }
            world.die();
        }
        world.levels = Levels::FIRST;
        if began == newer {
            for accept_loss in [false, true] {
                world.accept_loss = accept_loss;
                let error = world.open().expect_err("it does not support the level");
                assert_eq!(error.code(), Code::E0112, "{error}");
                let needed = format!("release {} or a later one", env!("CARGO_PKG_VERSION"));
                assert!(error.to_string().contains(&needed), "{error}");
                world.die();
            }
            world.accept_loss = false;
            world.levels = newer;
        }
        assert!(
            world.start(),
            "nobody has raised the level, or it is supported"
        );
    }
}

/// What a later release wrote stops the server; it does not guess, and it changes nothing.
#[test]
fn a_server_stops_at_an_entry_that_it_does_not_know() {
    // Kind 200, version 1, of either core; the coordinator's commands stand behind their length.
    let coordinator = [0, 0, 0, 2, 200, 1];
    let broker = [200, 1, 0, 0, 0, 0, 0, 0];
    // A known kind in a version that is not: the coordinator's and the broker's first.
    let later_coordinator = [0, 0, 0, 2, 1, 99];
    let later_broker = [1, 99, 0, 0, 0, 0, 0, 0];
    let broker_group = GroupId::broker(ServerId(1));
    for (group, data) in [
        (GroupId::COORDINATOR, coordinator.as_slice()),
        (GroupId::COORDINATOR, &later_coordinator),
        (broker_group, &broker),
        (broker_group, &later_broker),
    ] {
        let mut world = World::new(1);
        let mut disk = world.disk.clone();
        disk.run(Operation::MakeFolder {
            path: "/server/data".into(),
        })
        .expect("make the folder");
        let options = journal::Options {
            file_bytes: 4 << 20,
            files_max: 4,
            ..journal::Options::new("/server/data/journal")
        };
        let (mut journal, _) =
            Journal::open(&mut disk, options, *b"a later release.").expect("opens");
        let entry = Entry {
            index: 1,
            term: 1,
            kind: EntryKind::Normal,
            data: Bytes::copy_from_slice(data),
        };
        let ticket = journal.append(group, Record::Entry(entry));
        while journal.durable(group) < ticket {
            journal.flush(Moment::START, &mut disk);
            let mut completions = Vec::new();
            disk.wait(&mut completions);
            for completion in completions {
                journal
                    .complete(Moment::START, completion)
                    .expect("written");
            }
        }
        drop(journal);
        disk.0.borrow_mut().kill();

        world.open().expect("the journal itself is known");
        let (now, wall) = (world.now, world.wall());
        let node = world.node.as_mut().expect("it was opened");
        let failure = (0..1000).find_map(|_| node.turn(now, wall).err());
        let failure = failure.expect("it does not go on");
        let whose = match group {
            GroupId::COORDINATOR => "coordinator",
            _ => "broker",
        };
        let told = format!("/server/data/journal: entry 1 of the {whose}'s group: ");
        assert!(failure.to_string().starts_with(&told), "{failure}");
        let error = chrysalis::server::ended(failure);
        assert_eq!(error.code(), Code::E0106, "{error}");
        assert!(
            error.to_string().contains("Install the newer version"),
            "{error}"
        );

        // The version that wrote it finds it as it was.
        world.node = None;
        disk.0.borrow_mut().kill();
        let options = journal::Options {
            file_bytes: 4 << 20,
            files_max: 4,
            ..journal::Options::new("/server/data/journal")
        };
        let (_, recovered) = Journal::open(&mut disk, options, [0; 16]).expect("opens");
        let entry = recovered.groups[&group]
            .entries
            .first()
            .expect("it is there");
        assert_eq!((entry.index, &entry.data[..]), (1, data));
    }
}

/// What the journal holds behind a snapshot is read at a start, and held until it is applied: that must not be half of
/// all its files, only because they have room.
#[test]
fn a_snapshot_follows_the_bytes_that_were_written_and_not_only_the_entries() {
    const DATA_BYTES: usize = 100_000;
    let mut world = World::new(3);
    world.config.journal.files_max = 64;
    let coordinator = world.config.coordinator.as_mut().expect("there is one");
    coordinator.snapshot_every_entries = 1_000_000;
    let a_file = usize::try_from(world.config.journal.file_bytes).expect("small");
    assert!(world.start(), "it starts");
    let snapshots = |world: &World| {
        let mut paths = world.disk.0.borrow().paths();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "snapshot"));
        paths
    };
    let write = |world: &mut World, request: &coordinator::Request| {
        // One that nobody reads back.
        let waiting = Waiting::Set {
            znode: ZNODES,
            value: 1,
        };
        world.ask_zookeeper(request, waiting);
        for _ in 0..10 {
            assert!(world.turn(), "nothing fails");
        }
    };
    let path = Bytes::from_static(b"/large");
    let create = Create {
        path: path.clone(),
        data: None,
        acl: vec![Acl::open()],
        mode: CreateMode::Persistent,
    };
    write(&mut world, &coordinator::Request::Create(create));
    let set = coordinator::Request::SetData(SetData {
        path,
        data: Some(Bytes::from(vec![b'.'; DATA_BYTES])),
        version: -1,
    });
    let mut taken = Vec::new();
    for written in 1..=4 * a_file / DATA_BYTES {
        write(&mut world, &set);
        let now = snapshots(&world);
        if now != taken {
            let early = written * DATA_BYTES < a_file;
            assert!(!early, "a small file, and not yet enough behind it");
            taken = now;
        }
        let late = written * DATA_BYTES > a_file + 10 * DATA_BYTES;
        assert!(
            !late || !taken.is_empty(),
            "no snapshot after {written} writes"
        );
    }
    // The next follows as much behind the first.
    assert_eq!(taken.len(), 1, "the former one is gone: {taken:?}");
    world.die();
    let mut disk = world.disk.clone();
    let options = journal::Options {
        file_bytes: world.config.journal.file_bytes,
        files_max: 64,
        ..journal::Options::new("/server/data/journal")
    };
    let (_, recovered) = Journal::open(&mut disk, options, [0; 16]).expect("opens");
    let entries = &recovered.groups[&GroupId::COORDINATOR].entries;
    let held: usize = entries.iter().map(|entry| entry.data.len()).sum();
    assert!(
        held < a_file + 20 * DATA_BYTES,
        "{held} bytes are held at a start"
    );
}
