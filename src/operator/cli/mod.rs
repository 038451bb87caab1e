//! The commands: one file each, with its arguments, its help and what it does.
//!
//! A command is a `clap::Args` struct with `run(self, out: &mut dyn Write) -> anyhow::Result<()>`. It
//! writes what was asked for to `out` and progress to standard error. It fails with a
//! [`report::Error`] where there is one to give (its code decides how the program
//! ends), otherwise with a chain of context. To add a command: a file, a `mod` line, a variant in
//! `Command` and its arm in `run`, which the compiler asks for.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};

use clap::{Parser, Subcommand};

use crate::appliance::standard_error_is_systemds_journal;
use crate::config::{Error as ConfigError, ServerFolder};
use crate::disk;
use crate::operator::escaped;
use crate::report::{self, Code, ExitCode};
use crate::server::unreadable;
use place::FolderArgument;

mod bench;
mod bench_broker;
mod bench_coordinator;
mod bench_disk;
mod brokers;
mod cluster;
mod config;
mod consume;
mod doctor;
mod dump;
mod explain;
mod host;
mod init;
mod instant;
mod interrupt;
mod partition;
mod place;
mod printing;
mod produce;
pub mod progress;
mod quantiles;
mod reload;
mod restart;
mod run;
mod server;
mod start;
mod stats;
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
    Stats(stats::Stats),
    Doctor(doctor::Doctor),
    Reload(reload::Reload),
    Config(config::Config),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Topic(topic::Topic),
    Partition(partition::Partition),
    Cluster(cluster::Cluster),
    Host(host::Host),
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
            Command::Stats(command) => command.run(out),
            Command::Doctor(command) => command.run(out),
            Command::Reload(command) => command.run(out),
            Command::Config(command) => command.run(out),
            Command::Produce(command) => command.run(),
            Command::Consume(command) => command.run(),
            Command::Topic(command) => command.run(out),
            Command::Partition(command) => command.run(out),
            Command::Cluster(command) => command.run(out),
            Command::Host(command) => command.run(out),
            Command::Dump(command) => command.run(out),
            Command::Explain(command) => command.run(out),
            Command::Version(command) => command.run(out),
            Command::Zk(command) => command.run(out),
            Command::Bench(command) => command.run(out),
        }
    }
}

/// What is told of a command line that says something impossible.
fn usage(what: impl Into<String>) -> report::Error {
    report::Error::new(Code::E0310, what)
        .means("Nothing was done.")
        .cure("`chrysalis COMMAND --help` says what there is.")
}

/// Does what the command line asks for, and tells how it ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            if !asked_for_help {
                tell_usage(&error);
                return ExitCode::Usage;
            }
            // Nobody can be told where the terminal itself is gone.
            return match error.print() {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    tell(&OutputFailed(error).explained().to_string());
                    ExitCode::Failed
                }
                _ => ExitCode::Done,
            };
        }
    };
    let mut out = Output {
        out: io::stdout().lock(),
    };
    let ended = parsed.command.run(&mut out).and_then(|()| Ok(out.flush()?));
    match ended {
        Ok(()) => ExitCode::Done,
        Err(error) => match error.chain().find_map(output_failure) {
            Some(failure) if failure.is_closed() => ExitCode::Done,
            Some(failure) => {
                tell(&failure.explained().to_string());
                ExitCode::Failed
            }
            None => told(&error),
        },
    }
}

/// A mistake on the command line that only the command itself can see.
fn usage_error(text: &str) -> clap::Error {
    let mut arguments = <Arguments as clap::CommandFactory>::command();
    arguments.error(clap::error::ErrorKind::ArgumentConflict, text)
}

/// Tells what went wrong, and gives what the program ends with.
fn told(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        // Nobody can be told where the terminal itself is gone.
        let _printed = usage.print();
        return ExitCode::Usage;
    }
    // What is wrong with a server stands in the output.
    if !error.is::<doctor::Diagnosed>() {
        tell(&message(error));
    }
    exit_code(error)
}

/// Tells an operator what went wrong.
fn tell(message: &str) {
    let priority = match standard_error_is_systemds_journal() {
        true => report::tracing::priority(tracing::Level::ERROR),
        false => "",
    };
    // Servers send texts of their own; they are not to steer a terminal.
    let lines: Vec<String> = message
        .lines()
        .map(|line| format!("{priority}{}\n", escaped::on_a_terminal(line.as_bytes())))
        .collect();
    report::lines::say(&lines.concat());
}

/// Tells what is wrong with a command line, in the words and colours of the library that reads it.
fn tell_usage(error: &clap::Error) {
    let text = match io::stderr().is_terminal() {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    let _told = write!(
        io::stderr(),
        "{}",
        text.replacen("error:", Code::E0310.name(), 1)
    );
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

/// What an operator reads of an error. One that nobody has thought of has a code as well, by which it is found.
pub fn message(error: &anyhow::Error) -> String {
    if let Some(error) = error.downcast_ref::<report::Error>() {
        return error.to_string();
    }
    let chain = report::chain(error.as_ref());
    match error.is::<Told>() {
        true => chain,
        false => report::Error::new(Code::E0308, chain).to_string(),
    }
}

/// How the program ends for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(told) = error.downcast_ref::<Told>() {
        return ExitCode::from_number(told.exit_code);
    }
    if let Some(diagnosed) = error.downcast_ref::<doctor::Diagnosed>() {
        return diagnosed.0;
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

/// What an operator is told when a command gets no thread, or what a thread needs.
fn no_thread(error: io::Error) -> report::Error {
    report::Error::new(Code::E0111, "start the threads of the command")
        .because(error)
        .means("Nothing was done.")
        .cure(LIMIT_CURE)
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
        ConfigError::Missing(conf) => {
            let folder = ServerFolder::new(conf.parent().unwrap_or(&conf));
            let what = format!(
                "no server.toml, server.ini or zoo.cfg in {}",
                conf.display()
            );
            report::Error::new(Code::E0002, what)
                .means("This is no server's folder.")
                .cure(format!(
                    "Check the path, or make one: chrysalis init {}",
                    place::flag(&folder)
                ))
        }
        ConfigError::Unreadable { path, source } => {
            let code = unreadable(&source);
            report::Error::new(code, format!("read {}", path.display()))
                .because(source)
                .means("Nothing was started or changed.")
                .cure(match code {
                    Code::E0103 => "Run this as the folder's owner, or let this user read it.",
                    Code::E0111 => LIMIT_CURE,
                    _ => "Save it anew as UTF-8 text, if it is a file that can be read.",
                })
        }
        ConfigError::Blank(_) => report::Error::new(Code::E0004, error.to_string())
            .means("Nothing was started or changed.")
            .cure("Put its content back, or `chrysalis init` another folder and copy the file from there."),
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

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write to standard output: {0}")]
struct OutputFailed(io::Error);

impl OutputFailed {
    /// Its reader has gone.
    fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }

    fn explained(&self) -> report::Error {
        report::Error::new(Code::E0406, self.to_string()).means("Not all was told.")
    }
}

/// Whether an error is that of the output. An I/O error hides what it was made from.
fn output_failure<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a OutputFailed> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)?;
    inner.downcast_ref()
}

/// The error of standard output, told apart from that of a file or a connection.
fn output_failed(error: io::Error) -> io::Error {
    io::Error::other(OutputFailed(error))
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(output_failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(output_failed)
    }
}

#[cfg(test)]
mod tests;
