//! One server of three that has lost the others: clients that are content with reading are served, as by the original, and
//! go on writing when the others are back.

use crate::harness::cluster::Cluster;
use crate::harness::command::status;
use crate::harness::conversation::converse;
use crate::harness::deployment::START_LIMIT;
use crate::harness::lab::maven::JavaProject;
use crate::harness::lab::{self, python};
use crate::harness::originals::{Jvm, ZooKeepers};
use crate::harness::process::eventually;
use crate::harness::roaming::{NO_NODE, Roamer};
use crate::harness::server::set_key;
use crate::harness::under_fire::{Servers, UnderFire};
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::{Body, Client, Welcome, create, four_letter_word, op};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The original, as client and as server.
const ZOOKEEPER: &str = "3.4.14";
/// What a read-only server refuses with.
const NOT_READ_ONLY: i32 = -119;
/// The first byte of the ids of sessions that are one server's own.
const LOCAL: u8 = 0xff;
/// A scenario may wait so long for one thing, and for servers on top.
const SILENCE_MAX: Duration = Duration::from_secs(200);

/// Three fresh servers of ours that may be read without a leader.
fn ours() -> Cluster {
    Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "read_only", "true");
    })
}

fn said(address: SocketAddr, word: &str) -> String {
    four_letter_word(address, word).unwrap_or_default()
}

fn wait_until_it_says(address: SocketAddr, what: &str) {
    eventually(what, START_LIMIT, || said(address, "isro") == what);
}

/// A client that is content with reading, at a server that may only be read now.
fn reader(address: SocketAddr, session: i64, password: &[u8]) -> (Client, Welcome) {
    let mut client = Client::raw(address);
    let welcome = client.handshake_to_read(0, session, password);
    let welcome = welcome.expect("it is let in");
    assert_eq!(welcome.read_only, Some(true));
    (client, welcome)
}

/// What is asked of a server that only reads, and each answer.
fn ask_all(client: &mut Client) -> Vec<(&'static str, i32)> {
    let path = || Body::new().string("/kept");
    let multi = Body::new().int(op::DELETE).bool(false).int(-1);
    let multi = multi.string("/kept").int(-1);
    let asked = [
        ("get", op::GET_DATA, path().bool(true)),
        ("exists", op::EXISTS, Body::new().string("/none").bool(true)),
        ("children", op::GET_CHILDREN, path().bool(false)),
        ("children and stat", op::GET_CHILDREN2, path().bool(false)),
        ("acl", op::GET_ACL, path()),
        ("create", op::CREATE, create("/none", b"", 0)),
        ("set", op::SET_DATA, path().bytes(b"new").int(-1)),
        ("delete", op::DELETE, path().int(-1)),
        ("set acl", op::SET_ACL, path().open_acl().int(-1)),
        ("multi", op::MULTI, multi.int(-1).bool(true).int(-1)),
        ("sync", op::SYNC, path()),
    ];
    let mut answers = Vec::new();
    for (what, opcode, body) in asked {
        let reply = client.call(opcode, &body);
        answers.push((what, reply.error));
    }
    client.send_with_xid(-2, op::PING, &Body::new());
    answers.push(("ping", client.receive().expect("a reply").error));
    answers
}

/// All that is told of a read-only server by servers of anybody's, one after the other.
fn story(servers: &mut impl Servers) -> Vec<String> {
    let mut told = Vec::new();
    let addresses = servers.addresses();
    let leader = servers.leader();
    let left = (leader + 1) % addresses.len();
    let address = addresses[left];
    let mut writer = Client::connect(address);
    writer.create("/kept", b"old", 0).expect("it is made");
    let (writing, session) = Client::session(address, 30_000);
    told.push(format!("with a leader: {}", said(address, "isro")));
    for other in (0..addresses.len()).filter(|it| *it != left) {
        servers.kill(other);
    }
    wait_until_it_says(address, "ro");
    let texts = [
        said(address, "srvr"),
        said(address, "stat"),
        said(address, "mntr"),
    ];
    for text in texts {
        let is_told = |line: &&str| {
            ["READ-ONLY", "Mode: ", "zk_server_state"]
                .iter()
                .any(|it| line.starts_with(it))
        };
        told.extend(text.lines().filter(is_told).map(str::to_owned));
    }
    // One that wants to write.
    let refused = Client::raw(address).handshake(0, 10_000, 0, &[0; 16], true);
    told.push(format!("who wants to write: {refused:?}"));
    let (mut first, welcome) = reader(address, 0, &[0; 16]);
    told.push(format!(
        "granted: {} ms, {} bytes",
        welcome.timeout, welcome.length
    ));
    told.push(format!("{:?}", ask_all(&mut first)));
    // The session of the ensemble is the client's still.
    let (mut second, again) = reader(address, session.session, &session.password);
    told.push(format!(
        "its own session: {}",
        again.session == session.session
    ));
    told.push(format!(
        "{:?}",
        second.get("/kept", false).map(|(data, _)| data)
    ));
    let closed = first.call(op::CLOSE, &Body::new());
    told.push(format!("closed: {}, {}", closed.error, first.is_closed()));
    for other in (0..addresses.len()).filter(|it| *it != left) {
        servers.resume(other);
    }
    wait_until_it_says(address, "rw");
    told.push(format!(
        "who only read is sent away: {}",
        second.is_closed()
    ));
    let mut back = Client::raw(address);
    let welcome = back.handshake_to_read(0, session.session, &session.password);
    let welcome = welcome.expect("it is let in");
    let is_same = welcome.session == session.session;
    told.push(format!("back: {is_same}, {:?}", welcome.read_only));
    let set = Body::new().string("/kept").bytes(b"new").int(-1);
    told.push(format!("{}", back.call(op::SET_DATA, &set).error));
    told.push(format!("{:?}", back.exists("/none", false)));
    drop((writer, writing));
    told
}

#[test]
fn a_server_without_a_leader_is_read_only_as_the_original_is() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let ours = story(&mut ours());
    lab::note(&ours.join("\n"));
    let jars = JavaProject::curator(ZOOKEEPER).libraries();
    let originals = story(&mut ZooKeepers::start_read_only(&jars, Jvm::Quick));
    assert_eq!(ours, originals);
}

/// What a server says of its readers, in its metrics: whether it only reads, and how many there are.
fn readers(cluster: &Cluster, i: usize) -> (u64, u64) {
    let text = scrape(cluster.server(i).web());
    let metric = |name: &str| value(&text, &format!("chrysalis_coordinator_{name}"));
    (metric("read_only"), metric("read_only_sessions"))
}

/// A server that has lost the others is read, and nothing else. `own` is a session of the ensemble.
fn is_read_only(cluster: &Cluster, left: usize, own: &Welcome) {
    let address = cluster.address(left);
    assert!(said(address, "srvr").contains("Mode: read-only"));
    let told = &status(cluster.server(left))["coordinator"];
    assert_eq!(told["role"], "read-only");
    // It has a session that nothing else knows.
    let (mut client, welcome) = reader(address, 0, &[0; 16]);
    assert_eq!(welcome.session.to_be_bytes()[0], LOCAL);
    assert_eq!(readers(cluster, left), (1, 1));
    let (data, stat) = client.get("/kept", true).expect("it is there");
    assert_eq!(data.as_deref(), Some(&b"old"[..]));
    let asked = ask_all(&mut client);
    let refused = asked.iter().filter(|(_, error)| *error == NOT_READ_ONLY);
    let refused: Vec<&str> = refused.map(|(what, _)| *what).collect();
    let writes = ["create", "set", "delete", "set acl", "multi", "sync"];
    assert_eq!(refused, writes, "{asked:?}");
    // Who wants to write is turned away, and who has seen more than there is.
    let mut wants = Client::raw(address);
    assert_eq!(wants.handshake(0, 10_000, 0, &[0; 16], true), None);
    let mut ahead = Client::raw(address);
    let seen = stat.mzxid + 1_000_000;
    assert_eq!(ahead.handshake_to_read(seen, 0, &[0; 16]), None);
    // A session of the ensemble is not this server's to end.
    let (mut kept, again) = reader(address, own.session, &own.password);
    assert_eq!(again.session, own.session);
    assert_eq!(kept.call(op::CLOSE, &Body::new()).error, NOT_READ_ONLY);
    assert_eq!(readers(cluster, left), (1, 2));
}

#[test]
fn a_server_without_a_leader_serves_clients_that_only_read() {
    let mut cluster = Cluster::start_with(3, &[], |config| {
        set_key(config, "coordinator", "read_only", "true");
        // It is asked for by whoever looks for a server that writes, whether that is listed or not.
        set_key(config, "coordinator", "four_letter_words", "[\"ruok\"]");
    });
    let left = cluster.followers()[0];
    let address = cluster.address(left);
    let (mut writer, own) = Client::session(address, 30_000);
    writer.create("/kept", b"old", 0).expect("it is made");
    assert_eq!(said(address, "isro"), "rw");
    assert_eq!(readers(&cluster, left), (0, 0));
    let others: Vec<usize> = cluster.places().filter(|i| *i != left).collect();
    for _ in 0..lab::rounds(1, 4) {
        others.iter().for_each(|i| cluster.kill(*i));
        wait_until_it_says(address, "ro");
        is_read_only(&cluster, left, &own);

        let (mut client, welcome) = reader(address, 0, &[0; 16]);
        let (_, stat) = client.get("/kept", true).expect("it is there");
        others.iter().for_each(|i| cluster.begin(*i));
        cluster.wait_until_serves(left);
        assert!(client.is_closed(), "it is to come again");
        assert_eq!(said(address, "isro"), "rw");
        assert_eq!(readers(&cluster, left), (0, 0));

        // Its session is nobody's any more; the other one lives.
        let mut gone = Client::raw(address);
        let answer = gone.handshake_to_read(0, welcome.session, &welcome.password);
        assert_eq!(answer.map(|it| (it.session, it.timeout)), Some((0, 0)));
        let mut back = Client::raw(address);
        let answer = back.handshake_to_read(stat.mzxid, own.session, &own.password);
        let answer = answer.map(|it| (it.session, it.read_only));
        assert_eq!(answer, Some((own.session, Some(false))));
        assert_eq!(back.exists("/none", false), Err(NO_NODE));
        back.create("/back", b"", 0).expect("it writes again");
        assert_eq!(back.delete("/back", -1), 0);
        cluster.wait_until_all_serve();
    }
}

#[test]
fn a_server_without_a_leader_is_read_by_nobody_unless_it_is_told_to() {
    let mut cluster = Cluster::start(3);
    let left = cluster.followers()[0];
    let address = cluster.address(left);
    let others = cluster.places().filter(|i| *i != left);
    others.for_each(|i| cluster.kill(i));
    nobody_reads(address);
    let mut alone = Roamer::new(vec![address], 0, 10_000);
    assert!(alone.ping().is_err());
}

/// What it had shown before it was stopped, it may not know to be committed.
#[test]
fn a_server_that_is_started_without_a_leader_shows_nothing() {
    let mut cluster = ours();
    let left = cluster.followers()[0];
    let address = cluster.address(left);
    cluster.places().for_each(|i| cluster.kill(i));
    cluster.open(left);
    nobody_reads(address);
    cluster
        .places()
        .filter(|i| *i != left)
        .for_each(|i| cluster.begin(i));
    cluster.wait_until_all_serve();
    assert_eq!(said(address, "isro"), "rw");
}

/// For longer than it would take to be read-only.
fn nobody_reads(address: SocketAddr) {
    eventually("it says so", START_LIMIT, || {
        said(address, "isro") == "null"
    });
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let mut client = Client::raw(address);
        assert_eq!(client.handshake_to_read(0, 0, &[0; 16]), None);
        assert_eq!(said(address, "isro"), "null");
    }
}

/// ZooKeeper's own client reads on, in its session, and writes when the others are back.
fn java(servers: &mut UnderFire<impl Servers>) {
    let home = TempDir::new().expect("make a home for the client");
    let hosts = lab::assets().join("curator/hosts");
    let hosts = format!("-Djdk.net.hosts.file={}", hosts.display());
    let flags = [
        &*hosts,
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    ];
    let mut command = JavaProject::curator(ZOOKEEPER).command(home.path(), &flags);
    let scenario = "read-only-mode";
    command.args([&servers.connect_string(), scenario]);
    let log = home.path().join("client.log");
    converse(&mut command, &log, servers, &[scenario], SILENCE_MAX);
}

#[test]
fn the_java_client_that_may_be_read_only_reads_without_a_leader() {
    if lab::online() {
        let _alone = lab::heavy();
        java(&mut UnderFire::of(ours()));
    }
}

#[test]
fn the_java_client_that_may_be_read_only_reads_without_a_leader_of_the_original() {
    if lab::full() {
        let _alone = lab::heavy();
        let jars = JavaProject::curator(ZOOKEEPER).libraries();
        let originals = ZooKeepers::start_read_only(&jars, Jvm::Quick);
        java(&mut UnderFire::of(originals));
    }
}

#[test]
fn kazoo_reads_without_a_leader_and_writes_when_there_is_one() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    let mut servers = UnderFire::of(ours());
    let folder = TempDir::new().expect("make a folder for the log");
    let scenario = "read-only-mode";
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", python::kazoo())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(lab::assets().join("kazoo/conformance.py"))
        .args([&servers.connect_string(), scenario]);
    let log = folder.path().join("kazoo.log");
    converse(&mut command, &log, &mut servers, &[scenario], SILENCE_MAX);
}
