//! Would the tests notice? Deliberate mistakes, kept as patches in `tests/mistakes`, each of which the tests on the
//! simulated disk must find: those of the journal alone (`crash`), or those of a whole server, of groups and of an ensemble
//! (`simulation`).
//!
//! Every run checks that the patches still fit the code. `CHRYSALIS_TESTS=full` applies each to a copy of the
//! tree, builds it in a target folder of its own, and demands that those tests fail; the copy without a
//! mistake must pass. `MISTAKE=name` tries one alone.

#![allow(clippy::print_stdout, reason = "a long test tells how far it is")]

use crate::harness::lab;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
    let control = simulated(&tree);
    assert!(
        control.status.success(),
        "without a mistake: {}",
        told(&control)
    );
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
        let output = simulated(&tree);
        apply(&tree, &patch, &["--reverse"]);
        let text = told(&output);
        assert!(
            text.contains("test result:"),
            "{name} does not build: {text}"
        );
        let found: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with("... FAILED"))
            .collect();
        println!("{name}: {} tests fail", found.len());
        for line in found {
            println!("  {line}");
        }
        if output.status.success() {
            missed.push(name.to_owned());
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Runs the tests on the simulated disk of a tree, as many seeds as in every run.
fn simulated(tree: &Path) -> Output {
    Command::new(env!("CARGO"))
        .args([
            "test",
            "--quiet",
            "--locked",
            "--test",
            "it",
            "--",
            "--format=pretty",
            "crash::",
            "simulation::",
        ])
        .current_dir(tree)
        .env(
            "CARGO_TARGET_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("mistakes"),
        )
        .env("CHRYSALIS_TESTS", "fast")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("cargo runs")
}

fn told(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
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
