//! A damaged journal on one of three servers: its coordinator gets everything from the others, without a hand; its broker's
//! messages are nowhere else, and it serves none before its operator has said what is to become of them.

use crate::harness::bits::{files, flip};
use crate::harness::cluster::Cluster;
use crate::harness::command::status;
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
        assert!(!self.aside.join("journal.id").exists());
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
    // As often as it starts.
    damaged.cluster.kill(damaged.server);
    damaged.cluster.resume(damaged.server);
    damaged.assert_held();
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
