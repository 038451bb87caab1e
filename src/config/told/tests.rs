//! What an operator is told of a topic's settings.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::{Config, Machine, from_toml, legacy};

#[track_caller]
fn check(config: &Config, section: Option<&str>, expected: &str) {
    let mut told = String::new();
    for one in config.told(section) {
        let section = one.section.as_deref().unwrap_or("default");
        let _ = writeln!(told, "{} = {} | {section}", one.key, one.value);
    }
    assert_eq!(told, expected);
}

#[test]
fn each_setting_is_told_as_it_was_written_and_where() {
    let text = "[broker]\ndelete_when = \"0 0  3 * * ?\"\nstatistics = true\ntopics_folder = \"messages\"\n\
                [topics.\"order-*\"]\nnum_partitions = 4\ndelete_policy = \"delete, 1440m\"\n\
                [topics.plain]\nfolder = \"/big\"\nstatistics = false\n";
    let config = from_toml(Path::new("/srv/server1"), text, &Machine::default());
    let config = config.expect("it has no mistake");
    check(
        &config,
        Some("order-*"),
        "num_partitions = 4 | [topics.\"order-*\"]\n\
         delete_policy = delete, 1440m | [topics.\"order-*\"]\n\
         delete_when = 0 0  3 * * ? | [broker]\n\
         accept_publish = true | default\n\
         accept_subscribe = true | default\n\
         statistics = true | [broker]\n\
         folder = /srv/server1/messages | [broker]\n",
    );
    check(
        &config,
        Some("plain"),
        "num_partitions = 1 | default\n\
         delete_policy = delete,168 | default\n\
         delete_when = 0 0  3 * * ? | [broker]\n\
         accept_publish = true | default\n\
         accept_subscribe = true | default\n\
         statistics = false | [topics.plain]\n\
         folder = /big | [topics.plain]\n",
    );
    check(
        &config,
        None,
        "delete_policy = delete,168 | default\n\
         delete_when = 0 0  3 * * ? | [broker]\n\
         accept_subscribe = true | default\n",
    );
}

#[test]
fn the_originals_file_is_told_by_its_own_sections() {
    let text = "[system]\nbrokerId=1\nnumPartitions=2*3\nunflushThreshold=0\nunflushInterval=1\nmaxSegmentSize=1048576\n\
                maxTransferSize=1048576\ndeletePolicy=delete,168\n[zookeeper]\nzk.zkConnect=localhost:2181\n[topic=orders]\n\
                deletePolicy=archive,24h,true\n";
    let machine = Machine {
        first_address: None,
        home: Some(PathBuf::from("/home/admin")),
        ..Machine::default()
    };
    let zoo_cfg = legacy::ZooCfg::new(b"clientPort=2181\n".to_vec());
    let config = legacy::read(
        Path::new("/srv/server1"),
        Some(text.as_bytes().to_vec()),
        Some(&zoo_cfg),
        &machine,
    );
    check(
        &config.expect("it has no mistake"),
        Some("orders"),
        "num_partitions = 6 | [system]\n\
         delete_policy = archive,24h,true | [topic=orders]\n\
         delete_when = 0 0 6,18 * * ? | default\n\
         accept_publish = true | default\n\
         accept_subscribe = true | default\n\
         statistics = false | default\n\
         folder = /home/admin/meta | default\n",
    );
}
