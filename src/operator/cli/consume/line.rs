//! One message as it is printed.

use std::io::Write as _;

use base64::Engine as _;
use serde_json::json;

use crate::client::metaq::Received;
use crate::operator::cli::brokers::{id_time, place};
use crate::operator::escaped;

/// How messages are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The payload, byte for byte, and a line feed.
    Payload,
    /// The payload for a person who looks at it.
    Terminal,
    /// One line: where it is, its attribute, its payload.
    Verbose,
    /// One JSON object.
    Json,
}

impl Form {
    /// Appends a message.
    pub(super) fn put(self, message: &Received, out: &mut Vec<u8>) {
        match self {
            Form::Payload => out.extend_from_slice(&message.payload),
            Form::Terminal => out.extend(escaped::on_a_terminal(&message.payload).bytes()),
            Form::Verbose => verbose(message, out),
            Form::Json => out.extend(as_json(message).to_string().bytes()),
        }
        out.push(b'\n');
    }
}

fn verbose(message: &Received, out: &mut Vec<u8>) {
    let place = place(message.broker, message.partition);
    let (offset, id) = (message.offset, message.id);
    let attribute = message.attribute.as_ref().map_or_else(String::new, |text| {
        // The bracket that ends it is the first one without a backslash.
        let text = escaped::in_a_line(text.as_bytes()).replace(']', "\\]");
        format!("[{text}] ")
    });
    let payload = escaped::in_a_line(&message.payload);
    // Writing to memory cannot fail.
    let _written = write!(out, "{place} offset {offset} id {id} {attribute}{payload}");
}

/// One object; a payload that is not text is in base 64. An id is text, because it does not fit into every JSON
/// reader's numbers.
fn as_json(message: &Received) -> serde_json::Value {
    let (field, payload) = match std::str::from_utf8(&message.payload) {
        Ok(text) => ("payload", text.to_string()),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&message.payload);
            ("payload_base64", encoded)
        }
    };
    json!({
        "topic": *message.topic,
        "broker": message.broker,
        "partition": message.partition,
        "offset": message.offset,
        "id": message.id.to_string(),
        "time": id_time(message.id),
        "size_bytes": message.payload.len(),
        "flag": message.flag,
        "attribute": message.attribute,
        field: payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn printed(form: Form, attribute: Option<&str>, payload: &[u8]) -> String {
        let message = Received {
            topic: "t".into(),
            broker: Some(1),
            partition: 2,
            offset: 40,
            next_offset: 80,
            id: 2_056_500_000_000_004_096,
            flag: 1,
            attribute: attribute.map(str::to_owned),
            payload: Bytes::copy_from_slice(payload),
        };
        let mut out = Vec::new();
        form.put(&message, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_payload_is_printed_without_its_attribute() {
        assert_eq!(
            printed(Form::Payload, Some("urgent"), b"a\n\x1b"),
            "a\n\x1b\n"
        );
        assert_eq!(
            printed(Form::Terminal, Some("urgent"), b"a\n\x1b"),
            "a\n\\u{1b}\n"
        );
    }

    #[test]
    fn nothing_in_a_message_begins_a_line_beside_the_others() {
        assert_eq!(
            printed(Form::Verbose, Some("a]\n1-0"), b"x\ny"),
            "1-2 offset 40 id 2056500000000004096 [a\\]\\n1-0] x\\ny\n"
        );
        assert_eq!(printed(Form::Json, Some("\n"), b"x\ny").lines().count(), 1);
    }

    #[test]
    fn an_object_has_its_id_as_text_and_the_time_that_is_in_it() {
        let object: serde_json::Value =
            serde_json::from_str(&printed(Form::Json, None, b"hello")).expect("an object");
        assert_eq!(object["id"], "2056500000000004096");
        assert_eq!(object["size_bytes"], 5);
        let time = object["time"].as_str().expect("it is text");
        assert!(time.starts_with("2026-") && time.ends_with('Z'), "{time}");
    }
}
