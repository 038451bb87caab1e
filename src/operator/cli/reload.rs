//! `chrysalis reload`: reads the topics again.

use std::io::Write;

use super::{FolderArgument, server};

/// Read the topics of the configuration again
///
/// Added and changed topics take effect at once. Other changes take effect at the next start; reload names
/// them. A configuration with mistakes changes nothing.
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
