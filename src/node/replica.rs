//! A replica: this server's part of one Raft group, over the server's journal.
//!
//! A core's proposals go in, committed entries come out; what has to be durable first passes through the journal.
//! The coordinator's commands of a turn are joined into one entry, each behind its length, because every
//! entry costs the group a round; the broker's come joined already.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::Failure;
use crate::consensus::group::{self, Group, Output, Role};
use crate::consensus::{Entry, EntryKind, Marker, Remembered};
use crate::journal::{Journal, Ticket};
use crate::units::{GroupId, Seed, ServerId};

/// An entry of joined commands is closed at this size.
const JOINED_BYTES: usize = 512 * 1024;

/// How commands become entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Each command is an entry.
    Alone,
    /// Commands are joined, each behind its 32-bit length.
    Framed,
}

/// One core's replica.
pub(crate) struct Replica {
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

/// What a turn of the replica brought, in order.
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

/// Why a replica cannot go on from what is remembered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// A later version wrote it.
    #[error("{}: {why}", journal.display())]
    Newer {
        /// The journal's folder.
        journal: PathBuf,
        /// What is not known.
        why: group::Unusable,
    },
    /// It contradicts itself.
    #[error(transparent)]
    Contradiction(group::Unusable),
    /// Other servers belong to the group.
    #[error("{}: group {group} has members on other servers", journal.display())]
    Shared {
        /// The journal's folder.
        journal: PathBuf,
        /// The group.
        group: GroupId,
    },
    /// The journal has lost entries that the core's own files hold.
    #[error(
        "group {group}: the journal ends at entry {last}, but the group's own files hold {restored}"
    )]
    Behind {
        /// The group.
        group: GroupId,
        /// The journal's last entry.
        last: u64,
        /// Up to which entry the core's own files hold everything.
        restored: u64,
    },
}

impl Unusable {
    fn of(why: group::Unusable, journal: &Journal) -> Unusable {
        match why.is_newer() {
            true => Unusable::Newer {
                journal: journal.folder().to_path_buf(),
                why,
            },
            false => Unusable::Contradiction(why),
        }
    }
}

/// What a replica goes on from.
pub(crate) struct Beginning {
    /// What the journal holds of the group.
    pub(crate) remembered: Option<Remembered>,
    /// The core's own files hold everything up to here: its entries up to there are not given out again.
    pub(crate) restored: u64,
    /// That entry's own term and the members as of it, where the files say them.
    pub(crate) place: Option<Marker>,
    /// Whether the core's files may know more than the journal.
    pub(crate) accept_loss: bool,
}

impl Beginning {
    /// The journal may have lost entries that the core's files have. New entries start after the core's last index; a
    /// lower one would count as applied.
    ///
    /// # Errors
    /// It lost that, and nobody has accepted it.
    fn settle(self, group: GroupId, journal: &mut Journal) -> Result<Remembered, Unusable> {
        let mut remembered = self.remembered.unwrap_or_default();
        let last = remembered.last_index();
        if self.restored <= last {
            return Ok(remembered);
        }
        if !self.accept_loss && !remembered.incomplete {
            return Err(Unusable::Behind {
                group,
                last,
                restored: self.restored,
            });
        }
        // Files that do not say it are of a group without other members: nobody else knows the term either.
        let marker = self.place.unwrap_or_else(|| Marker {
            index: self.restored,
            term: remembered.hard_state.term,
            state: remembered.marker.state.clone(),
        });
        let reset = remembered.settle(&marker);
        journal.append(group, reset.expect("it lies behind the last entry"));
        Ok(remembered)
    }
}

impl Replica {
    /// The replica as the journal remembers it.
    ///
    /// # Errors
    /// What it remembers is a later version's, or contradicts itself or what the core's own files hold.
    pub(crate) fn new(
        id: GroupId,
        server: ServerId,
        joining: Joining,
        beginning: Beginning,
        seed: Seed,
        journal: &mut Journal,
    ) -> Result<Replica, Unusable> {
        let restored = beginning.restored;
        // Before anything is changed.
        if let Some(remembered) = &beginning.remembered {
            let checked = Group::check(id, &remembered.marker);
            checked.map_err(|why| Unusable::of(why, journal))?;
        }
        let remembered = beginning.settle(id, journal)?;
        let options = group::Options {
            id,
            // Raft knows no voter 0, and a lone MetaQ broker may have the id 0.
            member: u64::from(server.0) + 1,
            uncommitted_bytes_max: 8 << 20,
            window_bytes: 0,
            joins: false,
            election_ticks: 10,
            heartbeat_ticks: 2,
        };
        let marker = remembered.marker.index;
        let group =
            Group::new(options, remembered, seed).map_err(|why| Unusable::of(why, journal))?;
        if !group.is_alone() {
            let journal = journal.folder().to_path_buf();
            return Err(Unusable::Shared { journal, group: id });
        }
        Ok(Replica {
            group,
            joining,
            waiting: VecDeque::new(),
            open: BytesMut::new(),
            appended: Ticket::default(),
            marker,
            restored: marker.max(restored),
        })
    }

    /// Which group it is of.
    pub(super) fn group(&self) -> GroupId {
        self.group.id()
    }

    /// Where this server stands in the group.
    pub(super) fn role(&self) -> Role {
        self.group.role()
    }

    /// The entry with which this server began to lead; `None` while it does not.
    pub(super) fn leads_since(&self) -> Option<u64> {
        match self.role() {
            Role::Leads { since, .. } => Some(since),
            Role::Follows | Role::Elected { .. } => None,
        }
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

    /// An entry's own term and the members as of it; `None` where they are not known any more.
    pub(super) fn place(&self, index: u64) -> Option<Marker> {
        self.group.marker_at(index)
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
                *appended = journal.append(id, record);
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
                Output::Send(_)
                | Output::ReadAt { .. }
                | Output::Fetch { .. }
                | Output::SnapshotWanted { .. }
                | Output::Installed(_) => unreachable!("nobody else belongs to the group"),
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
        if index <= self.marker {
            return;
        }
        if let Some(marker) = self.group.marker_at(index) {
            journal.compact(self.group.id(), marker);
            self.group.marked(index);
            self.marker = index;
        }
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.waiting.push_back(self.open.split().freeze());
        }
    }

    fn give_out(&self, entry: Entry, news: &mut Vec<News>) -> Result<(), Malformed> {
        let index = entry.index;
        let malformed = Malformed {
            group: self.group.id(),
            index,
        };
        if index <= self.restored {
            // A crash came between the file and the marker that says so.
        } else if entry.kind != EntryKind::Normal || entry.data.is_empty() {
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
