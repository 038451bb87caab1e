//! A damaged journal on one of three servers: its coordinator gets everything from the others, without a hand; its broker's
//! messages are nowhere else, and it serves none before its operator has said what is to become of them.

use crate::harness::bits::{files, flip};
use crate::harness::cluster::Cluster;
use crate::harness::command::{chrysalis_with, status};
use crate::harness::deployment::{Deployment as _, START_LIMIT};
use crate::harness::metaq_wire::Client;
use crate::harness::process::eventually;
use crate::harness::server::CHRYSALIS;
use crate::harness::socket::is_listening;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const TOPIC: &str = "orders";
/// Before these messages nothing is damaged.
const WHOLE: usize = 20;
const ALL: usize = 40;
/// `chrysalis dump journal` ends with this where it finds damage.
const DAMAGED_DATA: i32 = 11;
const VOTES: &str = "a server votes";

fn message(number: usize) -> Vec<u8> {
    format!("message {number:04}").into_bytes()
}

/// Three servers, one of which was killed; then a bit turned over in its journal. And the folder it puts that journal into.
struct Damaged {
    cluster: Cluster,
    server: usize,
    aside: PathBuf,
}

impl Damaged {
    fn cause() -> Damaged {
        let mut cluster = Cluster::start_with(3, &[(TOPIC, 1)], |_| {});
        let server = cluster.followers()[0];
        let mut client = Client::connect(cluster.server(server).broker());
        for number in 0..ALL {
            client.put(TOPIC, 0, &message(number)).expect("it is taken");
        }
        cluster.kill(server);
        let journal = cluster.server(server).folder().join("data/journal");
        flip(&files(&journal, ".journal"), &message(WHOLE));
        Damaged {
            cluster,
            server,
            aside: journal.join("damaged"),
        }
    }

    /// It starts as ever, and is a member as before.
    fn begin(&mut self) {
        let before = self.cluster.said(VOTES);
        self.cluster.resume(self.server);
        eventually("it votes", START_LIMIT, || {
            self.cluster.said(VOTES) > before
        });
    }

    /// What keeps its broker from serving is told, and nobody reaches it.
    fn assert_held(&self) {
        let server = self.cluster.server(self.server);
        assert!(!is_listening(server.broker()));
        let told = status(server);
        let warnings = told["warnings"].to_string();
        assert!(
            warnings.contains("the broker serves nobody") && warnings.contains("--accept-loss"),
            "{warnings}"
        );
        assert!(told["broker"].is_null(), "{told}");
        let diagnosed = chrysalis_with(server, &["doctor"], b"");
        let diagnosed = String::from_utf8_lossy(&diagnosed.stdout).into_owned();
        let first = diagnosed.lines().next().unwrap_or_default();
        assert!(
            first.contains("no message is served, because the journal was damaged"),
            "{diagnosed}"
        );
    }

    /// Its operator has decided.
    fn accept(&mut self) {
        self.cluster.stop(self.server);
        let before = self.cluster.said(VOTES);
        self.cluster.resume_accepting_loss(self.server);
        eventually("it votes again", START_LIMIT, || {
            self.cluster.said(VOTES) > before
        });
        eventually("its broker serves", START_LIMIT, || {
            is_listening(self.cluster.server(self.server).broker())
        });
        assert!(!self.aside.exists());
    }

    fn messages(&self) -> Vec<Vec<u8>> {
        let mut client = Client::connect(self.cluster.server(self.server).broker());
        let all = client.read_all(TOPIC, 0);
        all.into_iter().map(|(_, record)| record.data).collect()
    }

    /// It serves as any, also when it starts again.
    fn assert_serves_from_now_on(&mut self) {
        let before = self.messages();
        let mut client = Client::connect(self.cluster.server(self.server).broker());
        client.put(TOPIC, 0, b"another").expect("it is taken");
        self.cluster.stop(self.server);
        self.cluster.resume(self.server);
        eventually("its broker serves", START_LIMIT, || {
            is_listening(self.cluster.server(self.server).broker())
        });
        assert_eq!(
            self.messages(),
            [before, vec![b"another".to_vec()]].concat()
        );
        let warnings = status(self.cluster.server(self.server))["warnings"].to_string();
        assert!(
            !warnings.contains("serves nobody") && !warnings.contains("accepted a loss"),
            "{warnings}"
        );
    }
}

#[test]
fn the_broker_waits_for_its_operator_and_the_coordinator_does_not() {
    let mut damaged = Damaged::cause();
    damaged.begin();
    damaged.assert_held();
    // As often as it starts, and whatever becomes of the files.
    damaged.cluster.kill(damaged.server);
    damaged.cluster.resume(damaged.server);
    damaged.assert_held();
    let elsewhere = damaged.aside.with_file_name("looked-at");
    fs::rename(&damaged.aside, &elsewhere).expect("it is moved");
    damaged.cluster.kill(damaged.server);
    damaged.cluster.resume(damaged.server);
    damaged.assert_held();
    fs::rename(&elsewhere, &damaged.aside).expect("it is moved back");
    // With its vote another server may die.
    let other = damaged.cluster.places().find(|it| *it != damaged.server);
    damaged.cluster.kill(other.expect("there are three"));
    let mut session = damaged.cluster.client(damaged.server, 60_000);
    session.create("/goes-on", b"", 0);
    damaged.cluster.resume(other.expect("there are three"));
    // What is lost is named.
    let mut dump = Command::new(CHRYSALIS);
    let dump = dump.args(["dump", "journal"]).arg(&damaged.aside).output();
    let dump = dump.expect("the binary under test starts");
    assert_eq!(dump.status.code(), Some(DAMAGED_DATA), "{dump:?}");
    damaged.accept();
    let left = damaged.messages();
    assert!(left.len() >= WHOLE, "{} are left", left.len());
    let whole = (0..left.len()).map(message);
    assert!(left.iter().cloned().eq(whole), "{left:?}");
    let told = status(damaged.cluster.server(damaged.server));
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("accepted a loss"), "{warnings}");
    damaged.assert_serves_from_now_on();
}

#[test]
fn of_a_journal_that_is_restored_nothing_is_lost() {
    let mut damaged = Damaged::cause();
    damaged.begin();
    damaged.assert_held();
    let mut wrong = message(WHOLE);
    wrong[0] ^= 0x10;
    flip(&files(&damaged.aside, ".journal"), &wrong);
    damaged.accept();
    let all: Vec<Vec<u8>> = (0..ALL).map(message).collect();
    assert_eq!(damaged.messages(), all);
    damaged.assert_serves_from_now_on();
}

/// What is new in it is on the other servers, too.
#[test]
fn a_second_damage_takes_nothing_from_what_waits() {
    let mut damaged = Damaged::cause();
    damaged.begin();
    let kept = fs::read(damaged.aside.join("00.journal")).expect("it is there");
    let mut session = damaged.cluster.client(damaged.server, 60_000);
    session.create("/damaged-too", b"this is damaged, too", 0);
    for number in 0..20 {
        session.create(&format!("/behind-{number}"), b"", 0);
    }
    damaged.cluster.kill(damaged.server);
    let journal = damaged.aside.parent().expect("it has one").to_owned();
    flip(&files(&journal, ".journal"), b"this is damaged, too");
    damaged.begin();
    damaged.assert_held();
    let now = fs::read(damaged.aside.join("00.journal")).expect("it is there");
    assert!(now == kept, "it is as it was");
    damaged.accept();
    assert!(damaged.messages().len() >= WHOLE);
    damaged.assert_serves_from_now_on();
}

/// To have the broker's journal back the coordinator's present one goes.
#[test]
fn the_only_tree_is_not_given_up_for_the_broker() {
    let mut damaged = Damaged::cause();
    damaged.begin();
    let server = damaged.server;
    let others: Vec<usize> = damaged
        .cluster
        .places()
        .filter(|it| *it != server)
        .collect();
    let id = |server: usize| (server + 1).to_string();
    eventually("it leads", START_LIMIT, || {
        let words = ["cluster", "transfer", &id(server)];
        let leader = damaged.cluster.leader();
        let _done = chrysalis_with(damaged.cluster.server(leader), &words, b"");
        damaged.cluster.leader() == server
    });
    for other in others {
        eventually("another one leaves", START_LIMIT, || {
            let words = ["cluster", "remove", &id(other)];
            let said = chrysalis_with(damaged.cluster.server(server), &words, b"");
            said.status.success()
        });
        damaged.cluster.kill(other);
    }
    eventually("it is alone", START_LIMIT, || {
        damaged.cluster.serves(server)
    });
    let mut session = damaged.cluster.client(server, 60_000);
    session.create("/precious", b"", 0);
    damaged.cluster.stop(server);
    damaged.cluster.begin_accepting_loss(server);
    assert!(!damaged.cluster.ended(server).success());
    let log = damaged.cluster.log(server);
    assert!(log.contains("E0308"), "{log}");
    damaged.cluster.resume(server);
    let mut session = damaged.cluster.session(server);
    session.exists("/precious", false).expect("it is there");
    damaged.assert_held();
}

/// It forgot by itself, and nobody could take it in: what it promised is in the journal that is aside, and counts again.
#[test]
fn who_was_not_taken_in_is_again_who_it_was_when_the_file_is_restored() {
    let mut cluster = Cluster::start_with(3, &[(TOPIC, 1)], |_| {});
    let (stopped, others) = (cluster.followers()[0], cluster.places());
    cluster.stop(stopped);
    let others: Vec<usize> = others.filter(|it| *it != stopped).collect();
    let (damaged, lost) = (others[0], others[1]);
    let mut session = cluster.client(damaged, 60_000);
    session.create("/only-two-have-this", b"this turns over", 0);
    for number in 0..20 {
        session.create(&format!("/behind-{number}"), b"", 0);
    }
    others.iter().for_each(|it| cluster.kill(*it));
    cluster.wipe(lost);
    let journal = cluster.server(damaged).folder().join("data/journal");
    flip(&files(&journal, ".journal"), b"this turns over");
    [stopped, damaged, lost]
        .iter()
        .for_each(|it| cluster.begin(*it));
    eventually("it has forgotten", START_LIMIT, || {
        cluster.log(damaged).contains("the broker serves nobody")
    });
    assert!(!cluster.serves(stopped), "nobody can lead");
    cluster.kill(damaged);
    let mut wrong = b"this turns over".to_vec();
    wrong[0] ^= 0x10;
    flip(&files(&journal.join("damaged"), ".journal"), &wrong);
    cluster.resume_accepting_loss(damaged);
    for server in cluster.places() {
        cluster.wait_until_serves(server);
        let mut session = cluster.session(server);
        let (data, _) = session
            .get("/only-two-have-this", false)
            .expect("it is there");
        assert_eq!(data.as_deref(), Some(&b"this turns over"[..]));
    }
}

/// The other one cannot take it in alone.
#[test]
fn one_of_two_voters_waits_for_its_operator() {
    let mut cluster = Cluster::start_with(2, &[(TOPIC, 1)], |_| {});
    let damaged = cluster.followers()[0];
    let mut session = cluster.client(damaged, 60_000);
    session.create("/marked", b"this turns over", 0);
    for number in 0..20 {
        session.create(&format!("/behind-{number}"), b"", 0);
    }
    cluster.kill(damaged);
    let journal = cluster.server(damaged).folder().join("data/journal");
    let file = flip(&files(&journal, ".journal"), b"this turns over");
    cluster.begin(damaged);
    assert_eq!(cluster.ended(damaged).code(), Some(DAMAGED_DATA));
    let mut wrong = b"this turns over".to_vec();
    wrong[0] ^= 0x10;
    flip(&[file], &wrong);
    cluster.resume(damaged);
}

/// Each change of members stays in the log until the next snapshot, and nobody stands for election before it is applied.
#[test]
fn what_is_left_goes_on_alone_although_members_changed_just_now() {
    let mut damaged = Damaged::cause();
    damaged.begin();
    let server = damaged.server;
    let mut session = damaged.cluster.client(server, 60_000);
    session.create("/kept", b"", 0);
    damaged
        .cluster
        .places()
        .for_each(|it| damaged.cluster.kill(it));
    let left = damaged.cluster.server(server);
    let said = chrysalis_with(left, &["cluster", "recover", "--yes"], b"");
    assert!(said.status.success(), "{said:?}");
    damaged.cluster.resume(server);
    let mut session = damaged.cluster.session(server);
    session.exists("/kept", false).expect("it is there");
}
