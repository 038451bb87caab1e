//! Golden bytes: `tests/golden/journal` has each header and record as hex, a field a line. `UPDATE=1` rewrites
//! them; a difference is a change of the format on people's disks.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;

use super::{
    Body, Found, HEADER_BYTES, Header, Kind, Malformed, NUMBER_END, State, decode_record,
    encode_record, encode_state, record_bytes, state_bytes,
};
use crate::consensus::{Entry, EntryKind, HardState, Marker, Record};
use crate::disk::AlignedBuffer;
use crate::units::{GroupId, Random, Seed};

/// Shows bytes as hex, with the name of each field beside it.
fn show(bytes: &[u8], fields: &[(usize, &str)]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    for (length, name) in fields {
        let (field, behind) = rest.split_at(*length);
        rest = behind;
        let hex: String = field.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{hex:<40} # {name}").expect("a string takes everything");
    }
    assert!(rest.is_empty(), "the fields are the whole");
    text
}

/// Compares with the golden file, or rewrites it.
fn golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal");
    let path = folder.join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("a writable file");
    }
    let before = std::fs::read_to_string(&path).expect("a readable file");
    assert_eq!(before, text, "{}: UPDATE=1 rewrites it", path.display());
}

fn encoded(group: GroupId, body: &Body) -> Bytes {
    let mut buffer = AlignedBuffer::new(1 << 20);
    let bytes = match body {
        Body::Record(record) => {
            encode_record(&mut buffer, group, record);
            record_bytes(record)
        }
        Body::State(state) => {
            encode_state(&mut buffer, group, state);
            state_bytes(state)
        }
    };
    assert_eq!(buffer.len(), bytes, "the announced length is the real one");
    Bytes::copy_from_slice(&buffer)
}

fn header() -> Header {
    Header {
        kind: Kind::Records,
        previous: 0x0403_0201,
        id: *b"0123456789abcdef",
        incarnation: 2,
        sequence: 0x0011_2233_4455_6677,
        durable: 0x0011_2233_4455_6676,
        file: 9,
        oldest: 7,
        body_length: 1000,
        body_crc: 0x0807_0605,
        crc: 0,
    }
}

#[test]
fn golden_headers() {
    let fields = [
        (8, "magic"),
        (2, "format"),
        (1, "kind"),
        (1, "zero"),
        (4, "previous"),
        (16, "journal id"),
        (8, "incarnation"),
        (8, "sequence"),
        (8, "durable through"),
        (8, "file"),
        (8, "oldest file"),
        (4, "body length"),
        (4, "body crc"),
        (12, "zero"),
        (4, "header crc"),
    ];
    let mut text = String::new();
    let kinds = [
        ("records", Kind::Records),
        ("the start of a file", Kind::FileStart),
        ("a seal", Kind::Seal),
    ];
    for (name, kind) in kinds {
        let mut header = Header { kind, ..header() };
        let mut bytes = [0xff; HEADER_BYTES];
        header.crc = header.encode(&mut bytes);
        assert_eq!(Header::decode(&bytes), Found::Header(header));
        write!(text, "# A batch of {name}.\n{}\n", show(&bytes, &fields)).expect("a string");
    }
    golden("headers.txt", &text);
}

type Fields = &'static [(usize, &'static str)];

const RECORD_START: Fields = &[
    (4, "length"),
    (4, "group"),
    (1, "kind"),
    (1, "version"),
    (2, "zero"),
];
const ENTRY: Fields = &[(8, "index"), (8, "term"), (1, "entry kind"), (3, "data")];
const HARD_STATE: Fields = &[(8, "term"), (8, "vote"), (8, "commit")];
const MARKER: Fields = &[(8, "index"), (8, "term"), (6, "state")];
const STATE: Fields = &[
    (8, "term"),
    (8, "vote"),
    (8, "commit"),
    (8, "last index"),
    (1, "incomplete"),
    (8, "marker index"),
    (8, "marker term"),
    (6, "marker state"),
];

/// One record of each kind, with a name and its fields.
fn one_of_each() -> Vec<(&'static str, Body, Fields)> {
    let entry = |kind| {
        let data = Bytes::from_static(b"put");
        Body::Record(Record::Entry(Entry {
            index: 5,
            term: 3,
            kind,
            data,
        }))
    };
    let hard_state = HardState {
        term: 3,
        vote: 2,
        commit: 4,
    };
    let marker = Marker {
        index: 4,
        term: 2,
        state: Bytes::from_static(b"voters"),
    };
    let state = State {
        hard_state,
        marker: marker.clone(),
        last_index: 5,
        incomplete: true,
    };
    vec![
        ("An entry.", entry(EntryKind::Normal), ENTRY),
        (
            "A change of the voters.",
            entry(EntryKind::ConfChange),
            ENTRY,
        ),
        (
            "A change of the voters, second form.",
            entry(EntryKind::ConfChangeV2),
            ENTRY,
        ),
        (
            "A hard state.",
            Body::Record(Record::HardState(hard_state)),
            HARD_STATE,
        ),
        (
            "A marker.",
            Body::Record(Record::Marker(marker.clone())),
            MARKER,
        ),
        ("A reset.", Body::Record(Record::Reset(marker)), MARKER),
        (
            "Something may be gone.",
            Body::Record(Record::Incomplete),
            &[],
        ),
        ("It was made good.", Body::Record(Record::Healed), &[]),
        (
            "A state, at the start of a file.",
            Body::State(state),
            STATE,
        ),
    ]
}

#[test]
fn golden_records() {
    let mut text = String::new();
    for (name, body, fields) in one_of_each() {
        let mut bytes = encoded(GroupId(3), &body);
        let fields: Vec<(usize, &str)> = RECORD_START.iter().chain(fields).copied().collect();
        write!(text, "# {name}\n{}\n", show(&bytes, &fields)).expect("a string");
        assert_eq!(decode_record(&mut bytes), Ok((GroupId(3), body)));
        assert!(bytes.is_empty());
    }
    golden("records.txt", &text);
}

#[test]
fn a_kind_or_version_of_the_future_is_named_and_not_guessed() {
    let record = Body::Record(Record::Healed);
    for (at, kind, version) in [(8, 8, 1), (8, 0, 1), (9, 6, 2), (9, 6, 0)] {
        let mut bytes = encoded(GroupId(1), &record).to_vec();
        bytes[at] = if at == 8 { kind } else { version };
        let decoded = decode_record(&mut Bytes::from(bytes));
        assert_eq!(decoded, Err(Malformed::Unknown { kind, version }));
    }
    let data = Bytes::new();
    let entry = Entry {
        index: 1,
        term: 1,
        kind: EntryKind::ConfChangeV2,
        data,
    };
    let mut bytes = encoded(GroupId(1), &Body::Record(Record::Entry(entry))).to_vec();
    bytes[12 + 16] = 3;
    let decoded = decode_record(&mut Bytes::from(bytes));
    assert_eq!(decoded, Err(Malformed::UnknownEntry { kind: 3 }));

    let mut bytes = [0; HEADER_BYTES];
    header().encode(&mut bytes);
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..92]);
    bytes[92..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Header::decode(&bytes), Found::Newer(2));
}

/// Any record, from the generator.
fn any(random: &mut Random) -> (GroupId, Body) {
    let bytes = |random: &mut Random, end: u64| {
        let length = usize::try_from(random.below(end)).expect("small");
        Bytes::from(vec![random.next().to_le_bytes()[0]; length])
    };
    let count = |random: &mut Random| random.below(NUMBER_END);
    let group = GroupId(u32::try_from(random.below(1 << 32)).expect("below"));
    let hard_state = HardState {
        term: count(random),
        vote: random.next(),
        commit: count(random),
    };
    let marker = Marker {
        index: count(random),
        term: count(random),
        state: bytes(random, 300),
    };
    let body = match random.below(7) {
        0 => {
            let kinds = [
                EntryKind::Normal,
                EntryKind::ConfChange,
                EntryKind::ConfChangeV2,
            ];
            let kind = kinds[usize::try_from(random.below(3)).expect("small")];
            let data = bytes(random, 5000);
            Record::Entry(Entry {
                index: count(random),
                term: count(random),
                kind,
                data,
            })
        }
        1 => Record::HardState(hard_state),
        2 => Record::Marker(marker),
        3 => Record::Reset(marker),
        4 => Record::Incomplete,
        5 => Record::Healed,
        _ => {
            let (last_index, incomplete) = (count(random), random.below(2) == 0);
            return (
                group,
                Body::State(State {
                    hard_state,
                    marker,
                    last_index,
                    incomplete,
                }),
            );
        }
    };
    (group, Body::Record(body))
}

#[test]
fn a_number_that_nothing_counts_up_to_is_false() {
    let golden = header();
    for change in [
        |header: &mut Header| header.incarnation = NUMBER_END,
        |header: &mut Header| header.sequence = NUMBER_END,
        |header: &mut Header| header.durable = u64::MAX,
        |header: &mut Header| header.file = 1 << 63,
        |header: &mut Header| header.oldest = NUMBER_END,
    ] {
        let mut header = golden;
        change(&mut header);
        let mut bytes = [0; HEADER_BYTES];
        header.encode(&mut bytes);
        assert_eq!(Header::decode(&bytes), Found::Nothing);
    }
    let entry = |index, term| {
        let (kind, data) = (EntryKind::Normal, Bytes::new());
        Record::Entry(Entry {
            index,
            term,
            kind,
            data,
        })
    };
    for record in [entry(NUMBER_END, 1), entry(1, u64::MAX)] {
        let mut bytes = encoded(GroupId(1), &Body::Record(record));
        assert!(matches!(
            decode_record(&mut bytes),
            Err(Malformed::Wrong(_))
        ));
    }
}

#[test]
fn what_was_encoded_is_decoded_alike() {
    let mut random = Random::new(Seed(1));
    for _ in 0..5000 {
        let (group, body) = any(&mut random);
        let mut bytes = encoded(group, &body);
        assert_eq!(decode_record(&mut bytes), Ok((group, body)));
        assert!(bytes.is_empty());
    }
}

#[test]
fn no_garbage_makes_the_decoder_panic_or_take_more_than_there_is() {
    let mut random = Random::new(Seed(2));
    for _ in 0..20_000 {
        let (group, body) = any(&mut random);
        let mut bytes = encoded(group, &body).to_vec();
        for _ in 0..=random.below(4) {
            let at = usize::try_from(random.below(bytes.len() as u64)).expect("small");
            // Most often in the record's header and the fixed fields, where it hurts.
            let at = if random.below(2) == 0 { at % 30 } else { at }.min(bytes.len() - 1);
            bytes[at] = random.next().to_le_bytes()[0];
        }
        bytes.truncate(usize::try_from(random.below(bytes.len() as u64 + 1)).expect("small"));
        let mut rest = Bytes::from(bytes);
        while !rest.is_empty() && decode_record(&mut rest).is_ok() {}
    }
    for _ in 0..20_000 {
        let mut bytes = [0; HEADER_BYTES];
        header().encode(&mut bytes);
        let at = usize::try_from(random.below(HEADER_BYTES as u64)).expect("small");
        let bit = random.below(8);
        bytes[at] ^= 1 << bit;
        assert_eq!(
            Header::decode(&bytes),
            Found::Nothing,
            "bit {bit} of byte {at}"
        );
        assert_eq!(Header::decode(&bytes[..at]), Found::Nothing);
    }
}
