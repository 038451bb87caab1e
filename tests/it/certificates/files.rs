//! Files that a start refuses: it says which, and what to do.

use super::forged::Forged;
use crate::harness::certificates::{folder, prepare};
use crate::harness::server::{CHRYSALIS, Server};
use chrysalis::authority::{AUTHORITY_CERTIFICATE, Authority, SERVER_CERTIFICATE, SERVER_KEY};
use chrysalis::units::ServerId;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// What a start of this server says, and that it ends at once; the check of its configuration says the same of the file.
fn refused(server: &Server) -> String {
    let started = server
        .command()
        .output()
        .expect("the binary under test starts");
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert_eq!(started.status.code(), Some(10), "{said}");
    assert!(said.contains("E0113"), "{said}");
    let mut check = Command::new(CHRYSALIS);
    check.args(["config", "check"]).arg(server.folder());
    let checked = check.output().expect("the binary under test starts");
    assert_eq!(checked.status.code(), Some(10));
    let found = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(found.contains("cluster.certificates: "), "{found}");
    said
}

#[track_caller]
fn assert_refused(server: &Server, file: &str, why: &str, cure: &str) {
    let said = refused(server);
    let path = folder(server).join(file);
    for part in [&path.display().to_string(), why, cure] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn a_start_names_the_file_that_it_cannot_use_and_says_what_to_do() {
    let cluster = prepare(2, &[], |_| {});
    let server = cluster.server(0);
    let place = folder(server);
    let rotate = "chrysalis cluster rotate-certificates --folder ";

    open_to_all(&place.join(SERVER_KEY), 0o644);
    let why = "others than its owner may read this key (mode 644)";
    assert_refused(server, SERVER_KEY, why, "chmod 600 ");
    open_to_all(&place.join(SERVER_KEY), 0o600);

    Forged::lasting(-86_400, -3600).put(server, 0);
    assert_refused(server, SERVER_CERTIFICATE, "it has expired", rotate);

    Forged::lasting(-86_400, 86_400).put(server, 1);
    let why = "it is the certificate of server 2, and this is server 1";
    assert_refused(server, SERVER_CERTIFICATE, why, rotate);

    Forged::lasting(-86_400, 86_400).put(server, 0);
    let own = fs::read(place.join(AUTHORITY_CERTIFICATE)).expect("a file");
    let other = place.with_extension("other");
    Authority::make(&other).expect("another authority");
    fs::copy(
        other.join(AUTHORITY_CERTIFICATE),
        place.join(AUTHORITY_CERTIFICATE),
    )
    .expect("a file");
    let why = "it was issued by none of the authorities";
    assert_refused(server, SERVER_CERTIFICATE, why, rotate);
    fs::write(place.join(AUTHORITY_CERTIFICATE), own).expect("a file");

    let authority = Authority::open(&place).expect("it is there");
    authority.issue(ServerId(1), &other).expect("a certificate");
    fs::copy(other.join(SERVER_KEY), place.join(SERVER_KEY)).expect("a file");
    assert_refused(
        server,
        SERVER_KEY,
        "it is not the key of server.pem",
        rotate,
    );

    fs::remove_file(place.join(SERVER_CERTIFICATE)).expect("it was there");
    let missing = "there is no such file";
    assert_refused(server, SERVER_CERTIFICATE, missing, rotate);

    fs::remove_dir_all(&place).expect("it was there");
    let make = "chrysalis cluster certificates --make-authority --folder ";
    assert_refused(server, AUTHORITY_CERTIFICATE, missing, make);
}
