//! `chrysalis host remove`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Prefix;
use crate::config::COORDINATOR_ID_MAX;
use crate::host::{self, Facts, Kept, Layout};
use crate::report::{Code, Error};

/// Take away what was installed
///
/// Stops the servers first. Whatever is not of Chrysalis stays, and is named. Where a run was cut off, the next one goes on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis host remove --plan\n      \
    as root: show what would be taken away from /opt/chrysalis\n  \
    chrysalis host remove --id 2\n      \
    that server alone; the program and the others stay\n  \
    chrysalis host remove --prefix ~/chrysalis --keep-data\n      \
    all but each server's conf/ and data/")]
pub(super) struct Remove {
    #[command(flatten)]
    prefix: Prefix,
    /// Take away this server alone
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(COORDINATOR_ID_MAX)))]
    id: Option<u16>,
    /// Keep each server's conf/ and data/
    #[arg(long)]
    keep_data: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    plan: bool,
}

impl Remove {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let layout = self.prefix.layout()?;
        let prefix = layout.prefix();
        if prefix.is_dir() && access(prefix, AccessFlags::W_OK).is_err() {
            let what = format!("{} cannot be written by this user", prefix.display());
            return Err(Error::new(Code::E0103, what)
                .means("Nothing was changed.")
                .cure("Run it with sudo.")
                .into());
        }
        match self.id {
            Some(id) => writeln!(out, "Taking away {}", layout.server(id).root().display())?,
            None => writeln!(out, "Taking away {}", prefix.display())?,
        }
        let kept = Kept {
            only: self.id,
            data: self.keep_data,
        };
        // Nobody installs here meanwhile; and what is looked at is what is there then.
        let _lock = match prefix.is_dir() && !self.plan {
            true => Some(super::apply::lock(prefix)?),
            false => None,
        };
        let facts = Facts::gather(&layout);
        let removal = host::removal(&facts, &layout, kept);
        if removal.steps.is_empty() {
            writeln!(out, "  nothing of Chrysalis is here")?;
        }
        for note in &removal.notes {
            writeln!(out, "  {note}")?;
        }
        if self.plan {
            for step in &removal.steps {
                writeln!(out, "  would {step}")?;
            }
            writeln!(out, "This was the plan; nothing was changed.")?;
            return Ok(());
        }
        let carried_out = host::carry_out(&removal.steps, |told| {
            out.write_all(told.as_bytes())?;
            out.flush()
        });
        carried_out.map_err(|failed| {
            failed
                .error
                .cure("Mend that, and run it again: it goes on.")
        })?;
        removal.remove_empty_folders();
        if !removal.steps.is_empty() {
            self.tell_what_is_left(&layout, out)?;
        }
        Ok(())
    }

    fn tell_what_is_left(&self, layout: &Layout, out: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(id) = self.id {
            let folder = layout.server(id);
            if folder.root().exists() {
                writeln!(out, "  kept: what is left in {}", folder.root().display())?;
            }
            writeln!(
                out,
                "  the program and the other servers stay; without --id they go, too"
            )?;
            return Ok(());
        }
        if !layout.prefix().is_dir() {
            return Ok(());
        }
        let left = what_is_in(layout.prefix());
        match self.keep_data {
            _ if left.is_empty() => {}
            true => writeln!(out, "  kept:")?,
            false => writeln!(out, "  left, because it is not ours:")?,
        }
        for path in left {
            writeln!(out, "    {}", path.display())?;
        }
        Ok(())
    }
}

/// What is in a folder and in the folders in it, without the servers' own names.
fn what_is_in(prefix: &Path) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let is_server = |path: &PathBuf| path.join("conf").is_dir() || path.join("data").is_dir();
    let first = list(prefix);
    let second = first
        .iter()
        .filter(|path| path.is_dir())
        .flat_map(|path| list(path));
    let mut all: Vec<PathBuf> = first
        .iter()
        .filter(|path| !is_server(path))
        .cloned()
        .chain(second)
        .collect();
    all.sort();
    all
}
