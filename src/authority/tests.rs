//! What an authority makes, and what is wrong with what others put there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const SERVER: ServerId = ServerId(3);

/// A folder of certificates with an authority and server 3's own.
struct Made {
    home: TempDir,
}

impl Made {
    fn new() -> Made {
        let home = TempDir::new().expect("a folder");
        let authority = Authority::make(&home.path().join("certificates")).expect("an authority");
        let made = Made { home };
        authority
            .issue(SERVER, &made.folder())
            .expect("a certificate");
        made
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("certificates")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn mode(&self, name: &str) -> u32 {
        let about = fs::metadata(self.file(name)).expect("it is there");
        about.permissions().mode() & 0o777
    }

    /// Why what is there cannot be used, without the folder's own name.
    fn refused(&self) -> String {
        let error = Certificates::load(&self.folder(), SERVER).expect_err("it is no use");
        let folder = format!("{}/", self.folder().display());
        error.to_string().replace(&folder, "")
    }
}

#[test]
fn what_is_made_can_be_used_and_the_keys_are_their_owners() {
    let made = Made::new();
    let held = Certificates::load(&made.folder(), SERVER).expect("all fits");
    assert_eq!(held.own().server(), Some(SERVER));
    assert!(held.has_authority());
    assert_eq!(
        [SERVER_KEY, AUTHORITY_KEY].map(|it| made.mode(it)),
        [0o600; 2]
    );
    let days = |certificate: &Certificate| {
        (certificate.ends().0 - certificate.begins().0) / (24 * 60 * 60 * 1000)
    };
    assert_eq!(days(&held.own()), 365);
    let authority = Authority::open(&made.folder()).expect("it is there");
    assert_eq!(days(authority.certificate()), 7300);
    let third = held.own().ends().0 - held.own().renewed_from().0;
    assert_eq!(third / (24 * 60 * 60 * 1000), 121);
}

#[test]
fn an_authority_is_never_made_over_another_one() {
    let made = Made::new();
    let before = fs::read(made.file(AUTHORITY_KEY)).expect("a key");
    let error = Authority::make(&made.folder()).expect_err("there is one");
    assert!(
        error.to_string().ends_with("there is an authority already"),
        "{error}"
    );
    fs::remove_file(made.file(AUTHORITY_CERTIFICATE)).expect("it was there");
    Authority::make(&made.folder()).expect_err("there is the key of one");
    assert_eq!(fs::read(made.file(AUTHORITY_KEY)).expect("a key"), before);
}

#[test]
fn a_new_certificate_takes_the_place_of_the_former_while_that_is_used() {
    let made = Made::new();
    let held = Certificates::load(&made.folder(), SERVER).expect("all fits");
    let before = held.own();
    let authority = Authority::open(&made.folder()).expect("it is there");
    let issued = authority.issue(SERVER, &made.folder()).expect("a new one");
    assert_eq!(held.own(), before, "it is not read yet");
    held.load_again().expect("all fits");
    assert_eq!(held.own(), issued);
    assert_ne!(issued, before);
    let names = fs::read_dir(made.folder()).expect("a folder").count();
    assert_eq!(names, 4, "nothing is left behind");
}

#[test]
fn what_cannot_be_used_is_named_with_its_reason() {
    let open = Made::new();
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(open.file(SERVER_KEY), mode).expect("it is ours");
    assert_eq!(
        open.refused(),
        "server.key: others than its owner may read this key (mode 640)"
    );

    let missing = Made::new();
    fs::remove_file(missing.file(AUTHORITY_CERTIFICATE)).expect("it was there");
    assert_eq!(missing.refused(), "authority.pem: there is no such file");

    let rubbish = Made::new();
    fs::write(rubbish.file(SERVER_CERTIFICATE), "no PEM").expect("a file");
    assert_eq!(
        rubbish.refused(),
        "server.pem: there is nothing usable in it: it must be PEM, as chrysalis writes it"
    );

    let (foreign, other) = (Made::new(), Made::new());
    fs::copy(
        other.file(AUTHORITY_CERTIFICATE),
        foreign.file(AUTHORITY_CERTIFICATE),
    )
    .expect("a file");
    assert_eq!(
        foreign.refused(),
        "server.pem: it was issued by none of the authorities in authority.pem"
    );
    fs::copy(
        other.file(SERVER_CERTIFICATE),
        foreign.file(SERVER_CERTIFICATE),
    )
    .expect("a file");
    assert_eq!(
        foreign.refused(),
        "server.key: it is not the key of server.pem"
    );

    let another = Made::new();
    let authority = Authority::open(&another.folder()).expect("it is there");
    authority
        .issue(ServerId(4), &another.folder())
        .expect("a certificate");
    assert_eq!(
        another.refused(),
        "server.pem: it is the certificate of server 4, and this is server 3"
    );
}

#[test]
fn two_authorities_are_trusted_while_one_takes_the_others_place() {
    let (old, new) = (Made::new(), Made::new());
    let both = [&old, &new]
        .map(|it| fs::read_to_string(it.file(AUTHORITY_CERTIFICATE)).expect("a certificate"));
    fs::write(old.file(AUTHORITY_CERTIFICATE), both.concat()).expect("a file");
    let held = Certificates::load(&old.folder(), SERVER).expect("the old one is trusted");
    assert_eq!(trusted_in(&old.folder()).expect("certificates").len(), 2);
    let keys = [&old, &new].map(|it| fs::read(it.file(AUTHORITY_KEY)).expect("a key"));
    for key in keys {
        fs::write(old.file(AUTHORITY_KEY), key).expect("a file");
        let authority = Authority::open(&old.folder()).expect("one of the two");
        authority
            .issue(SERVER, &old.folder())
            .expect("a certificate");
        held.load_again().expect("both are trusted");
    }
    fs::write(old.file(AUTHORITY_CERTIFICATE), &both[1]).expect("a file");
    held.load_again().expect("the old one is needed no more");

    let stranger = Made::new();
    let key = fs::read(stranger.file(AUTHORITY_KEY)).expect("a key");
    fs::write(old.file(AUTHORITY_KEY), key).expect("a file");
    let error = Authority::open(&old.folder()).expect_err("a key of nobody's");
    assert!(
        error
            .to_string()
            .ends_with("it is not the key of authority.pem"),
        "{error}"
    );
}

#[test]
fn another_host_takes_the_authority_over_with_its_key_or_without() {
    let (made, other) = (Made::new(), TempDir::new().expect("a folder"));
    let with = other.path().join("with");
    Authority::copy(&made.folder(), &with).expect("a copy");
    Authority::copy(&made.folder(), &with).expect("the same again");
    Authority::open(&with)
        .expect("an authority")
        .issue(ServerId(4), &with)
        .expect("a certificate");
    Certificates::load(&with, ServerId(4)).expect("all fits");

    let without = other.path().join("without");
    trust(&made.folder(), &without).expect("a copy");
    Authority::open(&made.folder())
        .expect("an authority")
        .issue(ServerId(5), &without)
        .expect("a certificate");
    let held = Certificates::load(&without, ServerId(5)).expect("all fits");
    assert!(!held.has_authority());

    let error = trust(&Made::new().folder(), &with).expect_err("another authority");
    assert!(
        error.to_string().ends_with("there is an authority already"),
        "{error}"
    );
}

#[test]
fn a_certificate_that_a_crash_left_without_its_name_gets_it() {
    let made = Made::new();
    let path = made.file(SERVER_CERTIFICATE);
    let former = fs::read(&path).expect("a certificate");
    let authority = Authority::open(&made.folder()).expect("an authority");
    let issued = authority
        .issue(SERVER, &made.folder())
        .expect("a certificate");
    // As it is when the key has its name already.
    fs::rename(&path, files::beside(&path)).expect("a name");
    fs::write(&path, &former).expect("a file");
    let held = Certificates::load(&made.folder(), SERVER).expect("all fits");
    assert_eq!(held.own().fingerprint(), issued.fingerprint());
    assert!(!files::beside(&path).exists());
    // One that does not fit is no reason to touch anything.
    fs::write(files::beside(&path), &former).expect("a file");
    let held = Certificates::load(&made.folder(), SERVER).expect("all fits");
    assert_eq!(held.own().fingerprint(), issued.fingerprint());
}

#[test]
fn an_older_copy_takes_no_newer_authority_away() {
    let (made, new, older) = (Made::new(), Made::new(), TempDir::new().expect("a folder"));
    let older = older.path().join("older");
    Authority::copy(&made.folder(), &older).expect("a copy");
    let both = [&made, &new]
        .map(|it| fs::read_to_string(it.file(AUTHORITY_CERTIFICATE)).expect("a certificate"));
    fs::write(made.file(AUTHORITY_CERTIFICATE), both.concat()).expect("a file");
    fs::copy(new.file(AUTHORITY_KEY), made.file(AUTHORITY_KEY)).expect("a file");
    let key = || fs::read(made.file(AUTHORITY_KEY)).expect("a key");
    let before = key();
    let error = Authority::copy(&older, &made.folder()).expect_err("it is older");
    assert!(
        error.to_string().ends_with("there is an authority already"),
        "{error}"
    );
    assert_eq!(key(), before);
    trust(&older, &made.folder()).expect("it is trusted already");
    assert_eq!(trusted_in(&made.folder()).expect("certificates").len(), 2);
}

#[test]
fn a_name_says_which_server_it_is_and_nothing_else_does() {
    let der = |names: Vec<String>| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .clone()
    };
    let named = |name: &str| server_named_in(&der(vec![name.to_owned()]));
    assert_eq!(named("server254.chrysalis.internal"), Some(ServerId(254)));
    for name in [
        "server03.chrysalis.internal",
        "server3.chrysalis.internal.example",
        "xserver3.chrysalis.internal",
        "server70000.chrysalis.internal",
        "server.chrysalis.internal",
    ] {
        assert_eq!(named(name), None, "{name}");
    }
    let two = [3, 4].map(|id| peer_name(ServerId(id))).to_vec();
    assert_eq!(server_named_in(&der(two)), None, "one server has one name");
    assert_eq!(server_named_in(b"no certificate"), None);
}
