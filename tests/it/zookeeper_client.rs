//! Our own ZooKeeper client, `chrysalis zk` and `chrysalis bench coordinator`, against an original ZooKeeper
//! and against ours.

use crate::harness::deployment::Deployment as _;
use crate::harness::lab;
use crate::harness::originals::ZooKeeper;
use crate::harness::process::{Outcome, Process, run_to_end};
use crate::harness::server::{CHRYSALIS, Server};
use crate::harness::zookeeper_wire::four_letter_word;
use chrysalis::client::zookeeper::{Client, Error, Options, Refused};
use chrysalis::coordinator::{
    Acl, Create, CreateMode, Delete, Operation, Refusal, Reply, Request, SetData, WatchEventKind,
};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a command may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

fn create(path: &str, mode: CreateMode) -> Request {
    Request::Create(create_of(path, mode))
}

fn create_of(path: &str, mode: CreateMode) -> Create {
    Create {
        path: path.to_owned().into(),
        data: Some("first".into()),
        acl: vec![Acl::open()],
        mode,
    }
}

fn set_of(path: &str, data: &'static str, version: i32) -> SetData {
    SetData {
        path: path.to_owned().into(),
        data: Some(data.into()),
        version,
    }
}

fn get(path: &str, watch: bool) -> Request {
    Request::GetData {
        path: path.to_owned().into(),
        watch,
    }
}

async fn connect(address: SocketAddr) -> Client {
    Client::connect(address, Options::default())
        .await
        .expect("the server gives a session")
}

async fn call(client: &mut Client, request: Request) -> Reply {
    client
        .call(&request)
        .await
        .unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// What the client does for commands and measurements.
async fn converse(address: SocketAddr) {
    let mut client = connect(address).await;
    call(&mut client, create("/client", CreateMode::Persistent)).await;
    ask_ahead(&mut client).await;
    be_refused(&mut client).await;
    be_told(&mut client, connect(address).await).await;
    clean_up(&mut client).await;
    client.close().await.expect("the session ends");
}

/// More requests ahead of their replies than are ever under way at once.
async fn ask_ahead(client: &mut Client) {
    let names: Vec<Request> = (0..1_000)
        .map(|_| create("/client/n-", CreateMode::PersistentSequential))
        .collect();
    let replies = client.call_all(&names).await.expect("the connection lasts");
    for (number, reply) in replies.into_iter().enumerate() {
        let expected = format!("/client/n-{number:010}");
        assert!(
            matches!(&reply, Ok(Reply::Created { path }) if **path == *expected.as_bytes()),
            "{reply:?}"
        );
    }
}

/// A refusal is a result, and the connection lives on. A multi is done as a whole or not at all.
async fn be_refused(client: &mut Client) {
    let refused = client
        .call(&create("/client", CreateMode::Persistent))
        .await;
    assert!(matches!(
        refused,
        Err(Error::Refused(Refused { number: -110 }))
    ));
    let multi = Request::Multi(vec![
        Operation::SetData(set_of("/client", "second", 0)),
        Operation::Check {
            path: "/client".into(),
            version: 5,
        },
    ]);
    assert_eq!(
        call(client, multi).await,
        Reply::MultiRefused {
            operations: 2,
            refused: 1,
            refusal: Refusal::BadVersion
        }
    );
}

/// A watch tells the one who set it; an ended session takes its ephemerals along.
async fn be_told(client: &mut Client, mut other: Client) {
    assert_ne!(client.session().session, other.session().session);
    let Reply::Data { data, stat } = call(client, get("/client", true)).await else {
        panic!("not data");
    };
    assert_eq!(
        (data.as_deref(), stat.children),
        (Some(&b"first"[..]), 1_000)
    );
    call(&mut other, Request::SetData(set_of("/client", "second", 0))).await;
    let event = client.next_event().await.expect("the connection lasts");
    assert_eq!(event.kind, WatchEventKind::DataChanged);
    assert_eq!(*event.path, *b"/client");

    call(&mut other, create("/client/mine", CreateMode::Ephemeral)).await;
    other.close().await.expect("the session ends");
    let gone = client.call(&get("/client/mine", false)).await;
    assert!(matches!(
        gone,
        Err(Error::Refused(Refused { number: -101 }))
    ));
}

async fn clean_up(client: &mut Client) {
    let delete = |path: String| {
        Request::Delete(Delete {
            path: path.into(),
            version: -1,
        })
    };
    let mut deletes: Vec<Request> = (0..1_000)
        .map(|number| delete(format!("/client/n-{number:010}")))
        .collect();
    deletes.push(delete("/client".to_owned()));
    let replies = client
        .call_all(&deletes)
        .await
        .expect("the connection lasts");
    assert!(replies.into_iter().all(|reply| reply == Ok(Reply::Done)));
}

fn chrysalis(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(CHRYSALIS);
    command
        .args(arguments)
        .args(["--server", &address.to_string()]);
    command
}

/// What a command that succeeds says.
fn said(address: SocketAddr, arguments: &[&str], stdin: &str) -> String {
    let outcome = run_to_end(&mut chrysalis(address, arguments), stdin, LIMIT);
    assert!(
        outcome.status.success(),
        "{arguments:?}: {}",
        outcome.stderr
    );
    outcome.stdout
}

/// What a command that fails complains.
fn complained(address: SocketAddr, arguments: &[&str]) -> String {
    let Outcome {
        status,
        stdout,
        stderr,
        ..
    } = run_to_end(&mut chrysalis(address, arguments), "", LIMIT);
    assert_eq!(
        (status.code(), stdout.as_str()),
        (Some(1), ""),
        "{arguments:?}"
    );
    stderr
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `chrysalis zk`, as an operator types it.
fn type_commands(address: SocketAddr) {
    let zk = |arguments: &[&str]| said(address, &[&["zk"], arguments].concat(), "");
    assert_eq!(zk(&["create", "-p", "/typed/a/b", "one"]), "/typed/a/b\n");
    assert_eq!(zk(&["get", "/typed/a/b"]), "one\n");
    assert_eq!(zk(&["get", "--raw", "/typed/a/b"]), "one");
    assert_eq!(zk(&["set", "/typed/a/b", "--version", "0", "-2"]), "");
    assert_eq!(zk(&["get", "/typed/a/b"]), "-2\n");
    let from_input = said(address, &["zk", "set", "/typed/a", "-"], "two\nlines");
    assert_eq!(from_input, "");
    let got = json(&zk(&["get", "/typed/a", "--json"]));
    assert_eq!(
        (
            &got["data"],
            &got["stat"]["version"],
            &got["stat"]["children"]
        ),
        (&"two\nlines".into(), &1.into(), &1.into())
    );
    assert_eq!(
        zk(&["create", "--sequential", "/typed/s-"]),
        "/typed/s-0000000001\n"
    );
    assert_eq!(zk(&["ls", "/typed"]), "a\ns-0000000001\n");
    assert_eq!(
        zk(&["ls", "-R", "/typed"]),
        "/typed/a\n/typed/s-0000000001\n/typed/a/b\n"
    );
    assert!(zk(&["stat", "/typed/a"]).contains("\ndataVersion = 1\n"));

    let bad_version = complained(address, &["zk", "set", "/typed/a/b", "x", "--version", "0"]);
    assert!(
        bad_version.starts_with("E0402 set /typed/a/b on ")
            && bad_version.contains("BADVERSION (-103)"),
        "{bad_version}"
    );
    let not_empty = complained(address, &["zk", "delete", "/typed"]);
    assert!(not_empty.contains("--recursive"), "{not_empty}");
    let no_parent = complained(address, &["zk", "create", "/typed/x/y"]);
    assert!(no_parent.contains("--parents"), "{no_parent}");
    let nobody = complained(address, &["zk", "--auth", "nobody:knows", "ls"]);
    assert!(nobody.contains("AUTHFAILED (-115)"), "{nobody}");

    assert_eq!(zk(&["delete", "-R", "/typed"]), "deleted 4 znodes\n");
    let gone = complained(address, &["zk", "get", "/typed"]);
    assert!(gone.contains("NONODE (-101)"), "{gone}");
}

/// `chrysalis zk watch`: a line a change, and an end after so many.
fn watch_changes(address: SocketAddr) {
    said(address, &["zk", "create", "/watched"], "");
    let folder = TempDir::new().expect("make a folder");
    let log = folder.path().join("changes");
    let mut watch = chrysalis(
        address,
        &["zk", "watch", "/watched", "--count", "2", "--json"],
    );
    let mut process = Process::start("zk watch", &mut watch, &log);
    // Whether it watches yet cannot be seen from outside, so things change until it has seen enough.
    let mut changes = 0;
    while process.is_running() {
        changes += 1;
        assert!(changes < 1_000, "it sees nothing:\n{}", process.log());
        said(
            address,
            &["zk", "set", "/watched", &changes.to_string()],
            "",
        );
    }
    let log = process.log();
    for line in log.lines() {
        let change = json(line);
        assert_eq!(change["event"], "data-changed", "{log}");
        assert!(change["stat"]["version"].as_i64() > Some(0), "{log}");
    }
    assert_eq!(log.lines().count(), 2, "{log}");
    said(address, &["zk", "delete", "/watched"], "");
}

/// `chrysalis bench coordinator`, in small: it measures, and leaves nothing behind.
fn measure(address: SocketAddr) {
    let before = said(address, &["zk", "ls", "/"], "");
    for operation in ["set", "get", "create"] {
        let arguments = [
            "bench",
            "coordinator",
            "--operation",
            operation,
            "--connections",
            "4",
            "--in-flight",
            "8",
            "--seconds",
            "1",
            "--warm-up",
            "0",
            "--json",
        ];
        let measured = json(&said(address, &arguments, ""));
        assert_eq!(measured["operation"], operation);
        assert_eq!(measured["errors"], 0);
        assert!(measured["per_second"].as_f64() > Some(10.0), "{measured}");
        assert!(
            measured["latency_us"]["p50"].as_f64() <= measured["latency_us"]["max"].as_f64(),
            "{measured}"
        );
    }
    assert_eq!(said(address, &["zk", "ls", "/"], ""), before);
}

fn check(address: SocketAddr) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(converse(address));
    type_commands(address);
    watch_changes(address);
    measure(address);
}

#[test]
fn our_client_and_its_commands_work_with_our_server() {
    let server = Server::start(&[]);
    check(server.coordinator());
    assert_eq!(
        four_letter_word(server.coordinator(), "wchp").as_deref(),
        Some("wchp is not executed because it is not in the whitelist.\n")
    );
}

#[test]
fn our_client_and_its_commands_work_with_the_original() {
    if !lab::online() {
        return;
    }
    let _alone = lab::heavy();
    check(ZooKeeper::start().address());
}

#[test]
fn a_coordinator_that_is_not_there_is_named_with_what_to_do() {
    let address = crate::harness::socket::free_address();
    let complaint = complained(address, &["zk", "ls"]);
    assert!(
        complaint.starts_with(&format!("E0401 connect to {address}: "))
            && complaint.contains("chrysalis start, in the server's folder"),
        "{complaint}"
    );
}
