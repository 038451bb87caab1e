//! What a server says of itself: the first frame of a connection, in both directions.
//!
//! A server that supports the first feature level alone says so by version 1, which is what servers said before there were
//! levels, unless some are to be observers or it has forgotten what it belonged to. Whatever else a later release says of itself stands behind the rest, and is passed over here.

use bytes::{Bytes, BytesMut};

use super::{HELLO, Malformed, counted, frame, length};
use crate::consensus::founding::Hello;
use crate::consensus::{Identity, Membership, Unreadable};
use crate::cursor::{Reader, Writer};
use crate::units::ServerId;
use crate::units::feature::{FeatureLevel, Levels};

/// So that nothing else that connects by mistake is taken for a server.
const MAGIC: [u8; 8] = *b"CHRYSPEE";
/// The first level, and no other.
const WITHOUT_LEVELS: u16 = 1;
/// The levels stand behind the version.
const VERSION: u16 = 2;

/// The bit of the flags that says [`Hello::forgot`].
const FORGOT: u8 = 1;

/// Writes the frame.
pub fn encode(hello: &Hello, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(HELLO);
        writer.bytes(&MAGIC);
        let is_first = hello.levels == Levels::FIRST && hello.observers.is_empty() && !hello.forgot;
        if is_first {
            writer.u16(WITHOUT_LEVELS);
        } else {
            writer.u16(VERSION);
            writer.u16(hello.levels.lowest.0);
            writer.u16(hello.levels.highest.0);
        }
        writer.u16(hello.identity.server.0);
        writer.u128(hello.identity.journal);
        put_servers(&hello.servers, writer);
        let members = hello
            .members
            .as_ref()
            .map_or(Bytes::new(), Membership::encode);
        writer.u32(length(members.len()));
        writer.bytes(&members);
        if !is_first {
            put_servers(&hello.observers, writer);
            writer.u8(if hello.forgot { FORGOT } else { 0 });
        }
    });
}

fn put_servers(servers: &[ServerId], writer: &mut Writer<'_>) {
    let count = u16::try_from(servers.len()).expect("there are not so many servers");
    writer.u16(count);
    servers.iter().for_each(|server| writer.u16(server.0));
}

fn take_servers(reader: &mut Reader<'_>) -> Result<Vec<ServerId>, Malformed> {
    let count = reader.u16()?;
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(ServerId(reader.u16()?));
    }
    Ok(servers)
}

pub(super) fn decode(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Hello, Malformed> {
    if reader.array()? != MAGIC {
        return Err(Malformed::Impossible("a greeting without our name"));
    }
    let version = reader.u16()?;
    let levels = match version {
        WITHOUT_LEVELS => Levels::FIRST,
        VERSION => Levels {
            lowest: FeatureLevel(reader.u16()?),
            highest: FeatureLevel(reader.u16()?),
        },
        version => return Err(Malformed::Version(version)),
    };
    let identity = Identity {
        server: ServerId(reader.u16()?),
        journal: reader.u128()?,
    };
    let servers = take_servers(reader)?;
    let members = match Membership::decode(&counted(reader, owner)?) {
        Ok(members) => Some(members).filter(|members| !members.is_empty()),
        Err(Unreadable::Newer { level, release, .. }) => Some(Membership {
            level,
            raised_by: release,
            ..Membership::default()
        }),
        Err(_) => return Err(Malformed::Impossible("these members")),
    };
    if version == WITHOUT_LEVELS && !reader.is_empty() {
        return Err(Malformed::Impossible("something behind a greeting"));
    }
    // Who was built before there were observers says nothing of them.
    let observers = match reader.is_empty() {
        true => Vec::new(),
        false => take_servers(reader)?,
    };
    let flags = match reader.is_empty() {
        true => 0,
        false => reader.u8()?,
    };
    Ok(Hello {
        identity,
        levels,
        servers,
        observers,
        forgot: flags & FORGOT != 0,
        members,
    })
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;

    use super::*;
    use crate::units::feature::Release;
    use crate::wire::peer::{self, Frame};

    fn hello(highest: u16, level: u16) -> Hello {
        let identity = Identity {
            server: ServerId(2),
            journal: 77,
        };
        let mut members = Membership::founded_by(&[identity], 5);
        members.level = FeatureLevel(level);
        Hello {
            identity,
            levels: Levels {
                highest: FeatureLevel(highest),
                ..Levels::FIRST
            },
            servers: vec![ServerId(1), ServerId(2)],
            observers: Vec::new(),
            forgot: false,
            members: Some(members),
        }
    }

    fn decoded(mut bytes: BytesMut) -> Result<Hello, Malformed> {
        let body = frame::decode(&mut bytes, 1 << 20)?;
        match peer::decode(&body.expect("all of it is there"))? {
            Frame::Hello(hello) => Ok(*hello),
            _ => panic!("it is a greeting"),
        }
    }

    #[test]
    fn each_comes_back_as_it_was() {
        let observed = Hello {
            observers: vec![ServerId(2)],
            ..hello(1, 1)
        };
        let forgot = Hello {
            forgot: true,
            ..hello(1, 1)
        };
        for hello in [hello(1, 1), hello(2, 1), hello(7, 3), observed, forgot] {
            let mut out = BytesMut::new();
            encode(&hello, &mut out);
            assert_eq!(decoded(out), Ok(hello));
        }
    }

    #[test]
    fn the_first_level_is_said_as_before_there_were_levels() {
        let mut hello = hello(1, 1);
        hello.members = None;
        let mut out = BytesMut::new();
        encode(&hello, &mut out);
        let body = [
            &b"\x02CHRYSPEE\x00\x01\x00\x02"[..],
            &77_u128.to_be_bytes(),
            &[0, 2, 0, 1, 0, 2, 0, 0, 0, 0],
        ];
        assert_eq!(out[frame::HEADER_BYTES..], body.concat());
    }

    /// A frame of a greeting of version 2, with these bytes for the members and more behind them.
    fn of_a_later_release(members: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        frame::encode(&mut out, |writer| {
            writer.u8(HELLO);
            writer.bytes(&MAGIC);
            for number in [VERSION, 1, 9, 2] {
                writer.u16(number);
            }
            writer.u128(77);
            writer.u16(0);
            writer.u32(length(members.len()));
            writer.bytes(members);
            writer.u16(0);
            writer.bytes(b"more");
        });
        out
    }

    #[test]
    fn of_what_a_later_release_says_its_levels_are_understood() {
        let mut members = BytesMut::new();
        for number in [9, 3, 1, 0] {
            members.put_u16(number);
        }
        let members = [&[200], &members[..], b"whatever"].concat();
        let said = decoded(of_a_later_release(&members)).expect("it names its levels");
        assert_eq!(said.levels.highest, FeatureLevel(9));
        let members = said.members.expect("it has some");
        let release = Release {
            major: 3,
            minor: 1,
            patch: 0,
        };
        assert_eq!(members.level, FeatureLevel(9));
        assert_eq!(members.raised_by, release);
        let malformed = decoded(of_a_later_release(&[2, 0]));
        assert!(malformed.is_err(), "{malformed:?}");
    }
}
