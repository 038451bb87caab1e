//! A connection with TLS above its socket, after the handshake.
//!
//! What waits here is bounded: encrypted bytes that the socket does not take by `AHEAD_BYTES`, and what was read by one read and one
//! record. The library reads 4 KiB at a time, so the socket is read here, with one call for much.

use std::cell::RefCell;
use std::io::{self, BufRead as _, IoSlice, Write};

use bytes::BytesMut;
use rustls::Connection;
use tokio::net::TcpStream;

use super::stream::{Brought, emptied};

/// So much is encrypted before the socket has taken it.
const AHEAD_BYTES: usize = 256 * 1024;
/// What one read of the socket takes.
const READ_BYTES: usize = 128 * 1024;
/// And at least so much, however little room there is for it: a record is longer than what is in it.
const READ_BYTES_MIN: usize = 4 * 1024;

/// A socket and its TLS session.
#[derive(Debug)]
pub struct Encrypted {
    socket: TcpStream,
    session: RefCell<Connection>,
    /// What the socket is read into.
    raw: RefCell<Box<[u8]>>,
}

impl Encrypted {
    /// `session` has been agreed on over `socket`.
    pub fn new(socket: TcpStream, mut session: Connection) -> Encrypted {
        session.set_buffer_limit(Some(AHEAD_BYTES));
        Encrypted {
            socket,
            session: RefCell::new(session),
            raw: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
        }
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn read(&self, room: &mut BytesMut) -> io::Result<Brought> {
        let mut session = self.session.borrow_mut();
        let before = room.len();
        // The handshake may have brought more than itself.
        take_plaintext(&mut session, room)?;
        if room.len() > before {
            return Ok(Brought::Bytes(room.len() - before));
        }
        let mut raw = self.raw.borrow_mut();
        let size = (room.capacity() - room.len()).clamp(READ_BYTES_MIN, raw.len());
        let count = self.socket.try_read(&mut raw[..size])?;
        if count == 0 {
            return Ok(Brought::End);
        }
        if count < size {
            emptied(&self.socket);
        }
        let mut left = &raw[..count];
        while !left.is_empty() {
            // Nothing is taken behind the other side's farewell.
            if session.read_tls(&mut left)? == 0 {
                break;
            }
            if let Err(error) = session.process_new_packets() {
                // It tells the other side why, if it still can.
                let _told = session.write_tls(&mut Socket(&self.socket));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            take_plaintext(&mut session, room)?;
        }
        Ok(match (room.len() - before, left.is_empty()) {
            (0, true) => Brought::Nothing,
            (0, false) => Brought::End,
            (count, _) => Brought::Bytes(count),
        })
    }

    /// Encrypts some of these bytes, and says how many; to be followed by [`Encrypted::flush`].
    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.borrow_mut().writer().write_vectored(slices)
    }

    /// Writes all that is encrypted to the socket.
    ///
    /// # Errors
    /// The connection is broken; or it is [`io::ErrorKind::WouldBlock`], and some of it waits.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        while session.wants_write() {
            if session.write_tls(&mut Socket(&self.socket))? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// Appends what was decrypted.
fn take_plaintext(session: &mut Connection, room: &mut BytesMut) -> io::Result<()> {
    loop {
        let mut reader = session.reader();
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(chunk) => {
                let count = chunk.len();
                room.extend_from_slice(chunk);
                reader.consume(count);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A socket as the library wants one: it never waits.
pub(super) struct Socket<'a>(pub(super) &'a TcpStream);

impl io::Read for Socket<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
