//! Folders: listing, syncing, and the lock that keeps a second server out of one.

use std::ffi::OsString;
use std::fs::{self, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC,
    fstatfs, statfs,
};

use super::{Class, Disk, Entry, Error, Operation, Outcome};
use crate::units::WallTime;

/// A folder that this process alone may use, until this is dropped or the process ends, however it ends. The lock is on
/// the folder itself, and leaves nothing in it.
#[derive(Debug)]
pub struct Lock {
    /// The kernel's lock is on this descriptor.
    _folder: fs::File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another server", .0.display())]
    Taken(PathBuf),
    /// The folder cannot be opened or locked.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Lock {
    /// Takes the folder, which must exist, for this process.
    ///
    /// # Errors
    /// [`LockError::Taken`] when another process has it; then that server is to be stopped, or another folder
    /// to be named.
    pub fn take(folder: &Path) -> Result<Lock, LockError> {
        let failed = |error| LockError::Failed(Error::new("lock", folder, error));
        let opened = fs::File::open(folder).map_err(failed)?;
        match opened.try_lock() {
            Ok(()) => Ok(Lock { _folder: opened }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(folder.to_path_buf())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Makes a folder, and has its name last: what is synced inside a folder whose own name is lost is lost too.
///
/// # Errors
/// The folder cannot be made, or the one above it cannot be synced.
pub fn make_to_last(disk: &mut dyn Disk, path: &Path) -> Result<(), Error> {
    let path = path.to_path_buf();
    let above = path.parent().map(Path::to_path_buf);
    disk.run(Operation::MakeFolder { path })?;
    if let Some(path) = above.filter(|above| !above.as_os_str().is_empty()) {
        disk.run(Operation::SyncFolder { path })?;
    }
    Ok(())
}

/// What is in a folder, by name.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn entries(disk: &mut dyn Disk, path: &Path) -> Result<Vec<Entry>, Error> {
    let path = path.to_path_buf();
    match disk.run(Operation::List { path })? {
        Outcome::Listed(entries) => Ok(entries),
        _ => unreachable!("a listing is answered with a listing"),
    }
}

/// The same; nothing where there is no folder.
///
/// # Errors
/// It is there, and cannot be read.
pub fn entries_if_there(disk: &mut dyn Disk, path: &Path) -> Result<Vec<Entry>, Error> {
    match entries(disk, path) {
        Err(error) if error.class == Class::Missing => Ok(Vec::new()),
        entries => entries,
    }
}

/// The name under which a file is written before it replaces the one at `path`.
pub fn new_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    PathBuf::from(name)
}

/// Makes a folder, which may exist, and none above it.
pub(super) fn make_within(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // What a link leads to is what is opened later, and must not be taken for something that is not there.
        let about = match fs::metadata(entry.path()) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                    entries.extend(entry.file_name().into_string().ok().map(unknown_folder));
                }
                // Else it was removed since the folder was read.
                continue;
            }
            // Somebody else's mount, mostly. Whoever needs what is in it is told when they open it.
            Err(_) if entry.file_type().is_ok_and(|kind| kind.is_dir()) => {
                entries.extend(entry.file_name().into_string().ok().map(unknown_folder));
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Ok(name) = entry.file_name().into_string() {
            let length = if about.is_dir() { 0 } else { about.len() };
            entries.push(Entry {
                name,
                folder: about.is_dir(),
                length,
                modified: modified(&about),
            });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn unknown_folder(name: String) -> Entry {
    Entry {
        name,
        folder: true,
        length: 0,
        modified: WallTime(0),
    }
}

/// When a file was last written to; the epoch where the file system does not say.
fn modified(about: &fs::Metadata) -> WallTime {
    let since = about
        .modified()
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .unwrap_or_default();
    WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// File systems whose `syncfs` is known to put everything on stable storage. A file system in user space
/// (FUSE) is not even told of it, and the call succeeds.
const SYNCED_AS_A_WHOLE: [FsType; 5] = [
    EXT4_SUPER_MAGIC,
    XFS_SUPER_MAGIC,
    BTRFS_SUPER_MAGIC,
    F2FS_SUPER_MAGIC,
    TMPFS_MAGIC,
];

/// True if the file system writes a copy elsewhere unless it is told not to.
pub(super) fn copies_on_write(file: &fs::File) -> bool {
    fstatfs(file).is_ok_and(|about| about.filesystem_type() == BTRFS_SUPER_MAGIC)
}

/// True if one `syncfs` covers all these folders: they are on one file system, and it is known to do it.
pub fn sync_as_one(folders: &[PathBuf]) -> bool {
    let device = |folder: &PathBuf| fs::metadata(folder).map(|about| about.dev()).ok();
    let Some(first) = folders.first() else {
        return false;
    };
    device(first).is_some()
        && folders.iter().all(|folder| device(folder) == device(first))
        && statfs(first.as_path())
            .is_ok_and(|about| SYNCED_AS_A_WHOLE.contains(&about.filesystem_type()))
}
