//! What goes wrong with an ensemble, and when.

use chrysalis::consensus::Membership;
use chrysalis::consensus::admission::Seat;
use chrysalis::node::{EnsembleWish, Event};
use chrysalis::units::ServerId;

use super::links::UNCONFIRMED;
use super::server::End;
use super::world::{MOST, MS, SECOND, SERVERS, World};
use crate::simulation::altered;
use crate::simulation::disk::Fault;
use std::path::PathBuf;

/// So long all servers vote and are in reach before one of them may lose its disk: what they know of it is on disk then.
const WHOLE_BEFORE_A_WIPE: u64 = SECOND;

impl World {
    /// Lets something go wrong, if it is time.
    pub(super) fn fault(&mut self) {
        if self.now < self.fault_at {
            return;
        }
        self.fault_at = self.now + 100 * MS + self.random.below(self.pace);
        if std::mem::take(&mut self.power_fails) {
            let away = self.random.below(5 * SECOND);
            return self.stop_all(End::Power, away);
        }
        let count = self.count();
        let server = self.below(count);
        let away = match self.random.below(3) {
            0 => self.random.below(10 * SECOND),
            _ => self.random.below(SECOND),
        };
        // Whoever may lose its disk at all does so soon: that is seldom, and asks for most.
        let since = self.whole_since.unwrap_or(self.now);
        if since + WHOLE_BEFORE_A_WIPE <= self.now && self.random.below(3) == 0 {
            return match self.random.below(6) {
                0..3 => self.wipe(server, away),
                3..5 => self.damage(server, away),
                _ => self.dismiss(server),
            };
        }
        match self.random.below(120) {
            0..12 => self.stop(server, End::Power, away),
            12..22 => self.stop(server, End::Kill, away),
            22..32 => self.arm(server),
            32..37 => self.stand_still(server),
            37..42 => self.black_out(),
            42..65 => self.partition(server),
            65..75 => self.stall(),
            75..85 => self.pause(server),
            85..92 => self.cut_one(),
            92..96 => self.stop_all(End::Kill, away),
            96..104 => self.transfer(server),
            104..110 => self.let_fail(server),
            110..116 => self.fill(server),
            116..120 if self.count() > SERVERS => self.move_vote(),
            _ => {}
        }
    }

    /// The power will go while the disk does something.
    fn arm(&mut self, server: usize) {
        let nth = self.random.below(200);
        if self.servers[server].node.is_some() {
            let mut disk = self.servers[server].disk.0.borrow_mut();
            disk.fault(nth, Fault::Power);
        }
    }

    /// Changes the state in the snapshot of a server that does not run, as no entry has.
    pub(super) fn alter(&mut self, server: usize) {
        let mut disk = self.servers[server].disk.0.borrow_mut();
        let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|it| it == "snapshot");
        let path = disk.paths().into_iter().filter(is_snapshot).max();
        let path = path.expect("there is a snapshot");
        let bytes = altered(disk.bytes(&path));
        disk.put(&path, Some(bytes));
        self.altered = true;
    }

    /// A server loses its disk; the others can do without it.
    pub(super) fn wipe(&mut self, server: usize, away: u64) {
        self.stop(server, End::Power, away);
        let seed = self.random.next();
        self.servers[server].wipe(seed);
        self.note(&format!("{server} has an empty disk"));
        self.tally.add("wipes", 1);
        self.wiped = true;
        self.whole_since = None;
    }

    /// A bit of a server's files turns over while it is away. Where nobody else may have what is lost by that, its operator accepts
    /// it.
    pub(super) fn damage(&mut self, server: usize, away: u64) {
        self.stop(server, End::Power, away);
        if self.servers[server].damage(&mut self.random) {
            self.note(&format!("{server} has a damaged file"));
            self.tally.add("damaged files", 1);
            self.servers[server].starts_cut = match self.random.below(3) {
                0 => 2,
                _ => 0,
            };
            self.wiped = true;
            self.whole_since = None;
        }
    }

    /// The lead is to go to a server.
    fn transfer(&mut self, server: usize) {
        self.note(&format!("{server} is to lead"));
        self.tell_all(EnsembleWish::Transfer(id_of(server)));
    }

    /// A server is taken out of the ensemble for a while.
    fn dismiss(&mut self, server: usize) {
        self.note(&format!("{server} is to leave"));
        self.tell_all(EnsembleWish::Dismiss(id_of(server)));
        let long = SECOND + self.random.below(8 * SECOND);
        self.dismissed = Some((server, self.now + long));
    }

    /// Who was taken out is taken in again: whoever leads is told until it is so.
    pub(super) fn operate(&mut self) {
        let Some((server, _)) = self.dismissed.filter(|(_, at)| *at <= self.now) else {
            return;
        };
        self.dismissed = Some((server, self.now + SECOND / 2));
        // It may only be that it has not gone yet.
        if self.whole_since.is_some() {
            return;
        }
        let voters = self.members().map_or(SERVERS, |it| it.voters.len());
        let seat = match self.count() > SERVERS && voters >= SERVERS {
            true => Seat::Observer,
            false => Seat::Voter,
        };
        self.tell_all(EnsembleWish::Invite(id_of(server), seat));
    }

    /// The members, as the server says that led last.
    pub(super) fn members(&self) -> Option<&Membership> {
        let (_, (leader, _)) = self.leaders.last_key_value()?;
        self.said[*leader].as_ref()?.members.as_ref()
    }

    /// The vote of some server is to go to one that has none, whether that is possible or not.
    pub(super) fn move_vote(&mut self) {
        let Some(members) = self.members().cloned() else {
            return;
        };
        let servers: Vec<ServerId> = (0..self.count()).map(id_of).collect();
        let votes = |server: &ServerId| {
            let numbers = members.numbers_of(*server);
            numbers.iter().any(|it| members.votes(*it))
        };
        let (givers, takers): (Vec<ServerId>, Vec<ServerId>) = servers.into_iter().partition(votes);
        if givers.is_empty() || takers.is_empty() {
            return;
        }
        let giver = givers[self.below(givers.len())];
        let taker = takers[self.below(takers.len())];
        self.note(&format!(
            "the vote of server {giver} is to go to server {taker}"
        ));
        self.tell_all(EnsembleWish::MoveVote { giver, taker });
    }

    /// Tells all servers what an operator wants; it is for whoever leads.
    fn tell_all(&mut self, wish: EnsembleWish) {
        for server in 0..self.count() {
            if self.servers[server].is_awake(self.now) {
                self.servers[server].handle(self.now, Event::Ensemble(wish));
            }
        }
    }

    /// An operation of a server's disk fails.
    fn let_fail(&mut self, server: usize) {
        let nth = self.random.below(200);
        if self.servers[server].node.is_some() {
            self.servers[server].let_fail(nth);
        }
    }

    /// A server's disk is full for a while.
    fn fill(&mut self, server: usize) {
        let until = self.now + 100 * MS + self.random.below(8 * SECOND);
        let left = self.random.below(6 << 20);
        self.note(&format!("the disk of {server} is full"));
        self.servers[server].fill(until, left);
        self.tally.add("full disks", 1);
    }

    /// Servers do not hear each other for a while.
    fn partition(&mut self, server: usize) {
        let until = self.now + 300 * MS + self.random.below(12 * SECOND);
        let other = (server + 1) % self.count();
        let third = (server + 2) % self.count();
        match self.random.below(4) {
            0 => self.block(server, other, until),
            1 => {
                self.block(server, other, until);
                self.block(other, server, until);
            }
            2 => {
                self.block(server, other, until);
                self.block(server, third, until);
            }
            _ => {
                for far in [other, third] {
                    self.block(server, far, until);
                    self.block(far, server, until);
                }
            }
        }
        self.tally.add("partitions", 1);
    }

    /// Nothing gets from one server to another for a while.
    pub(super) fn block(&mut self, from: usize, to: usize, until: u64) {
        let ends = UNCONFIRMED + self.random.below(SECOND);
        self.note(&format!("nothing gets from {from} to {to}"));
        self.blocked[from][to] = until;
        self.ends_at.push((self.now + ends, from, to));
    }

    /// A link carries nothing for a while, in one direction.
    fn stall(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let number = self.below(self.links.len());
        let side = self.below(2);
        let until = self.now + 100 * MS + self.random.below(4 * SECOND);
        self.links[number].ends[side].sent.stall(until);
        self.stalled_until = self.stalled_until.max(until);
    }

    /// A server takes no turn for a while.
    fn pause(&mut self, server: usize) {
        let long = match self.random.below(3) {
            0 => self.random.below(20 * SECOND),
            _ => self.random.below(2 * SECOND),
        };
        self.note(&format!("{server} pauses"));
        self.servers[server].paused_until = self.now + 100 * MS + long;
    }

    fn cut_one(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let number = self.below(self.links.len());
        if self.links[number].is_whole() {
            self.note("a link is cut");
            self.cut_link(number);
        }
    }

    /// A server's disk does nothing for a while.
    fn stand_still(&mut self, server: usize) {
        let long = match self.random.below(4) {
            0 => self.random.below(10 * SECOND),
            _ => self.random.below(3 * SECOND),
        };
        self.note(&format!("the disk of {server} stands still"));
        self.servers[server].still_until = self.now + 100 * MS + long;
        self.tally.add("disks that stood still", 1);
    }

    /// The power fails everywhere, when most disks have had something to do for a moment.
    fn black_out(&mut self) {
        for server in 0..self.count() {
            if self.random.below(4) > 0 {
                self.stand_still(server);
            }
        }
        self.power_fails = true;
        self.fault_at = self.now + self.random.below(100 * MS);
    }

    fn stop_all(&mut self, end: End, away: u64) {
        for server in 0..self.count() {
            let later = self.random.below(SECOND);
            self.stop(server, end, away / 3 + later);
        }
        self.tally.add("all stopped at once", 1);
    }

    /// No more faults.
    pub(super) fn heal(&mut self) {
        self.note("no more faults");
        self.fault_at = u64::MAX;
        self.blocked = [[0; MOST]; MOST];
        self.ends_at.clear();
        for link in &mut self.links {
            for end in &mut link.ends {
                end.sent.flow();
            }
        }
        self.stalled_until = 0;
        let now = self.now;
        if let Some((_, at)) = &mut self.dismissed {
            *at = now.min(*at);
        }
        for server in &mut self.servers {
            server.heal(now);
        }
    }
}

pub(super) fn id_of(server: usize) -> ServerId {
    ServerId(u16::try_from(server + 1).expect("few"))
}
