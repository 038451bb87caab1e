//! Goes through the records of a file whose bytes arrive in pieces.
//!
//! The one place that decides whether bytes are a record; checking a cold range, scanning a tail after a
//! crash and dumping a file are all done with it. Nothing is buffered but a header: data is only summed.
//!
//! Twenty zeros where a record should begin are a [`Step::Hole`], although their checksum is right: see
//! [`Header::is_hole`].

use super::format::{HEADER_BYTES, Header};

/// What the walker met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole, valid record.
    Record {
        /// The position of its header.
        position: u64,
        /// Its header.
        header: Header,
    },
    /// Zeros in place of a header. The walk goes on behind them: what is there may be a record, or another hole.
    Hole {
        /// Their position.
        position: u64,
    },
    /// No record begins here. The walk is over.
    Fault {
        /// The position of the header.
        position: u64,
        /// Why not.
        fault: Fault,
    },
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer bytes than a header has, up to the end.
    ShortHeader,
    /// The length field is negative.
    NegativeLength,
    /// The record would reach beyond the end.
    BeyondEnd,
    /// The data does not have the checksum of the header.
    Checksum,
    /// There are zeros where the header should be.
    Zeros,
}

/// A walk over the records in `[position, end)` of a file.
#[derive(Clone, Debug)]
pub struct Walker {
    /// Where the current record begins.
    position: u64,
    /// No record may reach beyond.
    end: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Header {
        bytes: [u8; HEADER_BYTES],
        filled: usize,
    },
    Data {
        header: Header,
        remaining: u64,
        sum: crc32fast::Hasher,
    },
    Over,
}

impl State {
    const fn fresh() -> State {
        State::Header {
            bytes: [0; HEADER_BYTES],
            filled: 0,
        }
    }
}

impl Walker {
    /// A walk that begins at `position`, which is taken as the beginning of a record. `end` is the length
    /// of what is there.
    pub fn new(position: u64, end: u64) -> Walker {
        Walker {
            position,
            end,
            state: State::fresh(),
        }
    }

    /// Where the record begins that is being read, or the next one will.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes can be fed until the next step is known, at most.
    pub fn wanted(&self) -> u64 {
        match &self.state {
            State::Header { filled, .. } => (HEADER_BYTES - filled) as u64,
            State::Data { remaining, .. } => *remaining,
            State::Over => 0,
        }
    }

    /// Takes bytes off the front of `bytes`, which continue where the last ones ended, until one step is
    /// known or all are taken.
    pub fn feed(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        loop {
            match &mut self.state {
                State::Over => return None,
                State::Header {
                    bytes: head,
                    filled,
                } => {
                    let Some(room) = self.end.checked_sub(self.position) else {
                        return self.fault(Fault::ShortHeader);
                    };
                    if room == 0 {
                        return None;
                    }
                    if room < HEADER_BYTES as u64 {
                        return self.fault(Fault::ShortHeader);
                    }
                    let take = bytes.len().min(HEADER_BYTES - *filled);
                    head[*filled..*filled + take].copy_from_slice(&bytes[..take]);
                    *filled += take;
                    *bytes = &bytes[take..];
                    if *filled < HEADER_BYTES {
                        return None;
                    }
                    let Some(header) = Header::decode(head) else {
                        return self.fault(Fault::NegativeLength);
                    };
                    if header.record_bytes() > room {
                        return self.fault(Fault::BeyondEnd);
                    }
                    if header.is_hole() {
                        let position = self.position;
                        self.position += header.record_bytes();
                        self.state = State::fresh();
                        return Some(Step::Hole { position });
                    }
                    self.state = State::Data {
                        header,
                        remaining: u64::from(header.length),
                        sum: crc32fast::Hasher::new(),
                    };
                }
                State::Data {
                    header,
                    remaining,
                    sum,
                } => {
                    let take = usize::try_from(*remaining)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    sum.update(&bytes[..take]);
                    *bytes = &bytes[take..];
                    *remaining -= take as u64;
                    if *remaining > 0 {
                        return None;
                    }
                    let header = *header;
                    let sum = std::mem::take(sum).finalize() & 0x7fff_ffff;
                    if i64::from(sum) != i64::from(header.checksum) {
                        return self.fault(Fault::Checksum);
                    }
                    let position = self.position;
                    self.position += header.record_bytes();
                    self.state = State::fresh();
                    return Some(Step::Record { position, header });
                }
            }
        }
    }

    fn fault(&mut self, fault: Fault) -> Option<Step> {
        self.state = State::Over;
        Some(Step::Fault {
            position: self.position,
            fault,
        })
    }
}
