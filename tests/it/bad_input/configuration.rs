//! An operator's mistakes: each is told with its place and its cure, by an exit code of its own, and nothing is changed.

use super::{assert_serves_others, refused_start};
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::server::{CHRYSALIS, Server};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

const BAD_CONFIG: i32 = 10;
const PORT_IN_USE: i32 = 13;
const ALREADY_RUNNING: i32 = 14;
const NO_PERMISSION: i32 = 15;
const NEWER_DATA: i32 = 16;

/// A server folder that has not run yet.
fn folder() -> (TempDir, Server) {
    let home = TempDir::new().expect("make a folder");
    let server = Server::prepare(&home.path().join("server1"), &[("alive", 1)], |_| {});
    (home, server)
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once_with_its_place() {
    let (_home, server) = folder();
    let file = server.folder().join("conf/server.toml");
    let good = fs::read_to_string(&file).expect("read the configuration");
    fs::write(
        &file,
        "[server]\nid = \"one\"\n\n[broker]\nport = 70000\nmesage_bytes_max = 5\n\n[disk]\nbackend = \"floppy\"\n\n\
         [nonsense]\nx = 1\n",
    )
    .expect("write the configuration");
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, BAD_CONFIG, "{said}");
    for part in [
        "server.toml",
        "id",
        "port",
        "70000",
        "mesage_bytes_max",
        "message_bytes_max",
        "floppy",
        "nonsense",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    for line in [2, 5, 6, 9] {
        assert!(
            said.contains(&format!(":{line}")),
            "line {line} is not named:\n{said}"
        );
    }

    fs::write(&file, "[server\nid = = 1\n").expect("write the configuration");
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, BAD_CONFIG, "{said}");

    fs::write(&file, [0xff, 0xfe, 0, 1]).expect("write the configuration");
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, BAD_CONFIG, "{said}");

    fs::write(&file, good).expect("write the configuration");
    let mut server = server;
    server.resume();
    assert_serves_others(&server);
}

#[test]
fn a_folder_that_is_missing_or_is_no_server_is_told() {
    let home = TempDir::new().expect("make a folder");
    for path in [home.path().join("nowhere"), home.path().to_owned()] {
        let (code, said) = refused_start(Command::new(CHRYSALIS).arg("run").arg(&path));
        assert_eq!(code, BAD_CONFIG, "{said}");
        assert!(
            said.contains(&*path.to_string_lossy()) && said.contains("init"),
            "{said}"
        );
    }
    assert_eq!(
        fs::read_dir(home.path()).expect("list it").count(),
        0,
        "nothing was made"
    );
}

#[test]
fn a_port_in_use_is_told_whichever_it_is() {
    let (_home, server) = folder();
    for address in [server.coordinator(), server.broker(), server.web()] {
        let _taken = TcpListener::bind(address).expect("the port is free");
        let (code, said) = refused_start(&mut server.command());
        assert_eq!(code, PORT_IN_USE, "{said}");
        assert!(said.contains(&address.to_string()), "{said}");
    }
    let mut server = server;
    server.resume();
    assert_serves_others(&server);
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, ALREADY_RUNNING, "{said}");
    assert_serves_others(&server);
}

#[test]
fn a_folder_that_is_not_ours_is_told() {
    if !lab::root() {
        return;
    }
    let (home, server) = folder();
    // Somebody else may look at the program, the folder and its configuration, but not into the data.
    let conf = server.folder().join("conf");
    for path in [home.path(), &conf, &conf.join("server.toml")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("open the way");
    }
    let program = home.path().join("chrysalis");
    fs::copy(CHRYSALIS, &program).expect("copy the program to where everybody may go");
    let run_as_nobody = || {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program)
            .arg("run")
            .arg(server.folder());
        command
    };
    let (code, said) = refused_start(&mut run_as_nobody());
    assert_eq!(code, NO_PERMISSION, "{said}");
    assert!(said.contains(&*server.folder().to_string_lossy()), "{said}");
}

#[test]
fn data_of_a_newer_version_is_left_alone() {
    let (_home, mut server) = folder();
    server.resume();
    assert_serves_others(&server);
    server.stop();
    let id = server.folder().join("data/journal/journal.id");
    let good = fs::read_to_string(&id).expect("the journal has a name");
    let newer = good
        .lines()
        .take_while(|line| !line.starts_with("check "))
        .map(|line| {
            if line.starts_with("format ") {
                "format 99\n".to_owned()
            } else {
                format!("{line}\n")
            }
        });
    let newer: String = newer.collect();
    fs::write(
        &id,
        format!("{newer}check {:08x}\n", crc32fast::hash(newer.as_bytes())),
    )
    .expect("write the journal's name");
    let before: Vec<Vec<u8>> = journal(&server);
    let (code, said) = refused_start(&mut server.command());
    assert_eq!(code, NEWER_DATA, "{said}");
    assert!(journal(&server) == before, "nothing was changed");
    fs::write(&id, good).expect("write the journal's name");
    server.resume();
    assert_serves_others(&server);
}

fn journal(server: &Server) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(server.folder().join("data/journal"))
        .expect("list the journal")
        .map(|entry| entry.expect("list the journal").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| fs::read(path).expect("read the journal"))
        .collect()
}
