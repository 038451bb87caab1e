use super::quota::{Limits, folders};
use super::words::{Given, split};
use super::*;
use crate::coordinator::permissions;

#[test]
fn a_line_is_split_at_blanks_and_quotes_hold_a_word_together() {
    for (line, words) in [
        ("", &[] as &[&str]),
        ("  ls   / ", &["ls", "/"]),
        (
            "create /a \"two words\" world:anyone:r",
            &["create", "/a", "two words", "world:anyone:r"],
        ),
        ("set /a ''", &["set", "/a", ""]),
        ("set /a 'it\"s'", &["set", "/a", "it\"s"]),
        ("set /a don't", &["set", "/a", "don't"]),
        ("set /a \"open", &["set", "/a", "\"open"]),
        ("set /ä \"ö ü\"", &["set", "/ä", "ö ü"]),
    ] {
        assert_eq!(split(line), words, "{line}");
    }
}

#[test]
fn options_come_before_the_path_and_what_is_behind_it_is_data() {
    let words = split("-s -v 3 /a -1");
    let given = Given::parse("sv:", &words).expect("it is right");
    assert!(given.has('s') && given.value('v') == Some("3"));
    assert_eq!(given.words, ["/a", "-1"]);
    let words = split("-es /a");
    let given = Given::parse("se", &words).expect("letters may stand together");
    assert!(given.has('s') && given.has('e'));
    for wrong in ["-x /a", "--ephemeral /a", "-v"] {
        assert!(Given::parse("sv:", &split(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn an_acl_is_scheme_id_and_letters_colons_in_the_id_included() {
    let parsed = commands::acl("world:anyone:r,digest:bob:hash=:cdrwa").expect("it is one");
    assert_eq!(parsed[0].permissions, permissions::READ);
    assert_eq!(parsed[1].id, "bob:hash=");
    assert_eq!(parsed[1].permissions, permissions::ALL);
    for wrong in ["", "world", "world:anyone", "world:anyone:x"] {
        assert!(commands::acl(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_quota_has_a_folder_for_each_name_of_its_path() {
    assert_eq!(folders("/a/b").collect::<Vec<_>>(), ["/a", "/a/b"]);
    assert_eq!(folders("/").count(), 0);
    assert_eq!(
        Limits::parse("count=5,bytes=-1"),
        Limits {
            count: 5,
            bytes: -1
        }
    );
    assert_eq!(
        Limits::parse("nonsense"),
        Limits {
            count: -1,
            bytes: -1
        }
    );
}
