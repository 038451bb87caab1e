//! A server whose process is stopped answers nobody; a command says so at once.

use super::{Folder, assert_ended, assert_said, text};
use std::process::Command;
use std::time::{Duration, Instant};

/// A command may take so long on a busy machine; what waited for an answer would take longer.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_suspended_server_is_told_at_once_by_every_command() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let pid = folder.pid();
    folder.signal("-STOP");
    for (command, arguments) in [
        ("status", &[][..]),
        ("status", &["--json"]),
        ("reload", &[]),
        ("stop", &[]),
        ("restart", &[]),
        ("topic list", &[]),
        ("topic describe", &["test"]),
        ("topic delete", &["test"]),
        ("partition close", &["test", "0"]),
        ("partition open", &["test"]),
        ("partition skip-damage", &["test", "0"]),
        ("zk ls", &["/"]),
        ("produce", &["test", "hello"]),
    ] {
        let began = Instant::now();
        let output = match command {
            "zk ls" | "produce" => super::chrysalis_in(
                &folder,
                &[&command.split(' ').collect::<Vec<_>>()[..], arguments].concat(),
            ),
            _ => folder.command(command, arguments),
        };
        let took = began.elapsed();
        assert_said(&output, 1, "E0302 server1 does not answer");
        assert_said(&output, 1, &format!("kill -CONT {pid}"));
        assert!(took < AT_ONCE, "{command} took {took:?}");
    }
    let status = folder.json("status", &[]);
    assert_eq!(status["state"], "not_answering");

    // What was written to the file is not taken back, and not denied either.
    let created = folder.command("topic create", &["orders"]);
    assert_said(&created, 1, "The file is changed (orders is in ");

    let said = text(&folder.command("status", &[]).stderr);
    let cure = said
        .trim()
        .rsplit(": ")
        .next()
        .expect("it ends with a command");
    let cured = Command::new("sh").args(["-c", cure]).status();
    assert!(cured.expect("a shell is there").success(), "{cure}");
    assert_said(&folder.command("status", &[]), 0, "server1 serves");
    assert_said(&folder.command("reload", &[]), 0, "topics added: orders");
}

#[test]
fn the_state_of_a_server_that_does_not_run_is_json_too() {
    let folder = Folder::with_a_server();
    let stopped = folder.command("status", &["--json"]);
    assert_said(&stopped, 3, "E0301 server1 does not run");
    let status: serde_json::Value = serde_json::from_slice(&stopped.stdout).expect("it is JSON");
    assert_eq!(status["name"], "server1");
    assert_eq!(status["state"], "stopped");
}
