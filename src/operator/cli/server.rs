//! What the commands about a running server share: is it running, and how to talk to it.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use super::place;
use crate::appliance::control::{self, CallError, Request, Response};
use crate::appliance::pid_file::Holder;
use crate::appliance::{PidFile, Ports, status};
use crate::config::{self, Broker, Coordinator, ServerFolder};
use crate::net::listener::reachable;
use crate::report::{Code, Error};
use crate::server::preflight;

/// How long a running server may take to answer a question.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long it may take to do something.
const CHANGE_MAX: Duration = Duration::from_secs(10);

/// The process that serves `folder`, if one does.
pub(super) fn holder(folder: &ServerFolder) -> Result<Option<Holder>, Error> {
    let conf = folder.conf();
    match fs::metadata(&conf) {
        Ok(conf) if conf.is_dir() => {}
        // What another user keeps to himself is a server all the same.
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(super::config_error(config::Error::Unreadable {
                path: conf,
                source,
            }));
        }
        _ => return Err(super::config_error(config::Error::Missing(conf))),
    }
    PidFile::holder(&folder.pid_file()).map_err(|error| {
        Error::new(
            Code::E0103,
            format!("look at {}", folder.pid_file().display()),
        )
        .because(error)
        .means("It is not known whether the server runs.")
        .cure("Run this as the folder's owner.")
    })
}

/// Root serves no folder of another user's: what it made there, that user's server could not open any more.
pub(super) fn refuse_root_in_anothers_folder(folder: &ServerFolder) -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let Ok(data) = fs::metadata(folder.data()) else {
        return Ok(());
    };
    let owner = data.uid();
    if owner == 0 {
        return Ok(());
    }
    let what = format!(
        "{} belongs to user {owner}, and this is root",
        folder.data().display()
    );
    Err(Error::new(Code::E0103, what)
        .means("Nothing was started: that user's server could not open files that root creates.")
        .cure(format!(
            "Where systemd runs it: systemctl restart chrysalis@{}. Otherwise: sudo -u '#{owner}' chrysalis start {}",
            folder.name(),
            place::flag(folder)
        )))
}

/// Makes a folder that only the server's user and group can enter: what clients stored is nobody else's.
pub(super) fn make_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above)?;
    }
    match fs::DirBuilder::new().mode(0o750).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
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
    served_address(folder, configured, |ports| ports.coordinator)
}

/// The same of its broker.
///
/// # Errors
/// As [`coordinator_address`].
pub(super) fn broker_address(folder: &ServerFolder, own: &Broker) -> Result<SocketAddr, Error> {
    let configured = SocketAddr::new(own.listen, own.port);
    served_address(folder, configured, |ports| ports.broker)
}

fn served_address(
    folder: &ServerFolder,
    configured: SocketAddr,
    real: impl FnOnce(Ports) -> Option<SocketAddr>,
) -> Result<SocketAddr, Error> {
    let address = match configured.port() {
        0 => real(ask_status(folder)?.ports).unwrap_or(configured),
        _ => configured,
    };
    Ok(reachable(address))
}

/// What an operator is told whose command needs a running server.
pub(super) fn not_running(folder: &ServerFolder) -> Error {
    Error::new(Code::E0301, format!("{} does not run", folder.name()))
        .means("Nothing was done.")
        .cure(format!("Start it: chrysalis start {}", place::flag(folder)))
}

/// Asks the server of `folder`.
pub(super) fn ask(folder: &ServerFolder, request: &Request) -> Result<Response, Error> {
    let Some(holder) = holder(folder)? else {
        return Err(not_running(folder));
    };
    refuse_suspended(folder, holder)?;
    let wait_max = match changes(request) {
        true => CHANGE_MAX,
        false => ANSWER_MAX,
    };
    match control::call(&folder.control_socket(), request, wait_max) {
        Ok(Response::Refused { code, text }) => {
            let code = code.parse().unwrap_or(Code::E0306);
            Err(Error::new(code, text).means("Nothing was changed."))
        }
        Ok(response) => Ok(response),
        Err(error) => Err(no_answer(folder, request, error)),
    }
}

/// Whether a request changes something.
fn changes(request: &Request) -> bool {
    match request {
        Request::Status
        | Request::ClusterStatus
        | Request::TopicList
        | Request::TopicDescribe { .. } => false,
        Request::Reload
        | Request::PartitionClose { .. }
        | Request::PartitionOpen { .. }
        | Request::PartitionSkipDamage { .. }
        | Request::TopicPurge { .. }
        | Request::ClusterAdd { .. }
        | Request::ClusterRemove { .. }
        | Request::ClusterTransfer { .. }
        | Request::ClusterMoveVote { .. }
        | Request::ClusterRaiseLevel
        | Request::ClusterLoadCertificates
        | Request::Shutdown => true,
    }
}

/// A suspended process answers nobody, however long one waits.
pub(super) fn refuse_suspended(folder: &ServerFolder, holder: Holder) -> Result<(), Error> {
    let Some(pid) = holder.suspended(&folder.pid_file()) else {
        return Ok(());
    };
    let what = format!(
        "{} does not answer: its process {pid} is suspended (by SIGSTOP, Ctrl-Z or a debugger)",
        folder.name()
    );
    Err(Error::new(Code::E0302, what)
        .means("Nothing was asked. Clients are not served either until it is resumed.")
        .cure(format!("Resume it: kill -CONT {pid}")))
}

fn no_answer(folder: &ServerFolder, request: &Request, error: CallError) -> Error {
    let log = folder.log_file();
    match error {
        CallError::NotPermitted(socket) => Error::new(
            Code::E0103,
            format!("not permitted to open {}", socket.display()),
        )
        .means("Only the user that runs the server, and root, may talk to it.")
        .cure("Run this as that user."),
        error => {
            let asked = !matches!(error, CallError::NotListening(_));
            let means = match asked && changes(request) {
                true => "It may be starting, stopping or stuck; whether it was done is not known.",
                false => "It may be starting, stopping or stuck.",
            };
            Error::new(
                Code::E0302,
                format!("{} runs and does not answer", folder.name()),
            )
            .because(error)
            .means(means)
            .cure(format!("Look at the end of {}", log.display()))
        }
    }
}

/// A server that answers what was not asked for: another version serves.
pub(super) fn not_an_answer() -> Error {
    Error::new(Code::E0302, "the server gave an answer to something else")
        .means("It runs another version than this command.")
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
    show_reloaded(ask(folder, &Request::Reload)?, out)?;
    tell_next_start(folder, out)
}

/// The same behind a change of the configuration, which is `done` whatever comes of this.
pub(super) fn reload_edited(
    folder: &ServerFolder,
    done: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let reloaded = ask(folder, &Request::Reload).map_err(|error| {
        error.means(format!(
            "The file is changed ({done}); the server keeps its old topics until it reads the file: chrysalis reload {}",
            place::flag(folder)
        ))
    })?;
    show_reloaded(reloaded, out)?;
    tell_next_start(folder, out)
}

/// Says what a start would refuse of the configuration whose topics hold now.
fn tell_next_start(folder: &ServerFolder, out: &mut dyn Write) -> anyhow::Result<()> {
    let Ok(config) = config::load(folder) else {
        // It was read a moment ago; what somebody has written since is told to whoever reads it next.
        return Ok(());
    };
    if let Err(mistakes) = preflight(&config, folder) {
        writeln!(
            out,
            "the next start will be refused, until this is corrected:"
        )?;
        writeln!(out, "{mistakes}")?;
    }
    Ok(())
}

fn show_reloaded(response: Response, out: &mut dyn Write) -> anyhow::Result<()> {
    let Response::Reloaded(reloaded) = response else {
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
    for unshown in &reloaded.unshown {
        writeln!(out, "{}: {unshown}", unshown.topic)?;
    }
    if told.iter().all(|(_, topics)| topics.is_empty()) {
        writeln!(out, "no topic changed")?;
    }
    if !reloaded.restart_needed.is_empty() {
        writeln!(
            out,
            "takes effect at the next start: {}",
            reloaded.restart_needed.join(", ")
        )?;
    }
    for note in &reloaded.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
