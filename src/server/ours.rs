//! The folders that hold data are this server's alone, wherever they lie: the journal, and the folders of topics, which a
//! configuration or a link may have pointed at another server's. And a folder of topics that was there is not made again:
//! one that is not mounted looks like one that never was.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::warn;

use super::advice::{disk_refused, run_without};
use super::settings;
use crate::config::{Config, ServerFolder};
use crate::disk;
use crate::disk::folder::{Lock, LockError};
use crate::report::{Code, Error};

/// The file in `data/` that names the folders of topics that there were, each on a line.
pub(super) const TOPICS_KNOWN: &str = "has-topics";

/// Takes them for this process, until what is returned is dropped. Before anything in them is read.
///
/// # Errors
/// Another server has one of them, or one of topics is gone.
pub(super) fn take(
    config: &Config,
    folder: &ServerFolder,
    accept_loss: bool,
) -> Result<Vec<Lock>, Error> {
    let topics: Vec<PathBuf> = config
        .broker
        .iter()
        .flat_map(settings::data_folders)
        .collect();
    let known = folder.data().join(TOPICS_KNOWN);
    let before = match fs::read_to_string(&known) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            warn!(%error, "which folders of topics there were cannot be read: one that is gone is not noticed");
            String::new()
        }
    };
    let gone = |path: &&PathBuf| is_gone(path, folder, &before);
    if let Some(gone) = topics.iter().find(gone).filter(|_| !accept_loss) {
        return Err(topics_gone(gone, folder));
    }
    // One that the configuration leaves out for a while is not forgotten.
    let mut names: BTreeSet<String> = before.lines().map(str::to_owned).collect();
    // By what they are and not by what they are called: a folder may be named in two ways.
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for path in topics.iter().chain([&folder.journal()]) {
        // Why one cannot be made is told where it is needed.
        let Ok(real) = fs::create_dir_all(path).and_then(|()| fs::canonicalize(path)) else {
            continue;
        };
        folders.insert(real);
        if topics.contains(path) {
            names.insert(name(path, folder));
        }
    }
    let locks = folders
        .iter()
        .map(|path| lock(path))
        .collect::<Result<Vec<Lock>, Error>>()?;
    let names: String = names.into_iter().map(|name| name + "\n").collect();
    if names != before && config.broker.is_some() {
        // On a full disk the server starts all the same; the next start writes it.
        if let Err(error) = disk::replace(&known, &[Bytes::from(names)]) {
            warn!(%error, "which folders of topics there are is not written down");
        }
    }
    Ok(locks)
}

/// Whether a folder of topics is among those that were `known`, and is not there any more.
pub(super) fn is_gone(path: &Path, folder: &ServerFolder, known: &str) -> bool {
    let name = name(path, folder);
    known.lines().any(|line| line == name) && !path.exists()
}

/// A folder as it is written down: the server's own folder may be moved.
fn name(path: &Path, folder: &ServerFolder) -> String {
    let own = path.strip_prefix(folder.root()).unwrap_or(path);
    own.display().to_string()
}

fn topics_gone(path: &Path, folder: &ServerFolder) -> Error {
    let what = format!(
        "{} is gone, and this server had topics in it",
        path.display()
    );
    Error::new(Code::E0206, what)
        .means("The server does not start, and the folder is not made again: what consumers were promised is in it.")
        .cure(format!(
            "Mount it or put it back. Or go on without what was in it: {}.",
            run_without(folder)
        ))
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
