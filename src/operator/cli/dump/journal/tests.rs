//! A small journal, dumped whole, damaged and damaged with its beginning.

use std::path::Path;

use bytes::Bytes;

use super::journal;
use crate::consensus::{Entry, EntryKind, Record};
use crate::disk::{Backend, Disk as _, Files, Options as DiskOptions};
use crate::journal::{Journal, Options};
use crate::units::{GroupId, Moment};

/// Five entries, each in a batch of its own, and the seal.
fn make(folder: &Path) {
    let options = DiskOptions {
        backend: Backend::Threads,
        ..DiskOptions::default()
    };
    let mut disk = Files::new(&options).expect("a disk");
    let options = Options {
        first_file_bytes: 64 << 10,
        file_bytes: 64 << 10,
        batch_bytes_max: 32 << 10,
        fill_step_bytes: 64 << 10,
        ..Options::new(folder)
    };
    let (mut journal, _) = Journal::open(&mut disk, options, [1; 16]).expect("opens");
    for index in 1..=5 {
        let data = Bytes::from_static(b"some data");
        let entry = Entry {
            index,
            term: 1,
            kind: EntryKind::Normal,
            data,
        };
        journal.append(GroupId(2), Record::Entry(entry));
        if index == 5 {
            journal.seal();
        }
        let mut completions = Vec::new();
        loop {
            journal.flush(Moment::START, &mut disk);
            disk.wait(&mut completions);
            if completions.is_empty() {
                break;
            }
            for completion in completions.drain(..) {
                journal
                    .complete(Moment::START, completion)
                    .expect("the disk works");
            }
        }
    }
}

fn printed(folder: &Path, json: bool) -> (String, bool) {
    let mut out = Vec::new();
    let end = journal(folder, json, &mut out).unwrap_or_else(|error| panic!("{error:#}"));
    (String::from_utf8(out).expect("text"), end.damage.is_some())
}

fn flip(path: &Path, position: usize) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[position] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn a_whole_journal_is_printed_batch_by_batch() {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path());
    let (text, damaged) = printed(folder.path(), false);
    assert!(!damaged);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("batch 1  00.journal byte 0  4096 bytes  file start"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("batch 2  00.journal byte 4096  4096 bytes  records"),
        "{text}"
    );
    assert_eq!(lines[2], "    group 2  entry 1  term 1  9 bytes");
    assert!(
        text.contains("batch 7  00.journal byte 24576  4096 bytes  seal"),
        "{text}"
    );
    assert!(
        lines[lines.len() - 1].starts_with("end behind batch 7"),
        "{text}"
    );

    let (text, _) = printed(folder.path(), true);
    let values: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(values.len(), 8);
    assert_eq!(values[3]["records"][0]["index"], 3);
    assert_eq!(values[7]["end"], 7);
    assert!(values[7]["damage"].is_null());
}

#[test]
fn damage_is_named_with_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path());
    flip(&folder.path().join("00.journal"), 3 * 4096 + 100);
    let (text, damaged) = printed(folder.path(), false);
    assert!(damaged);
    assert!(text.contains("DAMAGE at batch 4, "), "{text}");
    assert!(
        text.contains("byte 12288: its body does not match its checksum"),
        "{text}"
    );
    assert!(
        text.contains("missing: entries 4 to 5 of group 2"),
        "{text}"
    );
    assert_eq!(text.matches("BEHIND THE END").count(), 3, "{text}");
}

#[test]
fn what_is_no_journal_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = journal(folder.path(), false, &mut Vec::new()).expect_err("there is none");
    assert!(format!("{error:#}").contains("journal"), "{error:#}");
    let missing = folder.path().join("missing");
    assert!(journal(&missing, false, &mut Vec::new()).is_err());
}

/// Changes a byte of the batch at `batch`, and makes its checksums right again.
fn forge(path: &Path, batch: usize, position: usize, value: u8) {
    let mut bytes = std::fs::read(path).expect("read");
    let bytes_of = &mut bytes[batch..];
    bytes_of[96 + position] = value;
    let length = u32::from_le_bytes(bytes_of[72..76].try_into().expect("four bytes"));
    let end = 96 + usize::try_from(length).expect("32 bits");
    let check = crc32fast::hash(&bytes_of[96..end]);
    bytes_of[76..80].copy_from_slice(&check.to_le_bytes());
    let check = crc32fast::hash(&bytes_of[..92]);
    bytes_of[92..96].copy_from_slice(&check.to_le_bytes());
    // What is behind it names this check.
    let next = &mut bytes_of[4096..];
    next[12..16].copy_from_slice(&check.to_le_bytes());
    let check = crc32fast::hash(&next[..92]);
    next[92..96].copy_from_slice(&check.to_le_bytes());
    std::fs::write(path, bytes).expect("written");
}

/// What this version does not know ends neither the dump nor what can be told of the rest.
#[test]
fn a_record_of_a_newer_version_is_named_among_those_that_are_known() {
    // The record's kind, and the kind of its entry's bytes.
    for (position, what, shown) in [
        (8, "a record of kind 99, version 1", "a record of kind 99,"),
        (12 + 16, "an entry of kind 99", "an entry OF"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path());
        // Of entry 5, before the seal: none but that names its check.
        forge(&folder.path().join("00.journal"), 5 * 4096, position, 99);
        let (text, damaged) = printed(folder.path(), false);
        assert!(!damaged, "{text}");
        assert!(text.contains(&format!("    group 2  {shown}")), "{text}");
        assert!(text.contains("    group 2  entry 4  term 1"), "{text}");
        assert!(text.contains("end behind batch 7"), "{text}");
        let newer = format!("00.journal: the batch at byte 20480 has {what}, which is not known");
        assert!(text.contains(&newer), "{text}");
        let (text, _) = printed(folder.path(), true);
        let end = text.lines().last().expect("an end");
        let end: serde_json::Value = serde_json::from_str(end).expect("JSON");
        assert!(end["newer"].as_str().expect("a text").ends_with(&newer));

        let mut out = Vec::new();
        let command = super::Journal {
            folder: crate::operator::cli::place::FolderArgument::of(folder.path()),
            json: false,
        };
        let error = command.run(&mut out).expect_err("it does not know all");
        let error = error.downcast_ref::<crate::report::Error>().expect("ours");
        assert_eq!(error.code(), crate::report::Code::E0106);
        assert!(error.to_string().contains(&newer), "{error}");
    }
}
