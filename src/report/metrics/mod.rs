//! Every metric: its name, its unit, what it means; and how a scrape turns numbers into text.
//!
//! Parts of the server count in plain integers of their own status structs; nothing here is shared or
//! atomic. When `/metrics` is asked for, the node makes a [`Scrape`], puts the numbers in by metric, and
//! renders it. To add a metric: two lines in `catalogue.rs`, and one where the node fills it in.

mod alarms;
mod catalogue;
pub mod document;

pub use alarms::{ALARMS, Alarm, Urgency};
pub use catalogue::*;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::units::{LATENCY_BOUNDS_US, LatencyHistogram};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something took how long.
    Latency,
}

impl Kind {
    /// As Prometheus calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Latency => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name without unit and without `_total`, which are appended when it is rendered.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its unit in the plural; empty for a number of things that its name says.
    pub unit: &'static str,
    /// The labels each of its values has.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence without a full stop.
    pub help: &'static str,
}

impl Metric {
    /// Its name as Prometheus has it.
    pub fn full_name(&self) -> String {
        let unit = match self.unit {
            "" => String::new(),
            unit => format!("_{unit}"),
        };
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge | Kind::Latency => "",
        };
        format!("chrysalis_{}{unit}{ending}", self.name)
    }
}

/// What was measured.
#[derive(Clone, Debug)]
enum Measured {
    Whole(u64),
    Fraction(f64),
    Latency(LatencyHistogram),
}

type Labels = Vec<(&'static str, String)>;

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    families: BTreeMap<&'static str, Family>,
}

impl Scrape {
    /// A number of things or bytes.
    pub fn set(&mut self, metric: &'static Metric, value: u64) {
        self.put(metric, Vec::new(), Measured::Whole(value));
    }

    /// The same for one topic, port or kind of request.
    pub fn set_for(
        &mut self,
        metric: &'static Metric,
        labels: &[(&'static str, &str)],
        value: u64,
    ) {
        self.put(metric, owned(labels), Measured::Whole(value));
    }

    /// A number with a fraction, such as seconds.
    pub fn set_fraction(&mut self, metric: &'static Metric, value: f64) {
        self.put(metric, Vec::new(), Measured::Fraction(value));
    }

    /// How long things took.
    pub fn set_latency(
        &mut self,
        metric: &'static Metric,
        labels: &[(&'static str, &str)],
        latency: &LatencyHistogram,
    ) {
        self.put(metric, owned(labels), Measured::Latency(*latency));
    }

    fn put(&mut self, metric: &'static Metric, labels: Labels, measured: Measured) {
        let new = || Family {
            metric,
            values: Vec::new(),
        };
        let family = self.families.entry(metric.name).or_insert_with(new);
        family.values.push((labels, measured));
    }

    /// The text that Prometheus reads, in the form that was asked for.
    pub fn render(self, form: Form) -> String {
        let text = self.open_metrics();
        match form {
            Form::OpenMetrics => text,
            Form::Classic => classic(&text),
        }
    }

    fn open_metrics(self) -> String {
        let mut registry = Registry::with_prefix("chrysalis");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a String cannot fail");
        text
    }
}

/// How the numbers are written. The samples are the same; what stands above them is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own text format 0.0.4, which every program that scrapes can read.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Form {
    /// The form for whoever sent this `Accept`: OpenMetrics where it is named and not refused, Prometheus' own
    /// otherwise.
    pub fn accepted(accept: &str) -> Form {
        let mut kinds = accept.split(',').map(str::trim);
        let named = kinds.any(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|part| {
                let quality = part.strip_prefix("q=").map(str::parse::<f32>);
                matches!(quality, Some(Ok(quality)) if quality <= 0.0)
            });
            name.eq_ignore_ascii_case("application/openmetrics-text") && !refused
        });
        if named {
            Form::OpenMetrics
        } else {
            Form::Classic
        }
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Form::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The same in Prometheus' own format: a counter is called by its sample's name, `_total` included, and there are
/// no units and no end.
fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let (help, kind) = match (line.strip_prefix("# HELP "), lines.peek()) {
            (Some(help), Some(next)) => (help, next.strip_prefix("# TYPE ").unwrap_or_default()),
            _ if line.starts_with("# UNIT ") || line == "# EOF" => continue,
            _ => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
        };
        let (name, help) = help.split_once(' ').unwrap_or((help, ""));
        let (_, kind) = kind.split_once(' ').unwrap_or_default();
        let ending = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(text, "# HELP {name}{ending} {help}");
        let _ = writeln!(text, "# TYPE {name}{ending} {kind}");
        lines.next();
    }
    text
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in self.families.values() {
            let metric = family.metric;
            let unit = match metric.unit {
                "" => None,
                unit => Some(Unit::Other(unit.to_owned())),
            };
            let encoder = encoder.encode_descriptor(
                metric.name,
                metric.help,
                unit.as_ref(),
                family.metric_type(),
            )?;
            family.encode(encoder)?;
        }
        Ok(())
    }
}

/// A metric, and what was measured under which labels.
#[derive(Clone, Debug)]
struct Family {
    metric: &'static Metric,
    values: Vec<(Labels, Measured)>,
}

impl EncodeMetric for Family {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (labels, measured) in &self.values {
            if labels.is_empty() {
                encode_one(self.metric, measured, &mut encoder)?;
            } else {
                encode_one(self.metric, measured, &mut encoder.encode_family(labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        match self.metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Latency => MetricType::Histogram,
        }
    }
}

fn encode_one(
    metric: &Metric,
    measured: &Measured,
    encoder: &mut MetricEncoder<'_>,
) -> Result<(), fmt::Error> {
    const MICROSECONDS: f64 = 1e6;
    #[allow(
        clippy::cast_precision_loss,
        reason = "a scrape's float is exact to 2^53 and no matter beyond"
    )]
    let seconds = |microseconds: u64| microseconds as f64 / MICROSECONDS;
    match (metric.kind, measured) {
        (Kind::Counter, Measured::Whole(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Counter, Measured::Fraction(value)) => {
            encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (_, Measured::Whole(value)) => encoder.encode_gauge(value),
        (_, Measured::Fraction(value)) => encoder.encode_gauge(value),
        (_, Measured::Latency(latency)) => {
            let mut buckets: Vec<(f64, u64)> = LATENCY_BOUNDS_US
                .iter()
                .zip(latency.counts())
                .map(|(bound, count)| (seconds(*bound), *count))
                .collect();
            buckets.push((f64::INFINITY, latency.counts()[LATENCY_BOUNDS_US.len()]));
            encoder.encode_histogram::<NoLabelSet>(
                seconds(latency.sum_us()),
                latency.count(),
                &buckets,
                None,
            )
        }
    }
}

#[cfg(test)]
mod tests;
