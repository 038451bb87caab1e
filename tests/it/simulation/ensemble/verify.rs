//! What has to be true when all is well again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chrysalis::coordinator::{Reply, Request, Stat};

use super::clients::number_in;
use super::server::wall_ms;
use super::world::{SECOND, World};

/// How long an ensemble may take to serve again.
const PATIENCE: u64 = 20 * SECOND;
/// After this long without a word every session is over that nobody keeps.
const QUIET: u64 = 12 * SECOND;

/// All that can be read of a tree: data and stat by path.
pub(super) type Tree = BTreeMap<Bytes, (Bytes, Stat)>;

impl World {
    /// Goes on until this is true.
    pub(super) fn until(&mut self, what: &str, by: u64, is_true: impl Fn(&World) -> bool) {
        while !is_true(self) {
            assert!(self.now < by, "not in time: {what}");
            self.step();
        }
    }

    /// All servers serve, and a write through each works.
    pub(super) fn check_service(&mut self) {
        let (by, now) = (self.now + PATIENCE, self.now);
        self.until("all serve", by, |world| {
            (0..world.count()).all(|server| world.serves(server))
        });
        for server in 0..self.count() {
            self.clients[World::reader(server)].act_at = self.now;
        }
        self.until("each has a client", by, |world| {
            (0..world.count()).all(|it| world.clients[World::reader(it)].is_established())
        });
        for server in 0..self.count() {
            self.create_by(World::reader(server));
        }
        self.until("each answers a write", by, |world| {
            (0..world.count()).all(|it| world.is_answered(World::reader(it)))
        });
        let took = (self.now - now) / 1000;
        self.note(&format!("all serve {took} ms after the last fault"));
    }

    /// What has to be true when nothing goes wrong any more.
    pub(super) fn end_well(&mut self) {
        self.check_service();
        self.calm_down();
        self.check_trees();
    }

    /// Nobody writes, and sessions that nobody keeps come to their end.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        let quiet = self.now + QUIET;
        self.until("time passes", u64::MAX, |world| world.now >= quiet);
        self.until("all clients have sessions", quiet + PATIENCE, |world| {
            world.clients.iter().all(|client| client.is_established())
        });
    }

    /// Reads everything through each server and compares it with what was acknowledged.
    pub(super) fn check_trees(&mut self) {
        let first = self.read_tree(0);
        for server in 1..self.count() {
            let tree = self.read_tree(server);
            for path in first.keys().chain(tree.keys()) {
                let (here, there) = (first.get(path), tree.get(path));
                assert_eq!(here, there, "{path:?} is another one on server {server}");
            }
        }
        self.check_made(&first);
        self.check_counter(&first);
        self.check_times(&first);
        self.check_pairs(&first);
        self.check_last_fence(&first);
        self.check_histories();
    }

    fn read(&mut self, reader: usize, request: Request) -> Reply {
        let number = self.ask(reader, request.clone());
        let by = self.now + PATIENCE;
        loop {
            if let Some((of, reply)) = self.take_answer(reader) {
                assert_eq!(of, number);
                return reply.unwrap_or_else(|| panic!("refused: {request:?}"));
            }
            assert!(self.now < by, "no answer to {request:?}");
            self.step();
        }
    }

    fn read_tree(&mut self, server: usize) -> Tree {
        let reader = World::reader(server);
        let path = Bytes::from_static(b"/");
        self.read(reader, Request::Sync { path });
        let mut tree = Tree::new();
        let mut left = vec![Bytes::from_static(b"/")];
        while let Some(path) = left.pop() {
            let get = Request::GetData {
                path: path.clone(),
                watch: false,
            };
            let Reply::Data { data, stat } = self.read(reader, get) else {
                panic!("not data");
            };
            let data = data.map_or(Bytes::new(), |data| Bytes::copy_from_slice(&data));
            if stat.children > 0 {
                let children = Request::GetChildren {
                    path: path.clone(),
                    watch: false,
                };
                let Reply::Children(names) = self.read(reader, children) else {
                    panic!("not children");
                };
                let parent = if path.len() == 1 {
                    &path[1..]
                } else {
                    &path[..]
                };
                left.extend(
                    names
                        .iter()
                        .map(|name| Bytes::from([parent, b"/", name].concat())),
                );
            }
            tree.insert(path, (data, stat));
        }
        tree
    }

    /// Acknowledged znodes are there; others are there once, or not at all; ephemerals go with their sessions.
    fn check_made(&mut self, tree: &Tree) {
        let mut found: BTreeMap<u64, &Bytes> = BTreeMap::new();
        let clients = self.clients.iter().map(|client| client.session);
        let alive: BTreeSet<i64> = clients.collect();
        for (path, (data, stat)) in tree {
            let is_made = [&b"/n"[..], b"/s/", b"/e"];
            if is_made.iter().any(|prefix| path.starts_with(prefix)) {
                let number = number_in(data);
                let other = found.insert(number, path);
                assert_eq!(other, None, "{number} was made twice: {path:?}");
                assert!(self.memory.made.contains_key(&number), "nobody made it");
            }
            let owner = stat.ephemeral_owner;
            assert!(
                owner == 0 || alive.contains(&owner),
                "{path:?} is left of session {owner:#x}"
            );
        }
        let mut kept = 0;
        for (number, made) in &self.memory.made {
            let there = found.get(number).copied();
            let gone = made
                .session
                .is_some_and(|session| !alive.contains(&session));
            match &made.path {
                Some(path) if !gone => {
                    assert_eq!(there, Some(path), "{number} was acknowledged: {made:?}");
                    kept += 1;
                }
                _ if gone => assert_eq!(there, None, "{number} went with its session: {made:?}"),
                _ => {}
            }
        }
        for session in &self.memory.ended {
            assert!(!alive.contains(session), "session {session:#x} has ended");
        }
        self.tally.add("acknowledged znodes found", kept);
    }

    fn check_counter(&mut self, tree: &Tree) {
        if !self.memory.ready.contains("/counter") {
            return;
        }
        let (data, stat) = &tree[&b"/counter"[..]];
        let (version, acknowledged) = (stat.version, self.memory.version);
        assert!(version >= acknowledged, "{version} < {acknowledged}");
        self.memory.saw(version, number_in(data));
    }

    /// Whether the wrong clock accounts for a time. Times never go back: what was written after one that is too late has the
    /// same time, and where the clock is behind the time stands still while its server leads.
    fn may_be_odd(&self, time: i64, from: u64, to: u64) -> bool {
        let skew = self.servers[self.odd].skew_ms;
        match skew > 0 {
            true => time - skew <= wall_ms(to) && self.may_have_led(self.odd, 0, to),
            false => time <= wall_ms(to) && self.may_have_led(self.odd, from, to),
        }
    }

    /// Times are those of the leader's clock, and one of the servers has a wrong one.
    fn check_times(&mut self, tree: &Tree) {
        const SLACK_MS: i64 = 500;
        let mut right = 0;
        for made in self.memory.made.values() {
            let stat = made.path.as_ref().and_then(|path| tree.get(path));
            let Some((_, stat)) = stat else {
                continue;
            };
            let (from, to) = (made.sent_at, made.acknowledged_at);
            let span = wall_ms(from) - SLACK_MS..wall_ms(to) + SLACK_MS;
            let is_right = span.contains(&stat.ctime);
            assert!(
                is_right || self.may_be_odd(stat.ctime, from, to),
                "{made:?} has the time {}, not one of {span:?}",
                stat.ctime
            );
            assert_eq!(stat.ctime, stat.mtime, "it was never set");
            right += usize::from(is_right);
        }
        self.tally.add("times that are right", right);
    }
}
