//! Debian's `zkCli.sh`, scripted: the script is the package's own, the environment file beside it is ours,
//! because the package's names folders of an installed system.

use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::lab::debian;
use crate::harness::originals::ZooKeeper;
use crate::harness::process::{Outcome, run_to_end};
use crate::harness::server::Server;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What is typed, and what its answer must contain.
const SCRIPT: &[(&str, &[&str])] = &[
    ("create /cli first", &["Created /cli"]),
    ("create /cli again", &["Node already exists: /cli"]),
    ("get /cli", &["first"]),
    (
        "get -s /cli",
        &[
            "first",
            "cZxid = ",
            "dataVersion = 0",
            "dataLength = 5",
            "numChildren = 0",
        ],
    ),
    ("set -s /cli second", &["dataVersion = 1"]),
    ("set -v 0 /cli third", &["version No is not valid : /cli"]),
    ("create -e /cli/ephemeral x", &["Created /cli/ephemeral"]),
    ("create -s /cli/seq- x", &["Created /cli/seq-0000000001"]),
    (
        "create /cli/none/deeper x",
        &["Node does not exist: /cli/none/deeper"],
    ),
    ("ls /cli", &["[ephemeral, seq-0000000001]"]),
    ("ls -s /cli", &["numChildren = 2", "cversion = 2"]),
    (
        "ls -R /cli",
        &["/cli", "/cli/ephemeral", "/cli/seq-0000000001"],
    ),
    ("stat -w /cli", &["dataVersion = 1"]),
    (
        "set /cli watched",
        &["WatchedEvent state:SyncConnected type:NodeDataChanged path:/cli"],
    ),
    ("getAcl /cli", &["'world,'anyone", ": cdrwa"]),
    ("addauth digest bob:secret", &[]),
    ("setAcl /cli/seq-0000000001 auth::rw", &[]),
    ("getAcl /cli/seq-0000000001", &["'digest,'bob:", ": rw"]),
    ("setquota -n 5 /cli", &[]),
    (
        "listquota /cli",
        &[
            "Output quota for /cli count=5",
            "Output stat for /cli count=3",
        ],
    ),
    ("delquota /cli", &[]),
    ("sync /cli", &["Sync is OK"]),
    ("delete /cli", &["Node not empty: /cli"]),
    ("deleteall /cli", &[]),
    ("ls /", &["[zookeeper]"]),
    ("get /cli", &["Node does not exist: /cli"]),
];

fn run(address: SocketAddr) {
    let folder = TempDir::new().expect("make a folder");
    fs::copy(
        debian::zookeeper().join("usr/share/zookeeper/bin/zkCli.sh"),
        folder.path().join("zkCli.sh"),
    )
    .expect("copy the package's script");
    fs::write(
        folder.path().join("zkEnv.sh"),
        format!(
            "JAVA=java\nZOO_LOG_DIR={}\nCLASSPATH={}\nCLIENT_JVMFLAGS='-Dorg.slf4j.simpleLogger.defaultLogLevel=error'\n",
            folder.path().display(),
            debian::zookeeper_class_path()
        ),
    )
    .expect("write the environment file");
    let mut typed = String::new();
    for (line, _) in SCRIPT {
        typed.push_str(line);
        typed.push('\n');
    }
    typed.push_str("quit\n");
    let mut command = Command::new("bash");
    command
        .arg(folder.path().join("zkCli.sh"))
        .args(["-server", &address.to_string()]);
    let Outcome {
        stdout: said,
        stderr: complained,
        ..
    } = run_to_end(&mut command, &typed, Duration::from_secs(60));
    // Answers come on one stream, errors on the other, so an order between them cannot be told.
    let mut missing = Vec::new();
    for (line, expected) in SCRIPT {
        for text in *expected {
            if !said.contains(text) && !complained.contains(text) {
                missing.push(format!("{line}: {text}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not said:\n  {}\n\n{said}\n\n{complained}",
        missing.join("\n  ")
    );
}

#[test]
fn the_shell_of_zookeeper_works() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    // A broker would have znodes of its own beside the script's.
    let server = Server::coordinator_alone(|_| {});
    run(server.coordinator());
}

#[test]
fn the_shell_script_holds_for_the_original() {
    if !lab::full() {
        return;
    }
    let _alone = lab::heavy();
    run(ZooKeeper::start().address());
}
