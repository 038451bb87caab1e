//! `chrysalis explain`: what an error code, a configuration key, a metric or a finding of `doctor` means.

use std::io::Write;

use crate::config::document;
use crate::config::explain;
use crate::config::suggest;
use crate::operator::doctor::{Check, checks};
use crate::operator::text;
use crate::report::metrics::{self, Metric};
use crate::report::{Code, Error, ExitCode};

/// Explain an error code, a configuration key, a metric or a finding of `doctor`
///
/// A code: what happened, what it means, what to do. A key: what it does, and what it may be. A metric:
/// what it counts, and when to wake somebody. A finding: what is wrong, and what cures it. `metrics` lists all metrics; `alarms` prints rules for
/// Prometheus. Without an argument it lists all codes, and the exit codes of the program.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  chrysalis explain E0104\n  chrysalis explain broker.hold_max_ms\n  \
                       chrysalis explain chrysalis_ready\n  \
                       chrysalis explain alarms > /etc/prometheus/rules/chrysalis.yml"
)]
pub(super) struct Explain {
    /// An error code such as E0104, a key such as broker.port, a metric, a finding such as no-quorum, `metrics` or `alarms`
    #[arg(value_name = "CODE, KEY, METRIC or FINDING")]
    what: Option<String>,
}

impl Explain {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let Some(what) = self.what else {
            return list(out);
        };
        let key = of_any_topic(&what);
        if let Some(page) = document::key(key.as_deref().unwrap_or(&what)) {
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
                if let Some(check) = checks::all().find(|check| check.name == name) {
                    return show_finding(check, out);
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
                    .chain(checks::all().map(|check| check.name.to_owned()))
                    .chain(["metrics".to_owned(), "alarms".to_owned()])
                    .collect();
                let told = format!(
                    "{what} is neither an error code nor a key of the configuration nor a metric nor a finding"
                );
                let error = match suggest(&what, names.iter().map(String::as_str)) {
                    Some(name) => Error::new(Code::E0310, format!("{told}; did you mean {name}?")),
                    None => Error::new(Code::E0310, told).cure(
                        "`chrysalis explain` lists the codes, `chrysalis explain metrics` the metrics, and \
                         conf/server.toml has the keys",
                    ),
                };
                Err(error.into())
            }
        }
    }
}

/// `topics.NAME.KEY` for a key of one topic, `topics.orders.KEY`. A topic's name may have dots.
fn of_any_topic(what: &str) -> Option<String> {
    let (name, key) = what.strip_prefix("topics.")?.rsplit_once('.')?;
    (!name.is_empty()).then(|| format!("topics.NAME.{key}"))
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
            let heading = text::wrap(&heading(metric), columns, 2, 4);
            writeln!(out, "  {heading}\n    {help}")?;
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

fn show_finding(check: &Check, out: &mut dyn Write) -> anyhow::Result<()> {
    let Check {
        name,
        severity,
        means,
        cure,
        ..
    } = check;
    let page = format!("{name} ({severity})\n\n{means}\n\nWhat cures it: {cure}\n");
    Ok(write!(out, "{}", text::page(&page, text::page_columns()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(what: &str) -> Result<String, String> {
        let mut out = Vec::new();
        let what = Some(what.to_owned());
        let explain = Explain { what }.run(&mut out);
        explain.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).expect("it is text"))
    }

    #[test]
    fn every_metric_is_listed_and_explained_with_its_alarms() {
        let listed = explained("metrics").expect("they can be listed");
        for metric in metrics::all() {
            let name = metric.full_name();
            assert!(listed.contains(&name), "{name} is not listed");
            let page = explained(&name).expect("it can be explained");
            for alarm in metrics::document::alarms_of(metric) {
                assert!(page.contains(alarm.expression), "{name}: {page}");
            }
        }
    }

    #[test]
    fn the_alarms_are_a_file_of_rules() {
        let rules = explained("alarms").expect("they can be printed");
        assert!(rules.starts_with("groups:\n"), "{rules}");
        let count = rules.matches("- alert: ").count();
        assert_eq!(count, metrics::ALARMS.len());
    }

    #[test]
    fn a_key_of_one_topic_is_that_of_any() {
        let any = explained("topics.NAME.delete_policy").expect("it can be explained");
        for one in [
            "topics.orders.delete_policy",
            "topics.\"a.b\".delete_policy",
        ] {
            assert_eq!(explained(one).as_ref(), Ok(&any), "{one}");
        }
        let told = explained("topics.orders.delete_polcy").expect_err("there is none");
        assert!(
            told.contains("did you mean topics.NAME.delete_policy?"),
            "{told}"
        );
    }

    #[test]
    fn every_finding_of_doctor_is_explained_with_its_cure() {
        for check in checks::all() {
            let page = explained(check.name).expect("it can be explained");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words(&page).contains(&words(check.cure)), "{page}");
        }
        let told = explained("no-quorom").expect_err("there is none");
        assert!(told.contains("did you mean no-quorum?"), "{told}");
    }

    #[test]
    fn a_mistyped_metric_is_recognised() {
        let told = explained("chrysalis_redy").expect_err("there is none");
        assert!(told.contains("did you mean chrysalis_ready?"), "{told}");
    }
}
