//! `chrysalis bench`: how fast a server or a disk is, by what its clients can see.

use std::io::Write;

use clap::Subcommand;

use super::bench_coordinator::BenchCoordinator;

/// Measure a server or a disk
///
/// Servers are measured through their public protocol, so that the originals can be measured by the same
/// command in the same minute.
#[derive(Debug, clap::Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    Coordinator(BenchCoordinator),
}

impl Bench {
    /// Measures.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.subject {
            Subject::Coordinator(bench) => bench.run(out),
        }
    }
}
