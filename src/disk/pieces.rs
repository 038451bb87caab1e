//! A file read piece by piece, at once: for starts and tools.

use std::ops::{ControlFlow, Range};
use std::path::Path;

use bytes::Bytes;

use super::{Class, Disk, Error, Mode, Operation, Outcome};

/// How much is read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Hands a range of the file to `take`, piece by piece, until the range or the file ends, or `take` has enough.
///
/// # Errors
/// The file cannot be opened or read.
pub fn read_pieces(
    disk: &mut dyn Disk,
    path: &Path,
    range: Range<u64>,
    mut take: impl FnMut(&Bytes) -> ControlFlow<()>,
) -> Result<(), Error> {
    let file = disk.reserve();
    disk.run(Operation::Open {
        file,
        path: path.to_path_buf(),
        mode: Mode::ReadOnly,
    })?;
    let mut position = range.start;
    while position < range.end {
        let length = (range.end - position).min(PIECE_BYTES);
        let read = disk.run(Operation::Read {
            file,
            position,
            length: usize::try_from(length).unwrap_or(usize::MAX),
        });
        let bytes = match read {
            Ok(Outcome::Read(bytes)) => bytes,
            Ok(_) => unreachable!("a read is answered with bytes"),
            Err(error) => {
                // What is told is why it cannot be read.
                let _ = disk.run(Operation::Close { file });
                return Err(error);
            }
        };
        if bytes.is_empty() || take(&bytes).is_break() {
            break;
        }
        position += bytes.len() as u64;
    }
    disk.run(Operation::Close { file }).map(drop)
}

/// Reads all of a file.
///
/// # Errors
/// The file cannot be opened or read.
pub fn read_whole(disk: &mut dyn Disk, path: &Path) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    read_pieces(disk, path, 0..u64::MAX, |bytes| {
        whole.extend_from_slice(bytes);
        ControlFlow::Continue(())
    })?;
    Ok(whole)
}

/// Reads all of a file, if there is one.
///
/// # Errors
/// The file is there, and cannot be opened or read.
pub fn read_if_there(disk: &mut dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read_whole(disk, path) {
        Ok(whole) => Ok(Some(whole)),
        Err(error) if error.class == Class::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file, if there is one; whether there was. Lasts once the folder was synced.
///
/// # Errors
/// The file is there, and cannot be removed.
pub fn remove_if_there(disk: &mut dyn Disk, path: &Path) -> Result<bool, Error> {
    let path = path.to_path_buf();
    match disk.run(Operation::Remove { path }) {
        Ok(_) => Ok(true),
        Err(error) if error.class == Class::Missing => Ok(false),
        Err(error) => Err(error),
    }
}
