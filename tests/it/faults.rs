//! Three servers, each on a host of its own, and what may befall them: processes end or stand still, the network is cut,
//! disks are full, damaged or lost.
//!
//! Each test is one fault and its end, told in a few lines. Six clients go from server to server meanwhile, and every test ends with
//! the same questions. Does every server serve again, without a hand? Is everything there that was acknowledged, on each of
//! them, and nothing twice? Is there one order that explains what the clients were told?

/// The clients, and what they were told.
mod clients;
/// What befalls a disk.
mod disks;
/// What must have been true.
mod judges;

use crate::harness::cluster::Cluster;
use crate::harness::lab;
use crate::harness::lab::network::Network;
use crate::harness::process::eventually;
use crate::harness::socket::is_listening;
use clients::Clients;
use disks::{Damage, OwnDisk};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// The server that has a small disk of its own.
const FIRST: usize = 0;
/// Whoever is not heard is given up by then, and so is a connection between servers.
const LONG_ENOUGH: Duration = Duration::from_secs(6);
/// What a leader writes to its log when it begins to lead.
const LEADS: &str = "the coordinator serves";
/// What it writes when a server that has forgotten is a member as before.
const VOTES: &str = "a server votes";

/// Three servers with clients.
struct Trial {
    cluster: Cluster,
    clients: Clients,
}

impl Trial {
    /// Three servers, what befalls them, and the questions.
    fn run(edit: impl Fn(&mut String), befall: impl FnOnce(&mut Trial)) {
        let Some(network) = Network::of(3) else {
            return;
        };
        Trial::of(Cluster::prepare_on(network, edit), befall);
    }

    fn of(mut cluster: Cluster, befall: impl FnOnce(&mut Trial)) {
        let _alone = lab::heavy();
        cluster.begin_all();
        let clients = Clients::start(&cluster);
        let mut trial = Trial { cluster, clients };
        trial.clients.go_round();
        befall(&mut trial);
        let healed_at = Instant::now();
        trial.cluster.wait_until_all_serve();
        let took = healed_at.elapsed();
        trial.clients.go_round();
        lab::note(&format!(
            "all served {took:?} after the fault; {} times one began to lead",
            trial.cluster.said(LEADS)
        ));
        judges::judge(&trial.clients.end(), &trial.cluster);
    }

    fn leader(&mut self) -> usize {
        self.cluster.leader()
    }

    fn follower(&mut self) -> usize {
        self.cluster.followers()[0]
    }

    fn go_on(&self) {
        self.clients.go_on();
    }

    fn go_on_for(&self, time: Duration) {
        self.clients.go_on_for(time);
    }

    /// It is killed, and comes back when the others have gone on.
    fn kill_for_a_while(&mut self, server: usize) {
        self.cluster.kill(server);
        self.go_on();
        self.cluster.resume(server);
    }

    /// It stands still for so long, and goes on.
    fn pause(&mut self, server: usize, time: Duration) {
        self.cluster.signal(server, Signal::SIGSTOP);
        self.go_on_for(time);
        self.cluster.signal(server, Signal::SIGCONT);
    }

    /// Nothing gets over these ways for a while, each from one server to another.
    fn cut_for_a_while(&self, ways: &[(usize, usize)]) {
        let network = self.cluster.network();
        ways.iter().for_each(|(from, to)| network.cut(*from, *to));
        self.go_on_for(LONG_ENOUGH);
        ways.iter().for_each(|(from, to)| network.mend(*from, *to));
    }

    /// The ways from a server to all others.
    fn ways_from(&self, server: usize) -> Vec<(usize, usize)> {
        self.others(server).map(|other| (server, other)).collect()
    }

    /// The ways from all others to a server.
    fn ways_to(&self, server: usize) -> Vec<(usize, usize)> {
        self.others(server).map(|other| (other, server)).collect()
    }

    fn others(&self, server: usize) -> impl Iterator<Item = usize> {
        self.cluster.places().filter(move |it| *it != server)
    }

    /// It has everything again, and its vote.
    fn wait_until_it_votes_again(&self, before: usize) {
        eventually("it votes", LONG_ENOUGH * 10, || {
            self.cluster.said(VOTES) > before
        });
    }
}

fn as_it_comes(_: &mut String) {}

/// In each suite.
fn fast(befall: impl FnOnce(&mut Trial)) {
    Trial::run(as_it_comes, befall);
}

/// In the full suite.
fn full(befall: impl FnOnce(&mut Trial)) {
    if lab::full() {
        fast(befall);
    }
}

// Processes.

#[test]
fn the_leader_is_killed() {
    full(|trial| {
        let leader = trial.leader();
        trial.kill_for_a_while(leader);
    });
}

#[test]
fn a_follower_is_killed() {
    full(|trial| {
        let follower = trial.follower();
        trial.kill_for_a_while(follower);
    });
}

#[test]
fn two_of_three_are_killed_and_come_back() {
    fast(|trial| {
        let killed = [trial.leader(), trial.follower()];
        killed.iter().for_each(|it| trial.cluster.kill(*it));
        killed.iter().for_each(|it| trial.cluster.begin(*it));
    });
}

#[test]
fn two_of_three_are_killed_and_one_of_them_comes_back_first() {
    full(|trial| {
        let killed = trial.cluster.followers();
        killed.iter().for_each(|it| trial.cluster.kill(*it));
        trial.cluster.begin(killed[0]);
        trial.go_on();
        trial.cluster.begin(killed[1]);
    });
}

#[test]
fn all_are_killed_at_once() {
    full(|trial| {
        for _ in 0..3 {
            trial.cluster.places().for_each(|it| trial.cluster.kill(it));
            trial.cluster.begin_all();
            trial.go_on();
        }
    });
}

#[test]
fn each_is_restarted_in_turn() {
    full(|trial| {
        for server in trial.cluster.places() {
            trial.cluster.stop(server);
            trial.go_on();
            trial.cluster.resume(server);
        }
    });
}

#[test]
fn the_leader_stands_still_for_a_second() {
    full(|trial| {
        for _ in 0..3 {
            let leader = trial.leader();
            trial.pause(leader, Duration::from_secs(1));
            trial.go_on();
        }
    });
}

#[test]
fn the_leader_stands_still_for_ten_seconds() {
    full(|trial| {
        let leader = trial.leader();
        trial.pause(leader, Duration::from_secs(10));
    });
}

#[test]
fn the_leader_stands_still_for_a_minute() {
    full(|trial| {
        let leader = trial.leader();
        trial.pause(leader, Duration::from_secs(60));
    });
}

#[test]
fn a_follower_stands_still_for_a_second() {
    full(|trial| {
        for _ in 0..3 {
            let follower = trial.follower();
            trial.pause(follower, Duration::from_secs(1));
            trial.go_on();
        }
    });
}

#[test]
fn a_follower_stands_still_for_ten_seconds() {
    full(|trial| {
        let follower = trial.follower();
        trial.pause(follower, Duration::from_secs(10));
    });
}

#[test]
fn a_follower_stands_still_for_a_minute() {
    full(|trial| {
        let follower = trial.follower();
        trial.pause(follower, Duration::from_secs(60));
    });
}

// The network.

/// That the clients go on shows nothing of it.
#[test]
fn what_is_cut_is_not_reached_until_it_is_mended() {
    let Some(network) = Network::of(2) else {
        return;
    };
    let listener = network.on(1, || TcpListener::bind((network.address(1), 0)));
    let listener = listener.expect("its port is free");
    let address = listener.local_addr().expect("it has one");
    let is_reached = || network.on(0, || is_listening(address));
    eventually("it is reached", LONG_ENOUGH, is_reached);
    // What is asked does not arrive, and then what is answered.
    for (from, to) in [(0, 1), (1, 0)] {
        network.cut(from, to);
        assert!(!is_reached(), "cut from {from} to {to}");
        network.mend(from, to);
        eventually("it is reached again", LONG_ENOUGH, is_reached);
    }
}

#[test]
fn the_leader_is_cut_off() {
    full(|trial| {
        let leader = trial.leader();
        let ways = [trial.ways_from(leader), trial.ways_to(leader)];
        trial.cut_for_a_while(&ways.concat());
    });
}

#[test]
fn a_follower_is_cut_off() {
    full(|trial| {
        let follower = trial.follower();
        let ways = [trial.ways_from(follower), trial.ways_to(follower)];
        trial.cut_for_a_while(&ways.concat());
    });
}

#[test]
fn the_leader_is_not_heard() {
    fast(|trial| {
        let leader = trial.leader();
        trial.cut_for_a_while(&trial.ways_from(leader));
    });
}

#[test]
fn the_leader_hears_nothing() {
    fast(|trial| {
        let leader = trial.leader();
        trial.cut_for_a_while(&trial.ways_to(leader));
    });
}

#[test]
fn a_follower_is_not_heard() {
    full(|trial| {
        let follower = trial.follower();
        trial.cut_for_a_while(&trial.ways_from(follower));
    });
}

#[test]
fn a_follower_hears_nothing() {
    full(|trial| {
        let follower = trial.follower();
        trial.cut_for_a_while(&trial.ways_to(follower));
    });
}

#[test]
fn the_leader_and_one_follower_do_not_reach_each_other() {
    full(|trial| {
        let (leader, follower) = (trial.leader(), trial.follower());
        trial.cut_for_a_while(&[(leader, follower), (follower, leader)]);
    });
}

#[test]
fn followers_do_not_reach_each_other() {
    full(|trial| {
        let followers = trial.cluster.followers();
        let (one, other) = (followers[0], followers[1]);
        trial.cut_for_a_while(&[(one, other), (other, one)]);
    });
}

#[test]
fn the_network_is_cut_again_and_again() {
    full(|trial| {
        for _ in 0..3 {
            let leader = trial.leader();
            let ways = [trial.ways_from(leader), trial.ways_to(leader)];
            trial.cut_for_a_while(&ways.concat());
            trial.go_on();
        }
    });
}

// Disks.

#[test]
fn the_disk_of_the_leader_is_full() {
    OwnDisk::of(FIRST).trial(|trial, disk| {
        trial.lead(FIRST);
        disk.is_full_for_a_while(trial);
    });
}

#[test]
fn the_disk_of_a_follower_is_full() {
    if lab::full() {
        OwnDisk::of(FIRST).trial(|trial, disk| {
            trial.lead(FIRST + 1);
            disk.is_full_for_a_while(trial);
        });
    }
}

#[test]
fn a_byte_of_a_followers_journal_flips() {
    fast(|trial| {
        let follower = trial.follower();
        trial.damage(follower, Damage::Journal);
    });
}

#[test]
fn a_byte_of_the_leaders_journal_flips() {
    full(|trial| {
        let leader = trial.leader();
        trial.damage(leader, Damage::Journal);
    });
}

#[test]
fn a_byte_of_a_followers_snapshot_flips() {
    if lab::full() {
        Trial::run(disks::with_many_snapshots, |trial| {
            let follower = trial.follower();
            trial.damage(follower, Damage::Snapshot);
        });
    }
}

#[test]
fn a_byte_of_the_leaders_snapshot_flips() {
    if lab::full() {
        Trial::run(disks::with_many_snapshots, |trial| {
            let leader = trial.leader();
            trial.damage(leader, Damage::Snapshot);
        });
    }
}

#[test]
fn the_folder_of_a_follower_is_wiped() {
    full(|trial| {
        let follower = trial.follower();
        trial.wipe(follower);
    });
}

#[test]
fn the_folder_of_the_leader_is_wiped() {
    full(|trial| {
        let leader = trial.leader();
        trial.wipe(leader);
    });
}

#[test]
fn a_server_is_away_for_longer_than_the_journal_reaches() {
    if lab::full() {
        Trial::run(disks::with_a_short_memory, |trial| {
            let follower = trial.follower();
            trial.is_away_for_long(follower);
        });
    }
}
