//! Standard output behind a thread of its own, so that a reader who is slow keeps nobody from answering the servers
//! or from hearing a signal; and what its reader has taken, as far as that can be known.
//!
//! What was written to a file or a terminal is taken. A pipe holds what nobody has read yet, and whoever goes away
//! leaves it there unread. So a pipe is made as small as it can be, one page: it has room again only when all in it
//! was read. What its reader does with what it has read, no writer can know.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileTypeExt as _;

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;

use super::no_thread;
use crate::report;

/// The least that a pipe holds, and the most of it that is not known to be read.
const PAGE_BYTES: i32 = 4096;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// It was written.
    Written,
    /// It was read as well, where that can be told.
    Taken,
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Printing {
    work: mpsc::Sender<Vec<u8>>,
    done: mpsc::Receiver<Printed>,
    /// Whether somebody reads it piece by piece, and what was read is known.
    is_watched: bool,
    /// Its size before, where it is a pipe that was made small.
    restore: Option<(File, i32)>,
}

/// What became of a piece.
#[derive(Debug)]
pub(super) struct Printed {
    /// So many bytes from its beginning are out of our hands.
    pub(super) taken: usize,
    /// Why that is not all of it.
    pub(super) failure: Option<io::Error>,
}

impl Printing {
    /// Takes standard output over.
    ///
    /// # Errors
    /// The operating system gives no second descriptor, or no thread.
    pub(super) fn begin(until: Until) -> Result<Printing, report::Error> {
        Printing::started(until).map_err(no_thread)
    }

    fn started(until: Until) -> io::Result<Printing> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_pipe = out.metadata()?.file_type().is_fifo();
        let size = match until {
            Until::Taken if is_pipe => made_small(&out),
            Until::Taken | Until::Written => None,
        };
        let is_watched = size.is_some();
        let restore = size.map(|size| Ok::<_, io::Error>((out.try_clone()?, size)));
        let restore = restore.transpose()?;
        let (work, pieces) = mpsc::channel(1);
        let (tell, done) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("printing".to_owned())
            .spawn(move || print_all(out, is_watched, pieces, &tell))?;
        Ok(Printing {
            work,
            done,
            is_watched,
            restore,
        })
    }

    /// Whether each piece is taken only when a reader has read it.
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// Prints a piece, and says what became of it. When this is dropped early, nothing more may be printed.
    pub(super) async fn print(&mut self, piece: Vec<u8>) -> Printed {
        let ended = || Printed {
            taken: 0,
            failure: Some(io::Error::other("the thread that prints has ended")),
        };
        if self.work.send(piece).await.is_err() {
            return ended();
        }
        self.done.recv().await.unwrap_or_else(ended)
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        if let Some((out, size)) = &self.restore {
            // It may be shared with who writes next. One that cannot be made larger still works.
            let _restored = fcntl(out, FcntlArg::F_SETPIPE_SZ(*size));
        }
    }
}

/// Makes a pipe so small that it has room only when it is empty. Its size before, or `None` where that cannot be done,
/// because another writer has filled it.
fn made_small(out: &File) -> Option<i32> {
    let before = fcntl(out, FcntlArg::F_GETPIPE_SZ).ok()?;
    let now = fcntl(out, FcntlArg::F_SETPIPE_SZ(PAGE_BYTES)).ok()?;
    if now > PAGE_BYTES {
        let _restored = fcntl(out, FcntlArg::F_SETPIPE_SZ(before));
        return None;
    }
    Some(before)
}

fn print_all(
    mut out: File,
    is_watched: bool,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    tell: &mpsc::Sender<Printed>,
) {
    while let Some(piece) = pieces.blocking_recv() {
        let (written, failure) = write(&mut out, &piece);
        let taken = match (is_watched, &failure) {
            (true, _) if !is_empty(&out) => written.saturating_sub(PAGE_BYTES as usize),
            _ => written,
        };
        let failure = match failure {
            None if taken < piece.len() => Some(io::ErrorKind::BrokenPipe.into()),
            failure => failure,
        };
        if tell.blocking_send(Printed { taken, failure }).is_err() {
            return;
        }
    }
}

/// Writes all of it; how much was written, and why not all.
fn write(out: &mut File, piece: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while let Some(rest @ [_, ..]) = piece.get(written..) {
        match out.write(rest) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever shares it with us has made it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ready = wait(out.as_fd());
            }
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

/// Waits until a small pipe is empty, or its reader has gone; whether it is empty.
fn is_empty(out: &File) -> bool {
    wait(out.as_fd()).contains(PollFlags::POLLOUT)
}

/// Waits for room; what is known then.
fn wait(out: BorrowedFd<'_>) -> PollFlags {
    let mut polled = [PollFd::new(out, PollFlags::POLLOUT)];
    loop {
        match poll(&mut polled, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return PollFlags::POLLERR,
            Ok(_) => return polled[0].revents().unwrap_or(PollFlags::POLLERR),
        }
    }
}
