//! The tests of ZooKeeper's C client, of Debian's source of 3.8. One server is stopped and started by their own script,
//! `tests/zkServer.sh`, which calls `java`; it is three servers here.

use super::verdicts::Verdicts;
use super::{Suite, wanted};
use crate::harness::lab::{self, c_client};
use crate::harness::process::run_to_end;
use std::fs;
use std::time::Duration;

/// What runs, and how many tests it is. What is left out:
///
/// - `TestReconfigServer`, `Zookeeper_reconfig`: the reconfiguration of 3.5; the second meets no server at all.
/// - `Zookeeper_readOnly`: it reads an empty server that has met no leader since its start, which shows nothing here.
/// - `Zookeeper_SASLAuth`, `testSSL`: SASL and TLS for clients are not supported yet.
/// - `testCreate`, `testAsyncWatcherAutoReset`: `create2` is of 3.5.
/// - `testCreateContainer`, `testCreateTtl`, `testRemoveWatchers`: containers, TTLs and the removal of watches are of 3.5.
/// - `testIPV6`: by a `zoo.cfg` that names no address a server listens on all of IPv4, and on IPv6 only if it is told to.
/// - `testHangingClient`: its watcher asks while the client is closed, and takes some of the errors that this brings for
///   a failure. It fails about every third time, by a race within the client.
const PARTS: &[(&str, usize)] = &[
    ("Zookeeper_multi", 13),
    ("Zookeeper_clientretry", 1),
    ("Zookeeper_logClientEnv", 1),
    ("Zookeeper_operations", 5),
    ("Zookeeper_watchers", 7),
    ("Zookeeper_close", 5),
    ("Zookeeper_init", 14),
    ("Zookeeper_simpleSystem::testLogCallbackSet", 1),
    ("Zookeeper_simpleSystem::testLogCallbackInit", 1),
    ("Zookeeper_simpleSystem::testLogCallbackClear", 1),
    ("Zookeeper_simpleSystem::testDeserializeString", 1),
    ("Zookeeper_simpleSystem::testFirstServerDown", 1),
    ("Zookeeper_simpleSystem::testNonexistentHost", 1),
    ("Zookeeper_simpleSystem::testNullData", 1),
    ("Zookeeper_simpleSystem::testPath", 1),
    ("Zookeeper_simpleSystem::testPathValidation", 1),
    ("Zookeeper_simpleSystem::testPing", 1),
    ("Zookeeper_simpleSystem::testAcl", 1),
    ("Zookeeper_simpleSystem::testChroot", 1),
    ("Zookeeper_simpleSystem::testAuth", 1),
    ("Zookeeper_simpleSystem::testWatcherAutoResetWithGlobal", 1),
    ("Zookeeper_simpleSystem::testWatcherAutoResetWithLocal", 1),
    ("Zookeeper_simpleSystem::testGetChildren2", 1),
    ("Zookeeper_simpleSystem::testLastZxid", 1),
    ("Zookeeper_simpleSystem::testServersResolutionDelay", 1),
];

/// Where their script keeps the id of its server's process.
const PID: &str = "/tmp/zk.pid";

fn run(suite: &Suite, only: Option<&[String]>) -> Verdicts {
    let built = c_client::tests();
    let parts: Vec<&str> = only.map_or_else(
        || PARTS.iter().map(|(part, _)| *part).collect(),
        |names| names.iter().map(String::as_str).collect(),
    );
    let mut verdicts = Verdicts::default();
    for part in parts {
        // Of a run that was cut short; the script would kill that process.
        let _ = fs::remove_file(PID);
        let base = suite.folder.path().join("base");
        let _ = fs::remove_dir_all(&base);
        c_client::lay(&built, &base);
        let mut command = suite.command(built.join("zktest"));
        command.arg(part).env("base_dir", &base);
        command.current_dir(c_client::folder_in(&base));
        let outcome = run_to_end(&mut command, "", Duration::from_secs(5 * 60));
        let name = part.split("::").next().unwrap_or(part);
        verdicts.add(Verdicts::of_cppunit(outcome.stdout + &outcome.stderr, name));
    }
    verdicts
}

#[test]
fn the_tests_of_the_c_client_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    let floor = PARTS.iter().map(|(_, count)| count).sum();
    Suite::new().judge(&[], floor, run);
}
