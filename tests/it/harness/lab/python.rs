//! kazoo, ZooKeeper's Python client.

use super::{fetch, made_once};
use std::path::PathBuf;
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
