//! The folders that hold data are this server's alone, wherever they lie: the journal, and the folders of topics, which a
//! configuration or a link may have pointed at another server's. And a folder of topics that was there is not made again:
//! one that is not mounted looks like one that never was.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::advice::{disk_refused, run_without};
use super::settings;
use crate::config::{Config, ServerFolder};
use crate::disk::folder::{Lock, LockError, new_name};
use crate::report::{Code, Error};

/// The file in `data/` that names the folders of topics that there were, each on a line.
const TOPICS_KNOWN: &str = "has-topics";

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
    let before = fs::read_to_string(&known).unwrap_or_default();
    let gone = |path: &&PathBuf| {
        let name = name(path, folder);
        before.lines().any(|line| line == name) && !path.exists()
    };
    if let Some(gone) = topics.iter().find(gone).filter(|_| !accept_loss) {
        return Err(topics_gone(gone, folder));
    }
    let names: Vec<String> = topics
        .iter()
        .map(|path| name(path, folder) + "\n")
        .collect();
    // By what they are and not by what they are called: a folder may be named in two ways.
    let folders: BTreeSet<PathBuf> = topics
        .into_iter()
        .chain([folder.journal()])
        .filter_map(|path| {
            // Why one cannot be made is told where it is needed.
            fs::create_dir_all(&path).ok()?;
            fs::canonicalize(&path).ok()
        })
        .collect();
    let locks = folders
        .iter()
        .map(|path| lock(path))
        .collect::<Result<Vec<Lock>, Error>>()?;
    let names = names.concat();
    if names != before && config.broker.is_some() {
        let new = new_name(&known);
        // On a full disk the server starts all the same; the next start writes it.
        if let Err(error) = fs::write(&new, names).and_then(|()| fs::rename(&new, &known)) {
            warn!(%error, "which folders of topics there are is not written down");
        }
    }
    Ok(locks)
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
