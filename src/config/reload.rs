//! Reading the configuration again while a server runs: topics take effect, everything else waits for
//! the next start and is named.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::checked::Config;
use super::topic::{Topic, TopicSettings};
use super::{Error, ServerFolder, legacy, load};

/// What reading again has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Topics that are accepted now and were not.
    pub added: Vec<String>,
    /// Topics whose settings are others now.
    pub changed: Vec<String>,
    /// Topics that are no longer in the configuration.
    pub removed: Vec<String>,
    /// Keys with another value than the running one, `broker.port`, and topics in a folder that only a
    /// start opens, `topics.NAME`.
    pub restart_needed: Vec<String>,
}

/// Reads the configuration of `folder` again: what holds from now on for a server that runs with
/// `running`, and what is new in it. Nothing is changed yet.
///
/// # Errors
/// As [`load`]: the server keeps what it has.
pub fn reload(running: &Config, folder: &ServerFolder) -> Result<(Config, Changes), Error> {
    Ok(compare(running, load(folder)?))
}

/// How the files of a configuration look from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look(Vec<Option<(u64, u64, i64, i64)>>);

impl Look {
    /// As they look now.
    pub fn at(folder: &ServerFolder) -> Look {
        let files = [folder.server_toml(), folder.server_ini(), folder.zoo_cfg()];
        let look = |path: &PathBuf| {
            let it = fs::metadata(path).ok()?;
            Some((it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
        };
        Look(files.iter().map(look).collect())
    }

    /// Whether a file was written to since it looked like `before`. One that was put in its place is whole.
    pub fn is_written_since(&self, before: &Look) -> bool {
        let mut files = self.0.iter().zip(&before.0);
        files.any(|(now, before)| match (now, before) {
            (Some(now), Some(before)) => now.0 == before.0 && now != before,
            _ => false,
        })
    }
}

/// `running` with the topics of `read`, and what is new in them.
pub fn compare(running: &Config, read: Config) -> (Config, Changes) {
    let mut changes = Changes {
        restart_needed: differing_keys(running, &read),
        ..Changes::default()
    };
    let mut next = running.clone();
    if let (Some(broker), Some(read_broker)) = (&mut next.broker, &read.broker) {
        let before = std::mem::take(&mut broker.topics);
        let folders = folders(&broker.topic_defaults, &before);
        for mut topic in read_broker.topics.iter().cloned() {
            let known = before.iter().find(|known| known.name == topic.name);
            // A topic without a value of its own has the broker's, and that is the running one.
            topic.settings = topic.own.over(&broker.topic_defaults);
            match known {
                Some(known) if known.settings.folder != topic.settings.folder => {
                    topic.settings.folder = known.settings.folder.clone();
                    changes
                        .restart_needed
                        .push(format!("topics.{}.folder", topic.name));
                }
                None if !folders.contains(&topic.settings.folder) => {
                    // Elsewhere its messages would be out of sight after the restart.
                    changes
                        .restart_needed
                        .push(format!("topics.{}", topic.name));
                    continue;
                }
                _ => {}
            }
            match known {
                None => changes.added.push(topic.name.clone()),
                Some(known) if known.settings != topic.settings => {
                    changes.changed.push(topic.name.clone());
                }
                Some(_) => {}
            }
            broker.topics.push(topic);
        }
        let is_listed = |name: &String| read_broker.topics.iter().any(|topic| topic.name == *name);
        changes.removed = before
            .into_iter()
            .map(|topic| topic.name)
            .filter(|name| !is_listed(name))
            .collect();
    }
    next.source.files = read.source.files;
    next.source.notes = read.source.notes;
    // What the broker's section says waits for the next start; what the topics' say holds.
    next.source.words.retain(|words| words.topic.is_none());
    let of_topics = read.source.words.into_iter();
    next.source
        .words
        .extend(of_topics.filter(|words| words.topic.is_some()));
    let is_server_ini = next
        .source
        .files
        .iter()
        .any(|file| file.ends_with(Path::new("server.ini")));
    next.source.stats_config = match is_server_ini {
        true => read.source.stats_config,
        false => legacy::render_server_ini(&next).into_bytes(),
    };
    next.source.checksum = crc32fast::hash(&next.source.stats_config);
    (next, changes)
}

/// The folders that a running broker knows.
fn folders(defaults: &TopicSettings, topics: &[Topic]) -> Vec<PathBuf> {
    let of_topics = topics.iter().map(|topic| &topic.settings.folder);
    of_topics.chain([&defaults.folder]).cloned().collect()
}

fn differing_keys(running: &Config, read: &Config) -> Vec<String> {
    let differing = read
        .source
        .effective
        .iter()
        .filter(|held| running.source.held(&held.key) != Some(&held.value));
    differing.map(|held| held.key.clone()).collect()
}
