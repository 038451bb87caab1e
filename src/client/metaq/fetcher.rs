//! The task that reads one partition for a consumer.
//!
//! It asks, hands over what came, and asks again. A broker that holds requests at the end of a partition
//! answers when there is something, so there is no waiting here; one that answers at once is asked
//! again after a pause that grows to [`ConsumerOptions::poll_interval_max`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::Shared;
use super::address::Address;
use super::consumer::{Batch, Claim, ConsumerOptions};
use super::error::Error;
use super::fetch::{self, Fetched, Source};
use crate::broker::Name;

/// An answer that took longer than this was held by the broker.
const HELD: Duration = Duration::from_millis(100);
/// The first pause after an empty answer that was not held.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest pause after something went wrong.
const TROUBLE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Reads one partition.
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    claim: Arc<Claim>,
    source: Source,
    offset: i64,
    /// Whether being led elsewhere means that something was passed over.
    tell_gaps: bool,
    size: usize,
    address: Option<Address>,
    pause: Duration,
    trouble: Duration,
    options: ConsumerOptions,
    batches: mpsc::Sender<Batch>,
}

impl Fetcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        claim: Arc<Claim>,
        group: &str,
        offset: i64,
        tell_gaps: bool,
        options: ConsumerOptions,
        batches: mpsc::Sender<Batch>,
    ) -> Fetcher {
        let source = Source {
            topic: Arc::clone(&claim.topic),
            group: Name::from(group),
            broker: Some(claim.partition.broker),
            partition: claim.partition.number,
        };
        Fetcher {
            shared,
            claim,
            source,
            offset,
            tell_gaps,
            size: options.fetch_bytes,
            address: None,
            pause: Duration::ZERO,
            trouble: Duration::ZERO,
            options,
            batches,
        }
    }

    /// Until nobody wants the messages any more; the group's task aborts it otherwise.
    pub(super) async fn run(mut self) {
        while !self.batches.is_closed() {
            let asked = Instant::now();
            match self.fetch().await {
                Ok(fetched) => {
                    self.trouble = Duration::ZERO;
                    self.claim.untroubled();
                    self.take(fetched, asked.elapsed() >= HELD).await;
                }
                Err(error) => self.complain(error),
            }
            let pause = self.pause.max(self.trouble);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, Error> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => self.find_broker().await?,
        };
        let connection = self.shared.connections.to(&address).await?;
        let timeout = self.options.fetch_timeout;
        let fetched =
            fetch::fetch(&connection, &self.source, self.offset, self.size, timeout).await?;
        if fetched != Fetched::NotAMessage {
            return Ok(fetched);
        }
        // The end of a hold looks like this, damage too. The broker knows where reading works; if that is
        // here, then here it is.
        match fetch::nearest_offset(&connection, &self.source, self.offset, timeout).await? {
            Some(offset) if offset != self.offset => Ok(Fetched::Moved(offset)),
            Some(_) | None => Ok(Fetched::Nothing),
        }
    }

    async fn find_broker(&mut self) -> Result<Address, Error> {
        let cluster = self.shared.cluster("a consumer group").await?;
        let address = cluster.readable(self.claim.partition.broker).await?;
        let address = address.ok_or_else(|| Error::NoPartition {
            topic: self.claim.topic.to_string(),
            partition: self.claim.partition.to_string(),
        })?;
        self.address = Some(address.clone());
        Ok(address)
    }

    async fn take(&mut self, fetched: Fetched, held: bool) {
        match fetched {
            Fetched::Messages(messages) => {
                self.pause = Duration::ZERO;
                self.size = self.options.fetch_bytes;
                if let Some(last) = messages.last() {
                    self.offset = last.next_offset;
                }
                self.tell_gaps = true;
                let batch = Batch {
                    claim: Arc::clone(&self.claim),
                    messages: messages.into(),
                };
                // It waits here while the caller is slow; a caller that is gone is noticed by `run`.
                let _handed_over = self.batches.send(batch).await;
            }
            Fetched::Moved(offset) => {
                let (topic, partition) = (&self.claim.topic, self.claim.partition);
                debug!(%topic, %partition, from = self.offset, to = offset, "partition goes on elsewhere");
                // A broker that sends us to and fro must not be asked without a pause.
                self.pause = if offset > self.offset || self.offset == i64::MAX {
                    Duration::ZERO
                } else {
                    self.longer_pause()
                };
                if self.tell_gaps && self.offset != i64::MAX {
                    self.claim.passed_over(self.offset, offset);
                }
                self.tell_gaps = true;
                self.claim.moved(self.offset, offset);
                self.offset = offset;
            }
            Fetched::Larger(bytes)
                if bytes <= self.options.message_bytes_max && bytes > self.size =>
            {
                self.size = bytes;
                self.pause = Duration::ZERO;
            }
            Fetched::Larger(bytes) => {
                let (topic, partition) = (&self.claim.topic, self.claim.partition);
                warn!(%topic, %partition, offset = self.offset, bytes, "message is too large, or cut off");
                self.claim.troubled(Error::NotAMessage {
                    partition: partition.to_string(),
                    offset: self.offset,
                    bytes_max: self.options.message_bytes_max,
                });
                self.pause = TROUBLE_PAUSE_MAX;
            }
            Fetched::Nothing | Fetched::NotAMessage => {
                self.pause = if held {
                    Duration::ZERO
                } else {
                    self.longer_pause()
                };
            }
        }
    }

    fn longer_pause(&self) -> Duration {
        (self.pause * 2).clamp(PAUSE_MIN, self.options.poll_interval_max)
    }

    fn complain(&mut self, error: Error) {
        let (topic, partition) = (&self.claim.topic, self.claim.partition);
        warn!(%topic, %partition, error = error.chain(), "partition not read, trying again");
        self.trouble = (self.trouble * 2).clamp(Duration::from_millis(100), TROUBLE_PAUSE_MAX);
        self.claim.troubled(error);
        // The broker may have moved.
        self.address = None;
    }
}
