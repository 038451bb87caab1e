//! `chrysalis explain`: what an error code or a configuration key means.

use std::io::Write;

use crate::config::document;
use crate::config::explain;
use crate::config::suggest;
use crate::operator::text;
use crate::report::{Code, Error, ExitCode};

/// Explain an error code or a configuration key
///
/// With a code it prints what happened, what that means and what to do; with a key, what the key does
/// and may be. Without either it lists all codes and the numbers the program ends with.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  chrysalis explain E0104\n  chrysalis explain broker.hold_max_ms"
)]
pub(super) struct Explain {
    /// An error code such as E0104, or a key such as broker.port
    #[arg(value_name = "CODE or KEY")]
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
        match what.parse::<Code>() {
            Ok(code) => {
                let page = text::page(code.page(), text::page_columns());
                Ok(write!(out, "{page}")?)
            }
            Err(_) => {
                let keys: Vec<String> = explain::ALL
                    .iter()
                    .map(|key| document::full_name(*key))
                    .collect();
                let hint = match suggest(&what, keys.iter().map(String::as_str)) {
                    Some(key) => format!("did you mean {key}?"),
                    None => "`chrysalis explain` lists the codes, conf/server.toml has the keys"
                        .to_owned(),
                };
                let told =
                    format!("{what} is neither an error code nor a key of the configuration");
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
