//! Source of published crates, to run other people's test suites unmodified.

use super::{fetch, made_once};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The test program of tokio-zookeeper, built from its published source as it is.
pub(crate) fn tokio_zookeeper_tests() -> PathBuf {
    const VERSION: &str = "0.4.0";
    let folder = made_once(&format!("tokio-zookeeper-{VERSION}"), |draft| {
        // A package that depends on it makes cargo bring its source.
        let asking = draft.join("asking");
        fs::create_dir_all(asking.join("src")).expect("make a package folder");
        fs::write(asking.join("src/lib.rs"), "").expect("write an empty library");
        fs::write(
            asking.join("Cargo.toml"),
            format!(
                "[package]\nname = \"asking\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
                 [dependencies]\ntokio-zookeeper = \"={VERSION}\"\n"
            ),
        )
        .expect("write a manifest");
        fetch(
            cargo()
                .args(["vendor", "-q", "--versioned-dirs", "vendor"])
                .current_dir(&asking),
            "fetch tokio-zookeeper with cargo",
        );
        let source = draft.join("source");
        fs::rename(
            asking.join(format!("vendor/tokio-zookeeper-{VERSION}")),
            &source,
        )
        .expect("cargo vendored the crate");
        fs::remove_dir_all(&asking).expect("remove the asking package");
        let built = fetch(
            cargo()
                .args([
                    "test",
                    "-q",
                    "--lib",
                    "--no-run",
                    "--message-format=json",
                    "--config",
                    "build.target-dir='target'",
                ])
                .current_dir(&source),
            "build tokio-zookeeper's tests",
        );
        let program = built
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(str::to_owned))
            .next_back()
            .expect("cargo names the test program it built");
        fs::copy(Path::new(&program), draft.join("tests")).expect("keep the test program");
        fs::remove_dir_all(source.join("target")).expect("remove what the build left");
    });
    folder.join("tests")
}

/// Cargo without the settings of the build that runs us.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_") && name != "CARGO_HOME" || name == "RUSTFLAGS" {
            command.env_remove(name);
        }
    }
    command
}
