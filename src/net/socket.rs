//! Writing an output queue to a socket, bytes by a gathering write and file ranges by `sendfile`; or through TLS, where no file is sent.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::encrypted::Encrypted;
use super::output::{Chunk, FileRange, Output};
use super::stream::Stream;

/// How many chunks one gathering write takes.
const SLICES_MAX: usize = 64;
/// How many bytes one `sendfile` moves before others get their turn.
const SENDFILE_BYTES: usize = 256 * 1024;
/// How many bytes one connection may write before others get their turn.
const TURN_BYTES: u64 = 2 * 1024 * 1024;

/// What became of a try to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The queue is empty.
    Done,
    /// The peer does not take more now: wait until the socket is writable.
    Blocked,
    /// The turn's share is used up: go on in the next one.
    Share,
}

/// Open segment files, for `sendfile`; the least recently used is closed first.
///
/// A file that retention deleted stays readable through its descriptor, so a send that began ends well.
#[derive(Debug)]
pub struct OpenFiles {
    files: HashMap<Rc<PathBuf>, (File, u64)>,
    files_max: usize,
    clock: u64,
}

impl OpenFiles {
    /// Keeps at most `files_max` open.
    pub fn new(files_max: usize) -> OpenFiles {
        OpenFiles {
            files: HashMap::new(),
            files_max: files_max.max(1),
            clock: 0,
        }
    }

    /// Closes a file that is about to be replaced.
    pub fn forget(&mut self, path: &PathBuf) {
        self.files.remove(path);
    }

    /// Closes the least recently used one; false if there is none.
    fn close_oldest(&mut self) -> bool {
        let oldest = self
            .files
            .iter()
            .min_by_key(|(_, (_, used))| *used)
            .map(|(path, _)| Rc::clone(path));
        oldest.is_some_and(|path| self.files.remove(&path).is_some())
    }

    fn get(&mut self, path: &Rc<PathBuf>) -> io::Result<&File> {
        self.clock += 1;
        if !self.files.contains_key(path) {
            if self.files.len() >= self.files_max {
                self.close_oldest();
            }
            let file = match File::open(path.as_path()) {
                // Of all descriptors these are the ones that can be spared.
                Err(error) if has_no_descriptor(&error) && self.close_oldest() => {
                    File::open(path.as_path())?
                }
                opened => opened?,
            };
            self.files.insert(Rc::clone(path), (file, 0));
        }
        let entry = self
            .files
            .get_mut(path)
            .expect("it was there, or was just inserted");
        entry.1 = self.clock;
        Ok(&entry.0)
    }
}

fn has_no_descriptor(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EMFILE | Errno::ENFILE))
}

/// Writes as much as the peer takes, up to a turn's share.
///
/// # Errors
/// The connection is broken, or a file cannot be read to the length that was promised to the peer: the
/// connection has to be closed, because what was announced cannot be sent.
pub fn write(stream: &Stream, output: &mut Output, files: &mut OpenFiles) -> io::Result<Progress> {
    match stream {
        Stream::Plain(socket) => write_plain(socket, output, files),
        Stream::Encrypted(encrypted) => write_encrypted(encrypted, output),
    }
}

fn write_plain(
    stream: &TcpStream,
    output: &mut Output,
    files: &mut OpenFiles,
) -> io::Result<Progress> {
    let mut share = TURN_BYTES;
    loop {
        let sent = match output.front() {
            None => return Ok(Progress::Done),
            Some(Chunk::Bytes(_)) => write_bytes(stream, output),
            Some(Chunk::File(range)) => send_file(stream, &range.clone(), files),
        };
        match sent {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                output.written(count);
                share = share.saturating_sub(count);
                if share == 0 && !output.is_empty() {
                    return Ok(Progress::Share);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Progress::Blocked);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Encrypts several chunks into few records, and writes those with one call: what is taken from the queue waits in the session
/// until the socket has it, and nothing more is taken meanwhile.
fn write_encrypted(encrypted: &Encrypted, output: &mut Output) -> io::Result<Progress> {
    let mut share = TURN_BYTES;
    loop {
        match encrypted.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Progress::Blocked);
            }
            flushed => flushed?,
        }
        match output.front() {
            None => return Ok(Progress::Done),
            Some(_) if share == 0 => return Ok(Progress::Share),
            Some(Chunk::Bytes(_)) => {}
            Some(Chunk::File(_)) => return Err(io::ErrorKind::Unsupported.into()),
        }
        let count = encrypted.write(&slices(output))? as u64;
        output.written(count);
        share = share.saturating_sub(count);
    }
}

fn write_bytes(stream: &TcpStream, output: &mut Output) -> io::Result<u64> {
    Ok(stream.try_write_vectored(&slices(output))? as u64)
}

fn slices(output: &mut Output) -> Vec<IoSlice<'_>> {
    let bytes = output.front_bytes().take(SLICES_MAX);
    bytes.map(|bytes| IoSlice::new(bytes)).collect()
}

fn send_file(stream: &TcpStream, range: &FileRange, files: &mut OpenFiles) -> io::Result<u64> {
    let file = files.get(&range.path)?;
    let count = usize::try_from(range.length)
        .unwrap_or(usize::MAX)
        .min(SENDFILE_BYTES);
    let mut position = i64::try_from(range.position).map_err(io::Error::other)?;
    let sent = stream.try_io(Interest::WRITABLE, || {
        sendfile64(stream, file, Some(&mut position), count).map_err(io::Error::from)
    })?;
    if sent == 0 {
        let path = range.path.display();
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{path} ends before byte {}", range.position),
        ));
    }
    Ok(sent as u64)
}
