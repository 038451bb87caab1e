//! Descriptors run short. Once a thousand silent connections and one put ended the process, and one client that put to
//! more partitions than files may be open did it alone.

use super::{assert_serves, limited};
use crate::harness::deployment::{Deployment, START_LIMIT, Topic};
use crate::harness::lab;
use crate::harness::metaq_wire::Client;
use crate::harness::process::{eventually, run_to_end};
use crate::harness::server::{CHRYSALIS, Server, set_key};
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::four_letter_word;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// A server that is not started yet.
fn prepared(topics: &[Topic]) -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().expect("make a folder");
    let server = Server::prepare(&home.path().join("server1"), topics, |config| {
        set_key(config, "coordinator", "connections_per_address_max", "0");
    });
    (home, server)
}

/// This process may open as many files as it may, too.
fn may_open_many() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("ask");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise");
}

fn set_limit(server: &mut Server, limit: &str) {
    let mut command = Command::new("prlimit");
    let pid = server.process().pid().to_string();
    command.args(["--pid", &pid, &format!("--nofile={limit}")]);
    lab::run(&mut command, "change a limit of a process that runs");
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may() {
    let (_home, mut server) = prepared(&[("alive", 1)]);
    server.resume_with(&mut limited(&server, &["--nofile=256:3000"]));
    let pid = server.process().pid();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("there is one").split_whitespace().collect();
    assert_eq!(words[3..5], ["3000", "3000"], "{limits}");
    assert_eq!(
        value(&scrape(server.web()), "chrysalis_open_files_max"),
        3000
    );
    server.stop();
}

#[test]
fn crowds_on_both_ports_leave_descriptors_for_files_and_commands() {
    may_open_many();
    let (_home, mut server) = prepared(&[("alive", 1), ("other", 60)]);
    server.resume_with(&mut limited(&server, &["--nofile=1024:1024"]));
    let mut early = Client::connect(server.broker());
    let mut crowd = Vec::new();
    for address in [server.broker(), server.coordinator()] {
        crowd.extend((0..1000).map_while(|_| TcpStream::connect(address).ok()));
    }
    assert_eq!(
        crowd.len(),
        2000,
        "the kernel takes them, whatever becomes of them"
    );
    eventually("what is too much is refused", SOON, || {
        let scrape = scrape(server.web());
        let refused = |port: &str| {
            let name =
                format!("chrysalis_connections_refused_total{{port=\"{port}\",limit=\"all\"}}");
            value(&scrape, &name)
        };
        refused("broker") > 300 && refused("coordinator") > 300
    });
    for partition in 0..60 {
        early
            .put("other", partition, b"here")
            .expect("there is a descriptor for its file");
        assert_eq!(early.read_all("other", partition).len(), 1);
    }
    let status = run_to_end(
        Command::new(CHRYSALIS).arg("status").arg(server.folder()),
        "",
        SOON,
    );
    assert!(status.status.success(), "{}", status.stderr);
    assert!(
        status.stdout.contains("network.connections_max"),
        "{}",
        status.stdout
    );
    drop(crowd);
    eventually("others come in", SOON, || {
        let broker = Client::try_connect(server.broker());
        let served = broker.is_ok_and(|mut client| client.try_call("version", b"").is_ok());
        let word = four_letter_word(server.coordinator(), "ruok");
        served && word.is_some_and(|said| said == "imok")
    });
    assert_serves(&server);
    server.stop();
}

#[test]
fn a_topic_may_have_more_partitions_than_files_may_be_open() {
    const PARTITIONS: u32 = 1100;
    let (_home, mut server) = prepared(&[("alive", 1), ("wide", PARTITIONS)]);
    server.resume_with(&mut limited(&server, &["--nofile=400:400"]));
    let mut client = Client::connect(server.broker());
    let partitions = 0..i32::try_from(PARTITIONS).expect("few");
    for round in 0..2 {
        for partition in partitions.clone() {
            let stored = client.put("wide", partition, b"message");
            stored.unwrap_or_else(|refused| panic!("{round}, {partition}: {refused:?}"));
        }
    }
    let check = |server: &Server| {
        let mut client = Client::connect(server.broker());
        for partition in partitions.clone() {
            assert_eq!(client.read_all("wide", partition).len(), 2, "{partition}");
        }
    };
    check(&server);
    // With the checkpoint, which syncs all of them.
    server.stop();
    server.resume_with(&mut limited(&server, &["--nofile=400:400"]));
    check(&server);
    assert_serves(&server);
    server.stop();
}

#[test]
fn a_put_without_a_descriptor_is_answered_and_puts_go_on_when_there_are_some() {
    let mut server = Server::start(&[("alive", 1), ("late", 200)]);
    let mut client = Client::connect(server.broker());
    let mut other = Client::connect(server.broker());
    for partition in 0..2 {
        client.put("late", partition, b"before").expect("put");
    }
    assert_eq!(client.read_all("late", 0).len(), 1);
    set_limit(&mut server, "8:");
    // The first ones are in the journal by then: acknowledged, and kept.
    let mut stored = 2;
    let refused = (2..100).find_map(|partition| {
        let put = client.put("late", partition, b"during");
        stored += u32::from(put.is_ok());
        put.err()
    });
    let (code, text) = refused.expect("there is no descriptor for their files");
    assert_eq!(code, 500, "{text}");
    assert!(text.contains("too many files open"), "{text}");
    assert_eq!(client.read_all("late", 0).len(), 1, "reads go on");
    // A file that is not open yet cannot be sent, and that is told.
    let get = other.try_call("get late group 1 0 1000", b"");
    assert!(get.is_err(), "{get:?}");
    let said = server.process().log();
    assert!(said.contains("a message file cannot be opened"), "{said}");
    // For a second nobody is accepted: that is one line, not ten.
    let _waiting = TcpStream::connect(server.broker()).expect("the kernel takes it");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert!(client.put("late", 0, b"again").is_err());
    }
    let log = server.process().log();
    assert_eq!(
        log.matches("no connection can be accepted").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("too many files open").count(), 1, "{log}");
    set_limit(&mut server, "4096:");
    eventually("puts go on", START_LIMIT, || {
        client.put("late", 0, b"after").is_ok()
    });
    let found: usize = (0..100)
        .map(|partition| client.read_all("late", partition).len())
        .sum();
    assert_eq!(
        found,
        usize::try_from(stored).expect("few") + 1,
        "nothing that was acknowledged is lost"
    );
    assert_serves(&server);
    server.stop();
}

/// A checkpoint opens what it syncs: without descriptors it waits.
#[test]
fn a_checkpoint_without_a_descriptor_waits_for_one() {
    let mut server = Server::start(&[("alive", 1)]);
    let mut client = Client::connect(server.broker());
    client.put("alive", 0, b"before").expect("put");
    set_limit(&mut server, "8:");
    // The last thing that an orderly stop does.
    server.process().signal(nix::sys::signal::Signal::SIGTERM);
    eventually("it is put off", SOON, || {
        server
            .process()
            .log()
            .contains("the broker's checkpoint is put off")
    });
    set_limit(&mut server, "4096:");
    server.stop();
    server.resume();
    let mut client = Client::connect(server.broker());
    assert_eq!(client.read_all("alive", 0).len(), 1);
}
