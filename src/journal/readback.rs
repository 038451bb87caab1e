//! Entries of a group, read back from the files for a member that lacks them.
//!
//! A read begins at the last place in front of what is wanted ([`super::places`]) and goes on from batch to batch, a chunk at a
//! time. Each batch is checked like at a start. What is read may be used again meanwhile by a newer file: its
//! header says so. Nothing that is applied here ever comes from a read.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use bytes::Bytes;

use super::circle::{Circle, Lying};
use super::format::{BLOCK, Body, Found, Header, decode_record};
use crate::consensus::{Entry, Record};
use crate::disk::{self, Disk, Lane, Operation, Outcome, Owner, Token};
use crate::units::GroupId;

/// The token numbers of reads begin here; a batch's sequence never gets there.
const READ_TOKENS: u64 = 1 << 56;
/// What is read at once, unless a batch is longer.
const CHUNK_BYTES: u64 = 512 << 10;

/// Entries that are to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub group: GroupId,
    /// What the caller calls it.
    pub number: u64,
    /// The first of them.
    pub from: u64,
    /// One behind the last.
    pub to: u64,
    /// So many bytes are enough; at least one entry.
    pub bytes: u64,
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Nobody needed them here any more, and their file is used again.
    #[error("the entries are not in the journal any more")]
    Gone,
    /// They are needed, and cannot be read.
    #[error("{}, from byte {position} on: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the unreadable batch begins.
        position: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// What was read: the first of the wanted entries and some that follow it.
#[derive(Debug)]
pub struct ReadBack {
    /// [`Wanted::number`].
    pub number: u64,
    /// At least one entry.
    pub entries: Result<Vec<Entry>, Unread>,
}

/// One read that is under way.
#[derive(Debug)]
struct Reading {
    wanted: Wanted,
    lying: Lying,
    /// Where the chunk begins.
    position: u64,
    length: u64,
    entries: Vec<Entry>,
}

/// All reads.
#[derive(Debug, Default)]
pub(super) struct Readings {
    token: u64,
    wanted: VecDeque<Wanted>,
    /// Those whose next chunk is to be read.
    hungry: VecDeque<Reading>,
    under_way: BTreeMap<u64, Reading>,
    done: VecDeque<(GroupId, ReadBack)>,
    /// Entries that were read.
    count: u64,
}

/// What a chunk brought.
enum Step {
    /// All that is wanted, or as much as was to be had at once.
    Done,
    /// Nothing yet: the next chunk has this place and length.
    On { position: u64, length: u64 },
}

impl Readings {
    /// The token is one of a read.
    pub(super) fn owns(token: Token) -> bool {
        token.number >= READ_TOKENS
    }

    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    /// Begins what is wanted, and goes on with what has not come yet.
    pub(super) fn go_on(&mut self, circle: &Circle, disk: &mut dyn Disk) {
        while let Some(wanted) = self.wanted.pop_front() {
            let Some(lying) = circle.find(wanted.group, wanted.from) else {
                self.end(wanted, Err(Unread::Gone));
                continue;
            };
            self.hungry.push_back(Reading {
                wanted,
                position: lying.position,
                length: CHUNK_BYTES,
                lying,
                entries: Vec::new(),
            });
        }
        while let Some(reading) = self.hungry.pop_front() {
            self.read(reading, disk);
        }
    }

    fn read(&mut self, reading: Reading, disk: &mut dyn Disk) {
        self.token += 1;
        let token = Token::new(Owner::Journal, READ_TOKENS + self.token);
        let left = reading.lying.length.saturating_sub(reading.position);
        let length = usize::try_from(reading.length.min(left)).expect("a chunk fits into memory");
        let read = Operation::Read {
            file: reading.lying.file,
            position: reading.position,
            length,
        };
        disk.submit(Lane::Read, token, read);
        self.under_way.insert(self.token, reading);
    }

    /// Takes the end of a read. `id` is the journal's.
    pub(super) fn complete(
        &mut self,
        token: Token,
        result: Result<Outcome, disk::Error>,
        id: [u8; 16],
        circle: &Circle,
    ) {
        let Some(mut reading) = self.under_way.remove(&(token.number - READ_TOKENS)) else {
            return;
        };
        let step = match result {
            Ok(Outcome::Read(chunk)) => reading.take(&chunk, id),
            Ok(_) => unreachable!("a read reads"),
            Err(error) => Err(error.to_string()),
        };
        match step {
            Ok(Step::Done) => self.end(reading.wanted, Ok(reading.entries)),
            Ok(Step::On { position, length }) => {
                (reading.position, reading.length) = (position, length);
                self.hungry.push_back(reading);
            }
            Err(what) => {
                let why = match circle.uses(reading.lying.number) {
                    false => Unread::Gone,
                    true => Unread::Damaged {
                        path: reading.lying.path,
                        position: reading.position,
                        what,
                    },
                };
                self.end(reading.wanted, Err(why));
            }
        }
    }

    fn end(&mut self, wanted: Wanted, entries: Result<Vec<Entry>, Unread>) {
        let number = wanted.number;
        self.count += entries.as_ref().map_or(0, Vec::len) as u64;
        self.done
            .push_back((wanted.group, ReadBack { number, entries }));
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What was read for a group.
    pub(super) fn take(&mut self, group: GroupId) -> Option<ReadBack> {
        let place = self.done.iter().position(|(of, _)| *of == group)?;
        self.done.remove(place).map(|(_, read)| read)
    }
}

impl Reading {
    /// One behind the last entry that is of use here.
    fn end(&self) -> u64 {
        self.wanted.to.min(self.lying.end)
    }

    /// The entry that is to come next.
    fn next(&self) -> u64 {
        self.wanted.from + self.entries.len() as u64
    }

    fn is_enough(&self) -> bool {
        let bytes: usize = self.entries.iter().map(|entry| entry.data.len()).sum();
        self.next() >= self.end() || bytes as u64 >= self.wanted.bytes
    }

    /// Takes what is of use out of a chunk that begins with a batch.
    fn take(&mut self, chunk: &Bytes, id: [u8; 16]) -> Result<Step, String> {
        let mut at = 0_usize;
        while at < chunk.len() {
            let header = match Header::decode(&chunk[at..]) {
                Found::Header(header) if header.id == id && header.file == self.lying.number => {
                    header
                }
                _ if self.entries.is_empty() => {
                    self.position += at as u64;
                    return Err("there is no whole header".to_owned());
                }
                _ => break,
            };
            let length = usize::try_from(header.batch_bytes()).unwrap_or(usize::MAX);
            if at.saturating_add(length) > chunk.len() {
                break;
            }
            let Some(body) = header.body(chunk, at) else {
                self.position += at as u64;
                return Err("its body does not match its checksum".to_owned());
            };
            self.take_batch(body)?;
            at += length;
            // Only between batches: one may hold an entry twice, and the later one counts.
            if self.is_enough() {
                break;
            }
        }
        self.shorten();
        if !self.entries.is_empty() {
            return Ok(Step::Done);
        }
        self.on(chunk, at)
    }

    /// Nothing of use was in the batches up to `at`.
    fn on(&self, chunk: &Bytes, at: usize) -> Result<Step, String> {
        let position = self.position + at as u64;
        // The header of a batch that does not fit into the chunk says how long it is.
        let needed = match Header::decode(&chunk[at..]) {
            Found::Header(header) => header.batch_bytes(),
            _ => 0,
        };
        let is_there = position.saturating_add(needed.max(BLOCK)) <= self.lying.length;
        if !is_there || at == 0 && needed <= self.length {
            return Err("its entries are not where they should be".to_owned());
        }
        let length = needed.max(CHUNK_BYTES);
        Ok(Step::On { position, length })
    }

    fn take_batch(&mut self, mut body: Bytes) -> Result<(), String> {
        while !body.is_empty() {
            let record = decode_record(&mut body).map_err(|what| format!("{what:?}"))?;
            let (group, Body::Record(Record::Entry(entry))) = record else {
                continue;
            };
            // What comes before is replaced by it, and this very batch replaces what would leave a gap.
            if group != self.wanted.group || entry.index > self.next() {
                continue;
            }
            let place = entry.index.saturating_sub(self.wanted.from);
            self.entries
                .truncate(usize::try_from(place).unwrap_or(usize::MAX));
            if entry.index >= self.wanted.from {
                self.entries.push(entry);
            }
        }
        Ok(())
    }

    /// Leaves no more than is wanted, and one at least.
    fn shorten(&mut self) {
        let end = self.end();
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.data.len() as u64;
            entry.index < end && (bytes <= self.wanted.bytes || entry.index == self.wanted.from)
        };
        let count = self.entries.iter().take_while(fits).count();
        self.entries.truncate(count);
    }
}
