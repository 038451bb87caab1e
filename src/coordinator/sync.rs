//! `sync`: a client wants to see all that was committed before it asked.
//!
//! Syncs are gathered in rounds: one question about the group's commit index is under way at a time,
//! and all that come meanwhile share the next one, because an answer says nothing about what was
//! committed after its question. A round is over when this server has applied what the answer named.
//!
//! Invariants: `over ≤ answered ≤ asked ≤ joined ≤ asked + 1`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::{ConnectionId, Moment};

#[cfg(test)]
mod tests;

/// When a question is repeated: a leader may be gone, and nobody says so.
const REPEAT: Duration = Duration::from_millis(500);

/// The rounds.
#[derive(Debug, Default)]
pub(super) struct Syncs {
    /// The last round a sync belongs to.
    joined: u64,
    /// The last round whose question was asked.
    asked: u64,
    /// When it was, unless it is answered.
    asked_at: Option<Moment>,
    /// The last round that is over.
    over: u64,
    /// Rounds that are answered but not over, with what has to be applied.
    answered: VecDeque<(u64, u64)>,
    waiting: VecDeque<(u64, ConnectionId)>,
}

impl Syncs {
    /// A sync came. The round it belongs to, and whether its question is to be asked now.
    pub(super) fn join(&mut self, connection: ConnectionId, now: Moment) -> (u64, bool) {
        let ask = self.asked_at.is_none();
        if ask {
            self.asked += 1;
            self.asked_at = Some(now);
        }
        self.joined = self.asked + u64::from(!ask);
        self.waiting.push_back((self.joined, connection));
        (self.joined, ask)
    }

    /// An answer came. The round whose question is to be asked next, if any.
    pub(super) fn answer(&mut self, round: u64, index: u64, now: Moment) -> Option<u64> {
        if round != self.asked || self.asked_at.is_none() {
            return None;
        }
        self.asked_at = None;
        self.answered.push_back((round, index));
        (self.joined > self.asked).then(|| {
            self.asked += 1;
            self.asked_at = Some(now);
            self.asked
        })
    }

    /// The connections with a sync whose round is over now that this much is applied.
    pub(super) fn applied(&mut self, applied: u64) -> Vec<ConnectionId> {
        while let Some(&(round, index)) = self.answered.front()
            && index <= applied
        {
            self.over = round;
            self.answered.pop_front();
        }
        let mut connections = Vec::new();
        while let Some(&(round, connection)) = self.waiting.front()
            && round <= self.over
        {
            connections.push(connection);
            self.waiting.pop_front();
        }
        connections
    }

    /// Nobody waits any more. The numbers go on, so that no late answer is taken for another round's.
    pub(super) fn forgotten(self) -> Syncs {
        Syncs {
            joined: self.asked,
            asked: self.asked,
            over: self.asked,
            ..Syncs::default()
        }
    }

    /// Whether somebody may wait for an answer.
    pub(super) fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a round is over.
    pub(super) fn is_over(&self, round: u64) -> bool {
        round <= self.over
    }

    /// The round whose question is to be repeated.
    pub(super) fn repeat(&mut self, now: Moment) -> Option<u64> {
        if now < self.deadline()? {
            return None;
        }
        self.asked_at = Some(now);
        Some(self.asked)
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        Some(self.asked_at? + REPEAT)
    }
}
