//! The connections of both ports: their protocols' codecs, their output, and the memory they hold.
//!
//! What they hold together is bounded: when too much is held, those that hold more than their share are
//! not read from, and those with most unread answers are closed until it is little enough. Whoever has
//! nothing to do with it goes on. What takes too long closes its connection as well, so that what is held
//! for it comes back: a frame that does not become whole, a handshake, last bytes that are not taken.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::BytesMut;

// What is counted of a port.
mod traffic;

pub(super) use traffic::{Dropped, Traffic};

use super::hasher;
use crate::net::codec::Codec;
use crate::net::metaq_connection::MetaqConnection;
use crate::net::output::Output;
use crate::net::peer_connection::PeerConnection;
use crate::net::zookeeper_connection::ZookeeperConnection;
use crate::units::{ConnectionId, Moment};

/// Which of the server's ports a client came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// ZooKeeper's.
    Coordinator,
    /// MetaQ's.
    Broker,
    /// Other servers'.
    Peers,
}

impl Port {
    /// All of them.
    pub(super) const ALL: [Port; 3] = [Port::Coordinator, Port::Broker, Port::Peers];

    /// As metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Port::Coordinator => "coordinator",
            Port::Broker => "broker",
            Port::Peers => "peers",
        }
    }
}

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Unread answers of one connection in bytes; a client that has more and takes none is closed.
    pub connection_bytes_max: u64,
    /// The same, but closed at once.
    pub unread_bytes_max: u64,
    /// Memory of all together in bytes; beyond it the largest are not read from, and closed if their
    /// clients do not read.
    pub all_bytes_max: u64,
    /// How long a frame may take from its first byte to its last.
    pub frame_time_max: Duration,
    /// How long a MetaQ connection may be silent; the original closes after 300 s.
    pub metaq_silence_max: Duration,
}

/// A connection may hold this much even when memory is short, unless there are very many: enough for
/// heartbeats and small requests.
const FAIR_BYTES: u64 = 32 * 1024;
/// And this much however many there are.
const FAIR_BYTES_MIN: u64 = 8 * 1024;

/// A connection's protocol.
#[derive(Debug)]
pub(super) enum Protocol {
    /// A ZooKeeper client.
    Zookeeper(Box<ZookeeperConnection>),
    /// A MetaQ client.
    Metaq(Box<MetaqConnection>),
    /// Another server.
    Peer(Box<PeerConnection>),
}

impl Protocol {
    fn port(&self) -> Port {
        match self {
            Protocol::Zookeeper(_) => Port::Coordinator,
            Protocol::Metaq(_) => Port::Broker,
            Protocol::Peer(_) => Port::Peers,
        }
    }

    fn codec(&self) -> &dyn Codec {
        match self {
            Protocol::Zookeeper(codec) => codec.as_ref(),
            Protocol::Metaq(codec) => codec.as_ref(),
            Protocol::Peer(codec) => codec.as_ref(),
        }
    }

    fn codec_mut(&mut self) -> &mut dyn Codec {
        match self {
            Protocol::Zookeeper(codec) => codec.as_mut(),
            Protocol::Metaq(codec) => codec.as_mut(),
            Protocol::Peer(codec) => codec.as_mut(),
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
    /// Its codec's deadline, as noted in [`Connections::ends`].
    end: Option<Moment>,
    /// How much had been written when silence was last looked for.
    written_bytes: u64,
}

impl Connection {
    /// What waits to be written.
    pub fn output(&mut self) -> &mut Output {
        self.codec_mut().output()
    }

    /// The buffer to append received bytes to.
    pub fn room(&mut self) -> &mut BytesMut {
        self.codec_mut().room()
    }

    fn codec(&self) -> &dyn Codec {
        self.protocol.codec()
    }

    pub(super) fn codec_mut(&mut self) -> &mut dyn Codec {
        self.protocol.codec_mut()
    }

    /// Which port it came to.
    pub fn port(&self) -> Port {
        self.protocol.port()
    }

    /// Whether it is to be closed once its output is written.
    pub fn is_closing(&self) -> bool {
        self.closing
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
    /// Those whose input waits until clients are served: there may be thousands, and nothing to be done for any.
    parked: Vec<ConnectionId>,
    held_bytes: u64,
    /// Connections that held more than one may when last looked at.
    oversized: Vec<ConnectionId>,
    /// Incomplete frames, by the time they began.
    partial: BTreeSet<(Moment, ConnectionId)>,
    /// Connections that have a time by which they are closed, by that time.
    ends: BTreeSet<(Moment, ConnectionId)>,
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
            by_id: HashMap::with_hasher(hasher()),
            dirty: Vec::new(),
            stalled: Vec::new(),
            parked: Vec::new(),
            held_bytes: 0,
            oversized: Vec::new(),
            partial: BTreeSet::new(),
            ends: BTreeSet::new(),
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
            end: None,
            written_bytes: 0,
        };
        self.traffic_mut(connection.protocol.port()).accepted += 1;
        self.by_id.insert(id, connection);
        self.note_end(id);
    }

    /// Takes note of the time by which a connection is to be closed.
    fn note_end(&mut self, id: ConnectionId) {
        let Some(connection) = self.by_id.get_mut(&id) else {
            return;
        };
        let end = connection.codec().deadline();
        if end == connection.end {
            return;
        }
        if let Some(former) = std::mem::replace(&mut connection.end, end) {
            self.ends.remove(&(former, id));
        }
        self.ends.extend(end.map(|end| (end, id)));
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
        if let Some(end) = connection.end {
            self.ends.remove(&(end, id));
        }
        Some(connection)
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConnectionId, &Connection)> {
        self.by_id.iter()
    }

    /// All ZooKeeper clients.
    pub(super) fn zookeeper_clients(&mut self) -> impl Iterator<Item = &mut ZookeeperConnection> {
        self.by_id
            .values_mut()
            .filter_map(|connection| match &mut connection.protocol {
                Protocol::Zookeeper(client) => Some(client.as_mut()),
                Protocol::Metaq(_) | Protocol::Peer(_) => None,
            })
    }

    /// The ZooKeeper client of a connection.
    pub(super) fn zookeeper(&mut self, id: ConnectionId) -> Option<&mut ZookeeperConnection> {
        match &mut self.get(id)?.protocol {
            Protocol::Zookeeper(client) => Some(client),
            Protocol::Metaq(_) | Protocol::Peer(_) => None,
        }
    }

    /// The MetaQ client of a connection.
    pub(super) fn metaq(&mut self, id: ConnectionId) -> Option<&mut MetaqConnection> {
        match &mut self.get(id)?.protocol {
            Protocol::Metaq(client) => Some(client),
            Protocol::Zookeeper(_) | Protocol::Peer(_) => None,
        }
    }

    /// The other server of a connection.
    pub(super) fn peer(&mut self, id: ConnectionId) -> Option<&mut PeerConnection> {
        match &mut self.get(id)?.protocol {
            Protocol::Peer(peer) => Some(peer),
            Protocol::Zookeeper(_) | Protocol::Metaq(_) => None,
        }
    }

    /// The connections of a port, in order.
    pub(super) fn ids(&self, port: Port) -> Vec<ConnectionId> {
        let of_port = self.by_id.iter().filter(|(_, it)| it.port() == port);
        let mut ids: Vec<ConnectionId> = of_port.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
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
                if connection.output().piled_bytes() > self.limits.unread_bytes_max {
                    self.oversized.push(*id);
                }
            }
            self.measure(*id);
            self.note_end(*id);
        }
        dirty
    }

    /// Takes stock of what a connection holds.
    fn measure(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id) {
            let held = connection.codec().held_bytes();
            self.held_bytes = self.held_bytes - connection.held_bytes + held;
            connection.held_bytes = held;
        }
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

    /// Its input waits until clients are served ([`Connections::unpark`]).
    pub(super) fn park(&mut self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get_mut(&id)
            && !connection.stalled
        {
            connection.stalled = true;
            self.parked.push(id);
        }
    }

    /// Clients are served: what waited for that is taken up again.
    pub(super) fn unpark(&mut self) {
        self.stalled.append(&mut self.parked);
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
        self.measure(id);
        self.note_end(id);
        let Some(connection) = self.by_id.get_mut(&id) else {
            return;
        };
        if received {
            connection.active_at = now;
            // A large snapshot on a slow link ends no read at a frame's end for long.
            let is_peer = connection.port() == Port::Peers;
            let partial = !connection.stalled && !is_peer && connection.codec().is_amid_frame();
            match (connection.partial_since, partial) {
                (None, true) => {
                    connection.partial_since = Some(now);
                    self.partial.insert((now, id));
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
                && !connection.codec().is_congested()
                && (!self.is_full()
                    || connection.held_bytes <= self.fair_bytes()
                    || connection.port() == Port::Peers)
        })
    }

    /// What a connection may hold however much others do.
    fn fair_bytes(&self) -> u64 {
        let count = self.by_id.len().max(1) as u64;
        (self.limits.all_bytes_max / count).clamp(FAIR_BYTES_MIN, FAIR_BYTES)
    }

    /// The connections whose time is over: a frame that does not become whole, a handshake that does not come,
    /// last bytes that are not taken, a silence too long.
    pub(super) fn overdue(&mut self, now: Moment) -> Vec<(ConnectionId, Dropped)> {
        let mut overdue = Vec::new();
        for (since, id) in &self.partial {
            if *since + self.limits.frame_time_max > now {
                break;
            }
            overdue.push((*id, Dropped::Slow));
        }
        for (end, id) in &self.ends {
            if *end > now {
                break;
            }
            let closing = self.by_id.get(id).is_some_and(|known| known.closing);
            overdue.push(match closing {
                true => (*id, Dropped::Unread),
                false => (*id, Dropped::NoSession),
            });
        }
        if self.swept_at + SWEEP <= now {
            self.swept_at = now;
            self.sweep(now, &mut overdue);
        }
        overdue
    }

    fn sweep(&mut self, now: Moment, overdue: &mut Vec<(ConnectionId, Dropped)>) {
        for (id, connection) in &mut self.by_id {
            let output = connection.output();
            let (piled, written) = (output.piled_bytes(), output.written_bytes());
            let former = std::mem::replace(&mut connection.written_bytes, written);
            if piled > self.limits.connection_bytes_max
                && written == former
                && connection.port() != Port::Peers
            {
                overdue.push((*id, Dropped::Memory));
            } else if connection.port() == Port::Broker
                && connection.active_at + self.limits.metaq_silence_max <= now
            {
                overdue.push((*id, Dropped::Silent));
            }
        }
    }

    /// When [`Connections::overdue`] should be asked again.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let frame = self
            .partial
            .first()
            .map(|(at, _)| *at + self.limits.frame_time_max);
        let end = self.ends.first().map(|(at, _)| *at);
        let sweep = (!self.by_id.is_empty()).then_some(self.swept_at + SWEEP);
        [frame, end, sweep].into_iter().flatten().min()
    }

    /// The connections to close because of what they hold: those that let too much pile up; and, while memory
    /// is short, those with most unread answers until it is not. Those that only send wait.
    pub(super) fn hoarders(&mut self) -> Vec<ConnectionId> {
        let mut hoarders = std::mem::take(&mut self.oversized);
        if !self.is_full() {
            return hoarders;
        }
        let ids: Vec<ConnectionId> = self.by_id.keys().copied().collect();
        for id in ids {
            if let Some(connection) = self.by_id.get_mut(&id) {
                connection.codec_mut().shrink();
            }
            self.measure(id);
        }
        let fair = self.fair_bytes();
        let mut unread: Vec<(u64, ConnectionId)> = Vec::new();
        for (id, connection) in &mut self.by_id {
            if connection.port() != Port::Peers
                && connection.output().held_bytes() > fair
                && !hoarders.contains(id)
            {
                unread.push((connection.held_bytes, *id));
            }
        }
        unread.sort_unstable();
        let mut held = self.held_bytes;
        while held > self.limits.all_bytes_max
            && let Some((bytes, id)) = unread.pop()
        {
            held -= bytes;
            hoarders.push(id);
        }
        hoarders
    }
}
