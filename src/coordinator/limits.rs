//! What clients may make this server keep: watches, sessions, znodes.
//!
//! Each of these outlives the request that asked for it, so back-pressure does not bound it. Whoever goes
//! beyond a limit is refused, or loses its connection, and the operator is told which key to raise
//! ([`Effect::LimitReached`]). Nothing here is replicated: a write that finds the tree full is refused
//! where it comes in, before it is proposed, and one that was let in is applied everywhere.
//!
//! ```text
//!   watches of a connection    the request is refused; set_watches closes the connection, because
//!                              clients do not look at its answer
//!   watches of all             the connection that has most is closed
//!   sessions                   the handshake is not answered, and the connection closed
//!   the tree                   what would make it grow is refused; deleting always goes
//! ```

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;
use bytes::Bytes;

use super::connection::acl_bytes;
use super::read_only::ReadOnly;
use super::state::State;
use super::tree::ZNODE_BYTES;
use super::vocabulary::{Create, Operation, Request, SetData};
use super::{CloseReason, Coordinator, Effect};
use crate::units::ConnectionId;

#[cfg(test)]
mod tests;

/// A limit that a client ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// What the watches of one connection may take.
    WatchesOfConnection,
    /// What the watches of all connections may take.
    Watches,
    /// How many sessions there may be.
    Sessions,
    /// How many sessions one address may have made.
    SessionsOfAddress,
    /// What the tree may take.
    Tree,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 5] = [
        Limit::WatchesOfConnection,
        Limit::Watches,
        Limit::Sessions,
        Limit::SessionsOfAddress,
        Limit::Tree,
    ];
}

/// From where the sessions that this server gave out are used.
#[derive(Debug)]
pub(super) struct Origins {
    by_session: HashMap<i64, IpAddr, RandomState>,
    by_address: HashMap<IpAddr, usize, RandomState>,
}

impl Origins {
    pub(super) fn new(hasher: &RandomState) -> Origins {
        Origins {
            by_session: HashMap::with_hasher(hasher.clone()),
            by_address: HashMap::with_hasher(hasher.clone()),
        }
    }

    /// How many sessions an address has.
    pub(super) fn count(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// A session is used from here now.
    pub(super) fn note(&mut self, session: i64, address: IpAddr) {
        self.forget(session);
        self.by_session.insert(session, address);
        *self.by_address.entry(address).or_default() += 1;
    }

    /// A session is gone.
    pub(super) fn forget(&mut self, session: i64) {
        let Some(address) = self.by_session.remove(&session) else {
            return;
        };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Forgets the sessions that are not there and not on their way.
    pub(super) fn retain(&mut self, lives: impl Fn(i64) -> bool) {
        let sessions = self.by_session.keys().copied();
        let mut gone: Vec<i64> = sessions.filter(|&session| !lives(session)).collect();
        gone.sort_unstable();
        for session in gone {
            self.forget(session);
        }
    }
}

impl Coordinator {
    /// Whether a client at this address may have one session more; the limit it ran into if not.
    pub(super) fn admit_session(&self, address: IpAddr) -> Result<(), Limit> {
        let local = self.read_only.as_ref().map_or(0, ReadOnly::local);
        let sessions = self.state.sessions.len() + self.creating.len() + local;
        if sessions >= self.options.sessions_max {
            Err(Limit::Sessions)
        } else if self.origins.count(address) >= self.options.sessions_per_address_max {
            Err(Limit::SessionsOfAddress)
        } else {
            Ok(())
        }
    }

    /// Whether the tree has room for what this request would add; `weight` is what it weighs.
    pub(super) fn has_room_for(&self, request: &Request, weight: usize) -> bool {
        let used = self.state.memory_bytes();
        let max = self.options.tree_bytes_max;
        // What a request adds is less than three times its weight, and the tree is seldom nearly full.
        let most = u64::try_from(weight).unwrap_or(u64::MAX).saturating_mul(3);
        if used.saturating_add(most) <= max {
            return true;
        }
        let growth = self.state.growth(request);
        growth == 0 || used.saturating_add(growth) <= max
    }

    /// Closes the connections with most watches while all watches together are too many.
    pub(super) fn shed_watches(&mut self, effects: &mut Vec<Effect>) {
        while self.watches.bytes() > self.options.watch_bytes_max {
            let Some(heaviest) = self.watches.heaviest() else {
                return;
            };
            self.limit_reached(heaviest, Limit::Watches, effects);
            self.close(heaviest, CloseReason::TooManyWatches, effects);
        }
    }

    /// Tells the operator.
    pub(super) fn limit_reached(
        &self,
        connection: ConnectionId,
        limit: Limit,
        effects: &mut Vec<Effect>,
    ) {
        let address = self.connections.get(connection);
        effects.extend(address.map(|client| Effect::LimitReached {
            limit,
            address: client.address,
        }));
    }
}

impl State {
    /// About how many bytes of memory the tree takes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let znodes = u64::try_from(self.tree.len()).unwrap_or(u64::MAX);
        let fixed = znodes.saturating_mul(ZNODE_BYTES);
        self.tree.bytes() + self.tree.acls.bytes() + fixed
    }

    /// By about how many bytes a request would make the tree larger, as it is now.
    fn growth(&self, request: &Request) -> u64 {
        match request {
            Request::Create(create) => growth_of_create(create),
            Request::SetData(set) => self.growth_of_set(set),
            Request::SetAcl { acl, .. } => as_u64(acl_bytes(acl)),
            Request::Multi(operations) => {
                let growth = |operation: &Operation| match operation {
                    Operation::Create(create) => growth_of_create(create),
                    Operation::SetData(set) => self.growth_of_set(set),
                    Operation::Delete(_) | Operation::Check { .. } => 0,
                };
                operations.iter().map(growth).sum()
            }
            _ => 0,
        }
    }

    fn growth_of_set(&self, set: &SetData) -> u64 {
        let length = set.data.as_ref().map_or(0, Bytes::len);
        let znode = self.tree.find(&set.path);
        let before = znode.and_then(|id| self.tree.get(id).body.data.as_ref());
        as_u64(length.saturating_sub(before.map_or(0, |data| data.len())))
    }
}

fn growth_of_create(create: &Create) -> u64 {
    let data = create.data.as_ref().map_or(0, Bytes::len);
    ZNODE_BYTES + as_u64(create.path.len() + data + acl_bytes(&create.acl))
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).expect("a usize has at most 64 bits")
}
