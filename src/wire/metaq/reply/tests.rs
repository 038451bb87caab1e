use super::*;
use crate::broker::{Refusal, RefusalKind};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

fn check(reply: &Reply, expected: &str) {
    let mut out = BytesMut::new();
    encode(&mut out, -5, reply);
    assert_eq!(out.escape_ascii().to_string(), expected);
}

#[test]
fn a_stored_message_is_answered_with_its_id_partition_and_offset() {
    check(
        &Reply::Stored {
            message_id: 1,
            partition: 0,
            offset: 0,
        },
        r"result 200 5 -5\r\n1 0 0",
    );
    check(
        &Reply::Stored {
            message_id: -5_468_914_713_779_744_768,
            partition: 12,
            offset: 50,
        },
        r"result 200 26 -5\r\n-5468914713779744768 12 50",
    );
}

#[test]
fn an_offset_is_answered_in_decimals() {
    check(&Reply::Offset(264), r"result 200 3 -5\r\n264");
    check(&Reply::Moved(0), r"result 301 1 -5\r\n0");
}

#[test]
fn texts_and_records_are_counted_in_bytes() {
    check(
        &Reply::Text(Bytes::from_static("é".as_bytes())),
        r"result 200 2 -5\r\n\xc3\xa9",
    );
    check(
        &Reply::Value(Bytes::from_static(&[0, 255])),
        r"value 2 -5\r\n\x00\xff",
    );
}

#[test]
fn each_kind_of_refusal_has_its_code() {
    let kinds = [
        (RefusalKind::BadRequest, 400),
        (RefusalKind::Forbidden, 403),
        (RefusalKind::NotFound, 404),
        (RefusalKind::Failed, 500),
        (RefusalKind::Unavailable, 503),
    ];
    for (kind, code) in kinds {
        let refusal = Refusal {
            kind,
            text: "no".to_string(),
        };
        check(
            &Reply::Refused(refusal),
            &format!(r"result {code} 2 -5\r\nno"),
        );
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(opaque: i32, code: i32, text in vec(any::<u8>(), 0..300), value: bool) {
        let mut bytes = BytesMut::new();
        let text = Bytes::from(text);
        let content = if value {
            encode(&mut bytes, opaque, &Reply::Value(text.clone()));
            Content::Value(text)
        } else {
            encode_result(&mut bytes, StatusCode(code), opaque, &text);
            Content::Result { code: StatusCode(code), text }
        };
        let peeked = peek(&bytes, &Limits::DEFAULT).expect("the protocol").expect("a whole line");
        prop_assert_eq!(peeked.header_bytes + peeked.body_bytes, bytes.len());
        prop_assert_eq!((peeked.opaque, peeked.code.is_none()), (opaque, value));
        let decoded = decode(&mut bytes, &Limits::DEFAULT);
        prop_assert_eq!(decoded, Ok(Decoded::Frame(Answer { opaque, content })));
    }

    #[test]
    fn bytes_that_mean_nothing_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _ = decode(&mut buffer, &Limits { header_bytes: 100, body_bytes: 100 });
    }
}
