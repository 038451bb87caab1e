use super::{is_valid, parent, parent_if_plausible};

#[test]
fn a_path_is_judged_by_the_units_java_sees() {
    let good: [&[u8]; 10] = [
        b"/",
        b"/a",
        b"/a/b c/...",
        b"/.a/a./..a",
        "/\u{a0}".as_bytes(),
        "/\u{d7ff}".as_bytes(),
        "/\u{f900}".as_bytes(),
        "/\u{ffef}".as_bytes(),
        "/käse/\u{4e2d}".as_bytes(),
        b"/zookeeper",
    ];
    for path in good {
        assert!(is_valid(path), "{}", String::from_utf8_lossy(path));
    }
    let bad: [&[u8]; 22] = [
        b"",
        b"a",
        b"a/b",
        b"//",
        b"/a/",
        b"/a//b",
        b"/.",
        b"/..",
        b"/a/./b",
        b"/a/../b",
        b"/a\0",
        b"/a\x01",
        b"/a\x1f",
        b"/a\x7f",
        "/\u{80}".as_bytes(),
        "/\u{9f}".as_bytes(),
        "/\u{e000}".as_bytes(),
        "/\u{f8ff}".as_bytes(),
        "/\u{fff0}".as_bytes(),
        "/\u{fffd}".as_bytes(),
        "/\u{1f600}".as_bytes(),
        // U+1F600 as two surrogates of three bytes each, as Java writes it; and a lone byte.
        b"/\xed\xa0\xbd\xed\xb8\x80",
    ];
    for path in bad {
        assert!(!is_valid(path), "{}", String::from_utf8_lossy(path));
    }
    assert!(!is_valid(b"/\xff"));
}

#[test]
fn a_path_has_a_parent() {
    assert_eq!(parent(b"/a"), b"/");
    assert_eq!(parent(b"/a/b"), b"/a");
    assert_eq!(parent_if_plausible(b"/a"), Some(b"".as_slice()));
    assert_eq!(parent_if_plausible(b"/a/b"), Some(b"/a".as_slice()));
    assert_eq!(parent_if_plausible(b"a"), None);
    assert_eq!(parent_if_plausible(b"/a\0"), None);
}
