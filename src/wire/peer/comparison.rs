//! Whether servers hold the same state: what they ask each other, and tell.

use bytes::BytesMut;

use super::{COMPARE, Malformed, frame};
use crate::cursor::Reader;
use crate::units::GroupId;

/// A word about the state after one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compare {
    /// Whose state it is.
    pub group: GroupId,
    /// The entry.
    pub index: u64,
    /// What is asked or told.
    pub what: Compared,
}

/// What is asked or told about a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The leader: which digest has it?
    Ask,
    /// A member: this one.
    Answer(u64),
    /// The leader: another one than most have.
    Differs,
    /// A member whose state is not to be used: a snapshot of this entry or a later one is wanted.
    Wants,
}

const ASK: u8 = 1;
const ANSWER: u8 = 2;
const DIFFERS: u8 = 3;
const WANTS: u8 = 4;

/// Writes the frame.
pub fn encode(compare: &Compare, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(COMPARE);
        writer.u32(compare.group.0);
        writer.u64(compare.index);
        match compare.what {
            Compared::Ask => writer.u8(ASK),
            Compared::Answer(digest) => {
                writer.u8(ANSWER);
                writer.u64(digest);
            }
            Compared::Differs => writer.u8(DIFFERS),
            Compared::Wants => writer.u8(WANTS),
        }
    });
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Compare, Malformed> {
    let compare = Compare {
        group: GroupId(reader.u32()?),
        index: reader.u64()?,
        what: match reader.u8()? {
            ASK => Compared::Ask,
            ANSWER => Compared::Answer(reader.u64()?),
            DIFFERS => Compared::Differs,
            WANTS => Compared::Wants,
            _ => return Err(Malformed::Impossible("this word about a state")),
        },
    };
    match reader.is_empty() {
        true => Ok(compare),
        false => Err(Malformed::Impossible(
            "something behind a word about a state",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::{Frame, decode};

    #[test]
    fn each_comes_back_as_it_was() {
        let answer = Compared::Answer(0x0123_4567_89ab_cdef);
        for what in [Compared::Ask, answer, Compared::Differs, Compared::Wants] {
            let (group, index) = (GroupId(0), 7);
            let compare = Compare { group, index, what };
            let mut out = BytesMut::new();
            encode(&compare, &mut out);
            let body = frame::decode(&mut out, 1 << 10).expect("a frame");
            let decoded = decode(&body.expect("all of it is there"));
            assert_eq!(decoded, Ok(Frame::Compare(compare)));
        }
    }
}
