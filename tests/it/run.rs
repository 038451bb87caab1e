//! What `tests/run` says in the end, and what it ends with: played with a cargo that only tells what it is given.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The last lines of a run of this suite, and its exit code. Cargo's tests say `told` and end with `code`.
fn run(suite: &str, told: &str, code: i32) -> (String, Option<i32>) {
    let home = TempDir::new().expect("make a folder");
    let path = |name: &str| home.path().join(name);
    let program = |name: &str, text: &str| {
        fs::write(path(name), format!("#!/bin/sh\n{text}")).expect("write a program");
        let may_run = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path(name), may_run).expect("make it a program");
    };
    for folder in ["tests", "bin", "fuzz/fuzz_targets"] {
        fs::create_dir_all(path(folder)).expect("make a folder");
    }
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run");
    fs::copy(ours, path("tests/run")).expect("copy the program");
    program("tests/setup", "");
    fs::write(path("told"), told).expect("write what is told");
    let cargo = format!("if [ $1 = test ]; then cat told; exit {code}; fi\n");
    program("bin/cargo", &cargo);
    let search = std::env::var("PATH").expect("a path");
    let output = Command::new(path("tests/run"))
        .env("PATH", format!("{}:{search}", path("bin").display()))
        .env("CHRYSALIS_TESTS", suite)
        .env("SEED", "7")
        .output()
        .expect("it starts");
    let said = String::from_utf8(output.stdout).expect("it is text");
    // The last of its steps prints what cargo prints.
    let (_, end) = said.split_once(told).expect("what cargo tells is shown");
    let end = end.rsplit_once(", ").expect("the time is told last").0;
    (end.trim_start().to_owned(), output.status.code())
}

const GOOD: &str = "test result: ok. 300 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test result: ok. 20 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
const BAD: &str =
    "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";

#[test]
fn the_last_line_tells_what_passed_what_failed_and_what_was_left_out() {
    let said = |text: &str, code| (text.to_owned(), Some(code));
    assert_eq!(
        run("fast", GOOD, 0),
        said("ok: 320 tests passed, 0 failed (fast, SEED=7", 0)
    );
    // Each once, also where it stands behind another test's name, or is said twice.
    let left = format!(
        "left out here: a::b: CHRYSALIS_TESTS=full runs it\n\
         test c ... left out here: a::c: CHRYSALIS_TESTS=full runs it\nok\n\
         left out here: a::b: CHRYSALIS_TESTS=full runs it\n{GOOD}"
    );
    assert_eq!(
        run("fast", &left, 0),
        said(
            "ok: 318 tests passed, 0 failed, 2 left out (fast: CHRYSALIS_TESTS=full runs them; SEED=7",
            0
        )
    );
    assert_eq!(
        run("fast", &format!("{GOOD}{BAD}"), 101),
        said("FAILED: 325 tests passed, 2 failed (fast, SEED=7", 101)
    );
}

#[test]
fn a_full_run_that_has_not_seen_everything_is_incomplete() {
    let unseen = format!("not seen here: a::b: it needs root\n{GOOD}");
    let line = "not seen here: a::b: it needs root";
    let ends = |suite, told: &str, code| {
        let (said, code) = run(suite, told, code);
        let verdict = said.rsplit('\n').next().unwrap_or_default();
        let verdict = verdict.split(' ').next().unwrap_or_default();
        (said.contains(line), verdict.to_owned(), code)
    };
    let is = |shown, verdict: &str, code| (shown, verdict.to_owned(), Some(code));
    assert_eq!(ends("fast", &unseen, 0), is(true, "ok:", 0));
    assert_eq!(ends("full", &unseen, 0), is(true, "INCOMPLETE:", 3));
    assert_eq!(ends("full", GOOD, 0), is(false, "ok:", 0));
    let failed = format!("{unseen}{BAD}");
    assert_eq!(ends("full", &failed, 101), is(true, "FAILED:", 101));
}
