//! A server that answers every request at once, without doing anything: what the client can do at most.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::coordinator::{ConnectReply, Reply, Stat};
use crate::cursor::Reader;
use crate::operator::cli::instant;
use crate::units::Zxid;
use crate::wire::zookeeper::request::opcode;
use crate::wire::zookeeper::{frame, handshake, reply};

/// Room for one read.
const READ_BYTES: usize = 64 * 1024;

/// Starts it in a thread of its own, which ends with the process. A get is answered with `data`.
pub(super) fn start(data: Bytes) -> io::Result<SocketAddr> {
    instant::start("instant server", || {
        Ok(move |stream| serve(stream, data.clone()))
    })
}

async fn serve(mut stream: TcpStream, data: Bytes) -> io::Result<()> {
    let stat = Stat::default();
    let data = Reply::Data {
        data: Some(data[..].into()),
        stat,
    };
    let stat = Reply::Stat(stat);
    let mut input = BytesMut::new();
    let mut output = BytesMut::new();
    let mut is_first = true;
    loop {
        while let Some(payload) =
            frame::take(&mut input, frame::PAYLOAD_BYTES_MAX_DEFAULT).map_err(io::Error::other)?
        {
            if std::mem::take(&mut is_first) {
                welcome(&mut output);
                continue;
            }
            let mut header = Reader::new(&payload);
            let xid = header.i32().map_err(io::Error::other)?;
            let created;
            let reply = match header.i32().map_err(io::Error::other)? {
                opcode::SET_DATA => &stat,
                opcode::GET_DATA => &data,
                opcode::CREATE => {
                    let length = header.u32().map_err(io::Error::other)?;
                    let path = header.take(length as usize).map_err(io::Error::other)?;
                    created = Reply::Created { path: path.into() };
                    &created
                }
                _ => &Reply::Done,
            };
            reply::encode(xid, Zxid(1), Ok(reply), &mut output).map_err(io::Error::other)?;
        }
        stream.write_all_buf(&mut output).await?;
        input.reserve(READ_BYTES);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

fn welcome(output: &mut BytesMut) {
    let reply = ConnectReply {
        timeout_ms: 60_000,
        session: 1,
        password: [0; 16],
        read_only: Some(false),
    };
    handshake::encode_reply(&reply, output);
}
