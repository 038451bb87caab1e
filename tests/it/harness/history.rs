//! Is there one order of what the clients did with a znode that explains all that they were told? After Wing and Gong, who
//! try every order that time allows, and Lowe, who remember which of them lead nowhere.
//!
//! It knows nothing of the servers: a znode is a register with a version, and what is judged is when somebody asked, when it
//! was told, and what it was told.

use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// More states than this are never met where there is an order.
const STATES_MAX: usize = 100_000;

/// What a znode holds: a number, and how often it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Register {
    pub(crate) value: u64,
    pub(crate) version: i32,
}

/// What somebody did with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sets it, whatever it holds.
    Set(u64),
    /// Sets it if it has this version.
    SetIf { version: i32, value: u64 },
    /// Reads it, behind a sync.
    Read,
}

/// What somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was set, and has this version now.
    Version(i32),
    /// It has another version.
    Refused,
    /// It holds this.
    Holds(Register),
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    asked_at: u64,
    /// When the answer came, and what it was; nobody knows what became of the others.
    told: Option<(u64, Told)>,
    action: Action,
}

impl Operation {
    /// What the register holds behind this, if what was told fits to what it holds before.
    fn applied(&self, before: Register) -> Option<Register> {
        let told = self.told.map(|(_, told)| told);
        let set = |value| {
            let after = Register {
                value,
                version: before.version + 1,
            };
            let fits = told.is_none_or(|told| told == Told::Version(after.version));
            fits.then_some(after)
        };
        match self.action {
            Action::Set(value) => set(value),
            Action::SetIf { version, value } if version == before.version => set(value),
            Action::SetIf { .. } => told
                .is_none_or(|told| told == Told::Refused)
                .then_some(before),
            Action::Read => told
                .is_none_or(|told| told == Told::Holds(before))
                .then_some(before),
        }
    }
}

/// All that was done with one znode.
#[derive(Debug, Default)]
pub(crate) struct History {
    operations: Vec<Operation>,
}

/// Which operations have a place in the order already, and what the register holds behind them.
type State = (BTreeSet<usize>, Register);

impl History {
    /// Somebody asks for this. Its number.
    pub(crate) fn asked(&mut self, now: u64, action: Action) -> usize {
        self.operations.push(Operation {
            asked_at: now,
            told: None,
            action,
        });
        self.operations.len() - 1
    }

    /// It was told this.
    pub(crate) fn told(&mut self, number: usize, now: u64, told: Told) {
        self.operations[number].told = Some((now, told));
    }

    /// How many were answered.
    pub(crate) fn answered(&self) -> usize {
        let answered = self.operations.iter().filter(|it| it.told.is_some());
        answered.count()
    }

    /// Whether there is an order in which all of it makes sense, from a register that holds 0 and was never set.
    pub(crate) fn has_an_order(&self) -> bool {
        let mut left: Vec<State> = vec![(BTreeSet::new(), Register::default())];
        let mut met: BTreeSet<State> = BTreeSet::new();
        while let Some((mut placed, register)) = left.pop() {
            self.place_what_changes_nothing(&mut placed, register);
            let answered = (0..self.operations.len()).filter(|it| self.is_answered(*it));
            if answered.clone().all(|it| placed.contains(&it)) {
                return true;
            }
            assert!(met.len() < STATES_MAX, "too many orders to try");
            if !met.insert((placed.clone(), register)) {
                continue;
            }
            // What was answered is tried first: it comes last.
            let mut next = self.next(&placed);
            next.sort_by_key(|it| (self.is_answered(*it), self.operations[*it].asked_at));
            for number in next {
                if let Some(after) = self.operations[number].applied(register)
                    && after != register
                {
                    let mut placed = placed.clone();
                    placed.insert(number);
                    left.push((placed, after));
                }
            }
        }
        false
    }

    fn is_answered(&self, number: usize) -> bool {
        self.operations[number].told.is_some()
    }

    /// What was asked before the first answer to any of those without a place came: one of these is next.
    fn next(&self, placed: &BTreeSet<usize>) -> Vec<usize> {
        let without = (0..self.operations.len()).filter(|it| !placed.contains(it));
        let told_at = |it: usize| self.operations[it].told.map(|(at, _)| at);
        let first = without.clone().filter_map(told_at).min();
        let first = first.unwrap_or(u64::MAX);
        without
            .filter(|it| self.operations[*it].asked_at < first)
            .collect()
    }

    /// A read that fits may as well have its place at once.
    fn place_what_changes_nothing(&self, placed: &mut BTreeSet<usize>, register: Register) {
        loop {
            let fits = |it: &usize| {
                self.is_answered(*it) && self.operations[*it].applied(register) == Some(register)
            };
            let next: Vec<usize> = self.next(placed).into_iter().filter(fits).collect();
            if next.is_empty() {
                return;
            }
            placed.extend(next);
        }
    }
}
