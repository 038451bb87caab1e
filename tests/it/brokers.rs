//! Brokers of ours as one cluster, each with a coordinator of their ensemble.

use crate::ensemble::{is_not_serving, wait_for_brokers};
use crate::harness::cluster::Cluster;
use crate::harness::command::status;
use crate::harness::deployment::{Deployment as _, START_LIMIT};
use crate::harness::metaq_wire::Client;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};
use nix::sys::signal::Signal;

const COUNT: usize = 3;

/// How soon a dead broker is given up.
const SESSION_TIMEOUT_MS: &str = "4000";

fn wait_until_registered(broker: &Server) {
    eventually("a broker is registered", START_LIMIT, || {
        status(broker)["broker"]["registration"] == "registered"
    });
}

/// Puts a message, and reads all that is there.
fn put_and_read(client: &mut Client, text: String, sent: &mut Vec<String>) {
    client
        .put("orders", 0, text.as_bytes())
        .expect("a put is taken");
    sent.push(text);
    let read = client.read_all("orders", 0).into_iter();
    let texts = read.map(|(_, record)| String::from_utf8(record.data).expect("it is text"));
    assert_eq!(texts.collect::<Vec<_>>(), *sent);
}

/// Whether the others are dead, or stand still as those do that the network keeps away.
#[test]
fn a_broker_whose_server_lost_the_ensemble_serves_on_and_registers_again() {
    let mut cluster = Cluster::start_with(COUNT, &[("orders", 1)], |text| {
        set_key(text, "zookeeper", "session_timeout_ms", SESSION_TIMEOUT_MS);
    });
    let all = ["1-m", "2-m", "3-m"];
    wait_for_brokers(&cluster, &all);
    let mut sent = vec![Vec::new(); COUNT];
    for are_dead in [true, false] {
        let left = cluster.leader();
        let others = cluster.followers();
        let address = cluster.server(left).broker();
        let mut connected = Client::connect(address);
        put_and_read(
            &mut connected,
            format!("before {are_dead}"),
            &mut sent[left],
        );
        for i in &others {
            match are_dead {
                true => cluster.kill(*i),
                false => cluster.signal(*i, Signal::SIGSTOP),
            }
        }
        eventually("it serves no ZooKeeper client", START_LIMIT, || {
            is_not_serving(&cluster, left)
        });
        eventually("it is known as not registered", START_LIMIT, || {
            status(cluster.server(left))["broker"]["registration"] != "registered"
        });
        put_and_read(
            &mut connected,
            format!("connected {are_dead}"),
            &mut sent[left],
        );
        let mut newcomer = Client::connect(address);
        put_and_read(
            &mut newcomer,
            format!("newcomer {are_dead}"),
            &mut sent[left],
        );
        for i in &others {
            match are_dead {
                true => cluster.begin(*i),
                false => cluster.signal(*i, Signal::SIGCONT),
            }
        }
        cluster.wait_until_all_serve();
        wait_until_registered(cluster.server(left));
        wait_for_brokers(&cluster, &all);
        put_and_read(&mut connected, format!("after {are_dead}"), &mut sent[left]);
    }
}
