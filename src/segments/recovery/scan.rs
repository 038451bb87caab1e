//! Finds the last valid record of a file.

use crate::segments::format::HEADER_BYTES;
use crate::segments::walk::{Fault, Step, Walker};

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// One past the last valid record.
    pub valid_to: u64,
    /// Valid records in the range.
    pub messages: u64,
    /// The highest message id in it.
    pub last_message_id: Option<i64>,
}

/// Goes through a range of a file to its last valid record.
///
/// Zeros at the end of the file are cut off although twenty of them are a valid record: they are what a
/// file system leaves of writes that did not reach the disk. (Metamorphosis takes them for messages.)
#[derive(Clone, Debug)]
pub struct Scanner {
    walker: Walker,
    valid: Tail,
    /// The tail up to where the records that are all zeros begin which end the valid part.
    before_zeros: Option<Tail>,
    over: bool,
    rest_is_zero: bool,
}

impl Scanner {
    /// A scanner for the bytes `[from, to)` of a file.
    pub fn new(from: u64, to: u64) -> Scanner {
        Scanner {
            walker: Walker::new(from, to),
            valid: Tail {
                valid_to: from,
                ..Tail::default()
            },
            before_zeros: None,
            over: false,
            rest_is_zero: true,
        }
    }

    /// Takes the next bytes of the range.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !self.over && !bytes.is_empty() {
            let before = bytes;
            match self.walker.feed(&mut bytes) {
                Some(Step::Record { header, .. }) => {
                    let zero = header.encode() == [0; HEADER_BYTES];
                    if !zero {
                        self.before_zeros = None;
                    } else if self.before_zeros.is_none() {
                        self.before_zeros = Some(self.valid);
                    }
                    self.valid.valid_to = self.walker.position();
                    self.valid.messages += 1;
                    self.valid.last_message_id =
                        self.valid.last_message_id.max(Some(header.message_id));
                }
                Some(Step::Fault { fault, .. }) => {
                    self.over = true;
                    // Every other fault needs a byte that is not zero.
                    self.rest_is_zero = fault == Fault::ShortHeader;
                    bytes = before;
                }
                None => break,
            }
        }
        if self.over {
            self.rest_is_zero &= bytes.iter().all(|&byte| byte == 0);
        }
    }

    /// What was found, once the whole range was fed.
    pub fn finish(self) -> Tail {
        match self.before_zeros {
            Some(tail) if self.rest_is_zero => tail,
            _ => self.valid,
        }
    }
}
