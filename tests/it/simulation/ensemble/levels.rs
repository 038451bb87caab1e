//! Servers of an older and a newer release: the ensemble goes on at the level of both, until an operator raises it.

use bytes::{Bytes, BytesMut};
use chrysalis::units::GroupId;
use chrysalis::units::feature::{FeatureLevel, Levels};
use chrysalis::wire::peer::{Forward, request};

use super::server::End;
use super::world::{SECOND, SERVERS, World};
use super::{FAULTS_LAST, Story};
use crate::harness::lab::{self, seeds};
use crate::harness::tally::Tally;

/// What the older release supports.
const OLDER: Levels = Levels::FIRST;
/// And the newer one.
const NEWER: Levels = Levels {
    lowest: FeatureLevel::FIRST,
    highest: FeatureLevel(2),
};

impl World {
    fn pass(&mut self, time: u64) {
        let until = self.now + time;
        self.until("time passes", u64::MAX, |world| world.now >= until);
    }

    fn all_vote(&mut self) {
        let by = self.now + 60 * SECOND;
        self.until("all vote", by, |world| world.whole_since.is_some());
    }

    /// A server is started again, with a release that supports these levels.
    fn install(&mut self, server: usize, levels: Levels) {
        self.servers[server].levels = levels;
        self.stop(server, End::Kill, SECOND);
        self.servers[server].start_at = self.now + SECOND;
        self.whole_since = None;
    }

    fn levels(&self) -> [u16; SERVERS] {
        std::array::from_fn(|server| self.level(server))
    }
}

#[test]
fn a_level_is_raised_when_every_server_supports_it_and_an_operator_says_so() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.servers[0].levels = NEWER;
        world.servers[1].levels = NEWER;
        world.all_vote();
        world.raise_level();
        world.pass(3 * SECOND);
        assert_eq!(world.levels(), [1; 3], "one server holds it back");
        // Forth, back and forth again.
        for (server, levels) in [(2, NEWER), (0, OLDER), (1, OLDER), (0, NEWER), (1, NEWER)] {
            world.install(server, levels);
            world.all_vote();
            if levels == OLDER {
                world.raise_level();
            }
            world.pass(SECOND);
        }
        assert_eq!(world.levels(), [1; 3], "nobody has said so");
        world.raise_level();
        let by = world.now + 5 * SECOND;
        world.until("it is raised", by, |world| world.levels() == [2; 3]);
        world.end_well();
    }
}

#[test]
fn a_new_ensemble_begins_at_the_highest_level_of_its_servers() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.servers.iter_mut().for_each(|it| it.levels = NEWER);
        world.all_vote();
        assert_eq!(world.levels(), [2; 3]);
        world.check_service();
    }
}

/// An older release starts neither in the folder of a server whose ensemble is beyond it, nor does it join with an empty one.
#[test]
fn an_older_server_is_refused_once_the_level_is_raised() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.servers.iter_mut().for_each(|it| it.levels = NEWER);
        world.all_vote();
        world.install(2, OLDER);
        let by = world.now + 30 * SECOND;
        world.until("it is refused", by, |world| {
            world.servers[2].start_at == u64::MAX
        });
        assert!(world.servers[2].node.is_none(), "it does not run");

        let disk = world.random.next();
        world.servers[2].wipe(disk);
        world.wiped = true;
        world.servers[2].start_at = world.now;
        world.pass(8 * SECOND);
        assert!(world.servers[2].node.is_some(), "its folder is empty");
        assert!(!world.serves(2), "and it is not let in");

        world.install(2, NEWER);
        world.all_vote();
        world.end_well();
    }
}

/// Releases change with each restart while everything goes wrong, and an operator wants the level raised in the middle.
fn run_mixed(seed: u64) -> Tally {
    let mut story = Story(World::new(seed));
    let world = &mut story.0;
    world.newer = Some(NEWER);
    let mut raise_at = FAULTS_LAST / 3;
    while world.now < FAULTS_LAST {
        world.step();
        world.fault();
        if raise_at <= world.now {
            world.raise_level();
            raise_at += 2 * SECOND;
        }
    }
    let raised = world.levels().contains(&2);
    world.tally.add("raised amid faults", usize::from(raised));
    world.newer = None;
    for server in 0..SERVERS {
        world.install(server, NEWER);
    }
    world.heal();
    world.check_service();
    world.all_vote();
    world.pass(SECOND);
    world.raise_level();
    let by = world.now + 10 * SECOND;
    world.until("it is raised", by, |world| world.levels() == [2; 3]);
    world.calm_down();
    world.check_trees();
    world.tally.clone()
}

#[test]
fn an_ensemble_of_two_releases_keeps_what_it_acknowledged() {
    let mut tally = Tally::default();
    for seed in seeds(6, 200) {
        tally.merge(&run_mixed(seed));
    }
    tally.assert_at_least(&[("leaders", 6), ("acknowledged znodes found", 60)]);
    if lab::is_full() {
        tally.assert_at_least(&[("raised amid faults", 1)]);
    }
}

/// The leader proposed what came without a look at it, and then every server stopped for good.
#[test]
fn a_command_that_not_every_server_could_read_is_never_proposed() {
    for seed in seeds(2, 30) {
        let mut story = Story(World::new(seed));
        let world = &mut story.0;
        world.fault_at = u64::MAX;
        world.all_vote();
        world.pass(SECOND);
        let (leader, _) = *world.leaders.values().last().expect("somebody leads");
        let follower = (leader + 1) % SERVERS;
        // Kind 200; a write that ends too early; and one with something behind it.
        let unknown = [0, 0, 0, 2, 200, 1];
        let short = [0, 0, 0, 3, 1, 1, 0];
        let mut long = vec![0, 0, 0, 19, 4, 1];
        long.resize(4 + 19, 0);
        for command in [&unknown[..], &short, &long] {
            let commands = Bytes::copy_from_slice(command);
            let group = GroupId::COORDINATOR;
            let mut frame = BytesMut::new();
            request::encode_forward(&Forward { group, commands }, &mut frame);
            let told = |world: &World| {
                let lines = world.log.iter();
                lines
                    .filter(|line| line.ends_with("a command is not proposed"))
                    .count()
            };
            let before = told(world);
            world.inject(follower, leader, frame.freeze());
            let by = world.now + SECOND;
            world.until("it is refused", by, |world| told(world) > before);
        }
        world.pass(SECOND);
        world.end_well();
    }
}
