//! Scripts: what is in the files, four dashes, and everything that reading them says: all mistakes, or
//! the notes, the values that are not the defaults, and the topics.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::checked::{Config, Machine};
use super::document::{self, ChosenTopic};
use super::key::{Kind, Section};
use super::reload::{Changes, Look, compare, reload};
use super::{Error, Mistakes, ServerFolder, explain, from_toml, legacy, load, remarks};
use crate::tests::golden::assert_golden;
use crate::tests::transcript::scripts;
use crate::units::ServerId;

fn machine() -> Machine {
    Machine {
        first_address: Some(Ipv4Addr::new(10, 1, 2, 3)),
        home: Some(PathBuf::from("/home/admin")),
        hosts: vec![("zk_1".to_owned(), Ipv4Addr::new(10, 1, 2, 3).into())],
    }
}

fn read_toml(text: &str) -> Result<Config, Mistakes> {
    from_toml(Path::new("/srv/server1"), text, &machine())
}

fn read_legacy(files: &str) -> Result<Config, Mistakes> {
    let (files, myid) = match files.split_once("#### myid\n") {
        Some((files, myid)) => (files, Some(myid.as_bytes().to_vec())),
        None => (files, None),
    };
    let (files, dynamic) = match files.split_once("#### dynamic\n") {
        Some((files, dynamic)) => (files, Some(dynamic.as_bytes().to_vec())),
        None => (files, None),
    };
    let (server_ini, zoo_cfg) = match files.split_once("#### zoo.cfg\n") {
        Some((server_ini, zoo_cfg)) => (server_ini, Some(zoo_cfg.as_bytes().to_vec())),
        None => (files, None),
    };
    let server_ini = Some(server_ini.as_bytes().to_vec()).filter(|bytes| !bytes.is_empty());
    let zoo_cfg = zoo_cfg.map(|text| {
        let mut file = legacy::ZooCfg::new(text);
        file.dynamic = file.dynamic_path().map(|path| legacy::Dynamic {
            text: dynamic.ok_or_else(|| format!("there is no {}", path.display())),
            path,
        });
        let myid = myid.map(|text| legacy::MyId {
            path: PathBuf::from("conf/myid"),
            text: Ok(text),
        });
        file.myid.extend(myid);
        file
    });
    let root = Path::new("/srv/server1");
    legacy::read(root, server_ini, zoo_cfg.as_ref(), &machine())
}

/// What a script says, every case of it read anew. A case is `## its name`, the files, `----`, the outcome.
fn replay(script: &str, read: impl Fn(&str) -> Result<Config, Mistakes>) -> String {
    let mut replayed = String::new();
    for case in script
        .split_inclusive("\n\n\n")
        .filter(|case| !case.trim().is_empty())
    {
        let (files, _outcome) = case.split_once("----\n").expect("a case has four dashes");
        let (title, files) = files.split_once('\n').expect("a case has a title");
        assert!(
            title.starts_with("## "),
            "a case begins with its title: {title}"
        );
        let outcome = match read(files) {
            Ok(config) => describe(&config),
            Err(mistakes) => format!("{mistakes}\n"),
        };
        let separator = if replayed.is_empty() { "" } else { "\n\n" };
        let _ = write!(replayed, "{separator}{title}\n{files}----\n{outcome}");
    }
    replayed
}

/// What differs from the defaults, the topics, and the notes.
fn describe(config: &Config) -> String {
    let defaults = read_toml("").expect("the defaults are permitted");
    let mut text = String::from("ok\n");
    for held in &config.source.effective {
        if defaults.source.held(&held.key) != Some(&held.value) {
            let _ = writeln!(text, "{} = {}", held.key, held.value);
        }
    }
    if let Some(cluster) = &config.cluster {
        let servers: Vec<String> = cluster.servers.iter().map(ToString::to_string).collect();
        let listen = SocketAddr::new(cluster.listen, cluster.port);
        let _ = writeln!(text, "cluster: {}, here at {listen}", servers.join(" "));
    }
    if let Some(broker) = &config.broker {
        let _ = writeln!(text, "registers at: {:?}", broker.zookeeper.at);
        for topic in &broker.topics {
            let it = &topic.settings;
            let _ = writeln!(
                text,
                "topic {}: {} partitions, {} at {}, publish {}, subscribe {}, statistics {}, in {}",
                topic.name,
                it.num_partitions,
                it.delete_policy,
                it.delete_when,
                it.accept_publish,
                it.accept_subscribe,
                it.statistics,
                it.folder.display()
            );
        }
    }
    for note in &config.source.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

scripts! {
    "src/config/scripts":
    // server.toml says what it means, or what is wrong.
    server_toml => |script| replay(script, read_toml);
    // server.ini and zoo.cfg are read as they are.
    legacy => |script| replay(script, read_legacy);
    // Which keys stand together in files that people run, with which kinds of values; the files are ours.
    server_ini_as_met, zoo_cfg_as_met => as_met;
}

fn as_met(script: &str) -> String {
    let replayed = replay(script, read_legacy);
    let cases = replayed.matches("\n----\n").count();
    assert!(cases >= 30, "{cases} files");
    replayed
}

#[test]
fn a_file_of_servers_is_found_beside_the_file_that_names_it() {
    let root = tempfile::TempDir::new().expect("a folder");
    let folder = ServerFolder::new(root.path());
    fs::create_dir_all(folder.conf()).expect("a folder");
    let elsewhere = "/nowhere/conf/zoo.cfg.dynamic";
    fs::write(folder.zoo_cfg(), format!("dynamicConfigFile={elsewhere}\n")).expect("write it");
    let told = load(&folder).expect_err("it is not there").to_string();
    assert!(
        told.contains("there is no /nowhere/conf/zoo.cfg.dynamic"),
        "{told}"
    );

    let beside = folder.conf().join("zoo.cfg.dynamic");
    fs::write(&beside, "server.1=a:2888:3888;127.0.0.1:2199\nversion=0\n").expect("write it");
    let config = load(&folder).expect("it is one server");
    let coordinator = config.coordinator.expect("it is a coordinator");
    assert_eq!(coordinator.port, 2199);
    assert!(coordinator.listen.is_loopback());

    fs::write(
        &beside,
        "server.1=a:2888:3888;2199\nserver.2=b:2888:3888;2200\n",
    )
    .expect("write it");
    let told = load(&folder).expect_err("they are two").to_string();
    assert!(told.contains("no file myid"), "{told}");
    fs::write(folder.conf().join("myid"), "2\n").expect("write it");
    let config = load(&folder).expect("it is the second");
    assert_eq!(config.id, ServerId(2));
    assert_eq!(config.coordinator.expect("it is one").port, 2200);
    assert_eq!(config.cluster.expect("they are two").servers.len(), 2);
}

/// A folder of its own with this `zoo.cfg`, in which `DATA` stands for a folder of ZooKeeper's beside `conf`.
fn zookeeper_folder(zoo_cfg: &str) -> (tempfile::TempDir, ServerFolder, PathBuf) {
    let root = tempfile::TempDir::new().expect("a folder");
    let folder = ServerFolder::new(root.path());
    let data = root.path().join("zookeeper");
    fs::create_dir_all(folder.conf()).expect("a folder");
    fs::create_dir_all(&data).expect("a folder");
    let zoo_cfg = zoo_cfg.replace("DATA", &data.display().to_string());
    fs::write(folder.zoo_cfg(), zoo_cfg).expect("write it");
    (root, folder, data)
}

const THREE: &str = "dataDir=DATA\nclientPort=2181\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n";

#[test]
fn the_number_of_a_server_among_several_stands_where_zookeeper_has_it_or_beside() {
    let (_root, folder, data) = zookeeper_folder(THREE);
    fs::write(data.join("myid"), "3\n").expect("write it");
    assert_eq!(load(&folder).expect("it is there").id, ServerId(3));

    fs::write(folder.conf().join("myid"), "3").expect("write it");
    assert_eq!(load(&folder).expect("both say the same").id, ServerId(3));
    fs::write(folder.conf().join("myid"), "2").expect("write it");
    let told = load(&folder).expect_err("which is it?").to_string();
    assert!(told.contains("conf/myid:1: myid is 2, and"), "{told}");
    assert!(told.contains("zookeeper/myid says 3"), "{told}");

    fs::remove_file(data.join("myid")).expect("remove it");
    assert_eq!(load(&folder).expect("it is beside").id, ServerId(2));
    fs::remove_file(folder.conf().join("myid")).expect("remove it");
    let told = load(&folder).expect_err("none is there").to_string();
    assert!(told.contains("no file myid in dataDir or conf/"), "{told}");
}

#[test]
fn a_number_that_cannot_be_read_is_none() {
    let (_root, folder, data) = zookeeper_folder(THREE);
    fs::create_dir(data.join("myid")).expect("a folder");
    let told = load(&folder).expect_err("it is a folder").to_string();
    assert!(told.contains("zookeeper/myid: cannot be read: "), "{told}");
    fs::write(folder.conf().join("myid"), "1").expect("write it");
    assert_eq!(load(&folder).expect("it is beside").id, ServerId(1));
}

#[test]
fn a_server_alone_has_no_use_for_a_number() {
    let (_root, folder, data) =
        zookeeper_folder("dataDir=DATA\nclientPort=2181\nserver.7=a:2888:3888\n");
    fs::write(data.join("myid"), "7\n").expect("write it");
    let config = load(&folder).expect("it is alone");
    assert_eq!((config.id, config.cluster), (ServerId(1), None));
}

/// The remarks on a `server.toml` with these lines.
fn remarks_on(text: &str) -> Vec<String> {
    remarks::notes(&read_toml(text).expect("it is permitted"))
}

#[test]
fn an_even_number_of_servers_is_remarked() {
    let of = |count: usize| {
        let servers: Vec<String> = (1..=count)
            .map(|id| format!("\"{id}=10.0.0.{id}:2888\""))
            .collect();
        remarks_on(&format!("[cluster]\nservers = [{}]\n", servers.join(",")))
    };
    for (count, expected) in [
        (2, "the cluster has 2 servers: it needs both"),
        (
            4,
            "the cluster has 4 servers: it serves on without 1 of them, no more than 3 servers do",
        ),
        (
            6,
            "the cluster has 6 servers: it serves on without 2 of them, no more than 5 servers do",
        ),
    ] {
        let told = of(count);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(expected), "{told:?}");
    }
    for count in [1, 3, 5, 7] {
        assert_eq!(of(count), [""; 0]);
    }
    let observed = |voters: usize| {
        let entry = |id: usize| {
            let role = if id > voters { ":observer" } else { "" };
            format!("\"{id}=10.0.0.{id}:2888{role}\"")
        };
        let servers: Vec<String> = (1..=voters + 1).map(entry).collect();
        remarks_on(&format!("[cluster]\nservers = [{}]\n", servers.join(",")))
    };
    assert_eq!(observed(3), [""; 0], "an observer does not count");
    let told = observed(4);
    assert!(told[0].contains("has 4 voters"), "{told:?}");
}

#[test]
fn a_port_for_servers_on_every_address_is_remarked_unless_it_was_chosen() {
    let servers = "[cluster]\nservers = [\"1=a:2888\", \"2=b:2888\", \"3=c:2888\"]\n";
    let [told] = &remarks_on(servers)[..] else {
        panic!("there is one remark");
    };
    assert!(
        told.contains("every address of the machine (port 2888)"),
        "{told}"
    );
    assert_eq!(
        remarks_on(&format!("{servers}listen = \"0.0.0.0\"\n")),
        [""; 0]
    );
}

#[test]
fn the_documented_file_has_every_key_with_its_default() {
    let text = document::server_toml(&[], &[]);
    assert_golden("config/server.toml", &text);
    let defaults = read_toml("").expect("the defaults are permitted");
    assert_eq!(
        read_toml(&text).expect("as it is, it says nothing").source,
        defaults.source
    );

    let set: String = text
        .lines()
        .map(|line| format!("{}\n", uncommented(line)))
        .collect();
    let mut read = read_toml(&set).expect("every default is permitted");
    for key in explain::ALL {
        let written = format!("\n{} = ", key.name());
        assert!(
            set.contains(&written),
            "{} is not in the file",
            document::full_name(*key)
        );
    }
    let broker = read.broker.as_mut().expect("the default is a broker");
    let example = broker.topics.pop().expect("the example topic");
    assert_eq!(
        example.settings, broker.topic_defaults,
        "a topic has what the broker has"
    );
    assert_eq!(broker.topics, []);
    read.source = defaults.source.clone();
    assert_eq!(read, defaults);
}

/// A key or a section that is commented out has no space behind the '#'; words have.
fn uncommented(line: &str) -> &str {
    line.strip_prefix('#')
        .filter(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '['))
        .unwrap_or(line)
}

#[test]
fn the_page_for_operators_is_made_from_the_keys() {
    assert_golden("docs/configuration.md", &document::configuration_md());
}

#[test]
fn what_is_chosen_is_set_and_the_rest_stays_a_comment() {
    let chosen = [
        (Section::Broker, "port", "9000".to_owned()),
        (Section::Server, "id", "7".to_owned()),
    ];
    let topics = [ChosenTopic {
        name: "a.b".to_owned(),
        keys: vec![("num_partitions", "3".to_owned())],
    }];
    let config = read_toml(&document::server_toml(&chosen, &topics)).expect("it is permitted");
    let described = describe(&config);
    assert!(
        described.starts_with("ok\nserver.id = 7\nbroker.port = 9000\n"),
        "{described}"
    );
    assert!(described.contains("topic a.b: 3 partitions"), "{described}");
}

#[test]
fn every_key_is_told_of_once_and_has_a_help() {
    let mut names: Vec<String> = explain::ALL
        .iter()
        .map(|key| document::full_name(*key))
        .collect();
    for (key, name) in explain::ALL.iter().zip(&names) {
        assert!(key.help().ends_with('.'), "{name}: a help is sentences");
        assert!(
            !key.permitted().ends_with('.'),
            "{name}: what is permitted is a phrase"
        );
        assert!(
            key.unit().is_empty() || key.kind() == Kind::Number,
            "{name}: a unit belongs to a number"
        );
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), explain::ALL.len());
}

/// What the original's parser insists on; whatever this accepts, it accepts.
fn assert_strict_parser_accepts(server_ini: &str) {
    const SYSTEM: &str = "brokerId hostName serverPort dashboardHttpPort numPartitions dataPath unflushThreshold \
        unflushInterval maxSegmentSize maxTransferSize deletePolicy deleteWhen acceptPublish acceptSubscribe stat \
        updateConsumerOffsets";
    const ZOOKEEPER: &str = "zk.zkConnect zk.zkSessionTimeoutMs zk.zkConnectionTimeoutMs zk.zkSyncTimeMs zk.zkEnable zk.zkRoot";
    const TOPIC: &str = "numPartitions stat deletePolicy deleteWhen dataPath unflushInterval unflushThreshold \
        acceptPublish acceptSubscribe";
    let mut known = "";
    let mut topics = 0;
    for line in server_ini
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
    {
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            known = match section {
                "system" => SYSTEM,
                "zookeeper" => ZOOKEEPER,
                _ => {
                    assert!(
                        section.starts_with("topic="),
                        "[{section}] is no section of the original"
                    );
                    topics += 1;
                    TOPIC
                }
            };
            continue;
        }
        let (key, value) = line.split_once('=').expect("a line is KEY=VALUE");
        assert!(
            known.split_whitespace().any(|word| word == key),
            "{key} is not known to the original"
        );
        assert!(!value.is_empty(), "{key} is blank");
    }
    assert!(topics > 0, "the original wants at least one topic");
    for required in [
        "brokerId=",
        "numPartitions=",
        "unflushThreshold=",
        "unflushInterval=",
        "zk.zkConnect=",
    ] {
        assert!(
            server_ini.contains(&format!("\n{required}")),
            "{required} is missing"
        );
    }
}

#[test]
fn a_toml_configuration_travels_as_a_server_ini_that_says_the_same() {
    let text = r#"
        [server]
        id = 3
        listen = "0.0.0.0"
        host_name = "broker3.example.org"
        [broker]
        port = 8143
        topics_folder = 'C:\odd\name'
        num_partitions = 4
        delete_policy = "archive,36h,true"
        delete_when = "0 30 4 * * ?"
        update_consumer_offsets = true
        [zookeeper]
        connect = "zk1:2181,zk2:2181/chroot"
        root = "/other"
        [coordinator]
        enabled = false
        [web]
        port = 8140
        [topics.orders]
        num_partitions = 16
        accept_publish = false
        [topics."log-*"]
        statistics = true
        folder = "/data2/logs"
    "#;
    let config = read_toml(text).expect("it is permitted");
    let sent =
        String::from_utf8(config.source.stats_config.clone()).expect("what we render is UTF-8");
    assert_strict_parser_accepts(&sent);
    assert_eq!(config.source.checksum, crc32fast::hash(sent.as_bytes()));

    let read = read_legacy(&sent).expect("it is permitted");
    assert_eq!(
        read.source.stats_config,
        sent.as_bytes(),
        "a server.ini travels as it is"
    );
    assert_eq!(read.source.checksum, config.source.checksum);
    let mut without_source = config.clone();
    without_source.source = read.source.clone();
    assert_eq!(read, without_source);
}

#[test]
fn the_default_configuration_travels_too() {
    let config = read_toml("[topics.test]").expect("it is permitted");
    let sent = String::from_utf8(config.source.stats_config).expect("what we render is UTF-8");
    assert_strict_parser_accepts(&sent);
    assert!(sent.contains("zk.zkConnect=127.0.0.1:2181\n"), "{sent}");
}

#[test]
fn reading_again_takes_topics_and_names_what_waits_for_a_restart() {
    let running = read_toml(
        "[broker]\nnum_partitions = 2\n[topics.stays]\n[topics.changes]\n[topics.goes]\n[topics.own]\nnum_partitions = 9",
    )
    .expect("it is permitted");
    let read = read_toml(
        "[broker]\nnum_partitions = 5\nport = 9123\n[topics.stays]\n[topics.changes]\nstatistics = true\n[topics.comes]\n\
         [topics.own]\nnum_partitions = 9",
    )
    .expect("it is permitted");
    let (next, changes) = compare(&running, read);
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        changes,
        Changes {
            added: names(&["comes"]),
            changed: names(&["changes"]),
            removed: names(&["goes"]),
            restart_needed: names(&["broker.num_partitions", "broker.port"]),
        }
    );
    let broker = next.broker.as_ref().expect("it is a broker");
    assert_eq!(broker.port, 8123, "a port waits for a restart");
    let partitions = |name: &str| {
        let topic = broker
            .topics
            .iter()
            .find(|topic| topic.name == name)
            .expect("the topic is there");
        topic.settings.num_partitions
    };
    assert_eq!(
        partitions("comes"),
        2,
        "without a value of its own it has what the running broker has"
    );
    assert_eq!(partitions("own"), 9);
    let sent =
        String::from_utf8(next.source.stats_config.clone()).expect("what we render is UTF-8");
    assert!(
        sent.contains("[topic=comes]") && sent.contains("serverPort=8123\n"),
        "{sent}"
    );
    assert_ne!(
        next.source.checksum, running.source.checksum,
        "slaves are told by the checksum"
    );

    let (same, nothing) = compare(&next, next.clone());
    assert_eq!((same, nothing), (next, Changes::default()));
}

#[test]
fn a_folder_that_is_new_waits_for_a_restart() {
    let running = read_toml("[topics.a]\n[topics.b]\nfolder = \"/b\"").expect("it is permitted");
    let read = read_toml(
        "[topics.a]\nfolder = \"/a\"\nnum_partitions = 2\n[topics.b]\nfolder = \"/b\"\n[topics.c]\nfolder = \"/c\"\n\
         [topics.d]\nfolder = \"/b\"",
    )
    .expect("it is permitted");
    let (next, changes) = compare(&running, read);
    assert_eq!(changes.added, ["d"], "its folder is open already");
    assert_eq!(changes.changed, ["a"], "its other settings need no folder");
    assert_eq!(changes.removed, [""; 0]);
    assert_eq!(changes.restart_needed, ["topics.a.folder", "topics.c"]);
    let topics = next.broker.expect("it is a broker").topics;
    let folder = |name: &str| {
        topics
            .iter()
            .find(|topic| topic.name == name)
            .map(|topic| topic.settings.folder.as_path())
    };
    assert_eq!(
        folder("a"),
        Some(Path::new("/srv/server1/data/topics")),
        "where its messages are"
    );
    assert_eq!(folder("c"), None);
}

#[test]
fn a_file_that_was_cut_off_is_not_read_again() {
    let home = tempfile::TempDir::new().expect("make a folder");
    let folder = ServerFolder::new(home.path());
    fs::create_dir(folder.conf()).expect("make conf");
    let write = |text: &str| fs::write(folder.server_toml(), text).expect("write it");
    write("[topics.a]\n");
    let running = load(&folder).expect("it is right");
    write(" \n");
    let Err(error) = reload(&running, &folder) else {
        panic!("every topic is dropped");
    };
    assert!(matches!(error, Error::Blank(_)), "{error}");
    assert!(
        matches!(load(&folder), Err(Error::Blank(_))),
        "a start takes it no more than a reload"
    );
    write("# no topics, on purpose\n");
    let (_, changes) = reload(&running, &folder).expect("it says something");
    assert_eq!(changes.removed, ["a"]);
}

#[test]
fn a_file_that_is_written_is_told_from_one_that_was_replaced() {
    let home = tempfile::TempDir::new().expect("make a folder");
    let folder = ServerFolder::new(home.path());
    fs::create_dir(folder.conf()).expect("make conf");
    fs::write(folder.server_toml(), "[broker]\n").expect("write it");
    let before = Look::at(&folder);
    assert!(!Look::at(&folder).is_written_since(&before));
    let whole = folder.conf().join("whole");
    fs::write(&whole, "[broker]\n[topics.a]\n").expect("write it");
    fs::rename(&whole, folder.server_toml()).expect("put it there");
    assert!(!Look::at(&folder).is_written_since(&before));
    let before = Look::at(&folder);
    fs::write(folder.server_toml(), "[bro").expect("write it");
    assert!(Look::at(&folder).is_written_since(&before));
}
