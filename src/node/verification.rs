//! Checking segment files record by record before they are first served in a run.
//!
//! A check reads on the disk's read lane, a piece at a time, and hands the pieces to the pure checker; the
//! loop itself never waits for the medium. The reading also brings the range into the page cache, from
//! where it is sent next.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::broker::Ticket;
use crate::disk::{Completion, Disk, File, Lane, Mode, Operation, Outcome as Done, Token};
use crate::segments::verify::{Checker, Outcome, Range};

/// Whose completions are the verification's.
pub(super) const TOKEN_OWNER: u8 = 3;

/// How much is read at a time.
const PIECE_BYTES: usize = 1 << 20;
/// A check under way.
struct Check {
    ticket: Ticket,
    checker: Checker,
    file: File,
    /// Where the next piece begins.
    position: u64,
    /// The file's valid length: nothing behind it is read.
    length: u64,
}

/// The checks under way.
#[derive(Default)]
pub(super) struct Verification {
    checks: BTreeMap<u64, Check>,
    next: u64,
}

impl Verification {
    /// Starts to check a range of the file at `path`.
    pub(super) fn begin(&mut self, ticket: Ticket, range: Range, path: &Path, disk: &mut dyn Disk) {
        self.next += 1;
        let file = disk.reserve();
        let check = Check {
            ticket,
            checker: Checker::new(&range),
            file,
            position: range.from,
            length: range.length,
        };
        self.checks.insert(self.next, check);
        let open = Operation::Open {
            file,
            path: path.to_path_buf(),
            mode: Mode::ReadOnly,
        };
        disk.submit(Lane::Read, Token::new(TOKEN_OWNER, self.next), open);
    }

    /// Takes a completion of ours; what a check found, when it is through.
    pub(super) fn complete(
        &mut self,
        completion: Completion,
        disk: &mut dyn Disk,
    ) -> Option<(Ticket, Outcome)> {
        let number = completion.token.number();
        // Of a check that is through only its file's closing is still reported.
        let check = self.checks.get_mut(&number)?;
        let outcome = match completion.result {
            Err(error) => {
                tracing::error!(%error, "a segment cannot be read; gets there are answered 500");
                Some(Outcome::Unreadable)
            }
            Ok(Done::Read(bytes)) => check.take(&bytes),
            Ok(_) => None,
        };
        match outcome {
            None => {
                let left = check.length.saturating_sub(check.position);
                let length = usize::try_from(left)
                    .unwrap_or(PIECE_BYTES)
                    .min(PIECE_BYTES);
                let read = Operation::Read {
                    file: check.file,
                    position: check.position,
                    length,
                };
                disk.submit(Lane::Read, completion.token, read);
                None
            }
            Some(outcome) => {
                let check = self.checks.remove(&number)?;
                disk.submit(
                    Lane::Read,
                    completion.token,
                    Operation::Close { file: check.file },
                );
                Some((check.ticket, outcome))
            }
        }
    }
}

impl Check {
    fn take(&mut self, bytes: &Bytes) -> Option<Outcome> {
        self.position += bytes.len() as u64;
        let outcome = self.checker.feed(bytes);
        if outcome.is_none() && (bytes.is_empty() || self.position >= self.length) {
            return Some(self.checker.end_of_file());
        }
        outcome
    }
}
