//! `chrysalis partition`: what an operator does to single partitions.

use std::io::Write;
use std::path::Path;

use super::place::{self, FolderOption};
use super::{server, usage};
use crate::appliance::control::Request;
use crate::config::ServerFolder;
use crate::report::Error;

/// Close, open or mend partitions
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis partition close orders 0 3 --folder /srv/server1\n  \
    chrysalis partition open orders --folder /srv/server1\n  \
    chrysalis partition skip-damage orders 2 --folder /srv/server1")]
pub(super) struct Partition {
    #[command(subcommand)]
    command: PartitionCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PartitionCommand {
    /// Answer puts and gets of some partitions with 403
    ///
    /// Producers still find these partitions in ZooKeeper, and get 403. It lasts until `partition open` or the
    /// next start.
    #[command(
        override_usage = "chrysalis partition close [OPTIONS] [DIR] <TOPIC> <FIRST> [LAST]",
        after_long_help = "Examples:\n  \
        chrysalis partition close orders 2\n  \
        chrysalis partition close orders 0 3 --folder /srv/server1"
    )]
    Close {
        #[command(flatten)]
        folder: FolderOption,
        /// The topic, its first partition and its last one (only the first if it is not given). The server's
        /// folder may stand before them
        #[arg(value_name = "TOPIC FIRST [LAST]", num_args = 2..=4, required = true)]
        words: Vec<String>,
    },
    /// Open every closed partition of a topic
    #[command(
        override_usage = "chrysalis partition open [OPTIONS] [DIR] <TOPIC>",
        after_long_help = "Example:\n  chrysalis partition open orders --folder /srv/server1"
    )]
    Open {
        #[command(flatten)]
        folder: FolderOption,
        /// The topic. The server's folder may stand before it
        #[arg(value_name = "TOPIC", num_args = 1..=2, required = true)]
        words: Vec<String>,
    },
    /// Let consumers continue after the damage in a partition
    ///
    /// The server never sends a damaged record: gets that would return it get 500, and consumers wait there.
    /// This leads them to the next whole record; they lose what is between. Copy the file first. It holds
    /// for the messages that the partition has now, also after a restart. Damage in later messages needs
    /// the command again. `chrysalis status` names damaged partitions.
    #[command(
        override_usage = "chrysalis partition skip-damage [OPTIONS] [DIR] <TOPIC> <PARTITION>",
        after_long_help = "Example:\n  chrysalis partition skip-damage orders 2 --folder /srv/server1"
    )]
    SkipDamage {
        #[command(flatten)]
        folder: FolderOption,
        /// The topic and the partition. The server's folder may stand before them
        #[arg(value_name = "TOPIC PARTITION", num_args = 2..=3, required = true)]
        words: Vec<String>,
    },
}

impl Partition {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (folder, request) = match self.command {
            PartitionCommand::Close { folder, words } => {
                let (first, words) = split(&words, is_folder_before_a_range(&words));
                let number = |index: usize| words.get(index).map(|word| partition(word));
                let topic = words[0].clone();
                let start = number(1).ok_or_else(|| usage("no partition is named"))??;
                let end = number(2).transpose()?.unwrap_or(start);
                (
                    folder.or(first)?,
                    Request::PartitionClose { topic, start, end },
                )
            }
            PartitionCommand::Open { folder, words } => {
                let one = "it opens all partitions of one topic, and takes no partition";
                let (folder, topic) = folder.and_one(&words, one)?;
                let topic = topic.to_owned();
                (folder, Request::PartitionOpen { topic })
            }
            PartitionCommand::SkipDamage { folder, words } => {
                let (first, words) = split(&words, words.len() > 2);
                let topic = words[0].clone();
                let partition = partition(&words[1])?;
                let request = Request::PartitionSkipDamage { topic, partition };
                (folder.or(first)?, request)
            }
        };
        server::show_done(server::ask(&folder, &request)?, out)
    }
}

/// The folder before the other words, if there is one, and these.
fn split(words: &[String], folder_first: bool) -> (Option<&Path>, &[String]) {
    match words {
        [folder, rest @ ..] if folder_first => (Some(Path::new(folder)), rest),
        words => (None, words),
    }
}

/// Of three words before which a folder may stand or not: whether it does. A topic has no slash in its name, and a
/// partition is a number.
fn is_folder_before_a_range(words: &[String]) -> bool {
    match words {
        [first, second, _] => {
            first.contains('/')
                || second.parse::<u32>().is_err()
                || place::is_one(&ServerFolder::new(first))
        }
        words => words.len() > 3,
    }
}

fn partition(word: &str) -> Result<u32, Error> {
    let number = word.parse();
    number.map_err(|_| usage(format!("{word} is no partition: they are numbered from 0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_stand_before_a_range_of_partitions() {
        let is_folder = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            is_folder_before_a_range(&words)
        };
        for words in [
            "/srv/server1 orders 0",
            "server1 orders 0",
            "./1 2 3",
            "server1 orders 0 3",
        ] {
            assert!(is_folder(words), "{words}");
        }
        for words in ["orders 0", "orders 0 3", "1 2 3"] {
            assert!(!is_folder(words), "{words}");
        }
    }
}
