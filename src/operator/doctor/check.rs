//! One thing that may be wrong, and the function that finds it.

use std::fmt;

use serde::Serialize;

use super::facts::{Facts, Unknown};
use super::finding::Finding;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is not served, or will not be at the next start.
    Broken,
    /// All is served, and one more mishap or some time breaks it, or data with it.
    AtRisk,
    /// It could be better.
    Hint,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Broken => "broken",
            Severity::AtRisk => "at risk",
            Severity::Hint => "hint",
        })
    }
}

/// What a check says: what it found, or why it could not look.
pub(super) type Looked = Result<Vec<Finding>, Unknown>;

/// One thing that may be wrong with a server.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// A word for programs. It never changes its meaning.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, for the operator's page.
    pub means: &'static str,
    /// What cures it, for the operator's page.
    pub cure: &'static str,
    /// The checks whose findings follow from this one.
    pub explains: &'static [&'static str],
    /// Finds it.
    pub look: fn(&Facts) -> Looked,
}
