//! The commands: one file each, with its arguments, its help and what it does.
//!
//! A command is a `clap::Args` struct with `run(self, out: &mut dyn Write) -> anyhow::Result<()>`. It
//! writes what was asked for to `out` and progress to standard error. It fails with a
//! [`report::Error`] where there is one to give (its code decides how the program
//! ends), otherwise with a chain of context. To add a command: a file, a `mod` line, a variant in
//! `Command` and its arm in `run`, which the compiler asks for.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::appliance::standard_error_is_systemds_journal;
use crate::config::{Error as ConfigError, ServerFolder};
use crate::disk;
use crate::report::{self, Code, ExitCode};

mod bench;
mod bench_broker;
mod bench_coordinator;
mod bench_disk;
mod brokers;
mod config;
mod consume;
mod dump;
mod explain;
mod init;
mod instant;
mod partition;
mod produce;
pub mod progress;
mod quantiles;
mod reload;
mod restart;
mod run;
mod server;
mod start;
mod status;
mod stop;
mod topic;
mod version;
mod zk;

/// A ZooKeeper-compatible coordinator and a MetaQ-compatible message broker in one process.
#[derive(Debug, Parser)]
#[command(
    name = "chrysalis",
    version,
    disable_help_subcommand = true,
    after_help = "A first minute:\n  \
        chrysalis init /tmp/server1 --topic test\n  \
        chrysalis start /tmp/server1\n  \
        chrysalis produce test hello\n  \
        chrysalis consume test\n  \
        chrysalis stop /tmp/server1\n\n\
        `chrysalis COMMAND --help` says more about each."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Run(run::Run),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Status(status::Status),
    Reload(reload::Reload),
    Config(config::Config),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Topic(topic::Topic),
    Partition(partition::Partition),
    Dump(dump::Dump),
    Explain(explain::Explain),
    Version(version::Version),
    Zk(zk::Zk),
    Bench(bench::Bench),
}

impl Command {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self {
            Command::Init(command) => command.run(out),
            Command::Run(command) => command.run(),
            Command::Start(command) => command.run(out),
            Command::Stop(command) => command.run(out),
            Command::Restart(command) => command.run(out),
            Command::Status(command) => command.run(out),
            Command::Reload(command) => command.run(out),
            Command::Config(command) => command.run(out),
            Command::Produce(command) => command.run(out),
            Command::Consume(command) => command.run(out),
            Command::Topic(command) => command.run(out),
            Command::Partition(command) => command.run(out),
            Command::Dump(command) => command.run(out),
            Command::Explain(command) => command.run(out),
            Command::Version(command) => command.run(out),
            Command::Zk(command) => command.run(out),
            Command::Bench(command) => command.run(out),
        }
    }
}

/// The folder that a command is about.
#[derive(Debug, clap::Args)]
pub struct FolderArgument {
    /// The server's folder, as made by `chrysalis init`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl FolderArgument {
    /// The folder, by its full name where it has one: a server in the background is nowhere else.
    pub fn server_folder(&self) -> ServerFolder {
        ServerFolder::new(std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone()))
    }
}

/// Does what the command line asks for, and tells how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            // Nobody can be told where the terminal itself is gone.
            let printed = error.print();
            return match (asked_for_help, printed) {
                (false, _) => ExitCode::Usage,
                (true, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                    tell(&format!("write to standard output: {error}"));
                    ExitCode::Failed
                }
                (true, _) => ExitCode::Done,
            };
        }
    };
    let mut out = Output {
        out: io::stdout().lock(),
    };
    let ended = parsed.command.run(&mut out).and_then(|()| Ok(out.flush()?));
    match ended {
        Ok(()) => ExitCode::Done,
        Err(error) if error.chain().any(is_output_closed) => ExitCode::Done,
        Err(error) => {
            tell(&message(&error));
            exit_code(&error)
        }
    }
}

/// Tells an operator what went wrong.
fn tell(message: &str) {
    let priority = match standard_error_is_systemds_journal() {
        true => report::tracing::priority(tracing::Level::ERROR),
        false => "",
    };
    let lines: Vec<String> = message
        .lines()
        .map(|line| format!("{priority}{line}\n"))
        .collect();
    report::lines::say(&lines.concat());
}

/// Says that the program has found a bug in itself, to the log and to whoever reads standard error.
pub fn tell_bug(what: &str) {
    let error = report::Error::new(Code::E0900, what)
        .means("The process ends; nothing that was acknowledged is lost.")
        .cure("Please report this with the lines before it in the log: chrysalis explain E0900");
    tracing::error!(%error, "a bug");
    report::lines::say(&format!("{error}\n"));
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        report::lines::say(&format!("{backtrace}\n"));
    }
}

/// An error that another process has told already: its whole message and what it ended with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Told {
    message: String,
    exit_code: u8,
}

/// What an operator reads of an error.
pub fn message(error: &anyhow::Error) -> String {
    match error.downcast_ref::<report::Error>() {
        Some(error) => error.to_string(),
        None => report::chain(error.as_ref()),
    }
}

/// How the program ends for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(told) = error.downcast_ref::<Told>() {
        return ExitCode::from_number(told.exit_code);
    }
    error
        .downcast_ref::<report::Error>()
        .map_or(ExitCode::Failed, report::Error::exit_code)
}

/// What helps where the system gives the process no more of something.
const LIMIT_CURE: &str = "See what it may have (`ulimit -a`) and raise it: chrysalis explain E0111";

/// Whether the system gives the process no more of something.
fn is_lacking(error: &io::Error) -> bool {
    disk::Class::of(error) == disk::Class::Exhausted
}

/// What an operator is told when there is no disk.
fn disk_error(error: disk::NewError) -> report::Error {
    report::Error::new(Code::E0111, "start the threads that read and write files")
        .because(error)
        .means("Nothing was done.")
        .cure(LIMIT_CURE)
}

/// What an operator is told when there is no configuration.
pub fn config_error(error: ConfigError) -> report::Error {
    match error {
        ConfigError::Missing(conf) => report::Error::new(
            Code::E0002,
            format!(
                "no server.toml, server.ini or zoo.cfg in {}",
                conf.display()
            ),
        )
        .means("This is no server's folder.")
        .cure("Check the path, or make one: chrysalis init DIR."),
        ConfigError::Unreadable { path, source } if is_lacking(&source) => {
            report::Error::new(Code::E0111, format!("read {}", path.display()))
                .because(source)
                .means("Nothing was started or changed.")
                .cure(LIMIT_CURE)
        }
        ConfigError::Unreadable { path, source } => {
            report::Error::new(Code::E0004, format!("read {}", path.display()))
                .because(source)
                .means("Nothing was started or changed.")
                .cure("Let this user read the file, as UTF-8 text.")
        }
        ConfigError::Mistakes(mistakes) => {
            let count = match mistakes.list().len() {
                1 => "a mistake".to_owned(),
                count => format!("{count} mistakes"),
            };
            report::Error::new(
                Code::E0001,
                format!("the configuration has {count}:\n{mistakes}"),
            )
            .means("Nothing was started or changed.")
            .cure("Correct these lines; docs/configuration.md describes every key.")
        }
    }
}

/// Standard output. Who closes it early, as `head` does, has what they wanted: that is no failure, and
/// is told apart from a broken connection to a server by its own error.
struct Output<W> {
    out: W,
}

/// The reader of standard output has gone.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
struct OutputClosed(#[source] io::Error);

/// Whether an error is the closed output. An I/O error hides what it was made from.
fn is_output_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    inner.is_some_and(|inner| inner.is::<OutputClosed>())
}

fn closed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::other(OutputClosed(error)),
        kind => io::Error::new(kind, format!("write to standard output: {error}")),
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(closed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(closed)
    }
}

#[cfg(test)]
mod tests;
