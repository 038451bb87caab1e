//! Bytes as the format's specification: `tests/golden/segments/`.

use bytes::Bytes;

use crate::segments::checkpoint::{Checkpoint, Unreadable};
use crate::segments::dump::{self, Entry};
use crate::segments::format::{
    checksum, file_name, file_number, file_start, folder_name, folder_partition,
};

/// The cases of a golden file: bytes, and what they are.
fn cases(file: &str) -> Vec<(Bytes, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/segments");
    let text = std::fs::read_to_string(folder.join(file)).expect("the golden file is there");
    let mut cases = Vec::new();
    let mut bytes = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "----" {
            let expected: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            cases.push((Bytes::from(std::mem::take(&mut bytes)), expected.join("\n")));
            continue;
        }
        let hex: String = line.split('#').next().unwrap().split_whitespace().collect();
        for pair in hex.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).unwrap();
            bytes.push(u8::from_str_radix(pair, 16).expect("hexadecimal digits"));
        }
    }
    cases
}

fn entry_text(entry: Entry) -> String {
    match entry {
        Entry::Record {
            offset,
            header,
            attribute,
            payload,
        } => {
            let attribute = attribute.map_or(String::new(), |text| format!("attribute {text:?} "));
            let (id, flag, data) = (header.message_id, header.flag, payload.escape_ascii());
            format!("{offset}: id {id} flag {flag} {attribute}\"{data}\"")
        }
        Entry::Damage {
            offset,
            bytes,
            fault,
        } => {
            format!("{offset}: {bytes} bytes are no records: {fault:?}")
        }
    }
}

#[test]
fn records_are_read_as_they_are_drawn() {
    for (bytes, expected) in cases("records.txt") {
        let entries: Vec<String> = dump::segment(0, bytes).map(entry_text).collect();
        assert_eq!(entries.join("\n"), expected);
    }
}

#[test]
fn a_header_is_written_as_it_was_read() {
    for (bytes, _) in cases("records.txt") {
        for entry in dump::segment(0, bytes.clone()) {
            if let Entry::Record { offset, header, .. } = entry {
                let at = usize::try_from(offset).unwrap();
                assert_eq!(header.encode(), bytes[at..at + 20]);
            }
        }
    }
}

#[test]
fn a_checkpoint_is_written_and_read_as_it_is_drawn() {
    for (bytes, expected) in cases("checkpoint.txt") {
        let checkpoint = Checkpoint::decode(&bytes).expect("the golden checkpoint is well formed");
        let Checkpoint {
            applied,
            last_message_id,
            partitions,
        } = &checkpoint;
        let mut text = vec![format!(
            "applied {applied}, last message id {last_message_id}"
        )];
        for partition in partitions {
            let segments = partition.segments.iter().map(|one| {
                let (start, length) = (one.start, one.length);
                format!(
                    " {start}+{length} ({} messages, {})",
                    one.messages, one.modified.0
                )
            });
            let (topic, number) = (&partition.topic, partition.number);
            let retired = partition.retired.iter();
            let retired = retired.map(|one| format!(", {} goes: {:?}", one.start, one.action));
            let (segments, retired): (String, String) = (segments.collect(), retired.collect());
            text.push(format!("{topic}-{number}:{segments}{retired}"));
        }
        assert_eq!(text.join("\n"), expected);
        assert_eq!(checkpoint.encode(), bytes);
    }
}

#[test]
fn a_checkpoint_of_a_later_release_is_refused_by_its_version() {
    let mut bytes = Checkpoint::default().encode().to_vec();
    bytes[11] = 2;
    assert_eq!(Checkpoint::decode(&bytes), Err(Unreadable::Newer(2)));
}

#[test]
fn checksums_are_those_that_clients_compute() {
    for (data, expected) in [
        ("hello", 907_060_870),
        ("world", 980_881_731),
        ("test", 1_484_750_348),
        ("", 0),
    ] {
        assert_eq!(checksum(data.as_bytes()), expected, "{data}");
    }
}

#[test]
fn files_and_folders_are_named_as_metamorphosis_names_them() {
    assert_eq!(file_name(0), "00000000000000000000.meta");
    assert_eq!(file_name(1_073_741_900), "00000000001073741900.meta");
    assert_eq!(file_start("00000000001073741900.meta"), Some(1_073_741_900));
    assert_eq!(folder_name("meta-test", 3), "meta-test-3");
    assert_eq!(folder_partition("meta-test-3"), Some(("meta-test", 3)));
}

#[test]
fn other_names_are_no_files_and_no_folders() {
    for name in [
        "00000000000000000000.meta.arc",
        "00000000000000000000.meta.zip",
        "notes.txt",
        ".meta",
        "-1.meta",
        "+1.meta",
        "0.meta",
        "000000000000000000000.meta",
        "copy of 00000000000000000000.meta",
        "09223372036854775808.meta",
        "99999999999999999999999.meta",
    ] {
        assert_eq!(file_start(name), None, "{name}");
    }
    assert_eq!(file_number("264.meta"), Some(264));
    assert_eq!(file_number("x.meta"), None);
    for name in [
        "transactions",
        "test-",
        "test-x",
        "test--",
        "-1",
        "test-99999999999",
        "test-+1",
        "test-01",
        "test-00",
    ] {
        assert_eq!(folder_partition(name), None, "{name}");
    }
    assert_eq!(folder_partition("test--2"), Some(("test-", 2)));
    assert_eq!(folder_partition("test-0"), Some(("test", 0)));
}
