//! A group member's task: membership, shares, progress.
//!
//! The members do not talk to each other. Each one watches who is in the group and what partitions there
//! are, works out its own share ([`crate::client::rebalance`]), gives up what is not in it any more, and claims
//! the rest by owner nodes. A partition whose old owner has not let go yet is tried again in a moment.
//!
//! Order, for a partition that is given up: stop reading, write the progress, remove the owner node. So
//! the next owner goes on where this one stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Shared;
use super::cluster::{Changes, Cluster};
use super::consumer::{Batch, Claim, Claims, ConsumerOptions, Start};
use super::error::Error;
use super::fetcher::Fetcher;
use super::progress::Progress;
use crate::client::rebalance::{Partition, assign};

/// How long to wait before a claim that failed, or ZooKeeper, is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// One consumer of a group.
pub(super) struct Member {
    shared: Arc<Shared>,
    group: String,
    id: String,
    topics: Vec<Arc<str>>,
    options: ConsumerOptions,
    batches: mpsc::Sender<Batch>,
    reading: BTreeMap<Key, Reading>,
    /// The same for the caller to look at.
    claims: Claims,
    /// Not read any more, but not given up in ZooKeeper yet.
    parting: BTreeMap<Key, Arc<Claim>>,
    commit_at: Instant,
}

/// A topic's partition.
type Key = (Arc<str>, Partition);

/// A partition that is being read.
struct Reading {
    claim: Arc<Claim>,
    task: JoinHandle<()>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.claim.lose();
        self.task.abort();
    }
}

/// Why a member stopped waiting.
enum Woken {
    /// Look again who reads what.
    Look,
    /// Write the progress.
    Commit,
    /// End, and say so.
    Close(Option<oneshot::Sender<()>>),
}

impl Member {
    pub(super) fn new(
        shared: Arc<Shared>,
        group: &str,
        topics: &[&str],
        options: ConsumerOptions,
        batches: mpsc::Sender<Batch>,
        claims: Claims,
    ) -> Member {
        Member {
            shared,
            group: group.to_string(),
            id: options.id.clone().unwrap_or_else(|| unique_id(group)),
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            commit_at: Instant::now() + options.commit_interval,
            options,
            batches,
            reading: BTreeMap::new(),
            claims,
            parting: BTreeMap::new(),
        }
    }

    /// Until something has to be done; `again` is when, at the latest, the shares are looked at.
    async fn wait(
        &self,
        changes: Option<&mut Changes>,
        again: Option<Instant>,
        closed: &mut oneshot::Receiver<oneshot::Sender<()>>,
    ) -> Woken {
        let changed = async {
            match changes {
                Some(changes) => changes.changed().await,
                None => std::future::pending().await,
            }
        };
        let again = async {
            match again {
                Some(again) => tokio::time::sleep_until(again).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = closed => Woken::Close(done.ok()),
            () = changed => Woken::Look,
            () = again => Woken::Look,
            () = tokio::time::sleep_until(self.commit_at) => Woken::Commit,
        }
    }

    /// Reads its share and nothing else; false if another member still holds a part of it.
    async fn rebalance(&mut self, cluster: &Arc<Cluster>) -> Result<bool, Error> {
        self.join(cluster).await?;
        let mut share = Vec::new();
        for topic in self.topics.clone() {
            let members = cluster.members(&self.group, &topic).await?;
            let partitions: Vec<Partition> =
                cluster.subscribable(&topic).await?.into_iter().collect();
            let own = assign(self.options.strategy, &self.id, &members, &partitions);
            share.extend(
                own.into_iter()
                    .map(|partition| (Arc::clone(&topic), partition)),
            );
        }
        self.stop_reading(|key| !share.contains(key));
        self.part(cluster).await?;
        let mut complete = true;
        for key in share {
            if !self.reading.contains_key(&key) {
                complete &= self.take(cluster, key).await?;
            }
        }
        Ok(complete)
    }

    /// Lets the caller see what is read now.
    fn show(&self) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        *claims = self
            .reading
            .values()
            .map(|reading| Arc::clone(&reading.claim))
            .collect();
    }

    async fn join(&self, cluster: &Cluster) -> Result<(), Error> {
        let topics: Vec<String> = self.topics.iter().map(ToString::to_string).collect();
        cluster.join(&self.group, &self.id, &topics).await
    }

    async fn take(
        &mut self,
        cluster: &Arc<Cluster>,
        (topic, partition): Key,
    ) -> Result<bool, Error> {
        if !cluster
            .claim(&self.group, &topic, partition, &self.id)
            .await?
        {
            debug!(%topic, %partition, "another member still holds the partition");
            return Ok(false);
        }
        let known = match cluster.progress(&self.group, &topic, partition).await? {
            Some(text) => text
                .parse()
                .inspect_err(|error| warn!(%topic, %partition, %error, "offset not understood, beginning again"))
                .ok(),
            None => None,
        };
        let progress = known.unwrap_or_else(|| Progress::at(self.options.start.offset()));
        // Where the group begins at whatever is there, nothing that was there before is missing.
        let tell_gaps = known.is_some() || matches!(self.options.start, Start::At(_));
        info!(%topic, %partition, offset = progress.offset, "reading a partition");
        let claim = Arc::new(Claim::new(Arc::clone(&topic), partition, progress));
        let fetcher = Fetcher::new(
            Arc::clone(&self.shared),
            Arc::clone(&claim),
            &self.group,
            progress.offset,
            tell_gaps,
            self.options.clone(),
            self.batches.clone(),
        );
        let task = tokio::spawn(fetcher.run());
        self.reading
            .insert((topic, partition), Reading { claim, task });
        self.show();
        Ok(true)
    }

    fn stop_reading(&mut self, which: impl Fn(&Key) -> bool) {
        for (key, reading) in self.reading.extract_if(.., |key, _| which(key)) {
            info!(topic = %key.0, partition = %key.1, "releasing a partition");
            self.parting.insert(key, Arc::clone(&reading.claim));
        }
        self.show();
    }

    /// Gives up in ZooKeeper what is not read any more. What does not work is left for the next time.
    async fn part(&mut self, cluster: &Cluster) -> Result<(), Error> {
        while let Some((key, claim)) = self.parting.first_key_value() {
            self.write_progress(cluster, claim).await?;
            cluster
                .release(&self.group, &key.0, key.1, &self.id)
                .await?;
            self.parting.pop_first();
        }
        Ok(())
    }

    /// Writes what was consumed since the last time.
    async fn commit(&mut self, cluster: &Cluster) {
        self.commit_at = Instant::now() + self.options.commit_interval;
        for reading in self.reading.values() {
            if let Err(error) = self.write_progress(cluster, &reading.claim).await {
                let (topic, partition) = (&reading.claim.topic, reading.claim.partition);
                warn!(%topic, %partition, error = error.chain(), "offset not written, trying again");
            }
        }
    }

    async fn write_progress(&self, cluster: &Cluster, claim: &Claim) -> Result<(), Error> {
        let Some(progress) = claim.unwritten() else {
            return Ok(());
        };
        let text = progress.to_string();
        cluster
            .set_progress(&self.group, &claim.topic, claim.partition, &text)
            .await?;
        claim.written(progress);
        Ok(())
    }

    /// Gives everything up and leaves the group.
    async fn leave(&mut self, cluster: &Cluster) {
        self.stop_reading(|_| true);
        if let Err(error) = self.part(cluster).await {
            warn!(
                group = self.group,
                error = error.chain(),
                "partitions not given up properly"
            );
        }
        if let Err(error) = cluster.leave(&self.group, &self.id).await {
            warn!(
                group = self.group,
                error = error.chain(),
                "group not left properly"
            );
        }
    }
}

/// A member's life, until its consumer is dropped or closed.
pub(super) async fn run(mut member: Member, mut closed: oneshot::Receiver<oneshot::Sender<()>>) {
    loop {
        let cluster = match member.shared.cluster("a consumer group").await {
            Ok(cluster) => cluster,
            Err(Error::Closed) => return,
            Err(error) => {
                warn!(
                    group = member.group,
                    error = error.chain(),
                    "ZooKeeper not reached, trying again"
                );
                let again = Some(Instant::now() + TRY_AGAIN);
                match member.wait(None, again, &mut closed).await {
                    Woken::Close(_) => return,
                    Woken::Commit => {
                        member.commit_at = Instant::now() + member.options.commit_interval
                    }
                    Woken::Look => {}
                }
                continue;
            }
        };
        if let Some(done) = serve(&mut member, &cluster, &mut closed).await {
            member.leave(&cluster).await;
            if let Some(done) = done {
                // Nobody may be waiting for it any more.
                let _heard = done.send(());
            }
            return;
        }
        // The session is over: everything was lost with it.
        warn!(
            group = member.group,
            "session with ZooKeeper lost, joining the group again"
        );
        member.reading.clear();
        member.show();
        member.parting.clear();
    }
}

/// Reads while the session lasts. `None` when it is over; otherwise the consumer is to end.
async fn serve(
    member: &mut Member,
    cluster: &Arc<Cluster>,
    closed: &mut oneshot::Receiver<oneshot::Sender<()>>,
) -> Option<Option<oneshot::Sender<()>>> {
    let mut changes = cluster.changes();
    let mut look = true;
    let mut again = None;
    while !cluster.is_over() {
        if look {
            again = match member.rebalance(cluster).await {
                Ok(true) => None,
                Ok(false) => Some(Instant::now() + TRY_AGAIN),
                Err(error) => {
                    warn!(
                        group = member.group,
                        error = error.chain(),
                        "shares not worked out, trying again"
                    );
                    Some(Instant::now() + TRY_AGAIN)
                }
            };
        }
        look = false;
        match member.wait(Some(&mut changes), again, closed).await {
            Woken::Look => look = true,
            Woken::Commit => member.commit(cluster).await,
            Woken::Close(done) => return Some(done),
        }
    }
    None
}

/// `<group>_<host>-<process>-<time>-<count>`, as the Java client makes them.
fn unique_id(group: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host: String = host
        .to_string_lossy()
        .chars()
        .filter(|c| !"/,".contains(*c))
        .collect();
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since_1970.unwrap_or_default().as_millis();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{group}_{host}-{}-{millis}-{count}", std::process::id())
}
