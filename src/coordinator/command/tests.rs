use proptest::prelude::*;

use super::*;
use crate::coordinator::acl::Credentials;
use crate::coordinator::vocabulary::{Create, Delete, SetData};

const ORIGIN: Origin<'static> = Origin {
    session: 0x0102_0304_0506_0708,
    generation: 2,
    sequence: 3,
    wall: WallTime(4),
    asking: b"\0\0\0\x02ip\0\0\0\x01x",
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_a_command_stay_as_they_are() {
    let mut encoder = Encoder::default();
    let check = |bytes: Bytes, expected: &[&str]| assert_eq!(hex(&bytes), expected.concat());
    let origin = [
        "0101",             // write, version 1
        "0102030405060708", // session
        "0000000000000002", // generation
        "0000000000000003", // sequence
        "0000000000000004", // wall time
        "0000000b",         // identities
        "000000026970",
        "0000000178",
    ]
    .concat();
    let operation = Operation::Create(Create {
        path: Bytes::from_static(b"/a"),
        data: None,
        acl: vec![Acl::open()],
        mode: CreateMode::EphemeralSequential,
    });
    let world = ["0000001f", "00000005776f726c64", "00000006616e796f6e65"].concat();
    let acl = ["00000017", &world].concat();
    check(
        encoder.operation(ORIGIN, &operation),
        &[&origin, "01", "01", "000000022f61", "ffffffff", &acl, "03"],
    );
    let set = Operation::SetData(SetData {
        path: Bytes::from_static(b"/a"),
        data: Some(Bytes::from_static(b"x")),
        version: -1,
    });
    let delete = Operation::Delete(Delete {
        path: Bytes::from_static(b"/a"),
        version: 7,
    });
    let check_version = Operation::Check {
        path: Bytes::from_static(b"/a"),
        version: 0,
    };
    check(
        encoder.multi(ORIGIN, &[set, delete, check_version]),
        &[
            &origin,
            "02",
            "03000000022f610000000178ffffffff",
            "02000000022f6100000007",
            "05000000022f6100000000",
        ],
    );
    check(
        encoder.set_acl(ORIGIN, b"/a", &[Acl::open()], 1),
        &[&origin, "01", "04", "000000022f61", &acl, "00000001"],
    );
    check(encoder.close_session(ORIGIN), &[&origin, "03"]);
    check(encoder.malformed(ORIGIN), &[&origin, "04"]);
    let create = CreateSession {
        session: 1,
        timeout_ms: 4000,
        server: ServerId(5),
    };
    check(
        encoder.create_session(create),
        &["0201", "0000000000000001", "00000fa0", "0005"],
    );
    let attach = AttachSession {
        session: 1,
        generation: 2,
        timeout_ms: 4000,
        server: ServerId(5),
        request: 6,
    };
    check(
        encoder.attach_session(attach),
        &[
            "0301",
            "0000000000000001",
            "0000000000000002",
            "00000fa0",
            "0005",
            "0000000000000006",
        ],
    );
    check(
        encoder.expire_session(1, 2),
        &["0401", "0000000000000001", "0000000000000002"],
    );
}

#[test]
fn what_is_not_understood_is_said_so() {
    let check = |bytes: &[u8], expected: &str| {
        let error = Command::decode(bytes).expect_err("it is no command");
        assert_eq!(error.to_string(), expected);
    };
    check(b"", "bytes end too early: 1 wanted, 0 left");
    check(b"\x09\x01", "command kind 9, version 1 is not known");
    check(b"\x01\x02", "command kind 1, version 2 is not known");
    check(b"\x04\x010000000011111111x", "1 bytes behind the command");
    let mut encoder = Encoder::default();
    let mut close = encoder.close_session(ORIGIN).to_vec();
    *close.last_mut().expect("not empty") = 77;
    check(&close, "action 77 is not known");
}

fn text() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn operation() -> impl Strategy<Value = Operation> {
    let acl = (any::<i32>(), text(), text()).prop_map(|(permissions, scheme, id)| Acl {
        permissions,
        scheme,
        id,
    });
    let mode = prop_oneof![
        Just(CreateMode::Persistent),
        Just(CreateMode::Ephemeral),
        Just(CreateMode::PersistentSequential),
        Just(CreateMode::EphemeralSequential),
        any::<i32>().prop_map(CreateMode::Unknown),
    ];
    let data = || prop::option::of(text());
    prop_oneof![
        (text(), data(), prop::collection::vec(acl, 0..3), mode).prop_map(
            |(path, data, acl, mode)| Operation::Create(Create {
                path,
                data,
                acl,
                mode
            })
        ),
        (text(), any::<i32>())
            .prop_map(|(path, version)| Operation::Delete(Delete { path, version })),
        (text(), data(), any::<i32>()).prop_map(|(path, data, version)| Operation::SetData(
            SetData {
                path,
                data,
                version
            }
        )),
        (text(), any::<i32>()).prop_map(|(path, version)| Operation::Check { path, version }),
    ]
}

/// What an operation is on the other side.
fn same(op: &Op<'_>, operation: &Operation) -> bool {
    match (op, operation) {
        (
            Op::Create {
                path,
                data,
                permissions,
                mode,
            },
            Operation::Create(create),
        ) => {
            let mut acl = BytesMut::new();
            acl::put_permissions(&mut Writer::new(&mut acl), &create.acl);
            **path == create.path
                && *data == create.data.as_deref()
                && Permissions::parse(&acl).as_ref() == Ok(permissions)
                && *mode == create.mode
        }
        (Op::Delete { path, version }, Operation::Delete(delete)) => {
            **path == delete.path && *version == delete.version
        }
        (
            Op::SetData {
                path,
                data,
                version,
            },
            Operation::SetData(set),
        ) => **path == set.path && *data == set.data.as_deref() && *version == set.version,
        (
            Op::Check { path, version },
            Operation::Check {
                path: other,
                version: expected,
            },
        ) => **path == **other && version == expected,
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_write_comes_out_as_it_went_in(
        operations in prop::collection::vec(operation(), 0..5),
        session: i64, generation: u64, sequence: u64, wall: i64,
    ) {
        let credentials = Credentials::new([127, 0, 0, 1].into(), true);
        let asking = credentials.share();
        let wall = WallTime(wall);
        let origin = Origin { session, generation, sequence, wall, asking: &asking };
        let bytes = Encoder::default().multi(origin, &operations);
        let Ok(Command::Write(write)) = Command::decode(&bytes) else {
            panic!("a write was written");
        };
        prop_assert_eq!(
            (write.session, write.generation, write.sequence, write.wall),
            (session, generation, sequence, wall)
        );
        prop_assert_eq!(write.asking, credentials.identities());
        let Action::Multi(ops) = write.action else {
            panic!("a multi was written");
        };
        prop_assert_eq!(ops.len(), operations.len());
        prop_assert!(ops.iter().zip(&operations).all(|(op, operation)| same(op, operation)));
        for cut in 0..bytes.len() {
            // Cut between two operations it is a shorter multi; anywhere else it is none.
            if let Ok(Command::Write(Write { action: Action::Multi(ops), .. })) = Command::decode(&bytes[..cut]) {
                prop_assert!(ops.len() < operations.len());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(kind in 0..6u8, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Command::decode(&[&[kind, 1], bytes.as_slice()].concat());
    }
}

#[test]
fn a_command_is_checked_before_it_is_proposed_for_another_server() {
    let mut encoder = Encoder::default();
    let command = encoder.expire_session(7, 1);
    let check = |bytes: &[u8], level| check(bytes, FeatureLevel(level));
    assert_eq!(check(&command, 1), Ok(()));
    assert_eq!(check(&command, 9), Ok(()), "what was known stays known");
    let below = check(&command, 0).expect_err("it came with the first level");
    assert_eq!(below, "it needs feature level 1");
    let longer = [&command[..], &[0]].concat();
    let later = [&[WRITE, VERSION + 1][..], &command[2..]].concat();
    for bad in [&[][..], &[200, 1], &command[..9], &longer, &later] {
        assert!(check(bad, 1).is_err(), "{bad:?}");
    }
}
