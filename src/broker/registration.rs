//! What ZooKeeper is told of the topics: from here it is only wished, the registry makes it true.

use super::Broker;
use super::event::{Effect, TopicRegistration};
use super::request::Name;
use super::topic::{TopicId, Topics};

impl Broker {
    /// Tells of every topic: those that are configured by name, then those that are only on disk.
    pub(super) fn register_all(&mut self, effects: &mut Vec<Effect>) {
        self.forget_registrations();
        for name in self.catalog.configured_names().to_vec() {
            if super::topic::is_possible(name.as_str()) {
                let topic = self.catalog.find_or_add(&name);
                self.register(topic, effects);
            }
        }
        self.register_changed(effects);
    }

    /// Tells of the topics of which something else is to be told than before.
    pub(super) fn register_changed(&mut self, effects: &mut Vec<Effect>) {
        for index in 0..self.catalog.len() {
            let topic = self.catalog.nth(index);
            self.register(topic, effects);
        }
    }

    /// Tells of a topic, if what is to be told changed.
    pub(super) fn register(&mut self, topic: TopicId, effects: &mut Vec<Effect>) {
        let wanted = self.registration(topic);
        let state = self.catalog.topic_mut(topic);
        if state.registered == wanted {
            return;
        }
        state.registered.clone_from(&wanted);
        let name: Name = state.name.clone();
        effects.push(match wanted {
            Some(registration) => Effect::RegisterTopic(registration),
            None => Effect::UnregisterTopic { topic: name },
        });
    }

    /// Nobody was told anything.
    pub(super) fn forget_registrations(&mut self) {
        self.catalog
            .iter_mut()
            .for_each(|topic| topic.registered = None);
    }

    /// A topic that is configured is registered as configured. One that only has messages can be read but
    /// takes no puts, so producers are not sent here. (Metamorphosis sends them, and refuses.)
    fn registration(&self, id: TopicId) -> Option<TopicRegistration> {
        let topic = self.catalog.topic(id);
        let name = topic.name.clone();
        if let Some(settings) = &topic.settings {
            return Some(TopicRegistration {
                topic: name,
                partitions: settings.partitions,
                accept_publish: settings.accept_publish,
                accept_subscribe: settings.accept_subscribe,
            });
        }
        let with_messages = |&&(_, id): &&(i32, _)| {
            let segments = &self.partition(id).segments;
            segments.first() < segments.end()
        };
        let &(last, _) = topic.partitions().iter().rfind(with_messages)?;
        Some(TopicRegistration {
            topic: name,
            partitions: last.saturating_add(1),
            accept_publish: false,
            accept_subscribe: self.catalog.defaults.accept_subscribe,
        })
    }

    /// New settings hold from now on.
    pub(super) fn reload(&mut self, topics: Topics, effects: &mut Vec<Effect>) {
        self.catalog.configure(topics);
        self.retire_clock.topics_changed();
        if self.leading {
            for name in self.catalog.configured_names().to_vec() {
                if super::topic::is_possible(name.as_str()) {
                    self.catalog.find_or_add(&name);
                }
            }
            self.register_changed(effects);
        }
    }
}
