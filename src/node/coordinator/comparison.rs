//! Whether all servers hold the same state, and what is done with one that does not.
//!
//! Each server keeps its digests of the last entries. The leader asks all others once a second which digest they have at its
//! own last entry, until they have answered; who has applied less answers when it has come there. One that differs from the
//! leader is told so: it sends its clients away and applies nothing more until it has a snapshot of the leader's. Its log is as
//! good as before, so it goes on to vote and to store entries. A leader that differs from most of the voters does the same, and
//! hands over the lead first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tracing::{error, info};

use super::CoordinatorSide;
use crate::consensus::group::Role;
use crate::coordinator::Event;
use crate::node::World;
use crate::node::connections::Port;
use crate::node::replica::News;
use crate::units::{GroupId, Moment, ServerId};
use crate::wire::peer::{Compare, Compared};

/// Digests that are kept: those of so many entries.
const KEPT: usize = 4096;
/// How often others are asked, and how long they have to answer before those that have are judged.
const EVERY: Duration = Duration::from_secs(1);

/// What was asked, and what the answers are.
#[derive(Debug)]
struct Asked {
    index: u64,
    digest: u64,
    answers: BTreeMap<ServerId, u64>,
}

/// What follows from the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// These servers differ.
    Others(BTreeSet<ServerId>),
    /// Most of the voters have another state than this server.
    Own,
}

/// What is known of the states of all servers.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// This server's digests, by entry.
    digests: VecDeque<(u64, u64)>,
    /// The last question of this server, while it leads.
    asked: Option<Asked>,
    next_at: Moment,
    /// The leader's question about an entry that is not applied yet.
    owed: Option<(ServerId, u64)>,
    /// Servers that differ, as their leader knows.
    pub(super) differing: BTreeSet<ServerId>,
    /// Who waits for a snapshot, of which entry at least.
    wanting: BTreeMap<ServerId, u64>,
    /// This server's state is not to be used.
    replaced: Option<Replaced>,
    /// How often a server was found to differ in this run.
    pub(super) found: u64,
}

/// A state that waits for another to take its place.
#[derive(Debug)]
struct Replaced {
    next_at: Moment,
    /// What is committed and not applied meanwhile.
    held: VecDeque<News>,
}

impl Comparison {
    /// Takes note of the digest after an entry. One that the state held already when it was restored is passed over.
    pub(super) fn note(&mut self, index: u64, digest: u64) {
        if self.digests.back().is_some_and(|(last, _)| *last >= index) {
            return;
        }
        if self.digests.len() == KEPT {
            self.digests.pop_front();
        }
        self.digests.push_back((index, digest));
    }

    /// The state is another one now.
    pub(super) fn begin(&mut self, index: u64, digest: u64) {
        self.digests.clear();
        self.note(index, digest);
        self.owed = None;
        self.replaced = None;
    }

    fn digest_at(&self, index: u64) -> Option<u64> {
        let at = self.digests.binary_search_by_key(&index, |(at, _)| *at);
        at.ok().map(|place| self.digests[place].1)
    }

    /// Whether this server's state is not to be used.
    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.is_some()
    }

    /// Keeps back what is committed, while it cannot be applied; gives it back otherwise.
    pub(super) fn hold(&mut self, piece: News) -> Option<News> {
        let Some(replaced) = &mut self.replaced else {
            return Some(piece);
        };
        match piece {
            News::Command { .. } | News::EntryEnd { .. } => {
                replaced.held.push_back(piece);
                None
            }
            // A new core is told who leads then.
            News::Led { .. } | News::Deposed | News::Follows => None,
            piece => Some(piece),
        }
    }

    /// The last entry that is held.
    fn held_to(&self) -> Option<u64> {
        let mut held = self.replaced.as_ref()?.held.iter().rev();
        held.find_map(|piece| match piece {
            News::EntryEnd { index } => Some(*index),
            _ => None,
        })
    }

    /// When something is due of this.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.replaced.as_ref().map(|replaced| replaced.next_at)
    }
}

/// Who differs. Where no majority of all voters has another digest than the leader, the leader's counts.
fn judge(own: u64, answers: &BTreeMap<ServerId, u64>, voters: &BTreeSet<ServerId>) -> Verdict {
    let mut votes = BTreeMap::<u64, usize>::new();
    for (_, digest) in answers.iter().filter(|(it, _)| voters.contains(*it)) {
        *votes.entry(*digest).or_default() += 1;
    }
    let is_outvoted = |(digest, votes): (&u64, &usize)| *digest != own && *votes > voters.len() / 2;
    if votes.iter().any(is_outvoted) {
        return Verdict::Own;
    }
    let others = answers.iter().filter(|(_, digest)| **digest != own);
    Verdict::Others(others.map(|(server, _)| *server).collect())
}

impl CoordinatorSide {
    /// Takes note of the digest after an entry, and gives the answer that is owed.
    pub(super) fn note_digest(&mut self, index: u64, world: &mut World) {
        if !self.replica.has_others() {
            return;
        }
        self.comparison.note(index, self.core.digest());
        if let Some((leader, wanted)) = self.comparison.owed
            && wanted <= index
        {
            self.comparison.owed = None;
            self.answer_digest(leader, wanted, world);
        }
    }

    fn say(&self, to: ServerId, index: u64, what: Compared, world: &mut World) {
        if let Some(peer) = world.peers.peer(to, &mut world.connections) {
            let group = GroupId::COORDINATOR;
            peer.send_compare(&Compare { group, index, what });
        }
    }

    fn answer_digest(&mut self, leader: ServerId, index: u64, world: &mut World) {
        if let Some(digest) = self.comparison.digest_at(index) {
            self.say(leader, index, Compared::Answer(digest), world);
        }
    }

    /// A word of another server about a state.
    pub(in crate::node) fn compared(
        &mut self,
        compare: Compare,
        from: ServerId,
        world: &mut World,
    ) {
        let index = compare.index;
        let is_leader = self.replica.leader() == Some(from);
        match compare.what {
            Compared::Ask if is_leader && !self.comparison.is_replaced() => {
                let last = self.comparison.digests.back().map_or(0, |(at, _)| *at);
                match index > last {
                    true => self.comparison.owed = Some((from, index)),
                    false => self.answer_digest(from, index, world),
                }
            }
            Compared::Differs if is_leader && self.comparison.digest_at(index).is_some() => {
                self.give_up_state(index, world);
            }
            Compared::Answer(digest) => self.take_answer(from, index, digest, world),
            Compared::Wants if matches!(self.replica.role(), Role::Leads { .. }) => {
                self.comparison.differing.insert(from);
                self.comparison.wanting.insert(from, index);
            }
            Compared::Ask | Compared::Differs | Compared::Wants => {}
        }
    }

    fn take_answer(&mut self, from: ServerId, index: u64, digest: u64, world: &mut World) {
        let Some(asked) = &mut self.comparison.asked else {
            return;
        };
        if asked.index != index {
            return;
        }
        asked.answers.insert(from, digest);
        if digest == asked.digest && self.comparison.differing.remove(&from) {
            info!(server = %from, index, "the data of a server is that of the others again");
        }
        if !self.is_unanswered(world) {
            self.judge_states(world);
        }
    }

    /// Whether a member that is connected has not answered the last question.
    fn is_unanswered(&self, world: &World) -> bool {
        let Some(asked) = &self.comparison.asked else {
            return true;
        };
        let members = self.replica.member().map(|group| group.membership());
        let is_member = |identity| members.is_some_and(|it| it.number_of(identity).is_some());
        let links = world.peers.links();
        let mut members = links.filter(|(_, link)| is_member(link.identity));
        members.any(|(server, _)| !asked.answers.contains_key(&server))
    }

    /// Looks at the answers: once all are there, or when others had time enough.
    fn judge_states(&mut self, world: &mut World) {
        let Some(group) = self.replica.member() else {
            return;
        };
        let members = group.membership();
        let voters = members.voters.iter();
        let voters = voters.filter_map(|number| members.identities.get(number));
        let voters: BTreeSet<ServerId> = voters.map(|identity| identity.server).collect();
        let Some(asked) = &self.comparison.asked else {
            return;
        };
        let index = asked.index;
        match judge(asked.digest, &asked.answers, &voters) {
            Verdict::Own => self.give_up_state(index, world),
            Verdict::Others(differing) => {
                for server in differing {
                    if self.comparison.differing.insert(server) {
                        self.comparison.found += 1;
                        error!(
                            %server, index,
                            "the data of a server is not that of the others, though both have the same entries: it serves \
                             nobody until it has a snapshot of this server. Keep the logs, and report it"
                        );
                    }
                    self.say(server, index, Compared::Differs, world);
                }
            }
        }
    }

    /// This server's state is not what it should be: nobody is to see it any more.
    fn give_up_state(&mut self, index: u64, world: &mut World) {
        if self.comparison.is_replaced() {
            return;
        }
        error!(
            index,
            "the data of this server is not that of the others, though all have the same entries: its clients are sent away, and \
             it serves nobody until it has a snapshot of another one. Keep the logs, and report it"
        );
        self.comparison.found += 1;
        self.comparison.asked = None;
        self.comparison.replaced = Some(Replaced {
            next_at: Moment::START,
            held: VecDeque::new(),
        });
        // Whoever leads is not to end sessions by what it has.
        self.handle(Event::Deposed, world);
        for id in world.connections.ids(Port::Coordinator) {
            self.send_away(id, world);
        }
    }

    /// Lets time pass: asks others, and asks for a snapshot.
    pub(super) fn tick_comparison(&mut self, world: &mut World) {
        let role = self.replica.role();
        if let Some(replaced) = &mut self.comparison.replaced {
            if replaced.next_at > world.now {
                return;
            }
            replaced.next_at = world.now + EVERY;
            match (role, self.replica.leader()) {
                (Role::Follows, Some(leader)) => {
                    let index = self.core.status().applied;
                    if !self.receiving.is_coming(index) {
                        self.say(leader, index, Compared::Wants, world);
                    }
                }
                (Role::Follows, None) => {}
                _ => self.transfer(self.successor(world)),
            }
            return;
        }
        if !matches!(role, Role::Leads { .. }) || self.replica.is_alone() {
            self.comparison.asked = None;
            self.comparison.differing.clear();
            self.comparison.wanting.clear();
            return;
        }
        self.send_wanted(world);
        if world.now < self.comparison.next_at {
            return;
        }
        self.comparison.next_at = world.now + EVERY;
        let Some(&(index, digest)) = self.comparison.digests.back() else {
            return;
        };
        if !self.is_unanswered(world)
            && self
                .comparison
                .asked
                .as_ref()
                .is_some_and(|asked| asked.index == index)
        {
            return;
        }
        self.judge_states(world);
        if self.comparison.is_replaced() {
            return;
        }
        let answers = BTreeMap::new();
        self.comparison.asked = Some(Asked {
            index,
            digest,
            answers,
        });
        let servers: Vec<ServerId> = world.peers.links().map(|(server, _)| server).collect();
        for server in servers {
            self.say(server, index, Compared::Ask, world);
        }
    }

    /// Sends a snapshot to those whose state is to be replaced, as soon as there is one that holds what they have applied.
    fn send_wanted(&mut self, world: &mut World) {
        let newest = self.snapshots.newest();
        for (server, index) in std::mem::take(&mut self.comparison.wanting) {
            if world.peers.link(server).is_none() || self.sendings.taken_by(server).is_some() {
                continue;
            }
            if newest < index.max(1) {
                self.ensemble.snapshot_wanted = true;
                self.comparison.wanting.insert(server, index);
                continue;
            }
            let path = self.snapshots.path(newest);
            let disk = world.disk.as_mut();
            self.sendings.begin(server, newest, path, None, disk);
        }
    }

    /// The snapshot that was asked for takes the place of the state, once it is there and its entry is committed here.
    pub(super) fn replace_state(&mut self, world: &mut World) {
        let applied = self.core.status().applied;
        let Some(index) = self.receiving.ready_index() else {
            return;
        };
        let known = self.comparison.held_to().unwrap_or(applied);
        if !self.comparison.is_replaced() || !(applied..=known).contains(&index) {
            return;
        }
        let Some(marker) = self.replica.place(index) else {
            return;
        };
        if !self.receiving.accept(&marker) {
            // It is of another history, or of other members: asked for again.
            return self.receiving.refuse();
        }
        let received = self.receiving.take(index);
        let held = self.comparison.replaced.take().map(|it| it.held);
        self.install(received.expect("it was accepted"), world);
        self.replica.applied(index);
        self.replica.release(index, &mut world.journal);
        let behind = |piece: &News| match piece {
            News::Command { index: at, .. } | News::EntryEnd { index: at } => *at > index,
            _ => true,
        };
        for piece in held.into_iter().flatten().filter(behind) {
            self.take_news(piece, world);
        }
        // The new core has not heard of it.
        if let Role::Leads { term, .. } = self.replica.role() {
            self.handle(Event::Led { term }, world);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(own: u64, answers: &[(u16, u64)]) -> Verdict {
        let answers = answers.iter().map(|(it, digest)| (ServerId(*it), *digest));
        // This server is the first.
        let voters = (1..=3).map(ServerId).collect();
        judge(own, &answers.collect(), &voters)
    }

    fn others(servers: &[u16]) -> Verdict {
        Verdict::Others(servers.iter().copied().map(ServerId).collect())
    }

    #[test]
    fn the_leader_is_right_unless_most_of_the_voters_have_another_state() {
        assert_eq!(judged(5, &[(2, 5), (3, 5)]), others(&[]));
        assert_eq!(judged(5, &[(2, 5), (3, 6)]), others(&[3]));
        assert_eq!(judged(5, &[(3, 6)]), others(&[3]), "one is away");
        assert_eq!(judged(5, &[(2, 6), (3, 7)]), others(&[2, 3]));
        assert_eq!(judged(5, &[(2, 6), (3, 6)]), Verdict::Own);
        assert_eq!(
            judged(5, &[(2, 6), (4, 6)]),
            others(&[2, 4]),
            "a learner has no say"
        );
    }

    #[test]
    fn digests_of_the_last_entries_are_known() {
        let mut comparison = Comparison::default();
        for index in 1..=KEPT as u64 + 1 {
            comparison.note(index, 2 * index);
        }
        assert_eq!(comparison.digest_at(1), None);
        assert_eq!(comparison.digest_at(2), Some(4));
        assert_eq!(comparison.digest_at(KEPT as u64 + 2), None);
        comparison.begin(9, 1);
        assert_eq!(comparison.digest_at(2), None);
        assert_eq!(comparison.digest_at(9), Some(1));
    }
}
