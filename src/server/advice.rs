//! What an operator is told when a server cannot start or go on: what happened, what it means, what to do.

use std::io;

use crate::authority;
use crate::config::ServerFolder;
use crate::disk::{self, Class};
use crate::journal;
use crate::node::Failure;
use crate::report::{Code, Error, shell_word};

/// What helps where the system gives the process no more of something.
pub(super) const LIMIT_CURE: &str = "See what it may have (`ulimit -a`, /proc/PID/limits, a container's or a unit's settings) and \
                          raise it: chrysalis explain E0111";

/// How the command line names this folder, to be put behind a command that is to be pasted.
pub fn flag(folder: &ServerFolder) -> String {
    let path = folder.root().display().to_string();
    format!("--folder {}", shell_word(&path))
}

/// The command that goes on without what is lost.
pub(super) fn run_without(folder: &ServerFolder) -> String {
    format!("`chrysalis run --accept-loss {}`", flag(folder))
}

/// What an operator is told when the system gives the process no more of something.
pub(super) fn lacking(
    what: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(Code::E0111, what)
        .because(why)
        .means("The server does not start; nothing was changed.")
        .cure(LIMIT_CURE)
}

/// What an operator is told of data that a later version wrote.
pub(super) fn newer_data(
    what: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(Code::E0106, what)
        .because(why)
        .means(
            "A newer version of Chrysalis wrote this data. This one does not serve it, rather than lose what it does \
             not understand; everything is still on disk.",
        )
        .cure("Install the newer version again and start it: chrysalis explain E0106")
}

/// What an operator is told of data, or of an ensemble, at a feature level that this release does not support.
pub(super) fn unsupported(
    what: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(Code::E0112, what)
        .because(why)
        .means("This release does not serve it, because it could not read all of it; everything is still on disk.")
        .cure("Install the release that the reason names, or a later one, and start it: chrysalis explain E0112")
}

/// What an operator is told of a disk that refuses at the start.
pub(super) fn disk_refused(what: &str, error: disk::Error) -> Error {
    let (code, cure) = match error.class {
        Class::NoSpace => (
            Code::E0204,
            "Make room on the file system of data/ and start again.",
        ),
        Class::Permission => (
            Code::E0103,
            "The user that runs the server must own its folder; see `ls -l`.",
        ),
        Class::Damaged => (Code::E0205, "Look at dmesg and the disk's health."),
        Class::Exhausted => (Code::E0111, LIMIT_CURE),
        _ => (Code::E0104, "See the reason above."),
    };
    Error::new(code, what)
        .because(error)
        .means("The server does not start.")
        .cure(cure)
}

/// What an operator is told whose server's certificates cannot be used.
pub(super) fn no_certificates(error: authority::Error, folder: &ServerFolder) -> Error {
    let code = match error.is_permission() {
        true => Code::E0103,
        false => Code::E0113,
    };
    let cure = error.cure(&flag(folder));
    Error::new(
        code,
        "use this server's certificates (cluster.certificates)",
    )
    .because(error)
    .means("The server does not start; nothing was changed.")
    .cure(cure)
}

/// Which error it is that a file of the configuration cannot be read: what is another user's is nobody's mistake.
pub fn unreadable(source: &io::Error) -> Code {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Code::E0103,
        _ if Class::of(source) == Class::Exhausted => Code::E0111,
        _ => Code::E0004,
    }
}

const LOOK_CURE: &str = "Start it again; what the reason names may need to be looked at first.";

/// What an operator is told when the node cannot go on.
pub fn ended(failure: Failure) -> Error {
    let (code, cure) = match &failure {
        Failure::Newer { .. } => return newer_data("apply the journal", failure),
        Failure::Level { .. } => return unsupported("follow the ensemble", failure),
        Failure::Journal(journal::Failure(error)) | Failure::Files(error) => match error.class {
            Class::NoSpace => (
                Code::E0204,
                "Make room on the file system of data/ and start it again.",
            ),
            Class::Exhausted => (Code::E0111, LIMIT_CURE),
            _ => (Code::E0205, LOOK_CURE),
        },
        Failure::Forgot { .. } => {
            return Error::new(Code::E0207, "the server cannot go on as who it was")
                .because(failure)
                .means("It ends: an older state of data/ was put back, and what it promised since then is forgotten.")
                .cure(
                    "Start it again: it is a new member then, and gets everything from the others. Its snapshots are put aside.",
                );
        }
        Failure::Halted(_) => (Code::E0900, LOOK_CURE),
    };
    Error::new(code, "the server cannot go on")
        .because(failure)
        .means("It ends; everything that was acknowledged is on disk.")
        .cure(cure)
}
