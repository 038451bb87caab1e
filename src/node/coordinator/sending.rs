//! Snapshots on their way to members that are too far behind for entries.
//!
//! The newest one on disk is sent in parts, from a file that is not removed meanwhile; several members share it. No part
//! goes out that the member has no room for: what was sent and not taken is bounded. When it has taken all, the group's own
//! message follows, and only then the snapshot takes the place of what the member has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::consensus::message::Message;
use crate::disk::{Completion, Disk, File, Lane, Mode, Operation, Outcome, Owner, Token};
use crate::units::{GroupId, ServerId};
use crate::wire::peer::{Part, Taken};

/// Whose completions these are.
pub(super) const OWNER: Owner = Owner::SnapshotsSent(GroupId::COORDINATOR);
/// What a part holds.
const PART_BYTES: usize = 128 << 10;
/// Bytes that were sent and not taken yet.
const UNTAKEN_MAX: u64 = 1 << 20;

/// One member that is sent a snapshot.
#[derive(Debug)]
struct Sending {
    /// What follows for the group; nothing where it only lacks the state.
    message: Option<Message>,
    index: u64,
    path: PathBuf,
    file: File,
    /// The number that its operations carry.
    number: u64,
    /// So long it is.
    length: u64,
    /// Read and handed over up to here.
    sent: u64,
    taken: u64,
    /// All of it was sent.
    ended: bool,
    reading: bool,
    /// What was read and has no room in the connection yet.
    held: Option<Part>,
}

/// All that is being sent.
#[derive(Debug, Default)]
pub(super) struct Sendings {
    by_server: BTreeMap<ServerId, Sending>,
    numbers: u64,
}

impl Sendings {
    /// Begins to send the snapshot at `path`, that `message` speaks of if there is one, in the place of one under way to the
    /// same server.
    pub(super) fn begin(
        &mut self,
        to: ServerId,
        index: u64,
        path: PathBuf,
        message: Option<Message>,
        disk: &mut dyn Disk,
    ) {
        self.end(to, disk);
        self.numbers += 1;
        let file = disk.reserve();
        info!(server = %to, index, "a snapshot is sent to a server that is far behind");
        let open = Operation::Open {
            file,
            path: path.clone(),
            mode: Mode::ReadOnly,
        };
        let sending = Sending {
            message,
            index,
            path,
            file,
            number: self.numbers,
            length: 0,
            sent: 0,
            taken: 0,
            ended: false,
            reading: true,
            held: None,
        };
        disk.submit(Lane::Background, sending.token(), open);
        self.by_server.insert(to, sending);
    }

    /// How much a server has taken of a snapshot that it is being sent.
    pub(super) fn taken_by(&self, server: ServerId) -> Option<u64> {
        self.by_server.get(&server).map(|sending| sending.taken)
    }

    /// Whether a snapshot file is still being sent.
    pub(super) fn pins(&self, path: &Path) -> bool {
        self.by_server.values().any(|sending| sending.path == path)
    }

    /// A server is out of reach. The member that will not get its snapshot, if one was on its way.
    pub(super) fn lost(&mut self, server: ServerId, disk: &mut dyn Disk) -> Option<u64> {
        let message = &self.by_server.get(&server)?.message;
        let member = message.as_ref().map(|message| message.to);
        self.end(server, disk);
        member
    }

    /// Nothing is sent any more. The members that will not get theirs.
    pub(super) fn end_all(&mut self, disk: &mut dyn Disk) -> Vec<u64> {
        let servers: Vec<ServerId> = self.by_server.keys().copied().collect();
        let ended = servers.into_iter();
        ended.filter_map(|server| self.lost(server, disk)).collect()
    }

    fn end(&mut self, server: ServerId, disk: &mut dyn Disk) {
        if let Some(sending) = self.by_server.remove(&server) {
            let close = Operation::Close { file: sending.file };
            disk.submit(Lane::Background, Token::new(OWNER, 0), close);
        }
    }

    /// The parts that may go out now; `takes` says whose connection has room. What follows them is read.
    pub(super) fn take_parts(
        &mut self,
        mut takes: impl FnMut(ServerId) -> bool,
        disk: &mut dyn Disk,
    ) -> Vec<(ServerId, Part)> {
        let mut parts = Vec::new();
        for (server, sending) in &mut self.by_server {
            if sending.held.is_some() && takes(*server) {
                parts.extend(sending.held.take().map(|part| (*server, part)));
            }
            sending.read_on(disk);
        }
        parts
    }

    /// Takes a completion of ours. The member that will not get its snapshot, if it cannot be read.
    pub(super) fn complete(&mut self, completion: Completion, disk: &mut dyn Disk) -> Option<u64> {
        let number = completion.token.number;
        let mut all = self.by_server.iter_mut();
        let (server, sending) = all.find(|(_, sending)| sending.number == number)?;
        let server = *server;
        sending.reading = false;
        match completion.result {
            Ok(Outcome::Read(bytes)) => {
                let offset = sending.sent;
                sending.sent += bytes.len() as u64;
                let part = Part {
                    group: GroupId::COORDINATOR,
                    index: sending.index,
                    offset,
                    is_last: sending.sent >= sending.length || bytes.is_empty(),
                    bytes,
                };
                sending.ended = part.is_last;
                sending.held = Some(part);
                None
            }
            Ok(outcome) => {
                if let Outcome::Opened { length, .. } = outcome {
                    sending.length = length;
                }
                sending.read_on(disk);
                None
            }
            Err(error) => {
                warn!(%error, "a snapshot cannot be read to be sent to another server");
                self.lost(server, disk)
            }
        }
    }

    /// A member has taken so much. The group's message, when it has all.
    pub(super) fn taken(
        &mut self,
        server: ServerId,
        taken: Taken,
        disk: &mut dyn Disk,
    ) -> Option<Message> {
        let sending = self.by_server.get_mut(&server)?;
        if taken.index != sending.index {
            return None;
        }
        sending.taken = sending.taken.max(taken.offset.min(sending.sent));
        if !sending.ended || sending.taken < sending.sent {
            sending.read_on(disk);
            return None;
        }
        let message = sending.message.clone();
        self.end(server, disk);
        message
    }
}

impl Sending {
    /// Reads the next part, if there is room for it.
    fn read_on(&mut self, disk: &mut dyn Disk) {
        let room = self.sent - self.taken < UNTAKEN_MAX && self.held.is_none();
        if room && !self.reading && !self.ended {
            self.reading = true;
            let read = Operation::Read {
                file: self.file,
                position: self.sent,
                length: PART_BYTES,
            };
            disk.submit(Lane::Background, self.token(), read);
        }
    }

    fn token(&self) -> Token {
        Token::new(OWNER, self.number)
    }
}
