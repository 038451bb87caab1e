use std::path::PathBuf;
use std::rc::Rc;

use bytes::{BufMut, Bytes};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::broker::{Get, Name, Put, Refusal, RefusalKind, Request};
use crate::net::input::READ_BYTES_MIN;
use crate::net::output::Chunk;

const LIMITS: Limits = Limits {
    header_bytes: 200,
    body_bytes: 1000,
};

/// A client's connection, and all that it asked.
struct Client {
    connection: MetaqConnection,
    asked: Vec<Asked>,
}

impl Client {
    fn new() -> Client {
        Client {
            connection: MetaqConnection::new(LIMITS),
            asked: Vec::new(),
        }
    }

    /// Gives the connection these bytes as one read after another would, and takes all requests.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), DecodeError> {
        while !bytes.is_empty() {
            let room = self.connection.room();
            let count = bytes.len().min(room.capacity() - room.len());
            assert!(count > 0, "there is always room for a read");
            room.put_slice(&bytes[..count]);
            self.connection.received(count);
            bytes = &bytes[count..];
            while let Some(asked) = self.connection.next_request()? {
                self.asked.push(asked);
            }
        }
        Ok(())
    }

    fn output(&mut self) -> String {
        let mut shown = String::new();
        while let Some(chunk) = self.connection.output().front().cloned() {
            let count = match chunk {
                Chunk::Bytes(bytes) => {
                    shown.push_str(&bytes.escape_ascii().to_string());
                    bytes.len() as u64
                }
                Chunk::File(range) => {
                    shown.push_str(&format!(
                        "[{} bytes of {}]",
                        range.length,
                        range.path.display()
                    ));
                    range.length
                }
            };
            self.connection.output().written(count);
        }
        shown
    }
}

fn put(data: &[u8]) -> Request {
    Request::Put(Put {
        topic: Name::from("test"),
        partition: 3,
        flag: 0,
        checksum: -1,
        transaction: None,
        data: Bytes::copy_from_slice(data),
    })
}

fn get(offset: i64) -> Request {
    Request::Get(Get {
        topic: Name::from("test"),
        group: Name::from("g"),
        partition: 3,
        offset,
        max_size: 1000,
    })
}

fn encoded(requests: &[Request]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for (request, opaque) in requests.iter().zip(0..) {
        request::encode(&mut bytes, opaque, request);
    }
    bytes
}

#[test]
fn requests_that_came_in_one_read_are_taken_one_by_one() {
    let requests = [put(b"hello"), Request::Version, get(0), put(b"")];
    let mut client = Client::new();
    client.send(&encoded(&requests)).expect("the protocol");
    let asked: Vec<Request> = client
        .asked
        .into_iter()
        .map(|asked| asked.request)
        .collect();
    assert_eq!(asked, requests);
}

#[test]
fn replies_leave_in_the_order_they_were_given_with_file_ranges_between() {
    let mut client = Client::new();
    client.connection.reply(2, &Reply::Offset(7));
    let path = Rc::new(PathBuf::from("f.meta"));
    client.connection.value(
        1,
        FileRange {
            path,
            position: 0,
            length: 30,
        },
    );
    let refusal = Refusal {
        kind: RefusalKind::NotFound,
        text: "none".to_string(),
    };
    client.connection.reply(3, &Reply::Refused(refusal));
    assert_eq!(
        client.output(),
        r"result 200 1 2\r\n7value 30 1\r\n[30 bytes of f.meta]result 404 4 3\r\nnone"
    );
}

#[test]
fn a_body_beyond_the_limit_is_refused_at_once_and_the_connection_lives_on() {
    let mut client = Client::new();
    client
        .send(b"put test 0 1001 0 -1 5\r\n")
        .expect("the protocol");
    let refusal = "The message has 1001 bytes, more than the 1000 permitted here.";
    assert_eq!(
        client.output(),
        format!(r"result 400 {} 5\r\n{refusal}", refusal.len())
    );
    client.send(&[b'x'; 1000]).expect("thrown away");
    assert_eq!(client.asked, []);
    client.send(b"xversion 6\r\n").expect("the protocol");
    assert_eq!(
        client.asked,
        [Asked {
            opaque: 6,
            request: Request::Version
        }]
    );
}

#[test]
fn a_broken_stream_stays_broken() {
    let mut client = Client::new();
    client
        .send(b"version 1\r\nnonsense\r\n")
        .expect_err("not the protocol");
    assert_eq!(client.asked.len(), 1, "what came before is heard");
    client
        .send(b"version 2\r\n")
        .expect_err("not heard any more");
    assert_eq!(client.asked.len(), 1);
}

#[test]
fn an_announced_length_makes_no_room() {
    let limits = Limits {
        header_bytes: 200,
        body_bytes: 100 << 20,
    };
    let mut connection = MetaqConnection::new(limits);
    connection
        .room()
        .put_slice(b"put test 0 104857600 0 -1 5\r\n");
    assert_eq!(connection.next_request(), Ok(None));
    connection.room();
    assert!(
        connection.held_bytes() <= READ_BYTES_MIN as u64 * 2,
        "{}",
        connection.held_bytes()
    );
}

#[test]
fn a_slow_drip_of_the_largest_put_holds_one_frame_and_one_read() {
    let limits = Limits {
        header_bytes: 200,
        body_bytes: 1 << 20,
    };
    let mut connection = MetaqConnection::new(limits);
    let mut bytes = BytesMut::new();
    request::encode(&mut bytes, 5, &put(&vec![b'x'; 1 << 20]));
    let whole = bytes.len();
    let mut asked = None;
    for drip in bytes.chunks(1000) {
        connection.room().put_slice(drip);
        connection.received(drip.len());
        let most = whole + 2 * READ_BYTES_MIN;
        assert!(
            connection.held_bytes() <= most as u64,
            "{}",
            connection.held_bytes()
        );
        asked = connection.next_request().expect("the protocol");
    }
    assert!(asked.is_some(), "it came whole");
}

#[test]
fn a_quiet_connection_gives_its_room_back() {
    let mut client = Client {
        connection: MetaqConnection::new(Limits::DEFAULT),
        asked: Vec::new(),
    };
    let busy = encoded(&vec![put(&[b'x'; 900]); 200]);
    for _ in 0..20 {
        client.send(&busy).expect("the protocol");
        client.asked.clear();
    }
    assert!(client.connection.held_bytes() > READ_BYTES_MIN as u64);
    for _ in 0..20 {
        client.send(b"version 1\r\n").expect("the protocol");
    }
    assert!(client.connection.held_bytes() <= 2 * READ_BYTES_MIN as u64);
}

#[test]
fn a_busy_connection_uses_its_buffer_again_and_again() {
    let mut client = Client {
        connection: MetaqConnection::new(Limits::DEFAULT),
        asked: Vec::new(),
    };
    let busy = encoded(&vec![put(&[b'x'; 900]); 200]);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..50 {
        client.send(&busy).expect("the protocol");
        client.asked.clear();
        places.insert(client.connection.room().as_ptr() as usize / (2 * READ_BYTES_MAX));
    }
    assert!(places.len() < 10, "{} different buffers", places.len());
}

#[test]
fn a_client_that_does_not_read_is_congested() {
    let mut client = Client::new();
    let text = Bytes::from(vec![b'x'; 100_000]);
    while !client.connection.is_congested() {
        assert!(client.connection.held_bytes() < 2 * OUTPUT_BYTES_MAX);
        client.connection.reply(1, &Reply::Text(text.clone()));
    }
    client.output();
    assert!(!client.connection.is_congested());
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_requests_and_replies(
        sizes in vec(0..1500_usize, 1..8),
        cuts in vec(1..400_usize, 1..50),
        garbage: bool,
    ) {
        let mut requests = Vec::new();
        for (place, size) in sizes.iter().enumerate() {
            requests.push(put(&vec![b'x'; *size]));
            if place % 2 == 0 {
                requests.push(get(0));
            }
        }
        let mut stream = encoded(&requests);
        if garbage {
            stream.put_slice(b"nonsense\r\nversion 1\r\n");
        }
        let mut at_once = Client::new();
        let outcome = at_once.send(&stream);
        prop_assert_eq!(outcome.is_err(), garbage);

        let mut in_parts = Client::new();
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let mut outcome_in_parts = Ok(());
        while !rest.is_empty() && outcome_in_parts.is_ok() {
            let cut = cuts.next().map_or(1, |cut| *cut).min(rest.len());
            outcome_in_parts = in_parts.send(&rest[..cut]);
            rest = &rest[cut..];
        }
        prop_assert_eq!(outcome, outcome_in_parts);
        prop_assert_eq!(&at_once.asked, &in_parts.asked);
        prop_assert_eq!(at_once.output(), in_parts.output());
        let heard = sizes.iter().filter(|size| **size <= LIMITS.body_bytes).count();
        prop_assert!(at_once.asked.len() >= heard);
    }

    #[test]
    fn bytes_that_mean_nothing_never_panic_and_hold_little(reads in vec(vec(any::<u8>(), 1..2000), 1..20)) {
        let mut client = Client::new();
        for read in reads {
            let _ = client.send(&read);
            prop_assert!(client.connection.held_bytes() < 16 * 1024);
        }
    }
}
