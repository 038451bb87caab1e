//! The broker's file work, carried out on the disk: which handle serves which segment, and when a piece
//! of work is done.
//!
//! Writes, creations and removals go through the segments lane, which keeps their order; syncs go through
//! the background lane, after the writes they cover were reported as done. A full disk, a lack of descriptors and a
//! folder that is not there are answers (the broker waits and tries again); any other failure ends the process, because
//! after it nobody knows what the files hold.
//!
//! A folder that was there is never made again: a disk that is not mounted would look like one that is empty, and what
//! is written would be hidden when it is back.
//!
//! Invariant: at most so many segments are open for writing as there may be; one is closed only behind its
//! writes, in their lane. At most [`SYNCED_AT_ONCE`] more are open to be synced.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ahash::RandomState;
use bytes::Bytes;
use tracing::warn;

use crate::broker::{Shortage, Ticket};
use crate::disk::{Class, Completion, Disk, Error, File, Lane, Mode, Operation, Owner, Token};
use crate::node::hasher;
use crate::segments::checkpoint::Dirty;
use crate::segments::format;
use crate::segments::{FileId, FileOperation, PartitionId};
use crate::units::GroupId;

/// The number of the operations that compress archives: they belong to no work, and nothing waits for them.
const COMPRESSION: u64 = 0;
/// The number of the operations that begin to write out what was just written: nothing waits for them.
const WRITE_BACK: u64 = 1;
/// The number of the operations that close what is opened anew: nothing waits for them.
const CLOSE: u64 = 2;
/// The number of the operation that keeps where damage is passed over: nothing waits for it.
const SKIPS: u64 = 3;
/// The works' numbers, of which each has two for its operations, begin behind these.
const FIRST_WORK: u64 = 2;
/// So much of a file is handed to the disk at a time (measured: 1 MiB doubles the p99 of puts at 430 MB/s, 64 KiB costs throughput). Left to the checkpoint, it would all come at once, and the
/// journal's writes would wait behind it: tens of milliseconds on a disk that needs one for a batch.
const WRITE_BACK_STEP: u64 = 256 << 10;
/// Positions between which write-back begins: a page that is written to again would go to the disk twice.
const PAGE: u64 = 4096;
/// Files that are opened together to be synced.
const SYNCED_AT_ONCE: usize = 32;
/// From this many dirty files on, the whole file system is synced at once instead.
const SYNC_ALL_FROM: usize = 32;

/// What became of a piece of work.
#[derive(Debug)]
pub(super) enum Finished {
    /// The file operations are done.
    Written(Ticket),
    /// They lacked something.
    Refused(Ticket, Shortage),
    /// What was to be synced is on stable storage.
    Synced(Ticket),
    /// The checkpoint file is replaced.
    CheckpointSaved(Ticket),
    /// A part of a checkpoint lacked something; the old one stands. To be done again.
    CheckpointRefused(Again, Shortage),
}

/// A part of a checkpoint that is to be done again.
#[derive(Clone, Debug)]
pub(super) enum Again {
    /// Syncing what was written.
    Sync(Ticket, Vec<Dirty>, Vec<PartitionId>),
    /// Replacing the checkpoint file.
    Save(Ticket, Bytes),
}

/// What kind of work a ticket stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Files,
    Sync,
    Checkpoint,
}

/// A ticket's work under way.
#[derive(Debug)]
struct Work {
    kind: Kind,
    ticket: Ticket,
    /// Operations that have not completed.
    left: usize,
    /// One of them lacked something; what depended on it may have failed in its wake.
    refused: Option<Shortage>,
    failed: Option<Error>,
    /// Archives that are to be compressed once they have their names.
    compress: Vec<PathBuf>,
    /// What may be written out once it is written: file, from, to.
    write_back: Vec<(File, u64, u64)>,
    /// What is to be done again if it is refused.
    again: Option<Again>,
    /// Folders it makes.
    makes: Vec<Rc<PathBuf>>,
}

/// A segment that is open for writing.
#[derive(Clone, Copy, Debug)]
struct Open {
    handle: File,
    used: u64,
    /// Up to here the disk was asked to write it out, or it is not known that there was anything to.
    written_back: Option<u64>,
}

/// The broker's files on one disk.
pub(crate) struct SegmentFiles {
    /// Whose completions are ours.
    owner: Owner,
    /// The folders of topics, by the broker's number for them.
    data_folders: Vec<PathBuf>,
    checkpoint_path: PathBuf,
    folders: HashMap<PartitionId, Rc<PathBuf>, RandomState>,
    paths: HashMap<FileId, Rc<PathBuf>, RandomState>,
    /// Folders of partitions that were there.
    made: HashSet<PathBuf, RandomState>,
    open: HashMap<FileId, Open, RandomState>,
    open_max: usize,
    /// What an opening lacked whose handle is bound to nothing, while works are under way that may use it.
    unbound: Option<Shortage>,
    clock: u64,
    works: BTreeMap<u64, Work>,
    next_work: u64,
    /// One `syncfs` covers all the folders and reports its errors.
    sync_all: bool,
    /// Why something was refused for the last time, in words.
    refusal: String,
}

impl SegmentFiles {
    /// Files below these folders, of which `open_max` may be open for writing; the checkpoint is kept at
    /// `checkpoint_path`.
    pub(crate) fn new(
        group: GroupId,
        data_folders: Vec<PathBuf>,
        checkpoint_path: PathBuf,
        open_max: usize,
        sync_all: bool,
    ) -> SegmentFiles {
        SegmentFiles {
            owner: Owner::Segments(group),
            data_folders,
            checkpoint_path,
            folders: HashMap::with_hasher(hasher()),
            paths: HashMap::with_hasher(hasher()),
            made: HashSet::with_hasher(hasher()),
            open: HashMap::with_hasher(hasher()),
            open_max: open_max.max(1),
            unbound: None,
            clock: 0,
            works: BTreeMap::new(),
            next_work: FIRST_WORK,
            sync_all,
            refusal: String::new(),
        }
    }

    /// Why something was refused for the last time, in words.
    pub(super) fn refusal(&self) -> &str {
        &self.refusal
    }

    /// The folders of topics.
    pub(in crate::node) fn data_folders(&self) -> &[PathBuf] {
        &self.data_folders
    }

    /// Tells that a partition's folder is there.
    pub(crate) fn found(&mut self, data_folder: u32, name: &str) {
        let folder = self.base(data_folder).join(name);
        self.made.insert(folder);
    }

    fn base(&self, data_folder: u32) -> &Path {
        usize::try_from(data_folder)
            .ok()
            .and_then(|index| self.data_folders.get(index))
            .expect("the broker numbers the folders it was given")
    }

    /// Tells where a partition's files are.
    pub(super) fn learn(&mut self, partition: PartitionId, data_folder: u32, name: &str) {
        let folder = self.base(data_folder).join(name);
        self.folders.insert(partition, Rc::new(folder));
    }

    /// Whether the partition's folder is known.
    pub(super) fn knows(&self, partition: PartitionId) -> bool {
        self.folders.contains_key(&partition)
    }

    /// The path of a segment.
    pub(super) fn path(&mut self, file: FileId) -> Rc<PathBuf> {
        let folder = &self.folders[&file.partition];
        Rc::clone(
            self.paths
                .entry(file)
                .or_insert_with(|| Rc::new(folder.join(format::file_name(file.start)))),
        )
    }

    /// Carries out file operations in order, behind all earlier ones.
    pub(super) fn carry_out(
        &mut self,
        ticket: Ticket,
        operations: Vec<FileOperation>,
        disk: &mut dyn Disk,
    ) -> Option<Finished> {
        let work = self.begin(Kind::Files, ticket, None);
        for operation in operations {
            self.submit_file_operation(work, operation, disk);
        }
        self.end_if_empty(work)
    }

    /// Does a part of a checkpoint again.
    pub(super) fn again(&mut self, again: Again, disk: &mut dyn Disk) -> Option<Finished> {
        match again {
            Again::Sync(ticket, files, folders) => self.sync(ticket, &files, &folders, disk),
            Again::Save(ticket, content) => {
                self.save_checkpoint(ticket, content, disk);
                None
            }
        }
    }

    /// Brings what was written to stable storage.
    pub(super) fn sync(
        &mut self,
        ticket: Ticket,
        files: &[Dirty],
        folders: &[PartitionId],
        disk: &mut dyn Disk,
    ) -> Option<Finished> {
        let again = Again::Sync(ticket, files.to_vec(), folders.to_vec());
        let work = self.begin(Kind::Sync, ticket, Some(again));
        if self.sync_all && files.len() >= SYNC_ALL_FROM {
            self.sync_file_system(work, files, disk);
        } else {
            for some in files.chunks(SYNCED_AT_ONCE) {
                self.sync_each(work, some, disk);
            }
        }
        let mut above: Vec<PathBuf> = Vec::new();
        for partition in folders {
            let folder = self.folders[partition].as_ref().clone();
            if let Some(parent) = folder
                .parent()
                .filter(|parent| !above.iter().any(|a| a == parent))
            {
                above.push(parent.to_path_buf());
            }
            self.submit(
                work,
                Lane::Background,
                Operation::SyncFolder { path: folder },
                disk,
            );
        }
        for path in above {
            self.submit(work, Lane::Background, Operation::SyncFolder { path }, disk);
        }
        self.end_if_empty(work)
    }

    /// Has all of them written out by one call. The first stays open until then: it is through its descriptor that
    /// the kernel reports what failed since it was opened.
    fn sync_file_system(&mut self, work: u64, files: &[Dirty], disk: &mut dyn Disk) {
        let mut first = None;
        for dirty in files {
            let handle = self.open_to_sync(work, dirty, disk);
            match first {
                None => first = Some(handle),
                Some(_) => self.let_go(work, handle, disk),
            }
        }
        if let Some(file) = first {
            self.submit(
                work,
                Lane::Background,
                Operation::SyncFileSystem { file },
                disk,
            );
            self.let_go(work, file, disk);
        }
    }

    /// Has each of them written out, all at the same time.
    fn sync_each(&mut self, work: u64, files: &[Dirty], disk: &mut dyn Disk) {
        let mut handles = Vec::new();
        for dirty in files {
            handles.push(self.open_to_sync(work, dirty, disk));
        }
        for &file in &handles {
            self.submit(work, Lane::Background, Operation::Sync { file }, disk);
        }
        for handle in handles {
            self.let_go(work, handle, disk);
        }
    }

    /// Opens a file and has the kernel begin to write it out.
    fn open_to_sync(&mut self, work: u64, dirty: &Dirty, disk: &mut dyn Disk) -> File {
        let path = self.path(dirty.file);
        let handle = disk.reserve();
        let open = Operation::Open {
            file: handle,
            path: path.as_ref().clone(),
            mode: Mode::ReadOnly,
        };
        self.submit(work, Lane::Background, open, disk);
        let start = Operation::StartWriteBack {
            file: handle,
            position: dirty.from,
            length: dirty.to.saturating_sub(dirty.from),
        };
        self.submit(work, Lane::Background, start, disk);
        handle
    }

    fn let_go(&mut self, work: u64, file: File, disk: &mut dyn Disk) {
        self.submit(work, Lane::Background, Operation::Close { file }, disk);
    }

    /// Replaces the checkpoint file.
    pub(super) fn save_checkpoint(&mut self, ticket: Ticket, content: Bytes, disk: &mut dyn Disk) {
        let again = Again::Save(ticket, content.clone());
        let work = self.begin(Kind::Checkpoint, ticket, Some(again));
        let path = self.checkpoint_path.clone();
        let replace = Operation::Replace {
            path,
            pieces: vec![content],
        };
        self.submit(work, Lane::Background, replace, disk);
    }

    /// Replaces the file that says where damage is passed over.
    pub(super) fn save_skips(&self, content: Bytes, disk: &mut dyn Disk) {
        let replace = Operation::Replace {
            path: skips_path(&self.checkpoint_path),
            pieces: vec![content],
        };
        disk.submit(Lane::Background, Token::new(self.owner, SKIPS), replace);
    }

    /// Takes a completion of ours.
    ///
    /// # Errors
    /// A failure after which the files are not to be believed: the process has to end.
    pub(super) fn complete(
        &mut self,
        completion: Completion,
        disk: &mut dyn Disk,
    ) -> Result<Option<Finished>, Error> {
        match completion.token.number {
            COMPRESSION => {
                compressed(completion);
                return Ok(None);
            }
            CLOSE => return Ok(None),
            SKIPS => {
                if let Err(error) = completion.result {
                    tracing::error!(
                        %error,
                        "where damage is passed over is not kept: it holds until the server restarts"
                    );
                }
                return Ok(None);
            }
            // A hint: where the file is closed by now, the checkpoint syncs it.
            WRITE_BACK => {
                return match completion.result {
                    Err(error) if !matches!(error.class, Class::Missing | Class::Unsupported) => {
                        Err(error)
                    }
                    _ => Ok(None),
                };
            }
            _ => {}
        }
        let number = completion.token.number / 2;
        let may_be_missing = completion.token.number % 2 == 1;
        let lost = completion.result.as_ref().err().and_then(|error| {
            let ours = |base: &PathBuf| error.path.starts_with(base);
            let is_path = error.class == Class::Missing && self.data_folders.iter().any(ours);
            is_path.then(|| error.path.clone())
        });
        let syncs = self
            .works
            .get(&number)
            .is_some_and(|work| work.kind == Kind::Sync);
        if let Some(above) = lost
            .as_ref()
            .filter(|_| may_be_missing && syncs)
            .and_then(|path| path.parent())
        {
            // Whether only the file is gone, or the folder that it was in. What is to be removed is gone either way.
            let path = above.to_path_buf();
            self.submit(number, Lane::Background, Operation::Space { path }, disk);
        }
        let work = self
            .works
            .get_mut(&number)
            .expect("every operation belongs to a work");
        work.left -= 1;
        if let Err(error) = completion.result {
            let vanished = (lost.is_some() && !may_be_missing).then_some(Shortage::Folder);
            match (work.kind, vanished.or(shortage(work.kind, &error))) {
                (kind, Some(shortage)) => {
                    work.refused = Some(shortage);
                    self.refusal = error.to_string();
                    if kind == Kind::Files {
                        self.unbound = Some(shortage);
                    }
                }
                // What retention took in the meantime needs no sync, and what is gone no removal.
                _ if may_be_missing && error.class == Class::Missing => {}
                // Its handle was to be opened by this work or one before it.
                (Kind::Files, _) if error.class == Class::Missing && self.unbound.is_some() => {
                    work.refused = self.unbound;
                }
                _ => work.failed = work.failed.take().or(Some(error)),
            }
        }
        if work.left == 0 && work.refused.is_none() && work.failed.is_none() {
            for path in std::mem::take(&mut work.compress) {
                compress(self.owner, path, disk);
            }
            for (file, from, to) in std::mem::take(&mut work.write_back) {
                start_write_back(self.owner, file, from, to, disk);
            }
            let makes = std::mem::take(&mut work.makes);
            self.made
                .extend(makes.iter().map(|folder| folder.as_ref().clone()));
        }
        let finished = self.end_if_done(number)?;
        let folder_gone = matches!(
            finished,
            Some(Finished::CheckpointRefused(_, Shortage::Folder))
        );
        if folder_gone || matches!(finished, Some(Finished::Refused(..))) {
            // A handle whose opening was refused is bound to nothing; and one into a folder that is gone takes what nobody
            // finds again: the next put is to find that out.
            self.close_all(disk);
        }
        Ok(finished)
    }

    fn begin(&mut self, kind: Kind, ticket: Ticket, again: Option<Again>) -> u64 {
        let number = self.next_work;
        self.next_work += 1;
        let work = Work {
            kind,
            ticket,
            left: 0,
            refused: None,
            failed: None,
            compress: Vec::new(),
            write_back: Vec::new(),
            again,
            makes: Vec::new(),
        };
        self.works.insert(number, work);
        number
    }

    fn submit(&mut self, work: u64, lane: Lane, operation: Operation, disk: &mut dyn Disk) {
        let begun = self
            .works
            .get_mut(&work)
            .expect("a work that was begun is there");
        begun.left += 1;
        let may_be_missing = match operation {
            Operation::Remove { .. } | Operation::Rename { .. } => true,
            Operation::SyncFolder { .. } | Operation::Space { .. } => false,
            _ => begun.kind == Kind::Sync,
        };
        let number = work * 2 + u64::from(may_be_missing);
        disk.submit(lane, Token::new(self.owner, number), operation);
    }

    fn submit_file_operation(&mut self, work: u64, operation: FileOperation, disk: &mut dyn Disk) {
        match operation {
            FileOperation::Create { file } => {
                let path = self.path(file);
                let folder = Rc::clone(&self.folders[&file.partition]);
                if !self.made.contains(folder.as_ref()) {
                    let path = folder.as_ref().clone();
                    let begun = self.works.get_mut(&work);
                    begun
                        .expect("a work that was begun is there")
                        .makes
                        .push(folder);
                    let make = Operation::MakeFolderWithin { path };
                    self.submit(work, Lane::Segments, make, disk);
                }
                self.open_for_writing(work, file, path.as_ref().clone(), disk);
            }
            FileOperation::Write {
                file,
                position,
                slices,
            } => {
                let handle = self.handle(work, file, disk);
                let bytes: usize = slices.iter().map(Bytes::len).sum();
                self.plan_write_back(work, file, position, bytes as u64);
                let write = Operation::WriteGather {
                    file: handle,
                    position,
                    pieces: slices,
                };
                self.submit(work, Lane::Segments, write, disk);
            }
            FileOperation::Truncate { file, length } => {
                let handle = self.handle(work, file, disk);
                let truncate = Operation::Truncate {
                    file: handle,
                    length,
                };
                self.submit(work, Lane::Segments, truncate, disk);
            }
            FileOperation::Remove { file } => {
                self.close(work, file, disk);
                let path = self.path(file).as_ref().clone();
                self.submit(work, Lane::Segments, Operation::Remove { path }, disk);
                self.paths.remove(&file);
            }
            FileOperation::Archive { file, compress } => {
                self.close(work, file, disk);
                let from = self.path(file).as_ref().clone();
                let to = from.with_extension("meta.arc");
                if compress {
                    let begun = self.works.get_mut(&work);
                    let begun = begun.expect("a work that was begun is there");
                    begun.compress.push(to.clone());
                }
                self.submit(work, Lane::Segments, Operation::Rename { from, to }, disk);
                self.paths.remove(&file);
            }
        }
    }

    /// After a write of so many bytes: whether the disk shall begin to write the file out.
    fn plan_write_back(&mut self, work: u64, file: FileId, position: u64, bytes: u64) {
        let (Some(open), Some(work)) = (self.open.get_mut(&file), self.works.get_mut(&work)) else {
            return;
        };
        let page = |position: u64| position - position % PAGE;
        // Behind a truncation it begins again further in front.
        let begun = open.written_back.unwrap_or(u64::MAX);
        let from = begun.min(page(position));
        let to = page(position + bytes);
        let enough = to.saturating_sub(from) >= WRITE_BACK_STEP;
        open.written_back = Some(if enough { to } else { from });
        if enough {
            work.write_back.push((open.handle, from, to));
        }
    }

    /// The handle to write a segment with, opened if it is not.
    fn handle(&mut self, work: u64, file: FileId, disk: &mut dyn Disk) -> File {
        self.clock += 1;
        if let Some(open) = self.open.get_mut(&file) {
            open.used = self.clock;
            return open.handle;
        }
        let path = self.path(file).as_ref().clone();
        self.open_for_writing(work, file, path, disk)
    }

    fn open_for_writing(
        &mut self,
        work: u64,
        file: FileId,
        path: PathBuf,
        disk: &mut dyn Disk,
    ) -> File {
        if let Some(open) = self.open.get(&file) {
            return open.handle;
        }
        self.close_idle(work, disk);
        let handle = disk.reserve();
        self.clock += 1;
        self.open.insert(
            file,
            Open {
                handle,
                used: self.clock,
                written_back: None,
            },
        );
        let open = Operation::Open {
            file: handle,
            path,
            mode: Mode::Buffered,
        };
        self.submit(work, Lane::Segments, open, disk);
        handle
    }

    fn close(&mut self, work: u64, file: FileId, disk: &mut dyn Disk) {
        if let Some(open) = self.open.remove(&file) {
            self.submit(
                work,
                Lane::Segments,
                Operation::Close { file: open.handle },
                disk,
            );
        }
    }

    /// Closes the segments that were not written for the longest time, if no more may be open.
    fn close_idle(&mut self, work: u64, disk: &mut dyn Disk) {
        if self.open.len() < self.open_max {
            return;
        }
        let mut by_use: Vec<(u64, FileId)> = self
            .open
            .iter()
            .map(|(file, open)| (open.used, *file))
            .collect();
        by_use.sort_unstable();
        // A quarter at once, so that the sorting is paid for rarely.
        for (_, file) in by_use.into_iter().take(self.open_max.div_ceil(4)) {
            self.close(work, file, disk);
        }
    }

    /// Closes what is open for writing, behind all that was handed over; what is written next is opened anew.
    pub(super) fn close_all(&mut self, disk: &mut dyn Disk) {
        let mut handles: Vec<File> = self.open.drain().map(|(_, open)| open.handle).collect();
        handles.sort_unstable();
        for file in handles {
            let close = Operation::Close { file };
            disk.submit(Lane::Segments, Token::new(self.owner, CLOSE), close);
        }
    }

    fn end_if_empty(&mut self, work: u64) -> Option<Finished> {
        if self.works.get(&work).is_some_and(|work| work.left == 0) {
            return self
                .end_if_done(work)
                .expect("a work without operations cannot have failed");
        }
        None
    }

    fn end_if_done(&mut self, number: u64) -> Result<Option<Finished>, Error> {
        if self.works.get(&number).is_none_or(|work| work.left > 0) {
            return Ok(None);
        }
        let Some(work) = self.works.remove(&number) else {
            return Ok(None);
        };
        if self.works.values().all(|work| work.kind != Kind::Files) {
            self.unbound = None;
        }
        if let Some(error) = work.failed {
            return Err(error);
        }
        Ok(Some(match (work.refused, work.again, work.kind) {
            (Some(shortage), Some(again), _) => Finished::CheckpointRefused(again, shortage),
            (Some(shortage), None, _) => Finished::Refused(work.ticket, shortage),
            (None, _, Kind::Files) => Finished::Written(work.ticket),
            (None, _, Kind::Sync) => Finished::Synced(work.ticket),
            (None, _, Kind::Checkpoint) => Finished::CheckpointSaved(work.ticket),
        }))
    }
}

/// What an operation lacked that may come back. Of a sync only the opening can be done again: after one that
/// failed nobody knows what is on disk.
fn shortage(kind: Kind, error: &Error) -> Option<Shortage> {
    match error.class {
        Class::NoSpace if kind != Kind::Sync => Some(Shortage::Space),
        Class::Exhausted if kind != Kind::Sync || error.found_no_descriptor() => {
            Some(Shortage::Descriptors)
        }
        _ => None,
    }
}

/// Where it is kept where damage is passed over: beside the checkpoint.
pub(crate) fn skips_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_file_name("skip-damage")
}

/// Has the disk begin to write a part of a file out.
fn start_write_back(owner: Owner, file: File, from: u64, to: u64, disk: &mut dyn Disk) {
    let operation = Operation::StartWriteBack {
        file,
        position: from,
        length: to - from,
    };
    disk.submit(Lane::Background, Token::new(owner, WRITE_BACK), operation);
}

/// Makes `<name>.meta.zip` of `<name>.meta.arc`, some time.
fn compress(owner: Owner, from: PathBuf, disk: &mut dyn Disk) {
    let entry = from.with_extension("");
    let entry = entry.file_name().unwrap_or_default().to_string_lossy();
    let operation = Operation::Compress {
        to: from.with_extension("zip"),
        entry: entry.into_owned(),
        from,
    };
    disk.submit(Lane::Archive, Token::new(owner, COMPRESSION), operation);
}

/// An archive that cannot be compressed stays as it is: nothing of it is lost.
fn compressed(completion: Completion) {
    match completion.result {
        Ok(_) => {}
        // Done before a crash, after which the entry that asked for it was applied again.
        Err(error) if error.class == Class::Missing => {}
        Err(error) => warn!(%error, "an archive is not compressed"),
    }
}
