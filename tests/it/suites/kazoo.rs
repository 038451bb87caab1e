//! The tests of kazoo 2.11, which start, stop and restart their three servers themselves.

use super::verdicts::{LeftOut, Verdicts};
use super::{Suite, launchers, wanted};
use crate::harness::lab::{self, python};
use crate::harness::process::run_to_end;
use std::time::Duration;

/// kazoo itself skips seven tests, because it is told that it meets a 3.4.
const LEFT_OUT: &[LeftOut] = &[(
    "kazoo/tests/test_sasl.py",
    "clients authenticate by digest alone: SASL is not supported yet",
)];

const PASSED: usize = 480;

fn run(suite: &Suite, only: Option<&[String]>) -> Verdicts {
    let source = python::kazoo_tests();
    let mut command = suite.command("python3");
    command
        .current_dir(source.join("source"))
        .env("PYTHONPATH", python::path_of(&source))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CI", "true")
        .env("ZOOKEEPER_VERSION", "3.4.14")
        .env("ZOOKEEPER_PATH", launchers())
        .args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"])
        .args(["--color=no", "--show-capture=no", "--tb=short"])
        .args(["-o", "log_cli=false", "-o", "addopts=", "--timeout=180"]);
    for (name, _) in LEFT_OUT {
        command.args(["--deselect", name]);
    }
    match only {
        Some(names) => command.args(names),
        None => command.arg("kazoo/tests"),
    };
    let outcome = run_to_end(&mut command, "", Duration::from_secs(30 * 60));
    Verdicts::of_pytest(outcome.stdout + &outcome.stderr)
}

#[test]
fn the_tests_of_kazoo_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    Suite::new().judge(LEFT_OUT, PASSED, run);
}
