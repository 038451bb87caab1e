//! The host's own commands: accounts, units, processes. A static program must not load the C library's modules for
//! accounts, so these are asked for by the commands that every host has.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Result;
use crate::report::{Code, Error};

/// How long a program that was just written may be busy, and how often it is tried again.
const BUSY_MAX: Duration = Duration::from_secs(1);
const BUSY_AGAIN: Duration = Duration::from_millis(5);

/// Runs a command that has to succeed, and gives back what it said.
pub(super) fn run(command: &mut Command, what: &str) -> Result<String> {
    let output = output(command, what)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(Error::new(
            Code::E0308,
            format!("{what}: {}", said(&output).trim()),
        )),
    }
}

pub(super) fn output(command: &mut Command, what: &str) -> Result<Output> {
    command.stdin(Stdio::null());
    let until = Instant::now() + BUSY_MAX;
    let output = loop {
        match command.output() {
            // A process that another thread was just starting has what was open here, until it runs its own program.
            Err(error) if is_busy(&error) && Instant::now() < until => {
                std::thread::sleep(BUSY_AGAIN)
            }
            output => break output,
        }
    };
    output.map_err(|error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Error::new(Code::E0308, format!("{what}: start {program}")).because(error)
    })
}

/// Whether a program that was just written is still open for writing somewhere.
fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ExecutableFileBusy
}

/// What a command wrote, to whichever stream, or how it ended if it wrote nothing.
pub(super) fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    match both.is_empty() {
        true => output.status.to_string(),
        false => String::from_utf8_lossy(&both).into_owned(),
    }
}

/// Whether a command that only asks ends with 0. One that is not there says no.
pub(super) fn says_yes(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The word that a command prints, if it ends with 0.
pub(super) fn word(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

pub(super) fn systemctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.args(arguments);
    command
}

/// Whether systemd runs this host.
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The number of an account, if there is one of this name.
pub(super) fn account_number(name: &str) -> Option<u32> {
    word(Command::new("id").args(["-u", name]))?.parse().ok()
}

/// The name of its group.
pub(super) fn account_group(name: &str) -> Option<String> {
    word(Command::new("id").args(["-gn", name]))
}

/// The home folder of an account.
pub(super) fn account_home(name: &str) -> Option<String> {
    let line = word(Command::new("getent").args(["passwd", name]))?;
    line.split(':').nth(5).map(str::to_owned)
}

/// Whether a program of this name is on the path.
pub(super) fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// What cannot be written, made or removed.
pub(super) fn refused(what: &str, path: &Path, error: io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => Code::E0103,
        io::ErrorKind::StorageFull => Code::E0204,
        _ => Code::E0104,
    };
    Error::new(code, format!("{what} {}", path.display())).because(error)
}
