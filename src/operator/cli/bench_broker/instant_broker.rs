//! A broker that answers everything at once, without doing anything: what the client can do at most.
//!
//! A put is always stored at offset 0. Each partition is an endless file of 1-KiB messages, of which every get
//! finds the same piece; it lies in memory and is sent as segment files are, by `sendfile`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::net::TcpStream;

use super::frames::payload;
use crate::broker::{Reply, Request};
use crate::net::codec::Codec as _;
use crate::net::metaq_connection::MetaqConnection;
use crate::net::output::FileRange;
use crate::net::socket::{self, OpenFiles, Progress};
use crate::net::stream::{Brought, Stream};
use crate::operator::cli::instant;
use crate::segments::format::{self, Header};
use crate::wire::metaq::Limits;

/// Bytes of each message that a get finds.
const MESSAGE_BYTES: usize = 1024;
/// What one get finds at most.
const TRANSFER_BYTES: usize = 1024 * 1024;

/// Starts it in a thread of its own, which ends with the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    instant::start("instant broker", || {
        let partition = Rc::new(Partition::new()?);
        Ok(move |stream| serve(stream, Rc::clone(&partition)))
    })
}

/// What every get finds.
struct Partition {
    /// Keeps the path alive.
    _file: File,
    path: Rc<PathBuf>,
    length: u64,
    open: RefCell<OpenFiles>,
}

impl Partition {
    fn new() -> io::Result<Partition> {
        let mut file = File::from(memfd_create(c"instant-broker", MFdFlags::MFD_CLOEXEC)?);
        let records = records();
        file.write_all(&records)?;
        let path = Rc::new(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
        let (length, open) = (records.len() as u64, RefCell::new(OpenFiles::new(1)));
        Ok(Partition {
            _file: file,
            path,
            length,
            open,
        })
    }

    fn range(&self, length_max: i32) -> FileRange {
        let length_max = u64::try_from(length_max).unwrap_or(0);
        let (path, length) = (Rc::clone(&self.path), self.length.min(length_max));
        FileRange {
            path,
            position: 0,
            length,
        }
    }
}

/// As many whole messages as one get finds.
fn records() -> Bytes {
    let data = payload(MESSAGE_BYTES);
    let length = u32::try_from(MESSAGE_BYTES).expect("a message is short");
    let checksum = format::checksum(&data);
    let header = Header {
        length,
        checksum,
        message_id: 1,
        flag: 0,
    }
    .encode();
    let record = [&header[..], &data].concat();
    record.repeat(TRANSFER_BYTES / record.len()).into()
}

async fn serve(socket: TcpStream, partition: Rc<Partition>) -> io::Result<()> {
    let mut connection = MetaqConnection::new(Limits {
        body_bytes: usize::MAX,
        ..Limits::DEFAULT
    });
    let stream = Stream::Plain(socket);
    loop {
        match stream.read(connection.room())? {
            Brought::End => return Ok(()),
            Brought::Bytes(count) => connection.received(count),
            Brought::Nothing => {
                stream.socket().readable().await?;
                continue;
            }
        }
        while let Some(asked) = connection.next_request().map_err(io::Error::other)? {
            match asked.request {
                Request::Get(get) => connection.value(asked.opaque, partition.range(get.max_size)),
                other => connection.reply(asked.opaque, &instant_reply(&other)),
            }
        }
        loop {
            let progress = {
                let mut open = partition.open.borrow_mut();
                socket::write(&stream, connection.output(), &mut open)?
            };
            match progress {
                Progress::Done => break,
                Progress::Blocked => stream.socket().writable().await?,
                Progress::Share => tokio::task::yield_now().await,
            }
        }
    }
}

fn instant_reply(request: &Request) -> Reply {
    match request {
        Request::Put(put) => Reply::Stored {
            message_id: 1_661_382_015_569_653_763,
            partition: put.partition,
            offset: 0,
        },
        Request::Offset(query) if query.offset == 0 => Reply::Offset(0),
        // Far behind whatever is asked for: the file is endless.
        Request::Offset(_) => Reply::Offset(i64::MAX.unsigned_abs()),
        _ => Reply::Text(Bytes::from_static(b"instant")),
    }
}
