//! `chrysalis restart`: stops a server and starts it again.

use std::io::Write;

use super::FolderArgument;
use super::start::{self, StartOptions};
use super::{config, server, stop};

/// Stop a server, if it runs, and start it in the background
///
/// A configuration with mistakes is refused before anything is stopped. If systemd runs the server, use
/// systemctl instead.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis restart /srv/server1")]
pub(super) struct Restart {
    #[command(flatten)]
    folder: FolderArgument,
    #[command(flatten)]
    options: StartOptions,
}

impl Restart {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        config::check(&folder)?;
        server::refuse_root_in_anothers_folder(&folder)?;
        stop::stop(&folder, self.options.wait(), out)?;
        start::start(&folder, &self.options, out)
    }
}
