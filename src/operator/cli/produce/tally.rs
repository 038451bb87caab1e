//! What became of the messages of one `produce`, and how it is told: whoever sends from a pipe has to know where to
//! go on.

use std::io;

use super::super::brokers::Errand;
use super::super::interrupt::interrupted;
use crate::client::metaq::Error;
use crate::report::{self, Code};
use crate::units::counted;

/// What the messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Lines of standard input.
    Line,
    /// The only one on the command line.
    Message,
    /// Several on the command line.
    Messages,
    /// A file.
    File,
}

/// Why a message is not known to be stored.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something that says why.
    Told(Error),
    /// It could not be sent before its time was over.
    NotStarted,
}

impl Failure {
    /// Whether it may be stored all the same.
    fn is_open(&self) -> bool {
        matches!(
            self,
            Failure::Told(Error::Disconnected { .. } | Error::Timeout { .. })
        )
    }
}

/// How many are stored, and which are not.
#[derive(Debug)]
pub(super) struct Tally {
    unit: Unit,
    started: u64,
    stored: u64,
    failures: Vec<(u64, Failure)>,
    /// Why there may have been more to send.
    input: Option<io::Error>,
}

impl Tally {
    pub(super) fn new(unit: Unit) -> Tally {
        Tally {
            unit,
            started: 0,
            stored: 0,
            failures: Vec::new(),
            input: None,
        }
    }

    /// The number of the next message, from 1 on.
    pub(super) fn starts(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    pub(super) fn is_stored(&mut self) {
        self.stored += 1;
    }

    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    pub(super) fn failed(&mut self, number: u64, why: Failure) {
        self.failures.push((number, why));
    }

    /// Standard input could not be read to its end.
    pub(super) fn ends_early(&mut self, error: io::Error) {
        self.input = Some(error);
    }

    /// Whether no more is to be sent.
    pub(super) fn has_failed(&self) -> bool {
        !self.failures.is_empty() || self.input.is_some()
    }

    /// What is told when a signal ended it.
    pub(super) fn interrupted(&self, errand: &Errand<'_>) -> report::Error {
        let open = self.started - self.stored;
        let stored = count(self.stored, "is", "are");
        let means = match open {
            0 => format!("{stored} stored."),
            _ => format!("{stored} stored; of the {open} sent behind them it is not known."),
        };
        interrupted(&errand.what()).means(means)
    }

    /// What is told in the end; `out` is why not all that was printed arrived.
    pub(super) fn told(
        mut self,
        errand: &Errand<'_>,
        out: Option<io::Error>,
    ) -> Result<(), report::Error> {
        self.failures.sort_by_key(|(number, _)| *number);
        if !self.failures.is_empty() {
            return Err(self.first_failure(errand));
        }
        let stored = count(self.stored, "is", "are");
        if let Some(error) = self.input {
            return Err(report::Error::new(Code::E0407, "read standard input")
                .because(error)
                .means(format!("{stored} stored, all that were read.")));
        }
        if let Some(error) = out {
            return Err(report::Error::new(Code::E0406, "write to standard output")
                .because(error)
                .means(format!(
                    "Everything was sent and {stored} stored, but not every line about it could be printed."
                )));
        }
        Ok(())
    }

    fn first_failure(&mut self, errand: &Errand<'_>) -> report::Error {
        let (number, why) = self.failures.remove(0);
        let is_open = why.is_open();
        let topic = errand.topic;
        let what = match self.unit {
            Unit::Line => format!("send line {number} to {topic}"),
            Unit::Messages => format!("send message {number} to {topic}"),
            Unit::Message | Unit::File => errand.what(),
        };
        let error = match why {
            Failure::Told(error) => errand.explain(error, &what),
            Failure::NotStarted => {
                report::Error::new(Code::E0401, format!("{what}: it could not be sent in time"))
                    .cure(errand.brokers.reach())
            }
        };
        match self.unit {
            Unit::Message | Unit::File if is_open => error,
            Unit::Message | Unit::File => error.means("It was not stored."),
            Unit::Line | Unit::Messages => error.means(self.rest(number, is_open)),
        }
    }

    /// What is to be known of the others when one was not stored.
    fn rest(&self, number: u64, is_open: bool) -> String {
        let mut text = match is_open {
            true => "Whether it is stored is not known".to_owned(),
            false => "It was not stored".to_owned(),
        };
        let numbers = |open: bool| {
            let which = self
                .failures
                .iter()
                .filter(|(_, why)| why.is_open() == open);
            which.map(|(number, _)| *number).collect::<Vec<u64>>()
        };
        let (refused, open) = (numbers(false), numbers(true));
        let name = match self.unit {
            Unit::Line => "line",
            _ => "message",
        };
        for (which, fate) in [
            (refused, "not stored either"),
            (open, "not known to be stored"),
        ] {
            if !which.is_empty() {
                text.push_str(&format!("; {fate}: {}", ranges(name, &which)));
            }
        }
        let last = self.started;
        let before = count(self.stored.min(number - 1), "before it is", "before it are");
        text.push_str(&format!(". {before} stored"));
        let behind = self.stored.saturating_sub(number - 1);
        if behind > 0 {
            text.push_str(&format!(", and {behind} behind it"));
        }
        text.push_str(&format!("; the last one sent is {name} {last}."));
        text
    }
}

/// `1 message is`, `2 messages are`.
fn count(number: u64, is: &str, are: &str) -> String {
    let verb = if number == 1 { is } else { are };
    format!("{} {verb}", counted(number, "messages"))
}

/// `line 4`, `lines 4, 7 to 9`.
fn ranges(name: &str, numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown: Vec<String> = runs
        .iter()
        .map(|&(first, last)| match last == first {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        })
        .collect();
    let plural = if numbers.len() > 1 { "s" } else { "" };
    format!("{name}{plural} {}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metaq::StatusCode;

    fn refused() -> Failure {
        Failure::Told(Error::Refused {
            address: "h:1".parse().expect("an address"),
            code: StatusCode::INTERNAL_SERVER_ERROR,
            text: "no".to_owned(),
        })
    }

    fn late() -> Failure {
        Failure::Told(Error::Timeout {
            address: "h:1".parse().expect("an address"),
            after: std::time::Duration::from_secs(1),
        })
    }

    #[test]
    fn where_one_fails_the_others_are_accounted_for() {
        let mut tally = Tally::new(Unit::Line);
        for _ in 0..9 {
            tally.starts();
        }
        for _ in 0..4 {
            tally.is_stored();
        }
        for (number, why) in [(8, late()), (5, refused()), (6, refused()), (9, refused())] {
            tally.failed(number, why);
        }
        tally.failed(3, refused());
        tally.failures.sort_by_key(|(number, _)| *number);
        let (number, why) = tally.failures.remove(0);
        assert_eq!(
            tally.rest(number, why.is_open()),
            "It was not stored; not stored either: lines 5 to 6, 9; not known to be stored: line 8. \
             2 messages before it are stored, and 2 behind it; the last one sent is line 9."
        );
    }
}
