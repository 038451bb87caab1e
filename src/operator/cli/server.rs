//! What the commands about a running server share: is it running, and how to talk to it.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::appliance::control::{self, CallError, Request, Response};
use crate::appliance::pid_file::Holder;
use crate::appliance::{PidFile, status};
use crate::config::{Coordinator, ServerFolder};
use crate::net::listener::reachable;
use crate::report::{Code, Error};

/// How long a running server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The process that serves `folder`, if one does.
pub(super) fn holder(folder: &ServerFolder) -> Result<Option<Holder>, Error> {
    if !folder.conf().is_dir() {
        return Err(super::config_error(crate::config::Error::Missing(
            folder.conf(),
        )));
    }
    PidFile::holder(&folder.pid_file()).map_err(|error| {
        Error::new(
            Code::E0103,
            format!("look at {}", folder.pid_file().display()),
        )
        .because(error)
        .means("Whether the server runs is not known.")
        .cure("Run this as the folder's owner.")
    })
}

/// Root serves no folder of another user's: what it made there, that user's server could not open any more.
pub(super) fn refuse_root_in_anothers_folder(folder: &ServerFolder) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let Ok(data) = std::fs::metadata(folder.data()) else {
        return Ok(());
    };
    let owner = data.uid();
    if owner == 0 {
        return Ok(());
    }
    let root = folder.root().display();
    let what = format!(
        "{} belongs to user {owner}, and this is root",
        folder.data().display()
    );
    Err(Error::new(Code::E0103, what)
        .means("Nothing was started: what root makes there, that user's server could not open.")
        .cure(format!(
            "Where systemd runs it: systemctl restart chrysalis@{}. Otherwise: sudo -u '#{owner}' chrysalis start {root}",
            folder.name()
        )))
}

/// The server folder one stands in, if it is one.
pub(super) fn folder_here() -> Option<ServerFolder> {
    let folder = ServerFolder::new(std::env::current_dir().ok()?);
    let configurations = [folder.server_toml(), folder.server_ini(), folder.zoo_cfg()];
    let is_one = configurations.iter().any(|file| file.exists());
    is_one.then_some(folder)
}

/// Where clients on this host reach the coordinator of the server in `folder`.
///
/// # Errors
/// The configuration leaves the port to the kernel, and the server does not run.
pub(super) fn coordinator_address(
    folder: &ServerFolder,
    own: &Coordinator,
) -> Result<SocketAddr, Error> {
    let configured = SocketAddr::new(own.listen, own.port);
    let address = match own.port {
        0 => ask_status(folder)?.ports.coordinator.unwrap_or(configured),
        _ => configured,
    };
    Ok(reachable(address))
}

/// What an operator is told whose command needs a running server.
pub(super) fn not_running(folder: &ServerFolder) -> Error {
    Error::new(Code::E0301, format!("{} does not run", folder.name()))
        .means("Nothing was done.")
        .cure(format!(
            "Start it: chrysalis start {}",
            folder.root().display()
        ))
}

/// Asks the server of `folder`.
pub(super) fn ask(folder: &ServerFolder, request: &Request) -> Result<Response, Error> {
    if holder(folder)?.is_none() {
        return Err(not_running(folder));
    }
    match control::call(&folder.control_socket(), request, ANSWER_MAX) {
        Ok(Response::Refused { code, text }) => {
            let code = code.parse().unwrap_or(Code::E0306);
            Err(Error::new(code, text).means("Nothing was changed."))
        }
        Ok(response) => Ok(response),
        Err(error) => Err(no_answer(folder, error)),
    }
}

fn no_answer(folder: &ServerFolder, error: CallError) -> Error {
    let log = folder.log_file();
    match error {
        CallError::NotPermitted(socket) => Error::new(
            Code::E0103,
            format!("not permitted to open {}", socket.display()),
        )
        .means("Only the user that runs the server, and root, may talk to it.")
        .cure("Run this as that user."),
        _ => Error::new(
            Code::E0302,
            format!("{} runs and does not answer", folder.name()),
        )
        .because(error)
        .means("It may be starting or stopping.")
        .cure(format!("Look at the end of {}", log.display())),
    }
}

/// A server that answers what was not asked for: another version serves.
pub(super) fn not_an_answer() -> Error {
    Error::new(Code::E0302, "the server gave an answer to something else")
        .means("It runs another version than this command is.")
        .cure("Use the chrysalis that it was started with, or restart it.")
}

/// Says what is done where nothing else is to be shown.
pub(super) fn show_done(response: Response, out: &mut dyn Write) -> anyhow::Result<()> {
    match response {
        Response::Done { text } => Ok(writeln!(out, "{text}")?),
        _ => Err(not_an_answer().into()),
    }
}

/// Asks for the status.
pub(super) fn ask_status(folder: &ServerFolder) -> Result<status::ServerStatus, Error> {
    match ask(folder, &Request::Status)? {
        Response::Status(status) => Ok(*status),
        _ => Err(not_an_answer()),
    }
}

/// Asks for the topics to be read again, and says what came of it.
pub(super) fn reload(folder: &ServerFolder, out: &mut dyn Write) -> anyhow::Result<()> {
    let Response::Reloaded(reloaded) = ask(folder, &Request::Reload)? else {
        return Err(not_an_answer().into());
    };
    let told = [
        ("added", &reloaded.added),
        ("changed", &reloaded.changed),
        ("no longer accepted", &reloaded.removed),
    ];
    for (what, topics) in told.into_iter().filter(|(_, topics)| !topics.is_empty()) {
        writeln!(out, "topics {what}: {}", topics.join(", "))?;
    }
    if told.iter().all(|(_, topics)| topics.is_empty()) {
        writeln!(out, "the topics are as they were")?;
    }
    if !reloaded.restart_needed.is_empty() {
        writeln!(
            out,
            "at the next start, not yet: {}",
            reloaded.restart_needed.join(", ")
        )?;
    }
    for note in &reloaded.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
