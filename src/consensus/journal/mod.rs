//! The journal: the storage of all Raft groups of a server, and the only thing a reply waits for.
//!
//! Records of all groups are gathered into batches, the batches written to files of fixed size that are used
//! in a circle. `format` draws the bytes and says what is assumed of the media; `open` says how a journal is
//! read back, and how a torn tail is told from damage.
//!
//! How it is driven, by one loop:
//! 1. `append` takes records and gives tickets. Nothing is written yet.
//! 2. `flush` (at the end of each turn, and whenever `deadline` has come) closes batches and submits them.
//! 3. `complete` takes the completions whose token belongs to [`TOKEN_OWNER`]; then `durable` may have moved.
//!    Call `flush` again after it.
//!
//! Invariants: a batch is durable only when it and all before it are: `durable ≤ written ≤ appended`. Records
//! of one group stay in order; between groups the coordinator's go first. A file is used again only when a
//! later batch that says so is durable. A journal that failed once writes nothing any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{self, Completion, Disk};
use crate::units::{GroupId, Moment};

/// What a group wants remembered.
mod record;

pub use record::{Entry, EntryKind, HardState, Marker, Record, STATE_BYTES_MAX};

/// Whose completions are the journal's: [`disk::Token::owner`].
pub const TOKEN_OWNER: u8 = 1;

/// How a journal is laid out and written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder its files are in; made when missing.
    pub folder: PathBuf,
    /// Bytes of the very first file: small, so that an empty server starts at once.
    pub first_file_bytes: u64,
    /// Bytes of every other file. An entry may have at most half of that.
    pub file_bytes: u64,
    /// Files there may be at most.
    pub files_max: usize,
    /// So many bytes waiting close a batch although others are in flight.
    pub batch_bytes_close: usize,
    /// No batch is longer, unless a single record is.
    pub batch_bytes_max: usize,
    /// Batches in flight at most.
    pub in_flight_max: usize,
    /// A file is filled in steps of this many bytes.
    pub fill_step_bytes: u64,
    /// So long after the last completion an idle journal writes its seal.
    pub seal_after: Duration,
    /// Go on without what damage has taken (the operator has read what `dump journal` says).
    pub accept_loss: bool,
}

impl Options {
    /// The usual layout, in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Options {
        Options {
            folder: folder.into(),
            first_file_bytes: 4 << 20,
            file_bytes: 64 << 20,
            files_max: 8,
            batch_bytes_close: 128 << 10,
            batch_bytes_max: 1 << 20,
            in_flight_max: 16,
            fill_step_bytes: 1 << 20,
            seal_after: Duration::from_millis(30),
            accept_loss: false,
        }
    }

    /// The most bytes an entry's data may have.
    pub fn entry_bytes_max(&self) -> usize {
        usize::try_from(self.file_bytes / 2).unwrap_or(usize::MAX)
    }
}

/// The receipt for a record. Tickets rise; those of one group become durable in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What an opened journal remembers.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The groups it has heard of.
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// There was none before.
    pub created: bool,
    /// This opening's number.
    pub incarnation: u64,
    /// The torn tail that was cut off, if there was one; nothing acknowledged was in it. To be logged.
    pub cut: Option<Cut>,
    /// The damage that [`Options::accept_loss`] cut off. To be logged loudly.
    pub loss: Option<Damage>,
}

/// What is remembered of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// The last hard state.
    pub hard_state: HardState,
    /// The last marker; the default one when there was none yet.
    pub marker: Marker,
    /// The entries behind the marker, without a gap.
    pub entries: Vec<Entry>,
    /// Something this group had acknowledged may be gone (accepted damage, and not [`Record::Healed`] since):
    /// it must neither vote nor acknowledge before it has caught up.
    pub incomplete: bool,
}

/// A tail that was not acknowledged and not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// The first byte that does not count.
    pub position: u64,
    /// The batch that was expected there.
    pub sequence: u64,
    /// Whole batches behind the cut, which were in flight and do not count either.
    pub batches_behind: u64,
}

/// Damage in what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where the unreadable batch begins.
    pub position: u64,
    /// The batch that is unreadable.
    pub sequence: u64,
    /// The last batch that is known to have been acknowledged.
    pub acknowledged: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// What was acknowledged cannot be read.
    #[error(
        "the journal is damaged: {}, byte {}: batch {}: {} (acknowledged up to batch {})",
        .0.path.display(), .0.position, .0.sequence, .0.what, .0.acknowledged
    )]
    Damaged(Damage),
    /// A newer version wrote it, or something in it is unknown to this one.
    #[error("{}: {what}: written by a newer version; start that version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What is not known.
        what: String,
    },
    /// The options contradict each other.
    #[error("the journal's options: {0}")]
    Options(&'static str),
}

/// The journal can no longer promise anything: the process must end, and start again from what is on disk.
#[derive(Debug, thiserror::Error)]
#[error("the journal failed: {0}")]
pub struct Failure(#[source] pub disk::Error);

/// How full the circle is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Files that hold what some group still needs.
    pub files_used: usize,
    /// Files there may be at most.
    pub files_max: usize,
    /// The group that pins the oldest file, and the entry up to which its marker must move to free it. `None`
    /// while the oldest file is the one being written.
    pub pinned_by: Option<(GroupId, u64)>,
    /// The circle is half full: checkpoint that group.
    pub compact: bool,
    /// Only the work that frees files may go on: new client writes are to be refused.
    pub refuse: bool,
}

/// What an operator may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// This opening's number.
    pub incarnation: u64,
    /// The last batch submitted.
    pub sequence: u64,
    /// The last durable batch.
    pub durable: u64,
    /// Batches in flight.
    pub in_flight: usize,
    /// Bytes that wait for a batch.
    pub waiting_bytes: usize,
    /// Bytes written in this run.
    pub written_bytes: u64,
    /// Records written in this run.
    pub records: u64,
    /// Writes go past the page cache.
    pub direct: bool,
    /// How full the circle is.
    pub pressure: Pressure,
}

/// The journal of one server.
pub struct Journal {
    options: Options,
}

impl Journal {
    /// Opens the journal in `options.folder`, or makes one. `id` is 128 fresh random bits, used for a new one.
    ///
    /// When it returns, a batch of the new incarnation is durable: nothing that was cut can come back.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed on disk.
    pub fn open(
        disk: &mut dyn Disk,
        options: Options,
        id: [u8; 16],
    ) -> Result<(Journal, Recovered), OpenError> {
        let _ = (disk, id);
        Ok((Journal { options }, Recovered::default()))
    }

    /// Takes a record; nothing is written before `flush`.
    pub fn append(&mut self, group: GroupId, record: Record) -> Ticket {
        let _ = (group, record);
        Ticket(0)
    }

    /// Tells that `group` no longer needs its entries up to `marker.index`: `append` of a [`Record::Marker`].
    pub fn compact(&mut self, group: GroupId, marker: Marker) -> Ticket {
        self.append(group, Record::Marker(marker))
    }

    /// Closes batches by the rule and submits them; prepares files; writes the seal when its time has come.
    pub fn flush(&mut self, now: Moment, disk: &mut dyn Disk) {
        let _ = (now, disk);
    }

    /// Writes the seal at the next `flush` that finds nothing in flight, without waiting for its time: for an
    /// orderly stop.
    pub fn seal(&mut self) {}

    /// Takes a completion whose token belongs to [`TOKEN_OWNER`].
    ///
    /// # Errors
    /// A write failed. The process must end: nothing more will become durable.
    pub fn complete(&mut self, now: Moment, completion: Completion) -> Result<(), Failure> {
        let _ = (now, completion);
        Ok(())
    }

    /// The last ticket of `group` that is durable together with all before it; `Ticket(0)` for none.
    pub fn durable(&self, group: GroupId) -> Ticket {
        let _ = group;
        Ticket(0)
    }

    /// When `flush` wants to be called, at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Nothing waits, nothing is in flight, and the last batch is sealed.
    pub fn is_idle(&self) -> bool {
        true
    }

    /// How full the circle is. Cheap; to be asked every turn.
    pub fn pressure(&self) -> Pressure {
        Pressure {
            files_max: self.options.files_max,
            ..Pressure::default()
        }
    }

    /// What an operator may see.
    pub fn status(&self) -> Status {
        Status::default()
    }
}
