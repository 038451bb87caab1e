//! The word that an ensemble goes on with one server alone, or that a part of what clients have seen may be lost: a file in
//! `data/coordinator/` that says so to the next starts, until it is done.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use tracing::warn;

use super::advice::disk_refused;
use super::system;
use crate::config::ServerFolder;
use crate::disk::{self, Disk, Operation};
use crate::report::{Code, Error};

const NAME: &str = "recovery";

/// Where the word is written.
pub(super) fn path(folder: &ServerFolder) -> PathBuf {
    folder.coordinator().join(NAME)
}

/// Writes down that the ensemble goes on with this server alone, as a new one.
///
/// # Errors
/// It cannot be written.
pub(crate) fn want(folder: &ServerFolder) -> io::Result<()> {
    let id = u128::from_be_bytes(system::random()?.journal).max(1);
    let text = format!("{id:032x}\n");
    disk::replace(&path(folder), &[Bytes::from(text)])
}

/// What is written there: the id of the ensemble to be, or 0 where only a part of what clients have seen may be lost; `lost`
/// says that it is so now.
///
/// # Errors
/// It cannot be read or written.
pub(super) fn read(
    folder: &ServerFolder,
    lost: bool,
    disk: &mut dyn Disk,
) -> Result<Option<u128>, Error> {
    let path = path(folder);
    let bytes = disk::read_if_there(disk, &path);
    let bytes = bytes.map_err(|error| disk_refused("read whether it is to go on alone", error))?;
    let Some(bytes) = bytes else {
        return lost.then(|| note_loss(path, disk)).transpose();
    };
    let text = str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    u128::from_str_radix(text, 16).map(Some).map_err(|_| {
        Error::new(Code::E0202, format!("read {}", path.display()))
            .means("Whether this server is to go on alone is not known; it does not start.")
            .cure("Say it again: chrysalis cluster recover. Or remove the file.")
    })
}

fn note_loss(path: PathBuf, disk: &mut dyn Disk) -> Result<u128, Error> {
    warn!("a part of what clients have seen may be lost: a new history begins");
    let pieces = vec![Bytes::from_static(b"0\n")];
    disk.run(Operation::Replace { path, pieces })
        .map_err(|error| disk_refused("write down that a part may be lost", error))?;
    Ok(0)
}
