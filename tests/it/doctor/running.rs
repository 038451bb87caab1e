//! What is wrong with a server that runs.

use super::{AT_RISK, BROKEN, CHRYSALIS, OF_THE_MACHINE, assert_first, doctor, findings, names};
use crate::harness::command::{chrysalis, status};
use crate::harness::deployment::{Deployment as _, START_LIMIT};
use crate::harness::ensemble::{Beside, Ensemble, prepare_broker};
use crate::harness::lab::mount::Mount;
use crate::harness::process::eventually;
use crate::harness::server::{Ports, Server, set_key, set_text};
use crate::harness::socket::free_address;
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Waits until the server says this of its broker's registration.
fn wait_for_registration(server: &Server, part: &str) {
    eventually("its registration stands so", START_LIMIT, || {
        status(server)["broker"]["registration"]
            .to_string()
            .contains(part)
    });
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    // So many files may be open anywhere.
    let mut server = Server::start_with(&[("orders", 2)], |text| {
        set_key(text, "network", "connections_max", "200");
    });
    wait_for_registration(&server, "registered");
    let found = findings(server.folder());
    assert!(found.is_empty(), "{found:?}");
    let outcome = doctor(server.folder());
    let is_of_machine = |line: &&str| {
        OF_THE_MACHINE
            .iter()
            .any(|name| line.ends_with(&format!(": {name}")))
    };
    match outcome.stdout.lines().any(|line| is_of_machine(&line)) {
        true => assert!(
            [Some(0), Some(AT_RISK)].contains(&outcome.status.code()),
            "{}",
            outcome.stdout
        ),
        false => {
            assert!(
                outcome.stdout.starts_with("server1: nothing found: "),
                "{}",
                outcome.stdout
            );
            assert_eq!(outcome.status.code(), Some(0));
        }
    }
    server.stop();
}

#[test]
fn a_process_that_is_suspended_is_named() {
    let mut server = Server::start(&[]);
    let pid = server.process().pid();
    server.process().signal(Signal::SIGSTOP);
    let begins = format!("nothing is served, because its process {pid} is suspended");
    let said = assert_first(server.folder(), BROKEN, &begins, "");
    assert!(said.contains(&format!("kill -CONT {pid}")), "{said}");
    server.process().signal(Signal::SIGCONT);
    server.stop();
}

#[test]
fn a_program_that_was_replaced_is_a_hint() {
    let home = TempDir::new().expect("make a folder");
    let mut server = Server::prepare(&home.path().join("server1"), &[], |_| {});
    let program = home.path().join("chrysalis");
    fs::copy(CHRYSALIS, &program).expect("copy the program");
    let mut command = Command::new(&program);
    server.resume_with(command.arg("run").arg(server.folder()));
    wait_for_registration(&server, "registered");
    fs::remove_file(&program).expect("remove it");
    let found = findings(server.folder());
    assert_eq!(names(&found), ["program-replaced"], "{found:?}");
    assert_eq!(found[0]["severity"], "hint");
    server.stop();
}

#[test]
fn a_disk_without_room_is_named_with_what_is_free() {
    let Some(mount) = Mount::tmpfs(300 << 20) else {
        return;
    };
    let mut server = Server::prepare(&mount.path().join("server1"), &[("orders", 1)], |text| {
        set_key(text, "journal", "file_bytes", "33554432");
        set_key(text, "disk", "reserve_bytes", "2097152");
    });
    let log = TempDir::new().expect("make a folder");
    server.log_to(&log.path().join("log"));
    server.resume();
    fs::write(mount.path().join("ballast"), vec![7; 64 << 20]).expect("there is room for it");
    let begins = "puts are refused, because the disk of";
    let said = assert_first(server.folder(), BROKEN, begins, "is full: ");
    assert!(said.contains("is in memory (tmpfs)"), "{said}");
    server.stop();
}

#[test]
fn an_advertised_address_at_which_nobody_answers_is_named() {
    let mut server = Server::start_with(&[], |text| {
        set_text(text, "server", "host_name", "127.0.0.2")
    });
    wait_for_registration(&server, "registered");
    let begins = "clients are told to connect to 127.0.0.2:";
    assert_first(server.folder(), BROKEN, begins, "where nobody answers");
    server.stop();
}

#[test]
fn an_advertised_address_at_which_another_answers_is_named() {
    let home = TempDir::new().expect("make a folder");
    let ports = Ports::free();
    let prepare = |name: &str, listen: &str, web: u16| {
        let ports = Ports { web, ..ports };
        Server::prepare_at(&home.path().join(name), ports, &[], |text| {
            set_text(text, "server", "listen", listen);
            set_text(text, "server", "host_name", "127.0.0.2");
        })
    };
    let mut server = prepare("server1", "127.0.0.1", ports.web);
    let mut other = prepare("server2", "127.0.0.2", Ports::free().web);
    other.set_host([127, 0, 0, 2].into());
    server.resume();
    other.resume();
    wait_for_registration(&server, "registered");
    let begins = "clients are told to connect to 127.0.0.2:";
    let said = assert_first(
        server.folder(),
        BROKEN,
        begins,
        "where another server answers",
    );
    let pid = other.process().pid();
    assert!(
        said.contains(&format!("it is broker 1, process {pid}")),
        "{said}"
    );
    server.stop();
    other.stop();
}

#[test]
fn another_broker_with_its_id_is_named() {
    let mut beside = Beside::start(Ensemble::ours(), &[], |_| {});
    let home = TempDir::new().expect("make a folder");
    let mut second = prepare_broker(&home, beside.zookeeper.address(), &[], |_| {});
    second.resume();
    wait_for_registration(&second, "another broker has this id");
    let begins =
        "clients do not find this broker, because something else is registered under its id 2";
    let said = assert_first(second.folder(), BROKEN, begins, "");
    let own = format!("meta://127.0.0.1:{}", beside.broker.broker().port());
    assert!(said.contains(&own), "{said}");
    // The command that shows it works as it is told.
    let command = said.lines().find(|line| line.contains("chrysalis zk get"));
    let command = command.expect("it is told").trim();
    let words = command.split(' ').skip(1);
    let shown = Command::new(CHRYSALIS)
        .args(words)
        .output()
        .expect("it starts");
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), own);
    second.stop();
    beside.broker.stop();
    beside.zookeeper.stop();
}

#[test]
fn a_zookeeper_that_is_away_is_why_clients_do_not_find_the_broker() {
    let home = TempDir::new().expect("make a folder");
    let mut broker = prepare_broker(&home, free_address(), &[], |_| {});
    broker.resume();
    wait_for_registration(&broker, "failing");
    assert_first(
        broker.folder(),
        BROKEN,
        "clients do not find this broker in ZooKeeper",
        "",
    );
    broker.stop();
}

#[test]
fn a_partition_that_was_closed_is_a_hint() {
    let mut server = Server::start(&[("orders", 2)]);
    wait_for_registration(&server, "registered");
    chrysalis(&server, &["partition", "close", "orders", "0", "1"]);
    let found = findings(server.folder());
    assert_eq!(names(&found), ["partition-closed"]);
    let what = found[0]["what"].as_str().unwrap_or_default();
    assert!(what.ends_with("closed orders-0, orders-1"), "{what}");
    server.stop();
}

#[test]
fn a_mistake_that_the_next_start_will_meet_is_told_while_the_server_runs() {
    let mut server = Server::start(&[]);
    fs::write(server.folder().join("conf/server.toml"), "").expect("write it");
    let begins =
        "the server runs on, and its next start is refused, because its configuration is wrong";
    assert_first(server.folder(), BROKEN, begins, "is empty");
    server.stop();
}
