//! Values at random, and frames that are nearly right.

use bytes::Bytes;

use super::super::{handshake, reply};
use super::{encoded_reply, encoded_request, payload};
use crate::coordinator::{
    Acl, ConnectReply, ConnectRequest, Create, CreateMode, Delete, Names, Operation,
    OperationReply, Refusal, Reply, Request, SetData, Stat, WatchEvent, WatchEventKind,
};
use crate::units::{Random, Zxid};

/// One of the values where mistakes live, or any.
pub(super) fn number(random: &mut Random) -> i32 {
    match random.below(8) {
        0 => -1,
        1 => 0,
        2 => i32::MIN,
        3 => i32::MAX,
        4 => -2,
        _ => {
            let [a, b, c, d, ..] = random.next().to_be_bytes();
            i32::from_be_bytes([a, b, c, d])
        }
    }
}

pub(super) fn long(random: &mut Random) -> i64 {
    match random.below(5) {
        0 => -1,
        1 => 0,
        2 => i64::MIN,
        _ => random.next().cast_signed(),
    }
}

fn size(random: &mut Random, end: u64) -> usize {
    usize::try_from(random.below(end)).expect("small")
}

fn bool(random: &mut Random) -> bool {
    random.below(2) == 1
}

pub(super) fn bytes(random: &mut Random) -> Bytes {
    let length = match random.below(20) {
        0 => 0,
        1 => size(random, 5_000),
        _ => size(random, 40),
    };
    (0..length)
        .map(|_| random.next().to_be_bytes()[0])
        .collect()
}

fn nullable(random: &mut Random) -> Option<Bytes> {
    (random.below(4) > 0).then(|| bytes(random))
}

fn list<T>(random: &mut Random, mut element: impl FnMut(&mut Random) -> T) -> Vec<T> {
    (0..random.below(5)).map(|_| element(random)).collect()
}

fn acl(random: &mut Random) -> Vec<Acl> {
    list(random, |random| Acl {
        permissions: number(random),
        scheme: bytes(random),
        id: bytes(random),
    })
}

fn stat(random: &mut Random) -> Stat {
    Stat {
        czxid: Zxid(long(random)),
        mzxid: Zxid(long(random)),
        ctime: long(random),
        mtime: long(random),
        version: number(random),
        cversion: number(random),
        aversion: number(random),
        ephemeral_owner: long(random),
        data_length: number(random),
        children: number(random),
        pzxid: Zxid(long(random)),
    }
}

pub(super) fn connect_request(random: &mut Random) -> ConnectRequest {
    ConnectRequest {
        last_zxid_seen: Zxid(long(random)),
        timeout_ms: number(random),
        session: long(random),
        password: bytes(random),
        read_only: bool(random).then(|| bool(random)),
    }
}

pub(super) fn connect_reply(random: &mut Random) -> ConnectReply {
    ConnectReply {
        timeout_ms: number(random),
        session: long(random),
        password: (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes(),
        read_only: bool(random).then(|| bool(random)),
    }
}

fn create(random: &mut Random) -> Create {
    Create {
        path: bytes(random),
        data: nullable(random),
        acl: acl(random),
        mode: match random.below(5) {
            0 => CreateMode::Persistent,
            1 => CreateMode::Ephemeral,
            2 => CreateMode::PersistentSequential,
            3 => CreateMode::EphemeralSequential,
            _ => CreateMode::Unknown(4 + (number(random) & 0xff)),
        },
    }
}

fn delete(random: &mut Random) -> Delete {
    Delete {
        path: bytes(random),
        version: number(random),
    }
}

fn set_data(random: &mut Random) -> SetData {
    SetData {
        path: bytes(random),
        data: nullable(random),
        version: number(random),
    }
}

fn operation(random: &mut Random) -> Operation {
    match random.below(4) {
        0 => Operation::Create(create(random)),
        1 => Operation::Delete(delete(random)),
        2 => Operation::SetData(set_data(random)),
        _ => Operation::Check {
            path: bytes(random),
            version: number(random),
        },
    }
}

pub(super) fn request(random: &mut Random) -> Request {
    match random.below(18) {
        0 => Request::Create(create(random)),
        1 => Request::Delete(delete(random)),
        2 => Request::Exists {
            path: bytes(random),
            watch: bool(random),
        },
        3 => Request::GetData {
            path: bytes(random),
            watch: bool(random),
        },
        4 => Request::SetData(set_data(random)),
        5 => Request::GetAcl {
            path: bytes(random),
        },
        6 => Request::SetAcl {
            path: bytes(random),
            acl: acl(random),
            version: number(random),
        },
        7 => Request::GetChildren {
            path: bytes(random),
            watch: bool(random),
        },
        8 => Request::GetChildren2 {
            path: bytes(random),
            watch: bool(random),
        },
        9 => Request::Sync {
            path: bytes(random),
        },
        10 => Request::Multi(list(random, operation)),
        11 => Request::SetWatches {
            relative_zxid: Zxid(long(random)),
            data: list(random, bytes),
            exist: list(random, bytes),
            child: list(random, bytes),
        },
        12 => Request::Auth {
            scheme: bytes(random),
            data: bytes(random),
        },
        13 => Request::Sasl {
            token: nullable(random),
        },
        14 => Request::Ping,
        15 => Request::CloseSession,
        16 => Request::Malformed {
            write: bool(random),
        },
        _ => Request::Unknown {
            opcode: 200 + (number(random) & 0xffff),
        },
    }
}

fn names(random: &mut Random) -> Names {
    let names = list(random, bytes);
    names.iter().map(|name| &name[..]).collect()
}

fn refusal(random: &mut Random) -> Refusal {
    [
        Refusal::NoNode,
        Refusal::NodeExists,
        Refusal::BadVersion,
        Refusal::NotEmpty,
        Refusal::NoAuth,
        Refusal::SessionExpired,
    ][size(random, 6)]
}

fn operation_reply(random: &mut Random) -> OperationReply {
    match random.below(4) {
        0 => OperationReply::Created {
            path: bytes(random)[..].into(),
        },
        1 => OperationReply::Deleted,
        2 => OperationReply::DataSet(stat(random)),
        _ => OperationReply::Checked,
    }
}

pub(super) fn reply(random: &mut Random) -> (reply::Kind, Reply) {
    match random.below(11) {
        0 => (reply::Kind::Done, Reply::Done),
        1 => (
            reply::Kind::Created,
            Reply::Created {
                path: bytes(random)[..].into(),
            },
        ),
        2 => (reply::Kind::Stat, Reply::Stat(stat(random))),
        3 => (
            reply::Kind::Data,
            Reply::Data {
                data: nullable(random).map(|data| data[..].into()),
                stat: stat(random),
            },
        ),
        4 => (
            reply::Kind::Acl,
            Reply::Acl {
                acl: acl(random),
                stat: stat(random),
            },
        ),
        5 => (reply::Kind::Children, Reply::Children(names(random))),
        6 => (
            reply::Kind::Children2,
            Reply::Children2 {
                names: names(random),
                stat: stat(random),
            },
        ),
        7 => (
            reply::Kind::Synced,
            Reply::Synced {
                path: bytes(random),
            },
        ),
        8 => (
            reply::Kind::Multi,
            Reply::Multi(list(random, operation_reply)),
        ),
        9 => {
            let operations = 1 + size(random, 6);
            (
                reply::Kind::Multi,
                Reply::MultiRefused {
                    operations,
                    refused: size(random, operations as u64),
                    refusal: refusal(random),
                },
            )
        }
        _ => (
            reply::Kind::Sasl,
            Reply::Sasl {
                token: nullable(random),
            },
        ),
    }
}

pub(super) fn event(random: &mut Random) -> WatchEvent {
    WatchEvent {
        kind: [
            WatchEventKind::Created,
            WatchEventKind::Deleted,
            WatchEventKind::DataChanged,
            WatchEventKind::ChildrenChanged,
        ][size(random, 4)],
        path: bytes(random)[..].into(),
    }
}

/// A frame as it should be, but for a few bytes, its length, or all of it.
pub(super) fn damaged_frame(random: &mut Random) -> Bytes {
    let whole = match random.below(5) {
        0 => return bytes(random),
        1 => payload(|out| {
            handshake::encode_request(&connect_request(random), out).expect("it fits");
        }),
        2 => encoded_reply(1, Zxid(1), Ok(&reply(random).1)),
        _ => encoded_request(1, &request(random)),
    };
    let mut frame = whole.to_vec();
    for _ in 0..random.below(4) {
        if frame.is_empty() {
            break;
        }
        let at = size(random, frame.len() as u64);
        match random.below(4) {
            0 => frame.truncate(at),
            1 => frame.insert(at, 0xff),
            2 => frame[at] ^= 1 << random.below(8),
            // Where a length or a count is likely to be.
            _ => frame[at..].iter_mut().take(4).for_each(|byte| *byte = 0x7f),
        }
    }
    Bytes::from(frame)
}
