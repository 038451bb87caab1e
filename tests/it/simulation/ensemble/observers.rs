//! Three voters and an observer: it has everything and decides nothing, and votes move to it and away from it.

use super::faults::id_of;
use super::server::End;
use super::world::{SECOND, SERVERS, World};
use super::{Story, run_in};
use crate::harness::lab::{self, seeds};
use crate::harness::tally::Tally;

/// The place of the observer.
const OBSERVER: usize = 3;

impl World {
    /// Whether a server votes, as the leader says.
    fn votes(&self, server: usize) -> bool {
        self.members().is_some_and(|members| {
            let numbers = members.numbers_of(id_of(server));
            numbers.iter().any(|it| members.voters.contains(it))
        })
    }

    fn all_there(&mut self) {
        let by = self.now + 60 * SECOND;
        self.until("all are there", by, |world| world.whole_since.is_some());
    }
}

#[test]
fn an_observer_is_there_when_its_ensemble_is_founded_and_nothing_depends_on_it_then() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::observed(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.servers[OBSERVER].start_at = u64::MAX;
        let until = world.now + 10 * SECOND;
        world.until("time passes", u64::MAX, |world| world.now >= until);
        let founded = (0..SERVERS).any(|server| world.serves(server));
        assert!(!founded, "it may be the one that remembers another one");
        world.servers[OBSERVER].start_at = world.now;
        world.all_there();
        assert!(!world.votes(OBSERVER), "it has no vote");

        // Two of the voters are gone: the other one and the observer are no majority.
        let (_, (leader, _)) = world.leaders.last_key_value().expect("one leads");
        let left = (leader + 1) % SERVERS;
        for server in (0..SERVERS).filter(|it| *it != left) {
            world.stop(server, End::Kill, 10 * SECOND);
        }
        let by = world.now + 8 * SECOND;
        world.until("nobody serves", by, |world| {
            !world.serves(left) && !world.serves(OBSERVER)
        });
        let until = world.now + SECOND;
        world.until("time passes", u64::MAX, |world| world.now >= until);
        assert!(!world.serves(left) && !world.serves(OBSERVER), "nobody");

        // Without its memory it comes back as what it was.
        world.all_there();
        world.wipe(OBSERVER, SECOND);
        world.all_there();
        assert!(!world.votes(OBSERVER), "it has no vote");
        world.end_well();
    }
}

#[test]
fn a_vote_moves_to_an_observer_from_whoever_has_it() {
    for seed in seeds(3, 60) {
        let mut story = Story(World::observed(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.all_there();
        for _ in 0..3 {
            let before: Vec<bool> = (0..world.count()).map(|it| world.votes(it)).collect();
            let by = world.now + 30 * SECOND;
            world.move_vote();
            world.until("a vote has moved", by, |world| {
                let now: Vec<bool> = (0..world.count()).map(|it| world.votes(it)).collect();
                now != before && now.iter().filter(|it| **it).count() == SERVERS
            });
            world.whole_since = None;
            world.all_there();
        }
        world.end_well();
    }
}

#[test]
fn an_ensemble_keeps_what_it_acknowledged_while_votes_move() {
    let mut tally = Tally::default();
    for seed in seeds(12, 200) {
        tally.merge(&run_in(World::observed(seed)).0);
    }
    tally.assert_at_least(&[
        ("leaders", 20),
        ("moves told", 1),
        ("wiped and back", 1),
        ("synced reads", 200),
        ("acknowledged znodes found", 400),
        ("states compared", 2000),
    ]);
    if lab::is_full() {
        tally.assert_at_least(&[("moves told", 100), ("members fewer", 1)]);
    }
}
