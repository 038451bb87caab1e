//! The command line: its help as a whole, and the commands that need no server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::CommandFactory as _;
use tempfile::TempDir;

use super::*;
use crate::tests::golden::assert_golden;

mod hints;

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
        end(&["chrysalis", "init", "--id", "255", "x"]),
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

    let said = run(&arguments).expect("it is the same");
    assert!(
        said.contains("is a server already, with these settings; nothing was changed"),
        "{said}"
    );
    // It has other settings than the defaults.
    let said = run(&["init", &folder]).expect("nothing else is asked for");
    assert!(
        said.contains("is a server already; nothing was changed"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
}

#[test]
fn a_configuration_that_may_hold_a_secret_is_for_its_owner_and_group() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let mode = |name: &str| {
        let about = fs::metadata(Path::new(&folder).join(name)).expect("it is there");
        about.permissions().mode() & 0o777
    };
    for private in ["conf", "data", "logs", "conf/server.toml"] {
        assert_eq!(mode(private) & 0o007, 0, "{private} is {:o}", mode(private));
    }
    // A change by a command keeps what the owner chose.
    let file = Path::new(&folder).join("conf/server.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    run(&["topic", "create", &folder, "orders"]).expect("it is added");
    assert_eq!(mode("conf/server.toml"), 0o600);
}

#[test]
fn a_secret_that_everybody_can_read_is_told() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let folder = Path::new(&folder);
    let file = folder.join("conf/server.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    let notes = || {
        let config = crate::config::load(&ServerFolder::new(folder)).expect("it is right");
        config.source.notes.join("\n")
    };
    let open = |path: &Path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    open(&file);
    open(&folder.join("conf"));
    assert!(!notes().contains("chmod"), "there is no secret in it");
    let secret = text.replace(
        "#super_digest = \"\"",
        "super_digest = \"super:D/InIHSb7yEEbrWz8b9l71RjZJU=\"",
    );
    assert_ne!(secret, text);
    fs::write(&file, secret).expect("write it");
    assert!(notes().contains("chmod o-rwx"), "{}", notes());
    fs::set_permissions(folder.join("conf"), fs::Permissions::from_mode(0o750))
        .expect("it is ours");
    assert_eq!(notes(), "", "nobody gets at it");
}

/// Somebody put a zoo.cfg beside the server.ini and left its zk.zkConnect.
#[test]
fn a_check_tells_of_a_coordinator_that_its_broker_does_not_use_and_of_open_ports() {
    let (_home, folder) = home();
    let conf = Path::new(&folder).join("conf");
    fs::create_dir_all(&conf).expect("make a folder");
    let checked = |connect: &str| {
        let ini = format!(
            "[system]\nbrokerId=0\nnumPartitions=1\nunflushThreshold=0\nunflushInterval=10000\n\
             maxSegmentSize=1048576\nmaxTransferSize=1048576\ndataPath={folder}/data\n[zookeeper]\nzk.zkConnect={connect}\n[topic=test]\nnumPartitions=1\n"
        );
        fs::write(conf.join("server.ini"), ini).expect("write a file");
        run(&["config", "check", &folder]).expect("it would start")
    };
    fs::write(
        conf.join("zoo.cfg"),
        format!("clientPort=2181\ndataDir={folder}/zk\n"),
    )
    .expect("write a file");
    let told = checked("zk1:2181");
    assert!(
        told.contains("note: the broker uses the ZooKeeper at zk1:2181."),
        "{told}"
    );
    assert!(
        told.contains("every address of the machine (port 2181 and 8123)"),
        "{told}"
    );
    let told = checked("127.0.0.1:2181");
    assert!(!told.contains("note: the broker uses"), "{told}");
    run(&["init", &format!("{folder}-toml")]).expect("it is made");
    let told = run(&["config", "check", &format!("{folder}-toml")]).expect("it would start");
    assert!(!told.contains("every address"), "{told}");
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
        message.contains("server.id is 1, not 2, web.port is 8120, not 1, topic test has 1 partition, there is no topic other"),
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
fn config_check_says_all_mistakes_and_ends_with_ten() {
    let (_home, folder) = home();
    let (message, code) = run(&["config", "check", &folder]).expect_err("there is none");
    assert!(message.starts_with("E0002 no server.toml"), "{message}");
    assert_eq!(code, ExitCode::BadConfig);
    run(&["init", &folder]).expect("it is made");
    let said = run(&["config", "check", &folder]).expect("it would start");
    assert_eq!(said, "server1 would start with conf/server.toml\n");
    let file = Path::new(&folder).join("conf/server.toml");
    for (text, told) in [
        ("[web]\nport = \"x\"\nprot = 1\n", ":2: |:3: "),
        (
            "[server]\nlisten = \"203.0.113.198\"\n[log]\nfile = \"no/log\"\n",
            ":2: |:4: ",
        ),
    ] {
        fs::write(&file, text).expect("write it");
        let (message, code) = run(&["config", "check", &folder]).expect_err("it has mistakes");
        assert!(
            message.starts_with("E0001 the configuration has 2 mistakes:"),
            "{message}"
        );
        for line in told.split('|') {
            assert!(
                message.contains(&format!("conf/server.toml{line}")),
                "{message}"
            );
        }
        assert_eq!(code, ExitCode::BadConfig);
    }
}

/// What `config show` prints, made the configuration of another server.
fn shown_again(folder: &str) -> (String, String) {
    let first = run(&["config", "show", folder]).expect("it is shown");
    let conf = Path::new(folder).join("conf");
    for file in ["server.ini", "zoo.cfg"] {
        let _gone = fs::remove_file(conf.join(file));
    }
    fs::write(conf.join("server.toml"), &first).expect("write it");
    let second = run(&["config", "show", folder]).expect("it is shown");
    let values = |text: &str| -> String {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| line.split_once("  # "));
        values
            .map(|(value, _)| format!("{}\n", value.trim_end()))
            .collect()
    };
    (values(&first), values(&second))
}

#[test]
fn what_config_show_prints_is_a_configuration_that_says_the_same() {
    let (_home, folder) = home();
    run(&["init", &folder]).expect("it is made");
    let conf = Path::new(&folder).join("conf");
    fs::write(
        conf.join("server.toml"),
        "[server]\nid = 7\nlisten = \"127.0.0.2\"\n[coordinator]\nfour_letter_words = [\"*\"]\n\
         [topics.\"a.b-*\"]\nnum_partitions = 3\n[topics.c]\n",
    )
    .expect("write it");
    let (first, second) = shown_again(&folder);
    assert_eq!(first, second);
    assert!(
        first.contains("topics.\"a.b-*\".num_partitions = 3\n"),
        "{first}"
    );
}

#[test]
fn config_show_says_where_each_value_comes_from() {
    let (_home, folder) = home();
    let conf = Path::new(&folder).join("conf");
    fs::create_dir_all(&conf).expect("a folder");
    fs::write(
        conf.join("server.ini"),
        "[system]\nbrokerId=3\nnumPartitions=2\nunflushThreshold=0\nunflushInterval=0\nmaxSegmentSize=4096\n\
         maxTransferSize=4194304\ndataPath=/d\n[zookeeper]\nzk.zkConnect=localhost:2181\n[topic=a]\nstat=true\n",
    )
    .expect("write it");
    fs::write(
        conf.join("zoo.cfg"),
        "clientPort=2181\nDigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=\n",
    )
    .expect("write it");
    // Each half said it once more.
    let checked = format!("{:?}", run(&["config", "check", &folder]));
    assert_eq!(checked.matches("every address").count(), 1, "{checked}");
    let text = run(&["config", "show", &folder]).expect("it is shown");
    for line in [
        "server.id = 3  # conf/server.ini:2 [system] brokerId",
        "server.listen = \"0.0.0.0\"  # implied by conf/server.ini",
        "coordinator.port = 2181  # conf/zoo.cfg:1 clientPort",
        "coordinator.tick_time_ms = 3000  # implied by conf/zoo.cfg",
        "coordinator.session_timeout_min_ms = 6000  # default: 2 x tick_time_ms",
        "coordinator.super_digest = \"(hidden)\"  # conf/zoo.cfg:2 DigestAuthenticationProvider.superDigest",
        "topics.a.num_partitions = 2  # conf/server.ini:3 [system] numPartitions (broker.num_partitions)",
        "topics.a.statistics = true  # conf/server.ini:12 [topic=a] stat",
        "topics.a.delete_policy = \"delete,168\"  # default (broker.delete_policy)",
    ] {
        let found = text.lines().any(|shown| {
            let (value, origin) = shown.split_once("  # ").unwrap_or((shown, ""));
            format!("{}  # {origin}", value.trim_end()) == line
        });
        assert!(found, "no line {line} in:\n{text}");
    }
    let json = run(&["config", "show", &folder, "--json"]).expect("it is shown");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let key = |name: &str| {
        let mut keys = json["keys"].as_array().expect("a list").iter();
        keys.find(|key| key["key"] == name)
            .expect("it is there")
            .clone()
    };
    assert_eq!(key("server.id")["value"], 3);
    assert_eq!(key("server.id")["from"], "file");
    assert_eq!(key("server.id")["line"], 2);
    assert_eq!(key("server.id")["legacy_key"], "[system] brokerId");
    assert_eq!(key("coordinator.tick_time_ms")["from"], "implied");
    assert_eq!(key("broker.hold_gets")["from"], "default");
    assert_eq!(key("coordinator.super_digest")["value"], "(hidden)");
    assert_eq!(
        key("topics.a.delete_policy")["follows"],
        "broker.delete_policy"
    );
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
fn the_list_of_metrics_fits_eighty_columns() {
    let list = run(&["explain", "metrics"]).expect("it is a list");
    let wide: Vec<&str> = list
        .lines()
        .filter(|line| line.chars().count() > 80)
        .collect();
    assert!(wide.is_empty(), "{wide:?}");
    assert!(list.contains("chrysalis_broker_partition_max_offset_bytes"));
}

#[test]
fn codes_and_keys_are_explained() {
    let page = run(&["explain", "e104"]).expect("it is a code");
    assert!(page.starts_with("# E0104: "), "{page}");
    let key = run(&["explain", "broker.port"]).expect("it is a key");
    let words: Vec<&str> = key.split_whitespace().collect();
    assert!(words.join(" ").contains("By default 8123."), "{key}");
    let list = run(&["explain"]).expect("it is a list");
    assert!(
        list.contains("E0900") && list.contains("70  a bug"),
        "{list}"
    );
    let (message, code) = run(&["explain", "broker.prot"]).expect_err("it is neither");
    assert!(message.starts_with("E0310 broker.prot is "), "{message}");
    assert!(message.ends_with("did you mean broker.port?"), "{message}");
    assert_eq!(code, ExitCode::Usage);
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
        error
            .chain()
            .find_map(output_failure)
            .is_some_and(OutputFailed::is_closed)
    };
    assert!(is_closed(io::ErrorKind::BrokenPipe));
    assert!(!is_closed(io::ErrorKind::StorageFull));
    let of_a_connection = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert!(of_a_connection.chain().find_map(output_failure).is_none());
}
