use super::*;

fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("memory takes everything");
    String::from_utf8(out).expect("text")
}

const STAT: Stat = Stat {
    czxid: crate::units::Zxid(0x10),
    mzxid: crate::units::Zxid(0x11),
    ctime: 1_795_362_763_475,
    mtime: i64::MAX,
    version: 3,
    cversion: 4,
    aversion: 5,
    ephemeral_owner: -1,
    data_length: 6,
    children: 7,
    pzxid: crate::units::Zxid(0x12),
};

#[test]
fn a_path_that_cannot_be_is_refused_before_anything_is_asked() {
    for good in ["/", "/a", "/a/b", "/a/", "/ä"] {
        assert_eq!(
            parse_path(good).as_deref(),
            Ok(good.as_bytes()),
            "a trailing slash is the start of a sequential name"
        );
    }
    assert_eq!(
        parse_path("a/b"),
        Err("a path begins with /: /a/b?".to_owned())
    );
    assert!(parse_path("").is_err());
    assert!(parse_path("/a//b").is_err());
}

#[test]
fn an_identity_is_a_scheme_and_what_it_wants_colons_included() {
    let identity = parse_auth("digest:bob:a:b").expect("a scheme and data");
    assert_eq!(
        (identity.scheme, identity.data),
        ("digest".into(), "bob:a:b".into())
    );
    assert!(parse_auth("digest").is_err());
    assert!(parse_auth(":x").is_err());
}

#[test]
fn a_childs_path_has_one_slash_more_than_its_parents() {
    assert_eq!(child(b"/", b"a"), "/a");
    assert_eq!(child(b"/a", b"b"), "/a/b");
}

#[test]
fn a_stat_is_shown_by_the_names_of_zkcli() {
    assert_eq!(
        written(|out| stat_lines(out, &STAT)),
        "\
cZxid = 0x10
ctime = 2026-11-22T15:52:43.475Z
mZxid = 0x11
mtime = 9223372036854775807
pZxid = 0x12
cversion = 4
dataVersion = 3
aclVersion = 5
ephemeralOwner = 0xffffffffffffffff
dataLength = 6
numChildren = 7
"
    );
}

#[test]
fn data_that_is_no_text_is_given_in_base64_and_null_as_null() {
    let object = |data: Option<&[u8]>| {
        let mut object = answer::data(b"/a", data, &STAT);
        object["stat"].take();
        object.to_string()
    };
    assert_eq!(
        object(Some(b"text")),
        r#"{"data":"text","path":"/a","stat":null}"#
    );
    assert_eq!(
        object(Some(b"\xff\x00")),
        r#"{"data_base64":"/wA=","path":"/a","stat":null}"#
    );
    assert_eq!(object(None), r#"{"data":null,"path":"/a","stat":null}"#);
}
