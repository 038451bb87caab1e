//! What became of the messages of one `produce`, and how it is told: whoever sends from a pipe has to know where to
//! go on.

use std::io;

use super::super::brokers::Errand;
use super::super::interrupt::interrupted;
use crate::client::metaq::Error;
use crate::report::{self, Code};

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

    /// What became of all of them when one was not stored.
    fn rest(&self, number: u64, is_open: bool) -> String {
        let mut failed = vec![(number, is_open)];
        failed.extend(
            self.failures
                .iter()
                .map(|(number, why)| (*number, why.is_open())),
        );
        failed.sort_unstable();
        let stored = runs_between(failed.iter().map(|(number, _)| *number), self.started);
        let numbers = |open: bool| {
            let which = failed.iter().filter(|(_, is_open)| *is_open == open);
            runs(which.map(|(number, _)| *number))
        };
        let (refused, open) = (numbers(false), numbers(true));
        let name = match self.unit {
            Unit::Line => "line",
            _ => "message",
        };
        let sent = counted(self.started, name);
        let mut text = match (self.stored, open.is_empty()) {
            (0, true) => format!("Of {sent} sent, none is stored"),
            (0, false) => format!("Of {sent} sent, none is known to be stored"),
            (1, _) => format!("Of {sent} sent, 1 is stored ({})", named(name, &stored)),
            (many, _) => format!(
                "Of {sent} sent, {many} are stored ({})",
                named(name, &stored)
            ),
        };
        if self.stored > 0 && !refused.is_empty() {
            let is = if is_one(&refused) { "is" } else { "are" };
            text.push_str(&format!("; {} {is} not", named(name, &refused)));
        }
        if !open.is_empty() {
            text.push_str(&format!("; of {} it is not known", named(name, &open)));
        }
        text.push('.');
        text
    }
}

/// `1 message is`, `2 messages are`.
fn count(number: u64, is: &str, are: &str) -> String {
    match number {
        1 => format!("1 message {is}"),
        _ => format!("{number} messages {are}"),
    }
}

/// `1 line`, `2 lines`.
fn counted(number: u64, name: &str) -> String {
    match number {
        1 => format!("1 {name}"),
        _ => format!("{number} {name}s"),
    }
}

/// Numbers that follow each other, the first and the last of each run.
fn runs(numbers: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// The runs from 1 to `last` between these numbers, which ascend.
fn runs_between(numbers: impl Iterator<Item = u64>, last: u64) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut from = 1;
    for number in numbers.chain([last + 1]) {
        if from < number {
            runs.push((from, number - 1));
        }
        from = number + 1;
    }
    runs
}

fn is_one(runs: &[(u64, u64)]) -> bool {
    matches!(runs, [(first, last)] if first == last)
}

/// `line 4`, `lines 4 and 7 to 9`.
fn named(name: &str, runs: &[(u64, u64)]) -> String {
    let shown: Vec<String> = runs
        .iter()
        .map(|&(first, last)| match last == first {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        })
        .collect();
    let plural = if is_one(runs) { "" } else { "s" };
    match shown.as_slice() {
        [before @ .., last] if !before.is_empty() => {
            format!("{name}{plural} {} and {last}", before.join(", "))
        }
        shown => format!("{name}{plural} {}", shown.concat()),
    }
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

    /// What is told when so many were sent, and these failed.
    fn rest(started: u64, failures: Vec<(u64, Failure)>) -> String {
        let mut tally = Tally::new(Unit::Line);
        for _ in 0..started {
            tally.starts();
        }
        for _ in failures.len() as u64..started {
            tally.is_stored();
        }
        for (number, why) in failures {
            tally.failed(number, why);
        }
        tally.failures.sort_by_key(|(number, _)| *number);
        let (number, why) = tally.failures.remove(0);
        tally.rest(number, why.is_open())
    }

    #[test]
    fn where_one_fails_the_others_are_accounted_for() {
        let failures = vec![
            (8, late()),
            (5, refused()),
            (6, refused()),
            (9, refused()),
            (3, refused()),
        ];
        assert_eq!(
            rest(9, failures),
            "Of 9 lines sent, 4 are stored (lines 1 to 2, 4 and 7); lines 3, 5 to 6 and 9 are not; of line 8 it is not known."
        );
        assert_eq!(
            rest(3, vec![(1, refused()), (3, refused())]),
            "Of 3 lines sent, 1 is stored (line 2); lines 1 and 3 are not."
        );
        assert_eq!(
            rest(1, vec![(1, refused())]),
            "Of 1 line sent, none is stored."
        );
        assert_eq!(
            rest(2, vec![(1, refused()), (2, late())]),
            "Of 2 lines sent, none is known to be stored; of line 2 it is not known."
        );
    }
}
