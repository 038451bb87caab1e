//! What becomes of a damaged journal on a server that has others: the coordinator gets everything from them, and what is left
//! of the broker waits for its operator.
//!
//! Nobody else has what the journal says of the broker. So the damaged journal is put aside as it is, and a new one begins, in
//! which the coordinator is a new member. As long as the old one lies there, the broker serves nobody. An operator who accepts
//! the loss has it brought back, and so has one who has restored what was damaged: then it is opened as any journal is, and
//! the coordinator gets everything from the others once more.
//!
//! That the broker waits is written down beside its checkpoint, so it does whatever becomes of those files.
//!
//! ```text
//!   data/broker/held                     the broker waits for its operator
//!   data/journal/00.journal …            the new one
//!   data/journal/damaged/00.journal …    the damaged one: a folder within, because a journal's may be a mount, or a link
//!   data/journal/damaged/identity        who the server was with it; empty: its journal says that
//!   data/journal/damaged/comes, goes     the files are on their way there, or back: a process may end in between
//! ```

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::{info, warn};

use crate::config::ServerFolder;
use crate::disk::{self, Disk, Operation, folder};
use crate::journal;

/// The name of the folder.
const NAME: &str = "damaged";
/// Who the server was.
const IDENTITY: &str = "identity";
/// The files are on their way into the folder.
const COMES: &str = "comes";
/// The files are on their way back.
const GOES: &str = "goes";
/// The note in the broker's folder.
const HELD: &str = "held";
const HELD_TEXT: &[u8] =
    b"The journal of this broker was damaged. It serves nobody until its operator says what is to become of that: see chrysalis status.\n";

/// The place of a damaged journal.
pub(super) struct DamagedJournal {
    journal: PathBuf,
    folder: PathBuf,
    held: PathBuf,
}

impl DamagedJournal {
    pub(super) fn of(server: &ServerFolder) -> DamagedJournal {
        let journal = server.journal();
        DamagedJournal {
            folder: journal.join(NAME),
            journal,
            held: server.broker().join(HELD),
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

    /// Whether the present journal has any file.
    pub(super) fn has_present(&self, disk: &mut dyn Disk) -> Result<bool, disk::Error> {
        Ok(!self.files(&self.journal, disk)?.is_empty())
    }

    /// Whether the broker waits for its operator.
    pub(super) fn holds_broker(&self, disk: &mut dyn Disk) -> Result<bool, disk::Error> {
        Ok(disk::read_if_there(disk, &self.held)?.is_some())
    }

    /// The operator has decided, and the broker goes on.
    pub(super) fn release_broker(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        remove(&self.held, disk)
    }

    /// Ends what a process before this one has begun.
    pub(super) fn finish(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let noted = folder::entries_if_there(disk, &self.folder)?;
        let is_noted = |name: &str| noted.iter().any(|entry| entry.name == name);
        if is_noted(COMES) {
            self.take_in(disk)?;
        }
        if is_noted(GOES) {
            self.give_back(disk)?;
        }
        Ok(())
    }

    /// Whether what lies there was put there by a server, and not by somebody else.
    pub(super) fn is_own(&self, disk: &mut dyn Disk) -> Result<bool, disk::Error> {
        Ok(disk::read_if_there(disk, &self.folder.join(IDENTITY))?.is_some())
    }

    /// Puts the journal aside, of a server that was `identity`, and holds the broker if it has one. Where the held broker's
    /// journal lies there already, nothing of it is in the present one, and what is in there the others have: it goes. What
    /// no broker waits for makes room.
    pub(super) fn put_aside(
        &self,
        has_broker: bool,
        identity: Vec<u8>,
        disk: &mut dyn Disk,
    ) -> Result<(), disk::Error> {
        if self.is_there(disk)? {
            if self.holds_broker(disk)? {
                warn!(
                    "the broker's journal is aside already, and this one has nothing of it: it is removed"
                );
                return self.remove(&self.journal, disk);
            }
            self.remove(&self.folder, disk)?;
        }
        if has_broker && let Some(folder) = self.held.parent() {
            folder::make_to_last(disk, folder)?;
            write(&self.held, Bytes::from_static(HELD_TEXT), disk)?;
        }
        folder::make_to_last(disk, &self.folder)?;
        write(&self.folder.join(IDENTITY), Bytes::from(identity), disk)?;
        write(&self.folder.join(COMES), Bytes::new(), disk)?;
        self.take_in(disk)
    }

    /// Who the server was with it; empty where its journal says that.
    pub(super) fn identity(&self, disk: &mut dyn Disk) -> Result<Vec<u8>, disk::Error> {
        let identity = disk::read_if_there(disk, &self.folder.join(IDENTITY))?;
        Ok(identity.unwrap_or_default())
    }

    /// Puts it in the place of the present journal, which goes.
    pub(super) fn bring_back(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        info!(
            folder = %self.folder.display(),
            "the journal that was put aside is taken again, as its operator says"
        );
        self.remove(&self.journal, disk)?;
        write(&self.folder.join(GOES), Bytes::new(), disk)?;
        self.give_back(disk)
    }

    fn take_in(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        self.move_files(&self.journal, &self.folder, disk)?;
        remove(&self.folder.join(COMES), disk)
    }

    fn give_back(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        self.move_files(&self.folder, &self.journal, disk)?;
        remove(&self.folder.join(IDENTITY), disk)?;
        remove(&self.folder.join(GOES), disk)?;
        // Somebody else's files may be in it.
        let path = self.folder.clone();
        if disk.run(Operation::RemoveFolder { path }).is_ok() {
            sync(&self.journal, disk)?;
        }
        Ok(())
    }

    /// Removes a journal, its name first: a part of it is damaged, and nothing else.
    fn remove(&self, folder: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        for name in self.files(folder, disk)?.into_iter().rev() {
            let path = folder.join(name);
            disk.run(Operation::Remove { path })?;
        }
        sync(folder, disk)
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
        let entries = folder::entries_if_there(disk, folder)?.into_iter();
        let files = entries.filter(|entry| !entry.folder && journal::has_file(&entry.name));
        Ok(files.map(|entry| entry.name).collect())
    }
}

fn write(path: &Path, bytes: Bytes, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    let path = path.to_path_buf();
    let pieces = vec![bytes];
    disk.run(Operation::Replace { path, pieces }).map(drop)
}

/// Removes a file, if it is there, for good.
fn remove(path: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    match (disk::remove_if_there(disk, path)?, path.parent()) {
        (true, Some(folder)) => sync(folder, disk),
        _ => Ok(()),
    }
}

fn sync(folder: &Path, disk: &mut dyn Disk) -> Result<(), disk::Error> {
    let path = folder.to_path_buf();
    disk.run(Operation::SyncFolder { path }).map(drop)
}
