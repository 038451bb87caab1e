//! Sending messages.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::address::Address;
use super::cluster::{Changes, Cluster};
use super::connection::{Connection, Pending};
use super::error::{Error, check_topic};
use super::fetch::{answer, refused};
use super::message::Message;
use super::{Brokers, Shared};
use crate::broker::{Name, Put, Request};
use crate::segments::format;
use crate::wire::metaq::StatusCode;
use crate::wire::metaq::reply::Content;

/// The partition's number that lets the broker choose.
const ANY_PARTITION: i32 = -1;
/// How long to wait after ZooKeeper could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// How long one message may take: from the call, connecting included, to the answer.
    pub send_timeout: Duration,
    /// How long to wait for a broker that publishes a topic, at its first message.
    pub publish_timeout: Duration,
}

impl Default for ProducerOptions {
    /// The Java client's figures.
    fn default() -> ProducerOptions {
        ProducerOptions {
            send_timeout: Duration::from_secs(3),
            publish_timeout: Duration::from_secs(10),
        }
    }
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The id the broker gave it.
    pub message_id: i64,
    /// The broker's id, where ZooKeeper told it.
    pub broker: Option<u16>,
    /// The partition's number.
    pub partition: i32,
    /// Where its record begins in the partition, in bytes.
    pub offset: i64,
}

/// Sends messages, to each of a topic's partitions in turn, the first to any of them.
///
/// Messages that go to one partition are stored in the order in which they were started. Nothing
/// is sent twice: when the answer does not come, the message may or may not have been stored, and only the
/// caller can know whether a second copy is better than none.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    options: ProducerOptions,
    topics: Mutex<HashMap<String, Topic>>,
    turn: AtomicUsize,
}

/// A topic's partitions as they are in ZooKeeper now; none until they were read once.
type Routes = Arc<[Route]>;

/// One partition and how to get there.
#[derive(Clone, Debug)]
struct Route {
    address: Address,
    broker: Option<u16>,
    partition: i32,
}

#[derive(Clone, Debug)]
struct Topic {
    name: Name,
    routes: watch::Receiver<Routes>,
}

/// A message under way.
#[derive(Debug)]
pub struct Sending {
    pending: Pending,
    connection: Arc<Connection>,
    broker: Option<u16>,
    deadline: Instant,
    timeout: Duration,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>, options: ProducerOptions) -> Producer {
        Producer {
            shared,
            options,
            topics: Mutex::default(),
            turn: AtomicUsize::new(anywhere()),
        }
    }

    /// Finds the brokers of a topic and connects to them, so that the first message finds all ready.
    ///
    /// # Errors
    /// No broker publishes the topic in time, or one cannot be reached.
    pub async fn publish(&self, topic: &str) -> Result<(), Error> {
        let (_, routes) = self.routes(topic).await?;
        let mut connected: Vec<&Address> = Vec::new();
        for route in routes.iter() {
            if !connected.contains(&&route.address) {
                self.shared.connections.to(&route.address).await?;
                connected.push(&route.address);
            }
        }
        Ok(())
    }

    /// Sends a message and waits until it is stored.
    ///
    /// # Errors
    /// The broker refused, could not be reached, or did not answer in time.
    pub async fn send(&self, topic: &str, message: Message) -> Result<Stored, Error> {
        self.start(topic, message).await?.stored().await
    }

    /// Sends many messages at once, and waits until each of them is stored or not.
    pub async fn send_all(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<Result<Stored, Error>> {
        let mut under_way = Vec::new();
        for message in messages {
            under_way.push(self.start(topic, message).await);
        }
        let mut outcomes = Vec::with_capacity(under_way.len());
        for sending in under_way {
            outcomes.push(match sending {
                Ok(sending) => sending.stored().await,
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    /// Sends a message without waiting for the answer.
    ///
    /// A broker that does not accept a connection is passed over, because nothing was sent to it.
    ///
    /// # Errors
    /// No broker publishes the topic, or none of those that do can be reached.
    pub async fn start(&self, topic: &str, message: Message) -> Result<Sending, Error> {
        let (name, routes) = self.routes(topic).await?;
        let deadline = self.deadline();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut tried: Vec<Address> = Vec::new();
        let mut failure = None;
        for place in 0..routes.len() {
            let route = &routes[(turn.wrapping_add(place)) % routes.len()];
            if tried.contains(&route.address) {
                continue;
            }
            match self.start_on(name.clone(), route, &message, deadline).await {
                Err(error @ (Error::Connect { .. } | Error::Resolve(_))) => {
                    tried.push(route.address.clone());
                    failure.get_or_insert(error);
                }
                outcome => return outcome,
            }
        }
        Err(failure.unwrap_or_else(|| Error::NoTopic {
            topic: topic.to_string(),
        }))
    }

    /// Sends a message to a partition of the caller's choice, without waiting for the answer. Without a
    /// broker's id it goes to the first broker that has a partition of this number.
    ///
    /// # Errors
    /// No broker has the partition, or it cannot be reached.
    pub async fn start_to(
        &self,
        topic: &str,
        broker: Option<u16>,
        partition: i32,
        message: Message,
    ) -> Result<Sending, Error> {
        let (name, routes) = self.routes(topic).await?;
        let route = routes.iter().find(|route| {
            let any = route.partition == ANY_PARTITION;
            any || route.partition == partition && (broker.is_none() || broker == route.broker)
        });
        let missing = || {
            let broker = broker
                .map(|broker| format!("{broker}-"))
                .unwrap_or_default();
            let partition = format!("{broker}{partition}");
            Error::NoPartition {
                topic: topic.to_string(),
                partition,
            }
        };
        let route = Route {
            partition,
            ..route.ok_or_else(missing)?.clone()
        };
        self.start_on(name, &route, &message, self.deadline()).await
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.send_timeout
    }

    async fn start_on(
        &self,
        topic: Name,
        route: &Route,
        message: &Message,
        deadline: Instant,
    ) -> Result<Sending, Error> {
        let timeout = self.options.send_timeout;
        let connecting = timeout_at(deadline, self.shared.connections.to(&route.address));
        let connection = connecting.await.unwrap_or_else(|_| {
            Err(Error::Connect {
                address: route.address.clone(),
                source: std::io::ErrorKind::TimedOut.into(),
            })
        })?;
        let data = message.data();
        let put = Request::Put(Put {
            topic,
            partition: route.partition,
            flag: message.flag(),
            checksum: format::checksum(&data),
            transaction: None,
            data,
        });
        let sending = timeout_at(deadline, connection.send(&put));
        let pending = sending.await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                address: route.address.clone(),
                after: timeout,
            })
        })?;
        Ok(Sending {
            pending,
            connection,
            broker: route.broker,
            deadline,
            timeout,
        })
    }

    /// Where messages of a topic can go now, at least one place.
    async fn routes(&self, topic: &str) -> Result<(Name, Routes), Error> {
        let mut topic = self.topic(topic)?;
        let known = Arc::clone(&topic.routes.borrow());
        if !known.is_empty() {
            return Ok((topic.name, known));
        }
        // Where ZooKeeper cannot be reached there is no use in waiting, and that is the reason to give.
        self.shared.cluster("publishing a topic").await?;
        let found = topic.routes.wait_for(|routes| !routes.is_empty());
        match tokio::time::timeout(self.options.publish_timeout, found).await {
            Ok(Ok(routes)) => {
                let routes = Arc::clone(&routes);
                Ok((topic.name, routes))
            }
            Ok(Err(_)) | Err(_) => Err(Error::NoTopic {
                topic: topic.name.to_string(),
            }),
        }
    }

    fn topic(&self, topic: &str) -> Result<Topic, Error> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(topic) {
            return Ok(known.clone());
        }
        check_topic(topic)?;
        let routes = match &self.shared.brokers {
            Brokers::Direct(address) => {
                let any = Route {
                    address: address.clone(),
                    broker: None,
                    partition: ANY_PARTITION,
                };
                watch::channel(Routes::from([any])).1
            }
            Brokers::ZooKeeper(_) => {
                let (sender, receiver) = watch::channel(Routes::from([]));
                tokio::spawn(follow(
                    Arc::downgrade(&self.shared),
                    topic.to_string(),
                    sender,
                ));
                receiver
            }
        };
        let new = Topic {
            name: Name::from(topic),
            routes,
        };
        topics.insert(topic.to_string(), new.clone());
        Ok(new)
    }
}

impl Sending {
    /// Waits until the message is stored.
    ///
    /// # Errors
    /// The broker refused, or did not answer in time; in the latter case the message may be stored.
    pub async fn stored(self) -> Result<Stored, Error> {
        let deadline = self.deadline;
        self.stored_by(deadline).await
    }

    /// The same, but no longer than until `deadline`.
    ///
    /// # Errors
    /// As of [`Sending::stored`].
    pub async fn stored_by(self, deadline: Instant) -> Result<Stored, Error> {
        let connection = self.connection;
        let deadline = deadline.min(self.deadline);
        match self.pending.answer_by(deadline, self.timeout).await? {
            Content::Result {
                code: StatusCode::SUCCESS,
                text,
            } => {
                let text = String::from_utf8_lossy(&text);
                stored(self.broker, &text).ok_or_else(|| answer(&connection, "put", &text))
            }
            Content::Result { code, text } => Err(refused(&connection, code, &text)),
            Content::Value(_) => Err(answer(&connection, "put", "records")),
        }
    }
}

/// Where the turns begin: many who send one message each must not all send it to the first partition.
fn anywhere() -> usize {
    let number = RandomState::new().hash_one(());
    usize::try_from(number >> 1).unwrap_or(0)
}

/// `<message id> <partition> <offset>`
fn stored(broker: Option<u16>, text: &str) -> Option<Stored> {
    let mut numbers = text.split(' ');
    Some(Stored {
        message_id: numbers.next()?.parse().ok()?,
        broker,
        partition: numbers.next()?.parse().ok()?,
        offset: numbers.next()?.parse().ok()?,
    })
}

/// Keeps a topic's routes as they are in ZooKeeper, as long as anybody wants to know.
async fn follow(shared: Weak<Shared>, topic: String, routes: watch::Sender<Routes>) {
    loop {
        let Some(cluster) = cluster(&shared).await else {
            return;
        };
        let mut changes = match cluster {
            Ok(cluster) => {
                let changes = cluster.changes();
                match cluster.publishers(&topic).await {
                    Ok(publishers) => {
                        let now = publishers.into_iter().map(|(partition, address)| Route {
                            address,
                            broker: Some(partition.broker),
                            partition: partition.number,
                        });
                        routes.send_replace(now.collect());
                        Some(changes)
                    }
                    Err(error) => {
                        warn!(
                            topic,
                            error = error.chain(),
                            "brokers of a topic not read, trying again"
                        );
                        None
                    }
                }
            }
            Err(Error::Closed) => return,
            Err(error) => {
                warn!(
                    topic,
                    error = error.chain(),
                    "ZooKeeper not reached, trying again"
                );
                None
            }
        };
        tokio::select! {
            () = routes.closed() => return,
            () = wait(changes.as_mut()) => {}
        }
    }
}

/// The session with ZooKeeper; `None` once the client is gone.
async fn cluster(shared: &Weak<Shared>) -> Option<Result<Arc<Cluster>, Error>> {
    let shared = shared.upgrade()?;
    Some(shared.cluster("publishing a topic").await)
}

/// Until something changes; without a listener, for a while.
async fn wait(changes: Option<&mut Changes>) {
    match changes {
        Some(changes) => changes.changed().await,
        None => tokio::time::sleep(READ_AGAIN).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_put_is_three_numbers() {
        let expected = Stored {
            message_id: -5,
            broker: Some(1),
            partition: 3,
            offset: 264,
        };
        assert_eq!(stored(Some(1), "-5 3 264"), Some(expected));
        for wrong in ["", "1", "1 2", "1 2 x", "a 2 3"] {
            assert_eq!(stored(None, wrong), None, "{wrong:?}");
        }
    }
}
