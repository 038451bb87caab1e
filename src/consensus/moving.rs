//! How a vote moves from one member to another: one joint change, in which the taker gets a vote and the giver becomes an
//! observer. Until it is over a majority of the voters before and one of those after it have to agree, so whatever fails
//! meanwhile, there are never two majorities that know nothing of each other.
//!
//! The giver may lead. It does in the joint configuration as well, where it still votes, and hands over then: only a leader
//! that is one of the voters to come ends the joint configuration. So nobody ever leads without a vote, and none of this
//! is forgotten with a leader: whoever leads next finds the joint configuration and ends it.

use raft::eraftpb::{ConfChangeTransition, ConfChangeType};

use super::group::{Group, Unchanged, change_of};
use super::membership::{Along, Identity};
use crate::units::ServerId;

/// How far a vote is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// The taker lacks something yet, or does not answer.
    CatchingUp,
    /// The joint change was proposed.
    Proposed,
    /// It is in force, and goes on by itself; or all of it is over.
    Moves,
}

/// What the leader has to do in a joint configuration that is not left by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is none; or its end is proposed already.
    Nothing,
    /// It has no vote afterwards: another is to lead first.
    HandsOver,
    /// Its end was proposed.
    Proposed,
}

impl Group {
    /// Brings the move of the giver's vote to the taker a step further; to be called again until it [`Moving::Moves`]. The
    /// taker has to have all entries up to `up_to`: what was committed a moment ago. The giver may be gone for good.
    ///
    /// # Errors
    /// [`Unchanged`]: to be tried again, unless the giver has no vote or the taker is no member.
    pub fn move_vote(
        &mut self,
        giver: ServerId,
        taker: Identity,
        up_to: u64,
    ) -> Result<Moving, Unchanged> {
        let now = self.membership().clone();
        let Some(number) = now.number_of(taker) else {
            return match now.former(taker).is_empty() {
                true => Err(Unchanged::NoMember(self.id())),
                // It has just lost its memory, and is taken in again.
                false => Ok(Moving::CatchingUp),
            };
        };
        let of_giver = now.numbers_of(giver);
        let given: Vec<u64> = (of_giver.iter().copied())
            .filter(|it| now.voters.contains(it))
            .collect();
        if given.is_empty() && now.voters.contains(&number) {
            return Ok(Moving::Moves);
        }
        if given.is_empty() || now.voters.contains(&number) {
            return Err(Unchanged::NoVoter(self.id()));
        }
        self.check_changes()?;
        if !self.is_replicating(number)
            || self.matched_index(number) < Some(up_to)
            || !now.former(taker).is_empty()
        {
            return Ok(Moving::CatchingUp);
        }
        let kept = now.voters.iter().filter(|it| !given.contains(it));
        let voters: Vec<u64> = kept.copied().chain([number]).collect();
        let there = voters.iter().filter(|it| self.answers(**it)).count();
        if there < voters.len() / 2 + 1 {
            return Err(Unchanged::Quorum(self.id()));
        }
        let gives = given
            .iter()
            .map(|it| change_of(*it, ConfChangeType::AddLearnerNode));
        let takes = change_of(number, ConfChangeType::AddNode);
        // Whatever else the giver is on its way to be: it is not to take another vote.
        let others = now.observers.iter().filter(|it| **it != number);
        let along = Along {
            observers: Some(others.copied().chain(of_giver).collect()),
            ..Along::default()
        };
        let changes = gives.chain([takes]).collect();
        self.propose_change(changes, &along, ConfChangeTransition::Explicit)?;
        Ok(Moving::Proposed)
    }

    /// Ends the joint configuration of a vote that moves; to be called by whoever leads, again and again.
    ///
    /// # Errors
    /// [`Unchanged`]: to be tried again.
    pub fn end_move(&mut self) -> Result<Ending, Unchanged> {
        let now = self.membership();
        if !self.proposes() || now.outgoing.is_empty() || now.leaves {
            return Ok(Ending::Nothing);
        }
        if !now.voters.contains(&self.member()) {
            return Ok(Ending::HandsOver);
        }
        if self.is_changing() {
            return Ok(Ending::Nothing);
        }
        self.propose_change(Vec::new(), &Along::default(), ConfChangeTransition::Auto)?;
        Ok(Ending::Proposed)
    }
}
