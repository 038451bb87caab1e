//! Two ends of a connection, with the bytes between them in the test's hands.

use super::*;
use crate::consensus::{Entry, EntryKind, Identity};
use crate::units::ServerId;
use crate::units::feature::Levels;

fn hello(server: u16) -> Hello {
    Hello {
        identity: Identity {
            server: ServerId(server),
            journal: u128::from(server) << 64,
        },
        levels: Levels::FIRST,
        servers: vec![ServerId(1), ServerId(2)],
        observers: Vec::new(),
        forgot: false,
        members: None,
    }
}

fn pair() -> (PeerConnection, PeerConnection) {
    let (mut one, mut two) = (
        PeerConnection::new(&hello(1), Moment::START),
        PeerConnection::new(&hello(2), Moment::START),
    );
    carry(&mut one, &mut two, usize::MAX);
    carry(&mut two, &mut one, usize::MAX);
    for (end, server) in [(&mut one, 2), (&mut two, 1)] {
        let greeting = end.next_frame();
        assert_eq!(greeting, Ok(Some(Frame::Hello(Box::new(hello(server))))));
    }
    (one, two)
}

/// Carries what waits, at most so many bytes; how many went.
fn carry(from: &mut PeerConnection, to: &mut PeerConnection, most: usize) -> usize {
    let mut gone = 0;
    loop {
        let pieces: Vec<Bytes> = from.output().front_bytes().cloned().collect();
        let bytes = pieces.concat();
        let count = bytes.len().min(most - gone);
        if count == 0 {
            return gone;
        }
        to.room().extend_from_slice(&bytes[..count]);
        to.received(count);
        from.output().written(count as u64);
        from.flush();
        gone += count;
    }
}

fn heartbeat(commit: u64) -> Message {
    Message {
        from: 1,
        to: 2,
        term: 1,
        body: Body::Heartbeat {
            commit,
            round: None,
        },
    }
}

fn append(bytes: usize) -> Message {
    let entry = Entry {
        index: 1,
        term: 1,
        kind: EntryKind::Normal,
        data: Bytes::from(vec![7; bytes]),
    };
    Message {
        from: 1,
        to: 2,
        term: 1,
        body: Body::Append {
            index: 0,
            log_term: 0,
            commit: 0,
            entries: vec![entry],
        },
    }
}

/// All frames that have come whole.
fn frames(end: &mut PeerConnection) -> Vec<Frame> {
    std::iter::from_fn(|| end.next_frame().expect("it is the protocol")).collect()
}

const GROUP: GroupId = GroupId::COORDINATOR;

#[test]
fn heartbeats_of_many_groups_are_one_frame() {
    let (mut one, mut two) = pair();
    for group in 0..1000 {
        let taken = one.send(GroupId(group), heartbeat(u64::from(group)));
        assert_eq!(taken, Ok(()));
    }
    one.flush();
    carry(&mut one, &mut two, usize::MAX);
    let frames = frames(&mut two);
    let [Frame::Messages(messages)] = &frames[..] else {
        panic!("{} frames", frames.len());
    };
    assert_eq!(messages.len(), 1000);
    assert_eq!(messages[999], (GroupId(999), heartbeat(999)));
}

#[test]
fn what_is_urgent_waits_for_little_of_what_is_bulk() {
    let (mut one, mut two) = pair();
    for _ in 0..60 {
        assert_eq!(one.send(GROUP, append(100_000)), Ok(()));
    }
    one.flush();
    assert_eq!(one.send(GROUP, heartbeat(9)), Ok(()));
    one.flush();
    let mut ahead = 0;
    loop {
        ahead += carry(&mut one, &mut two, 10_000);
        let urgent = Frame::Messages(vec![(GROUP, heartbeat(9))]);
        if frames(&mut two).contains(&urgent) {
            break;
        }
    }
    assert!(ahead < 1_000_000, "{ahead} bytes of 6 MB went first");
}

#[test]
fn a_server_that_does_not_read_costs_a_bounded_memory() {
    let (mut one, _) = pair();
    let mut taken = 0;
    for _ in 0..100_000 {
        taken += u32::from(one.send(GROUP, append(1000)).is_ok());
        let _ = one.send(GROUP, heartbeat(1));
        one.flush();
    }
    assert!((7000..12_000).contains(&taken), "{taken} of 1 KB are taken");
    assert!(one.held_bytes() < 16 << 20, "{}", one.held_bytes());
}

#[test]
fn words_to_a_server_that_does_not_read_are_lost() {
    use crate::broker::Name;
    use crate::broker::word::Reader;
    let (mut one, mut two) = pair();
    let reader = Reader {
        group: Name::from("g"),
        consumer: Name::from("c"),
    };
    let word = Word::Wanted(vec![reader; 256]);
    one.send_word(&word);
    assert!(one.wants_flush());
    for _ in 0..10_000 {
        one.send_word(&word);
        one.flush();
    }
    assert!(one.held_bytes() < 2 * (URGENT_BYTES_MAX as u64 + BULK_AHEAD_BYTES));
    // It reads again: what comes is whole, and the next word comes, too.
    carry(&mut one, &mut two, usize::MAX);
    let came = frames(&mut two).len();
    assert!((1..10_000).contains(&came), "{came}");
    one.send_word(&word);
    one.flush();
    carry(&mut one, &mut two, usize::MAX);
    assert_eq!(frames(&mut two), [Frame::Word(word)]);
}

#[test]
fn entries_go_before_the_parts_of_a_snapshot() {
    let (mut one, mut two) = pair();
    let part = |offset| Part {
        group: GROUP,
        index: 7,
        offset,
        is_last: false,
        bytes: Bytes::from(vec![1; 100_000]),
    };
    let mut offset = 0;
    while one.send_part(&part(offset)).is_ok() {
        offset += 100_000;
    }
    assert!(!one.takes_parts() && offset < 1_000_000);
    one.flush();
    carry(&mut one, &mut two, usize::MAX);
    assert!(one.takes_parts(), "there is room again");
    let came = frames(&mut two).len() as u64;
    assert_eq!(came * 100_000, offset);
    let taken = Taken {
        group: GROUP,
        index: 7,
        offset,
    };
    two.send_taken(&taken);
    carry(&mut two, &mut one, usize::MAX);
    assert_eq!(frames(&mut one), [Frame::Taken(taken)]);
}

#[test]
fn bytes_may_come_one_by_one() {
    let (mut one, mut two) = pair();
    assert_eq!(one.send(GROUP, append(300)), Ok(()));
    one.flush();
    let mut came = Vec::new();
    while carry(&mut one, &mut two, 1) == 1 {
        came.extend(frames(&mut two));
    }
    assert_eq!(came, [Frame::Messages(vec![(GROUP, append(300))])]);
}

#[test]
fn a_stranger_is_not_listened_to() {
    // A frame longer than a greeting is not waited for.
    let long = [0, 1, 0, 1, 0, 0, 0, 0];
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 1, 0, 0, 0, 0, 9],
        &long,
    ] {
        let mut end = PeerConnection::new(&hello(1), Moment::START);
        end.room().extend_from_slice(bytes);
        end.received(bytes.len());
        let refused = end.next_frame();
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(end.next_frame(), refused, "and nothing more");
    }
    let mut end = PeerConnection::new(&hello(1), Moment::START);
    let mut bytes = BytesMut::new();
    peer::message::encode([(GROUP, &heartbeat(1))], &mut bytes);
    end.room().extend_from_slice(&bytes);
    end.received(bytes.len());
    let refused = Malformed::Impossible("anything before a greeting");
    assert_eq!(end.next_frame(), Err(refused));
}
