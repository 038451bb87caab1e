//! One connection's socket, as it is or with TLS above it. Whoever reads and writes sees the same bytes.

use std::io;

use bytes::BytesMut;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::encrypted::Encrypted;

/// What a connection is read from and written to.
#[derive(Debug)]
pub enum Stream {
    /// The socket as it is.
    Plain(TcpStream),
    /// TLS above it.
    Encrypted(Box<Encrypted>),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// So many bytes were appended.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The other side has closed.
    End,
}

impl Stream {
    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Encrypted(encrypted) => encrypted.socket(),
        }
    }

    /// Reads once, as much as there is room for; with TLS a record may bring more than that.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn read(&self, room: &mut BytesMut) -> io::Result<Brought> {
        let read = match self {
            Stream::Plain(socket) => read_plain(socket, room),
            Stream::Encrypted(encrypted) => encrypted.read(room),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Brought::Nothing),
            read => read,
        }
    }
}

fn read_plain(socket: &TcpStream, room: &mut BytesMut) -> io::Result<Brought> {
    let size = room.capacity() - room.len();
    let count = socket.try_read_buf(room)?;
    if count == 0 {
        return Ok(Brought::End);
    }
    if count < size {
        emptied(socket);
    }
    Ok(Brought::Bytes(count))
}

/// After a short read the socket is drained: wait for readiness instead of spending a system call. An end of the
/// stream still makes it ready.
pub(super) fn emptied(socket: &TcpStream) {
    let nothing = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
    // It says what it was told.
    let _ = socket.try_io(Interest::READABLE, nothing);
}
