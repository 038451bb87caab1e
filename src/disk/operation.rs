//! Carries one operation out with plain system calls, on the thread that calls it.

use std::fs;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::sys::statvfs::statvfs;
use nix::sys::uio::pwritev;
use nix::unistd::syncfs;

use super::files::{OpenFile, Table};
use super::{
    ALIGNMENT, AlignedBuffer, Error, File, Mode, Operation, Outcome, Space, archive, folder, ring,
};

/// Pieces that one `pwritev` takes (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// How much is filled with one write.
const FILL_BYTES: usize = 1 << 20;

impl Operation {
    /// The verb phrase that errors use.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Open { .. } => "open",
            Operation::Close { .. } => "close",
            Operation::Length { .. } => "read length of",
            Operation::Read { .. } => "read",
            Operation::Write { .. } | Operation::WriteGather { .. } => "write",
            Operation::Sync { .. } => "sync",
            Operation::SyncFileSystem { .. } => "sync file system of",
            Operation::StartWriteBack { .. } => "start write-back of",
            Operation::Truncate { .. } => "truncate",
            Operation::Preallocate { .. } => "preallocate",
            Operation::Fill { .. } => "fill",
            Operation::Rename { .. } => "rename",
            Operation::Remove { .. } => "remove",
            Operation::Compress { .. } => "compress",
            Operation::RemoveFolder { .. } => "remove folder",
            Operation::List { .. } => "list",
            Operation::MakeFolder { .. } | Operation::MakeFolderWithin { .. } => "make folder",
            Operation::SyncFolder { .. } => "sync folder",
            Operation::Space { .. } => "read free space of",
            Operation::Replace { .. } => "replace",
        }
    }
}

/// Does it, and waits for it.
pub(super) fn carry_out(table: &Table, operation: Operation) -> Result<Outcome, Error> {
    let name = operation.name();
    match operation {
        Operation::Open { file, path, mode } => open(table, name, file, path, mode),
        Operation::Close { file } => {
            table.remove(file);
            Ok(Outcome::Done)
        }
        Operation::Read {
            file,
            position,
            length,
        } => on(table, name, file, |open| {
            read(open, position, length).map(Outcome::Read)
        }),
        Operation::Write {
            file,
            position,
            buffer,
        } => on(table, name, file, |open| {
            open.file.write_all_at(&buffer, position)?;
            Ok(Outcome::Written(buffer))
        }),
        Operation::WriteGather {
            file,
            position,
            pieces,
        } => on(table, name, file, |open| {
            write_gather(open, position, pieces)?;
            Ok(Outcome::Done)
        }),
        Operation::Length { file } => on(table, name, file, |open| {
            Ok(Outcome::Length(open.file.metadata()?.len()))
        }),
        Operation::Sync { file } => done(table, name, file, |open| open.file.sync_data()),
        Operation::SyncFileSystem { file } => {
            done(table, name, file, |open| Ok(syncfs(open.file.as_fd())?))
        }
        Operation::StartWriteBack {
            file,
            position,
            length,
        } => done(table, name, file, |open| {
            ring::start_write_back(&open.file, position, length)
        }),
        Operation::Truncate { file, length } => {
            done(table, name, file, |open| open.file.set_len(length))
        }
        Operation::Preallocate { file, length } => {
            done(table, name, file, |open| preallocate(open, length))
        }
        Operation::Fill {
            file,
            position,
            length,
        } => done(table, name, file, |open| fill(open, position, length)),
        Operation::Rename { from, to } => path_done(name, &from, fs::rename(&from, &to)),
        Operation::Remove { path } => path_done(name, &path, fs::remove_file(&path)),
        Operation::Compress { from, to, entry } => {
            path_done(name, &from, archive::compress(&from, &to, &entry))
        }
        Operation::RemoveFolder { path } => path_done(name, &path, fs::remove_dir(&path)),
        Operation::MakeFolder { path } => path_done(name, &path, fs::create_dir_all(&path)),
        Operation::MakeFolderWithin { path } => path_done(name, &path, folder::make_within(&path)),
        Operation::SyncFolder { path } => path_done(name, &path, folder::sync(&path)),
        Operation::List { path } => folder::list(&path)
            .map(Outcome::Listed)
            .map_err(|error| Error::new(name, &path, error)),
        Operation::Space { path } => space(&path)
            .map(Outcome::Space)
            .map_err(|error| Error::new(name, &path, error)),
        Operation::Replace { path, pieces } => path_done(name, &path, replace(&path, &pieces)),
    }
}

/// Does something with the open file of a handle; an error gets its path.
fn on(
    table: &Table,
    name: &'static str,
    file: File,
    act: impl FnOnce(&OpenFile) -> io::Result<Outcome>,
) -> Result<Outcome, Error> {
    let open: Arc<OpenFile> = table.get(name, file)?;
    act(&open).map_err(|error| Error::new(name, &open.path, error))
}

/// The same for what has nothing to tell.
fn done(
    table: &Table,
    name: &'static str,
    file: File,
    act: impl FnOnce(&OpenFile) -> io::Result<()>,
) -> Result<Outcome, Error> {
    on(table, name, file, |open| act(open).map(|()| Outcome::Done))
}

fn path_done(name: &'static str, path: &Path, result: io::Result<()>) -> Result<Outcome, Error> {
    result
        .map(|()| Outcome::Done)
        .map_err(|error| Error::new(name, path, error))
}

fn open(
    table: &Table,
    name: &'static str,
    file: File,
    path: PathBuf,
    mode: Mode,
) -> Result<Outcome, Error> {
    let created = mode != Mode::ReadOnly && !path.exists();
    let opened = match mode {
        Mode::Durable => open_durable(&path),
        Mode::Buffered => open_with(&path, OFlag::empty(), false).map(|file| (file, false)),
        Mode::Emptied => open_with(&path, OFlag::empty(), true).map(|file| (file, false)),
        Mode::ReadOnly => fs::File::open(&path).map(|file| (file, false)),
    };
    let (opened, direct) = opened.map_err(|error| Error::new(name, &path, error))?;
    let length = opened
        .metadata()
        .map_err(|error| Error::new(name, &path, error))?
        .len();
    table.insert(
        file,
        OpenFile {
            file: opened,
            path,
            direct,
        },
    );
    Ok(Outcome::Opened {
        direct,
        length,
        created,
    })
}

fn open_with(path: &Path, flags: OFlag, emptied: bool) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(emptied);
    options.custom_flags(flags.bits()).mode(0o640).open(path)
}

/// Has a new file overwritten in place, where that is not what the file system does anyway.
fn write_in_place(file: &fs::File) {
    let is_new = file.metadata().is_ok_and(|about| about.len() == 0);
    if is_new && folder::copies_on_write(file) {
        // Without it everything works until the disk is full.
        let _ = ring::write_in_place(file);
    }
}

/// Opens for writes that last. Some file systems refuse `O_DIRECT` at the open, some at the first use.
fn open_durable(path: &Path) -> io::Result<(fs::File, bool)> {
    match open_with(path, OFlag::O_DIRECT | OFlag::O_DSYNC, false) {
        Ok(file) => {
            write_in_place(&file);
            let mut probe = AlignedBuffer::new(ALIGNMENT);
            probe.set_len(ALIGNMENT);
            match file.read_at(&mut probe, 0) {
                Err(error) if refuses_direct(&error) => {}
                // Damage, if that is what it is, is told by the read that wants the bytes.
                _ => {
                    file.sync_data()?;
                    return Ok((file, true));
                }
            }
        }
        Err(error) if refuses_direct(&error) => {}
        Err(error) => return Err(error),
    }
    let file = open_with(path, OFlag::O_DSYNC, false)?;
    write_in_place(&file);
    // The page cache may hold what a process before us wrote and never synced, or what a failed sync left
    // marked as clean. Write it out, then forget it: what is read from now on is what the medium has.
    file.sync_data()?;
    let _ = posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    Ok((file, false))
}

fn refuses_direct(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EINVAL | Errno::EOPNOTSUPP)
    )
}

fn read(open: &OpenFile, position: u64, length: usize) -> io::Result<Bytes> {
    if !open.direct {
        let mut bytes = vec![0; length];
        let filled = read_full(&open.file, &mut bytes, position)?;
        bytes.truncate(filled);
        return Ok(Bytes::from(bytes));
    }
    let mut buffer = AlignedBuffer::new(length);
    buffer.set_len(length);
    let filled = read_full(&open.file, &mut buffer, position)?;
    buffer.set_len(filled);
    Ok(Bytes::from_owner(Readable(buffer)))
}

/// A buffer as the owner of shared bytes, so that direct reads are not copied.
struct Readable(AlignedBuffer);

impl AsRef<[u8]> for Readable {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn read_full(file: &fs::File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn write_gather(open: &OpenFile, mut position: u64, mut pieces: Vec<Bytes>) -> io::Result<()> {
    let mut rest = pieces.as_mut_slice();
    loop {
        while rest.first().is_some_and(Bytes::is_empty) {
            rest = &mut rest[1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        let slices: Vec<IoSlice<'_>> = rest
            .iter()
            .take(PIECES_MAX)
            .map(|piece| IoSlice::new(piece))
            .collect();
        let offset = i64::try_from(position).map_err(|_| Errno::EFBIG)?;
        let mut written = match pwritev(open.file.as_fd(), &slices, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        position += written as u64;
        while written > 0 {
            let count = written.min(rest[0].len());
            rest[0].advance(count);
            written -= count;
            if rest[0].is_empty() {
                rest = &mut rest[1..];
            }
        }
    }
}

fn preallocate(open: &OpenFile, length: u64) -> io::Result<()> {
    let present = open.file.metadata()?.len();
    let more = i64::try_from(length.saturating_sub(present)).map_err(|_| Errno::EFBIG)?;
    let from = i64::try_from(present).map_err(|_| Errno::EFBIG)?;
    if more == 0 {
        return Ok(());
    }
    match fallocate(open.file.as_fd(), FallocateFlags::empty(), from, more) {
        // Only zeros that were written reserve room there.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => fill(open, present, length - present),
        result => Ok(result?),
    }
}

fn fill(open: &OpenFile, position: u64, length: u64) -> io::Result<()> {
    let step = usize::try_from(length).map_or(FILL_BYTES, |length| length.min(FILL_BYTES));
    let mut zeros = AlignedBuffer::new(step);
    let end = position.checked_add(length).ok_or(Errno::EFBIG)?;
    let mut at = position;
    while at < end {
        let count = usize::try_from(end - at).map_or(step, |rest| rest.min(step));
        zeros.set_len(count);
        open.file.write_all_at(&zeros, at)?;
        at += count as u64;
    }
    Ok(())
}

fn space(path: &Path) -> io::Result<Space> {
    let told = statvfs(path)?;
    Ok(Space {
        total: told.blocks().saturating_mul(told.fragment_size()),
        free: told.blocks_available().saturating_mul(told.fragment_size()),
    })
}

/// Puts a file in place whole, so that it lasts: as [`Operation::Replace`] does, where no disk is open yet.
pub(crate) fn replace(path: &Path, pieces: &[Bytes]) -> io::Result<()> {
    let new = folder::new_name(path);
    let mut file = open_with(&new, OFlag::empty(), true)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_data()?;
    drop(file);
    fs::rename(&new, path)?;
    folder::sync(path.parent().unwrap_or(Path::new(".")))
}
