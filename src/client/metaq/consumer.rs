//! Consuming as a member of a group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::error::{Error, check_group, check_topic};
use super::group::{self, Member};
use super::message::Received;
use super::progress::Progress;
use super::{Brokers, Shared};
use crate::client::rebalance::{Partition, Strategy};

/// How many batches wait for the caller, besides the one that each partition has at hand.
const BATCHES_WAITING: usize = 4;

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
    /// The message that was given out last.
    /// What was given out and is not consumed yet: how far, for each claim.
    delivered: Vec<(Arc<Claim>, Progress)>,
    /// Dropped, or told, to end.
    close: Option<oneshot::Sender<oneshot::Sender<()>>>,
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
}

impl Claim {
    pub(super) fn new(topic: Arc<str>, partition: Partition, progress: Progress) -> Claim {
        Claim {
            topic,
            partition,
            progress: Mutex::new((progress, true)),
            lost: AtomicBool::new(false),
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
        let member = Member::new(Arc::clone(shared), group, topics, options, sender);
        tokio::spawn(group::run(member, closed));
        Ok(Consumer {
            batches,
            current: None,
            delivered: Vec::new(),
            close: Some(close),
        })
    }

    /// The next message, when there is one. The one before is consumed by this call.
    ///
    /// `None` only after the consumer's task has ended, which it does not do by itself.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(message) = self.next_ready() {
                return Some(message);
            }
            self.current = Some(self.batches.recv().await?);
        }
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
                match self.delivered.last_mut() {
                    Some((claim, last)) if Arc::ptr_eq(claim, &batch.claim) => *last = progress,
                    _ => self.delivered.push((Arc::clone(&batch.claim), progress)),
                }
                return Some(message);
            }
            self.current = None;
            self.current = Some(self.batches.try_recv().ok()?);
        }
    }

    /// Takes all messages that were given out for consumed.
    pub fn acknowledge(&mut self) {
        for (claim, progress) in self.delivered.drain(..) {
            claim.consumed(progress);
        }
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
