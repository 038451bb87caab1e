//! Read-only mode: after a while without a leader, clients that are content with reading are served from what this server
//! has, if its operator wants that.
//!
//! It is the state that was applied last, which the ensemble may have left behind long ago. It is shown only where nothing
//! is wrong with it: by a voter that has applied all that it knows to be committed, and that waits for nothing but a leader. One
//! that was started and has met no leader since knows too little of that: what it had applied before may be missing.

use tracing::info;

use super::CoordinatorSide;
use crate::appliance::cluster::Standing;
use crate::coordinator::{ConnectRequest, Event};
use crate::node::World;
use crate::units::{ConnectionId, Moment};

impl CoordinatorSide {
    /// Whether a client that says this may have a session now.
    pub(super) fn lets_in(&self, request: &ConnectRequest) -> bool {
        self.serves() || self.core.is_read_only() && request.read_only == Some(true)
    }

    /// Nobody leads, since then: begins to serve clients that only read, or ends it.
    pub(super) fn look_whether_read_only(&mut self, since: Moment, world: &mut World) {
        let after = self.ensemble.read_only_after();
        let is_time = after.is_some_and(|after| since + after <= world.now);
        if !is_time || !self.may_show(world) {
            return self.end_read_only(world);
        }
        if self.core.is_read_only() {
            return;
        }
        info!(
            "no server leads the ensemble: clients that are content with it may read what this server has"
        );
        self.handle(Event::ReadOnly, world);
        let reads = |(id, request): (&ConnectionId, &ConnectRequest)| {
            (request.read_only == Some(true)).then_some(*id)
        };
        let early: Vec<ConnectionId> = self.early.iter().filter_map(reads).collect();
        for id in early {
            if let Some(request) = self.early.remove(&id) {
                self.let_in(id, request, world);
            }
        }
        world.connections.unpark();
    }

    /// Whether what this server has is good enough to be shown while nobody leads.
    fn may_show(&self, world: &World) -> bool {
        let Some(group) = self.replica.member() else {
            return false;
        };
        let is_voter = group.membership().voters.contains(&group.member());
        let is_whole = self.replica.is_complete()
            && !self.comparison.is_replaced()
            && !self.ensemble.parked
            && !self.receiving.is_busy()
            && self.history.is_none()
            && group.applied_index() == group.committed_index();
        is_voter && is_whole && self.standing(world) == Standing::Leaderless
    }

    /// Somebody leads: who only read comes again, and hears then what is newer.
    pub(super) fn end_read_only_if_led(&mut self, world: &mut World) {
        if self.core.is_read_only() && self.replica.has_leader() {
            self.end_read_only(world);
        }
    }

    /// Nothing more is shown to clients that only read.
    pub(super) fn end_read_only(&mut self, world: &mut World) {
        if self.core.is_read_only() {
            info!("clients that could only read are sent away");
            self.handle(Event::ReadOnlyOver, world);
        }
    }
}
