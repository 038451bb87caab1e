use super::*;
use proptest::prelude::{prop_assert_eq, proptest};

fn written(value: i64) -> String {
    let mut out = BytesMut::new();
    write(&mut out, value);
    String::from_utf8(out.to_vec()).expect("digits are ASCII")
}

#[test]
fn java_accepts_one_sign_and_leading_zeros_and_so_do_we() {
    assert_eq!(parse_i32(b"+5"), Some(5));
    assert_eq!(parse_i32(b"-0"), Some(0));
    assert_eq!(parse_i32(b"007"), Some(7));
    for wrong in ["", "+", "-", "+-1", "1 ", "0x1", "1.0", "１"] {
        assert_eq!(parse_i64(wrong.as_bytes()), None, "{wrong:?}");
    }
}

#[test]
fn numbers_beyond_their_width_are_refused() {
    assert_eq!(parse_i32(b"2147483647"), Some(i32::MAX));
    assert_eq!(parse_i32(b"-2147483648"), Some(i32::MIN));
    assert_eq!(parse_i32(b"2147483648"), None);
    assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
    assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
    assert_eq!(parse_i64(b"9223372036854775808"), None);
    assert_eq!(parse_i64(b"99999999999999999999999999"), None);
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_standard_library_writes(value: i64) {
        prop_assert_eq!(written(value), value.to_string());
        prop_assert_eq!(width(value), value.to_string().len());
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
    }

    #[test]
    fn numbers_without_a_sign_are_written_likewise(value: u64) {
        let mut out = BytesMut::new();
        write_unsigned(&mut out, value);
        let text = value.to_string();
        prop_assert_eq!(&out[..], text.as_bytes());
        prop_assert_eq!(width_unsigned(value), out.len());
    }

    #[test]
    fn any_text_gives_what_the_standard_library_gives(text in "[-+]?[0-9]{0,22}") {
        prop_assert_eq!(parse_i64(text.as_bytes()), text.parse::<i64>().ok());
        prop_assert_eq!(parse_i32(text.as_bytes()), text.parse::<i32>().ok());
    }
}
