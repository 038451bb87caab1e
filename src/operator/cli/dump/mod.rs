//! `chrysalis dump`: what is in the files, for people. Nothing is changed, and no server is needed.

use std::io::Write;

mod journal;
mod segment;

/// Print what is in a file of data
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis dump journal /srv/server1 | tail\n  \
    chrysalis dump segment /srv/server1/data/topics/orders-0/00000000000000000000.meta")]
pub(super) struct Dump {
    #[command(subcommand)]
    command: DumpCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DumpCommand {
    Journal(journal::Journal),
    Segment(segment::Segment),
}

impl Dump {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            DumpCommand::Journal(command) => command.run(out),
            DumpCommand::Segment(command) => command.run(out),
        }
    }
}
