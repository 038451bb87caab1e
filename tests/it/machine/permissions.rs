//! What another user keeps to himself: every command says that it may not look, and none takes that for a mistake of
//! whoever wrote the configuration.

use super::Somebody;
use crate::harness::lab;
use crate::harness::process::{Outcome, run_to_end};
use crate::harness::server::CHRYSALIS;
use nix::unistd::{Gid, Uid, chown};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn chmod(path: &Path, mode: u32) {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).expect("change what others may do");
}

/// A server's folder, with any free ports, that root made.
fn init(folder: &Path) {
    let mut init = Command::new(CHRYSALIS);
    init.arg("init").arg(folder);
    for port in ["--coordinator-port", "--broker-port", "--web-port"] {
        init.args([port, "0"]);
    }
    let made = run_to_end(&mut init, "", LIMIT);
    assert!(made.status.success(), "{}", made.stderr);
}

#[track_caller]
fn assert_not_permitted(what: &str, outcome: &Outcome) {
    let said = format!("{what}: {}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.status.code(), Some(15), "{said}");
    assert!(said.contains("E0103"), "{said}");
}

#[test]
fn what_another_user_keeps_to_himself_is_no_mistake_of_the_configuration() {
    if !lab::root() {
        return;
    }
    let somebody = Somebody::new(54_328);
    let folder = somebody.folder();
    init(&folder);
    let (conf, file) = (folder.join("conf"), folder.join("conf/server.toml"));
    let path = folder.to_str().expect("a plain path");
    // The folder, then `conf/`, then the file alone.
    for (root_mode, conf_mode) in [(0o700, 0o755), (0o755, 0o700), (0o755, 0o755)] {
        chmod(&folder, root_mode);
        chmod(&conf, conf_mode);
        chmod(&file, 0o600);
        for command in [
            "config check",
            "config show",
            "run",
            "start",
            "restart",
            "stop",
            "status",
            "doctor",
            "reload",
            "topic list",
            "topic create orders",
            "produce test hello",
            "zk ls /",
            "bench broker put",
            "dump journal",
        ] {
            let mut command_line = somebody.command(&[]);
            command_line
                .args(command.split(' '))
                .args(["--folder", path]);
            let what = format!("{command} with modes {root_mode:o} and {conf_mode:o}");
            assert_not_permitted(&what, &run_to_end(&mut command_line, "", LIMIT));
        }
    }
    // Who stands in the folder means it, although he may not look into it.
    chmod(&conf, 0o700);
    let mut here = somebody.command(&[]);
    here.arg("status").current_dir(&folder);
    assert_not_permitted("status", &run_to_end(&mut here, "", LIMIT));
}

#[test]
fn a_reload_says_that_the_server_may_no_longer_read_its_configuration() {
    if !lab::root() {
        return;
    }
    let somebody = Somebody::new(54_329);
    let folder = somebody.folder();
    init(&folder);
    somebody.own(&folder);
    let run = |command: &str| {
        let mut chrysalis = somebody.command(&[]);
        run_to_end(chrysalis.arg(command).arg(&folder), "", LIMIT)
    };
    let started = run("start");
    assert!(started.status.success(), "{}", started.stderr);
    let file = folder.join("conf/server.toml");
    chown(&file, Some(Uid::from_raw(0)), Some(Gid::from_raw(0))).expect("take it");
    chmod(&file, 0o600);
    let reloaded = run("reload");
    let mut stop = Command::new(CHRYSALIS);
    let stopped = run_to_end(stop.arg("stop").arg(&folder), "", LIMIT);
    assert!(stopped.status.success(), "{}", stopped.stderr);
    assert_not_permitted("reload", &reloaded);
}
