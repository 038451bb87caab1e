//! What holds for every key, and where it comes from, for people and programs.

use super::checked::{Config, Origin};
use super::document::full_name;
use super::explain;
use super::file::bare_or_quoted;
use super::key::{Form, Section};
use super::topic::{Topic, TopicSettings};

/// One key and what holds for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name as `server.toml` has it: `server.id`, `topics."a.b".folder`.
    pub key: String,
    /// The value as TOML has it.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// The key whose value it is, where a topic's own section says nothing.
    pub follows: Option<String>,
}

impl Config {
    /// Every key with what holds for it, in the order of the documents; a server's topics one after the other.
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown = Vec::new();
        for section in Section::ALL {
            match section {
                Section::Topics => shown.extend(self.shown_topics()),
                _ => shown.extend(self.shown_section(section)),
            }
        }
        shown
    }

    fn shown_section(&self, section: Section) -> impl Iterator<Item = Shown> {
        let keys = explain::ALL
            .iter()
            .filter(move |key| key.section() == section);
        keys.filter_map(|key| {
            let name = full_name(*key);
            let held = self.source.effective.iter().find(|held| held.key == name)?;
            Some(Shown {
                key: name,
                value: held.value.clone(),
                origin: held.origin.clone(),
                follows: None,
            })
        })
    }

    fn shown_topics(&self) -> Vec<Shown> {
        let topics = self.broker.iter().flat_map(|broker| &broker.topics);
        let keys = || {
            let keys = explain::ALL.iter();
            keys.filter(|key| key.section() == Section::Topics)
                .map(|key| key.name())
        };
        let shown = topics.flat_map(|topic| keys().map(move |key| (topic, key)));
        shown
            .map(|(topic, key)| self.shown_of_topic(topic, key))
            .collect()
    }

    fn shown_of_topic(&self, topic: &Topic, key: &'static str) -> Shown {
        let mut words = self.source.words.iter();
        let own = words.find(|it| it.topic.as_deref() == Some(&topic.name) && it.key == key);
        let (origin, follows) = match own {
            Some(own) => (own.origin.clone(), None),
            None => {
                let above = match key {
                    "folder" => "broker.topics_folder".to_owned(),
                    _ => format!("broker.{key}"),
                };
                let held = self.source.effective.iter().find(|held| held.key == above);
                let origin = held.map_or(Origin::Default, |held| held.origin.clone());
                (origin, Some(above))
            }
        };
        Shown {
            key: format!("topics.{}.{key}", bare_or_quoted(&topic.name)),
            value: value(&topic.settings, key),
            origin,
            follows,
        }
    }
}

/// One of a topic's settings as TOML has it.
fn value(settings: &TopicSettings, key: &str) -> String {
    match key {
        "num_partitions" => settings.num_partitions.to_toml(),
        "delete_policy" => settings.delete_policy.to_toml(),
        "delete_when" => settings.delete_when.to_toml(),
        "accept_publish" => settings.accept_publish.to_toml(),
        "accept_subscribe" => settings.accept_subscribe.to_toml(),
        "statistics" => settings.statistics.to_toml(),
        "folder" => settings.folder.display().to_string().to_toml(),
        _ => unreachable!("a topic has no key {key}"),
    }
}
