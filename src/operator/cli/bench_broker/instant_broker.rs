//! A broker that answers everything at once, without doing anything: what the client can do at most.
//!
//! A put is always stored at offset 0; each partition holds one endless file of 1-KiB messages.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::frames::payload;
use crate::broker::{Reply, Request};
use crate::net::metaq_connection::MetaqConnection;
use crate::net::output::Chunk;
use crate::segments::format::{self, Header};
use crate::wire::metaq::{Limits, reply};

/// Bytes of each message that a get finds.
const MESSAGE_BYTES: usize = 1024;
/// What one get finds at most.
const TRANSFER_BYTES: usize = 1024 * 1024;

/// Starts it in a thread of its own, which ends with the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("instant-broker".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                // Whoever started us waits for this, or is gone and needs nothing.
                let _told = tell.send(listener.local_addr()?);
                let records = records();
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    // A client that is gone ends its own conversation only.
                    let _task = tokio::task::spawn_local(serve(stream, records.clone()));
                }
            })
        })
        .map(|_: thread::JoinHandle<io::Result<()>>| ())?;
    told.recv()
        .map_err(|_| io::Error::other("the instant broker did not start"))
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

async fn serve(mut stream: TcpStream, records: Bytes) -> io::Result<()> {
    let mut connection = MetaqConnection::new(Limits {
        body_bytes: usize::MAX,
        ..Limits::DEFAULT
    });
    let stored = Reply::Stored {
        message_id: 1_661_382_015_569_653_763,
        partition: 0,
        offset: 0,
    };
    loop {
        let count = stream.read_buf(connection.room()).await?;
        if count == 0 {
            return Ok(());
        }
        connection.received(count);
        while let Some(asked) = connection.next_request().map_err(io::Error::other)? {
            match asked.request {
                Request::Put(_) => connection.reply(asked.opaque, &stored),
                Request::Offset(query) if query.offset == 0 => {
                    connection.reply(asked.opaque, &Reply::Offset(0));
                }
                Request::Offset(_) => connection.reply(asked.opaque, &Reply::Offset(u64::MAX / 2)),
                Request::Get(get) => {
                    // One is under way at a time, so the output is empty.
                    let size = usize::try_from(get.max_size)
                        .unwrap_or(0)
                        .min(records.len());
                    let mut header = BytesMut::new();
                    reply::encode_value_header(&mut header, asked.opaque, size);
                    stream
                        .write_all_buf(&mut header.chain(&records[..size]))
                        .await?;
                }
                _ => connection.reply(asked.opaque, &Reply::Text(Bytes::from_static(b"0"))),
            }
        }
        while let Some(Chunk::Bytes(bytes)) = connection.output().front().cloned() {
            stream.write_all(&bytes).await?;
            connection.output().written(bytes.len() as u64);
        }
    }
}
