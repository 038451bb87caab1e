//! Folders: listing, syncing, and the lock that keeps a second server out of one.

use std::ffi::OsString;
use std::fs::{self, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, TMPFS_MAGIC, XFS_SUPER_MAGIC,
    fstatfs, statfs,
};

use super::{Disk, Entry, Error, Operation};
use crate::units::WallTime;

/// The name of the lock's file.
const LOCK_NAME: &str = "lock";

/// A folder that this process alone may use, until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    /// The kernel's lock is on this descriptor.
    _file: fs::File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another server{}", folder.display(), holder.map_or(String::new(), |pid| format!(" (process {pid})")))]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// Its process id, where it wrote one.
        holder: Option<u32>,
    },
    /// The lock's file cannot be made or locked.
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
        let path = folder.join(LOCK_NAME);
        let failed = |error| LockError::Failed(Error::new("lock", &path, error));
        let mut options = fs::OpenOptions::new();
        let opened = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who holds it is only a help for the reader of the message.
                let _ = file.take(20).read_to_string(&mut text);
                let holder = text.trim().parse().ok();
                return Err(LockError::Taken {
                    folder: folder.to_path_buf(),
                    holder,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind());
        match written.and_then(|()| writeln!(file, "{}", std::process::id())) {
            // The lock is what counts; on a full disk it goes without the number.
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(failed(error)),
            _ => Ok(Lock { _file: file }),
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

/// The name under which a file is written before it replaces the one at `path`.
pub fn new_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    PathBuf::from(name)
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = match entry.metadata() {
            Ok(about) => about,
            // Removed since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
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
