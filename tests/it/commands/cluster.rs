//! An ensemble, made and changed by commands, as an operator does it.

use super::{Folder, LIMIT, assert_ended, assert_said, chrysalis_in, text};
use crate::harness::process::eventually;
use crate::harness::server::set_key;
use crate::harness::socket::free_port;
use std::fs;
use std::thread;

/// Servers that have each other in their lists, and do not run.
fn listed(count: u16) -> Vec<Folder> {
    let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
    let servers = (1..).zip(&ports);
    let servers = servers.map(|(id, port)| format!("\"{id}=127.0.0.1:{port}\""));
    let servers: Vec<String> = servers.collect();
    let list = format!("[{}]", servers.join(", "));
    let folders = (1..=count).map(|id| {
        let folder = Folder::with_a_server();
        set(&folder, "server", "id", &id.to_string());
        set(&folder, "cluster", "servers", &list);
        folder
    });
    folders.collect()
}

fn set(folder: &Folder, section: &str, key: &str, value: &str) {
    let file = folder.path.join("conf/server.toml");
    let mut text = fs::read_to_string(&file).expect("init has made it");
    set_key(&mut text, section, key, value);
    fs::write(file, text).expect("write it");
}

fn start(folders: &[Folder]) {
    thread::scope(|scope| {
        for folder in folders {
            scope.spawn(|| assert_ended(&folder.command("start", &[]), 0));
        }
    });
}

fn is_out(folder: &Folder) {
    eventually("it knows that it is out", LIMIT, || {
        folder.json("cluster status", &[])["standing"] == "removed"
    });
}

/// The one that leads, once all agree on it.
fn leader(folders: &[Folder]) -> usize {
    loop {
        let status = folders.iter().map(|it| it.json("cluster status", &[]));
        let mut led = status.map(|status| status["leader"]["server"].as_u64());
        let first = led.next().expect("there are servers");
        if let (Some(first), true) = (first, led.all(|it| it == first)) {
            return usize::try_from(first).expect("small") - 1;
        }
    }
}

/// One server with data becomes three: what it has is what they have.
#[test]
fn a_server_with_znodes_becomes_an_ensemble_of_three() {
    let servers = listed(3);
    let [first, second, third] = &servers[..] else {
        panic!("three were made");
    };
    set(first, "cluster", "servers", "[]");
    assert_ended(&first.command("start", &[]), 0);
    assert_ended(
        &chrysalis_in(first, &["zk", "create", "/before", "kept"]),
        0,
    );
    assert_said(&first.command("cluster status", &[]), 0, "is alone");
    assert_ended(&first.command("stop", &[]), 0);
    let list = fs::read_to_string(second.path.join("conf/server.toml")).expect("it is there");
    let list: toml::Table = list.parse().expect("it is TOML");
    let list = list["cluster"]["servers"].to_string();
    set(first, "cluster", "servers", &list);
    start(&servers);

    assert_said(&second.command("cluster status", &[]), 0, "cluster add 2");
    assert_said(
        &first.command("cluster add", &["4"]),
        1,
        "is not in cluster.servers",
    );
    for server in ["2", "3"] {
        let votes = format!("server {server} is a member and votes");
        assert_said(&first.command("cluster add", &[server]), 0, &votes);
    }
    assert_said(
        &first.command("cluster status", &[]),
        0,
        "One voter may be lost",
    );
    assert_said(
        &third.command("cluster add", &["2"]),
        1,
        "E0306 this server follows",
    );
    // There is one level yet.
    let already = "the feature level is 1 already, the highest that the servers support";
    assert_said(&first.command("cluster raise-level", &[]), 0, already);
    let raised = first.json("cluster raise-level", &[]);
    assert_eq!(
        (&raised["level"], &raised["raised"]),
        (&1.into(), &false.into())
    );
    assert_said(
        &third.command("cluster raise-level", &[]),
        1,
        "E0306 this server follows",
    );
    let kept = chrysalis_in(third, &["zk", "get", "/before"]);
    assert_said(&kept, 0, "kept");
}

#[test]
fn a_leader_that_stops_or_is_told_to_hands_over() {
    let servers = listed(3);
    start(&servers);
    let first = leader(&servers);
    let next = (first + 1) % 3;
    let id = (next + 1).to_string();
    let leads = format!("server {id} leads");
    assert_said(
        &servers[first].command("cluster transfer", &[&id]),
        0,
        &leads,
    );
    assert_eq!(leader(&servers), next);
    assert_ended(&servers[next].command("stop", &[]), 0);
    let log = fs::read(servers[next].path.join("logs/chrysalis.log"));
    let log = text(&log.expect("it is there"));
    assert!(log.contains("another server leads"), "{log}");
}

/// A server that is taken out serves nobody, and comes back with its data.
#[test]
fn a_server_is_taken_out_and_in_again() {
    let servers = listed(3);
    start(&servers);
    let first = leader(&servers);
    let gone = &servers[(first + 1) % 3];
    let id = ((first + 1) % 3 + 1).to_string();
    let first = &servers[first];
    let own = first.json("cluster status", &[])["server"].to_string();
    assert_said(&first.command("cluster remove", &[&own]), 1, "leads");
    assert_said(
        &first.command("cluster remove", &[&id]),
        0,
        "no member any more",
    );
    is_out(gone);
    assert_ended(&chrysalis_in(gone, &["zk", "ls", "/"]), 1);
    assert_ended(&gone.command("restart", &[]), 0);
    is_out(gone);
    assert_said(&first.command("cluster add", &[&id]), 0, "votes");
    assert_said(
        &first.command("cluster status", &[]),
        0,
        "One voter may be lost",
    );
}
