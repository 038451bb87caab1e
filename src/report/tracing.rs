//! Where log lines go and how they look. Set up once, by `run`, before anything is worth a line.
//!
//! Messages are constant lower-case phrases; facts are fields, and named the same everywhere: `topic`,
//! `partition`, `offset`, `group`, `connection`, `session`, `client`, `path`, `latency_us`, `error`.

use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::{Code, Error};

/// What is told, how, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A level, or levels by module: `info,chrysalis::broker=debug`.
    pub filter: String,
    /// One JSON object a line, instead of a line for people.
    pub json: bool,
    /// The file to append to; none is standard error.
    pub file: Option<PathBuf>,
}

/// Sends log lines where `options` say, from now on.
///
/// # Errors
/// The log file cannot be opened, or this process has set up its log before.
pub fn start(options: &Options) -> Result<(), Error> {
    let writer = match &options.file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|error| {
                    Error::new(Code::E0104, format!("open the log file {}", path.display()))
                        .because(error)
                        .means("The server does not start without its log.")
                        .cure("Make the folder or change log.file.")
                })?;
            BoxMakeWriter::new(Mutex::new(file))
        }
    };
    let filter = EnvFilter::builder().parse_lossy(filter(&options.filter));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false);
    let started = match options.json {
        false => lines.with_target(false).try_init(),
        true => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::new(Code::E0900, "set up the log a second time").because(error))
}

/// At the usual level the libraries' own lines say nothing to an operator, unless they are warnings.
fn filter(configured: &str) -> &str {
    match configured {
        "info" => "warn,chrysalis=info",
        _ => configured,
    }
}
