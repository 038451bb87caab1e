//! install.sh as people use it: from an unpacked release, as a user without systemd.
//!
//! What is decided is tried with a stand-in for the installed binary, which does nothing and can be told to fail; that
//! it really brings up a server is tried with the binary. Hosts with systemd are in `install/host.rs`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use tempfile::TempDir;

use crate::harness::lab;
use crate::harness::server::{CHRYSALIS, Ports};

mod cut_off;
mod host;
mod shells;

/// An unpacked release, and a place to install it to; both belong to a user who is not root.
struct Release {
    home: TempDir,
}

/// What install.sh said and how it ended.
struct Said {
    ok: bool,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn ok(self) -> String {
        assert!(self.ok, "install.sh failed:\n{}{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn refused(self, why: &str) {
        assert!(!self.ok, "install.sh went on:\n{}", self.out);
        assert!(
            self.err.contains(why),
            "it does not say `{why}`:\n{}",
            self.err
        );
    }
}

/// Nobody's number on every Linux.
const NOBODY: u32 = 65534;

impl Release {
    /// A release with the binary under test.
    fn real() -> Release {
        let release = Release::bare();
        fs::copy(CHRYSALIS, release.file("chrysalis")).expect("copy the binary");
        release.hand_over()
    }

    /// A release with a stand-in for the binary, of this version.
    fn stand_in(version: &str) -> Release {
        let release = Release::bare();
        release.put_stand_in(version);
        release.hand_over()
    }

    fn put_stand_in(&self, version: &str) {
        self.put_stand_in_at(&self.file("chrysalis"), version);
    }

    /// A stand-in for the binary, of this version. What is to be installed is decided by the real one.
    fn put_stand_in_at(&self, path: &Path, version: &str) {
        let real = self.home.path().join("the-real-one");
        if !real.exists() {
            fs::copy(CHRYSALIS, &real).expect("copy the binary");
        }
        let script = include_str!("install/stand-in.sh")
            .replace("@VERSION@", version)
            .replace("@REAL@", &real.display().to_string());
        put_program(path, &script);
    }

    /// Everything but the binary.
    fn bare() -> Release {
        let home = TempDir::new().expect("make a folder");
        set_mode(home.path(), 0o755);
        let release = Release { home };
        let unpacked = release.home.path().join("release");
        fs::create_dir(&unpacked).expect("make a folder");
        fs::copy(repository().join("install.sh"), unpacked.join("install.sh")).expect("copy");
        release
    }

    /// Gives everything to the user, if we may.
    fn hand_over(self) -> Release {
        if lab::is_root() {
            give(self.home.path());
        }
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("release").join(name)
    }

    fn prefix(&self) -> PathBuf {
        self.home.path().join("installed")
    }

    fn server(&self) -> PathBuf {
        self.prefix().join("server1")
    }

    fn install(&self, arguments: &[&str]) -> Said {
        let prefix = format!("--prefix={}", self.prefix().display());
        self.install_sh(&[&[prefix.as_str()], arguments].concat())
    }

    fn install_sh(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("bash");
        command.arg(self.file("install.sh")).args(arguments);
        let output = self.as_user(&mut command).output().expect("bash starts");
        Said {
            ok: output.status.success(),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the installed program.
    fn chrysalis(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.prefix().join("bin/chrysalis"));
        lab::run(
            self.as_user(command.args(arguments)),
            "run what was installed",
        )
    }

    fn as_user<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if lab::is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env_remove("SUDO_USER")
    }

    /// Every file and link under the prefix with when it was last changed, but for what a running server
    /// writes.
    fn everything(&self) -> Vec<(PathBuf, SystemTime)> {
        let mut found = Vec::new();
        gather(&self.prefix(), &mut found);
        found.sort();
        found
    }
}

impl Drop for Release {
    /// A failed test must not leave its server behind.
    fn drop(&mut self) {
        if self.prefix().join("bin/chrysalis").exists() {
            self.install(&["--uninstall"]);
        }
    }
}

fn gather(folder: &Path, found: &mut Vec<(PathBuf, SystemTime)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("list a folder").path();
        let about = path.symlink_metadata().expect("look at a file");
        let of_the_server = path.ends_with("server1/data") || path.ends_with("server1/logs");
        if about.is_dir() && !of_the_server {
            gather(&path, found);
        } else if !of_the_server {
            found.push((path, about.modified().expect("Linux knows when")));
        }
    }
}

fn put_program(path: &Path, script: &str) {
    fs::write(path, script).expect("write a program");
    set_mode(path, 0o755);
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set permissions");
}

fn give(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("list a folder") {
            give(&entry.expect("list a folder").path());
        }
    }
}

fn port_options(ports: &Ports) -> [String; 3] {
    [
        format!("--coordinator-port={}", ports.coordinator),
        format!("--broker-port={}", ports.broker),
        format!("--web-port={}", ports.web),
    ]
}

#[test]
fn a_plan_changes_nothing() {
    let release = Release::stand_in("1.0.0");
    let [coordinator, broker, web] = port_options(&Ports::free());
    let plan = release
        .install(&["--plan", &coordinator, &broker, &web])
        .ok();
    for step in [
        "versions/1.0.0/chrysalis",
        "would make",
        "would start server1",
    ] {
        assert!(plan.contains(step), "the plan lacks `{step}`:\n{plan}");
    }
    assert!(!release.prefix().exists(), "a plan made something");

    release.install(&[&coordinator, &broker, &web]).ok();
    let before = release.everything();
    let plan = release.install(&["--plan", "--uninstall"]).ok();
    assert!(plan.contains("would remove"), "{plan}");
    assert_eq!(release.everything(), before);
    let plan = release.install(&["--plan"]).ok();
    assert!(plan.contains("everything is as it should be"), "{plan}");
}

#[test]
fn mistakes_are_told_with_their_cure() {
    let release = Release::stand_in("1.0.0");
    release
        .install(&["--frobnicate"])
        .refused("unexpected argument '--frobnicate'");
    release
        .install(&["--keep-data"])
        .refused("unexpected argument '--keep-data'");
    release
        .install(&["--id", "0"])
        .refused("0 is not in 1..=254");
    release
        .install(&["--broker-port"])
        .refused("a value is required for '--broker-port");
    release
        .install(&["--uninstall", "--topic", "a"])
        .refused("unexpected argument '--topic'");
    release
        .install_sh(&["--prefix"])
        .refused("--prefix needs a value");
    release
        .install(&["--topic", "a b"])
        .refused("a topic's name must be");
    release
        .install(&["--user", "nobody"])
        .refused("without systemd a server runs as whoever starts it");
    release
        .install(&["--listen", "192.0.2.1"])
        .refused("192.0.2.1 is no address of this host");
    release
        .install_sh(&[])
        .refused("choose a folder of your own");
    release
        .install_sh(&["--prefix", "/usr/chrysalis"])
        .refused("cannot be written");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    release
        .install(&["--coordinator-port", &port.to_string()])
        .refused("Choose another with --coordinator-port");
    assert!(
        !release.prefix().exists(),
        "something was made all the same"
    );

    fs::remove_file(release.file("chrysalis")).expect("remove the stand-in");
    release
        .install(&[])
        .refused("neither a binary nor a source");
    fs::write(release.file("Cargo.toml"), "").expect("write a file");
    release.install(&[]).refused("no cargo to build one");
}

#[test]
fn a_checkout_is_built_first_and_nothing_is_installed_if_that_fails() {
    let checkout = Release::bare();
    fs::write(checkout.file("Cargo.toml"), "version = \"1.0.0\"\n").expect("write a file");
    let cargo = checkout.home.path().join(".cargo/bin/cargo");
    fs::create_dir_all(cargo.parent().expect("it has a folder")).expect("make a folder");
    put_program(&cargo, include_str!("install/stand-in-cargo.sh"));
    let checkout = checkout.hand_over();
    let [coordinator, broker, web] = port_options(&Ports::free());
    let options = [coordinator.as_str(), &broker, &web];
    checkout.install(&options).refused("the build failed");
    assert!(!checkout.prefix().exists(), "something was installed");

    checkout.put_stand_in_at(&checkout.home.path().join("source"), "1.0.0");
    let said = checkout.install(&options).ok();
    assert!(said.contains("building with cargo"), "{said}");
    let installed = checkout.prefix().join("versions/1.0.0/chrysalis");
    assert!(installed.exists(), "{said}");
}

#[test]
fn a_release_that_was_changed_is_refused() {
    let release = Release::stand_in("1.0.0");
    let unpacked = release.home.path().join("release");
    let sums = lab::run(
        Command::new("sha256sum")
            .arg("chrysalis")
            .arg("install.sh")
            .current_dir(&unpacked),
        "sum a release up",
    );
    fs::write(release.file("SHA256SUMS"), sums).expect("write the sums");
    release.install(&["--plan"]).ok();
    release.put_stand_in("1.0.1");
    release.install(&["--plan"]).refused("a checksum is wrong");
}

#[test]
fn a_new_version_takes_over_and_one_that_does_not_start_gives_way() {
    let release = Release::stand_in("1.0.0");
    let [coordinator, broker, web] = port_options(&Ports::free());
    release.install(&[&coordinator, &broker, &web]).ok();
    let leads_to = || {
        let link = release.prefix().join("bin/chrysalis");
        fs::read_link(link)
            .expect("it is a link")
            .display()
            .to_string()
    };
    assert_eq!(leads_to(), "../versions/1.0.0/chrysalis");

    release.put_stand_in("1.1.0");
    let said = release.install(&[]).ok();
    assert!(said.contains("restart server1"), "{said}");
    assert_eq!(leads_to(), "../versions/1.1.0/chrysalis");
    assert!(
        release.prefix().join("versions/1.0.0/chrysalis").exists(),
        "kept, to go back to"
    );

    // The stand-in does not start when its version ends in 13.
    release.put_stand_in("1.1.13");
    release.install(&[]).refused("did not start");
    assert_eq!(leads_to(), "../versions/1.1.0/chrysalis");
    assert!(
        release.server().join("data/running").exists(),
        "the one before serves again"
    );
}

#[test]
fn what_is_not_ours_stays() {
    let release = Release::stand_in("1.0.0");
    let [coordinator, broker, web] = port_options(&Ports::free());
    release.install(&[&coordinator, &broker, &web]).ok();
    let note = release.server().join("note.txt");
    fs::write(&note, "mine").expect("write a file");
    let said = release.install(&["--uninstall"]).ok();
    assert!(
        said.contains("note.txt"),
        "it does not say what is left:\n{said}"
    );
    assert!(note.exists());
    let left: Vec<PathBuf> = release
        .everything()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(left, [note]);
    let said = release.install(&["--uninstall"]).ok();
    assert!(said.contains("nothing of Chrysalis is here"), "{said}");
}

/// The original's servers have folders of the same names, and so may anybody's.
#[test]
fn what_looks_like_ours_and_is_not_stays() {
    let release = Release::bare();
    release.put_stand_in("1.0.0");
    let others = [
        "server1/data/precious",
        "server1/conf/server.ini",
        "bin/chrysalis",
        "versions/9/notes",
    ]
    .map(|file| release.prefix().join(file));
    for file in &others {
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("make its folder");
        fs::write(file, "not ours").expect("write a file");
    }
    let release = release.hand_over();
    let before = release.everything();
    let said = release.install(&["--uninstall"]).ok();
    assert!(said.contains("nothing of Chrysalis is here"), "{said}");
    assert_eq!(release.everything(), before);
}

#[test]
fn a_user_installs_twice_and_takes_it_away() {
    let release = Release::real();
    let ports = Ports::free();
    let [coordinator, broker, web] = port_options(&ports);
    let options = ["--topic=orders:4", &coordinator, &broker, &web];

    let said = release.install(&options).ok();
    assert!(said.contains("received: hello from install.sh"), "{said}");
    let host = lab::run(Command::new("uname").arg("-n"), "name this host");
    let shown = said.replace(&format!(" on {},", host.trim()), " on host1,");
    crate::samples::assert_shown("README.md", "./install.sh", &shown, &release.prefix());
    for folder in ["bin", "conf", "data", "logs"] {
        assert!(
            release.server().join(folder).is_dir(),
            "server1/{folder} is missing"
        );
    }
    let old_name = |script: &str, arguments: &[&str]| {
        let mut command = Command::new(release.server().join("bin").join(script));
        lab::run(
            release.as_user(command.args(arguments)),
            "call a script by its old name",
        )
    };
    old_name("metaServer.sh", &["status"]);
    assert!(old_name("zkCli.sh", &["ls", "/"]).contains("meta"));

    let before = release.everything();
    let said = release.install(&options).ok();
    assert!(said.contains("nothing to do"), "{said}");
    let other = release.install(&["--listen=0.0.0.0", "--topic=orders:4"]);
    assert_eq!(other.code, Some(4), "{}{}", other.out, other.err);
    let told = "not applied: server1 is there already";
    assert!(other.out.contains(told), "{}", other.out);
    assert!(other.out.contains("server.listen is"), "{}", other.out);
    assert_eq!(
        release.everything(),
        before,
        "the second time changed something"
    );

    let said = release.install(&["--uninstall", "--keep-data"]).ok();
    assert!(said.contains("stop server1"), "{said}");
    assert!(
        release.server().join("conf/server.toml").exists()
            && release.server().join("data/journal").is_dir()
    );
    assert!(!release.prefix().join("bin").exists() && !release.server().join("bin").exists());

    // The kept data serves again.
    let folder = release.server().display().to_string();
    release.install(&[]).ok();
    // A send waits until the broker has registered, a plain read does not.
    release.chrysalis(&["produce", "--folder", &folder, "test", "again"]);
    let got = release.chrysalis(&["consume", "--folder", &folder, "test"]);
    assert!(
        got.contains("hello from install.sh") && got.contains("again"),
        "{got}"
    );

    release.install(&["--uninstall"]).ok();
    assert!(!release.prefix().exists(), "something was left");
}

#[test]
fn a_listen_address_that_is_taken_elsewhere_does_not_matter() {
    // Two servers may have one port on two addresses; the probe must ask the one that was named.
    let release = Release::stand_in("1.0.0");
    let other = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).expect("a free port");
    let port = other.local_addr().expect("it is bound").port();
    let taken = format!("--coordinator-port={port}");
    release.install(&["--plan", &taken]).ok();
    release
        .install(&["--plan", "--listen=127.0.0.2", &taken])
        .refused("is in use");
}
