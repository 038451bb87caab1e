//! What a ZooKeeper client sends after the length: any bytes are either refused or mean one request, which
//! can be written again and then means the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use chrysalis::wire::zookeeper::{frame, handshake, request};

/// Larger than any frame that is taken from a client.
const LIMIT: usize = 4 << 20;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let input = Bytes::copy_from_slice(data);
    // The same bytes may be a handshake, and may begin with a length.
    let _ = handshake::decode_request(&input);
    let mut stream = BytesMut::from(data);
    while let Ok(Some(_)) = frame::take(&mut stream, LIMIT) {}

    let Ok((xid, asked)) = request::decode(&input) else { return };
    let mut out = BytesMut::new();
    request::encode(xid, &asked, &mut out).expect("what came in a frame fits into one");
    let again = frame::take(&mut out, usize::MAX).expect("a length of ours").expect("a whole frame");
    assert_eq!(request::decode(&again).expect("what we wrote"), (xid, asked));
});
