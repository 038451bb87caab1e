//! Bytes of a snapshot back to a state. See `snapshot` for the format.
//!
//! Nothing in them is believed: every chunk is checked before it is looked into, nothing is allocated
//! by a number that was only read, and what comes out is a tree with all its invariants or an error.

use std::collections::HashMap;

use ahash::RandomState;
use bytes::Bytes;

use super::Coordinator;
use super::acl::{AclId, Permissions};
use super::encoding::{data, text};
use super::options::Options;
use super::path;
use super::session::{Session, Sessions};
use super::snapshot::{
    CHECKED_BYTES, HEADER_BYTES, KIND_HEAD, KIND_RECORDS, KIND_SEAL, MAGIC, Place, TAG_PERMISSIONS,
    TAG_SESSION, TAG_ZNODE, VERSION, VERSION_WITHOUT_DIGEST, VERSION_WITHOUT_PLACE,
};
use super::state::{self, State};
use super::tree::{Body, Tree};
use super::vocabulary::Shared;
use crate::cursor::{Reader, Truncated};
use crate::units::{Seed, ServerId, WallTime, Zxid};

/// A chunk holds a slice's budget and one record more, which came in a frame.
const CHUNK_BYTES_MAX: usize = 256 << 20;

/// What is wrong with a snapshot. It cannot be used; another one, or the journal, has to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes at this place are not the header of a chunk.
    #[error("chunk {0} has no valid header")]
    Header(u32),
    /// Written by a later release.
    #[error("snapshot format {0} is not known")]
    Version(u8),
    /// A chunk's bytes are not those that were written.
    #[error("chunk {0} is damaged")]
    Checksum(u32),
    /// A chunk, whole in itself, is not the one that belongs here.
    #[error("chunk {0} is out of place")]
    OutOfPlace(u32),
    /// A record ends too early or means nothing.
    #[error("chunk {0} has an unreadable record")]
    Record(u32),
    /// Records, each readable, that cannot all be true.
    #[error("contradiction: {0}")]
    Contradiction(String),
    /// All of it can be read, and it is not the state that was to be written: memory or a mistake has changed it before.
    #[error("the state in it has the digest {found:016x}, not {expected:016x}")]
    Digest {
        /// As it was when the snapshot was taken.
        expected: u64,
        /// Of what was read.
        found: u64,
    },
    /// The seal is missing.
    #[error("the snapshot ends too early")]
    Unfinished,
}

impl SnapshotError {
    fn contradiction(what: &str, path: &[u8]) -> SnapshotError {
        SnapshotError::Contradiction(format!("{what} {}", String::from_utf8_lossy(path)))
    }
}

/// Takes in a snapshot piece by piece.
#[derive(Debug)]
pub struct Restore {
    tree: Tree,
    sessions: Sessions,
    zxid: Zxid,
    wall: WallTime,
    index: u64,
    version: u8,
    place: Option<Place>,
    /// As the seal says it.
    digest: Option<u64>,
    /// What was fed and is not a whole chunk yet.
    buffer: Vec<u8>,
    /// The number of the next chunk.
    number: u32,
    chain: crc32fast::Hasher,
    /// Permissions by their numbers in the snapshot. Each counts as a use until the end.
    acls: HashMap<u32, AclId, RandomState>,
    znodes: u64,
    sealed: bool,
}

/// A state that was restored whole; see [`Coordinator::restored`].
#[derive(Debug)]
pub struct Restored {
    state: State,
    place: Option<Place>,
}

impl Restored {
    /// The last entry that is in it: what follows must be applied.
    pub fn index(&self) -> u64 {
        self.state.applied
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Where in the log that is; `None` in a snapshot of the first version.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl Coordinator {
    /// A coordinator that goes on from a snapshot.
    pub fn restored(options: Options, seed: Seed, restored: Restored) -> Coordinator {
        Coordinator::with_state(options, seed, restored.state)
    }
}

impl Restore {
    /// Nothing yet.
    pub fn new(seed: Seed) -> Restore {
        let hasher = state::hasher(seed);
        Restore {
            tree: Tree::bare(&hasher),
            sessions: Sessions::new(&hasher),
            zxid: Zxid(0),
            wall: WallTime(0),
            index: 0,
            version: VERSION,
            place: None,
            digest: None,
            buffer: Vec::new(),
            number: 0,
            chain: crc32fast::Hasher::new(),
            acls: HashMap::with_hasher(hasher),
            znodes: 0,
            sealed: false,
        }
    }

    /// Takes in the next bytes, cut anywhere.
    ///
    /// # Errors
    /// [`SnapshotError`]: the snapshot cannot be used.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(bytes);
        let mut rest = buffer.as_slice();
        while let Some(length) = self.chunk_length(rest)? {
            let Some((chunk, tail)) = rest.split_at_checked(length) else {
                break;
            };
            self.chunk(chunk)?;
            rest = tail;
        }
        let taken = buffer.len() - rest.len();
        buffer.drain(..taken);
        self.buffer = buffer;
        Ok(())
    }

    /// Where in the log the snapshot was taken, as soon as its head was fed and if it says so.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The state, if all of it was fed.
    ///
    /// # Errors
    /// [`SnapshotError`]: the snapshot cannot be used.
    pub fn finish(mut self) -> Result<Restored, SnapshotError> {
        if !self.sealed || !self.buffer.is_empty() {
            return Err(SnapshotError::Unfinished);
        }
        let place = |path: Shared| SnapshotError::contradiction("no place for", &path);
        self.tree.link_all().map_err(place)?;
        for owner in self.tree.ephemeral_owners() {
            if self.sessions.get(owner).is_none() {
                let what = format!("session 0x{owner:x} has znodes but does not exist");
                return Err(SnapshotError::Contradiction(what));
            }
        }
        for &acl in self.acls.values() {
            self.tree.acls.release(acl);
        }
        let state = State {
            tree: self.tree,
            sessions: self.sessions,
            zxid: self.zxid,
            wall: self.wall,
            applied: self.index,
        };
        let found = state.digest();
        match self.digest {
            Some(expected) if expected != found => Err(SnapshotError::Digest { expected, found }),
            _ => Ok(Restored {
                state,
                place: self.place,
            }),
        }
    }

    /// How long the chunk is that begins here, once its header is here.
    fn chunk_length(&self, bytes: &[u8]) -> Result<Option<usize>, SnapshotError> {
        let bad = SnapshotError::Header(self.number);
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())])
            || self.sealed && !bytes.is_empty()
        {
            return Err(bad);
        }
        let mut reader = Reader::new(bytes);
        let mut skip = |count| reader.take(count).map(|_| ());
        if skip(20).is_err() {
            return Ok(None);
        }
        let Ok(length) = reader.u32() else {
            return Ok(None);
        };
        match usize::try_from(length) {
            Ok(length) if length <= CHUNK_BYTES_MAX => Ok(Some(HEADER_BYTES + length)),
            _ => Err(bad),
        }
    }

    fn chunk(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        let number = self.number;
        let (header, body) = chunk
            .split_at_checked(HEADER_BYTES)
            .ok_or(SnapshotError::Header(number))?;
        let header =
            Header::read(header).map_err(|Truncated { .. }| SnapshotError::Header(number))?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&chunk[..CHECKED_BYTES]);
        hasher.update(body);
        if hasher.finalize() != header.checksum {
            return Err(SnapshotError::Checksum(number));
        }
        if !(VERSION_WITHOUT_PLACE..=VERSION).contains(&header.version) {
            return Err(SnapshotError::Version(header.version));
        }
        let is_first = number == 0;
        if is_first {
            self.version = header.version;
        }
        if header.number != number
            || header.version != self.version
            || is_first != (header.kind == KIND_HEAD)
            || !is_first && header.index != self.index
        {
            return Err(SnapshotError::OutOfPlace(number));
        }
        self.index = header.index;
        let mut reader = Reader::new(body);
        match header.kind {
            KIND_HEAD => self.head(&mut reader)?,
            KIND_RECORDS => {
                while !reader.is_empty() {
                    self.record(&mut reader)?;
                }
            }
            KIND_SEAL => self.seal(&mut reader)?,
            _ => return Err(SnapshotError::Record(number)),
        }
        self.chain.update(&header.checksum.to_be_bytes());
        self.number = number
            .checked_add(1)
            .ok_or(SnapshotError::OutOfPlace(number))?;
        Ok(())
    }

    fn unreadable(&self) -> impl Fn(Truncated) -> SnapshotError + use<> {
        let number = self.number;
        move |_| SnapshotError::Record(number)
    }

    fn head(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        let unreadable = self.unreadable();
        if self.version != VERSION_WITHOUT_PLACE {
            let term = reader.u64().map_err(&unreadable)?;
            let members = data(reader).map_err(&unreadable)?.unwrap_or_default();
            let members = Bytes::copy_from_slice(members);
            self.place = Some(Place { term, members });
        }
        self.zxid = Zxid(reader.i64().map_err(&unreadable)?);
        if self.version != VERSION_WITHOUT_PLACE {
            self.wall = WallTime(reader.i64().map_err(&unreadable)?);
        }
        while !reader.is_empty() {
            let server = ServerId(reader.u16().map_err(&unreadable)?);
            self.sessions
                .note_id(server, reader.i64().map_err(&unreadable)?);
        }
        Ok(())
    }

    fn record(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        let unreadable = self.unreadable();
        match reader.u8().map_err(&unreadable)? {
            TAG_SESSION => {
                let session = read_session(reader).map_err(&unreadable)?;
                if session.id == 0 || !self.sessions.insert(session) {
                    let what = format!("session 0x{:x} cannot be, or twice", session.id);
                    return Err(SnapshotError::Contradiction(what));
                }
            }
            TAG_PERMISSIONS => {
                let number = reader.u32().map_err(&unreadable)?;
                let list = text(reader).map_err(&unreadable)?;
                Permissions::parse(list).map_err(&unreadable)?;
                let acl = self.tree.acls.take(list);
                if self.acls.insert(number, acl).is_some() {
                    let what = format!("permissions {number} twice");
                    return Err(SnapshotError::Contradiction(what));
                }
            }
            TAG_ZNODE => {
                let (mut body, acl) = read_znode(reader).map_err(&unreadable)?;
                let path = body.path.clone();
                let acl = self.acls.get(&acl);
                body.acl =
                    *acl.ok_or_else(|| SnapshotError::contradiction("no permissions for", &path))?;
                if !path::is_valid(&path) || path::is_kept(&path) && body.owner != 0 {
                    return Err(SnapshotError::contradiction("no znode can be", &path));
                }
                self.tree.acls.retain(body.acl);
                if self.tree.adopt(body).is_none() {
                    return Err(SnapshotError::contradiction("twice", &path));
                }
                self.znodes += 1;
            }
            _ => return Err(SnapshotError::Record(self.number)),
        }
        Ok(())
    }

    fn seal(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        let unreadable = self.unreadable();
        let mut next = || reader.u64().map_err(&unreadable);
        let counts = [next()?, next()?, next()?];
        let chain = reader.u32().map_err(&unreadable)?;
        if self.version > VERSION_WITHOUT_DIGEST {
            self.digest = Some(reader.u64().map_err(&unreadable)?);
        }
        let count = |length| u64::try_from(length).unwrap_or(u64::MAX);
        let here = [
            count(self.sessions.len()),
            count(self.acls.len()),
            self.znodes,
        ];
        if counts != here || chain != self.chain.clone().finalize() || !reader.is_empty() {
            return Err(SnapshotError::OutOfPlace(self.number));
        }
        self.sealed = true;
        Ok(())
    }
}

struct Header {
    version: u8,
    kind: u8,
    index: u64,
    number: u32,
    checksum: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, Truncated> {
        let mut reader = Reader::new(bytes);
        reader.take(MAGIC.len())?;
        let (version, kind) = (reader.u8()?, reader.u8()?);
        reader.u16()?;
        let (index, number) = (reader.u64()?, reader.u32()?);
        reader.u32()?;
        Ok(Header {
            version,
            kind,
            index,
            number,
            checksum: reader.u32()?,
        })
    }
}

fn read_session(reader: &mut Reader<'_>) -> Result<Session, Truncated> {
    Ok(Session {
        id: reader.i64()?,
        timeout_ms: reader.i32()?,
        generation: reader.u64()?,
        sequence: reader.u64()?,
        server: ServerId(reader.u16()?),
    })
}

/// A znode without its permissions, and their number.
fn read_znode(reader: &mut Reader<'_>) -> Result<(Body, u32), Truncated> {
    let body = Body {
        path: text(reader)?.into(),
        data: data(reader)?.map(Shared::from),
        digest: 0,
        acl: AclId::OPEN,
        owner: reader.i64()?,
        czxid: Zxid(reader.i64()?),
        mzxid: Zxid(reader.i64()?),
        pzxid: Zxid(reader.i64()?),
        ctime: WallTime(reader.i64()?),
        mtime: WallTime(reader.i64()?),
        version: reader.i32()?,
        made: reader.i32()?,
        aversion: reader.i32()?,
    };
    Ok((body, reader.u32()?))
}
