//! The coordinator among several: what it says to the other servers, and what it hears from them.
//!
//! A write that comes to a server that follows goes to the leader in one frame a turn, as it is, but for its time of day,
//! which is the leader's. Whatever was sent and not applied is sent again when another server leads, or when the same one
//! was out of reach; each is applied once, because it carries its place in its session.
//!
//! A server to which no leader has spoken answers nothing, reads included, and closes its clients after a while: one that
//! is cut off must not show an old tree for long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tracing::{error, info, warn};

use super::moving::moves;
use super::receiving::{Received, Told};
use super::{CoordinatorSide, FORGOT};
use crate::consensus::admission::{Admission, Seat};
use crate::consensus::founding::{Decision, Hello};
use crate::consensus::group::{Role, Unchanged};
use crate::consensus::message::{Body, Message};
use crate::coordinator::{self, ConnectRequest, Event, stamp};
use crate::disk::{Completion, Operation};
use crate::node::connections::Port;
use crate::node::peers::{self, Link};
use crate::node::read_index::ReadIndex;
use crate::node::{EnsembleWish, Failure, World};
use crate::report::throttle::Throttle;
use crate::units::feature::FeatureLevel;
use crate::units::{ConnectionId, GroupId, Moment, Random, Seed, ServerId, Zxid};
use crate::wire::peer::{Forward, NotProposed, Part, Taken, Touch, Touched};

/// A server that comes without what it remembered takes its own place when it has been connected for so long: the one that
/// remembers would have come back by then, if it was only out of reach.
const NOBODY_ELSE_FOR: Duration = Duration::from_secs(2);

/// A leader whose disk has not finished a write for so long lets another server lead.
const DISK_PATIENCE: Duration = Duration::from_secs(2);
/// How often it tries.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);

/// How often servers on their way into the group are looked after.
const ADMIT_EVERY: Duration = Duration::from_millis(200);

/// That clients are sent away is not told again for this long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What a server among several has to keep in mind.
#[derive(Debug)]
pub(super) struct Ensemble {
    /// Touches to be confirmed: the question about the commit index that does it, by whose they are (`None`: this server's
    /// own), and the round.
    confirming: BTreeMap<Option<ServerId>, (ReadIndex, u64)>,
    questions: u64,
    /// Since which entry the members are those that were told to the others.
    told_since: Option<u64>,
    /// Servers that an operator has invited.
    pub(super) invited: BTreeMap<ServerId, Seat>,
    /// Servers that are to vote, while the members change.
    promoted: BTreeSet<ServerId>,
    /// Servers that an operator wants out.
    pub(super) dismissed: BTreeSet<ServerId>,
    /// Whose vote an operator wants to go to whom, until the change is in force.
    pub(super) moving: Option<(ServerId, ServerId)>,
    /// Who leads in which term, and since when that is known.
    led: Option<(u64, u64)>,
    pub(super) led_since: Moment,
    /// What was proposed here.
    pub(super) proposals: Proposals,
    admit_at: Moment,
    /// What was committed when servers on their way into the group were last looked after.
    admit_up_to: u64,
    /// Since when no server leads, as far as is known here.
    leaderless_since: Option<Moment>,
    leaderless: Leaderless,
    sent_away: Throttle,
    /// Since when the journal's disk does nothing.
    disk_waits: Option<Moment>,
    /// It has done nothing for so long that clients go on elsewhere.
    pub(super) parked: bool,
    pub(super) handed_over: Throttle,
    /// What followed from another server's word last, as it was told.
    decided: Option<Decision>,
    decided_told: Throttle,
    /// That commands are not proposed, there and here.
    not_proposed: Throttle,
    /// The feature level is to be raised.
    raises: bool,
    /// A member is too far behind for entries.
    pub(super) snapshot_wanted: bool,
    /// For the id of an ensemble that is founded, and the core that a snapshot brings.
    random: Random,
}

/// What becomes of clients while nobody leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaderless {
    /// How long they may stay.
    pub(crate) patience: Duration,
    /// After how long those are served that are content with reading; never, without it.
    pub(crate) read_only_after: Option<Duration>,
}

/// Bytes of the commands that a leader has proposed; -1 before the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposals {
    pub(super) last: i64,
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Default for Proposals {
    fn default() -> Proposals {
        let (last, min, max) = (-1, -1, -1);
        Proposals { last, min, max }
    }
}

impl Proposals {
    pub(super) fn count(&mut self, bytes: usize) {
        self.last = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.max = self.max.max(self.last);
        self.min = match self.min {
            -1 => self.last,
            min => min.min(self.last),
        };
    }
}

impl Ensemble {
    pub(super) fn new(leaderless: Leaderless, seed: Seed) -> Ensemble {
        Ensemble {
            confirming: BTreeMap::new(),
            questions: 0,
            told_since: None,
            invited: BTreeMap::new(),
            promoted: BTreeSet::new(),
            dismissed: BTreeSet::new(),
            moving: None,
            led: None,
            led_since: Moment::START,
            proposals: Proposals::default(),
            admit_at: Moment::START,
            admit_up_to: u64::MAX,
            leaderless_since: None,
            leaderless,
            sent_away: Throttle::new(TOLD_EVERY),
            disk_waits: None,
            parked: false,
            handed_over: Throttle::new(HAND_OVER_EVERY),
            decided: None,
            decided_told: Throttle::new(TOLD_EVERY),
            not_proposed: Throttle::new(TOLD_EVERY),
            raises: false,
            snapshot_wanted: false,
            random: Random::new(seed),
        }
    }

    /// After how long without a leader clients are served that only read, if they are.
    pub(super) fn read_only_after(&self) -> Option<Duration> {
        self.leaderless.read_only_after
    }

    /// When a level that is to be raised is looked after: a server alone has nothing else to wake it. Who is elected looks at
    /// nothing yet.
    pub(super) fn deadline(&self, role: Role) -> Option<Moment> {
        let looks = self.raises && matches!(role, Role::Leads { .. });
        looks.then_some(self.admit_at)
    }

    /// What an operator wanted of a leader he asks the next one for, which may know better. Who is elected, and has not applied
    /// all of former terms yet, keeps it until then.
    fn give_up_wishes(&mut self, role: Role) {
        if role != Role::Follows {
            return;
        }
        let named = |servers: BTreeSet<ServerId>| {
            let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        let invited = std::mem::take(&mut self.invited);
        let add = named(invited.into_keys().collect());
        let moved = std::mem::take(&mut self.moving);
        let move_vote = moved.map_or(String::new(), |(giver, taker)| format!("{giver} {taker}"));
        let remove = named(std::mem::take(&mut self.dismissed));
        let raise_level = std::mem::take(&mut self.raises);
        if !add.is_empty() || !remove.is_empty() || moved.is_some() || raise_level {
            warn!(
                add,
                remove,
                move_vote,
                raise_level,
                "this server leads no more: what is not done yet is to be asked of the server that leads"
            );
        }
    }
}

impl CoordinatorSide {
    /// Whether the ports may be opened: what cannot be served yet is answered so.
    pub(in crate::node) fn opens(&self) -> bool {
        self.replica.has_others() || self.serves()
    }

    /// What this server says of itself to others.
    pub(in crate::node) fn hello(&self) -> Option<Hello> {
        self.replica.hello()
    }

    /// Another server says who it is.
    pub(in crate::node) fn hear(
        &mut self,
        hello: &Hello,
        is_new: bool,
        world: &mut World,
    ) -> Result<(), Failure> {
        if is_new {
            self.replica.in_reach(hello.identity.server);
        }
        let random = &mut self.ensemble.random;
        let ensemble = u128::from(random.next()) << 64 | u128::from(random.next());
        let server = hello.identity.server;
        // 0 is a group of one.
        let decision = self
            .replica
            .hear(hello, ensemble.max(1), &mut world.journal)?;
        if matches!(decision, Some(Decision::Founds(_))) {
            self.pass_over_founding();
        }
        // Who waits hears the same of each server, again and again.
        if decision.is_none() {
            return Ok(());
        }
        let is_due = self.ensemble.decided_told.is_due(world.now);
        if decision == self.ensemble.decided && !is_due {
            return Ok(());
        }
        self.ensemble.decided.clone_from(&decision);
        match decision {
            Some(Decision::Founds(members)) => {
                info!(
                    voters = members.voters.len(),
                    "this server founds the ensemble"
                );
            }
            Some(Decision::Joins { number }) => {
                info!(number, "this server belongs to the ensemble");
            }
            Some(Decision::Forgot) => warn!(
                "this server belonged to the ensemble, and its journal is another one now: it is taken in again by itself"
            ),
            Some(Decision::Observes) => info!(
                %server,
                "there is an ensemble, and this server is to be an observer in it: it waits to be taken in"
            ),
            Some(Decision::Stranger) => warn!(
                %server,
                "there is an ensemble that this server does not belong to: add it there"
            ),
            Some(Decision::Disagrees(with)) => error!(
                server = %with,
                "another server has other servers in cluster.servers: correct one of the two and restart it"
            ),
            None => {}
        }
        Ok(())
    }

    /// The ensemble was recovered elsewhere, without this server: two histories must not both be served.
    pub(in crate::node) fn give_way(&mut self, server: ServerId, world: &mut World) {
        if !self.replica.give_way(&mut world.journal) {
            return;
        }
        error!(
            %server,
            "this server's ensemble was recovered on another server and goes on there without this one: it serves nobody. Restart it \
             with --accept-loss, which throws its znodes away and keeps its messages, then chrysalis cluster add where the leader runs"
        );
        self.end_sendings(world);
        self.handle(Event::Deposed, world);
    }

    /// A part of what clients have seen may be lost: when this server leads, zxids go on above all of it. `note` says so for the
    /// next start, until it is done.
    pub(crate) fn renew_history(&mut self, note: PathBuf) {
        self.history = Some(note);
    }

    /// Zxids go on from here.
    pub(super) fn history_renewed(&mut self, zxid: Zxid, world: &mut World) {
        info!(%zxid, "a new history begins, because a part of the former may be lost");
        if let Some(path) = self.history.take() {
            self.snapshots.remove(path, world.disk.as_mut());
        }
    }

    /// The first entry is the group's founding, or the beginning of its first term: nothing in it is the core's.
    pub(super) fn pass_over_founding(&mut self) {
        let index = self.replica.applied_index();
        if self.core.status().applied >= index {
            return;
        }
        let data = Bytes::new();
        let mut effects = Vec::new();
        for event in [Event::Committed { index, data }, Event::EntryEnd { index }] {
            self.core.handle(Moment::START, event, &mut effects);
        }
        assert!(effects.is_empty(), "nobody is connected yet");
    }

    /// A server is out of reach.
    pub(in crate::node) fn out_of_reach(&mut self, server: ServerId, world: &mut World) {
        self.receiving.lost(server, world.disk.as_mut());
        self.replica.out_of_reach(server);
        self.ensemble.confirming.remove(&Some(server));
        if let Some(member) = self.sendings.lost(server, world.disk.as_mut()) {
            self.snapshot_sent(member, false);
        }
    }

    fn snapshot_sent(&mut self, member: u64, arrived: bool) {
        if let Some(group) = self.replica.member_mut() {
            group.snapshot_sent(member, arrived);
        }
    }

    /// Which server a member is.
    fn server_of(&self, member: u64, world: &World) -> Option<ServerId> {
        let own = self.replica.member().map(|group| group.membership());
        if let Some(identity) = own.and_then(|members| members.identities.get(&member)) {
            return Some(identity.server);
        }
        let names = |link: &Link| {
            let members = link.members.as_ref()?;
            (members.number_of(link.identity) == Some(member)).then_some(link.identity.server)
        };
        world.peers.links().find_map(|(_, link)| names(link))
    }

    /// A message of another member, by its link.
    pub(in crate::node) fn step(&mut self, message: Message, from: ServerId, world: &mut World) {
        let Some(link) = world.peers.link(from) else {
            return;
        };
        let Some(group) = self.replica.member_mut() else {
            return;
        };
        let own = Some(group.membership()).filter(|members| !members.is_empty());
        let is_there = peers::is_from(&message, own, link)
            && match &message.body {
                Body::Snapshot(marker) => self.receiving.accept(marker),
                _ => true,
            };
        if is_there {
            group.step(message);
            self.end_read_only_if_led(world);
        }
    }

    /// An older state of this server was put back. It may not go on as who it was: a note for the next start says so, and the
    /// process ends.
    pub(super) fn forgot(&mut self, acknowledged: u64, last: u64, world: &mut World) {
        let note = Operation::Replace {
            path: self.snapshots.folder().join(FORGOT),
            pieces: vec![Bytes::from(format!("{acknowledged} {last}\n"))],
        };
        self.halted = Some(match world.disk.run(note) {
            Ok(_) => Failure::Forgot { acknowledged, last },
            Err(error) => Failure::Files(error),
        });
    }

    /// Sends a message to another member.
    pub(super) fn send(&mut self, message: Message, world: &mut World) {
        let member = message.to;
        let server = self.server_of(member, world);
        let server = server.filter(|server| world.peers.link(*server).is_some());
        if let Body::Snapshot(marker) = &message.body {
            let index = marker.index;
            return match server {
                Some(server) => {
                    let path = self.snapshots.path(index);
                    let disk = world.disk.as_mut();
                    self.sendings
                        .begin(server, index, path, Some(message), disk);
                }
                None => self.snapshot_sent(member, false),
            };
        }
        let is_append = matches!(message.body, Body::Append { .. });
        let sent = server.is_some_and(|server| {
            let connections = &mut world.connections;
            let sent = world
                .peers
                .send(server, GroupId::COORDINATOR, message, connections);
            sent.is_ok()
        });
        if !sent
            && is_append
            && let Some(group) = self.replica.member_mut()
        {
            group.unreachable(member);
        }
    }

    /// Hands commands to the server that leads.
    pub(super) fn forward(&mut self, leader: ServerId, commands: Bytes, world: &mut World) {
        if let Some(peer) = world.peers.peer(leader, &mut world.connections) {
            let group = GroupId::COORDINATOR;
            peer.send_forward(&Forward { group, commands });
        }
    }

    /// Commands of another server's clients. One that a member could not read would stop all of them.
    pub(in crate::node) fn forwarded(
        &mut self,
        commands: &[u8],
        from: ServerId,
        world: &mut World,
    ) {
        if !self.replica.proposes() {
            return;
        }
        let mut sessions = Vec::new();
        let mut refused = Vec::new();
        let (wall, level) = (world.wall, self.replica.level());
        let proposals = &mut self.ensemble.proposals;
        let admit = |command: &[u8]| {
            let why = coordinator::check(command, level).err();
            let admitted = why.is_none();
            refused.extend(why.map(|why| (Bytes::copy_from_slice(command), why)));
            admitted
        };
        self.replica
            .propose_forwarded(commands, admit, coordinator::key, |command| {
                proposals.count(command.len());
                sessions.extend(stamp(command, wall));
            });
        sessions.dedup();
        self.handle(Event::Touched { sessions }, world);
        for (command, why) in refused {
            if self.ensemble.not_proposed.is_due(world.now) {
                warn!(server = %from, why, "a command of another server is not proposed: not every member could read it");
            }
            if let Some(peer) = world.peers.peer(from, &mut world.connections) {
                let group = GroupId::COORDINATOR;
                peer.send_not_proposed(&NotProposed { group, command });
            }
        }
    }

    /// The leader does not propose a command of a client here.
    pub(in crate::node) fn not_proposed(
        &mut self,
        refused: NotProposed,
        from: ServerId,
        world: &mut World,
    ) {
        if self.replica.leader() != Some(from) {
            return;
        }
        if self.ensemble.not_proposed.is_due(world.now) {
            error!(
                leader = %from,
                "the leader does not propose what a client here wants, because not every server could read it: the client's \
                 connection is closed. Install the same release on all servers"
            );
        }
        let command = refused.command;
        self.handle(Event::NotProposed { command }, world);
    }

    /// The core wants the commit index, for its syncs.
    pub(super) fn ask_commit_index(&mut self, round: u64) {
        if self.replica.is_alone() {
            // All that is committed is applied.
            let index = self.replica.applied_index();
            self.events.push_back(Event::ReadIndex { round, index });
        } else {
            self.replica.read_index(ReadIndex::Sync(round));
        }
    }

    /// The core wants the leader to know which sessions live.
    pub(super) fn touch(&mut self, round: u64, sessions: Vec<i64>, world: &mut World) {
        let group = GroupId::COORDINATOR;
        match (self.replica.role(), self.replica.leader()) {
            (Role::Leads { .. }, _) => {
                self.events.push_back(Event::Touched { sessions });
                self.confirm(None, round);
            }
            (_, Some(leader)) => {
                if let Some(peer) = world.peers.peer(leader, &mut world.connections) {
                    peer.send_touch(&Touch {
                        group,
                        round,
                        sessions,
                    });
                }
            }
            // The core asks again.
            (_, None) => {}
        }
    }

    /// Clients of another server live.
    pub(in crate::node) fn touched(&mut self, touch: Touch, from: ServerId, world: &mut World) {
        if let Role::Leads { .. } = self.replica.role() {
            let sessions = touch.sessions;
            self.handle(Event::Touched { sessions }, world);
            self.confirm(Some(from), touch.round);
        }
    }

    /// Finds out whether this server still leads: only then may a client be told that its session lives.
    fn confirm(&mut self, whose: Option<ServerId>, round: u64) {
        if self.replica.is_alone() {
            let index = self.replica.applied_index();
            self.events
                .push_back(Event::TouchConfirmed { round, index });
            return;
        }
        // A round that is told again asks the same question again, or one that takes long would never be answered.
        let question = match self.ensemble.confirming.get(&whose) {
            Some((question, asked)) if *asked == round => *question,
            _ => {
                self.ensemble.questions += 1;
                ReadIndex::Touch(self.ensemble.questions)
            }
        };
        self.ensemble.confirming.insert(whose, (question, round));
        self.replica.read_index(question);
    }

    /// The group has committed so much, and this server, or the one that leads, has led meanwhile.
    pub(super) fn read_at(&mut self, question: ReadIndex, index: u64, world: &mut World) {
        if let ReadIndex::Sync(round) = question {
            return self.handle(Event::ReadIndex { round, index }, world);
        }
        let mut waiting = self.ensemble.confirming.iter();
        let Some((whose, (_, round))) = waiting.find(|(_, (asked, _))| *asked == question) else {
            return;
        };
        let (whose, round) = (*whose, *round);
        self.ensemble.confirming.remove(&whose);
        match whose {
            None => self.handle(Event::TouchConfirmed { round, index }, world),
            Some(server) => {
                if let Some(peer) = world.peers.peer(server, &mut world.connections) {
                    let group = GroupId::COORDINATOR;
                    peer.send_touched(&Touched {
                        group,
                        round,
                        index,
                    });
                }
            }
        }
    }

    /// The leader has heard which sessions live.
    pub(in crate::node) fn touch_confirmed(
        &mut self,
        touched: Touched,
        from: ServerId,
        world: &mut World,
    ) {
        if self.replica.leader() == Some(from) {
            let (round, index) = (touched.round, touched.index);
            self.handle(Event::TouchConfirmed { round, index }, world);
        }
    }

    /// A part of a snapshot comes.
    pub(in crate::node) fn part(&mut self, part: Part, from: ServerId, world: &mut World) {
        // One that leads no more sends nothing that is of use.
        let leads = self.is_led_by(from, world);
        if leads && !self.receiving.part(from, part, world.disk.as_mut()) {
            self.break_link(from, world);
        }
    }

    /// Whether a server leads, for one whose members may be old, or who knows none: of a leader that is a member since later only its own
    /// word tells which server it is.
    fn is_led_by(&self, server: ServerId, world: &World) -> bool {
        self.replica.member().is_some_and(|group| {
            let leader = group.leader();
            let leader = leader.and_then(|leader| self.server_of(leader, world));
            group.membership().is_empty() || leader == Some(server)
        })
    }

    /// A member has taken so much of a snapshot.
    pub(in crate::node) fn taken(&mut self, taken: Taken, from: ServerId, world: &mut World) {
        let disk = world.disk.as_mut();
        if let Some(message) = self.sendings.taken(from, taken, disk) {
            let member = message.to;
            let (group, connections) = (GroupId::COORDINATOR, &mut world.connections);
            let sent = world.peers.send(from, group, message, connections);
            self.snapshot_sent(member, sent.is_ok());
        }
    }

    /// Takes a completion of a snapshot that is being sent.
    pub(in crate::node) fn sent_completed(&mut self, completion: Completion, world: &mut World) {
        if let Some(member) = self.sendings.complete(completion, world.disk.as_mut()) {
            self.snapshot_sent(member, false);
        }
    }

    /// Takes a completion of a snapshot that is coming.
    pub(in crate::node) fn received_completed(
        &mut self,
        completion: Completion,
        world: &mut World,
    ) {
        match self.receiving.complete(completion, world.disk.as_mut()) {
            Told::Nothing => {}
            Told::Taken(server, taken) => {
                if let Some(peer) = world.peers.peer(server, &mut world.connections) {
                    peer.send_taken(&taken);
                }
            }
            Told::GivenUp(server) => self.break_link(server, world),
        }
    }

    /// Ends a connection: whoever sent a snapshot that was given up hears of it by that, and begins anew.
    fn break_link(&mut self, server: ServerId, world: &mut World) {
        if let Some(link) = world.peers.link(server) {
            world.connections.close(link.connection);
        }
    }

    /// Who leads no more sends no snapshots.
    pub(super) fn end_sendings(&mut self, world: &mut World) {
        for member in self.sendings.end_all(world.disk.as_mut()) {
            self.snapshot_sent(member, false);
        }
    }

    /// A snapshot takes the place of the state.
    pub(super) fn install(&mut self, received: Received, world: &mut World) {
        info!(
            index = received.index,
            "the state is another server's snapshot now"
        );
        let seed = Seed(self.ensemble.random.next());
        let mut effects = Vec::new();
        self.core.replace(received.restored, seed, &mut effects);
        self.comparison.begin(received.index, self.core.digest());
        self.snapshots
            .installed(received.index, world.disk.as_mut());
        for effect in effects {
            self.carry_out(effect, world);
        }
        self.offer_newest();
    }

    /// The newest snapshot may be sent to who needs one.
    pub(super) fn offer_newest(&mut self) {
        let marker = self.replica.place(self.snapshots.newest());
        if let (Some(marker), Some(group)) = (marker, self.replica.member_mut()) {
            group.offer_snapshot(marker);
        }
    }

    /// Sends on what was read of snapshots, and removes those that nobody needs.
    pub(super) fn send_parts(&mut self, world: &mut World) {
        let World {
            peers,
            connections,
            disk,
            ..
        } = world;
        let takes = |server| {
            peers
                .peer(server, connections)
                .is_some_and(|peer| peer.takes_parts())
        };
        let parts = self.sendings.take_parts(takes, disk.as_mut());
        for (server, part) in parts {
            if let Some(peer) = peers.peer(server, connections) {
                // It was just asked whether there is room.
                let _ = peer.send_part(&part);
            }
        }
        let sendings = &self.sendings;
        self.snapshots
            .sweep(|path| sendings.pins(path), disk.as_mut());
    }

    /// Takes note of who leads, and since when.
    pub(super) fn note_leader(&mut self, world: &World) {
        let led = self.replica.stand();
        if led != self.ensemble.led {
            self.ensemble.led = led;
            self.ensemble.led_since = world.now;
        }
    }

    /// Lets the journal forget what the newest snapshot holds. A member that is being caught up still needs what is behind the
    /// snapshot that it gets: unless the journal `needs` the room, that stays until it has it.
    pub(super) fn release_newest(&mut self, needs: bool, world: &mut World) {
        let newest = self.snapshots.newest();
        if needs || self.replica.behind().is_none_or(|has| has >= newest) {
            self.replica.release(newest, &mut world.journal);
        }
    }

    /// Tells the others when the members have changed, and ends connections to those that do not support the level now.
    pub(super) fn tell_of_members(&mut self, world: &mut World) {
        let since = self.replica.member().map(|group| group.members_since());
        if since == self.ensemble.told_since {
            return;
        }
        let Some(hello) = self.hello() else { return };
        self.ensemble.told_since = since;
        world.peers.greet_all(&hello, &mut world.connections);
        let level = self.replica.level();
        let links = world.peers.links();
        let unsupported = links.filter(|(_, link)| !link.levels.contains(level));
        for connection in unsupported.map(|(_, link)| link.connection) {
            world.connections.close(connection);
        }
    }

    /// Lets time pass for the group, and for clients that nobody serves.
    pub(super) fn tick_ensemble(&mut self, world: &mut World) {
        self.replica.tick(world.now);
        let role = self.replica.role();
        self.ensemble.give_up_wishes(role);
        if let Role::Leads { .. } = role
            && self.ensemble.admit_at <= world.now
        {
            self.ensemble.admit_at = world.now + ADMIT_EVERY;
            self.dismiss();
            self.end_move(world);
            self.admit(world);
            self.raise(world);
        }
        self.look_at_disk(world);
        if self.replica.has_leader() || self.hello().is_none() {
            self.ensemble.leaderless_since = None;
            return self.end_read_only(world);
        }
        let since = *self.ensemble.leaderless_since.get_or_insert(world.now);
        if since + self.ensemble.leaderless.patience <= world.now {
            self.send_clients_away(
                "no server leads the ensemble, as far as is known here: clients are sent away",
                world,
            );
        }
        self.look_whether_read_only(since, world);
    }

    /// Looks whether the journal's disk does what it is given. Nothing is applied here that is not durable here: if it does not,
    /// another server had better lead, and clients are better off elsewhere.
    fn look_at_disk(&mut self, world: &mut World) {
        let stuck = world.journal.is_stuck();
        let stuck = stuck.then_some(self.ensemble.disk_waits.unwrap_or(world.now));
        let has_others = self.replica.member().is_some() && !self.replica.is_alone();
        let since = world.journal.waits_since().or(stuck);
        self.ensemble.disk_waits = since.filter(|_| has_others);
        let waits = self.ensemble.disk_waits;
        let waits = waits.map_or(Duration::ZERO, |since| world.now.since(since));
        if waits >= DISK_PATIENCE
            && self.replica.proposes()
            && self.ensemble.handed_over.is_due(world.now)
        {
            warn!(
                ?waits,
                "the journal's disk does nothing: another server is to lead"
            );
            self.transfer(self.successor(world));
        }
        self.ensemble.parked = waits >= self.ensemble.leaderless.patience.max(DISK_PATIENCE);
        if self.ensemble.parked {
            let what = "the journal's disk does nothing: clients are sent away until it does";
            self.send_clients_away(what, world);
        }
    }

    /// Does what an operator wants of the ensemble.
    pub(in crate::node) fn wish(&mut self, wish: EnsembleWish, world: &World) {
        match wish {
            EnsembleWish::Invite(server, seat) => {
                self.ensemble.dismissed.remove(&server);
                self.ensemble.invited.insert(server, seat);
            }
            EnsembleWish::MoveVote { giver, taker } => {
                self.ensemble.moving = Some((giver, taker));
            }
            EnsembleWish::Dismiss(server) => {
                self.ensemble.invited.remove(&server);
                self.ensemble.dismissed.insert(server);
            }
            EnsembleWish::Transfer(server) => {
                let link = world.peers.link(server).map(|link| link.identity);
                let members = self.replica.member().map(|group| group.membership());
                let number = members.and_then(|members| members.number_of(link?));
                self.transfer(number);
            }
            EnsembleWish::HandOver => self.transfer(self.successor(world)),
            EnsembleWish::RaiseLevel => self.ensemble.raises = true,
        }
        self.ensemble.admit_at = world.now;
    }

    pub(super) fn transfer(&mut self, to: Option<u64>) {
        let group = self.replica.member_mut();
        if let (Some(group), Some(to)) = (group, to) {
            match group.transfer(to) {
                Ok(()) => info!(member = to, "the lead is handed to another server"),
                Err(why) => info!(%why, "the lead is not handed on"),
            }
        }
    }

    /// Takes those out that are to leave.
    fn dismiss(&mut self) {
        let Some(group) = self.replica.member_mut() else {
            return;
        };
        // What is refused, because another change is under way, is tried again.
        self.ensemble.dismissed.retain(|server| {
            let dismissed = group.dismiss(*server);
            if dismissed == Ok(false) {
                info!(%server, "a server is taken out of the ensemble");
            }
            !matches!(dismissed, Ok(true) | Err(Unchanged::Leader(_)))
        });
    }

    /// Writes down what the members support, and raises the level where an operator wants that. What is refused, because
    /// another change is under way, is tried again.
    fn raise(&mut self, world: &World) {
        let own = self.replica.supported();
        let said = world.peers.links();
        let said: Vec<_> = said
            .map(|(_, it)| (it.identity, it.levels.highest))
            .collect();
        let Some(group) = self.replica.member_mut() else {
            return;
        };
        let members = group.membership();
        let of_others = said.into_iter();
        let of_others = of_others.filter_map(|(it, level)| Some((members.number_of(it)?, level)));
        let all: BTreeMap<u64, FeatureLevel> =
            of_others.chain([(group.member(), own.highest)]).collect();
        if group.note_support(&all) != Ok(false) || !self.ensemble.raises {
            return;
        }
        let (now, possible) = (group.level(), group.membership().possible_level());
        if possible > now && group.raise(possible).is_err() {
            return;
        }
        if possible > now {
            info!(from = %now, to = %possible, "the feature level of the ensemble is raised");
        }
        self.ensemble.raises = false;
    }

    /// Brings those further that are on their way into the group.
    fn admit(&mut self, world: &World) {
        // Who is on the list as an observer, and belongs to nothing, needs no operator.
        let links = world.peers.links();
        let expected = links
            .filter(|(server, link)| link.members.is_none() && self.replica.is_to_observe(*server));
        let expected: BTreeSet<ServerId> = expected.map(|(server, _)| server).collect();
        let Some(group) = self.replica.member_mut() else {
            return;
        };
        let up_to = std::mem::replace(&mut self.ensemble.admit_up_to, group.committed_index());
        if let Some((giver, taker)) = self.ensemble.moving {
            let link = world.peers.link(taker);
            if link.is_some_and(|taker| moves(group, giver, taker.identity, up_to)) {
                self.ensemble.moving = None;
            }
        }
        let taker = self.ensemble.moving.map(|(_, taker)| taker);
        for (server, link) in world.peers.links() {
            if self.ensemble.dismissed.contains(&server) {
                continue;
            }
            let members = group.membership();
            let forgot = members.number_of(link.identity).is_none()
                && !members.former(link.identity).is_empty();
            if forgot && world.now < link.since + NOBODY_ELSE_FOR {
                continue;
            }
            // Who is to take a vote does not get another one.
            let invited = match taker == Some(server) {
                true => Some(Seat::Observer),
                false => self.ensemble.invited.get(&server).copied(),
            };
            let observes = expected.contains(&server).then_some(Seat::Observer);
            let invited = invited.or(observes);
            // What is refused, because another change is under way, is tried again.
            match group.admit(link.identity, invited, up_to) {
                Ok(Admission::Joining) => info!(%server, "a server is taken into the ensemble"),
                Ok(Admission::Promoted) => {
                    info!(%server, "a server has all and is to vote");
                    self.ensemble.promoted.insert(server);
                }
                Ok(Admission::Votes) => {
                    self.ensemble.invited.remove(&server);
                    // Until the change is through, the votes of those that were members before count as well.
                    if group.membership().outgoing.is_empty()
                        && self.ensemble.promoted.remove(&server)
                    {
                        info!(%server, "a server votes");
                    }
                }
                Ok(Admission::Observes) => {
                    if self.ensemble.invited.remove(&server).is_some() {
                        info!(%server, "a server observes");
                    }
                }
                Ok(Admission::Stranger | Admission::CatchingUp) | Err(_) => {}
            }
        }
    }

    /// Lets those in that came too early, or sends them away when their time is over.
    pub(super) fn look_after_early(&mut self, world: &mut World) {
        let serves = self.serves();
        let now = world.now;
        let is_due = |(until, _): &mut (Moment, ConnectionId)| serves || *until <= now;
        while let Some((_, id)) = self.early_until.pop_front_if(is_due) {
            let Some(request) = self.early.remove(&id) else {
                continue;
            };
            match serves {
                true => self.let_in(id, request, world),
                false => self.send_away(id, world),
            }
        }
    }

    /// A client that came too early has its turn.
    pub(super) fn let_in(&mut self, id: ConnectionId, request: ConnectRequest, world: &mut World) {
        let (connection, wall) = (id, world.wall);
        let connect = Event::Connect {
            connection,
            wall,
            request,
        };
        self.handle(connect, world);
        world.connections.stall(id);
    }

    /// A client is gone.
    pub(in crate::node) fn disconnected(&mut self, connection: ConnectionId, world: &mut World) {
        self.early.remove(&connection);
        self.handle(Event::Disconnected { connection }, world);
    }

    /// Clients had better look for another server.
    fn send_clients_away(&mut self, what: &str, world: &mut World) {
        if !self.core.has_clients() {
            return;
        }
        // Whoever only asks for words may stay. One whose session is still to be agreed on would wait as long as nobody
        // leads.
        let clients = world.connections.ids(Port::Coordinator).into_iter();
        // Clients that only read have what they came for.
        let waits =
            |id: &ConnectionId| self.core.is_client(*id) && !self.core.is_read_only_client(*id);
        let clients: Vec<ConnectionId> = clients.filter(waits).collect();
        if clients.is_empty() {
            return;
        }
        if self.ensemble.sent_away.is_due(world.now) {
            warn!(count = clients.len(), "{what}");
        }
        for id in clients {
            self.send_away(id, world);
        }
    }

    /// Closes a client's connection without a word.
    pub(super) fn send_away(&mut self, id: ConnectionId, world: &mut World) {
        if let Some(client) = world.connections.zookeeper(id) {
            client.close(world.now);
        }
        world.connections.close(id);
        self.disconnected(id, world);
    }

    /// Why no client can be served, in words, as far as it has to do with other servers.
    pub(in crate::node) fn waits_for(&self, world: &World) -> Option<String> {
        let hello = self.hello()?;
        if self.comparison.is_replaced() {
            let why = "the data of this server is not that of the others: it waits for a snapshot";
            return Some(why.to_owned());
        }
        if self.ensemble.parked {
            let why =
                "the disk of its journal does nothing: look for what keeps it busy, or replace it";
            return Some(why.to_owned());
        }
        if self.replica.has_leader() {
            let behind = "this server has not caught up with the ensemble yet";
            return (!self.serves()).then(|| behind.to_owned());
        }
        if self.is_replaced() {
            return Some(
                "it was recovered on another server: restart this one with --accept-loss, then chrysalis cluster add where the leader runs"
                    .to_owned(),
            );
        }
        if self.is_removed(world) {
            return Some(
                "this server was taken out of it: chrysalis cluster add, where the leader runs"
                    .to_owned(),
            );
        }
        if let Some((server, why)) = world.peers.apart(world.now) {
            return Some(format!(
                "the ensemble has no leader that is heard here: E0112: server {server} is not let in: {why}"
            ));
        }
        let missing = self.replica.missing();
        let is_stranger = (world.peers.links()).any(|(_, link)| link.members.is_some());
        let waited_for = |server: &ServerId| match &hello.members {
            Some(members) => {
                let mut numbers = members.numbers_of(*server).into_iter();
                numbers.any(|it| members.votes(it))
            }
            // All of the list found an ensemble; once there is one, nobody waits for an observer.
            None => !is_stranger || !hello.observers.contains(server),
        };
        let absent = |server: &&ServerId| {
            let is_other = **server != hello.identity.server;
            is_other && world.peers.link(**server).is_none() && waited_for(server)
        };
        let absent: Vec<String> = hello
            .servers
            .iter()
            .filter(absent)
            .map(ToString::to_string)
            .collect();
        let who = match (missing.is_empty(), absent.is_empty()) {
            (_, false) => format!("waiting for server {}", absent.join(", ")),
            (_, true) if is_stranger && self.replica.is_to_observe(hello.identity.server) => {
                "waiting to be taken in as an observer".to_owned()
            }
            (false, true) if is_stranger => {
                "this server belongs to no ensemble, and the others do: chrysalis cluster add, where their leader runs".to_owned()
            }
            (false, true) => "waiting to be founded".to_owned(),
            (true, true) => "electing a leader".to_owned(),
        };
        Some(format!("the ensemble has no leader: {who}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_elected_keeps_what_an_operator_wants_until_it_leads() {
        let leaderless = Leaderless {
            patience: Duration::ZERO,
            read_only_after: None,
        };
        let mut ensemble = Ensemble::new(leaderless, Seed(1));
        ensemble.invited.insert(ServerId(2), Seat::Voter);
        ensemble.moving = Some((ServerId(4), ServerId(5)));
        ensemble.dismissed.insert(ServerId(3));
        ensemble.raises = true;
        ensemble.give_up_wishes(Role::Elected { term: 5 });
        ensemble.give_up_wishes(Role::Leads { term: 5, since: 9 });
        assert_eq!((ensemble.invited.len(), ensemble.dismissed.len()), (1, 1));
        assert!(ensemble.raises && ensemble.moving.is_some());
        ensemble.give_up_wishes(Role::Follows);
        assert_eq!((ensemble.invited.len(), ensemble.dismissed.len()), (0, 0));
        assert!(!ensemble.raises && ensemble.moving.is_none());
    }
}
