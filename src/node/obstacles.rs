//! What keeps the node from doing all that it is there for: for `/ready`, `chrysalis status`, and the log when it
//! changes. An operator cures it, or somebody else, and the node goes on by itself when that is done.

use tracing::{error, info};

use super::Node;
use crate::broker::Shortage;
use crate::journal::Journal;
use crate::report::some_of;

/// How it stands with the journal's next file, as the log was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NextFile {
    /// It is there, or being made.
    #[default]
    Fine,
    /// It cannot be made; there is room in the one that is written.
    Missing,
    /// It cannot be made, and there is something to be written to it.
    Awaited,
}

impl NextFile {
    fn of(journal: &Journal) -> NextFile {
        match (journal.trouble(), journal.is_stuck()) {
            (None, _) => NextFile::Fine,
            (Some(_), false) => NextFile::Missing,
            (Some(_), true) => NextFile::Awaited,
        }
    }
}

impl Node {
    /// Tells of the journal's next file when that changes.
    pub(super) fn tell_of_journal(&mut self) {
        let now = NextFile::of(&self.world.journal);
        let before = std::mem::replace(&mut self.next_file, now);
        if now == before {
            return;
        }
        match self.world.journal.trouble() {
            None => info!("the journal has a next file: writes go on"),
            Some(why) if now == NextFile::Awaited => error!(
                %why,
                "the journal is full and its next file cannot be made: no write is answered before it can; it is tried \
                 again every second"
            ),
            // It was told when it began, and what waited for it is written.
            Some(_) if before == NextFile::Awaited => {}
            Some(why) => error!(
                %why,
                "the journal's next file cannot be made: puts are refused; it is tried again every second"
            ),
        }
    }

    /// Nothing more gets to the disk before somebody does something about it. What is acknowledged is there.
    pub(crate) fn is_stuck(&self) -> bool {
        let broker = self.broker.as_ref();
        self.world.journal.is_stuck() || broker.is_some_and(super::BrokerSide::finds_no_space)
    }

    /// Whether the broker serves nobody because what is left of it waits for its operator.
    pub(crate) fn holds_broker(&self) -> bool {
        self.broker_held.is_some()
    }

    /// What the node is kept from: a sentence each.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let mut obstacles: Vec<String> = self.broker_held.iter().cloned().collect();
        let coordinator = self.coordinator.as_ref();
        if let Some(why) = coordinator.and_then(|side| side.waits_for(&self.world)) {
            obstacles.push(why);
        }
        let shortage = self.broker.as_ref().and_then(|side| side.core.shortage());
        if shortage == Some(Shortage::Descriptors) {
            obstacles.push(
                "too many files are open: puts are refused; raise LimitNOFILE, or `ulimit -n`"
                    .to_owned(),
            );
        }
        if let Some(why) = self
            .broker
            .as_ref()
            .and_then(super::BrokerSide::lacks_folder)
        {
            obstacles.push(format!(
                "a folder of message files is not there: puts that need it are refused; mount its disk or put it back; \
                 {why}; see chrysalis explain E0206"
            ));
        }
        if self.space.is_low() {
            obstacles.push("the disk is nearly full: puts are refused; make room".to_owned());
        } else if shortage == Some(Shortage::Space) {
            obstacles.push("the disk is full: puts are refused; make room".to_owned());
        }
        if let Some(why) = self.world.journal.trouble() {
            let what = match self.world.journal.is_stuck() {
                true => {
                    "the journal is full and its next file cannot be made: no write is answered"
                }
                false => "the journal's next file cannot be made: puts are refused",
            };
            obstacles.push(format!("{what}; {why}"));
        } else if self.world.journal.pressure().refuse {
            let full = "the journal is full: puts are refused until it is checkpointed";
            obstacles.push(full.to_owned());
        }
        let damaged = self
            .broker
            .as_ref()
            .map(|side| side.core.damaged_partitions());
        if let Some(damaged) = damaged.filter(|names| !names.is_empty()) {
            let names = some_of(&damaged);
            obstacles.push(format!(
                "damage was found in {names}: gets of it are answered 500; see chrysalis explain E0203"
            ));
        }
        obstacles
    }
}
