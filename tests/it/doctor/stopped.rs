//! Why a server does not start.

use super::{BROKEN, CHRYSALIS, LIMIT, assert_first, doctor, examined, findings, names};
use crate::harness::bits::{files, flip};
use crate::harness::deployment::Deployment as _;
use crate::harness::lab;
use crate::harness::metaq_wire::Client;
use crate::harness::process::run_to_end;
use crate::harness::server::{Server, set_key};
use nix::unistd::{Uid, chown};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tempfile::TempDir;

/// A server that has served, and stopped.
fn stopped() -> (TempDir, Server) {
    let home = TempDir::new().expect("make a folder");
    let mut server = Server::prepare(&home.path().join("server1"), &[("orders", 1)], |_| {});
    server.resume();
    let mut client = Client::connect(server.broker());
    for _ in 0..10 {
        client.put("orders", 0, b"a message").expect("it is taken");
    }
    server.stop();
    (home, server)
}

#[test]
fn a_server_that_was_stopped_is_to_be_started() {
    let (_home, server) = stopped();
    let said = assert_first(
        server.folder(),
        BROKEN,
        "the server does not run",
        "nothing here keeps it",
    );
    let flag = format!("chrysalis start --folder {}", server.folder().display());
    assert!(said.contains(&flag), "{said}");
    assert_eq!(names(&findings(server.folder())), ["not-running"]);
}

#[test]
fn a_mistake_in_the_configuration_is_named_with_its_line() {
    let (_home, server) = stopped();
    let file = server.folder().join("conf/server.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, format!("colour = 1\n{text}")).expect("write it");
    let begins =
        "the server does not start, because its configuration is wrong: conf/server.toml:1";
    assert_first(server.folder(), BROKEN, begins, "colour");
}

#[test]
fn an_id_that_the_data_does_not_have_is_named() {
    let (_home, server) = stopped();
    let file = server.folder().join("conf/server.toml");
    let mut text = fs::read_to_string(&file).expect("it is there");
    set_key(&mut text, "server", "id", "7");
    fs::write(&file, text).expect("write it");
    let begins = "the server does not start, because this host refuses its configuration";
    assert_first(
        server.folder(),
        BROKEN,
        begins,
        "data/ was written by broker 1",
    );
}

#[test]
fn whoever_has_its_port_is_named() {
    let (_home, server) = stopped();
    let _other = TcpListener::bind(server.broker()).expect("it is free");
    let by = format!("process {} (", std::process::id());
    let port = format!("its port {} (broker.port)", server.broker());
    let begins = format!("the server does not start, because {by}");
    assert_first(server.folder(), BROKEN, &begins, &port);
}

#[test]
fn a_file_of_another_user_is_named() {
    if !lab::root() {
        return;
    }
    let (_home, server) = stopped();
    let data = server.folder().join("data");
    let nobody = Some(Uid::from_raw(54_321));
    chown(&data, nobody, None).expect("give it away");
    let begins = "the server's user 54321 cannot use";
    assert_first(server.folder(), BROKEN, begins, "belongs to user 0");
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let (_home, server) = stopped();
    let data = server.folder().join("data");
    if lab::root() {
        // Root may write whatever the mode says.
        let mut give = Command::new("chown");
        let given = run_to_end(give.args(["-R", "54321"]).arg(&data), "", LIMIT);
        assert!(given.status.success(), "{}", given.stderr);
    }
    let chmod =
        |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("change it");
    chmod(0o550);
    let outcome = doctor(server.folder());
    chmod(0o750);
    let first = outcome.stdout.lines().next().unwrap_or_default();
    // Whoever is not root is told so when the configuration is checked against this host.
    let told = match lab::root() {
        true => "the server may not write to its own folder",
        false => "this user cannot write to",
    };
    assert!(first.contains(told), "{}", outcome.stdout);
    assert_eq!(outcome.status.code(), Some(BROKEN));
}

#[test]
fn another_server_that_uses_its_folder_is_named() {
    let (home, server) = stopped();
    let topics = server.topics_folder();
    let folder = home.path().join("server2");
    let mut other = Server::prepare(&folder, &[], |text| {
        let topics = format!("\"{}\"", topics.display());
        set_key(text, "broker", "topics_folder", &topics);
    });
    other.resume();
    let begins = format!(
        "the server does not start, because process {} uses its folder",
        other.process().pid()
    );
    assert_first(server.folder(), BROKEN, &begins, "data/topics");
    other.stop();
}

#[test]
fn damage_in_the_journal_is_named() {
    let home = TempDir::new().expect("make a folder");
    let mut server = Server::prepare(&home.path().join("server1"), &[("orders", 1)], |_| {});
    server.resume();
    let mut client = Client::connect(server.broker());
    for number in 0..40 {
        let message = format!("message {number:04}");
        client
            .put("orders", 0, message.as_bytes())
            .expect("it is taken");
    }
    server.kill();
    let journal = server.folder().join("data/journal");
    flip(&files(&journal, ".journal"), b"message 0020");
    let said = assert_first(
        server.folder(),
        BROKEN,
        "the server cannot read its journal",
        "damaged",
    );
    assert!(
        said.contains("chrysalis dump journal") && said.contains("byte"),
        "{said}"
    );
}

#[test]
fn a_journal_or_a_folder_of_topics_that_is_gone_is_named() {
    let (home, server) = stopped();
    let begins = "the server does not start, because its";
    let elsewhere = home.path().join("elsewhere");
    for (name, told) in [("journal", "journal"), ("topics", "folder of topics")] {
        let path = server.folder().join("data").join(name);
        fs::rename(&path, &elsewhere).expect("move it");
        assert_first(
            server.folder(),
            BROKEN,
            begins,
            &format!("{told} {} is gone", path.display()),
        );
        fs::rename(&elsewhere, &path).expect("move it back");
    }
}

#[test]
fn a_limit_that_refuses_a_start_is_named() {
    let (_home, server) = stopped();
    let mut limited = Command::new("prlimit");
    let limited = limited
        .args(["--nofile=100:100", CHRYSALIS, "doctor"])
        .arg(server.folder());
    let outcome = examined(limited);
    let first = outcome.stdout.lines().next().unwrap_or_default();
    assert!(
        first.contains("a start from here is refused, because the limit of open files is 100"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.status.code(), Some(BROKEN));
}

#[test]
fn what_the_last_start_ended_with_is_told() {
    let (_home, server) = stopped();
    let identity = server.folder().join("data/coordinator/identity");
    fs::write(identity, "nobody").expect("write it");
    let mut start = Command::new(CHRYSALIS);
    let refused = run_to_end(start.arg("start").arg(server.folder()), "", LIMIT);
    assert!(!refused.status.success(), "{}", refused.stdout);
    let said = assert_first(
        server.folder(),
        BROKEN,
        "the server does not run: its last start ended",
        "",
    );
    assert!(
        said.contains("E0202") && said.contains("chrysalis explain E0202"),
        "{said}"
    );
}

#[test]
fn a_folder_that_is_no_servers_is_refused() {
    const BAD_CONFIG: i32 = 10;
    let home = TempDir::new().expect("make a folder");
    let outcome = doctor(home.path());
    assert_eq!(
        outcome.status.code(),
        Some(BAD_CONFIG),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.starts_with("E0002"), "{}", outcome.stderr);
}

#[test]
fn without_a_folder_all_servers_of_the_installation_are_examined() {
    let home = TempDir::new().expect("make a folder");
    let program = home.path().join("bin/chrysalis");
    fs::create_dir(home.path().join("bin")).expect("make a folder");
    fs::copy(CHRYSALIS, &program).expect("copy the program");
    for name in ["server1", "server2"] {
        Server::prepare(&home.path().join(name), &[], |_| {});
    }
    let mut everywhere = Command::new(&program);
    everywhere
        .arg("doctor")
        .current_dir("/")
        .env_remove("CHRYSALIS_FOLDER");
    let outcome = examined(&mut everywhere);
    for name in ["server1", "server2"] {
        let told = format!("{name}: the server does not run");
        assert!(
            outcome.stdout.contains(&told),
            "{}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
    assert_eq!(outcome.status.code(), Some(BROKEN));
}

/// A port that only a moment ago was somebody's is free: nothing is found where nothing is.
#[test]
fn looking_takes_nothing_away() {
    let (_home, mut server) = stopped();
    let before = listing(&server);
    doctor(server.folder());
    assert_eq!(listing(&server), before);
    let address: SocketAddr = server.broker();
    drop(TcpListener::bind(address).expect("it is free"));
    server.resume();
    server.stop();
}

/// Every file below the server's folder, with its length.
fn listing(server: &Server) -> String {
    let mut find = Command::new("find");
    find.arg(server.folder()).args(["-printf", "%p %s %u %m\n"]);
    let outcome = run_to_end(&mut find, "", LIMIT);
    let mut lines: Vec<&str> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}
