//! Ctrl-C and its like, for commands that have something to put in order before they end: a session to close, a
//! group to leave, a count to tell.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;

use super::no_thread;
use crate::report::{self, Code, ExitCode};

/// How long putting things in order may take.
const END_MAX: Duration = Duration::from_secs(10);

/// The signals that end a command, heard by a thread of its own: the command may wait for whoever reads what it prints,
/// and then only a second signal, or time, ends it.
#[derive(Debug)]
pub(super) struct Interrupt {
    come: watch::Receiver<bool>,
}

impl Interrupt {
    /// Listens from now on. A signal that the command was told to ignore, as `nohup` and shells do for what runs in
    /// the background, stays ignored.
    ///
    /// # Errors
    /// The operating system gives no thread, or no handler.
    pub(super) fn listen() -> Result<Interrupt, report::Error> {
        Interrupt::listen_within(END_MAX)
    }

    /// The same for a command that may take so long to put things in order.
    ///
    /// # Errors
    /// As of [`Interrupt::listen`].
    pub(super) fn listen_within(end_max: Duration) -> Result<Interrupt, report::Error> {
        Interrupt::started(end_max).map_err(no_thread)
    }

    fn started(end_max: Duration) -> io::Result<Interrupt> {
        let (tell, come) = watch::channel(false);
        let (ready, listens) = mpsc::channel();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || hear(end_max, &tell, &ready))?;
        let listening = listens.recv();
        listening.unwrap_or_else(|_| Err(io::Error::other("the thread for signals has ended")))?;
        Ok(Interrupt { come })
    }

    /// Returns when one has come.
    pub(super) async fn come(&mut self) {
        if self.come.wait_for(|come| *come).await.is_err() {
            // Nobody listens any more.
            std::future::pending::<()>().await;
        }
    }

    /// Does `work` to its end, or until a signal comes; then `None`.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.come() => None,
        }
    }
}

/// What a command ends with that a signal ended early.
pub(super) fn interrupted(what: &str) -> report::Error {
    report::Error::new(Code::E0408, format!("{what}: interrupted"))
}

fn hear(end_max: Duration, tell: &watch::Sender<bool>, ready: &mpsc::Sender<io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let heard = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mut signals = signals()?;
            // Whoever starts us waits for this.
            let _told = ready.send(Ok(()));
            next(&mut signals).await;
            tell.send_replace(true);
            let _second = tokio::time::timeout(end_max, next(&mut signals)).await;
            Ok(())
        })
    });
    match heard {
        // The command does not end by itself: it waits for something that may never come.
        Ok(()) => std::process::exit(ExitCode::Interrupted.number().into()),
        Err(error) => {
            let _told = ready.send(Err(error));
        }
    }
}

fn signals() -> io::Result<Vec<unix::Signal>> {
    let ignored = ignored();
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    signals
        .into_iter()
        .filter(|signal| (ignored >> (signal.as_raw_value() - 1)) & 1 == 0)
        .map(unix::signal)
        .collect()
}

async fn next(signals: &mut [unix::Signal]) {
    std::future::poll_fn(|context| {
        let come = signals
            .iter_mut()
            .any(|signal| signal.poll_recv(context).is_ready());
        match come {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

/// The signals that this process ignores, a bit each, the first one lowest. There is no other way to ask that
/// changes nothing.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok())
        .unwrap_or(0)
}
