//! A line into words, and words into options, as zkCli.sh reads them.

use super::Failure;

/// The words of a line. Quotes hold a word together where they begin and end it.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = ['"', '\'']
            .contains(&first)
            .then(|| rest[1..].find(first))
            .flatten();
        let (word, after) = match quoted {
            Some(end) => (&rest[1..=end], &rest[end + 2..]),
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// What a command was given: its options, and the words behind them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given<'a> {
    options: Vec<(char, Option<&'a str>)>,
    pub(super) words: &'a [String],
}

impl<'a> Given<'a> {
    /// Options come first. `known` has a letter for each, and a colon behind those that take a value.
    pub(super) fn parse(known: &str, mut words: &'a [String]) -> Result<Given<'a>, Failure> {
        let mut options = Vec::new();
        while let Some((first, rest)) = words.split_first() {
            let Some(letters) = first
                .strip_prefix('-')
                .filter(|letters| !letters.is_empty())
            else {
                break;
            };
            words = rest;
            for letter in letters.chars() {
                let Some(at) = known.find(letter).filter(|_| letter != ':') else {
                    return Err(Failure::Words(format!("unknown option {first}")));
                };
                let value = match known[at + 1..].starts_with(':') {
                    false => None,
                    true => {
                        let (value, rest) = words
                            .split_first()
                            .ok_or_else(|| Failure::Words(format!("{first} needs a value")))?;
                        words = rest;
                        Some(value.as_str())
                    }
                };
                options.push((letter, value));
            }
        }
        Ok(Given { options, words })
    }

    pub(super) fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    pub(super) fn value(&self, letter: char) -> Option<&'a str> {
        let found = self.options.iter().find(|(given, _)| *given == letter);
        found.and_then(|(_, value)| *value)
    }
}

/// A number, or what is wrong with it.
pub(super) fn number<T: std::str::FromStr>(word: &str) -> Result<T, Failure> {
    word.parse()
        .map_err(|_| Failure::Words(format!("'{word}' is no number")))
}
