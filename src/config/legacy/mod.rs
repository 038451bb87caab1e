//! The originals' files, read as they are: `server.ini` of Metamorphosis and `zoo.cfg` of ZooKeeper.
//!
//! Each of their keys is one row of a table (`server_ini::ROWS`, `zoo_cfg::ROWS`): what it becomes here,
//! or why it has no effect. A key without an effect is accepted and gets a line in the log; an unknown
//! key of `server.ini` is a mistake, as it was to the original, and one of `zoo.cfg` is a line in the log.
//!
//! What only this server has is set in `server.ini` in a section of its own, and in `zoo.cfg` behind a prefix; the
//! originals ignore both:
//!
//! ```text
//! [chrysalis]                     chrysalis.web.listen = 0.0.0.0
//! coordinator.enabled = true
//! web.listen = 0.0.0.0
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use super::checked::{self, Config, Machine};
use super::explain;
use super::file::{File, Setting, shortened};
use super::key::{Described, Kind, Section, Value};
use super::mistake::{Mistakes, Place};
use super::suggest::suggest;
use crate::units::counted;

mod document;
mod expression;
mod ini;
mod render;
mod server_ini;
mod zoo_cfg;
mod zoo_servers;

pub use document::document;
pub use render::render_server_ini;
pub use zoo_cfg::{Dynamic, MyId, ZooCfg};

/// What becomes of an original's key.
#[derive(Clone, Copy)]
enum Becomes {
    /// This key, with the same value.
    Key(&'static dyn Described),
    /// This key; a number that is not permitted here is taken as the nearest that is, and the log says so.
    Nearest(&'static dyn Described),
    /// Nothing; the log says why, in a phrase.
    Nothing(&'static str),
    /// The server does not start with it: without what it asks for, clients would be let in that must not.
    Refused {
        /// The values that ask for it.
        asks: fn(&str) -> bool,
        /// What is not there, and what would happen.
        why: &'static str,
    },
    /// The same where there are other servers; alone, nothing.
    RefusedWithOthers {
        /// The values that ask for it.
        asks: fn(&str) -> bool,
        /// What is not there, and what would happen.
        why: &'static str,
    },
}

/// One key of an original.
struct Row {
    /// Its name; one that ends in `.` stands for every name that begins so.
    name: &'static str,
    becomes: Becomes,
}

impl Row {
    const fn key(name: &'static str, key: &'static dyn Described) -> Row {
        Row {
            name,
            becomes: Becomes::Key(key),
        }
    }

    const fn nearest(name: &'static str, key: &'static dyn Described) -> Row {
        Row {
            name,
            becomes: Becomes::Nearest(key),
        }
    }

    const fn refused(name: &'static str, asks: fn(&str) -> bool, why: &'static str) -> Row {
        Row {
            name,
            becomes: Becomes::Refused { asks, why },
        }
    }

    const fn refused_with_others(
        name: &'static str,
        asks: fn(&str) -> bool,
        why: &'static str,
    ) -> Row {
        Row {
            name,
            becomes: Becomes::RefusedWithOthers { asks, why },
        }
    }

    const fn nothing(name: &'static str, why: &'static str) -> Row {
        Row {
            name,
            becomes: Becomes::Nothing(why),
        }
    }

    fn is(&self, name: &str) -> bool {
        match self.name.strip_suffix('.') {
            Some(_) => name.starts_with(self.name),
            None => name == self.name,
        }
    }
}

/// The configuration that a folder's `server.ini` and `zoo.cfg` mean. At least one of them is there.
///
/// # Errors
/// Every mistake in them.
pub fn read(
    root: &Path,
    server_ini: Option<Vec<u8>>,
    zoo_cfg: Option<&ZooCfg>,
    machine: &Machine,
) -> Result<Config, Mistakes> {
    let mut reading = Reading::default();
    let mut files = Vec::new();
    // What the originals' files say of the halves of a server is that they are there.
    if let Some(bytes) = &server_ini {
        files.push(PathBuf::from("conf/server.ini"));
        reading.file.path = files[0].clone();
        server_ini::read(&mut reading, &files[0], &text(bytes), machine);
    }
    if let Some(file) = zoo_cfg {
        let path = PathBuf::from("conf/zoo.cfg");
        reading.file.path = path.clone();
        zoo_cfg::read(&mut reading, &path, file, machine);
        files.push(path);
    }
    reading.file.path = files[0].clone();
    reading.imply(
        &explain::BROKER_ENABLED,
        Value::Boolean(server_ini.is_some()),
    );
    reading.imply(
        &explain::COORDINATOR_ENABLED,
        Value::Boolean(zoo_cfg.is_some()),
    );
    let mistakes = std::mem::take(&mut reading.mistakes);
    let config = checked::check(&reading.file, root, machine, mistakes)?;
    reading.notes.sort_by(|a, b| a.place.cmp(&b.place));
    let notes = reading.notes.iter().map(ToString::to_string).collect();
    Ok(config.with_source(files, server_ini, notes))
}

/// The original reads bytes in whatever encoding its machine has; keys and values that matter are ASCII,
/// comments may be anything.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    file: File,
    mistakes: Mistakes,
    notes: Vec<Note>,
}

/// A line for the log.
struct Note {
    place: Place,
    /// What stands there.
    shown: String,
    /// What becomes of it: a phrase.
    becomes: String,
    /// The key without its section: in how many more places it stands is told once, not each time.
    key: String,
    more: usize,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.shown)?;
        match self.more {
            0 => {}
            1 => write!(f, " (and in another place)")?,
            more => write!(f, " (and in {more} more places)")?,
        }
        write!(f, " {}", self.becomes)
    }
}

/// Where and how a value was written.
struct Written<'a> {
    /// The key with its section, as in the file.
    shown_key: String,
    value: &'a str,
    place: Place,
}

impl Reading {
    /// Sets `key`, unless the operator has set it: for what an original's file says by being there.
    fn imply(&mut self, key: &'static dyn Described, value: Value) {
        if self.file.setting(key.section(), key.name()).is_none() {
            self.push(
                key,
                None,
                value,
                key.name().to_owned(),
                Place::new(&self.file.path, 0),
            );
        }
    }

    /// Sets `key` to what was written. A blank value is none.
    fn set(&mut self, key: &'static dyn Described, topic: Option<&str>, written: &Written<'_>) {
        let Written {
            shown_key,
            value,
            place,
        } = written;
        if value.trim().is_empty() {
            return;
        }
        let shown = format!("{shown_key} = {}", shortened(value));
        let typed = match key.kind() {
            Kind::Number => expression::integer(value).map(Value::Integer),
            Kind::Boolean => expression::boolean(value).map(Value::Boolean),
            Kind::Text => Some(Value::Text((*value).to_owned())),
            Kind::List => {
                let words = value
                    .split(',')
                    .map(|word| Value::Text(word.trim().to_owned()));
                Some(Value::List(words.collect()))
            }
        };
        // What is no value at all is refused where values are checked, with what would be permitted.
        let typed = typed.unwrap_or(Value::Other("no expression"));
        self.push(key, topic, typed, shown, place.clone());
    }

    fn push(
        &mut self,
        key: &'static dyn Described,
        topic: Option<&str>,
        value: Value,
        shown: String,
        place: Place,
    ) {
        let topic = topic.map(str::to_owned);
        self.file.settings.push(Setting {
            section: key.section(),
            topic,
            key: key.name(),
            value,
            shown,
            place,
        });
    }

    /// Sets `key` to the number that was written, or to the nearest one that is permitted.
    fn set_nearest(&mut self, key: &'static dyn Described, written: &Written<'_>) {
        let number = expression::integer(written.value);
        let Some((number, (least, most))) = number.zip(key.bounds()) else {
            return self.set(key, None, written);
        };
        let nearest = number.clamp(least, most);
        if nearest == number {
            return self.set(key, None, written);
        }
        let shown = format!("{} = {}", written.shown_key, shortened(written.value));
        let end = if nearest == least { "least" } else { "most" };
        let nearest_told = match key.unit() {
            "" => nearest.to_string(),
            unit => counted(nearest, unit),
        };
        let becomes = format!("is taken as {nearest_told}, the {end} there is here");
        self.note(written.place.clone(), shown.clone(), key.name(), becomes);
        self.push(
            key,
            None,
            Value::Integer(nearest),
            shown,
            written.place.clone(),
        );
    }

    /// A key that only this server has, `SECTION.KEY` of `server.toml`.
    fn set_own(&mut self, name: &str, written: Written<'_>) {
        let outside_topics = || {
            explain::ALL
                .iter()
                .filter(|key| key.section() != Section::Topics)
        };
        let full_name = |key: &&dyn Described| format!("{}.{}", key.section(), key.name());
        match outside_topics().find(|key| full_name(key) == name) {
            Some(key) => self.set(*key, None, &written),
            None => {
                let names: Vec<String> = outside_topics().map(full_name).collect();
                let hint = hint(name, names.iter().map(String::as_str));
                let shown = shortened(&written.shown_key);
                self.mistakes
                    .add(written.place, format!("{shown}: unknown key{hint}"));
            }
        }
    }

    /// Notes what becomes of a key or section that has no effect.
    fn note(&mut self, place: Place, shown: String, key: &str, becomes: String) {
        match self
            .notes
            .iter_mut()
            .find(|note| note.key == key && note.becomes == becomes)
        {
            Some(note) => note.more += 1,
            None => self.notes.push(Note {
                place,
                shown,
                becomes,
                key: key.to_owned(),
                more: 0,
            }),
        }
    }
}

/// "did you mean", or nothing.
fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    suggest(name, known).map_or_else(String::new, |word| format!("; did you mean {word}?"))
}

#[cfg(test)]
mod tests;
