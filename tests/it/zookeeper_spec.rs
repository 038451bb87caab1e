//! The list at the end of the coordinator's specification, one test a line: what was observed on a real ZooKeeper and is easy
//! to get wrong.

use crate::harness::deployment::Deployment;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};
use crate::harness::zookeeper_wire::{Body, Client, create, four_letter_word, op};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// A coordinator alone, so that nobody else writes.
fn coordinator() -> Server {
    Server::coordinator_alone(|config| {
        set_key(
            config,
            "coordinator",
            "four_letter_words",
            "[\"srvr\", \"mntr\", \"ruok\", \"dump\"]",
        );
    })
}

#[test]
fn a_handshake_without_the_read_only_byte_gets_an_answer_without_it() {
    let server = coordinator();
    let length = |with| {
        let mut client = Client::raw(server.coordinator());
        client
            .handshake(0, 10_000, 0, &[0; 16], with)
            .expect("an answer")
            .length
    };
    assert_eq!((length(true), length(false)), (37, 36));
}

#[test]
fn timeouts_are_clamped_to_two_and_twenty_ticks() {
    let server = coordinator();
    let granted = |wanted| Client::session(server.coordinator(), wanted).1.timeout;
    assert_eq!(
        (granted(1), granted(10_000), granted(100_000_000)),
        (4_000, 10_000, 40_000)
    );
}

#[test]
fn a_wrong_password_is_told_that_the_session_is_gone_and_hung_up_on() {
    let server = coordinator();
    let (_keep, welcome) = Client::session(server.coordinator(), 10_000);
    let mut client = Client::raw(server.coordinator());
    let answer = client
        .handshake(0, 10_000, welcome.session, &[7; 16], true)
        .expect("an answer");
    assert_eq!(
        (answer.timeout, answer.session, answer.password),
        (0, 0, vec![0; 16])
    );
    assert!(client.is_closed());
}

#[test]
fn a_session_taken_up_elsewhere_closes_the_old_connection() {
    let server = coordinator();
    let (mut old, welcome) = Client::session(server.coordinator(), 10_000);
    let mut new = Client::raw(server.coordinator());
    let answer = new
        .handshake(0, 10_000, welcome.session, &welcome.password, true)
        .expect("an answer");
    assert_eq!(answer.session, welcome.session);
    assert!(old.is_closed());
    assert_eq!(new.call(op::PING, &Body::new()).error, 0);
}

#[test]
fn a_client_that_has_seen_more_than_we_have_is_hung_up_on() {
    let server = coordinator();
    let mut client = Client::raw(server.coordinator());
    assert_eq!(client.handshake(1 << 40, 10_000, 0, &[0; 16], true), None);
}

#[test]
fn a_failed_multi_has_no_error_in_its_header() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    client.create("/there", b"", 0).expect("create");
    let head = |body: Body, opcode| body.int(opcode).bool(false).int(-1);
    let body = head(Body::new(), op::CREATE).raw(&create("/new", b"", 0).0);
    let body = head(body, op::CREATE).raw(&create("/there", b"", 0).0);
    let body = head(body, op::DELETE)
        .string("/there")
        .int(-1)
        .int(-1)
        .bool(true)
        .int(-1);
    let reply = client.call(op::MULTI, &body);
    assert_eq!(reply.error, 0);
    let mut reader = reply.reader();
    let mut errors = Vec::new();
    loop {
        let (kind, done, error) = (reader.int(), reader.bool(), reader.int());
        assert_eq!(kind, -1);
        if done {
            break;
        }
        assert_eq!(reader.int(), error);
        errors.push(error);
    }
    assert_eq!(errors, [0, -110, -2]);
    assert_eq!(client.exists("/new", false), Err(-101));
}

#[test]
fn the_one_that_makes_a_change_sees_its_event_before_the_reply() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    client.create("/mine", b"1", 0).expect("create");
    client.get("/mine", true).expect("get");
    client.send(
        op::SET_DATA,
        &Body::new().string("/mine").bytes(b"2").int(-1),
    );
    assert_eq!(client.event(), (3, "/mine".to_owned()));
    assert_eq!(client.receive().expect("the reply").error, 0);
}

#[test]
fn cversion_counts_creates_and_deletes_but_the_suffix_only_creates() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    client.create("/p", b"", 0).expect("create");
    client.create("/p/a", b"", 0).expect("create");
    client.create("/p/b", b"", 0).expect("create");
    assert_eq!(client.delete("/p/a", -1), 0);
    let stat = client.exists("/p", false).expect("exists");
    assert_eq!((stat.cversion, stat.num_children), (3, 1));
    assert_eq!(
        client.create("/p/s-", b"", 2),
        Ok("/p/s-0000000002".to_owned())
    );
}

#[test]
fn a_write_that_fails_has_a_zxid_and_a_read_has_none() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    let exists = Body::new().string("/none").bool(false);
    let before = client.call(op::EXISTS, &exists).zxid;
    let failed = client.call(op::DELETE, &Body::new().string("/none").int(-1));
    assert_eq!((failed.error, failed.zxid), (-101, before + 1));
    assert_eq!(client.call(op::EXISTS, &exists).zxid, before + 1);
}

#[test]
fn the_root_can_be_neither_made_nor_deleted() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    assert_eq!(client.create("/", b"", 0), Err(-110));
    assert_eq!(client.delete("/", -1), -8);
}

#[test]
fn null_is_not_empty_and_both_survive_a_restart() {
    let mut server = coordinator();
    let mut client = Client::connect(server.coordinator());
    let null = Body::new().string("/null").null().open_acl().int(0);
    assert_eq!(client.call(op::CREATE, &null).error, 0);
    client.create("/empty", b"", 0).expect("create");
    let data = |client: &mut Client, path| client.get(path, false).expect("get").0;
    assert_eq!(
        (data(&mut client, "/null"), data(&mut client, "/empty")),
        (None, Some(Vec::new()))
    );
    server.restart();
    let mut client = Client::connect(server.coordinator());
    assert_eq!(
        (data(&mut client, "/null"), data(&mut client, "/empty")),
        (None, Some(Vec::new()))
    );
}

#[test]
fn a_request_that_ends_early_is_refused_and_the_connection_goes_on() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    assert_eq!(
        client
            .call(op::GET_DATA, &Body::new().int(9).raw(b"/x"))
            .error,
        -5
    );
    assert_eq!(client.call(op::PING, &Body::new()).error, 0);
}

#[test]
fn an_unknown_operation_is_refused_and_hung_up_on() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    let reply = client.call(4711, &Body::new());
    assert_eq!((reply.error, reply.zxid), (-6, -1));
    assert!(client.is_closed());
}

#[test]
fn an_unknown_auth_scheme_is_refused_and_hung_up_on() {
    let server = coordinator();
    let mut client = Client::connect(server.coordinator());
    client.send_with_xid(
        -4,
        op::AUTH,
        &Body::new().int(0).string("nonsense").bytes(b"x"),
    );
    let reply = client.receive().expect("a reply");
    assert_eq!((reply.xid, reply.error), (-4, -115));
    assert!(client.is_closed());
}

#[test]
fn a_session_expires_between_its_timeout_and_one_tick_later() {
    let server = coordinator();
    let (mut silent, welcome) = Client::session(server.coordinator(), 4_000);
    silent.create("/ephemeral", b"", 1).expect("create");
    let last_word = Instant::now();
    let mut other = Client::connect(server.coordinator());
    silent.shutdown();
    eventually("the ephemeral goes", Duration::from_secs(10), || {
        other.exists("/ephemeral", false).is_err()
    });
    let took = last_word.elapsed();
    assert_eq!(welcome.timeout, 4_000);
    assert!(
        took > Duration::from_millis(3_950),
        "expired after {took:?}"
    );
    // A tick of 2 s, and some patience with a loaded machine.
    assert!(
        took < Duration::from_millis(7_500),
        "expired after {took:?}"
    );
}

#[test]
fn an_empty_tree_has_the_node_count_of_3_4() {
    let server = coordinator();
    let text = four_letter_word(server.coordinator(), "srvr").expect("an answer");
    assert!(text.starts_with("Zookeeper version: 3.4.14"), "{text}");
    assert!(text.contains("\nNode count: 4\n"), "{text}");
    assert!(text.contains("\nMode: standalone\n"), "{text}");
}

/// A socket of IPv6 gives IPv4 clients an address like `::ffff:127.0.0.1`, which nobody greps for.
#[test]
fn an_ipv4_client_is_shown_as_one_wherever_the_server_listens() {
    let server = Server::coordinator_alone(|config| {
        set_key(config, "server", "listen", "\"::ffff:127.0.0.1\"");
        let words = "[\"cons\", \"stat\"]";
        set_key(config, "coordinator", "four_letter_words", words);
    });
    let _client = Client::connect(server.coordinator());
    for word in ["cons", "stat"] {
        let text = four_letter_word(server.coordinator(), word).expect("it answers");
        assert!(text.contains(" /127.0.0.1:"), "{text}");
        assert!(!text.contains("::ffff"), "{text}");
    }
}

/// Data that was replaced leaves clients behind that no server can take: they try for ever, and nobody knows why.
#[test]
fn clients_that_saw_more_than_the_data_has_make_one_line_an_address_in_the_log() {
    let mut server = coordinator();
    for host in [1, 1, 2, 1, 2] {
        let source = Ipv4Addr::new(127, 0, 0, host);
        let mut client = Client::raw_from(source, server.coordinator());
        let welcome = client.handshake(0x1_0000, 10_000, 0, &[0; 16], true);
        assert_eq!(welcome, None, "it would go back in time");
    }
    let log = server.process().log();
    let told = log
        .lines()
        .filter(|line| line.contains("a client is turned away"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 2, "{log}");
    assert!(told[0].contains("seen=0x10000"), "{log}");
    assert!(told[0].contains("address=127.0.0.1:"), "{log}");
    assert!(told[1].contains("address=127.0.0.2:"), "{log}");
}
