//! The broker's nodes, seen through one ZooKeeper session: made as they are planned, and taken away.
//!
//! Whose a node is decides what happens to it. One of an earlier session with our content was left by an
//! earlier process of this broker, or by this one before its session expired: it is taken over at once
//! (the original stopped half-dead there). One that claims our id for another URL, or that
//! took the place of a node of this very session, belongs to somebody who lives: it is never touched, and
//! nothing else is registered while it is there.
//!
//! Every node that was seen is watched, so that one that goes is made again soon. Many are seen to at a time: a
//! broker of a thousand topics would otherwise wait for a thousand answers, one behind the other.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use tracing::warn;
use zookeeper_client::{Client, Error, SessionState, StateWatcher};

use super::errand::{Errand, Trouble, at};
use super::plan::{Ephemeral, Plan};

/// Nodes that are seen to at a time. A ZooKeeper takes a thousand requests at a time from all its clients.
const UNDER_WAY_MAX: usize = 256;

/// What is done about many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// They are to be there.
    Own,
    /// They are not wanted any more.
    GiveBack,
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
        let master = self.master();
        let mut claim = self.errand(master.clone());
        let claimed = claim.claim().await;
        self.learn(claim);
        if let Some(obstacle) = claimed? {
            self.give_back(|path| path != master.path).await?;
            return Ok(Some(obstacle));
        }
        self.note_url().await?;
        let others = self.plan.others.iter();
        let wanted: BTreeSet<String> = others.map(|node| node.path.clone()).collect();
        self.give_back(|path| path != master.path && !wanted.contains(path))
            .await?;
        // What is wrong with one topic's node keeps no other topic from clients.
        self.see_to(self.plan.others.clone(), Wish::Own).await?;
        Ok(None)
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
        let mut master = self.errand(self.master());
        let path = master.node.path.clone();
        if path.is_empty() || !master.is_ours().await? {
            // What is there is another broker's; and what is still ours goes with the session.
            return Ok(());
        }
        self.give_back(|other| other != path).await?;
        let gone = master.give_back().await;
        self.learn(master);
        gone?;
        let container = self.plan.container.clone();
        match self.client.delete(&container, None).await {
            Ok(()) | Err(Error::NoNode) => Ok(()),
            // A slave is still there: it takes over the reading clients.
            Err(Error::NotEmpty) if !self.exists(&path).await? => self.write(&container, b"").await,
            Err(Error::NotEmpty) => Ok(()),
            Err(error) => Err(at("delete", &container)(error)),
        }
    }

    /// The node that claims our id.
    fn master(&self) -> Ephemeral {
        Ephemeral {
            path: self.plan.master.clone(),
            content: self.plan.url.clone(),
            content_is_watched: false,
        }
    }

    /// An errand about a node, with all that is known of it.
    fn errand(&self, node: Ephemeral) -> Errand {
        let made = self.made.contains(&node.path);
        let watched = self.watched.contains(&node.path);
        Errand::new(self.client.clone(), node, made, watched)
    }

    /// Takes back what an errand has learned.
    fn learn(&mut self, errand: Errand) {
        let path = errand.node.path;
        if let Some(watcher) = errand.watcher {
            let path = path.clone();
            self.watched.insert(path.clone());
            self.watches.spawn(async move {
                watcher.changed().await;
                path
            });
        }
        match errand.made {
            true => drop(self.made.insert(path)),
            false => drop(self.made.remove(&path)),
        }
    }

    /// Sees to all these nodes, many at a time.
    ///
    /// # Errors
    /// One of them is not as it should be; what could be done about the others is done. Or the connection is lost.
    async fn see_to(&mut self, nodes: Vec<Ephemeral>, wish: Wish) -> Result<(), Trouble> {
        let mut under_way = JoinSet::new();
        let mut nodes = nodes.into_iter();
        let mut outcome = Ok(());
        loop {
            while under_way.len() < UNDER_WAY_MAX
                && let Some(node) = nodes.next()
            {
                let mut errand = self.errand(node);
                under_way.spawn(async move {
                    let done = match wish {
                        Wish::Own => errand.own().await,
                        Wish::GiveBack => errand.give_back().await,
                    };
                    (errand, done)
                });
            }
            let Some(ended) = under_way.join_next().await else {
                return outcome;
            };
            let (errand, done) = ended.expect("an errand ends by itself");
            self.learn(errand);
            if done.is_err() && self.client.state() != SessionState::SyncConnected {
                // Those under way still say what became of them.
                nodes = Vec::new().into_iter();
            }
            outcome = outcome.and(done);
        }
    }

    /// Gives the nodes of this session back that `unwanted` chooses.
    async fn give_back(&mut self, unwanted: impl Fn(&str) -> bool) -> Result<(), Trouble> {
        let made = self.made.iter().filter(|path| unwanted(path));
        let nodes = made.map(|path| Ephemeral {
            path: path.clone(),
            content: String::new(),
            content_is_watched: false,
        });
        self.see_to(nodes.collect(), Wish::GiveBack).await
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

    async fn exists(&self, path: &str) -> Result<bool, Trouble> {
        let stat = self.client.check_stat(path).await;
        Ok(stat.map_err(at("look at", path))?.is_some())
    }
}
