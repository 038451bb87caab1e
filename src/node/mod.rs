//! The composition of a server: the cores, their logs, the journal and the connections, as one object
//! that takes events and says what is to be written.
//!
//! [`Node`] knows no socket, clock or task: the shell (`event_loop`) has those, and a simulation has
//! others. What happened goes into [`Node::handle`]; [`Node::turn`] closes a turn: it gathers what all
//! events brought into one entry a core, one batch for the journal, and leaves the replies in the
//! connections' outputs.
//!
//! Invariants: a core's effects are carried out in order, before the next event is looked at; nothing is
//! sent for an entry that is not durable; every file operation's failure is either an answer (no space)
//! or the end of the process.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::broker;
use crate::config::Config;
use crate::consensus::journal::{self, Journal};
use crate::coordinator;
use crate::disk::{self, Completion, Disk};
use crate::net::listener::Full;
use crate::net::metaq_connection::MetaqConnection;
use crate::net::zookeeper_connection::ZookeeperConnection;
use crate::registry::owners::Question;
use crate::report::{Code, Error};
use crate::units::{ConnectionId, GroupId, Moment, WallTime};

// The broker within the node.
mod broker_side;
// Connections and the memory they hold.
mod connections;
// `/health`, `/metrics` and local commands.
mod consumers;
mod control;
// The coordinator within the node.
mod coordinator_side;
// How the file descriptors are shared out.
mod descriptors;
// The shell: sockets, the disk's descriptor, the clock.
mod event_loop;
// A core's Raft group over the journal.
mod log;
// Who owns the broker's partitions.
mod owners;
// What a start would refuse.
mod preflight;
// Whether the server does all it is there for.
mod ready;
// How the server is doing.
mod report;
// One server from start to stop.
mod run;
// The broker's files on the disk.
mod segment_files;
// The configuration as each part wants it.
mod settings;
// The coordinator's snapshots on the disk.
mod snapshot;
// How much room the disk has.
mod space;
// From a folder to a node.
mod startup;
// What the node is told of the machine.
mod system;
// `topic describe`.
mod topic_detail;
// Topics on disk at the start.
mod topics;
// What is counted of a port.
mod traffic;
// Checking segments before they are served.
mod verification;
// The web port.
mod web;
// Four-letter words.
mod words;

pub use connections::{Connection, Limits, Port};
pub use preflight::preflight;
pub use run::run;
pub use settings::log as log_options;
pub use startup::{Start, open};
pub use system::{Random, System};

use broker_side::BrokerSide;
use connections::{Connections, Protocol};
use coordinator_side::CoordinatorSide;
use owners::{BuiltIn, Whom};
use space::Space;
use traffic::Dropped;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
        /// To which port.
        port: Port,
        /// From where.
        address: SocketAddr,
    },
    /// Bytes were appended to the connection's [`Connection::room`].
    Received {
        /// The connection.
        connection: ConnectionId,
        /// How many.
        count: usize,
    },
    /// The socket is gone.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
}

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

    /// What an operator is told.
    pub fn into_error(self) -> Error {
        let full = match &self {
            Failure::Journal(journal::Failure(error)) | Failure::Files(error) => {
                error.class == disk::Class::NoSpace
            }
            Failure::Newer { .. } | Failure::Halted(_) => false,
        };
        let exhausted = match &self {
            Failure::Journal(journal::Failure(error)) | Failure::Files(error) => {
                error.class == disk::Class::Exhausted
            }
            Failure::Newer { .. } | Failure::Halted(_) => false,
        };
        let code = match &self {
            Failure::Journal(_) | Failure::Files(_) if full => Code::E0204,
            Failure::Journal(_) | Failure::Files(_) if exhausted => Code::E0111,
            Failure::Journal(_) | Failure::Files(_) => Code::E0205,
            Failure::Newer { .. } => return newer_data("apply the journal", self),
            Failure::Halted(_) => Code::E0900,
        };
        let cure = match (full, exhausted) {
            (true, _) => "Make room on the file system of data/ and start it again.",
            (_, true) => LIMIT_CURE,
            _ => "Start it again; what the reason names may need to be looked at first.",
        };
        Error::new(code, "the server cannot go on")
            .because(self)
            .means("It ends; everything that was acknowledged is on disk.")
            .cure(cure)
    }
}

/// What helps where the system gives the process no more of something.
const LIMIT_CURE: &str = "See what it may have (`ulimit -a`, /proc/PID/limits, a container's or a unit's settings) and \
                          raise it: chrysalis explain E0111";

/// What an operator is told when the system gives the process no more of something.
fn lacking(what: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::E0111, what)
        .because(why)
        .means("The server does not start; nothing was changed.")
        .cure(LIMIT_CURE)
}

/// What an operator is told of data that a later version wrote.
fn newer_data(what: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::E0106, what)
        .because(why)
        .means(
            "A newer version of Chrysalis wrote this data. This one does not serve it, rather than lose what it does \
             not understand; everything is still on disk.",
        )
        .cure("Install the newer version again and start it: chrysalis explain E0106")
}

/// One server, without its sockets and its clock.
pub struct Node {
    disk: Box<dyn Disk>,
    journal: Journal,
    coordinator: Option<CoordinatorSide>,
    broker: Option<BrokerSide>,
    connections: Connections,
    space: Space,
    /// What the log was told of the journal.
    next_file: ready::NextFile,
    machines: MachineOptions,
    completions: Vec<Completion>,
    /// Seconds the local time is ahead of UTC: retention's schedule means local time.
    utc_offset_s: i32,
    stopping: bool,
    turns: u64,
    /// Below which znode consumers register.
    registry_root: String,
    /// They use another ZooKeeper than this server's own.
    asks_registry: bool,
    /// What is to be asked of it.
    questions: Vec<Question>,
}

/// How clients are told to connect to a broker.
fn broker_url(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("meta://[{host}]:{port}"),
        false => format!("meta://{host}:{port}"),
    }
}

/// What connections' machines are made with.
#[derive(Clone, Copy, Debug)]
struct MachineOptions {
    zookeeper: crate::net::zookeeper_connection::Options,
    metaq: crate::wire::metaq::Limits,
}

/// Splits the borrow of a node into one core's side and what its effects need.
macro_rules! coordinator_world {
    ($node:ident, $now:expr, $wall:expr) => {
        coordinator_side::World {
            now: $now,
            wall: $wall,
            connections: &mut $node.connections,
            journal: &mut $node.journal,
            disk: $node.disk.as_mut(),
        }
    };
}

/// The same for the broker, which may ask who owns a partition.
macro_rules! broker_world {
    ($node:ident, $now:expr) => {
        broker_side::World {
            now: $now,
            connections: &mut $node.connections,
            journal: &mut $node.journal,
            disk: $node.disk.as_mut(),
            owners: match $node.asks_registry {
                true => Whom::Another(&mut $node.questions),
                false => Whom::BuiltIn(BuiltIn {
                    coordinator: $node.coordinator.as_ref(),
                    root: &$node.registry_root,
                }),
            },
        }
    };
}

impl Node {
    /// Takes in one event. What follows from it is in the connections' outputs after [`Node::turn`].
    pub fn handle(&mut self, now: Moment, wall: WallTime, event: Event) {
        match event {
            Event::Connected {
                connection,
                port,
                address,
            } => {
                self.connected(now, wall, connection, port, address);
            }
            Event::Received { connection, count } => self.received(now, wall, connection, count),
            Event::Disconnected { connection } => self.disconnected(now, wall, connection),
        }
    }

    /// Closes a turn: takes what the disk has done, lets due time pass, proposes what was gathered, applies
    /// what is committed, writes the journal.
    ///
    /// # Errors
    /// The server cannot go on; see [`Failure`].
    pub fn turn(&mut self, now: Moment, wall: WallTime) -> Result<(), Failure> {
        self.turns += 1;
        self.take_completions(now, wall)?;
        self.let_time_pass(now, wall);
        loop {
            // What was committed may have made room for what was held back.
            self.resume_stalled(now, wall);
            let mut any = false;
            if let Some(side) = &mut self.coordinator {
                any |= side.turn(&mut coordinator_world!(self, now, wall))?;
            }
            if let Some(side) = &mut self.broker {
                any |= side.turn(wall, &mut broker_world!(self, now))?;
            }
            if !any {
                break;
            }
        }
        self.relieve_pressure(now, wall);
        self.journal.flush(now, self.disk.as_mut());
        self.tell_of_journal();
        self.drop_hoarders(now, wall);
        Ok(())
    }

    /// When [`Node::turn`] wants to be called although nothing happened.
    pub fn deadline(&self) -> Option<Moment> {
        let coordinator = self
            .coordinator
            .as_ref()
            .and_then(CoordinatorSide::deadline);
        let broker = self.broker.as_ref().and_then(BrokerSide::deadline);
        let rest = [
            self.journal.deadline(),
            self.connections.deadline(),
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
        self.connections.get(id)
    }

    /// Counts bytes that a client of this port took.
    fn sent(&mut self, port: Port, count: u64) {
        self.connections.traffic_mut(port).sent_bytes += count;
    }

    /// Counts a client that was sent away at once.
    fn refused(&mut self, port: Port, full: Full) {
        let traffic = self.connections.traffic_mut(port);
        match full {
            Full::All => traffic.refused += 1,
            Full::Address => traffic.refused_address += 1,
        }
    }

    /// Whether more may be read from a connection now. To be asked again when it was told to look
    /// ([`Node::take_dirty`]).
    pub fn reads(&self, id: ConnectionId) -> bool {
        if self.stopping || !self.connections.reads(id) {
            return false;
        }
        match self.connections.port(id) {
            Some(Port::Broker) => self
                .broker
                .as_ref()
                .is_some_and(|side| !side.reading_paused),
            _ => true,
        }
    }

    /// The connections with something to write, or with changed standing, since this was last asked.
    pub fn take_dirty(&mut self) -> Vec<ConnectionId> {
        self.connections.take_dirty()
    }

    /// Asks to be told of this connection with the next [`Node::take_dirty`].
    pub fn mark_dirty(&mut self, id: ConnectionId) {
        self.connections.mark_dirty(id);
    }

    /// Whether clients may come in: what was committed before is applied.
    pub fn serves(&self) -> bool {
        self.coordinator.as_ref().is_none_or(|side| side.leads)
            && self.broker.as_ref().is_none_or(BrokerSide::serves)
    }

    /// Takes note that the topics to register have changed; told once.
    pub fn take_topics_changed(&mut self) -> bool {
        self.broker
            .as_mut()
            .is_some_and(|side| std::mem::take(&mut side.topics_changed))
    }

    /// The topics to register.
    pub fn registered_topics(&self) -> std::collections::BTreeMap<String, crate::registry::Topic> {
        self.broker
            .as_ref()
            .map_or_else(Default::default, |side| side.topics.clone())
    }

    /// What the broker wants to know of owner nodes that are not here, since this was last asked. Each question
    /// is to be answered once.
    pub(crate) fn take_questions(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.questions)
    }

    /// Gives the broker the topics of a configuration that was read again.
    pub fn reload(&mut self, now: Moment, config: &Config) {
        let Some(own) = &config.broker else { return };
        if let Some(side) = &mut self.broker {
            let topics = settings::topics(config, own, side.files.data_folders());
            let event = broker::Event::Reload(Box::new(topics));
            side.handle(event, &mut broker_world!(self, now));
        }
    }

    /// Hands an operator's wish to the broker.
    pub fn tell_broker(&mut self, now: Moment, event: broker::Event) {
        if let Some(side) = &mut self.broker {
            side.handle(event, &mut broker_world!(self, now));
        }
    }

    /// Something that the server needs found no space.
    fn give_up_reserve(&mut self) {
        self.space.give_up_reserve(self.disk.as_mut());
    }

    /// Reads nothing more from anybody, and brings everything into the cores' own files.
    pub fn stop(&mut self) {
        self.stopping = true;
        self.journal.seal();
    }

    /// Whether everything is on disk, after [`Node::stop`].
    pub fn is_stopped(&self) -> bool {
        self.stopping
            && self.journal.is_idle()
            && self.broker.as_ref().is_none_or(BrokerSide::is_checkpointed)
    }

    fn connected(
        &mut self,
        now: Moment,
        wall: WallTime,
        id: ConnectionId,
        port: Port,
        address: SocketAddr,
    ) {
        match port {
            Port::Coordinator => {
                let options = self.machines.zookeeper;
                let machine = ZookeeperConnection::new(options, address, now, wall);
                let protocol = Protocol::Zookeeper(Box::new(machine));
                self.connections.insert(id, now, protocol);
                if let Some(side) = &mut self.coordinator {
                    let ip = address.ip().to_canonical();
                    let event = coordinator::Event::Connected {
                        connection: id,
                        address: ip,
                    };
                    side.handle(event, &mut coordinator_world!(self, now, wall));
                }
            }
            Port::Broker => {
                let machine = MetaqConnection::new(self.machines.metaq);
                self.connections
                    .insert(id, now, Protocol::Metaq(Box::new(machine)));
                if let Some(side) = &mut self.broker {
                    let event = broker::Event::Connected { connection: id };
                    side.handle(event, &mut broker_world!(self, now));
                }
            }
        }
    }

    fn received(&mut self, now: Moment, wall: WallTime, id: ConnectionId, count: usize) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        match &mut connection.protocol {
            Protocol::Zookeeper(machine) => machine.received(count),
            Protocol::Metaq(machine) => machine.received(count),
        }
        let port = connection.port();
        self.connections.traffic_mut(port).received_bytes += count as u64;
        self.take_requests(now, wall, id);
        self.connections.account(id, now, true);
        self.drop_hoarders_at_once(now, wall);
    }

    /// Does not wait for the turn's end: a turn takes from all connections, and each answer may be long.
    fn drop_hoarders_at_once(&mut self, now: Moment, wall: WallTime) {
        if self.connections.is_full() {
            self.drop_hoarders(now, wall);
        }
    }

    fn take_requests(&mut self, now: Moment, wall: WallTime, id: ConnectionId) {
        match self.connections.port(id) {
            Some(Port::Coordinator) => {
                if let Some(side) = &mut self.coordinator {
                    side.take_requests(id, &mut coordinator_world!(self, now, wall));
                }
            }
            Some(Port::Broker) => {
                if let Some(side) = &mut self.broker {
                    side.take_requests(id, wall, &mut broker_world!(self, now));
                }
            }
            None => {}
        }
    }

    fn disconnected(&mut self, now: Moment, wall: WallTime, id: ConnectionId) {
        let Some(connection) = self.connections.remove(id) else {
            return;
        };
        match connection.protocol {
            Protocol::Zookeeper(_) => {
                if let Some(side) = &mut self.coordinator {
                    let event = coordinator::Event::Disconnected { connection: id };
                    side.handle(event, &mut coordinator_world!(self, now, wall));
                }
            }
            Protocol::Metaq(_) => {
                if let Some(side) = &mut self.broker {
                    let event = broker::Event::Disconnected { connection: id };
                    side.handle(event, &mut broker_world!(self, now));
                }
            }
        }
    }

    /// Takes requests that were held back until their connection had room.
    fn resume_stalled(&mut self, now: Moment, wall: WallTime) {
        for id in self.connections.take_stalled() {
            self.take_requests(now, wall, id);
            self.connections.account(id, now, false);
            self.drop_hoarders_at_once(now, wall);
            // Whether it may be read from may have changed.
            self.connections.mark_dirty(id);
        }
    }

    /// Ends the connections that hold most of a memory that is short, because their clients do not read.
    fn drop_hoarders(&mut self, now: Moment, wall: WallTime) {
        let hoarders = self.connections.hoarders();
        if let Some(first) = hoarders.first() {
            tracing::warn!(
                count = hoarders.len(),
                connection = first.0,
                raise = "network.all_connections_bytes_max",
                "connections closed: they hold too much memory, because their clients do not read"
            );
        }
        for id in hoarders {
            self.connections.dropped(id, Dropped::Memory);
            self.disconnected(now, wall, id);
            self.connections.mark_gone(id);
        }
    }

    fn take_completions(&mut self, now: Moment, wall: WallTime) -> Result<(), Failure> {
        let mut completions = std::mem::take(&mut self.completions);
        self.disk.complete(&mut completions);
        for completion in completions.drain(..) {
            match completion.token.owner() {
                journal::TOKEN_OWNER => self.journal.complete(now, completion)?,
                segment_files::TOKEN_OWNER => {
                    if let Some(side) = &mut self.broker {
                        side.file_completed(completion, &mut broker_world!(self, now))?;
                    }
                }
                verification::TOKEN_OWNER => {
                    if let Some(side) = &mut self.broker {
                        side.read_completed(completion, &mut broker_world!(self, now));
                    }
                }
                snapshot::TOKEN_OWNER => {
                    if let Some(side) = &mut self.coordinator {
                        side.snapshot_completed(
                            completion,
                            &mut coordinator_world!(self, now, wall),
                        );
                    }
                }
                space::TOKEN_OWNER => self.space.complete(completion, self.disk.as_mut()),
                owner => unreachable!("nobody submits operations as owner {owner}"),
            }
        }
        self.completions = completions;
        Ok(())
    }

    fn let_time_pass(&mut self, now: Moment, wall: WallTime) {
        if let Some(side) = &mut self.coordinator {
            side.tick(&mut coordinator_world!(self, now, wall));
        }
        if let Some(side) = &mut self.broker {
            side.tick(wall, self.utc_offset_s, &mut broker_world!(self, now));
        }
        for (id, why) in self.connections.overdue(now) {
            tracing::info!(connection = id.0, reason = why.text(), "connection closed");
            self.connections.dropped(id, why);
            self.disconnected(now, wall, id);
            self.connections.mark_gone(id);
        }
        self.space.look(now, self.disk.as_mut());
    }

    /// Makes the cores free the journal's files, and refuses puts while there is too little room.
    fn relieve_pressure(&mut self, now: Moment, wall: WallTime) {
        let journal = self.journal.pressure();
        let full = journal.pinned_by.filter(|_| journal.compact);
        let mut gives_up_reserve = false;
        if let Some(side) = &mut self.coordinator {
            let needed = full.filter(|(group, _)| *group == GroupId::COORDINATOR);
            let up_to = needed.map_or(0, |(_, index)| index);
            side.snapshot(up_to, &mut coordinator_world!(self, now, wall));
            gives_up_reserve |= side.snapshots.take_wants_space();
        }
        if let Some(side) = &mut self.broker {
            let needed = full.is_some_and(|(group, index)| {
                group != GroupId::COORDINATOR && index > side.log.marker_index()
            });
            let checkpoint = needed || self.stopping && !side.is_checkpointed();
            let pressure = broker::Pressure {
                journal: journal.refuse,
                disk: self.space.is_low(),
            };
            side.press(pressure, checkpoint, &mut broker_world!(self, now));
            gives_up_reserve |= side.take_wants_space();
        }
        if gives_up_reserve {
            self.give_up_reserve();
        }
    }
}
