use super::*;

const LIMITS: Limits = Limits {
    header_bytes: 20,
    body_bytes: 10,
};

fn taken(bytes: &[u8]) -> Result<Decoded<(Bytes, Bytes)>, DecodeError> {
    let mut buffer = BytesMut::from(bytes);
    take(&mut buffer, &LIMITS)?.and_then(|frame| Ok((frame.line.line, frame.body)))
}

#[test]
fn a_header_line_may_be_as_long_as_the_limit() {
    let longest = b"version 000000000001\r\n";
    assert_eq!(longest.len(), 22);
    assert!(matches!(taken(longest), Ok(Decoded::Frame(_))));
    let error = DecodeError::HeaderTooLong { limit: 20 };
    assert_eq!(taken(b"version 0000000000001\r\n"), Err(error));
}

#[test]
fn a_header_line_without_end_is_refused_as_soon_as_it_is_too_long() {
    let endless = [b'v'; 100];
    for length in 1..22 {
        assert_eq!(
            taken(&endless[..length]),
            Ok(Decoded::NotYet { need: length + 1 })
        );
    }
    assert_eq!(
        taken(&endless[..22]),
        Err(DecodeError::HeaderTooLong { limit: 20 })
    );
}

#[test]
fn half_a_line_end_may_still_become_one() {
    assert_eq!(
        taken(b"version 00000000001\r"),
        Ok(Decoded::NotYet { need: 21 })
    );
    assert_eq!(
        taken(b"version 000000000001\r"),
        Ok(Decoded::NotYet { need: 22 })
    );
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_comes() {
    let line = Bytes::from_static(b"value 2147483647 7\r\n");
    let too_large = Decoded::TooLarge {
        frame: (line, Bytes::new()),
        body: 2_147_483_647,
    };
    assert_eq!(taken(b"value 2147483647 7\r\n"), Ok(too_large));
    assert_eq!(
        taken(b"value 10 7\r\nabc"),
        Ok(Decoded::NotYet { need: 22 })
    );
    let missing_length = DecodeError::TokenCount {
        command: "value",
        count: 1,
    };
    assert_eq!(taken(b"value\r\n"), Err(missing_length));
    let not_a_number = DecodeError::NotANumber {
        command: "value",
        field: "body length",
    };
    assert_eq!(taken(b"value 4294967296 7\r\n"), Err(not_a_number));
}

#[test]
fn the_first_letter_decides_and_most_words_must_be_whole() {
    for (word, command) in [
        ("put", Some(Command::Put)),
        ("putt", None),
        ("p", None),
        ("version", Some(Command::Version)),
        ("v", Some(Command::Version)),
        ("value", Some(Command::Value)),
        ("values", Some(Command::Version)),
        ("q", Some(Command::Quit)),
        ("quiet", Some(Command::Quit)),
        ("stats", Some(Command::Stats)),
        ("sync", Some(Command::Sync)),
        ("statistics", None),
        ("", None),
    ] {
        assert_eq!(Command::of(word.as_bytes()), command, "{word:?}");
    }
}
