//! Takes checked values out of a file, one key at a time.

use super::{Effective, Origin};
use crate::config::explain::BROKER_TOPICS_FOLDER;
use crate::config::file::{File, key_names};
use crate::config::key::{Form, Key, Preset, Section, Value};
use crate::config::mistake::{Mistakes, Place};
use crate::config::topic::Words;

/// Takes values out of a file, and notes what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) file: &'a File,
    pub(super) mistakes: &'a mut Mistakes,
    /// Every key that was read, with the value that holds.
    pub(super) effective: Vec<Effective>,
    /// Lines for the log: what was written and is not what holds.
    pub(super) notes: Vec<String>,
}

impl Reader<'_> {
    /// A key that has a default of its own.
    pub(super) fn get<T: Form>(&mut self, key: &Key<T>) -> T {
        let Preset::Value(preset) = key.default else {
            unreachable!("{} follows from other keys: read it with get_or", key.name);
        };
        self.get_or(key, T::from_preset(preset))
    }

    /// A key whose default follows from others.
    pub(super) fn get_or<T: Form>(&mut self, key: &Key<T>, default: T) -> T {
        let value = self.read(key).unwrap_or(default);
        let origin = match self.file.setting(key.section, key.name) {
            Some(setting) => setting.origin(),
            None => match key.default {
                Preset::Value(_) => Origin::Default,
                Preset::Derived(sentence) => Origin::Derived(sentence),
            },
        };
        self.effective.push(Effective {
            key: full_name(key),
            value: value.to_toml(),
            origin,
        });
        value
    }

    /// Another value holds than the one that was read.
    pub(super) fn hold<T: Form>(&mut self, key: &Key<T>, value: &T) {
        let name = full_name(key);
        let held = self.effective.iter_mut().find(|held| held.key == name);
        if let Some(held) = held {
            held.value = value.to_toml();
        }
    }

    /// Says of a key that was written what becomes of it.
    pub(super) fn note<T: Form>(&mut self, key: &Key<T>, becomes: &str) {
        if let Some(setting) = self.file.setting(key.section, key.name) {
            self.notes
                .push(format!("{}: {} {becomes}", setting.place, setting.shown));
        }
    }

    fn read<T: Form>(&mut self, key: &Key<T>) -> Option<T> {
        let setting = self.file.setting(key.section, key.name)?;
        accept(
            key,
            &setting.value,
            &setting.shown,
            &setting.place,
            self.mistakes,
        )
    }

    pub(super) fn of_topic<T: Form>(&mut self, topic: &str, key: &Key<T>) -> Option<T> {
        let setting = self.file.topic_setting(topic, key.name)?;
        accept(
            key,
            &setting.value,
            &setting.shown,
            &setting.place,
            self.mistakes,
        )
    }

    /// What was written of topics, in the broker's section and in their own.
    pub(super) fn words(&self) -> Vec<Words> {
        let of_topics = self
            .file
            .topics
            .iter()
            .map(|topic| Some(topic.name.as_str()));
        let places = std::iter::once(None).chain(of_topics);
        let words = places.flat_map(|topic| {
            key_names(Section::Topics).filter_map(move |key| self.words_of(topic, key))
        });
        words.collect()
    }

    fn words_of(&self, topic: Option<&str>, key: &'static str) -> Option<Words> {
        let setting = match (topic, key) {
            (Some(topic), _) => self.file.topic_setting(topic, key),
            (None, "folder") => self
                .file
                .setting(Section::Broker, BROKER_TOPICS_FOLDER.name),
            (None, _) => self.file.setting(Section::Broker, key),
        };
        // What follows from a file's being there was written nowhere.
        let setting = setting.filter(|setting| !setting.title().is_empty())?;
        Some(Words {
            topic: topic.map(str::to_owned),
            key,
            value: setting.words(),
            section: setting.title().to_owned(),
            origin: setting.origin(),
        })
    }

    /// Where a key stands, or the file if it does not stand there.
    pub(super) fn place<T: Form>(&self, key: &Key<T>) -> Place {
        let setting = self.file.setting(key.section, key.name);
        setting.map_or_else(|| self.file.place(), |setting| setting.place.clone())
    }
}

fn full_name<T: Form>(key: &Key<T>) -> String {
    format!("{}.{}", key.section, key.name)
}

fn accept<T: Form>(
    key: &Key<T>,
    value: &Value,
    shown: &str,
    place: &Place,
    mistakes: &mut Mistakes,
) -> Option<T> {
    let accepted = T::read(value, &key.permitted);
    if accepted.is_none() {
        let unit = match key.unit {
            "" => String::new(),
            unit => format!(" ({unit})"),
        };
        mistakes.add(
            place.clone(),
            format!("{shown}: must be {}{unit}", T::describe(&key.permitted)),
        );
    }
    accepted
}
