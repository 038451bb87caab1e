//! ZooKeeper's Python clients, and their own tests.

use super::{fetch, made_once, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Pinned: what it does is what we promise to serve.
const KAZOO: &str = "kazoo==2.11.0";

/// A folder for `PYTHONPATH` that has kazoo. Not a virtual environment: that would remember where it was made.
pub(crate) fn kazoo() -> PathBuf {
    made_once("kazoo-2.11.0", |draft| {
        fetch(
            Command::new("python3")
                .args(["-m", "pip", "install", "-q", "--no-input", "--target"])
                .arg(draft)
                .arg(KAZOO),
            "install kazoo with pip",
        );
    })
}

/// What runs the tests of both clients.
const PYTEST: [&str; 3] = [
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "pytest-asyncio==1.5.0",
];

/// kazoo's published source with its tests, and what they need. See [`path_of`].
pub(crate) fn kazoo_tests() -> PathBuf {
    let needs = [
        "objgraph==3.7.0",
        "gevent==26.9.0",
        "eventlet==0.41.3",
        "pyjks==20.0.0",
        "pyOpenSSL==24.2.1",
    ];
    made_once("kazoo-2.11.0-tests", |draft| tests(draft, KAZOO, &needs))
}

/// The same of aiozk.
pub(crate) fn aiozk_tests() -> PathBuf {
    made_once("aiozk-0.32.0-tests", |draft| {
        tests(draft, "aiozk==0.32.0", &[]);
    })
}

/// What finds the client of such a folder, and what its tests need.
pub(crate) fn path_of(folder: &Path) -> String {
    let (source, needs) = (folder.join("source"), folder.join("needs"));
    format!("{}:{}", source.display(), needs.display())
}

fn tests(draft: &Path, package: &str, needs: &[&str]) {
    fetch(
        Command::new("python3")
            .args(["-m", "pip", "install", "-q", "--no-input", "--target"])
            .arg(draft.join("needs"))
            .args(PYTEST)
            .args(needs),
        "install with pip what a client's tests need",
    );
    let packed = draft.join("packed");
    fetch(
        Command::new("python3")
            .args(["-m", "pip", "download", "-q", "--no-input", "--no-deps"])
            .args(["--no-binary", ":all:", "-d"])
            .arg(&packed)
            .arg(package),
        "fetch a client's source with pip",
    );
    let mut files = fs::read_dir(&packed).expect("list what pip brought");
    let file = files.next().expect("one file").expect("one file").path();
    let source = draft.join("source");
    fs::create_dir(&source).expect("make a folder");
    run(
        Command::new("tar")
            .args(["--strip-components=1", "-xf"])
            .arg(file)
            .arg("-C")
            .arg(source),
        "unpack a client's source",
    );
    fs::remove_dir_all(packed).expect("remove what was unpacked");
}
