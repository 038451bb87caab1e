//! `[server]`, `[network]`, `[journal]`, `[disk]`, `[web]` and `[log]`, and what concerns a whole process.

use crate::harness::command::status;
use crate::harness::deployment::{Deployment, START_LIMIT, STOP_LIMIT};
use crate::harness::metaq_wire;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key, set_text};
use crate::harness::socket::{free_port, is_listening};
use crate::harness::zookeeper_wire;
use nix::sys::signal::Signal;
use std::fs;

#[test]
fn each_port_listens_on_the_address_it_is_given() {
    let server = Server::prepare_and_run(|text| {
        set_key(text, "server", "listen", "\"127.0.0.2\"");
        set_key(text, "broker", "listen", "\"127.0.0.3\"");
        set_key(text, "web", "listen", "\"127.0.0.4\"");
    });
    let ports = &status(&server)["ports"];
    let address = |port: &str| ports[port].as_str().expect("it listens").to_owned();
    assert!(address("coordinator").starts_with("127.0.0.2:"), "{ports}");
    assert!(address("broker").starts_with("127.0.0.3:"), "{ports}");
    assert!(address("web").starts_with("127.0.0.4:"), "{ports}");
    for port in ["coordinator", "broker", "web"] {
        assert!(is_listening(address(port).parse().expect("an address")));
    }

    let server = Server::prepare_and_run(|text| {
        set_key(text, "coordinator", "listen", "\"127.0.0.5\"");
    });
    let ports = &status(&server)["ports"];
    let coordinator = ports["coordinator"].as_str().expect("it listens");
    assert!(coordinator.starts_with("127.0.0.5:"), "{ports}");
}

/// The others are not there: its ports are open all the same.
#[test]
fn a_server_of_several_listens_for_the_others_where_it_is_told() {
    let [own, other] = [free_port(), free_port()];
    let _server = Server::prepare_and_run(|text| {
        let servers = format!("[\"1=127.0.0.1:{own}\", \"2=127.0.0.1:{other}\"]");
        set_key(text, "cluster", "servers", &servers);
        set_key(text, "cluster", "listen", "\"127.0.0.6\"");
        set_key(text, "zookeeper", "register", "false");
    });
    assert!(is_listening(([127, 0, 0, 6], own).into()));
    assert!(!is_listening(([127, 0, 0, 1], own).into()));
}

#[test]
fn what_is_not_enabled_does_not_listen() {
    for (section, port) in [
        ("coordinator", "coordinator"),
        ("broker", "broker"),
        ("web", "web"),
    ] {
        let server = Server::prepare_and_run(|text| {
            set_key(text, section, "enabled", "false");
            set_key(text, "zookeeper", "register", "false");
        });
        let ports = &status(&server)["ports"];
        for other in ["coordinator", "broker", "web"] {
            assert_eq!(
                ports[other].is_null(),
                other == port,
                "{other} without {port}"
            );
        }
    }
}

#[test]
fn each_port_has_no_more_connections_than_it_may() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "network", "connections_max", "2");
        // The broker's own session would be one of the coordinator's.
        set_key(text, "zookeeper", "register", "false");
    });
    let mut clients = Vec::new();
    eventually("the probes of the start are forgotten", START_LIMIT, || {
        let mut one = metaq_wire::Client::connect(server.broker());
        let admitted = one.try_call("version", b"").is_ok();
        clients.extend(admitted.then_some(one));
        clients.len() == 2
    });
    let mut third = metaq_wire::Client::connect(server.broker());
    assert!(third.is_closed());
    for client in &mut clients {
        client
            .put("test", 0, b"hello")
            .expect("those that are there are served");
    }
    clients.pop();
    eventually("there is room again", START_LIMIT, || {
        let mut next = metaq_wire::Client::connect(server.broker());
        next.try_call("version", b"").is_ok()
    });

    let mut sessions = Vec::new();
    eventually("the probes of the start are forgotten", START_LIMIT, || {
        let mut one = zookeeper_wire::Client::raw(server.coordinator());
        let admitted = one.handshake(0, 10_000, 0, &[0; 16], true).is_some();
        sessions.extend(admitted.then_some(one));
        sessions.len() == 2
    });
    assert!(zookeeper_wire::Client::raw(server.coordinator()).is_closed());
    for session in &mut sessions {
        assert!(session.exists("/", false).is_ok());
    }
}

#[test]
fn the_journal_takes_no_more_room_than_it_may() {
    const FILE_BYTES: u64 = 4 << 20;
    const FILES_MAX: usize = 4;
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "journal", "file_bytes", &FILE_BYTES.to_string());
        set_key(text, "journal", "files_max", &FILES_MAX.to_string());
    });
    let mut client = metaq_wire::Client::connect(server.broker());
    // More than all files together hold: they are written in turn.
    let mut stored = 0;
    while stored < 200 {
        // While the circle is full, puts are refused until there is a checkpoint.
        stored += usize::from(client.put("test", 0, &[7; 100_000]).is_ok());
    }
    let journal = fs::read_dir(server.folder().join("data/journal")).expect("list the journal");
    let lengths = journal.map(|file| file.and_then(|file| file.metadata()).map(|it| it.len()));
    let lengths: Vec<u64> = lengths
        .map(|length| length.expect("a file's length"))
        .collect();
    assert!(
        lengths.len() > 1 && lengths.len() <= FILES_MAX,
        "{lengths:?}"
    );
    assert!(
        lengths.iter().all(|length| *length <= FILE_BYTES),
        "{lengths:?}"
    );
    assert_eq!(client.read_all("test", 0).len(), stored);
}

#[test]
fn the_disk_is_written_as_it_is_told() {
    let server = Server::start_with(&[], |text| {
        set_key(text, "disk", "backend", "\"threads\"");
    });
    let written = status(&server)["journal"]["backend"].to_string();
    assert!(written.starts_with("\"threads"), "{written}");
}

#[test]
fn the_reserve_is_as_large_as_it_is_told_and_goes_when_it_is_not_wanted() {
    let reserve = |bytes: &str| {
        let bytes = bytes.to_owned();
        move |text: &mut String| set_key(text, "disk", "reserve_bytes", &bytes)
    };
    let mut server = Server::start_with(&[], reserve("3000000"));
    let file = server.folder().join("data/reserve");
    let length = || fs::metadata(&file).map(|file| file.len()).ok();
    assert_eq!(length(), Some(3_000_000));
    for (bytes, expected) in [("1000000", Some(1_000_000)), ("0", None)] {
        server.stop();
        let path = server.folder().join("conf/server.toml");
        let mut text = fs::read_to_string(&path).expect("the configuration");
        reserve(bytes)(&mut text);
        fs::write(&path, text).expect("write it");
        server.resume();
        eventually("the reserve is as it is to be", START_LIMIT, || {
            length() == expected
        });
    }
}

#[test]
fn lines_below_the_level_are_not_written() {
    for (level, written) in [("info", true), ("error", false)] {
        let mut server = Server::start_with(&[], |text| {
            set_text(text, "log", "level", level);
        });
        let log = server.process().log();
        assert_eq!(log.contains("INFO starting"), written, "{level}: {log}");
    }
}

#[test]
fn a_stop_serves_clients_until_they_have_left() {
    let zookeeper = Server::start(&[]);
    let connect = format!("\"{}\"", zookeeper.coordinator());
    let mut server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "server", "id", "2");
        set_key(text, "coordinator", "enabled", "false");
        set_key(text, "zookeeper", "connect", &connect);
        set_key(text, "zookeeper", "drain_ms", "60000");
    });
    let mut tree = zookeeper_wire::Client::connect(zookeeper.coordinator());
    let mut registered = || {
        tree.exists("/meta/brokers/topics-sub/test/2-m", false)
            .is_ok()
    };
    eventually("the broker is registered", START_LIMIT, &mut registered);
    let mut client = metaq_wire::Client::connect(server.broker());
    client.put("test", 0, b"before").expect("it is taken");

    server.process().signal(Signal::SIGTERM);
    eventually("the broker has left ZooKeeper", START_LIMIT, || {
        !registered()
    });
    client
        .put("test", 0, b"after")
        .expect("who is there is served");
    assert!(server.process().is_running());
    drop(client);
    let ended = server.process().wait(STOP_LIMIT);
    assert!(
        ended.success(),
        "it ends before its time when nobody is left: {ended}"
    );
}
