//! Accepting connections, whatever the port: who is let in, and what is told when nobody can be.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tracing::{debug, warn};

use super::event_loop::Clock;
use crate::net::listener::{Census, Full, canonical, is_the_clients};
use crate::report::throttle::{Throttle, Trouble};

/// How long accepting pauses when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is told, at most, that connections cannot be accepted.
const TROUBLE_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Refusals make one line in this time, however many there are.
const REFUSALS_TOLD_EVERY: Duration = Duration::from_secs(10);

/// Takes what `next` accepts on the port of this name, until it is dropped. Trouble is told once, however long it lasts.
pub(super) async fn accept<Accepted>(
    port: &str,
    clock: Clock,
    next: impl AsyncFn() -> io::Result<Accepted>,
    mut take: impl FnMut(Accepted),
) {
    let mut trouble = Trouble::new(TROUBLE_TOLD_EVERY);
    loop {
        match next().await {
            Ok(accepted) => {
                trouble.ends();
                take(accepted);
            }
            Err(error) if is_the_clients(&error) => debug!(port, %error, "accept a connection"),
            Err(error) => {
                if trouble.begins(clock.now()) {
                    warn!(
                        port, %error,
                        "no connection can be accepted for now; those that are open go on, and it is tried again"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Serves each client that the census lets in with a task of its own; `refused` hears of the others.
pub(super) async fn accept_clients<Served: Future<Output = ()> + 'static>(
    port: &str,
    clock: Clock,
    listener: TcpListener,
    census: Census,
    refused: impl Fn(Full),
    serve: impl Fn(TcpStream, SocketAddr) -> Served,
) {
    let census = Rc::new(RefCell::new(census));
    let mut told = Throttle::new(REFUSALS_TOLD_EVERY);
    let take = |(stream, address): (TcpStream, SocketAddr)| {
        let address = canonical(address);
        let admitted = census.borrow_mut().admit(address.ip());
        if let Err(full) = admitted {
            refused(full);
            if told.is_due(clock.now()) {
                warn!(port, %address, "connection refused: the limit of connections is reached");
            }
            return;
        }
        let census = Rc::clone(&census);
        let served = serve(stream, address);
        spawn_local(async move {
            served.await;
            census.borrow_mut().leave(address.ip());
        });
    };
    accept(port, clock, async || listener.accept().await, take).await;
}
