//! `chrysalis status`: how a server is doing.

use std::io::Write;

use serde_json::json;

use super::{FolderArgument, server};
use crate::operator::{status, text};
use crate::report::Code;

/// Show how a server is doing
///
/// The exit code is 0 if it runs, 3 if it does not, 1 if it does not answer. With --json the last two are JSON
/// as well: the name, and the state `stopped` or `not_answering`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis status --folder /srv/server1\n  \
    chrysalis status --folder /srv/server1 --json | jq .broker.messages\n  \
    cd /srv/server1 && { chrysalis status >/dev/null || chrysalis start; }")]
pub(super) struct Status {
    #[command(flatten)]
    folder: FolderArgument,
    /// As JSON, with units in the names
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        match server::ask_status(&folder) {
            Ok(status) if self.json => {
                writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
            }
            Ok(status) => write!(out, "{}", status::server(&status, text::columns()))?,
            Err(error) => {
                let state = match error.code() {
                    Code::E0301 => Some("stopped"),
                    Code::E0302 => Some("not_answering"),
                    _ => None,
                };
                if let (true, Some(state)) = (self.json, state) {
                    let told = json!({ "name": folder.name(), "state": state });
                    writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?;
                }
                return Err(error.into());
            }
        }
        Ok(())
    }
}
