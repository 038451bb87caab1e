//! The metrics as documents: `docs/metrics.md`, and rules for Prometheus.

use std::fmt::Write as _;

use super::{ALARMS, Alarm, Metric, PARTS};

/// The page for operators: when to wake somebody, and every metric.
pub fn metrics_md() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `/metrics` on the web port (`http://127.0.0.1:8120/metrics`) answers in Prometheus' text format, and in OpenMetrics to those\n\
         that ask for it. `chrysalis explain metrics` lists the same metrics, `chrysalis explain chrysalis_ready` explains one.\n\n\
         A counter grows from the start of the process. A gauge goes up and down. A histogram counts how long something took: it has\n\
         `_bucket`, `_sum` and `_count`, with buckets from 50 µs to 10 s.\n\n\
         ## When to wake somebody\n\n\
         These rules are a file for Prometheus, which `chrysalis explain alarms` prints. A `page` should wake somebody. A `ticket` can\n\
         wait until the morning. If you have only one rule, take `ChrysalisNotReady`. Replace `job=\"chrysalis\"` by your own job.\n\n\
         ```yaml\n",
    );
    text.push_str(&rules());
    text.push_str("```\n\nWhat to do when one fires:\n\n");
    for alarm in ALARMS {
        let _ = writeln!(text, "- **{}**: {}.", alarm.name, alarm.cure);
    }
    for part in PARTS {
        let _ = write!(
            text,
            "\n## {}\n\n| metric | type | unit | meaning | alarm |\n| --- | --- | --- | --- | --- |\n",
            part.title
        );
        for metric in part.metrics {
            push_row(&mut text, metric);
        }
    }
    text
}

fn push_row(text: &mut String, metric: &Metric) {
    let labels = match metric.labels {
        [] => String::new(),
        labels => format!("{{{}}}", labels.join(", ")),
    };
    let alarms: Vec<&str> = alarms_of(metric).map(|alarm| alarm.name).collect();
    let _ = writeln!(
        text,
        "| `{}{labels}` | {} | {} | {} | {} |",
        metric.full_name(),
        metric.kind.name(),
        metric.unit,
        metric.help,
        alarms.join(", "),
    );
}

/// The alarms that look at this metric.
pub fn alarms_of(metric: &Metric) -> impl Iterator<Item = &'static Alarm> {
    let name = metric.full_name();
    ALARMS
        .iter()
        .filter(move |alarm| alarm.metrics().any(|metric| metric == name))
}

/// The alarms as a file of rules for Prometheus.
pub fn rules() -> String {
    let mut text = String::from("groups:\n  - name: chrysalis\n    rules:\n");
    for alarm in ALARMS {
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels: {{severity: {}}}\n        annotations:\n          \
             summary: '{}'\n",
            alarm.name,
            alarm.expression,
            alarm.hold,
            alarm.urgency.name(),
            alarm.meaning,
        );
    }
    text
}
