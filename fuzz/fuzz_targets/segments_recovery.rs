//! What a crash may leave of a message file and of a checkpoint: whatever the bytes are, recovery ends, stays
//! inside them, does not depend on how they were read, and never cuts a valid record in front of garbage.
#![no_main]

use bytes::Bytes;
use chrysalis::segments::checkpoint::Checkpoint;
use chrysalis::segments::dump;
use chrysalis::segments::format::{Header, checksum};
use chrysalis::segments::recovery::{Scanner, Tail};

fn scan(pieces: &[&[u8]]) -> Tail {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut scanner = Scanner::new(0, length as u64);
    for piece in pieces {
        scanner.feed(piece);
    }
    scanner.finish()
}

/// A file's valid part: a record for each line of `data`.
fn records(data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for line in data.split(|&byte| byte == b'\n') {
        let header = Header {
            length: u32::try_from(line.len()).expect("the fuzzer's inputs are short"),
            checksum: checksum(line),
            message_id: 1,
            flag: 0,
        };
        file.extend_from_slice(&header.encode());
        file.extend_from_slice(line);
    }
    file
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(checkpoint) = Checkpoint::decode(data) {
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).as_ref(), Ok(&checkpoint));
    }

    let tail = scan(&[data]);
    assert!(tail.valid_to <= data.len() as u64);
    for _ in dump::segment(0, Bytes::copy_from_slice(data)) {}

    let Some((&first, rest)) = data.split_first() else { return };
    let (head, garbage) = rest.split_at(usize::from(first) * rest.len() / 256);
    assert_eq!(scan(&[head, garbage]), scan(&[rest]), "it depends on how the file was read");

    let valid = records(head);
    let found = scan(&[&valid, garbage]);
    assert!(found.valid_to >= valid.len() as u64, "valid records were cut");
});
