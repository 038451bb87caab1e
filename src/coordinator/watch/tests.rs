//! The tables against a plain set of watches.

use std::collections::BTreeSet;

use super::*;
use crate::coordinator::state::hasher;
use crate::units::Seed;

type Watch = (bool, Vec<u8>, ConnectionId);

/// The tables, and what should be in them.
struct Both {
    watches: Watches,
    plain: BTreeSet<Watch>,
    state: u64,
}

impl Both {
    fn random(&mut self, below: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    fn path(&mut self) -> Vec<u8> {
        let directory = self.random(3);
        let name = self.random(12);
        format!("/{directory}/{name:02}").into_bytes()
    }

    /// What the plain set says is told of a deleted path; those watches are gone then.
    fn delete(&mut self, path: &[u8]) -> Vec<(ConnectionId, Vec<u8>)> {
        let parent = path::parent(path).to_vec();
        let mut events = Vec::new();
        let mut told = BTreeSet::new();
        let steps = [
            (true, path.to_vec()),
            (false, path.to_vec()),
            (false, parent),
        ];
        for (step, (table, path)) in steps.into_iter().enumerate() {
            let fired = self
                .plain
                .iter()
                .filter(|(of, watched, _)| (*of, watched) == (table, &path));
            let fired: Vec<Watch> = fired.cloned().collect();
            for watch in fired {
                self.plain.remove(&watch);
                if step != 1 || !told.contains(&watch.2) {
                    events.push((watch.2, path.clone()));
                }
                if step == 0 {
                    told.insert(watch.2);
                }
            }
        }
        events
    }

    fn check(&self) {
        let (watches, plain) = (&self.watches, &self.plain);
        assert_eq!(watches.len(), plain.len());
        for table in [true, false] {
            let registrations = if table { &watches.data } else { &watches.child };
            for (&connection, numbers) in &registrations.by_connection {
                assert!(!numbers.is_empty());
                for (place, &number) in numbers.iter().enumerate() {
                    let watched = registrations.paths.get(number).expect(FOUND);
                    let order = watched.find(connection).expect("listed in both");
                    assert_eq!(watched.watchers[order].place, place);
                    assert!(plain.contains(&(table, watched.path.to_vec(), connection)));
                }
            }
            let listed = registrations.by_connection.values().map(Vec::len);
            assert_eq!(listed.sum::<usize>(), registrations.count);
        }
        let weigh = |connection: ConnectionId| {
            let own = plain.iter().filter(|watch| watch.2 == connection);
            own.map(|watch| weight(&watch.1)).sum::<usize>()
        };
        for connection in (0..5).map(ConnectionId) {
            assert_eq!(watches.weight_of(connection), weigh(connection));
        }
        let weights = (0..5).map(ConnectionId).map(weigh);
        assert_eq!(watches.bytes(), weights.sum::<usize>());
    }
}

fn told(effects: Vec<Effect>) -> Vec<(ConnectionId, Vec<u8>)> {
    let event = |effect| match effect {
        Effect::Notify { connection, event } => (connection, event.path.to_vec()),
        other => panic!("watches only tell: {other:?}"),
    };
    effects.into_iter().map(event).collect()
}

#[test]
fn the_tables_hold_what_a_plain_set_holds() {
    let mut both = Both {
        watches: Watches::new(&hasher(Seed(1))),
        plain: BTreeSet::new(),
        state: 1,
    };
    for _ in 0..3000 {
        let connection = ConnectionId(both.random(5));
        match both.random(20) {
            0 => {
                both.watches.forget(connection);
                both.plain.retain(|watch| watch.2 != connection);
            }
            1..3 => {
                let path = both.path();
                let mut effects = Vec::new();
                both.watches
                    .fire(&Change::Deleted(path.as_slice().into()), &mut effects);
                assert_eq!(told(effects), both.delete(&path));
            }
            3 => {
                let many = both.random(8);
                let paths: BTreeSet<Vec<u8>> = (0..many).map(|_| both.path()).collect();
                // In another order than that of the paths.
                let deleted: Vec<Shared> = paths
                    .iter()
                    .rev()
                    .map(|path| path.as_slice().into())
                    .collect();
                let mut effects = Vec::new();
                both.watches.fire_deleted(&deleted, &mut effects);
                let expected: Vec<_> = paths.iter().flat_map(|path| both.delete(path)).collect();
                assert_eq!(
                    told(effects),
                    expected,
                    "as if they had gone one by one, in order"
                );
            }
            _ => {
                let table = both.random(2) == 0;
                let mut path = both.path();
                if !table && both.random(2) == 0 {
                    path.truncate(2);
                }
                let kind = if table { Table::Data } else { Table::Child };
                let is_set = both.plain.contains(&(table, path.clone(), connection));
                assert_eq!(both.watches.is_set(kind, &path, connection), is_set);
                both.watches.add(kind, path.as_slice().into(), connection);
                both.plain.insert((table, path, connection));
            }
        }
        both.check();
    }
}
