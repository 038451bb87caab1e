//! A ZooKeeper session that keeps the broker's nodes as they are wanted.
//!
//! One loop: connect, make the plan true, wait until the wish, the session or the clock says look
//! again. Every pass is the same reconciliation, so expiry, restart, reload and an operator's stray
//! `delete` are one case. A node of ours left by an earlier process is taken over at once; the
//! original stopped half-dead there (spec 7, bug 19).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use super::plan::{Ephemeral, Plan, plan};
use super::{Options, Standing, Wanted};
use crate::net::resolve;

/// How long to wait after something went wrong; short, because a broker nobody finds is of no use.
const RETRY: Duration = Duration::from_secs(1);
/// How often the nodes are looked at although nothing was heard: somebody may have deleted one.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Keeps the nodes as `wanted` says until it says `None`, and then takes them away.
pub(super) async fn keep(
    options: Options,
    mut wanted: watch::Receiver<Option<Wanted>>,
    standing: watch::Sender<Standing>,
) {
    while wanted.borrow().is_some() {
        match connect(&options).await {
            Ok(client) => {
                info!(servers = options.servers, "registry session opened");
                hold(&options, &client, &mut wanted, &standing).await;
                if wanted.borrow().is_some() {
                    tell(&standing, Standing::Connecting);
                }
            }
            // Told once for as long as the reason is the same, be it for hours.
            Err(error) => tell(&standing, Standing::Failing(error)),
        }
        if wanted.borrow().is_some() {
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                _ = wanted.changed() => {}
            }
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
        .connect(&servers)
        .await
        .map_err(|error| format!("connect to ZooKeeper at {}: {error}", options.servers))
}

/// One session, until it ends or nothing is wanted any more.
async fn hold(
    options: &Options,
    client: &Client,
    wanted: &mut watch::Receiver<Option<Wanted>>,
    standing: &watch::Sender<Standing>,
) {
    let mut state = client.state_watcher();
    let mut made = BTreeMap::new();
    let mut plan_made = Plan::default();
    loop {
        let wish = wanted.borrow_and_update().clone();
        let Some(wish) = wish else {
            withdraw(client, &plan_made, &made).await;
            return;
        };
        let plan = plan(&options.root, &wish);
        let again = match reconcile(client, &plan, &mut made).await {
            Ok(None) => {
                tell(standing, Standing::Registered);
                LOOK_AGAIN
            }
            Ok(Some(holder)) => {
                tell(standing, Standing::Conflict(holder));
                RETRY
            }
            Err(error) => {
                tell(
                    standing,
                    Standing::Failing(format!("register in ZooKeeper: {error}")),
                );
                RETRY
            }
        };
        plan_made = plan;
        tokio::select! {
            _ = wanted.changed() => {}
            _ = state.changed() => {}
            () = tokio::time::sleep(again) => {}
        }
        if client.state().is_terminated() {
            return;
        }
    }
}

/// Makes the plan true. `made` is what this session is known to own.
///
/// Returns the URL of another broker that holds the id, if one does.
async fn reconcile(
    client: &Client,
    plan: &Plan,
    made: &mut BTreeMap<String, String>,
) -> Result<Option<String>, Error> {
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    // Asked first: a create that finds the node there is a write for ZooKeeper all the same, and an idle server
    // writes nothing.
    if client.check_stat(&plan.container).await?.is_none() {
        client.mkdir(&plan.container, &persistent).await?;
    }
    let master = Ephemeral {
        path: plan.master.clone(),
        content: plan.url.clone(),
    };
    if let Some((found, ours)) = owner(client, &plan.master).await?
        && !ours
        && found != plan.url
    {
        return Ok(Some(found));
    }
    own(client, &master, made).await?;
    let (content, _) = client.get_data(&plan.container).await?;
    if content != plan.url.as_bytes() {
        client
            .set_data(&plan.container, plan.url.as_bytes(), None)
            .await?;
    }
    let stale: Vec<String> = made
        .keys()
        .filter(|path| **path != plan.master && !plan.others.iter().any(|node| node.path == **path))
        .cloned()
        .collect();
    for path in stale {
        forgive_missing(client.delete(&path, None).await)?;
        made.remove(&path);
    }
    for node in &plan.others {
        own(client, node, made).await?;
    }
    Ok(None)
}

/// Makes this node exist, with this content, in this session.
async fn own(
    client: &Client,
    node: &Ephemeral,
    made: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    match owner(client, &node.path).await? {
        Some((content, true)) if content == node.content => {}
        found => {
            if found.is_some() {
                // Another session's (an earlier process of this broker) or other content: clients watch
                // children, so it has to go and come.
                forgive_missing(client.delete(&node.path, None).await)?;
            }
            create(client, node).await?;
        }
    }
    made.insert(node.path.clone(), node.content.clone());
    Ok(())
}

async fn create(client: &Client, node: &Ephemeral) -> Result<(), Error> {
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    match client
        .create(&node.path, node.content.as_bytes(), &ephemeral)
        .await
    {
        Err(Error::NoNode) => {
            if let Some((parent, _)) = node.path.rsplit_once('/') {
                let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
                client.mkdir(parent, &persistent).await?;
            }
            client
                .create(&node.path, node.content.as_bytes(), &ephemeral)
                .await?;
        }
        result => {
            result?;
        }
    }
    Ok(())
}

/// A node's content and whether this session owns it; `None` if there is no node.
async fn owner(client: &Client, path: &str) -> Result<Option<(String, bool)>, Error> {
    match client.get_data(path).await {
        Ok((content, stat)) => {
            let ours = stat.ephemeral_owner == client.session_id().0;
            Ok(Some((String::from_utf8_lossy(&content).into_owned(), ours)))
        }
        Err(Error::NoNode) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes all away, topics first, so that no client is sent to a broker that is leaving.
async fn withdraw(client: &Client, plan: &Plan, made: &BTreeMap<String, String>) {
    let topics_first = made.keys().filter(|path| **path != plan.master);
    for path in topics_first.chain(made.keys().filter(|path| **path == plan.master)) {
        if let Err(error) = forgive_missing(client.delete(path, None).await) {
            warn!(path, %error, "registry node not removed; it goes with the session");
        }
    }
    if !plan.container.is_empty() {
        match client.delete(&plan.container, None).await {
            Ok(()) | Err(Error::NoNode) => {}
            // A slave is still there: it takes over the reading clients.
            Err(_) => {
                let _ = client.set_data(&plan.container, b"", None).await;
            }
        }
    }
}

fn forgive_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::NoNode) => Ok(()),
        result => result,
    }
}

/// Tells a change once, and logs what an operator should know.
fn tell(standing: &watch::Sender<Standing>, now: Standing) {
    standing.send_if_modified(|before| {
        if *before == now {
            return false;
        }
        match &now {
            Standing::Registered => info!("registered in ZooKeeper"),
            Standing::Conflict(holder) => {
                warn!(
                    holder,
                    "another broker holds this id; waiting for its node to go"
                );
            }
            Standing::Failing(reason) => warn!(reason, "not registered, trying again"),
            Standing::Connecting => info!("connecting to ZooKeeper to register"),
            Standing::Withdrawn => {
                info!("no longer registered in ZooKeeper: clients turn elsewhere")
            }
        }
        *before = now;
        true
    });
}
