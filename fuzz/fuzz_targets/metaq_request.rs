//! A MetaQ client's stream: it is taken apart frame by frame or refused; each request can be written again
//! and then means the same. Cutting the stream anywhere gives the same requests in the end.
#![no_main]

use bytes::{Buf, BytesMut};
use chrysalis::wire::metaq::request::{self, Asked};
use chrysalis::wire::metaq::{Decoded, Limits};

/// One side of a connection, as the server sees it.
#[derive(Debug, Default, PartialEq)]
struct Inbound {
    found: Vec<Option<Asked>>,
    /// What is still to come of a body that is too large to be kept.
    unwanted: usize,
    refused: bool,
}

impl Inbound {
    fn take_in(&mut self, stream: &mut BytesMut) {
        while !self.refused {
            let skip = self.unwanted.min(stream.len());
            stream.advance(skip);
            self.unwanted -= skip;
            if self.unwanted > 0 {
                return;
            }
            match request::decode(stream, &Limits::DEFAULT) {
                Ok(Decoded::Frame(asked)) => self.found.push(asked),
                Ok(Decoded::TooLarge { frame, body }) => {
                    self.found.push(frame);
                    self.unwanted = body;
                }
                Ok(Decoded::NotYet { need }) => {
                    assert!(need > stream.len(), "more is asked for than there is");
                    return;
                }
                Err(_) => self.refused = true,
            }
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut whole = Inbound::default();
    whole.take_in(&mut BytesMut::from(data));

    for asked in whole.found.iter().flatten() {
        let mut out = BytesMut::new();
        request::encode(&mut out, asked.opaque, &asked.request);
        let mut again = Inbound::default();
        again.take_in(&mut out);
        assert_eq!(again.found, [Some(asked.clone())]);
        assert!(!again.refused, "what we wrote is refused");
    }

    // The first byte chooses where the stream is cut.
    let Some(&first) = data.first() else { return };
    let (head, tail) = data.split_at(usize::from(first) * data.len() / 256);
    let mut stream = BytesMut::from(head);
    let mut pieces = Inbound::default();
    pieces.take_in(&mut stream);
    stream.extend_from_slice(tail);
    pieces.take_in(&mut stream);
    assert_eq!(pieces, whole);
});
