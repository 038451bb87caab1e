//! Connections to other servers: each is made again and again while there is none.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tracing::{debug, warn};

use super::event_loop::Shell;
use crate::config::ClusterServer;
use crate::net::handshake::Refusal;
use crate::net::resolve;
use crate::node::Port;
use crate::report::throttle::{Complaint, Trouble};

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is waited after one that failed, or ended.
const PAUSE: Duration = Duration::from_millis(200);
/// After one that ended at once it is waited twice as long as before, but not longer: who is not let in says so to the log.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How often it is told, at most, that a server cannot be reached.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// After so long without a word, and so often again, a connection is asked whether it lives.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// So many questions without an answer end it.
const PROBES: u32 = 3;
/// What was sent and is not confirmed after so long ends it.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(5);

/// Keeps connections to these servers.
pub(super) fn all(shell: &Rc<Shell>, servers: Vec<ClusterServer>) -> Vec<JoinHandle<()>> {
    let dialed = servers.into_iter();
    dialed
        .map(|server| spawn_local(keep(Rc::clone(shell), server)))
        .collect()
}

async fn keep(shell: Rc<Shell>, server: ClusterServer) {
    let mut trouble = Trouble::new(TOLD_EVERY);
    let mut refused = Complaint::default();
    let mut pause = PAUSE;
    loop {
        match connect(&server).await {
            Ok((socket, address)) => {
                let begun = shell.clock.now();
                match shell.secure(socket, server.id).await {
                    Ok((stream, certified)) => {
                        trouble.ends();
                        refused.ends();
                        let shell = Rc::clone(&shell);
                        shell.serve(Port::Peers, stream, address, certified).await;
                        debug!(%server, "the connection to another server has ended");
                    }
                    // As one does that is being stopped, and comes again.
                    Err(why @ Refusal::Closed) => unreachable(&server, &why, &mut trouble, &shell),
                    Err(why) if refused.is_new(&why.to_string()) => {
                        warn!(%server, %why, "no agreement with another server; it is tried again");
                    }
                    Err(_) => {}
                }
                pause = match begun + PAUSE_MAX > shell.clock.now() {
                    true => (2 * pause).min(PAUSE_MAX),
                    false => PAUSE,
                };
            }
            Err(error) => {
                pause = PAUSE;
                unreachable(&server, &error, &mut trouble, &shell);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Tells that there is no connection, when that begins.
fn unreachable(server: &ClusterServer, error: &dyn Error, trouble: &mut Trouble, shell: &Shell) {
    if trouble.begins(shell.clock.now()) {
        warn!(%server, %error, "another server cannot be reached; it is tried again");
    }
}

async fn connect(server: &ClusterServer) -> io::Result<(TcpStream, SocketAddr)> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(PATIENCE, async {
        let addresses = resolve::addresses(&server.address()).await;
        let addresses = addresses.map_err(io::Error::other)?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => last = error,
            }
        }
        Err(last)
    })
    .await
    .map_err(late)?
}

/// A connection to another server whose other side is silent for good is found out by the kernel.
pub(super) fn watch_over(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_EVERY)
        .with_interval(PROBE_EVERY)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNCONFIRMED_MAX))
}
