//! What brokers and consumers tell each other through ZooKeeper.
//!
//! ```text
//! /meta/brokers/ids/<id>/master                               meta://host:port
//! /meta/brokers/ids/<id>/slave<N>                             meta://host:port
//! /meta/brokers/topics-pub/<topic>/<id>-m                     {"numParts":N,"broker":"<id>-m"}
//! /meta/brokers/topics-sub/<topic>/<id>-m, <id>-s<N>          likewise
//! /meta/consumers/<group>/ids/<consumer>                      topics, comma between
//! /meta/consumers/<group>/owners/<topic>/<id>-<partition>     the consumer's id
//! /meta/consumers/<group>/offsets/<topic>/<id>-<partition>    see `progress`
//! ```
//!
//! A node that is not understood is passed over, not stumbled over: one strange broker must not stop the
//! others' clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;
use zookeeper_client::{Acls, Client, CreateMode, Error as ZooKeeperError, StateWatcher};

use super::address::Address;
use super::error::Error;
use super::progress::Progress;
use crate::client::rebalance::Partition;
use crate::net::resolve;

/// Where ZooKeeper is, and what is the brokers' in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZooKeeper {
    /// The connect string: `host:port,host:port/chroot`.
    pub servers: String,
    /// The root of all nodes.
    pub root: String,
    /// After how long a silence the others take a client's nodes for abandoned.
    pub session_timeout: Duration,
}

impl ZooKeeper {
    /// The usual root and session timeout.
    pub fn at(servers: impl Into<String>) -> ZooKeeper {
        ZooKeeper {
            servers: servers.into(),
            root: "/meta".to_string(),
            session_timeout: Duration::from_secs(30),
        }
    }
}

/// For whom brokers register a topic. They need not have it for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those who send.
    Producers,
    /// Those who read.
    Consumers,
}

/// What brokers have registered, as one who looks for a topic sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// A broker has the topic.
    Topic,
    /// There are brokers, and none of them has it. The names of topics that one has, or had once.
    OtherTopics(Vec<String>),
    /// There is no broker.
    NoBroker,
}

/// A partition and its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The partition.
    pub partition: Partition,
    /// The id of the consumer that owns it, if one does.
    pub owner: Option<String>,
    /// How far the group has read it, if it has and this is understood.
    pub progress: Option<Progress>,
}

/// More partitions of one broker than this are not believed.
const PARTITIONS_MAX: i32 = 100_000;

/// The brokers of a topic, as producers see them.
pub(super) type Publishers = BTreeMap<Partition, Address>;

/// A session with ZooKeeper and the reading of what is in it.
#[derive(Debug)]
pub(super) struct Cluster {
    client: Client,
    root: String,
    watches: Arc<Watches>,
}

/// Which children are watched. A watch is never given up before it fires: old servers do not know how, and
/// end the session of a client that tries.
#[derive(Debug, Default)]
struct Watches {
    armed: Mutex<BTreeSet<String>>,
    /// How many have fired.
    fired: watch::Sender<u64>,
}

impl Watches {
    fn armed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listener's view of what has changed. Made before the reading starts.
pub(super) struct Changes {
    fired: watch::Receiver<u64>,
    state: StateWatcher,
}

impl Changes {
    /// Returns when something that was read with a watch has changed since the last call, or the session's
    /// state; at once if the session is over.
    pub(super) async fn changed(&mut self) {
        if self.state.peek_state().is_terminated() {
            return;
        }
        tokio::select! {
            _ = self.fired.changed() => {}
            _ = self.state.changed() => {}
        }
    }
}

impl Cluster {
    /// Opens a session.
    pub(super) async fn connect(zookeeper: &ZooKeeper) -> Result<Cluster, Error> {
        let servers = resolve::connect_string(&zookeeper.servers).await?;
        let client = Client::connector()
            .with_session_timeout(zookeeper.session_timeout)
            // The operations of 3.4.5 are enough, and every server has them.
            .with_server_version(3, 4, 5)
            .with_fail_eagerly()
            .connect(&servers)
            .await
            .map_err(|source| Error::ZooKeeper {
                doing: format!("connect to ZooKeeper at {}", zookeeper.servers),
                source,
            })?;
        let root = format!("/{}", zookeeper.root.trim_matches('/'));
        let root = root.trim_end_matches('/').to_string();
        Ok(Cluster {
            client,
            root,
            watches: Arc::default(),
        })
    }

    /// Gives up a session, and returns when it has ended. Who still reads or writes in it does so to its end.
    pub(super) async fn closed(cluster: Arc<Cluster>) {
        let mut state = cluster.client.state_watcher();
        // The session is ended by whoever lets go of it last.
        drop(cluster);
        while !state.peek_state().is_terminated() {
            state.changed().await;
        }
    }

    /// Whether the session is over and all its ephemeral nodes are gone.
    pub(super) fn is_over(&self) -> bool {
        self.client.state().is_terminated()
    }

    /// A listener for changes of what is read with a watch from now on.
    pub(super) fn changes(&self) -> Changes {
        Changes {
            fired: self.watches.fired.subscribe(),
            state: self.client.state_watcher(),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    /// Makes a persistent node and its parents, if they are not there.
    async fn ensure(&self, path: &str) -> Result<(), Error> {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match self.client.mkdir(path, &persistent).await {
            Ok(()) | Err(ZooKeeperError::NodeExists) => Ok(()),
            Err(source) => Err(failed(format!("create {path}"), source)),
        }
    }

    /// The children of a node, none if there is no such node. Without a watch.
    async fn children(&self, path: &str) -> Result<Vec<String>, Error> {
        match self.client.list_children(path).await {
            Ok(children) => Ok(children),
            Err(ZooKeeperError::NoNode) => Ok(Vec::new()),
            Err(source) => Err(failed(format!("list {path}"), source)),
        }
    }

    /// The children of a node that exists; [`Changes::changed`] returns when they change.
    async fn watched_children(&self, path: &str) -> Result<Vec<String>, Error> {
        if self.watches.armed().contains(path) {
            return self.children(path).await;
        }
        let (children, watcher) = self
            .client
            .list_and_watch_children(path)
            .await
            .map_err(|source| failed(format!("list {path}"), source))?;
        self.watches.armed().insert(path.to_string());
        let (watches, path) = (Arc::clone(&self.watches), path.to_string());
        tokio::spawn(async move {
            watcher.changed().await;
            watches.armed().remove(&path);
            watches.fired.send_modify(|fired| *fired += 1);
        });
        Ok(children)
    }

    /// A node's content as text, if there is such a node.
    async fn read(&self, path: &str) -> Result<Option<String>, Error> {
        match self.client.get_data(path).await {
            Ok((content, _)) => Ok(Some(String::from_utf8_lossy(&content).into_owned())),
            Err(ZooKeeperError::NoNode) => Ok(None),
            Err(source) => Err(failed(format!("read {path}"), source)),
        }
    }

    /// Whether some broker has a topic for one side.
    pub(super) async fn registered(&self, topic: &str, side: Side) -> Result<Registered, Error> {
        let list = self.path(match side {
            Side::Producers => "brokers/topics-pub",
            Side::Consumers => "brokers/topics-sub",
        });
        let brokers = self.children(&format!("{list}/{topic}")).await?;
        if !brokers.is_empty() {
            return Ok(Registered::Topic);
        }
        for broker in self.children(&self.path("brokers/ids")).await? {
            let Ok(broker) = broker.parse() else { continue };
            if self.readable(broker).await?.is_some() {
                // A producer leaves a node behind for a topic that nobody has.
                let mut others = self.children(&list).await?;
                others.retain(|other| other != topic);
                return Ok(Registered::OtherTopics(others));
            }
        }
        Ok(Registered::NoBroker)
    }

    /// The partitions of a topic that producers may use, watched.
    pub(super) async fn publishers(&self, topic: &str) -> Result<Publishers, Error> {
        let folder = self.path(&format!("brokers/topics-pub/{topic}"));
        self.ensure(&folder).await?;
        let mut publishers = Publishers::new();
        for child in self.watched_children(&folder).await? {
            // Slaves are for reading.
            let Some(broker) = child.strip_suffix("-m").and_then(|id| id.parse().ok()) else {
                continue;
            };
            let Some(address) = self.master(broker).await? else {
                continue;
            };
            let count = self.partition_count(&format!("{folder}/{child}")).await?;
            for number in 0..count {
                publishers.insert(Partition { broker, number }, address.clone());
            }
        }
        Ok(publishers)
    }

    /// The partitions of a topic that consumers share out, watched.
    pub(super) async fn subscribable(&self, topic: &str) -> Result<BTreeSet<Partition>, Error> {
        let folder = self.path(&format!("brokers/topics-sub/{topic}"));
        self.ensure(&folder).await?;
        let brokers = self.watched_children(&folder).await?;
        self.partitions(&folder, brokers).await
    }

    /// The same, without a watch, and without a trace where there is no such topic.
    pub(super) async fn readable_partitions(
        &self,
        topic: &str,
    ) -> Result<BTreeSet<Partition>, Error> {
        let folder = self.path(&format!("brokers/topics-sub/{topic}"));
        let brokers = self.children(&folder).await?;
        self.partitions(&folder, brokers).await
    }

    /// The partitions of a topic's brokers. Masters and slaves have the same ones.
    async fn partitions(
        &self,
        folder: &str,
        brokers: Vec<String>,
    ) -> Result<BTreeSet<Partition>, Error> {
        let mut partitions = BTreeSet::new();
        for child in brokers {
            let Some(broker) = child.split_once('-').and_then(|(id, _)| id.parse().ok()) else {
                continue;
            };
            let count = self.partition_count(&format!("{folder}/{child}")).await?;
            partitions.extend((0..count).map(|number| Partition { broker, number }));
        }
        Ok(partitions)
    }

    /// Where a broker's master is.
    pub(super) async fn master(&self, broker: u16) -> Result<Option<Address>, Error> {
        let path = self.path(&format!("brokers/ids/{broker}/master"));
        Ok(self
            .read(&path)
            .await?
            .and_then(|text| understood(&path, text.parse())))
    }

    /// Where to read a broker's partitions: from its master, or else from one of its slaves.
    pub(super) async fn readable(&self, broker: u16) -> Result<Option<Address>, Error> {
        if let Some(master) = self.master(broker).await? {
            return Ok(Some(master));
        }
        let folder = self.path(&format!("brokers/ids/{broker}"));
        for child in self.children(&folder).await? {
            if child.starts_with("slave") {
                let path = format!("{folder}/{child}");
                let slave = self
                    .read(&path)
                    .await?
                    .and_then(|text| understood(&path, text.parse()));
                if slave.is_some() {
                    return Ok(slave);
                }
            }
        }
        Ok(None)
    }

    async fn partition_count(&self, path: &str) -> Result<i32, Error> {
        let Some(content) = self.read(path).await? else {
            return Ok(0);
        };
        Ok(understood(path, partition_count(&content))
            .unwrap_or(0)
            .min(PARTITIONS_MAX))
    }

    /// Puts this consumer among its group's members, if it is not there. A node that an earlier session of it
    /// has left is as good until it goes; then this has to be called again.
    pub(super) async fn join(
        &self,
        group: &str,
        consumer: &str,
        topics: &[String],
    ) -> Result<(), Error> {
        let folder = self.path(&format!("consumers/{group}/ids"));
        self.ensure(&folder).await?;
        self.create_ephemeral(&format!("{folder}/{consumer}"), &topics.join(","))
            .await?;
        Ok(())
    }

    /// Takes this consumer out of its group.
    pub(super) async fn leave(&self, group: &str, consumer: &str) -> Result<(), Error> {
        self.remove(&self.path(&format!("consumers/{group}/ids/{consumer}")))
            .await
    }

    /// The group's members that read a topic, watched.
    pub(super) async fn members(&self, group: &str, topic: &str) -> Result<Vec<String>, Error> {
        let folder = self.path(&format!("consumers/{group}/ids"));
        let mut members = Vec::new();
        for child in self.watched_children(&folder).await? {
            let topics = self
                .read(&format!("{folder}/{child}"))
                .await?
                .unwrap_or_default();
            if topics.split(',').any(|subscribed| subscribed == topic) {
                members.push(child);
            }
        }
        Ok(members)
    }

    /// Claims a partition for a consumer; false if another one has it. What an earlier session of the same
    /// consumer has left is replaced, because it goes with that session.
    pub(super) async fn claim(
        &self,
        group: &str,
        topic: &str,
        partition: Partition,
        consumer: &str,
    ) -> Result<bool, Error> {
        let folder = self.path(&format!("consumers/{group}/owners/{topic}"));
        self.ensure(&folder).await?;
        let path = format!("{folder}/{partition}");
        if self.create_ephemeral(&path, consumer).await? {
            return Ok(true);
        }
        match self.holder(&path).await? {
            Some((holder, _)) if holder != consumer => Ok(false),
            Some((_, true)) => Ok(true),
            Some((_, false)) => {
                self.remove(&path).await?;
                self.create_ephemeral(&path, consumer).await
            }
            None => self.create_ephemeral(&path, consumer).await,
        }
    }

    /// Who owns the partitions of a topic, and how far the group has read them.
    pub(super) async fn owners(&self, group: &str, topic: &str) -> Result<Vec<Owned>, Error> {
        let folder = self.path(&format!("consumers/{group}/owners/{topic}"));
        let mut owners = Vec::new();
        for partition in self.readable_partitions(topic).await? {
            let owner = self.read(&format!("{folder}/{partition}")).await?;
            let progress = self.progress(group, topic, partition).await?;
            owners.push(Owned {
                partition,
                owner,
                progress: progress.and_then(|text| text.parse().ok()),
            });
        }
        Ok(owners)
    }

    /// Gives a partition up, if it is this consumer's.
    pub(super) async fn release(
        &self,
        group: &str,
        topic: &str,
        partition: Partition,
        consumer: &str,
    ) -> Result<(), Error> {
        let path = self.path(&format!("consumers/{group}/owners/{topic}/{partition}"));
        if self.read(&path).await?.as_deref() == Some(consumer) {
            self.remove(&path).await?;
        }
        Ok(())
    }

    /// How far a group has read a partition: the node's content.
    pub(super) async fn progress(
        &self,
        group: &str,
        topic: &str,
        partition: Partition,
    ) -> Result<Option<String>, Error> {
        self.read(&self.progress_path(group, topic, partition))
            .await
    }

    /// Notes how far a group has read a partition. The last one to write wins, as with the Java client.
    pub(super) async fn set_progress(
        &self,
        group: &str,
        topic: &str,
        partition: Partition,
        content: &str,
    ) -> Result<(), Error> {
        let path = self.progress_path(group, topic, partition);
        match self.client.set_data(&path, content.as_bytes(), None).await {
            Ok(_) => return Ok(()),
            Err(ZooKeeperError::NoNode) => {}
            Err(source) => return Err(failed(format!("write {path}"), source)),
        }
        self.ensure(&self.path(&format!("consumers/{group}/offsets/{topic}")))
            .await?;
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        match self
            .client
            .create(&path, content.as_bytes(), &persistent)
            .await
        {
            Ok(_) => Ok(()),
            Err(source) => Err(failed(format!("create {path}"), source)),
        }
    }

    fn progress_path(&self, group: &str, topic: &str, partition: Partition) -> String {
        self.path(&format!("consumers/{group}/offsets/{topic}/{partition}"))
    }

    /// Makes an ephemeral node of this session, if there is none; whether it was made.
    async fn create_ephemeral(&self, path: &str, content: &str) -> Result<bool, Error> {
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        match self
            .client
            .create(path, content.as_bytes(), &ephemeral)
            .await
        {
            Ok(_) => Ok(true),
            Err(ZooKeeperError::NodeExists) => Ok(false),
            Err(source) => Err(failed(format!("create {path}"), source)),
        }
    }

    /// Whose a node is: its content, and whether this session made it. `None` if there is no node.
    async fn holder(&self, path: &str) -> Result<Option<(String, bool)>, Error> {
        match self.client.get_data(path).await {
            Ok((content, stat)) => {
                let ours = stat.ephemeral_owner == self.client.session_id().0;
                Ok(Some((String::from_utf8_lossy(&content).into_owned(), ours)))
            }
            Err(ZooKeeperError::NoNode) => Ok(None),
            Err(source) => Err(failed(format!("read {path}"), source)),
        }
    }

    async fn remove(&self, path: &str) -> Result<(), Error> {
        match self.client.delete(path, None).await {
            Ok(()) | Err(ZooKeeperError::NoNode) => Ok(()),
            Err(source) => Err(failed(format!("delete {path}"), source)),
        }
    }
}

fn failed(doing: String, source: ZooKeeperError) -> Error {
    Error::ZooKeeper { doing, source }
}

/// What a node says, or a word to the operator.
fn understood<T, E: std::fmt::Display>(path: &str, parsed: Result<T, E>) -> Option<T> {
    parsed
        .inspect_err(|error| warn!(path, %error, "znode not understood, ignored"))
        .ok()
}

/// How many partitions a topic's node announces.
fn partition_count(content: &str) -> Result<i32, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Topic {
        #[serde(rename = "numParts")]
        partitions: i32,
    }
    serde_json::from_str::<Topic>(content).map(|topic| topic.partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_node_is_json_with_the_number_of_partitions() {
        let count = |content| partition_count(content).ok();
        assert_eq!(count(r#"{"numParts":10,"broker":"0-m"}"#), Some(10));
        assert_eq!(
            count(r#"{"broker":"0-m","numParts":1,"more":true}"#),
            Some(1)
        );
        assert_eq!(count("10"), None);
        assert_eq!(count(r#"{"broker":"0-m"}"#), None);
    }
}
