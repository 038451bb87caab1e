//! The coordinator within the node: its core, its log and its snapshots, and what each of the core's
//! effects becomes.
//!
//! A write's way through here: request → core → `Propose` → log → journal → `Command` → core → `Notify`,
//! `Reply` → the connections' outputs. A read is answered by the core at once.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::Failure;
use super::connections::{Connections, Protocol};
use super::log::{Log, News};
use super::snapshot::Snapshots;
use super::traffic::Dropped;
use super::words::{self, Facts};
use crate::consensus::journal::Journal;
use crate::coordinator::{CloseReason, Coordinator, Effect, Event, Limit};
use crate::disk::{Completion, Disk};
use crate::net::zookeeper_connection::{Received, Totals, Violation, ZookeeperConnection};
use crate::units::{ConnectionId, Moment, WallTime};
use crate::wire::zookeeper::four_letter::TRACE_MASK_DEFAULT;

/// A warning about quotas, or about the same limit, is not repeated for this long.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// What an operator is told where the data was replaced under a client.
const CLIENT_AHEAD: &str = "a client is turned away: it has seen a later zxid than this server's data has. If the data \
     was replaced by an older one or a new one, restart the clients; others like it are turned away as well";

/// What the coordinator's effects are carried out with.
pub(super) struct World<'a> {
    pub(super) now: Moment,
    pub(super) wall: WallTime,
    pub(super) connections: &'a mut Connections,
    pub(super) journal: &'a mut Journal,
    pub(super) disk: &'a mut dyn Disk,
}

/// The coordinator and all that belongs to it.
pub(super) struct CoordinatorSide {
    pub(super) core: Coordinator,
    pub(super) log: Log,
    pub(super) snapshots: Snapshots,
    pub(super) totals: Totals,
    pub(super) facts: Facts,
    pub(super) trace_mask: i64,
    /// Clients may come in.
    pub(super) leads: bool,
    quota_warned_at: Option<Moment>,
    limit_warned_at: [Option<Moment>; Limit::ALL.len()],
    ahead_warned_at: Option<Moment>,
    halted: Option<Failure>,
}

impl CoordinatorSide {
    pub(super) fn new(core: Coordinator, log: Log, snapshots: Snapshots, facts: Facts) -> Self {
        CoordinatorSide {
            core,
            log,
            snapshots,
            totals: Totals::default(),
            facts,
            trace_mask: TRACE_MASK_DEFAULT,
            leads: false,
            quota_warned_at: None,
            limit_warned_at: Default::default(),
            ahead_warned_at: None,
            halted: None,
        }
    }

    /// Hands an event to the core and carries out what it wants.
    pub(super) fn handle(&mut self, event: Event, world: &mut World<'_>) {
        let mut effects = Vec::new();
        self.core.handle(world.now, event, &mut effects);
        for effect in effects {
            self.carry_out(effect, world);
        }
    }

    /// Takes what a client's connection has in, as far as the core takes it now.
    pub(super) fn take_requests(&mut self, id: ConnectionId, world: &mut World<'_>) {
        loop {
            let Some(machine) = zookeeper(world.connections, id) else {
                return;
            };
            let stalled = machine.session().is_some() && !self.core.accepts(id)
                || machine.is_congested()
                || machine.is_laden();
            if stalled {
                world.connections.stall(id);
                return;
            }
            match machine.next_received(world.now, &mut self.totals) {
                Ok(None) => return,
                Ok(Some(Received::Request { xid, request })) => {
                    let wall = world.wall;
                    self.handle(
                        Event::Request {
                            connection: id,
                            xid,
                            wall,
                            request,
                        },
                        world,
                    );
                }
                Ok(Some(Received::Connect(request))) => {
                    let wall = world.wall;
                    self.handle(
                        Event::Connect {
                            connection: id,
                            wall,
                            request,
                        },
                        world,
                    );
                }
                Ok(Some(Received::Word { word, mask })) => {
                    words::answer(self, id, word, mask, world);
                }
                Ok(Some(Received::WordNotAllowed(word))) => {
                    words::refuse(self, id, word, world);
                }
                Err(violation) => {
                    self.forget(id, &violation, world);
                    return;
                }
            }
        }
    }

    /// Begins a snapshot where it is time for one or the journal needs one that holds `needed_to`, and adds to the one under
    /// way.
    pub(super) fn snapshot(&mut self, needed_to: u64, world: &mut World<'_>) {
        // A server that was killed between a snapshot and the word of it to the journal has that still to say.
        let (newest, applied) = (self.snapshots.newest(), self.log.applied_index());
        if needed_to > self.log.marker_index() && (needed_to..=applied).contains(&newest) {
            self.log.release(newest, world.journal);
        }
        self.snapshots
            .consider(world.now, applied, needed_to, &mut self.core, world.disk);
        self.snapshots.step(&mut self.core, world.disk);
    }

    /// Takes a completion of a snapshot.
    pub(super) fn snapshot_completed(&mut self, completion: Completion, world: &mut World<'_>) {
        let done = self
            .snapshots
            .complete(world.now, completion, &mut self.core, world.disk);
        if let Some(index) = done {
            self.log.release(index, world.journal);
        }
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, world: &mut World<'_>) {
        if self.core.deadline().is_some_and(|at| at <= world.now) {
            self.handle(Event::Tick, world);
        }
    }

    /// When a turn is wanted although nothing happened.
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.snapshots.is_hungry() {
            return Some(Moment::START);
        }
        self.core.deadline()
    }

    /// Closes the turn: what the core proposed goes to the log, and what is committed comes back. Returns
    /// whether anything came.
    ///
    /// # Errors
    /// The log holds what this version does not understand.
    pub(super) fn turn(&mut self, world: &mut World<'_>) -> Result<bool, Failure> {
        let mut news = Vec::new();
        self.log.turn(world.journal, &mut news)?;
        let any = !news.is_empty();
        for piece in news {
            match piece {
                News::Command { index, data } => {
                    self.snapshots.applied(data.len());
                    self.handle(Event::Committed { index, data }, world);
                }
                News::EntryEnd { index } => self.log.applied(index),
                News::Led { term } => {
                    info!(term, "the coordinator serves");
                    self.leads = true;
                    self.handle(Event::Led { term }, world);
                }
                News::Deposed => {
                    self.leads = false;
                    self.handle(Event::Deposed, world);
                }
            }
        }
        match self.halted.take() {
            Some(failure) => Err(failure),
            None => Ok(any),
        }
    }

    fn carry_out(&mut self, effect: Effect, world: &mut World<'_>) {
        match effect {
            Effect::Propose(command) => self.log.propose(command),
            Effect::ConnectReply { connection, reply } => {
                let zxid = self.core.status().zxid;
                if let Some(machine) = zookeeper(world.connections, connection) {
                    machine.connect_reply(world.now, &mut self.totals, zxid, &reply);
                    // What was read behind the handshake may be taken now.
                    world.connections.stall(connection);
                    world.connections.mark_dirty(connection);
                }
            }
            Effect::Reply {
                connection,
                xid,
                zxid,
                result,
            } => {
                if let Some(machine) = zookeeper(world.connections, connection) {
                    let replied = machine.reply(world.now, &mut self.totals, xid, zxid, &result);
                    world.connections.mark_dirty(connection);
                    self.or_forget(connection, replied, world);
                }
            }
            Effect::Notify { connection, event } => {
                if let Some(machine) = zookeeper(world.connections, connection) {
                    let notified = machine.notify(&mut self.totals, &event);
                    world.connections.mark_dirty(connection);
                    self.or_forget(connection, notified, world);
                }
            }
            Effect::Close { connection, reason } => {
                if let CloseReason::TooManyWatches
                | CloseReason::TooManySessions
                | CloseReason::AskedTooMuch = reason
                {
                    world.connections.dropped(connection, Dropped::Limit);
                }
                if reason != CloseReason::SessionClosed {
                    debug!(connection = connection.0, %reason, "coordinator closes a connection");
                }
                let machine = zookeeper(world.connections, connection);
                let address = machine.map(|machine| {
                    machine.close(world.now);
                    machine.peer()
                });
                if let (CloseReason::ClientAhead { seen, applied }, Some(address)) =
                    (reason, address)
                    && is_due(&mut self.ahead_warned_at, world.now)
                {
                    warn!(%address, %seen, %applied, "{CLIENT_AHEAD}");
                }
                world.connections.close(connection);
            }
            Effect::ReadIndex { round } => {
                // Alone in its group: all that is committed is applied.
                let index = self.log.applied_index();
                self.handle(Event::ReadIndex { round, index }, world);
            }
            Effect::QuotaExceeded(exceeded) => {
                if is_due(&mut self.quota_warned_at, world.now) {
                    let path = String::from_utf8_lossy(&exceeded.path).into_owned();
                    let (what, used, limit) = (exceeded.what, exceeded.used, exceeded.limit);
                    warn!(path, ?what, used, limit, "a quota is exceeded");
                }
            }
            Effect::LimitReached { limit, address } => {
                if is_due(&mut self.limit_warned_at[limit as usize], world.now) {
                    let (what, key) = explain(limit);
                    warn!(%address, raise = key, "{what}");
                }
            }
            Effect::Halt {
                index,
                newer,
                reason,
            } => {
                let reason = format!("entry {index} of the coordinator's group: {reason}");
                self.halted = Some(Failure::halted(newer, reason, world.journal));
            }
        }
    }

    fn or_forget(
        &mut self,
        id: ConnectionId,
        result: Result<(), Violation>,
        world: &mut World<'_>,
    ) {
        if let Err(violation) = result {
            self.forget(id, &violation, world);
        }
    }

    /// Ends a connection that broke the protocol, without a word to it.
    fn forget(&mut self, id: ConnectionId, violation: &Violation, world: &mut World<'_>) {
        debug!(connection = id.0, %violation, "connection closed");
        world.connections.dropped(
            id,
            match violation {
                Violation::Unread(_) => Dropped::Memory,
                _ => Dropped::Protocol,
            },
        );
        if let Some(machine) = zookeeper(world.connections, id) {
            machine.close(world.now);
        }
        world.connections.close(id);
        self.handle(Event::Disconnected { connection: id }, world);
    }
}

/// Whether a warning that was given last at `last` is due; takes note that it is given now.
fn is_due(last: &mut Option<Moment>, now: Moment) -> bool {
    let due = last.is_none_or(|at| at + WARNING_EVERY <= now);
    if due {
        *last = Some(now);
    }
    due
}

/// What an operator is told of a limit that a client ran into, and the key that raises it.
fn explain(limit: Limit) -> (&'static str, &'static str) {
    match limit {
        Limit::WatchesOfConnection => (
            "a watch is refused: the watches of this connection take too much memory",
            "coordinator.watch_bytes_per_connection_max",
        ),
        Limit::Watches => (
            "connection closed: all watches together take too much memory, and it has most of them",
            "coordinator.watch_bytes_max",
        ),
        Limit::Sessions => (
            "a new session is refused: there are as many as there may be",
            "coordinator.sessions_max",
        ),
        Limit::SessionsOfAddress => (
            "a new session is refused: this address has as many as it may have",
            "coordinator.sessions_per_address_max",
        ),
        Limit::Tree => (
            "a write is refused: the znodes take too much memory, so nothing can be added until some are deleted",
            "coordinator.tree_bytes_max",
        ),
    }
}

/// The ZooKeeper machine of a connection.
pub(super) fn zookeeper(
    connections: &mut Connections,
    id: ConnectionId,
) -> Option<&mut ZookeeperConnection> {
    match &mut connections.get(id)?.protocol {
        Protocol::Zookeeper(machine) => Some(machine),
        Protocol::Metaq(_) => None,
    }
}
