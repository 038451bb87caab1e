//! Consuming as a member of a group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::error::{Error, check_group, check_topic};
use super::group::{self, Member};
use super::message::Received;
use super::progress::Progress;
use super::{Brokers, Shared};
use crate::client::rebalance::{Partition, Strategy};

/// How many batches wait for the caller, besides the one that each partition has at hand.
const BATCHES_WAITING: usize = 4;

/// Stretches passed over in one partition that wait to be told.
const GAPS_MAX: usize = 100;

/// Where a group begins to read a partition that it has never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first message that is still there.
    #[default]
    First,
    /// After the last message.
    End,
    /// At this offset.
    At(i64),
}

impl Start {
    /// The offset to ask for.
    pub(super) fn offset(self) -> i64 {
        match self {
            Start::First => 0,
            Start::End => i64::MAX,
            Start::At(offset) => offset,
        }
    }
}

/// How a consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Where to begin in a partition that the group has never read.
    pub start: Start,
    /// How the group's members share out the partitions. All of them must do it in the same way.
    pub strategy: Strategy,
    /// How many bytes one request asks for; a larger message is asked for by its own size.
    pub fetch_bytes: usize,
    /// The largest message that is accepted.
    pub message_bytes_max: usize,
    /// How often progress is written to ZooKeeper.
    pub commit_interval: Duration,
    /// How long to wait for an answer. Brokers hold a request at the end of a partition for some seconds.
    pub fetch_timeout: Duration,
    /// How long to wait at most before asking again a broker that does not hold requests.
    pub poll_interval_max: Duration,
    /// The consumer's id within its group; one of its own unless given.
    pub id: Option<String>,
}

impl Default for ConsumerOptions {
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            start: Start::First,
            strategy: Strategy::Range,
            fetch_bytes: 1024 * 1024,
            message_bytes_max: 64 * 1024 * 1024,
            commit_interval: Duration::from_secs(5),
            fetch_timeout: Duration::from_secs(20),
            poll_interval_max: Duration::from_millis(500),
            id: None,
        }
    }
}

/// A member of a consumer group.
///
/// A message counts as consumed when the next one is asked for; then it is not delivered to the group
/// again, once the progress has been written (every few seconds, when a partition goes to another
/// member, and by [`Consumer::close`]). So each message is delivered at least once, and some are delivered
/// again after a crash.
#[derive(Debug)]
pub struct Consumer {
    batches: mpsc::Receiver<Batch>,
    current: Option<Batch>,
    /// What was given out and is not consumed yet, message by message.
    delivered: VecDeque<(Arc<Claim>, Progress)>,
    /// The partitions that are this member's now; its task keeps them.
    claims: Claims,
    /// Dropped, or told, to end.
    close: Option<oneshot::Sender<oneshot::Sender<()>>>,
}

/// The partitions that a member reads.
pub(super) type Claims = Arc<Mutex<Vec<Arc<Claim>>>>;

/// A partition that a member of a group owns, and how it goes.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: Partition,
    /// All before this offset is consumed; 9223372036854775807 until the broker has said where the end is.
    pub consumed: i64,
    /// Why it cannot be read just now.
    pub trouble: Option<Trouble>,
}

/// Why a partition cannot be read.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What went wrong last.
    pub error: Arc<Error>,
    /// Since when nothing else has come.
    pub since: Instant,
}

/// A stretch of a partition that a group was led over without reading it: messages that retention has deleted, or an
/// operator gave up because they are damaged. Where `to` is less than `from`, the partition ends before the group's
/// position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: Partition,
    /// Where reading was to go on.
    pub from: i64,
    /// Where it goes on.
    pub to: i64,
}

/// Messages of one partition, on their way to the caller.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) claim: Arc<Claim>,
    pub(super) messages: VecDeque<Received>,
}

/// A partition that this consumer owns.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) topic: Arc<str>,
    pub(super) partition: Partition,
    /// How far the caller has consumed it, and whether that was written to ZooKeeper.
    progress: Mutex<(Progress, bool)>,
    /// Somebody else owns it by now.
    lost: AtomicBool,
    /// Why nothing comes just now.
    trouble: Mutex<Option<Trouble>>,
    /// What was passed over, and not told yet.
    gaps: Mutex<Vec<(i64, i64)>>,
}

impl Claim {
    pub(super) fn new(topic: Arc<str>, partition: Partition, progress: Progress) -> Claim {
        Claim {
            topic,
            partition,
            progress: Mutex::new((progress, true)),
            lost: AtomicBool::new(false),
            trouble: Mutex::default(),
            gaps: Mutex::default(),
        }
    }

    /// Notes that everything before this was consumed.
    pub(super) fn consumed(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = (progress, false);
    }

    /// The broker says that reading goes on elsewhere; the last message consumed stays the same.
    pub(super) fn moved(&self, from: i64, to: i64) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        // Unless the caller still has messages before it.
        if progress.0.offset == from {
            progress.0.offset = to;
            progress.1 = false;
        }
    }

    /// Notes that a stretch was passed over.
    pub(super) fn passed_over(&self, from: i64, to: i64) {
        let mut gaps = self.gaps.lock().unwrap_or_else(PoisonError::into_inner);
        // A caller who never asks for them must not make them pile up.
        if gaps.len() < GAPS_MAX {
            gaps.push((from, to));
        }
    }

    /// Notes that it cannot be read.
    pub(super) fn troubled(&self, error: Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = Some(Trouble {
            error: Arc::new(error),
            since: trouble
                .as_ref()
                .map_or_else(Instant::now, |before| before.since),
        });
    }

    /// Notes that it can be read.
    pub(super) fn untroubled(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        *trouble = None;
    }

    fn reading(&self) -> Reading {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        Reading {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            consumed: progress.0.offset,
            trouble: trouble.clone(),
        }
    }

    /// What is to be written to ZooKeeper, if anything.
    pub(super) fn unwritten(&self) -> Option<Progress> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        (!progress.1).then_some(progress.0)
    }

    /// Notes that this was written.
    pub(super) fn written(&self, written: Progress) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.0 == written {
            progress.1 = true;
        }
    }

    /// Notes that it is somebody else's.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Consumer {
    pub(super) fn new(
        shared: &Arc<Shared>,
        group: &str,
        topics: &[&str],
        options: ConsumerOptions,
    ) -> Result<Consumer, Error> {
        check_group(group)?;
        for topic in topics {
            check_topic(topic)?;
        }
        if matches!(shared.brokers, Brokers::Direct(_)) {
            return Err(Error::NeedsZooKeeper("a consumer group"));
        }
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let (close, closed) = oneshot::channel();
        let claims = Claims::default();
        let member = Member::new(
            Arc::clone(shared),
            group,
            topics,
            options,
            sender,
            Arc::clone(&claims),
        );
        tokio::spawn(group::run(member, closed));
        Ok(Consumer {
            batches,
            current: None,
            delivered: VecDeque::new(),
            claims,
            close: Some(close),
        })
    }

    /// The next message, when there is one. The one before is consumed by this call.
    ///
    /// `None` only after the consumer's task has ended, which it does not do by itself.
    pub async fn next(&mut self) -> Option<Received> {
        self.acknowledge();
        self.more().await
    }

    /// The next message, if one is here already. Those before are consumed by this call.
    pub fn next_ready(&mut self) -> Option<Received> {
        self.acknowledge();
        self.more_ready()
    }

    /// The next message, if one is here already. None is consumed by this call: that is for callers who know
    /// only of several at a time that they have done with them, and then [`Consumer::acknowledge`] them.
    pub fn more_ready(&mut self) -> Option<Received> {
        loop {
            if let Some(batch) = self.current.as_mut().filter(|batch| !batch.claim.is_lost())
                && let Some(message) = batch.messages.pop_front()
            {
                let progress = Progress {
                    message_id: message.id,
                    offset: message.next_offset,
                };
                self.delivered
                    .push_back((Arc::clone(&batch.claim), progress));
                return Some(message);
            }
            self.current = None;
            self.current = Some(self.batches.try_recv().ok()?);
        }
    }

    /// Takes all messages that were given out for consumed.
    pub fn acknowledge(&mut self) {
        self.acknowledge_first(usize::MAX);
    }

    /// Takes the first `count` of those messages for consumed that were given out and are not consumed yet, in the
    /// order in which they were given out.
    pub fn acknowledge_first(&mut self, count: usize) {
        let count = count.min(self.delivered.len());
        for (claim, progress) in self.delivered.drain(..count) {
            claim.consumed(progress);
        }
    }

    /// The next message, when there is one. None is consumed by this call; see [`Consumer::more_ready`]. May be
    /// dropped and called again without losing one.
    ///
    /// `None` only after the consumer's task has ended.
    pub async fn more(&mut self) -> Option<Received> {
        loop {
            if let Some(message) = self.more_ready() {
                return Some(message);
            }
            self.current = Some(self.batches.recv().await?);
        }
    }

    /// The partitions that are this member's now, and how far they are consumed.
    pub fn readings(&self) -> Vec<Reading> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.iter().map(|claim| claim.reading()).collect()
    }

    /// What was passed over in these partitions since the last call.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for claim in claims.iter() {
            let mut gaps = claim.gaps.lock().unwrap_or_else(PoisonError::into_inner);
            found.extend(gaps.drain(..).map(|(from, to)| Gap {
                topic: Arc::clone(&claim.topic),
                partition: claim.partition,
                from,
                to,
            }));
        }
        found
    }

    /// Writes the progress and leaves the group, so that the others can go on at once. The message that
    /// was given out last is only taken for consumed if [`Consumer::acknowledge`] was called.
    pub async fn close(mut self) {
        let (done, ended) = oneshot::channel();
        if let Some(close) = self.close.take()
            && close.send(done).is_ok()
        {
            // The task drops its end when it could not say goodbye properly; it has ended all the same.
            let _ended = ended.await;
        }
    }
}
