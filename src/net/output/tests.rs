//! Output queues: order, counters, partial writes.

use super::*;

fn range(length: u64) -> FileRange {
    FileRange {
        path: Rc::new(PathBuf::from("segment")),
        position: 100,
        length,
    }
}

#[test]
fn small_replies_leave_in_one_chunk() {
    let mut output = Output::default();
    output.extend(b"one");
    output.extend(b"two");
    assert_eq!(
        output.front(),
        Some(&Chunk::Bytes(Bytes::from_static(b"onetwo")))
    );
    assert_eq!(output.queued_bytes(), 6);
}

#[test]
fn a_file_range_keeps_its_place_between_replies() {
    let mut output = Output::default();
    output.extend(b"head");
    output.file(range(10));
    output.extend(b"next");
    assert_eq!((output.queued_bytes(), output.held_bytes()), (18, 8));
    output.written(6);
    let rest = FileRange {
        position: 102,
        length: 8,
        ..range(0)
    };
    assert_eq!(output.front(), Some(&Chunk::File(rest)));
    output.written(8);
    assert_eq!(
        output.front(),
        Some(&Chunk::Bytes(Bytes::from_static(b"next")))
    );
    output.written(4);
    assert!(output.is_empty());
    assert_eq!(output.front(), None);
}

#[test]
fn a_gathering_write_stops_at_a_file() {
    let mut output = Output::default();
    output.extend(&vec![1; GATHER_BYTES]);
    output.extend(b"more");
    output.file(range(10));
    output.extend(b"behind");
    assert_eq!(
        output.front_bytes().map(Bytes::len).collect::<Vec<_>>(),
        [GATHER_BYTES, 4]
    );
}

#[test]
fn the_longest_piece_does_not_count_as_piled_up() {
    let mut output = Output::default();
    output.extend(&[1; 10]);
    output.extend(&[2; 100]);
    output.extend(&[3; 20]);
    assert_eq!((output.held_bytes(), output.piled_bytes()), (130, 30));
    output.front();
    output.written(50);
    assert_eq!(output.piled_bytes(), 0);
    output.written(80);
    assert!(output.is_empty());
    output.extend(&[4; 10]);
    output.extend(&[5; 10]);
    assert_eq!(output.piled_bytes(), 10, "an empty queue begins anew");
    assert_eq!(output.written_bytes(), 130);
}
