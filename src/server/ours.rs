//! The folders that hold data are this server's alone, wherever they lie: the journal, and the folders of topics, which a
//! configuration or a link may have pointed at another server's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::advice::disk_refused;
use super::settings;
use crate::config::{Config, ServerFolder};
use crate::disk::folder::{Lock, LockError};
use crate::report::{Code, Error};

/// Takes them for this process, until what is returned is dropped. Before anything in them is read.
///
/// # Errors
/// Another server has one of them.
pub(super) fn take(config: &Config, folder: &ServerFolder) -> Result<Vec<Lock>, Error> {
    let topics = config.broker.iter().flat_map(settings::data_folders);
    // By what they are and not by what they are called: a folder may be named in two ways.
    let folders: BTreeSet<PathBuf> = topics
        .chain([folder.journal()])
        .filter_map(|path| {
            // Why one cannot be made is told where it is needed.
            fs::create_dir_all(&path).ok()?;
            fs::canonicalize(&path).ok()
        })
        .collect();
    folders.iter().map(|path| lock(path)).collect()
}

fn lock(path: &Path) -> Result<Lock, Error> {
    Lock::take(path).map_err(|error| match error {
        LockError::Taken(path) => {
            let what = format!("another server uses {}", path.display());
            Error::new(Code::E0102, what)
                .means("This one does not start: two that write to the same files destroy them.")
                .cure("Give each server folders of its own, or stop the other one.")
        }
        LockError::Failed(error) => disk_refused("take the folders of data for this server", error),
    })
}
