//! Starting, stopping and asking a server with the commands, as an operator does.

use crate::harness::command::json;
use crate::harness::lab;
use crate::harness::server::{CHRYSALIS, set_key};
use crate::harness::socket::free_port;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A server's folder. What runs there in the end is stopped.
struct Folder {
    _home: TempDir,
    path: PathBuf,
}

impl Folder {
    /// A place for a server, not made yet.
    fn new() -> Folder {
        let home = TempDir::new().expect("make a folder");
        let path = home.path().join("server1");
        Folder { _home: home, path }
    }

    /// A server that takes any free ports.
    fn with_a_server() -> Folder {
        let folder = Folder::new();
        let made = folder.command(
            "init",
            &[
                "--coordinator-port",
                "0",
                "--broker-port",
                "0",
                "--web-port",
                "0",
            ],
        );
        assert_ended(&made, 0);
        folder
    }

    /// Runs `chrysalis COMMAND FOLDER ARGUMENTS`.
    fn command(&self, command: &str, arguments: &[&str]) -> Output {
        let mut chrysalis = Command::new(CHRYSALIS);
        chrysalis.args(command.split(' ')).arg(&self.path);
        let chrysalis = chrysalis.args(arguments).stdin(Stdio::null());
        chrysalis.output().expect("the binary under test starts")
    }

    /// What `chrysalis COMMAND FOLDER ARGUMENTS --json` prints.
    fn json(&self, command: &str, arguments: &[&str]) -> serde_json::Value {
        let command: Vec<&str> = command.split(' ').collect();
        json(&command, &self.path, arguments)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("make its folder");
        fs::write(path, text).expect("write it");
    }

    fn pid(&self) -> String {
        let text = fs::read_to_string(self.path.join("data/chrysalis.pid"));
        text.expect("the server has written it").trim().to_owned()
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.pid()]).status();
        assert!(kill.expect("kill is there").success());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where nothing runs any more this does nothing.
        let _stopped = self.command("stop", &[]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_ended(output: &Output, code: i32) {
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{errors}");
}

#[track_caller]
fn assert_said(output: &Output, code: i32, part: &str) {
    assert_ended(output, code);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains(part), "{part:?} is not in: {said}");
}

/// `config show --json | head -1` ended with E0308.
#[test]
fn who_reads_no_more_of_what_is_shown_gets_no_error() {
    let folder = Folder::with_a_server();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis
        .args(["config", "show", "--json"])
        .arg(&folder.path);
    let output = chrysalis.stdout(writer).output().expect("it starts");
    assert_eq!(text(&output.stderr), "");
    assert_ended(&output, 0);
}

#[test]
fn a_server_is_started_asked_restarted_and_stopped() {
    let folder = Folder::with_a_server();
    assert_said(
        &folder.command("status", &[]),
        3,
        "E0301 server1 does not run",
    );

    let started = folder.command("start", &[]);
    assert_said(&started, 0, "server1 serves: coordinator 127.0.0.1:");
    assert_said(&started, 0, "logs/chrysalis.log");
    let first = folder.pid();
    assert_said(&folder.command("status", &[]), 0, "server1 serves");
    let status = folder.json("status", &[]);
    assert_eq!(status["pid"].to_string(), first);
    assert_eq!(status["state"], "serving");

    let refused = format!("E0102 process {first} already serves");
    assert_said(&folder.command("start", &[]), 14, &refused);
    assert_said(&folder.command("run", &[]), 14, &refused);
    assert_eq!(folder.pid(), first, "the server is the same");

    assert_said(&folder.command("topic list", &[]), 0, "test");
    assert_said(
        &folder.command("topic create", &["orders:4"]),
        0,
        "topics added: orders",
    );
    let detail = folder.json("topic describe", &["orders"]);
    assert_eq!(detail["topic"]["partitions"], 4);
    assert_said(
        &folder.command("topic describe", &["order"]),
        1,
        "E0303 there is no topic order; did you mean orders?",
    );

    assert_said(&folder.command("restart", &[]), 0, "server1 serves");
    assert_ne!(folder.pid(), first);
    assert_said(&folder.command("topic list", &[]), 0, "orders");
    assert_said(&folder.command("stop", &[]), 0, "server1 has stopped");
    assert_said(&folder.command("stop", &[]), 0, "server1 does not run");
    assert_said(&folder.command("status", &[]), 3, "E0301");
}

#[test]
fn a_broker_that_was_just_started_is_found() {
    let folder = Folder::with_a_server();
    let client = |arguments: &[&str]| chrysalis_in(&folder, arguments);
    // Whoever stands in the folder finds the coordinator by its configuration.
    let file = folder.path.join("conf/server.toml");
    let mut configuration = fs::read_to_string(&file).expect("init has made it");
    set_key(
        &mut configuration,
        "coordinator",
        "port",
        &free_port().to_string(),
    );
    fs::write(&file, configuration).expect("write it");
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&client(&["produce", "test", "hello"]), 0);
    for _ in 0..3 {
        assert_ended(&folder.command("restart", &[]), 0);
        assert_said(&client(&["consume", "test"]), 0, "hello\n");
    }
}

#[test]
fn a_server_on_ports_of_the_kernels_choice_is_found_by_all_who_ask_for_it() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let status = folder.json("status", &[]);
    let address = |name: &str| {
        status["ports"][name]
            .as_str()
            .expect("it serves")
            .to_owned()
    };
    let (coordinator, broker) = (address("coordinator"), address("broker"));
    assert_eq!(status["advertised"], *broker);

    let produced = chrysalis_in(&folder, &["produce", "test", "hello"]);
    assert_said(&produced, 0, "test");
    assert_said(&chrysalis_in(&folder, &["consume", "test"]), 0, "hello\n");
    let registered = chrysalis_in(&folder, &["zk", "get", "/meta/brokers/ids/1/master"]);
    assert_said(&registered, 0, &format!("meta://{broker}\n"));

    let ask = |address: &str, request: &[u8]| {
        let mut socket = TcpStream::connect(address).expect("the port serves");
        socket.write_all(request).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        answer
    };
    let port = |address: &str| address.rsplit_once(':').expect("a port").1.to_owned();
    let conf = ask(&coordinator, b"conf");
    assert!(
        conf.contains(&format!("clientPort={}\n", port(&coordinator))),
        "{conf}"
    );
    let stats = ask(&broker, b"stats  1\r\nquit\r\n");
    let port = port(&broker);
    assert!(stats.contains(&format!("port {port}")), "{stats}");
    let refused = ask(&broker, b"put other 0 0 0 1\r\nquit\r\n");
    assert!(refused.contains(&broker), "{refused}");
}

#[test]
fn who_follows_a_topic_goes_on_behind_a_restart() {
    let folder = Folder::with_a_server();
    let file = folder.path.join("conf/server.toml");
    let mut configuration = fs::read_to_string(&file).expect("init has made it");
    for section in ["coordinator", "broker"] {
        set_key(
            &mut configuration,
            section,
            "port",
            &free_port().to_string(),
        );
    }
    fs::write(&file, configuration).expect("write it");
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&chrysalis_in(&folder, &["produce", "test", "one"]), 0);

    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.args(["consume", "test", "--follow", "--max", "2"]);
    chrysalis.current_dir(&folder.path).stdout(Stdio::piped());
    let mut follower = chrysalis.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0; 4];
    let out = follower.stdout.as_mut().expect("it is a pipe");
    out.read_exact(&mut first).expect("a message");
    assert_eq!(&first, b"one\n");
    assert_ended(&folder.command("restart", &[]), 0);
    assert_ended(&chrysalis_in(&folder, &["produce", "test", "two"]), 0);
    let ended = follower.wait_with_output().expect("it ends");
    assert_ended(&ended, 0);
    assert_eq!(text(&ended.stdout), "two\n");
}

#[test]
fn what_could_not_be_printed_is_not_consumed() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let numbers: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_ended(
        &chrysalis_in(&folder, &[&["produce", "test"], &numbers[..]].concat()),
        0,
    );

    let consume = ["consume", "test", "--group", "g", "--max", "50"];
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.args(consume).current_dir(&folder.path);
    let failed = chrysalis.stdout(full.expect("every Linux has it")).output();
    let failed = failed.expect("the binary under test starts");
    assert_said(
        &failed,
        1,
        "write to standard output: No space left on device",
    );
    let again = chrysalis_in(&folder, &consume);
    assert_ended(&again, 0);
    assert_eq!(text(&again.stdout).lines().collect::<Vec<_>>(), numbers);
}

#[test]
fn an_init_that_is_refused_leaves_nothing_behind() {
    for (options, why) in [
        (
            &["--topic", "a:2", "--topic", "a"][..],
            "--topic a is given twice",
        ),
        (&["--broker-port", "2181"], "they must differ"),
    ] {
        let folder = Folder::new();
        assert_said(&folder.command("init", options), 10, why);
        assert!(!folder.path.exists(), "{why}");
    }
}

/// A command as it is typed in a shell that stands in the server's folder.
fn chrysalis_in(folder: &Folder, arguments: &[&str]) -> Output {
    let mut chrysalis = Command::new(CHRYSALIS);
    chrysalis.args(arguments).current_dir(&folder.path);
    chrysalis.output().expect("the binary under test starts")
}

#[test]
fn partitions_that_are_not_there_are_not_closed() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("topic create", &["orders:4"]), 0);
    for (command, arguments) in [
        ("partition close", &["order", "0"] as &[&str]),
        ("partition close", &["orders", "4"]),
        ("partition close", &["orders", "2", "1"]),
        ("partition open", &["order"]),
        ("partition skip-damage", &["order", "0"]),
        ("partition skip-damage", &["orders", "0"]),
    ] {
        assert_said(&folder.command(command, arguments), 1, "E0303");
    }
    let closed = || {
        let detail = folder.command("topic describe", &["orders"]);
        text(&detail.stdout).matches(" closed").count()
    };
    assert_eq!(closed(), 0);
    assert_said(
        &folder.command("partition close", &["orders", "2", "1"]),
        1,
        "the first partition, 2, is behind the last one, 1",
    );
    assert_said(
        &folder.command("partition skip-damage", &["orders", "4"]),
        1,
        "orders has 4 partitions, numbered from 0",
    );
    assert_said(
        &folder.command("partition close", &["orders", "1", "2"]),
        0,
        "partitions 1 to 2 of orders are closed",
    );
    assert_eq!(closed(), 2);
    assert_ended(&folder.command("partition open", &["orders"]), 0);
    assert_eq!(closed(), 0);
}

/// What root makes in the folder of a server that runs as somebody else, that server cannot open any more.
#[test]
fn root_starts_no_server_of_another_user() {
    if !lab::root() {
        return;
    }
    let folder = Folder::with_a_server();
    let data = folder.path.join("data");
    std::os::unix::fs::chown(&data, Some(65534), Some(65534)).expect("root may");
    for command in ["start", "run", "restart"] {
        let refused = folder.command(command, &[]);
        assert_said(&refused, 15, "data belongs to user 65534, and this is root");
    }
}

#[test]
fn topics_are_read_again_by_command_and_by_signal() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    let file = folder.path.join("conf/server.toml");
    let mut configuration = fs::read_to_string(&file).expect("init has made it");

    configuration.push_str("\n[topics.by-command]\n");
    configuration = configuration.replace("#segment_bytes = ", "segment_bytes = 8192 # ");
    fs::write(&file, &configuration).expect("write it");
    let reloaded = folder.command("reload", &[]);
    assert_said(&reloaded, 0, "topics added: by-command");
    assert_said(
        &reloaded,
        0,
        "takes effect at the next start: broker.segment_bytes",
    );

    let mistaken = "[topics.mistaken]\noops = 1\nnum_partitions = 0\n";
    fs::write(&file, configuration.clone() + mistaken).expect("write it");
    let mistakes = [
        "[topics.mistaken] oops: unknown key",
        "[topics.mistaken] num_partitions = 0: must be a whole number from 1 to 10000 (partitions)",
    ];
    let refused = folder.command("reload", &[]);
    folder.signal("-HUP");
    let until = Instant::now() + LIMIT;
    let log = || fs::read_to_string(folder.path.join("logs/chrysalis.log")).expect("there is one");
    while !log().contains("no topic changed") {
        assert!(Instant::now() < until, "the signal was not heeded");
    }
    let (log, topics) = (log(), folder.command("topic list", &[]));
    for mistake in mistakes {
        assert_said(&refused, 10, mistake);
        assert!(log.contains(mistake), "{mistake} is not in: {log}");
    }
    assert_said(&topics, 0, "by-command");
    assert!(!text(&topics.stdout).contains("mistaken"), "half was taken");

    fs::write(&file, configuration + "[topics.by-signal]\n").expect("write it");
    folder.signal("-HUP");
    let until = Instant::now() + LIMIT;
    while !text(&folder.command("topic list", &[]).stdout).contains("by-signal") {
        assert!(Instant::now() < until, "the signal was not heeded");
    }
}

#[test]
fn a_configuration_that_would_not_start_is_found_before_a_healthy_server_is_stopped() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    assert_said(
        &folder.command("config check", &[]),
        0,
        "server1 would start with conf/server.toml",
    );
    let pid = folder.pid();
    let file = folder.path.join("conf/server.toml");
    let good = fs::read_to_string(&file).expect("init has made it");
    let another_id = good.replace("#id = 1", "id = 2");
    let no_broker = good.replace("[broker]", "[broker]\nenabled = false\n#");
    for (configuration, mistake) in [
        (another_id, "data/ was written by broker 1"),
        (no_broker, "data/ holds the messages of broker 1"),
        (good.clone() + "[topics.a]\noops = 1\n", "unknown key"),
    ] {
        assert_ne!(configuration, good);
        fs::write(&file, &configuration).expect("write it");
        assert_said(&folder.command("config check", &[]), 10, mistake);
        assert_said(&folder.command("restart", &[]), 10, mistake);
        assert_eq!(folder.pid(), pid, "the server was stopped");
        assert_said(&folder.command("status", &[]), 0, "server1 serves");
    }
    // What the check said of the number, the start says as well.
    fs::write(&file, good.replace("#id = 1", "id = 2")).expect("write it");
    assert_ended(&folder.command("stop", &[]), 0);
    assert_said(&folder.command("start", &[]), 10, "E0109");
}

#[test]
fn a_start_that_fails_says_why_and_ends_as_the_server_did() {
    let folder = Folder::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let any = "[coordinator]\nport = 0\n[web]\nport = 0\n";
    folder.write(
        "conf/server.toml",
        &format!("{any}[broker]\nport = {port}\n"),
    );
    let failed = folder.command("start", &[]);
    assert_said(&failed, 13, "E0101");
    assert_said(&failed, 13, &format!("127.0.0.1:{port}"));
    assert_said(&failed, 13, "logs/chrysalis.log");
    assert_said(&folder.command("status", &[]), 3, "does not run");

    folder.write("conf/server.toml", "[broker]\nprot = 1\n");
    assert_said(&folder.command("start", &[]), 10, "did you mean port?");
    assert_said(&folder.command("run", &[]), 10, "did you mean port?");

    drop(taken);
    folder.write(
        "conf/server.toml",
        &format!("{any}[broker]\nport = {port}\n"),
    );
    assert_said(
        &folder.command("start", &[]),
        0,
        &format!("broker 127.0.0.1:{port}"),
    );
}

#[test]
fn what_a_killed_server_left_behind_hinders_nobody() {
    let folder = Folder::with_a_server();
    assert_ended(&folder.command("start", &[]), 0);
    folder.signal("-KILL");
    let until = Instant::now() + LIMIT;
    while folder.command("status", &[]).status.code() != Some(3) {
        assert!(
            Instant::now() < until,
            "a killed process still holds its lock"
        );
    }
    assert!(folder.path.join("data/control.sock").exists());
    assert_said(&folder.command("start", &[]), 0, "server1 serves");
}

#[test]
fn a_server_in_the_background_holds_nothing_of_who_started_it() {
    let folder = Folder::with_a_server();
    let script = format!(
        "exec 9>&1; exec {CHRYSALIS} start {}",
        folder.path.display()
    );
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        // Returns when nobody has the other end of these pipes open any more.
        let output = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output();
        let _heard = sender.send(output);
    });
    let output = ended
        .recv_timeout(LIMIT)
        .expect("the server holds a pipe open");
    assert_said(&output.expect("a shell is there"), 0, "server1 serves");

    let working_folder = fs::read_link(format!("/proc/{}/cwd", folder.pid())).expect("it runs");
    assert_eq!(
        working_folder,
        fs::canonicalize(&folder.path).expect("it is there")
    );
}

#[test]
fn lines_may_be_json_in_a_file_of_their_own() {
    let folder = Folder::with_a_server();
    let file = folder.path.join("conf/server.toml");
    let configuration = fs::read_to_string(&file).expect("init has made it");
    let configuration = configuration
        .replace("#format = \"text\"", "format = \"json\"")
        .replace("#file = \"\"", "file = \"logs/own.log\"");
    fs::write(&file, configuration).expect("write it");
    assert_ended(&folder.command("start", &[]), 0);
    assert_ended(&folder.command("stop", &[]), 0);
    let log = fs::read_to_string(folder.path.join("logs/own.log")).expect("it has written one");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(lines[0]["message"], "starting");
    assert_eq!(lines[0]["level"], "INFO");
    let standard_error = fs::read_to_string(folder.path.join("logs/chrysalis.log"));
    assert_eq!(standard_error.expect("it is made"), "");
}

#[test]
fn a_folder_may_lie_deep() {
    let mut folder = Folder::new();
    folder.path = folder.path.join("d".repeat(200)).join("server1");
    folder.write(
        "conf/server.toml",
        "[coordinator]\nport = 0\n[broker]\nport = 0\n[web]\nport = 0\n",
    );
    assert_said(&folder.command("start", &[]), 0, "server1 serves");
    assert_said(&folder.command("status", &[]), 0, "server1 serves");
}

#[test]
fn the_originals_files_make_a_server_as_they_are() {
    let folder = Folder::new();
    let (coordinator, broker, web) = (free_port(), free_port(), free_port());
    let data = folder.path.join("metadata");
    folder.write(
        "conf/zoo.cfg",
        &format!(
            "tickTime=2000\ndataDir=/tmp\nclientPort={coordinator}\nclientPortAddress=127.0.0.1\n"
        ),
    );
    folder.write(
        "conf/server.ini",
        &server_ini(coordinator, broker, web, &data),
    );
    assert_said(
        &folder.command("start", &[]),
        0,
        &format!("coordinator 127.0.0.1:{coordinator}"),
    );
    assert_said(&folder.command("topic list", &[]), 0, "meta-test");
    let created = folder.command("topic create", &["orders:2"]);
    assert_said(&created, 0, "topics added: orders");
    // What the file says without an effect was told at the start, and a check tells it.
    let said = text(&created.stdout) + &text(&created.stderr);
    assert!(!said.contains("note:"), "{said}");
    let checked = folder.command("config check", &[]);
    assert_said(
        &checked,
        0,
        "note: conf/server.ini:6: [system] unflushThreshold",
    );
    let configuration = fs::read_to_string(folder.path.join("conf/server.ini"));
    assert!(
        configuration
            .expect("it is there")
            .ends_with("[topic=orders]\nnumPartitions=2\n")
    );
    let log =
        fs::read_to_string(folder.path.join("logs/chrysalis.log")).expect("it has written one");
    assert!(
        log.contains("conf/server.ini:6: [system] unflushThreshold has no effect"),
        "{log}"
    );
}

fn server_ini(coordinator: u16, broker: u16, web: u16, data: &Path) -> String {
    format!(
        "[system]\nbrokerId=1\nhostName=127.0.0.1\nserverPort={broker}\nnumPartitions=1\nunflushThreshold=0\n\
         unflushInterval=10000\nmaxSegmentSize=1024*1024\nmaxTransferSize=1024*1024\ndashboardHttpPort={web}\n\
         dataPath={}\n[zookeeper]\nzk.zkConnect=localhost:{coordinator}\nzk.zkSyncTimeMs=0\n[topic=test]\n[topic=meta-test]\n\
         [chrysalis]\nbroker.listen=127.0.0.1\n",
        data.display()
    )
}

/// Runs a command on a terminal of its own, and returns all that appears there.
fn on_a_terminal(arguments: &[&str]) -> String {
    let command = format!("{CHRYSALIS} {}", arguments.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]);
    let output = script.stdin(Stdio::null()).output();
    text(&output.expect("script is part of every Linux").stdout)
}

#[test]
fn what_takes_long_says_so_on_a_terminal_and_nowhere_else() {
    let folder = Folder::with_a_server();
    let path = folder.path.to_str().expect("a plain path").to_owned();
    let bench = ["bench", "disk", &path, "--seconds", "1", "--json"];
    let shown = on_a_terminal(&bench);
    assert!(shown.contains("measuring the disk of"), "{shown}");
    assert!(shown.contains("s left"), "{shown}");
    let started = on_a_terminal(&["start", &path]);
    assert!(started.contains("server1 is starting"), "{started}");
    assert!(started.contains("server1 serves"), "{started}");
    let stopped = on_a_terminal(&["stop", &path]);
    assert!(stopped.contains("server1 is stopping"), "{stopped}");

    let piped = Command::new(CHRYSALIS).args(bench).output();
    let piped = piped.expect("the binary under test starts");
    assert_eq!(text(&piped.stderr), "");
    let json: serde_json::Value = serde_json::from_slice(&piped.stdout).expect("only JSON");
    assert!(json.is_object());
    assert_said(&folder.command("start", &[]), 0, "server1 serves");
    assert!(!text(&folder.command("stop", &[]).stderr).contains("stopping"));
}

mod cluster;
mod deleting;
mod place;
mod suspended;
mod topics;
