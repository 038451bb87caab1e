//! The ensemble as this server sees it: for operators, metrics and four-letter words.

use std::collections::{BTreeMap, BTreeSet};

use super::CoordinatorSide;
use crate::appliance::cluster::{ClusterStatus, Leader, MemberRole, ServerPlace, Standing};
use crate::consensus::group::Role;
use crate::consensus::{Identity, Membership};
use crate::node::World;
use crate::node::peers::Link;
use crate::units::{Moment, ServerId};
use crate::wire::zookeeper::four_letter::{Leading, Mode};

impl CoordinatorSide {
    /// Whether this server leads others, or is about to.
    pub(in crate::node) fn leads_others(&self) -> bool {
        !self.replica.is_alone() && self.replica.proposes()
    }

    /// What this server is to its ensemble, as ZooKeeper's tools know it.
    pub(in crate::node) fn mode(&self) -> Mode {
        let Some(group) = self.replica.member() else {
            return Mode::Follower;
        };
        if self.core.is_read_only() {
            return Mode::ReadOnly;
        }
        match (group.is_alone(), group.role()) {
            (true, _) => Mode::Standalone,
            (false, Role::Leads { .. } | Role::Elected { .. }) => Mode::Leader,
            (false, Role::Follows) if group.membership().learners.contains(&group.member()) => {
                Mode::Observer
            }
            (false, Role::Follows) => Mode::Follower,
        }
    }

    /// What only the leader of several can tell.
    pub(super) fn leading(&self, world: &World) -> Option<Leading> {
        let group = self.replica.member().filter(|_| self.leads_others())?;
        let members = group.membership();
        let others = members.identities.iter();
        let others = others.filter(|(number, _)| **number != group.member());
        let connected = others.filter(|(_, identity)| is_there(**identity, world));
        let connected: Vec<u64> = connected.map(|(number, _)| *number).collect();
        let is_synced =
            |number: &&u64| members.voters.contains(number) && group.is_replicating(**number);
        let sizes = self.ensemble.proposals;
        Some(Leading {
            followers: connected.len() as u64,
            synced_followers: connected.iter().filter(is_synced).count() as u64,
            pending_syncs: self.core.status().syncs as u64,
            proposal_last_bytes: sizes.last,
            proposal_min_bytes: sizes.min,
            proposal_max_bytes: sizes.max,
        })
    }

    /// The ensemble; names and addresses are the shell's to add.
    pub(in crate::node) fn cluster_status(&self, now: Moment, world: &World) -> ClusterStatus {
        let group = self.replica.member();
        let members = self.known_members(world);
        let own = self.facts.server;
        let standing = self.standing(world);
        let leads = matches!(standing, Standing::Leads | Standing::Alone);
        let leader = match leads {
            true => Some(own),
            false => self.replica.leader(),
        };
        let places = self.known_servers(&members);
        let places = places.into_iter();
        let places: Vec<ServerPlace> = places
            .map(|it| self.place(it, &members, now, world))
            .collect();
        let of_members = places.iter().filter(|it| it.role != MemberRole::Outside);
        let possible = of_members.filter_map(|it| it.level_supported).min();
        ClusterStatus {
            name: String::new(),
            server: own.0,
            standing,
            leader: leader.map(|leader| Leader {
                server: leader.0,
                address: None,
                since_s: now.since(self.ensemble.led_since).as_secs(),
            }),
            term: group.map_or(0, |group| group.term()),
            committed: group.map_or(0, |group| group.committed_index()),
            applied: self.replica.applied_index(),
            differing_found: self.comparison.found,
            may_be_lost: self.may_be_lost(&members, world),
            level: if members.is_empty() {
                0
            } else {
                members.level.0
            },
            level_possible: possible.unwrap_or(0),
            servers: places,
        }
    }

    pub(super) fn standing(&self, world: &World) -> Standing {
        let role = self.replica.role();
        match self.replica.member() {
            _ if self.is_replaced() => Standing::Replaced,
            _ if self.is_removed(world) => Standing::Removed,
            None => Standing::Outside,
            Some(group) if group.is_alone() => Standing::Alone,
            Some(_) if role != Role::Follows => Standing::Leads,
            Some(group) if group.leader().is_some() => Standing::Follows,
            Some(_) => Standing::Leaderless,
        }
    }

    /// Whether its ensemble goes on elsewhere, as another one.
    pub(super) fn is_replaced(&self) -> bool {
        let members = self.hello().and_then(|hello| hello.members);
        members.is_some_and(|members| members.replaced)
    }

    /// Whether this server was a member and is none any more: it knows that, or nobody leads, and all that are connected say
    /// it.
    pub(super) fn is_removed(&self, world: &World) -> bool {
        let Some(hello) = self.hello() else {
            return false;
        };
        let is_named = |members: &Membership| members.number_of(hello.identity).is_some();
        let Some(group) = self.replica.member() else {
            return hello.members.is_some_and(|members| !is_named(&members));
        };
        let said = world.peers.links();
        let mut said = said
            .filter_map(|(_, link)| link.members.as_ref())
            .peekable();
        let others_say = said.peek().is_some() && !said.any(is_named);
        group.is_removed() || group.leader().is_none() && others_say
    }

    /// The members, as this server knows them; as others say, where it is none of them.
    fn known_members(&self, world: &World) -> Membership {
        let own = self
            .replica
            .member()
            .map(|group| group.membership().clone());
        let own = own.filter(|members| !members.is_empty() && !self.is_removed(world));
        let said = world.peers.links().filter_map(|(_, link)| said_by(link));
        own.or_else(|| said.max_by_key(|members| members.next))
            .unwrap_or_default()
    }

    /// All servers that are members or could be.
    fn known_servers(&self, members: &Membership) -> BTreeSet<ServerId> {
        let listed = self.hello().map_or_else(Vec::new, |hello| hello.servers);
        let named = members.identities.values().map(|identity| identity.server);
        let own = [self.facts.server];
        own.into_iter().chain(listed).chain(named).collect()
    }

    fn may_be_lost(&self, members: &Membership, world: &World) -> Option<u64> {
        let own = self.replica.member().map(|group| group.member());
        members.may_be_lost(|number| {
            let identity = members.identities.get(&number);
            own == Some(number) || identity.is_some_and(|identity| is_there(*identity, world))
        })
    }

    fn place(
        &self,
        server: ServerId,
        members: &Membership,
        now: Moment,
        world: &World,
    ) -> ServerPlace {
        let is_own = server == self.facts.server;
        let link = world.peers.link(server);
        let numbers = match (is_own, self.replica.member()) {
            // A group of one need not say who it is.
            (true, Some(group)) if members.identities.is_empty() => vec![group.member()],
            _ => members.numbers_of(server),
        };
        let number = match link {
            Some(link) => members.number_of(link.identity),
            None => numbers.last().copied(),
        };
        let votes = |number: &u64| members.votes(*number);
        let observes = |number: &u64| members.is_observer(*number);
        let role = match (numbers.iter().any(votes), numbers.iter().any(observes)) {
            (true, _) => MemberRole::Voter,
            (false, true) => MemberRole::Observer,
            (false, false) if numbers.is_empty() => MemberRole::Outside,
            (false, false) => MemberRole::Learner,
        };
        let since = match link {
            Some(link) => Some(link.since),
            None => world.peers.missing_since(server),
        };
        let forgot = match role {
            MemberRole::Voter => link.is_some() && !number.is_some_and(|it| votes(&it)),
            MemberRole::Observer => link.is_some() && number.is_none(),
            MemberRole::Learner => false,
            MemberRole::Outside => match is_own {
                true => self.replica.has_forgotten(),
                false => link.is_some_and(|link| link.forgot),
            },
        };
        let moving = self.ensemble.moving;
        ServerPlace {
            server: server.0,
            address: None,
            role,
            listed_observer: self.replica.is_to_observe(server),
            is_own,
            connected: is_own || link.is_some(),
            since_s: since.map(|since| now.since(since).as_secs()),
            behind: number.filter(|_| !is_own).and_then(|it| self.behind(it)),
            snapshot_bytes: self.sendings.taken_by(server),
            invited: (role != MemberRole::Voter || forgot)
                && self.ensemble.invited.contains_key(&server),
            gives_vote: moving.is_some_and(|(giver, _)| giver == server)
                || numbers.iter().any(|it| members.gives_vote(*it)),
            takes_vote: moving.is_some_and(|(_, taker)| taker == server)
                || numbers.iter().any(|it| members.takes_vote(*it)),
            leaves: role != MemberRole::Outside && self.ensemble.dismissed.contains(&server),
            forgot,
            differs: match is_own {
                true => self.comparison.is_replaced(),
                false => self.comparison.differing.contains(&server),
            },
            refused: {
                let why = world.peers.stranger(server, now);
                why.map(|why| why.to_string())
            },
            level_supported: match (is_own, link) {
                (true, _) => Some(self.replica.supported().highest.0),
                (false, Some(link)) => Some(link.levels.highest.0),
                (false, None) => number.map(|number| members.highest_of(number).0),
            },
        }
    }

    /// Committed entries that a member lacks; only the leader knows.
    fn behind(&self, number: u64) -> Option<u64> {
        let group = self.replica.member()?;
        let matched = group.matched_index(number)?;
        Some(group.committed_index().saturating_sub(matched))
    }

    /// The voter to hand the lead to: of those that are connected the one that has most.
    pub(super) fn successor(&self, world: &World) -> Option<u64> {
        let group = self.replica.member()?;
        let members = group.membership();
        let others: BTreeMap<u64, Identity> = members.identities.clone();
        let others = others.into_iter().filter(|(number, identity)| {
            *number != group.member()
                && members.voters.contains(number)
                && is_there(*identity, world)
        });
        others
            .map(|(number, _)| number)
            .max_by_key(|number| group.matched_index(*number))
    }
}

/// The members as another server says them. A group of one need not say who it is.
fn said_by(link: &Link) -> Option<Membership> {
    let mut members = link.members.clone()?;
    if let ([only], true) = (&members.voters[..], members.identities.is_empty()) {
        members.identities.insert(*only, link.identity);
    }
    Some(members)
}

/// Whether a server is connected, with this very memory.
fn is_there(identity: Identity, world: &World) -> bool {
    let link = world.peers.link(identity.server);
    link.is_some_and(|link| link.identity == identity)
}
