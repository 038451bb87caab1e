//! Reading without a group: nobody shares the work, and nothing is written to ZooKeeper.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::error::{Error, check_topic};
use super::fetch::{self, Fetched, Source};
use super::{Brokers, Shared};
use crate::broker::{Name, Request};
use crate::client::rebalance::Partition;
use crate::wire::metaq::StatusCode;
use crate::wire::metaq::reply::Content;

/// What brokers see as the reader's group. It owns nothing, so nothing is held back for it.
const GROUP: &str = "chrysalis_reader";
/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads any partition from any offset.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// A partition, where to read it, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// The topic.
    pub topic: Arc<str>,
    /// Where to read it.
    pub address: Address,
    /// The id of its broker, where ZooKeeper told it.
    pub broker: Option<u16>,
    /// The partition's number.
    pub partition: i32,
    /// The offset of its first message.
    pub first: i64,
    /// The offset that its next message will have.
    pub end: i64,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    /// The partitions of a topic, by broker and number. From a broker without ZooKeeper only those are
    /// known that hold something.
    ///
    /// # Errors
    /// ZooKeeper or a broker cannot be asked.
    pub async fn partitions(&self, topic: &str) -> Result<Vec<PartitionRange>, Error> {
        check_topic(topic)?;
        match &self.shared.brokers {
            Brokers::Direct(address) => self.partitions_of_broker(address, topic).await,
            Brokers::ZooKeeper(_) => self.partitions_in_zookeeper(topic).await,
        }
    }

    /// Reads what is at an offset; at once, also when there is nothing new.
    ///
    /// # Errors
    /// The broker refused, could not be reached, or did not answer in time.
    pub async fn get(
        &self,
        partition: &PartitionRange,
        offset: i64,
        size_max: usize,
    ) -> Result<Fetched, Error> {
        let connection = self.shared.connections.to(&partition.address).await?;
        let source = partition.source();
        fetch::fetch(&connection, &source, offset, size_max, TIMEOUT).await
    }

    /// A partition that ZooKeeper does not show, because its topic has fewer by now, where its broker still has messages of
    /// it.
    ///
    /// # Errors
    /// ZooKeeper or the broker cannot be asked.
    pub async fn unshown(
        &self,
        topic: &str,
        partition: Partition,
    ) -> Result<Option<PartitionRange>, Error> {
        check_topic(topic)?;
        let cluster = self.shared.cluster("finding a topic's brokers").await?;
        let Some(address) = cluster.readable(partition.broker).await? else {
            return Ok(None);
        };
        let range = self.range(address, topic, partition).await?;
        Ok(Some(range).filter(|range| range.first < range.end))
    }

    async fn partitions_in_zookeeper(&self, topic: &str) -> Result<Vec<PartitionRange>, Error> {
        let cluster = self.shared.cluster("finding a topic's brokers").await?;
        let mut found = Vec::new();
        for partition in cluster.readable_partitions(topic).await? {
            let Some(address) = cluster.readable(partition.broker).await? else {
                continue;
            };
            found.push(self.range(address, topic, partition).await?);
        }
        Ok(found)
    }

    async fn range(
        &self,
        address: Address,
        topic: &str,
        partition: Partition,
    ) -> Result<PartitionRange, Error> {
        let mut range = PartitionRange {
            topic: Arc::from(topic),
            address,
            broker: Some(partition.broker),
            partition: partition.number,
            first: 0,
            end: 0,
        };
        range.first = self.nearest(&range, 0).await?;
        range.end = self.nearest(&range, i64::MAX).await?;
        Ok(range)
    }

    /// 0 where nothing was written yet.
    async fn nearest(&self, partition: &PartitionRange, offset: i64) -> Result<i64, Error> {
        let connection = self.shared.connections.to(&partition.address).await?;
        let found =
            fetch::nearest_offset(&connection, &partition.source(), offset, TIMEOUT).await?;
        Ok(found.unwrap_or(0))
    }

    async fn partitions_of_broker(
        &self,
        address: &Address,
        topic: &str,
    ) -> Result<Vec<PartitionRange>, Error> {
        let connection = self.shared.connections.to(address).await?;
        let request = Request::Stats {
            item: Name::from("offsets"),
        };
        let text = match connection.ask(&request, TIMEOUT).await? {
            Content::Result {
                code: StatusCode::SUCCESS,
                text,
            } => text,
            Content::Result { code, text } => return Err(fetch::refused(&connection, code, &text)),
            Content::Value(_) => return Err(fetch::answer(&connection, "stats", "records")),
        };
        let mut found: Vec<PartitionRange> = String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| range(address, topic, line))
            .collect();
        found.sort_by_key(|range| range.partition);
        Ok(found)
    }
}

/// `<topic> part <number> min_offset <first> max_offset <end>`
fn range(address: &Address, topic: &str, line: &str) -> Option<PartitionRange> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [
        name,
        "part",
        partition,
        "min_offset",
        first,
        "max_offset",
        end,
    ] = words[..]
    else {
        return None;
    };
    (name == topic).then_some(())?;
    Some(PartitionRange {
        topic: Arc::from(topic),
        address: address.clone(),
        broker: None,
        partition: partition.parse().ok()?,
        first: first.parse().ok()?,
        end: end.parse().ok()?,
    })
}

impl PartitionRange {
    fn source(&self) -> Source {
        Source {
            topic: Arc::clone(&self.topic),
            group: Name::from_static(GROUP),
            broker: self.broker,
            partition: self.partition,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokers_figures_name_the_partitions_of_a_topic() {
        let address: Address = "h:1".parse().expect("an address");
        let found = range(
            &address,
            "test",
            "test part 3 min_offset 100 max_offset 264",
        );
        let found = found.expect("a partition");
        assert_eq!((found.partition, found.first, found.end), (3, 100, 264));
        for line in [
            "STATS",
            "other part 3 min_offset 1 max_offset 2",
            "test part x min_offset 1 max_offset 2",
        ] {
            assert_eq!(range(&address, "test", line), None, "{line}");
        }
    }
}
