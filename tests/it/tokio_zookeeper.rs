//! The test suite of tokio-zookeeper, as it was published. It insists on 127.0.0.1:2181, and its tests leave
//! znodes behind on which they would fail the next time, so each run has a network and a server of its own.

use crate::harness::deployment::START_LIMIT;
use crate::harness::lab;
use crate::harness::lab::crates::tokio_zookeeper_tests;
use crate::harness::lab::namespace::Namespace;
use crate::harness::originals::{Jvm, ZooKeeper};
use crate::harness::process::{Process, run_to_end};
use crate::harness::server::{CHRYSALIS, Ports, Server};
use std::fs;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

fn run(namespace: &Namespace, server: &mut Process) {
    let program = tokio_zookeeper_tests();
    let asking = "exec 3<>/dev/tcp/127.0.0.1/2181 && printf srvr >&3 && grep -q standalone <&3";
    server.wait_until("serving on 2181", START_LIMIT, || {
        let mut probe = namespace.command("timeout");
        probe.args(["5", "bash", "-c", asking]);
        run_to_end(&mut probe, "", Duration::from_secs(10))
            .status
            .success()
    });
    let mut tests = namespace.command(program);
    tests.args(["--test-threads=1", "--color=never"]);
    let outcome = run_to_end(&mut tests, "", Duration::from_secs(120));
    // Its tests write their log to the same output, so only the last line can be relied on.
    assert!(
        outcome.status.success()
            && outcome
                .stdout
                .contains("test result: ok. 7 passed; 0 failed"),
        "{}\n{}",
        outcome.stdout,
        server.log_tail()
    );
}

#[test]
fn the_tests_of_tokio_zookeeper_pass() {
    if !lab::full() || !lab::may_make_namespaces() {
        return;
    }
    let namespace = Namespace::new();
    let home = TempDir::new().expect("make a folder");
    let ports = Ports {
        coordinator: 2181,
        broker: 8123,
        web: 8120,
    };
    let server = Server::prepare_at(&home.path().join("server1"), ports, &[], |_| {});
    let mut command = namespace.command(CHRYSALIS);
    command.arg("run").arg(server.folder());
    let mut process = server.spawn(&mut command);
    run(&namespace, &mut process);
}

#[test]
fn the_tests_of_tokio_zookeeper_pass_against_the_original() {
    if !lab::full() || !lab::may_make_namespaces() {
        return;
    }
    let _alone = lab::heavy();
    let namespace = Namespace::new();
    let folder = TempDir::new().expect("make a folder");
    ZooKeeper::configure(folder.path(), ([127, 0, 0, 1], 2181).into());
    let java = ZooKeeper::command(folder.path(), Jvm::Quick);
    let mut command: Command = namespace.command(java.get_program());
    command.args(java.get_args());
    let mut process = Process::start(
        "ZooKeeper 3.8",
        &mut command,
        &folder.path().join("zookeeper.log"),
    );
    run(&namespace, &mut process);
    assert!(
        fs::exists(folder.path().join("data")).expect("look at the data"),
        "the server had a folder of its own"
    );
}
