//! `chrysalis explain`: what an error code, a configuration key or a metric means.

use std::io::Write;

use crate::config::document;
use crate::config::explain;
use crate::config::suggest;
use crate::operator::text;
use crate::report::metrics::{self, Metric};
use crate::report::{Code, Error, ExitCode};

/// Explain an error code, a configuration key or a metric
///
/// A code: what happened, what it means, what to do. A key: what it does, and what it may be. A metric:
/// what it counts, and when to wake somebody. `metrics` lists all metrics; `alarms` prints rules for
/// Prometheus. Without an argument it lists all codes, and the exit codes of the program.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  chrysalis explain E0104\n  chrysalis explain broker.hold_max_ms\n  \
                       chrysalis explain chrysalis_ready\n  \
                       chrysalis explain alarms > /etc/prometheus/rules/chrysalis.yml"
)]
pub(super) struct Explain {
    /// An error code such as E0104, a key such as broker.port, a metric, `metrics` or `alarms`
    #[arg(value_name = "CODE, KEY or METRIC")]
    what: Option<String>,
}

impl Explain {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Some(what) = self.what else {
            return list(out);
        };
        if let Some(page) = document::key(&what) {
            write!(out, "{}", text::page(&page, text::page_columns()))?;
            return Ok(());
        }
        match what.as_str() {
            "metrics" => return list_metrics(out),
            "alarms" => return Ok(write!(out, "{}", metrics::document::rules())?),
            name => {
                if let Some(metric) = metrics::all().find(|metric| metric.full_name() == name) {
                    return show_metric(metric, out);
                }
            }
        }
        match what.parse::<Code>() {
            Ok(code) => {
                let page = text::page(code.page(), text::page_columns());
                Ok(write!(out, "{page}")?)
            }
            Err(_) => {
                let names: Vec<String> = explain::ALL
                    .iter()
                    .map(|key| document::full_name(*key))
                    .chain(metrics::all().map(Metric::full_name))
                    .chain(["metrics".to_owned(), "alarms".to_owned()])
                    .collect();
                let hint = match suggest(&what, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean {name}?"),
                    None => "`chrysalis explain` lists the codes, `chrysalis explain metrics` the metrics, and \
                             conf/server.toml has the keys"
                        .to_owned(),
                };
                let told = format!(
                    "{what} is neither an error code nor a key of the configuration nor a metric"
                );
                Err(Error::new(Code::E0310, told).cure(hint).into())
            }
        }
    }
}

fn list(out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "Error codes:")?;
    for code in Code::ALL {
        writeln!(out, "  {code}  {}", code.title())?;
    }
    writeln!(out, "\nThe program ends with:")?;
    for code in ExitCode::ALL {
        writeln!(out, "  {:>5}  {}", code.number(), code.meaning())?;
    }
    Ok(())
}

fn list_metrics(out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = text::page_columns();
    for (index, part) in metrics::PARTS.iter().enumerate() {
        let space = if index == 0 { "" } else { "\n" };
        writeln!(out, "{space}{}:", part.title)?;
        for metric in part.metrics {
            let help = text::wrap(metric.help, columns, 4, 4);
            writeln!(out, "  {}\n    {help}", heading(metric))?;
        }
    }
    Ok(())
}

/// Its name and what kind of number it is, in one line.
fn heading(metric: &Metric) -> String {
    let labels = match metric.labels {
        [] => String::new(),
        labels => format!(" by {}", labels.join(" and ")),
    };
    let unit = match metric.unit {
        "" => String::new(),
        unit => format!(", {unit}"),
    };
    let kind = metric.kind.name();
    format!("{} ({kind}{unit}{labels})", metric.full_name())
}

fn show_metric(metric: &Metric, out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = text::page_columns();
    let mut page = format!("{}\n\n{}.\n", heading(metric), metric.help);
    for alarm in metrics::document::alarms_of(metric) {
        page.push_str(&format!(
            "\nAlarm {} ({}), when this holds for {}:\n\n    {}\n\n{}. {}.\n",
            alarm.name,
            alarm.urgency.name(),
            alarm.hold,
            alarm.expression,
            alarm.meaning,
            alarm.cure
        ));
    }
    write!(out, "{}", text::page(&page, columns))?;
    Ok(())
}
