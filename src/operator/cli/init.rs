//! `chrysalis init`: makes a server's folder.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::place;
use super::server::make_private_folder;
use crate::config::document::{self, Chosen, ChosenTopic};
use crate::config::edit::EditError;
use crate::config::key::{Section, quote};
use crate::config::topic::{TOPIC_NAME_WORDS, topic_name_is_valid};
use crate::config::{self, COORDINATOR_ID_MAX, Config, ServerFolder};
use crate::report::{Code, Error};

/// Make a server's folder
///
/// Makes DIR with conf/, data/ and logs/. conf/server.toml has every key, with its default and what it does.
/// Nothing is started.
///
/// A second run with the same options changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis init /srv/server1 --topic orders:4 --topic 'log-*'\n      \
    a server for programs on this machine, with a topic of 4 partitions and a wildcard\n  \
    chrysalis init /srv/server2 --id 2 --listen 0.0.0.0 --coordinator-port 2191 \\\n      \
    --broker-port 8133 --web-port 8130\n      \
    a second one on the same machine, open to others")]
pub(super) struct Init {
    #[command(flatten)]
    folder: NewFolder,
    /// This server's number, 0 to 254: its myid and its broker id. A broker without a coordinator may have up to 1023:
    /// set server.id [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=i64::from(COORDINATOR_ID_MAX)))]
    id: Option<u16>,
    /// The address to listen on; 0.0.0.0 is every address of this machine. Whoever reaches a port may do everything
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
    /// The port for ZooKeeper's clients [default: 2181]
    #[arg(long, value_name = "N")]
    coordinator_port: Option<u16>,
    /// The port for MetaQ's clients [default: 8123]
    #[arg(long, value_name = "N")]
    broker_port: Option<u16>,
    /// The port for /health, /ready and /metrics, on loopback [default: 8120]
    #[arg(long, value_name = "N")]
    web_port: Option<u16>,
    /// A topic to accept, with its number of partitions; '*' stands for any characters; may be given again
    /// [default: test]
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = parse_topic)]
    topics: Vec<NewTopic>,
}

/// The folder to make. Unlike any other command this one takes no hint from where one stands.
#[derive(Debug, clap::Args)]
struct NewFolder {
    /// The folder to make; it may be there already
    #[arg(
        value_name = "DIR",
        required_unless_present = "folder",
        conflicts_with = "folder"
    )]
    first: Option<PathBuf>,
    /// The same, named as every other command names it
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// A topic as the command line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewTopic {
    pub(super) name: String,
    pub(super) partitions: Option<u32>,
}

/// Reads `NAME` or `NAME:PARTITIONS`.
pub(super) fn parse_topic(text: &str) -> Result<NewTopic, String> {
    let (name, partitions) = match text.rsplit_once(':') {
        Some((name, number)) => match number.parse() {
            Ok(partitions @ 1..=10_000) => (name, Some(partitions)),
            _ => {
                return Err(
                    "the number of partitions must be a whole number from 1 to 10000".to_owned(),
                );
            }
        },
        None => (text, None),
    };
    match topic_name_is_valid(name) {
        true => Ok(NewTopic {
            name: name.to_owned(),
            partitions,
        }),
        false => Err(format!("a topic's name must be {TOPIC_NAME_WORDS}")),
    }
}

impl NewTopic {
    /// Its section of the configuration.
    pub(super) fn chosen(&self) -> ChosenTopic {
        let partitions = self
            .partitions
            .map(|partitions| ("num_partitions", partitions.to_string()));
        ChosenTopic {
            name: self.name.clone(),
            keys: partitions.into_iter().collect(),
        }
    }
}

impl Init {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let named = self
            .folder
            .first
            .as_deref()
            .or(self.folder.folder.as_deref());
        let folder = place::found(named).ok_or_else(|| super::usage("no folder is named"))?;
        match config::load(&folder) {
            Err(config::Error::Missing(_)) => {
                self.make(&folder)?;
                self.tell(&folder, out)
            }
            Ok(there) => {
                self.compare(&folder, &there)?;
                let asked = !self.chosen().is_empty() || !self.topics.is_empty();
                let settings = match asked {
                    true => ", with these settings",
                    false => "",
                };
                writeln!(
                    out,
                    "{} is a server already{settings}; nothing was changed.",
                    folder.root().display()
                )?;
                Ok(())
            }
            Err(error) => Err(super::config_error(error).into()),
        }
    }

    fn make(&self, folder: &ServerFolder) -> anyhow::Result<()> {
        let text = document::server_toml(&self.chosen(), &self.chosen_topics()?);
        config::from_toml(folder.root(), &text, &config::Machine::default())
            .map_err(|mistakes| super::config_error(config::Error::Mistakes(mistakes)))?;
        let conf = folder.conf();
        for made in [&conf, &folder.data(), &folder.logs()] {
            make_private_folder(made).map_err(|error| refused(made, error))?;
        }
        let lock = config::edit::Lock::take(folder).map_err(|error| match error {
            EditError::Write { path, source } => refused(&path, source),
            other => super::topic::not_edited(folder, "", other).into(),
        })?;
        if folder.server_toml().exists() {
            let what = format!(
                "{} was made by somebody else just now",
                folder.server_toml().display()
            );
            return Err(Error::new(Code::E0003, what)
                .means("Nothing was changed.")
                .into());
        }
        lock.replace(&folder.server_toml(), text.as_bytes())
            .map_err(|error| refused(&conf, error))?;
        Ok(())
    }

    fn chosen(&self) -> Vec<Chosen> {
        let number = |value: Option<u16>| value.map(|value| value.to_string());
        let listen = self.listen.map(|address| quote(&address.to_string()));
        [
            (Section::Server, "id", number(self.id)),
            (Section::Server, "listen", listen),
            (Section::Coordinator, "port", number(self.coordinator_port)),
            (Section::Broker, "port", number(self.broker_port)),
            (Section::Web, "port", number(self.web_port)),
        ]
        .into_iter()
        .filter_map(|(section, name, value)| value.map(|value| (section, name, value)))
        .collect()
    }

    fn chosen_topics(&self) -> Result<Vec<ChosenTopic>, Error> {
        if self.topics.is_empty() {
            let test = NewTopic {
                name: "test".to_owned(),
                partitions: None,
            };
            return Ok(vec![test.chosen()]);
        }
        for (number, topic) in self.topics.iter().enumerate() {
            let before = &self.topics[..number];
            if before.iter().any(|other| other.name == topic.name) {
                let what = format!("--topic {} is given twice", topic.name);
                return Err(Error::new(Code::E0001, what)
                    .means("Nothing was made.")
                    .cure("Name each topic once."));
            }
        }
        Ok(self.topics.iter().map(NewTopic::chosen).collect())
    }

    /// Whether what is there is what was asked for; what was not asked for may be anything.
    fn compare(&self, folder: &ServerFolder, there: &Config) -> Result<(), Error> {
        let mut others: Vec<String> = Vec::new();
        for (section, name, value) in self.chosen() {
            let full_name = format!("{section}.{name}");
            let held = there.source.held(&full_name);
            if let Some(held) = held.filter(|held| *held != value) {
                others.push(format!("{full_name} is {held}, not {value}"));
            }
        }
        let topics = there.broker.iter().flat_map(|broker| &broker.topics);
        for wanted in &self.topics {
            match topics.clone().find(|topic| topic.name == wanted.name) {
                None => others.push(format!("there is no topic {}", wanted.name)),
                Some(topic) => {
                    let held = topic.settings.num_partitions;
                    if wanted
                        .partitions
                        .is_some_and(|partitions| partitions != held)
                    {
                        others.push(format!("topic {} has {held} partitions", wanted.name));
                    }
                }
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{} already is a server: {}",
            folder.root().display(),
            others.join(", ")
        );
        Err(Error::new(Code::E0003, what)
            .means("Nothing was changed.")
            .cure(format!(
                "Edit {}, or choose another folder.",
                folder.server_toml().display()
            )))
    }

    fn tell(&self, folder: &ServerFolder, out: &mut dyn Write) -> anyhow::Result<()> {
        let root = folder.root().display();
        writeln!(
            out,
            "Made {root}: its configuration is {}.",
            folder.server_toml().display()
        )?;
        writeln!(out, "Next: chrysalis start {}", place::flag(folder))?;
        if self.listen.is_none() {
            writeln!(
                out,
                "It listens on 127.0.0.1 alone; to change that, set server.listen."
            )?;
        }
        Ok(())
    }
}

fn refused(path: &Path, error: io::Error) -> anyhow::Error {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => Code::E0103,
        io::ErrorKind::StorageFull => Code::E0204,
        _ => Code::E0104,
    };
    let error = Error::new(code, format!("make {}", path.display()))
        .because(error)
        .means("The server's folder is not complete.")
        .cure("Choose a folder that can be written.");
    error.into()
}
