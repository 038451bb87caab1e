//! What goes wrong with an ensemble, and when.

use super::links::UNCONFIRMED;
use super::server::End;
use super::world::{MS, SECOND, SERVERS, World};
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
        let server = self.below(SERVERS);
        let away = match self.random.below(3) {
            0 => self.random.below(10 * SECOND),
            _ => self.random.below(SECOND),
        };
        // Whoever may lose its disk at all does so soon: that is seldom, and asks for most.
        let since = self.whole_since.unwrap_or(self.now);
        if since + WHOLE_BEFORE_A_WIPE <= self.now && self.random.below(3) == 0 {
            return self.wipe(server, away);
        }
        match self.random.below(100) {
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

    /// Servers do not hear each other for a while.
    fn partition(&mut self, server: usize) {
        let until = self.now + 300 * MS + self.random.below(12 * SECOND);
        let other = (server + 1) % SERVERS;
        let third = (server + 2) % SERVERS;
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

    fn block(&mut self, from: usize, to: usize, until: u64) {
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
        let long = self.random.below(3 * SECOND);
        self.note(&format!("the disk of {server} stands still"));
        self.servers[server].still_until = self.now + 100 * MS + long;
        self.tally.add("disks that stood still", 1);
    }

    /// The power fails everywhere, when most disks have had something to do for a moment.
    fn black_out(&mut self) {
        for server in 0..SERVERS {
            if self.random.below(4) > 0 {
                self.stand_still(server);
            }
        }
        self.power_fails = true;
        self.fault_at = self.now + self.random.below(100 * MS);
    }

    fn stop_all(&mut self, end: End, away: u64) {
        for server in 0..SERVERS {
            let later = self.random.below(SECOND);
            self.stop(server, end, away / 3 + later);
        }
        self.tally.add("all stopped at once", 1);
    }

    /// No more faults.
    pub(super) fn heal(&mut self) {
        self.note("no more faults");
        self.fault_at = u64::MAX;
        self.blocked = [[0; SERVERS]; SERVERS];
        self.ends_at.clear();
        for link in &mut self.links {
            for end in &mut link.ends {
                end.sent.flow();
            }
        }
        for server in &mut self.servers {
            server.disk.0.borrow_mut().forget_faults();
            server.paused_until = 0;
            server.still_until = 0;
            server.wake_at = server.wake_at.min(self.now);
            server.start_at = server.start_at.min(self.now);
        }
    }
}
