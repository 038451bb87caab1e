//! What a server says of itself: the first frame of a connection, in both directions.

use bytes::{Bytes, BytesMut};

use super::{HELLO, Malformed, counted, frame, length};
use crate::consensus::founding::Hello;
use crate::consensus::{Identity, Membership};
use crate::cursor::Reader;
use crate::units::ServerId;

/// So that nothing else that connects by mistake is taken for a server.
const MAGIC: [u8; 8] = *b"CHRYSPEE";
/// The version that this code speaks.
const VERSION: u16 = 1;

/// Writes the frame.
pub fn encode(hello: &Hello, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(HELLO);
        writer.bytes(&MAGIC);
        writer.u16(VERSION);
        writer.u16(hello.identity.server.0);
        writer.u128(hello.identity.journal);
        let count = u16::try_from(hello.servers.len()).expect("there are not so many servers");
        writer.u16(count);
        for server in &hello.servers {
            writer.u16(server.0);
        }
        let members = hello
            .members
            .as_ref()
            .map_or(Bytes::new(), Membership::encode);
        writer.u32(length(members.len()));
        writer.bytes(&members);
    });
}

pub(super) fn decode(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Hello, Malformed> {
    if reader.array()? != MAGIC {
        return Err(Malformed::Impossible("a greeting without our name"));
    }
    match reader.u16()? {
        VERSION => {}
        version => return Err(Malformed::Version(version)),
    }
    let identity = Identity {
        server: ServerId(reader.u16()?),
        journal: reader.u128()?,
    };
    let count = reader.u16()?;
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(ServerId(reader.u16()?));
    }
    let members = Membership::decode(&counted(reader, owner)?);
    let members = members.map_err(|_| Malformed::Impossible("these members"))?;
    if !reader.is_empty() {
        return Err(Malformed::Impossible("something behind a greeting"));
    }
    Ok(Hello {
        identity,
        servers,
        members: Some(members).filter(|members| !members.is_empty()),
    })
}
