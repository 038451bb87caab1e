//! What nodes there should be in ZooKeeper for a broker, worked out without I/O.
//!
//! Order matters twice: clients that see a topic must find its broker, so `ids` comes first when
//! making and last when taking away.

use super::Wanted;

#[cfg(test)]
mod tests;

/// A node that lives as long as the broker's session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ephemeral {
    /// Its full path.
    pub(super) path: String,
    /// Its content.
    pub(super) content: String,
    /// Whether clients watch its content. Otherwise they watch what is beside it, so that a change of its
    /// content is noticed only if it goes and comes.
    pub(super) content_is_watched: bool,
}

/// Everything a broker registers, in the order in which it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The broker's persistent container, whose content pre-slave clients read.
    pub(super) container: String,
    /// The container's content: the broker's URL.
    pub(super) url: String,
    /// The node that claims the id; nothing else is made before it is ours.
    pub(super) master: String,
    /// The nodes after `master`: the checksum, then the topics'.
    pub(super) others: Vec<Ephemeral>,
}

/// The plan for what is wanted, below `root`.
pub(super) fn plan(root: &str, wanted: &Wanted) -> Plan {
    let brokers = format!("{}/brokers", above(root));
    let container = format!("{brokers}/ids/{}", wanted.broker);
    let mut others = vec![Ephemeral {
        path: format!("{container}/master_config_checksum"),
        content: wanted.config_checksum.to_string(),
        content_is_watched: true,
    }];
    for (name, topic) in &wanted.topics {
        let child = format!("{name}/{}-m", wanted.broker);
        let partitions = topic.partitions;
        // Exactly these two fields: Java clients refuse any other.
        let json = format!(
            "{{\"numParts\":{partitions},\"broker\":\"{}-m\"}}",
            wanted.broker
        );
        others.push(Ephemeral {
            path: format!("{brokers}/topics/{child}"),
            content: partitions.to_string(),
            content_is_watched: false,
        });
        if topic.accept_publish {
            let path = format!("{brokers}/topics-pub/{child}");
            others.push(Ephemeral {
                path,
                content: json.clone(),
                content_is_watched: false,
            });
        }
        if topic.accept_subscribe {
            let path = format!("{brokers}/topics-sub/{child}");
            others.push(Ephemeral {
                path,
                content: json,
                content_is_watched: false,
            });
        }
    }
    Plan {
        master: format!("{container}/master"),
        container,
        url: wanted.url.clone(),
        others,
    }
}

/// What stands before the first `/` behind the root.
pub(super) fn above(root: &str) -> String {
    let root = root.trim_end_matches('/');
    match root.starts_with('/') || root.is_empty() {
        true => root.to_owned(),
        false => format!("/{root}"),
    }
}
