//! Source of published crates, to run other people's test suites unmodified.

use super::{assets, fetch, fingerprint, made_once};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The test program of tokio-zookeeper, built from its published source as it is.
pub(crate) fn tokio_zookeeper_tests() -> PathBuf {
    const VERSION: &str = "0.4.0";
    let folder = made_once(&format!("tokio-zookeeper-{VERSION}"), |draft| {
        build(draft, "tokio-zookeeper", VERSION, &["--lib"], |_| {});
    });
    folder.join("tests")
}

/// The same of the crate zookeeper.
pub(crate) fn zookeeper_tests() -> PathBuf {
    const VERSION: &str = "0.8.0";
    let folder = made_once(&format!("zookeeper-{VERSION}"), |draft| {
        build(draft, "zookeeper", VERSION, &["--test", "test"], |_| {});
    });
    folder.join("tests")
}

/// The same of zookeeper-client. Its tests start servers in containers: `tests/conformance/suites/testcontainers` stands in
/// for those. And what makes their clients is told that it meets a 3.4.
pub(crate) fn zookeeper_client_tests() -> PathBuf {
    const VERSION: &str = "0.11.2";
    let containers = assets().join("suites/testcontainers");
    let name = format!("zookeeper-client-{VERSION}-{}", fingerprint(&containers));
    let arguments = ["--test", "zookeeper", "--features", "tokio"];
    let folder = made_once(&name, |draft| {
        build(draft, "zookeeper-client", VERSION, &arguments, |source| {
            let manifest = source.join("Cargo.toml");
            let text = fs::read_to_string(&manifest).expect("a crate has a manifest");
            let more = format!(
                "{text}\n[dev-dependencies.testcontainers]\npath = \"{}\"\n",
                containers.display()
            );
            fs::write(&manifest, more).expect("write the manifest");
            // Its source is no longer the one that was published.
            fs::remove_file(source.join(".cargo-checksum.json")).expect("cargo vendored it");
            let tests = source.join("tests/zookeeper.rs");
            let text = fs::read_to_string(&tests).expect("it has these tests");
            let connector = "        zk::Client::connector()\n";
            assert_eq!(text.matches(connector).count(), 1, "its launcher's own");
            let told = "        zk::Client::connector().with_server_version(3, 4, 14)\n";
            fs::write(&tests, text.replace(connector, told)).expect("write the tests");
        });
    });
    folder.join("tests")
}

/// Brings a crate's source, prepares it, and builds the test program that these arguments of `cargo test` name.
fn build(draft: &Path, name: &str, version: &str, tests: &[&str], prepare: impl FnOnce(&Path)) {
    // A package that depends on it makes cargo bring its source.
    let asking = draft.join("asking");
    fs::create_dir_all(asking.join("src")).expect("make a package folder");
    fs::write(asking.join("src/lib.rs"), "").expect("write an empty library");
    fs::write(
        asking.join("Cargo.toml"),
        format!(
            "[package]\nname = \"asking\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
             [dependencies]\n{name} = \"={version}\"\n"
        ),
    )
    .expect("write a manifest");
    fetch(
        cargo()
            .args(["vendor", "-q", "--versioned-dirs", "vendor"])
            .current_dir(&asking),
        "fetch a crate with cargo",
    );
    let source = draft.join("source");
    fs::rename(asking.join(format!("vendor/{name}-{version}")), &source)
        .expect("cargo vendored the crate");
    fs::remove_dir_all(&asking).expect("remove the asking package");
    prepare(&source);
    let built = fetch(
        cargo()
            .args(["test", "-q", "--no-run", "--message-format=json"])
            .args(["--config", "build.target-dir='target'"])
            .args(tests)
            // What was published for an older compiler may be frowned at by a newer one.
            .env("RUSTFLAGS", "--cap-lints=warn")
            .current_dir(&source),
        "build a crate's tests",
    );
    let program = built
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(str::to_owned))
        .next_back()
        .expect("cargo names the test program it built");
    fs::copy(Path::new(&program), draft.join("tests")).expect("keep the test program");
    fs::remove_dir_all(source.join("target")).expect("remove what the build left");
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
