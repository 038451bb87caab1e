//! Commands of ours, run in a server's folder.

use super::server::{CHRYSALIS, Server};
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs `chrysalis COMMAND… --folder FOLDER` with this standard input.
pub(crate) fn chrysalis_with(server: &Server, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(CHRYSALIS);
    command.args(arguments).arg("--folder").arg(server.folder());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary under test starts");
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

/// `chrysalis status --json`.
pub(crate) fn status(server: &Server) -> serde_json::Value {
    let mut command = Command::new(CHRYSALIS);
    let output = command
        .arg("status")
        .arg(server.folder())
        .arg("--json")
        .output();
    let output = output.expect("the binary under test starts");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}
