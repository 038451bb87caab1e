//! What is permitted and yet refused on this machine.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config;

/// A server's folder with this configuration, and what a start there would refuse.
fn refused(text: &str) -> Vec<String> {
    let root = TempDir::new().expect("a folder");
    let folder = ServerFolder::new(root.path());
    for made in [folder.conf(), folder.data(), folder.logs()] {
        fs::create_dir_all(made).expect("a folder");
    }
    fs::write(root.path().join("a_file"), "").expect("a file");
    fs::write(folder.server_toml(), text).expect("a file");
    let config = config::load(&folder).expect("every value is permitted");
    let root = root.path().display().to_string();
    match preflight(&config, &folder) {
        Ok(()) => Vec::new(),
        Err(mistakes) => {
            let text = mistakes.to_string().replace(&root, "DIR");
            text.lines().map(str::to_owned).collect()
        }
    }
}

#[test]
fn nothing_is_found_where_a_server_can_start() {
    assert_eq!(refused("# ours\n"), Vec::<String>::new());
}

#[test]
fn everything_is_found_at_once_with_its_line() {
    // The address is of a block that is set aside for documentation.
    let found = refused(
        "[server]\nlisten = \"203.0.113.198\"\n[web]\nlisten = \"203.0.113.199\"\n[broker]\ntopics_folder = \"a_file\"\n\
         [topics.a]\nfolder = \"a_file/below\"\n[log]\nfile = \"nowhere/chrysalis.log\"\n",
    );
    assert_eq!(
        found,
        [
            "conf/server.toml:2: coordinator.listen is 203.0.113.198: it is no address of this machine",
            "conf/server.toml:4: web.listen is 203.0.113.199: it is no address of this machine",
            "conf/server.toml:6: broker.topics_folder: DIR/a_file is a file, and must be a folder",
            "conf/server.toml:8: the folder of topic a: DIR/a_file is a file, and must be a folder",
            "conf/server.toml:10: log.file: there is no folder DIR/nowhere",
        ]
    );
}

#[test]
fn a_log_may_be_made_in_the_logs_folder_and_not_be_a_folder() {
    assert_eq!(
        refused("[log]\nfile = \"logs/other.log\"\n"),
        Vec::<String>::new()
    );
    assert_eq!(
        refused("[log]\nfile = \"logs\"\n"),
        ["conf/server.toml:2: log.file: DIR/logs is a folder, and must be a file"]
    );
}
