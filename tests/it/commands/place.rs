//! Where a command goes: one spelling for all of them.

use super::{Folder, assert_ended, assert_said, text};
use crate::harness::server::CHRYSALIS;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a command from a folder, with these variables and no others of ours.
fn run(arguments: &[&str], from: &Path, variables: &[(&str, &str)]) -> Output {
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.args(arguments).current_dir(from);
    for variable in ["CHRYSALIS_FOLDER", "CHRYSALIS_SERVER"] {
        chrysalis.env_remove(variable);
    }
    chrysalis.envs(variables.iter().copied());
    let output = chrysalis.stdin(Stdio::null()).output();
    output.expect("the binary under test starts")
}

/// What measures is to end soon, and to leave little behind.
const SHORT: &str = "--seconds=1";
const BRIEF: &str = "--warm-up=0";
const ONE: &str = "--connections=1";

/// Each command that is about a server, without its folder, and what its answer shows.
const COMMANDS: [(&[&str], &str); 15] = [
    (&["status"], "server1 serves"),
    (&["reload"], "no topic changed"),
    (&["topic", "list"], "test"),
    (&["topic", "describe", "test"], "test: 1 partition"),
    (
        &["partition", "close", "test", "0"],
        "partition 0 of test is closed",
    ),
    (
        &["partition", "open", "test"],
        "all partitions of test are open",
    ),
    (&["produce", "test", "hello"], "test"),
    (&["consume", "test"], "hello"),
    (&["bench", "broker", "put", ONE, SHORT, BRIEF], "messages/s"),
    (&["bench", "broker", "get", SHORT, BRIEF], "messages/s"),
    (&["bench", "coordinator", ONE, SHORT, BRIEF], "requests/s"),
    (&["zk", "ls", "/"], "zookeeper"),
    (&["dump", "journal"], "entry"),
    (&["restart"], "server1 serves"),
    (&["stop"], "server1 has stopped"),
];

/// The commands before which a folder could always stand.
fn takes_a_folder_first(arguments: &[&str]) -> bool {
    !matches!(arguments[0], "produce" | "consume" | "zk" | "bench")
}

#[test]
fn every_command_is_told_its_server_in_the_same_ways() {
    let folder = Folder::with_a_server();
    let path = folder.path.to_str().expect("a plain path");
    let elsewhere = folder.path.parent().expect("it is in a folder");
    for (arguments, shown) in COMMANDS {
        let check = |output: &Output| assert_said(output, 0, shown);
        if arguments[0] == "stop" {
            check(&run(&["stop", "--folder", path], elsewhere, &[]));
            continue;
        }
        if folder.command("status", &[]).status.code() == Some(3) {
            assert_ended(&run(&["start", "--folder", path], elsewhere, &[]), 0);
        }
        check(&run(
            &[arguments, &["--folder", path]].concat(),
            elsewhere,
            &[],
        ));
        check(&run(arguments, &folder.path, &[]));
        let variable = [("CHRYSALIS_FOLDER", path)];
        check(&run(arguments, elsewhere, &variable));
        // Where one stands is closer than what was set once and for all.
        let another = [("CHRYSALIS_FOLDER", "/nowhere")];
        check(&run(arguments, &folder.path, &another));
        if takes_a_folder_first(arguments) {
            let words = usize::from(matches!(arguments[0], "topic" | "partition" | "dump")) + 1;
            let (command, rest) = arguments.split_at(words);
            check(&run(&[command, &[path], rest].concat(), elsewhere, &[]));
        }
    }
}

/// `stats topics`, said in the folder, was an error about a folder `topics`.
#[test]
fn what_stats_are_asked_for_may_stand_alone() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let path = folder.path.to_str().expect("a plain path");
    let elsewhere = folder.path.parent().expect("it is in a folder");
    for (arguments, from) in [
        (&["stats", "topics"][..], folder.path.as_path()),
        (&["stats", path, "topics"], elsewhere),
        (&["stats", "topics", "--folder", path], elsewhere),
        (&["stats", "server1", "topics"], elsewhere),
    ] {
        let stats = run(arguments, from, &[]);
        assert_said(&stats, 0, "test");
        assert!(
            !text(&stats.stdout).contains("uptime"),
            "{}",
            text(&stats.stdout)
        );
    }
    assert_said(&run(&["stats", "server1"], elsewhere, &[]), 0, "uptime");
    assert_said(&run(&["stats"], &folder.path, &[]), 0, "uptime");
    assert_said(
        &run(&["stats", "topics"], elsewhere, &[]),
        10,
        "no server.toml",
    );
}

/// `status` said that no server was named, beside a server that ran.
#[test]
fn a_server_whose_configuration_was_moved_away_is_found_while_it_runs() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let conf = folder.path.join("conf/server.toml");
    std::fs::rename(&conf, folder.path.join("kept")).expect("it is ours");
    assert_said(&run(&["status"], &folder.path, &[]), 0, "server1 serves");
    assert_said(&run(&["reload"], &folder.path, &[]), 10, "E0002");
    assert_said(&run(&["stop"], &folder.path, &[]), 0, "server1 has stopped");
}

#[test]
fn a_coordinator_may_be_named_by_the_environment() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let status = folder.json("status", &[]);
    let coordinator = status["ports"]["coordinator"].as_str().expect("it serves");
    let elsewhere = folder.path.parent().expect("it is in a folder");
    let named = [("CHRYSALIS_SERVER", coordinator)];
    assert_said(&run(&["zk", "ls"], elsewhere, &named), 0, "zookeeper");
    assert_said(
        &run(&["produce", "test", "hello"], elsewhere, &named),
        0,
        "test",
    );
    for option in ["--server", "--zookeeper"] {
        let zk = run(&["zk", "ls", option, coordinator], elsewhere, &[]);
        assert_said(&zk, 0, "zookeeper");
        let consume = run(&["consume", "test", option, coordinator], elsewhere, &[]);
        assert_said(&consume, 0, "hello");
    }
}

#[test]
fn who_names_no_server_is_told_how_and_who_names_two_is_refused() {
    let folder = Folder::with_a_server();
    let elsewhere = folder.path.parent().expect("it is in a folder");
    for (arguments, _) in COMMANDS {
        if !takes_a_folder_first(arguments) {
            continue;
        }
        let lost = run(arguments, elsewhere, &[]);
        assert_said(&lost, 10, "E0002 no server is named, and ");
        assert_said(&lost, 10, "--folder DIR");
    }
    let path = folder.path.to_str().expect("a plain path");
    for twice in [
        &["status", path, "--folder", path][..],
        &["topic", "describe", path, "test", "--folder", path],
        &["partition", "close", path, "test", "0", "--folder", path],
    ] {
        let refused = run(twice, elsewhere, &[]);
        assert_said(&refused, 2, "E0310");
    }
}

#[test]
fn a_wrong_command_line_has_a_code_and_says_where_it_is_wrong() {
    let folder = Folder::with_a_server();
    for (arguments, part) in [
        (&["status", "--jsno"][..], "--jsno"),
        (&["nonsense"], "nonsense"),
        (&["partition", "close", "test", "x"], "x is no partition"),
        (&["topic", "create", "a:0"], "number of partitions"),
        (&["topic", "create", "a:3", "log-*"], "one topic at a time"),
        (&["topic", "delete", "a", "b"], "one topic at a time"),
        (&["partition", "open", "a", "0"], "takes no partition"),
        (&["explain", "broker.prot"], "did you mean broker.port?"),
        (&["zk", "create", "/x", "--ephemeral"], "--ephemeral"),
        (&["zk", "set", "/x", "--verison=3"], "--verison"),
        (&["zk", "delete", "/x", "--yes"], "--recursive"),
    ] {
        let wrong = run(arguments, &folder.path, &[]);
        assert_said(&wrong, 2, part);
        let said = text(&wrong.stderr);
        assert!(said.starts_with("E0310 "), "{said}");
    }
}
