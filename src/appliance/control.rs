//! What local commands and a running server say to each other, over `data/control.sock`.
//!
//! One connection, one request, one response, each a line of JSON. The socket's owner alone may open
//! it, which is the whole of its authentication. To add a request: a variant in [`Request`], its answer
//! in [`Response`], and the arm in the node that the compiler then asks for.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use super::cluster::ClusterStatus;
use super::status::{ServerStatus, TopicDetail, TopicPattern, TopicSummary, Unshown};
use crate::units::counted;

/// Commands that may wait to be heard.
const WAITING_MAX: i32 = 16;

/// The longest line either side takes.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a local command asks of a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it is doing: [`Response::Status`].
    Status,
    /// Read the topics of the configuration again: [`Response::Reloaded`].
    Reload,
    /// The topics: [`Response::Topics`].
    TopicList,
    /// One topic and its partitions: [`Response::Topic`].
    TopicDescribe {
        /// Its name.
        topic: String,
    },
    /// Answer puts and gets of these partitions with 403 until they are opened again:
    /// [`Response::Done`].
    PartitionClose {
        /// The topic.
        topic: String,
        /// The first partition.
        start: u32,
        /// The last partition.
        end: u32,
    },
    /// Open every closed partition of a topic: [`Response::Done`].
    PartitionOpen {
        /// The topic.
        topic: String,
    },
    /// Delete all messages of a topic that has no section in the configuration: [`Response::Done`].
    TopicPurge {
        /// Its name.
        topic: String,
    },
    /// Let consumers continue after the damage that was found in a partition: [`Response::Done`].
    PartitionSkipDamage {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// What it knows of the ensemble: [`Response::Cluster`].
    ClusterStatus,
    /// Invite a server into the ensemble: [`Response::Done`], and it is under way.
    ClusterAdd {
        /// Its number.
        server: u16,
        /// Without a vote.
        #[serde(default)]
        observer: bool,
    },
    /// Take a server out of the ensemble: [`Response::Done`], and it is under way.
    ClusterRemove {
        /// Its number.
        server: u16,
    },
    /// Hand the lead to another voter: [`Response::Done`], and it is under way.
    ClusterTransfer {
        /// Its number.
        server: u16,
    },
    /// Let a voter become an observer and another member a voter in its place: [`Response::Done`], and it is under way.
    ClusterMoveVote {
        /// Who votes.
        giver: u16,
        /// Who is to vote.
        taker: u16,
    },
    /// Raise the feature level as high as every member supports: [`Response::Done`], and it is under way.
    ClusterRaiseLevel,
    /// Read this server's certificates again, for its next connections to other servers: [`Response::Done`].
    ClusterLoadCertificates,
    /// Stop in order: [`Response::Done`], and then the process ends.
    Shutdown,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// How it is doing.
    Status(Box<ServerStatus>),
    /// The topics.
    Topics {
        /// In the order of their names.
        topics: Vec<TopicSummary>,
        /// The patterns, in the order of the file.
        #[serde(default)]
        patterns: Vec<TopicPattern>,
    },
    /// One topic.
    Topic(Box<TopicDetail>),
    /// The ensemble.
    Cluster(Box<ClusterStatus>),
    /// What a reload did.
    Reloaded(Box<Reloaded>),
    /// It is done, and this is what was done.
    Done {
        /// A sentence.
        text: String,
    },
    /// It is not done, and this is why.
    Refused {
        /// The error code, such as `E0303`.
        code: String,
        /// A sentence.
        text: String,
    },
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Topics that are accepted now and were not.
    pub added: Vec<String>,
    /// Topics whose settings are others now.
    pub changed: Vec<String>,
    /// Topics that are no longer accepted.
    pub removed: Vec<String>,
    /// Keys that were changed and take effect at the next start, such as `broker.port`.
    pub restart_needed: Vec<String>,
    /// What is in partitions that clients were shown until now.
    #[serde(default)]
    pub unshown: Vec<Unshown>,
    /// Lines for the operator: keys without an effect and the like.
    pub notes: Vec<String>,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens: no server runs, or it has not come so far.
    #[error("nobody listens on {}", .0.display())]
    NotListening(PathBuf),
    /// The socket is not this user's to open.
    #[error("not permitted to open {}", .0.display())]
    NotPermitted(PathBuf),
    /// No answer came in this time.
    #[error("no answer within {}", counted(.0.as_secs(), "seconds"))]
    Late(Duration),
    /// The exchange broke off.
    #[error("talk to the server")]
    Broken(#[source] io::Error),
    /// The answer is not one of ours: another version serves.
    #[error("read the server's answer")]
    NotAnAnswer(#[source] serde_json::Error),
}

/// Asks the server behind `socket`, and waits for its answer, but not longer than `wait_max`.
///
/// # Errors
/// See [`CallError`].
pub fn call(socket: &Path, request: &Request, wait_max: Duration) -> Result<Response, CallError> {
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            CallError::NotListening(socket.to_path_buf())
        }
        io::ErrorKind::PermissionDenied => CallError::NotPermitted(socket.to_path_buf()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CallError::Late(wait_max),
        _ => CallError::Broken(error),
    };
    let stream = connect(socket, wait_max).map_err(broken)?;
    let line = exchange(stream, request).map_err(broken)?;
    serde_json::from_str(&line).map_err(CallError::NotAnAnswer)
}

/// Opens a connection on which no step takes longer than `wait_max`: this one does where a server that hangs has as
/// many connections waiting as it takes.
fn connect(socket: &Path, wait_max: Duration) -> io::Result<UnixStream> {
    let (short, _parent) = short_path(socket)?;
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    stream.set_read_timeout(Some(wait_max))?;
    stream.set_write_timeout(Some(wait_max))?;
    stream.connect(&SockAddr::unix(short)?)?;
    Ok(UnixStream::from(OwnedFd::from(stream)))
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<String> {
    let mut line = serde_json::to_string(request).expect("a request is plain data");
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    let limit = u64::try_from(LINE_BYTES_MAX).expect("a usize fits");
    BufReader::new(stream).take(limit).read_line(&mut answer)?;
    match answer.is_empty() {
        true => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        false => Ok(answer),
    }
}

/// Listens on `socket`, for its owner alone. Whatever lies there is a left-over and goes: the caller
/// holds the folder's lock.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _parent) = short_path(socket)?;
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file gets the mode that the socket has when it is bound; changing it afterwards leaves a gap.
    fchmod(&listener, Mode::S_IRUSR | Mode::S_IWUSR)?;
    listener.bind(&SockAddr::unix(short)?)?;
    listener.listen(WAITING_MAX)?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from(OwnedFd::from(listener)))
}

/// A name for `socket` that fits a socket address (108 bytes), however deep the folder lies; valid as
/// long as the file that comes with it.
fn short_path(socket: &Path) -> io::Result<(PathBuf, Option<File>)> {
    const SOCKET_PATH_BYTES_MAX: usize = 100;
    if socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((socket.to_path_buf(), None));
    }
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    };
    let parent = File::open(parent)?;
    let through_the_descriptor = format!("/proc/self/fd/{}", parent.as_raw_fd());
    Ok((Path::new(&through_the_descriptor).join(name), Some(parent)))
}

#[cfg(test)]
mod tests;
