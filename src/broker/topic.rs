//! (being written)

use bytes::Bytes;

use crate::segments::retention::Policy;

/// All topics that are configured, with every default already filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Topics {
    /// The sections in the order of the file. An exact name goes before every pattern, and of the patterns
    /// that match a topic the first one counts.
    pub sections: Vec<Section>,
    /// For topics that are on disk but not configured any more: they can still be read.
    pub defaults: Settings,
    /// The configuration as clients may ask for it (`stats config`).
    pub config_text: Bytes,
    /// Its crc32.
    pub config_checksum: u32,
}

/// The settings of one `[topic=…]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// A topic's name; `*` stands for any run of characters, everything else for itself.
    pub pattern: String,
    /// What holds for the topics that match.
    pub settings: Settings,
}

/// What holds for one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Partitions.
    pub partitions: i32,
    /// Producers may find it in ZooKeeper.
    pub accept_publish: bool,
    /// Consumers may find it in ZooKeeper.
    pub accept_subscribe: bool,
    /// Collect real-time statistics.
    pub stat: bool,
    /// What becomes of old segments.
    pub retention: Policy,
    /// The folder of its partitions, as an index into the node's list of data folders.
    pub data_folder: u32,
}
