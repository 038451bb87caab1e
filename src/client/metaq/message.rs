//! One message, outgoing and received.
//!
//! A message is a payload and, if bit 0 of its flag is set, an attribute: a short text before the payload
//! that consumers see apart from it. Together they are the record's data.
//!
//! ```text
//! flag bit 0 clear:                                | payload |
//! flag bit 0 set:    | length i32 BE | attribute   | payload |
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::cursor::Reader;

/// Bit 0 of a flag: the data begins with an attribute.
const HAS_ATTRIBUTE: i32 = 1;

/// A message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The content.
    pub payload: Bytes,
    /// A short text that consumers see beside the content. An empty one is not the same as none.
    pub attribute: Option<String>,
}

impl Message {
    /// A message without an attribute.
    pub fn new(payload: impl Into<Bytes>) -> Message {
        Message {
            payload: payload.into(),
            attribute: None,
        }
    }

    /// The same with an attribute.
    pub fn with_attribute(self, attribute: impl Into<String>) -> Message {
        Message {
            attribute: Some(attribute.into()),
            ..self
        }
    }

    /// The record's flag.
    pub(crate) fn flag(&self) -> i32 {
        if self.attribute.is_some() {
            HAS_ATTRIBUTE
        } else {
            0
        }
    }

    /// The record's data. Without an attribute nothing is copied.
    pub(crate) fn data(&self) -> Bytes {
        let Some(attribute) = &self.attribute else {
            return self.payload.clone();
        };
        let mut data = BytesMut::with_capacity(4 + attribute.len() + self.payload.len());
        let length = i32::try_from(attribute.len()).expect("an attribute is shorter than 2 GiB");
        data.put_i32(length);
        data.put_slice(attribute.as_bytes());
        data.put_slice(&self.payload);
        data.freeze()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::new(Bytes::copy_from_slice(text.as_bytes()))
    }
}

/// A message that was read from a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The topic it was read from.
    pub topic: std::sync::Arc<str>,
    /// The id of the broker it was read from, where ZooKeeper told it.
    pub broker: Option<u16>,
    /// The number of the partition it was read from.
    pub partition: i32,
    /// Where its record begins in the partition, in bytes.
    pub offset: i64,
    /// Where the next one begins; what a consumer that is done with this one goes on from.
    pub next_offset: i64,
    /// The id the broker gave it. Older brokers give negative ids.
    pub id: i64,
    /// The record's flag as stored; bit 0 says whether there is an attribute.
    pub flag: i32,
    /// The attribute, if it has one. Bytes that are not UTF-8 become replacement characters.
    pub attribute: Option<String>,
    /// The content.
    pub payload: Bytes,
}

/// Splits a record's data into attribute and payload, as the flag says.
///
/// `None` if the attribute's length does not fit into the data.
pub(crate) fn split(flag: i32, data: &Bytes) -> Option<(Option<String>, Bytes)> {
    if flag & HAS_ATTRIBUTE == 0 {
        return Some((None, data.clone()));
    }
    let mut reader = Reader::new(data);
    let length = usize::try_from(reader.i32().ok()?).ok()?;
    let attribute = String::from_utf8_lossy(reader.take(length).ok()?).into_owned();
    Some((Some(attribute), data.slice(reader.position()..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_stands_before_the_payload_with_its_length() {
        let message = Message::from("hello world").with_attribute("attribute");
        let data = message.data();
        assert_eq!(message.flag(), 1);
        assert_eq!(&data[..], b"\0\0\0\x09attributehello world");
        let (attribute, payload) = split(1, &data).expect("whole data");
        assert_eq!(attribute.as_deref(), Some("attribute"));
        assert_eq!(&payload[..], b"hello world");
    }

    #[test]
    fn an_empty_attribute_is_not_the_same_as_none() {
        let none = Message::from("x");
        let empty = Message::from("x").with_attribute("");
        assert_eq!((none.flag(), &none.data()[..]), (0, &b"x"[..]));
        assert_eq!((empty.flag(), &empty.data()[..]), (1, &b"\0\0\0\0x"[..]));
        assert_eq!(
            split(1, &empty.data()),
            Some((Some(String::new()), Bytes::from("x")))
        );
    }

    #[test]
    fn an_attribute_longer_than_its_data_is_refused() {
        for data in [&b""[..], b"\0\0\0", b"\0\0\0\x02x", b"\xff\xff\xff\xffxxxx"] {
            assert_eq!(split(1, &Bytes::copy_from_slice(data)), None);
        }
    }
}
