//! Changes that a command makes to what the operator wrote: a topic more, and nothing else touched.
//!
//! A file is replaced as a whole or not at all, and only by one that was read and found right.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Puts `text` in the place of the file `path`, in one step that a crash cannot cut in half. The new
/// file has the permissions of the old one.
///
/// # Errors
/// The folder cannot be written.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = write_synced(beside, path, text).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // What is left of the attempt is of no use to anybody, and may be missing altogether.
        let _removed = fs::remove_file(beside);
        return written;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write_synced(beside: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(beside)?;
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
