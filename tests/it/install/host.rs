//! A packed release on a real host with systemd: units, restarts, a reboot. Part of the full suite: it boots a host
//! with `tests/lab/lab`, which needs root and a Debian to make it from.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::repository;
use crate::lab;
use crate::process::eventually;

/// A booted host; taken down in the end.
struct Host {
    name: &'static str,
    folder: PathBuf,
}

impl Host {
    fn up(name: &'static str) -> Host {
        // The base takes a minute to make and is kept; the hosts are not.
        let host = Host {
            name,
            folder: lab::cache().join("hosts"),
        };
        host.lab(&["up", name]);
        host
    }

    fn lab(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(repository().join("tests/lab/lab"));
        command.args(arguments).env("LAB_DIR", &self.folder);
        lab::run(&mut command, "use a test host")
    }

    /// Runs a command line on the host.
    fn run(&self, line: &str) -> String {
        self.lab(&["run", self.name, "bash", "-c", line])
    }

    fn says(&self, line: &str) -> bool {
        Command::new(repository().join("tests/lab/lab"))
            .args(["run", self.name, "bash", "-c", line])
            .env("LAB_DIR", &self.folder)
            .output()
            .expect("bash starts")
            .status
            .success()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new(repository().join("tests/lab/lab"))
            .arg("down")
            .env("LAB_DIR", &self.folder)
            .output();
    }
}

const SOON: Duration = Duration::from_secs(60);

#[test]
fn systemd_runs_what_root_installs() {
    if !lab::full("systemd_runs_what_root_installs") {
        return;
    }
    if !lab::is_root() {
        lab::skipped(
            "systemd_runs_what_root_installs",
            "booting a host needs root",
        );
        return;
    }
    let _alone = lab::heavy();
    let folder = tempfile::TempDir::new().expect("make a folder");
    let mut pack = Command::new(repository().join("packaging/release"));
    pack.arg(folder.path()).current_dir(repository());
    let archive = lab::run(&mut pack, "make a release");
    let archive = archive.lines().last().expect("it tells the archive's name");
    let host = Host::up("usa");
    host.lab(&["push", host.name, archive, "/var/tmp/release.tar.gz"]);
    host.run("mkdir /var/tmp/release && tar -xf /var/tmp/release.tar.gz -C /var/tmp/release --strip-components=1");

    let said = host.run("/var/tmp/release/install.sh --topic orders:4");
    assert!(said.contains("received: hello from install.sh"), "{said}");
    host.run("systemctl is-active chrysalis@server1 && systemctl is-enabled chrysalis.target");
    assert_eq!(
        host.run("stat -c %U /opt/chrysalis/server1/data").trim(),
        "chrysalis"
    );
    let said = host.run("/var/tmp/release/install.sh");
    assert!(said.contains("nothing to do"), "{said}");

    // The unit's hardening must not take io_uring or a reload away from it.
    let said = host.run("/opt/chrysalis/bin/chrysalis status /opt/chrysalis/server1");
    assert!(said.contains("io_uring"), "{said}");
    host.run("/opt/chrysalis/bin/chrysalis topic create /opt/chrysalis/server1 late:2");
    host.run("systemctl reload chrysalis@server1");

    // A process that dies is started again; what cannot be cured by that is left alone.
    let pid = || host.run("systemctl show -P MainPID chrysalis@server1");
    let first = pid();
    host.run(&format!("kill -9 {}", first.trim()));
    eventually("the server is started again", SOON, || {
        host.says("systemctl is-active chrysalis@server1") && pid() != first
    });
    host.run("systemctl stop chrysalis@server1 && echo 'nonsense = 1' >>/opt/chrysalis/server1/conf/server.toml");
    host.run("! systemctl start chrysalis@server1");
    eventually(
        "it is left down with a mistake in its configuration",
        SOON,
        || host.says("systemctl is-failed chrysalis@server1"),
    );
    assert_eq!(
        host.run("systemctl show -P NRestarts chrysalis@server1")
            .trim(),
        "0"
    );
    host.run(
        "sed -i '$d' /opt/chrysalis/server1/conf/server.toml && systemctl start chrysalis@server1",
    );

    // The host loses power and comes back.
    host.lab(&["kill", host.name]);
    host.lab(&["boot", host.name]);
    eventually("it serves after a reboot", SOON, || {
        host.says("systemctl is-active chrysalis@server1")
    });
    host.run("/opt/chrysalis/bin/chrysalis produce --folder /opt/chrysalis/server1 test again");
    let got = host.run("/opt/chrysalis/bin/chrysalis consume --folder /opt/chrysalis/server1 test");
    assert!(got.contains("hello from install.sh"), "{got}");

    host.run("/var/tmp/release/install.sh --uninstall");
    host.run("[ ! -e /opt/chrysalis ] && [ ! -e /etc/systemd/system/chrysalis@.service ]");
    host.run("! id chrysalis");
}
