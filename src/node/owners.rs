//! Who owns the broker's partitions, as the built-in coordinator's tree has it.

use super::coordinator_side::CoordinatorSide;
use crate::broker::{Event, Name, Owned};
use crate::registry::owners::{self, Znodes};
use crate::units::ServerId;

/// The built-in coordinator's tree, below the registry's root.
#[derive(Clone, Copy)]
pub(super) struct BuiltIn<'a> {
    pub(super) coordinator: Option<&'a CoordinatorSide>,
    pub(super) root: &'a str,
}

impl BuiltIn<'_> {
    /// Who owns this partition of `broker`.
    pub(super) fn owner(
        mut self,
        group: Name,
        topic: Name,
        partition: i32,
        broker: ServerId,
    ) -> Event {
        let (root, in_group) = (self.root, group.as_str());
        let path = owners::path_of(root, in_group, topic.as_str(), partition, broker);
        let consumer = self.content(&path).map(Name::from);
        Event::Owner {
            group,
            topic,
            partition,
            consumer,
        }
    }

    /// What the consumers of this group own.
    pub(super) fn owned(mut self, group: Name, broker: ServerId) -> Event {
        let root = self.root;
        let told = owners::owned(&mut self, root, group.as_str(), broker);
        event(group, told)
    }
}

impl Znodes for BuiltIn<'_> {
    fn children(&mut self, path: &str) -> Vec<String> {
        let coordinator = self.coordinator.map(|side| &side.core);
        let names = coordinator.and_then(|core| core.peek_children(path.as_bytes()));
        let text = |name: &[u8]| std::str::from_utf8(name).ok().map(str::to_owned);
        names.into_iter().flatten().filter_map(text).collect()
    }

    fn content(&mut self, path: &str) -> Option<String> {
        let content = self.coordinator?.core.peek(path.as_bytes())?;
        Some(String::from_utf8_lossy(content).into_owned())
    }
}

fn event(group: Name, told: owners::Owned) -> Event {
    let owned = |one: owners::Owner| Owned {
        topic: Name::from(one.topic),
        partition: one.partition,
        consumer: Name::from(one.consumer),
        position: one.position,
    };
    Event::Owned {
        group,
        owned: told.here.into_iter().map(owned).collect(),
        elsewhere: told.elsewhere.into_iter().map(Name::from).collect(),
    }
}
