use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{
    BoxedStrategy, Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::select;

/// Names may be empty and hold any character but the two that separate.
fn names() -> BoxedStrategy<Name> {
    "[^ \r\n]{0,20}".prop_map(Name::from).boxed()
}

fn data() -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from).boxed()
}

fn keys() -> BoxedStrategy<Name> {
    let local =
        ("[^ \r\n:]{0,20}", any::<i32>()).prop_map(|(session, n)| format!("TX:{session}:{n}"));
    let xa = (
        any::<i32>(),
        "([0-9a-f]{2}){0,8}",
        "([0-9a-f]{2}){0,8}",
        "[^ \r\n:]{0,10}",
    )
        .prop_map(|(format, gtrid, bqual, unique)| {
            format!("XID:{format}:{gtrid}:{bqual}:{unique}")
        });
    prop_oneof![Just("null".to_string()), local, xa]
        .prop_map(Name::from)
        .boxed()
}

fn puts() -> BoxedStrategy<Request> {
    (
        names(),
        any::<i32>(),
        any::<i32>(),
        any::<i32>(),
        option::of(keys()),
        data(),
    )
        .prop_map(|(topic, partition, flag, checksum, transaction, data)| {
            Request::Put(Put {
                topic,
                partition,
                flag,
                checksum,
                transaction,
                data,
            })
        })
        .boxed()
}

fn syncs() -> BoxedStrategy<Request> {
    (
        names(),
        any::<i32>(),
        any::<i32>(),
        any::<i64>(),
        any::<i32>(),
        data(),
    )
        .prop_map(|(topic, partition, flag, message_id, checksum, data)| {
            Request::Sync(Sync {
                topic,
                partition,
                flag,
                message_id,
                checksum,
                data,
            })
        })
        .boxed()
}

fn reads() -> BoxedStrategy<Request> {
    (
        names(),
        names(),
        any::<i32>(),
        any::<i64>(),
        any::<i32>(),
        any::<bool>(),
    )
        .prop_map(|(topic, group, partition, offset, max_size, get)| {
            if get {
                Request::Get(Get {
                    topic,
                    group,
                    partition,
                    offset,
                    max_size,
                })
            } else {
                Request::Offset(OffsetQuery {
                    topic,
                    group,
                    partition,
                    offset,
                })
            }
        })
        .boxed()
}

/// What cannot be told apart on the wire is left out: a qualifier of digits without a timeout, and a
/// timeout alone that is negative.
fn transactions() -> BoxedStrategy<Request> {
    let options = prop_oneof![
        Just((None, None)),
        (0..i32::MAX).prop_map(|timeout| (Some(timeout), None)),
        "[^ \r\n:]{0,10}[^ \r\n:0-9]".prop_map(|unique| (None, Some(Name::from(unique)))),
        (any::<i32>(), names()).prop_map(|(timeout, unique)| (Some(timeout), Some(unique))),
    ];
    let steps = select(&STEPS[..]).prop_map(|(_, step)| step);
    (keys(), names(), steps, options)
        .prop_map(|(key, session, step, (timeout_s, unique_qualifier))| {
            Request::Transaction(Transaction {
                key,
                session,
                step,
                timeout_s,
                unique_qualifier,
            })
        })
        .boxed()
}

fn requests() -> BoxedStrategy<Request> {
    let stats = names().prop_map(|item| Request::Stats { item });
    prop_oneof![
        puts(),
        syncs(),
        reads(),
        transactions(),
        stats,
        Just(Request::Version)
    ]
    .boxed()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(request in requests(), opaque: i32) {
        let mut bytes = BytesMut::new();
        encode(&mut bytes, opaque, &request);
        let decoded = decode(&mut bytes, &Limits::DEFAULT);
        prop_assert_eq!(decoded, Ok(Decoded::Frame(Some(Asked { opaque, request }))));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn a_part_of_a_frame_is_not_yet_a_frame_and_says_how_much_it_needs(request in requests(), share in 0..100_usize) {
        let mut whole = BytesMut::new();
        encode(&mut whole, 7, &request);
        let length = whole.len() * share / 100;
        let mut part = BytesMut::from(&whole[..length]);
        match decode(&mut part, &Limits::DEFAULT) {
            Ok(Decoded::NotYet { need }) => prop_assert!(length < need && need <= whole.len()),
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert_eq!(part.len(), length, "nothing was taken");
    }

    #[test]
    fn bytes_that_mean_nothing_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _ = decode(&mut buffer, &Limits { header_bytes: 100, body_bytes: 100 });
    }

    #[test]
    fn lines_that_look_like_requests_are_decoded_or_refused_without_a_panic(
        line in "(put|get|sync|offset|transaction|stats|version|quit|result|value)( ([a-z]{0,3}|-?[0-9]{0,12}|TX:[a-z]?:[0-9]{0,2}|XID:1:ff:(ff)?:q|null|BEGIN|END)){0,9}\r\n[a-z]{0,20}",
    ) {
        let mut buffer = BytesMut::from(line.as_bytes());
        while let Ok(Decoded::Frame(_) | Decoded::TooLarge { .. }) =
            decode(&mut buffer, &Limits { header_bytes: 100, body_bytes: 10 })
        {
            if buffer.is_empty() {
                break;
            }
        }
    }
}

#[test]
fn a_body_is_a_slice_of_the_buffer_it_came_in() {
    let mut buffer = BytesMut::from(&b"put t 0 5 0 -1 7\r\nhello"[..]);
    let place = buffer[18..].as_ptr();
    let Ok(Decoded::Frame(Some(Asked {
        request: Request::Put(put),
        ..
    }))) = decode(&mut buffer, &Limits::DEFAULT)
    else {
        panic!("a put");
    };
    assert_eq!(put.data.as_ptr(), place);
}
