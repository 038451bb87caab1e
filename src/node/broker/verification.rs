//! Reading segment files for what must be known before they are served: checking records that were not
//! written in this run, and looking for the next good one behind damage.
//!
//! Both read on the disk's read lane, a piece at a time, and hand the pieces to the pure checker or search;
//! the loop itself never waits for the medium. The reading also brings the range into the page cache, from
//! where it is sent next.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use crate::broker::{Event, Ticket};
use crate::disk::{Class, Completion, Disk, File, Lane, Mode, Operation, Outcome, Owner, Token};
use crate::segments::search::{self, Search};
use crate::segments::verify::{self, Checker, Range};
use crate::units::GroupId;

/// How much a check reads at a time.
const PIECE_BYTES: usize = 1 << 20;
/// How many files are open for it at a time; the others wait.
const OPEN_MAX: usize = 16;

/// A file that is being read.
struct Reading {
    ticket: Ticket,
    purpose: Purpose,
    file: File,
}

enum Purpose {
    Check {
        checker: Checker,
        /// Where the next piece begins.
        position: u64,
        /// The file's valid length: nothing behind it is read.
        length: u64,
    },
    Search(Search),
}

/// The files that are being read.
pub(super) struct Verification {
    /// Whose completions are ours.
    owner: Owner,
    readings: BTreeMap<u64, Reading>,
    next: u64,
    waiting: VecDeque<(Ticket, Purpose, PathBuf)>,
    /// It was told that there are no descriptors, and there were none since.
    told: bool,
}

impl Verification {
    /// Of the files of a broker's group.
    pub(super) fn new(group: GroupId) -> Verification {
        Verification {
            owner: Owner::Verification(group),
            readings: BTreeMap::new(),
            next: 0,
            waiting: VecDeque::new(),
            told: false,
        }
    }

    /// Starts to check a range of the file at `path`.
    pub(super) fn check(&mut self, ticket: Ticket, range: Range, path: &Path, disk: &mut dyn Disk) {
        let purpose = Purpose::Check {
            checker: Checker::new(&range),
            position: range.from,
            length: range.length,
        };
        self.begin(ticket, purpose, path, disk);
    }

    /// Starts to look for a good record in a range of the file at `path`.
    pub(super) fn search(
        &mut self,
        ticket: Ticket,
        range: Range,
        path: &Path,
        disk: &mut dyn Disk,
    ) {
        let purpose = Purpose::Search(Search::new(&range));
        self.begin(ticket, purpose, path, disk);
    }

    fn begin(&mut self, ticket: Ticket, purpose: Purpose, path: &Path, disk: &mut dyn Disk) {
        self.waiting
            .push_back((ticket, purpose, path.to_path_buf()));
        self.go_on(disk);
    }

    /// Begins what waits, while few enough are open.
    fn go_on(&mut self, disk: &mut dyn Disk) {
        while self.readings.len() < OPEN_MAX
            && let Some((ticket, purpose, path)) = self.waiting.pop_front()
        {
            self.open(ticket, purpose, path, disk);
        }
    }

    fn open(&mut self, ticket: Ticket, purpose: Purpose, path: PathBuf, disk: &mut dyn Disk) {
        self.next += 1;
        let file = disk.reserve();
        let reading = Reading {
            ticket,
            purpose,
            file,
        };
        self.readings.insert(self.next, reading);
        let open = Operation::Open {
            file,
            path,
            mode: Mode::ReadOnly,
        };
        disk.submit(Lane::Read, Token::new(self.owner, self.next), open);
    }

    /// Takes a completion of ours; what the broker is to be told, when a reading is through.
    pub(super) fn complete(
        &mut self,
        completion: Completion,
        disk: &mut dyn Disk,
    ) -> Option<Event> {
        let number = completion.token.number;
        // Of a reading that is through only its file's closing is still reported.
        let reading = self.readings.get_mut(&number)?;
        let event = match completion.result {
            Err(error) => {
                let lacking = error.class == Class::Exhausted;
                if !lacking || !std::mem::replace(&mut self.told, true) {
                    tracing::error!(%error, "a segment cannot be read; gets there are answered 500");
                }
                Some(reading.unreadable())
            }
            Ok(Outcome::Read(bytes)) => {
                self.told = false;
                reading.take(&bytes)
            }
            Ok(_) => None,
        };
        let operation = if event.is_some() {
            let file = reading.file;
            self.readings.remove(&number);
            Operation::Close { file }
        } else {
            let (position, length) = reading.wants();
            Operation::Read {
                file: reading.file,
                position,
                length,
            }
        };
        disk.submit(Lane::Read, completion.token, operation);
        self.go_on(disk);
        event
    }
}

impl Reading {
    /// Where the next piece begins, and how long it is.
    fn wants(&self) -> (u64, usize) {
        match &self.purpose {
            Purpose::Check {
                position, length, ..
            } => {
                let left = length.saturating_sub(*position);
                let bytes = usize::try_from(left).unwrap_or(PIECE_BYTES);
                (*position, bytes.min(PIECE_BYTES))
            }
            Purpose::Search(search) => search.wants(),
        }
    }

    /// Takes the next piece; what the broker is to be told, if that was enough.
    fn take(&mut self, bytes: &[u8]) -> Option<Event> {
        let ticket = self.ticket;
        match &mut self.purpose {
            Purpose::Check {
                checker,
                position,
                length,
            } => {
                *position += bytes.len() as u64;
                let ended = bytes.is_empty() || *position >= *length;
                let outcome = checker
                    .feed(bytes)
                    .or_else(|| ended.then(|| checker.end_of_file()))?;
                Some(Event::Verified { ticket, outcome })
            }
            Purpose::Search(search) => {
                let outcome = search.feed(bytes)?;
                Some(Event::Searched { ticket, outcome })
            }
        }
    }

    fn unreadable(&self) -> Event {
        let ticket = self.ticket;
        match &self.purpose {
            Purpose::Check { .. } => Event::Verified {
                ticket,
                outcome: verify::Outcome::Unreadable,
            },
            Purpose::Search(_) => Event::Searched {
                ticket,
                outcome: search::Outcome::Unreadable,
            },
        }
    }
}
