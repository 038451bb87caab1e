//! Clients that make the coordinator keep more than it may: they are refused or disconnected, the log says which key is
//! meant for those who need more, and nobody else notices.

use super::{assert_memory_within, assert_serves_others};
use crate::harness::deployment::Deployment;
use crate::harness::lab;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire::{self, Body, Client, op};
use std::time::Duration;

/// What is answered beyond a limit.
const LIMIT_REACHED: i32 = -1;

fn server(keys: &[(&str, &str)]) -> Server {
    Server::start_with(&[("alive", 1)], |config| {
        for (key, value) in keys {
            set_key(config, "coordinator", key, value);
        }
    })
}

fn assert_told(server: &mut Server, key: &str) {
    eventually("the log names the key", Duration::from_secs(5), || {
        server.process().log().contains(key)
    });
}

/// A path of a kilobyte.
fn long(number: usize) -> String {
    format!("/{number:01000}")
}

#[test]
fn watches_of_one_connection_end_somewhere() {
    let mut server = server(&[("watch_bytes_per_connection_max", "1048576")]);
    let mut client = Client::connect(server.coordinator());
    let refused = (0..10_000).find(|&number| {
        let error = client.exists(&long(number), true).err();
        assert!(matches!(error, Some(-101 | LIMIT_REACHED)), "{error:?}");
        error == Some(LIMIT_REACHED)
    });
    let set = refused.expect("no client may watch without end");
    assert!((500..1_048).contains(&set), "{set} watches of a kilobyte");
    // The connection lives, those that were set are there, and one that fires makes room.
    assert_eq!(client.exists("/", false).map(|_| ()), Ok(()));
    let mut maker = Client::connect(server.coordinator());
    maker.create(&long(7), b"", 0).expect("create");
    assert_eq!(client.event(), (1, long(7)));
    assert_eq!(client.exists(&long(set), true), Err(-101));
    assert_told(&mut server, "coordinator.watch_bytes_per_connection_max");
    assert_serves_others(&server);
}

#[test]
fn too_many_watches_of_a_former_connection_close_the_new_one() {
    let mut server = server(&[("watch_bytes_per_connection_max", "1048576")]);
    let mut client = Client::connect(server.coordinator());
    let mut closed = false;
    for batch in 0..10 {
        let mut body = Body::new().long(0).int(0).int(200);
        for number in 0..200 {
            body = body.string(&long(batch * 200 + number));
        }
        client.send_with_xid(-8, op::SET_WATCHES, &body.int(0));
        match client.receive() {
            Ok(reply) if reply.error == 0 => {}
            // A client does not look at this answer, so it is not left with watches that are not there.
            _ => {
                closed = client.is_closed();
                break;
            }
        }
    }
    assert!(closed, "2000 watches of a kilobyte were set");
    assert_told(&mut server, "coordinator.watch_bytes_per_connection_max");
    assert_serves_others(&server);
}

#[test]
fn watches_of_many_connections_together_cost_those_that_have_most() {
    let _alone = lab::heavy();
    let mut server = server(&[
        ("watch_bytes_max", "33554432"),
        ("connections_per_address_max", "0"),
    ]);
    let mut modest = Client::connect(server.coordinator());
    assert_eq!(modest.exists("/modest", true), Err(-101));
    let mut crowd = Vec::new();
    for place in 0..20 {
        let mut client = Client::connect(server.coordinator());
        for batch in 0..4 {
            let mut body = Body::new().long(0).int(0).int(900);
            for number in 0..900 {
                body = body.string(&long(((place * 4) + batch) * 900 + number));
            }
            client.send_with_xid(-8, op::SET_WATCHES, &body.int(0));
            if client.receive().is_err() {
                break;
            }
        }
        crowd.push(client);
    }
    let left = crowd
        .iter_mut()
        .filter_map(|client| {
            client.send(op::PING, &Body::new());
            client.receive().ok()
        })
        .count();
    assert!((5..20).contains(&left), "{left} of 20 are left");
    let mut maker = Client::connect(server.coordinator());
    maker.create("/modest", b"", 0).expect("create");
    assert_eq!(modest.event(), (1, "/modest".to_owned()));
    assert_told(&mut server, "coordinator.watch_bytes_max");
    assert_memory_within(&mut server, 2 * 33_554_432);
    assert_serves_others(&server);
}

#[test]
fn sessions_that_are_left_behind_are_counted() {
    let mut server = server(&[
        ("sessions_per_address_max", "20"),
        ("sessions_max", "100"),
        ("connections_per_address_max", "0"),
    ]);
    let (mut first, welcome) = Client::session(server.coordinator(), 10_000);
    let mut granted = 0;
    loop {
        let mut client = Client::raw(server.coordinator());
        if client.handshake(0, 10_000, 0, &[0; 16], true).is_none() {
            break;
        }
        granted += 1;
        assert!(granted <= 20, "{granted} sessions of one address");
    }
    assert!(granted >= 15, "only {granted} sessions");
    assert_told(&mut server, "coordinator.sessions_per_address_max");
    // Whoever has a session goes on with it, also on another connection.
    assert_eq!(first.call(op::PING, &Body::new()).error, 0);
    let mut again = Client::raw(server.coordinator());
    let resumed = again
        .handshake(0, 10_000, welcome.session, &welcome.password, true)
        .expect("it is resumed");
    assert_eq!(resumed.session, welcome.session);
    // Who closes its session makes room for the next.
    again.close();
    Client::connect(server.coordinator()).close();
}

#[test]
fn a_tree_that_is_full_takes_nothing_more_and_can_be_emptied() {
    let mut server = server(&[("tree_bytes_max", "4194304")]);
    let mut client = Client::connect(server.coordinator());
    let data = vec![b'x'; 100_000];
    let full = (0..1_000).find(
        |number| match client.create(&format!("/n{number}"), &data, 0) {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error, LIMIT_REACHED);
                true
            }
        },
    );
    let full = full.expect("no client may fill the memory");
    assert!((35..=42).contains(&full), "{full} nodes of 100 kB");
    let set = |data: &[u8]| Body::new().string("/n0").bytes(data).int(-1);
    let larger = vec![b'y'; 200_000];
    assert_eq!(
        client.call(op::SET_DATA, &set(&larger)).error,
        LIMIT_REACHED
    );
    assert_eq!(client.call(op::SET_DATA, &set(b"small")).error, 0);
    assert_eq!(client.call(op::SET_DATA, &set(&data)).error, 0);
    let multi = Body::new()
        .int(op::CREATE)
        .bool(false)
        .int(-1)
        .string("/m")
        .bytes(&larger)
        .open_acl()
        .int(0)
        .int(-1)
        .bool(true)
        .int(-1);
    assert_eq!(client.call(op::MULTI, &multi).error, LIMIT_REACHED);
    assert_told(&mut server, "coordinator.tree_bytes_max");
    for number in 0..full {
        assert_eq!(client.delete(&format!("/n{number}"), -1), 0);
    }
    assert_serves_others(&server);
    client.create("/again", &data, 0).expect("there is room");
}

#[test]
fn a_list_of_permissions_that_means_too_much_is_refused() {
    let mut server = server(&[]);
    let mut client = Client::connect(server.coordinator());
    for user in 0..300 {
        let body = Body::new()
            .int(0)
            .string("digest")
            .bytes(format!("user{user}:x").as_bytes());
        client.send_with_xid(-4, op::AUTH, &body);
        assert_eq!(client.receive().expect("a reply").error, 0);
    }
    // Each line stands for three hundred identities, and together they would fill gigabytes.
    let mut body = Body::new().string("/much").bytes(b"").int(40_000);
    for bits in 0..40_000 {
        body = body.int(bits).string("auth").string("");
    }
    assert_eq!(client.call(op::CREATE, &body.int(0)).error, -114);
    assert_serves_others(&server);
    assert_memory_within(&mut server, 0);
}

/// Forty requests at a time whose frames are mostly padding: a decoder ignores it, memory does not.
#[test]
fn padding_behind_requests_that_wait_is_not_kept_without_end() {
    let _alone = lab::heavy();
    let mut server = server(&[("connections_per_address_max", "0")]);
    let read = |xid: i32| {
        Body::new()
            .int(xid)
            .int(op::GET_DATA)
            .string("/")
            .bool(false)
            .raw(&vec![0; 900_000])
            .0
    };
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = server.coordinator();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for round in 0..5 {
                    let path = format!("/p{round}-");
                    client.send(op::CREATE, &zookeeper_wire::create(&path, b"", 2));
                    for xid in 0..40 {
                        client.send_frame(&read(xid));
                    }
                    for _ in 0..41 {
                        assert_eq!(client.receive().expect("a reply").error, 0);
                    }
                }
            })
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        assert_memory_within(&mut server, 64 << 20);
        std::thread::sleep(Duration::from_millis(5));
    }
    for client in clients {
        client.join().expect("it is served");
    }
    assert_serves_others(&server);
}

#[test]
fn words_that_list_everything_end_somewhere() {
    let mut server = server(&[
        ("four_letter_words", "[\"*\"]"),
        ("watch_bytes_per_connection_max", "67108864"),
    ]);
    let mut client = Client::connect(server.coordinator());
    for batch in 0..8 {
        let mut body = Body::new().long(0).int(0).int(900);
        for number in 0..900 {
            body = body.string(&long(batch * 900 + number));
        }
        client.send_with_xid(-8, op::SET_WATCHES, &body.int(0));
        assert_eq!(client.receive().expect("a reply").error, 0);
    }
    for word in ["wchp", "wchc"] {
        let text = zookeeper_wire::four_letter_word(server.coordinator(), word).expect("a text");
        assert!(text.len() < 5 << 20, "{word}: {} bytes", text.len());
        let end = text.trim_end().lines().last();
        assert_eq!(end, Some("... (there is more: too long to be shown)"));
    }
    assert_serves_others(&server);
    assert_memory_within(&mut server, 32 << 20);
}

#[test]
fn a_directory_larger_than_what_a_connection_may_hold_is_listed_whole() {
    let server = Server::start_with(&[("alive", 1)], |config| {
        set_key(config, "network", "connection_bytes_max", "2200000");
    });
    let mut client = Client::connect(server.coordinator());
    let name = "n".repeat(4_000);
    for batch in 0..10 {
        let mut multi = Body::new();
        for number in 0..100 {
            multi = multi
                .int(op::CREATE)
                .bool(false)
                .int(-1)
                .raw(&zookeeper_wire::create(&format!("/{name}{batch}-{number}"), b"", 0).0);
        }
        let multi = multi.int(-1).bool(true).int(-1);
        assert_eq!(client.call(op::MULTI, &multi).error, 0);
    }
    for _ in 0..3 {
        let names = client.children("/", false).expect("list");
        assert!(names.len() > 1_000, "{} names", names.len());
    }
    // Asked for again and again without reading, it is too much at last.
    for _ in 0..30 {
        client.send(op::GET_CHILDREN, &Body::new().string("/").bool(false));
    }
    assert_serves_others(&server);
}

#[test]
fn a_connection_has_ten_seconds_to_get_its_session() {
    let _alone = lab::heavy();
    let server = server(&[("connections_per_address_max", "0")]);
    let start = std::time::Instant::now();
    let mut silent = Client::raw(server.coordinator());
    let mut dripping = Client::raw(server.coordinator());
    let mut hello = [0, 0, 0, 45].into_iter().chain([0; 45]);
    let mut ended = None;
    while ended.is_none() && start.elapsed() < Duration::from_secs(40) {
        // A byte a second never stops, and never becomes a handshake.
        let byte = hello.next().unwrap_or(0);
        if dripping.send_raw(&[byte]).is_err() || !dripping.is_silent(Duration::from_secs(1)) {
            ended = Some(start.elapsed());
        }
    }
    let ended = ended.expect("a drip is no session");
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(15)).contains(&ended),
        "closed after {ended:?}"
    );
    assert!(silent.is_closed());
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_serves_others(&server);
}
