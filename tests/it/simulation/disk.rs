//! A disk in memory that forgets at a power cut what was not made durable, and fails when told to.
//!
//! Each file has a *live* image (what reads see) and a *durable* one (what a power cut leaves). A buffered write
//! changes the live image; a sync copies it over. A write to a file opened [`Mode::Durable`] is durable when it
//! is carried out. At a power cut each 512-byte sector that was written and not synced, or was being written,
//! is kept or lost by itself, and names that were changed and whose folder was not synced are kept or lost from
//! some point on.
//!
//! Everything follows from the seed: the order in which submitted operations are carried out and completed
//! (within what the lanes promise), and what a power cut leaves. A failed sync loses what it was to save,
//! while reads go on showing it: that is what page caches do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use chrysalis::disk::{
    Class, Completion, Disk, Error, File, Lane, Mode, Operation, Outcome, Token,
};
use chrysalis::units::{Random, Seed};

use image::{Image, NameChange, Names};

/// Live and durable images.
mod image;
/// One operation, carried out.
mod operation;

/// What a power cut keeps or loses by itself.
const SECTOR: usize = 512;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails with an error of this class; a write may have been carried out in part.
    Fails(Class),
    /// The power goes while the operation is carried out; nothing works until [`SimulatedDisk::power_cut`].
    Power,
}

/// The disk.
pub(crate) struct SimulatedDisk {
    random: Random,
    files: BTreeMap<u64, Image>,
    names: Names,
    /// Changes of names since their folder was synced, in order.
    names_pending: Vec<NameChange>,
    names_durable: Names,
    handles: BTreeMap<File, Handle>,
    handle_last: u64,
    file_last: u64,
    queued: Vec<(Lane, Token, Operation)>,
    completed: VecDeque<Completion>,
    /// Operations carried out so far.
    operations: u64,
    /// What happens to which operation.
    faults: BTreeMap<u64, Fault>,
    /// One of them has made an operation fail.
    failed: bool,
    /// What happens to every operation with this name, until taken back.
    refused: BTreeMap<&'static str, Class>,
    /// Bytes there is space for.
    capacity: u64,
    /// Blocks of 4096 that cannot be read.
    unreadable: BTreeSet<(u64, u64)>,
    dead: bool,
}

#[derive(Clone, Debug)]
struct Handle {
    file: u64,
    path: PathBuf,
    mode: Mode,
}

impl SimulatedDisk {
    /// An empty disk.
    pub(crate) fn new(seed: Seed) -> SimulatedDisk {
        SimulatedDisk {
            random: Random::new(seed),
            files: BTreeMap::new(),
            names: Names::default(),
            names_pending: Vec::new(),
            names_durable: Names::default(),
            handles: BTreeMap::new(),
            handle_last: 0,
            file_last: 0,
            queued: Vec::new(),
            completed: VecDeque::new(),
            operations: 0,
            faults: BTreeMap::new(),
            failed: false,
            refused: BTreeMap::new(),
            capacity: u64::MAX,
            unreadable: BTreeSet::new(),
            dead: false,
        }
    }

    /// Cuts the power: what was under way is torn, what was not durable is kept or lost sector by sector, and
    /// the disk is as the next process finds it. Faults are taken back; the capacity stays.
    pub(crate) fn power_cut(&mut self) {
        for (_, _, operation) in std::mem::take(&mut self.queued) {
            self.tear(operation);
        }
        let kept = self.below(self.names_pending.len() + 1);
        for change in self.names_pending.drain(..).take(kept) {
            self.names_durable.apply(&change);
        }
        self.names = self.names_durable.clone();
        let named: BTreeSet<u64> = self.names.files.values().copied().collect();
        self.files.retain(|file, _| named.contains(file));
        for image in self.files.values_mut() {
            // Lost altogether, kept altogether, or each sector by itself.
            let manner = self.random.below(3);
            image.settle(|_| match manner {
                0 => false,
                1 => true,
                _ => self.random.below(2) == 0,
            });
            image.live.clone_from(&image.durable);
        }
        self.handles.clear();
        self.completed.clear();
        self.faults.clear();
        self.refused.clear();
        self.dead = false;
    }

    /// The process ends and the power stays: the page cache goes on, and what was under way is carried out or
    /// not.
    pub(crate) fn kill(&mut self) {
        for (_, _, operation) in std::mem::take(&mut self.queued) {
            if self.random.below(2) == 0 {
                let _ = self.carry_out(operation);
            }
        }
        self.handles.clear();
        self.completed.clear();
        self.faults.clear();
        self.refused.clear();
        self.dead = false;
    }

    /// The operation that is carried out as the `nth` from now on (from 0) meets this fault.
    pub(crate) fn fault(&mut self, nth: u64, fault: Fault) {
        self.faults.insert(self.operations + nth, fault);
    }

    /// Takes back the faults that have not happened.
    pub(crate) fn forget_faults(&mut self) {
        self.faults.clear();
        self.failed = false;
    }

    /// Whether an operation has failed since faults were forgotten.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Every operation of this name fails, until the power is cut or the process killed.
    pub(crate) fn refuse(&mut self, name: &'static str, class: Class) {
        self.refused.insert(name, class);
    }

    /// From now on there is space for so many bytes in all.
    pub(crate) fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> u64 {
        self.files
            .values()
            .map(|image| image.live.len() as u64)
            .sum()
    }

    /// Operations carried out so far.
    pub(crate) fn operations(&self) -> u64 {
        self.operations
    }

    /// Nothing is under way, and nobody has anything to hear.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.completed.is_empty()
    }

    /// The power is gone.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// A file's bytes.
    pub(crate) fn bytes(&self, path: &Path) -> &[u8] {
        &self.files[&self.names.files[path]].live
    }

    /// The files, by path.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.names.files.keys().cloned().collect()
    }

    /// Turns one bit of a file over, on the medium.
    pub(crate) fn flip(&mut self, path: &Path, position: usize, bit: u8) {
        let image = self
            .files
            .get_mut(&self.names.files[path])
            .expect("a named file exists");
        image.live[position] ^= 1 << bit;
        image.durable[position] ^= 1 << bit;
    }

    /// Replaces a file's bytes on the medium; makes it, or removes it, where need be.
    pub(crate) fn put(&mut self, path: &Path, bytes: Option<Vec<u8>>) {
        let change = match bytes {
            None => NameChange::Remove(path.to_path_buf()),
            Some(bytes) => {
                self.file_last += 1;
                let image = Image {
                    durable: bytes.clone(),
                    live: bytes,
                    dirty: BTreeSet::new(),
                };
                self.files.insert(self.file_last, image);
                NameChange::Add(path.to_path_buf(), self.file_last)
            }
        };
        self.names.apply(&change);
        self.names_durable.apply(&change);
    }

    /// The block of 4096 bytes at `position` cannot be read any more.
    pub(crate) fn lose_block(&mut self, path: &Path, position: u64) {
        self.unreadable
            .insert((self.names.files[path], position / 4096));
    }

    fn below(&mut self, end: usize) -> usize {
        let number = self.random.below(u64::try_from(end).expect("fits"));
        usize::try_from(number).expect("below a usize")
    }

    /// Carries a write out in part, as a power cut does; of other operations, all or nothing.
    fn tear(&mut self, operation: Operation) {
        let manner = self.below(4);
        let (file, position, bytes) = match operation {
            Operation::Write {
                file,
                position,
                buffer,
            } => (file, position, buffer.to_vec()),
            Operation::Fill {
                file,
                position,
                length,
            } => (
                file,
                position,
                vec![0; usize::try_from(length).expect("fits")],
            ),
            operation => {
                if manner < 2 {
                    let _ = self.apply(operation);
                }
                return;
            }
        };
        let Some(handle) = self.handles.get(&file).cloned() else {
            return;
        };
        let Some(image) = self.files.get_mut(&handle.file) else {
            return;
        };
        let start = usize::try_from(position).expect("fits");
        let prefix = self.random.below(bytes.len() as u64 / SECTOR as u64 + 1);
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            let kept = match manner {
                0 => false,
                1 => true,
                2 => (number as u64) < prefix,
                _ => self.random.below(2) == 0,
            };
            if kept {
                image.write(start + number * SECTOR, sector);
            }
        }
        if handle.mode == Mode::Durable {
            image.sync();
        }
    }

    /// Carries one operation out, or lets it fail.
    fn carry_out(&mut self, operation: Operation) -> Result<Outcome, Error> {
        let name = operation.name();
        let path = self.path_of(&operation);
        let failure = |class| Err(Error::new(name, path.clone(), errno(class)));
        if self.dead {
            return failure(Class::Other);
        }
        let number = self.operations;
        self.operations += 1;
        match self.faults.remove(&number) {
            Some(Fault::Power) => {
                self.tear(operation);
                self.dead = true;
                return failure(Class::Other);
            }
            Some(Fault::Fails(class)) => {
                self.failed = true;
                self.fail(operation);
                return failure(class);
            }
            None => {}
        }
        if let Some(class) = self.refused.get(name) {
            return failure(*class);
        }
        self.apply(operation).or_else(failure)
    }

    /// What a failing operation leaves.
    fn fail(&mut self, operation: Operation) {
        match operation {
            Operation::Sync { file } => {
                if let Some(handle) = self.handles.get(&file)
                    && let Some(image) = self.files.get_mut(&handle.file)
                {
                    // The page cache calls it clean, and the medium does not have it.
                    image.dirty.clear();
                }
            }
            Operation::SyncFileSystem { .. } => {
                for image in self.files.values_mut() {
                    image.dirty.clear();
                }
            }
            Operation::Write { .. } | Operation::Fill { .. } => self.tear(operation),
            _ => {}
        }
    }

    fn path_of(&self, operation: &Operation) -> PathBuf {
        match operation {
            Operation::Open { path, .. }
            | Operation::Remove { path }
            | Operation::RemoveFolder { path }
            | Operation::List { path }
            | Operation::MakeFolder { path }
            | Operation::MakeFolderWithin { path }
            | Operation::SyncFolder { path }
            | Operation::Space { path }
            | Operation::Replace { path, .. }
            | Operation::Compress { from: path, .. }
            | Operation::Rename { from: path, .. } => path.clone(),
            Operation::Close { file }
            | Operation::Length { file }
            | Operation::Read { file, .. }
            | Operation::Write { file, .. }
            | Operation::WriteGather { file, .. }
            | Operation::Sync { file }
            | Operation::SyncFileSystem { file }
            | Operation::StartWriteBack { file, .. }
            | Operation::Truncate { file, .. }
            | Operation::Preallocate { file, .. }
            | Operation::Fill { file, .. } => self
                .handles
                .get(file)
                .map_or(PathBuf::new(), |handle| handle.path.clone()),
        }
    }

    /// Carries one of the operations out that may come next.
    fn step(&mut self) {
        let mut first: BTreeMap<Lane, ()> = BTreeMap::new();
        let eligible: Vec<usize> = (0..self.queued.len())
            .filter(|&number| match self.queued[number].0 {
                Lane::Journal | Lane::Read => true,
                lane => first.insert(lane, ()).is_none(),
            })
            .collect();
        let chosen = eligible[self.below(eligible.len())];
        let (_, token, operation) = self.queued.remove(chosen);
        let result = self.carry_out(operation);
        self.completed.push_back(Completion { token, result });
    }
}

fn errno(class: Class) -> io::Error {
    io::Error::from_raw_os_error(match class {
        Class::NoSpace => 28,
        Class::Damaged => 5,
        Class::Permission => 13,
        Class::Missing => 2,
        Class::Exists => 17,
        Class::Unsupported => 22,
        Class::Exhausted => 24,
        Class::Other => 108,
    })
}

impl Disk for SimulatedDisk {
    fn reserve(&mut self) -> File {
        self.handle_last += 1;
        File(self.handle_last)
    }

    fn submit(&mut self, lane: Lane, token: Token, operation: Operation) {
        self.queued.push((lane, token, operation));
    }

    fn complete(&mut self, completions: &mut Vec<Completion>) {
        let steps = self.below(self.queued.len() + 1);
        for _ in 0..steps {
            self.step();
        }
        if !self.dead {
            let given = self.below(self.completed.len() + 1);
            completions.extend(self.completed.drain(..given));
        }
    }

    fn wait(&mut self, completions: &mut Vec<Completion>) {
        if self.completed.is_empty() && !self.queued.is_empty() {
            self.step();
        }
        self.complete(completions);
        if !self.dead {
            completions.extend(self.completed.pop_front());
        }
    }

    fn run(&mut self, operation: Operation) -> Result<Outcome, Error> {
        self.carry_out(operation)
    }
}
