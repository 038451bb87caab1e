//! The command line: its help as a whole, and the commands that need no server.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use tempfile::TempDir;

use super::*;
use crate::config::tests::assert_golden;

/// Runs a command line and gives back what it wrote, or the message and the exit code.
fn run(arguments: &[&str]) -> Result<String, (String, ExitCode)> {
    let parsed = Arguments::try_parse_from([&["chrysalis"], arguments].concat())
        .expect("the arguments are right");
    let mut out = Vec::new();
    match parsed.command.run(&mut out) {
        Ok(()) => Ok(String::from_utf8(out).expect("it is text")),
        Err(error) => Err((message(&error), exit_code(&error))),
    }
}

#[test]
fn the_help_teaches() {
    let mut text = String::new();
    let mut chrysalis = Arguments::command().term_width(100);
    // An option that is declared once for several commands reaches each of them here.
    chrysalis.build();
    push_help(&chrysalis, "chrysalis", &mut text);
    assert_golden("src/operator/cli/help.txt", &text);
}

fn push_help(command: &clap::Command, name: &str, text: &mut String) {
    let help = command.clone().render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    text.push_str(&format!("$ {name} --help\n{}\n\n", lines.join("\n")));
    let shown = |subcommand: &&clap::Command| subcommand.get_name() != "help";
    for subcommand in command.get_subcommands().filter(shown) {
        push_help(
            subcommand,
            &format!("{name} {}", subcommand.get_name()),
            text,
        );
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Arguments::command().debug_assert();
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_question() {
    let end = |arguments: &[&str]| main(arguments.iter().map(Into::into));
    assert_eq!(end(&["chrysalis", "--version"]), ExitCode::Done);
    assert_eq!(end(&["chrysalis", "nonsense"]), ExitCode::Usage);
    assert_eq!(
        end(&["chrysalis", "init", "--id", "0", "x"]),
        ExitCode::Usage
    );
}

fn home() -> (TempDir, String) {
    let home = TempDir::new().expect("make a folder");
    let folder = home
        .path()
        .join("server1")
        .to_str()
        .expect("it is text")
        .to_owned();
    (home, folder)
}

#[test]
fn init_makes_a_server_and_changes_nothing_the_second_time() {
    let (_home, folder) = home();
    let arguments = [
        "init",
        &folder,
        "--id",
        "7",
        "--listen",
        "0.0.0.0",
        "--broker-port",
        "9000",
        "--topic",
        "a:3",
        "--topic",
        "b-*",
    ];
    let said = run(&arguments).expect("it is made");
    assert!(said.contains("Next: chrysalis start"), "{said}");
    for made in ["conf", "data", "logs"] {
        assert!(Path::new(&folder).join(made).is_dir(), "{made}");
    }
    let file = Path::new(&folder).join("conf/server.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    assert!(
        text.contains("\nid = 7\n") && text.contains("\nport = 9000\n"),
        "{text}"
    );

    assert!(
        run(&arguments)
            .expect("it is the same")
            .contains("nothing was changed")
    );
    assert!(
        run(&["init", &folder])
            .expect("nothing else is asked for")
            .contains("nothing was changed")
    );
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
}

#[test]
fn init_refuses_a_folder_that_is_another_server() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let arguments = [
        "init",
        &folder,
        "--id",
        "2",
        "--web-port",
        "1",
        "--topic",
        "test:4",
        "--topic",
        "other",
    ];
    let (message, code) = run(&arguments).expect_err("it is another");
    assert!(
        message.contains("server.id is 1, not 2, web.port is 8120, not 1, topic test has 1 partitions, there is no topic other"),
        "{message}"
    );
    assert_eq!(code, ExitCode::Failed);
}

#[test]
fn init_refuses_what_would_be_no_server() {
    let (_home, folder) = home();
    let (message, code) =
        run(&["init", &folder, "--broker-port", "2181"]).expect_err("the ports are the same");
    assert!(message.contains("they must differ"), "{message}");
    assert_eq!(code, ExitCode::BadConfig);
    assert!(!Path::new(&folder).join("conf/server.toml").exists());
    run(&["init", &folder, "--broker-port", "2182"]).expect("it can be tried again");
}

#[test]
fn a_topic_on_the_command_line_has_a_name_and_perhaps_partitions() {
    let parse = init::parse_topic;
    assert_eq!(parse("a").expect("it is one").partitions, None);
    assert_eq!(parse("a-*:12").expect("it is one").partitions, Some(12));
    for text in [
        "", ":1", "a:0", "a:10001", "a:x", "a:", "a/b", "..", "a b:1", "a\0",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_topic_is_created_for_the_next_start() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let said = run(&["topic", "create", &folder, "orders:4"]).expect("it is added");
    assert!(
        said.contains("added orders to") && said.contains("does not run"),
        "{said}"
    );
    let (message, code) = run(&["topic", "create", &folder, "orders"]).expect_err("it is there");
    assert!(
        message.starts_with("E0304 topic orders is in "),
        "{message}"
    );
    assert_eq!(code, ExitCode::Failed);
}

#[test]
fn commands_say_when_the_server_does_not_run() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    for arguments in [
        &["status", &folder] as &[&str],
        &["reload", &folder],
        &["topic", "list", &folder],
        &["topic", "describe", &folder, "test"],
        &["partition", "close", &folder, "test", "0"],
        &["partition", "open", &folder, "test"],
        &["partition", "skip-damage", &folder, "test", "0"],
    ] {
        let (message, code) = run(arguments).expect_err("nothing runs");
        assert!(
            message.starts_with("E0301 server1 does not run"),
            "{arguments:?}: {message}"
        );
        assert_eq!(code, ExitCode::NotRunning);
    }
    assert_eq!(
        run(&["stop", &folder]).expect("it is no error"),
        "server1 does not run\n"
    );
}

#[test]
fn commands_say_when_there_is_no_server() {
    let (_home, folder) = home();
    for arguments in [
        &["status", &folder] as &[&str],
        &["start", &folder],
        &["stop", &folder],
        &["restart", &folder],
    ] {
        let (message, code) = run(arguments).expect_err("there is none");
        assert!(
            message.starts_with("E0002 no server.toml"),
            "{arguments:?}: {message}"
        );
        assert_eq!(code, ExitCode::BadConfig);
    }
}

#[test]
fn a_start_tells_mistakes_at_once() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let file = Path::new(&folder).join("conf/server.toml");
    fs::write(&file, "[broker]\nport = 1\nprot = 2\n[web]\nport = \"x\"\n").expect("write it");
    let (message, code) = run(&["start", &folder]).expect_err("it is wrong");
    assert_eq!(
        message,
        "E0001 the configuration has 2 mistakes:\n\
         conf/server.toml:3: [broker] prot: unknown key; did you mean port?\n\
         conf/server.toml:5: [web] port = \"x\": must be a whole number from 0 to 65535\n\
         Nothing was started or changed\n\
         Correct these lines; docs/configuration.md describes every key"
    );
    assert_eq!(code, ExitCode::BadConfig);
}

#[test]
fn a_file_that_is_not_text_is_told() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    fs::write(Path::new(&folder).join("conf/server.toml"), b"\xff\xfe").expect("write it");
    let (message, code) = run(&["start", &folder]).expect_err("it is wrong");
    assert!(
        message.starts_with("E0004 read ") && message.contains("invalid utf-8"),
        "{message}"
    );
    assert_eq!(code, ExitCode::BadConfig);
}

#[test]
fn a_second_start_is_refused_and_says_who_serves() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let pid_file = Path::new(&folder).join("data/chrysalis.pid");
    let _lock = crate::appliance::PidFile::lock(&pid_file).expect("it is free");
    let (message, code) = run(&["start", &folder]).expect_err("it runs");
    let start = format!(
        "E0102 process {} already serves {folder}",
        std::process::id()
    );
    assert!(message.starts_with(&start), "{message}");
    assert_eq!(code, ExitCode::AlreadyRunning);

    let (message, code) = run(&["status", &folder]).expect_err("it does not listen");
    assert!(
        message.starts_with("E0302 server1 runs and does not answer"),
        "{message}"
    );
    assert_eq!(code, ExitCode::Failed);
}

#[test]
fn codes_and_keys_are_explained() {
    let page = run(&["explain", "e104"]).expect("it is a code");
    assert!(page.starts_with("# E0104: "), "{page}");
    let key = run(&["explain", "broker.port"]).expect("it is a key");
    assert!(key.contains("By default 8123."), "{key}");
    let list = run(&["explain"]).expect("it is a list");
    assert!(
        list.contains("E0900") && list.contains("70  a bug"),
        "{list}"
    );
    let (message, code) = run(&["explain", "broker.prot"]).expect_err("it is neither");
    assert!(message.ends_with("did you mean broker.port?"), "{message}");
    assert_eq!(code, ExitCode::Failed);
}

/// Somebody who has read enough.
struct Closed(io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn closing_standard_output_early_is_told_apart_from_other_failures() {
    let is_closed = |kind: io::ErrorKind| {
        let mut out = Output { out: Closed(kind) };
        let error = anyhow::Error::from(writeln!(out, "x").expect_err("it fails"));
        error.chain().any(is_output_closed)
    };
    assert!(is_closed(io::ErrorKind::BrokenPipe));
    assert!(!is_closed(io::ErrorKind::StorageFull));
    let of_a_connection = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert!(!of_a_connection.chain().any(is_output_closed));
}
