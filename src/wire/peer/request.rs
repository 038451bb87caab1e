//! What a server that follows asks of the one that leads: to propose its clients' commands, and to hear which sessions
//! live.

use bytes::{Bytes, BytesMut};

use super::{FORWARD, Malformed, NOT_PROPOSED, TOUCH, TOUCHED, frame};
use crate::consensus::ENTRY_BYTES_MAX;
use crate::cursor::Reader;
use crate::units::GroupId;

/// Commands that the leader is to propose, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Whose log they are for.
    pub group: GroupId,
    /// The commands, each behind its 32-bit length.
    pub commands: Bytes,
}

/// Sessions that live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Whose they are.
    pub group: GroupId,
    /// Comes back with the answer.
    pub round: u64,
    /// The sessions.
    pub sessions: Vec<i64>,
}

/// The leader has heard of it, and led after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Whose they are.
    pub group: GroupId,
    /// The round.
    pub round: u64,
    /// What was committed then: a session that ended before is no more, wherever this is applied.
    pub index: u64,
}

/// A command that the leader does not propose: not every member can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotProposed {
    /// Whose log it was for.
    pub group: GroupId,
    /// The command, as it came.
    pub command: Bytes,
}

/// Writes the frame.
pub fn encode_not_proposed(refused: &NotProposed, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(NOT_PROPOSED);
        writer.u32(refused.group.0);
        writer.bytes(&refused.command);
    });
}

/// Writes the frame.
pub fn encode_forward(forward: &Forward, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(FORWARD);
        writer.u32(forward.group.0);
        writer.bytes(&forward.commands);
    });
}

/// Writes the frame.
pub fn encode_touch(touch: &Touch, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(TOUCH);
        writer.u32(touch.group.0);
        writer.u64(touch.round);
        touch.sessions.iter().for_each(|id| writer.i64(*id));
    });
}

/// Writes the frame.
pub fn encode_touched(touched: &Touched, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(TOUCHED);
        writer.u32(touched.group.0);
        writer.u64(touched.round);
        writer.u64(touched.index);
    });
}

pub(super) fn decode_forward(reader: &mut Reader<'_>, owner: &Bytes) -> Result<Forward, Malformed> {
    let group = GroupId(reader.u32()?);
    let rest = reader.remaining();
    let commands = reader.take_shared(rest, owner)?;
    let mut framed = Reader::new(&commands);
    while !framed.is_empty() {
        let length = usize::try_from(framed.u32()?).map_err(|_| Malformed::Truncated)?;
        framed.take(length)?;
        if length > ENTRY_BYTES_MAX - 4 {
            return Err(Malformed::Impossible("a command of so many bytes"));
        }
    }
    Ok(Forward { group, commands })
}

pub(super) fn decode_not_proposed(
    reader: &mut Reader<'_>,
    owner: &Bytes,
) -> Result<NotProposed, Malformed> {
    let group = GroupId(reader.u32()?);
    let rest = reader.remaining();
    let command = reader.take_shared(rest, owner)?;
    Ok(NotProposed { group, command })
}

pub(super) fn decode_touch(reader: &mut Reader<'_>) -> Result<Touch, Malformed> {
    let group = GroupId(reader.u32()?);
    let round = reader.u64()?;
    let mut sessions = Vec::with_capacity(reader.remaining() / 8);
    while !reader.is_empty() {
        sessions.push(reader.i64()?);
    }
    Ok(Touch {
        group,
        round,
        sessions,
    })
}

pub(super) fn decode_touched(reader: &mut Reader<'_>) -> Result<Touched, Malformed> {
    let touched = Touched {
        group: GroupId(reader.u32()?),
        round: reader.u64()?,
        index: reader.u64()?,
    };
    match reader.is_empty() {
        true => Ok(touched),
        false => Err(Malformed::Impossible("something behind a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::{Frame, decode};

    fn decoded(mut bytes: BytesMut) -> Result<Frame, Malformed> {
        let body = frame::decode(&mut bytes, 1 << 20)?;
        decode(&body.expect("all of it is there"))
    }

    #[test]
    fn each_comes_back_as_it_was() {
        let group = GroupId(0);
        let commands = Bytes::from_static(&[0, 0, 0, 2, 7, 8, 0, 0, 0, 0]);
        let forward = Forward { group, commands };
        let mut out = BytesMut::new();
        encode_forward(&forward, &mut out);
        assert_eq!(decoded(out), Ok(Frame::Forward(forward)));

        let command = Bytes::from_static(&[9, 9, 9]);
        let refused = NotProposed { group, command };
        let mut out = BytesMut::new();
        encode_not_proposed(&refused, &mut out);
        assert_eq!(decoded(out), Ok(Frame::NotProposed(refused)));

        let (round, sessions) = (9, vec![i64::MIN, 5]);
        let touch = Touch {
            group,
            round,
            sessions,
        };
        let mut out = BytesMut::new();
        encode_touch(&touch, &mut out);
        assert_eq!(decoded(out), Ok(Frame::Touch(touch)));

        let index = 11;
        let touched = Touched {
            group,
            round,
            index,
        };
        let mut out = BytesMut::new();
        encode_touched(&touched, &mut out);
        assert_eq!(decoded(out), Ok(Frame::Touched(touched)));
    }

    #[test]
    fn commands_whose_lengths_do_not_add_up_are_refused() {
        for bad in [&[0, 0, 0][..], &[0, 0, 0, 2, 7], &[255, 255, 255, 255]] {
            let commands = Bytes::copy_from_slice(bad);
            let group = GroupId(0);
            let mut out = BytesMut::new();
            encode_forward(&Forward { group, commands }, &mut out);
            assert_eq!(decoded(out), Err(Malformed::Truncated), "{bad:?}");
        }
    }
}
