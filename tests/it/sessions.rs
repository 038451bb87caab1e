//! What the commands leave behind with the coordinator: nothing, however they end.

use crate::harness::command::{chrysalis_with, started, status};
use crate::harness::deployment::Deployment as _;
use crate::harness::lab;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn sessions(server: &Server) -> u64 {
    let sessions = &status(server)["coordinator"]["sessions"];
    sessions.as_u64().expect("a count")
}

/// The broker's own is there as soon as the topic can be found.
fn sessions_of_nobody(server: &Server) -> u64 {
    let listed = chrysalis_with(server, &["consume", "test"], b"");
    assert!(listed.status.success(), "{listed:?}");
    sessions(server)
}

#[test]
fn commands_end_their_sessions_whether_they_succeed_or_fail() {
    let server = Server::start(&[("test", 2)]);
    let before = sessions_of_nobody(&server);
    for arguments in [
        &["produce", "test", "hello"] as &[&str],
        &["produce", "nosuch", "hello"],
        &["produce", "test", "--partition", "7", "hello"],
        &["consume", "test"],
        &["consume", "test", "--from", "5"],
        &["consume", "test", "--group", "g"],
        &["zk", "ls", "/"],
        &["zk", "get", "/nosuch"],
        &["zk", "create", "/a/b/c", "x"],
        &["zk", "delete", "/nosuch"],
        &["bench", "broker", "latency", "--seconds", "1"],
    ] {
        let ended = chrysalis_with(&server, arguments, b"");
        assert_eq!(sessions(&server), before, "{arguments:?}: {ended:?}");
    }
    let _turn = lab::heavy();
    for operation in ["set", "create"] {
        let ended = chrysalis_with(
            &server,
            &[
                "bench",
                "coordinator",
                "--operation",
                operation,
                "--seconds",
                "1",
                "--warm-up",
                "0",
            ],
            b"",
        );
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(sessions(&server), before, "bench coordinator {operation}");
    }
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status();
    assert!(kill.expect("kill is there").success());
}

#[test]
fn a_signal_ends_the_session_as_well() {
    let server = Server::start(&[("test", 2)]);
    let before = sessions_of_nobody(&server);
    // What goes on and on is ended so; what was to come to an end was interrupted.
    for (arguments, code) in [
        (&["consume", "test", "--follow"] as &[&str], 0),
        (&["consume", "test", "--group", "g", "--follow"], 0),
        (&["zk", "watch", "/"], 0),
        (&["produce", "test"], 130),
        (&["bench", "broker", "latency", "--seconds", "600"], 130),
        (
            &[
                "bench",
                "coordinator",
                "--connections",
                "4",
                "--seconds",
                "600",
            ],
            130,
        ),
    ] {
        for number in ["-INT", "-TERM"] {
            let mut child = started(&server, arguments);
            let stdin = child.stdin.take();
            eventually("it has a session", LIMIT, || sessions(&server) > before);
            signal(&child, number);
            let ended = child.wait_with_output().expect("it ends");
            drop(stdin);
            assert_eq!(ended.status.code(), Some(code), "{arguments:?} {ended:?}");
            assert_eq!(sessions(&server), before, "{arguments:?} {number}");
        }
    }
}

#[test]
fn whoever_interrupts_a_producer_is_told_what_is_stored() {
    let server = Server::start(&[("test", 1)]);
    let mut child = started(&server, &["produce", "test", "--quiet"]);
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(b"one\ntwo\n").expect("it reads");
    eventually("both are stored", LIMIT, || {
        let read = chrysalis_with(&server, &["consume", "test"], b"");
        read.stdout == b"one\ntwo\n"
    });
    signal(&child, "-INT");
    let ended = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(
        told.starts_with("E0408 send to test: interrupted. 2 messages are stored"),
        "{told}"
    );
}

/// Whoever prints into a pipe that nobody reads cannot end by itself.
#[test]
fn a_second_signal_ends_what_waits_for_its_reader() {
    let server = Server::start(&[("test", 1)]);
    let long = "x".repeat(200_000);
    let sent = chrysalis_with(
        &server,
        &["produce", "test"],
        format!("{long}\n").as_bytes(),
    );
    assert!(sent.status.success(), "{sent:?}");
    let path = format!("/{}", "y".repeat(100));
    for name in 0..3 {
        let path = format!("{path}{name}");
        let made = chrysalis_with(&server, &["zk", "create", &path, &long[..100_000]], b"");
        assert!(made.status.success(), "{made:?}");
    }
    for arguments in [
        &["consume", "test"] as &[&str],
        &["zk", "get", &format!("{path}1")],
    ] {
        let mut child = started(&server, arguments);
        let mut status = None;
        eventually("it has ended", LIMIT, || {
            signal_if_there(&child, "-TERM");
            status = child.try_wait().expect("ask about a child");
            status.is_some()
        });
        let code = status.as_ref().and_then(ExitStatus::code);
        // Before it listens, a signal ends it as any program.
        assert!(
            code.is_none_or(|code| code == 130),
            "{arguments:?}: {code:?}"
        );
    }
    assert!(server.coordinator().port() > 0);
}

fn signal_if_there(child: &Child, signal: &str) {
    // It may have ended meanwhile.
    let _sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .stderr(Stdio::null())
        .status();
}
