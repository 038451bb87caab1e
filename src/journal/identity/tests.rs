//! The name of a journal, as text.

use super::{Identity, decode, encode};

const ID: [u8; 16] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\xfd\xfe\xff";

#[test]
fn the_name_is_a_text_that_is_read_back() {
    let text = encode(ID);
    assert_eq!(
        text,
        "chrysalis journal\nformat 1\nid 000102030405060708090a0b0cfdfeff\ncheck 4b2b61df\n"
    );
    assert_eq!(decode(text.as_bytes()), Identity::Known(ID));
}

#[test]
fn every_flipped_bit_is_damage() {
    let text = encode(ID);
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let decoded = decode(&bytes);
            // White space at the very end says nothing, and the check's digits may be of either case.
            assert!(
                matches!(decoded, Identity::Damaged | Identity::Known(ID)),
                "{at} {bit}"
            );
        }
    }
    assert_eq!(decode(b""), Identity::Damaged);
    assert_eq!(decode(&[0; 4096]), Identity::Damaged);
}

#[test]
fn a_later_format_is_recognised_whatever_else_it_says() {
    let text = "chrysalis journal\nformat 7\nsomething else\n";
    let check = crc32fast::hash(text.as_bytes());
    let text = format!("{text}check {check:08x}\n");
    assert_eq!(decode(text.as_bytes()), Identity::Newer(7));
}
