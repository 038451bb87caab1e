//! From committed entries to files, and from files to checkpoints.
//!
//! What is committed within a turn is gathered into one [`Effect::Files`]; while some are outstanding,
//! what comes is gathered further. Replies leave when their job is given out: the journal has what was put, so
//! nothing can be lost any more. Only when the job is reported as done does the visible end move; a get that
//! comes in between waits for that (see `get`), so that a client that was told 200 finds its message. Jobs are
//! done strictly in order.
//!
//! When the disk is full the writer parks: it waits for all outstanding reports, then gives out the first
//! refused job and all after it once more, again and again, until they succeed. (All after it, because a
//! job may cut a file that a later one writes to.) What is committed meanwhile is acknowledged and gathered.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::Broker;
use super::event::{Effect, Shortage, Ticket, Warning};
use super::partition::Partition;
use super::put::Pending;
use super::reply::Reply;
use crate::segments::append::Writes;
use crate::segments::checkpoint::{Checkpoint, DirtyFiles, PartitionCheckpoint, SegmentCheckpoint};
use crate::segments::retention::Retired;
use crate::segments::{FileId, FileOperation, PartitionId};
use crate::units::{ConnectionId, Moment, WallTime};

/// A part of a partition that a job makes visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advance {
    pub(super) partition: PartitionId,
    /// The start of the file.
    pub(super) segment: u64,
    /// The visible end afterwards.
    pub(super) end: u64,
    pub(super) messages: u32,
    pub(super) wall: WallTime,
}

/// Work on files and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Job {
    ticket: Ticket,
    operations: Vec<FileOperation>,
    pub(super) advances: Vec<Advance>,
    /// The puts it stores, until they are acknowledged.
    pub(super) pending: Vec<Pending>,
    /// The last entry it brings to the files.
    pub(super) index: u64,
    bytes: u64,
    report: Report,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Report {
    #[default]
    Due,
    Written,
    Refused,
}

/// Jobs between commit and page cache.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The operations of the job being gathered.
    pub(super) writes: Writes,
    /// The job being gathered.
    pub(super) job: Job,
    outstanding: VecDeque<Job>,
    outstanding_bytes: u64,
    parked: Option<Parked>,
    /// All entries up to here are in the files.
    written: u64,
}

/// The disk is full, or something else is used up that files need.
#[derive(Debug)]
struct Parked {
    shortage: Shortage,
    /// When to try again; not known while reports are due.
    retry: Option<Moment>,
}

impl Writer {
    /// Everything up to this entry is in the files already.
    pub(super) fn opened(applied: u64) -> Writer {
        let mut writer = Writer {
            written: applied,
            ..Writer::default()
        };
        writer.job.index = applied;
        writer
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    /// What is lacking while it is parked.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.parked.as_ref().map(|parked| parked.shortage)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty() && self.writes.is_empty() && self.job.index == self.written
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn bytes(&self) -> usize {
        let bytes = self.outstanding_bytes + self.writes.bytes();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn retry(&self) -> Option<Moment> {
        self.parked.as_ref()?.retry
    }

    /// Closes the connection behind the replies to what is gathered. False: none is due.
    pub(super) fn close_after(&mut self, connection: ConnectionId) -> bool {
        let last = self.job.pending.last_mut();
        let due = last.is_some();
        if let Some(pending) = last {
            pending.closes.push(connection);
        }
        due
    }

    /// Nobody waits for what is gathered.
    pub(super) fn forget_replies(&mut self) {
        self.job.pending.clear();
    }

    /// Takes the job that was gathered, to be given out.
    fn next_job(&mut self) -> Job {
        let index = self.job.index;
        let next = Job {
            index,
            ..Job::default()
        };
        std::mem::replace(&mut self.job, next)
    }

    /// Messages of these partitions that are committed and not yet in their files.
    pub(super) fn messages_under_way(&self, of: impl Fn(PartitionId) -> bool) -> u64 {
        let jobs = self.outstanding.iter().chain([&self.job]);
        jobs.flat_map(|job| &job.advances)
            .filter(|advance| of(advance.partition))
            .map(|advance| u64::from(advance.messages))
            .sum()
    }

    /// Whether something is still to be done to this file.
    pub(super) fn touches(&self, file: FileId) -> bool {
        let mut operations = self.outstanding.iter().flat_map(|job| &job.operations);
        self.writes.touches(file) || operations.any(|operation| operation.file() == file)
    }

    /// Tries again at once.
    pub(super) fn hasten(&mut self, now: Moment) {
        if let Some(Parked {
            retry: Some(retry), ..
        }) = &mut self.parked
        {
            *retry = now;
        }
    }
}

/// The making of checkpoints.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    dirty: DirtyFiles,
    dirty_since: Option<Moment>,
    dirty_bytes: u64,
    state: State,
    /// The entry up to which the durable checkpoint holds.
    saved: u64,
    /// Make one as soon as possible, even if nothing changed.
    wanted: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Syncing {
        ticket: Ticket,
        content: Bytes,
        index: u64,
    },
    Saving {
        ticket: Ticket,
        index: u64,
    },
}

impl Checkpoints {
    pub(super) fn opened(applied: u64) -> Checkpoints {
        Checkpoints {
            saved: applied,
            ..Checkpoints::default()
        }
    }

    pub(super) fn request(&mut self) {
        self.wanted = true;
    }

    /// A file is gone from its folder.
    pub(super) fn removed(&mut self, now: Moment, file: FileId) {
        self.dirty.removed(file);
        self.dirty_since.get_or_insert(now);
    }

    pub(super) fn saved(&self) -> u64 {
        self.saved
    }

    pub(super) fn deadline(&self, interval: std::time::Duration) -> Option<Moment> {
        match self.state {
            State::Idle => self.dirty_since.map(|since| since + interval),
            _ => None,
        }
    }
}

impl Broker {
    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A number for work that is reported back.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket()
    }

    /// Gives out the job that was gathered.
    pub(super) fn write_files(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.writer.is_parked() {
            self.acknowledge_gathered(now, effects);
            return;
        }
        if self.writer.outstanding.len() >= self.options.files_in_flight_max {
            return;
        }
        if self.writer.writes.is_empty() && self.writer.outstanding.is_empty() {
            // Entries without work for files, or none at all.
            if self.writer.job.index == self.writer.written {
                return;
            }
            let mut job = self.writer.next_job();
            self.acknowledge(now, &mut job, effects);
            self.finish_job(now, job, effects);
            return;
        }
        if self.writer.writes.is_empty() {
            return;
        }
        let ticket = self.next_ticket();
        let writer = &mut self.writer;
        let mut job = writer.next_job();
        job.ticket = ticket;
        job.bytes = writer.writes.bytes();
        job.operations = writer.writes.take();
        writer.outstanding_bytes += job.bytes;
        effects.push(Effect::Files {
            ticket,
            operations: job.operations.clone(),
        });
        // Behind the work, which another thread can begin meanwhile.
        self.acknowledge(now, &mut job, effects);
        self.writer.outstanding.push_back(job);
    }

    /// What was on its way when the disk became full is in the journal like all before it: its producers need not
    /// wait for space, which may come in days.
    fn acknowledge_gathered(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let mut job = std::mem::take(&mut self.writer.job);
        self.acknowledge(now, &mut job, effects);
        self.writer.job = job;
    }

    /// Tells the clients that their puts are stored.
    fn acknowledge(&mut self, now: Moment, job: &mut Job, effects: &mut Vec<Effect>) {
        for pending in std::mem::take(&mut job.pending) {
            self.stats.stored(now, &pending);
            for put in &pending.replies {
                let reply = Reply::Stored {
                    message_id: put.message_id,
                    partition: put.partition,
                    offset: put.offset,
                };
                let (connection, opaque) = (put.connection, put.opaque);
                effects.push(Effect::Reply {
                    connection,
                    opaque,
                    reply,
                });
            }
            for &connection in &pending.closes {
                effects.push(Effect::Close { connection });
            }
        }
    }

    /// A job was reported as done.
    pub(super) fn files_written(&mut self, now: Moment, ticket: Ticket, effects: &mut Vec<Effect>) {
        if self.removal_reported(now, ticket, true, effects) {
            return;
        }
        self.report(ticket, Report::Written);
        self.finish_jobs(now, effects);
    }

    /// A job was reported as refused for want of something.
    pub(super) fn files_refused(
        &mut self,
        now: Moment,
        ticket: Ticket,
        shortage: Shortage,
        effects: &mut Vec<Effect>,
    ) {
        if self.removal_reported(now, ticket, false, effects) {
            return;
        }
        self.report(ticket, Report::Refused);
        if self.writer.parked.is_none() {
            self.writer.parked = Some(Parked {
                shortage,
                retry: None,
            });
            effects.push(Effect::Warn(match shortage {
                Shortage::Space => Warning::DiskFull,
                Shortage::Descriptors => Warning::TooManyOpenFiles,
                Shortage::Folder => Warning::FolderMissing,
            }));
            self.refuse_gathered(effects);
            self.give_up_catching_up(effects);
        }
        self.finish_jobs(now, effects);
    }

    fn report(&mut self, ticket: Ticket, report: Report) {
        let job = self
            .writer
            .outstanding
            .iter_mut()
            .find(|job| job.ticket == ticket);
        if let Some(job) = job {
            job.report = report;
        }
    }

    fn finish_jobs(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while self
            .writer
            .outstanding
            .front()
            .is_some_and(|job| job.report == Report::Written)
        {
            let job = self
                .writer
                .outstanding
                .pop_front()
                .expect("it was just seen");
            self.writer.outstanding_bytes -= job.bytes;
            self.finish_job(now, job, effects);
        }
        let writer = &mut self.writer;
        let Some(parked) = &mut writer.parked else {
            return;
        };
        let refused = |job: &Job| job.report == Report::Refused;
        if !writer.outstanding.iter().any(refused) {
            if writer.outstanding.is_empty() {
                writer.parked = None;
                effects.push(Effect::Warn(Warning::DiskHasSpace));
            }
        } else if writer
            .outstanding
            .iter()
            .all(|job| job.report != Report::Due)
        {
            parked
                .retry
                .get_or_insert(now + self.options.disk_full_retry);
        }
    }

    /// Gives the refused jobs out once more, if it is time.
    pub(super) fn retry_files(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.writer.retry().is_none_or(|retry| retry > now) {
            return;
        }
        if let Some(parked) = &mut self.writer.parked {
            parked.retry = None;
        }
        let mut jobs = std::mem::take(&mut self.writer.outstanding);
        for job in &mut jobs {
            job.ticket = self.next_ticket();
            job.report = Report::Due;
            let (ticket, operations) = (job.ticket, job.operations.clone());
            effects.push(Effect::Files { ticket, operations });
        }
        self.writer.outstanding = jobs;
    }

    /// What a job did can be seen now.
    fn finish_job(&mut self, now: Moment, job: Job, effects: &mut Vec<Effect>) {
        for operation in &job.operations {
            self.note_dirty(now, operation);
        }
        for advance in &job.advances {
            let partition = &mut self.partitions[advance.partition.0 as usize];
            partition.visible = advance.end;
            partition.written = true;
            if let Some(segment) = partition.segments.starting_at(advance.segment) {
                segment.messages += u64::from(advance.messages);
                segment.modified = segment.modified.max(advance.wall);
            }
        }
        self.writer.written = job.index;
        for advance in &job.advances {
            let visible = self.partition(advance.partition).visible;
            // A later part of the same partition follows: wake its readers once.
            if visible == advance.end {
                self.waiting.data(now, advance.partition, visible);
            }
        }
        self.catch_up(effects);
        self.answer_waiting(now, effects);
    }

    fn note_dirty(&mut self, now: Moment, operation: &FileOperation) {
        let checkpoints = &mut self.checkpoints;
        let dirty = &mut checkpoints.dirty;
        match operation {
            FileOperation::Create { file } => dirty.listed(*file),
            FileOperation::Write {
                file,
                position,
                slices,
            } => {
                let length: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
                dirty.wrote(*file, *position, position + length);
                checkpoints.dirty_bytes += length;
            }
            FileOperation::Truncate { file, length } => dirty.wrote(*file, *length, *length),
            FileOperation::Remove { file } | FileOperation::Archive { file, .. } => {
                dirty.removed(*file);
            }
        }
        checkpoints.dirty_since.get_or_insert(now);
    }

    /// Begins a checkpoint if one is due.
    pub(super) fn begin_checkpoint(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let checkpoints = &self.checkpoints;
        if !matches!(checkpoints.state, State::Idle)
            || !self.settled
            || self.adopting && !self.writer.is_idle()
        {
            return;
        }
        let changed = !checkpoints.dirty.is_empty()
            || self.writer.written > checkpoints.saved
            || self.adopting;
        let full = checkpoints.dirty_bytes >= self.options.checkpoint_bytes;
        let old = checkpoints
            .dirty_since
            .is_some_and(|since| now.since(since) >= self.options.checkpoint_interval);
        if !(checkpoints.wanted && changed || full || old) {
            if checkpoints.wanted && self.writer.is_idle() {
                // Nothing to do: say so to whoever waits for it.
                let index = checkpoints.saved;
                self.checkpoints.wanted = false;
                effects.push(Effect::Release { index });
            }
            return;
        }
        // What was retired before it was written: soon it is.
        let behind = |partition: &Partition| partition.visible < partition.segments.first();
        if self.partitions.iter().any(behind) {
            return;
        }
        let retired = self.removals.note();
        let (index, content) = (self.writer.written, self.checkpoint(retired).encode());
        let ticket = self.next_ticket();
        let checkpoints = &mut self.checkpoints;
        let (files, folders) = checkpoints.dirty.take();
        checkpoints.dirty_since = None;
        checkpoints.dirty_bytes = 0;
        checkpoints.wanted = false;
        checkpoints.state = State::Syncing {
            ticket,
            content,
            index,
        };
        effects.push(Effect::Sync {
            ticket,
            files,
            folders,
        });
    }

    /// The checkpoint of what is in the files now.
    fn checkpoint(&self, mut retired: BTreeMap<PartitionId, Vec<Retired>>) -> Checkpoint {
        let mut partitions = Vec::new();
        for (index, partition) in self.partitions.iter().enumerate() {
            if !partition.written {
                // Its first write is outstanding: the entry says where it begins.
                continue;
            }
            let id = PartitionId(u32::try_from(index).expect("there is a limit"));
            let written = |segment: &SegmentCheckpoint| segment.start <= partition.visible;
            let segments: Vec<SegmentCheckpoint> = partition
                .segments
                .iter()
                .map(|segment| SegmentCheckpoint {
                    start: segment.start,
                    length: segment
                        .length
                        .min(partition.visible.saturating_sub(segment.start)),
                    messages: segment.messages,
                    modified: segment.modified,
                })
                .take_while(written)
                .collect();
            let topic = self.catalog.topic(partition.topic).name.as_str().to_owned();
            partitions.push(PartitionCheckpoint {
                topic,
                number: partition.number,
                segments,
                retired: retired.remove(&id).unwrap_or_default(),
            });
        }
        let applied = self.writer.written;
        Checkpoint {
            applied,
            last_message_id: self.ids.last(),
            partitions,
        }
    }

    /// The files are synced: the checkpoint may say so.
    pub(super) fn synced(&mut self, done: Ticket, effects: &mut Vec<Effect>) {
        let State::Syncing {
            ticket,
            content,
            index,
        } = &mut self.checkpoints.state
        else {
            return;
        };
        if *ticket != done {
            return;
        }
        let (content, index) = (std::mem::take(content), *index);
        let ticket = self.next_ticket();
        self.checkpoints.state = State::Saving { ticket, index };
        effects.push(Effect::SaveCheckpoint { ticket, content });
    }

    /// The checkpoint is durable: the journal may forget.
    pub(super) fn checkpoint_saved(&mut self, done: Ticket, effects: &mut Vec<Effect>) {
        let State::Saving { ticket, index } = self.checkpoints.state else {
            return;
        };
        if ticket != done {
            return;
        }
        self.checkpoints.state = State::Idle;
        self.checkpoints.saved = index;
        self.adopting = false;
        self.stats.checkpoints += 1;
        self.removals.checkpointed();
        effects.push(Effect::Release { index });
    }
}
