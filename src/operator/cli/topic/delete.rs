//! `chrysalis topic delete`: a topic goes, and its data with it or not.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::appliance::control::{Request, Response};
use crate::appliance::status::TopicDetail;
use crate::config::{self, Config, ServerFolder, edit};
use crate::operator::cli::place::{FolderOption, flag, word};
use crate::operator::cli::{config_error, server};
use crate::operator::status;
use crate::report::{Code, Error};

/// How long to wait until the messages are gone.
const GONE_MAX: Duration = Duration::from_secs(10);
/// How often to look whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Take a topic out of the configuration, and out of the server if it runs
///
/// Producers no longer find the topic, and the server refuses puts. With --keep-data consumers can still read its
/// messages, until retention deletes them. With --delete-data the server deletes all its messages. A topic made again
/// under that name continues at the offsets where this one ended, so that groups miss nothing.
///
/// Without --yes the command only says what it would delete.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "chrysalis topic delete [OPTIONS] [DIR] <TOPIC>",
    after_long_help = "Examples:\n  \
        chrysalis topic delete orders --folder /srv/server1\n      \
        says what would go\n  \
        chrysalis topic delete orders --delete-data --yes --folder /srv/server1\n  \
        chrysalis topic delete 'log-*' --keep-data --yes --folder /srv/server1"
)]
pub(super) struct Delete {
    #[command(flatten)]
    folder: FolderOption,
    /// The topic, as its section is called. The server's folder may stand before it
    #[arg(value_name = "TOPIC", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// Leave its messages where they are
    #[arg(long, conflicts_with = "delete_data")]
    keep_data: bool,
    /// Delete its messages; the server has to run
    #[arg(long)]
    delete_data: bool,
    /// Do it
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (folder, topic) = self.folder.and_one(&self.words, super::ONE_TOPIC)?;
        let config = config::load(&folder).map_err(config_error)?;
        let is_written = is_written(&config, topic);
        let runs = server::holder(&folder)?.is_some();
        let detail = if runs { ask(&folder, topic)? } else { None };
        if !is_written && detail.is_none() {
            let error = match runs {
                true => no_such_topic(&folder, topic),
                false => super::not_edited(&folder, topic, edit::EditError::Missing(folder.conf())),
            };
            return Err(error.into());
        }
        if self.delete_data && topic.contains('*') {
            return Err(Error::new(Code::E0309, format!("{topic} stands for many topics"))
                .means("Nothing was deleted.")
                .cure(format!(
                    "Take the section out first, then delete the data of each topic: chrysalis topic delete {} --keep-data --yes {}",
                    word(topic),
                    flag(&folder)
                ))
                .into());
        }
        if !self.yes || !(self.keep_data || self.delete_data) {
            return Err(self.not_confirmed(&folder, topic, detail.as_ref()).into());
        }
        if self.keep_data && !is_written {
            let what =
                format!("{topic} has no section in the configuration that could be taken out");
            return Err(Error::new(Code::E0303, what)
                .means("Nothing was changed: its messages are kept as they are.")
                .into());
        }
        if self.delete_data && !runs {
            return Err(server::not_running(&folder).into());
        }
        if is_written {
            let path = edit::remove_topic(&folder, topic)
                .map_err(|error| super::not_edited(&folder, topic, error))?;
            let done = format!("took {topic} out of {}", path.display());
            writeln!(out, "{done}")?;
            if runs {
                server::reload_edited(&folder, &done, out)?;
            }
        }
        if self.delete_data {
            return delete_data(&folder, topic, is_written, out);
        }
        Ok(writeln!(out, "{}", kept(topic, runs, detail.as_ref()))?)
    }

    /// What would go, and how to say that it is meant.
    fn not_confirmed(
        &self,
        folder: &ServerFolder,
        topic: &str,
        detail: Option<&TopicDetail>,
    ) -> Error {
        let has = match detail {
            Some(detail) => {
                let groups = groups(detail);
                let read = match groups.as_slice() {
                    [] => String::new(),
                    groups => format!("; read by {}", groups.join(", ")),
                };
                format!("topic {topic} has {}{read}", status::amount(&detail.topic))
            }
            None if topic.contains('*') => format!("{topic} stands for every topic that matches"),
            None => {
                format!("topic {topic} is to be deleted; what data it has, a running server says")
            }
        };
        let data = match (self.keep_data, self.delete_data) {
            (true, _) => "--keep-data",
            // What matches keeps its messages: each such topic's are deleted by its own name.
            _ if topic.contains('*') => "--keep-data",
            (_, true) => "--delete-data",
            _ => {
                let again = format!(
                    "chrysalis topic delete {} --yes {}",
                    word(topic),
                    flag(folder)
                );
                return Error::new(Code::E0309, has).means("Nothing was deleted.").cure(format!(
                    "Also choose what happens to its messages: {again} --keep-data, or: {again} --delete-data"
                ));
            }
        };
        Error::new(Code::E0309, has)
            .means("Nothing was deleted.")
            .cure(format!(
                "If you mean it: chrysalis topic delete {} {data} --yes {}",
                word(topic),
                flag(folder)
            ))
    }
}

fn is_written(config: &Config, topic: &str) -> bool {
    let topics = config.broker.iter().flat_map(|broker| &broker.topics);
    topics.into_iter().any(|written| written.name == topic)
}

fn no_such_topic(folder: &ServerFolder, topic: &str) -> Error {
    Error::new(Code::E0303, format!("there is no topic {topic}"))
        .means("Nothing was deleted.")
        .cure(format!(
            "See what there is: chrysalis topic list {}",
            flag(folder)
        ))
}

/// What the server has of a topic. A wildcard, and a topic without a message that a wildcard permits, is none.
fn ask(folder: &ServerFolder, topic: &str) -> Result<Option<TopicDetail>, Error> {
    let topic = topic.to_owned();
    match server::ask(folder, &Request::TopicDescribe { topic }) {
        Ok(Response::Topic(detail)) => Ok(Some(*detail)),
        Ok(_) => Err(server::not_an_answer()),
        Err(error) if error.code() == Code::E0303 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The groups that read a topic, each once.
fn groups(detail: &TopicDetail) -> Vec<&str> {
    let mut groups: Vec<&str> = detail
        .consumers
        .iter()
        .map(|it| it.group.as_str())
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn delete_data(
    folder: &ServerFolder,
    topic: &str,
    was_written: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let request = Request::TopicPurge {
        topic: topic.to_owned(),
    };
    let done = server::ask(folder, &request).map_err(|error| match was_written {
        true => error.means(format!(
            "{topic} is out of the configuration; its messages are still there."
        )),
        false => error,
    })?;
    // What was read before the files are gone is no promise.
    let messages = match done {
        Response::Done { text } => text,
        _ => return Err(server::not_an_answer().into()),
    };
    writeln!(out, "{messages}")?;
    let until = Instant::now() + GONE_MAX;
    while ask(folder, topic)?.is_some_and(|detail| detail.topic.bytes > 0) {
        if Instant::now() >= until {
            return Ok(writeln!(out, "the server goes on deleting them")?);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(writeln!(out, "they are gone")?)
}

/// What became of the messages that were kept.
fn kept(topic: &str, runs: bool, detail: Option<&TopicDetail>) -> String {
    match detail {
        Some(detail) if detail.topic.messages > 0 || detail.topic.bytes > 0 => format!(
            "its messages are kept ({}): they can be read, and retention deletes them in time",
            status::amount(&detail.topic)
        ),
        Some(_) => "it had no messages".to_owned(),
        None if runs => format!("{topic} had no messages of its own"),
        None => "messages that it may have are kept: they can be read, and retention deletes them in time".to_owned(),
    }
}
