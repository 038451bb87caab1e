//! Everything that can reach the broker core, and everything it can ask for. Both are closed.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::reply::Reply;
use super::request::{Name, Request};
use super::topic::Topics;
use super::word::Word;
use crate::segments::{FileId, FileOperation, PartitionId, Place};
use crate::units::{ConnectionId, ServerId, WallTime};

/// A number the core gives to work that is reported back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A partition of this broker and the consumer that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: i32,
    /// The consumer.
    pub consumer: Name,
    /// The position that its group has told ZooKeeper, if it has.
    pub position: Option<u64>,
}

/// A consumer that owns partitions of other brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The consumer.
    pub consumer: Name,
    /// Those brokers. `None` is one that could not be seen.
    pub brokers: BTreeSet<Option<ServerId>>,
}

/// What an operator wants of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Close partitions `first` to `last` of a topic: puts and gets are answered 403 until it is opened or
    /// the server restarts.
    ClosePartitions {
        /// The topic.
        topic: Name,
        /// The first partition.
        first: i32,
        /// The last partition.
        last: i32,
    },
    /// Open all partitions of a topic.
    OpenPartitions {
        /// The topic.
        topic: Name,
    },
    /// Delete all messages of a topic. Where its partitions end is remembered.
    PurgeTopic {
        /// The topic.
        topic: Name,
    },
    /// Let consumers continue after the damage in what a partition holds now: a get that meets it is sent on to the next
    /// good record.
    SkipDamage {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: i32,
    },
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
    },
    /// A client asks.
    Request {
        /// On this connection.
        connection: ConnectionId,
        /// The number its answer carries; 0 for `quit`, which has none.
        opaque: i32,
        /// What it asks.
        request: Request,
        /// The wall clock of this turn.
        wall: WallTime,
    },
    /// A connection is gone, by whatever cause. Nothing more is sent to it.
    Disconnected {
        /// Which.
        connection: ConnectionId,
    },
    /// The deadline has come.
    Tick {
        /// The wall clock.
        wall: WallTime,
        /// Seconds the local time is ahead of UTC: cron expressions mean local time.
        utc_offset_s: i32,
    },
    /// All that this turn brought has been handled: what was gathered is proposed and written now.
    EndOfTurn,
    /// An entry of the broker's group is committed. Every one is reported, in order, once a run, beginning
    /// after the checkpoint's; also the empty ones that the consensus adds itself.
    Committed {
        /// The entry's index.
        index: u64,
        /// What was proposed: the bytes of one or of several [`Effect::Propose`] one after the other.
        data: Bytes,
    },
    /// All operations of an [`Effect::Files`] are done (in the page cache; not yet synced).
    FilesWritten {
        /// Of that effect.
        ticket: Ticket,
    },
    /// An operation of an [`Effect::Files`] lacked something that may come back. Any other error ends the
    /// process. The work already queued behind it may have been done or not.
    FilesRefused {
        /// Of that effect.
        ticket: Ticket,
        /// What it lacked.
        shortage: Shortage,
    },
    /// An [`Effect::Sync`] is done. A sync that fails ends the process.
    Synced {
        /// Of that effect.
        ticket: Ticket,
    },
    /// An [`Effect::SaveCheckpoint`] is durable.
    CheckpointSaved {
        /// Of that effect.
        ticket: Ticket,
    },
    /// Make a checkpoint now: the journal needs its space, or the server stops.
    Checkpoint,
    /// An [`Effect::Verify`] is done.
    Verified {
        /// Of that effect.
        ticket: Ticket,
        /// What was found.
        outcome: crate::segments::verify::Outcome,
    },
    /// An [`Effect::Search`] is done.
    Searched {
        /// Of that effect.
        ticket: Ticket,
        /// What was found.
        outcome: crate::segments::search::Outcome,
    },
    /// The answer to an [`Effect::AskOwner`], at once or later.
    Owner {
        /// As asked.
        group: Name,
        /// As asked.
        topic: Name,
        /// As asked.
        partition: i32,
        /// The consumer that owns the partition; `None` when there is no owner node, or nobody to ask.
        consumer: Option<Name>,
    },
    /// The answer to an [`Effect::AskOwned`], at once or later.
    Owned {
        /// As asked.
        group: Name,
        /// What its consumers own of this broker.
        owned: Vec<Owned>,
        /// Its consumers that own partitions of other brokers, of whatever topic. A consumer that is in `owned` and
        /// not here owned none when its nodes were read.
        elsewhere: Vec<Elsewhere>,
    },
    /// There is a connection to another server, whose broker understands words: a new one if there was one before.
    Met {
        /// The server.
        server: ServerId,
    },
    /// There is none any more.
    Parted {
        /// The server.
        server: ServerId,
    },
    /// The broker of another server says something.
    Told {
        /// The server.
        from: ServerId,
        /// What it says.
        word: Word,
    },
    /// How much room there is. Reported when it changes.
    Pressure(Pressure),
    /// The disk of the message files has this much free space. Reported now and then where a low mark is
    /// configured.
    DiskSpace {
        /// Free bytes.
        free_bytes: u64,
    },
    /// The topics' settings were read anew.
    Reload(Box<Topics>),
    /// What an operator wants.
    Wish(Wish),
    /// This server leads the broker's group, and an entry of its own term has been reported as committed:
    /// clients may come in.
    Led {
        /// The wall clock.
        wall: WallTime,
    },
    /// This server does not lead any more, or the consensus dropped a proposal: what was proposed may or
    /// may not be committed later. Clients are sent away until `Led` comes again.
    Deposed,
}

/// What an operation on segment files lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Room on the disk (`ENOSPC`, `EDQUOT`).
    Space,
    /// A file descriptor, or the kernel's memory for one (`EMFILE`, `ENFILE`, `ENOMEM`).
    Descriptors,
    /// The folder that its files are in (`ENOENT`).
    Folder,
}

/// Which resources are nearly used up. Puts are refused while one is; reads go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// The journal cannot take much more until something is checkpointed.
    pub journal: bool,
    /// The disk of the message files is nearly full.
    pub disk: bool,
}

/// What the world must do. In order, as pushed, unless a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Propose these bytes to the broker's group. The node may join those of one turn into one entry.
    /// If the consensus does not take them, the node must report [`Event::Deposed`].
    Propose(Bytes),
    /// Send an answer. One that says [`Reply::Stored`] leaves the core only after its entry is committed and
    /// its record is in the page cache, so it may be sent at once. Ignored for a connection that is gone.
    Reply {
        /// To this connection.
        connection: ConnectionId,
        /// The request's number.
        opaque: i32,
        /// The answer.
        reply: Reply,
    },
    /// Send a `value` with these bytes of a file. They are written and, as far as they were not written in
    /// this run, verified. The file may be removed at any time after this effect: open it in this turn.
    Place {
        /// To this connection.
        connection: ConnectionId,
        /// The request's number.
        opaque: i32,
        /// Which bytes.
        place: Place,
    },
    /// Carry out the operations, after those of all earlier `Files`, and report
    /// [`Event::FilesWritten`] or [`Event::FilesRefused`].
    Files {
        /// For the report.
        ticket: Ticket,
        /// What to do, in order.
        operations: Vec<FileOperation>,
    },
    /// Bring to stable storage what was written to these files, and the listings of these partitions'
    /// folders and of the folders they lie in; then report [`Event::Synced`]. A file that is gone is done.
    /// All `Files` that concern them have been reported as written.
    Sync {
        /// For the report.
        ticket: Ticket,
        /// Files with the dirty range in each.
        files: Vec<crate::segments::checkpoint::Dirty>,
        /// Partitions in whose folders files were made or removed.
        folders: Vec<PartitionId>,
    },
    /// Replace the checkpoint file by this content, atomically and durably, and report
    /// [`Event::CheckpointSaved`].
    SaveCheckpoint {
        /// For the report.
        ticket: Ticket,
        /// The file's whole content.
        content: Bytes,
    },
    /// Keep this file, which says where damage is passed over, in place of the one before: it is given back at the
    /// next start. Nothing waits for it.
    SaveSkips {
        /// The file's whole content.
        content: Bytes,
    },
    /// A durable checkpoint covers all entries up to this index: the journal may forget them.
    Release {
        /// The last entry not needed any more.
        index: u64,
    },
    /// Check the records of this range of a file by [`crate::segments::verify::Checker`], on a thread that
    /// may block, and report [`Event::Verified`].
    Verify {
        /// For the report.
        ticket: Ticket,
        /// Which bytes; the checker says how far beyond `to` it must read.
        range: crate::segments::verify::Range,
    },
    /// Look for a good record behind damage by [`crate::segments::search::Search`], on a thread that may
    /// block, and report [`Event::Searched`].
    Search {
        /// For the report.
        ticket: Ticket,
        /// Which bytes.
        range: crate::segments::verify::Range,
    },
    /// The topic is to be found in ZooKeeper with these settings: make its nodes, or make them anew when
    /// they differ. Nothing waits for it.
    RegisterTopic(TopicRegistration),
    /// The topic is not served any more: remove its nodes.
    UnregisterTopic {
        /// The topic.
        topic: Name,
    },
    /// Who owns this partition in ZooKeeper? Answer by [`Event::Owner`], at once where the tree is here.
    AskOwner {
        /// The consumer group.
        group: Name,
        /// The topic.
        topic: Name,
        /// The partition.
        partition: i32,
    },
    /// Which partitions of this broker does this group own in ZooKeeper? Answer by [`Event::Owned`], at once
    /// where the tree is here.
    AskOwned {
        /// The consumer group.
        group: Name,
    },
    /// Say this to the broker of another server. It may be lost.
    Tell {
        /// The server, as it was met.
        to: ServerId,
        /// What to say.
        word: Word,
    },
    /// Close the connection after what was sent to it has been delivered.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Stop reading from MetaQ connections: enough is in flight.
    PauseReading,
    /// Read from them again.
    ResumeReading,
    /// Tell the operator.
    Warn(Warning),
    /// The server cannot go on: say why and end.
    Halt {
        /// A later version wrote an entry.
        newer: bool,
        /// What happened, what it means, what to do.
        reason: String,
    },
}

/// What the registry writes for a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRegistration {
    /// The topic.
    pub topic: Name,
    /// How many partitions it has.
    pub partitions: i32,
    /// Producers may find it.
    pub accept_publish: bool,
    /// Consumers may find it.
    pub accept_subscribe: bool,
}

/// What an operator should see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Records in a file do not check; gets there are answered 500.
    Damage {
        /// The file.
        file: FileId,
        /// The first bad byte of it.
        position: u64,
    },
    /// Consumers are sent on behind damage, as an operator wanted: what lies between is lost to them.
    DamageSkipped {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: i32,
        /// The offset of the first byte that is passed over.
        from: u64,
        /// Where they go on.
        to: u64,
    },
    /// A message file was taken away, as a policy or an operator wanted.
    FileRetired {
        /// The topic.
        topic: Name,
        /// The partition.
        partition: i32,
        /// Where the file began.
        start: u64,
        /// What became of it.
        action: crate::segments::retention::Action,
    },
    /// The disk is full: nothing can be written to segment files; tried again by itself.
    DiskFull,
    /// The process has too many files open: nothing can be written to segment files; tried again by itself.
    TooManyOpenFiles,
    /// The folder of segment files is not there: nothing can be written to them; tried again by itself.
    FolderMissing,
    /// Segment files are written again.
    DiskHasSpace,
    /// A consumer asks for offsets beyond the end and will get nothing until the end arrives there.
    OffsetBeyondEnd {
        /// The topic.
        topic: Name,
        /// The consumer group.
        group: Name,
        /// The partition.
        partition: i32,
        /// What it asks for.
        offset: i64,
        /// Where the partition ends.
        end: u64,
    },
}
