//! What the tests need from outside: the originals, real clients, tools.
//!
//! Everything comes through the ordinary package clients (`mvn`, `apt-get`, `pip`, `cargo`, `go`) and is kept
//! under the target folder, one folder a thing, named for what it was made from. A folder appears by
//! rename when it is complete, under a file lock, so two runs at once do not disturb each other and an
//! interrupted one leaves nothing half-made.

pub(crate) mod c_client;
pub(crate) mod crates;
pub(crate) mod debian;
pub(crate) mod go;
pub(crate) mod maven;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod python;

use super::replay::{Seeds, this_test};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of the suite was asked for, by `CHRYSALIS_TESTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// Only what needs no package from outside.
    Offline,
    /// What a change should pass before it lands.
    Fast,
    /// Everything, for as long as it takes.
    Full,
}

/// The suite that was asked for.
///
/// # Panics
/// The variable holds another word.
pub(crate) fn suite() -> Suite {
    match std::env::var("CHRYSALIS_TESTS").as_deref() {
        Err(_) | Ok("" | "fast") => Suite::Fast,
        Ok("offline") => Suite::Offline,
        Ok("full") => Suite::Full,
        Ok(other) => panic!("CHRYSALIS_TESTS={other}: it is offline, fast (the default) or full"),
    }
}

/// How often a test does what it does: more often in the full suite.
pub(crate) fn rounds(fast: u64, full: u64) -> u64 {
    if is_full() { full } else { fast }
}

/// The seeds of one test, many more of them in the full suite.
pub(crate) fn seeds(fast: u64, full: u64) -> Seeds {
    Seeds::from(0, rounds(fast, full))
}

/// True in the full suite: for the parts of a test that take long.
pub(crate) fn is_full() -> bool {
    suite() == Suite::Full
}

/// True if packages may be fetched; otherwise says that this test is left out.
pub(crate) fn online() -> bool {
    let online = suite() != Suite::Offline;
    if !online {
        left_out("CHRYSALIS_TESTS=offline fetches nothing");
    }
    online
}

/// True in the full suite; otherwise says that this test is left out.
pub(crate) fn full() -> bool {
    if !is_full() {
        left_out("CHRYSALIS_TESTS=full runs it");
    }
    is_full()
}

/// Says that this test does nothing because less than everything was asked for. `tests/run` counts these lines.
fn left_out(why: &str) {
    tell(&format!("left out here: {}: {why}", this_test()));
}

/// Says that this machine cannot show what this test is about. `tests/run` repeats these lines in the end, and does
/// not call a full run good that has any.
pub(crate) fn not_seen(why: &str) {
    tell(&format!("not seen here: {}: {why}", this_test()));
}

/// Says a line past the test runner, which keeps what a passing test prints to itself; in one piece, because other
/// tests have their say at the same time.
fn tell(line: &str) {
    // Who has closed standard error does not want to know.
    let _told = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Tells something that is not an error, such as a measured figure.
#[allow(
    clippy::print_stderr,
    reason = "a test's output is where its reader looks"
)]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// True if we may mount, make namespaces and change users.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// True if we are root; otherwise says that this test was not seen.
pub(crate) fn root() -> bool {
    if !is_root() {
        not_seen("it needs root");
    }
    is_root()
}

/// True if we may make network namespaces; otherwise says that this test was not seen.
pub(crate) fn may_make_namespaces() -> bool {
    root()
        && seen(
            Command::new("unshare").args(["--net", "true"]),
            "it needs a network namespace",
        )
}

/// True if file systems that the tests serve themselves can be mounted; otherwise says that this test was not seen.
pub(crate) fn may_mount_fuse() -> bool {
    if !root() {
        return false;
    }
    // Opening it loads the kernel's module, where that is a module.
    let device = File::options().read(true).write(true).open("/dev/fuse");
    if let Err(error) = &device {
        not_seen(&format!("it needs /dev/fuse: {error}"));
    }
    device.is_ok()
}

/// True if hosts with systemd can be booted; otherwise says that this test was not seen.
pub(crate) fn may_boot_hosts() -> bool {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab");
    root() && seen(Command::new(lab).arg("check"), "it boots a host")
}

/// Whether a probe ends well; otherwise says that this test was not seen, and what the probe said.
fn seen(probe: &mut Command, why: &str) -> bool {
    let reason = match probe.output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    not_seen(&format!("{why}: {reason}"));
    false
}

/// Held by tests that start a JVM or load the whole machine, so that only one runs at a time.
pub(crate) fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    // A test that failed while it held the lock has harmed nobody else.
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where fetched things are kept between runs.
pub(crate) fn cache() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// The source of the test assets, `tests/conformance`.
pub(crate) fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The folder `name`, made once by `make`, which is given an empty folder to fill.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = cache().join(name);
    if folder.is_dir() {
        return folder;
    }
    let lock = File::create(cache().join(format!("{name}.lock"))).expect("make a lock file");
    lock.lock()
        .expect("wait for another run that makes the same thing");
    if !folder.is_dir() {
        let draft = cache().join(format!("{name}.draft"));
        if draft.exists() {
            fs::remove_dir_all(&draft).expect("remove what an interrupted run left");
        }
        fs::create_dir(&draft).expect("make the folder to fill");
        make(&draft);
        fs::rename(&draft, &folder).expect("give the finished folder its name");
    }
    folder
}

/// Runs a tool to its end and returns its standard output.
///
/// # Panics
/// The tool is missing or fails: the message says which command, why the tests need it, and what it said.
pub(crate) fn run(command: &mut Command, purpose: &str) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "cannot {purpose}: {:?} does not start: {error}. Install it, or leave these tests out with \
             CHRYSALIS_TESTS=offline",
            command.get_program()
        )
    });
    assert!(
        output.status.success(),
        "cannot {purpose}: {command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a tool that brings something over the network, again if that fails.
///
/// # Panics
/// It fails each time, or is missing.
pub(crate) fn fetch(command: &mut Command, purpose: &str) -> String {
    // A registry that hiccups has recovered after some seconds; nothing tells when.
    for pause in [2, 10] {
        match command.output() {
            Ok(output) if output.status.success() => {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
            Ok(_) => std::thread::sleep(Duration::from_secs(pause)),
            Err(_) => break,
        }
    }
    run(
        command,
        &format!("{purpose} (tried three times; it needs the network)"),
    )
}

/// A short name for the contents of a folder's files, so that a changed source is built anew.
pub(crate) fn fingerprint(folder: &Path) -> String {
    let mut files = Vec::new();
    gather(folder, &mut files);
    files.sort();
    let mut hasher = crc32fast::Hasher::new();
    for file in files {
        hasher.update(file.to_string_lossy().as_bytes());
        hasher.update(&fs::read(&file).expect("read a test asset"));
    }
    format!("{:08x}", hasher.finalize())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("list the test assets") {
        let path = entry.expect("list the test assets").path();
        let skip = matches!(
            path.file_name().and_then(|n| n.to_str()),
            Some("target" | "__pycache__")
        );
        if path.is_dir() && !skip {
            gather(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}
