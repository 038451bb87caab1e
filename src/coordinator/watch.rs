//! Who waits for what. Local to this server; a watch belongs to a connection and fires once.
//!
//! Two tables as in ZooKeeper: the data table (set by get_data and exists) and the child table (set by
//! get_children). One change tells one connection at most once through each of its steps:
//!
//! ```text
//!   created P/c      1. Created P/c to the data table          2. ChildrenChanged P to the child table
//!   deleted P/c      1. Deleted P/c to the data table          2. the same to the child table of P/c,
//!                    3. ChildrenChanged P to the child table      but not to those told in 1
//!   data set P       1. DataChanged P to the data table
//! ```
//!
//! Watches are memory that a client makes the server keep, so they are weighed ([`weight`]): a connection
//! can be told that it has too many, and who has most can be found.
//!
//! A watched path is a numbered slot, found by one hash, with those who watch it; a connection has a list
//! of such numbers. One more watch never moves many others, however many there are.
//!
//! Invariant: a connection is listed under a path exactly if the path is listed under the connection, at
//! the place that is noted there.

use std::collections::{BTreeMap, HashMap};

use ahash::RandomState;

use super::Effect;
use super::apply::Change;
use super::index::Index;
use super::path;
use super::slab::{Scanned, Slab};
use super::vocabulary::{Shared, WatchEvent, WatchEventKind};
use crate::units::ConnectionId;

#[cfg(test)]
mod tests;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Data,
    Child,
}

/// What a watch weighs beside its path: the path's slot and its place in the index, the places in the
/// lists of the path and of the connection, and what the allocator adds.
const WATCH_BYTES: usize = 200;

/// About how many bytes of memory a watch takes. Its path is counted even where the tree shares it: the
/// znode may go, and the watch stays.
pub(super) fn weight(path: &[u8]) -> usize {
    WATCH_BYTES + path.len()
}

/// Both tables.
#[derive(Debug)]
pub(super) struct Watches {
    data: Registrations,
    child: Registrations,
    /// What the watches of each connection weigh.
    weights: HashMap<ConnectionId, usize, RandomState>,
    /// What all of them weigh.
    bytes: usize,
}

#[derive(Debug)]
struct Registrations {
    paths: Slab<Watched>,
    by_path: Index,
    /// The numbers of the paths that a connection watches.
    by_connection: HashMap<ConnectionId, Vec<u32>, RandomState>,
    count: usize,
}

/// A path and who watches it.
#[derive(Debug)]
struct Watched {
    path: Shared,
    /// In ascending order of the connections, so that events go out in the same order in every run.
    watchers: Vec<Watcher>,
}

#[derive(Clone, Copy, Debug)]
struct Watcher {
    connection: ConnectionId,
    /// Where the path's number is in the connection's list.
    place: usize,
}

impl Watched {
    fn find(&self, connection: ConnectionId) -> Result<usize, usize> {
        self.watchers
            .binary_search_by_key(&connection, |watcher| watcher.connection)
    }
}

/// Watches are in no snapshot.
impl Scanned for Watched {
    type Image = ();

    fn image(&self) {}
}

impl Watches {
    pub(super) fn new(hasher: &RandomState) -> Watches {
        Watches {
            data: Registrations::new(hasher),
            child: Registrations::new(hasher),
            weights: HashMap::with_hasher(hasher.clone()),
            bytes: 0,
        }
    }

    /// Sets a watch; a second one of the same kind is the same watch.
    pub(super) fn add(&mut self, table: Table, path: Shared, connection: ConnectionId) {
        let weight = weight(&path);
        let is_new = match table {
            Table::Data => self.data.add(path, connection),
            Table::Child => self.child.add(path, connection),
        };
        if is_new {
            *self.weights.entry(connection).or_default() += weight;
            self.bytes += weight;
        }
    }

    /// Whether a connection has this watch already.
    pub(super) fn is_set(&self, table: Table, path: &[u8], connection: ConnectionId) -> bool {
        let table = match table {
            Table::Data => &self.data,
            Table::Child => &self.child,
        };
        table.is_set(path, connection)
    }

    /// What the watches of a connection weigh.
    pub(super) fn weight_of(&self, connection: ConnectionId) -> usize {
        self.weights.get(&connection).copied().unwrap_or(0)
    }

    /// What all watches weigh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The connection whose watches weigh most.
    pub(super) fn heaviest(&self) -> Option<ConnectionId> {
        let weights = self.weights.iter();
        let heaviest = weights.max_by_key(|&(&connection, &weight)| (weight, connection));
        heaviest.map(|(&connection, _)| connection)
    }

    /// Forgets all watches of a connection.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.data.forget(connection);
        self.child.forget(connection);
        self.bytes -= self.weights.remove(&connection).unwrap_or(0);
    }

    /// Watches of this path fired.
    fn lighten(&mut self, path: &[u8], fired: &[ConnectionId]) {
        let weight = weight(path);
        for connection in fired {
            self.bytes -= weight;
            if let Some(left) = self.weights.get_mut(connection) {
                *left -= weight;
                if *left == 0 {
                    self.weights.remove(connection);
                }
            }
        }
    }

    /// Tells those who wait for a change.
    #[inline]
    pub(super) fn fire(&mut self, change: &Change, effects: &mut Vec<Effect>) {
        if self.len() == 0 {
            return;
        }
        match change {
            Change::Created(path) => {
                let told = self.data.fire(path, WatchEventKind::Created, &[], effects);
                self.lighten(path, &told);
                self.fire_parent(path, effects);
            }
            Change::Deleted(path) => {
                let kind = WatchEventKind::Deleted;
                let told = self.data.fire(path, kind, &[], effects);
                let also = self.child.fire(path, kind, &told, effects);
                self.lighten(path, &told);
                self.lighten(path, &also);
                self.fire_parent(path, effects);
            }
            Change::DataSet(path) => {
                let kind = WatchEventKind::DataChanged;
                let told = self.data.fire(path, kind, &[], effects);
                self.lighten(path, &told);
            }
        }
    }

    /// Tells those who wait for any of these, which were all deleted at once, in the order of their paths.
    /// Most of a million are watched by nobody, so only the others are put in order.
    pub(super) fn fire_deleted(&mut self, deleted: &[Shared], effects: &mut Vec<Effect>) {
        if self.len() == 0 {
            return;
        }
        let mut watched = Vec::new();
        // Of the children of a watched parent, the first tells of all.
        let mut firsts: BTreeMap<&[u8], &Shared> = BTreeMap::new();
        let mut parent_before = (b"".as_slice(), false);
        for path in deleted {
            if self.data.find(path).is_some() || self.child.find(path).is_some() {
                watched.push(path.clone());
                continue;
            }
            let parent = path::parent(path);
            if parent_before.0 != parent {
                parent_before = (parent, self.child.find(parent).is_some());
            }
            if parent_before.1 {
                let first = firsts.entry(parent).or_insert(path);
                *first = (*first).min(path);
            }
        }
        watched.extend(firsts.into_values().cloned());
        watched.sort_unstable();
        for path in watched {
            self.fire(&Change::Deleted(path), effects);
        }
    }

    fn fire_parent(&mut self, path: &[u8], effects: &mut Vec<Effect>) {
        let kind = WatchEventKind::ChildrenChanged;
        let parent = path::parent(path);
        let told = self.child.fire(parent, kind, &[], effects);
        self.lighten(parent, &told);
    }

    /// How many watches there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.data.count + self.child.count
    }

    /// How many watches the data table has, of how many connections, on how many paths.
    pub(super) fn data_summary(&self) -> (usize, usize, usize) {
        let table = &self.data;
        (table.count, table.by_connection.len(), table.paths.len())
    }

    /// At most `paths_max` paths of the data table with their connections, by path.
    pub(super) fn data_by_path(&self, paths_max: usize) -> Vec<(Shared, Vec<ConnectionId>)> {
        let paths = self.data.paths.iter().take(paths_max);
        let mut paths: Vec<_> = paths
            .map(|(_, watched)| {
                let who = watched.watchers.iter().map(|watcher| watcher.connection);
                (watched.path.clone(), who.collect())
            })
            .collect();
        paths.sort_unstable();
        paths
    }
}

impl Registrations {
    fn new(hasher: &RandomState) -> Registrations {
        Registrations {
            paths: Slab::new(),
            by_path: Index::new(hasher.clone()),
            by_connection: HashMap::with_hasher(hasher.clone()),
            count: 0,
        }
    }

    fn find(&self, path: &[u8]) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let is_it = |number| {
            let watched = self.paths.get(number);
            watched.is_some_and(|watched| *watched.path == *path)
        };
        self.by_path.find(self.by_path.hash(path), is_it)
    }

    fn is_set(&self, path: &[u8], connection: ConnectionId) -> bool {
        let watched = self.find(path).and_then(|number| self.paths.get(number));
        watched.is_some_and(|watched| watched.find(connection).is_ok())
    }

    /// Says whether the watch was not there yet.
    fn add(&mut self, path: Shared, connection: ConnectionId) -> bool {
        let number = self.find(&path).unwrap_or_else(|| {
            let hash = self.by_path.hash(&path);
            // Most paths are watched by one.
            let watchers = Vec::with_capacity(1);
            let number = self.paths.insert(Watched { path, watchers });
            self.by_path.insert(hash, number);
            number
        });
        let watched = self.paths.get_mut(number).expect(FOUND);
        let Err(order) = watched.find(connection) else {
            return false;
        };
        let numbers = self.by_connection.entry(connection).or_default();
        let place = numbers.len();
        watched
            .watchers
            .insert(order, Watcher { connection, place });
        numbers.push(number);
        self.count += 1;
        true
    }

    /// Tells all who watch a path, except those of `told` (ascending). Their watches are gone then; returns
    /// whose.
    fn fire(
        &mut self,
        path: &[u8],
        kind: WatchEventKind,
        told: &[ConnectionId],
        effects: &mut Vec<Effect>,
    ) -> Vec<ConnectionId> {
        let Some(number) = self.find(path) else {
            return Vec::new();
        };
        let Watched { path, watchers } = self.remove(number);
        self.count -= watchers.len();
        for &Watcher { connection, place } in &watchers {
            self.unlist(connection, place);
            if told.binary_search(&connection).is_err() {
                let path = path.clone();
                effects.push(Effect::Notify {
                    connection,
                    event: WatchEvent { kind, path },
                });
            }
        }
        let connections = watchers.iter().map(|watcher| watcher.connection);
        connections.collect()
    }

    fn forget(&mut self, connection: ConnectionId) {
        for number in self.by_connection.remove(&connection).unwrap_or_default() {
            let watched = self.paths.get_mut(number).expect(FOUND);
            if let Ok(order) = watched.find(connection) {
                watched.watchers.remove(order);
                self.count -= 1;
            }
            if watched.watchers.is_empty() {
                self.remove(number);
            }
        }
    }

    fn remove(&mut self, number: u32) -> Watched {
        let watched = self.paths.remove(number).expect(FOUND);
        let hash = self.by_path.hash(&watched.path);
        self.by_path.remove(hash, number);
        watched
    }

    /// Takes a path that is no longer there from a connection's list; the last of the list gets its place.
    fn unlist(&mut self, connection: ConnectionId, place: usize) {
        let Some(numbers) = self.by_connection.get_mut(&connection) else {
            return;
        };
        numbers.swap_remove(place);
        if let Some(&moved) = numbers.get(place) {
            let watched = self.paths.get_mut(moved).expect(FOUND);
            if let Ok(order) = watched.find(connection) {
                watched.watchers[order].place = place;
            }
        }
        if numbers.is_empty() {
            self.by_connection.remove(&connection);
        }
    }
}

/// Why a number that is kept has a path.
const FOUND: &str = "a path is there as long as somebody watches it";
