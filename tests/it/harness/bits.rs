//! Bits of files that turn over.

use std::fs;
use std::path::{Path, PathBuf};

/// The files in a folder that end like this, by name.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("list a folder")
        .map(|entry| entry.expect("list a folder").path())
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// Flips a bit in the first byte of `needle`, where that is found first.
pub(crate) fn flip(files: &[PathBuf], needle: &[u8]) -> PathBuf {
    for file in files {
        let mut bytes = fs::read(file).expect("read a file");
        if let Some(at) = bytes
            .windows(needle.len())
            .position(|window| window == needle)
        {
            bytes[at] ^= 0x10;
            fs::write(file, bytes).expect("write a file");
            return file.clone();
        }
    }
    panic!(
        "{} is in none of {files:?}",
        String::from_utf8_lossy(needle)
    );
}
