//! Which topics there are, with which settings, and which of their partitions are closed.
//!
//! A topic is served because it is configured (by name or by a pattern) or because it is on disk; only the
//! first kind accepts puts. The settings of a pattern hold for the topics that match it, and everything in
//! a pattern but `*` stands for itself. (In Metamorphosis a pattern's settings hold for nobody, and names
//! are regular expressions.)

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::event::TopicRegistration;
use super::request::Name;
use super::stats::TopicStats;
use crate::segments::PartitionId;
use crate::segments::retention::Policy;
use crate::units::{Seed, WallTime};

/// All topics that are configured, with every default already filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Topics {
    /// The sections in the order of the file. An exact name goes before every pattern, and of the patterns
    /// that match a topic the first one counts.
    pub sections: Vec<Section>,
    /// For topics that are on disk but not configured any more: they can still be read.
    pub defaults: Settings,
    /// The configuration as clients may ask for it (`stats config`).
    pub config_text: Bytes,
    /// Its crc32.
    pub config_checksum: u32,
}

/// The settings of one `[topic=…]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// A topic's name; `*` stands for any run of characters, everything else for itself.
    pub pattern: String,
    /// What holds for the topics that match.
    pub settings: Settings,
}

/// What holds for one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Partitions.
    pub partitions: i32,
    /// Producers may find it in ZooKeeper.
    pub accept_publish: bool,
    /// Consumers may find it in ZooKeeper.
    pub accept_subscribe: bool,
    /// Collect real-time statistics.
    pub stat: bool,
    /// What becomes of old segments.
    pub retention: Policy,
    /// The folder of its partitions, as an index into the node's list of data folders.
    pub data_folder: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            partitions: 1,
            accept_publish: true,
            accept_subscribe: true,
            stat: false,
            retention: Policy::default(),
            data_folder: 0,
        }
    }
}

impl Topics {
    /// Only these topics, by name and number of partitions, everything else by default.
    pub fn plain(topics: &[(&str, i32)]) -> Topics {
        let section = |&(name, partitions): &(&str, i32)| Section {
            pattern: name.to_owned(),
            settings: Settings {
                partitions,
                ..Settings::default()
            },
        };
        Topics {
            sections: topics.iter().map(section).collect(),
            defaults: Settings::default(),
            config_text: Bytes::new(),
            config_checksum: 0,
        }
    }
}

/// The longest topic name in bytes: with `-` and a number behind it it must be a folder's name.
const TOPIC_BYTES_MAX: usize = 240;

/// Whether a topic of this name can have a folder and a node in ZooKeeper.
pub fn is_possible(topic: &str) -> bool {
    let forbidden = |character: char| {
        character == '/'
            || character == ' '
            || character.is_control()
            || matches!(
                character,
                '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{10000}'..
            )
    };
    !topic.is_empty()
        && topic.len() <= TOPIC_BYTES_MAX
        && !topic.starts_with('.')
        && !topic.contains(forbidden)
}

/// Whether a pattern, in which only `*` has a meaning, matches a whole name.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A topic that is served, numbered in the order this run met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TopicId(pub(super) u32);

/// A topic that is served.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Name,
    /// As configured; `None` for one that is only on disk.
    pub(super) settings: Option<Arc<Settings>>,
    /// Partitions that the broker has state for, by number.
    partitions: Vec<(i32, PartitionId)>,
    /// What ZooKeeper was told.
    pub(super) registered: Option<TopicRegistration>,
    /// When old files are looked for next.
    pub(super) retire_next: Option<WallTime>,
    pub(super) stats: TopicStats,
}

impl Topic {
    /// The partition with this number.
    pub(super) fn partition(&self, number: i32) -> Option<PartitionId> {
        let direct = usize::try_from(number)
            .ok()
            .and_then(|index| self.partitions.get(index));
        match direct {
            Some(&(found, id)) if found == number => Some(id),
            _ => {
                let index = self
                    .partitions
                    .binary_search_by_key(&number, |&(found, _)| found)
                    .ok()?;
                Some(self.partitions[index].1)
            }
        }
    }

    /// All partitions the broker has state for, by number.
    pub(super) fn partitions(&self) -> &[(i32, PartitionId)] {
        &self.partitions
    }

    pub(super) fn add_partition(&mut self, number: i32, id: PartitionId) {
        if let Err(index) = self
            .partitions
            .binary_search_by_key(&number, |&(found, _)| found)
        {
            self.partitions.insert(index, (number, id));
        }
    }
}

/// All topics.
#[derive(Debug)]
pub(super) struct Catalog {
    exact: HashMap<String, Arc<Settings>, ahash::RandomState>,
    patterns: Vec<(String, Arc<Settings>)>,
    /// Literal sections in the order of the file.
    names: Vec<Name>,
    pub(super) defaults: Arc<Settings>,
    pub(super) config_text: Bytes,
    pub(super) config_checksum: u32,
    by_name: HashMap<Name, TopicId, ahash::RandomState>,
    list: Vec<Topic>,
    closed: HashMap<Name, Vec<(i32, i32)>, ahash::RandomState>,
}

impl Catalog {
    pub(super) fn new(topics: Topics, seed: Seed) -> Catalog {
        let hasher = ahash::RandomState::with_seeds(seed.0, 1, 2, 3);
        let mut catalog = Catalog {
            exact: HashMap::with_hasher(hasher.clone()),
            patterns: Vec::new(),
            names: Vec::new(),
            defaults: Arc::new(topics.defaults.clone()),
            config_text: Bytes::new(),
            config_checksum: 0,
            by_name: HashMap::with_hasher(hasher.clone()),
            list: Vec::new(),
            closed: HashMap::with_hasher(hasher),
        };
        catalog.configure(topics);
        catalog
    }

    /// Takes over new settings; topics that exist get theirs.
    pub(super) fn configure(&mut self, topics: Topics) {
        self.exact.clear();
        self.patterns.clear();
        self.names.clear();
        self.defaults = Arc::new(topics.defaults);
        self.config_text = topics.config_text;
        self.config_checksum = topics.config_checksum;
        for Section { pattern, settings } in topics.sections {
            let settings = Arc::new(settings);
            if pattern.contains('*') {
                self.patterns.push((pattern, settings));
            } else {
                self.names.push(Name::from(pattern.as_str()));
                self.exact.insert(pattern, settings);
            }
        }
        for index in 0..self.list.len() {
            let settings = self.settings_for(self.list[index].name.as_str());
            self.list[index].settings = settings;
        }
    }

    /// The settings that hold for a name, if it is configured.
    pub(super) fn settings_for(&self, name: &str) -> Option<Arc<Settings>> {
        if !is_possible(name) {
            return None;
        }
        if let Some(settings) = self.exact.get(name) {
            return Some(Arc::clone(settings));
        }
        let section = self
            .patterns
            .iter()
            .find(|(pattern, _)| matches(pattern, name))?;
        Some(Arc::clone(&section.1))
    }

    /// The section whose settings hold for a name.
    pub(super) fn section_for<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if !is_possible(name) {
            return None;
        }
        if self.exact.contains_key(name) {
            return Some(name);
        }
        let section = self
            .patterns
            .iter()
            .find(|(pattern, _)| matches(pattern, name))?;
        Some(&section.0)
    }

    /// The topics that are configured by name, in the order of the file.
    pub(super) fn configured_names(&self) -> &[Name] {
        &self.names
    }

    pub(super) fn find(&self, name: &Name) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// The topic of this name; made if it is new.
    pub(super) fn find_or_add(&mut self, name: &Name) -> TopicId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = TopicId(u32::try_from(self.list.len()).expect("fewer than 2^32 topics"));
        let name = name.detached();
        let settings = self.settings_for(name.as_str());
        self.by_name.insert(name.clone(), id);
        self.list.push(Topic {
            name,
            settings,
            partitions: Vec::new(),
            registered: None,
            retire_next: None,
            stats: TopicStats::default(),
        });
        id
    }

    pub(super) fn topic(&self, id: TopicId) -> &Topic {
        &self.list[id.0 as usize]
    }

    pub(super) fn topic_mut(&mut self, id: TopicId) -> &mut Topic {
        &mut self.list[id.0 as usize]
    }

    /// The settings of a topic, configured or not.
    pub(super) fn effective(&self, id: TopicId) -> Arc<Settings> {
        Arc::clone(self.topic(id).settings.as_ref().unwrap_or(&self.defaults))
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn nth(&self, index: usize) -> TopicId {
        TopicId(u32::try_from(index).expect("fewer than 2^32 topics"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        self.list
            .iter()
            .enumerate()
            .map(|(index, topic)| (self.nth(index), topic))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.list.iter_mut()
    }

    pub(super) fn is_closed(&self, topic: &Name, partition: i32) -> bool {
        if self.closed.is_empty() {
            return false;
        }
        let ranges = self.closed.get(topic);
        let holds = |&(first, last): &(i32, i32)| first <= partition && partition <= last;
        ranges.is_some_and(|ranges| ranges.iter().any(holds))
    }

    /// The partitions that are closed, by topic and number.
    pub(super) fn closed(&self) -> Vec<(&Name, i32)> {
        let each = |&(first, last): &(i32, i32)| first..=last;
        let mut closed: Vec<(&Name, i32)> = self
            .closed
            .iter()
            .flat_map(|(topic, ranges)| {
                let numbers = ranges.iter().flat_map(each);
                numbers.map(move |number| (topic, number))
            })
            .collect();
        closed.sort_unstable();
        closed.dedup();
        closed
    }

    pub(super) fn close(&mut self, topic: &Name, first: i32, last: i32) {
        let ranges = self.closed.entry(topic.detached()).or_default();
        if !ranges.contains(&(first, last)) {
            ranges.push((first, last));
        }
    }

    pub(super) fn open(&mut self, topic: &Name) {
        self.closed.remove(topic);
    }
}
