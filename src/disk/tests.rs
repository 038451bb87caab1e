//! The real disk, on the ring and on threads, through one set of checks.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::folder::{Lock, LockError};
use super::{
    AlignedBuffer, Backend, Chosen, Class, Completion, Disk, Error, Files, Lane, Mode, Operation,
    Options, Outcome, Owner, Token,
};

/// A disk with one backend; `None` where this machine's kernel refuses the ring.
fn disk(backend: Backend) -> Option<Files> {
    Files::new(&Options {
        backend,
        ..Options::default()
    })
    .ok()
}

/// Runs a check on both backends.
fn check(check: impl Fn(&mut Files, &Path)) {
    for backend in [Backend::Threads, Backend::Ring] {
        let folder = tempfile::tempdir().expect("a folder");
        match disk(backend) {
            Some(mut disk) => check(&mut disk, folder.path()),
            None => println!("skipped: this kernel refuses {backend:?}"),
        }
    }
}

fn open(disk: &mut Files, path: PathBuf, mode: Mode) -> super::File {
    let file = disk.reserve();
    disk.run(Operation::Open { file, path, mode })
        .expect("opens");
    file
}

fn filled(length: usize, byte: u8) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::new(length);
    buffer.extend(&vec![byte; length]);
    buffer
}

/// Waits for everything under way.
fn drain(disk: &mut Files) -> Vec<Completion> {
    let mut completions = Vec::new();
    while disk.under_way() > 0 {
        disk.wait(&mut completions);
    }
    completions
}

fn outcome(result: Result<Outcome, Error>) -> Outcome {
    result.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn durable_writes_in_flight_together_all_arrive() {
    check(|disk, folder| {
        let file = open(disk, folder.join("durable"), Mode::Durable);
        // More than the ring has room for at a time.
        for number in 0..200u64 {
            let byte = u8::try_from(number).expect("below 256");
            let (position, buffer) = (number * 8192, filled(8192, byte));
            let write = Operation::Write {
                file,
                position,
                buffer,
            };
            disk.submit(Lane::Journal, Token::new(Owner::Journal, number), write);
        }
        let mut numbers: Vec<u64> = drain(disk)
            .into_iter()
            .map(|completion| {
                let Outcome::Written(buffer) = outcome(completion.result) else {
                    panic!("written")
                };
                assert_eq!(buffer.len(), 8192);
                assert_eq!(completion.token.owner, Owner::Journal);
                completion.token.number
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..200).collect::<Vec<u64>>());
        for number in 0..200u64 {
            let read = Operation::Read {
                file,
                position: number * 8192,
                length: 8192,
            };
            let Outcome::Read(bytes) = outcome(disk.run(read)) else {
                panic!("read")
            };
            assert!(bytes.iter().all(|byte| u64::from(*byte) == number));
        }
    });
}

#[test]
fn dropping_the_disk_waits_for_what_is_under_way() {
    check(|disk, folder| {
        let path = folder.join("dropped");
        let mut other = Files::new(&Options {
            backend: match disk.chosen() {
                Chosen::Ring => Backend::Ring,
                Chosen::Threads { .. } => Backend::Threads,
            },
            ..Options::default()
        })
        .expect("a second disk");
        let file = open(&mut other, path.clone(), Mode::Durable);
        for number in 0..100u64 {
            let write = Operation::Write {
                file,
                position: number * 4096,
                buffer: filled(4096, 9),
            };
            other.submit(Lane::Journal, Token::new(Owner::Journal, number), write);
        }
        drop(other);
        let bytes = std::fs::read(path).expect("it is there");
        assert_eq!(bytes.len(), 100 * 4096);
        assert!(bytes.iter().all(|byte| *byte == 9));
    });
}

#[test]
fn a_lane_keeps_its_order_and_an_open_needs_no_wait() {
    check(|disk, folder| {
        let file = disk.reserve();
        let path = folder.join("segment");
        let submit = |disk: &mut Files, number, operation| {
            disk.submit(
                Lane::Segments,
                Token::new(Owner::Journal, number),
                operation,
            );
        };
        submit(
            disk,
            0,
            Operation::Open {
                file,
                path: path.clone(),
                mode: Mode::Buffered,
            },
        );
        for number in 0..500u64 {
            let pieces = vec![
                Bytes::from(format!("{number:06}")),
                Bytes::new(),
                Bytes::from("\n"),
            ];
            let write = Operation::WriteGather {
                file,
                position: number * 7,
                pieces,
            };
            submit(disk, number + 1, write);
        }
        submit(
            disk,
            501,
            Operation::Truncate {
                file,
                length: 499 * 7,
            },
        );
        submit(disk, 502, Operation::Close { file });
        let completions = drain(disk);
        let numbers: Vec<u64> = completions.iter().map(|c| c.token.number).collect();
        assert_eq!(numbers, (0..=502).collect::<Vec<u64>>());
        assert!(
            completions
                .iter()
                .all(|completion| completion.result.is_ok())
        );
        let text = std::fs::read_to_string(path).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 499);
        assert_eq!(lines[498], "000498");
    });
}

#[test]
fn more_pieces_than_one_call_takes_are_written_in_order() {
    check(|disk, folder| {
        let file = open(disk, folder.join("pieces"), Mode::Buffered);
        let pieces: Vec<Bytes> = (0..5000u32)
            .map(|n| Bytes::from(n.to_be_bytes().to_vec()))
            .collect();
        let expected = pieces.concat();
        outcome(disk.run(Operation::WriteGather {
            file,
            position: 3,
            pieces,
        }));
        let read = Operation::Read {
            file,
            position: 3,
            length: expected.len() + 100,
        };
        let Outcome::Read(bytes) = outcome(disk.run(read)) else {
            panic!("read")
        };
        assert_eq!(bytes, expected);
    });
}

#[test]
fn an_error_names_operation_path_and_class() {
    check(|disk, folder| {
        let file = disk.reserve();
        let path = folder.join("missing");
        let missing = disk.run(Operation::Open {
            file,
            path: path.clone(),
            mode: Mode::ReadOnly,
        });
        let error = missing.expect_err("there is no such file");
        assert_eq!(
            (error.class, error.operation, &error.path),
            (Class::Missing, "open", &path)
        );

        let buffer = filled(4096, 1);
        disk.submit(
            Lane::Journal,
            Token::new(Owner::Journal, 1),
            Operation::Write {
                file,
                position: 0,
                buffer,
            },
        );
        let unopened = drain(disk)
            .remove(0)
            .result
            .expect_err("the handle is not open");
        assert_eq!(
            (unopened.class, unopened.operation),
            (Class::Missing, "write")
        );

        let read_only = folder.join("read-only");
        std::fs::write(&read_only, "x").expect("written");
        let file = open(disk, read_only, Mode::ReadOnly);
        let buffer = filled(4096, 1);
        disk.submit(
            Lane::Journal,
            Token::new(Owner::Journal, 2),
            Operation::Write {
                file,
                position: 0,
                buffer,
            },
        );
        assert!(drain(disk).remove(0).result.is_err());
    });
}

#[test]
fn files_and_folders_are_made_listed_renamed_and_removed() {
    check(|disk, folder| {
        let inner = folder.join("a/b");
        outcome(disk.run(Operation::MakeFolder {
            path: inner.clone(),
        }));
        let file = open(disk, inner.join("one"), Mode::Buffered);
        outcome(disk.run(Operation::Preallocate {
            file,
            length: 10_000,
        }));
        outcome(disk.run(Operation::Fill {
            file,
            position: 0,
            length: 20_000,
        }));
        outcome(disk.run(Operation::StartWriteBack {
            file,
            position: 0,
            length: 20_000,
        }));
        outcome(disk.run(Operation::Sync { file }));
        outcome(disk.run(Operation::SyncFileSystem { file }));
        let Outcome::Length(20_000) = outcome(disk.run(Operation::Length { file })) else {
            panic!("the length")
        };
        outcome(disk.run(Operation::Close { file }));
        let (from, to) = (inner.join("one"), inner.join("two"));
        outcome(disk.run(Operation::Rename {
            from,
            to: to.clone(),
        }));
        let pieces = vec![Bytes::from("new "), Bytes::from("text")];
        outcome(disk.run(Operation::Replace {
            path: inner.join("small"),
            pieces,
        }));
        outcome(disk.run(Operation::SyncFolder {
            path: inner.clone(),
        }));
        let Outcome::Listed(entries) = outcome(disk.run(Operation::List {
            path: inner.clone(),
        })) else {
            panic!("a list")
        };
        let listed: Vec<(&str, u64)> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.length))
            .collect();
        assert_eq!(listed, [("small", 8), ("two", 20_000)]);
        outcome(disk.run(Operation::Remove { path: to }));
        let full = disk
            .run(Operation::RemoveFolder {
                path: inner.clone(),
            })
            .expect_err("not empty");
        assert_eq!(full.class, Class::Exists);
        let Outcome::Space(space) = outcome(disk.run(Operation::Space { path: inner })) else {
            panic!("space")
        };
        assert!(space.free > 0 && space.free <= space.total);
    });
}

#[test]
fn a_compressed_file_is_whole_in_its_archive_and_gone_itself() {
    check(|disk, folder| {
        let from = folder.join("00000000000000000000.meta.arc");
        let to = folder.join("00000000000000000000.meta.zip");
        let content = b"the same again and again, ".repeat(10_000);
        std::fs::write(&from, &content).expect("written");
        let compress = || Operation::Compress {
            from: from.clone(),
            to: to.clone(),
            entry: "00000000000000000000.meta".to_owned(),
        };
        disk.submit(Lane::Archive, Token::new(Owner::Journal, 1), compress());
        for completion in drain(disk) {
            outcome(completion.result);
        }
        let left: Vec<_> = std::fs::read_dir(folder).expect("listed").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let file = std::fs::File::open(&to).expect("the archive is there");
        assert!(file.metadata().expect("a length").len() < 10_000);
        let mut archive = zip::ZipArchive::new(file).expect("an archive");
        let mut entry = archive.by_index(0).expect("an entry");
        let name = entry.name().expect("a name");
        assert_eq!(name, "00000000000000000000.meta");
        let mut unpacked = Vec::new();
        std::io::copy(&mut entry, &mut unpacked).expect("unpacked");
        assert!(unpacked == content);
        let error = disk.run(compress()).expect_err("nothing to compress");
        assert_eq!(error.class, Class::Missing);
    });
}

#[test]
fn a_folder_is_locked_for_one_server_until_it_lets_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = Lock::take(folder.path()).expect("free");
    match Lock::take(folder.path()) {
        Err(LockError::Taken(taken)) => assert_eq!(taken, folder.path()),
        other => panic!("{other:?}"),
    }
    drop(lock);
    Lock::take(folder.path()).expect("free again");
}

#[test]
fn the_descriptor_is_readable_while_completions_wait() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    fn readable(disk: &Files, timeout: u8) -> bool {
        let mut polled = [PollFd::new(disk.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::from(timeout)).expect("polls") > 0
    }
    check(|disk, folder| {
        let file = open(disk, folder.join("polled"), Mode::Durable);
        assert!(!readable(disk, 0));
        for number in 0..10 {
            let write = Operation::Write {
                file,
                position: 0,
                buffer: filled(4096, 1),
            };
            disk.submit(Lane::Journal, Token::new(Owner::Journal, number), write);
            let mut completions = Vec::new();
            while completions.is_empty() {
                assert!(readable(disk, 255) || disk.under_way() > 0);
                disk.complete(&mut completions);
            }
        }
    });
}
