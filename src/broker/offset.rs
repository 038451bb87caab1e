//! `offset`: where reading near an offset can begin.

use super::Broker;
use super::get::no_such_partition;
use super::reply::Reply;
use super::request::OffsetQuery;
use super::stats::Item;
use crate::units::{ConnectionId, Moment};

impl Broker {
    /// Answers `offset`: the start of the file that holds the offset, or the nearest end.
    ///
    /// A consumer asks this when it received what it cannot read. If that was the record that ended its
    /// hold, it hears the offset it has, or in a turn that of its last message.
    pub(super) fn offset(
        &mut self,
        now: Moment,
        connection: ConnectionId,
        query: &OffsetQuery,
    ) -> Reply {
        self.stats.offsets += 1;
        let topic = self.catalog.find(&query.topic);
        self.record(now, topic, Item::Offset, 1);
        let partition = topic.and_then(|id| self.catalog.topic(id).partition(query.partition));
        let Some(id) = partition else {
            return no_such_partition(&query.topic, query.partition);
        };
        let offset = u64::try_from(query.offset).unwrap_or(0);
        let asked = self
            .waiting
            .offset_asked(now, connection, &query.group, id, offset);
        if let Some(answer) = asked {
            return Reply::Offset(answer);
        }
        let partition = self.partition(id);
        if !partition.has_files() {
            return no_such_partition(&query.topic, query.partition);
        }
        Reply::Offset(partition.segments.nearest(offset, self.readable_end(id)))
    }
}
