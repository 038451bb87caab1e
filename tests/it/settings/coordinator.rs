//! `[coordinator]`.

use crate::harness::deployment::{Deployment, START_LIMIT};
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};
use crate::harness::web::{scrape, value};
use crate::harness::zookeeper_wire::{Body, Client, four_letter_word, op};

fn coordinator(edit: impl FnOnce(&mut String)) -> Server {
    Server::coordinator_alone(edit)
}

#[test]
fn a_session_timeout_lies_within_the_limits() {
    let granted = |server: &Server, wanted| Client::session(server.coordinator(), wanted).1.timeout;
    let server = coordinator(|text| set_key(text, "coordinator", "tick_time_ms", "500"));
    assert_eq!(granted(&server, 1), 1_000);
    assert_eq!(granted(&server, 100_000_000), 10_000);
    let server = coordinator(|text| {
        set_key(text, "coordinator", "session_timeout_min_ms", "3000");
        set_key(text, "coordinator", "session_timeout_max_ms", "5000");
    });
    assert_eq!(granted(&server, 1), 3_000);
    assert_eq!(granted(&server, 4_000), 4_000);
    assert_eq!(granted(&server, 100_000_000), 5_000);
}

#[test]
fn a_request_that_is_too_large_closes_its_connection() {
    let server = coordinator(|text| set_key(text, "coordinator", "request_bytes_max", "2000"));
    let mut client = Client::connect(server.coordinator());
    let fits = client.create("/fits", &[7; 1_900], 0);
    assert_eq!(fits.as_deref(), Ok("/fits"));
    let large = Body::new().string("/large").bytes(&[7; 2_000]).open_acl();
    client.send(op::CREATE, &large.int(0));
    assert!(client.is_closed());
    assert!(
        Client::connect(server.coordinator())
            .exists("/large", false)
            .is_err()
    );
}

#[test]
fn no_acl_holds_where_none_is_checked() {
    const NO_AUTH: i32 = -102;
    const READ: i32 = 1;
    for (skip, expected) in [("false", NO_AUTH), ("true", 0)] {
        let server = coordinator(|text| set_key(text, "coordinator", "skip_acl", skip));
        let mut client = Client::connect(server.coordinator());
        let acl = Body::new().string("/read-only").bytes(b"old");
        let acl = acl.acl(&[(READ, "world", "anyone")]).int(0);
        assert_eq!(client.call(op::CREATE, &acl).error, 0);
        let set = Body::new().string("/read-only").bytes(b"new").int(-1);
        assert_eq!(
            client.call(op::SET_DATA, &set).error,
            expected,
            "skip_acl = {skip}"
        );
    }
}

#[test]
fn only_the_words_of_the_list_are_answered() {
    let server = coordinator(|text| {
        set_key(text, "coordinator", "four_letter_words", "[\"ruok\"]");
    });
    let said = |word| four_letter_word(server.coordinator(), word).unwrap_or_default();
    assert_eq!(said("ruok"), "imok");
    assert!(
        said("srvr").contains("Mode: standalone"),
        "zkServer.sh asks this"
    );
    let refused = said("stat");
    assert!(refused.contains("not in the whitelist"), "{refused}");
}

#[test]
fn a_snapshot_is_taken_after_so_many_entries() {
    let server = coordinator(|text| set_key(text, "coordinator", "snapshot_every_entries", "50"));
    let taken = || value(&scrape(server.web()), "chrysalis_snapshots_total");
    let mut client = Client::connect(server.coordinator());
    assert_eq!(taken(), 0);
    for _ in 0..100 {
        client.create("/n-", b"", 2).expect("it is made");
    }
    eventually("a snapshot is taken", START_LIMIT, || taken() > 0);
}
