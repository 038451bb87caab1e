//! The state as bytes: exactly as it was after one entry, written in slices while it goes on changing.
//!
//! A snapshot is a series of chunks. Integers are big-endian; a *text* is a length (u32) and that many
//! bytes, *data* the same with length 2^32 - 1 for null.
//!
//! ```text
//!   byte 0        4         5      6        8               16       20       24         28
//!        +--------+---------+------+--------+---------------+--------+--------+----------+------+
//!        | "ZNOD" | version | kind | zeros  | applied index | number | length | checksum | body |
//!        |        | u8 = 3  | u8   | 2      | u64           | u32    | u32    | u32      |      |
//!        +--------+---------+------+--------+---------------+--------+--------+----------+------+
//! ```
//!
//! `length` is that of the body, `checksum` the CRC-32 of the 24 bytes before it and of the body,
//! `number` counts the chunks from 0. The first is a head, the last a seal, all others hold records.
//! Version 1 had neither place nor time, version 2 no digest; both are still read.
//!
//! ```text
//!   1 head      place { term u64, members data }, zxid i64, time of the last write i64,
//!               then for each server { server u16, last session id i64 }
//!   2 records   { tag u8, ... } ...
//!       1 session       id i64, timeout ms i32, generation u64, sequence u64, server u16
//!       2 permissions   number u32, list text (see `acl`); stands before the first znode that uses it
//!       3 znode         path text, data, owner i64, czxid, mzxid, pzxid, ctime, mtime i64,
//!                       version, children made, aversion i32, permissions u32
//!   3 seal      sessions u64, permissions u64, znodes u64, CRC-32 of all former checksums u32,
//!               digest of the state u64 (see `digest`)
//! ```
//!
//! Znodes come in no particular order: those that are about to change are written before their turn
//! (see `slab`). Children, ephemerals and quotas in force follow from the znodes and are not written.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};

use super::Coordinator;
use super::acl::AclId;
use super::encoding::{length, put_data, put_text};
use super::slab::Visit;
use super::state::{State, put_body, put_session};
use super::tree::Body;
use crate::cursor::Writer;
use crate::units::{ServerId, WallTime, Zxid};

#[cfg(test)]
mod tests;

pub(super) const MAGIC: [u8; 4] = *b"ZNOD";
pub(super) const VERSION: u8 = 3;
/// The last one that does not say the digest of the state.
pub(super) const VERSION_WITHOUT_DIGEST: u8 = 2;
/// The first one, which does not say where in the log it was taken.
pub(super) const VERSION_WITHOUT_PLACE: u8 = 1;

pub(super) const KIND_HEAD: u8 = 1;
pub(super) const KIND_RECORDS: u8 = 2;
pub(super) const KIND_SEAL: u8 = 3;

pub(super) const TAG_SESSION: u8 = 1;
pub(super) const TAG_PERMISSIONS: u8 = 2;
pub(super) const TAG_ZNODE: u8 = 3;

pub(super) const HEADER_BYTES: usize = 28;
/// The checksum is the last field of the header.
pub(super) const CHECKED_BYTES: usize = 24;

/// What looking at a slot costs beside what is written of it, in bytes of the budget.
const VISIT_COST: usize = 64;

/// Where in its group's log a snapshot was taken, beside the number of the entry. The coordinator keeps it and does not
/// look into it: whoever goes on from the snapshot must neither invent the term nor take the members of a later time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The term of the last entry that is in it.
    pub term: u64,
    /// The members of the group as of that entry.
    pub members: Bytes,
}

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSlice {
    /// To be appended to what came before. May be empty.
    pub bytes: Bytes,
    /// Whether this was the last one.
    pub is_last: bool,
}

/// A snapshot being taken.
#[derive(Debug)]
pub(super) struct Snapshot {
    index: u64,
    place: Place,
    zxid: Zxid,
    wall: WallTime,
    last_ids: Vec<(ServerId, i64)>,
    digest: u64,
    stage: Stage,
    number: u32,
    /// Of all checksums so far.
    chain: crc32fast::Hasher,
    written_acls: HashSet<AclId, ahash::RandomState>,
    sessions: u64,
    znodes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Sessions,
    Znodes,
    Seal,
}

impl Snapshot {
    fn begin(state: &mut State, place: Place, hasher: &ahash::RandomState) -> Snapshot {
        state.sessions.slots().scan_begin();
        state.tree.slots().scan_begin();
        state.tree.acls.hold();
        Snapshot {
            index: state.applied,
            place,
            zxid: state.zxid,
            wall: state.wall,
            last_ids: state.sessions.last_ids().collect(),
            digest: state.digest(),
            stage: Stage::Head,
            number: 0,
            chain: crc32fast::Hasher::new(),
            written_acls: HashSet::with_hasher(hasher.clone()),
            sessions: 0,
            znodes: 0,
        }
    }

    fn end(state: &mut State) {
        state.sessions.slots().scan_abandon();
        state.tree.slots().scan_abandon();
        state.tree.acls.let_go();
    }

    /// The next slice; `None` behind the last one.
    fn step(&mut self, state: &mut State, budget: usize) -> SnapshotSlice {
        let mut body = BytesMut::with_capacity(budget.min(1 << 20));
        let kind = match self.stage {
            Stage::Head => {
                self.put_head(&mut Writer::new(&mut body));
                self.stage = Stage::Sessions;
                KIND_HEAD
            }
            Stage::Sessions | Stage::Znodes => {
                self.put_records(state, budget, &mut body);
                if body.is_empty() {
                    return SnapshotSlice {
                        bytes: Bytes::new(),
                        is_last: false,
                    };
                }
                KIND_RECORDS
            }
            Stage::Seal => {
                self.put_seal(&mut Writer::new(&mut body));
                KIND_SEAL
            }
        };
        SnapshotSlice {
            bytes: self.chunk(kind, &body),
            is_last: kind == KIND_SEAL,
        }
    }

    fn chunk(&mut self, kind: u8, body: &[u8]) -> Bytes {
        let mut chunk = BytesMut::with_capacity(HEADER_BYTES + body.len());
        let mut writer = Writer::new(&mut chunk);
        writer.bytes(&MAGIC);
        writer.u8(VERSION);
        writer.u8(kind);
        writer.u16(0);
        writer.u64(self.index);
        writer.u32(self.number);
        writer.u32(length(body.len()));
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&chunk);
        hasher.update(body);
        let checksum = hasher.finalize();
        let mut writer = Writer::new(&mut chunk);
        writer.u32(checksum);
        writer.bytes(body);
        self.chain.update(&checksum.to_be_bytes());
        self.number += 1;
        chunk.freeze()
    }

    fn put_head(&self, writer: &mut Writer<'_>) {
        writer.u64(self.place.term);
        put_data(writer, Some(&self.place.members));
        writer.i64(self.zxid.0);
        writer.i64(self.wall.0);
        for &(server, id) in &self.last_ids {
            writer.u16(server.0);
            writer.i64(id);
        }
    }

    fn put_records(&mut self, state: &mut State, budget: usize, body: &mut BytesMut) {
        let mut visits = 0usize;
        while self.stage != Stage::Seal && body.len() + visits * VISIT_COST < budget.max(1) {
            visits += 1;
            if self.stage == Stage::Sessions {
                match state.sessions.slots().scan_next() {
                    Visit::Image(session) => {
                        let mut writer = Writer::new(body);
                        writer.u8(TAG_SESSION);
                        put_session(&mut writer, &session);
                        self.sessions += 1;
                    }
                    Visit::Nothing => {}
                    Visit::End => self.stage = Stage::Znodes,
                }
            } else {
                match state.tree.slots().scan_next() {
                    Visit::Image(znode) => self.put_znode(state, &znode, &mut Writer::new(body)),
                    Visit::Nothing => {}
                    Visit::End => self.stage = Stage::Seal,
                }
            }
        }
    }

    fn put_znode(&mut self, state: &State, znode: &Body, writer: &mut Writer<'_>) {
        if self.written_acls.insert(znode.acl) {
            writer.u8(TAG_PERMISSIONS);
            writer.u32(znode.acl.0);
            put_text(writer, state.tree.acls.permissions(znode.acl));
        }
        writer.u8(TAG_ZNODE);
        put_body(writer, znode);
        writer.u32(znode.acl.0);
        self.znodes += 1;
    }

    fn put_seal(&self, writer: &mut Writer<'_>) {
        let permissions = u64::try_from(self.written_acls.len());
        writer.u64(self.sessions);
        writer.u64(permissions.expect("a usize has at most 64 bits"));
        writer.u64(self.znodes);
        writer.u32(self.chain.clone().finalize());
        writer.u64(self.digest);
    }
}

impl Coordinator {
    /// Begins a snapshot of the state as it is now, at this place in the log; one under way is given up. Returns the last
    /// entry that is in it. To be called between entries, not between two commands of one.
    pub fn snapshot_begin(&mut self, place: Place) -> u64 {
        self.snapshot_abandon();
        self.snapshot = Some(Snapshot::begin(&mut self.state, place, &self.hasher));
        self.state.applied
    }

    /// The next slice of the snapshot under way, of about `budget` bytes; `None` if there is none. Events
    /// may be handled between slices. 128 KiB take well below a millisecond.
    pub fn snapshot_step(&mut self, budget: usize) -> Option<SnapshotSlice> {
        let slice = self.snapshot.as_mut()?.step(&mut self.state, budget);
        if slice.is_last {
            self.snapshot_abandon();
        }
        Some(slice)
    }

    /// Gives up the snapshot under way.
    pub fn snapshot_abandon(&mut self) {
        if self.snapshot.take().is_some() {
            Snapshot::end(&mut self.state);
        }
    }
}
