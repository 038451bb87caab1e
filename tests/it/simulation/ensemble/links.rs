//! The connections between the servers: how they are made, carried and cut.

use bytes::{Bytes, BytesMut};
use chrysalis::consensus::founding::Hello;
use chrysalis::consensus::message::Body;
use chrysalis::node::{Event, Port};
use chrysalis::units::ConnectionId;
use chrysalis::wire::peer::{self, Frame, frame};

use super::pipe::Pipe;
use super::server::Written;
use super::world::{MS, SECOND, SERVERS, World};

/// As long as the real ones wait before they connect again.
const REDIAL: u64 = 200 * MS;
/// After so long without a confirmation the kernel ends a connection.
pub(super) const UNCONFIRMED: u64 = 5 * SECOND;

/// One end of a connection between two servers.
pub(super) struct LinkEnd {
    pub(super) server: usize,
    pub(super) connection: ConnectionId,
    pub(super) is_open: bool,
    /// When this end learns that the other one is gone.
    pub(super) closes_at: Option<u64>,
    /// What this end sends.
    pub(super) sent: Pipe,
    /// The same, as far as it is not taken apart yet.
    tap: BytesMut,
}

impl LinkEnd {
    fn new(server: usize, connection: ConnectionId) -> LinkEnd {
        LinkEnd {
            server,
            connection,
            is_open: true,
            closes_at: None,
            sent: Pipe::default(),
            tap: BytesMut::new(),
        }
    }

    /// It learns then, if not before.
    fn close_at(&mut self, at: u64) {
        self.closes_at = Some(self.closes_at.map_or(at, |known| known.min(at)));
    }
}

/// A connection. The first end made it: its server has the lower number.
pub(super) struct Link {
    pub(super) ends: [LinkEnd; 2],
}

impl Link {
    /// Whether both ends are open and know of nothing else.
    pub(super) fn is_whole(&self) -> bool {
        let mut ends = self.ends.iter();
        ends.all(|end| end.is_open && end.closes_at.is_none())
    }
}

impl World {
    /// When something is due between servers.
    pub(super) fn links_due_at(&self) -> u64 {
        let mut due = u64::MAX;
        for link in &self.links {
            for side in 0..2 {
                let (from, to) = (&link.ends[side], &link.ends[1 - side]);
                let awake_at = self.servers[to.server].paused_until;
                if !to.is_open {
                    continue;
                }
                if let Some(at) = from.sent.due_at() {
                    let free_at = self.blocked[from.server][to.server];
                    due = due.min(at.max(awake_at).max(free_at));
                }
                if let Some(at) = to.closes_at {
                    due = due.min(at.max(awake_at));
                }
            }
        }
        self.dial_at.values().copied().fold(due, std::cmp::min)
    }

    pub(super) fn links_step(&mut self) {
        for number in 0..self.links.len() {
            for side in 0..2 {
                self.carry(number, side);
            }
            for side in 0..2 {
                let end = &self.links[number].ends[side];
                let awake = self.servers[end.server].is_awake(self.now);
                if end.is_open && awake && end.closes_at.is_some_and(|at| at <= self.now) {
                    self.end_closes(number, side);
                }
            }
        }
        let gone = |link: &Link| link.ends.iter().all(|end| !end.is_open);
        self.links.retain(|link| !gone(link));
        let due = self.dial_at.iter().filter(|(_, at)| **at <= self.now);
        let due: Vec<(usize, usize)> = due.map(|(pair, _)| *pair).collect();
        for (low, high) in due {
            self.dial(low, high);
        }
    }

    /// Brings to the other side what this one has sent, if it is there by now.
    fn carry(&mut self, number: usize, side: usize) {
        let now = self.now;
        let cut = match self.random.below(12) {
            0 => usize::try_from(1 + self.random.below(600)).expect("small"),
            _ => usize::MAX,
        };
        let [first, second] = &mut self.links[number].ends;
        let (from, to) = match side {
            0 => (first, second),
            _ => (second, first),
        };
        let receiver = &mut self.servers[to.server];
        let due = from.sent.due_at().is_some_and(|at| at <= now);
        let blocked = self.blocked[from.server][to.server] > now;
        if !due || blocked || !to.is_open || !receiver.is_awake(now) {
            return;
        }
        match receiver.reads(to.connection) {
            None => {
                from.sent.clear();
                self.end_closes(number, 1 - side);
            }
            Some(0) => from.sent.stall(now + MS),
            Some(most) => {
                let bytes = from.sent.take(most.min(cut)).expect("it is due");
                receiver.receive(now, to.connection, &bytes);
                if from.is_open {
                    let sender = &mut self.servers[from.server];
                    sender.dirty.insert(from.connection);
                    sender.wake_at = sender.wake_at.min(now + 20);
                }
                self.note_number(bytes.len() as u64);
            }
        }
    }

    /// A server's end of a connection is over; the other end will learn of it.
    fn end_closes(&mut self, number: usize, side: usize) {
        let now = self.now;
        let late = 50 + self.random.below(3 * MS);
        let link = &mut self.links[number];
        let at = link.ends[side].sent.last_at().max(now + late);
        let end = &mut link.ends[side];
        end.is_open = false;
        let (server, connection) = (end.server, end.connection);
        let other = &mut link.ends[1 - side];
        if other.is_open && other.closes_at.is_none() {
            other.close_at(at);
        }
        let other = other.server;
        self.servers[server].handle(now, Event::Disconnected { connection });
        if side == 0 {
            self.dial_at.insert((server, other), now + REDIAL);
        }
    }

    /// Makes a connection, if that is possible now.
    fn dial(&mut self, low: usize, high: usize) {
        let now = self.now;
        let there = self.servers[low].is_awake(now) && self.servers[high].is_awake(now);
        let blocked = self.blocked[low][high].max(self.blocked[high][low]) > now;
        if !there || blocked {
            let pause = REDIAL + self.random.below(20 * MS);
            self.dial_at.insert((low, high), now + pause);
            return;
        }
        self.dial_at.remove(&(low, high));
        let end = |server: usize, world: &mut World| {
            let connection = world.servers[server].connect(now, Port::Peers, 100);
            LinkEnd::new(server, connection)
        };
        let ends = [end(low, self), end(high, self)];
        self.links.push(Link { ends });
        self.note(&format!("{low} and {high} are connected"));
    }

    /// Cuts a connection: both ends learn of it, one of them perhaps much later.
    pub(super) fn cut_link(&mut self, number: usize) {
        let slow = self.random.below(4);
        let lost = self.random.below(2) == 0;
        for side in 0..2 {
            let late = match slow == side {
                true => self.random.below(6 * SECOND),
                false => self.random.below(20 * MS),
            };
            let end = &mut self.links[number].ends[usize::try_from(side).expect("small")];
            end.close_at(self.now + late);
            if lost {
                end.sent.clear();
            }
        }
        self.tally.add("links cut", 1);
    }

    /// A server's process is gone: its ends are, and the others learn of it.
    pub(super) fn lose_ends(&mut self, server: usize, silently: bool) {
        for number in 0..self.links.len() {
            let late = match silently {
                true => self.random.below(UNCONFIRMED),
                false => self.random.below(2 * MS),
            };
            let now = self.now;
            for side in 0..2 {
                let ends = &mut self.links[number].ends;
                if ends[side].server == server && ends[side].is_open {
                    ends[side].is_open = false;
                    ends[1 - side].close_at(now + late);
                }
            }
        }
        self.dial_at.retain(|(low, _), _| *low != server);
    }

    /// What a server has for its connections goes out.
    pub(super) fn write_out(&mut self, server: usize) {
        let dirty = std::mem::take(&mut self.servers[server].dirty);
        for connection in dirty {
            let link = self.links.iter().position(|link| {
                let mut ends = link.ends.iter();
                ends.any(|end| end.is_open && end.server == server && end.connection == connection)
            });
            match link {
                Some(number) => self.write_link(number, server, connection),
                None => self.write_client(server, connection),
            }
        }
    }

    fn write_link(&mut self, number: usize, server: usize, connection: ConnectionId) {
        let now = self.now;
        let side = usize::from(self.links[number].ends[0].server != server);
        let is_whole = self.links[number].is_whole();
        let end = &mut self.links[number].ends[side];
        // What is on its way keeps what follows from overtaking it: where much is sent, delays must not add up.
        let delay = match self.random.below(40) {
            0 if end.sent.due_at().is_none() => self.random.below(40 * MS),
            _ => 50 + self.random.below(MS),
        };
        let written = self.servers[server].write(connection, end.sent.room());
        let (bytes, is_over) = match written {
            Written::Open(bytes) => (bytes, false),
            Written::Over(bytes) => (bytes, true),
        };
        if !bytes.is_empty() {
            end.tap.extend_from_slice(&bytes);
            if is_whole {
                end.sent.put(now + delay, bytes);
            }
            // There is room for what waits behind what is urgent.
            self.servers[server].wake_at = self.servers[server].wake_at.min(now + 20);
        }
        self.overhear(number, side);
        if is_over {
            self.end_closes(number, side);
        }
    }

    fn write_client(&mut self, server: usize, connection: ConnectionId) {
        let now = self.now;
        let delay = 50 + self.random.below(MS);
        let life = self.servers[server].life;
        let client = self.clients.iter_mut().find_map(|client| {
            let stream = client.stream.as_mut();
            stream.filter(|it| it.server == server && it.connection == connection)
        });
        let client = client.filter(|stream| stream.life == life);
        let written = self.servers[server].write(connection, usize::MAX);
        let (bytes, is_over) = match written {
            Written::Open(bytes) => (bytes, false),
            Written::Over(bytes) => (bytes, true),
        };
        if let Some(stream) = client {
            if !bytes.is_empty() {
                stream.down.put(now + delay, bytes);
            }
            if is_over {
                let at = stream.down.last_at().max(now + delay);
                stream.closes_at.get_or_insert(at);
            }
        } else {
            self.tell_visitor(server, connection, &bytes, is_over);
        }
        if is_over {
            self.servers[server].handle(now, Event::Disconnected { connection });
        }
    }

    /// Bytes get into a connection as if its one end had sent them to the other. Nothing else may be on its way.
    pub(super) fn inject(&mut self, from: usize, to: usize, bytes: Bytes) {
        let pair = [from.min(to), from.max(to)];
        let is_it = |link: &&mut Link| {
            link.is_whole() && link.ends.each_ref().map(|end| end.server) == pair
        };
        let link = self.links.iter_mut().find(is_it);
        let link = link.expect("the two are connected");
        let side = usize::from(from > to);
        link.ends[side].sent.put(self.now, bytes);
    }

    /// Takes note of what one server says to another.
    fn overhear(&mut self, number: usize, side: usize) {
        let end = &mut self.links[number].ends[side];
        let server = end.server;
        let mut bodies: Vec<Bytes> = Vec::new();
        while let Some(body) = frame::decode(&mut end.tap, 64 << 20).expect("a frame of ours") {
            bodies.push(body);
        }
        for body in bodies {
            match peer::decode(&body).expect("a frame of ours") {
                Frame::Hello(hello) => self.says(server, *hello),
                Frame::NotProposed(_) => self.note("a command is not proposed"),
                Frame::Messages(messages) => {
                    for (_, message) in messages {
                        match message.body {
                            Body::Append { .. } | Body::Heartbeat { .. } => {
                                self.leads(server, message.term);
                            }
                            Body::Snapshot(_) => {
                                self.leads(server, message.term);
                                self.tally.add("snapshots sent", 1);
                            }
                            Body::TimeoutNow => self.tally.add("leads handed over", 1),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn says(&mut self, server: usize, hello: Hello) {
        let known = self.said[server].as_ref().map(|it| &it.members);
        if let Some(members) = hello
            .members
            .as_ref()
            .filter(|_| known != Some(&hello.members))
        {
            let joint = usize::from(!members.outgoing.is_empty());
            self.tally.add("joint changes told", joint);
            let two = members.outgoing.is_empty() && members.voters.len() < SERVERS;
            self.tally.add("members fewer", usize::from(two));
            let gives = members.outgoing.iter().any(|it| members.gives_vote(*it));
            self.tally.add("moves told", usize::from(gives));
        }
        self.said[server] = Some(hello);
    }

    fn leads(&mut self, server: usize, term: u64) {
        if let Some((other, _)) = self.leaders.get(&term) {
            assert_eq!(*other, server, "two lead term {term}");
        } else {
            self.leaders.insert(term, (server, self.now));
            self.tally.add("leaders", 1);
            self.note(&format!("{server} leads term {term}"));
        }
    }
}
