use super::*;

#[test]
fn what_was_written_is_read_back_in_order() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    let mut writer = Writer::new(&mut buffer);
    writer.u8(0xfe);
    writer.bool(true);
    writer.u16(0x1234);
    writer.u32(0x1234_5678);
    writer.i32(-2);
    writer.u64(u64::MAX - 1);
    writer.i64(i64::MIN);
    writer.u128(1 << 100);
    writer.bytes(b"tail\nend");

    let owner = buffer.freeze();
    let mut reader = Reader::new(&owner);
    assert_eq!(reader.take(6), Ok(&b"before"[..]));
    assert_eq!(reader.u8(), Ok(0xfe));
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.u16(), Ok(0x1234));
    assert_eq!(reader.u32(), Ok(0x1234_5678));
    assert_eq!(reader.i32(), Ok(-2));
    assert_eq!(reader.u64(), Ok(u64::MAX - 1));
    assert_eq!(reader.i64(), Ok(i64::MIN));
    assert_eq!(reader.u128(), Ok(1 << 100));
    assert_eq!(reader.take_until(b'\n'), Some(&b"tail"[..]));
    assert_eq!(reader.take_until(b'\n'), None);
    assert_eq!(
        reader.take_shared(3, &owner),
        Ok(Bytes::from_static(b"end"))
    );
    assert!(reader.is_empty());
    assert_eq!(reader.position(), owner.len());
}

#[test]
fn reading_past_the_end_is_an_error_and_reads_nothing() {
    let mut reader = Reader::new(&[1, 2, 3]);
    assert_eq!(reader.i32(), Err(Truncated { wanted: 4, left: 3 }));
    assert_eq!(
        reader.take(usize::MAX),
        Err(Truncated {
            wanted: usize::MAX,
            left: 3
        })
    );
    assert_eq!(reader.rest(), &[1, 2, 3]);
    assert_eq!(reader.u16(), Ok(0x0102));
    assert_eq!(reader.remaining(), 1);
}

#[test]
fn any_byte_but_zero_is_true() {
    let mut reader = Reader::new(&[0, 1, 2, 255]);
    let read: Vec<bool> = std::iter::from_fn(|| reader.bool().ok()).collect();
    assert_eq!(read, [false, true, true, true]);
}

#[test]
fn a_gap_is_filled_with_the_length_of_what_came_after_it() {
    let mut buffer = BytesMut::new();
    let mut writer = Writer::new(&mut buffer);
    let gap = writer.gap_32();
    writer.bytes(b"abc");
    let length = u32::try_from(writer.length_after(&gap)).expect("three fits");
    writer.fill_u32(gap, length);
    assert_eq!(&buffer[..], b"\0\0\0\x03abc");
}
