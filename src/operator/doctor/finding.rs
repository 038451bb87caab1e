//! What a check found.

use serde::Serialize;

/// One thing that is wrong with this server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What shows it, a line each.
    pub evidence: Vec<String>,
    /// What cures it, the first first.
    pub cures: Vec<Cure>,
}

/// Something to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cure {
    /// What is to be done, in words.
    pub what: String,
    /// The command that does it, where there is one; to be pasted into a shell.
    pub command: Option<String>,
}

impl Finding {
    /// What is wrong.
    pub fn new(what: impl Into<String>) -> Finding {
        Finding {
            what: what.into(),
            ..Finding::default()
        }
    }

    /// What shows it.
    #[must_use]
    pub fn shown(mut self, line: impl Into<String>) -> Finding {
        self.evidence.push(line.into());
        self
    }

    /// The same, of several lines.
    #[must_use]
    pub fn shown_by(mut self, lines: impl IntoIterator<Item = String>) -> Finding {
        self.evidence.extend(lines);
        self
    }

    /// What to do, where no command does it.
    #[must_use]
    pub fn cure(mut self, what: impl Into<String>) -> Finding {
        self.cures.push(Cure {
            what: what.into(),
            command: None,
        });
        self
    }

    /// What to do, and the command that does it.
    #[must_use]
    pub fn command(mut self, what: &str, command: impl Into<String>) -> Finding {
        self.cures.push(Cure {
            what: what.to_owned(),
            command: Some(command.into()),
        });
        self
    }
}
