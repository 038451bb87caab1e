//! Finds the last valid record of a file.

use crate::segments::walk::{Step, Walker};

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
/// A hole behind the last record is cut off; Metamorphosis takes it for messages. It may have appended others behind
/// them, so a hole with records behind it stays: gets there find it damaged.
#[derive(Clone, Debug)]
pub struct Scanner {
    walker: Walker,
    valid: Tail,
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
        }
    }

    /// Takes the next bytes of the range.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        // What follows a fault is not looked at: the walk is over.
        while let Some(step) = self.walker.feed(&mut bytes) {
            if let Step::Record { header, .. } = step {
                self.valid.valid_to = self.walker.position();
                self.valid.messages += 1;
                self.valid.last_message_id =
                    self.valid.last_message_id.max(Some(header.message_id));
            }
        }
    }

    /// What was found, once the whole range was fed.
    pub fn finish(self) -> Tail {
        self.valid
    }
}
