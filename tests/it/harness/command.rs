//! Commands of ours, run in a server's folder.

use super::server::{CHRYSALIS, Server};
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Starts `chrysalis COMMAND… --folder FOLDER` with pipes to and from it.
pub(crate) fn started(server: &Server, arguments: &[&str]) -> Child {
    let mut command = Command::new(CHRYSALIS);
    command.args(arguments).arg("--folder").arg(server.folder());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the binary under test starts")
}

/// Runs it to its end with this standard input.
pub(crate) fn chrysalis_with(server: &Server, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = started(server, arguments);
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read it has closed it.
    let _written = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// The same for a command that succeeds: what it printed.
pub(crate) fn chrysalis(server: &Server, arguments: &[&str]) -> String {
    let output = chrysalis_with(server, arguments, b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).expect("it is text")
}

/// What `chrysalis COMMAND FOLDER ARGUMENTS… --json` prints.
pub(crate) fn json(command: &[&str], folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(CHRYSALIS)
        .args(command)
        .arg(folder)
        .args(arguments)
        .arg("--json")
        .output()
        .expect("the binary under test starts");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// The state of a server.
pub(crate) fn status(server: &Server) -> Value {
    json(&["status"], server.folder(), &[])
}
