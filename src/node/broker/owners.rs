//! Who owns the broker's partitions: looked up in this process where consumers use the built-in coordinator,
//! asked of the registry where they use another ZooKeeper.

use crate::broker::{Elsewhere, Event, Name, Owned};
use crate::node::coordinator::CoordinatorSide;
use crate::registry::owners::{Answer, Owner, Znodes};

/// The tree of this process.
pub(in crate::node) struct BuiltIn<'a> {
    pub(in crate::node) coordinator: Option<&'a CoordinatorSide>,
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

/// What the broker is told.
pub(in crate::node) fn event(answer: Answer) -> Event {
    match answer {
        Answer::Owner {
            group,
            topic,
            partition,
            consumer,
        } => Event::Owner {
            group: Name::from(group),
            topic: Name::from(topic),
            partition,
            consumer: consumer.map(Name::from),
        },
        Answer::Owned { group, owned } => Event::Owned {
            group: Name::from(group),
            owned: owned.here.into_iter().map(here).collect(),
            elsewhere: (owned.elsewhere.into_iter())
                .map(|(consumer, brokers)| Elsewhere {
                    consumer: Name::from(consumer),
                    brokers,
                })
                .collect(),
        },
    }
}

fn here(owner: Owner) -> Owned {
    Owned {
        topic: Name::from(owner.topic),
        partition: owner.partition,
        consumer: Name::from(owner.consumer),
        position: owner.position,
    }
}
