//! The replicated tree of znodes with its sessions and watches: ZooKeeper's semantics as a pure core.
//!
//! Events go in, effects come out, in the order in which they have to reach the sockets. A write
//! becomes a command ([`Effect::Propose`]) and is judged only when it comes back committed, from the
//! command alone, so that every replica decides alike. Reads are answered here, from what is applied.
//!
//! What is not here: bytes of the protocol (`wire::zookeeper`), sockets, clocks, consensus.
//!
//! Invariants:
//! - replies of one connection leave in the order of its requests, each after all that its
//!   predecessors changed was applied;
//! - a watch event leaves before any reply that could show the change;
//! - `zxid` counts the writes applied; no client sees one that is not committed.

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;
use bytes::Bytes;

use self::apply::Consequences;
use self::command::Encoder;
use self::connection::{Connection, Connections, PendingSession, Phase};
use self::expiry::Expiry;
use self::limits::Origins;
use self::read_only::ReadOnly;
use self::session::SessionIds;
use self::snapshot::Snapshot;
use self::state::State;
use self::sync::Syncs;
use self::touch::Touches;
use self::watch::Watches;
use crate::units::{ConnectionId, Moment, Random, Seed, WallTime, Zxid};

mod acl;
mod apply;
mod children;
mod command;
mod connection;
mod deliver;
mod digest;
mod encoding;
mod expiry;
mod handshake;
mod index;
mod limits;
mod options;
mod path;
mod propose;
mod quota;
mod read;
mod read_only;
mod restore;
mod session;
mod slab;
mod snapshot;
mod state;
mod status;
mod sync;
mod touch;
mod tree;
mod vocabulary;
mod watch;

#[cfg(test)]
mod tests;

pub use command::{check, key, stamp};
pub use limits::Limit;
pub use options::Options;
pub use restore::{Restore, Restored, SnapshotError};
pub use snapshot::{Place, SnapshotSlice};
pub use status::{ConnectionStatus, Outstanding, SessionStatus, Status, WatchSummary};
pub use vocabulary::{
    Acl, ConnectReply, ConnectRequest, Create, CreateMode, Delete, Names, Operation,
    OperationReply, Refusal, Reply, Request, SetData, Shared, Stat, WatchEvent, WatchEventKind,
    permissions,
};

/// What the coordinator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client connected; nothing was read from it yet.
    Connected {
        /// Its socket.
        connection: ConnectionId,
        /// From where: it is the client's first identity.
        address: IpAddr,
    },
    /// The first frame of a connection.
    Connect {
        /// The socket it came on.
        connection: ConnectionId,
        /// The time of day.
        wall: WallTime,
        /// What it said.
        request: ConnectRequest,
    },
    /// A later frame. May come before the session is established; it is then kept until it is.
    Request {
        /// The socket it came on.
        connection: ConnectionId,
        /// The client's number for it, echoed with the reply.
        xid: i32,
        /// The time of day, which becomes the znode's time where it matters.
        wall: WallTime,
        /// What it said.
        request: Request,
    },
    /// The socket is gone, or the node closed it by itself. Not needed after [`Effect::Close`].
    Disconnected {
        /// The socket.
        connection: ConnectionId,
    },
    /// Time has passed; wanted at [`Coordinator::deadline`] at the latest.
    Tick,
    /// A command is committed and durable on a majority. In the order of the log, each exactly once.
    Committed {
        /// Its entry's number in the log. Several commands of one entry come with the same number.
        index: u64,
        /// The command as it was proposed; empty for an entry that means nothing to the coordinator.
        data: Bytes,
    },
    /// All commands of an entry were handed in.
    EntryEnd {
        /// The entry.
        index: u64,
    },
    /// The answer to [`Effect::ReadIndex`].
    ReadIndex {
        /// Which one.
        round: u64,
        /// All that was committed when it was asked lies at or before this entry.
        index: u64,
    },
    /// Clients of another server have shown that these sessions live. Only the leader is told.
    Touched {
        /// The sessions.
        sessions: Vec<i64>,
    },
    /// The answer to [`Effect::Touch`]: the leader has heard of it, and led after it was sent.
    TouchConfirmed {
        /// Which one.
        round: u64,
        /// What was committed then: the answer holds for whoever has applied it.
        index: u64,
    },
    /// This server leads the group now; all entries of former terms were handed in.
    Led {
        /// The term.
        term: u64,
    },
    /// This server leads, and a part of what clients have seen may be lost: zxids are to go on above all of it.
    NewHistory,
    /// This server does not lead the group any more.
    Deposed,
    /// Another server leads: one that did not before, or one that was out of reach. What was sent to it may be lost.
    Follows,
    /// The server that leads does not propose this command, as it came from here: not every server can read it. It never
    /// will be, so whoever waits for it is sent away.
    NotProposed {
        /// The command.
        command: Bytes,
    },
    /// Nobody has led for a while, and what this server has may be shown: clients that are content with reading are served
    /// until somebody leads, or anything more is committed.
    ReadOnly,
    /// That is over: those clients are sent away.
    ReadOnlyOver,
}

/// What has to be done now. Effects for one connection are in the order in which they must reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put this command into the group's log; it comes back as [`Event::Committed`] or never.
    Propose(Bytes),
    /// Answer the handshake.
    ConnectReply {
        /// To whom.
        connection: ConnectionId,
        /// With what.
        reply: ConnectReply,
    },
    /// Answer a request.
    Reply {
        /// To whom.
        connection: ConnectionId,
        /// The number the request came with.
        xid: i32,
        /// The zxid of the header: the last one applied; 0 for auth and sasl, -1 for what is unknown.
        zxid: Zxid,
        /// The answer.
        result: Result<Reply, Refusal>,
    },
    /// Tell a connection that a watch of its fired.
    Notify {
        /// Whom.
        connection: ConnectionId,
        /// What happened.
        event: WatchEvent,
    },
    /// Close a connection after all that was sent to it. The coordinator has forgotten it already.
    Close {
        /// Which one.
        connection: ConnectionId,
        /// Why, for the log.
        reason: CloseReason,
    },
    /// Find out up to which entry the group has committed, and answer with [`Event::ReadIndex`].
    ReadIndex {
        /// To be given back.
        round: u64,
    },
    /// Tell the leader that these sessions live, and answer with [`Event::TouchConfirmed`] when it has confirmed that it
    /// leads, after it was told. None of them are to be told where this server leads.
    Touch {
        /// To be given back.
        round: u64,
        /// The sessions.
        sessions: Vec<i64>,
    },
    /// A new history has begun: see [`Event::NewHistory`].
    NewHistory {
        /// The last zxid that counts as given out.
        zxid: Zxid,
    },
    /// A subtree grew beyond its quota. Only a warning, as in ZooKeeper; comes with every such write.
    QuotaExceeded(QuotaExceeded),
    /// A client ran into a limit of this server, and was refused or lost its connection. Comes each time.
    LimitReached {
        /// Which one.
        limit: Limit,
        /// Where the client is.
        address: IpAddr,
    },
    /// An entry could not be understood. Nothing more is applied; the process must end and say so.
    Halt {
        /// The entry.
        index: u64,
        /// A later version wrote it; otherwise it is damaged behind its checksum.
        newer: bool,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why the coordinator closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The client closed its session.
    #[error("the client closed its session")]
    SessionClosed,
    /// The session expired.
    #[error("the session expired")]
    SessionExpired,
    /// The client went on with its session on another connection.
    #[error("the session moved to another connection")]
    SessionMoved,
    /// The session it wants to go on with does not exist, or the password is wrong.
    #[error("the session is not known, or its password is wrong")]
    SessionInvalid,
    /// The client has seen more than this server has applied: it must find another one.
    #[error("the client has seen a zxid that is not applied here")]
    ClientAhead {
        /// The last one that it has seen.
        seen: Zxid,
        /// The last one that is applied here.
        applied: Zxid,
    },
    /// The server that leads does not take what it wants.
    #[error(
        "the server that leads refused a request of it, which another server of the ensemble could not read"
    )]
    NotProposed,
    /// The client could not show who it is.
    #[error("authentication failed")]
    AuthFailed,
    /// A request of an unknown kind.
    #[error("unknown kind of request")]
    UnknownRequest,
    /// A request without a handshake, or a second handshake.
    #[error("a frame out of turn")]
    OutOfTurn,
    /// Its watches take too much memory.
    #[error("it has too many watches")]
    TooManyWatches,
    /// There are as many sessions as there may be, in all or from its address.
    #[error("there are too many sessions")]
    TooManySessions,
    /// The answers to what it had asked at a time take too much memory.
    #[error("it asked for too much at a time")]
    AskedTooMuch,
    /// This server has got its whole state from another one, and what the client waited or watched for may have happened
    /// in between.
    #[error("this server was far behind, and has got a snapshot of another one")]
    StateReplaced,
    /// Nobody leads, and the client did not say that it is content with reading.
    #[error("no server leads, and it wants to write")]
    NoLeader,
    /// Nobody leads, and the session that it wants to go on with is not known here: it may be known elsewhere.
    #[error("no server leads, and its session is not known here")]
    SessionElsewhere,
    /// It could only read here, and need not any more.
    #[error("read-only mode is over")]
    ReadOnlyOver,
}

/// A subtree that outgrew its quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// The root of the subtree.
    pub path: Shared,
    /// Which of the two.
    pub what: Quota,
    /// How much it holds.
    pub used: i64,
    /// How much it should hold at most.
    pub limit: i64,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Znodes.
    Count,
    /// Bytes of data.
    Bytes,
}

/// The coordinator.
#[derive(Debug)]
pub struct Coordinator {
    options: Options,
    /// What is replicated. All else belongs to this server, and to this run.
    state: State,
    connections: Connections,
    watches: Watches,
    syncs: Syncs,
    touches: Touches,
    /// The last entry whose commands were all handed in.
    ended: u64,
    /// The connection of each session that has one here.
    local: HashMap<i64, ConnectionId, RandomState>,
    /// Handshakes for new sessions, by the session.
    creating: HashMap<i64, ConnectionId, RandomState>,
    /// Handshakes for old sessions, by the number of the request.
    attaching: HashMap<u64, ConnectionId, RandomState>,
    /// From where sessions are used, as far as this server gave them out.
    origins: Origins,
    /// When sessions end; only while this server leads.
    expiry: Option<Expiry>,
    /// What is served to clients that only read, while nobody leads.
    read_only: Option<ReadOnly>,
    snapshot: Option<Snapshot>,
    session_ids: SessionIds,
    encoder: Encoder,
    random: Random,
    hasher: RandomState,
    /// Whether an entry could not be understood.
    halted: bool,
    /// How many bytes of names the answers to this event hold.
    names_bytes: usize,
    /// Both are empty between events; kept for their memory.
    consequences: Consequences,
    missed: Vec<WatchEvent>,
}

impl Coordinator {
    /// The coordinator of a new ensemble: an empty tree, no sessions.
    pub fn new(options: Options, seed: Seed) -> Coordinator {
        Coordinator::with_state(options, seed, State::new(seed))
    }

    fn with_state(options: Options, seed: Seed, state: State) -> Coordinator {
        let hasher = state::hasher(seed);
        Coordinator {
            session_ids: SessionIds::new(options.server),
            options,
            connections: Connections::new(&hasher),
            watches: Watches::new(&hasher),
            syncs: Syncs::default(),
            touches: Touches::default(),
            ended: state.applied,
            local: HashMap::with_hasher(hasher.clone()),
            creating: HashMap::with_hasher(hasher.clone()),
            state,
            attaching: HashMap::with_hasher(hasher.clone()),
            origins: Origins::new(&hasher),
            expiry: None,
            read_only: None,
            snapshot: None,
            encoder: Encoder::default(),
            random: Random::new(Seed(!seed.0)),
            hasher,
            halted: false,
            names_bytes: 0,
            consequences: Consequences::default(),
            missed: Vec::new(),
        }
    }

    /// Takes in one event. Everything the world must now do is pushed to `effects`, in order.
    pub fn handle(&mut self, now: Moment, event: Event, effects: &mut Vec<Effect>) {
        if self.halted {
            return;
        }
        if let Some(expiry) = &mut self.expiry {
            expiry.wake(now);
        }
        if let Some(read_only) = &mut self.read_only {
            read_only.wake(now);
        }
        self.names_bytes = 0;
        match event {
            Event::Connected {
                connection,
                address,
            } => {
                let fresh = Connection::new(address, self.options.skip_acl);
                self.connections.insert(connection, fresh);
            }
            Event::Connect {
                connection,
                wall,
                request,
            } => match self.read_only {
                Some(_) => self.connect_read_only(connection, &request, now, effects),
                None => self.connect(connection, wall, &request, effects),
            },
            Event::Request {
                connection,
                xid,
                wall,
                request,
            } => self.request(connection, xid, wall, request, now, effects),
            Event::Disconnected { connection } => {
                self.forget(connection);
            }
            Event::Tick => {}
            Event::ReadOnly => self.begin_read_only(now),
            Event::ReadOnlyOver => self.end_read_only(effects),
            Event::Committed { index, data } => self.committed(index, &data, now, effects),
            Event::EntryEnd { index } => self.entry_end(index, effects),
            Event::ReadIndex { round, index } => self.read_index(round, index, now, effects),
            Event::Touched { sessions } => self.touched(&sessions, now),
            Event::TouchConfirmed { round, index } => {
                self.touch_confirmed(round, index, now, effects);
            }
            Event::Led { term: _ } => self.led(now, effects),
            Event::NewHistory => effects.push(Effect::Propose(self.encoder.new_history())),
            Event::Deposed => self.expiry = None,
            Event::Follows => self.follows(now, effects),
            Event::NotProposed { command } => self.not_proposed(&command, effects),
        }
        self.expire(now, effects);
        self.expire_read_only(now, effects);
        if let Some(touch) = self.touches.due(now) {
            effects.push(touch);
        }
        if let Some(round) = self.syncs.repeat(now) {
            effects.push(Effect::ReadIndex { round });
        }
    }

    /// When `handle` wants to be called with [`Event::Tick`], at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let expiry = self.expiry.as_ref().and_then(Expiry::deadline);
        let read_only = self.read_only.as_ref().and_then(ReadOnly::deadline);
        let rest = [self.syncs.deadline(), self.touches.deadline(), read_only];
        expiry.into_iter().chain(rest.into_iter().flatten()).min()
    }

    /// Requests of a connection that wait for their answer.
    pub fn outstanding(&self, connection: ConnectionId) -> Outstanding {
        let connection = self.connections.get(connection);
        connection.map_or(Outstanding::default(), Connection::outstanding)
    }

    /// Whether more may be read from this connection now: no handshake is under way, and neither it nor
    /// all together have too much outstanding. Who has nothing outstanding waits for bytes only, never for
    /// the number of others' requests. To be asked again after each turn while it is no.
    pub fn accepts(&self, connection: ConnectionId) -> bool {
        let Some(connection) = self.connections.get(connection) else {
            return false;
        };
        let own = connection.outstanding();
        let all = self.connections.outstanding();
        let options = &self.options;
        match &connection.phase {
            Phase::Fresh => true,
            Phase::Connecting(_) => false,
            Phase::Established(established) => {
                !established.closing
                    && own.requests < options.connection_outstanding_max
                    && own.bytes < options.connection_outstanding_bytes_max
                    && all.bytes < options.outstanding_bytes_max
                    && (own.requests == 0 || all.requests < options.outstanding_max)
            }
        }
    }

    /// The data of a znode without permission checks or a watch; null counts as empty. For the server
    /// itself.
    pub fn peek(&self, path: &[u8]) -> Option<&[u8]> {
        let tree = &self.state.tree;
        let znode = tree.get(tree.find(path)?);
        Some(znode.body.data.as_deref().unwrap_or_default())
    }

    /// The names of a znode's children in order, without permission checks or a watch. For the server
    /// itself.
    pub fn peek_children(&self, path: &[u8]) -> Option<Vec<&[u8]>> {
        let tree = &self.state.tree;
        Some(tree.children(tree.find(path)?))
    }

    /// This server leads now. Every session gets its full time, and what was proposed under another
    /// leader and did not come back is proposed again: what did come through is not done twice.
    fn led(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.end_read_only(effects);
        let mut expiry = Expiry::new(self.options.tick, now, &self.hasher);
        for session in self.state.sessions.sorted() {
            expiry.begin(session.id, expiry.bucket(now, session.timeout_ms));
        }
        self.expiry = Some(expiry);
        let (sessions, creating) = (&self.state.sessions, &self.creating);
        self.origins
            .retain(|id| sessions.get(id).is_some() || creating.contains_key(&id));
        self.propose_again(effects);
        effects.extend(self.touches.again(now));
    }

    /// Another server leads now. What was proposed and did not come back is sent to it, in order, because it may not have
    /// got it; so is the word of what lives.
    fn follows(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.end_read_only(effects);
        let (sessions, creating) = (&self.state.sessions, &self.creating);
        self.origins
            .retain(|id| sessions.get(id).is_some() || creating.contains_key(&id));
        self.propose_again(effects);
        effects.extend(self.touches.again(now));
    }

    fn propose_again(&self, effects: &mut Vec<Effect>) {
        for id in self.connections.sorted_ids() {
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            effects.extend(connection.proposed().cloned().map(Effect::Propose));
        }
    }

    /// Of a write nothing is done, nor of those behind it, because their turn never comes: the client has to begin again.
    fn not_proposed(&mut self, command: &Bytes, effects: &mut Vec<Effect>) {
        for id in self.connections.sorted_ids() {
            let connection = self.connections.get(id);
            if connection.is_some_and(|it| it.proposed().any(|proposed| proposed == command)) {
                self.close(id, CloseReason::NotProposed, effects);
            }
        }
    }

    /// Clients of another server have shown that these sessions live.
    fn touched(&mut self, sessions: &[i64], now: Moment) {
        let Some(expiry) = &mut self.expiry else {
            return;
        };
        for id in sessions {
            if let Some(session) = self.state.sessions.get(*id) {
                let bucket = expiry.bucket(now, session.timeout_ms);
                expiry.touch(*id, bucket);
            }
        }
    }

    fn touch_confirmed(&mut self, round: u64, index: u64, now: Moment, effects: &mut Vec<Effect>) {
        effects.extend(self.touches.confirmed(round, index, now));
        self.touches_over(effects);
    }

    pub(super) fn touches_over(&mut self, effects: &mut Vec<Effect>) {
        for id in self.touches.applied(self.ended) {
            self.answer_waiting(id, effects);
        }
    }

    /// A snapshot of another server takes the place of the state, and every client is sent away: what they watched or waited
    /// for may have happened inside it. Nothing of it is left, but for what this server has promised by itself.
    pub fn replace(&mut self, restored: Restored, seed: Seed, effects: &mut Vec<Effect>) {
        for id in self.connections.sorted_ids() {
            self.close(id, CloseReason::StateReplaced, effects);
        }
        let state = restored.into_state();
        let replaced = Coordinator::with_state(self.options.clone(), seed, state);
        let former = std::mem::replace(self, replaced);
        self.session_ids = former.session_ids;
        // A round is not asked twice by its number.
        self.syncs = former.syncs.forgotten();
        self.touches = former.touches.forgotten();
    }

    /// Proposes the end of sessions whose time is over.
    fn expire(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(expiry) = &mut self.expiry else {
            return;
        };
        for id in expiry.expired(now) {
            match self.state.sessions.get(id) {
                Some(session) => {
                    let end = self.encoder.expire_session(id, session.generation);
                    effects.push(Effect::Propose(end));
                }
                None => expiry.forget(id),
            }
        }
    }

    fn close(&mut self, id: ConnectionId, reason: CloseReason, effects: &mut Vec<Effect>) {
        if self.forget(id) {
            effects.push(Effect::Close {
                connection: id,
                reason,
            });
        }
    }

    /// Forgets a connection; its session lives on. Says whether there was one.
    fn forget(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.remove(id) else {
            return false;
        };
        self.watches.forget(id);
        match connection.phase {
            Phase::Fresh => {}
            Phase::Connecting(connecting) => match connecting.pending {
                PendingSession::New(session) => {
                    self.creating.remove(&session);
                }
                PendingSession::Old { request, .. } => {
                    self.attaching.remove(&request);
                }
            },
            Phase::Established(established) => {
                let session = established.session;
                if established.read_only {
                    if let Some(read_only) = &mut self.read_only {
                        read_only.disconnected(session, id);
                    }
                } else if self.local.get(&session) == Some(&id) {
                    self.local.remove(&session);
                }
            }
        }
        true
    }
}
