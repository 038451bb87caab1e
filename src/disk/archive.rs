//! Compressing a file that is done with, on a thread that has all the time it takes.

use std::fs;
use std::io;
use std::path::Path;

use zip::write::{SimpleFileOptions, ZipWriter};

use super::folder;

/// Files from this size on need the format's 64-bit fields.
const LARGE_BYTES: u64 = u32::MAX as u64;

/// Makes a zip archive at `to` of the file at `from`, which is named `entry` in it, and removes `from`. After a
/// crash there are `from`, or `to`, or both, each whole; and perhaps the beginning of `to` with `.new` appended.
pub(super) fn compress(from: &Path, to: &Path, entry: &str) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let about = source.metadata()?;
    let new = folder::new_name(to);
    let options = SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated)
        .large_file(about.len() >= LARGE_BYTES);
    let mut archive = ZipWriter::new(fs::File::create(&new)?);
    archive.start_file(entry, options)?;
    io::copy(&mut source, &mut archive)?;
    let file = archive.finish()?;
    file.set_permissions(about.permissions())?;
    // Scripts that clear archives away go by the time of the last message.
    file.set_modified(about.modified()?)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, to)?;
    let parent = to.parent().unwrap_or(Path::new("."));
    folder::sync(parent)?;
    fs::remove_file(from)?;
    folder::sync(parent)
}
