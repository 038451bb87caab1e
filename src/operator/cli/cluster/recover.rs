//! `chrysalis cluster recover`: an ensemble whose majority is gone goes on with one server that is left.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::appliance::pid_file::{LockError, PidFile};
use crate::config::{self, ServerFolder};
use crate::consensus::Record;
use crate::disk::{Backend, Files, Options};
use crate::journal::{DumpedRecord, dump};
use crate::operator::cli::place::{self, FolderArgument};
use crate::operator::cli::{config_error, disk_error};
use crate::report::{Code, Error};
use crate::server::recovery;
use crate::units::GroupId;

/// Go on with one server where a majority of the ensemble is gone for good
///
/// The server in the folder must be stopped. Without --yes nothing is changed: it says where its log ends. Run it on
/// each server that is left, and recover the one with the highest term or, where that is the same, the highest entry. What
/// others acknowledged behind that is lost. The server then starts as an ensemble of one, with another id, and clients
/// go on with it; the former members serve nobody beside it. Bring each back with --accept-loss and cluster add.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis cluster recover --folder /srv/server1\n  \
    chrysalis cluster recover --yes --folder /srv/server1")]
pub(super) struct Recover {
    #[command(flatten)]
    folder: FolderArgument,
    /// Do it: what this server does not have is lost
    #[arg(long)]
    yes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where a server's log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct End {
    /// The last entry's term.
    term: u64,
    /// The last entry.
    last: u64,
}

impl Recover {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let folder = self.folder.server_folder()?;
        let config = config::load(&folder).map_err(config_error)?;
        let Some(cluster) = &config.cluster else {
            return Err(refused(
                "cluster.servers lists no other server: there is no ensemble to recover",
                "A server that is alone starts as it is: chrysalis start",
            )
            .into());
        };
        let _lock = lock(&folder)?;
        let end = end_of(&folder.journal())?;
        if end.last == 0 {
            return Err(refused(
                "this server has nothing of an ensemble",
                "Recover one that was a member.",
            )
            .into());
        }
        if self.yes {
            let wanted = recovery::want(&folder);
            wanted.map_err(|error| {
                Error::new(Code::E0103, "write down that it is to go on alone")
                    .because(error)
                    .means("Nothing was changed.")
                    .cure("The user that runs the server must own its folder, and there must be room.")
            })?;
        }
        if self.json {
            let text = json!({
                "server": config.id.0, "term": end.term, "last_entry": end.last, "recovered": self.yes,
            });
            writeln!(out, "{text}")?;
        } else {
            let others = cluster.servers.iter().map(|server| server.id);
            let others = others.filter(|id| *id != config.id);
            let others: Vec<String> = others.map(|id| id.to_string()).collect();
            write!(
                out,
                "{}",
                self.text(&folder, config.id.0, end, &others.join(", "))
            )?;
        }
        match self.yes || self.json {
            true => Ok(()),
            false => Err(Error::new(Code::E0309, "nothing was changed")
                .means("What this server does not have would be lost.")
                .cure(format!(
                    "If it has most of all that are left: chrysalis cluster recover --yes {}",
                    place::flag(&folder)
                ))
                .into()),
        }
    }

    fn text(&self, folder: &ServerFolder, server: u16, end: End, others: &str) -> String {
        let End { term, last } = end;
        let has = format!("server {server}: its log ends with entry {last} of term {term}\n");
        match self.yes {
            false => has,
            true => format!(
                "{has}It goes on alone when it is started: chrysalis start {flag}\n\
                 Clients that list it reach it then. Let none of the servers {others} run before; when one is back, restart it \
                 with --accept-loss, which throws its znodes away and keeps its messages, and then, here: chrysalis \
                 cluster add ID {flag}\n",
                flag = place::flag(folder)
            ),
        }
    }
}

fn refused(what: &str, cure: &str) -> Error {
    Error::new(Code::E0308, what)
        .means("Nothing was changed.")
        .cure(cure)
}

/// Keeps a server from starting meanwhile.
fn lock(folder: &ServerFolder) -> Result<PidFile, Error> {
    PidFile::lock(&folder.pid_file()).map_err(|error| match error {
        LockError::Held(_) => Error::new(Code::E0102, error.to_string())
            .means("Nothing was changed.")
            .cure(format!(
                "Stop it first: chrysalis stop {}",
                place::flag(folder)
            )),
        LockError::Io(error) => Error::new(Code::E0103, format!("use {}", folder.root().display()))
            .because(error)
            .means("Nothing was changed.")
            .cure("Run it as the user that runs the server."),
    })
}

/// Where the coordinator's log in a journal ends.
fn end_of(journal: &Path) -> Result<End, Error> {
    let options = Options {
        backend: Backend::Threads,
        ..Options::default()
    };
    let mut disk = Files::new(&options).map_err(disk_error)?;
    let mut end = End::default();
    let read = dump(&mut disk, journal, &mut |batch| {
        // What lies behind the end does not count.
        let counts = !batch.behind;
        let of_group =
            (batch.records.iter()).filter(|(group, _)| counts && *group == GroupId::COORDINATOR);
        for (_, record) in of_group {
            end.take(record);
        }
    });
    let damaged = |why: &dyn std::fmt::Display| {
        Error::new(Code::E0201, format!("read {}: {why}", journal.display()))
            .means("How much it has is not known; nothing was changed.")
            .cure("Recover another server, or see what is missing: chrysalis dump journal")
    };
    let read = read.map_err(|error| damaged(&error))?;
    match read.damage {
        Some(damage) => Err(damaged(&damage.what)),
        None => Ok(end),
    }
}

impl End {
    fn take(&mut self, record: &DumpedRecord) {
        match record {
            DumpedRecord::Entry { index, term, .. } => {
                *self = End {
                    term: *term,
                    last: *index,
                };
            }
            DumpedRecord::Other(Record::Reset(marker)) => {
                *self = End {
                    term: marker.term,
                    last: marker.index,
                };
            }
            DumpedRecord::State { last, .. } => self.last = self.last.max(*last),
            DumpedRecord::Other(Record::Marker(marker)) if marker.index >= self.last => {
                self.term = marker.term;
            }
            _ => {}
        }
    }
}
