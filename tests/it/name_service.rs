//! Nothing asks the C library's name service.
//!
//! A static program that does so loads modules that belong to the host's C library, and dies of it (`passwd: files
//! systemd`, and a user who is only a number). So each command runs where every module ends the process, and the
//! binary is looked at for what could ask.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::lab;
use crate::harness::lab::mount::{apart, bind};
use crate::harness::server::CHRYSALIS;

/// A user without a line in any file.
const USER: u32 = 4242;

/// A place where the name service is deadly. Commands run there as a user who is only a number, with an empty
/// environment.
struct Poisoned {
    home: TempDir,
}

impl Poisoned {
    /// None where this machine does not let us.
    fn place() -> Option<Poisoned> {
        const SWITCHES: &str = "/etc/nsswitch.conf";
        if !lab::root() || !apart() {
            return None;
        }
        if !Path::new(SWITCHES).exists() {
            lab::not_seen("it needs an /etc/nsswitch.conf to replace");
            return None;
        }
        let home = TempDir::new().expect("make a folder");
        chown(home.path(), Some(USER), Some(USER)).expect("root may give folders away");
        let place = Poisoned { home };
        let databases = [
            "passwd",
            "group",
            "shadow",
            "hosts",
            "services",
            "networks",
            "protocols",
        ];
        let switches: String = databases
            .map(|database| format!("{database}: poison files\n"))
            .concat();
        fs::write(place.file("nsswitch.conf"), switches).expect("write a file");
        bind(&place.file("nsswitch.conf"), Path::new(SWITCHES));
        place.compile("poison.c", "libnss_poison.so.2", &["-shared", "-fPIC"]);
        place.compile("asks.c", "asks", &["-static"]);
        fs::copy(CHRYSALIS, place.file("chrysalis")).expect("copy the binary");
        Some(place)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn compile(&self, source: &str, name: &str, options: &[&str]) {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/name_service");
        let mut compiler = Command::new("cc");
        compiler
            .args(options)
            .arg("-o")
            .arg(self.file(name))
            .arg(sources.join(source));
        // The linker warns of exactly what is wanted here.
        lab::run(&mut compiler, "compile a program of the tests");
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.file(program));
        command
            .args(arguments)
            .env_clear()
            .env("LD_LIBRARY_PATH", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .uid(USER)
            .gid(USER);
        command.output().expect("the program starts")
    }

    /// Runs a command line of chrysalis, and gives back its exit code and what it said.
    #[track_caller]
    fn chrysalis(&self, line: &str) -> (i32, String) {
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = self.run("chrysalis", &arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let signal = output.status.signal();
        assert_eq!(signal, None, "chrysalis {line} died of a signal:\n{said}");
        let code = output.status.code();
        (code.expect("it was no signal"), said)
    }

    #[track_caller]
    fn done(&self, line: &str) -> String {
        let (code, said) = self.chrysalis(line);
        assert_eq!(code, 0, "chrysalis {line} failed:\n{said}");
        said
    }
}

/// Where a command that was started without its end in sight is stopped in the end.
struct Stopped<'a>(&'a Poisoned);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _stopped = self.0.run("chrysalis", &["stop", "server1"]);
    }
}

#[test]
fn every_command_runs_where_the_name_service_is_deadly() {
    let Some(place) = Poisoned::place() else {
        return;
    };
    let asked = place.run("asks", &[]).status;
    assert_eq!(asked.signal(), Some(6), "the poison does not work: {asked}");

    let mut told = BTreeSet::new();
    let mut done = |line: &str| {
        told.insert(line.to_owned());
        place.done(line)
    };
    done("init server1 --coordinator-port 0 --broker-port 0 --web-port 0 --topic test:2");
    let _stopped = Stopped(&place);
    done("start server1");
    let status: serde_json::Value =
        serde_json::from_str(&done("status server1 --json")).expect("it is JSON");
    let port = |service: &str| {
        let address = status["ports"][service].as_str().expect("it is served");
        address
            .rsplit_once(':')
            .expect("an address has a port")
            .1
            .to_owned()
    };
    // By name: a name is what the name service is there for.
    let broker = format!("localhost:{}", port("broker"));
    let coordinator = format!("localhost:{}", port("coordinator"));
    for line in [
        "topic create server1 orders:2".to_owned(),
        "topic list server1".to_owned(),
        "topic describe server1 orders".to_owned(),
        "partition close server1 orders 0".to_owned(),
        "partition open server1 orders".to_owned(),
        "reload server1".to_owned(),
        "explain E0101".to_owned(),
        "version".to_owned(),
        format!("produce --zookeeper {coordinator} test hello"),
        format!("consume --zookeeper {coordinator} test --from first --max 1"),
        format!("produce --broker {broker} test again"),
        format!("zk create /a b --server {coordinator}"),
        format!("zk set /a c --server {coordinator}"),
        format!("zk get /a --server {coordinator}"),
        format!("zk ls / --server {coordinator}"),
        format!("zk stat /a --server {coordinator}"),
        format!("zk delete /a --server {coordinator}"),
        format!("bench coordinator --server {coordinator} --seconds 1 --warm-up 0"),
        format!("bench broker put --broker {broker} --seconds 1 --warm-up 0"),
        format!("bench broker get --broker {broker} --seconds 1 --warm-up 0"),
        "bench disk . --seconds 1".to_owned(),
        "restart server1".to_owned(),
        "stop server1".to_owned(),
        "dump journal server1".to_owned(),
    ] {
        done(&line);
    }
    // What the lines above lack, future commands among them: it may fail, but not die.
    for command in commands() {
        if !told.iter().any(|line| line.starts_with(&command)) && !command.starts_with("run") {
            place.chrysalis(&format!("{command} server1"));
            place.chrysalis(&format!("{command} --help"));
        }
    }
}

/// The file that the original finds in its user's home, where it is not named.
#[test]
fn a_user_without_a_home_is_told_what_to_set() {
    let Some(place) = Poisoned::place() else {
        return;
    };
    let conf = place.file("server2/conf");
    fs::create_dir_all(&conf).expect("make a folder");
    let text = "[system]\nbrokerId=1\nhostName=localhost\n[zookeeper]\nzk.zkConnect=localhost:1\n[topic=a]\n";
    fs::write(conf.join("server.ini"), text).expect("write a file");
    let (code, said) = place.chrysalis("run server2");
    assert_eq!(code, 10, "{said}");
    assert!(said.contains("dataPath is missing"), "{said}");
}

/// Every command by the golden file of the help, as `topic list`.
fn commands() -> Vec<String> {
    let help = include_str!("../../src/operator/cli/help.txt");
    let titles: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("$ chrysalis ")?.strip_suffix(" --help"))
        .collect();
    let is_group = |title: &str| {
        titles
            .iter()
            .any(|other| other.starts_with(&format!("{title} ")))
    };
    titles
        .iter()
        .filter(|title| !is_group(title))
        .map(ToString::to_string)
        .collect()
}

/// What the C library has that loads modules, and why it may be in the binary all the same.
const LINKED: &[(&str, &str)] = &[
    (
        "getaddrinfo",
        "std's lookup of a name: net/resolve.rs gives everybody numbers",
    ),
    ("gethostbyname2_r", "getaddrinfo's"),
    ("getservbyname_r", "getaddrinfo's"),
    (
        "getgrnam",
        "daemonize, if it is given the name of a group: it is not",
    ),
    ("getgrnam_r", "getgrnam's"),
    (
        "getpwnam",
        "daemonize, if it is given the name of a user: it is not",
    ),
    ("getpwnam_r", "getpwnam's"),
    ("dlopen", "the C library's own, for the others of this list"),
    ("dlmopen", "dlopen's"),
];

#[test]
fn the_binary_has_nothing_that_asks_the_name_service_but_what_is_known() {
    let listed = lab::run(
        Command::new("nm").arg("--defined-only").arg(CHRYSALIS),
        "look into the binary",
    );
    let known: BTreeMap<&str, &str> = LINKED.iter().copied().collect();
    let mut unknown = Vec::new();
    let mut met = BTreeSet::new();
    for name in listed.lines().filter_map(|line| line.split(' ').nth(2)) {
        if asks_the_name_service(name) {
            met.insert(name);
            if !known.contains_key(name) {
                unknown.push(name);
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "{unknown:?}: who calls it, and can it be reached? A static program must not"
    );
    let gone: Vec<&&str> = known.keys().filter(|name| !met.contains(**name)).collect();
    assert!(
        gone.is_empty(),
        "no longer linked, so take them off the list: {gone:?}"
    );
}

/// The functions of the C library that look into a database of nsswitch.conf, or load modules for other reasons.
fn asks_the_name_service(symbol: &str) -> bool {
    let name = symbol.strip_suffix("_r").unwrap_or(symbol);
    let databases = [
        "pw", "gr", "sp", "sg", "serv", "proto", "host", "net", "rpc", "netgr", "alias",
    ];
    let by = [
        "nam", "uid", "gid", "ent", "byname", "byname2", "byaddr", "byport", "bynumber", "byuid",
    ];
    let looks_up = name.strip_prefix("get").is_some_and(|rest| {
        databases
            .iter()
            .filter_map(|database| rest.strip_prefix(database))
            .any(|how| by.contains(&how))
    });
    let others = [
        "getaddrinfo",
        "getnameinfo",
        "getgrouplist",
        "initgroups",
        "innetgr",
        "iconv_open",
        "dlopen",
        "dlmopen",
        "wordexp",
        "getlogin",
        "cuserid",
        "setlocale",
    ];
    looks_up || others.contains(&name)
}
