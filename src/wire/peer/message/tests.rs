//! Messages come back as they were, and nothing else does.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::consensus::Membership;
use crate::wire::peer::{self, Frame};

fn rounds() -> impl Strategy<Value = Round> {
    (any::<u64>(), any::<u64>()).prop_map(|(member, number)| Round { member, number })
}

fn kinds() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::Normal),
        Just(EntryKind::ConfChange),
        Just(EntryKind::ConfChangeV2),
    ]
}

/// Entries behind this index.
fn entries(index: u64) -> impl Strategy<Value = Vec<Entry>> {
    let one = (any::<u64>(), kinds(), vec(any::<u8>(), 0..40));
    vec(one, 0..5).prop_map(move |all| {
        let numbered = (index + 1..).zip(all);
        let entry = |(index, (term, kind, data))| Entry {
            index,
            term,
            kind,
            data: Bytes::from(data),
        };
        numbered.map(entry).collect()
    })
}

fn appends() -> impl Strategy<Value = Body> {
    (0..u64::MAX / 2, any::<u64>(), any::<u64>()).prop_flat_map(|(index, log_term, commit)| {
        entries(index).prop_map(move |entries| Body::Append {
            index,
            log_term,
            commit,
            entries,
        })
    })
}

fn votes() -> impl Strategy<Value = Body> {
    let flags = (any::<bool>(), any::<bool>());
    (flags, any::<[u64; 4]>()).prop_map(
        |((pre, transfer), [index, log_term, commit, commit_term])| Body::Vote {
            pre,
            index,
            log_term,
            commit,
            commit_term,
            transfer,
        },
    )
}

fn bodies() -> impl Strategy<Value = Body> {
    let hint = (any::<u64>(), any::<u64>()).prop_map(|(index, log_term)| Hint { index, log_term });
    let appended = (any::<u64>(), any::<u64>(), option::of(hint));
    let snapshot = (any::<u64>(), any::<u64>(), vec(1..u64::MAX, 1..4));
    prop_oneof![
        appends(),
        appended.prop_map(|(index, commit, refused)| Body::Appended {
            index,
            commit,
            refused
        }),
        (any::<u64>(), option::of(rounds()))
            .prop_map(|(commit, round)| Body::Heartbeat { commit, round }),
        (any::<u64>(), option::of(rounds()))
            .prop_map(|(commit, round)| Body::Heard { commit, round }),
        votes(),
        (any::<bool>(), any::<bool>(), any::<u64>(), any::<u64>()).prop_map(
            |(pre, refused, commit, commit_term)| Body::Voted {
                pre,
                refused,
                commit,
                commit_term
            }
        ),
        snapshot.prop_map(|(index, term, voters)| Body::Snapshot(Marker {
            index,
            term,
            state: Membership::of_voters(voters).encode(),
        })),
        Just(Body::TimeoutNow),
        rounds().prop_map(Body::ReadIndex),
        (rounds(), any::<u64>()).prop_map(|(round, index)| Body::ReadAt { round, index }),
    ]
}

fn messages() -> impl Strategy<Value = Vec<(GroupId, Message)>> {
    let message = (any::<[u64; 3]>(), bodies()).prop_map(|([from, to, term], body)| Message {
        from,
        to,
        term,
        body,
    });
    vec((any::<u32>().prop_map(GroupId), message), 0..6)
}

fn encoded(messages: &[(GroupId, Message)]) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(messages.iter().map(|(group, it)| (*group, it)), &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn messages_come_back_as_they_were(messages in messages()) {
        let mut bytes = encoded(&messages);
        let body = frame::decode(&mut bytes, u32::MAX).expect("it is a frame");
        let body = body.expect("all of it is there");
        prop_assert!(bytes.is_empty());
        prop_assert_eq!(peer::decode(&body), Ok(Frame::Messages(messages)));
    }

    #[test]
    fn a_frame_is_waited_for_and_never_guessed(messages in messages(), cut in any::<usize>()) {
        let whole = encoded(&messages);
        let mut part = BytesMut::from(&whole[..cut % whole.len()]);
        prop_assert_eq!(frame::decode(&mut part, u32::MAX), Ok(None));
    }

    #[test]
    fn a_flipped_bit_is_found(messages in messages(), place in any::<usize>(), bit in 0..8_u8) {
        let mut bytes = encoded(&messages);
        // A length that has changed is another frame, which is waited for, or too long.
        let place = 4 + place % (bytes.len() - 4);
        bytes[place] ^= 1_u8 << bit;
        prop_assert_eq!(frame::decode(&mut bytes, u32::MAX), Err(Malformed::Checksum));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in vec(any::<u8>(), 0..200)) {
        // It is refused or it is something; it is not a panic.
        let _ = peer::decode(&Bytes::from(bytes.clone()));
        let mut kind = vec![MESSAGES];
        kind.extend(bytes);
        if let Ok(Frame::Messages(messages)) = peer::decode(&Bytes::from(kind.clone())) {
            let again = encoded(&messages);
            prop_assert_eq!(&again[frame::HEADER_BYTES..], &kind[..]);
        }
    }
}

#[test]
fn the_bytes_are_these() {
    let heartbeat = Message {
        from: 1,
        to: 2,
        term: 7,
        body: Body::Heartbeat {
            commit: 9,
            round: None,
        },
    };
    let bytes = encoded(&[(GroupId(3), heartbeat)]);
    let numbers = |number: u64| number.to_be_bytes();
    let body = [
        &[1][..],
        &3_u32.to_be_bytes(),
        &[3],
        &numbers(1),
        &numbers(2),
        &numbers(7),
        &numbers(9),
        &[0],
    ]
    .concat();
    assert_eq!(bytes[..4], 39_u32.to_be_bytes());
    assert_eq!(bytes[4..8], crc32fast::hash(&body).to_be_bytes());
    assert_eq!(bytes[8..], body[..]);
}

#[test]
fn a_frame_beyond_the_limit_is_refused_before_it_is_there() {
    let mut bytes = BytesMut::from(&[0, 0, 1, 0, 0, 0, 0, 0][..]);
    let refused = Err(Malformed::TooLong(256));
    assert_eq!(frame::decode(&mut bytes, 255), refused);
}

/// A journal that has no place for it would end the process.
#[test]
fn an_entry_longer_than_any_member_takes_is_refused() {
    let append = |bytes: usize| {
        let entry = Entry {
            index: 1,
            term: 1,
            kind: EntryKind::Normal,
            data: Bytes::from(vec![7; bytes]),
        };
        let message = Message {
            from: 1,
            to: 2,
            term: 1,
            body: Body::Append {
                index: 0,
                log_term: 0,
                commit: 0,
                entries: vec![entry],
            },
        };
        let body = encoded(&[(GroupId(0), message)]).freeze();
        peer::decode(&body.slice(frame::HEADER_BYTES..))
    };
    assert!(append(ENTRY_BYTES_MAX).is_ok());
    let refused = Err(Malformed::Impossible("an entry of so many bytes"));
    assert_eq!(append(ENTRY_BYTES_MAX + 1), refused);
}
