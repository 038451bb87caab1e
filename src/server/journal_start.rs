//! From a folder to its journal: the one that is there; a new one, where a damaged one is put aside; or that one again, where
//! its operator has decided.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tracing::{error, info, warn};

use super::advice::{disk_refused, flag, newer_data, run_without};
use super::damaged_journal::DamagedJournal;
use super::settings;
use super::startup::{IDENTITY, refuse_another_server};
use crate::config::{Config, ServerFolder};
use crate::consensus;
use crate::disk::{self, Disk, Operation};
use crate::journal::{self, Damage, Journal, OpenError, Recovered, Salvage};
use crate::node::coordinator::FORGOT;
use crate::node::coordinator::snapshots;
use crate::node::replica::others_have_all;
use crate::report::{Code, Error, shell_word};
use crate::units::GroupId;

/// The file in `data/` that says that there is a journal: a folder that is not mounted looks like one that never was.
pub(super) const JOURNAL_KNOWN: &str = "has-journal";
const JOURNAL_KNOWN_TEXT: &[u8] =
    b"This server has a journal in data/journal: without it, it does not start as if it were new.\n";

/// What the journal is opened from.
pub(super) struct JournalStart<'a> {
    pub(super) config: &'a Config,
    pub(super) folder: &'a ServerFolder,
    pub(super) accept_loss: bool,
    /// Random bits.
    pub(super) fresh: [u8; 16],
}

/// A journal that serves.
pub(super) struct JournalOpened {
    pub(super) journal: Journal,
    pub(super) recovered: Recovered,
    /// There was another one, and this one is new.
    pub(super) renewed: bool,
    /// It was put aside before, and is here again: what its operator has accepted is the broker's loss.
    pub(super) is_back: bool,
    /// Why the broker serves nobody: what is left of it waits for its operator.
    pub(super) broker_held: Option<String>,
}

impl JournalStart<'_> {
    /// Opens it, or what takes its place.
    ///
    /// # Errors
    /// It is damaged or gone, and its operator has to decide; or the disk refuses.
    pub(super) fn open(&self, disk: &mut dyn Disk) -> Result<JournalOpened, Error> {
        let known = self.folder.data().join(JOURNAL_KNOWN);
        let was_there = disk::read_whole(disk, &known).is_ok();
        let damaged = DamagedJournal::of(self.folder);
        damaged.finish(disk).map_err(not_aside)?;
        if was_there && !self.accept_loss && self.is_missing(&damaged, disk)? {
            return Err(journal_missing(self.folder));
        }
        let is_back = self.accept_loss
            && damaged.holds_broker(disk).map_err(not_aside)?
            && damaged.is_there(disk).map_err(not_aside)?;
        if is_back {
            self.bring_back(&damaged, disk)?;
        }
        let options = settings::journal(self.config, self.folder, self.accept_loss);
        let (journal, recovered) = match Journal::open(disk, options.clone(), self.fresh) {
            Err(OpenError::Damaged(damage)) if self.puts_aside(&damaged, &damage, disk)? => {
                Journal::open(disk, options, self.fresh)
            }
            opened => opened,
        }
        .map_err(|error| journal_refused(self.folder, error))?;
        if !was_there {
            note_journal(known, disk);
        }
        tell_of(&recovered);
        let is_held = !self.accept_loss && damaged.holds_broker(disk).map_err(not_aside)?;
        let broker_held = match is_held && self.config.broker.is_some() {
            true => Some(self.held(&damaged, disk)?),
            false => None,
        };
        if let Some(why) = &broker_held {
            error!("{why}");
        }
        Ok(JournalOpened {
            // One that was gone is as good as lost.
            renewed: was_there && recovered.created,
            journal,
            recovered,
            is_back,
            broker_held,
        })
    }

    /// Whether the journal is gone that was there. One that is on its way aside is not.
    fn is_missing(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<bool, Error> {
        if damaged.has_present(disk).map_err(not_aside)? {
            return Ok(false);
        }
        let is_aside = self.is_noted(disk)? && damaged.is_there(disk).map_err(not_aside)?;
        Ok(!is_aside)
    }

    /// Puts a damaged journal aside, where the others have all that the coordinator has lost with it. Where nothing tells that, an
    /// operator decides.
    fn puts_aside(
        &self,
        damaged: &DamagedJournal,
        damage: &Damage,
        disk: &mut dyn Disk,
    ) -> Result<bool, Error> {
        if self.accept_loss || self.config.cluster.is_none() || self.config.coordinator.is_none() {
            return Ok(false);
        }
        let is_there = damaged.is_there(disk).map_err(not_aside)?;
        if is_there && !damaged.is_own(disk).map_err(not_aside)? {
            // Somebody has put something there.
            return Ok(false);
        }
        let left = self.salvage(&self.folder.journal(), disk)?;
        if !self.is_noted(disk)? && !self.others_have_all(&left, disk)? {
            return Ok(false);
        }
        warn!(
            file = %damage.path.display(),
            byte = damage.position,
            batch = damage.sequence,
            acknowledged = damage.acknowledged,
            what = damage.what,
            to = %damaged.folder().display(),
            "the journal is damaged, and put aside: this server asks the others to take it in again, and for all of the coordinator's"
        );
        let path = self.folder.coordinator().join(IDENTITY);
        let identity = disk::read_if_there(disk, &path).map_err(not_aside)?;
        self.note_forgotten(disk).map_err(not_aside)?;
        let own = GroupId::broker(self.config.id);
        let has_broker = self.config.broker.is_some() || left.groups.contains_key(&own);
        damaged
            .put_aside(has_broker, identity.unwrap_or_default(), disk)
            .map_err(not_aside)?;
        Ok(true)
    }

    /// Has the journal back that was put aside, and with it the broker. Whoever was taken in again meanwhile is a new member once
    /// more. Whoever was not is again who it was: nobody was promised anything since.
    fn bring_back(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<(), Error> {
        let aside = self.salvage(damaged.folder(), disk)?;
        refuse_another_server(self.config, aside.groups.keys())?;
        let has_present = damaged.has_present(disk).map_err(not_aside)?;
        let present = match has_present {
            true => self.salvage(&self.folder.journal(), disk)?,
            false => Salvage::default(),
        };
        let group = present.groups.get(&GroupId::COORDINATOR);
        let is_member = |group: &consensus::Remembered| {
            !group.marker.state.is_empty() || !group.entries.is_empty()
        };
        // Where a process before this one has removed it, its note says that it may have been.
        let was_taken_in = group.is_some_and(is_member) || !has_present && self.is_noted(disk)?;
        if was_taken_in && !self.others_have_all(&present, disk)? {
            return Err(alone_with_the_tree(self.folder));
        }
        if was_taken_in {
            self.note_forgotten(disk).map_err(not_aside)?;
        } else {
            self.remember(&damaged.identity(disk).map_err(not_aside)?, disk)
                .map_err(not_aside)?;
        }
        damaged.bring_back(disk).map_err(not_aside)?;
        if !was_taken_in {
            disk::remove_if_there(disk, &self.forgotten_note()).map_err(not_aside)?;
        }
        Ok(())
    }

    fn salvage(&self, journal: &Path, disk: &mut dyn Disk) -> Result<Salvage, Error> {
        journal::salvage(disk, journal).map_err(|error| journal_refused(self.folder, error))
    }

    fn others_have_all(&self, left: &Salvage, disk: &mut dyn Disk) -> Result<bool, Error> {
        let place = snapshots::newest_place(&self.folder.coordinator(), disk).map_err(not_aside)?;
        let id = GroupId::COORDINATOR;
        let behind = left.behind.iter().filter(|(group, _)| *group == id);
        let behind = behind.map(|(_, record)| record);
        let group = left.groups.get(&id);
        Ok(others_have_all(
            self.config.id,
            group,
            place.as_ref(),
            behind,
        ))
    }

    /// The coordinator is a new member from this start on, whatever is found.
    fn note_forgotten(&self, disk: &mut dyn Disk) -> Result<(), disk::Error> {
        disk::folder::make_to_last(disk, &self.folder.coordinator())?;
        let text = format!("{:032x}\n", u128::from_be_bytes(self.fresh));
        let (path, pieces) = (self.forgotten_note(), vec![Bytes::from(text)]);
        disk.run(Operation::Replace { path, pieces }).map(drop)
    }

    /// The server is again who it was.
    fn remember(&self, identity: &[u8], disk: &mut dyn Disk) -> Result<(), disk::Error> {
        let path = self.folder.coordinator().join(IDENTITY);
        if identity.is_empty() {
            disk::remove_if_there(disk, &path)?;
        } else {
            let pieces = vec![Bytes::copy_from_slice(identity)];
            disk.run(Operation::Replace { path, pieces })?;
        }
        snapshots::take_back(&self.folder.coordinator(), disk)
    }

    /// Whether a start before this one has written that down.
    fn is_noted(&self, disk: &mut dyn Disk) -> Result<bool, Error> {
        let noted = disk::read_if_there(disk, &self.forgotten_note()).map_err(not_aside)?;
        Ok(noted.is_some())
    }

    fn forgotten_note(&self) -> PathBuf {
        self.folder.coordinator().join(FORGOT)
    }

    fn held(&self, damaged: &DamagedJournal, disk: &mut dyn Disk) -> Result<String, Error> {
        let folder = damaged.folder().display().to_string();
        let where_it_is = match damaged.is_there(disk).map_err(not_aside)? {
            true => format!(
                "its journal was damaged, and is in {folder} now; see what is missing (`chrysalis dump journal {}`), restore the \
                 file there or leave it as it is",
                shell_word(&folder)
            ),
            false => format!(
                "its journal was damaged, and is not in {folder} any more; put it back there, or lose all that was in it"
            ),
        };
        Ok(format!(
            "the broker serves nobody: {where_it_is}; then, while all other servers are there, stop this one and start it with {}",
            run_without(self.folder)
        ))
    }
}

/// The disk refused while a damaged journal was looked for, or moved.
pub(super) fn not_aside(error: disk::Error) -> Error {
    disk_refused("put a damaged journal aside, or take it back", error)
}

fn alone_with_the_tree(folder: &ServerFolder) -> Error {
    Error::new(
        Code::E0308,
        "take the broker's damaged journal again",
    )
    .means("The server does not start: its coordinator would have to get everything from the other servers, and they may not have it.")
    .cure(format!(
        "Start it without --accept-loss, and see `chrysalis cluster status {}`: when another voter may be lost, try again.",
        flag(folder)
    ))
}

/// Writes down that there is a journal.
fn note_journal(path: PathBuf, disk: &mut dyn Disk) {
    let known = Operation::Replace {
        path,
        pieces: vec![Bytes::from_static(JOURNAL_KNOWN_TEXT)],
    };
    // On a full disk the server starts all the same; the next start writes it.
    if let Err(error) = disk.run(known) {
        warn!(%error, "that there is a journal is not written down");
    }
}

fn tell_of(recovered: &Recovered) {
    if let Some(cut) = &recovered.cut {
        info!(
            file = %cut.path.display(),
            byte = cut.position,
            batch = cut.sequence,
            "a torn tail of the journal is cut off; nothing acknowledged was in it"
        );
    }
    if let Some(loss) = &recovered.loss {
        warn!(
            file = %loss.path.display(),
            byte = loss.position,
            batch = loss.sequence,
            acknowledged = loss.acknowledged,
            what = loss.what,
            lost = %recovered.lost,
            "damage in the journal is accepted: everything written after it is lost, also what is whole; `lost` is what \
             the journal can tell of"
        );
    }
}

fn journal_missing(folder: &ServerFolder) -> Error {
    let journal = folder.journal();
    Error::new(
        Code::E0201,
        format!("{} is gone, and this server had a journal", journal.display()),
    )
    .means("The server does not start: what was acknowledged and is in no snapshot or checkpoint is in the journal alone.")
    .cure(format!(
        "Mount it or put it back. Or lose what was in it, and begin a new one: {}.",
        run_without(folder)
    ))
}

fn journal_refused(folder: &ServerFolder, error: OpenError) -> Error {
    match error {
        OpenError::Damaged(damage) => Error::new(Code::E0201, "open the journal")
            .because(OpenError::Damaged(damage))
            .means("Acknowledged entries cannot be read; the server does not start.")
            .cure(format!(
                "Keep a copy of data/, see what is missing with `chrysalis dump journal {}`, and restore the \
                 file; or lose everything written after the damage, also what is whole: {}.",
                flag(folder),
                run_without(folder)
            )),
        OpenError::Newer { .. } => newer_data("open the journal", error),
        OpenError::Options(_) => Error::new(Code::E0001, "open the journal")
            .because(error)
            .means("The server does not start.")
            .cure("Correct the [journal] section."),
        OpenError::Disk(error) => disk_refused("open the journal", error),
    }
}
