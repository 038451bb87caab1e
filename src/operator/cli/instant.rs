//! A server in a thread of this process that answers without doing anything, to learn what a client can do at
//! most. What it answers is its caller's; this is the listening.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Starts it in a thread of its own, which ends with the process. `prepare` is called there once, and what it
/// makes for each connection.
pub(super) fn start<P, S, F>(name: &str, prepare: P) -> io::Result<SocketAddr>
where
    P: FnOnce() -> io::Result<S> + Send + 'static,
    S: Fn(TcpStream) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                // Whoever started us waits for this, or is gone and needs nothing.
                let _told = tell.send(listener.local_addr()?);
                let serve = prepare()?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    // A client that is gone ends its own conversation only.
                    let _task = tokio::task::spawn_local(serve(stream));
                }
            })
        })
        .map(|_: thread::JoinHandle<io::Result<()>>| ())?;
    told.recv()
        .map_err(|_| io::Error::other(format!("the {name} did not start")))
}
