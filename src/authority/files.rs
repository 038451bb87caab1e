//! The files of a folder of certificates: read with what is wrong with them, and written so that a crash leaves each whole or as it was.
//!
//! What root writes belongs to whom the folder belongs to, because the server is that user's.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::certificate::Certificate;
use super::error::{Error, Unusable};

/// Only its owner may read a key.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;
/// Nobody else has anything to look for in the folder.
const FOLDER_MODE: u32 = 0o700;
/// No file of certificates is longer.
const BYTES_MAX: u64 = 1 << 20;

/// What is in a file.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let read = || {
        if fs::metadata(path)?.len() > BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        fs::read_to_string(path)
    };
    read().map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => Unusable::Missing,
            io::ErrorKind::InvalidData => Unusable::NoPem,
            _ => Unusable::Unreadable(error),
        };
        Error::new(path, why)
    })
}

/// What is in a file with a key, if only its owner may read it.
pub(super) fn key_text(path: &Path) -> Result<String, Error> {
    let text = text(path)?;
    let about = fs::metadata(path);
    let about = about.map_err(|error| Error::new(path, Unusable::Unreadable(error)))?;
    let mode = about.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(text),
        _ => Err(Error::new(path, Unusable::Open(mode))),
    }
}

/// The certificates in a file: at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let text = text(path)?;
    let all = CertificateDer::pem_slice_iter(text.as_bytes());
    let all: Option<Vec<Certificate>> = all.map(|der| Certificate::read(der.ok()?)).collect();
    all.filter(|all| !all.is_empty())
        .ok_or_else(|| Error::new(path, Unusable::NoPem))
}

/// Makes a folder, which may exist, below one that does.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    let make = || {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
                return Ok(());
            }
            made => made?,
        }
        let above = above(folder);
        let owner = fs::metadata(above)?;
        if fs::metadata(folder)?.uid() != owner.uid() {
            chown(folder, Some(owner.uid()), Some(owner.gid()))?;
        }
        sync(above)
    };
    make().map_err(|error| Error::new(folder, Unusable::Unwritable(error)))
}

/// Waits until nobody else makes certificates in a folder: two of them would leave the key of one and the certificate of the other.
pub(super) fn lock(folder: &Path) -> Result<File, Error> {
    let locked = File::open(folder).and_then(|opened| opened.lock().map(|()| opened));
    locked.map_err(|error| Error::new(folder, Unusable::Unwritable(error)))
}

/// Writes a file that everybody may read.
pub(super) fn put(path: &Path, text: &[u8]) -> Result<(), Error> {
    let put = || {
        let new = write_beside(path, text, CERTIFICATE_MODE)?;
        fs::rename(new, path)?;
        sync(above(path))
    };
    put().map_err(|error| Error::new(path, Unusable::Unwritable(error)))
}

/// Writes a key.
pub(super) fn put_key(path: &Path, text: &[u8]) -> Result<(), Error> {
    let put = || {
        let new = write_beside(path, text, KEY_MODE)?;
        fs::rename(new, path)?;
        sync(above(path))
    };
    put().map_err(|error| Error::new(path, Unusable::Unwritable(error)))
}

/// Writes a key and its certificate: both are on disk before either has its name.
pub(super) fn put_both(
    (key, key_text): (&Path, &[u8]),
    (certificate, text): (&Path, &[u8]),
) -> Result<(), Error> {
    let put = || {
        let new_key = write_beside(key, key_text, KEY_MODE)?;
        let new = write_beside(certificate, text, CERTIFICATE_MODE)?;
        fs::rename(new_key, key)?;
        fs::rename(new, certificate)?;
        sync(above(certificate))
    };
    put().map_err(|error| Error::new(certificate, Unusable::Unwritable(error)))
}

/// Gives a certificate its name that a crash has left without it, beside a key that has its own.
pub(super) fn name_certificate(path: &Path) -> io::Result<()> {
    fs::rename(beside(path), path)?;
    sync(above(path))
}

/// What a file is called while it is written.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    PathBuf::from(name)
}

/// Writes a file under a name of its own, with the mode and the owner that it is to have.
fn write_beside(path: &Path, text: &[u8], mode: u32) -> io::Result<PathBuf> {
    let beside = beside(path);
    // What a crash left may have been open to others.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    let owner = fs::metadata(above(path))?;
    if file.metadata()?.uid() != owner.uid() {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    Ok(beside)
}

fn above(path: &Path) -> &Path {
    let above = path.parent().unwrap_or(Path::new("."));
    match above.as_os_str().is_empty() {
        true => Path::new("."),
        false => above,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
