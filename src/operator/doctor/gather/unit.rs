//! The server's unit, where systemd runs this host. It is asked of nothing else, and never told anything.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::ServerFolder;
use crate::operator::doctor::facts::{Known, Unit, Unknown, hidden};

/// There it says that it runs this host.
const SYSTEMD: &str = "/run/systemd/system";
/// How long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The unit of the server in `folder`.
pub(super) fn of(folder: &ServerFolder) -> Known<Unit> {
    if !Path::new(SYSTEMD).exists() {
        return Err(Unknown::DoesNotApply);
    }
    let name = format!("chrysalis@{}.service", folder.name());
    let shown = match show(&name) {
        Ok(shown) => shown,
        Err(error) => return hidden(format!("systemctl: {error}")),
    };
    let root = folder.root().display().to_string();
    read(&name, &shown, &root).ok_or(Unknown::DoesNotApply)
}

fn show(unit: &str) -> io::Result<String> {
    let mut child = Command::new("systemctl")
        .args(["show", unit, "--property"])
        .arg("LoadState,ActiveState,ExecMainStatus,ExecStart")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let until = Instant::now() + ANSWER_MAX;
    while child.try_wait()?.is_none() {
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `systemctl show` says of a unit, if there is one and it serves this folder.
fn read(name: &str, shown: &str, root: &str) -> Option<Unit> {
    let value = |key: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once('='));
        lines.find(|(it, _)| *it == key).map(|(_, value)| value)
    };
    let serves = value("ExecStart")?
        .split_whitespace()
        .any(|word| word == root);
    (value("LoadState")? == "loaded" && serves).then(|| Unit {
        name: name.to_owned(),
        failed: value("ActiveState") == Some("failed"),
        exit_code: value("ExecMainStatus").and_then(|code| code.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "ExecMainStatus=10\nExecStart={ path=/opt/c/bin/chrysalis ; argv[]=/opt/c/bin/chrysalis run \
                         /opt/c/server1 ; ignore_errors=no }\nLoadState=loaded\nActiveState=failed\n";

    #[test]
    fn a_unit_is_the_servers_only_if_it_serves_its_folder() {
        let unit = read("chrysalis@server1.service", SHOWN, "/opt/c/server1").expect("it is");
        assert_eq!((unit.failed, unit.exit_code), (true, Some(10)));
        assert_eq!(
            read("chrysalis@server1.service", SHOWN, "/home/ann/server1"),
            None
        );
        let missing = SHOWN.replace("loaded", "not-found");
        assert_eq!(
            read("chrysalis@server1.service", &missing, "/opt/c/server1"),
            None
        );
    }
}
