//! A small journal, dumped whole, damaged and damaged with its beginning.

use std::path::Path;

use bytes::Bytes;

use super::journal;
use crate::consensus::journal::{Entry, EntryKind, Journal, Options, Record};
use crate::disk::{Backend, Disk as _, Files, Options as DiskOptions};
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
    let damage = journal(folder, json, &mut out).unwrap_or_else(|error| panic!("{error:#}"));
    (String::from_utf8(out).expect("text"), damage.is_some())
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
