//! `chrysalis status`: how a server is doing.

use std::io::Write;

use super::{FolderArgument, server};
use crate::operator::status;

/// Show how a server is doing
///
/// Ends with 0 if it runs and with 3 if it does not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis status /srv/server1\n  \
    chrysalis status /srv/server1 --json | jq .broker.messages\n  \
    chrysalis status /srv/server1 >/dev/null || chrysalis start /srv/server1")]
pub(super) struct Status {
    #[command(flatten)]
    folder: FolderArgument,
    /// As JSON, with units in the names
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let status = server::ask_status(&self.folder.server_folder())?;
        match self.json {
            true => writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?,
            false => write!(out, "{}", status::server(&status))?,
        }
        Ok(())
    }
}
