//! `chrysalis run`: serves a folder until it is told to stop.
//!
//! The order matters: detach before anything else exists, lock the folder before anything in it is
//! touched, read the configuration before the log is set up, and only then hand over to the node, on
//! this thread and before any other.

use super::{FolderArgument, server};
use crate::appliance::background::{self, Progress, Side};
use crate::appliance::pid_file::LockError;
use crate::appliance::{PidFile, Readiness, RunOptions, limits};
use crate::config::{self, ServerFolder};
use crate::report::{self, Code, Error};
use crate::server::{log_options, run as serve};

/// Serve in the foreground until SIGTERM or Ctrl-C
///
/// Serves the folder's coordinator and broker. The log goes to standard error, or to log.file. SIGTERM and
/// SIGINT stop it cleanly: it tells clients to leave, finishes the requests under way, and puts everything
/// on disk. SIGHUP reads the topics again.
///
/// It tells systemd when it serves (Type=notify) and that it lives (WatchdogSec).
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  chrysalis run /srv/server1")]
pub(super) struct Run {
    #[command(flatten)]
    folder: FolderArgument,
    /// Go on without acknowledged data that is damaged; it is lost, and this cannot be undone
    ///
    /// Without it a server whose journal is damaged does not start. First copy data/, and see what is
    /// missing: `chrysalis dump journal DIR`.
    #[arg(long)]
    accept_loss: bool,
    /// Detach, and tell standard output how it went (what `chrysalis start` uses)
    #[arg(long, hide = true)]
    detach: bool,
}

impl Run {
    /// Serves the folder, on this thread.
    pub(super) fn run(self) -> anyhow::Result<()> {
        if !self.detach {
            return Ok(self.serve()?);
        }
        let detached = background::detach(&self.folder.server_folder()?).map_err(|error| {
            Error::new(Code::E0108, "detach from the terminal")
                .because(error)
                .means("The server does not run.")
                .cure("Use `chrysalis run` in the foreground.")
        })?;
        if detached == Side::Left {
            return Ok(());
        }
        let served = self.serve();
        if let Err(error) = &served {
            let exit_code = error.exit_code().number();
            background::tell_starter(&Progress::Failed {
                message: error.to_string(),
                exit_code,
            });
        }
        Ok(served?)
    }

    fn serve(&self) -> Result<(), Error> {
        let folder = self.folder.server_folder()?;
        let mut config = config::load(&folder).map_err(super::config_error)?;
        server::refuse_root_in_anothers_folder(&folder)?;
        let notes = limits::prepare(&mut config)?;
        let _lock = lock(&folder)?;
        report::tracing::start(&log_options(&config))?;
        tracing::info!(folder = %folder.root().display(), files = config.files_shown(), version = env!("CARGO_PKG_VERSION"), "starting");
        for note in &config.source.notes {
            tracing::warn!(note, "a note on the configuration");
        }
        let options = RunOptions {
            accept_loss: self.accept_loss,
            notes,
            readiness: Readiness::new(self.detach),
        };
        let log_has_a_file = config.log.file.is_some();
        serve(config, folder, options).inspect_err(|error| {
            // Otherwise it is among the lines anyway: the message goes to standard error.
            if log_has_a_file {
                tracing::error!(%error, "the server ends");
            }
        })
    }
}

/// Makes what a server needs to be there, and locks its folder.
fn lock(folder: &ServerFolder) -> Result<PidFile, Error> {
    let refused = |path: &std::path::Path, error: std::io::Error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Code::E0103
            }
            std::io::ErrorKind::StorageFull => Code::E0204,
            _ if super::is_lacking(&error) => Code::E0111,
            _ => Code::E0104,
        };
        Error::new(code, format!("use {}", path.display()))
            .because(error)
            .means("The server does not start.")
            .cure(match code {
                Code::E0111 => super::LIMIT_CURE,
                _ => "The user that runs the server must own its folder, and there must be room.",
            })
    };
    for needed in [folder.data(), folder.logs()] {
        server::make_private_folder(&needed).map_err(|error| refused(&needed, error))?;
    }
    // What is synced inside a folder whose own name is lost is lost too. The folder above need not be ours to open.
    let root = folder.root();
    std::fs::File::open(root)
        .and_then(|root| root.sync_all())
        .map_err(|error| refused(root, error))?;
    if let Some(above) = root
        .parent()
        .and_then(|above| std::fs::File::open(above).ok())
    {
        above.sync_all().map_err(|error| refused(root, error))?;
    }
    PidFile::lock(&folder.pid_file()).map_err(|error| match error {
        LockError::Io(error) => refused(&folder.pid_file(), error),
        LockError::Held(pid) => already_running(folder, pid),
    })
}

/// What an operator is told who starts a server twice.
pub(super) fn already_running(folder: &ServerFolder, pid: Option<u32>) -> Error {
    let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
    let root = folder.root().display();
    Error::new(Code::E0102, format!("{who} already serves {root}"))
        .means("Nothing was started.")
        .cure(format!("See how it is doing: chrysalis status {root}"))
}
