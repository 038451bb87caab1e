//! All checks over the facts of one server, and what is to be told of them.

use std::collections::BTreeSet;

use super::check::{Check, Severity};
use super::checks;
use super::facts::{Facts, Unknown};
use super::finding::Finding;
use crate::config::ServerFolder;

/// Something that is wrong, and the check that found it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The check.
    pub check: &'static Check,
    /// What it found.
    pub finding: Finding,
}

/// What was found at one server.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The server.
    pub folder: ServerFolder,
    /// What is wrong, the worst first; what follows from something else here is not among it.
    pub found: Vec<Found>,
    /// How many checks were done.
    pub done: usize,
    /// The checks that could not be done, each with the reason.
    pub not_done: Vec<(&'static Check, String)>,
}

impl Examination {
    /// How bad the worst is; none where nothing is wrong.
    pub fn worst(&self) -> Option<Severity> {
        self.found.iter().map(|found| found.check.severity).min()
    }
}

/// Does every check.
pub fn examine(facts: &Facts) -> Examination {
    let mut all = Vec::new();
    let mut done = 0;
    let mut not_done = Vec::new();
    for check in checks::all() {
        match (check.look)(facts) {
            Ok(found) => {
                done += 1;
                all.extend(found.into_iter().map(|finding| Found { check, finding }));
            }
            Err(Unknown::DoesNotApply) => {}
            Err(Unknown::Because(why)) => not_done.push((check, why)),
        }
    }
    let explained: BTreeSet<&str> = all
        .iter()
        .flat_map(|found| found.check.explains.iter().copied())
        .collect();
    let mut found: Vec<Found> = all
        .into_iter()
        .filter(|found| !explained.contains(found.check.name))
        .collect();
    // The order of the checks stays within one severity.
    found.sort_by_key(|found| found.check.severity);
    Examination {
        folder: facts.folder.clone(),
        found,
        done,
        not_done,
    }
}
