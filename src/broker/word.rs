//! What the brokers of one ensemble tell each other of the consumers that read from several of them.
//!
//! Nothing waits for a word, and each may be lost. A broker answers a word with counts at most, and those with nothing.

use super::request::Name;
use crate::units::ServerId;

/// Consumers that one word names at most.
pub const WANTED_MAX: usize = 256;
/// Processes that one word counts for at most.
pub const COUNTED_MAX: usize = 512;
/// No group, consumer or process with a longer name is spoken of.
pub const NAME_BYTES_MAX: usize = 512;

/// What one broker says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// These consumers have messages here and ask for none of them: give their gets turns.
    Wanted(Vec<Reader>),
    /// How many messages went from here to whom.
    Counts(Counts),
}

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its group.
    pub group: Name,
    /// Its name in the owner nodes.
    pub consumer: Name,
}

/// How many messages went to the processes that read from several brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// When this is said, by the clock of who says it.
    pub stamp: u64,
    /// The newest stamp that it has heard from who is told this; 0: none.
    pub echo: u64,
    /// The other's counts are wanted, too.
    pub asks: bool,
    /// The broker that says it.
    pub broker: ServerId,
    /// All such processes that it knows of, as far as there is room.
    pub processes: Vec<Count>,
}

/// What went to one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The process: `<host>-<pid>`.
    pub process: Name,
    /// Messages that were sent to it, from a number on that means nothing. It never falls.
    pub sent: u64,
    /// Those of them that it has not come back from: it may be reading them.
    pub out: u64,
}
