//! `chrysalis partition`: what an operator does to single partitions.

use std::io::Write;

use super::{FolderArgument, server};
use crate::appliance::control::Request;

/// Close, open or mend partitions
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis partition close /srv/server1 orders 0 3\n  \
    chrysalis partition open /srv/server1 orders\n  \
    chrysalis partition skip-damage /srv/server1 orders 2")]
pub(super) struct Partition {
    #[command(subcommand)]
    command: PartitionCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PartitionCommand {
    /// Answer puts and gets of some partitions with 403
    ///
    /// Producers that find the broker in ZooKeeper go on choosing these partitions and get 403. It lasts
    /// until `partition open` or the server's end.
    #[command(after_long_help = "Examples:\n  \
        chrysalis partition close /srv/server1 orders 2\n  \
        chrysalis partition close /srv/server1 orders 0 3")]
    Close {
        #[command(flatten)]
        folder: FolderArgument,
        /// The topic
        topic: String,
        /// The first partition
        start: u32,
        /// The last partition; only the first if it is not given
        end: Option<u32>,
    },
    /// Open every closed partition of a topic
    #[command(after_long_help = "Example:\n  chrysalis partition open /srv/server1 orders")]
    Open {
        #[command(flatten)]
        folder: FolderArgument,
        /// The topic
        topic: String,
    },
    /// Let consumers go on behind the damage in a partition
    ///
    /// A damaged record is never sent: gets that would return it are answered with 500, and consumers
    /// wait there. This leads them to the next whole record. What lies between is lost to them; keep a
    /// copy of the file first. `chrysalis status` names damaged partitions.
    #[command(
        after_long_help = "Example:\n  chrysalis partition skip-damage /srv/server1 orders 2"
    )]
    SkipDamage {
        #[command(flatten)]
        folder: FolderArgument,
        /// The topic
        topic: String,
        /// The partition
        partition: u32,
    },
}

impl Partition {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (folder, request) = match self.command {
            PartitionCommand::Close {
                folder,
                topic,
                start,
                end,
            } => {
                let end = end.unwrap_or(start);
                (folder, Request::PartitionClose { topic, start, end })
            }
            PartitionCommand::Open { folder, topic } => (folder, Request::PartitionOpen { topic }),
            PartitionCommand::SkipDamage {
                folder,
                topic,
                partition,
            } => (folder, Request::PartitionSkipDamage { topic, partition }),
        };
        server::show_done(server::ask(&folder.server_folder(), &request)?, out)
    }
}
