//! A packed release on a real host with systemd, from nothing to a message and back to nothing. Part of the full
//! suite: it boots a host with `tests/lab/lab`, which needs root and a Debian to make it from.
//!
//! One host and one release serve all steps, in the order of an operator's life with it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use super::repository;
use crate::harness::lab;
use crate::harness::process::eventually;

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A booted host with an unpacked release on it; taken down in the end.
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

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository().join("tests/lab/lab"));
        command.args(arguments).env("LAB_DIR", &self.folder);
        command
    }

    fn lab(&self, arguments: &[&str]) -> String {
        lab::run(&mut self.command(arguments), "use a test host")
    }

    /// Runs a command line on the host that must succeed.
    fn run(&self, line: &str) -> String {
        self.lab(&["run", self.name, "bash", "-c", line])
    }

    /// The same for one that may fail.
    fn output(&self, line: &str) -> Output {
        let mut command = self.command(&["run", self.name, "bash", "-c", line]);
        command.output().expect("bash starts")
    }

    fn says(&self, line: &str) -> bool {
        self.output(line).status.success()
    }

    /// Runs a command line that must fail, and say this.
    #[track_caller]
    fn refused(&self, line: &str, why: &str) {
        let output = self.output(line);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!output.status.success(), "{line} went on:\n{said}");
        assert!(said.contains(why), "it does not say `{why}`:\n{said}");
    }

    fn install(&self, options: &str) -> String {
        self.run(&format!("/var/tmp/release/install.sh {options}"))
    }

    /// Runs the installed program.
    fn chrysalis(&self, arguments: &str) -> String {
        self.run(&format!("/opt/chrysalis/bin/chrysalis {arguments}"))
    }

    /// What systemd knows of the first server.
    fn shows(&self, property: &str) -> String {
        let line = format!("systemctl show -P {property} chrysalis@server1");
        self.run(&line).trim().to_owned()
    }

    /// What the journal has of it since the host was booted, from `sd-daemon(3)` priority `priority` up.
    fn journal(&self, priority: &str) -> String {
        self.run(&format!(
            "journalctl -b -u chrysalis@server1 -p {priority} -o cat"
        ))
    }

    #[track_caller]
    fn holds_the_first_message(&self) {
        let got = self.chrysalis("consume --folder /opt/chrysalis/server1 test");
        assert!(got.contains("hello from install.sh"), "{got}");
    }

    /// What has happened makes systemd start another process, which has all data.
    fn comes_back(&self, what: &str, happens: impl FnOnce()) {
        let before = self.shows("MainPID");
        happens();
        eventually(what, SOON, || {
            // Between the two processes there is none.
            let now = self.shows("MainPID");
            now != before && now != "0" && self.says("systemctl is-active chrysalis@server1")
        });
        self.holds_the_first_message();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

#[test]
fn systemd_runs_what_root_installs() {
    if !lab::full() || !lab::may_boot_hosts() {
        return;
    }
    let _alone = lab::heavy();
    let host = host_with_a_release();
    it_is_installed_and_serves(&host);
    what_is_reached_is_what_the_unit_permits(&host);
    it_comes_back_when_it_dies_or_hangs(&host);
    what_a_restart_cannot_cure_is_left_down(&host);
    a_mistake_does_not_stop_a_server_that_is_restarted_with_care(&host);
    a_stop_is_orderly(&host);
    a_second_server_has_ports_of_its_own(&host);
    it_comes_back_with_its_host(&host);
    data_that_was_kept_serves_again(&host);
    nothing_is_left(&host);
}

fn host_with_a_release() -> Host {
    let folder = tempfile::TempDir::new().expect("make a folder");
    let mut pack = Command::new(repository().join("packaging/release"));
    // A release binary that is there already saves building one.
    if let Some(binary) = std::env::var_os("CHRYSALIS_RELEASE_BINARY") {
        pack.arg("--binary").arg(binary);
    }
    pack.arg(folder.path()).current_dir(repository());
    let archive = lab::run(&mut pack, "make a release");
    let archive = archive.lines().last().expect("it tells the archive's name");
    let host = Host::up("usa");
    host.lab(&["push", host.name, archive, "/var/tmp/release.tar.gz"]);
    host.run("mkdir /var/tmp/release && tar -xf /var/tmp/release.tar.gz -C /var/tmp/release --strip-components=1");
    host
}

fn it_is_installed_and_serves(host: &Host) {
    let plan = host.install("--plan");
    assert!(plan.contains("would start server1"), "{plan}");
    assert!(
        !host.says("test -e /opt/chrysalis"),
        "a plan made something"
    );

    let said = host.install("--topic orders:4");
    for part in [
        "received: hello from install.sh",
        "64 KiB x 16",
        "journalctl -u chrysalis@server1",
    ] {
        assert!(said.contains(part), "it lacks `{part}`:\n{said}");
    }
    host.run("systemctl is-active chrysalis@server1 && systemctl is-enabled chrysalis.target");
    let status = host.run("systemctl status --no-pager chrysalis@server1");
    assert!(
        status.contains("serving coordinator 127.0.0.1:2181"),
        "{status}"
    );
    let said = host.install("--topic orders:4");
    assert!(said.contains("nothing to do"), "{said}");
    // In a shell that was told nothing of it.
    let found = host.run("command -v chrysalis");
    host.run(&format!(
        "[ {} -ef /opt/chrysalis/bin/chrysalis ] && cd / && chrysalis version",
        found.trim()
    ));
}

/// The unit's hardening takes neither io_uring nor a reload away, and nobody else may do anything.
fn what_is_reached_is_what_the_unit_permits(host: &Host) {
    assert_eq!(
        host.run("stat -c %U /opt/chrysalis/server1/data").trim(),
        "chrysalis"
    );
    let status = host.chrysalis("status /opt/chrysalis/server1");
    assert!(status.contains("through io_uring"), "{status}");
    host.refused(
        "sudo -u nobody /opt/chrysalis/bin/chrysalis stop /opt/chrysalis/server1",
        "E0103",
    );
    // Root would leave files there that the server could not open.
    host.refused(
        "/opt/chrysalis/bin/chrysalis restart /opt/chrysalis/server1",
        "systemctl restart chrysalis@server1",
    );
    host.run("systemctl is-active chrysalis@server1");

    host.run("printf '[topics.late]\\n' >>/opt/chrysalis/server1/conf/server.toml");
    host.run("systemctl reload chrysalis@server1");
    let journal = host.journal("info");
    assert!(journal.contains("topics added: late"), "{journal}");
    // The host's journal knows the time itself.
    assert!(journal.contains("INFO serving ports="), "{journal}");
    assert!(!journal.contains("Z  INFO"), "{journal}");
}

fn it_comes_back_when_it_dies_or_hangs(host: &Host) {
    host.comes_back("a killed server is started again", || {
        host.run(&format!("kill -9 {}", host.shows("MainPID")));
    });
    assert_eq!(host.shows("Type"), "notify");
    assert_eq!(host.shows("WatchdogUSec"), "30s");
    let unit = "/etc/systemd/system/chrysalis@server1.service.d";
    host.run(&format!(
        "mkdir {unit} && printf '[Service]\\nWatchdogSec=2\\n' >{unit}/watchdog.conf && systemctl daemon-reload \
         && systemctl restart chrysalis@server1"
    ));
    host.comes_back("a server that hangs is killed and started again", || {
        host.run(&format!("kill -STOP {}", host.shows("MainPID")));
    });
    host.run(&format!(
        "rm -r {unit} && systemctl daemon-reload && systemctl restart chrysalis@server1"
    ));
}

fn what_a_restart_cannot_cure_is_left_down(host: &Host) {
    let file = "/opt/chrysalis/server1/conf/server.toml";
    host.run(&format!(
        "systemctl stop chrysalis@server1 && echo 'nonsense = 1' >>{file}"
    ));
    host.run("! systemctl start chrysalis@server1");
    eventually("it is left down with a mistake", SOON, || {
        host.says("systemctl is-failed chrysalis@server1")
    });
    assert_eq!(host.shows("NRestarts"), "0");
    let journal = host.journal("err");
    assert!(journal.contains("nonsense: unknown key"), "{journal}");
    host.run(&format!(
        "sed -i '$d' {file} && systemctl reset-failed chrysalis@server1 && systemctl start chrysalis@server1"
    ));
}

/// The command that the documents and the unit name.
fn a_mistake_does_not_stop_a_server_that_is_restarted_with_care(host: &Host) {
    let file = "/opt/chrysalis/server1/conf/server.toml";
    let before = host.shows("MainPID");
    host.run(&format!("echo 'nonsense = 1' >>{file}"));
    let check = "cd /opt/chrysalis && runuser -u chrysalis -- bin/chrysalis config check server1";
    let restart = format!("{check} && systemctl restart chrysalis@server1");
    host.refused(&restart, "nonsense: unknown key");
    host.refused("systemctl reload chrysalis@server1", "failed");
    assert_eq!(host.shows("MainPID"), before);
    host.run(&format!("sed -i '$d' {file}"));
    host.run(&restart);
    assert_ne!(host.shows("MainPID"), before);
    host.holds_the_first_message();
}

fn a_stop_is_orderly(host: &Host) {
    host.run("systemctl stop chrysalis@server1");
    assert_eq!(host.shows("Result"), "success");
    let journal = host.journal("info");
    let last = "stopped: everything is on disk";
    assert!(journal.trim_end().contains(last), "{journal}");
    // All of a host are stopped and started by the target.
    host.run("systemctl start chrysalis.target");
    eventually("the target starts it", SOON, || {
        host.says("systemctl is-active chrysalis@server1")
    });
    host.run("systemctl stop 'chrysalis@*'");
    host.refused("systemctl is-active chrysalis@server1", "inactive");
    host.run("systemctl restart chrysalis.target");
    eventually("the target starts it again", SOON, || {
        host.says("systemctl is-active chrysalis@server1")
    });
}

fn a_second_server_has_ports_of_its_own(host: &Host) {
    let said = host.install("--id 2");
    assert!(said.contains("received: hello from install.sh"), "{said}");
    let status = host.chrysalis("status /opt/chrysalis/server2");
    assert!(
        status.contains("coordinator 127.0.0.1:2191, broker 127.0.0.1:8133, web 127.0.0.1:8130"),
        "{status}"
    );
    for id in ["1", "2"] {
        let said = host.install(&format!("--id {id}"));
        assert!(said.contains("nothing to do"), "{said}");
    }
}

/// Once it is shut down in order, and once it loses its power.
fn it_comes_back_with_its_host(host: &Host) {
    let serves = || {
        eventually("both serve after a boot", SOON, || {
            host.says("systemctl is-active chrysalis@server1 chrysalis@server2")
        });
        host.holds_the_first_message();
    };
    host.lab(&["off", host.name]);
    host.lab(&["boot", host.name]);
    serves();
    let journal = host.run("journalctl -b -1 -u chrysalis@server1 -o cat");
    assert!(
        journal.contains("stopped: everything is on disk"),
        "{journal}"
    );
    host.lab(&["kill", host.name]);
    host.lab(&["boot", host.name]);
    serves();
}

fn data_that_was_kept_serves_again(host: &Host) {
    host.install("--uninstall --keep-data");
    host.run("[ ! -e /opt/chrysalis/bin ] && [ ! -e /etc/systemd/system/chrysalis@.service ]");
    host.run(
        "[ -d /opt/chrysalis/server1/data ] && [ -f /opt/chrysalis/server1/conf/server.toml ]",
    );
    host.install("");
    host.holds_the_first_message();
}

fn nothing_is_left(host: &Host) {
    let said = host.install("--uninstall");
    assert!(
        said.contains("stop and disable chrysalis@server1"),
        "{said}"
    );
    let left =
        host.run("find / -xdev -name '*chrysalis*' -not -path '/var/tmp/*' -not -path '/proc/*'");
    assert_eq!(left, "");
    host.run("! id chrysalis");
    let said = host.install("--uninstall");
    assert!(said.contains("nothing of Chrysalis is here"), "{said}");
}
