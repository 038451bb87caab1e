//! `chrysalis topic`: the topics of a server.

use std::io::Write;

use super::init::{NewTopic, parse_topic};
use super::place::{FolderArgument, FolderOption, flag, word};
use super::{server, usage};
use crate::appliance::control::{Request, Response};
use crate::appliance::status::TopicPattern;
use crate::config::ServerFolder;
use crate::config::edit::{self, EditError};
use crate::operator::status;
use crate::report::{Code, Error};
use crate::units::counted;

mod delete;

/// List, describe, create or delete topics
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis topic create orders:4 --folder /srv/server1\n  \
    chrysalis topic list --folder /srv/server1\n  \
    chrysalis topic describe orders --folder /srv/server1\n  \
    chrysalis topic delete orders --keep-data --yes --folder /srv/server1")]
pub(super) struct Topic {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TopicCommand {
    /// List the topics of a running server
    #[command(after_long_help = "Examples:\n  \
        chrysalis topic list --folder /srv/server1\n  \
        chrysalis topic list --folder /srv/server1 --json | jq -r '.[].name'")]
    List {
        #[command(flatten)]
        folder: FolderArgument,
        /// As JSON, with units in the names
        #[arg(long)]
        json: bool,
    },
    /// Show one topic and its partitions
    #[command(
        override_usage = "chrysalis topic describe [OPTIONS] [DIR] <TOPIC>",
        after_long_help = "Example:\n  chrysalis topic describe orders --folder /srv/server1"
    )]
    Describe {
        #[command(flatten)]
        folder: FolderOption,
        /// The topic. The server's folder may stand before it
        #[arg(value_name = "TOPIC", num_args = 1..=2, required = true)]
        words: Vec<String>,
        /// As JSON, with units in the names
        #[arg(long)]
        json: bool,
    },
    /// Add a topic to the configuration, and to the server if it runs
    ///
    /// Appends a section to conf/server.toml, or to conf/server.ini if that is the configuration. Nothing else
    /// in the file changes.
    ///
    /// A '*' in the name permits every topic that matches. Such a topic exists, and is in ZooKeeper, from its
    /// first message on. Send that one to the broker itself: produce --broker HOST:PORT.
    #[command(
        override_usage = "chrysalis topic create [OPTIONS] [DIR] <NAME[:PARTITIONS]>",
        after_long_help = "Examples:\n  \
        chrysalis topic create orders:4 --folder /srv/server1\n  \
        chrysalis topic create 'log-*:2' --folder /srv/server1"
    )]
    Create {
        #[command(flatten)]
        folder: FolderOption,
        /// The topic; '*' in it stands for any characters. The server's folder may stand before it
        #[arg(value_name = "NAME[:PARTITIONS]", num_args = 1..=2, required = true)]
        words: Vec<String>,
    },
    Delete(delete::Delete),
}

/// What is told who names several.
const ONE_TOPIC: &str = "one topic at a time";

impl Topic {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            TopicCommand::List { folder, json } => list(&folder.server_folder()?, json, out),
            TopicCommand::Describe {
                folder,
                words,
                json,
            } => {
                let (folder, topic) = folder.and_one(&words, ONE_TOPIC)?;
                describe(&folder, topic, json, out)
            }
            TopicCommand::Create { folder, words } => {
                let (folder, topic) = folder.and_one(&words, ONE_TOPIC)?;
                let topic = parse_topic(topic).map_err(usage)?;
                create(&folder, &topic, out)
            }
            TopicCommand::Delete(delete) => delete.run(out),
        }
    }
}

fn list(folder: &ServerFolder, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let Response::Topics { topics, patterns } = server::ask(folder, &Request::TopicList)? else {
        return Err(server::not_an_answer().into());
    };
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&topics)?)?,
        false => {
            write!(out, "{}", status::topics(&topics))?;
            for TopicPattern {
                pattern,
                partitions,
            } in patterns
            {
                let partitions = counted(partitions, "partitions");
                writeln!(
                    out,
                    "{pattern}: a pattern; each topic that matches has {partitions}, and exists from its first message on"
                )?;
            }
        }
    }
    Ok(())
}

fn describe(
    folder: &ServerFolder,
    topic: &str,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let topic = topic.to_owned();
    let Response::Topic(detail) = server::ask(folder, &Request::TopicDescribe { topic })? else {
        return Err(server::not_an_answer().into());
    };
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&detail)?)?,
        false => {
            write!(out, "{}", status::topic(&detail))?;
            let name = &detail.topic.name;
            if let Some(unshown) = detail.unshown() {
                let first = unshown.partitions[0];
                writeln!(
                    out,
                    "{unshown}; until then: chrysalis consume {} --partition {first}",
                    word(name)
                )?;
            }
            if name.contains('*') && detail.partitions.is_empty() {
                writeln!(
                    out,
                    "{name} is a pattern: a topic that matches exists from its first message on, and is described by its own name"
                )?;
            }
        }
    }
    Ok(())
}

fn create(folder: &ServerFolder, topic: &NewTopic, out: &mut dyn Write) -> anyhow::Result<()> {
    let name = &topic.name;
    let path = edit::add_topic(folder, name, topic.partitions)
        .map_err(|error| not_edited(folder, name, error))?;
    writeln!(out, "added {name} to {}", path.display())?;
    match server::holder(folder)? {
        Some(_) => server::reload_edited(folder, &format!("{name} is in {}", path.display()), out),
        None => Ok(writeln!(
            out,
            "{} does not run: it will have the topic when it is started",
            folder.name()
        )?),
    }
}

/// What an operator is told where the topics of a configuration were not changed.
pub(super) fn not_edited(folder: &ServerFolder, name: &str, error: EditError) -> Error {
    let reload = format!("chrysalis reload {}", flag(folder));
    match error {
        EditError::Config(error) => super::config_error(error),
        EditError::Exists(path) => Error::new(
            Code::E0304,
            format!("topic {name} is in {} already", path.display()),
        )
        .means("Nothing was changed.")
        .cure(format!("To change its settings, edit its section and run {reload}")),
        EditError::Missing(path) => Error::new(
            Code::E0303,
            format!("there is no topic {name} in {}", path.display()),
        )
        .means("Nothing was changed.")
        .cure("The file's sections are what there is: one called [topics.\"a-*\"] is deleted by that name."),
        EditError::NoBroker => Error::new(Code::E0306, "this server is no broker")
            .means("Nothing was changed.")
            .cure("Name the folder of one that is: --folder DIR."),
        EditError::NotAppendable { path, mistakes } => Error::new(
            Code::E0005,
            format!("{name} cannot be added to {}:\n{mistakes}", path.display()),
        )
        .means("Nothing was changed.")
        .cure(format!("Add the topic's section by hand and run {reload}")),
        EditError::NotRemovable(path) => Error::new(
            Code::E0005,
            format!(
                "{name} cannot be taken out of {}: it has no section of its own there",
                path.display()
            ),
        )
        .means("Nothing was changed.")
        .cure(format!("Take it out by hand and run {reload}")),
        EditError::Busy(conf) => Error::new(
            Code::E0005,
            format!("another command is changing the configuration in {}", conf.display()),
        )
        .means("Nothing was changed.")
        .cure("Try again when it has ended."),
        EditError::Write { path, source } => {
            let code = match source.kind() {
                std::io::ErrorKind::PermissionDenied => Code::E0103,
                std::io::ErrorKind::StorageFull => Code::E0204,
                _ => Code::E0005,
            };
            Error::new(code, format!("write {}", path.display()))
                .because(source)
                .means("Nothing was changed.")
                .cure("Run this as the folder's owner.")
        }
    }
}
