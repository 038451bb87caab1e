//! The syntax of `server.ini` (ini4j's) and of `zoo.cfg` (Java's properties): text to entries.
//!
//! ```text
//! ; a comment, as is # one
//! [section]
//! key = value        or  key: value; blank is "not set"
//! long = one \       a backslash at the end joins the next line
//!        two
//! path = C:\\meta    \\ \n \t \r \f \b \uXXXX; any other character stands for itself
//! ```

use std::iter::Peekable;
use std::str::Chars;

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The section it stands in; empty before the first and in a properties file.
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// A section's title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Title {
    pub(super) name: String,
    pub(super) line: usize,
}

/// What a file says, and the lines that say nothing readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) titles: Vec<Title>,
    pub(super) entries: Vec<Entry>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// A line that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) why: &'static str,
}

/// Reads an ini file.
pub(super) fn read_ini(text: &str) -> Content {
    let mut content = Content::default();
    let mut section = None;
    for (line, logical) in logical_lines(text, &[';', '#']) {
        if let Some(rest) = logical.strip_prefix('[') {
            match rest.strip_suffix(']') {
                Some(name) if !name.trim().is_empty() => {
                    let name = unescape(name.trim());
                    content.titles.push(Title {
                        name: name.clone(),
                        line,
                    });
                    section = Some(name);
                }
                _ => content.unreadable.push(Unreadable {
                    line,
                    why: "a section's title is [NAME]",
                }),
            }
            continue;
        }
        match (split(&logical, &['=', ':'], false), &section) {
            (None, _) => content.unreadable.push(Unreadable {
                line,
                why: "a line is KEY=VALUE",
            }),
            (_, None) => {
                content.unreadable.push(Unreadable {
                    line,
                    why: "a key must stand below a section's title",
                });
            }
            (Some((key, value)), Some(section)) => {
                content.entries.push(Entry {
                    section: section.clone(),
                    key,
                    value,
                    line,
                });
            }
        }
    }
    content
}

/// Reads a properties file: no sections, and white space separates key and value as well.
pub(super) fn read_properties(text: &str) -> Content {
    let mut content = Content::default();
    for (line, logical) in logical_lines(text, &['#', '!']) {
        let (key, value) = split(&logical, &['=', ':'], true)
            .unwrap_or_else(|| (unescape(&logical), String::new()));
        content.entries.push(Entry {
            section: String::new(),
            key,
            value,
            line,
        });
    }
    content
}

/// The lines that say something, trimmed, those that a backslash joins in one; with the number of the
/// first.
fn logical_lines(text: &str, comment: &[char]) -> Vec<(usize, String)> {
    let mut logical: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, physical) in text.lines().enumerate() {
        let trimmed = physical.trim();
        if !continued && (trimmed.is_empty() || trimmed.starts_with(comment)) {
            continue;
        }
        let backslashes = trimmed.chars().rev().take_while(|c| *c == '\\').count();
        let continues = backslashes % 2 == 1;
        let part = if continues {
            &trimmed[..trimmed.len() - 1]
        } else {
            trimmed
        };
        match logical.last_mut() {
            Some((_, line)) if continued => line.push_str(part),
            _ => logical.push((index + 1, part.to_owned())),
        }
        continued = continues;
    }
    logical
}

/// Splits at the first separator that no backslash hides.
fn split(line: &str, separators: &[char], at_space: bool) -> Option<(String, String)> {
    let mut hidden = false;
    for (at, character) in line.char_indices() {
        let separates = separators.contains(&character) || (at_space && character.is_whitespace());
        if separates && !hidden {
            let mut value = line[at..].trim_start();
            if let Some(rest) = value.strip_prefix(separators) {
                value = rest.trim_start();
            }
            return Some((unescape(line[..at].trim_end()), unescape(value)));
        }
        hidden = character == '\\' && !hidden;
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('b') => plain.push('\u{8}'),
            Some('u') => plain.push(unicode(&mut characters)),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

/// Up to four hexadecimal digits as the character they number.
fn unicode(characters: &mut Peekable<Chars<'_>>) -> char {
    let mut number = 0;
    for _ in 0..4 {
        match characters.peek().and_then(|c| c.to_digit(16)) {
            Some(digit) => {
                number = number * 16 + digit;
                characters.next();
            }
            None => break,
        }
    }
    char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A value as it must be written so that [`read_ini`] and the original read it back.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            _ => escaped.push(character),
        }
    }
    escaped
}
