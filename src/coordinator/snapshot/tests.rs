use bytes::Bytes;

use super::*;
use crate::coordinator::tests::harness::{Harness, restore};
use crate::coordinator::{Acl, Create, CreateMode, Options, Request, Restore, SnapshotError};
use crate::units::{Random, Seed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A chunk of a snapshot without a digest.
fn chunk(kind: &str, index: &str, number: &str, body: &str) -> String {
    chunk_of("02", kind, index, number, body)
}

/// A chunk put together by hand: 24 bytes, their checksum, the body. Both in hexadecimal.
fn chunk_of(version: &str, kind: &str, index: &str, number: &str, body: &str) -> String {
    let length = format!("{:08x}", body.len() / 2);
    let header = ["5a4e4f44", version, kind, "0000", index, number, &length].concat();
    let checked = [header.as_str(), body].concat();
    let bytes: Vec<u8> = (0..checked.len() / 2)
        .map(|at| u8::from_str_radix(&checked[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    format!("{header}{:08x}{body}", crc32fast::hash(&bytes))
}

#[test]
fn the_bytes_of_a_snapshot_stay_as_they_are() {
    let mut harness = Harness::leading(Options::default(), Seed(1));
    harness.connect();
    let znode = |path: &str| {
        [
            "03",
            path,
            "00000000",                                         // data: empty
            "0000000000000000",                                 // owner: none
            "000000000000000000000000000000000000000000000000", // czxid, mzxid, pzxid
            "00000000000000000000000000000000",                 // ctime, mtime
            "000000000000000000000000",                         // version, made, aversion
            "00000000",                                         // permissions 0
        ]
        .concat()
    };
    let index = "0000000000000001";
    let head = [
        "0000000000000005",     // the term
        "0000000100",           // the members: one byte, a zero
        "0000000000000001",     // zxid
        "0000000000000000",     // the time of the last write
        "0001018bcfe568000000", // the last session of server 1
    ]
    .concat();
    let records = [
        "01",               // a session
        "018bcfe568000000", // id
        "00002710",         // timeout
        "0000000000000001", // generation
        "0000000000000000", // sequence
        "0001",             // server
        "02",               // permissions
        "00000000",         // number
        "000000170000001f00000005776f726c6400000006616e796f6e65",
        &znode("000000012f"),
        &znode("0000000a2f7a6f6f6b6565706572"),
        &znode("000000102f7a6f6f6b65657065722f71756f7461"),
    ]
    .concat();
    let head = chunk_of("03", "01", index, "00000000", &head);
    let records = chunk_of("03", "02", index, "00000001", &records);
    let checksums: Vec<u8> = [&head, &records]
        .iter()
        .flat_map(|chunk| {
            u32::from_str_radix(&chunk[48..56], 16)
                .expect("hex")
                .to_be_bytes()
        })
        .collect();
    let seal = [
        "0000000000000001", // sessions
        "0000000000000001", // permissions
        "0000000000000003", // znodes
        &format!("{:08x}", crc32fast::hash(&checksums)),
        &format!("{:016x}", harness.coordinator.digest()),
    ]
    .concat();
    let seal = chunk_of("03", "03", index, "00000002", &seal);
    harness.coordinator.snapshot_begin(Place {
        term: 5,
        members: Bytes::from_static(&[0]),
    });
    let slices: Vec<String> = std::iter::from_fn(|| harness.coordinator.snapshot_step(100_000))
        .map(|slice| hex(&slice.bytes))
        .collect();
    assert_eq!(slices, [head, records, seal]);
}

/// Twenty ephemeral znodes with four lists of permissions.
fn some_state() -> Harness {
    let mut harness = Harness::leading(Options::default(), Seed(1));
    let (connection, _) = harness.connect();
    for number in 0..20 {
        let create = Create {
            path: format!("/{number}").into(),
            data: (number % 3 != 0).then(|| Bytes::from(vec![b'x'; number])),
            acl: vec![Acl {
                permissions: i32::try_from(number % 4).expect("small"),
                ..Acl::open()
            }],
            mode: CreateMode::Ephemeral,
        };
        harness.request(connection, 1, Request::Create(create));
    }
    harness
}

fn error_of(bytes: &[u8]) -> Option<SnapshotError> {
    let mut restore = Restore::new(Seed(3));
    match restore.feed(bytes) {
        Ok(()) => restore.finish().err(),
        Err(error) => Some(error),
    }
}

#[test]
fn a_snapshot_brings_back_the_same_state() {
    let mut harness = some_state();
    let bytes = harness.snapshot();
    assert_eq!(error_of(&bytes), None);
    let restored = Coordinator::restored(Options::default(), Seed(9), restore(&bytes, Seed(9)));
    assert_eq!(restored.digest(), harness.coordinator.digest());
    let counts = |coordinator: &Coordinator| {
        let status = coordinator.status();
        (
            status.nodes,
            status.data_bytes,
            status.ephemerals,
            status.acls,
            status.sessions,
        )
    };
    assert_eq!(counts(&restored), counts(&harness.coordinator));
}

#[test]
fn no_bit_of_a_snapshot_can_change_unnoticed() {
    let bytes = some_state().snapshot();
    for byte in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 1 << (byte % 8);
        assert!(error_of(&damaged).is_some(), "byte {byte}");
    }
    for end in 0..bytes.len() {
        assert_eq!(
            error_of(&bytes[..end]),
            Some(SnapshotError::Unfinished),
            "cut at {end}"
        );
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&bytes);
    assert!(error_of(&longer).is_some());
}

#[test]
fn chunks_cannot_be_left_out_swapped_or_taken_from_another_snapshot() {
    let mut harness = some_state();
    let slices = |harness: &mut Harness| -> Vec<Bytes> {
        harness.coordinator.snapshot_begin(Place::default());
        std::iter::from_fn(|| harness.coordinator.snapshot_step(300))
            .map(|slice| slice.bytes)
            .filter(|bytes| !bytes.is_empty())
            .collect()
    };
    let first = slices(&mut harness);
    let (connection, _) = harness.connect();
    harness.request(connection, 1, Request::Ping);
    let second = slices(&mut harness);
    assert!(first.len() > 5);
    assert_eq!(error_of(&first.concat()), None);
    for at in 0..first.len() {
        let mut missing = first.clone();
        missing.remove(at);
        assert!(error_of(&missing.concat()).is_some(), "without {at}");
        let mut mixed = first.clone();
        mixed[at].clone_from(&second[at]);
        assert!(error_of(&mixed.concat()).is_some(), "another {at}");
        if at + 1 < first.len() {
            let mut swapped = first.clone();
            swapped.swap(at, at + 1);
            assert!(
                error_of(&swapped.concat()).is_some(),
                "{at} behind the next"
            );
        }
    }
}

/// A snapshot with these records (in hexadecimal), whole in all other respects.
fn with_records(records: &str, counts: [u64; 3]) -> Vec<u8> {
    // Term 3, no members, zxid 7, no write yet.
    let head = "00000000000000030000000000000000000000070000000000000000";
    let head = chunk("01", "0000000000000009", "00000000", head);
    let records = chunk("02", "0000000000000009", "00000001", records);
    let checksums: Vec<u8> = [&head, &records]
        .iter()
        .flat_map(|chunk| {
            u32::from_str_radix(&chunk[48..56], 16)
                .expect("hex")
                .to_be_bytes()
        })
        .collect();
    let [sessions, permissions, znodes] = counts;
    let chain = crc32fast::hash(&checksums);
    let seal = format!("{sessions:016x}{permissions:016x}{znodes:016x}{chain:08x}");
    let seal = chunk("03", "0000000000000009", "00000002", &seal);
    let text = [head, records, seal].concat();
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
        .collect()
}

#[test]
fn records_that_cannot_all_be_true_are_refused() {
    let open = "0200000000000000170000001f00000005776f726c6400000006616e796f6e65";
    let session =
        "010000000000000005000010000000000000000001000000000000000000 01".replace(' ', "");
    let znode = |path: &str, owner: u8, permissions: u8| {
        let path = format!("{:08x}{}", path.len(), hex(path.as_bytes()));
        format!(
            "03{path}ffffffff{:014}{owner:02x}{}{permissions:08x}",
            0,
            "00".repeat(52)
        )
    };
    let check = |records: &[&str], counts, expected: &str| {
        let error = error_of(&with_records(&records.concat(), counts));
        let shown = error.map_or("none".to_owned(), |error| error.to_string());
        assert_eq!(shown, expected);
    };
    let root = znode("/", 0, 0);
    let (a, b) = (znode("/a", 0, 0), znode("/a/b", 0, 0));
    check(&[open, &root, &a, &b], [0, 1, 3], "none");
    check(&[open, &b, &a, &root], [0, 1, 3], "none");
    check(
        &[open, &root, &b],
        [0, 1, 2],
        "contradiction: no place for /a/b",
    );
    check(&[open, &a], [0, 1, 1], "contradiction: no place for /");
    check(&[open, &root, &root], [0, 1, 2], "contradiction: twice /");
    check(
        &[open, &root, &a, &znode("/a/b/../c", 0, 0)],
        [0, 1, 3],
        "contradiction: no znode can be /a/b/../c",
    );
    check(
        &[open, &znode("/", 5, 0), &session],
        [1, 1, 1],
        "contradiction: no znode can be /",
    );
    check(
        &[open, &root, &znode("/a", 5, 0)],
        [0, 1, 2],
        "contradiction: session 0x5 has znodes but does not exist",
    );
    check(
        &[open, &session, &root, &znode("/a", 5, 0)],
        [1, 1, 2],
        "none",
    );
    check(
        &[open, &session, &root, &znode("/a", 5, 0), &b],
        [1, 1, 3],
        "contradiction: no place for /a/b",
    );
    check(
        &[open, &session, &session, &root],
        [2, 1, 1],
        "contradiction: session 0x5 cannot be, or twice",
    );
    check(
        &[open, &root, &znode("/a", 0, 1)],
        [0, 1, 2],
        "contradiction: no permissions for /a",
    );
    check(
        &[open, open, &root],
        [0, 2, 1],
        "contradiction: permissions 0 twice",
    );
    check(&[open, &root], [0, 1, 2], "chunk 2 is out of place");
    check(
        &[open, &root, "09"],
        [0, 1, 1],
        "chunk 1 has an unreadable record",
    );
    check(
        &[open, &root, "03000000ff"],
        [0, 1, 1],
        "chunk 1 has an unreadable record",
    );
    check(
        &["0200000000000000050000001f00", &root],
        [0, 1, 1],
        "chunk 1 has an unreadable record",
    );
}

#[test]
fn bytes_at_random_are_refused_without_harm() {
    let mut random = Random::new(Seed(7));
    let good = some_state().snapshot();
    for _ in 0..2000 {
        let from = usize::try_from(random.below(30)).expect("small");
        let mut bytes = good[..from].to_vec();
        bytes.extend((0..random.below(100)).map(|_| random.next().to_le_bytes()[0]));
        assert!(error_of(&bytes).is_some());
    }
}

/// The same snapshot, each chunk of the version that is said, the head without its place if so wanted.
fn rewritten(snapshot: &[u8], version: impl Fn(u32) -> u8, has_place: bool) -> Vec<u8> {
    let (mut rest, mut out) = (snapshot, Vec::new());
    let (mut number, mut chain) = (0, crc32fast::Hasher::new());
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[20..24].try_into().expect("four bytes"));
        let (chunk, tail) = rest.split_at(HEADER_BYTES + usize::try_from(length).expect("small"));
        rest = tail;
        let mut body = chunk[HEADER_BYTES..].to_vec();
        if number == 0 && !has_place {
            let members = u32::from_be_bytes(body[8..12].try_into().expect("four bytes"));
            let zxid = 12 + usize::try_from(members).expect("small");
            body.drain(zxid + 8..zxid + 16);
            body.drain(..zxid);
        }
        if rest.is_empty() {
            if version(number) <= VERSION_WITHOUT_DIGEST {
                body.truncate(body.len() - 8);
            }
            body[24..28].copy_from_slice(&chain.clone().finalize().to_be_bytes());
        }
        let mut header = chunk[..CHECKED_BYTES].to_vec();
        header[4] = version(number);
        header[20..].copy_from_slice(&length_of(&body).to_be_bytes());
        let checksum = crc32fast::hash(&[header.as_slice(), &body].concat()).to_be_bytes();
        chain.update(&checksum);
        out.extend([header.as_slice(), &checksum, &body].concat());
        number += 1;
    }
    out
}

fn length_of(body: &[u8]) -> u32 {
    u32::try_from(body.len()).expect("small")
}

#[test]
fn a_snapshot_says_where_in_the_log_it_was_taken() {
    let mut harness = some_state();
    let restored = restore(&harness.snapshot(), Seed(9));
    assert_eq!(restored.place(), Some(&Harness::place()));
}

#[test]
fn a_snapshot_of_the_first_version_is_read_and_says_no_place() {
    let mut harness = some_state();
    let snapshot = harness.snapshot();
    assert_eq!(rewritten(&snapshot, |_| VERSION, true), snapshot);
    let first = rewritten(&snapshot, |_| VERSION_WITHOUT_PLACE, false);
    let restored = restore(&first, Seed(9));
    assert_eq!(restored.place(), None);
    let restored = Coordinator::restored(Options::default(), Seed(9), restored);
    // Nor does it say when the last write was.
    harness.coordinator.state.wall = WallTime(0);
    assert_eq!(restored.digest(), harness.coordinator.digest());
}

#[test]
fn a_snapshot_of_the_second_version_is_read() {
    let mut harness = some_state();
    let second = rewritten(&harness.snapshot(), |_| VERSION_WITHOUT_DIGEST, true);
    let restored = restore(&second, Seed(9));
    assert_eq!(restored.place(), Some(&Harness::place()));
    let restored = Coordinator::restored(Options::default(), Seed(9), restored);
    assert_eq!(restored.digest(), harness.coordinator.digest());
}

/// Every byte is as it was written, and what was written was wrong: a bit of memory had flipped.
#[test]
fn a_snapshot_of_another_state_than_its_digest_is_refused() {
    let mut harness = some_state();
    let expected = harness.coordinator.digest();
    let tree = &mut harness.coordinator.state.tree;
    let id = tree.find(b"/7").expect("it is there");
    tree.flip_a_bit(id);
    let found = match error_of(&harness.snapshot()) {
        Some(SnapshotError::Digest {
            expected: said,
            found,
        }) if said == expected => found,
        other => panic!("{other:?}"),
    };
    assert_ne!(found, expected);
}

#[test]
fn a_snapshot_is_of_one_version() {
    let snapshot = some_state().snapshot();
    let mixed = rewritten(&snapshot, |number| if number == 1 { 1 } else { 2 }, true);
    assert_eq!(error_of(&mixed), Some(SnapshotError::OutOfPlace(1)));
    let later = rewritten(&snapshot, |_| VERSION + 1, true);
    assert_eq!(error_of(&later), Some(SnapshotError::Version(VERSION + 1)));
}

#[test]
fn one_snapshot_at_a_time_is_taken() {
    let mut harness = some_state();
    assert_eq!(harness.coordinator.snapshot_step(100), None);
    harness.coordinator.snapshot_begin(Place::default());
    assert!(harness.coordinator.snapshot_step(100).is_some());
    harness.coordinator.snapshot_abandon();
    assert_eq!(harness.coordinator.snapshot_step(100), None);
    harness.coordinator.snapshot_begin(Place::default());
    harness.coordinator.snapshot_step(100);
    assert_eq!(error_of(&harness.snapshot()), None, "a new one begins anew");
}
