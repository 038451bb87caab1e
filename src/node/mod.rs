//! The composition of a server: the cores, their replicas, the journal and the connections, as one object
//! that takes events and says what is to be written.
//!
//! [`Node`] knows no socket, clock or task: the shell (`server`) has those, and a simulation has
//! others. What happened goes into [`Node::handle`]; [`Node::turn`] closes a turn: it gathers what all
//! events brought into one entry a core, one batch for the journal, and leaves the replies in the
//! connections' outputs.
//!
//! Invariants: a core's effects are carried out in order, before the next event is looked at; nothing is
//! sent for an entry that is not durable; every file operation's failure is either an answer (no space)
//! or the end of the process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::broker::{Event as BrokerEvent, Pressure};
use crate::consensus::founding::Hello;
use crate::coordinator::Event as CoordinatorEvent;
use crate::disk::{self, Completion, Disk, Owner};
use crate::journal::{self, Journal};
use crate::net::listener::Full;
use crate::net::metaq_connection::MetaqConnection;
use crate::net::peer_connection::PeerConnection;
use crate::net::zookeeper_connection::{self, ZookeeperConnection};
use crate::registry;
use crate::registry::owners::Question;
use crate::units::feature::Unsupported;
use crate::units::{ConnectionId, GroupId, Moment, ServerId, WallTime};
use crate::wire;
use crate::wire::peer::Frame;

// Commands that wait for room in a group.
mod backlog;
// The broker within the node.
pub(crate) mod broker;
// Connections and the memory they hold.
pub(crate) mod connections;
// The coordinator within the node.
pub(crate) mod coordinator;
// All that a node can be told.
mod event;
// What the node can tell in numbers.
mod measures;
// Whether the node does all it is there for.
mod obstacles;
// The connections to other servers.
mod peers;
// What a server asks about the commit index, and what for.
mod read_index;
// This server's part of a Raft group.
pub(crate) mod replica;
// How much room the disk has.
pub(crate) mod space;
// What both sides act on.
mod world;

pub use connections::{Connection, Limits, Port};
pub use event::{EnsembleWish, Event};

use broker::BrokerSide;
use broker::owners::{self, BuiltIn};
use connections::{Connections, Dropped, Protocol};
use coordinator::CoordinatorSide;
use peers::Peers;
use space::Space;
use world::World;

/// Why a node cannot go on. The process ends; what was acknowledged is on disk.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The journal cannot promise anything any more.
    #[error(transparent)]
    Journal(#[from] journal::Failure),
    /// The message files cannot be written.
    #[error("the message files failed: {0}")]
    Files(#[from] disk::Error),
    /// The journal holds an entry of a later version.
    #[error("{}: {what}", journal.display())]
    Newer {
        /// The journal's folder.
        journal: PathBuf,
        /// The entry, and what is not known.
        what: String,
    },
    /// An older state was put back, and other servers know that it is one.
    #[error(
        "this server acknowledged entry {acknowledged} to the ensemble's leader, and its journal ends at entry {last}"
    )]
    Forgot {
        /// What it had acknowledged.
        acknowledged: u64,
        /// Its last entry.
        last: u64,
    },
    /// The ensemble's feature level is none that this server supports.
    #[error("{entry}: {why}")]
    Level {
        /// Where it was raised.
        entry: String,
        /// To what.
        why: Unsupported,
    },
    /// A core gave up.
    #[error("{0}")]
    Halted(String),
}

impl Failure {
    /// A core gave up at an entry, or between two of them.
    fn halted(newer: bool, reason: String, journal: &Journal) -> Failure {
        if !newer {
            return Failure::Halted(reason);
        }
        Failure::Newer {
            journal: journal.folder().to_path_buf(),
            what: reason,
        }
    }
}

/// Of maps whose keys are ours. Fixed seeds: a simulation must be repeatable.
fn hasher() -> ahash::RandomState {
    ahash::RandomState::with_seeds(1, 2, 3, 4)
}

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) journal: Journal,
    pub(crate) coordinator: Option<CoordinatorSide>,
    pub(crate) broker: Option<BrokerSide>,
    pub(crate) limits: Limits,
    pub(crate) space: Space,
    pub(crate) codecs: CodecOptions,
    pub(crate) owner_nodes: OwnerNodes,
    /// Seconds the local time is ahead of UTC: retention's schedule means local time.
    pub(crate) utc_offset_s: i32,
    /// What of the journal was lost at this start, as its operator accepted.
    pub(crate) lost: Option<String>,
    /// Why the broker serves nobody, where what is left of it waits for its operator.
    pub(crate) broker_held: Option<String>,
}

/// What connections' codecs are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodecOptions {
    pub(crate) zookeeper: zookeeper_connection::Options,
    pub(crate) metaq: wire::metaq::Limits,
}

/// Where consumers register.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerNodes {
    /// Below which znode.
    pub(crate) root: String,
    /// In another ZooKeeper than this server's own.
    pub(crate) elsewhere: bool,
}

/// One server, without its sockets and its clock.
pub struct Node {
    world: World,
    coordinator: Option<CoordinatorSide>,
    broker: Option<BrokerSide>,
    space: Space,
    /// What the log was told of the journal.
    next_file: obstacles::NextFile,
    codecs: CodecOptions,
    owner_nodes: OwnerNodes,
    completions: Vec<Completion>,
    utc_offset_s: i32,
    /// See [`Parts::lost`].
    lost: Option<String>,
    /// See [`Parts::broker_held`].
    broker_held: Option<String>,
    stopping: bool,
    /// What a peer said makes it impossible to go on; told with the next turn.
    failed: Option<Failure>,
    turns: u64,
}

impl Node {
    /// A node that has everything back that was on disk. It serves ([`Node::serves`]) after a few turns.
    pub(crate) fn new(parts: Parts) -> Node {
        Node {
            world: World {
                now: Moment::START,
                wall: WallTime(0),
                connections: Connections::new(parts.limits),
                peers: Peers::new(),
                journal: parts.journal,
                disk: parts.disk,
            },
            coordinator: parts.coordinator,
            broker: parts.broker,
            space: parts.space,
            next_file: obstacles::NextFile::default(),
            codecs: parts.codecs,
            owner_nodes: parts.owner_nodes,
            completions: Vec::new(),
            utc_offset_s: parts.utc_offset_s,
            lost: parts.lost,
            broker_held: parts.broker_held,
            stopping: false,
            failed: None,
            turns: 0,
        }
    }

    /// Takes in one event. What follows from it is in the connections' outputs after [`Node::turn`].
    pub fn handle(&mut self, now: Moment, wall: WallTime, event: Event) {
        self.begin(now, wall);
        match event {
            Event::Connected {
                connection,
                port,
                address,
                certified,
            } => {
                self.connected(connection, port, address, certified);
            }
            Event::Refused { port, full } => self.refused(port, full),
            Event::Received { connection, count } => self.received(connection, count),
            Event::Sent { port, count } => {
                self.world.connections.traffic_mut(port).sent_bytes += count;
            }
            Event::Disconnected { connection } => self.disconnected(connection),
            Event::Owners(answer) => self.tell_broker(owners::event(answer)),
            Event::Topics(topics) => self.tell_broker(BrokerEvent::Reload(topics)),
            Event::Wish(wish) => self.tell_broker(BrokerEvent::Wish(wish)),
            Event::Ensemble(wish) => {
                if let Some(side) = &mut self.coordinator {
                    side.wish(wish, &self.world);
                }
            }
            Event::NoSpace => self.space.give_up_reserve(self.world.disk.as_mut()),
            Event::Stop => {
                self.stopping = true;
                self.world.journal.seal();
            }
        }
        self.answer_questions();
    }

    /// Closes a turn: takes what the disk has done, lets due time pass, proposes what was gathered, applies
    /// what is committed, writes the journal.
    ///
    /// # Errors
    /// The server cannot go on; see [`Failure`].
    pub fn turn(&mut self, now: Moment, wall: WallTime) -> Result<(), Failure> {
        self.begin(now, wall);
        self.turns += 1;
        if let Some(failure) = self.failed.take() {
            return Err(failure);
        }
        self.take_completions()?;
        self.let_time_pass();
        loop {
            // What was committed may have made room for what was held back.
            self.resume_stalled();
            let mut any = false;
            if let Some(side) = &mut self.coordinator {
                any |= side.turn(&mut self.world)?;
            }
            if let Some(side) = &mut self.broker {
                any |= side.turn(&mut self.world)?;
            }
            any |= self.answer_questions();
            if !any {
                break;
            }
        }
        self.relieve_pressure();
        self.answer_questions();
        self.world.journal.flush(now, self.world.disk.as_mut());
        self.world.peers.flush(&mut self.world.connections);
        self.tell_of_journal();
        self.drop_hoarders();
        Ok(())
    }

    fn begin(&mut self, now: Moment, wall: WallTime) {
        self.world.set(now, wall);
        if let Some(side) = &mut self.coordinator {
            side.wake(now);
        }
    }

    /// When [`Node::turn`] wants to be called although nothing happened.
    pub fn deadline(&self) -> Option<Moment> {
        let coordinator = self
            .coordinator
            .as_ref()
            .and_then(CoordinatorSide::deadline);
        let broker = self.broker.as_ref().and_then(BrokerSide::deadline);
        let rest = [
            self.world.journal.deadline(),
            self.world.connections.deadline(),
            self.space.deadline(),
        ];
        [coordinator, broker]
            .into_iter()
            .chain(rest)
            .flatten()
            .min()
    }

    /// A connection, while the node knows it.
    pub fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.world.connections.get(id)
    }

    /// How many connections a port has.
    pub(crate) fn connection_count(&self, port: Port) -> usize {
        self.world.connections.count(port)
    }

    /// Whether more may be read from a connection now. To be asked again when it was told to look
    /// ([`Node::take_dirty`]).
    pub fn reads(&self, id: ConnectionId) -> bool {
        if self.stopping || !self.world.connections.reads(id) {
            return false;
        }
        match self.world.connections.port(id) {
            Some(Port::Broker) => self
                .broker
                .as_ref()
                .is_some_and(|side| !side.reading_paused),
            _ => true,
        }
    }

    /// The connections with something to write, or with changed standing, since this was last asked.
    pub fn take_dirty(&mut self) -> Vec<ConnectionId> {
        self.world.connections.take_dirty()
    }

    /// Whether the next turn would put more into a connection's output, now that something of it was written.
    pub(crate) fn waits_for_room(&mut self, id: ConnectionId) -> bool {
        let peer = self.world.connections.peer(id);
        peer.is_some_and(|peer| peer.wants_flush())
    }

    /// Asks to be told of this connection with the next [`Node::take_dirty`].
    pub fn mark_dirty(&mut self, id: ConnectionId) {
        self.world.connections.mark_dirty(id);
    }

    /// The last entry that the coordinator has applied, and the digest of its state then: the same on every server.
    pub fn digest(&self) -> Option<(u64, u64)> {
        let core = &self.coordinator.as_ref()?.core;
        Some((core.status().applied, core.digest()))
    }

    /// Whether clients may come in: what was committed before is applied.
    pub fn serves(&self) -> bool {
        self.coordinator
            .as_ref()
            .is_none_or(CoordinatorSide::serves)
            && self.broker.as_ref().is_none_or(BrokerSide::serves)
    }

    /// Whether clients that are content with reading are served, because nobody leads.
    pub fn is_read_only(&self) -> bool {
        let side = self.coordinator.as_ref();
        side.is_some_and(|side| side.core.is_read_only())
    }

    /// Whether the ports may be opened: an ensemble's servers answer before there is a quorum that they cannot serve.
    pub fn opens(&self) -> bool {
        self.coordinator.as_ref().is_none_or(CoordinatorSide::opens)
            && self.broker.as_ref().is_none_or(BrokerSide::serves)
    }

    /// Takes note that the topics to register have changed; told once.
    pub fn take_topics_changed(&mut self) -> bool {
        self.broker
            .as_mut()
            .is_some_and(|side| std::mem::take(&mut side.topics_changed))
    }

    /// The topics to register.
    pub fn registered_topics(&self) -> BTreeMap<String, registry::Topic> {
        self.broker
            .as_ref()
            .map_or_else(Default::default, |side| side.topics.clone())
    }

    /// The folders that topics lie in; settings number them by their place here.
    pub(crate) fn data_folders(&self) -> &[PathBuf] {
        let broker = self.broker.as_ref();
        broker.map_or(&[], |side| side.files.data_folders())
    }

    /// What the broker wants to know of owner nodes that are not here, since this was last asked. Each question
    /// is to be answered once, by [`Event::Owners`].
    pub(crate) fn take_questions(&mut self) -> Vec<Question> {
        match &mut self.broker {
            Some(side) if self.owner_nodes.elsewhere => side.questions.drain(..).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether owner nodes are in another ZooKeeper than this server's own.
    pub(crate) fn asks_registry(&self) -> bool {
        self.owner_nodes.elsewhere
    }

    /// Whether nothing more is read from anybody.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether everything is on disk, after [`Event::Stop`].
    pub fn is_stopped(&self) -> bool {
        self.stopping
            && self.world.journal.is_idle()
            && self.broker.as_ref().is_none_or(BrokerSide::is_checkpointed)
    }

    fn tell_broker(&mut self, event: BrokerEvent) {
        if let Some(side) = &mut self.broker {
            side.handle(event, &mut self.world);
        }
    }

    fn tell_coordinator(&mut self, event: CoordinatorEvent) {
        if let Some(side) = &mut self.coordinator {
            side.handle(event, &mut self.world);
        }
    }

    /// Answers what the broker asked of owner nodes that are in this process; whether there was anything.
    fn answer_questions(&mut self) -> bool {
        let Some(broker) = &mut self.broker else {
            return false;
        };
        if self.owner_nodes.elsewhere {
            return false;
        }
        let mut any = false;
        while let Some(question) = broker.questions.pop_front() {
            let mut tree = BuiltIn {
                coordinator: self.coordinator.as_ref(),
            };
            let answer = question.answer(&mut tree, &self.owner_nodes.root, broker.id);
            broker.handle(owners::event(answer), &mut self.world);
            any = true;
        }
        any
    }

    fn connected(
        &mut self,
        connection: ConnectionId,
        port: Port,
        address: SocketAddr,
        certified: Option<ServerId>,
    ) {
        let (now, wall) = (self.world.now, self.world.wall);
        match port {
            Port::Coordinator => {
                let options = self.codecs.zookeeper;
                let client = ZookeeperConnection::new(options, address, now, wall);
                let protocol = Protocol::Zookeeper(Box::new(client));
                self.world.connections.insert(connection, now, protocol);
                self.tell_coordinator(CoordinatorEvent::Connected {
                    connection,
                    address: address.ip().to_canonical(),
                });
            }
            Port::Broker => {
                let client = MetaqConnection::new(self.codecs.metaq);
                let protocol = Protocol::Metaq(Box::new(client));
                self.world.connections.insert(connection, now, protocol);
                self.tell_broker(BrokerEvent::Connected { connection });
            }
            Port::Peers => {
                let hello = self.coordinator.as_ref().and_then(CoordinatorSide::hello);
                if let Some(hello) = hello {
                    let protocol = Protocol::Peer(Box::new(PeerConnection::new(&hello, now)));
                    self.world.connections.insert(connection, now, protocol);
                    self.world.peers.opened(connection, certified);
                    self.world.connections.mark_dirty(connection);
                }
            }
        }
    }

    /// Counts a client that was sent away at once.
    fn refused(&mut self, port: Port, full: Full) {
        let traffic = self.world.connections.traffic_mut(port);
        match full {
            Full::All => traffic.refused += 1,
            Full::Address => traffic.refused_address += 1,
        }
    }

    fn received(&mut self, id: ConnectionId, count: usize) {
        let Some(connection) = self.world.connections.get(id) else {
            return;
        };
        connection.codec_mut().received(count);
        let port = connection.port();
        self.world.connections.traffic_mut(port).received_bytes += count as u64;
        self.take_requests(id);
        self.world.connections.account(id, self.world.now, true);
        self.drop_hoarders_at_once();
    }

    /// Does not wait for the turn's end: a turn takes from all connections, and each answer may be long.
    fn drop_hoarders_at_once(&mut self) {
        if self.world.connections.is_full() {
            self.drop_hoarders();
        }
    }

    fn take_requests(&mut self, id: ConnectionId) {
        match self.world.connections.port(id) {
            Some(Port::Coordinator) => {
                if let Some(side) = &mut self.coordinator {
                    side.take_requests(id, &mut self.world);
                }
            }
            Some(Port::Broker) => {
                if let Some(side) = &mut self.broker {
                    side.take_requests(id, &mut self.world);
                }
            }
            Some(Port::Peers) => self.take_frames(id),
            None => {}
        }
    }

    /// Takes what another server has sent.
    fn take_frames(&mut self, id: ConnectionId) {
        loop {
            let Some(peer) = self.world.connections.peer(id) else {
                return;
            };
            match peer.next_frame() {
                Ok(None) => return,
                Ok(Some(frame)) => self.take_frame(id, frame),
                Err(malformed) => {
                    tracing::warn!(
                        connection = id.0, %malformed,
                        "what came from another server cannot be understood; the connection is closed"
                    );
                    return self.drop_connection(id, Dropped::Protocol);
                }
            }
        }
    }

    fn take_frame(&mut self, id: ConnectionId, frame: Frame) {
        let Some(side) = &mut self.coordinator else {
            return;
        };
        let world = &mut self.world;
        if let Frame::Hello(hello) = &frame {
            return self.greeted(id, hello);
        }
        // A connection whose place a newer one has taken says nothing any more.
        let Some(from) = world.peers.at(id) else {
            return;
        };
        match frame {
            Frame::Hello(_) => {}
            Frame::Messages(messages) => {
                for (group, message) in messages {
                    if group == GroupId::COORDINATOR {
                        side.step(message, from, world);
                    }
                }
            }
            Frame::Part(part) => side.part(part, from, world),
            Frame::Taken(taken) => side.taken(taken, from, world),
            Frame::Forward(forward) => side.forwarded(&forward.commands, from, world),
            Frame::Touch(touch) => side.touched(touch, from, world),
            Frame::Touched(touched) => side.touch_confirmed(touched, from, world),
            Frame::Compare(compare) => side.compared(compare, from, world),
            Frame::NotProposed(refused) => side.not_proposed(refused, from, world),
            Frame::Word(word) => self.tell_broker(BrokerEvent::Told { from, word }),
        }
    }

    /// Another server says who it is, or what it knows of its group now.
    fn greeted(&mut self, id: ConnectionId, hello: &Hello) {
        let Some(side) = &mut self.coordinator else {
            return;
        };
        let Some(own) = side.hello() else { return };
        let world = &mut self.world;
        let server = hello.identity.server;
        let members = own.members.as_ref();
        if let Err(why) = world.peers.check_certified(id, hello) {
            // Nothing that it says counts: it is not who it says.
            world.peers.tell_refused(server, why, world.now);
            return world.connections.close(id);
        }
        let place =
            peers::check(&own, hello).and_then(|()| world.peers.check_place(id, hello, members));
        if let Err(why) = place {
            let replaces = |own| hello.members.as_ref().is_some_and(|it| it.replaces(own));
            if members.is_some_and(replaces) {
                side.give_way(server, world);
            }
            world.peers.tell_refused(server, why, world.now);
            // Not at once: the other side is to hear who this server is, and may have to give way.
            return world.connections.close(id);
        }
        let greeted = world.peers.greeted(id, hello, world.now);
        if let Some(Some(former)) = greeted {
            side.out_of_reach(server, world);
            world.connections.close(former);
        }
        if let Err(failure) = side.hear(hello, greeted.is_some(), world) {
            self.failed = Some(failure);
        }
        if greeted.is_some() {
            self.tell_broker(BrokerEvent::Met { server });
        }
    }

    fn disconnected(&mut self, connection: ConnectionId) {
        let Some(known) = self.world.connections.remove(connection) else {
            return;
        };
        match known.port() {
            Port::Coordinator => {
                if let Some(side) = &mut self.coordinator {
                    side.disconnected(connection, &mut self.world);
                }
            }
            Port::Broker => self.tell_broker(BrokerEvent::Disconnected { connection }),
            Port::Peers => {
                let gone = self.world.peers.gone(connection, self.world.now);
                if let (Some(server), Some(side)) = (gone, &mut self.coordinator) {
                    side.out_of_reach(server, &mut self.world);
                }
                if let Some(server) = gone {
                    self.tell_broker(BrokerEvent::Parted { server });
                }
            }
        }
    }

    /// Takes requests that were held back until their connection had room.
    fn resume_stalled(&mut self) {
        let serves = CoordinatorSide::serves;
        if self.coordinator.as_ref().is_none_or(serves) {
            self.world.connections.unpark();
        }
        for id in self.world.connections.take_stalled() {
            self.take_requests(id);
            self.world.connections.account(id, self.world.now, false);
            self.drop_hoarders_at_once();
            // Whether it may be read from may have changed.
            self.world.connections.mark_dirty(id);
        }
    }

    /// Ends the connections that hold most of a memory that is short, because their clients do not read.
    fn drop_hoarders(&mut self) {
        let hoarders = self.world.connections.hoarders();
        if let Some(first) = hoarders.first() {
            tracing::warn!(
                count = hoarders.len(),
                connection = first.0,
                raise = "network.all_connections_bytes_max",
                "connections closed: they hold too much memory, because their clients do not read"
            );
        }
        for id in hoarders {
            self.drop_connection(id, Dropped::Memory);
        }
    }

    fn drop_connection(&mut self, id: ConnectionId, why: Dropped) {
        self.world.connections.dropped(id, why);
        self.disconnected(id);
        self.world.connections.mark_gone(id);
    }

    fn take_completions(&mut self) -> Result<(), Failure> {
        let mut completions = std::mem::take(&mut self.completions);
        self.world.disk.complete(&mut completions);
        for completion in completions.drain(..) {
            self.take_completion(completion)?;
        }
        self.completions = completions;
        Ok(())
    }

    /// A server has one coordinator and one broker, so the group only says which of the two it is.
    fn take_completion(&mut self, completion: Completion) -> Result<(), Failure> {
        let world = &mut self.world;
        match completion.token.owner {
            Owner::Journal => world.journal.complete(world.now, completion)?,
            Owner::Segments(_) => {
                if let Some(side) = &mut self.broker {
                    side.file_completed(completion, world)?;
                }
            }
            Owner::Verification(_) => {
                if let Some(side) = &mut self.broker {
                    side.read_completed(completion, world);
                }
            }
            Owner::Snapshots(_) => {
                if let Some(side) = &mut self.coordinator {
                    side.snapshot_completed(completion, world);
                }
            }
            Owner::SnapshotsSent(_) => {
                if let Some(side) = &mut self.coordinator {
                    side.sent_completed(completion, world);
                }
            }
            Owner::SnapshotsReceived(_) => {
                if let Some(side) = &mut self.coordinator {
                    side.received_completed(completion, world);
                }
            }
            Owner::Space => self.space.complete(completion, world.disk.as_mut()),
        }
        Ok(())
    }

    fn let_time_pass(&mut self) {
        if let Some(side) = &mut self.coordinator {
            side.tick(&mut self.world);
        }
        if let Some(side) = &mut self.broker {
            side.tick(self.utc_offset_s, &mut self.world);
        }
        for (id, why) in self.world.connections.overdue(self.world.now) {
            tracing::info!(connection = id.0, reason = why.text(), "connection closed");
            self.drop_connection(id, why);
        }
        let written = self.world.journal.written_bytes();
        self.space
            .look(self.world.now, written, self.world.disk.as_mut());
    }

    /// Makes the cores free the journal's files, and refuses puts while there is too little room.
    fn relieve_pressure(&mut self) {
        let journal = self.world.journal.pressure();
        let full = journal.pinned_by.filter(|_| journal.compact);
        let mut gives_up_reserve = false;
        if let Some(side) = &mut self.coordinator {
            let needed = full.filter(|(group, _)| *group == GroupId::COORDINATOR);
            let up_to = needed.map_or(0, |(_, index)| index);
            side.snapshot(up_to, &mut self.world);
            gives_up_reserve |= side.snapshots.take_wants_space();
        }
        if let Some(side) = &mut self.broker {
            let needed = full.is_some_and(|(group, index)| {
                group != GroupId::COORDINATOR && index > side.replica.marker_index()
            });
            let checkpoint = needed || self.stopping && !side.is_checkpointed();
            let pressure = Pressure {
                journal: journal.refuse,
                disk: self.space.is_low(),
            };
            side.press(pressure, checkpoint, &mut self.world);
            gives_up_reserve |= side.take_wants_space();
        }
        if gives_up_reserve {
            self.space.give_up_reserve(self.world.disk.as_mut());
        }
    }
}
