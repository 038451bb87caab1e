//! What brokers tell each other.

use bytes::{Bytes, BytesMut};

use super::{Malformed, WORD, flag, frame};
use crate::broker::Name;
use crate::broker::word::{COUNTED_MAX, Count, Counts, NAME_BYTES_MAX, Reader, WANTED_MAX, Word};
use crate::cursor::{Reader as Cursor, Writer};
use crate::units::ServerId;

const WANTED: u8 = 1;
const COUNTS: u8 = 2;

/// Writes the frame.
///
/// # Panics
/// A name is longer than is spoken of.
pub fn encode(word: &Word, out: &mut BytesMut) {
    frame::encode(out, |writer| {
        writer.u8(WORD);
        match word {
            Word::Wanted(readers) => {
                writer.u8(WANTED);
                for reader in readers {
                    put_name(writer, &reader.group);
                    put_name(writer, &reader.consumer);
                }
            }
            Word::Counts(counts) => {
                writer.u8(COUNTS);
                writer.u64(counts.stamp);
                writer.u64(counts.echo);
                writer.u8(counts.asks.into());
                writer.u16(counts.broker.0);
                for count in &counts.processes {
                    put_name(writer, &count.process);
                    writer.u64(count.sent);
                    writer.u64(count.out);
                }
            }
        }
    });
}

pub(super) fn decode(reader: &mut Cursor<'_>, owner: &Bytes) -> Result<Word, Malformed> {
    match reader.u8()? {
        WANTED => {
            let mut readers = Vec::new();
            while !reader.is_empty() {
                if readers.len() == WANTED_MAX {
                    return Err(Malformed::Impossible("so many consumers in a word"));
                }
                readers.push(Reader {
                    group: name(reader, owner)?,
                    consumer: name(reader, owner)?,
                });
            }
            Ok(Word::Wanted(readers))
        }
        COUNTS => {
            let mut counts = Counts {
                stamp: reader.u64()?,
                echo: reader.u64()?,
                asks: flag(reader)?,
                broker: ServerId(reader.u16()?),
                processes: Vec::new(),
            };
            while !reader.is_empty() {
                if counts.processes.len() == COUNTED_MAX {
                    return Err(Malformed::Impossible("so many processes in a word"));
                }
                counts.processes.push(Count {
                    process: name(reader, owner)?,
                    sent: reader.u64()?,
                    out: reader.u64()?,
                });
            }
            Ok(Word::Counts(counts))
        }
        _ => Err(Malformed::Impossible("this word of a broker")),
    }
}

fn put_name(writer: &mut Writer<'_>, name: &Name) {
    let bytes = name.as_bytes();
    writer.u16(u16::try_from(bytes.len()).expect("only short names are spoken of"));
    writer.bytes(bytes);
}

fn name(reader: &mut Cursor<'_>, owner: &Bytes) -> Result<Name, Malformed> {
    let length = usize::from(reader.u16()?);
    if length > NAME_BYTES_MAX {
        return Err(Malformed::Impossible("so long a name"));
    }
    let bytes = reader.take_shared(length, owner)?;
    let name =
        Name::from_utf8(bytes).map_err(|_| Malformed::Impossible("a name that is no text"))?;
    // What is kept of it does not keep the frame.
    Ok(name.detached())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::peer::{self, Frame};

    fn decoded(word: &Word) -> Result<Frame, Malformed> {
        let mut out = BytesMut::new();
        encode(word, &mut out);
        let body = frame::decode(&mut out, 1 << 20).expect("a frame");
        peer::decode(&body.expect("all of it is there"))
    }

    fn wanted(count: usize, name: &str) -> Word {
        let reader = Reader {
            group: Name::from("g"),
            consumer: Name::from(name),
        };
        Word::Wanted(vec![reader; count])
    }

    fn counts(count: usize) -> Word {
        let process = Count {
            process: Name::from("10.0.0.1-17"),
            sent: 1 << 40,
            out: 3,
        };
        Word::Counts(Counts {
            stamp: 5,
            echo: u64::MAX,
            asks: count > 1,
            broker: ServerId(1023),
            processes: vec![process; count],
        })
    }

    #[test]
    fn each_comes_back_as_it_was() {
        for word in [
            wanted(0, ""),
            wanted(2, "g_10.0.0.1-17-1374200000000-1"),
            wanted(WANTED_MAX, "c"),
            counts(0),
            counts(1),
            counts(COUNTED_MAX),
        ] {
            assert_eq!(decoded(&word), Ok(Frame::Word(word)));
        }
    }

    #[test]
    fn no_word_is_larger_than_agreed() {
        for word in [
            wanted(WANTED_MAX + 1, "c"),
            wanted(1, &"c".repeat(NAME_BYTES_MAX + 1)),
            counts(COUNTED_MAX + 1),
        ] {
            assert!(matches!(decoded(&word), Err(Malformed::Impossible(_))));
        }
    }
}
