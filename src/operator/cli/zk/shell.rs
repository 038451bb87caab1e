//! `chrysalis zk shell`: ZooKeeper's shell with its words and its answers, for scripts and people that know it.
//!
//! What is typed is one session: ephemeral znodes stay and watches fire until it ends. Data goes to standard output,
//! and what zkCli.sh of 3.4 tells beside it (stats, `Created`) to standard error, as there. The options of later
//! versions (`ls -R`, `get -s`, `deleteall`) are understood as well.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::answer::{data_line, stat_lines};
use super::delete::From as Place;
use super::server::{CoordinatorArgument, Server, explain};
use super::{Identity, authenticate, text};
use crate::client::zookeeper::{Client, Error, Refused};
use crate::coordinator::{Refusal, WatchEvent, WatchEventKind};
use crate::report::{self, Code};
use crate::units::counted;
use crate::wire::zookeeper::error_code;

mod commands;
mod quota;
#[cfg(test)]
mod tests;
mod words;

use commands::COMMANDS;

/// Why a line was not done.
#[derive(Debug)]
enum Failure {
    /// The words make no command, or the command no sense.
    Words(String),
    /// The coordinator refused it; about which znode.
    Refused(Refused, String),
    /// It was refused or stopped, and what that means is told.
    Told(report::Error),
    /// The connection is gone.
    Lost(Error),
    /// Nobody reads what is written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

impl Failure {
    fn of(error: Error, path: &Bytes) -> Failure {
        match error {
            Error::Refused(refused) => Failure::Refused(refused, text(path).into_owned()),
            lost => Failure::Lost(lost),
        }
    }

    /// What zkCli.sh says.
    fn told(&self) -> String {
        match self {
            Failure::Words(text) => text.clone(),
            Failure::Refused(refused, path) => match error_code::refusal(refused.number) {
                Some(Refusal::NoNode) => format!("Node does not exist: {path}"),
                Some(Refusal::NodeExists) => format!("Node already exists: {path}"),
                Some(Refusal::NotEmpty) => format!("Node not empty: {path}"),
                Some(Refusal::NoChildrenForEphemerals) => {
                    format!("Ephemerals cannot have children: {path}")
                }
                Some(Refusal::BadVersion) => format!("version No is not valid : {path}"),
                Some(Refusal::BadArguments) => format!("Arguments are not valid : {path}"),
                Some(Refusal::InvalidAcl) => format!("Acl is not valid : {path}"),
                Some(Refusal::NoAuth) => format!("Authentication is not valid : {path}"),
                _ => format!("{path}: {refused}"),
            },
            Failure::Told(error) => error.to_string(),
            Failure::Lost(error) => format!("Not connected any more: {}", report::chain(error)),
            Failure::Output(error) => error.to_string(),
        }
    }
}

/// Whether there may be another line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Quit,
}

/// One user of the shell.
struct Shell<'a> {
    client: Option<Client>,
    server: Server,
    identities: &'a [Identity],
    lines: Vec<String>,
    tells_watches: bool,
}

/// Does one command, or each line of standard input.
pub(super) async fn run(
    at: &CoordinatorArgument,
    identities: &[Identity],
    command: Vec<String>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (mut client, server) = at.connect().await?;
    authenticate(&mut client, &server, identities).await?;
    let shell = Shell {
        client: Some(client),
        server,
        identities,
        lines: Vec::new(),
        tells_watches: true,
    };
    match command.is_empty() {
        true => shell.every_line(out).await,
        false => shell.one(command, out).await,
    }
}

impl Shell<'_> {
    async fn one(mut self, words: Vec<String>, out: &mut dyn Write) -> anyhow::Result<()> {
        let done = self.words(&words, out).await;
        if words[0] == "create" && words.iter().any(|word| word == "-e") && done.is_ok() {
            let note = "it goes with this session, which ends with this command";
            writeln!(io::stderr(), "{note}")?;
        }
        self.close().await;
        match done {
            Ok(_) => Ok(()),
            Err(Failure::Output(error)) => Err(error.into()),
            Err(Failure::Told(error)) => Err(error.into()),
            Err(Failure::Lost(error)) => Err(explain(error, &self.server, &words.join(" ")).into()),
            Err(failure) => Err(report::Error::new(Code::E0402, failure.told()).into()),
        }
    }

    async fn every_line(mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        if is_terminal {
            writeln!(
                out,
                "{}; help lists the commands, quit ends it",
                self.server
            )?;
        }
        let mut typed = lines_of_standard_input();
        let mut failed = 0;
        loop {
            if is_terminal {
                write!(out, "{}", self.prompt())?;
            }
            out.flush()?;
            let line = tokio::select! {
                line = typed.recv() => line,
                event = next_event(&mut self.client) => {
                    match event {
                        Ok(event) => self.tell(&event, out)?,
                        Err(error) => self.lose(&error)?,
                    }
                    continue;
                }
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    None
                }
            };
            let Some(line) = line else { break };
            match self.line(line, out).await {
                Ok(Next::GoOn) => {}
                Ok(Next::Quit) => break,
                Err(Failure::Output(error)) => return Err(error.into()),
                Err(Failure::Lost(error)) => {
                    failed += 1;
                    self.lose(&error)?;
                }
                Err(failure) => {
                    failed += 1;
                    writeln!(io::stderr(), "{}", failure.told())?;
                }
            }
            while let Some(event) = self.client.as_mut().and_then(Client::take_event) {
                self.tell(&event, out)?;
            }
        }
        self.close().await;
        match failed {
            0 => Ok(()),
            // Whoever typed has seen it.
            _ if is_terminal => Ok(()),
            _ => Err(report::Error::new(
                Code::E0402,
                format!("{failed} of {} failed", counted(self.lines.len(), "lines")),
            )
            .means("The others were done.")
            .into()),
        }
    }

    fn prompt(&self) -> String {
        let state = if self.client.is_some() {
            "CONNECTED"
        } else {
            "CLOSED"
        };
        format!("[zk: {}({state}) {}] ", self.server, self.lines.len())
    }

    fn tell(&self, event: &WatchEvent, out: &mut dyn Write) -> io::Result<()> {
        if !self.tells_watches {
            return Ok(());
        }
        let kind = match event.kind {
            WatchEventKind::Created => "NodeCreated",
            WatchEventKind::Deleted => "NodeDeleted",
            WatchEventKind::DataChanged => "NodeDataChanged",
            WatchEventKind::ChildrenChanged => "NodeChildrenChanged",
        };
        let path = text(&event.path);
        writeln!(
            out,
            "\nWATCHER::\n\nWatchedEvent state:SyncConnected type:{kind} path:{path}"
        )
    }

    fn lose(&mut self, error: &Error) -> io::Result<()> {
        self.client = None;
        let told = report::chain(error);
        writeln!(
            io::stderr(),
            "Not connected any more: {told}. `connect` opens a new session"
        )
    }

    async fn close(&mut self) {
        if let Some(client) = self.client.take() {
            // If its end is lost the session ends by itself.
            let _ended = client.close().await;
        }
    }

    async fn line(&mut self, line: String, out: &mut dyn Write) -> Result<Next, Failure> {
        let mut words = words::split(&line);
        match words.first().map(String::as_str) {
            None => return Ok(Next::GoOn),
            Some("redo") => {
                let again = self.earlier(words.get(1))?.to_owned();
                words = words::split(&again);
                self.lines.push(again);
            }
            Some(_) => self.lines.push(line),
        }
        self.words(&words, out).await
    }

    /// The line with this number.
    fn earlier(&self, number: Option<&String>) -> Result<&str, Failure> {
        let number = number.and_then(|number| number.parse::<usize>().ok());
        let line = number.and_then(|number| self.lines.get(number));
        line.map(String::as_str)
            .ok_or_else(|| Failure::Words("Command index out of range".to_owned()))
    }

    async fn words(&mut self, words: &[String], out: &mut dyn Write) -> Result<Next, Failure> {
        let (verb, rest) = words.split_first().expect("an empty line is no command");
        match (verb.as_str(), rest) {
            ("quit", _) => return Ok(Next::Quit),
            ("help", _) => {
                for command in COMMANDS {
                    writeln!(out, "\t{} {}", command.name, command.usage)?;
                }
            }
            ("history", _) => {
                let from = self.lines.len().saturating_sub(11);
                for (number, line) in self.lines.iter().enumerate().skip(from) {
                    writeln!(out, "{number} - {line}")?;
                }
            }
            ("printwatches", [word]) => self.tells_watches = word == "on",
            ("printwatches", _) => {
                let state = if self.tells_watches { "on" } else { "off" };
                writeln!(out, "printwatches is {state}")?;
            }
            ("close", _) => self.close().await,
            ("connect", hosts) => self.connect(hosts.first()).await?,
            _ => {
                let not_connected = || Failure::Words("Not connected".to_owned());
                let client = self.client.as_mut().ok_or_else(not_connected)?;
                let server = &self.server;
                let from = Place {
                    server,
                    flags: server.options(),
                };
                commands::ask(client, &from, verb, rest, out).await?;
            }
        }
        Ok(Next::GoOn)
    }

    async fn connect(&mut self, host: Option<&String>) -> Result<(), Failure> {
        self.close().await;
        let name = host.cloned().unwrap_or_else(|| self.server.to_string());
        let at = CoordinatorArgument::named(name);
        let (client, server) =
            (at.connect().await).map_err(|error| Failure::Words(error.to_string()))?;
        self.server = server;
        let client = self.client.insert(client);
        let known = authenticate(client, &self.server, self.identities).await;
        known.map_err(|error| Failure::Words(error.to_string()))
    }
}

async fn next_event(client: &mut Option<Client>) -> Result<WatchEvent, Error> {
    match client {
        Some(client) => client.next_event().await,
        None => std::future::pending().await,
    }
}

/// What is typed, line by line. The thread that reads ends with the process.
fn lines_of_standard_input() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut line = Vec::new();
        while input
            .read_until(b'\n', &mut line)
            .is_ok_and(|bytes| bytes > 0)
        {
            if sender.send(text(&line).trim().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}
