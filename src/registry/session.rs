//! ZooKeeper sessions, one after the other, in which the broker's nodes are kept as they are wanted.
//!
//! One loop: connect, make the plan true, wait until the wish, a node, the session or the clock says look
//! again. Every pass is the same reconciliation (`nodes`), so expiry, restart, reload and an operator's
//! stray `delete` are one case.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};
use zookeeper_client::{Client, SessionState, StateWatcher};

use super::nodes::Nodes;
use super::owners::Reader;
use super::plan::plan;
use super::{Options, Standing, Wish};
use crate::net::resolve;

/// How long to wait after something went wrong; short, because a broker nobody finds is of no use. Also
/// how long two looks at the nodes are apart at least: somebody may delete one again and again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the nodes are looked at although nothing was heard.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often each server is named to the library. It doubles its pause each time it has been through its
/// list, and would look for a ZooKeeper that was away for twenty seconds only twenty seconds later.
const NAMED: usize = 32;

/// Keeps the nodes as `wanted` says until it says `None`, and then takes them away; meanwhile `reader` answers through
/// the same sessions.
pub(super) async fn keep(
    options: Options,
    mut wish: watch::Receiver<Option<Wish>>,
    standing: watch::Sender<(u64, Standing)>,
    mut reader: Reader,
) {
    while wish.borrow_and_update().is_some() {
        let opened = tokio::select! {
            opened = connect(&options) => opened,
            () = unwanted(&mut wish) => break,
            never = reader.without_session() => match never {},
        };
        match opened {
            Ok(client) => {
                let session = client.session_id();
                info!(servers = options.servers, %session, "registry session opened");
                let mut nodes = Nodes::new(client.clone());
                tokio::select! {
                    () = hold(&options, &mut nodes, &mut wish, &standing) => {}
                    never = reader.through(client) => match never {},
                }
                drop(nodes);
                info!(%session, "registry session ended");
                if wish.borrow().is_some() {
                    tell(&standing, Standing::Connecting);
                }
            }
            // Told once for as long as the reason is the same, be it for hours.
            Err(error) => tell(&standing, Standing::Failing(error)),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = unwanted(&mut wish) => {}
            never = reader.without_session() => match never {},
        }
    }
    tell(&standing, Standing::Withdrawn);
}

async fn connect(options: &Options) -> Result<Client, String> {
    let servers = resolve::connect_string(&options.servers)
        .await
        .map_err(|error| error.to_string())?;
    Client::connector()
        .with_session_timeout(options.session_timeout)
        // The operations of 3.4.5 are enough, and every server has them.
        .with_server_version(3, 4, 5)
        // Whoever is not there is asked again by us, and the operator is told meanwhile.
        .with_fail_eagerly()
        .connect(&named_often(&servers))
        .await
        .map_err(|error| format!("connect to ZooKeeper at {}: {error}", options.servers))
}

fn named_often(servers: &str) -> String {
    let (hosts, chroot) = match servers.find('/') {
        Some(slash) => servers.split_at(slash),
        None => (servers, ""),
    };
    format!("{}{chroot}", [hosts; NAMED].join(","))
}

/// Resolves when nothing is wanted any more.
async fn unwanted(wish: &mut watch::Receiver<Option<Wish>>) {
    // An error says that nobody is left who could want anything.
    let _ = wish.wait_for(Option::is_none).await;
}

/// One session, until it ends or nothing is wanted any more.
async fn hold(
    options: &Options,
    nodes: &mut Nodes,
    wish: &mut watch::Receiver<Option<Wish>>,
    standing: &watch::Sender<(u64, Standing)>,
) {
    let mut state = nodes.state_watcher();
    loop {
        let now = wish.borrow_and_update().clone();
        let Some(Wish { number, wanted }) = now else {
            nodes.withdraw().await;
            return;
        };
        let looked = Instant::now();
        let outcome = {
            let pass = nodes.reconcile(plan(&options.root, &wanted));
            watched(pass, &mut state, standing).await
        };
        let now = match outcome {
            Ok(None) => {
                met(standing, number);
                Standing::Registered
            }
            Ok(Some(obstacle)) => Standing::Conflict(obstacle),
            Err(_) if !is_connected(state.peek_state()) => Standing::Connecting,
            Err(trouble) => Standing::Failing(trouble.to_string()),
        };
        let again = match now {
            Standing::Registered => LOOK_AGAIN,
            _ => RETRY,
        };
        tell(standing, now);
        tokio::select! {
            _ = wish.changed() => continue,
            now = state.changed() => note(now, standing),
            () = changed_and_due(nodes, looked + RETRY) => {}
            () = tokio::time::sleep(again) => {}
        }
        if state.peek_state().is_terminated() {
            return;
        }
    }
}

/// Resolves when a node may have gone or changed, and not before `due`: a node that others change all the time is not
/// looked at all the time.
async fn changed_and_due(nodes: &mut Nodes, due: Instant) {
    nodes.changed().await;
    tokio::time::sleep_until(due).await;
}

/// Waits for a pass over the nodes, and tells when the connection is lost in the middle of it: the
/// library keeps requests until it has another one.
async fn watched<T>(
    pass: impl Future<Output = T>,
    state: &mut StateWatcher,
    standing: &watch::Sender<(u64, Standing)>,
) -> T {
    let mut pass = pin!(pass);
    loop {
        tokio::select! {
            outcome = &mut pass => return outcome,
            now = state.changed() => note(now, standing),
        }
    }
}

fn note(now: SessionState, standing: &watch::Sender<(u64, Standing)>) {
    if !is_connected(now) {
        tell(standing, Standing::Connecting);
    }
}

fn is_connected(state: SessionState) -> bool {
    state == SessionState::SyncConnected
}

/// Tells which wish is true now.
fn met(standing: &watch::Sender<(u64, Standing)>, wish: u64) {
    standing.send_if_modified(|(number, _)| std::mem::replace(number, wish) != wish);
}

/// Tells a change once, and logs what an operator should know.
fn tell(standing: &watch::Sender<(u64, Standing)>, now: Standing) {
    standing.send_if_modified(|(_, before)| {
        if *before == now {
            return false;
        }
        match &now {
            Standing::Registered => info!("registered in ZooKeeper"),
            Standing::Conflict(obstacle) => {
                warn!(
                    obstacle,
                    "this broker's place in ZooKeeper is taken; waiting until it is free"
                );
            }
            Standing::Failing(reason) => warn!(reason, "not registered, trying again"),
            Standing::Registering => {}
            Standing::Connecting => info!("no connection to ZooKeeper, connecting"),
            Standing::Withdrawn => {
                info!("no longer registered in ZooKeeper: clients turn elsewhere")
            }
        }
        *before = now;
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_away_for_long_is_looked_for_often() {
        let named = named_often("127.0.0.1:1,[::1]:2/a/b");
        assert_eq!(named.matches("127.0.0.1:1,[::1]:2").count(), NAMED);
        assert!(named.ends_with("[::1]:2/a/b"), "{named}");
    }
}
