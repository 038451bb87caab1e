//! Would the tests notice? Deliberate mistakes, kept as patches in `tests/mistakes`, each of which the tests on the
//! simulated disk must find: those of the journal alone (`crash`), or those of a whole server, of groups and of an ensemble
//! (`simulation`). A patch that says `Tests: NAME` is one for the library's own tests of that name.
//!
//! Every run checks that the patches still fit the code. `CHRYSALIS_TESTS=full` applies each to a copy of the
//! tree, builds it in a target folder of its own, and demands that those tests fail; the copy without a
//! mistake must pass. `MISTAKE=name` tries one alone.

#![allow(clippy::print_stdout, reason = "a long test tells how far it is")]

use crate::harness::lab;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// What is not copied.
const LEFT_OUT: [&str; 3] = [".git", "target", "node_modules"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn patches() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("tests/mistakes")).expect("the patches are there");
    let paths = folder.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "patch"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are patches");
    paths
}

/// Applies a patch to the tree in `folder`, or does what `options` say instead.
fn apply(folder: &Path, patch: &Path, options: &[&str]) {
    let output = Command::new("git")
        .arg("apply")
        .args(options)
        .arg(patch)
        .current_dir(folder)
        // Not the repository around a temporary folder, if there is one.
        .env(
            "GIT_CEILING_DIRECTORIES",
            folder.parent().expect("a folder is in a folder"),
        )
        .output()
        .expect("git runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", patch.display());
}

#[test]
fn every_mistake_still_fits_the_code() {
    for patch in patches() {
        apply(root(), &patch, &["--check"]);
    }
}

#[test]
fn every_mistake_is_found() {
    if !lab::full() {
        return;
    }
    let chosen = std::env::var("MISTAKE").ok();
    let copy = tempfile::tempdir().expect("a folder");
    let tree = copy.path().join("tree");
    copy_tree(root(), &tree);
    let mut tests: BTreeSet<Vec<String>> = patches().iter().map(|it| tests_for(it)).collect();
    if let Some(chosen) = &chosen {
        let patch = root().join(format!("tests/mistakes/{chosen}.patch"));
        tests = BTreeSet::from([tests_for(&patch)]);
    }
    for tests in tests {
        let control = run(&tree, &tests);
        let is_well = control.status.is_some_and(|status| status.success());
        assert!(is_well, "without a mistake: {}", control.told);
    }
    let mut missed = Vec::new();
    for patch in patches() {
        let name = patch
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a plain name");
        if chosen.as_deref().is_some_and(|chosen| chosen != name) {
            continue;
        }
        apply(&tree, &patch, &[]);
        let began = Instant::now();
        let run = run(&tree, &tests_for(&patch));
        apply(&tree, &patch, &["--reverse"]);
        let is_built = run.found.is_some() || run.told.contains("test result:");
        let found = match &run.found {
            Some(line) => line,
            None if is_built => "nothing fails",
            // The others are tried all the same.
            None => &format!("it does not build: {}", run.told),
        };
        println!("{name}, after {:?}: {found}", began.elapsed());
        if run.found.is_none() {
            missed.push(name.to_owned());
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What the tests of a tree did.
struct Run {
    /// The line of the first one that failed; the others were not waited for then.
    found: Option<String>,
    status: Option<ExitStatus>,
    told: String,
}

/// What of the tests has to find a mistake: words for the command line.
fn tests_for(patch: &Path) -> Vec<String> {
    let text = fs::read_to_string(patch).expect("it can be read");
    let named = text.lines().find_map(|line| line.strip_prefix("Tests: "));
    let words = match named {
        Some(name) => vec!["--lib", "--", "--format=pretty", name],
        None => vec![
            "--test",
            "it",
            "--",
            "--format=pretty",
            "crash::",
            "simulation::",
        ],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// Runs these tests of a tree, with as many seeds as in every run, until one fails.
fn run(tree: &Path, tests: &[String]) -> Run {
    let errors = tempfile::NamedTempFile::new().expect("a file");
    let mut cargo = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--locked"])
        .args(tests)
        .current_dir(tree)
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes"),
        )
        // What is built is built once, and nobody looks into it.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "1")
        .env("CHRYSALIS_TESTS", "fast")
        .env("RUST_BACKTRACE", "0")
        // The tests end with it.
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(errors.reopen().expect("it is there"))
        .spawn()
        .expect("cargo runs");
    let (mut told, mut found) = (String::new(), None);
    let lines = BufReader::new(cargo.stdout.take().expect("it is a pipe")).lines();
    for line in lines.map_while(Result::ok) {
        told.push_str(&line);
        told.push('\n');
        if line.ends_with("... FAILED") {
            found = Some(line);
            break;
        }
    }
    let status = match found {
        Some(_) => {
            let group = Pid::from_raw(i32::try_from(cargo.id()).expect("a small number"));
            killpg(group, Signal::SIGKILL).expect("they are there");
            let _ended = cargo.wait();
            None
        }
        None => Some(cargo.wait().expect("it ends")),
    };
    told.push_str(&fs::read_to_string(errors.path()).unwrap_or_default());
    Run {
        found,
        status,
        told,
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("a readable folder");
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let kind = entry.file_type().expect("a known kind");
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(name));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name)).expect("copied");
        }
    }
}
