//! The connections to other servers: which is whose, and what goes over them.
//!
//! One for each pair of servers; the one with the lower number makes it. A newer one takes the place of an older one. A
//! connection is a *link* once the other side has said who it is. What is sent where there is no link is lost: whoever
//! sends it finds that out by having no answer, and by being told when there is a link again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{info, warn};

use super::connections::Connections;
use crate::consensus::founding::Hello;
use crate::consensus::message::Message;
use crate::consensus::{Identity, Membership};
use crate::net::peer_connection::{Full, PeerConnection};
use crate::report::throttle::Throttle;
use crate::units::{ConnectionId, GroupId, Moment, ServerId};

/// A refusal is not told again for this long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    pub(super) identity: Identity,
    /// The members of its group, as it knows them.
    pub(super) members: Option<Membership>,
    /// Since when.
    pub(super) since: Moment,
}

/// All other servers.
#[derive(Debug)]
pub(super) struct Peers {
    links: BTreeMap<ServerId, Link>,
    /// All of them, those included of which it is not known whose they are.
    connections: BTreeSet<ConnectionId>,
    /// Since when those are missing that were there.
    missing: BTreeMap<ServerId, Moment>,
    /// Why those that are not let in are not; only of servers that are expected.
    strangers: BTreeMap<ServerId, Stranger>,
    refused: Throttle,
}

/// Why another server is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    /// It has this server's number.
    #[error("it says that it is this very server: two servers have the same server.id")]
    Ourselves,
    /// It is on no list.
    #[error("it is not in cluster.servers here, and no member of this ensemble")]
    Unknown,
    /// It belongs to another ensemble.
    #[error("it belongs to another ensemble, or has a tree of its own")]
    AnotherEnsemble,
}

impl Peers {
    pub(super) fn new() -> Peers {
        Peers {
            links: BTreeMap::new(),
            connections: BTreeSet::new(),
            missing: BTreeMap::new(),
            strangers: BTreeMap::new(),
            refused: Throttle::new(TOLD_EVERY),
        }
    }

    /// Who is at the other end of this connection, once that is known.
    pub(super) fn at(&self, connection: ConnectionId) -> Option<ServerId> {
        let mut links = self.links.iter();
        let found = links.find(|(_, link)| link.connection == connection);
        found.map(|(server, _)| *server)
    }

    pub(super) fn link(&self, server: ServerId) -> Option<&Link> {
        self.links.get(&server)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (ServerId, &Link)> {
        self.links.iter().map(|(server, link)| (*server, link))
    }

    /// Takes note of who is at the other end of a connection. The connection whose place it takes, if it is a new link;
    /// `None` where the same server has said something new.
    pub(super) fn greeted(
        &mut self,
        connection: ConnectionId,
        hello: &Hello,
        now: Moment,
    ) -> Option<Option<ConnectionId>> {
        let link = Link {
            connection,
            identity: hello.identity,
            members: hello.members.clone(),
            since: now,
        };
        let server = hello.identity.server;
        self.missing.remove(&server);
        self.strangers.remove(&server);
        let former = self.links.get(&server);
        let former = former.map(|former| (former.connection, former.since));
        match former {
            Some((same, since)) if same == connection => {
                self.links.insert(server, Link { since, ..link });
                None
            }
            former => {
                info!(%server, "another server is connected");
                self.links.insert(server, link);
                Some(former.map(|(connection, _)| connection))
            }
        }
    }

    /// There is a connection to another server.
    pub(super) fn opened(&mut self, connection: ConnectionId) {
        self.connections.insert(connection);
    }

    /// A connection is gone. Whose it was.
    pub(super) fn gone(&mut self, connection: ConnectionId, now: Moment) -> Option<ServerId> {
        self.connections.remove(&connection);
        let server = self.at(connection)?;
        self.links.remove(&server);
        self.missing.insert(server, now);
        info!(%server, "another server is not connected any more");
        Some(server)
    }

    /// Since when a server is missing that was there.
    pub(super) fn missing_since(&self, server: ServerId) -> Option<Moment> {
        self.missing.get(&server).copied()
    }

    /// Why a server was not let in when it came last.
    pub(super) fn stranger(&self, server: ServerId) -> Option<Stranger> {
        self.strangers.get(&server).copied()
    }

    /// Tells that another server was not let in, but not each time.
    pub(super) fn tell_refused(&mut self, server: ServerId, why: Stranger, now: Moment) {
        // Whoever is on no list may call itself anything.
        if why == Stranger::AnotherEnsemble {
            self.strangers.insert(server, why);
        }
        if self.refused.is_due(now) {
            warn!(%server, %why, "another server is not let in");
        }
    }

    /// Sends a message, if there is somebody to send it to.
    ///
    /// # Errors
    /// [`Full`]: it is lost.
    pub(super) fn send(
        &self,
        to: ServerId,
        group: GroupId,
        message: Message,
        connections: &mut Connections,
    ) -> Result<(), Full> {
        self.peer(to, connections).ok_or(Full)?.send(group, message)
    }

    /// The connection to a server, if there is a link.
    pub(super) fn peer<'a>(
        &self,
        server: ServerId,
        connections: &'a mut Connections,
    ) -> Option<&'a mut PeerConnection> {
        connections.peer(self.links.get(&server)?.connection)
    }

    /// Says anew who this server is, to all.
    pub(super) fn greet_all(&self, hello: &Hello, connections: &mut Connections) {
        for link in self.links.values() {
            if let Some(peer) = connections.peer(link.connection) {
                peer.greet(hello);
            }
        }
    }

    /// Closes a turn: what was gathered goes to the sockets.
    pub(super) fn flush(&self, connections: &mut Connections) {
        for id in &self.connections {
            if let Some(peer) = connections.peer(*id)
                && peer.wants_flush()
            {
                peer.flush();
                connections.mark_dirty(*id);
            }
        }
    }
}

/// Whether a server may be let in by one that says this of itself.
///
/// # Errors
/// [`Stranger`].
pub(super) fn check(own: &Hello, other: &Hello) -> Result<(), Stranger> {
    let server = other.identity.server;
    if server == own.identity.server {
        return Err(Stranger::Ourselves);
    }
    let is_listed = own.servers.contains(&server);
    let is_member = own.members.as_ref().is_some_and(|members| {
        let mut known = members.identities.values();
        known.any(|identity| identity.server == server)
    });
    if !is_listed && !is_member {
        return Err(Stranger::Unknown);
    }
    match (&own.members, &other.members) {
        (Some(own), Some(other)) if own.ensemble != other.ensemble || own.ensemble == 0 => {
            Err(Stranger::AnotherEnsemble)
        }
        _ => Ok(()),
    }
}

/// Whether a message is from who it says, as far as the members here, or there, tell: a number belongs to one server with
/// one memory.
pub(super) fn is_from(message: &Message, own: Option<&Membership>, link: &Link) -> bool {
    let named = |members: &Membership| members.identities.get(&message.from).copied();
    let known = own.and_then(named);
    let known = known.or_else(|| link.members.as_ref().and_then(named));
    known == Some(link.identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::message::Body;

    fn identity(server: u16, journal: u128) -> Identity {
        Identity {
            server: ServerId(server),
            journal,
        }
    }

    fn hello(server: u16, members: Option<Membership>) -> Hello {
        Hello {
            identity: identity(server, u128::from(server)),
            servers: vec![ServerId(1), ServerId(2), ServerId(3)],
            members,
        }
    }

    fn ensemble(id: u128) -> Option<Membership> {
        let founders: Vec<Identity> = (1..=3).map(|it| identity(it, u128::from(it))).collect();
        Some(Membership::founded_by(&founders, id))
    }

    #[test]
    fn two_ensembles_never_mix() {
        let own = hello(1, ensemble(5));
        assert_eq!(check(&own, &hello(2, ensemble(5))), Ok(()));
        assert_eq!(check(&own, &hello(2, None)), Ok(()));
        assert_eq!(check(&own, &hello(1, None)), Err(Stranger::Ourselves));
        assert_eq!(check(&own, &hello(4, None)), Err(Stranger::Unknown));
        let another = Err(Stranger::AnotherEnsemble);
        assert_eq!(check(&own, &hello(2, ensemble(6))), another);
        let lone = Some(Membership::of_voters([3]));
        assert_eq!(check(&own, &hello(2, lone.clone())), another);
        assert_eq!(check(&hello(1, lone.clone()), &hello(2, lone)), another);
    }

    #[test]
    fn a_number_is_spoken_for_by_one_memory() {
        let link = |journal| Link {
            connection: ConnectionId(1),
            identity: identity(2, journal),
            members: ensemble(5),
            since: Moment::START,
        };
        let from = |from| Message {
            from,
            to: 1,
            term: 1,
            body: Body::TimeoutNow,
        };
        let own = ensemble(5);
        assert!(is_from(&from(2), own.as_ref(), &link(2)));
        assert!(!is_from(&from(2), own.as_ref(), &link(99)), "a wiped one");
        assert!(
            !is_from(&from(3), own.as_ref(), &link(2)),
            "another's number"
        );
        assert!(
            is_from(&from(2), None, &link(2)),
            "who joins believes the other side"
        );
    }
}
