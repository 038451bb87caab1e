//! What Prometheus reads.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    ALARMS, BROKER_PUT_LATENCY, BROKER_REQUESTS, CONNECTIONS, Form, Kind, Scrape, UPTIME_SECONDS,
    all, document,
};
use crate::tests::golden::assert_golden;
use crate::units::LatencyHistogram;

fn scrape_of_each_kind() -> Scrape {
    let mut latency = LatencyHistogram::default();
    for microseconds in [0, 50, 51, 700, 10_000_000, 10_000_001] {
        latency.record(Duration::from_micros(microseconds));
    }
    let mut scrape = Scrape::default();
    scrape.set_fraction(&UPTIME_SECONDS, 12.5);
    scrape.set_for(&CONNECTIONS, &[("port", "broker")], 3);
    scrape.set_for(&CONNECTIONS, &[("port", "coordinator")], 4);
    scrape.set_for(&BROKER_REQUESTS, &[("command", "p\"u\\t\n")], 5);
    scrape.set_latency(&BROKER_PUT_LATENCY, &[], &latency);
    scrape
}

#[test]
fn a_scrape_is_rendered_in_open_metrics() {
    let text = scrape_of_each_kind().render(Form::OpenMetrics);
    assert_golden("src/report/metrics/scrape.txt", &text);
}

#[test]
fn a_scrape_is_rendered_in_prometheus_own_form() {
    let text = scrape_of_each_kind().render(Form::Classic);
    assert_golden("src/report/metrics/scrape_classic.txt", &text);
}

#[test]
fn open_metrics_are_for_who_names_them() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for accept in [
        prometheus,
        "Application/OpenMetrics-Text",
        "text/plain, application/openmetrics-text; q=0.1",
    ] {
        assert_eq!(Form::accepted(accept), Form::OpenMetrics, "{accept}");
    }
    for accept in [
        "",
        "*/*",
        "text/plain",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.0, */*",
    ] {
        assert_eq!(Form::accepted(accept), Form::Classic, "{accept}");
    }
}

#[test]
fn an_empty_scrape_is_a_scrape() {
    assert_eq!(Scrape::default().render(Form::OpenMetrics), "# EOF\n");
    assert_eq!(Scrape::default().render(Form::Classic), "");
}

#[test]
fn every_metric_has_a_name_of_its_own_and_a_meaning() {
    let names: BTreeSet<&str> = all().map(|metric| metric.name).collect();
    assert_eq!(names.len(), all().count());
    for metric in all() {
        let name = metric.name;
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert!(!name.ends_with("_total"), "{name}: _total is appended");
        assert!(
            metric.unit.is_empty() || !name.ends_with(metric.unit),
            "{name}: its unit is appended"
        );
        assert!(
            !metric.help.is_empty() && !metric.help.ends_with('.'),
            "{name}: a meaning is a phrase"
        );
        assert!(
            metric.kind != Kind::Latency || metric.unit == "seconds",
            "{name}: a latency is in seconds"
        );
    }
}

#[test]
fn the_page_of_metrics_is_made_from_the_catalogue() {
    assert_golden("docs/metrics.md", &document::metrics_md());
}

#[test]
fn every_alarm_looks_at_metrics_that_there_are() {
    let names: BTreeSet<String> = all().map(super::Metric::full_name).collect();
    for alarm in ALARMS {
        for metric in alarm.metrics() {
            assert!(names.contains(metric), "{}: {metric}", alarm.name);
        }
        let of_prometheus = alarm.expression.starts_with("up{");
        let seen = all().any(|metric| document::alarms_of(metric).any(|a| a.name == alarm.name));
        assert!(seen || of_prometheus, "{} looks at nothing", alarm.name);
        for sentence in [alarm.meaning, alarm.cure] {
            assert!(!sentence.is_empty() && !sentence.ends_with('.'));
        }
        // It stands in single quotes in the file of rules.
        assert!(!alarm.meaning.contains('\''), "{}", alarm.name);
    }
}
