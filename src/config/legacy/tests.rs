//! The originals' notations.

use super::expression::{boolean, integer};
use super::ini::{Entry, escape, read_ini, read_properties};
use super::{Becomes, Row, server_ini, zoo_cfg};

#[test]
fn numbers_are_expressions() {
    let check = |text: &str, value: Option<i64>| assert_eq!(integer(text), value, "{text}");
    check("0", Some(0));
    check(" 8123 ", Some(8123));
    check("1024*1024", Some(1_048_576));
    check("1 + 2 * 3", Some(7));
    check("(1 + 2) * 3", Some(9));
    check("10 - 2 - 3", Some(5));
    check("7 / 2 % 2", Some(1));
    check("-5 + 8", Some(3));
    check("2 * -3", Some(-6));
    check("--3", Some(3));
    check("0x10", Some(16));
    check("0XfFfFf", Some(1_048_575));
    check("9223372036854775807", Some(i64::MAX));
}

#[test]
fn what_comes_to_no_number_is_none() {
    let check = |text: &str| assert_eq!(integer(text), None, "{text}");
    let deep = "(".repeat(100_000) + "1" + &")".repeat(100_000);
    for text in [
        "", " ", "one", "1.5", "1024*", "(1", "1)", "1 2", "0x", "1_000", "+1", "2**3", "true",
        "1k", &deep,
    ] {
        check(text);
    }
    check("9223372036854775807 + 1");
    check("9223372036854775808");
    check("4294967296 * 4294967296");
    check("1 / 0");
    check("1 % 0");
}

#[test]
fn parentheses_beside_each_other_are_not_deep() {
    let sum = vec!["(1)"; 1000].join("+");
    assert_eq!(integer(&sum), Some(1000));
}

#[test]
fn booleans_are_expressions() {
    let check = |text: &str, value: Option<bool>| assert_eq!(boolean(text), value, "{text}");
    check("true", Some(true));
    check(" false ", Some(false));
    check("!true", Some(false));
    check("! false", Some(true));
    check("TRUE", None);
    check("1", None);
    check("", None);
    check("!!true", None);
}

#[test]
fn every_row_has_a_name_of_its_own_and_a_reason() {
    for rows in [
        server_ini::SYSTEM,
        server_ini::ZOOKEEPER,
        server_ini::TOPIC,
        zoo_cfg::ROWS,
    ] {
        let mut names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len());
        for row in rows {
            assert!(!matches!(row.becomes, Becomes::Nothing("")), "{}", row.name);
        }
    }
}

#[test]
fn a_row_that_ends_in_a_dot_stands_for_every_name_that_begins_so() {
    let group = Row::nothing("group.", "it is a test");
    assert!(group.is("group.billing"));
    assert!(!group.is("groups"));
    let topics = Row::nothing("topics", "it is a test");
    assert!(!topics.is("topics.x"));
}

fn entries(entries: &[Entry]) -> Vec<(&str, &str, &str, usize)> {
    entries
        .iter()
        .map(|it| {
            (
                it.section.as_str(),
                it.key.as_str(),
                it.value.as_str(),
                it.line,
            )
        })
        .collect()
}

#[test]
fn an_ini_file_has_sections_comments_and_escapes() {
    let content = read_ini(
        "; comment\n# comment\n\n[ a ]\n k = v = w \nk2:v:2\nempty=\n\\[odd\\=key=\\u4e2d\\t.\\z\\\n[topic=x]\nlast=1",
    );
    assert_eq!(content.unreadable, []);
    assert_eq!(
        entries(&content.entries),
        [
            ("a", "k", "v = w", 5),
            ("a", "k2", "v:2", 6),
            ("a", "empty", "", 7),
            // The backslash at the end joins the next line, a title or not.
            ("a", "[odd=key", "\u{4e2d}\t.z[topic=x]", 8),
            ("a", "last", "1", 10),
        ]
    );
    assert_eq!(content.titles.len(), 1);
}

#[test]
fn a_properties_file_separates_by_white_space_as_well() {
    let content = read_properties("! comment\na b c\nd=e\n  f : g\nh\ni\\ j=k\nl = \\\n   m\n");
    assert_eq!(
        entries(&content.entries),
        [
            ("", "a", "b c", 2),
            ("", "d", "e", 3),
            ("", "f", "g", 4),
            ("", "h", "", 5),
            ("", "i j", "k", 6),
            ("", "l", "m", 7)
        ]
    );
}

#[test]
fn what_is_escaped_is_read_back() {
    for value in [
        "C:\\meta\\new",
        "tab\tand\nline\rend",
        "a;b#c=d:e",
        "\\u0041",
        "ends in \\",
    ] {
        let content = read_ini(&format!("[s]\nk={}\n", escape(value)));
        assert_eq!(entries(&content.entries), [("s", "k", value, 2)]);
    }
}

#[test]
fn no_bytes_make_the_readers_panic() {
    let mut random = crate::units::Random::new(crate::units::Seed(7));
    let alphabet = b"[]=:;#\\u0041 \t\n\r!abc\xc3\xa4\xff{}()*+-";
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..random.below(60))
            .map(|_| {
                alphabet[usize::try_from(random.below(alphabet.len() as u64))
                    .expect("it is below a length")]
            })
            .collect();
        let text = super::text(&bytes);
        let _ini = read_ini(&text);
        let _properties = read_properties(&text);
        let _number = integer(&text);
    }
}
