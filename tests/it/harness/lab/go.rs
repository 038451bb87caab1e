//! Test programs of published Go modules.

use super::{fetch, made_once};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The test program of go-zookeeper/zk, built from its published source as it is.
pub(crate) fn zk_tests() -> PathBuf {
    const MODULE: &str = "github.com/go-zookeeper/zk";
    const VERSION: &str = "v1.0.4";
    let folder = made_once(&format!("go-zookeeper-{VERSION}"), |draft| {
        // A module that needs it makes Go bring its source.
        fs::write(draft.join("go.mod"), "module asking\n\ngo 1.19\n").expect("write go.mod");
        let go = |arguments: &[&str]| {
            fetch(
                Command::new("go")
                    .args(arguments)
                    .env("GOFLAGS", "-mod=mod")
                    .current_dir(draft),
                "build go-zookeeper's tests with go",
            );
        };
        go(&["get", &format!("{MODULE}@{VERSION}")]);
        go(&["test", "-c", "-o", "tests", MODULE]);
    });
    folder.join("tests")
}
