//! The coordinator's snapshots on the disk: taken in slices while the server works, put in place whole, and
//! read back at the start.
//!
//! A snapshot is written as `<index>.snapshot.new` and synced; only when all of that has succeeded is it renamed
//! and its folder synced; and only then is the journal told that it may forget the entries up to `<index>`. One
//! that cannot be written (no space, mostly) is given up and tried again later: the journal keeps its entries
//! meanwhile.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use super::receiving::mark;
use crate::consensus::{Marker, Membership, Unreadable};
use crate::coordinator::{Coordinator, Options, Place, Restore, Restored, SnapshotError};
use crate::disk::{self, Class, Completion, Disk, File, Lane, Mode, Operation, Owner, Token};
use crate::report::throttle::Complaint;
use crate::units::feature::Levels;
use crate::units::{GroupId, Moment, Seed};

/// Whose completions are the snapshots'.
const OWNER: Owner = Owner::Snapshots(GroupId::COORDINATOR);

/// What one turn adds to a snapshot; well below a millisecond of work.
const SLICE_BYTES: usize = 128 * 1024;
/// Bytes that may wait for the disk.
const UNWRITTEN_MAX: u64 = 1 << 20;
/// How long a failed attempt is left alone.
const RETRY: Duration = Duration::from_secs(10);
const SUFFIX: &str = ".snapshot";
/// What follows that in the name of one that was put aside.
const FORGOTTEN: &str = ".forgotten";

/// The snapshots of one coordinator.
pub(crate) struct Snapshots {
    folder: PathBuf,
    /// When the next one is taken.
    every: Every,
    /// Bytes of commands applied since the newest one: a start reads them, and holds them until they are applied.
    bytes_behind: u64,
    /// The newest that is in place.
    newest: u64,
    /// At the start that came from another server, and the journal may not know of it yet.
    received: bool,
    under_way: Option<UnderWay>,
    not_before: Moment,
    attempts: u64,
    /// Snapshots put in place in this run.
    taken: u64,
    wants_space: bool,
    /// Snapshots that a newer one has replaced, and that are still sent to other servers.
    stale: Vec<PathBuf>,
    /// Why the last one could not be written.
    trouble: Complaint,
}

/// How far the journal goes on behind a snapshot until the next one is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every {
    /// So many entries.
    pub(crate) entries: u64,
    /// So many bytes of commands; or as many as the tree has, if that is more, so that a large tree is not written
    /// far more often than it changes.
    pub(crate) bytes: u64,
}

/// A snapshot that is being written.
struct UnderWay {
    index: u64,
    /// What [`Snapshots::bytes_behind`] was when it began.
    bytes_covered: u64,
    path: PathBuf,
    file: File,
    /// Bytes handed to the disk, and those that it has written.
    position: u64,
    written: u64,
    /// Operations that have not completed.
    left: usize,
    sliced: bool,
    /// Its bytes are durable and it was given its name.
    named: bool,
    failed: Option<disk::Error>,
    /// The tokens' number, so that a former attempt's completions are told apart.
    attempt: u64,
}

impl Snapshots {
    pub(crate) fn new(folder: PathBuf, every: Every, newest: u64, received: bool) -> Snapshots {
        Snapshots {
            folder,
            every,
            bytes_behind: 0,
            newest,
            received,
            under_way: None,
            not_before: Moment::START,
            attempts: 0,
            taken: 0,
            wants_space: false,
            stale: Vec::new(),
            trouble: Complaint::default(),
        }
    }

    /// A command of so many bytes was applied.
    pub(in crate::node) fn applied(&mut self, bytes: usize) {
        self.bytes_behind += bytes as u64;
    }

    /// Begins a snapshot if enough has been applied since the last, or the journal needs one that holds
    /// everything up to `needed_to`. `place` says where an entry stands in the log.
    pub(in crate::node) fn consider(
        &mut self,
        now: Moment,
        applied: u64,
        needed_to: u64,
        place: impl FnOnce(u64) -> Option<Marker>,
        core: &mut Coordinator,
        disk: &mut dyn Disk,
    ) {
        if self.under_way.is_some() || now < self.not_before {
            return;
        }
        let enough = applied >= self.newest + self.every.entries.max(1)
            || needed_to > self.newest && core.status().applied > self.newest
            || self.bytes_behind >= self.every.bytes
                && self.bytes_behind >= core.status().data_bytes;
        if !enough {
            return;
        }
        // Whoever accepted the loss of a snapshot has applied nothing that the log still knows, until the next entry.
        let Some(marker) = place(core.status().applied) else {
            return;
        };
        let index = core.snapshot_begin(Place {
            term: marker.term,
            members: marker.state,
        });
        assert_eq!(index, marker.index, "a snapshot is taken between entries");
        let path = self.path(index);
        let file = disk.reserve();
        self.attempts += 1;
        self.under_way = Some(UnderWay {
            index,
            bytes_covered: self.bytes_behind,
            path: path.clone(),
            file,
            position: 0,
            written: 0,
            left: 0,
            sliced: false,
            named: false,
            failed: None,
            attempt: self.attempts,
        });
        let open = Operation::Open {
            file,
            path: unfinished(&path),
            mode: Mode::Emptied,
        };
        self.submit(open, disk);
    }

    /// Adds a slice, if there is a snapshot under way and the disk keeps up.
    pub(in crate::node) fn step(&mut self, core: &mut Coordinator, disk: &mut dyn Disk) {
        let Some(work) = &mut self.under_way else {
            return;
        };
        if work.sliced || work.failed.is_some() || work.position - work.written > UNWRITTEN_MAX {
            return;
        }
        let Some(slice) = core.snapshot_step(SLICE_BYTES) else {
            return;
        };
        let (file, position) = (work.file, work.position);
        work.position += slice.bytes.len() as u64;
        work.sliced = slice.is_last;
        if !slice.bytes.is_empty() {
            self.submit(
                Operation::WriteGather {
                    file,
                    position,
                    pieces: vec![slice.bytes],
                },
                disk,
            );
        }
        if slice.is_last {
            self.submit(Operation::Sync { file }, disk);
            self.submit(Operation::Close { file }, disk);
        }
    }

    /// Takes a completion of ours. Whether a snapshot is in place with it, so that the journal may forget what it holds.
    pub(in crate::node) fn complete(
        &mut self,
        now: Moment,
        completion: Completion,
        core: &mut Coordinator,
        disk: &mut dyn Disk,
    ) -> bool {
        let Some(work) = &mut self.under_way else {
            return false;
        };
        if completion.token.number != work.attempt {
            // The removal of what an earlier attempt left.
            return false;
        }
        work.left -= 1;
        if let Err(error) = completion.result {
            work.failed.get_or_insert(error);
        }
        if work.left == 0 {
            // The lane is in order: with nothing left, all that was handed over is written.
            work.written = work.position;
        }
        if work.left > 0 || !(work.sliced || work.failed.is_some()) {
            return false;
        }
        if !work.named && work.failed.is_none() {
            work.named = true;
            let to = work.path.clone();
            let from = unfinished(&to);
            self.submit(Operation::Rename { from, to }, disk);
            let path = self.folder.clone();
            self.submit(Operation::SyncFolder { path }, disk);
            return false;
        }
        let Some(work) = self.under_way.take() else {
            return false;
        };
        if let Some(error) = work.failed {
            core.snapshot_abandon();
            self.wants_space |= error.class == Class::NoSpace;
            let why = error.to_string();
            if self.trouble.is_new(&why) {
                warn!(
                    why,
                    "no snapshot of the coordinator could be written; the journal keeps its entries, and it is tried \
                     again every ten seconds"
                );
            }
            self.not_before = now + RETRY;
            if !work.sliced {
                // What ends with the last slice did not come.
                let close = Operation::Close { file: work.file };
                disk.submit(Lane::Background, Token::new(OWNER, 0), close);
            }
            self.remove(unfinished(&work.path), disk);
            return false;
        }
        info!(
            index = work.index,
            bytes = work.position,
            "snapshot of the coordinator"
        );
        self.trouble.ends();
        self.replace_newest(work.index);
        self.bytes_behind -= work.bytes_covered;
        self.taken += 1;
        true
    }

    fn replace_newest(&mut self, index: u64) {
        if self.newest > 0 && self.newest != index {
            self.stale.push(self.path(self.newest));
        }
        self.newest = index;
    }

    /// Where they all are.
    pub(in crate::node) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the snapshot of an entry lies.
    pub(in crate::node) fn path(&self, index: u64) -> PathBuf {
        in_place(&self.folder, index)
    }

    /// Another server's snapshot is in place, and the core is made of it; one under way of what it was is void.
    pub(in crate::node) fn installed(&mut self, index: u64, disk: &mut dyn Disk) {
        if let Some(work) = self.under_way.take() {
            if !work.sliced {
                let close = Operation::Close { file: work.file };
                disk.submit(Lane::Background, Token::new(OWNER, 0), close);
            }
            if !work.named {
                self.remove(unfinished(&work.path), disk);
            }
        }
        self.replace_newest(index);
        self.bytes_behind = 0;
    }

    /// A snapshot of another server that is in place and not wanted goes, unless it has taken the place of this server's own.
    pub(in crate::node) fn discard(&mut self, index: u64) {
        let is_own = self.under_way.as_ref().is_some_and(|it| it.index == index);
        if index != self.newest && !is_own {
            self.stale.push(self.path(index));
        }
    }

    /// Removes what is needed no longer, but for what `pinned` says is still read.
    pub(in crate::node) fn sweep(&mut self, pinned: impl Fn(&Path) -> bool, disk: &mut dyn Disk) {
        let (kept, gone) = std::mem::take(&mut self.stale)
            .into_iter()
            .partition(|path| pinned(path));
        self.stale = kept;
        let gone: Vec<PathBuf> = gone;
        gone.into_iter().for_each(|path| self.remove(path, disk));
    }

    /// Up to which entry the newest one that is in place holds everything; 0 for none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The entry of the newest one at the start, if that came from another server and the journal may not know of it yet.
    pub(in crate::node) fn received(&self) -> Option<u64> {
        self.received.then_some(self.newest)
    }

    /// How many were put in place in this run.
    pub(in crate::node) fn taken(&self) -> u64 {
        self.taken
    }

    /// Why the last one could not be written, if it could not.
    pub(in crate::node) fn trouble(&self) -> Option<&str> {
        self.trouble.reason()
    }

    /// Whether a snapshot found no space since this was last asked.
    pub(in crate::node) fn take_wants_space(&mut self) -> bool {
        std::mem::take(&mut self.wants_space)
    }

    /// While a snapshot is under way every turn adds to it, and one follows the other.
    pub(in crate::node) fn is_hungry(&self) -> bool {
        self.under_way.as_ref().is_some_and(|work| {
            !work.sliced && work.failed.is_none() && work.position - work.written <= UNWRITTEN_MAX
        })
    }

    fn submit(&mut self, operation: Operation, disk: &mut dyn Disk) {
        if let Some(work) = &mut self.under_way {
            work.left += 1;
            disk.submit(Lane::Background, Token::new(OWNER, work.attempt), operation);
        }
    }

    /// Removes what is not needed any more; a failure leaves a file that the next start removes.
    pub(in crate::node) fn remove(&mut self, path: PathBuf, disk: &mut dyn Disk) {
        disk.submit(
            Lane::Background,
            Token::new(OWNER, 0),
            Operation::Remove { path },
        );
    }
}

/// Where the snapshot of an entry lies in this folder.
pub(super) fn in_place(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:020}{SUFFIX}"))
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("snapshot.new")
}

/// Why the coordinator's state could not be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A snapshot is damaged, or of a later release.
    #[error("{}: {source}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
    /// A snapshot is of a feature level that is not supported here.
    #[error("{}: {why}", path.display())]
    Level {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        why: Unreadable,
    },
    /// The journal begins behind the newest snapshot.
    #[error(
        "the journal begins behind entry {journal}, but the newest snapshot in {} holds only {snapshot}",
        folder.display()
    )]
    Missing {
        /// Where snapshots are.
        folder: PathBuf,
        /// Up to which entry the journal has forgotten.
        journal: u64,
        /// Up to which entry the newest snapshot holds; 0 for none.
        snapshot: u64,
    },
}

impl RestoreError {
    /// Whether what was there is gone, and nothing else is wrong.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            RestoreError::Snapshot { source, .. } => !matches!(source, SnapshotError::Version(_)),
            RestoreError::Missing { .. } => true,
            RestoreError::Disk(_) | RestoreError::Level { .. } => false,
        }
    }
}

/// What was read back.
pub(crate) struct Found {
    /// The coordinator as it was.
    pub(crate) core: Coordinator,
    /// The last entry that is in it; 0 for none.
    pub(crate) index: u64,
    /// Its place in the log, where the snapshot says it.
    pub(crate) place: Option<Marker>,
    /// It came from another server, and the journal may not know of it yet.
    pub(crate) received: bool,
    /// Something was lost, as accepted: a snapshot is damaged, or what the journal has forgotten is in none.
    pub(crate) lost: bool,
}

/// Puts the snapshots aside: whoever has forgotten what it promised goes on from none of them, and they may be all that is
/// left of the tree.
///
/// # Errors
/// The disk failed.
pub(crate) fn set_aside(folder: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    let entries = disk::folder::entries(disk, folder)?;
    let named = |suffix: &str| {
        let entries = entries.iter().filter(|entry| entry.name.ends_with(suffix));
        let mut names: Vec<PathBuf> = entries.map(|entry| folder.join(&entry.name)).collect();
        names.sort();
        names
    };
    let snapshots: Vec<PathBuf> = named(SUFFIX);
    // Of what was put aside before the newest stays, whatever this one is worth: no more room than for two is needed.
    let mut former: Vec<PathBuf> = named(FORGOTTEN);
    former.pop();
    for path in former.into_iter().filter(|_| !snapshots.is_empty()) {
        disk.run(Operation::Remove { path })?;
    }
    for from in snapshots {
        let mut to = from.clone().into_os_string();
        to.push(FORGOTTEN);
        let to = PathBuf::from(to);
        disk.run(Operation::Rename { from, to })?;
    }
    disk.run(Operation::SyncFolder {
        path: folder.to_path_buf(),
    })?;
    Ok(())
}

/// What was put aside counts again: the newest of it.
///
/// # Errors
/// The disk failed.
pub(crate) fn take_back(folder: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    let names = disk::folder::entries(disk, folder)?
        .into_iter()
        .map(|entry| entry.name);
    if let Some(newest) = names.filter(|name| name.ends_with(FORGOTTEN)).max() {
        let from = folder.join(&newest);
        let to = folder.join(newest.trim_end_matches(FORGOTTEN));
        disk.run(Operation::Rename { from, to })?;
    }
    let path = folder.to_path_buf();
    disk.run(Operation::SyncFolder { path }).map(drop)
}

/// Reads the newest snapshot back and removes the others. What comes after it is in the journal, which has
/// forgotten everything up to `marker`.
///
/// # Errors
/// See [`RestoreError`]. With `accept_loss` a damaged snapshot is passed over for an older one, or none.
pub(crate) fn restore(
    folder: &Path,
    marker: u64,
    options: &Options,
    levels: Levels,
    seed: Seed,
    accept_loss: bool,
    disk: &mut dyn Disk,
) -> Result<Found, RestoreError> {
    disk::folder::make_to_last(disk, folder)?;
    // What a killed process has put in place lasts before anything is built on it.
    disk.run(Operation::SyncFolder {
        path: folder.to_path_buf(),
    })?;
    let entries = disk::folder::entries(disk, folder)?;
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    let mut state: Option<Restored> = None;
    let mut lost = false;
    for name in names.into_iter().rev() {
        let path = folder.join(&name);
        if name.ends_with(SUFFIX) && state.is_none() {
            match read(&path, levels, seed, disk)? {
                Err(NotRead::Level(why)) => return Err(RestoreError::Level { path, why }),
                Ok(restored) => {
                    state = Some(restored);
                    continue;
                }
                // What a later version wrote is not lost, and its journal may have forgotten what is in it.
                Err(NotRead::Snapshot(source))
                    if !accept_loss || matches!(source, SnapshotError::Version(_)) =>
                {
                    return Err(RestoreError::Snapshot { path, source });
                }
                Err(NotRead::Snapshot(error)) => {
                    warn!(path = %path.display(), %error, "a damaged snapshot is ignored, as accepted");
                    lost = true;
                    continue;
                }
            }
        }
        if name.ends_with(SUFFIX) || name.ends_with(".new") {
            disk.run(Operation::Remove { path })?;
        }
    }
    let index = state.as_ref().map_or(0, Restored::index);
    // The first entry is a group's founding, or the beginning of its first term: nothing is in it.
    if index < marker && marker > 1 && !accept_loss {
        let folder = folder.to_path_buf();
        return Err(RestoreError::Missing {
            folder,
            journal: marker,
            snapshot: index,
        });
    }
    let place = state.as_ref().and_then(Restored::place);
    let place = place.map(|place| marker_of(index, place));
    let core = match state {
        Some(restored) => Coordinator::restored(options.clone(), seed, restored),
        None => Coordinator::new(options.clone(), seed),
    };
    lost |= index < marker && marker > 1;
    let received = index > 0 && came_last(folder, disk)? == Some(index);
    Ok(Found {
        core,
        index,
        place,
        received,
        lost,
    })
}

/// The place in the log that a snapshot of this entry says.
fn marker_of(index: u64, place: &Place) -> Marker {
    Marker {
        index,
        term: place.term,
        state: place.members.clone(),
    }
}

/// The place in the log of the newest snapshot, as far as its head can be read.
pub(crate) fn newest_place(
    folder: &Path,
    disk: &mut dyn Disk,
) -> Result<Option<Marker>, disk::Error> {
    let entries = disk::folder::entries_if_there(disk, folder)?;
    let snapshots = entries.into_iter().filter(|it| it.name.ends_with(SUFFIX));
    let Some(newest) = snapshots.map(|entry| entry.name).max() else {
        return Ok(None);
    };
    let mut restore = Restore::new(Seed(0));
    disk::read_pieces(
        disk,
        &folder.join(&newest),
        0..u64::MAX,
        |bytes| match restore.feed(bytes) {
            Ok(()) if restore.place().is_none() => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        },
    )?;
    let index = newest.trim_end_matches(SUFFIX).parse().unwrap_or(0);
    Ok(restore.place().map(|place| marker_of(index, place)))
}

/// Of which entry the snapshot is that came from another server and that the journal may not know of.
fn came_last(folder: &Path, disk: &mut dyn Disk) -> Result<Option<u64>, disk::Error> {
    let Some(bytes) = disk::read_if_there(disk, &mark(folder))? else {
        return Ok(None);
    };
    let text = str::from_utf8(&bytes).unwrap_or_default();
    Ok(text.trim().parse().ok())
}

/// Why a snapshot was not read.
enum NotRead {
    /// Something is wrong with it.
    Snapshot(SnapshotError),
    /// It is of a feature level that is not supported here.
    Level(Unreadable),
}

fn read(
    path: &Path,
    levels: Levels,
    seed: Seed,
    disk: &mut dyn Disk,
) -> Result<Result<Restored, NotRead>, disk::Error> {
    let mut restore = Restore::new(seed);
    let mut refused = None;
    disk::read_pieces(disk, path, 0..u64::MAX, |bytes| {
        let fed = restore.feed(bytes).map_err(NotRead::Snapshot);
        // What follows the head of one at a level that is not known may look damaged.
        let checked = check_level(&restore, levels).map_err(NotRead::Level);
        match checked.and(fed) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => {
                refused = Some(why);
                ControlFlow::Break(())
            }
        }
    })?;
    Ok(refused.map_or_else(|| restore.finish().map_err(NotRead::Snapshot), Err))
}

/// Whether the members in a snapshot's head are of a supported level, as far as it is read.
fn check_level(restore: &Restore, levels: Levels) -> Result<(), Unreadable> {
    let place = restore.place();
    let checked = place.map(|place| Membership::decode_at(&place.members, levels));
    match checked {
        Some(Err(why)) if why.is_newer() => Err(why),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_goes_and_the_newest_stays() {
        let every = Every {
            entries: 1,
            bytes: 1,
        };
        let mut snapshots = Snapshots::new(PathBuf::from("folder"), every, 5, false);
        snapshots.discard(5);
        snapshots.discard(4);
        assert_eq!(snapshots.stale, [snapshots.path(4)]);
    }
}
