//! `topic describe`: what the node knows of a topic, and what the configuration says of it.

use super::run::Server;
use crate::appliance::status::{TopicDetail, TopicSetting};
use crate::config::{Told, ZookeeperAt};

impl Server {
    /// One topic, if there is one of that name or a section that holds for it.
    pub(super) fn topic_detail(&self, name: &str) -> Option<TopicDetail> {
        let node = self.shell.node.borrow();
        let broker = self.config.broker.as_ref()?;
        let offsets_at = match &broker.zookeeper.at {
            ZookeeperAt::BuiltIn => None,
            ZookeeperAt::External(servers) => Some(servers.clone()),
        };
        let (detail, section) = node.topic_detail(name, offsets_at.is_none())?;
        let told = self.config.told(section.as_deref());
        Some(TopicDetail {
            settings: told.into_iter().map(setting).collect(),
            offsets_at,
            ..detail
        })
    }
}

fn setting(told: Told) -> TopicSetting {
    TopicSetting {
        key: told.key.to_owned(),
        value: told.value,
        section: told.section,
    }
}
