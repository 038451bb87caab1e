//! One core's log: its Raft group over the server's journal.
//!
//! Proposals go in, committed entries come out; what has to be durable first passes through the journal.
//! The coordinator's commands of a turn are joined into one entry, each behind its length, because every
//! entry costs the group a round; the broker's come joined already.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Failure;
use crate::consensus::group::{self, Group, Output, Persist};
use crate::consensus::journal::{
    Entry, EntryKind, HardState, Journal, Marker, Record, RecoveredGroup, Ticket,
};
use crate::units::{GroupId, Seed, ServerId};

/// An entry of joined commands is closed at this size.
const JOINED_BYTES: usize = 512 * 1024;
/// The form of a marker's state: version 1, the voters as 64-bit numbers.
const VOTERS_VERSION: u8 = 1;

/// How commands become entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// Each command is an entry.
    Alone,
    /// Commands are joined, each behind its 32-bit length.
    Framed,
}

/// The log of one core.
pub(super) struct Log {
    group: Group,
    joining: Joining,
    /// Closed entries that wait for room in the group.
    waiting: VecDeque<Bytes>,
    /// The entry that is being joined.
    open: BytesMut,
    /// Of the group's records, the last one handed to the journal.
    appended: Ticket,
    marker: u64,
    /// What the core's own files brought back holds everything up to here.
    restored: u64,
}

/// What a turn of the log brought, in order.
#[derive(Debug)]
pub(super) enum News {
    /// A command is committed.
    Command {
        /// Its entry.
        index: u64,
        /// The command; empty for an entry without one.
        data: Bytes,
    },
    /// All commands of the entry were given out.
    EntryEnd {
        /// The entry.
        index: u64,
    },
    /// This server leads, and all of former terms was given out.
    Led {
        /// The term.
        term: u64,
    },
    /// This server leads no more.
    Deposed,
}

/// An entry of joined commands whose lengths do not add up: a newer version's, or a fault of ours.
#[derive(Debug, thiserror::Error)]
#[error("entry {index} of group {group} cannot be taken apart")]
struct Malformed {
    group: GroupId,
    index: u64,
}

/// Why a log cannot go on from what is remembered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// A later version wrote it.
    #[error("{}: group {group}: the voters in its marker are of version {version}", journal.display())]
    Newer {
        /// The journal's folder.
        journal: PathBuf,
        /// The group.
        group: GroupId,
        /// What the marker's state begins with.
        version: u8,
    },
    /// It contradicts itself, or what the core's own files hold.
    #[error("{0}")]
    Contradiction(String),
}

/// What a log goes on from.
pub(super) struct Remembered {
    /// What the journal holds of the group.
    pub(super) recovered: Option<RecoveredGroup>,
    /// The core's own files hold everything up to here: its entries up to there are not given out again.
    pub(super) restored: u64,
    /// Whether the core's files may know more than the journal.
    pub(super) accept_loss: bool,
}

impl Remembered {
    /// The journal may have lost entries that the core's files have. New entries start after the core's last index; a
    /// lower one would count as applied.
    ///
    /// # Errors
    /// It lost that, and nobody has accepted it.
    fn settle(self, id: GroupId, journal: &mut Journal) -> Result<RecoveredGroup, String> {
        let mut recovered = self.recovered.unwrap_or_default();
        let last = recovered.last_index();
        if self.restored <= last {
            return Ok(recovered);
        }
        if !self.accept_loss && !recovered.incomplete {
            return Err(format!(
                "group {id}: the journal ends at entry {last}, but the group's own files hold {}",
                self.restored
            ));
        }
        recovered.entries.clear();
        recovered.marker.index = self.restored;
        recovered.marker.term = recovered.hard_state.term;
        journal.append(id, Record::Reset(recovered.marker.clone()));
        Ok(recovered)
    }
}

impl Log {
    /// The log as the journal remembers it.
    ///
    /// # Errors
    /// What it remembers is a later version's, or contradicts itself or what the core's own files hold.
    pub(super) fn new(
        id: GroupId,
        server: ServerId,
        joining: Joining,
        remembered: Remembered,
        seed: Seed,
        journal: &mut Journal,
    ) -> Result<Log, Unusable> {
        let restored = remembered.restored;
        let marker = remembered.recovered.as_ref().map(|group| &group.marker);
        let voters = marker.map_or(Ok(Some(Vec::new())), |marker| decode_voters(&marker.state));
        // Before anything is changed.
        let voters = voters.map_err(|version| Unusable::Newer {
            journal: journal.folder().to_path_buf(),
            group: id,
            version,
        })?;
        let voters = voters.ok_or_else(|| {
            Unusable::Contradiction(format!("group {id}: its marker's voters cannot be read"))
        })?;
        let recovered = remembered
            .settle(id, journal)
            .map_err(Unusable::Contradiction)?;
        let options = group::Options {
            id,
            // Raft knows no voter 0, and a lone MetaQ broker may have the id 0.
            voter: u64::from(server.0) + 1,
            uncommitted_bytes_max: 8 << 20,
            election_ticks: 10,
            heartbeat_ticks: 2,
        };
        let marker = recovered.marker.index;
        let last = recovered.last_index();
        let state = group::Recovered {
            term: recovered.hard_state.term,
            vote: recovered.hard_state.vote,
            commit: recovered.hard_state.commit.min(last),
            marker_index: marker,
            marker_term: recovered.marker.term,
            voters,
            entries: recovered.entries.into_iter().map(to_group).collect(),
        };
        let group = Group::new(options, state, seed)
            .map_err(|error| Unusable::Contradiction(format!("group {id}: {error}")))?;
        Ok(Log {
            group,
            joining,
            waiting: VecDeque::new(),
            open: BytesMut::new(),
            appended: Ticket::default(),
            marker,
            restored: marker.max(restored),
        })
    }

    /// Takes a command of the core; it is proposed at the end of the turn.
    pub(super) fn propose(&mut self, command: Bytes) {
        match self.joining {
            Joining::Alone => self.waiting.push_back(command),
            Joining::Framed => {
                if !self.open.is_empty() && self.open.len() + command.len() > JOINED_BYTES {
                    self.close_open();
                }
                let length =
                    u32::try_from(command.len()).expect("a command is smaller than a frame");
                self.open.put_u32(length);
                self.open.put_slice(&command);
            }
        }
    }

    /// The last entry whose effects are applied.
    pub(super) fn applied_index(&self) -> u64 {
        self.group.applied_index()
    }

    /// The entry up to which the journal has forgotten this group.
    pub(super) fn marker_index(&self) -> u64 {
        self.marker
    }

    /// Proposes what waits, hands to the journal what must survive, and gives out what is committed.
    ///
    /// # Errors
    /// An entry cannot be taken apart.
    pub(super) fn turn(
        &mut self,
        journal: &mut Journal,
        news: &mut Vec<News>,
    ) -> Result<(), Failure> {
        self.group.durable(journal.durable(self.group.id()).0);
        self.close_open();
        while let Some(entry) = self.waiting.front() {
            match self.group.propose(entry.clone()) {
                Ok(_) => {
                    self.waiting.pop_front();
                }
                Err(group::Refused::Full(_)) => break,
                Err(group::Refused::NotLeader(_)) => {
                    // The core is told that it was deposed, and what it proposed is void.
                    self.waiting.clear();
                }
            }
        }
        let id = self.group.id();
        let appended = &mut self.appended;
        let mut outputs = Vec::new();
        self.group.turn(
            |record| {
                *appended = journal.append(id, to_record(record));
                appended.0
            },
            &mut outputs,
        );
        for output in outputs {
            match output {
                Output::Committed(entry) => self
                    .give_out(entry, news)
                    .map_err(|malformed| Failure::halted(true, malformed.to_string(), journal))?,
                Output::Led { term } => news.push(News::Led { term }),
                Output::Deposed { .. } => news.push(News::Deposed),
            }
        }
        Ok(())
    }

    /// Everything up to `index` is applied: its entries leave memory.
    pub(super) fn applied(&mut self, index: u64) {
        self.group.applied(index);
    }

    /// Everything up to `index` is safe in the core's own files: the journal may forget it.
    pub(super) fn release(&mut self, index: u64, journal: &mut Journal) {
        let Some(term) = self.group.term_at(index) else {
            return;
        };
        if index > self.marker {
            let state = encode_voters(&self.group.voters());
            journal.compact(self.group.id(), Marker { index, term, state });
            self.group.marked(index);
            self.marker = index;
        }
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.waiting.push_back(self.open.split().freeze());
        }
    }

    fn give_out(&self, entry: group::Entry, news: &mut Vec<News>) -> Result<(), Malformed> {
        let index = entry.index;
        let malformed = Malformed {
            group: self.group.id(),
            index,
        };
        if index <= self.restored {
            // A crash came between the file and the marker that says so.
        } else if entry.membership || entry.data.is_empty() {
            news.push(News::Command {
                index,
                data: Bytes::new(),
            });
        } else if self.joining == Joining::Alone {
            news.push(News::Command {
                index,
                data: entry.data,
            });
        } else {
            let mut rest = entry.data;
            while !rest.is_empty() {
                let length = rest
                    .try_get_u32()
                    .ok()
                    .and_then(|length| usize::try_from(length).ok());
                match length {
                    Some(length) if length <= rest.len() => {
                        news.push(News::Command {
                            index,
                            data: rest.split_to(length),
                        });
                    }
                    _ => return Err(malformed),
                }
            }
        }
        news.push(News::EntryEnd { index });
        Ok(())
    }
}

fn to_record(record: Persist) -> Record {
    match record {
        Persist::HardState { term, vote, commit } => {
            Record::HardState(HardState { term, vote, commit })
        }
        Persist::Entry(entry) => Record::Entry(Entry {
            index: entry.index,
            term: entry.term,
            kind: if entry.membership {
                EntryKind::ConfChangeV2
            } else {
                EntryKind::Normal
            },
            data: entry.data,
        }),
    }
}

fn to_group(entry: Entry) -> group::Entry {
    group::Entry {
        index: entry.index,
        term: entry.term,
        membership: entry.kind != EntryKind::Normal,
        data: entry.data,
    }
}

fn encode_voters(voters: &[u64]) -> Bytes {
    let mut state = BytesMut::with_capacity(1 + 8 * voters.len());
    state.put_u8(VOTERS_VERSION);
    for voter in voters {
        state.put_u64(*voter);
    }
    state.freeze()
}

/// No voters where nothing was written yet; `None` where their bytes do not add up.
///
/// # Errors
/// They are of this version, which is not known.
fn decode_voters(state: &Bytes) -> Result<Option<Vec<u64>>, u8> {
    let mut state = state.clone();
    let Ok(version) = state.try_get_u8() else {
        return Ok(Some(Vec::new()));
    };
    if version != VOTERS_VERSION {
        return Err(version);
    }
    if !state.len().is_multiple_of(8) {
        return Ok(None);
    }
    let voters = std::iter::from_fn(|| state.try_get_u64().ok());
    Ok(Some(voters.collect()))
}
