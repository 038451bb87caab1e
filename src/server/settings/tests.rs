//! Every key of the configuration reaches a part of the server.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::config::document::full_name;
use crate::config::explain;
use crate::config::key::{Described, Kind, Section as ConfigSection};
use crate::config::{Machine, from_toml};
use crate::consensus::ENTRY_BYTES_MAX;
use crate::segments::format;
use crate::server::descriptors::Shares;
use crate::server::system;

/// A server that has everything.
const WHOLE: &str = "[topics.test]\n";
/// A broker that lives with a ZooKeeper of others.
const BROKER_ALONE: &str =
    "[coordinator]\nenabled = false\n[zookeeper]\nconnect = \"zk1:2181\"\n[topics.test]\n";

/// One of several servers.
const OF_SEVERAL: &str =
    "[cluster]\nservers = [\"1=10.0.0.1:2888\", \"2=10.0.0.2:2888\"]\n[topics.test]\n";

/// What a text or a list may be that it is not by default. A new key of this kind needs a line here.
const OTHER_TEXTS: &[(&str, &str)] = &[
    ("server.host_name", "\"other.example.org\""),
    ("server.listen", "\"0.0.0.0\""),
    ("coordinator.listen", "\"0.0.0.0\""),
    (
        "coordinator.super_digest",
        "\"super:D/InIHSb7yEEbrWz8b9l71RjZJU=\"",
    ),
    ("coordinator.four_letter_words", "[\"ruok\"]"),
    ("broker.turns_without_positions", "[\"billing\"]"),
    ("broker.listen", "\"0.0.0.0\""),
    ("broker.topics_folder", "\"other\""),
    ("broker.delete_policy", "\"archive,1,true\""),
    ("broker.delete_when", "\"0 0 1 * * ?\""),
    ("zookeeper.connect", "\"zk9:2181\""),
    ("zookeeper.root", "\"/other\""),
    ("topics.NAME.delete_policy", "\"archive,1,true\""),
    ("topics.NAME.delete_when", "\"0 0 1 * * ?\""),
    ("topics.NAME.folder", "\"other\""),
    ("disk.backend", "\"threads\""),
    ("web.listen", "\"0.0.0.0\""),
    (
        "cluster.servers",
        "[\"1=10.0.0.1:2888\", \"3=10.0.0.3:2888\"]",
    ),
    ("cluster.listen", "\"0.0.0.0\""),
    ("cluster.certificates", "\"conf/certificates\""),
    ("log.level", "\"debug\""),
    ("log.format", "\"json\""),
    ("log.file", "\"other.log\""),
];

fn read(text: &str) -> Option<Config> {
    let machine = Machine::default();
    from_toml(Path::new("/srv/server1"), text, &machine).ok()
}

/// It may be another server's, whose clients may write more. A journal that has no place for it would end the process.
#[test]
fn the_smallest_journal_beside_others_takes_the_longest_entry() {
    let with = |file_bytes: u64| read(&format!("{OF_SEVERAL}[journal]\nfile_bytes = {file_bytes}"));
    assert!(with((32 << 20) - 4096).is_none());
    let config = with(32 << 20).expect("it is permitted");
    let folder = ServerFolder::new("/srv/server1");
    let takes = journal(&config, &folder, false).entry_bytes_max();
    // What the journal writes in front of it is less than a hundred bytes.
    assert!(takes >= ENTRY_BYTES_MAX + 100);
}

/// Everything that the parts of a server are told, as text.
fn told(config: &Config) -> String {
    let folder = ServerFolder::new("/srv/server1");
    let shares = Shares::of(config, None).expect("there is no limit");
    let mut told = String::new();
    let _ = writeln!(told, "{:?}", log(config));
    let _ = writeln!(told, "{:?}", disk(config));
    let _ = writeln!(told, "{:?}", journal(config, &folder, false));
    let _ = writeln!(told, "{:?}", space(config, &folder));
    let _ = writeln!(told, "{:?}", limits(config));
    let _ = writeln!(told, "{:?}", coordinator_port(config, shares.connections));
    let _ = writeln!(told, "{:?}", broker_port(config, shares.connections));
    let _ = writeln!(told, "{:?}", web_port(config));
    let _ = writeln!(told, "{:?} {:?}", peers_port(config), dialed(config));
    let _ = writeln!(told, "{}", config.certificates_required);
    let _ = writeln!(told, "{:?}", others(config, 0, false));
    let _ = writeln!(told, "{:?}", zookeeper_codec(config));
    let _ = writeln!(told, "{:?}", metaq_codec(config));
    if let Some(own) = &config.coordinator {
        let _ = writeln!(told, "{:?}", coordinator(config, own));
        let _ = writeln!(told, "{:?}", snapshot_every(config, own));
        let _ = writeln!(told, "{:?}", leaderless(own));
    }
    if let Some(own) = &config.broker {
        let folders = data_folders(own);
        let options = broker(config, own, own.port, &folders, &system::facts());
        // What clients may ask for says everything; here it is about what is done.
        let topics = Topics {
            config_text: Bytes::new(),
            config_checksum: 0,
            ..options.topics.clone()
        };
        let options = broker::Options { topics, ..options };
        let _ = writeln!(told, "{folders:?} {options:?}");
        let address = config.coordinator.as_ref();
        let address = address.map(|own| SocketAddr::new(own.listen, own.port));
        let _ = writeln!(told, "{:?} {:?}", registry(own, address), drain(config));
    }
    told
}

/// `text` with another value for a key.
fn with(text: &str, key: &dyn Described, value: &str) -> String {
    let mut table: toml::Table = text.parse().expect("it is TOML");
    let mut section = table
        .entry(key.section().name())
        .or_insert_with(|| toml::Table::new().into());
    if key.section() == ConfigSection::Topics {
        section = &mut section["test"];
    }
    let value: toml::Table = format!("value = {value}").parse().expect("it is TOML");
    let section = section.as_table_mut().expect("a section is a table");
    section.insert(key.name().to_owned(), value["value"].clone());
    table.to_string()
}

/// What a key may be that it is not by default.
fn other_values(key: &dyn Described, config: &Config) -> Vec<String> {
    let name = full_name(key);
    let of_broker = name.replace("topics.NAME.", "broker.");
    let held = config.source.effective.iter();
    let default = held
        .filter(|held| held.key == name || held.key == of_broker)
        .map(|held| held.value.clone())
        .next();
    let number = || -> u64 {
        let default = default.as_ref().expect("a number has a default");
        default.parse().expect("a number is digits")
    };
    match key.kind() {
        Kind::Boolean => vec![(default.as_deref() != Some("true")).to_string()],
        Kind::Number => [number() * 2, number() / 2, number() + 1]
            .iter()
            .map(u64::to_string)
            .collect(),
        Kind::Text | Kind::List => {
            let other = OTHER_TEXTS.iter().find(|(known, _)| *known == name);
            let (_, other) = other.unwrap_or_else(|| panic!("{name} needs a line in OTHER_TEXTS"));
            vec![(*other).to_owned()]
        }
    }
}

#[test]
fn every_key_changes_what_some_part_is_told() {
    let servers =
        [WHOLE, BROKER_ALONE, OF_SEVERAL].map(|text| (text, read(text).expect("it is permitted")));
    for key in explain::ALL {
        let mut tried = 0;
        let reaches = servers.iter().any(|(text, config)| {
            let before = told(config);
            other_values(*key, config).iter().any(|value| {
                let other = read(&with(text, *key, value));
                tried += usize::from(other.is_some());
                other.is_some_and(|other| told(&other) != before)
            })
        });
        assert!(
            tried > 0,
            "no other value for {} is permitted",
            full_name(*key)
        );
        assert!(reaches, "{} is read and changes nothing", full_name(*key));
    }
}

#[test]
fn a_get_returns_the_largest_message_whatever_is_written() {
    let header_bytes = u32::try_from(format::HEADER_BYTES).expect("it is small");
    for (written, expected) in [
        ("", 2 * 1024 * 1024 + header_bytes),
        ("transfer_bytes_max = 4096", 2 * 1024 * 1024 + header_bytes),
        ("transfer_bytes_max = 4096\nmessage_bytes_max = 100", 4096),
        ("transfer_bytes_max = 8388608", 8_388_608),
    ] {
        let config = read(&format!("[broker]\n{written}\n")).expect("it is permitted");
        let own = config.broker.as_ref().expect("it is a broker");
        let options = broker(&config, own, own.port, &data_folders(own), &system::facts());
        assert_eq!(options.transfer_bytes_max, expected, "{written}");
        let is_raised = written == "transfer_bytes_max = 4096";
        assert_eq!(
            config.source.notes.len(),
            usize::from(is_raised),
            "{written}"
        );
    }
}
