//! The connections of both ports: their protocol machines, their output, and the memory they hold.
//!
//! What they hold together is bounded: when too much is held, those that hold most are not read from,
//! and a client that lets its replies pile up is closed. A frame that does not become whole in time
//! closes its connection as well, so that what is held for it comes back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::BytesMut;

use super::traffic::{Dropped, Traffic};
use crate::net::metaq_connection::MetaqConnection;
use crate::net::output::Output;
use crate::net::zookeeper_connection::ZookeeperConnection;
use crate::units::{ConnectionId, Moment};

/// Which of the server's ports a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// ZooKeeper's.
    Coordinator,
    /// MetaQ's.
    Broker,
}

impl Port {
    /// All of them.
    pub(super) const ALL: [Port; 2] = [Port::Coordinator, Port::Broker];

    /// As metrics name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Port::Coordinator => "coordinator",
            Port::Broker => "broker",
        }
    }
}

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Memory of one connection in bytes; beyond it the connection is closed.
    pub connection_bytes_max: u64,
    /// Memory of all together in bytes; beyond it the largest are not read from.
    pub all_bytes_max: u64,
    /// How long a frame may take from its first byte to its last.
    pub frame_time_max: Duration,
    /// How long a MetaQ connection may be silent; the original closes after 300 s.
    pub metaq_silence_max: Duration,
    /// How long a ZooKeeper connection may take to its handshake.
    pub handshake_time_max: Duration,
}

/// A connection may hold this much even when memory is short: enough for heartbeats and small requests.
const FAIR_BYTES: u64 = 32 * 1024;

/// A connection's protocol machine.
#[derive(Debug)]
pub(super) enum Protocol {
    /// A ZooKeeper client.
    Zookeeper(Box<ZookeeperConnection>),
    /// A MetaQ client.
    Metaq(Box<MetaqConnection>),
}

impl Protocol {
    fn port(&self) -> Port {
        match self {
            Protocol::Zookeeper(_) => Port::Coordinator,
            Protocol::Metaq(_) => Port::Broker,
        }
    }
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) protocol: Protocol,
    /// Nothing more is read; it ends when its output is written.
    closing: bool,
    dirty: bool,
    /// Input waits to be taken apart, because the output was too full.
    stalled: bool,
    held_bytes: u64,
    /// When something was last received or the connection began.
    active_at: Moment,
    /// Since when a frame is incomplete.
    partial_since: Option<Moment>,
}

impl Connection {
    /// What waits to be written.
    pub fn output(&mut self) -> &mut Output {
        match &mut self.protocol {
            Protocol::Zookeeper(machine) => machine.output(),
            Protocol::Metaq(machine) => machine.output(),
        }
    }

    /// The buffer to append received bytes to.
    pub fn room(&mut self) -> &mut BytesMut {
        match &mut self.protocol {
            Protocol::Zookeeper(machine) => machine.room(),
            Protocol::Metaq(machine) => machine.room(),
        }
    }

    /// Which port it came to.
    pub fn port(&self) -> Port {
        self.protocol.port()
    }

    /// Whether it is to be closed once its output is written.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    fn measure(&self) -> u64 {
        match &self.protocol {
            Protocol::Zookeeper(machine) => machine.held_bytes(),
            Protocol::Metaq(machine) => machine.held_bytes(),
        }
    }

    fn is_congested(&self) -> bool {
        match &self.protocol {
            Protocol::Zookeeper(machine) => machine.is_congested(),
            Protocol::Metaq(machine) => machine.is_congested(),
        }
    }

    fn is_amid_frame(&self) -> bool {
        match &self.protocol {
            Protocol::Zookeeper(machine) => machine.is_amid_frame(),
            Protocol::Metaq(machine) => machine.is_amid_frame(),
        }
    }
}

/// All connections of a server.
pub(super) struct Connections {
    limits: Limits,
    by_id: HashMap<ConnectionId, Connection, ahash::RandomState>,
    /// Connections whose output or state changed since the shell looked.
    dirty: Vec<ConnectionId>,
    /// Connections with input that waits to be taken apart.
    stalled: Vec<ConnectionId>,
    held_bytes: u64,
    /// Connections that held more than one may when last looked at.
    oversized: Vec<ConnectionId>,
    /// Incomplete frames, by the time they began; entries may be out of date.
    partial: BTreeMap<(Moment, ConnectionId), ()>,
    /// When silence was last looked for.
    swept_at: Moment,
    traffic: [Traffic; Port::ALL.len()],
}

/// How often silent connections are looked for.
const SWEEP: Duration = Duration::from_secs(30);

impl Connections {
    pub(super) fn new(limits: Limits) -> Connections {
        Connections {
            limits,
            // Fixed seeds: ids are ours, and a simulation must be repeatable.
            by_id: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            dirty: Vec::new(),
            stalled: Vec::new(),
            held_bytes: 0,
            oversized: Vec::new(),
            partial: BTreeMap::new(),
            swept_at: Moment::START,
            traffic: Default::default(),
        }
    }

    pub(super) fn insert(&mut self, id: ConnectionId, now: Moment, protocol: Protocol) {
        let connection = Connection {
            protocol,
            closing: false,
            dirty: false,
            stalled: false,
            held_bytes: 0,
            active_at: now,
            partial_since: None,
        };
        self.traffic_mut(connection.protocol.port()).accepted += 1;
        self.by_id.insert(id, connection);
    }

    /// What was counted of a port.
    pub(super) fn traffic(&self, port: Port) -> &Traffic {
        &self.traffic[port as usize]
    }

    /// The same, to count on.
    pub(super) fn traffic_mut(&mut self, port: Port) -> &mut Traffic {
        &mut self.traffic[port as usize]
    }

    /// Counts a connection that is closed for what its client did.
    pub(super) fn dropped(&mut self, id: ConnectionId, why: Dropped) {
        if let Some(port) = self.port(id) {
            self.traffic_mut(port).dropped[why as usize] += 1;
        }
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        self.held_bytes -= connection.held_bytes;
        if let Some(since) = connection.partial_since {
            self.partial.remove(&(since, id));
        }
        Some(connection)
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConnectionId, &Connection)> {
        self.by_id.iter()
    }

    /// The machines of all ZooKeeper clients.
    pub(super) fn zookeeper_machines(&mut self) -> impl Iterator<Item = &mut ZookeeperConnection> {
        self.by_id
            .values_mut()
            .filter_map(|connection| match &mut connection.protocol {
                Protocol::Zookeeper(machine) => Some(machine.as_mut()),
                Protocol::Metaq(_) => None,
            })
    }

    pub(super) fn count(&self, port: Port) -> usize {
        self.by_id
            .values()
            .filter(|connection| connection.protocol.port() == port)
            .count()
    }

    /// Bytes that all connections hold.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// The shell has to look at this connection.
    pub(super) fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(id);
        }
    }

    /// All connections the shell has to look at.
    pub(super) fn take_dirty(&mut self) -> Vec<ConnectionId> {
        let dirty = std::mem::take(&mut self.dirty);
        for id in &dirty {
            if let Some(connection) = self.by_id.get_mut(id) {
                connection.dirty = false;
                let held = connection.measure();
                self.held_bytes = self.held_bytes - connection.held_bytes + held;
                connection.held_bytes = held;
                if held > self.limits.connection_bytes_max {
                    self.oversized.push(*id);
                }
            }
        }
        dirty
    }

    /// The shell is to learn that the node has forgotten a connection.
    pub(super) fn mark_gone(&mut self, id: ConnectionId) {
        self.dirty.push(id);
    }

    /// Every connection is to be looked at: what kept them all from being read has changed.
    pub(super) fn wake_all(&mut self) {
        let ids: Vec<ConnectionId> = self.by_id.keys().copied().collect();
        for id in ids {
            self.mark_dirty(id);
        }
    }

    /// Which port it came to.
    pub(super) fn port(&self, id: ConnectionId) -> Option<Port> {
        self.by_id
            .get(&id)
            .map(|connection| connection.protocol.port())
    }

    /// Its input waits: nothing is read from it until it was taken up again.
    pub(super) fn stall(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id)
            && !connection.stalled
        {
            connection.stalled = true;
            self.stalled.push(id);
        }
    }

    /// The connections whose input waits; they count as not stalled any more.
    pub(super) fn take_stalled(&mut self) -> Vec<ConnectionId> {
        let stalled = std::mem::take(&mut self.stalled);
        for id in &stalled {
            if let Some(connection) = self.by_id.get_mut(id) {
                connection.stalled = false;
            }
        }
        stalled
    }

    /// Nothing more is read from it, and it ends when its output is written.
    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id) {
            connection.closing = true;
        }
        self.mark_dirty(id);
    }

    /// Takes stock of a connection after something came or went.
    pub(super) fn account(&mut self, id: ConnectionId, now: Moment, received: bool) {
        let Some(connection) = self.by_id.get_mut(&id) else {
            return;
        };
        let held = connection.measure();
        self.held_bytes = self.held_bytes - connection.held_bytes + held;
        connection.held_bytes = held;
        if received {
            connection.active_at = now;
            let partial = !connection.stalled && connection.is_amid_frame();
            match (connection.partial_since, partial) {
                (None, true) => {
                    connection.partial_since = Some(now);
                    self.partial.insert((now, id), ());
                }
                (Some(since), false) => {
                    connection.partial_since = None;
                    self.partial.remove(&(since, id));
                }
                _ => {}
            }
        }
    }

    /// Whether memory is short.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes > self.limits.all_bytes_max
    }

    /// Whether a connection may be read from, as far as memory is concerned.
    pub(super) fn reads(&self, id: ConnectionId) -> bool {
        self.by_id.get(&id).is_some_and(|connection| {
            !connection.closing
                && !connection.stalled
                && !connection.is_congested()
                && (!self.is_full() || connection.held_bytes <= FAIR_BYTES)
        })
    }

    /// The connections whose time is over: a frame that does not become whole, a silence too long.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(ConnectionId, Dropped)> {
        let mut overdue = Vec::new();
        for (since, id) in self.partial.keys() {
            if *since + self.limits.frame_time_max > now {
                break;
            }
            overdue.push((*id, Dropped::Slow));
        }
        if self.swept_at + SWEEP <= now {
            self.swept_at = now;
            for (id, connection) in &self.by_id {
                let (silence_max, why) = match &connection.protocol {
                    Protocol::Metaq(_) => (self.limits.metaq_silence_max, Dropped::Silent),
                    Protocol::Zookeeper(machine) if machine.session().is_some() => continue,
                    Protocol::Zookeeper(_) => (self.limits.handshake_time_max, Dropped::NoSession),
                };
                if connection.active_at + silence_max <= now {
                    overdue.push((*id, why));
                }
            }
        }
        overdue
    }

    /// When [`Connections::overdue`] should be asked again.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let frame = self
            .partial
            .keys()
            .next()
            .map(|(at, _)| *at + self.limits.frame_time_max);
        let sweep = (!self.by_id.is_empty()).then_some(self.swept_at + SWEEP);
        [frame, sweep].into_iter().flatten().min()
    }

    /// A connection that holds more than one may; or, while memory is short, the one that holds most of it. Those
    /// that only send wait; one whose replies pile up does so because its client does not read.
    pub(super) fn hoarder(&mut self) -> Option<ConnectionId> {
        if let Some(id) = self.oversized.pop() {
            return Some(id);
        }
        if !self.is_full() {
            return None;
        }
        self.by_id
            .iter()
            .filter(|(_, connection)| !connection.closing && connection.is_congested())
            .max_by_key(|(id, connection)| (connection.held_bytes, **id))
            .map(|(id, _)| *id)
    }
}
