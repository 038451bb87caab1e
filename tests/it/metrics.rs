//! `/metrics` of a real server.

use crate::harness::command::chrysalis;
use crate::harness::deployment::{Deployment, START_LIMIT};
use crate::harness::metaq_wire;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_text};
use crate::harness::web::{ask, scrape, value};
use chrysalis::report::metrics::{self, Kind};
use std::io::Write as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;

mod lint;

#[test]
fn every_metric_is_measured() {
    let home = TempDir::new().expect("make a folder");
    let folder = home.path().join("server1");
    let mut server = Server::prepare(&folder, &[("orders", 1)], |text| {
        set_text(text, "cluster", "certificates", "conf/certificates");
    });
    chrysalis(&server, &["cluster", "certificates", "--make-authority"]);
    server.resume();
    let mut client = metaq_wire::Client::connect(server.broker());
    let stored = client.put("orders", 0, b"hello");
    stored.expect("an open partition takes it");
    assert_eq!(client.read_all("orders", 0).len(), 1);

    // The broker registers by writes to the built-in coordinator.
    let registered = || value(&scrape(server.web()), "chrysalis_broker_registered") == 1;
    eventually("the broker is registered", START_LIMIT, registered);
    let text = scrape(server.web());
    for metric in metrics::all() {
        let name = metric.full_name();
        let about = format!("# HELP {name} {}", metric.help);
        let described = text
            .lines()
            .any(|line| line.strip_suffix('.').unwrap_or(line) == about);
        assert!(described, "{name} is not measured:\n{text}");
        for line in text.lines().filter(|line| line.starts_with(&name)) {
            let labels = line
                .split_once('{')
                .and_then(|(_, rest)| rest.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels);
            let names = labels.split(',').filter_map(|label| label.split_once('='));
            let names = names.map(|(name, _)| name).filter(|name| *name != "le");
            let of_another = line[name.len()..].starts_with('_') && metric.kind != Kind::Latency;
            assert!(
                of_another || names.eq(metric.labels.iter().copied()),
                "{line}"
            );
        }
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

#[test]
fn the_web_port_says_what_it_has() {
    let server = Server::start(&[("orders", 1)]);
    let found = ask(server.web(), "/", "");
    assert!(found.starts_with("HTTP/1.0 200"), "{found}");
    let pages = found.lines().filter_map(|line| line.strip_prefix('/'));
    let pages: Vec<_> = pages.filter_map(|line| line.split(' ').next()).collect();
    // What it answers but does not name nobody finds.
    let routes = routes();
    assert!(routes.contains(&"metrics"), "{routes:?}");
    assert_eq!(pages, routes, "what / names, and what is answered");
    for page in pages {
        let answer = ask(server.web(), &format!("/{page}"), "");
        assert!(!answer.starts_with("HTTP/1.0 404"), "{page}: {answer}");
    }
    let missing = ask(server.web(), "/metric", "");
    assert!(missing.starts_with("HTTP/1.0 404"), "{missing}");
    assert!(missing.contains("\n/metrics "), "{missing}");
}

/// The paths that the web port answers, but for `/` itself.
fn routes() -> Vec<&'static str> {
    let code = include_str!("../../src/server/web.rs");
    let routes = code.split(".route(\"/").skip(1);
    let paths = routes.filter_map(|route| route.split('"').next());
    paths.filter(|path| !path.is_empty()).collect()
}

/// Prometheus asks for OpenMetrics, and knows what it gets by the `Content-Type`; `promtool` and many others read
/// only Prometheus' own form.
#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let server = Server::start(&[("orders", 1)]);
    let open = ask(
        server.web(),
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n",
    );
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{open}"
    );
    assert!(open.ends_with("# EOF\n"), "{open}");
    let classic = scrape(server.web());
    assert!(
        classic.contains("content-type: text/plain; version=0.0.4"),
        "{classic}"
    );
    let (_, text) = classic.split_once("\r\n\r\n").expect("a header and a text");
    assert_eq!(lint::faults(text), Vec::<String>::new());
    if let Some(said) = promtool(text) {
        assert_eq!(said, "", "promtool check metrics");
    }
}

/// What `promtool check metrics` says of this, where it is installed.
fn promtool(text: &str) -> Option<String> {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let promtool = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.ok()?;
    let mut input = promtool.stdin.take().expect("it is a pipe");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
