//! The journal: the storage of all Raft groups of a server, and the only thing a reply waits for.
//!
//! Records of all groups are gathered into batches, the batches written to files of fixed size that are used
//! in a circle. `format` draws the bytes and says what is assumed of the media; `open` says how a journal is
//! read back, and how a torn tail is told from damage.
//!
//! How it is driven, by one loop:
//! 1. `append` takes records and gives tickets. Nothing is written yet.
//! 2. `flush` (at the end of each turn, and whenever `deadline` has come) closes batches and submits them.
//! 3. `complete` takes the completions of [`disk::Owner::Journal`]; then `durable` may have moved.
//!    Call `flush` again after it.
//!
//! Invariants: a batch is durable only when it and all before it are: `durable ≤ written ≤ appended`. Records
//! of one group stay in order; between groups the coordinator's go first. A file is used again only when a
//! later batch that says so is durable. A journal that failed once writes nothing any more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::consensus::{self, Marker, Record};
use crate::disk::{self, Completion, Disk, File, Outcome};
use crate::units::{GroupId, LatencyHistogram, Moment};

use circle::Circle;
use readback::Readings;
use write::Writer;

// Which file is needed, which may be used next.
mod circle;
// What is in the files, for people.
mod dump;
// The bytes, drawn.
mod format;
// Which journal a folder holds.
mod identity;
// From a folder to a journal.
mod open;
// Where each group's entries lie.
mod places;
// Entries, read back for others.
mod readback;
// Records to what each group remembers.
mod replay;
// Every header in the folder.
mod survey;
// The chain, followed to its end.
mod walk;
// Batches: gathered, closed, in flight, durable.
mod write;

pub use readback::{ReadBack, Unread, Wanted};

pub use dump::{DumpEnd, DumpedBatch, DumpedRecord, dump, groups};

/// How a journal is laid out and written.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder its files are in; made when missing.
    pub folder: PathBuf,
    /// Bytes of the very first file: small, so that an empty server starts at once.
    pub first_file_bytes: u64,
    /// Bytes of every other file. An entry may have about half of that ([`Options::entry_bytes_max`]).
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

/// See [`Options::entry_bytes_max`].
const ALONG_BYTES: u64 = 64 << 10;

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

    /// The most bytes a record may have: what a client may write at once is at most half a file, and what goes along with it
    /// (who asks, the place in its session) is less than 64 KiB.
    pub fn entry_bytes_max(&self) -> usize {
        let bytes = self.file_bytes / 2 + ALONG_BYTES;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// The receipt for a record. Tickets rise; those of one group become durable in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What an opened journal remembers.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The groups it has heard of.
    pub groups: BTreeMap<GroupId, consensus::Remembered>,
    /// There was none before.
    pub created: bool,
    /// This opening's number.
    pub incarnation: u64,
    /// The torn tail that was cut off, if there was one; nothing acknowledged was in it. To be logged.
    pub cut: Option<Cut>,
    /// The damage that [`Options::accept_loss`] cut off. To be logged loudly.
    pub loss: Option<Damage>,
    /// What went with it.
    pub lost: Lost,
}

/// What an accepted loss took, as far as the journal can tell: what the unreadable batches held is in none of these
/// numbers unless something behind them shows that it was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// The first and the last batch.
    pub batches: Option<(u64, u64)>,
    /// Of each group the first and the last entry.
    pub entries: BTreeMap<GroupId, (u64, u64)>,
}

/// `1 batch (7)`, `3 batches (7 to 9)`.
fn numbered(first: u64, last: u64, one: &str, many: &str) -> String {
    match last - first {
        0 => format!("1 {one} ({first})"),
        more => format!("{} {many} ({first} to {last})", more + 1),
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, last)) = self.batches else {
            return f.write_str("no batch");
        };
        f.write_str(&numbered(first, last, "batch", "batches"))?;
        for (group, &(first, last)) in &self.entries {
            let whose = match group.0.checked_sub(1) {
                None => "the coordinator".to_owned(),
                Some(id) => format!("broker {id}"),
            };
            let entries = numbered(first, last, "entry", "entries");
            write!(f, "; group {group} ({whose}): {entries}")?;
        }
        Ok(())
    }
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
    #[error("{}: {what}, which is not known", path.display())]
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

/// What a damaged journal still tells.
#[derive(Debug, Default)]
pub struct Salvage {
    /// What each group would remember if the loss were accepted.
    pub groups: BTreeMap<GroupId, consensus::Remembered>,
    /// What can be read behind the damage, in order; there may be gaps.
    pub behind: Vec<(GroupId, Record)>,
}

/// Reads what a damaged journal still tells, or one that is whole. Changes nothing.
///
/// # Errors
/// The files cannot be read, or a newer version wrote them.
pub fn salvage(disk: &mut dyn Disk, folder: &Path) -> Result<Salvage, OpenError> {
    open::salvage(disk, folder)
}

/// Whether a file of this name in a journal's folder is the journal's.
pub fn has_file(name: &str) -> bool {
    survey::is_slot(name) || name == identity::NAME
}

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
    /// The last try to make a further file failed ([`Journal::trouble`] says why); it is tried again.
    pub short: bool,
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
    /// Entries read back in this run.
    pub read_back: u64,
    /// Time from a batch's submission until it was durable together with all before it.
    pub latency: LatencyHistogram,
    /// Writes go past the page cache.
    pub direct: bool,
    /// How full the circle is.
    pub pressure: Pressure,
}

/// The journal of one server.
#[derive(Debug)]
pub struct Journal {
    options: Options,
    circle: Circle,
    writer: Writer,
    readings: Readings,
    /// The file being written.
    current: Current,
    /// When an idle journal is to be sealed.
    seal_at: Option<Moment>,
    /// The last flush had something to write, and no file for it.
    stalled: bool,
    failed: bool,
}

/// The file being written.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: u64,
    file: File,
    position: u64,
    length: u64,
    direct: bool,
}

impl Current {
    fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }
}

impl Journal {
    /// Opens the journal in `options.folder`, or makes one. `id` is 128 fresh random bits, used for a new one.
    ///
    /// When it returns, a batch of the new incarnation is durable: nothing that was cut can come back.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing that counts was changed on disk.
    pub fn open(
        disk: &mut dyn Disk,
        options: Options,
        id: [u8; 16],
    ) -> Result<(Journal, Recovered), OpenError> {
        open::open(disk, options, id)
    }

    /// Its id: another one has forgotten what this one promised.
    pub fn id(&self) -> u128 {
        u128::from_be_bytes(self.writer.id())
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// Takes a record; nothing is written before `flush`.
    ///
    /// # Panics
    /// The record contradicts those before it (see [`Record`]), or has more than
    /// [`Options::entry_bytes_max`].
    pub fn append(&mut self, group: GroupId, record: Record) -> Ticket {
        assert!(
            format::record_bytes(&record) <= self.options.entry_bytes_max(),
            "a record fits into half a journal file"
        );
        self.seal_at = None;
        self.writer.append(group, record)
    }

    /// Tells that `group` no longer needs its entries up to `marker.index`: `append` of a [`Record::Marker`].
    pub fn compact(&mut self, group: GroupId, marker: Marker) -> Ticket {
        self.append(group, Record::Marker(marker))
    }

    /// Reads entries back, from the next `flush` on; [`Journal::take_read`] has them.
    pub fn read(&mut self, wanted: Wanted) {
        self.readings.want(wanted);
    }

    /// What was read back for a group since this was last asked.
    pub fn take_read(&mut self, group: GroupId) -> Option<ReadBack> {
        self.readings.take(group)
    }

    /// Closes batches by the rule and submits them; prepares files; writes the seal when its time has come.
    pub fn flush(&mut self, now: Moment, disk: &mut dyn Disk) {
        if self.failed {
            return;
        }
        self.writer.tell(now);
        let mut stalled = false;
        while self.writer.wants_batch(&self.options) && !stalled {
            stalled = !self.close_records(disk);
        }
        if self.writer.wants_seal() && self.seal_at.is_some_and(|at| at <= now) {
            self.seal_at = None;
            stalled = !self.close_seal(disk);
        }
        self.stalled = stalled;
        self.readings.go_on(&self.circle, disk);
        // Last, because a file that is needed now is taken between two steps of filling it.
        self.circle.prepare(now, stalled, disk);
    }

    /// Closes one batch of records; false when there is no file to write it to.
    fn close_records(&mut self, disk: &mut dyn Disk) -> bool {
        if self.writer.first_bytes() > self.current.remaining() && !self.begin_file(disk) {
            return false;
        }
        let limit = self.options.batch_bytes_max as u64;
        let limit = limit.min(self.current.remaining());
        let oldest = self.circle.oldest(self.writer.durable_sequence());
        self.writer
            .close_records(&mut self.current, limit, oldest, disk);
        true
    }

    /// Closes a batch without records; false when there is no file for it. The start of a file is as good.
    fn close_seal(&mut self, disk: &mut dyn Disk) -> bool {
        if self.current.remaining() < format::BLOCK {
            return self.begin_file(disk);
        }
        let oldest = self.circle.oldest(self.writer.durable_sequence());
        self.writer.close_seal(&mut self.current, oldest, disk);
        true
    }

    /// Goes on in the next file; false when none is ready.
    fn begin_file(&mut self, disk: &mut dyn Disk) -> bool {
        let Some((slot, taken)) = self.circle.ready() else {
            return false;
        };
        let number = self.current.number + 1;
        let oldest = self.circle.oldest(self.writer.durable_sequence());
        self.current = Current {
            number,
            file: taken.file,
            position: 0,
            length: taken.length,
            direct: self.current.direct,
        };
        let sequence = self
            .writer
            .close_file_start(&mut self.current, oldest, disk);
        self.circle.begin(number, slot, sequence);
        true
    }

    /// Writes the seal at the next `flush` that finds nothing in flight, without waiting for its time: for an
    /// orderly stop.
    pub fn seal(&mut self) {
        self.seal_at = Some(Moment::START);
    }

    /// Takes a completion of [`disk::Owner::Journal`].
    ///
    /// # Errors
    /// A write failed. The process must end: nothing more will become durable.
    pub fn complete(&mut self, now: Moment, completion: Completion) -> Result<(), Failure> {
        let Completion { token, result } = completion;
        self.writer.tell(now);
        if Readings::owns(token) {
            let id = self.writer.id();
            self.readings.complete(token, result, id, &self.circle);
            return Ok(());
        }
        let taken = if Circle::owns(token) {
            self.circle.complete(now, token, result)
        } else {
            self.written(token.number, result)
        };
        if self.writer.wants_seal() {
            self.seal_at.get_or_insert(now + self.options.seal_after);
        }
        taken.map_err(|error| {
            self.failed = true;
            Failure(error)
        })
    }

    /// A batch's write has ended.
    fn written(
        &mut self,
        sequence: u64,
        result: Result<Outcome, disk::Error>,
    ) -> Result<(), disk::Error> {
        let Outcome::Written(buffer) = result? else {
            unreachable!("a write gives its buffer back")
        };
        if self.failed {
            return Ok(());
        }
        self.writer.written(sequence, buffer);
        while let Some(batch) = self.writer.take_durable() {
            for (group, change) in batch.changes {
                self.circle.apply(batch.file, batch.position, group, change);
            }
            self.circle.release(batch.oldest);
        }
        Ok(())
    }

    /// The last ticket of `group` that is durable together with all before it; `Ticket(0)` for none.
    pub fn durable(&self, group: GroupId) -> Ticket {
        self.writer.durable(group)
    }

    /// When `flush` wants to be called, at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        let seal_at = self.seal_at.filter(|_| self.writer.wants_seal());
        [seal_at, self.circle.deadline()]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| !self.failed)
    }

    /// Nothing waits, nothing is in flight, and the last records are covered by a seal.
    pub fn is_idle(&self) -> bool {
        self.writer.is_idle()
    }

    /// How full the circle is. Cheap; to be asked every turn.
    pub fn pressure(&self) -> Pressure {
        let files_used = self.circle.files_used();
        let room = self.circle.room(self.current.remaining());
        let margin = self.options.file_bytes / 8;
        Pressure {
            files_used,
            files_max: self.options.files_max,
            pinned_by: self.circle.pinned_by(),
            compact: files_used * 2 >= self.options.files_max,
            refuse: room < self.writer.waiting_bytes() as u64 + margin,
            short: self.circle.short().is_some(),
        }
    }

    /// Records wait for a file that could not be made: until it can, nothing becomes durable.
    pub fn is_stuck(&self) -> bool {
        self.stalled && self.circle.short().is_some()
    }

    /// When the oldest write was handed to the disk that is not finished.
    pub fn waits_since(&self) -> Option<Moment> {
        self.writer.waits_since()
    }

    /// Why the last try to make a further file failed, while none has succeeded since.
    pub fn trouble(&self) -> Option<&disk::Error> {
        self.circle.short()
    }

    /// Bytes written in this run.
    pub fn written_bytes(&self) -> u64 {
        self.writer.written_bytes()
    }

    /// What an operator may see.
    pub fn status(&self) -> Status {
        Status {
            incarnation: self.writer.incarnation(),
            sequence: self.writer.sequence(),
            durable: self.writer.durable_sequence(),
            in_flight: self.writer.in_flight(),
            waiting_bytes: self.writer.waiting_bytes(),
            written_bytes: self.writer.written_bytes(),
            records: self.writer.records(),
            read_back: self.readings.count(),
            latency: self.writer.latency(),
            direct: self.current.direct,
            pressure: self.pressure(),
        }
    }
}
