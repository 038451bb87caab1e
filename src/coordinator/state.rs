//! What is replicated: equal on every server that has applied the same entries.

use ahash::RandomState;

use super::digest;
use super::encoding::{put_data, put_text};
use super::session::Sessions;
use super::tree::{Body, Tree};
use crate::cursor::Writer;
use crate::units::{Random, Seed, WallTime, Zxid};

/// Tree, sessions, and how far they are.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) sessions: Sessions,
    /// The number of the last write applied.
    pub(super) zxid: Zxid,
    /// The time of the last write: no later one is stamped with an earlier time.
    pub(super) wall: WallTime,
    /// The last entry applied.
    pub(super) applied: u64,
}

impl State {
    /// The state of a new ensemble.
    pub(super) fn new(seed: Seed) -> State {
        let hasher = hasher(seed);
        State {
            tree: Tree::new(&hasher),
            sessions: Sessions::new(&hasher),
            zxid: Zxid(0),
            wall: WallTime(0),
            applied: 0,
        }
    }

    /// A number that two servers share exactly if (but for chance) they hold the same state. It does not
    /// depend on seeds, slots or how the state came about, and costs next to nothing.
    pub(super) fn digest(&self) -> u64 {
        let last_ids = self.sessions.last_ids();
        let last_ids = last_ids.map(|(server, id)| digest::last_id(server, id));
        last_ids
            .fold(self.tree.digest(), u64::wrapping_add)
            .wrapping_add(self.sessions.digest())
            .wrapping_add(digest::last_write(self.zxid, self.wall))
    }
}

/// A hasher whose keys grow from a seed.
pub(super) fn hasher(seed: Seed) -> RandomState {
    let mut random = Random::new(seed);
    RandomState::with_seeds(random.next(), random.next(), random.next(), random.next())
}

/// A znode's body but for its permissions, in a snapshot.
pub(super) fn put_body(writer: &mut Writer<'_>, body: &Body) {
    put_text(writer, &body.path);
    put_data(writer, body.data.as_deref());
    writer.i64(body.owner);
    writer.i64(body.czxid.0);
    writer.i64(body.mzxid.0);
    writer.i64(body.pzxid.0);
    writer.i64(body.ctime.0);
    writer.i64(body.mtime.0);
    writer.i32(body.version);
    writer.i32(body.made);
    writer.i32(body.aversion);
}

/// A session, in a snapshot.
pub(super) fn put_session(writer: &mut Writer<'_>, session: &super::session::Session) {
    writer.i64(session.id);
    writer.i32(session.timeout_ms);
    writer.u64(session.generation);
    writer.u64(session.sequence);
    writer.u16(session.server.0);
}
