//! Groups of several servers, alone: no sockets, no files, no clients. Messages are lost, doubled, delayed and come in any
//! order; servers crash with part of what they wrote, are cut off, are wiped and come back as somebody new; members
//! change, leads are handed over, votes move to observers, snapshots and the journal's forgetting go on all the time.
//!
//! What holds at every step: there is one history, and every server has a beginning of it; one leader a term; a
//! read index misses nothing that was committed before it was asked. And when the faults end, all go on together.

#![allow(clippy::print_stdout, reason = "a simulation tells what it met")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use chrysalis::consensus::admission::{Admission, Seat};
use chrysalis::consensus::founding::Hello;
use chrysalis::consensus::group::Role;
use chrysalis::consensus::message::{Body, Message};
use chrysalis::consensus::moving::{Ending, Moving};
use chrysalis::consensus::{Entry, EntryKind, Identity};
use chrysalis::units::feature::{FeatureLevel, Levels};
use chrysalis::units::{GroupId, Random, Seed, ServerId};
use chrysalis::wire::peer::{self, Frame, frame, message as wire};

use crate::harness::lab::{self, seeds};
use crate::harness::tally::Tally;

/// One server.
mod server;

use server::{News, SECOND_LEVEL, Server, State};

/// Steps with faults, and at most so many until all is well again.
const STEPS: u64 = 10_000;
const STEPS_TO_HEAL: u64 = 20_000;

/// What the newer of two releases supports.
const NEW: Levels = Levels {
    lowest: FeatureLevel(1),
    highest: FeatureLevel(2),
};

/// A message on its way.
struct Flight {
    message: Message,
    state: Option<State>,
}

struct World {
    random: Random,
    servers: Vec<Server>,
    /// Every folder has a journal id of its own.
    journals: u128,
    flights: Vec<Flight>,
    /// Pairs of servers that do not hear each other.
    cut: BTreeSet<(usize, usize)>,
    /// The one history.
    history: BTreeMap<u64, Entry>,
    /// Digests that servers had, by index.
    digests: BTreeMap<u64, u64>,
    leaders: BTreeMap<u64, u64>,
    proposed: u64,
    reads: u64,
    /// Reads by number: what was committed when they were asked.
    asked: BTreeMap<(u64, u64), u64>,
    fetches: Vec<(usize, u64, u64, u64)>,
    /// Everybody voted after the last step.
    whole: bool,
    /// Groups that were founded.
    founded: u64,
    met: Tally,
    /// So many of the servers vote.
    voters: usize,
    /// Servers have one of two releases, another one after some restarts.
    is_mixed: bool,
    /// Of all that happened, in order.
    trace: u64,
}

impl World {
    fn new(seed: u64, voters: u16, observers: u16, is_mixed: bool) -> World {
        let count = voters + observers;
        let list: Vec<ServerId> = (1..=count).map(ServerId).collect();
        let (_, observe) = list.split_at(usize::from(voters));
        let empty = |server: &ServerId| {
            let identity = Identity {
                server: *server,
                journal: u128::from(server.0),
            };
            let lists = (list.clone(), observe.to_vec());
            Server::new(identity, lists, Levels::FIRST, seed)
        };
        World {
            random: Random::new(Seed(seed)),
            servers: list.iter().map(empty).collect(),
            journals: u128::from(count),
            flights: Vec::new(),
            cut: BTreeSet::new(),
            history: BTreeMap::new(),
            digests: BTreeMap::new(),
            leaders: BTreeMap::new(),
            proposed: 0,
            reads: 0,
            asked: BTreeMap::new(),
            fetches: Vec::new(),
            whole: true,
            founded: 0,
            voters: usize::from(voters),
            met: Tally::default(),
            is_mixed,
            trace: 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64)).expect("small")
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(17);
    }

    /// Which server is this member now.
    fn place(&self, member: u64) -> Option<usize> {
        self.servers
            .iter()
            .position(|it| it.number() == Some(member))
    }

    /// Which member this server is; 0 for none.
    fn number(&self, place: usize) -> u64 {
        self.servers[place].number().unwrap_or(0)
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// The last entry that anybody has applied.
    fn committed(&self) -> u64 {
        self.history.last_key_value().map_or(1, |(index, _)| *index)
    }

    fn turn(&mut self, place: usize) {
        for news in self.servers[place].turn() {
            match news {
                News::Applied(entry) => self.applied(place, &entry),
                News::Send(message, state) => {
                    let message = carried(&message);
                    self.flights.push(Flight { message, state });
                }
                News::Led(term) => {
                    let member = self.number(place);
                    let other = self.leaders.insert(term, member);
                    assert!(
                        other.is_none_or(|other| other == member),
                        "two lead term {term}: {other:?} and {member}"
                    );
                    self.met.add("leaders", 1);
                    self.note(term);
                }
                News::ReadAt { number, index } => {
                    let member = self.number(place);
                    if let Some(committed) = self.asked.remove(&(member, number)) {
                        assert!(
                            index >= committed,
                            "a read at {index} misses entry {committed}, which was there when it was asked"
                        );
                        self.met.add("reads", 1);
                    }
                }
                News::Fetch { number, from, to } => self.fetches.push((place, number, from, to)),
                News::SnapshotWanted => self.servers[place].snapshot(),
                News::Halted => {
                    // Its operator installs what the message names.
                    assert_eq!(self.servers[place].levels, Levels::FIRST);
                    self.crash(place);
                    self.servers[place].levels = NEW;
                    self.met.add("halted", 1);
                    return;
                }
                News::Installed => {
                    self.met.add("snapshots_installed", 1);
                    self.check_digest(place);
                }
            }
        }
        if let Some(live) = &self.servers[place].live
            && live.group.role() != Role::Follows
        {
            let votes = live.group.membership().votes(live.group.member());
            assert!(votes, "server {place} leads without a vote");
        }
    }

    fn applied(&mut self, place: usize, entry: &Entry) {
        match self.history.get(&entry.index) {
            None => {
                let next = self.committed() + 1;
                assert_eq!(entry.index, next, "the history grows at its end");
                self.history.insert(entry.index, entry.clone());
                self.met.add("committed", 1);
                self.note(entry.index ^ entry.term << 32);
                if entry.kind != EntryKind::Normal {
                    self.met
                        .add("joint_changes", usize::from(entry.data.is_empty()));
                }
            }
            Some(known) => assert_eq!(known, entry, "there is one history"),
        }
        self.check_digest(place);
    }

    /// The state at an index is the same everywhere.
    fn check_digest(&mut self, place: usize) {
        let Some(live) = &self.servers[place].live else {
            return;
        };
        let state = &live.state;
        let known = *self.digests.entry(state.index).or_insert(state.digest);
        assert_eq!(known, state.digest, "the state at entry {}", state.index);
    }

    /// One message, somewhere in the queue, arrives, gets lost or comes twice.
    fn deliver(&mut self, faults: bool) {
        if self.flights.is_empty() {
            return;
        }
        // Mostly in order, as connections are.
        let far = if faults && self.chance(4) {
            self.flights.len()
        } else {
            1
        };
        let chosen = self.below(far);
        let Flight { message, state } = self.flights.remove(chosen);
        let (from, to) = (self.place(message.from), self.place(message.to));
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        let lost = self.is_cut(from, to) || faults && self.chance(40);
        let twice = faults && state.is_none() && self.chance(30);
        if let Body::Snapshot(marker) = &message.body {
            let arrives = !lost && self.servers[to].live.is_some();
            if arrives {
                let state = state.expect("a snapshot has a state");
                self.servers[to].receive(marker, state);
            }
            if arrives && faults && self.chance(10) {
                // Between the snapshot and the word of it.
                self.crash(to);
            }
            let member = message.to;
            if let Some(live) = &mut self.servers[from].live {
                live.group.snapshot_sent(member, arrives);
            }
        }
        if lost {
            return;
        }
        if twice {
            let message = message.clone();
            self.flights.push(Flight {
                message,
                state: None,
            });
        }
        if let Some(live) = &mut self.servers[to].live {
            live.group.step(message);
        }
        // Mostly several come before a server's turn.
        if !faults || self.chance(3) {
            self.turn(to);
        }
    }

    fn crash(&mut self, place: usize) {
        let World {
            servers, random, ..
        } = self;
        let truncated = servers[place].disk.journal.len();
        servers[place].crash(random);
        self.met.add(
            "truncations",
            usize::from(self.servers[place].disk.journal.len() < truncated),
        );
        self.fetches.retain(|(at, ..)| *at != place);
        self.met.add("crashes", 1);
    }

    /// All but this one stop at once, and start again.
    fn power_cut(&mut self, but: usize) {
        for place in (0..self.servers.len()).filter(|place| *place != but) {
            self.crash(place);
            self.start(place);
        }
    }

    /// Starts a server, perhaps with another release; and with the newer one where the older refuses.
    fn start(&mut self, place: usize) {
        if self.is_mixed && self.chance(3) {
            let newer = !self.chance(3);
            self.servers[place].levels = if newer { NEW } else { Levels::FIRST };
            self.met.add("releases changed", 1);
        }
        if !self.servers[place].start() {
            assert_eq!(self.servers[place].levels, Levels::FIRST);
            self.met.add("starts refused", 1);
            self.servers[place].levels = NEW;
            assert!(self.servers[place].start(), "the newer release supports it");
        }
    }

    /// A replaced disk, or an empty folder: whoever comes back has promised nothing, so it is somebody else.
    fn wipe(&mut self, place: usize) {
        self.journals += 1;
        self.fetches.retain(|(at, ..)| *at != place);
        let identity = Identity {
            journal: self.journals,
            ..self.servers[place].identity
        };
        let hello = self.servers[place].hello();
        let number = self.servers[place].number();
        let observes = hello
            .members
            .zip(number)
            .is_some_and(|(members, it)| members.is_observer(it));
        self.met.add("observers wiped", usize::from(observes));
        let lists = (hello.servers, hello.observers);
        let seed = self.random.next();
        let levels = self.servers[place].levels;
        self.servers[place] = Server::new(identity, lists, levels, seed);
        self.start(place);
        self.met.add("wiped", 1);
    }

    /// Who leads and knows of nobody that leads after it.
    fn leader(&self) -> Option<usize> {
        let leads = |place: &usize| {
            let live = self.servers[*place].live.as_ref();
            live.is_some_and(|live| live.group.leader() == Some(self.number(*place)))
        };
        let term = |place: &usize| {
            let live = self.servers[*place].live.as_ref();
            live.map_or(0, |live| live.group.term())
        };
        (0..self.servers.len()).filter(leads).max_by_key(term)
    }

    /// Two servers meet, in one direction.
    fn meet(&mut self, from: usize, to: usize) {
        if from == to || self.is_cut(from, to) {
            return;
        }
        if !self.servers[from].is_up || !self.servers[to].is_up {
            return;
        }
        let hello = self.servers[from].hello();
        let own = self.servers[to].hello();
        if !is_readable(&hello, own.levels) || !is_readable(&own, hello.levels) {
            self.met.add("greetings refused", 1);
            return;
        }
        let ensemble = u128::from(self.random.next());
        let founded = self.servers[to].hear(&hello, ensemble);
        self.founded += u64::from(founded);
        if self.leader() == Some(to) {
            self.end_move(to);
            self.admit(to, &hello);
            self.note_support(to, hello.identity, hello.levels);
            self.turn(to);
        }
    }

    /// A leader hears what another server supports.
    fn note_support(&mut self, leader: usize, identity: Identity, levels: Levels) {
        let own = self.servers[leader].levels;
        let Some(live) = &mut self.servers[leader].live else {
            return;
        };
        let mut said = BTreeMap::from([(live.group.member(), own.highest)]);
        if let Some(number) = live.group.membership().number_of(identity) {
            said.insert(number, levels.highest);
        }
        let noted = live.group.note_support(&said);
        self.met
            .add("support noted", usize::from(noted == Ok(true)));
    }

    /// An operator wants the level raised.
    fn raise(&mut self) {
        let Some(leader) = self.leader() else { return };
        let Some(live) = &mut self.servers[leader].live else {
            return;
        };
        let is_due = live.group.level() < NEW.highest;
        let possible = live.group.membership().possible_level();
        if is_due && live.group.raise(NEW.highest).is_ok() {
            assert_eq!(possible, NEW.highest, "a member does not support it");
            self.met.add("raised", 1);
        }
        self.turn(leader);
    }

    /// What an ensemble does by itself: a server that forgot is admitted as a learner, and takes its former self's vote
    /// when it has everything.
    fn admit(&mut self, leader: usize, hello: &Hello) {
        let server = hello.identity.server;
        let is_listed = self.servers[leader].hello().observers.contains(&server);
        let expected = is_listed && hello.members.is_none();
        let Some(live) = &mut self.servers[leader].live else {
            return;
        };
        // What is refused, because another change is under way, is asked for again.
        let up_to = live.group.committed_index();
        let seat = expected.then_some(Seat::Observer);
        let admitted = live.group.admit(hello.identity, seat, up_to);
        self.met
            .add("admitted", usize::from(admitted == Ok(Admission::Promoted)));
        self.met.add(
            "observing",
            usize::from(admitted == Ok(Admission::Observes)),
        );
    }

    /// An operator wants a vote to go from one server to another, whatever they are.
    fn move_vote(&mut self, giver: usize) {
        let Some(leader) = self.leader() else { return };
        let taker = self.below(self.servers.len());
        let giver = self.servers[giver].identity.server;
        let taker = self.servers[taker].identity;
        let Some(live) = &mut self.servers[leader].live else {
            return;
        };
        let before = live.group.membership().clone();
        let up_to = live.group.committed_index();
        if live.group.move_vote(giver, taker, up_to) == Ok(Moving::Proposed) {
            let of_giver = before.numbers_of(giver);
            let gives = of_giver.iter().any(|it| before.voters.contains(it));
            assert!(gives, "it has no vote to give");
            self.met.add("moves proposed", 1);
        }
        self.turn(leader);
    }

    /// What whoever leads does by itself where a vote moves.
    fn end_move(&mut self, leader: usize) {
        let Some(live) = &mut self.servers[leader].live else {
            return;
        };
        match live.group.end_move() {
            Ok(Ending::HandsOver) => {
                let heirs = live.group.membership().voters.clone();
                let heir = heirs[self.below(heirs.len())];
                let live = self.servers[leader].live.as_mut().expect("it is there");
                let handed = live.group.transfer(heir).is_ok();
                self.met.add("givers that led", usize::from(handed));
            }
            Ok(Ending::Proposed) => self.met.add("votes moved", 1),
            Ok(Ending::Nothing) | Err(_) => {}
        }
    }

    fn step(&mut self) {
        let whole = self.is_whole();
        if whole && !self.whole && self.chance(2) {
            // The very moment in which the next one may fail.
            let place = self.below(self.servers.len());
            self.wipe(place);
            self.power_cut(place);
        }
        self.whole = whole;
        let place = self.below(self.servers.len());
        match self.random.below(1000) {
            0..450 => self.deliver(true),
            450..560 => {
                if let Some(live) = &mut self.servers[place].live {
                    live.group.tick();
                }
                self.turn(place);
            }
            560..760 => {
                let count = self.below(8);
                self.servers[place].sync(count);
                self.turn(place);
            }
            760..880 => self.propose(place),
            880..890 => self.servers[place].snapshot(),
            890..900 => {
                // Mostly the journal reaches back behind the newest snapshot.
                let keep = usize::from(!self.chance(3));
                self.servers[place].compact(keep);
            }
            900..930 => self.read(place),
            930..934 => {
                if self.servers[place].is_up {
                    self.crash(place);
                }
            }
            934..954 => {
                if !self.servers[place].is_up {
                    self.start(place);
                }
            }
            954..957 => {
                let other = self.below(self.servers.len());
                if other != place {
                    self.cut.insert((place.min(other), place.max(other)));
                }
            }
            957..963 => self.cut.clear(),
            963..966 => self.transfer(place),
            966..986 => self.fetch(),
            986..991 if self.is_mixed => self.raise(),
            986..990 if self.voters < self.servers.len() => self.move_vote(place),
            986..998 => {
                let other = self.below(self.servers.len());
                self.meet(other, place);
            }
            _ => {
                // One at a time: who was wiped before votes again first.
                if self.is_whole() {
                    self.wipe(place);
                }
            }
        }
    }

    fn propose(&mut self, place: usize) {
        self.proposed += 1;
        let size = 1 + self.below(300);
        let mut data = self.proposed.to_be_bytes().to_vec();
        data.resize(8 + size, 7);
        let live = self.servers[place].live.as_ref();
        if live.is_some_and(|live| live.group.level() >= NEW.highest) {
            data[8] = SECOND_LEVEL;
        }
        self.servers[place].propose(Bytes::from(data));
        self.turn(place);
    }

    fn read(&mut self, place: usize) {
        self.reads += 1;
        let (number, committed) = (self.reads, self.committed());
        let member = self.number(place);
        if let Some(live) = &mut self.servers[place].live {
            self.asked.insert((member, number), committed);
            live.group.read_index(number);
        }
        self.turn(place);
    }

    fn transfer(&mut self, place: usize) {
        let to = self.number(place);
        if let Some(leader) = self.leader()
            && let Some(live) = &mut self.servers[leader].live
            && leader != place
            && live.group.transfer(to).is_ok()
        {
            self.met.add("transfers", 1);
            self.turn(leader);
        }
    }

    fn fetch(&mut self) {
        if self.fetches.is_empty() {
            return;
        }
        let chosen = self.below(self.fetches.len());
        let (place, number, from, to) = self.fetches.remove(chosen);
        // A medium that cannot be read.
        let entries = match self.chance(8) {
            true => Vec::new(),
            false => self.servers[place].read_journal(from, to),
        };
        self.met
            .add("journal_reads", usize::from(!entries.is_empty()));
        if let Some(live) = &mut self.servers[place].live {
            live.group.fetched(number, entries);
        }
        self.turn(place);
    }

    /// No more faults: everybody is there, hears everybody, and has a disk that keeps up.
    fn heal(&mut self) {
        self.cut.clear();
        for place in 0..self.servers.len() {
            if self.is_mixed {
                // Who was refused comes back with the newer release.
                self.servers[place].levels = NEW;
                if self.servers[place].is_up {
                    self.crash(place);
                }
            }
            if !self.servers[place].is_up {
                assert!(self.servers[place].start(), "it is supported");
            }
        }
        let mut last = None;
        for step in 0..STEPS_TO_HEAL {
            let count = self.servers.len();
            let place = usize::try_from(step).expect("small") % count;
            let round = step / count as u64;
            if round % 8 < 3
                && let Some(live) = &mut self.servers[place].live
            {
                live.group.tick();
            }
            self.servers[place].sync(usize::MAX >> 1);
            self.turn(place);
            for _ in 0..8 {
                self.deliver(false);
            }
            self.fetch();
            if step % 50 < 5 {
                let other = self.below(self.servers.len());
                self.meet(other, place);
            }
            if step % 50 == 5
                && self.is_whole()
                && let Some(leader) = self.leader()
            {
                last.get_or_insert(self.committed() + 1);
                self.propose(leader);
            }
            let there = |server: &Server| server.live.as_ref().map_or(0, |live| live.state.index);
            if let Some(last) = last
                && self.servers.iter().all(|server| there(server) >= last)
            {
                return;
            }
        }
        panic!(
            "all is well for long, and they do not go on together: {}",
            self.picture()
        );
    }

    /// Whether everybody is what it is to be and knows it: the next one may fail. Only the leader's word would not do: a server that still
    /// has both halves of a joint configuration in mind needs a majority of each to be elected.
    fn is_whole(&self) -> bool {
        let present: Vec<u64> = self.servers.iter().filter_map(Server::number).collect();
        present.len() == self.servers.len()
            && self.servers.iter().all(|server| {
                let live = server.live.as_ref();
                let now = live.map(|live| live.group.membership());
                // And remembers it.
                server.disk.durable == server.disk.journal.len()
                    && now.is_some_and(|now| {
                        let is_in = |it: &u64| now.voters.contains(it) || now.is_observer(*it);
                        let is_all = now.members().len() == present.len();
                        now.outgoing.is_empty() && is_all && present.iter().all(is_in)
                    })
            })
    }

    /// Each server in a line.
    fn picture(&self) -> String {
        let line = |server: &Server| match &server.live {
            None => format!("\n  {:?} has no group", server.identity),
            Some(live) => format!(
                "\n  {}: {:?}, term {}, leader {:?}, applied {}, committed {}, {:?}",
                server.identity.server,
                live.group.role(),
                live.group.term(),
                live.group.leader(),
                live.state.index,
                live.group.committed_index(),
                live.group.membership(),
            ),
        };
        self.servers.iter().map(line).collect()
    }
}

/// Whether a server that supports these levels may speak to one that says this.
fn is_readable(hello: &Hello, levels: Levels) -> bool {
    let members = hello.members.as_ref();
    members.is_none_or(|members| levels.contains(members.level))
}

/// A message as the other side decodes it.
fn carried(message: &Message) -> Message {
    let group = GroupId::COORDINATOR;
    let mut bytes = BytesMut::new();
    wire::encode([(group, message)], &mut bytes);
    let body = frame::decode(&mut bytes, 1 << 20).expect("it is a frame of ours");
    let body = body.expect("all of it is there");
    let Ok(Frame::Messages(mut messages)) = peer::decode(&body) else {
        panic!("it is a frame of messages");
    };
    let (to, decoded) = messages.pop().expect("there is one");
    assert!((to, messages.len(), &decoded) == (group, 0, message));
    decoded
}

/// Runs a seed; what it met, and its trace.
fn run(seed: u64, count: u16, is_mixed: bool) -> (Tally, u64) {
    run_in(World::new(seed, count, 0, is_mixed))
}

fn run_in(mut world: World) -> (Tally, u64) {
    let mut steps = 0;
    // Founding takes its time: all have to be there at once, observers among them.
    let unfounded = if world.servers.len() > world.voters {
        2000
    } else {
        3
    };
    while steps < STEPS {
        world.step();
        steps += u64::from(!world.leaders.is_empty() || world.chance(unfounded));
    }
    world.heal();
    assert_eq!(world.founded, 1, "one group is founded");
    for server in &world.servers {
        let live = server.live.as_ref().expect("it is there");
        let members = live.group.membership();
        assert_eq!(members.voters.len(), world.voters, "no vote is lost or won");
    }
    (world.met, world.trace)
}

fn check(count: u16, seeds: impl Iterator<Item = u64>, floors: &[(&str, u64)]) {
    let mut all = Tally::default();
    for seed in seeds {
        let (met, _) = run(seed, count, false);
        all.merge(&met);
    }
    all.assert_at_least(floors);
}

#[test]
fn three_servers_have_one_history() {
    let each = [
        "committed",
        "leaders",
        "crashes",
        "snapshots_installed",
        "journal_reads",
        "truncations",
        "transfers",
        "joint_changes",
        "wiped",
        "admitted",
        "reads",
    ];
    // A test that met none of a kind has shown nothing of it.
    check(3, seeds(150, 3000), &each.map(|what| (what, 1)));
}

#[test]
fn five_servers_have_one_history() {
    let floors = [("committed", 1), ("snapshots_installed", 1)];
    check(5, seeds(30, 1000), &floors);
}

/// Observers are wiped as voters are, and votes move in all directions at any moment, also from servers that lead or have just
/// lost everything.
#[test]
fn votes_move_among_voters_and_observers_and_there_is_one_history() {
    let mut all = Tally::default();
    for seed in seeds(60, 2000) {
        let observers = 1 + u16::try_from(seed % 2).expect("small");
        all.merge(&run_in(World::new(seed, 3, observers, false)).0);
    }
    let each = [
        "moves proposed",
        "votes moved",
        "observing",
        "observers wiped",
        "admitted",
        "wiped",
        "snapshots_installed",
        "reads",
    ];
    all.assert_at_least(&each.map(|what| (what, 1)));
    if lab::is_full() {
        // Seldom.
        all.assert_at_least(&[("givers that led", 1)]);
    }
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    for seed in seeds(3, 20) {
        assert_eq!(run(seed, 3, true), run(seed, 3, true));
    }
}

/// Servers are started with an older and a newer release by turns, and the level is raised as soon as all support it. An older
/// one applies nothing that it cannot read, whenever it comes.
#[test]
fn servers_of_two_releases_have_one_history() {
    let mut all = Tally::default();
    for seed in seeds(40, 1000) {
        all.merge(&run(seed, 3, true).0);
    }
    let each = [
        "releases changed",
        "support noted",
        "starts refused",
        "greetings refused",
        "wiped",
        "snapshots_installed",
    ];
    all.assert_at_least(&each.map(|what| (what, 1)));
    if lab::is_full() {
        all.assert_at_least(&["raised", "halted"].map(|what| (what, 1)));
    }
}
