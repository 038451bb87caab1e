//! `chrysalis host`: what install.sh does once it has a binary.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use nix::sys::stat::{Mode, umask};

use crate::host::{DEFAULT_PREFIX, Layout};
use crate::report::{Code, Error};

mod apply;
mod next;
mod remove;

/// Install, upgrade or take away what this host runs
///
/// `install.sh` finds or builds a binary, and then calls this. A host is what lies below one folder: the program in its
/// versions, and servers called server1, server2 and so on. Nothing is downloaded.
#[derive(Debug, clap::Args)]
pub(super) struct Host {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(apply::Plan),
    Apply(apply::Apply),
    Remove(remove::Remove),
}

impl Host {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        // What the caller forbids others to read, the servers' account could not read either.
        let callers = umask(Mode::S_IWGRP | Mode::S_IWOTH);
        match self.command {
            Command::Plan(command) => command.run(callers.bits(), out),
            Command::Apply(command) => command.run(callers.bits(), out),
            Command::Remove(command) => command.run(out),
        }
    }
}

/// Where all of a host lies.
#[derive(Debug, clap::Args)]
struct Prefix {
    /// The folder of all that is installed [default: /opt/chrysalis, which needs root]
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

impl Prefix {
    fn layout(&self) -> Result<Layout, Error> {
        let Some(prefix) = &self.prefix else {
            return match nix::unistd::geteuid().is_root() {
                true => Ok(Layout::new(DEFAULT_PREFIX)),
                false => Err(
                    Error::new(Code::E0310, format!("installing into {DEFAULT_PREFIX} needs root"))
                        .means("Nothing was changed.")
                        .cure("Run it with sudo, or choose a folder of your own: --prefix \"$HOME/chrysalis\""),
                ),
            };
        };
        let full = std::path::absolute(prefix).map_err(|error| {
            Error::new(Code::E0310, format!("--prefix {}", prefix.display())).because(error)
        })?;
        // Without a slash at its end: units and links name it.
        let full: PathBuf = full.components().collect();
        let is_name = full.to_str().is_some_and(|text| !text.contains('\n'));
        match is_name && full.parent().is_some() {
            true => Ok(Layout::new(full)),
            false => Err(super::usage(format!(
                "--prefix {}: a folder of its own is needed, whose name is text in one line",
                prefix.display()
            ))),
        }
    }
}
