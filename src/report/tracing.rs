//! Where log lines go and how they look. Set up once, by `run`, before anything is worth a line.
//!
//! Messages are constant lower-case phrases; facts are fields, and named the same everywhere: `topic`,
//! `partition`, `offset`, `group`, `connection`, `session`, `client`, `path`, `latency_us`, `error`.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use nix::libc::O_NONBLOCK;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, format};
use tracing_subscriber::registry::LookupSpan;

use super::lines::{self, Form, Lines, Target};
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
    /// Standard error is systemd's journal: it knows the time of a line itself, and takes its priority.
    pub syslog: bool,
}

/// Sends log lines where `options` say, from now on. One that cannot be written is dropped and counted
/// ([`lines::lost`]); a log file for which the disk has no room is no reason not to serve.
///
/// # Errors
/// The log file cannot be opened, or this process has set up its log before.
pub fn start(options: &Options) -> Result<(), Error> {
    let syslog = options.syslog && options.file.is_none();
    let (target, no_room) = target(options)?;
    let writer = Lines {
        target,
        form: match (options.json, syslog) {
            (true, _) => Form::Json,
            (false, true) => Form::Syslog,
            (false, false) => Form::Text,
        },
        losses: &lines::LOG,
    };
    let filter = EnvFilter::builder().parse(filter(&options.filter));
    let filter = filter.map_err(|error| {
        Error::new(Code::E0001, "read log.level")
            .because(error)
            .means("The server does not start.")
            .cure("Write a level, such as info, or levels by module.")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .log_internal_errors(false);
    let started = match options.json {
        true => lines.json().flatten_event(true).try_init(),
        false if syslog => {
            let line = format().without_time().with_target(false).with_ansi(false);
            lines.event_format(WithPriority(line)).try_init()
        }
        false => lines.with_target(false).try_init(),
    };
    started
        .map_err(|error| Error::new(Code::E0900, "set up the log a second time").because(error))?;
    if let Some(error) = no_room {
        ::tracing::error!(%error, "no room for the log file: lines go to standard error until the next start");
    }
    Ok(())
}

/// Where lines go; and why not to the file, if there is no room for it.
fn target(options: &Options) -> Result<(Target, Option<io::Error>), Error> {
    let Some(path) = &options.file else {
        return Ok((Target::StandardError, None));
    };
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        // A pipe is not waited for.
        .custom_flags(O_NONBLOCK)
        .open(path);
    match opened {
        Ok(file) => Ok((Target::File(file), None)),
        Err(error) if is_full(&error) => Ok((Target::StandardError, Some(error))),
        Err(error) => Err(
            Error::new(Code::E0104, format!("open the log file {}", path.display()))
                .because(error)
                .means("The server does not start without its log.")
                .cure("Make the folder or change log.file."),
        ),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// What goes before a line for systemd's journal, so that `journalctl --priority` can tell it: the numbers of
/// syslog, as `sd-daemon(3)` has them.
pub const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// A line with its priority before it.
struct WithPriority<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// At the usual level the libraries' own lines say nothing to an operator, unless they are warnings. The ZooKeeper library
/// warns of each try to connect, several times a second while no server leads; the registry tells the same once.
fn filter(configured: &str) -> &str {
    match configured {
        "info" => "warn,chrysalis=info,zookeeper_client=error",
        "warn" => "warn,zookeeper_client=error",
        _ => configured,
    }
}
