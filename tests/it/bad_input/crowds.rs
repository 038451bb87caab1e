//! Many clients that want nothing, and some that want much and take nothing.

use super::{assert_memory_within, assert_serves_others};
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::metaq_wire;
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire::{self, Body, hello, op};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What all connections together may take in these tests.
const CONNECTIONS_BYTES: u64 = 64 << 20;

fn server() -> Server {
    Server::start_with(&[("alive", 1), ("much", 1)], |config| {
        set_key(config, "coordinator", "connections_per_address_max", "0");
        set_key(config, "network", "connection_bytes_max", "4194304");
        set_key(
            config,
            "network",
            "all_connections_bytes_max",
            &CONNECTIONS_BYTES.to_string(),
        );
    })
}

/// Lets this process, and the server it starts, have this many sockets.
fn need_descriptors(count: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("ask for the limit");
    assert!(
        hard >= count,
        "this test needs a limit of {count} open files, the hard limit is {hard}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536), hard).expect("raise the soft limit");
}

#[test]
fn two_thousand_idle_and_half_sent_connections_disturb_nobody() {
    need_descriptors(4_096);
    let _alone = lab::heavy();
    let mut server = server();
    let hello = hello(40_000);
    let starts: [(SocketAddr, &[u8]); 5] = [
        (server.coordinator(), b""),
        (server.coordinator(), &hello),
        (server.coordinator(), &hello[..20]),
        (server.broker(), b""),
        (server.broker(), b"put alive 0 1000000 0 1 1\r\nand no more"),
    ];
    let crowd: Vec<TcpStream> = (0..2_000)
        .map(|number| {
            let (address, bytes) = starts[number % starts.len()];
            let mut socket = TcpStream::connect(address).expect("the port accepts");
            socket.write_all(bytes).expect("the server reads");
            socket
        })
        .collect();
    assert_serves_others(&server);
    assert_memory_within(&mut server, CONNECTIONS_BYTES);
    drop(crowd);
    assert_serves_others(&server);
}

#[test]
fn one_address_may_have_no_more_connections_than_configured() {
    let server = Server::start_with(&[("alive", 1)], |config| {
        set_key(config, "coordinator", "connections_per_address_max", "10");
    });
    // The broker's own session may come from the same address.
    let mut granted = Vec::new();
    loop {
        let mut client = zookeeper_wire::Client::raw(server.coordinator());
        if client.handshake(0, 10_000, 0, &[0; 16], true).is_none() {
            break;
        }
        granted.push(client);
        assert!(granted.len() <= 10, "an eleventh connection was granted");
    }
    assert!(
        granted.len() >= 8,
        "only {} connections were granted",
        granted.len()
    );
    for client in &mut granted {
        assert_eq!(
            client.call(op::PING, &Body::new()).error,
            0,
            "those that were there stay"
        );
    }
}

/// Sends requests for as long as the server takes them, and reads nothing.
fn ask_much(address: SocketAddr, hello: &[u8], request: &[u8], count: usize) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("the port accepts");
    socket
        .set_write_timeout(Some(Duration::from_millis(20)))
        .expect("set a timeout");
    socket.write_all(hello).expect("the server reads");
    if !hello.is_empty() {
        let mut welcome = [0; 41];
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("set a timeout");
        socket.read_exact(&mut welcome).expect("a session");
    }
    for _ in 0..count {
        match socket.write_all(request) {
            Ok(()) => {}
            // Back-pressure, or the server has had enough of us: both are its right.
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::InvalidInput);
                break;
            }
        }
    }
    socket
}

#[test]
fn a_hundred_that_ask_for_much_and_read_nothing_disturb_nobody() {
    let _alone = lab::heavy();
    let mut server = server();
    let mut filler = metaq_wire::Client::connect(server.broker());
    for _ in 0..32 {
        filler.put("much", 0, &vec![1; 1 << 20]).expect("put");
    }
    let mut owner = zookeeper_wire::Client::connect(server.coordinator());
    owner.create("/much", &vec![2; 900_000], 0).expect("create");

    let get = b"get much greedy 0 0 1048576 1\r\n".to_vec();
    let stats = b"stats offsets 1\r\n".to_vec();
    let hello = hello(40_000);
    let read = Body::new()
        .int(1)
        .int(op::GET_DATA)
        .string("/much")
        .bool(false)
        .0;
    let mut get_data = i32::try_from(read.len())
        .expect("small")
        .to_be_bytes()
        .to_vec();
    get_data.extend(read);
    let mut greedy = Vec::new();
    for number in 0..100 {
        greedy.push(match number % 3 {
            0 => ask_much(server.broker(), b"", &get, 2_000),
            1 => ask_much(server.coordinator(), &hello, &get_data, 2_000),
            _ => ask_much(server.broker(), b"", &stats, 20_000),
        });
        if number % 10 == 0 {
            assert_memory_within(&mut server, CONNECTIONS_BYTES);
        }
    }
    assert_serves_others(&server);
    assert_memory_within(&mut server, CONNECTIONS_BYTES);
    drop(greedy);
    assert_serves_others(&server);
}

#[test]
fn somebody_who_writes_without_reading_is_stopped_and_disturbs_nobody() {
    let _alone = lab::heavy();
    let mut server = server();
    // Puts whose answers nobody takes: they are stored, but not without end.
    let put = b"put much 0 1000 0 1\r\n"
        .iter()
        .copied()
        .chain(std::iter::repeat_n(b'x', 1_000))
        .collect::<Vec<u8>>();
    let writers: Vec<TcpStream> = (0..10)
        .map(|_| ask_much(server.broker(), b"", &put, 5_000))
        .collect();
    assert_serves_others(&server);
    assert_memory_within(&mut server, CONNECTIONS_BYTES);
    drop(writers);
}

#[test]
fn a_crowd_at_the_web_port_is_cut_and_leaves_room_for_others() {
    const WEB_CONNECTIONS_MAX: usize = 64;
    let server = Server::start(&[("alive", 1)]);
    let connect = || {
        let socket = TcpStream::connect(server.web()).expect("the port accepts");
        let limit = Some(Duration::from_secs(60));
        socket.set_read_timeout(limit).expect("set a timeout");
        socket
    };
    let mut crowd: Vec<TcpStream> = (0..WEB_CONNECTIONS_MAX).map(|_| connect()).collect();
    for socket in &mut crowd[1..] {
        socket
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n")
            .expect("the server reads");
    }
    let mut answer = Vec::new();
    let refused = connect().read_to_end(&mut answer);
    assert_eq!(refused.expect("it is closed"), 0);
    assert_serves_others(&server);

    // A drip does not keep a connection longer than silence does.
    let mut drip = crowd[1].try_clone().expect("a second handle");
    let dripping = std::thread::spawn(move || {
        while drip.write_all(b"a: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    for socket in &mut crowd {
        let mut byte = [0];
        // Bytes of the drip that were not read any more make it a reset.
        let ended = socket.read(&mut byte);
        assert!(!matches!(ended, Ok(1)), "half a request was answered");
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
    dripping.join().expect("the drip was cut");
    let mut socket = connect();
    socket
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("the server reads");
    // One answer, and the end: nobody holds a place for later.
    socket
        .read_to_end(&mut answer)
        .expect("an answer and the end");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{answer:?}");
}
