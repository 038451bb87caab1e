//! Bytes that make no sense, or come slowly, or stop coming.

use super::{assert_memory_within, assert_serves_others};
use crate::harness::deployment::Deployment;
use crate::harness::dice::Dice;
use crate::harness::metaq_wire::{self, Answer, checksum};
use crate::harness::server::Server;
use crate::harness::zookeeper_wire::{self, Body, hello, op};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

fn server() -> Server {
    Server::start(&[("alive", 1), ("drip", 1)])
}

fn ports(server: &Server) -> [SocketAddr; 3] {
    [server.coordinator(), server.broker(), server.web()]
}

/// Sends what it can and waits a moment for the server's opinion.
fn throw(address: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(address).expect("the port accepts");
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .expect("set a timeout");
    socket
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("set a timeout");
    // The server may hang up in the middle.
    let _ = socket.write_all(bytes);
    let mut answer = [0; 1024];
    let _ = socket.read(&mut answer);
}

#[test]
fn garbage_on_every_port_is_shrugged_off() {
    let mut server = server();
    let (_replay, mut dice) = Dice::seeded();
    // Beginnings that lead further into the parsers than chance does.
    let hello = hello(10_000);
    let beginnings: [&[u8]; 12] = [
        b"",
        b"put alive 0 ",
        b"get alive g 0 ",
        b"transaction TX:a-1-1:1 s ",
        b"sync alive 0 ",
        b"stats ",
        b"GET / HTTP/1.1\r\n",
        b"POST /health HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        &hello,
        b"mntr",
        b"\0\0\0\x2d",
        b"result 200 ",
    ];
    for address in ports(&server) {
        for round in 0..150 {
            let beginning = beginnings[round % beginnings.len()];
            let length = dice.roll(2000);
            let mut bytes = beginning.to_vec();
            bytes.extend(dice.bytes(length));
            if round % 3 == 0 {
                bytes.extend_from_slice(b"\r\n\r\n");
            }
            throw(address, &bytes);
        }
    }
    assert_serves_others(&server);
    assert_memory_within(&mut server, 0);
}

#[test]
fn garbage_behind_a_good_handshake_is_shrugged_off() {
    let mut server = server();
    let (_replay, mut dice) = Dice::seeded();
    for opcode in (-2..20).chain([100, 101, 102, 103, -11, 1_000_000]) {
        for _ in 0..8 {
            let mut client = zookeeper_wire::Client::connect(server.coordinator());
            let length = dice.roll(200);
            let garbage = dice.bytes(length);
            client.send(opcode, &Body::new().raw(&garbage));
            client.send(op::PING, &Body::new());
            // A reply, or the end of the connection: nothing else, and no silence.
            let _ = client.frame();
        }
    }
    assert_serves_others(&server);
    assert_memory_within(&mut server, 0);
}

#[test]
fn lengths_that_are_negative_huge_or_lying_cost_nothing() {
    let mut server = server();
    let coordinator = server.coordinator();
    for length in [-1, i32::MIN, i32::MAX, 0x0010_0000, 0] {
        let mut client = zookeeper_wire::Client::connect(coordinator);
        client
            .send_raw(&length.to_be_bytes())
            .expect("the server reads");
        client.send_raw(&[0; 64]).ok();
        assert!(client.is_closed(), "a frame of {length} bytes");
    }
    // Vectors and strings inside a frame that say they are longer than it.
    for body in [
        Body::new().int(i32::MAX),
        Body::new().string("/x").int(i32::MAX),
        Body::new().string("/x").bytes(b"").int(i32::MAX),
        Body::new()
            .string("/x")
            .bytes(b"")
            .int(1)
            .int(31)
            .int(0x0fff_ffff),
    ] {
        let mut client = zookeeper_wire::Client::connect(coordinator);
        assert_eq!(client.call(op::CREATE, &body).error, -5);
        assert_eq!(client.call(op::PING, &Body::new()).error, 0);
    }
    let mut client = zookeeper_wire::Client::connect(coordinator);
    let paths = Body::new().long(0).int(0x0800_0000);
    client.send_with_xid(-8, op::SET_WATCHES, &paths);
    assert_eq!(client.receive().expect("a reply").error, -5);

    let broker = server.broker();
    for line in [
        "put alive 0 -1 0 1\r\n",
        "put alive 0 -2147483648 0 1 1\r\n",
        "get alive g 0 0 99999999999 1\r\n",
    ] {
        let mut client = metaq_wire::Client::connect(broker);
        client.send(line.as_bytes()).expect("the server reads");
        assert!(client.is_closed(), "{line}");
    }
    // A body of 2 GiB that never comes: no memory is set aside for it, and what does come is not kept.
    for _ in 0..20 {
        let mut client = metaq_wire::Client::connect(broker);
        client
            .send(b"put alive 0 2147483647 0 1 7\r\n")
            .expect("the server reads");
        let _ = client.send(&vec![b'x'; 8 << 20]);
        match client.receive() {
            Ok(Answer::Result {
                code: 400, text, ..
            }) => assert!(!text.is_empty()),
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    assert_serves_others(&server);
    assert_memory_within(&mut server, 32 << 20);
}

#[test]
fn a_message_over_the_limit_is_refused_with_a_text_and_the_connection_goes_on() {
    let server = server();
    let mut client = metaq_wire::Client::connect(server.broker());
    let large = vec![7; (2 << 20) + 1];
    let (code, text) = client.put("alive", 0, &large).expect_err("it is too large");
    assert_eq!(code, 400, "{text}");
    assert!(!text.is_empty() && !text.contains('\u{65e0}'), "{text}");
    client
        .put("alive", 0, b"small")
        .expect("the connection goes on");
    client
        .put("alive", 0, &large[1..])
        .expect("the largest permitted message");
}

#[test]
fn half_a_request_waits_for_the_other_half() {
    let server = server();
    let mut stuck = Vec::new();
    let put = format!("put drip 0 5 0 {} 1\r\nhello", checksum(b"hello"));
    for cut in 1..put.len() {
        let mut client = metaq_wire::Client::connect(server.broker());
        client
            .send(&put.as_bytes()[..cut])
            .expect("the server reads");
        stuck.push((client, cut));
    }
    let mut half_frames = Vec::new();
    for cut in 1..12 {
        let mut client = zookeeper_wire::Client::connect(server.coordinator());
        let frame = Body::new()
            .int(14)
            .int(1)
            .int(op::EXISTS)
            .string("/")
            .bool(false)
            .0;
        client.send_raw(&frame[..cut]).expect("the server reads");
        half_frames.push((client, frame, cut));
    }
    assert_serves_others(&server);
    for (client, cut) in &mut stuck {
        client
            .send(&put.as_bytes()[*cut..])
            .expect("the server reads");
        let Ok(Answer::Result {
            code: 200,
            opaque: 1,
            ..
        }) = client.receive()
        else {
            panic!("a put cut after {cut} bytes");
        };
    }
    for (client, frame, cut) in &mut half_frames {
        client.send_raw(&frame[*cut..]).expect("the server reads");
        let reply = client.receive().expect("a reply");
        assert!(
            reply.error == 0,
            "an exists cut after {cut} bytes: {reply:?}"
        );
    }
    let mut reader = metaq_wire::Client::connect(server.broker());
    assert_eq!(reader.read_all("drip", 0).len(), stuck.len());
}

#[test]
fn requests_that_drip_in_byte_by_byte_are_served_and_disturb_nobody() {
    let server = server();
    let address = server.coordinator();
    let broker = server.broker();
    let drip = |mut socket: TcpStream, bytes: Vec<u8>| {
        std::thread::spawn(move || {
            socket.set_nodelay(true).expect("set an option");
            for byte in bytes {
                socket.write_all(&[byte]).expect("the server reads");
                sleep(Duration::from_millis(10));
            }
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .expect("set a timeout");
            let mut answer = vec![0; 4];
            socket
                .read_exact(&mut answer)
                .expect("an answer in the end");
            answer
        })
    };
    let hello = hello(10_000);
    let put = format!("put drip 0 5 0 {} 1\r\nhello", checksum(b"hello")).into_bytes();
    let slow = [
        drip(TcpStream::connect(address).expect("connect"), hello),
        drip(TcpStream::connect(broker).expect("connect"), put),
        drip(
            TcpStream::connect(server.web()).expect("connect"),
            b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
    ];
    for _ in 0..20 {
        assert_serves_others(&server);
    }
    let answers: Vec<Vec<u8>> = slow
        .into_iter()
        .map(|thread| thread.join().expect("it is answered"))
        .collect();
    assert_eq!(
        answers,
        [
            37_i32.to_be_bytes().to_vec(),
            b"resu".to_vec(),
            b"HTTP".to_vec()
        ]
    );
}
