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

/// Both tables.
#[derive(Debug)]
pub(super) struct Watches {
    data: Registrations,
    child: Registrations,
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
        }
    }

    /// Sets a watch; a second one of the same kind is the same watch.
    pub(super) fn add(&mut self, table: Table, path: Shared, connection: ConnectionId) {
        match table {
            Table::Data => self.data.add(path, connection),
            Table::Child => self.child.add(path, connection),
        }
    }

    /// Forgets all watches of a connection.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.data.forget(connection);
        self.child.forget(connection);
    }

    /// Tells those who wait for a change.
    #[inline]
    pub(super) fn fire(&mut self, change: &Change, effects: &mut Vec<Effect>) {
        if self.len() == 0 {
            return;
        }
        match change {
            Change::Created(path) => {
                self.data.fire(path, WatchEventKind::Created, &[], effects);
                self.fire_parent(path, effects);
            }
            Change::Deleted(path) => {
                let kind = WatchEventKind::Deleted;
                let told = self.data.fire(path, kind, &[], effects);
                self.child.fire(path, kind, &told, effects);
                self.fire_parent(path, effects);
            }
            Change::DataSet(path) => {
                let kind = WatchEventKind::DataChanged;
                self.data.fire(path, kind, &[], effects);
            }
        }
    }

    fn fire_parent(&mut self, path: &[u8], effects: &mut Vec<Effect>) {
        let kind = WatchEventKind::ChildrenChanged;
        self.child.fire(path::parent(path), kind, &[], effects);
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

    /// The paths of the data table with their connections, by path.
    pub(super) fn data_by_path(&self) -> Vec<(Shared, Vec<ConnectionId>)> {
        let paths = self.data.by_path.iter();
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

    fn add(&mut self, path: Shared, connection: ConnectionId) {
        let hasher = &self.hasher;
        let paths = self
            .by_connection
            .entry(connection)
            .or_insert_with(|| HashSet::with_hasher(hasher.clone()));
        if !paths.insert(path.clone()) {
            return;
        }
        let connections = self.by_path.entry(path).or_default();
        if let Err(place) = connections.binary_search(&connection) {
            connections.insert(place, connection);
        }
        self.count += 1;
    }

    /// Tells all who watch a path, except those of `told` (ascending), and returns whom.
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
