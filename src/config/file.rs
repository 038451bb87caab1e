//! What the operator wrote, nothing computed: every key optional, each with its place.
//!
//! `server.toml` is read here; `legacy` reads the originals' files into the same shape. Unknown
//! sections and keys and broken syntax are found here, wrong values only in `checked.rs`.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::checked::Origin;
use super::explain;
use super::key::{Section, Value, quote};
use super::mistake::{Mistakes, Place};
use super::suggest::suggest;
use super::topic::{TOPIC_NAME_WORDS, topic_name_is_valid};

/// What one or more files say.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The file that a mistake is put down to when it is about something that was not written.
    pub path: PathBuf,
    /// Every key that was written, in the order of the file; the last of two is the one that counts.
    pub settings: Vec<Setting>,
    /// Every topic section, in the order of the file.
    pub topics: Vec<TopicSection>,
}

/// One key as it was written.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its section.
    pub section: Section,
    /// The topic, in a topic's section.
    pub topic: Option<String>,
    /// Its name in `server.toml`.
    pub key: &'static str,
    /// What was written.
    pub value: Value,
    /// Section, key and value as they stand in the file, for messages.
    pub shown: String,
    /// Where it stands.
    pub place: Place,
}

/// One topic's section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSection {
    /// The topic.
    pub name: String,
    /// Where the section begins.
    pub place: Place,
}

impl Setting {
    /// The value as it was written, without the quotes of its notation.
    pub fn words(&self) -> String {
        match &self.value {
            Value::Text(text) => text.clone(),
            Value::Integer(integer) => integer.to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::List(_) | Value::Other(_) => self.shown.clone(),
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        let place = self.place.clone();
        match self.place.line {
            0 => Origin::Implied(place),
            _ => Origin::Written {
                place,
                shown: self.shown.clone(),
            },
        }
    }

    /// The title of the section it stands in, as in the file: `[topics.orders]`, `[system]`. Empty for what
    /// was not written but follows from the file's being there.
    pub fn title(&self) -> &str {
        let (key, _) = self.shown.split_once(" = ").unwrap_or_default();
        key.rsplit_once(' ').map_or("", |(title, _)| title)
    }
}

impl File {
    /// What `text`, the content of the `server.toml` called `path`, says.
    pub fn read_toml(path: &Path, text: &str, mistakes: &mut Mistakes) -> File {
        let (document, errors) = DeTable::parse_recoverable(text);
        let lines = Lines { path, text };
        let mut file = File {
            path: path.to_path_buf(),
            ..File::default()
        };
        if !errors.is_empty() {
            // What a parser makes of the rest of a broken file is a guess: no other mistakes from it.
            let (mut line_before, mut twice) = (0, Vec::new());
            for error in errors {
                let place = lines.place(error.span().map_or(0, |span| span.start));
                if std::mem::replace(&mut line_before, place.line) == place.line {
                    continue;
                }
                match error.message() {
                    "duplicate key" => {
                        if let Some(text) = lines.first_of_two(place.line, &twice) {
                            twice.push(place.line);
                            mistakes.add(place, text);
                        }
                    }
                    message => mistakes.add(place, format!("not TOML: {message}")),
                }
            }
            return file;
        }
        for (name, value) in in_file_order(document.get_ref()) {
            read_section(&lines, name, value, &mut file, mistakes);
        }
        file
    }

    /// The setting of a key outside the topics' sections.
    pub fn setting(&self, section: Section, key: &str) -> Option<&Setting> {
        self.settings
            .iter()
            .rev()
            .find(|it| it.section == section && it.topic.is_none() && it.key == key)
    }

    /// The setting of a key in a topic's section.
    pub fn topic_setting(&self, topic: &str, key: &str) -> Option<&Setting> {
        self.settings
            .iter()
            .rev()
            .find(|it| it.topic.as_deref() == Some(topic) && it.key == key)
    }

    /// The place of the whole file.
    pub fn place(&self) -> Place {
        Place::new(&self.path, 0)
    }
}

/// The names of a section's keys.
pub fn key_names(section: Section) -> impl Iterator<Item = &'static str> {
    explain::ALL
        .iter()
        .filter(move |key| key.section() == section)
        .map(|key| key.name())
}

/// A text and the lines its bytes are on.
struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, at: usize) -> Place {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        Place::new(
            self.path,
            1 + before.iter().filter(|byte| **byte == b'\n').count(),
        )
    }

    /// What is said of a line whose key or section is there already. `told` are such lines before it: where its
    /// section's title is among them, that says it all.
    fn first_of_two(&self, line: usize, told: &[usize]) -> Option<String> {
        let is_title = |line: &&str| line.starts_with('[');
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let before = lines.get(..line - 1)?;
        let own = *lines.get(line - 1)?;
        let title_at = before.iter().rposition(is_title);
        let (name, from) = match is_title(&own) {
            true => (title(own), 0),
            false if title_at.is_some_and(|at| told.contains(&(at + 1))) => return None,
            false => (key(own), title_at.unwrap_or(0)),
        };
        let same = |other: &&str| match is_title(&own) {
            true => is_title(other) && table(other) == table(own),
            false => key(other) == name,
        };
        let first = before[from..].iter().position(same);
        let first = first.map_or_else(String::new, |first| {
            format!(", in line {}", from + first + 1)
        });
        Some(format!("{} is there already{first}", shortened(name)))
    }

    /// A value as it was written, shortened: a message is one line.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> String {
        const CHARACTERS_MAX: usize = 80;
        let written = self.text.get(value.span()).unwrap_or_default();
        let one_line = written.split_whitespace().collect::<Vec<_>>().join(" ");
        if one_line.chars().count() <= CHARACTERS_MAX {
            return one_line;
        }
        let start: String = one_line.chars().take(CHARACTERS_MAX).collect();
        format!("{start}...")
    }
}

/// The title of a section, without what is behind it on its line.
fn title(line: &str) -> &str {
    line.rfind(']').map_or(line, |end| &line[..=end])
}

/// The key on a line.
fn key(line: &str) -> &str {
    line.split('=').next().unwrap_or_default().trim()
}

/// What a line says by itself: of two titles, whether they are the same in other words.
fn table(line: &str) -> Option<toml::Table> {
    line.parse().ok()
}

type Entry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

fn in_file_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<Entry<'a, 'i>> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn read_section(
    lines: &Lines<'_>,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    file: &mut File,
    mistakes: &mut Mistakes,
) {
    let place = lines.place(name.span().start);
    let known = Section::ALL
        .iter()
        .find(|section| section.name() == name.get_ref());
    match (known, value.get_ref()) {
        (None, DeValue::Table(_)) => {
            let names = Section::ALL.iter().map(|section| section.name());
            let hint = match suggest(name.get_ref(), names.clone()) {
                Some(word) => format!("did you mean [{word}]?"),
                None => format!("the sections are {}", names.collect::<Vec<_>>().join(", ")),
            };
            mistakes.add(
                place,
                format!("[{}]: unknown section; {hint}", name.get_ref()),
            );
        }
        (None, _) => {
            mistakes.add(
                place,
                format!(
                    "{}: every key belongs into a section{}",
                    name.get_ref(),
                    home_of(name.get_ref())
                ),
            );
        }
        (Some(section), DeValue::Table(table)) => match section {
            Section::Topics => read_topics(lines, table, file, mistakes),
            _ => read_keys(lines, *section, None, table, file, mistakes),
        },
        (Some(section), _) => {
            let text = format!(
                "{section} = {}: must be a section, [{section}]",
                lines.written(value)
            );
            mistakes.add(place, text);
        }
    }
}

/// Where a key that stands in no section or in a wrong one belongs, as the end of a message.
fn home_of(key: &str) -> String {
    let homes: Vec<String> = explain::ALL
        .iter()
        .filter(|known| known.name() == key)
        .map(|known| match known.section() {
            Section::Topics => "[topics.NAME]".to_owned(),
            section => format!("[{section}]"),
        })
        .collect();
    match homes.is_empty() {
        true => String::new(),
        false => format!("; {key} belongs into {}", homes.join(" or ")),
    }
}

fn read_topics(lines: &Lines<'_>, topics: &DeTable<'_>, file: &mut File, mistakes: &mut Mistakes) {
    for (name, value) in in_file_order(topics) {
        let place = lines.place(name.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            let hint = home_of(name.get_ref());
            let text = format!(
                "[topics] {} = {}: must be a topic's section, [topics.NAME]{hint}",
                name.get_ref(),
                lines.written(value)
            );
            mistakes.add(place, text);
            continue;
        };
        if !topic_name_is_valid(name.get_ref()) {
            let text = format!(
                "[topics.{}]: a topic's name must be {TOPIC_NAME_WORDS}",
                quote(&shortened(name.get_ref()))
            );
            mistakes.add(place, text);
            continue;
        }
        file.topics.push(TopicSection {
            name: name.get_ref().to_string(),
            place,
        });
        read_keys(
            lines,
            Section::Topics,
            Some(name.get_ref()),
            table,
            file,
            mistakes,
        );
    }
}

/// A name that may be anything, fit for a message.
pub(super) fn shortened(name: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    match name.chars().count() <= CHARACTERS_MAX {
        true => name.to_owned(),
        false => name
            .chars()
            .take(CHARACTERS_MAX)
            .chain("...".chars())
            .collect(),
    }
}

fn read_keys(
    lines: &Lines<'_>,
    section: Section,
    topic: Option<&str>,
    table: &DeTable<'_>,
    file: &mut File,
    mistakes: &mut Mistakes,
) {
    let title = match topic {
        Some(topic) => format!("[topics.{}]", bare_or_quoted(topic)),
        None => format!("[{section}]"),
    };
    for (name, value) in in_file_order(table) {
        let place = lines.place(name.span().start);
        match key_names(section).find(|known| *known == name.get_ref()) {
            Some(key) => file.settings.push(Setting {
                section,
                topic: topic.map(str::to_owned),
                key,
                value: plain(value.get_ref()),
                shown: format!("{title} {key} = {}", lines.written(value)),
                place,
            }),
            None => {
                let hint = match (topic, value.get_ref()) {
                    (Some(topic), DeValue::Table(_)) => {
                        let whole = format!("{topic}.{}", name.get_ref());
                        format!(
                            "; a topic's name with a dot needs quotes: [topics.{}]",
                            quote(&whole)
                        )
                    }
                    _ => match suggest(name.get_ref(), key_names(section)) {
                        Some(word) => format!("; did you mean {word}?"),
                        None => home_of(name.get_ref()),
                    },
                };
                mistakes.add(
                    place,
                    format!("{title} {}: unknown key{hint}", shortened(name.get_ref())),
                );
            }
        }
    }
}

/// A name as TOML lets it stand in a section's title.
pub fn bare_or_quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => quote(name),
    }
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| plain(value.get_ref())).collect())
        }
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a section"),
    }
}
