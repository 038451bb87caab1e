use super::*;

fn taken(input: &[u8], limit: usize) -> (Result<Option<Bytes>, BadLength>, usize) {
    let mut input = BytesMut::from(input);
    let result = take(&mut input, limit);
    (result, input.len())
}

#[test]
fn a_frame_is_taken_only_when_it_is_all_there() {
    let whole = b"\0\0\0\x03abc";
    for end in 0..whole.len() {
        assert_eq!(taken(&whole[..end], 10), (Ok(None), end));
    }
    assert_eq!(taken(whole, 10), (Ok(Some(Bytes::from_static(b"abc"))), 0));
    assert_eq!(
        taken(b"\0\0\0\0\0\0\0\x01x", 10),
        (Ok(Some(Bytes::new())), 5)
    );
}

#[test]
fn a_length_below_zero_or_above_the_limit_is_refused_at_once() {
    let refused = |length: i32| {
        let (result, left) = taken(&length.to_be_bytes(), 10);
        assert_eq!(left, 4);
        result
    };
    assert_eq!(refused(10), Ok(None));
    for length in [11, i32::MAX, -1, i32::MIN] {
        assert_eq!(
            refused(length),
            Err(BadLength {
                length: i64::from(length),
                limit: 10
            })
        );
    }
}

#[test]
fn what_was_put_is_taken() {
    let mut buffer = BytesMut::new();
    put(&mut buffer, |writer| writer.bytes(b"one")).expect("three bytes fit");
    put(&mut buffer, |_| {}).expect("nothing fits");
    put(&mut buffer, |writer| writer.i32(7)).expect("four bytes fit");
    let mut next = || take(&mut buffer, 100).expect("the lengths are good");
    assert_eq!(next(), Some(Bytes::from_static(b"one")));
    assert_eq!(next(), Some(Bytes::new()));
    assert_eq!(next(), Some(Bytes::from_static(&[0, 0, 0, 7])));
    assert_eq!(next(), None);
}
