//! A machine without IPv6, and folders of topics that are the top of somebody's file system.

use super::limits::{filtered, may_filter};
use super::{Somebody, assert_serves};
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::lab::namespace::Namespace;
use crate::harness::process::{eventually, run_to_end};
use crate::harness::server::{CHRYSALIS, Ports, Server, init, set_text};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// `socket`, for IPv6, is answered with `EAFNOSUPPORT`: as by a kernel that was started with `ipv6.disable=1`.
const NO_IPV6: (u32, u32, i32) = (41, 10, 97);

fn listening_on(home: &tempfile::TempDir, address: &str) -> Server {
    Server::prepare(&home.path().join("server1"), &[("alive", 1)], |config| {
        set_text(config, "server", "listen", address);
        set_text(config, "web", "listen", address);
    })
}

fn status(server: &Server) -> String {
    let mut command = Command::new(CHRYSALIS);
    run_to_end(command.arg("status").arg(server.folder()), "", SOON).stdout
}

#[test]
fn every_address_is_every_ipv4_address_where_there_is_no_ipv6() {
    if !may_filter() {
        return;
    }
    let home = tempfile::tempdir().expect("make a folder");
    let mut server = listening_on(&home, "::");
    let (call, family, error) = NO_IPV6;
    let mut command = filtered(call, family, error);
    server.resume_with(command.arg("run").arg(server.folder()));
    assert_serves(&server);
    eventually("clients find it", START_LIMIT, || {
        status(&server).contains("clients find this broker")
    });
    let said = server.process().log();
    assert!(said.contains("this machine has no IPv6"), "{said}");
    server.stop();
    // One that is named is not there.
    let home = tempfile::tempdir().expect("make a folder");
    let server = listening_on(&home, "::1");
    let outcome = run_to_end(
        filtered(call, family, error)
            .arg("run")
            .arg(server.folder()),
        "",
        SOON,
    );
    assert!(outcome.stderr.contains("E0107"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("without IPv6"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn every_address_serves_where_ipv6_is_switched_off_by_its_setting() {
    if !lab::may_make_namespaces() {
        return;
    }
    let namespace = Namespace::new();
    let off = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";
    lab::run(
        namespace.command("sh").args(["-c", off]),
        "switch IPv6 off in a namespace",
    );
    let home = tempfile::tempdir().expect("make a folder");
    let server = listening_on(&home, "::");
    let mut process = server.spawn(namespace.command(CHRYSALIS).arg("run").arg(server.folder()));
    process.wait_until("registered", START_LIMIT, || {
        status(&server).contains("clients find this broker")
    });
    assert!(process.terminate(SOON).success(), "{}", process.log_tail());
}

#[test]
fn what_others_put_beside_the_topics_stops_no_start() {
    if !lab::root() {
        return;
    }
    let somebody = Somebody::new(61_235);
    let folder = somebody.folder();
    let ports = Ports::free();
    assert!(
        init(&folder, ports, &[("alive", 1), ("old", 1)])
            .status
            .success()
    );
    let topics = folder.join("data/topics");
    let journal = folder.join("data/journal");
    fs::create_dir_all(&topics).expect("make the folder of topics");
    fs::create_dir_all(&journal).expect("make the journal's folder");
    fs::create_dir_all(folder.join("data/coordinator")).expect("make the coordinator's folder");
    somebody.own(&folder);
    // Root's, and closed to everybody else.
    for foreign in [
        topics.join(".Trash-1000"),
        topics.join("lost+found"),
        topics.join("backup-2024"),
        journal.join("lost+found"),
        folder.join("data/lost+found"),
        folder.join("data/coordinator/lost+found"),
    ] {
        fs::create_dir(&foreign).expect("make a folder");
        fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).expect("close it");
    }
    let log = folder.with_extension("log");
    let mut process = crate::harness::process::Process::start(
        "chrysalis",
        somebody.command(&[]).arg("run").arg(&folder),
        &log,
    );
    process.wait_until("serving", START_LIMIT, || {
        fs::read_to_string(&log).is_ok_and(|said| said.contains(" serving "))
    });
    assert!(
        process.log().contains("backup-2024"),
        "it is told: {}",
        process.log()
    );
    assert!(process.terminate(SOON).success(), "{}", process.log_tail());
    // A topic's own folder is not passed over.
    let own = topics.join("old-0");
    fs::create_dir(&own).expect("make a folder");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).expect("close it");
    let outcome = run_to_end(somebody.command(&[]).arg("run").arg(&folder), "", SOON);
    assert!(outcome.stderr.contains("E0103"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("old-0"), "{}", outcome.stderr);
}
