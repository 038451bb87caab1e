//! The broker's nodes, seen through one ZooKeeper session: made as they are planned, and taken away.
//!
//! Whose a node is decides what happens to it. One of an earlier session with our content was left by an
//! earlier process of this broker, or by this one before its session expired: it is taken over at once
//! (the original stopped half-dead there, spec 7, bug 19). One that claims our id for another URL, or that
//! took the place of a node of this very session, belongs to somebody who lives: it is never touched, and
//! nothing else is registered while it is there.
//!
//! Every node that was seen is watched, so that one that goes is made again soon.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use tracing::warn;
use zookeeper_client::{Acls, Client, CreateMode, Error, SessionState, StateWatcher};

use super::plan::{Ephemeral, Plan};

/// What ZooKeeper refused, and of which node.
#[derive(Debug, thiserror::Error)]
#[error("{action} {path} in ZooKeeper: {error}")]
pub(super) struct Trouble {
    action: &'static str,
    path: String,
    error: Error,
}

/// A node as it was found.
struct Found {
    content: String,
    /// The session it goes with; 0 if with none.
    owner: i64,
}

/// One session's nodes.
pub(super) struct Nodes {
    // Dropped before the watches: they then have nobody to tell that they are not needed any more.
    client: Client,
    plan: Plan,
    /// What this session made, and has not seen in other hands.
    made: BTreeSet<String>,
    /// The nodes that are watched, and who waits for their watches.
    watched: BTreeSet<String>,
    watches: JoinSet<String>,
}

impl Nodes {
    /// None yet.
    pub(super) fn new(client: Client) -> Nodes {
        Nodes {
            client,
            plan: Plan::default(),
            made: BTreeSet::new(),
            watched: BTreeSet::new(),
            watches: JoinSet::new(),
        }
    }

    /// What tells how the session is.
    pub(super) fn state_watcher(&self) -> StateWatcher {
        self.client.state_watcher()
    }

    /// Makes a plan true. Returns what stands in the way, if something does that must not be touched.
    ///
    /// # Errors
    /// ZooKeeper refused something, or the connection was lost; it is to be tried again.
    pub(super) async fn reconcile(&mut self, plan: Plan) -> Result<Option<String>, Trouble> {
        self.plan = plan;
        let master = Ephemeral {
            path: self.plan.master.clone(),
            content: self.plan.url.clone(),
            content_is_watched: false,
        };
        if let Some(obstacle) = self.claim(&master).await? {
            self.remove_made(|path| path != master.path).await?;
            return Ok(Some(obstacle));
        }
        self.note_url().await?;
        let others = self.plan.others.iter();
        let wanted: BTreeSet<String> = others.map(|node| node.path.clone()).collect();
        self.remove_made(|path| path != master.path && !wanted.contains(path))
            .await?;
        let mut trouble = Ok(None);
        for node in self.plan.others.clone() {
            // What is wrong with one topic's node keeps no other topic from clients.
            if let Err(error) = self.own(&node).await {
                if self.client.state() != SessionState::SyncConnected {
                    return Err(error);
                }
                trouble = trouble.and(Err(error));
            }
        }
        trouble
    }

    /// Resolves when a node may have gone or changed.
    pub(super) async fn changed(&mut self) {
        match self.watches.join_next().await {
            Some(path) => self.forget_watch(path),
            None => std::future::pending().await,
        }
        while let Some(path) = self.watches.try_join_next() {
            self.forget_watch(path);
        }
    }

    fn forget_watch(&mut self, fired: Result<String, tokio::task::JoinError>) {
        if let Ok(path) = fired {
            self.watched.remove(&path);
        }
    }

    /// Takes all away, topics first, so that no client is sent to a broker that is leaving.
    pub(super) async fn withdraw(&mut self) {
        if let Err(trouble) = self.try_withdraw().await {
            warn!(%trouble, "registry nodes not removed; they go with the session");
        }
    }

    async fn try_withdraw(&mut self) -> Result<(), Trouble> {
        let master = self.plan.master.clone();
        if master.is_empty() || !self.is_ours(&master).await? {
            // What is there is another broker's; and what is still ours goes with the session.
            return Ok(());
        }
        self.remove_made(|path| path != master).await?;
        self.remove(&master).await?;
        let container = self.plan.container.clone();
        match self.client.delete(&container, None).await {
            Ok(()) | Err(Error::NoNode) => Ok(()),
            // A slave is still there: it takes over the reading clients.
            Err(Error::NotEmpty) if !self.exists(&master).await? => {
                self.write(&container, b"").await
            }
            Err(Error::NotEmpty) => Ok(()),
            Err(error) => Err(at("delete", &container)(error)),
        }
    }

    /// Makes the node that claims our id ours, if it may be. Otherwise nothing else of ours may stay: no
    /// client is to be sent to another broker for topics that are here.
    async fn claim(&mut self, master: &Ephemeral) -> Result<Option<String>, Trouble> {
        if let Some(found) = self.look(&master.path).await? {
            if let Some(obstacle) = self.obstacle(master, &found) {
                return Ok(Some(obstacle));
            }
            if found.owner == self.session() && found.content == master.content {
                self.made.insert(master.path.clone());
                return Ok(None);
            }
            self.remove(&master.path).await?;
        }
        if !self.create(master).await? {
            // Somebody was faster: the next look says who.
            return Err(at("create", &master.path)(Error::NodeExists));
        }
        self.look(&master.path).await?;
        Ok(None)
    }

    /// What must not be touched about the node that claims our id, in words.
    fn obstacle(&self, master: &Ephemeral, found: &Found) -> Option<String> {
        let (path, url) = (&master.path, &master.content);
        let Found { content, owner } = found;
        if *owner == self.session() {
            None
        } else if *owner == 0 && content != url {
            Some(format!(
                "{path} holds \"{content}\" and is no broker's: it goes with no session; delete it"
            ))
        } else if content != url {
            Some(format!(
                "{path} is held by {content} (session {owner:#x}): another broker has this id"
            ))
        } else if self.made.contains(path) {
            Some(format!(
                "{path} was taken by another process that calls itself {content} (session {owner:#x})"
            ))
        } else {
            None
        }
    }

    /// Makes this node exist, with this content, in this session.
    async fn own(&mut self, node: &Ephemeral) -> Result<(), Trouble> {
        // What was never made is most likely not there.
        if !self.made.contains(&node.path) && self.create(node).await? {
            return self.look(&node.path).await.map(drop);
        }
        match self.look(&node.path).await? {
            Some(found) if found.owner == self.session() => {
                self.made.insert(node.path.clone());
                if found.content == node.content {
                    return Ok(());
                }
                if node.content_is_watched {
                    return self.write(&node.path, node.content.as_bytes()).await;
                }
                self.remove(&node.path).await?;
            }
            // An earlier session's.
            Some(_) => self.remove(&node.path).await?,
            None => {}
        }
        if self.create(node).await? {
            self.look(&node.path).await.map(drop)
        } else {
            Err(at("create", &node.path)(Error::NodeExists))
        }
    }

    /// Says whether it was made; otherwise there is one already.
    async fn create(&mut self, node: &Ephemeral) -> Result<bool, Trouble> {
        // Noted first: if the answer is lost, the node may be there all the same.
        self.made.insert(node.path.clone());
        let made = match self.try_create(node).await {
            Err(Error::NoNode) => {
                if let Some((parent, _)) = node.path.rsplit_once('/') {
                    self.make_folder(parent).await?;
                }
                self.try_create(node).await
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(true),
            Err(Error::NodeExists) => {
                self.made.remove(&node.path);
                Ok(false)
            }
            Err(error) => Err(at("create", &node.path)(error)),
        }
    }

    async fn try_create(&self, node: &Ephemeral) -> Result<(), Error> {
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let content = node.content.as_bytes();
        let made = self.client.create(&node.path, content, &ephemeral).await;
        made.map(drop)
    }

    async fn make_folder(&self, path: &str) -> Result<(), Trouble> {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let made = self.client.mkdir(path, &persistent).await;
        made.map_err(at("make the parents of", path))
    }

    /// The container's content is the URL; clients from before there were slaves read it there.
    async fn note_url(&self) -> Result<(), Trouble> {
        let (container, url) = (&self.plan.container, self.plan.url.as_bytes());
        let (content, _) = self
            .client
            .get_data(container)
            .await
            .map_err(at("read", container))?;
        // Asked first: an idle server writes nothing.
        if content != url {
            self.write(container, url).await?;
        }
        Ok(())
    }

    async fn write(&self, path: &str, content: &[u8]) -> Result<(), Trouble> {
        let set = self.client.set_data(path, content, None).await;
        set.map_err(at("write", path)).map(drop)
    }

    /// Removes the nodes of this session that `unwanted` chooses; those that have come into other hands
    /// are only forgotten.
    async fn remove_made(&mut self, unwanted: impl Fn(&str) -> bool) -> Result<(), Trouble> {
        let paths: Vec<String> = self
            .made
            .iter()
            .filter(|path| unwanted(path))
            .cloned()
            .collect();
        for path in paths {
            if self.is_ours(&path).await? {
                self.remove(&path).await?;
            }
            self.made.remove(&path);
        }
        Ok(())
    }

    async fn remove(&mut self, path: &str) -> Result<(), Trouble> {
        match self.client.delete(path, None).await {
            Ok(()) | Err(Error::NoNode) => {
                self.made.remove(path);
                Ok(())
            }
            Err(error) => Err(at("delete", path)(error)),
        }
    }

    async fn exists(&self, path: &str) -> Result<bool, Trouble> {
        let stat = self.client.check_stat(path).await;
        Ok(stat.map_err(at("look at", path))?.is_some())
    }

    async fn is_ours(&self, path: &str) -> Result<bool, Trouble> {
        let stat = self.client.check_stat(path).await;
        let stat = stat.map_err(at("look at", path))?;
        Ok(stat.is_some_and(|stat| stat.ephemeral_owner == self.session()))
    }

    /// A node as it is; `None` if there is none. From then on it is watched, if ZooKeeper lets us.
    async fn look(&mut self, path: &str) -> Result<Option<Found>, Trouble> {
        let seen = match self.watched.contains(path) {
            true => None,
            false => match self.client.get_and_watch_data(path).await {
                Ok((content, stat, watcher)) => {
                    let path = path.to_owned();
                    self.watched.insert(path.clone());
                    self.watches.spawn(async move {
                        watcher.changed().await;
                        path
                    });
                    Some(Ok((content, stat)))
                }
                Err(Error::NoNode) => Some(Err(Error::NoNode)),
                // It may have more watches than it likes; the node can be read all the same.
                Err(_) => None,
            },
        };
        let seen = match seen {
            Some(seen) => seen,
            None => self.client.get_data(path).await,
        };
        match seen {
            Ok((content, stat)) => Ok(Some(Found {
                content: String::from_utf8_lossy(&content).into_owned(),
                owner: stat.ephemeral_owner,
            })),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(at("read", path)(error)),
        }
    }

    fn session(&self) -> i64 {
        self.client.session_id().0
    }
}

fn at(action: &'static str, path: &str) -> impl Fn(Error) -> Trouble {
    move |error| Trouble {
        action,
        path: path.to_owned(),
        error,
    }
}
