use std::net::IpAddr;

use super::*;

fn credentials(address: &str, digests: &[&str]) -> Credentials {
    let address: IpAddr = address.parse().expect("an address");
    let mut credentials = Credentials::new(address, false);
    for digest in digests {
        assert!(credentials.authenticate(b"digest", digest.as_bytes(), address, None));
    }
    credentials
}

/// `bits:scheme:id`, separated by spaces.
fn list(text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    for line in text.split_whitespace() {
        let mut parts = line.splitn(3, ':');
        let mut next = || parts.next().unwrap_or_default().as_bytes();
        Line {
            permissions: std::str::from_utf8(next())
                .expect("text")
                .parse()
                .expect("bits"),
            scheme: next(),
            id: next(),
        }
        .write(&mut Writer::new(&mut bytes));
    }
    bytes.freeze()
}

fn show(bytes: &[u8]) -> String {
    let shown = |line: Line<'_>| {
        let (scheme, id) = (line.scheme, line.id);
        let (scheme, id) = (String::from_utf8_lossy(scheme), String::from_utf8_lossy(id));
        format!("{}:{scheme}:{id}", line.permissions)
    };
    Permissions(bytes)
        .lines()
        .map(shown)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_digest_is_the_user_and_a_hash_of_everything() {
    let id = |data: &str| String::from_utf8(digest_id(data.as_bytes())).expect("text");
    assert_eq!(id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    assert_eq!(id("up").split(':').next(), Some("up"));
    assert_eq!(id("a:b:c").split(':').count(), 2);
}

#[test]
fn a_list_permits_whom_it_names() {
    let check = |permissions: &str, wanted: i32, who: &Credentials, permitted: bool| {
        let bytes = list(permissions);
        assert_eq!(
            Permissions(&bytes).permit(wanted, who.identities()),
            permitted,
            "{permissions} for {wanted}"
        );
    };
    let bob = credentials("10.1.2.3", &["bob:secret"]);
    let bob_id = String::from_utf8(digest_id(b"bob:secret")).expect("text");
    check("", permissions::WRITE, &bob, true);
    check("31:world:anyone", permissions::WRITE, &bob, true);
    check("1:world:anyone", permissions::WRITE, &bob, false);
    check(
        "1:world:anyone",
        permissions::READ | permissions::ADMIN,
        &bob,
        true,
    );
    check(
        &format!("31:digest:{bob_id}"),
        permissions::WRITE,
        &bob,
        true,
    );
    check("31:digest:bob:other", permissions::WRITE, &bob, false);
    check("31:ip:10.1.2.3", permissions::WRITE, &bob, true);
    check("31:ip:10.1.2.4", permissions::WRITE, &bob, false);
    check("31:ip:10.1.0.0/16", permissions::WRITE, &bob, true);
    check("31:ip:10.2.0.0/16", permissions::WRITE, &bob, false);
    check("31:ip:0.0.0.0/0", permissions::WRITE, &bob, true);
    check(
        "1:ip:10.1.2.3 2:digest:bob:other",
        permissions::WRITE,
        &bob,
        false,
    );
    let six = credentials("fd00::1", &[]);
    check("31:ip:fd00::/16", permissions::WRITE, &six, true);
    check("31:ip:fe00::/16", permissions::WRITE, &six, false);
    check("31:ip:0.0.0.0/0", permissions::WRITE, &six, false);
    check("31:ip:::/0", permissions::WRITE, &six, true);
    let mapped = credentials("::ffff:10.1.2.3", &[]);
    check("31:ip:10.1.2.3", permissions::WRITE, &mapped, true);
}

#[test]
fn whoever_is_super_may_do_everything() {
    let address: IpAddr = "127.0.0.1".parse().expect("an address");
    let closed = list("31:ip:9.9.9.9");
    let mut credentials = Credentials::new(address, false);
    let digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    assert!(credentials.authenticate(b"digest", b"super:other", address, Some(digest)));
    assert!(!Permissions(&closed).permit(permissions::WRITE, credentials.identities()));
    assert!(credentials.authenticate(b"digest", b"super:test", address, Some(digest)));
    assert!(Permissions(&closed).permit(permissions::WRITE, credentials.identities()));
    let skipping = Credentials::new(address, true);
    assert!(Permissions(&closed).permit(permissions::WRITE, skipping.identities()));
}

#[test]
fn schemes_nobody_set_up_are_not_convincing_and_identities_are_bounded() {
    let address: IpAddr = "127.0.0.1".parse().expect("an address");
    let mut credentials = Credentials::new(address, false);
    for scheme in ["", "world", "super", "auth", "sasl", "x509", "foo"] {
        assert!(!credentials.authenticate(scheme.as_bytes(), b"a:b", address, None));
    }
    let before = credentials.share();
    assert!(credentials.authenticate(b"ip", b"", address, None));
    assert_eq!(before, credentials.share(), "the address was known already");
    let refused = (0..10_000).find(|number| {
        !credentials.authenticate(
            b"digest",
            format!("user{number}:x").as_bytes(),
            address,
            None,
        )
    });
    assert!(refused.is_some());
    assert!(credentials.share().len() <= IDENTITIES_BYTES_MAX);
}

#[test]
fn given_permissions_are_resolved_before_they_are_stored() {
    let check = |given: &str, who: &Credentials, stored: Option<&str>| {
        let bytes = list(given);
        let resolved = Permissions(&bytes).resolve(who.identities());
        let resolved = resolved.map(|resolved| show(resolved.bytes()));
        assert_eq!(resolved.as_deref(), stored, "{given}");
    };
    let nobody = credentials("127.0.0.1", &[]);
    let two = credentials("127.0.0.1", &["a:1", "b:2"]);
    let (a, b) = ("a:pYzHTVxG8Ss50rHcmVFrlZYoGvI=", "b:");
    let a = String::from_utf8(digest_id(b"a:1")).unwrap_or(a.into());
    let b = String::from_utf8(digest_id(b"b:2")).unwrap_or(b.into());
    check("", &nobody, None);
    check("31:world:anyone", &nobody, Some("31:world:anyone"));
    check("31:world:somebody", &nobody, None);
    check(
        "31:world:anyone 31:world:anyone",
        &nobody,
        Some("31:world:anyone"),
    );
    check(
        "1:world:anyone 2:world:anyone",
        &nobody,
        Some("1:world:anyone 2:world:anyone"),
    );
    check("31:auth:", &nobody, None);
    check(
        "31:auth:ignored",
        &two,
        Some(&format!("31:digest:{a} 31:digest:{b}")),
    );
    check(
        "1:ip:1.2.3.4 31:auth:",
        &two,
        Some(&format!("1:ip:1.2.3.4 31:digest:{a} 31:digest:{b}")),
    );
    for (id, good) in [
        ("a:b", true),
        (":b", true),
        ("a:b:", true),
        ("a", false),
        ("a:", false),
        ("a:b:c", false),
        ("", false),
    ] {
        let text = format!("31:digest:{id}");
        check(&text, &nobody, good.then_some(text.as_str()));
    }
    for (id, good) in [
        ("1.2.3.4", true),
        ("01.2.3.4", true),
        ("1.2.3.4/32", true),
        ("1.2.3.4/0", true),
        ("fd00::/8", true),
        ("fd00::1", true),
        ("1.2.3", false),
        ("1.2.3.4.5", false),
        ("1.2.3.256", false),
        ("1.2.3.4/33", false),
        ("1.2.3.4/-1", false),
        ("1.2.3.4/", false),
        ("fd00::/129", false),
        ("localhost", false),
        ("", false),
    ] {
        let text = format!("31:ip:{id}");
        check(&text, &nobody, good.then_some(text.as_str()));
    }
    check("31:sasl:bob", &nobody, None);
    check("31:super:", &two, None);
    check("31:world:anyone 31:foo:x", &nobody, None);
}

#[test]
fn a_digest_is_shown_to_an_administrator_only() {
    let mut table = AclTable::new(RandomState::with_seeds(1, 2, 3, 4));
    let bob = credentials("127.0.0.1", &["bob:x"]);
    let eve = credentials("127.0.0.1", &[]);
    let id = String::from_utf8(digest_id(b"bob:x")).expect("text");
    let acl = table.take(&list(&format!("31:digest:{id} 1:world:anyone")));
    let reveal = |who: &Credentials| {
        table
            .reveal(acl, who.identities())
            .map(|lines| lines[0].id.to_vec())
    };
    assert_eq!(reveal(&bob), Some(id.clone().into_bytes()));
    assert_eq!(reveal(&eve), Some(b"bob:x".to_vec()));
    let closed = table.take(&list(&format!("31:digest:{id}")));
    assert_eq!(table.reveal(closed, eve.identities()), None);
}

#[test]
fn a_list_is_stored_once_and_forgotten_when_unused() {
    let mut table = AclTable::new(RandomState::with_seeds(1, 2, 3, 4));
    let (one, two) = (list("1:world:anyone"), list("2:world:anyone"));
    let first = table.take(&one);
    assert_eq!(table.take(&one), first);
    assert_eq!(table.len(), 2);
    table.release(first);
    table.release(first);
    assert_eq!(table.len(), 1);
    assert_eq!(table.take(&two), first, "the number is free again");
    table.hold();
    table.release(first);
    let other = table.take(&one);
    assert_ne!(other, first, "while held a number keeps its meaning");
    assert_eq!(table.permissions(first).as_ref(), two);
    assert_eq!(table.take(&two), first);
    table.release(first);
    table.let_go();
    assert_eq!(table.len(), 2);
    assert_eq!(table.take(&two), first);
}

#[test]
fn a_list_that_grows_too_long_once_auth_is_resolved_is_no_list() {
    let many: Vec<String> = (0..300).map(|user| format!("user{user}:x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let somebody = credentials("127.0.0.1", &many);
    // Each line stands for all 300.
    let few = list("1:auth:");
    let resolved = Permissions(&few).resolve(somebody.identities());
    assert!(resolved.is_some_and(|list| list.bytes().len() <= PERMISSIONS_BYTES_MAX));
    let lines: Vec<String> = (0..1000).map(|bits| format!("{bits}:auth:")).collect();
    let long = list(&lines.join(" "));
    assert_eq!(Permissions(&long).resolve(somebody.identities()), None);
}

#[test]
fn whoever_has_many_identities_is_found_by_each_of_them() {
    let many: Vec<String> = (0..100).map(|user| format!("user{user}:x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let somebody = credentials("10.1.2.3", &many);
    let mut last = b"1:digest:".to_vec();
    last.extend(digest_id(b"user99:x"));
    let check = |permissions: &str, permitted: bool| {
        let bytes = list(permissions);
        let permits = Permissions(&bytes).permit(1, somebody.identities());
        assert_eq!(permits, permitted, "{permissions}");
    };
    check(&String::from_utf8(last).expect("text"), true);
    check("1:ip:10.0.0.0/8", true);
    check("1:world:anyone", true);
    check("2:world:anyone 1:ip:11.0.0.0/8 1:digest:user99:x", false);
}
