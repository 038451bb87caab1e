//! Where the facts come from. Each source has little time, so that all of it ends within seconds although nobody answers.

use std::fs;
use std::io;

use super::facts::{Facts, Known, Process, Running, Start, Unknown, hidden};
use crate::appliance::PidFile;
use crate::config::{self, Config, ServerFolder};
use crate::operator::cli::config_error;
use crate::report::{Code, Error};
use crate::server::preflight;

// The server itself, and whom clients find.
mod answers;
// Whose the files are, and what they lie on.
mod files;
// The kernel, the memory, the clock.
mod machine;
// What a start would meet.
mod start;
// systemd.
mod unit;

/// Gathers what is to be known of the server in `folder`.
///
/// # Errors
/// It is no server's folder, or this user may not look into it.
pub fn gather(folder: &ServerFolder) -> Result<Facts, Error> {
    let process = process(folder)?;
    let is_stopped = process == Process::Stopped;
    let config = configuration(folder, is_stopped)?;
    let answers = answers::of(folder, &process, config.as_ref().ok());
    let start = match (&config, is_stopped) {
        (_, false) => Start::none(&Unknown::DoesNotApply),
        (Ok(config), true) => start::of(config, folder),
        (Err(_), true) => Start::none(&Unknown::Because(
            "the configuration has mistakes".to_owned(),
        )),
    };
    let refused = config.as_ref().ok().map(|config| preflight(config, folder));
    let refusals = match refused {
        Some(Err(mistakes)) => mistakes.list().iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let file_systems = match &config {
        Ok(config) => files::systems(config, folder),
        Err(_) => files::systems_of(&[folder.data()]),
    };
    Ok(Facts {
        files: files::of(folder),
        speed: speed(folder, config.as_ref().ok()),
        file_systems,
        machine: machine::of(answers.pid),
        unit: unit::of(folder),
        process: answers.process,
        status: answers.status,
        cluster: answers.cluster,
        advertised: answers.advertised,
        registered: answers.registered,
        folder: folder.clone(),
        config,
        refusals,
        start,
    })
}

/// The process that serves the folder.
fn process(folder: &ServerFolder) -> Result<Process, Error> {
    let path = folder.pid_file();
    let holder = PidFile::holder(&path).map_err(|error| may_not_look(&path, error))?;
    Ok(match holder {
        None => Process::Stopped,
        Some(holder) => Process::Running(Running {
            pid: holder.pid,
            suspended: holder.suspended(&path).is_some(),
            silent: None,
            program_is_gone: holder.pid.and_then(program_is_gone),
        }),
    })
}

fn may_not_look(path: &std::path::Path, error: io::Error) -> Error {
    Error::new(Code::E0103, format!("look at {}", path.display()))
        .because(error)
        .means("Nothing was examined.")
        .cure("Run this as the folder's owner, or as root.")
}

/// Whether the file that a process runs is on disk no more; none where it may not be seen.
fn program_is_gone(pid: u32) -> Option<bool> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(program.to_string_lossy().ends_with(" (deleted)"))
}

/// The configuration, or what is wrong with it.
///
/// # Errors
/// There is none, and no server runs; or it is not this user's to read.
fn configuration(
    folder: &ServerFolder,
    is_stopped: bool,
) -> Result<Result<Config, Vec<String>>, Error> {
    let wrong = match config::load(folder) {
        Ok(config) => return Ok(Ok(config)),
        Err(config::Error::Mistakes(mistakes)) => {
            mistakes.list().iter().map(ToString::to_string).collect()
        }
        Err(error @ config::Error::Blank(_)) => vec![error.to_string()],
        Err(error @ config::Error::Missing(_)) if !is_stopped => vec![error.to_string()],
        Err(config::Error::Unreadable { path, source })
            if source.kind() == io::ErrorKind::InvalidData =>
        {
            vec![format!("{}: {source}", path.display())]
        }
        Err(error) => return Err(config_error(error)),
    };
    Ok(Err(wrong))
}

/// How fast the disk is, where there is room to try.
fn speed(folder: &ServerFolder, config: Option<&Config>) -> Known<super::facts::Speed> {
    let least = config.map_or(0, |config| config.disk.refuse_below_bytes);
    match files::free_bytes(&folder.data()) {
        Some(free) if free > least => files::speed(&folder.data()),
        Some(_) => hidden("there is no room on the disk to try it"),
        None => hidden("there is no data/ yet"),
    }
}
