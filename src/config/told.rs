//! What holds for a topic, told to people: in the words it was written in, with the section they stand in.

use super::checked::Config;
use super::topic::TopicSettings;

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The key, as it is called in `[topics.NAME]`.
    pub key: &'static str,
    /// What holds: as it was written, where it was.
    pub value: String,
    /// The section it stands in, such as `[topics."order-*"]`; none for a default.
    pub section: Option<String>,
}

/// What holds for a topic that is not configured any more: it takes no puts, and there are as many partitions
/// as have files.
const WITHOUT_A_SECTION: [&str; 3] = ["delete_policy", "delete_when", "accept_subscribe"];

impl Config {
    /// What holds for the topics of the section called `section`, or for those that have none.
    pub fn told(&self, section: Option<&str>) -> Vec<Told> {
        let Some(broker) = &self.broker else {
            return Vec::new();
        };
        let topic = section.and_then(|name| broker.topics.iter().find(|topic| topic.name == name));
        match topic {
            Some(topic) => self.tell(&topic.settings, section),
            None => self
                .tell(&broker.topic_defaults, None)
                .into_iter()
                .filter(|told| WITHOUT_A_SECTION.contains(&told.key))
                .collect(),
        }
    }

    fn tell(&self, settings: &TopicSettings, topic: Option<&str>) -> Vec<Told> {
        let written = |topic: Option<&str>, key: &str| {
            let mut words = self.source.words.iter();
            words.find(|words| words.topic.as_deref() == topic && words.key == key)
        };
        let folder = settings.folder.display().to_string();
        let effective = [
            ("num_partitions", settings.num_partitions.to_string()),
            ("delete_policy", settings.delete_policy.to_string()),
            ("delete_when", settings.delete_when.to_string()),
            ("accept_publish", settings.accept_publish.to_string()),
            ("accept_subscribe", settings.accept_subscribe.to_string()),
            ("statistics", settings.statistics.to_string()),
            ("folder", folder.clone()),
        ];
        let told = effective.into_iter().map(|(key, value)| {
            let words = written(topic, key).or_else(|| written(None, key));
            let value = match words {
                // Which folder that is depends on where the server's own lies.
                Some(_) if key == "folder" => folder.clone(),
                Some(words) => words.value.clone(),
                None => value,
            };
            Told {
                key,
                value,
                section: words.map(|words| words.section.clone()),
            }
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests;
