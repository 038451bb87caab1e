//! What can go wrong with a file: always with the path and the operation, and a class that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct Error {
    /// What was to be done, a verb phrase: `open`, `write`, `sync folder`.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What kind of failure it is.
    pub class: Class,
    /// What the system said.
    pub source: io::Error,
}

/// What kind of failure it is; callers decide by this and never by the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The file system or the quota is full.
    NoSpace,
    /// The medium cannot give or take the bytes (`EIO`). What the page cache says after that is not to be
    /// believed.
    Damaged,
    /// Not permitted, or the file system is mounted read-only.
    Permission,
    /// There is no such file or folder, or the handle is not open.
    Missing,
    /// It exists already, or a folder is not empty.
    Exists,
    /// The file system or the kernel cannot do this.
    Unsupported,
    /// Too many open files, no memory, or no thread.
    Exhausted,
    /// Anything else.
    Other,
}

impl Class {
    /// The class of a system error.
    pub fn of(error: &io::Error) -> Class {
        let Some(number) = error.raw_os_error() else {
            return match error.kind() {
                io::ErrorKind::NotFound => Class::Missing,
                io::ErrorKind::AlreadyExists => Class::Exists,
                io::ErrorKind::PermissionDenied => Class::Permission,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::NoSpace,
                _ => Class::Other,
            };
        };
        match Errno::from_raw(number) {
            Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => Class::NoSpace,
            Errno::EIO | Errno::EUCLEAN | Errno::EBADMSG | Errno::EILSEQ => Class::Damaged,
            Errno::EACCES | Errno::EPERM | Errno::EROFS => Class::Permission,
            Errno::ENOENT | Errno::ENOTDIR | Errno::EBADF => Class::Missing,
            Errno::EEXIST | Errno::ENOTEMPTY => Class::Exists,
            Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS => Class::Unsupported,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN => Class::Exhausted,
            _ => Class::Other,
        }
    }
}

impl Error {
    /// Whether there was no descriptor to open a file or a folder with: nothing was begun.
    pub fn found_no_descriptor(&self) -> bool {
        let number = self.source.raw_os_error().map(Errno::from_raw);
        matches!(number, Some(Errno::EMFILE | Errno::ENFILE))
    }

    /// The failure of `operation` on `path`.
    pub fn new(
        operation: &'static str,
        path: impl AsRef<Path>,
        source: impl Into<io::Error>,
    ) -> Error {
        let source = source.into();
        Error {
            operation,
            path: path.as_ref().to_path_buf(),
            class: Class::of(&source),
            source,
        }
    }
}
