//! `chrysalis stop`: stops a server cleanly.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{FolderArgument, progress, server};
use crate::appliance::control::{self, Request, Response};
use crate::appliance::pid_file;
use crate::config::ServerFolder;
use crate::report::{Code, Error};

/// Stop a server cleanly
///
/// The broker leaves ZooKeeper first, so that clients turn elsewhere. Then the server finishes the requests
/// under way and puts everything on disk. Returns when the process has ended. It is no error if the server
/// does not run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis stop /srv/server1")]
pub(super) struct Stop {
    #[command(flatten)]
    folder: FolderArgument,
    /// How long to wait until it has stopped; it goes on stopping afterwards
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

impl Stop {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        stop(
            &self.folder.server_folder()?,
            Duration::from_secs(self.wait),
            out,
        )
    }
}

/// Stops the server of `folder` and waits until its process has ended.
pub(super) fn stop(
    folder: &ServerFolder,
    wait: Duration,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Some(holder) = server::holder(folder)? else {
        writeln!(out, "{} does not run", folder.name())?;
        return Ok(());
    };
    server::refuse_suspended(folder, holder)?;
    tell_to_stop(folder)?;
    let waiting = progress::wheel(format!("{} is stopping", folder.name()));
    let until = Instant::now() + wait;
    while let Some(holder) = server::holder(folder)? {
        if Instant::now() >= until {
            let who = holder
                .pid
                .map_or_else(String::new, |pid| format!(" (process {pid})"));
            return Err(Error::new(
                Code::E0305,
                format!(
                    "{}{who} still runs after {} seconds",
                    folder.name(),
                    wait.as_secs()
                ),
            )
            .means("It is still stopping.")
            .cure(format!(
                "Look at the end of {}",
                folder.log_file().display()
            ))
            .into());
        }
        // The lock goes with the process; there is nothing to be woken by.
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(waiting);
    writeln!(out, "{} has stopped", folder.name())?;
    Ok(())
}

/// Asks it to stop, or where it does not listen, signals its process.
fn tell_to_stop(folder: &ServerFolder) -> Result<(), Error> {
    const ANSWER_MAX: Duration = Duration::from_secs(5);
    match control::call(&folder.control_socket(), &Request::Shutdown, ANSWER_MAX) {
        Ok(Response::Refused { text, .. }) => return Err(Error::new(Code::E0306, text)),
        Ok(_) => return Ok(()),
        // It may be about to listen, or stuck; a signal reaches it all the same.
        Err(_) => {}
    }
    let signalled = pid_file::signal_to_stop(&folder.pid_file());
    signalled.map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Code::E0103,
            _ => Code::E0302,
        };
        Error::new(code, format!("tell {} to stop", folder.name()))
            .because(error)
            .means("It goes on running.")
            .cure("Run this as the user that runs the server, or as root.")
    })
}
