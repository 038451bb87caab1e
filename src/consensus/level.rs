//! How a group's feature level is raised: each member's word of what it supports, and then the level itself, are changes of
//! the members' state. So they are in the log, in snapshots and in markers like the members, and one is under way at a time.

use std::collections::BTreeMap;

use super::group::{Group, Unchanged};
use super::membership::Along;
use crate::units::feature::{FeatureLevel, Release};

impl Group {
    /// The level that what is written into the log has to be of.
    pub fn level(&self) -> FeatureLevel {
        self.membership().level
    }

    /// Writes down what members support, as they said it last. Says whether there was something to write down; to be called
    /// again with what was said later.
    ///
    /// # Errors
    /// [`Unchanged`]: to be tried again.
    pub fn note_support(&mut self, said: &BTreeMap<u64, FeatureLevel>) -> Result<bool, Unchanged> {
        let now = self.membership();
        let members = now.members();
        let is_news = |(member, highest): &(&u64, &FeatureLevel)| {
            members.contains(member) && now.highest_of(**member) != **highest
        };
        let news = said.iter().filter(is_news);
        let highest: BTreeMap<u64, FeatureLevel> = news.map(|(it, level)| (*it, *level)).collect();
        if highest.is_empty() {
            return Ok(false);
        }
        let along = Along {
            highest,
            ..Along::default()
        };
        self.change_along(&along).map(|()| true)
    }

    /// Raises the level. There is no way back.
    ///
    /// # Errors
    /// [`Unchanged`]: not every member supports it, learners included; or to be tried again.
    pub fn raise(&mut self, level: FeatureLevel) -> Result<(), Unchanged> {
        let now = self.membership();
        if level > now.possible_level() {
            return Err(Unchanged::Unsupported(self.id()));
        }
        if level <= now.level {
            return Ok(());
        }
        let along = Along {
            raised: Some((level, Release::OWN)),
            ..Along::default()
        };
        self.change_along(&along)
    }
}
