//! `/metrics` of a real server.

use crate::deployment::{Deployment, START_LIMIT};
use crate::metaq_wire;
use crate::process::eventually;
use crate::server::Server;
use chrysalis::report::metrics;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("the web port serves");
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
        .expect("ask");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// The value of the line that begins with this name and these labels.
pub(crate) fn value(scrape: &str, name: &str) -> u64 {
    let line = scrape
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{scrape}"));
    line.parse().expect("a whole number")
}

#[test]
fn every_metric_is_measured() {
    let server = Server::start(&[("orders", 1)]);
    let mut client = metaq_wire::Client::connect(server.broker());
    let stored = client.put("orders", 0, b"hello");
    stored.expect("an open partition takes it");
    assert_eq!(client.read_all("orders", 0).len(), 1);

    // The broker registers by writes to the built-in coordinator.
    let registered = || value(&scrape(server.web()), "chrysalis_broker_registered") == 1;
    eventually("the broker is registered", START_LIMIT, registered);
    let text = scrape(server.web());
    for metric in metrics::ALL {
        let name = format!("# HELP chrysalis_{}", metric.name);
        let described = text.lines().any(|line| line.starts_with(&name));
        assert!(described, "{} is not measured:\n{text}", metric.name);
    }
    let value = |name: &str| value(&text, &format!("chrysalis_{name}"));
    assert_eq!(value("broker_requests_total{command=\"put\"}"), 1);
    assert_eq!(value("broker_put_bytes_total"), 25);
    assert_eq!(value("broker_get_bytes_total"), 25);
    assert_eq!(value("broker_put_latency_seconds_count"), 1);
    assert!(value("connections{port=\"broker\"}") >= 1);
    assert!(value("connections_accepted_total{port=\"broker\"}") >= 1);
    assert!(value("received_bytes_total{port=\"broker\"}") > 25);
    assert!(value("sent_bytes_total{port=\"broker\"}") > 25);
    assert!(value("journal_batch_latency_seconds_count") > 0);
    assert!(value("coordinator_write_latency_seconds_count") > 0);
}
