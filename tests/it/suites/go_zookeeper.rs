//! The tests of go-zookeeper/zk 1.0.4, which start and kill ensembles of three themselves; what they start alone is three
//! servers here, too.

use super::verdicts::{LeftOut, Verdicts};
use super::{Suite, launchers, wanted};
use crate::harness::lab::{self, go};
use crate::harness::process::run_to_end;
use std::time::Duration;

const LEFT_OUT: &[LeftOut] = &[
    // The test around it fails with it; the others within it are counted.
    ("TestIntegration_Create", "containers are of 3.5"),
    (
        "TestIntegration_Create/valid_container_from_Create",
        "containers are of 3.5",
    ),
    ("TestIntegration_CreateTTL*", "TTLs are of 3.5"),
    ("TestIntegration_CreateContainer*", "containers are of 3.5"),
];

const PASSED: usize = 69;

fn run(suite: &Suite, only: Option<&[String]>) -> Verdicts {
    let mut command = suite.command(go::zk_tests());
    command
        .env("ZOOKEEPER_BIN_PATH", launchers())
        .args(["-test.v", "-test.timeout=20m"]);
    if let Some(names) = only {
        // A test within a test runs with all of it.
        let names: Vec<&str> = names.iter().filter_map(|it| it.split('/').next()).collect();
        command.arg(format!("-test.run=^({})$", names.join("|")));
    }
    let outcome = run_to_end(&mut command, "", Duration::from_secs(25 * 60));
    Verdicts::of_go(outcome.stdout + &outcome.stderr)
}

#[test]
fn the_tests_of_go_zookeeper_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    Suite::new().judge(LEFT_OUT, PASSED, run);
}
