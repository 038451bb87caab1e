//! A vote that moves from one server to another: what the leader does for it.

use tracing::{info, warn};

use super::CoordinatorSide;
use crate::consensus::Identity;
use crate::consensus::group::{Group, Unchanged};
use crate::consensus::moving::{Ending, Moving};
use crate::node::World;
use crate::units::ServerId;

/// Brings a vote further on its way, and says whether an operator's word is not needed for it any more: it goes on by itself,
/// or it cannot be.
pub(super) fn moves(group: &mut Group, giver: ServerId, taker: Identity, up_to: u64) -> bool {
    let to = taker.server;
    match group.move_vote(giver, taker, up_to) {
        Ok(Moving::CatchingUp) => false,
        Ok(Moving::Proposed) => {
            info!(%giver, %to, "a server has all, and takes the vote of another one");
            false
        }
        Ok(Moving::Moves) => true,
        Err(why @ (Unchanged::NoVoter(_) | Unchanged::NoMember(_))) => {
            warn!(%giver, %to, %why, "a vote does not move");
            true
        }
        // Another change is under way, or somebody is out of reach: it is tried again.
        Err(_) => false,
    }
}

impl CoordinatorSide {
    /// Ends the joint configuration in which a vote moves, or lets a server lead that can.
    pub(super) fn end_move(&mut self, world: &World) {
        let Some(group) = self.replica.member_mut() else {
            return;
        };
        match group.end_move() {
            Ok(Ending::HandsOver) => {
                if self.ensemble.handed_over.is_due(world.now) {
                    info!("this server has given its vote: another is to lead");
                    self.transfer(self.successor(world));
                }
            }
            Ok(Ending::Proposed) => info!("a vote has moved"),
            // What is refused is tried again.
            Ok(Ending::Nothing) | Err(_) => {}
        }
    }
}
