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
//! Invariant: a connection is listed under a path exactly if the path is listed under the connection.

use std::collections::{HashMap, HashSet};

use ahash::RandomState;

use super::Effect;
use super::apply::Change;
use super::path;
use super::vocabulary::{Shared, WatchEvent, WatchEventKind};
use crate::units::ConnectionId;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Data,
    Child,
}

/// What a watch weighs beside its path: its places in both maps of its table.
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
    /// Connections in ascending order, so that events go out in the same order in every run.
    by_path: HashMap<Shared, Vec<ConnectionId>, RandomState>,
    by_connection: HashMap<ConnectionId, HashSet<Shared, RandomState>, RandomState>,
    hasher: RandomState,
    count: usize,
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
        let paths = table.by_connection.get(&connection);
        paths.is_some_and(|paths| paths.contains(path))
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
        (table.count, table.by_connection.len(), table.by_path.len())
    }

    /// At most `paths_max` paths of the data table with their connections, by path.
    pub(super) fn data_by_path(&self, paths_max: usize) -> Vec<(Shared, Vec<ConnectionId>)> {
        let paths = self.data.by_path.iter().take(paths_max);
        let mut paths: Vec<_> = paths
            .map(|(path, who)| (path.clone(), who.clone()))
            .collect();
        paths.sort_unstable();
        paths
    }
}

impl Registrations {
    fn new(hasher: &RandomState) -> Registrations {
        Registrations {
            by_path: HashMap::with_hasher(hasher.clone()),
            by_connection: HashMap::with_hasher(hasher.clone()),
            hasher: hasher.clone(),
            count: 0,
        }
    }

    /// Says whether the watch was not there yet.
    fn add(&mut self, path: Shared, connection: ConnectionId) -> bool {
        let hasher = &self.hasher;
        let paths = self
            .by_connection
            .entry(connection)
            .or_insert_with(|| HashSet::with_hasher(hasher.clone()));
        if !paths.insert(path.clone()) {
            return false;
        }
        let connections = self.by_path.entry(path).or_default();
        if let Err(place) = connections.binary_search(&connection) {
            connections.insert(place, connection);
        }
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
        let Some((path, connections)) = self.by_path.remove_entry(path) else {
            return Vec::new();
        };
        self.count -= connections.len();
        for &connection in &connections {
            if let Some(paths) = self.by_connection.get_mut(&connection) {
                paths.remove(&path);
                if paths.is_empty() {
                    self.by_connection.remove(&connection);
                }
            }
            if told.binary_search(&connection).is_err() {
                let path = path.clone();
                effects.push(Effect::Notify {
                    connection,
                    event: WatchEvent { kind, path },
                });
            }
        }
        connections
    }

    fn forget(&mut self, connection: ConnectionId) {
        for path in self.by_connection.remove(&connection).into_iter().flatten() {
            let Some(connections) = self.by_path.get_mut(&path) else {
                continue;
            };
            if let Ok(place) = connections.binary_search(&connection) {
                connections.remove(place);
                self.count -= 1;
            }
            if connections.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }
}
