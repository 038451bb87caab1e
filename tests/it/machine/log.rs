//! Lines that cannot be written. Once a full disk under the log ended the server, and one with `log.file` hung for
//! ever: the library wrote to standard error that it could not write, which failed too, and the panic that followed wanted
//! to be logged.

use super::assert_serves;
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::lab::mount::Mount;
use crate::harness::process::{eventually, run_to_end};
use crate::harness::server::{CHRYSALIS, Server, set_key, set_text};
use crate::harness::web::{scrape, value};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn lost(server: &Server) -> u64 {
    value(&scrape(server.web()), "chrysalis_log_lines_lost_total")
}

/// Has the server write lines until so many are lost.
fn lose(server: &mut Server, count: u64) {
    eventually("lines are lost", SOON, || {
        server.process().signal(Signal::SIGHUP);
        lost(server) >= count
    });
}

fn assert_goes_on(server: &mut Server, why: &str) {
    lose(server, 3);
    assert_serves(server);
    let status = run_to_end(
        Command::new(CHRYSALIS).arg("status").arg(server.folder()),
        "",
        SOON,
    );
    assert!(
        status.stdout.contains("log lines could not be written"),
        "{}",
        status.stdout
    );
    assert!(status.stdout.contains(why), "{}", status.stdout);
}

#[test]
fn a_log_file_that_takes_nothing_costs_its_lines() {
    for format in ["text", "json"] {
        let mut server = Server::start_with(&[("alive", 1)], |config| {
            set_key(config, "log", "file", "\"/dev/full\"");
            set_text(config, "log", "format", format);
        });
        assert_goes_on(&mut server, "No space left on device");
        server.stop();
    }
}

#[test]
fn the_disk_of_the_log_is_full_and_has_room_again() {
    let Some(mount) = Mount::tmpfs(1 << 20) else {
        return;
    };
    let log = mount.path().join("chrysalis.log");
    let mut server = Server::start_with(&[("alive", 1)], |config| {
        set_text(config, "log", "file", &log.display().to_string());
    });
    let ballast = mount.path().join("ballast");
    let mut file = File::create(&ballast).expect("make the ballast");
    while file.write_all(&[0; 4096]).is_ok() {}
    assert_goes_on(&mut server, "No space left on device");
    drop(file);
    fs::remove_file(&ballast).expect("make room");
    eventually("the log says what is missing", SOON, || {
        server.process().signal(Signal::SIGHUP);
        let text = fs::read_to_string(&log).expect("the log");
        text.contains("log lines are missing here") && text.contains("No space left on device")
    });
    // What was torn is a line of its own.
    let text = fs::read_to_string(&log).expect("the log");
    let begins = |line: &str| line.starts_with("20");
    let odd = text.lines().filter(|line| !begins(line)).count();
    assert_eq!(odd, 0, "{text}");
    server.stop();
}

#[test]
fn a_server_starts_where_no_log_can_be_made() {
    let Some(mount) = Mount::tmpfs(1 << 20) else {
        return;
    };
    // Room for the folder itself, and for no file.
    let mut remount = Command::new("mount");
    remount
        .args(["-o", "remount,nr_inodes=1"])
        .arg(mount.path());
    lab::run(&mut remount, "take the inodes of a file system");
    let log = mount.path().join("chrysalis.log");
    let mut server = Server::start_with(&[("alive", 1)], |config| {
        set_text(config, "log", "file", &log.display().to_string());
    });
    assert_serves(&server);
    let said = server.process().log();
    assert!(said.contains("no room for the log file"), "{said}");
    server.stop();
}

/// A server whose standard error is a pipe, and the end that is read. `exec` keeps its pid.
fn behind_a_pipe(home: &Path) -> (Server, File) {
    let mut server = Server::prepare(&home.join("server1"), &[("alive", 1)], |_| {});
    let pipe = home.join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("make a pipe");
    let reader = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&pipe)
        .expect("open the pipe");
    // One page: the second line that nobody reads finds no room.
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).expect("make it small");
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" run \"$1\" 2>\"$2\"", CHRYSALIS])
        .arg(server.folder())
        .arg(&pipe);
    server.resume_with(&mut command);
    (server, reader)
}

#[test]
fn whoever_reads_standard_error_may_go() {
    let home = tempfile::tempdir().expect("make a folder");
    let (mut server, reader) = behind_a_pipe(home.path());
    drop(reader);
    assert_goes_on(&mut server, "Broken pipe");
    server.stop();
}

#[test]
fn whoever_reads_standard_error_may_stop_reading_and_go_on() {
    let home = tempfile::tempdir().expect("make a folder");
    let (mut server, mut reader) = behind_a_pipe(home.path());
    assert_goes_on(&mut server, "nobody reads them");
    let mut read = Vec::new();
    eventually("what is missing is told", START_LIMIT, || {
        server.process().signal(Signal::SIGHUP);
        let mut some = [0; 16 << 10];
        while let Ok(count) = reader.read(&mut some)
            && count > 0
        {
            read.extend_from_slice(&some[..count]);
        }
        String::from_utf8_lossy(&read).contains("log lines are missing here")
    });
    server.stop();
}

#[test]
fn a_command_that_cannot_print_says_so_and_one_that_cannot_complain_ends() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("the device")
    };
    for words in [
        &["version"][..],
        &["explain", "E0111"],
        &["--help"],
        &["zk", "--help"],
    ] {
        let mut command = Command::new(CHRYSALIS);
        let output = command
            .args(words)
            .stdout(full())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("No space left on device"),
            "{words:?}: {said}"
        );
        let mut command = Command::new(CHRYSALIS);
        let status = command.args(words).stdout(full()).stderr(full()).status();
        assert_eq!(status.expect("it runs").code(), Some(1), "{words:?}");
    }
}
