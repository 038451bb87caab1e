//! The keys as documents: a commented `server.toml`, and `docs/configuration.md`.
//!
//! Both are made from `explain.rs` alone, so that they cannot say anything else than the program does.

use std::fmt::Write as _;
use std::path::Path;

use super::checked::{Config, Machine};
use super::explain;
use super::file::bare_or_quoted;
use super::key::{Described, Preset, Section};
use super::legacy;

/// A key that is set, with its value as TOML has it: `(Section::Server, "id", "2")`.
pub type Chosen = (Section, &'static str, String);

/// A topic's section: its name and its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenTopic {
    /// The topic.
    pub name: String,
    /// Its keys, with their values as TOML has them.
    pub keys: Vec<(&'static str, String)>,
}

/// The columns a line of a document has at most.
const COLUMNS: usize = 98;

/// A `server.toml` with every key: those in `chosen` set, the others commented out with their defaults.
pub fn server_toml(chosen: &[Chosen], topics: &[ChosenTopic]) -> String {
    let defaults = defaults();
    let mut text = String::new();
    comment(
        &mut text,
        "The configuration of a Chrysalis server, with every key. A line that begins with '#' has the default: remove the '#' \
         to set another value. A start names all mistakes at once. `chrysalis reload` reads the topics again; everything \
         else takes effect at the next start.",
    );
    for section in Section::ALL {
        text.push('\n');
        comment(&mut text, &"-".repeat(COLUMNS - 2));
        comment(&mut text, section.help());
        match section {
            Section::Topics => push_topics(&mut text, &defaults, topics),
            _ => push_section(&mut text, section, &defaults, chosen),
        }
    }
    text
}

fn push_section(text: &mut String, section: Section, defaults: &Config, chosen: &[Chosen]) {
    let _ = writeln!(text, "[{section}]");
    for key in explain::ALL.iter().filter(|key| key.section() == section) {
        let chosen = chosen
            .iter()
            .find(|(section, name, _)| *section == key.section() && *name == key.name());
        push_template(text, *key, chosen.map(|(_, _, value)| value), defaults);
    }
}

/// The topics. The last one has every key, so that a key is set by taking its '#' away, as everywhere else.
fn push_topics(text: &mut String, defaults: &Config, topics: &[ChosenTopic]) {
    let (last, others) = match topics.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, topics),
    };
    for topic in others {
        text.push_str(&topic_section(topic));
        text.push('\n');
    }
    match last {
        Some(topic) => text.push_str(&section_title(topic)),
        None => text.push_str("#[topics.example]\n"),
    }
    let chosen = last.map_or(&[][..], |topic| &topic.keys);
    for key in explain::ALL
        .iter()
        .filter(|key| key.section() == Section::Topics)
    {
        let chosen = chosen.iter().find(|(name, _)| *name == key.name());
        push_template(text, *key, chosen.map(|(_, value)| value), defaults);
    }
}

/// A key with what it does: set to `chosen`, or commented out with its default.
fn push_template(
    text: &mut String,
    key: &dyn Described,
    chosen: Option<&String>,
    defaults: &Config,
) {
    text.push('\n');
    comment(text, key.help());
    comment(text, &rules(key, '.'));
    let _ = match chosen {
        Some(value) => writeln!(text, "{} = {value}", key.name()),
        None => writeln!(text, "#{} = {}", key.name(), default_value(key, defaults)),
    };
}

/// A topic's section of `server.toml`.
pub fn topic_section(topic: &ChosenTopic) -> String {
    let mut text = section_title(topic);
    for (name, value) in &topic.keys {
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

fn section_title(topic: &ChosenTopic) -> String {
    format!("[topics.{}]\n", bare_or_quoted(&topic.name))
}

/// What a key may be, what it is by default, what it replaces: a sentence or two.
fn rules(key: &dyn Described, end: char) -> String {
    let mut rules = capitalised(&key.permitted());
    if !key.unit().is_empty() {
        let _ = write!(rules, " ({})", key.unit());
    }
    if let Preset::Derived(sentence) = key.default() {
        let _ = write!(rules, "; by default {sentence}");
    }
    rules.push(end);
    if !key.replaces().is_empty() {
        let _ = write!(rules, " Replaces {}{end}", key.replaces());
    }
    rules
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// What holds where nothing is written, as TOML has it.
fn default_value(key: &dyn Described, defaults: &Config) -> String {
    let effective = |name: &str| {
        let held = defaults.source.held(name);
        held.expect("every key outside the topics is read")
            .to_owned()
    };
    match key.default() {
        Preset::Value(value) => value,
        // A topic's keys follow those of the broker that the sentence names.
        Preset::Derived(name) if key.section() == Section::Topics => effective(name),
        Preset::Derived(_) => effective(&format!("{}.{}", key.section(), key.name())),
    }
}

/// The configuration of an empty `server.toml`, on a machine without a network.
fn defaults() -> Config {
    super::from_toml(Path::new(""), "", &Machine::default()).expect("the defaults are permitted")
}

/// Writes `sentence` as comment lines, broken between words.
fn comment(text: &mut String, sentence: &str) {
    let mut line = String::from("#");
    for word in sentence.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COLUMNS && line != "#" {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// A key's name with its section: `broker.port`, `topics.NAME.num_partitions`.
pub fn full_name(key: &dyn Described) -> String {
    match key.section() {
        Section::Topics => format!("topics.NAME.{}", key.name()),
        section => format!("{section}.{}", key.name()),
    }
}

/// What there is to say of the key with this name, if there is one.
pub fn key(name: &str) -> Option<String> {
    let key = explain::ALL.iter().find(|key| full_name(**key) == name)?;
    let default = match key.default() {
        Preset::Value(value) => format!("By default {value}."),
        // It is among the rules.
        Preset::Derived(_) => String::new(),
    };
    Some(format!(
        "{name}\n\n{}\n\n{}. {default}\n",
        key.help(),
        rules(*key, '.').trim_end_matches('.')
    ))
}

/// The page for operators: every key, and what becomes of the originals' keys.
pub fn configuration_md() -> String {
    let defaults = defaults();
    let mut text = String::from(
        "# Configuration\n\n\
         A server reads `conf/server.toml` in its folder. You may leave out every key. `chrysalis init` writes the file with\n\
         all keys and their defaults as comments; this page says the same. (Both are made from `src/config/explain/`, and a test\n\
         compares them: `UPDATE=1 cargo test config` writes them anew.)\n\n\
         A start names all mistakes at once, with file, line, key, value and what is permitted. `chrysalis reload DIR`, or SIGHUP,\n\
         reads the topics' sections again; everything else takes effect at the next start.\n",
    );
    for section in Section::ALL {
        let title = match section {
            Section::Topics => "[topics.NAME]".to_owned(),
            _ => format!("[{section}]"),
        };
        let _ = write!(text, "\n## {title}\n\n{}\n", section.help());
        for key in explain::ALL.iter().filter(|key| key.section() == section) {
            push_key(&mut text, *key, &defaults);
        }
    }
    text.push_str(&legacy::document());
    text
}

/// A key's part of the page: what it does, and a line with what it may be.
fn push_key(text: &mut String, key: &dyn Described, defaults: &Config) {
    let default = match key.default() {
        Preset::Value(_) => format!("`{}`", default_value(key, defaults)),
        Preset::Derived(sentence) => sentence.to_owned(),
    };
    let unit = match key.unit() {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    let replaces = match key.replaces() {
        "" => String::new(),
        replaces => format!("- replaces: {replaces}\n"),
    };
    let _ = write!(
        text,
        "\n### {}\n\n{}\n\n- default: {default}\n- permitted: {}{unit}\n{replaces}",
        full_name(key),
        key.help(),
        key.permitted(),
    );
}
