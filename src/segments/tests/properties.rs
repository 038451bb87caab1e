//! What holds for all inputs, tried on many: fast ways against slow obvious ones, cuts anywhere, bytes at
//! random.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::segments::FileId;
use crate::segments::PartitionId;
use crate::segments::checkpoint::{Checkpoint, PartitionCheckpoint, SegmentCheckpoint};
use crate::segments::dump::{self, Entry};
use crate::segments::format::{Header, Next, checksum, next_record};
use crate::segments::lookup::Lookup;
use crate::segments::partition::{Segment, Segments};
use crate::segments::recovery::Scanner;
use crate::segments::retention::{Action, Retired};
use crate::segments::verify::{Checker, Intervals, Outcome, Range};
use crate::segments::walk::{Fault, Step, Walker};
use crate::tests::seeded;
use crate::units::{Random, WallTime};

/// Without `SEED`.
const SEED: u64 = 20_110_427;

fn index(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).unwrap()
}

fn record(random: &mut Random) -> Vec<u8> {
    let length = match random.below(8) {
        0 => 0,
        1 => 200 + random.below(200),
        _ => random.below(40),
    };
    let data: Vec<u8> = (0..length)
        .map(|_| random.next().to_le_bytes()[0])
        .collect();
    let header = Header {
        length: u32::try_from(data.len()).unwrap(),
        checksum: checksum(&data),
        message_id: i64::try_from(random.below(1 << 40)).unwrap() + 1,
        flag: i32::try_from(random.below(2)).unwrap(),
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&data);
    bytes
}

/// Some records, and where each ends.
fn records(random: &mut Random) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    for _ in 0..random.below(30) {
        bytes.extend_from_slice(&record(random));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Hands the bytes over in pieces of all sizes.
fn in_pieces(random: &mut Random, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let length = (1 + index(random, 64)).min(bytes.len());
        take(&bytes[..length]);
        bytes = &bytes[length..];
    }
}

#[test]
fn a_scan_of_any_prefix_ends_with_its_last_whole_record() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..300 {
        let (bytes, ends) = records(&mut random);
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner::new(0, cut as u64);
            in_pieces(&mut random, &bytes[..cut], |piece| scanner.feed(piece));
            let tail = scanner.finish();
            let whole = ends.iter().rposition(|&end| end <= cut).unwrap();
            assert_eq!(
                tail.valid_to, ends[whole] as u64,
                "cut at {cut} of {ends:?}"
            );
            assert_eq!(tail.messages, whole as u64);
        }
    }
}

#[test]
fn zeros_behind_the_last_record_are_cut_off_however_many() {
    let (_replay, mut random) = seeded(SEED);
    for zeros in 0..200 {
        let (mut bytes, _) = records(&mut random);
        // A last record with data, so that its end does not look like what follows.
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(&checksum(b"x").to_be_bytes());
        bytes.extend_from_slice(&[0; 12]);
        bytes.push(b'x');
        let end = bytes.len() as u64;
        bytes.resize(bytes.len() + zeros, 0);
        let mut scanner = Scanner::new(0, bytes.len() as u64);
        in_pieces(&mut random, &bytes, |piece| scanner.feed(piece));
        assert_eq!(scanner.finish().valid_to, end, "{zeros} zeros");
    }
}

/// A block of a file that never reached the disk, from one record's beginning to another's. The records behind it are
/// kept: an original that took the zeros for messages went on behind them.
#[test]
fn a_hole_between_records_is_no_message_and_stays() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..300 {
        let (before, ends) = records(&mut random);
        let holes = 1 + index(&mut random, 10);
        let (after, ends_after) = records(&mut random);
        let mut bytes = before.clone();
        bytes.resize(before.len() + 20 * holes, 0);
        bytes.extend_from_slice(&after);
        let mut scanner = Scanner::new(0, bytes.len() as u64);
        in_pieces(&mut random, &bytes, |piece| scanner.feed(piece));
        let tail = scanner.finish();
        let valid = if after.is_empty() { &before } else { &bytes };
        assert_eq!(tail.valid_to, valid.len() as u64);
        assert_eq!(tail.messages, (ends.len() + ends_after.len() - 2) as u64);

        let range = Range {
            file: FileId {
                partition: PartitionId(0),
                start: 0,
            },
            from: 0,
            to: bytes.len() as u64,
            length: bytes.len() as u64,
        };
        let mut checker = Checker::new(&range);
        let mut outcome = None;
        in_pieces(&mut random, &bytes, |piece| {
            outcome = outcome.or_else(|| checker.feed(piece));
        });
        let bad = Outcome::Bad {
            at: before.len() as u64,
            fault: Fault::Zeros,
        };
        assert_eq!(outcome, Some(bad));
    }
}

/// Zeros, and then something that is no record: neither is a message.
#[test]
fn a_hole_before_garbage_is_cut_off_with_it() {
    let (_replay, mut random) = seeded(SEED);
    let (mut bytes, _) = records(&mut random);
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 60, 0);
    bytes.extend_from_slice(&[0xff; 50]);
    let mut scanner = Scanner::new(0, bytes.len() as u64);
    in_pieces(&mut random, &bytes, |piece| scanner.feed(piece));
    assert_eq!(scanner.finish().valid_to, end);
}

#[test]
fn no_single_changed_byte_of_data_or_length_gets_past_a_check() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..2000 {
        let (mut bytes, ends) = records(&mut random);
        if bytes.is_empty() {
            continue;
        }
        let at = index(&mut random, bytes.len());
        let damaged = ends.iter().rposition(|&end| end <= at).unwrap();
        let within = at - ends[damaged];
        if (8..20).contains(&within) {
            // Id and flag are not covered: the format is Metamorphosis's.
            continue;
        }
        bytes[at] ^= 1 << random.below(8);
        let length = bytes.len() as u64;
        let range = Range {
            file: FileId {
                partition: PartitionId(0),
                start: 0,
            },
            from: 0,
            to: length,
            length,
        };
        let mut checker = Checker::new(&range);
        let mut outcome = None;
        in_pieces(&mut random, &bytes, |piece| {
            outcome = outcome.or_else(|| checker.feed(piece));
        });
        let Some(Outcome::Bad { at: found, .. }) = outcome else {
            panic!("byte {at} was changed and {outcome:?}");
        };
        assert_eq!(found, ends[damaged] as u64);
    }
}

#[test]
fn a_walk_in_pieces_is_the_same_as_reading_at_once() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..500 {
        let (mut bytes, _) = records(&mut random);
        if random.below(2) == 0 && !bytes.is_empty() {
            let at = index(&mut random, bytes.len());
            bytes[at] ^= 0x55;
        }
        let mut whole = Bytes::from(bytes.clone());
        let mut expected = Vec::new();
        while let Next::Record(record) = next_record(&mut whole) {
            expected.push(record.header);
        }
        let mut walker = Walker::new(0, bytes.len() as u64);
        let mut found = Vec::new();
        in_pieces(&mut random, &bytes, |mut piece| {
            while let Some(Step::Record { header, .. }) = walker.feed(&mut piece) {
                found.push(header);
            }
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn a_dump_accounts_for_every_byte_of_anything() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..300 {
        let (mut bytes, _) = records(&mut random);
        for _ in 0..random.below(4) {
            let at = index(&mut random, bytes.len() + 1);
            bytes.insert(at, random.next().to_le_bytes()[0]);
        }
        let mut next = 1000;
        for entry in dump::segment(1000, Bytes::from(bytes.clone())) {
            let (offset, length) = match entry {
                Entry::Record { offset, header, .. } => (offset, header.record_bytes()),
                Entry::Damage { offset, bytes, .. } => (offset, bytes),
            };
            assert_eq!(offset, next);
            next += length;
        }
        assert_eq!(next, 1000 + bytes.len() as u64);
    }
}

#[test]
fn a_lookup_finds_what_going_through_all_bytes_finds() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..500 {
        let first = random.below(3) * 100;
        let mut list = VecDeque::new();
        let mut end = first;
        for _ in 0..=random.below(5) {
            let mut segment = Segment::begun(end, WallTime(0));
            segment.length = random.below(30);
            end += segment.length;
            list.push_back(segment);
        }
        // The slow way: for every byte of the stream, the start of its file.
        let owners: Vec<u64> = list
            .iter()
            .flat_map(|one| (0..one.length).map(|_| one.start))
            .collect();
        let segments = Segments::new(list);
        let visible = first + random.below(end - first + 1);
        for offset in first.saturating_sub(3)..end + 3 {
            let bytes_max = 1 + random.below(40);
            let found = segments.lookup(PartitionId(0), offset, visible, bytes_max);
            let slow = |offset: u64| {
                owners
                    .get(usize::try_from(offset - first).unwrap())
                    .copied()
            };
            if offset < segments.first() {
                assert_eq!(found, Lookup::Before(segments.first()));
            } else if offset >= visible {
                assert_eq!(found, Lookup::AtEnd);
            } else {
                let start = slow(offset).expect("a visible byte is in a file");
                let same = (offset..visible.min(offset + bytes_max))
                    .take_while(|&next| slow(next) == Some(start));
                let Lookup::Place(place) = found else {
                    panic!("{found:?} at {offset}")
                };
                assert_eq!(place.file.start, start);
                assert_eq!(place.file.start + place.position, offset);
                assert_eq!(place.length, same.count() as u64);
            }
        }
    }
}

#[test]
fn intervals_are_a_set_of_positions() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..300 {
        let mut fast = Intervals::default();
        let mut slow = [false; 100];
        for _ in 0..20 {
            let from = index(&mut random, 100);
            let to = (from + index(&mut random, 20)).min(100);
            fast.insert(from as u64, to as u64);
            slow[from..to].fill(true);
        }
        for position in 0..100 {
            let end = slow[position..].iter().position(|held| !held);
            let end = position + end.unwrap_or(100 - position);
            let expected = slow[position].then_some(end as u64);
            assert_eq!(fast.end_around(position as u64), expected);
            let is_end = |end: &usize| *end > 0 && slow[*end - 1] && (*end == 100 || !slow[*end]);
            let below = (0..=position).rev().find(is_end).unwrap_or(0);
            assert_eq!(fast.end_below(position as u64), below as u64);
        }
    }
}

fn checkpoint(random: &mut Random) -> Checkpoint {
    let partitions = (0..random.below(6)).map(|number| {
        let mut start = random.below(1000);
        let segments = (0..random.below(5)).map(|_| {
            let length = random.below(1000);
            let segment = SegmentCheckpoint {
                start,
                length,
                messages: random.below(100),
                modified: WallTime(i64::try_from(random.below(1 << 41)).unwrap()),
            };
            start += length;
            segment
        });
        let segments = segments.collect();
        PartitionCheckpoint {
            topic: "tøpic-".repeat(1 + index(random, 20)),
            number: i32::try_from(number).unwrap(),
            segments,
            retired: (0..index(random, 3))
                .map(|start| Retired {
                    start: start as u64,
                    action: Action::Delete,
                })
                .collect(),
        }
    });
    let partitions = partitions.collect();
    Checkpoint {
        applied: random.next(),
        last_message_id: -5,
        partitions,
    }
}

#[test]
fn a_checkpoint_is_read_as_it_was_written_and_no_other_bytes_are_one() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..100 {
        let checkpoint = checkpoint(&mut random);
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint));
        for cut in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..cut]).is_err());
        }
        for _ in 0..50 {
            let mut changed = bytes.to_vec();
            let at = index(&mut random, changed.len());
            changed[at] ^= 1 << random.below(8);
            assert!(
                Checkpoint::decode(&changed).is_err(),
                "byte {at} was changed"
            );
        }
        // A right checksum over wrong bytes must not lead astray either.
        let mut wrong = bytes.to_vec();
        for _ in 0..4 {
            let at = 24 + index(&mut random, wrong.len() - 24);
            wrong[at] = random.next().to_le_bytes()[0];
        }
        let sum = crc32fast::hash(&wrong[24..]).to_be_bytes();
        wrong[12..16].copy_from_slice(&sum);
        let _ = Checkpoint::decode(&wrong);
    }
}
