//! `chrysalis topic`: the topics of a server.

use std::io::Write;

use super::init::{NewTopic, parse_topic};
use super::{FolderArgument, server};
use crate::appliance::control::{Request, Response};
use crate::config::ServerFolder;
use crate::config::edit::{self, AddError};
use crate::operator::status;
use crate::report::{Code, Error};

/// List, describe or create topics
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis topic create /srv/server1 orders:4\n  \
    chrysalis topic list /srv/server1\n  \
    chrysalis topic describe /srv/server1 orders")]
pub(super) struct Topic {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TopicCommand {
    /// List the topics of a running server
    #[command(after_long_help = "Examples:\n  \
        chrysalis topic list /srv/server1\n  \
        chrysalis topic list /srv/server1 --json | jq -r '.[].name'")]
    List {
        #[command(flatten)]
        folder: FolderArgument,
        /// As JSON, with units in the names
        #[arg(long)]
        json: bool,
    },
    /// Show one topic and its partitions
    #[command(after_long_help = "Example:\n  chrysalis topic describe /srv/server1 orders")]
    Describe {
        #[command(flatten)]
        folder: FolderArgument,
        /// The topic
        topic: String,
        /// As JSON, with units in the names
        #[arg(long)]
        json: bool,
    },
    /// Add a topic to the configuration, and to the server if it runs
    ///
    /// Appends a section to conf/server.toml, or to conf/server.ini where that is the configuration, and
    /// leaves everything else in the file as it is.
    ///
    /// With '*' in its name it permits every topic that matches. Such a topic is there, and can be found in
    /// ZooKeeper, from its first message on; that one has to name the broker: produce --broker HOST:PORT.
    #[command(after_long_help = "Examples:\n  \
        chrysalis topic create /srv/server1 orders:4\n  \
        chrysalis topic create /srv/server1 'log-*:2'")]
    Create {
        #[command(flatten)]
        folder: FolderArgument,
        /// The topic; '*' in it stands for any characters
        #[arg(value_name = "NAME[:PARTITIONS]", value_parser = parse_topic)]
        topic: NewTopic,
    },
}

impl Topic {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            TopicCommand::List { folder, json } => list(&folder.server_folder(), json, out),
            TopicCommand::Describe {
                folder,
                topic,
                json,
            } => describe(&folder.server_folder(), topic, json, out),
            TopicCommand::Create { folder, topic } => create(&folder.server_folder(), &topic, out),
        }
    }
}

fn list(folder: &ServerFolder, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let Response::Topics { topics } = server::ask(folder, &Request::TopicList)? else {
        return Err(server::not_an_answer().into());
    };
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&topics)?)?,
        false => write!(out, "{}", status::topics(&topics))?,
    }
    Ok(())
}

fn describe(
    folder: &ServerFolder,
    topic: String,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Response::Topic(detail) = server::ask(folder, &Request::TopicDescribe { topic })? else {
        return Err(server::not_an_answer().into());
    };
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&detail)?)?,
        false => write!(out, "{}", status::topic(&detail))?,
    }
    Ok(())
}

fn create(folder: &ServerFolder, topic: &NewTopic, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = edit::add_topic(folder, &topic.name, topic.partitions)
        .map_err(|error| not_added(topic, error))?;
    writeln!(out, "added {} to {}", topic.name, path.display())?;
    match server::holder(folder)? {
        Some(_) => server::reload(folder, out),
        None => Ok(writeln!(
            out,
            "{} does not run: it will have the topic when it is started",
            folder.name()
        )?),
    }
}

fn not_added(topic: &NewTopic, error: AddError) -> Error {
    let name = &topic.name;
    match error {
        AddError::Config(error) => super::config_error(error),
        AddError::Exists(path) => Error::new(
            Code::E0304,
            format!("topic {name} is in {} already", path.display()),
        )
        .means("Nothing was changed.")
        .cure("To change its settings, edit its section and run chrysalis reload."),
        AddError::NoBroker => {
            Error::new(Code::E0306, "this server is no broker").means("Nothing was changed.")
        }
        AddError::NotAppendable { path, mistakes } => Error::new(
            Code::E0005,
            format!(
                "{} cannot be added to {}:\n{mistakes}",
                name,
                path.display()
            ),
        )
        .means("Nothing was changed.")
        .cure("Add the topic's section by hand and run chrysalis reload."),
        AddError::Write { path, source } => {
            let code = match source.kind() {
                std::io::ErrorKind::PermissionDenied => Code::E0103,
                _ => Code::E0005,
            };
            Error::new(code, format!("write {}", path.display()))
                .because(source)
                .means("Nothing was changed.")
                .cure("Run this as the folder's owner.")
        }
    }
}
