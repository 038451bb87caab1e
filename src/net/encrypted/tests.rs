//! Two servers' streams over the loopback.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::authority::{Authority, Certificates};
use crate::net::handshake;
use crate::net::output::Output;
use crate::net::socket::{self, OpenFiles, Progress};
use crate::net::stream::Stream;
use crate::units::ServerId;

fn certificates(home: &Path, authority: &Authority, server: u16) -> Certificates {
    let (folder, server) = (home.join(server.to_string()), ServerId(server));
    crate::authority::trust(&home.join("authority"), &folder).expect("a copy");
    authority.issue(server, &folder).expect("a certificate");
    Certificates::load(&folder, server).expect("all fits")
}

/// A stream that connected and one that accepted, and one byte on its way to the first.
async fn pair() -> (Stream, Stream) {
    let home = TempDir::new().expect("a folder");
    let authority = Authority::make(&home.path().join("authority")).expect("an authority");
    let [first, second] = [1, 2].map(|id| certificates(home.path(), &authority, id));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let connect = async {
        let socket = TcpStream::connect(address).await.expect("it listens");
        let name = Certificates::name_of(ServerId(2));
        let session = handshake::connect(&socket, first.client(), name).await;
        Encrypted::new(socket, session.expect("they agree"))
    };
    let accept = async {
        let (socket, _) = listener.accept().await.expect("one comes");
        let session = handshake::accept(&socket, |_| second.accepting()).await;
        let accepted = Encrypted::new(socket, session.expect("they agree"));
        accepted
            .write(&[IoSlice::new(b"!")])
            .expect("there is room");
        accepted.flush().expect("there is room");
        accepted
    };
    let (connected, accepted) = tokio::join!(connect, accept);
    let stream = |encrypted| Stream::Encrypted(Box::new(encrypted));
    (stream(connected), stream(accepted))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    let ended = runtime.expect("a runtime").block_on(limited);
    ended.expect("it ends");
}

#[test]
fn what_the_handshake_brought_is_read_without_waiting() {
    run(async {
        let (connected, _accepted) = pair().await;
        let mut room = BytesMut::with_capacity(16);
        assert_eq!(
            connected.read(&mut room).expect("it is open"),
            Brought::Bytes(1)
        );
        assert_eq!(&room[..], b"!");
        assert_eq!(
            connected.read(&mut room).expect("it is open"),
            Brought::Nothing
        );
    });
}

#[test]
fn all_arrives_in_order_and_what_is_not_read_waits_in_the_queue() {
    run(async {
        let (reader, writer) = pair().await;
        let mut files = OpenFiles::new(1);
        let mut output = Output::default();
        let chunk: Vec<u8> = (0..=250).cycle().take(100_003).collect();
        let sent = Bytes::from(chunk.repeat(640));
        for piece in sent.chunks(100_003) {
            output.extend(piece);
        }
        let mut write = |output: &mut Output| loop {
            match socket::write(&writer, output, &mut files).expect("it is open") {
                Progress::Share => {}
                ended => return ended,
            }
        };
        assert_eq!(write(&mut output), Progress::Blocked);
        assert!(
            output.held_bytes() > sent.len() as u64 / 2,
            "the socket holds little"
        );

        let mut room = BytesMut::with_capacity(READ_BYTES);
        let mut heard = BytesMut::with_capacity(sent.len() + 1);
        while heard.len() < sent.len() + 1 {
            tokio::select! {
                ready = reader.socket().readable() => ready.expect("it is open"),
                ready = writer.socket().writable(), if !output.is_empty() => ready.expect("it is open"),
            }
            match reader.read(&mut room).expect("it is open") {
                Brought::Bytes(count) => assert_eq!(count, room.len()),
                Brought::Nothing => {}
                Brought::End => panic!("it is open"),
            }
            assert!(room.len() <= READ_BYTES + 20_000, "a read and a record");
            heard.extend_from_slice(&room);
            room.clear();
            write(&mut output);
        }
        assert_eq!(write(&mut output), Progress::Done);
        assert!(
            heard[0] == b'!' && heard[1..] == sent,
            "it is what was sent"
        );

        drop(writer);
        reader.socket().readable().await.expect("it is closed");
        assert_eq!(reader.read(&mut room).expect("it is closed"), Brought::End);
    });
}
