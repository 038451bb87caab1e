//! The tests of aiozk 0.32, whose clients know all three servers.

use super::verdicts::{LeftOut, Verdicts};
use super::{Suite, wanted};
use crate::harness::lab::{self, python};
use crate::harness::process::run_to_end;
use std::time::Duration;

const LEFT_OUT: &[LeftOut] = &[(
    "aiozk/test/test_watchers.py::test_multi_watcher",
    "containers are of 3.5; the client refuses to ask a 3.4 for one",
)];

const PASSED: usize = 84;

/// Where one server listens; the others follow from it.
const PORT: u16 = 12_181;

fn run(suite: &Suite, only: Option<&[String]>) -> Verdicts {
    let source = python::aiozk_tests();
    // The tests put host and port together, so the host may be a list that ends with one.
    let hosts = format!(
        "127.0.0.1:{},127.0.0.1:{},127.0.0.1",
        PORT + 10_020,
        PORT + 10_030
    );
    let mut command = suite.command("python3");
    command
        .current_dir(source.join("source"))
        .env("PYTHONPATH", python::path_of(&source))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ZK_HOST", hosts)
        .env("ZK_PORT", PORT.to_string())
        .args(["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"])
        .args(["--color=no", "--show-capture=no", "--tb=short"])
        .args(["-o", "addopts=", "--timeout=120"])
        .args(["--deselect", LEFT_OUT[0].0]);
    match only {
        Some(names) => command.args(names),
        None => command.arg("aiozk/test"),
    };
    let outcome = run_to_end(&mut command, "", Duration::from_secs(10 * 60));
    Verdicts::of_pytest(outcome.stdout + &outcome.stderr)
}

#[test]
fn the_tests_of_aiozk_pass() {
    if !wanted() {
        return;
    }
    let _alone = lab::heavy();
    let suite = Suite::new();
    let _servers = suite.serve(PORT);
    suite.judge(LEFT_OUT, PASSED, run);
}
