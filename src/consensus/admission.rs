//! How a server comes into a group that is there: as a learner first, and with a vote when it has everything.
//!
//! A member that comes back without its memory is a new one. It takes the vote of its former self in one change, so that
//! the number of voters stays what the operator chose. An observer is a learner that stays one.

use std::collections::BTreeMap;

use super::group::{Group, Unchanged};
use super::membership::{Along, Identity, Membership};
use crate::units::ServerId;

/// What a server is to be in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// It votes, once it has everything.
    Voter,
    /// It receives everything, and never votes.
    Observer,
}

/// How far a server is on its way into the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It was never invited.
    Stranger,
    /// It is to become a learner; that was proposed.
    Joining,
    /// It is a learner, and lacks something yet.
    CatchingUp,
    /// It is to vote; that was proposed.
    Promoted,
    /// It votes.
    Votes,
    /// It is an observer, and stays one.
    Observes,
}

impl Group {
    /// Brings a server a step further on its way into the group; to be called again until it votes or observes. `invited`
    /// says what an operator wants it to be, although it never was. It votes when it has all entries up to `up_to`: what was
    /// committed a moment ago, because under load nobody has ever what is committed now. An observer that comes back without
    /// its memory is one again.
    ///
    /// # Errors
    /// [`Unchanged`]: to be tried again.
    pub fn admit(
        &mut self,
        identity: Identity,
        invited: Option<Seat>,
        up_to: u64,
    ) -> Result<Admission, Unchanged> {
        let now = self.membership().clone();
        let former = now.former(identity);
        let Some(number) = now.number_of(identity) else {
            let Some(seat) = seat_of(&now, &former, invited) else {
                return Ok(Admission::Stranger);
            };
            let number = now.next;
            let learners = [&now.learners[..], &[number]].concat();
            let along = Along {
                newcomers: self.newcomers(number, identity),
                observers: (seat == Seat::Observer).then(|| with_observer(&now, number)),
                ..Along::default()
            };
            self.change(&now.voters, &learners, &along)?;
            return Ok(Admission::Joining);
        };
        if now.voters.contains(&number) {
            return Ok(Admission::Votes);
        }
        match (now.is_observer(number), invited) {
            (true, None | Some(Seat::Observer)) => {
                // What it was is not to be counted beside it.
                let learners = without_all(&now.learners, &former);
                self.change(&now.voters, &learners, &Along::default())?;
                return Ok(Admission::Observes);
            }
            (false, Some(Seat::Observer)) if former.is_empty() => {
                let along = Along {
                    observers: Some(with_observer(&now, number)),
                    ..Along::default()
                };
                self.change_along(&along)?;
                return Ok(Admission::Joining);
            }
            _ => {}
        }
        if self.matched_index(number) < Some(up_to) {
            return Ok(Admission::CatchingUp);
        }
        self.change(
            &with_vote(&now, number, &former),
            &without_all(&without(&now.learners, number), &former),
            &Along::default(),
        )?;
        Ok(Admission::Promoted)
    }

    /// Takes a server out of the group, whatever it is there, and says whether it is out; to be called again until it is.
    ///
    /// # Errors
    /// [`Unchanged`]: to be tried again, unless it is the leader itself.
    pub fn dismiss(&mut self, server: ServerId) -> Result<bool, Unchanged> {
        let now = self.membership().clone();
        let gone = now.numbers_of(server);
        if gone.is_empty() {
            return Ok(true);
        }
        // With those that are left the group has to go on, the next moment too.
        let left = without_all(&now.voters, &gone);
        let there = left.iter().filter(|it| self.answers(**it)).count();
        let is_own = gone.contains(&self.member());
        if !is_own && left.len() < now.voters.len() && there < left.len() / 2 + 1 {
            return Err(Unchanged::Quorum(self.id()));
        }
        let (voters, learners) = (
            without_all(&now.voters, &gone),
            without_all(&now.learners, &gone),
        );
        self.change(&voters, &learners, &Along::default())?;
        Ok(false)
    }

    /// Who is new by a change that brings this one: also this server itself, if it was alone and never said who it is.
    fn newcomers(&self, number: u64, identity: Identity) -> BTreeMap<u64, Identity> {
        let own = self
            .own_identity()
            .filter(|(own, _)| !self.membership().identities.contains_key(own));
        own.into_iter().chain([(number, identity)]).collect()
    }
}

/// What a server is to be that is no member. One that lost its memory is what it was: nobody but an operator's change of
/// members takes or gives a vote.
fn seat_of(now: &Membership, former: &[u64], invited: Option<Seat>) -> Option<Seat> {
    let was_observer = former.iter().all(|it| now.is_observer(*it));
    match former.is_empty() {
        true => invited,
        false if was_observer && invited != Some(Seat::Voter) => Some(Seat::Observer),
        false => Some(Seat::Voter),
    }
}

fn with_observer(now: &Membership, number: u64) -> Vec<u64> {
    [&now.observers[..], &[number]].concat()
}

/// The voters when this member takes the place of what it was.
fn with_vote(now: &Membership, number: u64, former: &[u64]) -> Vec<u64> {
    let mut voters = without_all(&now.voters, former);
    voters.push(number);
    voters
}

fn without(members: &[u64], number: u64) -> Vec<u64> {
    without_all(members, &[number])
}

fn without_all(members: &[u64], gone: &[u64]) -> Vec<u64> {
    let stay = members.iter().filter(|member| !gone.contains(member));
    stay.copied().collect()
}
