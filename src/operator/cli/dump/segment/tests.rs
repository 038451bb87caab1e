//! Message files as the command prints them.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::segments::format::checksum;

fn record(message_id: i64, flag: i32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("it is short");
    let header = Header {
        length,
        checksum: checksum(data),
        message_id,
        flag,
    };
    [&header.encode(), data].concat()
}

struct Dumped {
    printed: Vec<u8>,
    ended: anyhow::Result<()>,
}

impl Dumped {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.printed).expect("it is text")
    }
}

fn dump(name: &str, content: &[u8], from: Option<u64>, count: Option<u64>, data: bool) -> Dumped {
    let home = TempDir::new().expect("make a folder");
    let file = home.path().join(name);
    fs::write(&file, content).expect("write the file");
    let mut printed = Vec::new();
    let ended = Segment {
        file,
        from,
        count,
        data,
        json: false,
    }
    .run(&mut printed);
    Dumped { printed, ended }
}

const FIRST: &str = "00000000000000000000.meta";

#[test]
fn each_record_is_a_line_with_its_offset() {
    let content = [
        record(1, 0, b"hello"),
        record(
            1_661_382_015_569_653_763,
            1,
            &[&[0, 0, 0, 1, b'a'], &[b'x'; 70][..]].concat(),
        ),
        record(-2, 0, b"\x1b[31m\"\n"),
    ]
    .concat();
    let dumped = dump(FIRST, &content, None, None, false);
    dumped.ended.as_ref().expect("it is whole");
    assert_eq!(
        dumped.text(),
        format!(
            "{:>20}  id 1  flag 0  length 5  \"hello\"\n\
             {:>20}  id 1661382015569653763 (2023-11-14T22:13:20.000Z)  flag 1  length 75  \"\\x00\\x00\\x00\\x01a{}\"...\n\
             {:>20}  id -2  flag 0  length 7  \"\\x1b[31m\\\"\\n\"\n",
            0,
            25,
            "x".repeat(55),
            120
        )
    );
}

#[test]
fn offsets_count_from_the_name_of_the_file() {
    let content = [record(1, 0, b"hello"), record(2, 0, b"")].concat();
    let dumped = dump(
        "00000000000000001000.meta",
        &content,
        Some(1025),
        None,
        false,
    );
    assert_eq!(
        dumped.text(),
        format!("{:>20}  id 2  flag 0  length 0  \"\"\n", 1025)
    );
    let of_a_copy = dump("copy", &content, Some(25), Some(9), false);
    assert_eq!(
        of_a_copy.text(),
        format!("{:>20}  id 2  flag 0  length 0  \"\"\n", 25)
    );
}

#[test]
fn the_data_alone_can_be_had() {
    let content = [
        record(1, 0, b"hel"),
        record(2, 0, b"lo\xff"),
        record(3, 0, b"no more"),
    ]
    .concat();
    assert_eq!(
        dump(FIRST, &content, None, Some(2), true).printed,
        b"hello\xff"
    );
}

#[test]
fn a_record_longer_than_a_piece_is_read_whole() {
    let content = [record(1, 0, &vec![7; 3 << 20]), record(2, 0, b"behind")].concat();
    let dumped = dump(FIRST, &content, None, None, false);
    assert!(
        dumped.text().ends_with("length 6  \"behind\"\n"),
        "{}",
        dumped.text()
    );
}

#[test]
fn an_unfinished_end_is_said_and_is_no_error() {
    for kept in [1, 19, 20, 24] {
        let whole = record(1, 0, b"hello");
        let dumped = dump(FIRST, &[&whole, &whole[..kept]].concat(), None, None, false);
        dumped.ended.as_ref().expect("it may be being written");
        let last = format!(
            "{:>20}  {} of a record that is not whole: being written, or cut off\n",
            25,
            counted(kept, "bytes")
        );
        assert!(dumped.text().ends_with(&last), "{}", dumped.text());
    }
    let empty = dump(FIRST, &[], None, None, false);
    assert!(empty.ended.is_ok() && empty.printed.is_empty());
}

#[test]
fn damage_is_told_with_its_place_and_what_is_behind_it_is_shown() {
    let mut content = [
        record(1, 0, b"hello"),
        record(2, 0, b"world"),
        record(3, 0, b"!"),
        record(4, 0, b"damaged, too"),
        record(5, 0, b"?"),
    ]
    .concat();
    content[47] ^= 1;
    content[71 + 25] ^= 1;
    let dumped = dump("00000000000000001000.meta", &content, None, None, false);
    let wrong = "no record, or one that does not match its checksum";
    assert_eq!(
        dumped.text(),
        format!(
            "{:>20}  id 1  flag 0  length 5  \"hello\"\n\
             {:>20}  DAMAGED: 25 bytes, {wrong}\n\
             {:>20}  id 3  flag 0  length 1  \"!\"\n\
             {:>20}  DAMAGED: 32 bytes, {wrong}\n\
             {:>20}  id 5  flag 0  length 1  \"?\"\n",
            1000, 1025, 1050, 1071, 1103
        )
    );
    let error = dumped.ended.expect_err("it is damaged").to_string();
    assert!(
        error.starts_with("E0203 no record at offset 1025, byte 25 of ")
            && error.contains(" and at 1 more"),
        "{error}"
    );
    // What is whole can be had alone.
    let dumped = dump("copy", &content, None, None, true);
    assert_eq!(dumped.text(), "hello!?");
    assert!(dumped.ended.is_err());

    let lying = [&(-1_i32).to_be_bytes()[..], &[0; 40]].concat();
    assert!(
        dump(FIRST, &lying, None, None, false).ended.is_err(),
        "a negative length"
    );
    let lying = [&i32::MAX.to_be_bytes()[..], &[0; 40]].concat();
    assert!(
        dump(FIRST, &lying, None, None, false).ended.is_ok(),
        "a length beyond the end is an unfinished record"
    );
    let hidden = [&lying[..], &record(6, 0, b"whole")].concat();
    let dumped = dump(FIRST, &hidden, None, None, false);
    assert!(dumped.ended.is_err(), "but not if records follow");
    assert!(dumped.text().contains("id 6"), "{}", dumped.text());
}

#[test]
fn the_next_record_is_found_behind_more_damage_than_is_read_at_a_time() {
    let mut long = record(1, 0, &vec![7; 7 << 20]);
    long[100] ^= 1;
    for behind in [&b"short"[..], &vec![8; DATA_BYTES_MAX]] {
        let content = [&long[..], &record(2, 0, behind)].concat();
        let dumped = dump(FIRST, &content, None, None, false);
        let told = format!("DAMAGED: {} bytes", long.len());
        assert!(dumped.text().contains(&told), "{}", dumped.text());
        assert!(dumped.text().contains("id 2"), "{}", dumped.text());
    }
}

#[test]
fn a_program_gets_the_same_in_json() {
    let attribute = [&[0, 0, 0, 1, b'a'], &b"hello"[..]].concat();
    let mut content = [
        record(1_661_382_015_569_653_763, 1, &attribute),
        record(2, 0, b"world"),
        record(3, 0, b"\xff"),
        record(4, 0, b"cut off"),
    ]
    .concat();
    content[30 + 21] ^= 1;
    content.pop();
    let home = TempDir::new().expect("make a folder");
    let file = home.path().join(FIRST);
    fs::write(&file, content).expect("write the file");
    let mut printed = Vec::new();
    let command = Segment {
        file,
        from: None,
        count: None,
        data: false,
        json: true,
    };
    command.run(&mut printed).expect_err("it is damaged");
    let printed = String::from_utf8(printed).expect("it is text");
    let lines = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"));
    let wrong = "no record, or one that does not match its checksum";
    let expected = [
        json!({
            "offset": 0, "id": "1661382015569653763", "time": "2023-11-14T22:13:20.000Z", "flag": 1,
            "attribute": "a", "size_bytes": 5, "payload": "hello",
        }),
        json!({ "offset": 30, "damaged_bytes": 25, "what": wrong }),
        json!({
            "offset": 55, "id": "3", "time": null, "flag": 0, "attribute": null, "size_bytes": 1,
            "payload_base64": "/w==",
        }),
        json!({ "offset": 76, "unfinished_bytes": 26 }),
    ];
    assert_eq!(lines.collect::<Vec<Value>>(), expected);
}

#[test]
fn a_hole_is_damage_and_an_empty_message_is_not() {
    let first = [record(1, 0, b"hello"), record(2, 0, b"")].concat();
    let hole = [0; 40];
    let content = [&first[..], &hole, &record(3, 0, b"world")].concat();
    let dumped = dump(FIRST, &content, None, None, false);
    let lines: Vec<&str> = dumped.text().lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[2].ends_with("45  DAMAGED: 40 bytes, zeros where a crash lost a write"));
    assert!(lines[3].contains("id 3"), "{}", lines[3]);
    let error = dumped.ended.expect_err("nothing was written there");
    let told = error.to_string();
    assert!(
        told.starts_with("E0203 no record at offset 45, byte 45 of ") && told.contains(": zeros"),
        "{told}"
    );
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let mut printed = Vec::new();
    let missing = Segment {
        file: PathBuf::from("/nowhere/1.meta"),
        from: None,
        count: None,
        data: false,
        json: false,
    };
    let error = missing.run(&mut printed).expect_err("there is none");
    assert!(
        error
            .to_string()
            .starts_with("E0307 read /nowhere/1.meta: No such file"),
        "{error}"
    );
}
