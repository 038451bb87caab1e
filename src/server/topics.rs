//! What is in the folders of topics at the start: partitions, their files, and the checkpoint that says how
//! far they are good.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::advice::{disk_refused, newer_data, run_without};
use crate::broker::topic::{is_possible, matches};
use crate::config::{self, ServerFolder};
use crate::disk::{self, Class, Disk, Operation, folder};
use crate::node::broker::segment_files::skips_path;
use crate::report::{Code, Error};
use crate::segments::checkpoint::{Checkpoint, Unreadable};
use crate::segments::format;
use crate::segments::recovery::{Damage, Found, FoundFile, Opening, Scan, Scanner};

/// How the name of an archive ends whose compression was cut short; what it is made of is still there.
const UNFINISHED_ARCHIVE: &str = ".meta.zip.new";

/// Reads what is there, scans what has to be scanned, and makes the folders that are missing.
///
/// # Errors
/// Files are missing, too short or too many, or cannot be read.
pub(super) fn read(
    server: &ServerFolder,
    folders: &[PathBuf],
    checkpoint: &Path,
    sections: &[config::Topic],
    accept_loss: bool,
    disk: &mut dyn Disk,
) -> Result<Opening, Error> {
    let refused = |error| disk_refused("read the message files", error);
    if let Some(above) = checkpoint.parent() {
        folder::make_to_last(disk, above).map_err(refused)?;
        // A checkpoint that a killed process has put in place lasts before anything is built on it.
        let path = above.to_path_buf();
        disk.run(Operation::SyncFolder { path }).map_err(refused)?;
    }
    let known = read_checkpoint(checkpoint, accept_loss, disk)?;
    let is_ours = |topic: &str, number: i32| {
        let mut listed = known.iter().flat_map(|known| &known.partitions);
        listed.any(|one| one.topic == topic && one.number == number)
            || sections.iter().any(|section| matches(&section.name, topic))
    };
    let mut found = Vec::new();
    for (number, data_folder) in (0..).zip(folders) {
        folder::make_to_last(disk, data_folder).map_err(refused)?;
        for partition in list_partitions(data_folder, number, &is_ours, disk).map_err(refused)? {
            found.push(
                partition
                    .found()
                    .map_err(|damage| damaged(server, damage))?,
            );
        }
    }
    let mut opening =
        Opening::new(found, known, accept_loss).map_err(|damage| damaged(server, damage))?;
    for scan in opening.scans() {
        let partition = scan.partition;
        let tail = scan_tail(folders, &scan, disk).map_err(refused)?;
        opening.scanned(partition, tail);
    }
    Ok(opening)
}

/// A partition's folder, and what lies in it.
struct Listed {
    path: PathBuf,
    topic: String,
    number: i32,
    data_folder: u32,
    entries: Vec<disk::Entry>,
}

/// The partitions in a folder of topics, which is often the top of a file system of its own: what systems and desktops put
/// there (`lost+found`, `.Trash-1000`) is passed over, and so is what cannot be read and is nobody's topic.
fn list_partitions(
    folder: &Path,
    data_folder: u32,
    is_ours: &dyn Fn(&str, i32) -> bool,
    disk: &mut dyn Disk,
) -> Result<Vec<Listed>, disk::Error> {
    let mut partitions = Vec::new();
    for entry in folder::entries(disk, folder)? {
        let Some((topic, number)) = format::folder_partition(&entry.name) else {
            continue;
        };
        if !entry.folder || !is_possible(topic) {
            continue;
        }
        let path = folder.join(&entry.name);
        let entries = match folder::entries(disk, &path) {
            Ok(entries) => entries,
            Err(error) if error.class != Class::Exhausted && !is_ours(topic, number) => {
                tracing::warn!(%error, "ignored: it is not the folder of a configured topic");
                continue;
            }
            Err(error) => return Err(error),
        };
        for file in &entries {
            if file.name.ends_with(UNFINISHED_ARCHIVE) {
                let path = path.join(&file.name);
                disk.run(Operation::Remove { path })?;
            }
        }
        partitions.push(Listed {
            path,
            topic: topic.to_owned(),
            number,
            data_folder,
            entries,
        });
    }
    Ok(partitions)
}

impl Listed {
    /// The partition's own files. Others are passed over, and those that look like one are told.
    fn found(self) -> Result<Found, Damage> {
        let mut files = Vec::new();
        for file in self.entries.iter().filter(|entry| !entry.folder) {
            if let Some(start) = format::file_start(&file.name) {
                files.push(FoundFile {
                    start,
                    length: file.length,
                    modified: file.modified,
                });
            } else if file.name.ends_with(format::SUFFIX) {
                self.judge(&file.name)?;
            }
        }
        Ok(Found {
            topic: self.topic,
            number: self.number,
            data_folder: self.data_folder,
            files,
        })
    }

    /// Whether a file that is named nearly like a message file can be passed over. Metamorphosis reads `0.meta` as
    /// the file at 0: where that one is not there, these may be its messages.
    fn judge(&self, file: &str) -> Result<(), Damage> {
        let name = format::file_number(file).map(format::file_name);
        if let Some(name) = name
            && !self.entries.iter().any(|entry| entry.name == name)
        {
            return Err(Damage::Misnamed {
                folder: self.path.display().to_string(),
                file: file.to_owned(),
                name,
            });
        }
        let path = self.path.join(file);
        tracing::warn!(path = %path.display(), "ignored: its name is not that of a message file");
        Ok(())
    }
}

fn read_checkpoint(
    path: &Path,
    accept_loss: bool,
    disk: &mut dyn Disk,
) -> Result<Option<Checkpoint>, Error> {
    let bytes = disk::read_if_there(disk, path)
        .map_err(|error| disk_refused("read the broker's checkpoint", error))?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(Unreadable::Damaged(_)) if accept_loss => {
            tracing::warn!(path = %path.display(), "a damaged checkpoint is ignored, as accepted");
            Ok(None)
        }
        Err(error @ Unreadable::Newer(_)) => {
            Err(newer_data(&format!("read {}", path.display()), error))
        }
        Err(error @ Unreadable::Damaged(_)) => {
            Err(Error::new(Code::E0203, format!("read {}", path.display()))
                .because(error)
                .means("The server does not start.")
                .cure("Restore the file from a copy of data/."))
        }
    }
}

/// Where damage is passed over, as it was kept. Where it cannot be read, damage is told of again.
pub(super) fn read_skips(checkpoint: &Path, disk: &mut dyn Disk) -> String {
    let path = skips_path(checkpoint);
    let bytes = disk::read_if_there(disk, &path).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is no longer known where skip-damage passes over damage");
        None
    });
    bytes.map_or_else(String::new, |bytes| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn scan_tail(
    folders: &[PathBuf],
    scan: &Scan,
    disk: &mut dyn Disk,
) -> Result<crate::segments::recovery::Tail, disk::Error> {
    let base = usize::try_from(scan.data_folder)
        .ok()
        .and_then(|number| folders.get(number));
    let base = base.expect("a scan names one of the folders it was found in");
    let path = base.join(&scan.folder).join(&scan.file);
    let mut scanner = Scanner::new(scan.from, scan.to);
    disk::read_pieces(disk, &path, scan.from..scan.to, |bytes| {
        scanner.feed(bytes);
        ControlFlow::Continue(())
    })?;
    Ok(scanner.finish())
}

fn damaged(server: &ServerFolder, damage: Damage) -> Error {
    let (means, cure) = match &damage {
        Damage::Misnamed { name, .. } => (
            "The server does not start: these may be messages.",
            format!(
                "If they are, rename it to {name}; if it is a copy, move it out of the folder."
            ),
        ),
        Damage::Stray { .. } => (
            "The server does not start: it would be served as messages.",
            "Move it out of the folder.".to_owned(),
        ),
        Damage::Twice { .. } => (
            "The server does not start: one of them is not what consumers were promised.",
            "Move one of them away.".to_owned(),
        ),
        Damage::Short { .. } | Damage::Gap { .. } | Damage::Elsewhere { .. } => (
            "The server does not start: what consumers were promised is not there.",
            format!(
                "Restore the files from a copy; or go on without what is missing: {}.",
                run_without(server)
            ),
        ),
    };
    Error::new(Code::E0203, "open the message files")
        .because(damage)
        .means(means)
        .cure(cure)
}
