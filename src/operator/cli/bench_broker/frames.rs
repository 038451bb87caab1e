//! The puts of one connection, made once.
//!
//! Each place in flight has a frame of its own, whose opaque is the place's number, so nothing is written into
//! a frame again: what is answered is sent again as it is.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::broker::{Name, Put, Request};
use crate::segments::format;
use crate::wire::metaq::request;

/// Frames, one behind the other.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Bytes,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Frames {
    /// `count` puts of `size` bytes, to `partitions` in turn from `first` on.
    pub(super) fn new(
        topic: &str,
        partitions: u16,
        first: usize,
        count: usize,
        size: usize,
    ) -> Frames {
        let data = Bytes::from(payload(size));
        let mut bytes = BytesMut::new();
        let mut ends = Vec::with_capacity(count);
        for (opaque, place) in (0..).zip(0..count) {
            let partition = (first + place) % usize::from(partitions);
            let put = Request::Put(Put {
                topic: Name::from(topic),
                partition: i32::try_from(partition).expect("a topic has few partitions"),
                flag: 0,
                checksum: format::checksum(&data),
                transaction: None,
                data: data.clone(),
            });
            request::encode(&mut bytes, opaque, &put);
            ends.push(bytes.len());
        }
        Frames {
            bytes: bytes.freeze(),
            ends,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Where the frame of this place is in [`Frames::bytes`].
    pub(super) fn range(&self, place: usize) -> Range<usize> {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[place]
    }

    /// The bytes of a range.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

/// Bytes that no disk compresses: the steps of a small generator.
pub(super) fn payload(size: usize) -> Vec<u8> {
    let mut random = crate::units::Random::new(crate::units::Seed(1));
    (0..size).map(|_| random.next().to_le_bytes()[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metaq::{Decoded, Limits};

    #[test]
    fn each_place_has_a_frame_with_its_number_and_partitions_take_turns() {
        let frames = Frames::new("t", 4, 2, 5, 10);
        let mut places = Vec::new();
        for place in 0..frames.count() {
            let mut frame = BytesMut::from(frames.bytes(frames.range(place)));
            let Ok(Decoded::Frame(Some(asked))) = request::decode(&mut frame, &Limits::DEFAULT)
            else {
                panic!("a put");
            };
            let Request::Put(put) = asked.request else {
                panic!("a put")
            };
            assert_eq!(put.checksum, format::checksum(&put.data));
            places.push((asked.opaque, put.partition));
        }
        assert_eq!(places, [(0, 2), (1, 3), (2, 0), (3, 1), (4, 2)]);
    }
}
