//! `chrysalis start`: serves in the background.

use std::io::Write;
use std::time::Duration;

use super::{FolderArgument, Told, progress, run, server};
use crate::appliance::background::{self, Outcome};
use crate::config::{self, ServerFolder};
use crate::report::{Code, Error};

/// Start a server in the background
///
/// Returns when the ports serve and clients find the topics in ZooKeeper, or with the error. If ZooKeeper
/// cannot be reached it also returns, and says so. The server belongs to no terminal; its log is
/// logs/chrysalis.log. A second start on the same folder is refused.
///
/// If systemd runs the server, use systemctl instead.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis start /srv/server1\n  \
    chrysalis start /srv/server1 --wait 600      where a long journal has to be read")]
pub(super) struct Start {
    #[command(flatten)]
    folder: FolderArgument,
    #[command(flatten)]
    options: StartOptions,
}

/// How a server is started.
#[derive(Debug, clap::Args)]
pub(super) struct StartOptions {
    /// How long to wait until it serves; it goes on starting afterwards
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Go on without acknowledged data that is damaged; see `chrysalis run --help`
    #[arg(long)]
    accept_loss: bool,
}

impl StartOptions {
    /// How long to wait.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}

impl Start {
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        start(&self.folder.server_folder()?, &self.options, out)
    }
}

/// Starts the server of `folder` and says what it serves.
pub(super) fn start(
    folder: &ServerFolder,
    options: &StartOptions,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // Mistakes are told here and at once, not by way of a process that ends.
    let config = config::load(folder).map_err(super::config_error)?;
    if let Some(holder) = server::holder(folder)? {
        return Err(run::already_running(folder, holder.pid).into());
    }
    server::refuse_root_in_anothers_folder(folder)?;
    server::make_private_folder(&folder.logs()).map_err(|error| not_launched(folder, error))?;
    let flags: Vec<String> = options
        .accept_loss
        .then(|| "--accept-loss".to_owned())
        .into_iter()
        .collect();
    let waiting = progress::wheel(format!("{} is starting", folder.name()));
    let outcome = background::start(folder, &flags, options.wait());
    drop(waiting);
    let log = folder.log_file();
    match outcome.map_err(|error| not_launched(folder, error))? {
        Outcome::Serving { ports, obstacles } => {
            writeln!(out, "{} serves: {ports}", folder.name())?;
            for obstacle in obstacles {
                writeln!(out, "not ready: {obstacle}")?;
            }
            for note in &config.source.notes {
                writeln!(out, "note: {note}")?;
            }
            writeln!(out, "its log is {}", log.display())?;
            Ok(())
        }
        Outcome::Failed { message, exit_code } => {
            let message = format!("{message}\nThe log is {}", log.display());
            Err(Told { message, exit_code }.into())
        }
        Outcome::Died => Err(Error::new(
            Code::E0108,
            format!("{} ended before it served, without a word", folder.name()),
        )
        .means("The server does not run.")
        .cure(format!("Look at the end of {}", log.display()))
        .into()),
        Outcome::StillStarting => Err(Error::new(
            Code::E0108,
            format!(
                "{} does not serve after {} seconds",
                folder.name(),
                options.wait
            ),
        )
        .means("It is still starting.")
        .cure(format!("Look at the end of {}", log.display()))
        .into()),
    }
}

fn not_launched(folder: &ServerFolder, error: std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Code::E0103,
        std::io::ErrorKind::StorageFull => Code::E0204,
        _ if super::is_lacking(&error) => Code::E0111,
        _ => Code::E0104,
    };
    Error::new(
        code,
        format!(
            "start a process with the log {}",
            folder.log_file().display()
        ),
    )
    .because(error)
    .means("The server does not run.")
    .cure(match code {
        Code::E0111 => super::LIMIT_CURE,
        _ => "The user that starts the server must own its folder, and there must be room.",
    })
}
