//! Adding a topic to either file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

fn folder_with(file: &str, text: &str) -> (TempDir, ServerFolder) {
    let home = TempDir::new().expect("make a folder");
    let folder = ServerFolder::new(home.path());
    fs::create_dir(folder.conf()).expect("make conf");
    fs::write(folder.conf().join(file), text).expect("write the configuration");
    (home, folder)
}

const SERVER_INI: &str = "[system]\nbrokerId=1\nnumPartitions=1\nunflushThreshold=0\nunflushInterval=0\n\
    maxSegmentSize=4096\nmaxTransferSize=4096\ndataPath=/d\n[zookeeper]\nzk.zkConnect=zk:2181\n; \u{e4}\n[topic=a]";

#[test]
fn a_topic_is_added_and_everything_else_stays() {
    let before = "# ours, all of it\n[broker]\nport = 9000 # because\n[topics.a]";
    let (_home, folder) = folder_with("server.toml", before);
    let path = add_topic(&folder, "a.b", Some(3)).expect("it is added");
    assert_eq!(path, folder.server_toml());
    let after = fs::read_to_string(path).expect("it is there");
    assert_eq!(
        after,
        format!("{before}\n\n[topics.\"a.b\"]\nnum_partitions = 3\n")
    );

    add_topic(&folder, "c-*", None).expect("it is added");
    let config = load(&folder).expect("it is right");
    let names: Vec<String> = config
        .broker
        .expect("it is a broker")
        .topics
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, ["a", "a.b", "c-*"]);
}

#[test]
fn a_server_ini_is_added_to_in_its_own_words() {
    let (_home, folder) = folder_with("server.ini", SERVER_INI);
    add_topic(&folder, "orders", Some(4)).expect("it is added");
    let after = fs::read_to_string(folder.server_ini()).expect("it is there");
    assert_eq!(
        after,
        format!("{SERVER_INI}\n\n[topic=orders]\nnumPartitions=4\n")
    );
    let config = load(&folder).expect("it is right");
    assert_eq!(config.source.stats_config, after.as_bytes());
}

#[test]
fn a_topic_that_is_there_is_refused() {
    let (_home, folder) = folder_with("server.toml", "[topics.a]");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(AddError::Exists(_))
    ));
}

#[test]
fn a_server_that_is_no_broker_has_no_topics() {
    let (_home, folder) = folder_with("server.toml", "[broker]\nenabled = false");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(AddError::NoBroker)
    ));
}

#[test]
fn a_file_that_would_not_be_right_afterwards_is_left_as_it_is() {
    let before = "topics = { a = {} }\n";
    let (_home, folder) = folder_with("server.toml", before);
    assert!(matches!(
        add_topic(&folder, "b", None),
        Err(AddError::NotAppendable { .. })
    ));
    assert_eq!(
        fs::read_to_string(folder.server_toml()).expect("it is there"),
        before
    );
    let left: Vec<_> = fs::read_dir(folder.conf()).expect("list conf").collect();
    assert_eq!(left.len(), 1, "nothing of the attempt is left");
}

#[test]
fn mistakes_that_were_there_before_are_told_first() {
    let (_home, folder) = folder_with("server.toml", "[broker]\nport = 99999");
    assert!(matches!(
        add_topic(&folder, "a", None),
        Err(AddError::Config(Error::Mistakes(_)))
    ));
}

#[test]
fn the_new_file_has_the_permissions_of_the_old_one() {
    let (_home, folder) = folder_with("server.toml", "");
    fs::set_permissions(folder.server_toml(), fs::Permissions::from_mode(0o640))
        .expect("set the mode");
    add_topic(&folder, "a", None).expect("it is added");
    let mode = fs::metadata(folder.server_toml())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}
