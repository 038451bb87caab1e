//! What becomes of a damaged journal on a server that has others: the coordinator gets everything from them, and what is left
//! of the broker waits for its operator.
//!
//! Nobody else has what the journal says of the broker. So the damaged journal is put aside as it is, and a new one begins, in
//! which the coordinator is a new member. As long as the old one lies there, the broker serves nobody. An operator who accepts
//! the loss has it brought back, and so has one who has restored what was damaged: then it is opened as any journal is, and
//! the coordinator gets everything from the others once more.
//!
//! ```text
//!   data/journal/00.journal …           the new one
//!   data/journal/damaged/00.journal …   the damaged one: a folder within, because a journal's may be a mount, or a link
//!   data/journal/damaged/comes, goes    the files are on their way there, or back: a process may end in between
//! ```

use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::config::ServerFolder;
use crate::disk::{self, Class, Disk, Entry, Operation, Outcome, folder};
use crate::journal;

/// The name of the folder.
const NAME: &str = "damaged";
/// The files are on their way into the folder.
const COMES: &str = "comes";
/// The files are on their way back.
const GOES: &str = "goes";

/// The place of a damaged journal.
pub(super) struct DamagedJournal {
    journal: PathBuf,
    folder: PathBuf,
}

impl DamagedJournal {
    pub(super) fn of(server: &ServerFolder) -> DamagedJournal {
        let journal = server.journal();
        DamagedJournal {
            folder: journal.join(NAME),
            journal,
        }
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is one.
    pub(super) fn is_there(&self, disk: &mut dyn Disk) -> Result<bool, disk::Error> {
        Ok(!self.files(&self.folder, disk)?.is_empty())
    }

    /// Ends what a process before this one has begun.
    pub(super) fn finish(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let noted = list(&self.folder, disk)?;
        let is_noted = |name: &str| noted.iter().any(|entry| entry.name == name);
        if is_noted(COMES) {
            self.take_in(disk)?;
        }
        if is_noted(GOES) {
            self.give_back(disk)?;
        }
        Ok(())
    }

    /// Puts the journal aside. Where another one lies there already, what is in this one is on the other servers: it goes.
    pub(super) fn put_aside(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        if self.is_there(disk)? {
            warn!("this journal had nothing but what the others have: it is removed");
            return self.remove(disk);
        }
        folder::make_to_last(disk, &self.folder)?;
        self.note(COMES, disk)?;
        self.take_in(disk)
    }

    /// Puts it in the place of the present journal, which goes.
    pub(super) fn bring_back(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        info!(
            folder = %self.folder.display(),
            "the journal that was put aside is taken again, as its operator says"
        );
        self.remove(disk)?;
        self.note(GOES, disk)?;
        self.give_back(disk)
    }

    fn take_in(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        self.move_files(&self.journal, &self.folder, disk)?;
        self.forget(COMES, disk)
    }

    fn give_back(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        self.move_files(&self.folder, &self.journal, disk)?;
        self.forget(GOES, disk)
    }

    /// Removes the present journal, its name first: a part of it is damaged, and nothing else.
    fn remove(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        for name in self.files(&self.journal, disk)?.into_iter().rev() {
            let path = self.journal.join(name);
            disk.run(Operation::Remove { path })?;
        }
        sync(&self.journal, disk)
    }

    fn move_files(&self, from: &Path, to: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        for name in self.files(from, disk)? {
            let (from, to) = (from.join(&name), to.join(&name));
            disk.run(Operation::Rename { from, to })?;
        }
        sync(to, disk)?;
        sync(from, disk)
    }

    /// The names of a journal's files in a folder, the one that names it last.
    fn files(&self, folder: &Path, disk: &mut dyn Disk) -> Result<Vec<String>, disk::Error> {
        let entries = list(folder, disk)?.into_iter();
        let files = entries.filter(|entry| !entry.folder && journal::has_file(&entry.name));
        Ok(files.map(|entry| entry.name).collect())
    }

    fn note(&self, name: &str, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let path = self.folder.join(name);
        let pieces = Vec::new();
        disk.run(Operation::Replace { path, pieces }).map(drop)
    }

    fn forget(&self, name: &str, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let path = self.folder.join(name);
        disk.run(Operation::Remove { path })?;
        sync(&self.folder, disk)
    }
}

/// What is in a folder; nothing where there is none.
fn list(folder: &Path, disk: &mut dyn Disk) -> Result<Vec<Entry>, disk::Error> {
    let path = folder.to_path_buf();
    match disk.run(Operation::List { path }) {
        Ok(Outcome::Listed(entries)) => Ok(entries),
        Ok(_) => unreachable!("a listing is answered with a listing"),
        Err(error) if error.class == Class::Missing => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn sync(folder: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    let path = folder.to_path_buf();
    disk.run(Operation::SyncFolder { path }).map(drop)
}
