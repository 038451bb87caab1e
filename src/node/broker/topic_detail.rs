//! `topic describe`: one topic as the broker, the configuration and the coordinator's tree know it.
//!
//! The broker knows of a group what its gets have told. Where this server's own coordinator is the one that
//! consumers use, the tree says the rest: who owns a partition, and how far the group has come. Beside
//! another ZooKeeper the registry has told the owners; the offsets stay there, and the detail says where.

use std::collections::BTreeMap;

use super::{consumers, count};
use crate::appliance::status::{PartitionConsumer, PartitionStatus, TopicDetail};
use crate::broker::{ConsumerStatus, status};
use crate::client::metaq::Progress;
use crate::coordinator::Coordinator;
use crate::node::Node;
use crate::units::ServerId;

impl Node {
    /// One topic without its settings, and the section that those stand in. `built_in`: consumers use this
    /// server's own coordinator.
    pub(crate) fn topic_detail(
        &self,
        name: &str,
        built_in: bool,
    ) -> Option<(TopicDetail, Option<String>)> {
        let side = self.broker.as_ref()?;
        let status::TopicDetail {
            section,
            topic,
            readers,
        } = side.core.topic_detail(name)?;
        let mut consumers: BTreeMap<(String, i32), PartitionConsumer> = BTreeMap::new();
        let mut held: BTreeMap<i32, usize> = BTreeMap::new();
        for reader in &readers {
            let known = consumer(&mut consumers, reader.group.as_str(), reader.partition);
            known.owner = reader.owner.as_ref().map(|owner| owner.as_str().to_owned());
            known.held_gets = count(reader.held);
            *held.entry(reader.partition).or_default() += reader.held;
        }
        if let (Some(coordinator), true) = (&self.coordinator, built_in) {
            let tree = Tree {
                coordinator: &coordinator.core,
                root: &self.owner_nodes.root,
                broker: side.id,
            };
            // The broker may remember owners that have gone.
            consumers.values_mut().for_each(|known| known.owner = None);
            tree.learn(name, &topic.partitions, &mut consumers);
        }
        consumers.retain(|_, known| {
            known.owner.is_some() || known.offset.is_some() || known.held_gets > 0
        });
        let configured = topic.configured.unwrap_or(0);
        let partitions = topic.partitions.iter().map(|partition| PartitionStatus {
            partition: unsigned(partition.number),
            min_offset: partition.first,
            max_offset: partition.end,
            messages: partition.messages,
            segments: count(partition.files),
            held_gets: count(held.get(&partition.number).copied().unwrap_or(0)),
            closed: partition.closed,
            read_only: partition.number >= configured,
            damaged_at: partition.damaged.first().copied(),
        });
        let owns = |one: &&ConsumerStatus| {
            let owner = |it: &status::ReaderStatus| {
                it.group == one.group && it.owner.as_ref() == Some(&one.consumer)
            };
            consumers::has_few_threads(one) && readers.iter().any(owner)
        };
        let all = side.core.status().consumers;
        let few_threads = all.iter().filter(owns);
        let few_threads = few_threads.map(|it| consumers::one(self.world.now, it));
        let detail = TopicDetail {
            few_threads: few_threads.collect(),
            topic: side.summary(&topic, &side.core.closed_partitions()),
            partitions: partitions.collect(),
            consumers: consumers.into_values().collect(),
            ..TopicDetail::default()
        };
        Some((detail, section))
    }
}

fn consumer<'a>(
    consumers: &'a mut BTreeMap<(String, i32), PartitionConsumer>,
    group: &str,
    partition: i32,
) -> &'a mut PartitionConsumer {
    let key = (group.to_owned(), partition);
    consumers.entry(key).or_insert_with(|| PartitionConsumer {
        group: group.to_owned(),
        partition: unsigned(partition),
        ..PartitionConsumer::default()
    })
}

/// What consumers have written into the tree below the registry's root.
struct Tree<'a> {
    coordinator: &'a Coordinator,
    root: &'a str,
    broker: ServerId,
}

impl Tree<'_> {
    fn learn(
        &self,
        topic: &str,
        partitions: &[status::PartitionStatus],
        consumers: &mut BTreeMap<(String, i32), PartitionConsumer>,
    ) {
        let (root, broker) = (self.root, self.broker);
        let groups = format!("{root}/consumers");
        let Some(groups) = self.coordinator.peek_children(groups.as_bytes()) else {
            return;
        };
        for group in groups
            .into_iter()
            .filter_map(|name| std::str::from_utf8(name).ok())
        {
            for partition in partitions {
                let number = partition.number;
                let path = |kind: &str| {
                    format!("{root}/consumers/{group}/{kind}/{topic}/{broker}-{number}")
                };
                let (owner, offset) = (self.text(&path("owners")), self.text(&path("offsets")));
                if owner.is_none() && offset.is_none() {
                    continue;
                }
                let offset = offset.and_then(|text| text.parse::<Progress>().ok());
                let offset = offset.and_then(|progress| u64::try_from(progress.offset).ok());
                let known = consumer(consumers, group, number);
                known.owner = owner;
                known.offset = offset;
                // What was deleted before the group read it cannot be read any more.
                let behind =
                    |offset: u64| partition.end.saturating_sub(offset.max(partition.first));
                known.behind_bytes = offset.map(behind);
            }
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        let data = self.coordinator.peek(path.as_bytes())?;
        Some(String::from_utf8_lossy(data).into_owned())
    }
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}
