//! Gets that wait at the end of a partition, and partitions that are closed, over the wire.

use crate::harness::command::status;
use crate::harness::deployment::{Deployment, START_LIMIT};
use crate::harness::metaq_wire::{Answer, Client, records};
use crate::harness::process::eventually;
use crate::harness::server::{CHRYSALIS, Server, set_key};
use crate::harness::zookeeper_wire;
use std::process::Command;
use std::time::{Duration, Instant};

mod another_zookeeper;

/// Makes the owner nodes that a subscribed consumer makes, and keeps them as long as what it returns lives.
fn own(server: &Server, partitions: &[u32]) -> zookeeper_wire::Client {
    own_as(server, partitions, "g_consumer-1")
}

fn own_as(server: &Server, partitions: &[u32], consumer: &str) -> zookeeper_wire::Client {
    let mut tree = zookeeper_wire::Client::connect(server.coordinator());
    make_owner_nodes(&mut tree, 1, consumer, partitions);
    tree
}

/// The same for any broker and consumer.
fn make_owner_nodes(
    tree: &mut zookeeper_wire::Client,
    broker: u16,
    consumer: &str,
    partitions: &[u32],
) {
    for path in [
        "/meta",
        "/meta/consumers",
        "/meta/consumers/g",
        "/meta/consumers/g/owners",
        "/meta/consumers/g/owners/test",
    ] {
        // The broker makes the first one as well.
        let _made = tree.create(path, b"", 0);
    }
    for partition in partitions {
        let path = format!("/meta/consumers/g/owners/test/{broker}-{partition}");
        tree.create(&path, consumer.as_bytes(), 1)
            .expect("nobody owns it yet");
    }
}

/// Puts an empty message, and returns when it is in its file, where gets see it.
fn first_message(client: &mut Client, partition: i32) {
    client.put("test", partition, b"").expect("it is taken");
    assert_eq!(client.read_all("test", partition).len(), 1);
}

/// Sends a get of the group that owns partitions, and does not wait for the answer.
fn send_get(client: &mut Client, partition: u32, offset: u64) -> i32 {
    let opaque = client.next_opaque();
    let line = format!("get test g {partition} {offset} 4096 {opaque}\r\n");
    client.send(line.as_bytes()).expect("the server takes it");
    opaque
}

/// The next answer: its opaque and what it says.
fn next(client: &mut Client) -> (i32, String) {
    match client.receive().expect("an answer") {
        Answer::Result { code, opaque, text } => (opaque, format!("{code} {text}")),
        Answer::Value { opaque, bytes } => {
            let (found, _) = records(&bytes);
            let sound = found.iter().all(|record| record.sound);
            let data: Vec<_> = found
                .iter()
                .map(|record| String::from_utf8_lossy(&record.data).into_owned())
                .collect();
            let kind = if sound { "messages" } else { "bad record" };
            (opaque, format!("{kind} {}", data.join(",")))
        }
    }
}

/// Until the server says that so many gets are held: all that was sent before has arrived.
fn wait_for_held(server: &Server, count: u64) {
    eventually("the gets are held", START_LIMIT, || {
        status(server)["broker"]["held_gets"] == count
    });
}

#[test]
fn a_get_waits_for_the_next_message_and_nothing_waits_behind_it() {
    let server = Server::start(&[("test", 2)]);
    let _owner = own(&server, &[0]);
    let mut client = Client::connect(server.broker());
    first_message(&mut client, 0);
    let held = send_get(&mut client, 0, 20);
    // Served while the get waits, on the same connection.
    client.call("version", b"");
    client.put("test", 1, b"elsewhere").expect("it is taken");
    wait_for_held(&server, 1);
    Client::connect(server.broker())
        .put("test", 0, b"news")
        .expect("it is taken");
    assert_eq!(next(&mut client), (held, "messages news".to_owned()));
}

#[test]
fn a_second_get_answers_the_held_one_at_once() {
    let server = Server::start_with(&[("test", 1)], |text| {
        // Longer than this test may take: nothing but the second get can end the first.
        set_key(text, "broker", "hold_max_ms", "60000");
    });
    let _owner = own(&server, &[0]);
    let mut client = Client::connect(server.broker());
    first_message(&mut client, 0);
    let first = send_get(&mut client, 0, 20);
    wait_for_held(&server, 1);
    let second = send_get(&mut client, 0, 20);
    let nothing = "404 Could not find message at position 20".to_owned();
    assert_eq!(next(&mut client), (first, nothing));
    // Its client waits less than was thought: this one ends long before its time, or is not held at all.
    let (opaque, said) = next(&mut client);
    assert_eq!(opaque, second);
    assert!(!said.starts_with("messages"), "{said}");
}

#[test]
fn one_setting_gives_the_originals_answer() {
    let server = Server::start_with(&[("test", 2)], |text| {
        set_key(text, "broker", "hold_gets", "false");
        // If it did anything, the answer would not come before the test's own patience ends.
        set_key(text, "broker", "hold_max_ms", "60000");
    });
    let _owner = own(&server, &[0, 1]);
    let mut client = Client::connect(server.broker());
    first_message(&mut client, 0);
    let get = send_get(&mut client, 0, 20);
    let nothing = "404 Could not find message at position 20".to_owned();
    assert_eq!(next(&mut client), (get, nothing));
    let get = send_get(&mut client, 1, 0);
    let nothing = "404 The topic `test` in partition `1` is not exists".to_owned();
    assert_eq!(next(&mut client), (get, nothing));
}

#[test]
fn a_hold_ends_after_its_time_and_the_client_asks_again_at_once() {
    let server = Server::start_with(&[("test", 1)], |text| {
        set_key(text, "broker", "hold_max_ms", "100");
    });
    let _owner = own(&server, &[0]);
    let mut client = Client::connect(server.broker());
    first_message(&mut client, 0);
    let began = Instant::now();
    // As many holds as would take minutes by default.
    for _ in 0..20 {
        let get = send_get(&mut client, 0, 20);
        assert_eq!(next(&mut client), (get, "bad record ".to_owned()));
        let Answer::Result { code, text, .. } = client.call("offset test g 0 20", b"") else {
            panic!("a value in answer to offset");
        };
        assert_eq!((code, text.as_str()), (200, "20"));
    }
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(began.elapsed() < Duration::from_secs(100));
}

/// What a Java consumer with two partitions and one thread is answered, held at partition 0, when a message for
/// partition 1 comes.
fn answer_to_one_thread(settings: &[(&str, &str)]) -> String {
    let server = Server::start_with(&[("test", 2)], |text| {
        set_key(text, "broker", "hold_max_ms", "60000");
        for (key, value) in settings {
            set_key(text, "broker", key, value);
        }
    });
    let _owner = own_as(&server, &[0, 1], "g_10.0.0.1-4242-1374200000000-1");
    let mut client = Client::connect(server.broker());
    // That is how a Java client is known.
    client.call("version", b"");
    client.put("test", 0, b"first").expect("it is taken");
    let get = send_get(&mut client, 0, 0);
    assert_eq!(next(&mut client), (get, "messages first".to_owned()));
    let held = send_get(&mut client, 0, 25);
    wait_for_held(&server, 1);
    Client::connect(server.broker())
        .put("test", 1, b"news")
        .expect("it is taken");
    let (opaque, said) = next(&mut client);
    assert_eq!(opaque, held);
    said
}

#[test]
fn a_consumer_with_one_thread_is_given_a_turn_where_that_is_wanted() {
    let nothing = "404 Could not find message at position 25";
    // ZooKeeper has no position of its group, and the configuration says that it never will.
    let wanted = ("turns_without_positions", "[\"g\"]");
    assert_eq!(answer_to_one_thread(&[wanted]), "bad record ");
    assert_eq!(answer_to_one_thread(&[]), nothing);
    let off = ("turns", "false");
    assert_eq!(answer_to_one_thread(&[wanted, off]), nothing);
}

#[test]
fn no_more_gets_are_held_than_may_be() {
    let server = Server::start_with(&[("test", 2)], |text| {
        set_key(text, "broker", "held_gets_max", "1");
        set_key(text, "broker", "hold_max_ms", "60000");
    });
    let _owner = own(&server, &[0, 1]);
    let mut client = Client::connect(server.broker());
    for partition in [0, 1] {
        first_message(&mut client, partition);
    }
    let held = send_get(&mut client, 0, 20);
    wait_for_held(&server, 1);
    let refused = send_get(&mut client, 1, 20);
    let nothing = "404 Could not find message at position 20".to_owned();
    assert_eq!(next(&mut client), (refused, nothing));
    Client::connect(server.broker())
        .put("test", 0, b"news")
        .expect("it is taken");
    assert_eq!(next(&mut client), (held, "messages news".to_owned()));
}

fn partition(server: &Server, verb: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(CHRYSALIS);
    command.args(["partition", verb]).arg(server.folder());
    let output = command.args(arguments).output();
    let output = output.expect("the binary under test starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("it is text");
    (output.status.code().expect("it ended"), said)
}

#[test]
fn a_closed_partition_takes_and_gives_nothing_until_it_is_opened() {
    let server = Server::start_with(&[("test", 3)], |text| {
        set_key(text, "broker", "hold_max_ms", "60000");
    });
    let _owner = own(&server, &[1]);
    let mut client = Client::connect(server.broker());
    first_message(&mut client, 1);
    let held = send_get(&mut client, 1, 20);
    wait_for_held(&server, 1);

    let (code, said) = partition(&server, "close", &["test", "1", "2"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "partitions 1 to 2 of test are closed\n")
    );
    let closed = "403 Partition[1-1] has been closed".to_owned();
    assert_eq!(next(&mut client), (held, closed.clone()));
    let get = send_get(&mut client, 1, 0);
    assert_eq!(next(&mut client), (get, closed));
    let (code, text) = client.put("test", 1, b"refused").expect_err("it is closed");
    let told = "failed.Detail:partition[1-1] has been closed";
    assert!(code == 403 && text.ends_with(told), "{code} {text}");
    let Answer::Result { code, text, .. } = client.call("offset test g 1 7", b"") else {
        panic!("a value in answer to offset");
    };
    assert_eq!(
        (code, text.as_str()),
        (200, "0"),
        "an offset is told all the same"
    );
    client.put("test", 0, b"open").expect("the others are open");

    let (code, said) = partition(&server, "open", &["test"]);
    assert_eq!(
        (code, said.as_str()),
        (0, "all partitions of test are open\n")
    );
    client.put("test", 1, b"taken").expect("it is open");
    assert_eq!(client.read_all("test", 1).len(), 2);

    for arguments in [
        ["nothing", "0", "0"],
        ["test", "2", "1"],
        ["test", "3", "3"],
    ] {
        let (code, said) = partition(&server, "close", &arguments);
        assert_ne!(code, 0, "{arguments:?}: {said}");
    }
}

#[test]
fn puts_of_one_connection_are_stored_in_the_order_they_were_sent() {
    const PUTS: i32 = 2_000;
    let server = Server::start(&[("test", 1)]);
    let mut client = Client::connect(server.broker());
    let mut frames = Vec::new();
    for number in 0..PUTS {
        let data = number.to_string();
        let head = format!("put test 0 {} 0 -1 {number}\r\n", data.len());
        frames.extend_from_slice(head.as_bytes());
        frames.extend_from_slice(data.as_bytes());
    }
    client.send(&frames).expect("the server takes them");
    let mut last = -1;
    for number in 0..PUTS {
        let (opaque, said) = next(&mut client);
        assert_eq!(opaque, number, "replies come in the order of the puts");
        let offset = said
            .rsplit(' ')
            .next()
            .and_then(|offset| offset.parse().ok());
        let offset: i64 = offset.unwrap_or_else(|| panic!("not stored: {said}"));
        assert!(offset > last, "{offset} after {last}");
        last = offset;
    }
    let stored = client.read_all("test", 0);
    let numbers = stored.iter().map(|(_, record)| record.data.clone());
    let expected = (0..PUTS).map(|number| number.to_string().into_bytes());
    assert!(numbers.eq(expected), "they are stored in another order");
}
