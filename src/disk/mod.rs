//! Files: one object that takes operations and gives their completions back later.
//!
//! [`Disk`] is the boundary: the cores and `node` see nothing else of the file system. Three things
//! implement it: [`Files`] over io_uring, [`Files`] over threads (where the kernel refuses the ring),
//! and the simulated disk of the tests, which forgets at a power cut what was not synced.
//!
//! What holds for all of them:
//! - A [`Lane`] says what waits for what. Nothing is promised between two lanes, except that an operation
//!   submitted after another one's completion was taken is carried out after it.
//! - An operation owns its buffers until its completion gives them back; a file that is closed while
//!   operations are under way stays open until they end.
//! - An outcome is final: short writes and interrupted calls were repeated before it is told.
//! - Memory is bounded by the caller, who knows what it has submitted.
//!
//! To add a kind of operation: [`Operation`], `Operation::name`, `operation::carry_out`, the simulated disk.

// Compressing files that are done with.
mod archive;
// Memory aligned for direct writes.
mod buffer;
// What can go wrong, by class.
mod error;
// The real disk: lanes of threads, and the ring for the journal.
mod files;
// Folders: create, rename, list, sync; and the lock that keeps a second server out.
pub mod folder;
// Carries one operation out with plain system calls.
mod operation;
// A file read piece by piece, at once.
mod pieces;
// io_uring; the only `unsafe` of the crate.
mod ring;
// Lanes of threads.
mod threads;

use std::path::PathBuf;

use bytes::Bytes;

use crate::units::{GroupId, WallTime};

pub use buffer::{ALIGNMENT, AlignedBuffer};
pub use error::{Class, Error};
pub use files::{Backend, Chosen, Files, NewError, Options};
pub(crate) use operation::replace;
pub use pieces::{read_if_there, read_pieces, read_whole, remove_if_there};

/// Whose an operation is: several parts of a server share one disk, and each takes its own completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The journal.
    Journal,
    /// The snapshots of a group's state.
    Snapshots(GroupId),
    /// The same, while they are sent to other servers.
    SnapshotsSent(GroupId),
    /// The same, while they come from other servers.
    SnapshotsReceived(GroupId),
    /// The message files of a broker's group.
    Segments(GroupId),
    /// The same, while they are checked.
    Verification(GroupId),
    /// Whoever looks after free space.
    Space,
}

/// The caller's name for an operation; comes back with its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Whose it is.
    pub owner: Owner,
    /// The number the owner gave it.
    pub number: u64,
}

impl Token {
    /// The token `number` of one owner.
    pub const fn new(owner: Owner, number: u64) -> Token {
        Token { owner, number }
    }
}

/// A handle, reserved with [`Disk::reserve`] and bound to a file by [`Operation::Open`].
///
/// Reserved before it is opened so that open and first write can be submitted one after the other in one
/// lane, without waiting. Never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File(pub u64);

/// What waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The journal's writes: unordered, several at a time. This is the ring's lane.
    Journal,
    /// The message files' writes and their creation, truncation and removal: strictly in order.
    Segments,
    /// Syncs, write-back, checkpoint and snapshot files, preallocation: strictly in order.
    Background,
    /// Reads that may have to wait for the medium: a small pool, unordered.
    Read,
    /// Work that may take minutes and that nothing waits for, not even the process's end.
    Archive,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read and write, made when missing. **A completed write is on stable storage** (`O_DIRECT | O_DSYNC`,
    /// or `O_DSYNC` alone where the file system refuses `O_DIRECT`: [`Outcome::Opened`] says which), and
    /// what is read comes from the medium. Only [`Operation::Write`] at multiples of [`ALIGNMENT`].
    Durable,
    /// Read and write through the page cache, made when missing.
    Buffered,
    /// The same, but emptied when it exists.
    Emptied,
    /// Read only, must exist.
    ReadOnly,
}

/// One thing to do. Paths are whole paths.
#[derive(Debug)]
pub enum Operation {
    /// Binds `file` to the file at `path`. A new entry in a folder lasts only once the folder was synced.
    Open {
        /// A reserved handle.
        file: File,
        /// Where it is.
        path: PathBuf,
        /// How it is used.
        mode: Mode,
    },
    /// Lets go of the handle. Does not sync.
    Close {
        /// The handle.
        file: File,
    },
    /// Asks for the length. Answered with [`Outcome::Length`].
    Length {
        /// The handle.
        file: File,
    },
    /// Reads up to `length` bytes at `position`; fewer only at the end of the file. On a [`Mode::Durable`]
    /// file both must be multiples of [`ALIGNMENT`]. Answered with [`Outcome::Read`].
    Read {
        /// The handle.
        file: File,
        /// Where to begin.
        position: u64,
        /// How much, at most; the caller has bounded it.
        length: usize,
    },
    /// Writes an aligned buffer, all of it. Answered with [`Outcome::Written`], which returns the buffer.
    Write {
        /// The handle.
        file: File,
        /// Where to begin, a multiple of [`ALIGNMENT`] on a [`Mode::Durable`] file.
        position: u64,
        /// What.
        buffer: AlignedBuffer,
    },
    /// Writes the pieces one behind the other, all of them, through the page cache.
    WriteGather {
        /// The handle.
        file: File,
        /// Where the first piece begins.
        position: u64,
        /// What.
        pieces: Vec<Bytes>,
    },
    /// Puts the file's bytes and length on stable storage (`fdatasync`).
    Sync {
        /// The handle.
        file: File,
    },
    /// Puts everything on stable storage that was written to the file system of `file` (`syncfs`).
    SyncFileSystem {
        /// Any file on that file system.
        file: File,
    },
    /// Asks the kernel to begin writing a range out (`sync_file_range`). A hint: makes nothing durable.
    StartWriteBack {
        /// The handle.
        file: File,
        /// Where the range begins.
        position: u64,
        /// How long it is.
        length: u64,
    },
    /// Cuts or extends the file to `length`.
    Truncate {
        /// The handle.
        file: File,
        /// The new length.
        length: u64,
    },
    /// Reserves room up to `length` (`fallocate`), so that later writes within it find space.
    Preallocate {
        /// The handle.
        file: File,
        /// The length that is to be had.
        length: u64,
    },
    /// Writes zeros over a range, so that later writes in it change no metadata. On a [`Mode::Durable`] file
    /// position and length must be multiples of [`ALIGNMENT`].
    Fill {
        /// The handle.
        file: File,
        /// Where the range begins.
        position: u64,
        /// How long it is.
        length: u64,
    },
    /// Renames, replacing `to`. Lasts once the folder was synced.
    Rename {
        /// The old path.
        from: PathBuf,
        /// The new path.
        to: PathBuf,
    },
    /// Removes a file. Lasts once the folder was synced.
    Remove {
        /// Where it is.
        path: PathBuf,
    },
    /// Makes a zip archive of a file and removes the file. After a crash there is one of them, or both; and
    /// perhaps the beginning of the archive under its name with `.new` appended.
    Compress {
        /// The file.
        from: PathBuf,
        /// The archive.
        to: PathBuf,
        /// The file's name in it.
        entry: String,
    },
    /// Removes an empty folder. Lasts once the folder above was synced.
    RemoveFolder {
        /// Where it is.
        path: PathBuf,
    },
    /// Names what is in a folder, sorted by name. Answered with [`Outcome::Listed`].
    List {
        /// The folder.
        path: PathBuf,
    },
    /// Makes a folder and those above it; it may exist. Lasts once the folder above was synced.
    MakeFolder {
        /// Where it is to be.
        path: PathBuf,
    },
    /// Makes a folder in one that has to be there; it may exist. Lasts once the folder above was synced.
    MakeFolderWithin {
        /// Where it is to be.
        path: PathBuf,
    },
    /// Makes the creations, renames and removals in a folder last.
    SyncFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Asks for the free space of the file system of `path`. Answered with [`Outcome::Space`].
    Space {
        /// Any path on it.
        path: PathBuf,
    },
    /// Writes a small file so that after a crash there is either the old one or the whole new one: writes
    /// `path` with `.new` appended, syncs it, renames it, syncs the folder.
    Replace {
        /// The file.
        path: PathBuf,
        /// Its new content.
        pieces: Vec<Bytes>,
    },
}

/// What an operation that succeeded brought.
#[derive(Debug)]
pub enum Outcome {
    /// It is done, and there is nothing more to say.
    Done,
    /// The file is open.
    Opened {
        /// Writes go past the page cache (always false except for [`Mode::Durable`]).
        direct: bool,
        /// Bytes in it now.
        length: u64,
        /// It did not exist before.
        created: bool,
    },
    /// The file's length.
    Length(u64),
    /// The bytes; fewer than asked only at the end of the file.
    Read(Bytes),
    /// Written; the buffer comes back to be used again.
    Written(AlignedBuffer),
    /// The folder's entries, sorted by name.
    Listed(Vec<Entry>),
    /// The file system's space.
    Space(Space),
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the folder. Names that are not UTF-8 are left out of a listing.
    pub name: String,
    /// It is a folder.
    pub folder: bool,
    /// Bytes in it; 0 for a folder.
    pub length: u64,
    /// When it was last written to.
    pub modified: WallTime,
}

/// A file system's space, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In all.
    pub total: u64,
    /// Free for this process.
    pub free: u64,
}

/// The end of an operation.
#[derive(Debug)]
pub struct Completion {
    /// The caller's name for it.
    pub token: Token,
    /// How it ended.
    pub result: Result<Outcome, Error>,
}

/// Takes operations, gives completions.
pub trait Disk {
    /// A handle that was never used.
    fn reserve(&mut self) -> File;

    /// Takes an operation. Never waits, never fails: what is wrong with it comes with its completion.
    fn submit(&mut self, lane: Lane, token: Token, operation: Operation);

    /// Appends what has completed since the last call. Never waits.
    fn complete(&mut self, completions: &mut Vec<Completion>);

    /// Waits until at least one operation has completed, then does what `complete` does. Returns at once
    /// when nothing is under way. For start and stop; the loop waits on the disk's descriptor instead.
    fn wait(&mut self, completions: &mut Vec<Completion>);

    /// Carries one operation out at once and waits for it, past all lanes. For start, stop and tools, where
    /// nothing else is under way on the same files.
    ///
    /// # Errors
    /// What the operation's completion would have said.
    fn run(&mut self, operation: Operation) -> Result<Outcome, Error>;
}

#[cfg(test)]
mod tests;
