//! The connections to other servers: which is whose, and what goes over them.
//!
//! One for each pair of servers; the one with the lower number makes it. A newer one takes the place of an older one. A
//! connection is a *link* once the other side has said who it is, unless a server of that number is connected already and
//! has other data: two processes with one number would take each other's vote in turn. What is sent where there is no link is lost: whoever
//! sends it finds that out by having no answer, and by being told when there is a link again.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{error, info, warn};

use super::connections::Connections;
use crate::consensus::founding::Hello;
use crate::consensus::message::Message;
use crate::consensus::{Identity, Membership};
use crate::net::peer_connection::{Full, PeerConnection};
use crate::report::throttle::Throttle;
use crate::units::feature::{FeatureLevel, Levels, Unsupported};
use crate::units::{ConnectionId, GroupId, Moment, ServerId};

/// A refusal is not told again for this long.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Who was not let in and has not come again for so long is gone: it tries every few seconds.
const STRANGE_FOR: Duration = Duration::from_secs(15);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    pub(super) identity: Identity,
    /// The feature levels that it supports.
    pub(super) levels: Levels,
    /// The members of its group, as it knows them.
    pub(super) members: Option<Membership>,
    /// It has lost what it remembered, and belongs to nothing that it knows.
    pub(super) forgot: bool,
    /// Since when.
    pub(super) since: Moment,
}

/// All other servers.
#[derive(Debug)]
pub(super) struct Peers {
    links: BTreeMap<ServerId, Link>,
    /// All of them, those included of which it is not known whose they are.
    /// The server that the other side has shown to be, where servers show that.
    connections: BTreeMap<ConnectionId, Option<ServerId>>,
    /// Since when those are missing that were there.
    missing: BTreeMap<ServerId, Moment>,
    /// Why those that are not let in are not, and when they came last; only of servers that are expected.
    strangers: BTreeMap<ServerId, (Stranger, Moment)>,
    refused: Throttle,
}

/// Why another server is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    /// It has this server's number.
    #[error("it says that it is this very server: two servers have the same server.id")]
    Ourselves,
    /// It has shown the certificate of another server.
    #[error("it shows the certificate of server {0}: each server must have one of its own")]
    Certified(ServerId),
    /// It is on no list.
    #[error("it is not in cluster.servers here, and no member of this ensemble")]
    Unknown,
    /// It belongs to another ensemble.
    #[error("it belongs to another ensemble, or has a tree of its own")]
    AnotherEnsemble,
    /// A server of its number is connected.
    #[error(
        "a second process says that it is this server, and has other data: stop one of the two, or give it a server.id of its own"
    )]
    Second,
    /// It supports no feature level that is supported here.
    #[error(
        "it supports feature {other}, and this server {own}: install releases that have a level in common"
    )]
    NoCommonLevel {
        /// What this server supports.
        own: Levels,
        /// What it does.
        other: Levels,
    },
    /// Its ensemble is of a level that this server does not support.
    #[error("in its ensemble {0}. Install it here: chrysalis explain E0112")]
    Beyond(Unsupported),
    /// It does not support the level of this server's ensemble.
    #[error(
        "this ensemble is at feature level {level}, and that server supports {other}: install this server's release there"
    )]
    Behind {
        /// The level here.
        level: FeatureLevel,
        /// What it supports.
        other: Levels,
    },
}

impl Stranger {
    /// Whether it is about feature levels: an operator has something to install.
    fn is_of_levels(self) -> bool {
        matches!(
            self,
            Stranger::NoCommonLevel { .. } | Stranger::Beyond(_) | Stranger::Behind { .. }
        )
    }
}

impl Peers {
    pub(super) fn new() -> Peers {
        Peers {
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
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

    /// Whether a server is the one that it has shown to be, where servers show that.
    ///
    /// # Errors
    /// [`Stranger::Certified`].
    pub(super) fn check_certified(
        &self,
        connection: ConnectionId,
        hello: &Hello,
    ) -> Result<(), Stranger> {
        match self.connections.get(&connection) {
            Some(Some(shown)) if *shown != hello.identity.server => {
                Err(Stranger::Certified(*shown))
            }
            _ => Ok(()),
        }
    }

    /// Whether this server's place is taken: by another one of its number, with other data, that is connected. Only a member
    /// takes the place of one that is none.
    ///
    /// # Errors
    /// [`Stranger::Second`].
    pub(super) fn check_place(
        &self,
        connection: ConnectionId,
        hello: &Hello,
        members: Option<&Membership>,
    ) -> Result<(), Stranger> {
        let other = hello.identity;
        let is_member = |identity| members.is_some_and(|it| it.number_of(identity).is_some());
        match self.links.get(&other.server) {
            Some(link) if link.connection == connection || link.identity == other => Ok(()),
            Some(link) if is_member(link.identity) || !is_member(other) => Err(Stranger::Second),
            _ => Ok(()),
        }
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
            levels: hello.levels,
            members: hello.members.clone(),
            forgot: hello.forgot && hello.members.is_none(),
            since: now,
        };
        let server = hello.identity.server;
        self.missing.remove(&server);
        // The second process of its number is still there.
        if let Some((why, _)) = self.strangers.get(&server)
            && *why != Stranger::Second
        {
            self.strangers.remove(&server);
        }
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
    pub(super) fn opened(&mut self, connection: ConnectionId, certified: Option<ServerId>) {
        self.connections.insert(connection, certified);
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

    /// Whom this server cannot speak to because of feature levels, and why, if it tries still.
    pub(super) fn apart(&self, now: Moment) -> Option<(ServerId, Stranger)> {
        let mut servers = self.strangers.keys();
        servers.find_map(|server| {
            let why = self.stranger(*server, now);
            Some((*server, why.filter(|why| why.is_of_levels())?))
        })
    }

    /// Why a server was not let in when it came last, if it tries still.
    pub(super) fn stranger(&self, server: ServerId, now: Moment) -> Option<Stranger> {
        let (why, at) = self.strangers.get(&server)?;
        (*at + STRANGE_FOR > now).then_some(*why)
    }

    /// Tells that another server was not let in, but not each time.
    pub(super) fn tell_refused(&mut self, server: ServerId, why: Stranger, now: Moment) {
        // It comes again and again, and nothing changes before an operator does something.
        let former = self.strangers.get(&server).map(|(former, _)| *former);
        if why.is_of_levels() && former != Some(why) {
            error!(%server, %why, "E0112: this server and another one do not speak to each other");
        }
        // Whoever is on no list may call itself anything.
        if matches!(why, Stranger::AnotherEnsemble | Stranger::Second) || why.is_of_levels() {
            self.strangers.insert(server, (why, now));
        }
        if why.is_of_levels() {
            return;
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
        for id in self.connections.keys() {
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
    check_levels(own, other)?;
    match (&own.members, &other.members) {
        (Some(own), Some(other)) if own.ensemble != other.ensemble || own.ensemble == 0 => {
            Err(Stranger::AnotherEnsemble)
        }
        _ => Ok(()),
    }
}

/// Whether both understand what the other one says, and what its ensemble has agreed on.
fn check_levels(own: &Hello, other: &Hello) -> Result<(), Stranger> {
    if let Some(members) = &other.members {
        let checked = own.levels.check(members.level, members.raised_by);
        checked.map_err(Stranger::Beyond)?;
    }
    let level = own.members.as_ref().map(|members| members.level);
    if let Some(level) = level.filter(|level| !other.levels.contains(*level)) {
        let other = other.levels;
        return Err(Stranger::Behind { level, other });
    }
    let (own, other) = (own.levels, other.levels);
    match own.common(other) {
        Some(_) => Ok(()),
        None => Err(Stranger::NoCommonLevel { own, other }),
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
            levels: Levels::FIRST,
            servers: vec![ServerId(1), ServerId(2), ServerId(3)],
            observers: Vec::new(),
            forgot: false,
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
    fn two_processes_with_one_number_do_not_take_each_others_place() {
        let mut peers = Peers::new();
        let now = Moment::START;
        let (first, second) = (ConnectionId(1), ConnectionId(2));
        let own = ensemble(5);
        let known = hello(2, own.clone());
        let other = Hello {
            identity: identity(2, 99),
            ..hello(2, None)
        };
        assert_eq!(peers.check_place(first, &known, own.as_ref()), Ok(()));
        peers.greeted(first, &known, now);
        let refused = Err(Stranger::Second);
        assert_eq!(peers.check_place(second, &other, own.as_ref()), refused);
        assert_eq!(peers.check_place(second, &other, None), refused);
        // The same one may come again, by another connection.
        assert_eq!(peers.check_place(second, &known, own.as_ref()), Ok(()));
        peers.tell_refused(ServerId(2), Stranger::Second, now);
        peers.greeted(first, &known, now);
        assert_eq!(peers.stranger(ServerId(2), now), Some(Stranger::Second));
        assert_eq!(peers.stranger(ServerId(2), now + STRANGE_FOR), None);
        // The first is gone: the other one may be a server that was wiped.
        peers.gone(first, now);
        assert_eq!(peers.check_place(second, &other, own.as_ref()), Ok(()));
        peers.greeted(second, &other, now);
        assert_eq!(peers.check_place(first, &known, own.as_ref()), Ok(()));
        assert_eq!(peers.check_place(first, &known, None), refused);
    }

    #[test]
    fn a_server_is_the_one_that_its_certificate_names() {
        let mut peers = Peers::new();
        let (plain, shown) = (ConnectionId(1), ConnectionId(2));
        peers.opened(plain, None);
        peers.opened(shown, Some(ServerId(2)));
        assert_eq!(peers.check_certified(plain, &hello(3, None)), Ok(()));
        assert_eq!(peers.check_certified(shown, &hello(2, None)), Ok(()));
        let refused = Err(Stranger::Certified(ServerId(2)));
        assert_eq!(peers.check_certified(shown, &hello(3, None)), refused);
    }

    #[test]
    fn servers_of_different_levels_do_not_speak() {
        let at = |server: u16, (lowest, highest): (u16, u16), level: Option<u16>| {
            let mut said = hello(server, level.and_then(|_| ensemble(5)));
            said.levels = Levels {
                lowest: FeatureLevel(lowest),
                highest: FeatureLevel(highest),
            };
            if let (Some(members), Some(level)) = (&mut said.members, level) {
                members.level = FeatureLevel(level);
            }
            said
        };
        let (old, new) = ((1, 1), (1, 2));
        let refused = |own: &Hello, other: &Hello| match check(own, other) {
            Ok(()) => "",
            Err(Stranger::NoCommonLevel { .. }) => "nothing in common",
            Err(Stranger::Beyond(_)) => "beyond",
            Err(Stranger::Behind { .. }) => "behind",
            Err(why) => panic!("{why}"),
        };
        let both = |a: &Hello, b: &Hello| (refused(a, b), refused(b, a));
        assert_eq!(both(&at(1, old, Some(1)), &at(2, new, Some(1))), ("", ""));
        assert_eq!(both(&at(1, old, None), &at(2, new, None)), ("", ""));
        let raised = at(2, new, Some(2));
        assert_eq!(both(&at(1, old, Some(1)), &raised), ("beyond", "behind"));
        assert_eq!(both(&at(1, old, None), &raised), ("beyond", "behind"));
        assert_eq!(both(&at(1, new, None), &raised), ("", ""));
        let far = at(3, (3, 4), None);
        let apart = ("nothing in common", "nothing in common");
        assert_eq!(both(&at(1, old, None), &far), apart);
    }

    #[test]
    fn a_number_is_spoken_for_by_one_memory() {
        let link = |journal| Link {
            connection: ConnectionId(1),
            identity: identity(2, journal),
            levels: Levels::FIRST,
            forgot: false,
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
