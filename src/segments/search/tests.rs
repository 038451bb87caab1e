//! A search in windows finds what a search of the whole file finds.

use super::{Outcome, Search};
use crate::segments::dump::next_record_after;
use crate::segments::format::{Header, checksum};
use crate::segments::verify::Range;
use crate::segments::{FileId, PartitionId};

fn record(data: &[u8]) -> Vec<u8> {
    let header = Header {
        length: u32::try_from(data.len()).expect("it is short"),
        checksum: checksum(data),
        message_id: 7,
        flag: 0,
    };
    [&header.encode(), data].concat()
}

/// What is found behind `from`, and in how many windows.
fn search(file: &[u8], from: usize, to: usize) -> (Outcome, usize) {
    let range = Range {
        file: FileId {
            partition: PartitionId(0),
            start: 0,
        },
        from: from as u64,
        to: to as u64,
        length: file.len() as u64,
    };
    let mut search = Search::new(&range);
    for windows in 1.. {
        let (position, bytes) = search.wants();
        let position = usize::try_from(position).expect("it is in the file");
        if let Some(outcome) = search.feed(&file[position..position + bytes]) {
            return (outcome, windows);
        }
        assert!(windows < 10_000, "the search makes no progress");
    }
    unreachable!("it ends or fails above")
}

#[test]
fn the_next_record_is_found_in_the_first_window() {
    let (bad, good) = (record(b"damaged"), record(b"whole"));
    let mut file = [bad.clone(), good].concat();
    file[bad.len() - 1] ^= 1;
    let found = (Outcome::Found(bad.len() as u64), 1);
    assert_eq!(search(&file, 0, file.len()), found);
}

#[test]
fn what_is_behind_the_range_is_not_looked_at() {
    let (bad, good) = (record(b"damaged"), record(b"whole"));
    let file = [bad.clone(), good].concat();
    assert_eq!(search(&file, 0, bad.len()).0, Outcome::Nothing);
    let behind_the_last = search(&file, bad.len(), file.len());
    assert_eq!(behind_the_last.0, Outcome::Nothing);
}

#[test]
fn damage_larger_than_a_window_is_passed_in_several() {
    let damage = vec![0x41; 6 << 20];
    let file = [damage.clone(), record(&vec![9; 2 << 20])].concat();
    let (outcome, windows) = search(&file, 0, file.len());
    assert_eq!(outcome, Outcome::Found(damage.len() as u64));
    assert!(windows > 2, "{windows}");
}

#[test]
fn imagined_records_cost_turns_and_hide_nothing() {
    // Every fourth byte begins what could be a record of a mebibyte.
    let damage = [0, 0x10, 0, 0].repeat(1 << 10);
    let tail = vec![0xee; 2 << 20];
    let file = [damage, record(b"whole"), tail].concat();
    let next = next_record_after(&file, 0).expect("there is one");
    let (outcome, windows) = search(&file, 0, file.len());
    assert_eq!(outcome, Outcome::Found(next as u64));
    assert!(windows > 10, "{windows}");
}
