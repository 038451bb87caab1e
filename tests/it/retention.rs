//! What becomes of old message files on a real server.

use crate::harness::deployment::{Deployment, START_LIMIT};
use crate::harness::metaq_wire::Client;
use crate::harness::process::eventually;
use crate::harness::server::{Server, set_key};

#[test]
fn an_old_segment_is_packed_and_the_newest_stays() {
    let mut server = Server::start_with(&[("orders", 1)], |text| {
        set_key(text, "broker", "segment_bytes", "1048576");
        set_key(text, "broker", "delete_policy", "\"archive,1s,true\"");
        set_key(text, "broker", "delete_when", "\"* * * * * ?\"");
    });
    let mut client = Client::connect(server.broker());
    for _ in 0..3 {
        let stored = client.put("orders", 0, &[7; 700_000]);
        stored.expect("an open partition takes it");
    }
    let folder = server.topics_folder().join("orders-0");
    let packed = folder.join("00000000000000000000.meta.zip");
    eventually("the old segment is packed", START_LIMIT, || {
        let unfinished = folder.join("00000000000000000000.meta.arc");
        packed.is_file() && !unfinished.exists()
    });
    let newest = folder.join("00000000000001400040.meta");
    assert!(newest.is_file(), "{} stays", newest.display());
    assert_eq!(client.read_all("orders", 0).len(), 1);
    eventually("the log says so", START_LIMIT, || {
        let log = server.process().log();
        let mut lines = log.lines();
        lines.any(|line| {
            [
                "INFO",
                "a message file is taken away",
                "orders",
                "00000000000000000000.meta",
                "archive and compress",
            ]
            .iter()
            .all(|part| line.contains(part))
        })
    });
}
