//! Sessions that have shown to live: the leader's clock alone ends them, so it has to hear of it.
//!
//! Touches are gathered in rounds, as syncs are: one is under way at a time, and what comes meanwhile goes with the next.
//! A round is over when the leader has confirmed that it led after it was told, and what was committed then is applied
//! here. A ping waits for that, because a client
//! that is told that its session lives may hold a lock by it; everything else only goes along, a little later.
//!
//! Invariants: `over ≤ asked ≤ joined ≤ asked + 1`; a session that was gathered is told until its round is over.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::Effect;
use crate::units::{ConnectionId, Moment};

#[cfg(test)]
mod tests;

/// When a round is told again: a leader may be gone, and nobody says so.
const REPEAT: Duration = Duration::from_millis(500);
/// How long a touch waits for others at most, if nobody waits for it.
const GATHER: Duration = Duration::from_millis(100);

/// The rounds.
#[derive(Debug, Default)]
pub(super) struct Touches {
    /// The last round that was told.
    asked: u64,
    /// When it was, unless it is over.
    asked_at: Option<Moment>,
    /// The sessions in it.
    told: BTreeSet<i64>,
    /// Those of the next one.
    gathered: BTreeSet<i64>,
    /// When the next one is to be told at the latest.
    due_at: Option<Moment>,
    /// Rounds that are confirmed and not over, with what has to be applied.
    confirmed: VecDeque<(u64, u64)>,
    /// The last round that is over.
    over: u64,
    waiting: VecDeque<(u64, ConnectionId)>,
}

impl Touches {
    /// A session did something.
    pub(super) fn gather(&mut self, session: i64, now: Moment) {
        self.gathered.insert(session);
        self.due_at.get_or_insert(now + GATHER);
    }

    /// A client wants to know whether its session lives. The round that answers it.
    pub(super) fn join(&mut self, connection: ConnectionId, now: Moment) -> u64 {
        let round = self.asked + 1;
        self.due_at = Some(now);
        self.waiting.push_back((round, connection));
        round
    }

    /// What is to be told now: the next round, or the one under way again.
    pub(super) fn due(&mut self, now: Moment) -> Option<Effect> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        match self.asked_at {
            Some(_) => self.again(now),
            None => Some(self.ask(now)),
        }
    }

    fn ask(&mut self, now: Moment) -> Effect {
        self.asked += 1;
        self.due_at = None;
        self.told = std::mem::take(&mut self.gathered);
        self.tell(now)
    }

    fn tell(&mut self, now: Moment) -> Effect {
        self.asked_at = Some(now);
        Effect::Touch {
            round: self.asked,
            sessions: self.told.iter().copied().collect(),
        }
    }

    /// The round under way, once more: another leader has not heard of it.
    pub(super) fn again(&mut self, now: Moment) -> Option<Effect> {
        self.asked_at.is_some().then(|| self.tell(now))
    }

    /// The leader has confirmed a round, and had committed so much. What is to be told next.
    pub(super) fn confirmed(&mut self, round: u64, index: u64, now: Moment) -> Option<Effect> {
        if round != self.asked || self.asked_at.is_none() {
            return None;
        }
        self.asked_at = None;
        self.told.clear();
        self.confirmed.push_back((round, index));
        self.due(now)
    }

    /// The connections whose round is over now that this much is applied: an end of their sessions that was committed
    /// before would have come.
    pub(super) fn applied(&mut self, applied: u64) -> Vec<ConnectionId> {
        while let Some((round, _)) = self.confirmed.pop_front_if(|(_, index)| *index <= applied) {
            self.over = round;
        }
        let over = self.over;
        let mut connections = Vec::new();
        while let Some((_, connection)) = self.waiting.pop_front_if(|(of, _)| *of <= over) {
            connections.push(connection);
        }
        connections
    }

    /// Whether a round is over.
    pub(super) fn is_over(&self, round: u64) -> bool {
        round <= self.over
    }

    /// Whether somebody may wait for a round.
    pub(super) fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When [`Touches::due`] is to be asked.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.asked_at {
            Some(at) => Some(at + REPEAT),
            None => self.due_at,
        }
    }

    /// Nobody waits any more. The numbers go on, so that no late answer is taken for another round's.
    pub(super) fn forgotten(self) -> Touches {
        Touches {
            asked: self.asked,
            over: self.asked,
            ..Touches::default()
        }
    }
}
