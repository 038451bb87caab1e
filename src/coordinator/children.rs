//! The children of one znode: their numbers, in the order in which they came until somebody lists them.
//!
//! A znode knows its place among its siblings, so one that comes or goes costs the same among ten and among a million. Whoever
//! goes leaves a hole. The order of names is made when it is asked for, and lasts as long as what comes belongs at the end, as
//! sequential names do.
//!
//! Invariants: the last one is no hole; there are no more holes than children.

#[cfg(test)]
mod tests;

/// So few names are ordered by comparing them.
const FEW: usize = 32;
/// So much room is kept whatever goes.
const ROOM_MIN: usize = 32;

/// The place of one that is gone. No znode has this number; see `slab`.
const HOLE: u32 = u32::MAX;

/// Numbers of znodes. Most znodes have none, which takes one word.
#[derive(Debug, Default)]
pub(super) struct Children(Option<Box<Family>>);

#[derive(Debug)]
struct Family {
    numbers: Vec<u32>,
    holes: usize,
    is_ordered: bool,
}

impl Children {
    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let family = self.0.as_ref();
        family.map_or(0, |family| family.numbers.len() - family.holes)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether they stand in the order of their names.
    pub(super) fn is_ordered(&self) -> bool {
        self.0.as_ref().is_none_or(|family| family.is_ordered)
    }

    /// All of them, as they stand.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let numbers = self.0.iter().flat_map(|family| &family.numbers);
        numbers.copied().filter(|number| *number != HOLE)
    }

    /// Adds a child at the end, and returns its place. `follows` says whether its name is behind that of another one.
    pub(super) fn push(&mut self, child: u32, follows: impl FnOnce(u32) -> bool) -> u32 {
        let family = self.0.get_or_insert_with(|| {
            Box::new(Family {
                numbers: Vec::new(),
                holes: 0,
                is_ordered: true,
            })
        });
        if family.is_ordered
            && let Some(last) = family.numbers.last()
        {
            family.is_ordered = follows(*last);
        }
        family.numbers.push(child);
        place(family.numbers.len() - 1)
    }

    /// Takes the child at a place away, and returns its number. When others have moved by that, all are to learn their places
    /// from [`Children::places`].
    pub(super) fn remove(&mut self, place: u32) -> Removed {
        let taken = self.0.as_mut().and_then(|family| family.take(place));
        let Some(child) = taken else {
            return Removed::Nothing;
        };
        let family = self.0.as_mut().expect("one was taken from it");
        if family.numbers.is_empty() {
            self.0 = None;
            return Removed::Child(child);
        }
        if family.holes <= family.numbers.len() - family.holes {
            return Removed::Child(child);
        }
        family.close();
        Removed::Moved(child)
    }

    /// Each child with its place; there are no holes.
    pub(super) fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        let numbers = self.0.iter().flat_map(|family| &family.numbers);
        let places = numbers.enumerate().map(|(at, number)| (*number, place(at)));
        places.filter(|(number, _)| *number != HOLE)
    }

    /// Puts them into the order of their names; all are to learn their places then.
    pub(super) fn sort<'a>(&mut self, name: impl Fn(u32) -> &'a [u8]) {
        let Some(family) = &mut self.0 else {
            return;
        };
        family.close();
        let mut keyed: Vec<(u64, u32)> = family.numbers.iter().map(|number| (0, *number)).collect();
        sort_by_key(&mut keyed, &name);
        family.numbers = keyed.into_iter().map(|(_, number)| number).collect();
        family.is_ordered = true;
    }
}

/// What became of a child that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// There was none at this place.
    Nothing,
    /// It is gone.
    Child(u32),
    /// It is gone, and others have moved.
    Moved(u32),
}

impl Family {
    fn take(&mut self, place: u32) -> Option<u32> {
        let number = self.numbers.get_mut(place as usize)?;
        let child = std::mem::replace(number, HOLE);
        if child == HOLE {
            return None;
        }
        self.holes += 1;
        while self.numbers.last() == Some(&HOLE) {
            self.numbers.pop();
            self.holes -= 1;
        }
        let room = self.numbers.capacity();
        if room > ROOM_MIN && room / 4 > self.numbers.len() {
            self.numbers.shrink_to(2 * self.numbers.len());
        }
        Some(child)
    }

    fn close(&mut self) {
        self.numbers.retain(|number| *number != HOLE);
        self.numbers.shrink_to(2 * self.numbers.len());
        self.holes = 0;
    }
}

/// Orders numbers by their names. Few bytes tell most names apart, so each gets those as its key, by one look at its name; names that
/// they do not tell apart are looked at further on.
fn sort_by_key<'a>(keyed: &mut [(u64, u32)], name: &impl Fn(u32) -> &'a [u8]) {
    let Some(&(_, first)) = keyed.first() else {
        return;
    };
    let first = name(first);
    let shared = keyed.iter().map(|(_, other)| shared(first, name(*other)));
    let shared = shared.min().unwrap_or(0);
    for (key, number) in keyed.iter_mut() {
        *key = first_bytes(&name(*number)[shared..]);
    }
    keyed.sort_by_key(|(key, _)| *key);
    for alike in keyed.chunk_by_mut(|(a, _), (b, _)| a == b) {
        // One that is alone, or the same name, which is not there twice.
        if alike.len() > 1 && alike.len() < FEW {
            alike.sort_by(|(_, a), (_, b)| name(*a).cmp(name(*b)));
        } else if alike.len() > 1 {
            sort_by_key(alike, name);
        }
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).expect("there are fewer znodes than numbers")
}

/// How many bytes two names begin with in common.
fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A number that orders names as their first bytes do.
fn first_bytes(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(8);
    bytes[..length].copy_from_slice(&name[..length]);
    u64::from_be_bytes(bytes)
}
