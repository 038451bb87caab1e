use std::collections::BTreeSet;

use super::*;
use crate::coordinator::acl::AclId;

fn body() -> Body {
    Body {
        path: b"/a".as_slice().into(),
        data: None,
        digest: 0,
        acl: AclId::OPEN,
        owner: 0,
        czxid: Zxid(1),
        mzxid: Zxid(1),
        pzxid: Zxid(1),
        ctime: WallTime(1),
        mtime: WallTime(1),
        version: 0,
        made: 0,
        aversion: 0,
    }
}

/// Servers of other machines and releases, and snapshots, have these numbers.
#[test]
fn the_numbers_are_those_they_always_were() {
    let key = key(b"/a");
    let session_of_one = Session {
        id: 0x0100_0000_0000_0001,
        timeout_ms: 10_000,
        generation: 1,
        sequence: 2,
        server: ServerId(1),
    };
    let numbers = [
        key,
        data(key, None),
        data(key, Some(b"")),
        data(key, Some(&[7; 1000])),
        permitted(key, permissions(b"list")),
        moving(key, &body()),
        resting(key, &body()),
        session(&session_of_one),
        last_id(ServerId(1), 5),
        last_write(Zxid(1), WallTime(2)),
    ];
    let shown: Vec<String> = numbers.iter().map(|it| format!("{it:016x}")).collect();
    assert_eq!(shown, GOLDEN);
}

const GOLDEN: [&str; 10] = [
    "e292ab48a6b06805",
    "7d72f231593e4e2a",
    "b83f5b2575217681",
    "133927c1f2bf7961",
    "2c11979be4e80f1e",
    "77b82bb9848224f7",
    "44ef06534058312d",
    "72570cb640cdad53",
    "d67a7be85dd9631e",
    "a552cc925dd299be",
];

#[test]
fn each_field_counts() {
    let changes: [fn(&mut Body); 9] = [
        |_| {},
        |body| body.owner = 1,
        |body| body.czxid = Zxid(2),
        |body| body.mzxid = Zxid(2),
        |body| body.pzxid = Zxid(2),
        |body| body.ctime = WallTime(2),
        |body| body.mtime = WallTime(2),
        |body| body.version = 1,
        |body| body.made = 1,
    ];
    let mut terms = BTreeSet::new();
    for change in changes {
        let mut changed = body();
        change(&mut changed);
        terms.insert(moving(key(b"/a"), &changed).wrapping_add(resting(key(b"/a"), &changed)));
        terms.insert(moving(key(b"/b"), &changed).wrapping_add(resting(key(b"/b"), &changed)));
        changed.aversion = 1;
        terms.insert(moving(key(b"/a"), &changed).wrapping_add(resting(key(b"/a"), &changed)));
    }
    assert_eq!(terms.len(), 27);
}
