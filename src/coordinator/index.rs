//! From a path to the number of its znode.
//!
//! The paths themselves are in the znodes; here are 32 bits of their hash and the number. The table is
//! split by the hash's upper bits, so that growing never moves more than a few thousand entries at
//! once, however many znodes there are.

use ahash::RandomState;
use hashbrown::HashTable;

const SHARD_BITS: u32 = 10;

/// The table.
#[derive(Debug)]
pub(super) struct Index {
    shards: Box<[HashTable<Entry>]>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    number: u32,
}

/// The hash of a path, in this table.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathHash(u64);

impl PathHash {
    fn shard(self) -> usize {
        usize::try_from(self.0 >> (64 - SHARD_BITS)).expect("ten bits")
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the lower half is what an entry keeps"
    )]
    fn kept(self) -> u32 {
        self.0 as u32
    }
}

/// The table wants 64 bits; these follow from the 32 kept, so that growing need not look at paths.
fn spread(kept: u32) -> u64 {
    u64::from(kept).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    pub(super) fn new(hasher: RandomState) -> Index {
        Index {
            shards: (0..1 << SHARD_BITS).map(|_| HashTable::new()).collect(),
            hasher,
        }
    }

    #[inline]
    pub(super) fn hash(&self, path: &[u8]) -> PathHash {
        PathHash(self.hasher.hash_one(path))
    }

    /// The number that was put in with this hash and for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, hash: PathHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let kept = hash.kept();
        self.shards[hash.shard()]
            .find(spread(kept), |entry| {
                entry.hash == kept && is_it(entry.number)
            })
            .map(|entry| entry.number)
    }

    /// Adds a number whose path is not in the table.
    pub(super) fn insert(&mut self, hash: PathHash, number: u32) {
        let kept = hash.kept();
        let entry = Entry { hash: kept, number };
        self.shards[hash.shard()].insert_unique(spread(kept), entry, |entry| spread(entry.hash));
    }

    /// Takes a number away.
    pub(super) fn remove(&mut self, hash: PathHash, number: u32) {
        let shard = &mut self.shards[hash.shard()];
        if let Ok(entry) = shard.find_entry(spread(hash.kept()), |entry| entry.number == number) {
            entry.remove();
        }
    }
}
