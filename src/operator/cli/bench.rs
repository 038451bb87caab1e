//! `chrysalis bench`: how fast a server or a disk is, by what its clients can see.

use std::io::Write;

use clap::Subcommand;

use super::bench_broker::BenchBroker;
use super::bench_coordinator::BenchCoordinator;
use super::bench_disk::BenchDisk;

/// Measure a server or a disk
///
/// It measures servers through their public protocol, so that it can measure the originals, too.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis bench disk /srv\n  \
    chrysalis bench broker put --disk /srv\n  \
    chrysalis bench coordinator --operation get")]
pub(super) struct Bench {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    Disk(BenchDisk),
    Broker(BenchBroker),
    Coordinator(BenchCoordinator),
}

impl Bench {
    /// Measures.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.subject {
            Subject::Disk(bench) => bench.run(out),
            Subject::Broker(bench) => bench.run(out),
            Subject::Coordinator(bench) => bench.run(out),
        }
    }
}
