//! `chrysalis reload`: reads the topics again.

use std::io::Write;

use super::{FolderArgument, server};

/// Read the topics of the configuration again
///
/// Topics that were added or changed take effect at once, without a restart. Everything else in the
/// configuration takes effect at the next start; what has changed there is named. A configuration with
/// mistakes changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis reload /srv/server1")]
pub(super) struct Reload {
    #[command(flatten)]
    folder: FolderArgument,
}

impl Reload {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        server::reload(&self.folder.server_folder()?, out)
    }
}
