//! The codec as a whole: golden bytes, round trips of values at random, and bytes at random.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::coordinator::{Refusal, Reply, Request};
use crate::tests::{golden, seeded};
use crate::units::{Random, Seed, Zxid};

mod values;

/// Without `SEED`.
const SEED: u64 = 3_414;

/// Runs every case of a golden file through `decode`, which also says what encoding the decoded value
/// gives, if that is promised.
fn check(file: &str, decode: impl Fn(&str, &Bytes) -> (String, Option<Bytes>)) {
    let name = format!("tests/golden/zookeeper/{file}");
    let text = golden::read(&name);
    let (head, cases) = text.split_once("\n== ").expect("a case starts with ==");
    let mut updated = head.to_owned();
    for case in cases.split("\n== ") {
        let (fields, _decoded) = case.split_once("----\n").expect("a case has dashes");
        let (name, fields) = fields.split_once('\n').expect("a case has bytes");
        let bytes: Bytes = fields.lines().flat_map(field_bytes).collect();
        let (decoded, encoded) = decode(name, &bytes);
        if let Some(encoded) = encoded {
            assert_eq!(encoded, bytes, "{file}: {name}");
        }
        write!(updated, "\n== {name}\n{fields}----\n{decoded}\n").expect("a string takes any text");
    }
    golden::assert_golden(&name, &updated);
}

/// The bytes of a line: hexadecimal up to two spaces, then a comment.
fn field_bytes(line: &str) -> Vec<u8> {
    let (hex, _) = line.split_once("  ").expect("a field has a comment");
    let digits: Vec<u8> = hex.bytes().filter(|byte| *byte != b' ').collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = str::from_utf8(pair).expect("hexadecimal");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

/// The only frame that `encode` appends, without its length.
fn payload(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    let payload = frame::take(&mut out, usize::MAX)
        .expect("a good length")
        .expect("a whole frame");
    assert!(out.is_empty(), "one frame");
    payload
}

fn encoded_request(xid: i32, request: &Request) -> Bytes {
    payload(|out| request::encode(xid, request, out).expect("it fits"))
}

fn encoded_reply(xid: i32, zxid: Zxid, result: Result<&Reply, Refusal>) -> Bytes {
    payload(|out| reply::encode(xid, zxid, result, out).expect("it fits"))
}

#[test]
fn handshakes_have_the_golden_bytes() {
    check("handshake.txt", |name, bytes| {
        if name.starts_with("request: ") {
            let request = handshake::decode_request(bytes).expect("it decodes");
            let encoded = payload(|out| handshake::encode_request(&request, out).expect("it fits"));
            (format!("{request:?}"), Some(encoded))
        } else {
            let reply = handshake::decode_reply(bytes).expect("it decodes");
            let encoded = payload(|out| handshake::encode_reply(&reply, out));
            (format!("{reply:?}"), Some(encoded))
        }
    });
}

#[test]
fn requests_have_the_golden_bytes() {
    check("requests.txt", |_, bytes| {
        let (xid, request) = request::decode(bytes).expect("it decodes");
        let encoded = encoded_request(xid, &request);
        (format!("{xid} {request:?}"), Some(encoded))
    });
}

#[test]
fn odd_requests_are_taken_as_a_java_server_takes_them() {
    check("requests_lenient.txt", |_, bytes| {
        let (xid, request) = request::decode(bytes).expect("it decodes");
        (format!("{xid} {request:?}"), None)
    });
}

#[test]
fn replies_have_the_golden_bytes() {
    check("replies.txt", |name, bytes| {
        let header = reply::decode_header(bytes).expect("it decodes");
        if name.starts_with("event: ") {
            let event = reply::decode_event(bytes).expect("it decodes");
            let path = String::from_utf8_lossy(&event.path);
            let encoded = payload(|out| reply::encode_event(&event, out));
            return (
                format!("{header:?}\n{:?} {path}", event.kind),
                Some(encoded),
            );
        }
        let result = match error_code::refusal(header.error) {
            Some(refusal) => Err(refusal),
            None => Ok(reply::decode(bytes, kind(name)).expect("it decodes")),
        };
        let encoded = encoded_reply(
            header.xid,
            header.zxid,
            result.as_ref().map_err(|refusal| *refusal),
        );
        (format!("{header:?}\n{result:?}"), Some(encoded))
    });
}

fn kind(name: &str) -> reply::Kind {
    match name.split_once(": ").expect("a kind and a name").0 {
        "done" => reply::Kind::Done,
        "created" => reply::Kind::Created,
        "stat" => reply::Kind::Stat,
        "data" => reply::Kind::Data,
        "acl" => reply::Kind::Acl,
        "children" => reply::Kind::Children,
        "children2" => reply::Kind::Children2,
        "synced" => reply::Kind::Synced,
        "multi" => reply::Kind::Multi,
        "sasl" => reply::Kind::Sasl,
        other => panic!("no kind of reply is called {other}"),
    }
}

#[test]
fn a_connect_request_may_miss_its_last_byte_but_no_other() {
    let whole = payload(|out| {
        let request = values::connect_request(&mut Random::new(Seed(1)));
        handshake::encode_request(&request, out).expect("it fits");
    });
    for end in 0..whole.len() {
        let cut = whole.slice(..end);
        let decoded = handshake::decode_request(&cut);
        let said = usize::from(whole.len() % 4 == 1);
        assert_eq!(decoded.is_ok(), end + said >= whole.len(), "{end} bytes");
    }
}

#[test]
fn a_frame_without_a_whole_header_is_no_request() {
    for length in 0..8 {
        let frame = Bytes::from(vec![0; length]);
        assert!(request::decode(&frame).is_err(), "{length} bytes");
    }
}

#[test]
fn auth_and_sasl_that_cannot_be_decoded_are_no_requests_at_all() {
    for opcode in [request::opcode::AUTH, request::opcode::SASL] {
        let mut frame = vec![0, 0, 0, 1];
        frame.extend(opcode.to_be_bytes());
        assert!(request::decode(&Bytes::from(frame)).is_err());
    }
}

#[test]
fn handshakes_at_random_come_back_as_they_were() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..5_000 {
        let request = values::connect_request(&mut random);
        let bytes = payload(|out| handshake::encode_request(&request, out).expect("it fits"));
        assert_eq!(handshake::decode_request(&bytes), Ok(request));
        let reply = values::connect_reply(&mut random);
        let bytes = payload(|out| handshake::encode_reply(&reply, out));
        assert_eq!(handshake::decode_reply(&bytes), Ok(reply));
    }
}

#[test]
fn requests_at_random_come_back_as_they_were() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..20_000 {
        let request = values::request(&mut random);
        let xid = values::number(&mut random);
        let bytes = encoded_request(xid, &request);
        assert_eq!(request::decode(&bytes), Ok((xid, request)));
    }
}

#[test]
fn replies_at_random_come_back_as_they_were() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..20_000 {
        let (kind, reply) = values::reply(&mut random);
        let xid = values::number(&mut random);
        let zxid = Zxid(values::long(&mut random));
        let bytes = encoded_reply(xid, zxid, Ok(&reply));
        let header = reply::decode_header(&bytes).expect("it decodes");
        assert_eq!((header.xid, header.zxid, header.error), (xid, zxid, 0));
        assert_eq!(reply::decode(&bytes, kind), Ok(reply));
        let event = values::event(&mut random);
        let bytes = payload(|out| reply::encode_event(&event, out));
        assert_eq!(reply::decode_event(&bytes), Ok(event));
    }
}

/// Whatever comes, a decoder returns; and what a server took for a request, it takes for the same
/// request when it is encoded anew.
#[test]
fn bytes_at_random_are_decoded_or_refused_without_a_panic() {
    let (_replay, mut random) = seeded(SEED);
    for _ in 0..60_000 {
        let bytes = values::damaged_frame(&mut random);
        let _ = handshake::decode_request(&bytes);
        let _ = handshake::decode_reply(&bytes);
        let _ = reply::decode_event(&bytes);
        let (kind, _) = values::reply(&mut random);
        let _ = reply::decode(&bytes, kind);
        if let Ok((xid, request)) = request::decode(&bytes) {
            let again = encoded_request(xid, &request);
            assert_eq!(request::decode(&again), Ok((xid, request)));
        }
    }
}

#[test]
fn a_count_that_lies_makes_no_room_for_what_cannot_follow() {
    let mut frame = Vec::new();
    frame.extend(1_i32.to_be_bytes());
    frame.extend(request::opcode::SET_WATCHES.to_be_bytes());
    frame.extend(0_i64.to_be_bytes());
    frame.extend(i32::MAX.to_be_bytes());
    // Two thousand million paths of 24 bytes each would be 50 gigabytes.
    assert_eq!(
        request::decode(&Bytes::from(frame)),
        Ok((1, Request::Malformed { write: false }))
    );
}
