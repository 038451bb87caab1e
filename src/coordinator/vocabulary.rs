//! What is asked of the coordinator and what it answers: the words shared with `wire`.
//!
//! No numbers of any protocol are here: opcodes, error codes and the encoding of a stat belong to
//! `wire::zookeeper`. Paths and ids are bytes, echoed exactly as they came; whether a path is well
//! formed is judged here, not by the decoder. Where the protocol tells null from empty and a client
//! can see it, so does the type.
//!
//! What came from a client is a share of its frame ([`Bytes`]); what the tree hands out is shared
//! with the tree ([`Shared`]). Neither is copied on the way.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::units::Zxid;

/// Bytes that an answer shares with the tree.
pub type Shared = Arc<[u8]>;

/// The first frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The highest zxid the client has seen in a reply.
    pub last_zxid_seen: Zxid,
    /// The session timeout it wants, in milliseconds.
    pub timeout_ms: i32,
    /// The session to go on with; 0 for a new one.
    pub session: i64,
    /// What it was given with the session; anything with a new one.
    pub password: Bytes,
    /// Whether it is content with a server that cannot write; `None` from clients that do not send it.
    pub read_only: Option<bool>,
}

/// The answer to a [`ConnectRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectReply {
    /// The session timeout granted, in milliseconds; 0 if the session is not known (any more).
    pub timeout_ms: i32,
    /// The session; 0 if it is not known.
    pub session: i64,
    /// What has to be shown to go on with the session on another connection; zeros if it is not known.
    pub password: [u8; 16],
    /// Whether this server cannot write; `None` if the client did not send its own.
    pub read_only: Option<bool>,
}

/// A request of a connection whose session is established.
///
/// To add a new kind: its variant here, its class in `propose` (write, read, or answered at once), its
/// evaluation in `apply` or `read`, and its codec in `wire::zookeeper`; the compiler names the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Makes a znode.
    Create(Create),
    /// Deletes a znode.
    Delete(Delete),
    /// Asks whether a znode exists; the watch is set whether it does or not.
    Exists {
        /// The znode.
        path: Bytes,
        /// Whether to watch it.
        watch: bool,
    },
    /// Asks for a znode's data.
    GetData {
        /// The znode.
        path: Bytes,
        /// Whether to watch it.
        watch: bool,
    },
    /// Replaces a znode's data.
    SetData(SetData),
    /// Asks who may do what with a znode.
    GetAcl {
        /// The znode.
        path: Bytes,
    },
    /// Replaces who may do what with a znode.
    SetAcl {
        /// The znode.
        path: Bytes,
        /// The new list; empty also where the client sent null.
        acl: Vec<Acl>,
        /// The `aversion` expected; -1 for any.
        version: i32,
    },
    /// Asks for the names of a znode's children.
    GetChildren {
        /// The znode.
        path: Bytes,
        /// Whether to watch them.
        watch: bool,
    },
    /// Asks for the names of a znode's children and its stat.
    GetChildren2 {
        /// The znode.
        path: Bytes,
        /// Whether to watch them.
        watch: bool,
    },
    /// Asks that all that was committed before is visible before the reply; the path is echoed.
    Sync {
        /// Anything.
        path: Bytes,
    },
    /// Does all of it or nothing.
    Multi(Vec<Operation>),
    /// Sets the watches again that a former connection had.
    SetWatches {
        /// The last zxid the client has seen: what changed since is told at once.
        relative_zxid: Zxid,
        /// Watches of `get_data`.
        data: Vec<Bytes>,
        /// Watches of `exists` on znodes that did not exist.
        exist: Vec<Bytes>,
        /// Watches of `get_children`.
        child: Vec<Bytes>,
    },
    /// Shows who the client is. Answered at once, before what is still waiting.
    Auth {
        /// The scheme, `digest` or `ip`.
        scheme: Bytes,
        /// What the scheme wants; empty also where the client sent null.
        data: Bytes,
    },
    /// A step of a SASL handshake. Answered at once, as by a server that has none set up.
    Sasl {
        /// The client's token.
        token: Option<Bytes>,
    },
    /// Keeps the session alive.
    Ping,
    /// Ends the session; the connection is closed after the reply.
    CloseSession,
    /// A known request whose body could not be decoded, or a multi with an operation that has no place
    /// in one. Refused in its turn; the connection stays.
    Malformed {
        /// Whether it was a write (those take a zxid even when they are refused).
        write: bool,
    },
    /// A request of an unknown kind. Refused in its turn, then the connection is closed.
    Unknown {
        /// Its number.
        opcode: i32,
    },
}

/// What a [`Request::Multi`] is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a znode.
    Create(Create),
    /// Deletes a znode.
    Delete(Delete),
    /// Replaces a znode's data.
    SetData(SetData),
    /// Insists on a znode's version.
    Check {
        /// The znode.
        path: Bytes,
        /// The version expected; -1 for any.
        version: i32,
    },
}

/// Makes a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The znode; the parent must exist.
    pub path: Bytes,
    /// Its data; null and empty are two things.
    pub data: Option<Bytes>,
    /// Who may do what with it; empty also where the client sent null.
    pub acl: Vec<Acl>,
    /// Of what kind it is.
    pub mode: CreateMode,
}

/// Of what kind a new znode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Goes with the session that made it.
    Ephemeral,
    /// Stays; the parent's counter is appended to its name.
    PersistentSequential,
    /// Goes with the session; the parent's counter is appended to its name.
    EphemeralSequential,
    /// A kind this server does not know: refused, in its turn.
    Unknown(i32),
}

/// Deletes a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// The znode; it must have no children.
    pub path: Bytes,
    /// The version expected; -1 for any.
    pub version: i32,
}

/// Replaces a znode's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetData {
    /// The znode.
    pub path: Bytes,
    /// The new data; null and empty are two things.
    pub data: Option<Bytes>,
    /// The version expected; -1 for any.
    pub version: i32,
}

/// What a request that was not refused answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to tell: delete, ping, set_watches, auth, close_session.
    Done,
    /// To create: the path, with the counter if it is sequential.
    Created {
        /// The whole path.
        path: Shared,
    },
    /// To exists, set_data and set_acl.
    Stat(Stat),
    /// To get_data.
    Data {
        /// The data; null and empty are two things.
        data: Option<Shared>,
        /// The znode's stat.
        stat: Stat,
    },
    /// To get_acl.
    Acl {
        /// Who may do what. Digests are left out for whom they are no business of.
        acl: Vec<Acl>,
        /// The znode's stat.
        stat: Stat,
    },
    /// To get_children.
    Children(Names),
    /// To get_children2.
    Children2 {
        /// The children's names, sorted.
        names: Names,
        /// The znode's stat.
        stat: Stat,
    },
    /// To sync.
    Synced {
        /// What was asked with.
        path: Bytes,
    },
    /// To a multi that was done: one answer an operation.
    Multi(Vec<OperationReply>),
    /// To a multi of which nothing was done. Not a refusal of the request: its header says success.
    MultiRefused {
        /// How many operations it had.
        operations: usize,
        /// Which of them was refused, from 0: those before it would have been done, those after it
        /// were not looked at.
        refused: usize,
        /// Why.
        refusal: Refusal,
    },
    /// To sasl.
    Sasl {
        /// The server's token; null from a server that has no SASL.
        token: Option<Bytes>,
    },
}

/// What one operation of a multi answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationReply {
    /// To create: the path, with the counter if it is sequential.
    Created {
        /// The whole path.
        path: Shared,
    },
    /// To delete.
    Deleted,
    /// To set_data: the stat as of this operation.
    DataSet(Stat),
    /// To check.
    Checked,
}

/// Why a request was refused; `wire::zookeeper` has the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The znode, or the parent of the one to make, does not exist.
    #[error("no such znode")]
    NoNode,
    /// The znode exists already.
    #[error("znode exists")]
    NodeExists,
    /// The znode has another version than the one expected.
    #[error("other version than expected")]
    BadVersion,
    /// The znode to delete has children.
    #[error("znode has children")]
    NotEmpty,
    /// An ephemeral znode cannot have children.
    #[error("ephemeral znodes have no children")]
    NoChildrenForEphemerals,
    /// A path or a create mode makes no sense.
    #[error("bad arguments")]
    BadArguments,
    /// A list of permissions is empty or names an id that cannot be.
    #[error("bad permissions")]
    InvalidAcl,
    /// The client lacks the permission.
    #[error("not permitted")]
    NoAuth,
    /// The client could not show who it is; the connection is closed.
    #[error("authentication failed")]
    AuthFailed,
    /// The session ended.
    #[error("session expired")]
    SessionExpired,
    /// The session has gone on with another connection: nothing of this was done, and nothing will be.
    #[error("session moved")]
    SessionMoved,
    /// The body could not be decoded.
    #[error("request cannot be decoded")]
    Marshalling,
    /// A request of an unknown kind; the connection is closed.
    #[error("unknown kind of request")]
    Unimplemented,
    /// This server would have to keep more than it may: see [`super::Limit`].
    #[error("a limit of this server is reached")]
    LimitReached,
    /// No server leads, and this one only answers reads.
    #[error("the server is read-only now")]
    NotReadOnly,
}

/// Permission bits of an [`Acl`].
pub mod permissions {
    /// Data and children may be read.
    pub const READ: i32 = 1;
    /// Data may be set.
    pub const WRITE: i32 = 2;
    /// Children may be made.
    pub const CREATE: i32 = 4;
    /// Children may be deleted.
    pub const DELETE: i32 = 8;
    /// The permissions may be set.
    pub const ADMIN: i32 = 16;
    /// All of them.
    pub const ALL: i32 = 31;
}

/// One line of a znode's permissions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    /// The bits of [`permissions`]; others are kept and mean nothing.
    pub permissions: i32,
    /// How `id` is to be understood: `world`, `auth`, `digest`, `ip`; null is taken as empty.
    pub scheme: Bytes,
    /// Who; null is taken as empty.
    pub id: Bytes,
}

impl Acl {
    /// Everybody may do everything.
    pub fn open() -> Acl {
        Acl {
            permissions: permissions::ALL,
            scheme: Bytes::from_static(b"world"),
            id: Bytes::from_static(b"anyone"),
        }
    }
}

/// What is known of a znode beside its data and children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The zxid that made it.
    pub czxid: Zxid,
    /// The zxid that last set its data.
    pub mzxid: Zxid,
    /// When it was made, in milliseconds since 1970.
    pub ctime: i64,
    /// When its data was last set, in milliseconds since 1970.
    pub mtime: i64,
    /// How often its data was set.
    pub version: i32,
    /// How many children were made and deleted.
    pub cversion: i32,
    /// How often its permissions were set.
    pub aversion: i32,
    /// The session it goes with; 0 if it stays.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// How many children it has.
    pub children: i32,
    /// The zxid that last made or deleted a child.
    pub pzxid: Zxid,
}

/// A watch that fired. Told to the connection that set it, once: the watch is gone then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchEventKind,
    /// To which znode.
    pub path: Shared,
}

/// What happened to a watched znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WatchEventKind {
    /// It was made.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was set.
    DataChanged,
    /// A child was made or deleted.
    ChildrenChanged,
}

/// Names of children in ascending order of their bytes, packed into one allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    count: usize,
    /// For each name its length in four bytes, most significant first, then the name.
    packed: Vec<u8>,
}

impl Names {
    /// No names yet, with room for `bytes` of them.
    pub fn with_capacity(bytes: usize) -> Names {
        Names {
            count: 0,
            packed: Vec::with_capacity(bytes),
        }
    }

    /// Adds a name behind the others.
    pub fn push(&mut self, name: &[u8]) {
        let length =
            u32::try_from(name.len()).expect("a name came in a frame, and frames are small");
        self.packed.extend_from_slice(&length.to_be_bytes());
        self.packed.extend_from_slice(name);
        self.count += 1;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all names, and four for each.
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }

    /// All names back to back, each behind its length in four bytes, most significant first.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The names one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (name, tail) = tail.split_at_checked(length)?;
            rest = tail;
            Some(name)
        })
    }
}

impl<'a> FromIterator<&'a [u8]> for Names {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(names: I) -> Names {
        let mut packed = Names::default();
        for name in names {
            packed.push(name);
        }
        packed
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(String::from_utf8_lossy))
            .finish()
    }
}
