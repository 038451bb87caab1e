//! Sessions: what is replicated of them, their ids and their passwords.
//!
//! A session is a timeout, the server that holds its connection, and two numbers that make its writes
//! count once: each attach to a connection raises the *generation*, each write of that connection has
//! the next *sequence*. When a session expires is the leader's business (`expiry`).

use std::collections::{BTreeMap, HashMap};

use ahash::RandomState;

use super::digest;
use super::slab::{Scanned, Slab};
use crate::units::{ServerId, WallTime};

#[cfg(test)]
mod tests;

/// What is replicated of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) timeout_ms: i32,
    /// How often it was attached to a connection.
    pub(super) generation: u64,
    /// The sequence of the last write applied of this generation.
    pub(super) sequence: u64,
    /// Where its connection is, or was.
    pub(super) server: ServerId,
}

impl Scanned for Session {
    type Image = Session;

    fn image(&self) -> Session {
        *self
    }
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    slots: Slab<Session>,
    numbers: HashMap<i64, u32, RandomState>,
    /// The highest id each server ever gave out: an id must not come back, or a client that was away
    /// would go on with somebody else's session.
    last_ids: BTreeMap<ServerId, i64>,
    /// Of all sessions; see `digest`.
    digest: u64,
}

impl Sessions {
    pub(super) fn new(hasher: &RandomState) -> Sessions {
        Sessions {
            slots: Slab::new(),
            numbers: HashMap::with_hasher(hasher.clone()),
            last_ids: BTreeMap::new(),
            digest: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn get(&self, id: i64) -> Option<&Session> {
        self.slots.get(*self.numbers.get(&id)?)
    }

    /// Changes a session, if it is there.
    #[inline]
    pub(super) fn change<T>(
        &mut self,
        id: i64,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let session = self.slots.get_mut(*self.numbers.get(&id)?)?;
        let left = digest::session(session);
        let value = change(session);
        let come = digest::session(session);
        self.digest = self.digest.wrapping_sub(left).wrapping_add(come);
        Some(value)
    }

    /// Takes in a session. Says whether its id was free.
    pub(super) fn insert(&mut self, session: Session) -> bool {
        if self.numbers.contains_key(&session.id) {
            return false;
        }
        self.digest = self.digest.wrapping_add(digest::session(&session));
        let number = self.slots.insert(session);
        self.numbers.insert(session.id, number);
        true
    }

    pub(super) fn remove(&mut self, id: i64) -> Option<Session> {
        let session = self.slots.remove(self.numbers.remove(&id)?)?;
        self.digest = self.digest.wrapping_sub(digest::session(&session));
        Some(session)
    }

    /// A number for all sessions; see `digest`. The last ids are not in it.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Notes that a server gave out an id.
    pub(super) fn note_id(&mut self, server: ServerId, id: i64) {
        let last = self.last_ids.entry(server).or_insert(id);
        if counter(*last) < counter(id) {
            *last = id;
        }
    }

    /// Whether a server gave out this id, or one that follows it, before: ids are given out in order.
    pub(super) fn was_given_out(&self, server: ServerId, id: i64) -> bool {
        self.last_id(server)
            .is_some_and(|last| counter(id) <= counter(last))
    }

    pub(super) fn last_id(&self, server: ServerId) -> Option<i64> {
        self.last_ids.get(&server).copied()
    }

    pub(super) fn last_ids(&self) -> impl Iterator<Item = (ServerId, i64)> {
        self.last_ids.iter().map(|(&server, &id)| (server, id))
    }

    /// All sessions, by their ids.
    pub(super) fn sorted(&self) -> Vec<Session> {
        let mut sessions: Vec<Session> = self.slots.iter().map(|(_, session)| *session).collect();
        sessions.sort_unstable_by_key(|session| session.id);
        sessions
    }

    /// The slots, to be scanned for a snapshot.
    pub(super) fn slots(&mut self) -> &mut Slab<Session> {
        &mut self.slots
    }
}

/// The server's number is the first byte of a session id; the rest counts.
const COUNTER_MASK: u64 = (1 << 56) - 1;

fn counter(id: i64) -> u64 {
    id.cast_unsigned() & COUNTER_MASK
}

/// The first byte of the ids of local sessions: no coordinator has this number.
const LOCAL: u8 = 0xff;

/// The id of a session that only `server` knows, made of random bits: a number of no server, the server's, six bytes.
pub(super) fn local_id(server: ServerId, random: u64) -> i64 {
    let [_, number] = server.0.to_be_bytes();
    let [_, _, rest @ ..] = random.to_be_bytes();
    let mut id = [0; 8];
    id[..2].copy_from_slice(&[LOCAL, number]);
    id[2..].copy_from_slice(&rest);
    i64::from_be_bytes(id)
}

/// Whether a session of this id is one that a server had to itself, in read-only mode.
pub(super) fn is_local(id: i64) -> bool {
    let [first, ..] = id.to_be_bytes();
    first == LOCAL
}

/// Gives out session ids: the server's number, five bytes of the time of its first session, and a
/// counter that starts there.
#[derive(Debug)]
pub(super) struct SessionIds {
    server: ServerId,
    next: Option<u64>,
}

impl SessionIds {
    pub(super) fn new(server: ServerId) -> SessionIds {
        SessionIds { server, next: None }
    }

    /// An id that was never given out; `last` is the highest that is known to have been.
    pub(super) fn next(&mut self, wall: WallTime, last: Option<i64>) -> i64 {
        let start = *self.next.get_or_insert((wall.0.cast_unsigned() << 24) >> 8);
        let unused = last.map_or(0, |last| counter(last).wrapping_add(1));
        // 0 would make an id that means "none" on server 0 and is reserved on server 128.
        let id = (start.max(unused) & COUNTER_MASK).max(1);
        self.next = Some(id + 1);
        ((u64::from(self.server.0) << 56) | id).cast_signed()
    }
}

/// What a client shows to go on with its session: sixteen bytes of Java's generator, so that sessions of
/// a ZooKeeper ensemble can be taken over. It is no secret from anybody who can compute.
pub(super) fn password(session: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session.cast_unsigned() ^ 0xb341_5c00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
        let bytes: [u8; 8] = (state >> 16).to_le_bytes();
        word.copy_from_slice(&bytes[..4]);
    }
    password
}
