//! Every other limit of a process: a start that cannot succeed says what is lacking, with advice and a code; no command
//! takes it for a bug of its own, and none is killed.

use super::{Somebody, assert_serves, by, limited};
use crate::harness::deployment::Deployment as _;
use crate::harness::lab;
use crate::harness::process::{Outcome, run_to_end};
use crate::harness::server::{CHRYSALIS, Ports, Server, init, set_key};
use crate::harness::zookeeper_wire::Client;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// What it said, if it ended as it should: with a code, not by a signal, and not for a bug.
fn told(outcome: &Outcome) -> String {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.status.code().is_some(),
        "{}: {said}",
        outcome.status
    );
    assert!(
        !said.contains("E0900") && !said.contains("panicked"),
        "{said}"
    );
    said
}

fn refused(command: &mut Command) -> String {
    let outcome = run_to_end(command, "", SOON);
    let said = told(&outcome);
    assert!(!outcome.status.success(), "{said}");
    said
}

fn prepared() -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().expect("make a folder");
    let server = Server::prepare(&home.path().join("server1"), &[("alive", 1)], |_| {});
    (home, server)
}

#[test]
fn a_limit_that_is_too_low_refuses_the_start_and_says_which_and_how_to_raise_it() {
    let (_home, mut server) = prepared();
    for (limit, what, how) in [
        ("--nofile=100:100", "open files", "LimitNOFILE"),
        ("--fsize=1000000:1000000", "size of a file", "LimitFSIZE"),
        ("--as=600000000:600000000", "address space", "LimitAS"),
        ("--data=100000000:100000000", "data segment", "LimitDATA"),
        ("--stack=200000:200000", "stack", "LimitSTACK"),
    ] {
        let said = refused(&mut limited(&server, &[limit]));
        assert!(said.contains("E0111"), "{limit}: {said}");
        assert!(said.contains(what), "{limit}: {said}");
        assert!(said.contains(how), "{limit}: {said}");
    }
    // A journal of larger files needs more.
    let home = tempfile::tempdir().expect("make a folder");
    let folder = home.path().join("server1");
    let large = Server::prepare(&folder, &[("alive", 1)], |config| {
        set_key(config, "journal", "file_bytes", "2147483648");
    });
    let said = refused(&mut limited(&large, &["--fsize=2000000000:2000000000"]));
    assert!(said.contains("2147483648"), "{said}");
    // Nothing was begun, and as a soft limit each of them is raised.
    assert!(!server.folder().join("data/journal").exists());
    let soft = [
        "--nofile=100:4096",
        "--fsize=1000000:",
        "--stack=200000:8000000",
        "--memlock=0:",
    ];
    server.resume_with(&mut limited(&server, &soft));
    assert_serves(&server);
    server.stop();
}

#[test]
fn a_limit_that_may_be_met_later_is_told_at_the_start_and_in_the_status() {
    let (_home, mut server) = prepared();
    let limits = ["--as=1500000000:1500000000", "--cpu=100000:100000"];
    server.resume_with(&mut limited(&server, &limits));
    assert_serves(&server);
    let status = run_to_end(
        Command::new(CHRYSALIS).arg("status").arg(server.folder()),
        "",
        SOON,
    );
    for what in ["address space", "processor time"] {
        assert!(status.stdout.contains(what), "{}", status.stdout);
        assert!(server.process().log().contains(what), "{what}");
    }
    server.stop();
}

#[test]
fn what_clients_may_make_the_server_keep_fits_into_its_memory() {
    let _alone = lab::heavy();
    let (_home, mut server) = prepared();
    server.resume_with(&mut limited(&server, &["--as=900000000:900000000"]));
    let mut client = Client::connect(server.coordinator());
    let data = vec![7; 900_000];
    let full = (0..1000).find(|number| client.create(&format!("/{number}"), &data, 0).is_err());
    let full = full.expect("the tree ends somewhere");
    assert!((20..200).contains(&full), "{full} of 900 kB");
    for number in 0..full {
        assert_eq!(client.delete(&format!("/{number}"), -1), 0);
    }
    assert_serves(&server);
    server.stop();
}

#[test]
fn however_few_files_a_command_may_open_it_ends_with_an_error_of_its_own() {
    let (_home, server) = prepared();
    let folder = server.folder().to_string_lossy().into_owned();
    for files in 4..40 {
        let limit = format!("--nofile={files}:{files}");
        let said = refused(&mut limited(&server, &[&limit]));
        assert!(
            said.contains("E0111") && said.contains("ulimit"),
            "{limit}: {said}"
        );
        for words in [
            &["status", &folder][..],
            &["topic", "list", &folder],
            &["produce", "alive", "x", "--folder", &folder],
            &["consume", "alive", "--folder", &folder],
            &["zk", "ls", "/", "--folder", &folder],
            &["dump", "journal", &folder],
            &["start", &folder],
        ] {
            let mut command = by("prlimit", &[&limit], Path::new(CHRYSALIS), words);
            refused(&mut command);
        }
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_not_a_signal() {
    const MOST: u64 = 128 << 20;
    let home = tempfile::tempdir().expect("make a folder");
    let mut server = Server::prepare(&home.path().join("server1"), &[("alive", 1)], |config| {
        set_key(config, "broker", "segment_bytes", "67108864");
        set_key(config, "disk", "reserve_bytes", "1048576");
    });
    // The log is as long as a file may be.
    let log = home.path().join("log");
    let file = fs::File::create(&log).expect("make the log");
    file.set_len(MOST).expect("make it long");
    server.log_to(&log);
    server.resume_with(&mut limited(&server, &[&format!("--fsize={MOST}:{MOST}")]));
    let mut status = Command::new(CHRYSALIS);
    status.arg("status").arg(server.folder());
    let status = run_to_end(&mut status, "", SOON).stdout;
    assert!(status.contains("File too large"), "{status}");
    assert!(status.contains("snapshot of a larger tree"), "{status}");
    assert_serves(&server);
    server.stop();
    assert_eq!(fs::metadata(&log).expect("the log").len(), MOST);
    // And a command whose output may not grow.
    let page = ["explain", "E0111"];
    let mut command = by("prlimit", &["--fsize=10:10"], Path::new(CHRYSALIS), &page);
    let outcome = run_to_end(&mut command, "", SOON);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.status);
}

#[test]
fn a_user_who_may_have_no_thread_is_told() {
    if !lab::root() {
        return;
    }
    let somebody = Somebody::new(61_234);
    let made = init(&somebody.folder(), Ports::free(), &[("alive", 1)]);
    assert!(made.status.success());
    somebody.own(&somebody.folder());
    for threads in [1, 3, 5, 8] {
        let few = ["prlimit", &format!("--nproc={threads}:{threads}")];
        let said = refused(somebody.command(&few).arg("run").arg(somebody.folder()));
        assert!(
            said.contains("E0111") && said.contains("threads"),
            "{threads}: {said}"
        );
    }
    let one = ["prlimit", "--nproc=1:1"];
    for words in [&["start"][..], &["produce", "alive", "--folder"]] {
        let said = refused(somebody.command(&one).args(words).arg(somebody.folder()));
        assert!(
            said.contains("E0111") && said.contains("ulimit -a"),
            "{words:?}: {said}"
        );
    }
}

/// What the advice of a limit says is enough.
#[test]
fn the_advice_for_the_address_space_names_what_is_needed_in_all() {
    let (_home, server) = prepared();
    // More than the program needs, and less than it and one connection need.
    let said = refused(&mut limited(&server, &["--as=675000000:675000000"]));
    assert!(
        said.contains("E0111") && said.contains("needs at least"),
        "{said}"
    );
    let (_, rest) = said.split_once("Raise it to ").expect("it names a number");
    let enough: u64 = rest
        .split_once(',')
        .expect("a number")
        .0
        .parse()
        .expect("a number");
    let mut server = server;
    server.resume_with(&mut limited(&server, &[&format!("--as={enough}:{enough}")]));
    let log = server.process().log();
    assert!(!log.contains("address space"), "{log}");
    server.stop();
}

/// It called the kernel old.
#[test]
fn without_locked_memory_the_ring_is_refused_with_how_to_have_it() {
    if !lab::root() {
        return;
    }
    let somebody = Somebody::new(61_235);
    let made = init(&somebody.folder(), Ports::free(), &[("alive", 1)]);
    assert!(made.status.success());
    let file = somebody.folder().join("conf/server.toml");
    let mut text = fs::read_to_string(&file).expect("the configuration");
    set_key(&mut text, "disk", "backend", "\"ring\"");
    fs::write(&file, text).expect("write it");
    somebody.own(&somebody.folder());
    let none = ["prlimit", "--memlock=0:0"];
    let said = refused(somebody.command(&none).arg("run").arg(somebody.folder()));
    assert!(
        said.contains("E0110") && said.contains("LimitMEMLOCK=64M") && !said.contains("old kernel"),
        "{said}"
    );
}

/// Has the kernel refuse one system call with one error, by a filter, and becomes the program behind it.
const FILTER: &str = r#"
import ctypes, os, struct, sys
call, argument, error = (int(word) for word in sys.argv[1:4])
def op(code, true, false, k): return struct.pack("HBBI", code, true, false, k)
LOAD, EQUAL, SET, RETURN = 0x20, 0x15, 0x45, 0x06
# The newer way to make a thread is not there, so that the older one is taken.
program = op(LOAD, 0, 0, 0) + op(EQUAL, 0, 1, 435) + op(RETURN, 0, 0, 0x50000 | 38) + op(EQUAL, 0, 3, call) + op(LOAD, 0, 0, 16)
program += op(EQUAL if call == 41 else SET, 0, 1, argument) + op(RETURN, 0, 0, 0x50000 | error) + op(RETURN, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(program, len(program))
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
filter = Program(len(program) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[4], sys.argv[4:])
"#;

/// The program, under a filter that refuses the call with this number, where its first argument is this or has this bit.
pub(super) fn filtered(call: u32, argument: u32, error: i32) -> Command {
    let numbers = [call.to_string(), argument.to_string(), error.to_string()];
    let mut command = Command::new("python3");
    command.args(["-c", FILTER]).args(numbers).arg(CHRYSALIS);
    command
}

/// Whether such filters can be set; otherwise says that this test was not seen.
pub(super) fn may_filter() -> bool {
    let probe = filtered(41, 77, 97).arg("version").output();
    let set = probe.is_ok_and(|output| output.status.success());
    if !set {
        lab::not_seen("it needs python3 and a kernel that filters system calls");
    }
    set
}

#[test]
fn a_sandbox_that_refuses_threads_is_told() {
    if !may_filter() {
        return;
    }
    let (_home, server) = prepared();
    const CLONE: u32 = 56;
    const CLONE_THREAD: u32 = 0x10000;
    let mut command = filtered(CLONE, CLONE_THREAD, 1);
    let outcome = run_to_end(command.arg("run").arg(server.folder()), "", SOON);
    let said = told(&outcome);
    assert!(said.contains("E0111") && said.contains("threads"), "{said}");
}
