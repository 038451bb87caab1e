//! Three servers, what lies between them, and who uses them.

use std::collections::{BTreeMap, BTreeSet};

use chrysalis::consensus::founding::Hello;
use chrysalis::node::{EnsembleWish, Event, Node};
use chrysalis::units::feature::Levels;
use chrysalis::units::{ConnectionId, Random, Seed};

use super::clients::{Client, Memory};
use super::links::Link;
use super::server::{End, Ended, NotStarted, Server};
use super::visitors::Visitor;
use crate::harness::tally::Tally;

/// Times are in microseconds since the simulation began.
pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// Servers that vote.
pub(super) const SERVERS: usize = 3;
/// Servers that there are at most: the last may be an observer.
pub(super) const MOST: usize = 4;
/// Clients that write by themselves; behind them comes one for each server that only reads in the end.
const CLIENTS: usize = 5;
/// Clients beside them that are content with reading.
const VISITORS: u64 = 2;
const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) now: u64,
    pub(super) servers: Vec<Server>,
    pub(super) links: Vec<Link>,
    /// When a pair of servers is connected again.
    pub(super) dial_at: BTreeMap<(usize, usize), u64>,
    /// Until when nothing gets from one server to another.
    pub(super) blocked: [[u64; MOST]; MOST],
    /// Pairs whose connections the kernel ends then, because nothing got through.
    pub(super) ends_at: Vec<(u64, usize, usize)>,
    pub(super) clients: Vec<Client>,
    pub(super) visitors: Vec<Visitor>,
    /// The sessions that servers had to themselves.
    pub(super) local_sessions: BTreeSet<i64>,
    /// Clients' ends of connections that the servers will learn of: when, which server, its life, the connection.
    pub(super) hangups: Vec<(u64, usize, u64, ConnectionId)>,
    pub(super) memory: Memory,
    /// Who led which term, and when that was heard first.
    pub(super) leaders: BTreeMap<u64, (usize, u64)>,
    /// What each server said of itself last.
    pub(super) said: [Option<Hello>; MOST],
    /// Whose time of day is off.
    pub(super) odd: usize,
    pub(super) fault_at: u64,
    /// All servers lose power next.
    pub(super) power_fails: bool,
    /// How far faults are apart at most.
    pub(super) pace: u64,
    /// Since when every server votes and is in reach.
    pub(super) whole_since: Option<u64>,
    /// Since when that is so, and nothing else is wrong either.
    pub(super) calm_since: Option<u64>,
    /// Until when some link stands still.
    pub(super) stalled_until: u64,
    /// A server that its operator has taken out, and when he wants it in again.
    pub(super) dismissed: Option<(usize, u64)>,
    /// One of them has lost its disk, and not all vote again.
    pub(super) wiped: bool,
    /// The digest of the state after each entry, and who had it first.
    pub(super) digests: BTreeMap<u64, (u64, usize)>,
    /// Some have been given another state than their entries make.
    pub(super) altered: bool,
    /// Nobody writes any more.
    pub(super) calm: bool,
    /// What the newer of two releases supports, that servers get by chance when they start; one that does not support what
    /// it finds gets it then.
    pub(super) newer: Option<Levels>,
    pub(super) tally: Tally,
    hash: u64,
    pub(super) log: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World::of(SERVERS, seed)
    }

    /// Three voters and an observer.
    pub(super) fn observed(seed: u64) -> World {
        World::of(MOST, seed)
    }

    fn of(count: usize, seed: u64) -> World {
        let mut random = Random::new(Seed(seed));
        let place = |end: u64, random: &mut Random| usize::try_from(random.below(end));
        let odd = place(count as u64, &mut random).expect("small");
        let sign = if random.below(2) == 0 { 1 } else { -1 };
        let mut servers = Vec::new();
        for server in 0..count {
            let skew = match server == odd {
                true => sign * YEAR_MS,
                false => i64::try_from(random.below(400)).expect("small") - 200,
            };
            let mut made = Server::new(server, count, random.next(), skew);
            made.start_at = random.below(3 * SECOND);
            servers.push(made);
        }
        let mut clients = Vec::new();
        for which in 0..CLIENTS + count {
            let timeout = 2_000 + 500 * random.below(9);
            let timeout = i32::try_from(timeout).expect("small");
            // The readers come in the end.
            let (pinned, at) = match which.checked_sub(CLIENTS) {
                None => (None, random.below(3 * SECOND)),
                Some(server) => (Some(server), u64::MAX),
            };
            clients.push(Client::new(pinned, timeout, at));
        }
        World {
            fault_at: random.below(12 * SECOND),
            power_fails: false,
            pace: SECOND / 2 + random.below(5 * SECOND),
            random,
            now: 0,
            servers,
            links: Vec::new(),
            dial_at: BTreeMap::new(),
            blocked: [[0; MOST]; MOST],
            ends_at: Vec::new(),
            clients,
            visitors: (1..=VISITORS).map(|it| Visitor::new(it * SECOND)).collect(),
            local_sessions: BTreeSet::new(),
            hangups: Vec::new(),
            memory: Memory::default(),
            leaders: BTreeMap::new(),
            said: Default::default(),
            odd,
            whole_since: None,
            calm_since: None,
            stalled_until: 0,
            dismissed: None,
            wiped: false,
            digests: BTreeMap::new(),
            altered: false,
            calm: false,
            newer: None,
            tally: Tally::default(),
            hash: 0,
            log: Vec::new(),
        }
    }

    /// How many servers there are.
    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64)).expect("small")
    }

    /// The client that reads through a server in the end.
    pub(super) fn reader(server: usize) -> usize {
        CLIENTS + server
    }

    /// Notes what happened, for the trace.
    pub(super) fn note(&mut self, what: &str) {
        let line = format!("{:>9.3} ms {what}", self.now as f64 / 1000.0);
        for byte in line.bytes() {
            self.note_number(u64::from(byte));
        }
        self.log.push(line);
    }

    pub(super) fn note_number(&mut self, what: u64) {
        let mixed = (self.hash ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.hash = mixed.rotate_left(17);
    }

    /// Takes note of how often a server got from another one's journal what it lacked.
    pub(super) fn count_reads(&mut self) {
        let reads = self.servers.iter().map(|it| it.reads_back.get()).sum();
        self.tally.add("reads of the journal", reads);
    }

    pub(super) fn trace(&self) -> (u64, u64) {
        (self.now, self.hash)
    }

    /// Goes on to the next thing that is due.
    pub(super) fn step(&mut self) {
        let due = self.due_at();
        self.now = self.now.max(due);
        self.note_number(self.now);
        self.operate();
        self.restarts();
        self.kernel();
        self.links_step();
        self.hang_up();
        for which in 0..self.clients.len() {
            if self.client_due_at(which) <= self.now {
                self.client_step(which);
            }
        }
        for which in 0..self.visitors.len() {
            self.visitor_step(which);
        }
        for server in 0..self.count() {
            self.server_step(server);
        }
        self.look_whether_whole();
    }

    fn due_at(&self) -> u64 {
        let servers = self.servers.iter().map(|server| match &server.node {
            Some(_) => server.wake_at.max(server.paused_until),
            None => server.start_at,
        });
        let clients = (0..self.clients.len()).map(|which| self.client_due_at(which));
        let ends = self.ends_at.iter().map(|(at, ..)| *at);
        let hangups = self
            .hangups
            .iter()
            .map(|(at, server, ..)| (*at).max(self.servers[*server].paused_until));
        let visitors = self.visitors.iter().map(|visitor| visitor.act_at);
        let all = servers.chain(clients).chain(visitors);
        let all = all.chain(ends).chain(hangups);
        let operator = self.dismissed.map_or(u64::MAX, |(_, at)| at);
        let least = all.chain([self.links_due_at(), operator]).min();
        least.expect("there are servers").min(self.fault_at)
    }

    fn restarts(&mut self) {
        for server in 0..self.count() {
            if self.servers[server].node.is_some() || self.servers[server].start_at > self.now {
                continue;
            }
            self.note(&format!("{server} starts"));
            if let Some(newer) = self.newer {
                let is_newer = self.random.below(2) == 0;
                self.servers[server].levels = if is_newer { newer } else { Levels::FIRST };
            }
            match self.servers[server].start(self.now, &mut self.random) {
                Ok(()) if self.servers[server].is_healed => {
                    self.tally.add("damage that nobody cared for", 1);
                    self.note(&format!("{server} found damage and is a new member"));
                }
                Ok(()) => {}
                Err(NotStarted::Level) => {
                    self.refuse_level(server, "starts refused");
                    continue;
                }
                Err(NotStarted::For(what)) => {
                    self.tally.add(what, 1);
                    self.note(&format!("{server} does not start: {what}"));
                    continue;
                }
            }
            for high in server + 1..self.count() {
                let at = self.now + self.random.below(10 * MS);
                self.dial_at.insert((server, high), at);
            }
        }
    }

    /// A server's release does not support what the ensemble does: it comes back with the newer one, if there is one.
    fn refuse_level(&mut self, server: usize, what: &'static str) {
        self.note(&format!("{server} does not support the feature level"));
        self.tally.add(what, 1);
        self.servers[server].start_at = match self.newer.take() {
            Some(newer) => {
                // From now on all that start are newer.
                self.servers.iter_mut().for_each(|it| it.levels = newer);
                self.now + SECOND
            }
            None => u64::MAX,
        };
    }

    /// An operator wants the feature level raised, wherever a server leads.
    pub(super) fn raise_level(&mut self) {
        for server in 0..self.count() {
            let now = self.now;
            self.servers[server].handle(now, Event::Ensemble(EnsembleWish::RaiseLevel));
        }
    }

    /// The feature level, as a server says.
    pub(super) fn level(&self, server: usize) -> u16 {
        let said = self.said[server].as_ref();
        let members = said.and_then(|hello| hello.members.as_ref());
        members.map_or(0, |members| members.level.0)
    }

    /// Connections over which nothing got for long come to their end.
    fn kernel(&mut self) {
        let now = self.now;
        let due = self.ends_at.iter().filter(|(at, ..)| *at <= now);
        let due: Vec<(usize, usize)> = due.map(|(_, a, b)| (*a, *b)).collect();
        self.ends_at.retain(|(at, ..)| *at > now);
        for (a, b) in due {
            if self.blocked[a][b].max(self.blocked[b][a]) > now {
                self.cut_between(a, b);
            }
        }
    }

    pub(super) fn cut_between(&mut self, a: usize, b: usize) {
        for number in 0..self.links.len() {
            let servers = self.links[number].ends.each_ref().map(|end| end.server);
            if servers == [a.min(b), a.max(b)] && self.links[number].is_whole() {
                self.cut_link(number);
            }
        }
    }

    fn hang_up(&mut self) {
        let now = self.now;
        let mut later = Vec::new();
        for (at, server, life, connection) in std::mem::take(&mut self.hangups) {
            let there = &mut self.servers[server];
            if there.life != life || there.node.is_none() {
                continue;
            }
            match at <= now && there.paused_until <= now {
                true => there.handle(now, Event::Disconnected { connection }),
                false => later.push((at, server, life, connection)),
            }
        }
        self.hangups = later;
    }

    fn server_step(&mut self, server: usize) {
        let now = self.now;
        if !self.servers[server].is_awake(now) {
            return;
        }
        self.servers[server].find_space(now);
        if self.servers[server].wake_at <= now {
            let ended = self.servers[server].turn(now, &mut self.random);
            if let Some(ended) = ended {
                let (what, end) = match ended {
                    Ended::Power => ("power cuts within an operation", End::Power),
                    Ended::Disk => ("ends for a failed disk", End::Kill),
                    Ended::Level => {
                        self.stop(server, End::Kill, SECOND);
                        return self.refuse_level(server, "servers that could not follow");
                    }
                };
                self.tally.add(what, 1);
                let away = self.random.below(6 * SECOND);
                return self.stop(server, end, away);
            }
            self.compare_states(server);
        }
        self.write_out(server);
    }

    /// The same entries make the same state, wherever they are applied.
    fn compare_states(&mut self, server: usize) {
        let node = self.servers[server].node.as_ref();
        let Some((index, digest)) = node.and_then(Node::digest).filter(|_| !self.altered) else {
            return;
        };
        let (known, by) = *self.digests.entry(index).or_insert((digest, server));
        assert_eq!(
            digest, known,
            "after entry {index} server {server} has another state than server {by}"
        );
        self.tally.add("states compared", usize::from(by != server));
    }

    /// Whether all have applied the same, and have the same state.
    pub(super) fn agree(&self) -> bool {
        let nodes = self.servers.iter().map(|it| it.node.as_ref());
        let states: Vec<_> = nodes.map(|node| node.and_then(Node::digest)).collect();
        states.iter().all(|it| it.is_some() && *it == states[0])
    }

    /// A server's process ends, and starts again after a while.
    pub(super) fn stop(&mut self, server: usize, end: End, away: u64) {
        if self.servers[server].node.is_none() {
            return;
        }
        self.note(&format!("{server} ends: {end:?}"));
        self.servers[server].end(end);
        self.servers[server].start_at = self.now + MS + away;
        self.servers[server].paused_until = 0;
        self.said[server] = None;
        let silently = end == End::Power && self.random.below(2) == 0;
        self.lose_ends(server, silently);
        let now = self.now;
        for client in &mut self.clients {
            if let Some(stream) = &mut client.stream
                && stream.server == server
            {
                stream.closes_at.get_or_insert(now + MS);
            }
        }
    }

    /// Whether this server may have led at some time from one moment to another.
    pub(super) fn may_have_led(&self, server: usize, from: u64, to: u64) -> bool {
        let next = self.leaders.values().skip(1).map(|(_, since)| *since);
        let until = next.chain([u64::MAX]);
        let mut terms = self.leaders.values().zip(until);
        terms.any(|((leader, since), until)| *leader == server && *since <= to && until >= from)
    }

    pub(super) fn serves(&self, server: usize) -> bool {
        self.servers[server].node.as_ref().is_some_and(Node::serves)
    }

    /// Up to which entry a server that runs has applied everything.
    pub(super) fn applied(&self, server: usize) -> u64 {
        let node = self.servers[server].node.as_ref();
        node.and_then(Node::digest).map_or(0, |(index, _)| index)
    }

    /// Whether there is a snapshot on a server's disk.
    pub(super) fn has_snapshot(&self, server: usize) -> bool {
        let paths = self.servers[server].disk.0.borrow().paths();
        let mut endings = paths.iter().filter_map(|path| path.extension());
        endings.any(|ending| ending == "snapshot")
    }

    /// Whether everybody votes or observes, says so, and is in reach.
    fn is_whole(&self) -> bool {
        let present: Vec<_> = self.said.iter().flatten().map(|it| it.identity).collect();
        let votes = |hello: &Hello| {
            hello.members.as_ref().is_some_and(|members| {
                let number = |identity| members.number_of(identity);
                let mut present = present.iter();
                let is_in = |it| members.voters.contains(&it) || members.is_observer(it);
                members.outgoing.is_empty()
                    && members.voters.len() >= SERVERS
                    && present.all(|identity| number(*identity).is_some_and(is_in))
            })
        };
        let count = self.count();
        let pairs = count * (count - 1) / 2;
        let whole = self.links.iter().filter(|link| link.is_whole()).count();
        present.len() == count
            && whole >= pairs
            && self.said.iter().flatten().all(votes)
            && (0..count).all(|server| self.serves(server))
    }

    fn look_whether_whole(&mut self) {
        match self.is_whole() {
            true => {
                self.whole_since.get_or_insert(self.now);
                if std::mem::take(&mut self.wiped) {
                    self.tally.add("wiped and back", 1);
                    self.note("all vote again");
                }
            }
            false => self.whole_since = None,
        }
        let now = self.now;
        let works = |server: &Server| server.works(now);
        let is_calm = self.whole_since.is_some()
            && self.stalled_until <= now
            && self.servers.iter().all(works)
            && self.blocked.iter().flatten().all(|until| *until <= now);
        match is_calm {
            true => _ = self.calm_since.get_or_insert(now),
            false => self.calm_since = None,
        }
    }

    /// Each server in a line, and the last that happened.
    pub(super) fn picture(&self) -> String {
        let mut lines = self.log.clone();
        lines.drain(..lines.len().saturating_sub(60));
        for (server, it) in self.servers.iter().enumerate() {
            lines.push(format!(
                "{server}: there {}, serves {}, says {:?}",
                it.node.is_some(),
                self.serves(server),
                self.said[server]
            ));
        }
        lines.join("\n")
    }
}
