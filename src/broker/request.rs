//! What a MetaQ client may ask, free of how it was written on the wire.
//!
//! The names and payloads are slices of the buffer that the socket filled: nothing is copied to make a
//! request. The core copies a payload once, into the journal entry, and never keeps a slice beyond the
//! turn in which it came (a held get would pin a whole read buffer).

use std::fmt;
use std::str::Utf8Error;

use bytes::Bytes;

/// A name from the wire (topic, group, key): UTF-8, cheap to clone, a slice of the buffer it came in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(Bytes);

impl Name {
    /// Takes the bytes as a name.
    ///
    /// # Errors
    /// They are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Name, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Name(bytes))
    }

    /// A name known at compile time.
    pub const fn from_static(name: &'static str) -> Name {
        Name(Bytes::from_static(name.as_bytes()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a name is checked when it is made")
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A copy with a buffer of its own, for what is kept.
    pub fn detached(&self) -> Name {
        Name(Bytes::copy_from_slice(&self.0))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        Name(Bytes::copy_from_slice(name.as_bytes()))
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Bytes::from(name))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Store a message.
    Put(Put),
    /// Read from an offset on.
    Get(Get),
    /// The nearest offset from which reading works.
    Offset(OffsetQuery),
    /// The broker's version; the Java client's heartbeat.
    Version,
    /// Figures, by item; the empty item is the overview.
    Stats {
        /// Which figures: a keyword or a topic's name.
        item: Name,
    },
    /// A step of a local or XA transaction.
    Transaction(Transaction),
    /// A record from a synchronous-replication master ("samsa").
    Sync(Sync),
    /// Close the connection once everything asked before is answered.
    Quit,
}

/// `put`: store one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The topic.
    pub topic: Name,
    /// The partition; -1 lets the broker choose.
    pub partition: i32,
    /// Bit 0: `data` begins with an attribute block. Stored as it is.
    pub flag: i32,
    /// The masked crc32 of `data`, -1 when the client sent none.
    pub checksum: i32,
    /// The key of the transaction it belongs to.
    pub transaction: Option<Name>,
    /// The message, attribute block included.
    pub data: Bytes,
}

/// `get`: read records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The topic.
    pub topic: Name,
    /// The consumer group.
    pub group: Name,
    /// The partition.
    pub partition: i32,
    /// The byte offset of the first wanted record; `i64::MAX` asks where the end is.
    pub offset: i64,
    /// At most this many bytes.
    pub max_size: i32,
}

/// `offset`: where reading near an offset can begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetQuery {
    /// The topic.
    pub topic: Name,
    /// The consumer group.
    pub group: Name,
    /// The partition.
    pub partition: i32,
    /// The offset asked about.
    pub offset: i64,
}

/// `transaction`: one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// `TX:…`, `XID:…` or `null`.
    pub key: Name,
    /// The session the client names; the one inside a `TX:` key counts.
    pub session: Name,
    /// Which step.
    pub step: TransactionStep,
    /// Seconds until an unfinished transaction is rolled back; `None` or 0 is never.
    pub timeout_s: Option<i32>,
    /// Which prepared transactions a recovery asks for.
    pub unique_qualifier: Option<Name>,
}

/// The steps of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    /// Start it.
    Begin,
    /// First phase.
    Prepare,
    /// Commit without a first phase.
    CommitOnePhase,
    /// Commit after a first phase.
    CommitTwoPhase,
    /// Discard it.
    Rollback,
    /// List the prepared ones.
    Recover,
    /// Forget a heuristic decision.
    Forget,
    /// The client detaches from it; never answered.
    End,
}

/// `sync`: a record with its id already given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: i32,
    /// As in [`Put`].
    pub flag: i32,
    /// The master's message id.
    pub message_id: i64,
    /// As in [`Put`].
    pub checksum: i32,
    /// The message.
    pub data: Bytes,
}
