//! Who owns the broker's partitions: looked up in this process where consumers use the built-in coordinator,
//! asked of the registry where they use another ZooKeeper.

use super::coordinator_side::CoordinatorSide;
use crate::broker::{Event, Name, Owned};
use crate::registry::owners::{Answer, Owner, Question, Znodes};
use crate::units::ServerId;

/// Whom the broker's questions go to.
pub(super) enum Whom<'a> {
    /// The tree of this process, which answers at once.
    BuiltIn(BuiltIn<'a>),
    /// Another ZooKeeper: questions are gathered here and answered later.
    Another(&'a mut Vec<Question>),
}

impl Whom<'_> {
    /// Asks for `broker`; the answer, if there is one at once.
    pub(super) fn ask(&mut self, question: Question, broker: ServerId) -> Option<Answer> {
        match self {
            Whom::BuiltIn(tree) => {
                let root = tree.root;
                Some(question.answer(tree, root, broker))
            }
            Whom::Another(questions) => {
                questions.push(question);
                None
            }
        }
    }
}

/// The built-in coordinator's tree, below the registry's root.
pub(super) struct BuiltIn<'a> {
    pub(super) coordinator: Option<&'a CoordinatorSide>,
    pub(super) root: &'a str,
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
pub(super) fn event(answer: Answer) -> Event {
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
            elsewhere: owned.elsewhere.into_iter().map(Name::from).collect(),
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
