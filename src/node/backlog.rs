//! Commands that wait for room in a full group, in the order in which they came.
//!
//! A server that follows sends all that is unapplied again whenever it may have been lost, and each copy is as good as the
//! first: so of each command of another server only the newest is kept, in its place in the newest order.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::hasher;

/// Commands that wait.
#[derive(Debug)]
pub(super) struct Backlog {
    commands: BTreeMap<u64, (Bytes, Bytes)>,
    /// Where the command of a key is.
    places: HashMap<Bytes, u64, ahash::RandomState>,
    last: u64,
}

impl Backlog {
    pub(super) fn new() -> Backlog {
        Backlog {
            commands: BTreeMap::new(),
            places: HashMap::with_hasher(hasher()),
            last: 0,
        }
    }

    /// Takes a command, and lets go of one with the same key; an empty key is nobody's.
    pub(super) fn push(&mut self, key: Bytes, command: Bytes) {
        self.last += 1;
        if !key.is_empty()
            && let Some(former) = self.places.insert(key.clone(), self.last)
        {
            self.commands.remove(&former);
        }
        self.commands.insert(self.last, (key, command));
    }

    /// The first command.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let (_, (key, command)) = self.commands.pop_first()?;
        self.places.remove(&key);
        Some(command)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.commands.clear();
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(backlog: &mut Backlog, key: &'static str, command: &'static str) {
        let (key, command) = (key.as_bytes(), command.as_bytes());
        backlog.push(Bytes::from_static(key), Bytes::from_static(command));
    }

    fn all(backlog: &mut Backlog) -> Vec<Bytes> {
        std::iter::from_fn(|| backlog.pop()).collect()
    }

    #[test]
    fn what_is_sent_again_takes_no_second_place() {
        let mut backlog = Backlog::new();
        for _ in 0..1000 {
            push(&mut backlog, "1", "one");
            push(&mut backlog, "2", "two");
            push(&mut backlog, "3", "three");
        }
        assert_eq!(all(&mut backlog), ["one", "two", "three"]);
        assert!(backlog.is_empty() && backlog.places.is_empty());
    }

    /// The first was lost on its way, and the second was not.
    #[test]
    fn the_newest_order_counts() {
        let mut backlog = Backlog::new();
        push(&mut backlog, "2", "two");
        push(&mut backlog, "", "own");
        push(&mut backlog, "1", "one");
        push(&mut backlog, "2", "two again");
        push(&mut backlog, "", "own");
        assert_eq!(all(&mut backlog), ["own", "one", "two again", "own"]);
    }
}
