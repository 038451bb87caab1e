//! The coordinator within the node: its core, its replica and its snapshots, and what each of the core's
//! effects becomes.
//!
//! A write's way through here: request → core → `Propose` → replica → journal → `Command` → core → `Notify`,
//! `Reply` → the connections' outputs. A read is answered by the core at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::connections::Dropped;
use super::replica::{News, Replica};
use super::{Failure, World};
use crate::consensus::Marker;
use crate::coordinator::{CloseReason, ConnectRequest, Coordinator, Effect, Event, Limit};
use crate::disk::Completion;
use crate::net::codec::Codec as _;
use crate::net::zookeeper_connection::{Received, Totals, Violation};
use crate::report::throttle::Throttle;
use crate::units::{ConnectionId, Moment, Seed};
use crate::wire::zookeeper::four_letter::TRACE_MASK_DEFAULT;

// Whether all servers hold the same.
mod comparison;
// What it says to other servers, and hears from them.
mod ensemble;
// Four-letter words.
pub(crate) mod four_letter;
// A vote that moves.
mod moving;
// The ensemble as this server sees it.
mod picture;
// What is served while nobody leads.
mod read_only;
// A snapshot that comes from another server.
pub(crate) mod receiving;
// Snapshots that go to other servers.
mod sending;
// Its snapshots on the disk.
pub(crate) mod snapshots;

use comparison::Comparison;
use ensemble::Ensemble;
pub(crate) use ensemble::Leaderless;
use four_letter::Facts;
use receiving::Receiving;
use sending::Sendings;
use snapshots::Snapshots;

/// A warning about quotas, or about the same limit, is not repeated for this long.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// How long a client that came while nothing can be served waits for that to change. The original closes at once, and a
/// client that knows no other server comes again as often as it can.
const EARLY_PATIENCE: Duration = Duration::from_millis(300);

/// What an operator is told where the data was replaced under a client, once an address.
const CLIENT_AHEAD: &str = "a client is turned away: it has seen a later zxid than this server's data has. If the data \
     was replaced by an older one or a new one, restart the clients of this address";

/// So many addresses are remembered of which that was told.
const AHEAD_TOLD_MAX: usize = 1024;

/// The file in the folder of snapshots that says that this server has forgotten what it promised: it is to be a new member
/// from the next start on.
pub(crate) const FORGOT: &str = "forgot";

/// The coordinator and all that belongs to it.
pub(crate) struct CoordinatorSide {
    pub(super) core: Coordinator,
    pub(super) replica: Replica,
    pub(super) snapshots: Snapshots,
    sendings: Sendings,
    receiving: Receiving,
    /// The snapshot of another server that took the place of everything last, while the journal may not know of it.
    installed: Option<u64>,
    ensemble: Ensemble,
    comparison: Comparison,
    /// Clients that came while nothing could be served.
    early: BTreeMap<ConnectionId, ConnectRequest>,
    /// Until when each may wait for that, in order; some may be gone.
    early_until: VecDeque<(Moment, ConnectionId)>,
    pub(super) totals: Totals,
    pub(super) facts: Facts,
    pub(super) trace_mask: i64,
    /// What is to be looked at: also what follows at once from carrying out an effect, behind all effects before it.
    events: VecDeque<Event>,
    quota_warned: Throttle,
    limit_warned: [Throttle; Limit::ALL.len()],
    /// Addresses of which it was told that a client there has seen a later zxid.
    ahead_told: BTreeSet<IpAddr>,
    halted: Option<Failure>,
    /// A file that is to go when the journal knows what took the place of everything.
    until_known: Option<PathBuf>,
    /// A new history is to begin: see [`CoordinatorSide::renew_history`].
    history: Option<PathBuf>,
}

impl CoordinatorSide {
    pub(crate) fn new(
        core: Coordinator,
        replica: Replica,
        snapshots: Snapshots,
        place: Option<Marker>,
        facts: Facts,
        leaderless: Leaderless,
        seed: Seed,
    ) -> Self {
        let received = snapshots.received();
        let mut side = CoordinatorSide {
            core,
            replica,
            sendings: Sendings::default(),
            receiving: Receiving::new(snapshots.folder().to_path_buf(), received, seed),
            installed: received,
            ensemble: Ensemble::new(leaderless, seed),
            comparison: Comparison::default(),
            snapshots,
            early: BTreeMap::new(),
            early_until: VecDeque::new(),
            totals: Totals::default(),
            facts,
            trace_mask: TRACE_MASK_DEFAULT,
            events: VecDeque::new(),
            quota_warned: Throttle::new(WARNING_EVERY),
            limit_warned: [Throttle::new(WARNING_EVERY); Limit::ALL.len()],
            ahead_told: BTreeSet::new(),
            halted: None,
            until_known: None,
            history: None,
        };
        side.pass_over_founding();
        let (applied, digest) = (side.core.status().applied, side.core.digest());
        side.comparison.begin(applied, digest);
        // Its own head says the members as of it: of the log only a part is applied yet.
        if let (Some(place), Some(group)) = (place, side.replica.member_mut()) {
            group.offer_snapshot(place);
        }
        side
    }

    /// Removes a file when the journal knows what took the place of everything.
    pub(crate) fn remove_when_known(&mut self, path: PathBuf) {
        self.until_known = Some(path);
    }

    /// Hands an event to the core and carries out what it wants, in order, before anything else is looked at.
    pub(super) fn handle(&mut self, event: Event, world: &mut World) {
        self.events.push_back(event);
        self.look(world);
    }

    fn look(&mut self, world: &mut World) {
        let mut effects = Vec::new();
        while let Some(event) = self.events.pop_front() {
            self.core.handle(world.now, event, &mut effects);
            for effect in effects.drain(..) {
                self.carry_out(effect, world);
            }
        }
    }

    /// Takes what a client's connection has in, as far as the core takes it now.
    pub(super) fn take_requests(&mut self, id: ConnectionId, world: &mut World) {
        loop {
            let Some(client) = world.connections.zookeeper(id) else {
                return;
            };
            let has_session = client.session().is_some();
            let waits = has_session && !self.serves() && !self.core.is_read_only_client(id);
            if waits || self.early.contains_key(&id) {
                world.connections.park(id);
                return;
            }
            let stalled =
                has_session && !self.core.accepts(id) || client.is_congested() || client.is_laden();
            if stalled {
                world.connections.stall(id);
                return;
            }
            match client.next_received(world.now, &mut self.totals) {
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
                Ok(Some(Received::Connect(request))) if !self.lets_in(&request) => {
                    self.early.insert(id, request);
                    self.early_until.push_back((world.now + EARLY_PATIENCE, id));
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
                    four_letter::answer(self, id, word, mask, world);
                }
                Ok(Some(Received::WordNotAllowed(word))) => {
                    four_letter::refuse(self, id, word, world);
                }
                Err(violation) => {
                    self.forget(id, &violation, world);
                    return self.look(world);
                }
            }
        }
    }

    /// Begins a snapshot where it is time for one or the journal needs one that holds `needed_to`, and adds to the one under
    /// way.
    pub(super) fn snapshot(&mut self, needed_to: u64, world: &mut World) {
        let applied = self.replica.applied_index();
        self.release_newest(needed_to > 0, world);
        let wanted = std::mem::take(&mut self.ensemble.snapshot_wanted);
        // One that another server waits for holds all there is.
        let needed_to = match wanted {
            true => needed_to.max(applied),
            false => needed_to,
        };
        // Of a state that is to be replaced nobody wants one.
        if !self.comparison.is_replaced() {
            self.snapshots.consider(
                world.now,
                applied,
                needed_to,
                |index| self.replica.place(index),
                &mut self.core,
                world.disk.as_mut(),
            );
        }
        self.snapshots.step(&mut self.core, world.disk.as_mut());
        self.send_parts(world);
    }

    /// Takes a completion of a snapshot.
    pub(super) fn snapshot_completed(&mut self, completion: Completion, world: &mut World) {
        let done =
            self.snapshots
                .complete(world.now, completion, &mut self.core, world.disk.as_mut());
        if done {
            self.offer_newest();
        }
    }

    /// Whether clients may come in: some server leads, and all that was acknowledged before this one started is applied.
    pub(super) fn serves(&self) -> bool {
        let is_whole = !self.comparison.is_replaced() && !self.ensemble.parked;
        self.replica.is_caught_up() && self.replica.has_leader() && is_whole
    }

    /// Something happens, perhaps for the first time in long.
    pub(super) fn wake(&mut self, now: Moment) {
        self.replica.wake(now);
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, world: &mut World) {
        self.tick_ensemble(world);
        self.tick_comparison(world);
        self.look_after_early(world);
        if self.core.deadline().is_some_and(|at| at <= world.now) {
            self.handle(Event::Tick, world);
        }
    }

    /// When a turn is wanted although nothing happened.
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.snapshots.is_hungry() {
            return Some(Moment::START);
        }
        let early = self.early_until.front().map(|(until, _)| *until);
        let rest = [
            self.replica.deadline(),
            early,
            self.comparison.deadline(),
            self.ensemble.deadline(self.replica.role()),
        ];
        let core = self.core.deadline().into_iter();
        core.chain(rest.into_iter().flatten()).min()
    }

    /// Closes the turn: what the core proposed goes to the log, and what is committed comes back. Returns
    /// whether anything came.
    ///
    /// # Errors
    /// The log holds what this version does not understand.
    pub(super) fn turn(&mut self, world: &mut World) -> Result<bool, Failure> {
        let mut news = Vec::new();
        self.replica.turn(&mut world.journal, &mut news)?;
        self.end_read_only_if_led(world);
        let any = !news.is_empty();
        for piece in news {
            if let News::Deposed = piece {
                self.end_sendings(world);
            }
            if let Some(piece) = self.comparison.hold(piece) {
                self.take_news(piece, world);
            }
        }
        let is_known = self.replica.is_installed(&world.journal);
        if let Some(index) = self.installed.take_if(|_| is_known) {
            self.receiving.unmark(index, world.disk.as_mut());
        }
        if let Some(path) = self.until_known.take_if(|_| is_known) {
            self.snapshots.remove(path, world.disk.as_mut());
        }
        self.note_leader(world);
        for index in self.receiving.pass_over() {
            self.snapshots.discard(index);
        }
        self.replace_state(world);
        self.tell_of_members(world);
        match self.halted.take() {
            Some(failure) => Err(failure),
            None => Ok(any),
        }
    }

    fn take_news(&mut self, piece: News, world: &mut World) {
        match piece {
            News::Command { index, data } => {
                self.snapshots.applied(data.len());
                self.handle(Event::Committed { index, data }, world);
            }
            News::EntryEnd { index } => {
                self.replica.applied(index);
                self.handle(Event::EntryEnd { index }, world);
                self.note_digest(index, world);
            }
            News::Led { term } => {
                info!(term, "the coordinator serves");
                self.handle(Event::Led { term }, world);
                if self.history.is_some() {
                    self.handle(Event::NewHistory, world);
                }
            }
            News::Deposed => self.handle(Event::Deposed, world),
            News::Follows => self.handle(Event::Follows, world),
            News::Forward { leader, commands } => self.forward(leader, commands, world),
            News::Send(message) => self.send(message, world),
            News::ReadAt { question, index } => self.read_at(question, index, world),
            News::SnapshotWanted => self.ensemble.snapshot_wanted = true,
            News::Forgot { acknowledged, last } => self.forgot(acknowledged, last, world),
            News::Installed(marker) => {
                let received = self.receiving.take(marker.index);
                let received = received.expect("a snapshot is in place before the group is told");
                self.installed = Some(marker.index);
                self.install(received, world);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, world: &mut World) {
        match effect {
            Effect::Propose(command) => {
                if self.replica.proposes() {
                    self.ensemble.proposals.count(command.len());
                }
                self.replica.propose(command);
            }
            Effect::ConnectReply { connection, reply } => {
                let zxid = self.core.status().zxid;
                if let Some(client) = world.connections.zookeeper(connection) {
                    client.connect_reply(world.now, &mut self.totals, zxid, &reply);
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
                if let Some(client) = world.connections.zookeeper(connection) {
                    let replied = client.reply(world.now, &mut self.totals, xid, zxid, &result);
                    world.connections.mark_dirty(connection);
                    self.or_forget(connection, replied, world);
                }
            }
            Effect::Notify { connection, event } => {
                if let Some(client) = world.connections.zookeeper(connection) {
                    let notified = client.notify(&mut self.totals, &event);
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
                let client = world.connections.zookeeper(connection);
                let address = client.map(|client| {
                    client.close(world.now);
                    client.peer()
                });
                if let (CloseReason::ClientAhead { seen, applied }, Some(address)) =
                    (reason, address)
                    && !self.core.is_read_only()
                    && self.ahead_told.len() < AHEAD_TOLD_MAX
                    && self.ahead_told.insert(address.ip())
                {
                    warn!(%address, %seen, %applied, "{CLIENT_AHEAD}");
                }
                world.connections.close(connection);
            }
            Effect::ReadIndex { round } => self.ask_commit_index(round),
            Effect::Touch { round, sessions } => self.touch(round, sessions, world),
            Effect::QuotaExceeded(exceeded) => {
                if self.quota_warned.is_due(world.now) {
                    let path = String::from_utf8_lossy(&exceeded.path).into_owned();
                    let (what, used, limit) = (exceeded.what, exceeded.used, exceeded.limit);
                    warn!(path, ?what, used, limit, "a quota is exceeded");
                }
            }
            Effect::LimitReached { limit, address } => {
                if self.limit_warned[limit as usize].is_due(world.now) {
                    let (what, key) = explain(limit);
                    warn!(%address, raise = key, "{what}");
                }
            }
            Effect::NewHistory { zxid } => self.history_renewed(zxid, world),
            Effect::Halt {
                index,
                newer,
                reason,
            } => {
                let reason = format!("entry {index} of the coordinator's group: {reason}");
                self.halted = Some(Failure::halted(newer, reason, &world.journal));
            }
        }
    }

    fn or_forget(&mut self, id: ConnectionId, result: Result<(), Violation>, world: &mut World) {
        if let Err(violation) = result {
            self.forget(id, &violation, world);
        }
    }

    /// Ends a connection that broke the protocol, without a word to it. The core is told next.
    fn forget(&mut self, id: ConnectionId, violation: &Violation, world: &mut World) {
        debug!(connection = id.0, %violation, "connection closed");
        world.connections.dropped(
            id,
            match violation {
                Violation::Unread(_) => Dropped::Memory,
                _ => Dropped::Protocol,
            },
        );
        if let Some(client) = world.connections.zookeeper(id) {
            client.close(world.now);
        }
        world.connections.close(id);
        self.events
            .push_back(Event::Disconnected { connection: id });
    }
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
