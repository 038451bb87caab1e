//! `chrysalis doctor`: what is wrong with a server, why, and what cures it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::FolderArgument;
use super::place;
use crate::config::ServerFolder;
use crate::operator::doctor::{self, Examination, Severity};
use crate::operator::text;
use crate::report::{Error, ExitCode};

/// Where an install as root puts servers.
const PREFIX: &str = "/opt/chrysalis";
/// A program lies so many folders below its prefix at most: in `bin`, or in `versions/VERSION`.
const DEPTH: usize = 3;

/// Find out what is wrong with a server, why, and what cures it
///
/// Looks at the server's files, its process, its disk and its host, asks the server itself and whoever answers where
/// its clients are sent. What is worst comes first; what follows from it is not told. It works while the server
/// runs, and says why it does not start if it does not. Without a folder it examines all servers of the installation.
///
/// It changes nothing, and ends within seconds. To measure the disk it writes into a file without a name in data/; to
/// compare clocks it opens a session with the coordinator and closes it.
///
/// The exit code is 0 if nothing is broken or at risk, 5 if something is at risk, 6 if something is broken.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis doctor /srv/server1\n  \
    chrysalis doctor --json | jq -r '.servers[].findings[].name'")]
pub(super) struct Doctor {
    #[command(flatten)]
    folder: FolderArgument,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folders = self.folders()?;
        let examined: Result<Vec<Examination>, Error> = folders
            .iter()
            .map(|folder| Ok(doctor::examine(&doctor::gather(folder)?)))
            .collect();
        let examined = examined?;
        match self.json {
            true => {
                let told = doctor::as_json(&examined);
                writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?;
            }
            false => {
                let texts = examined
                    .iter()
                    .map(|it| doctor::as_text(it, text::columns()));
                write!(out, "{}", texts.collect::<Vec<_>>().join("\n"))?;
            }
        }
        let worst = examined.iter().filter_map(Examination::worst).min();
        match worst {
            Some(Severity::Broken) => Err(Diagnosed(ExitCode::Broken).into()),
            Some(Severity::AtRisk) => Err(Diagnosed(ExitCode::AtRisk).into()),
            Some(Severity::Hint) | None => Ok(()),
        }
    }

    /// The server that is named or stood in; otherwise all that were installed beside this program.
    fn folders(&self) -> Result<Vec<ServerFolder>, Error> {
        let not_named = match self.folder.server_folder() {
            Ok(folder) => return Ok(vec![folder]),
            Err(error) => error,
        };
        let program = std::env::current_exe().unwrap_or_default();
        let prefixes = program.ancestors().skip(1).take(DEPTH);
        let installed = prefixes.map(Path::to_path_buf).find_map(servers_in);
        let folders = installed.or_else(|| servers_in(PathBuf::from(PREFIX)));
        folders.ok_or(not_named)
    }
}

/// The servers whose folders lie in this one, if there are any.
fn servers_in(prefix: PathBuf) -> Option<Vec<ServerFolder>> {
    let entries = std::fs::read_dir(prefix).ok()?.flatten();
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.path()).collect();
    let folders = paths.into_iter().map(ServerFolder::new);
    let folders: Vec<ServerFolder> = folders.filter(place::is_one).collect();
    (!folders.is_empty()).then_some(folders)
}

/// Something is wrong, and told already.
#[derive(Debug, thiserror::Error)]
#[error("something is wrong with a server")]
pub(super) struct Diagnosed(pub(super) ExitCode);
