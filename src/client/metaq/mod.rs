//! A MetaQ client: producers, consumers, and plain reading.
//!
//! It speaks to Chrysalis and to Metamorphosis brokers alike, shares consumer groups with Java
//! clients, and keeps its offsets where they keep theirs.
//!
//! ```no_run
//! use chrysalis::client::metaq::{Client, ConsumerOptions, Message, ZooKeeper};
//!
//! # async fn example() -> Result<(), chrysalis::client::metaq::Error> {
//! let client = Client::with_zookeeper(ZooKeeper::at("127.0.0.1:2181"));
//! let producer = client.producer();
//! producer.send("test", Message::from("hello")).await?;
//!
//! let mut consumer = client.consumer("group", &["test"], ConsumerOptions::default())?;
//! while let Some(message) = consumer.next().await {
//!     println!("{}: {:?}", message.offset, message.payload);
//! }
//! consumer.close().await;
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! A client runs in a tokio runtime. It has one connection to each broker and one session with ZooKeeper,
//! which all its producers and consumers share; all of them end when it and they are dropped. A process that ends at once
//! afterwards calls [`Client::close`] first, so that the session does not stay until it times out.

use std::sync::Arc;
use std::time::Duration;

mod address;
mod cluster;
mod connection;
mod connections;
mod consumer;
mod error;
mod fetch;
mod fetcher;
mod group;
mod message;
mod producer;
mod progress;
mod reader;

pub use address::{Address, DEFAULT_PORT, NotAnAddress};
pub use cluster::{Owned, Registered, Side, ZooKeeper};
pub use connection::{Connection, Options, Pending};
pub use connections::Connections;
pub use consumer::{Consumer, ConsumerOptions, Gap, Reading, Start, Trouble};
pub use error::Error;
pub use fetch::Fetched;
pub use message::{Message, Received};
pub use producer::{Producer, ProducerOptions, Sending, Stored};
pub use progress::{NotAProgress, Progress};
pub use reader::{PartitionRange, Reader};

use cluster::Cluster;

/// How long the end of a session may take. What is not ended by then ends by its timeout.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Where the brokers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brokers {
    /// Wherever ZooKeeper says.
    ZooKeeper(ZooKeeper),
    /// Here. Groups need ZooKeeper; everything else works.
    Direct(Address),
}

/// A client of a MetaQ cluster. Cheap to clone: clones are the same client.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What a client's producers and consumers have in common.
#[derive(Debug)]
struct Shared {
    brokers: Brokers,
    connections: Connections,
    session: Arc<tokio::sync::Mutex<Session>>,
}

/// The session with ZooKeeper, opened when it is first needed and again when it is over.
#[derive(Debug, Default)]
enum Session {
    #[default]
    NotOpened,
    Open(Arc<Cluster>),
    /// The client is closed: none is opened any more.
    Closed,
}

impl Client {
    /// A client that finds the brokers in ZooKeeper.
    pub fn with_zookeeper(zookeeper: ZooKeeper) -> Client {
        Client::new(Brokers::ZooKeeper(zookeeper), Options::default())
    }

    /// A client of one broker.
    pub fn with_broker(address: Address) -> Client {
        Client::new(Brokers::Direct(address), Options::default())
    }

    /// A client whose connections behave in a way of their own.
    pub fn new(brokers: Brokers, options: Options) -> Client {
        let connections = Connections::new(options);
        Client {
            shared: Arc::new(Shared {
                brokers,
                connections,
                session: Arc::default(),
            }),
        }
    }

    /// A producer.
    pub fn producer(&self) -> Producer {
        self.producer_with(ProducerOptions::default())
    }

    /// A producer that behaves in a way of its own.
    pub fn producer_with(&self, options: ProducerOptions) -> Producer {
        Producer::new(Arc::clone(&self.shared), options)
    }

    /// A member of a consumer group: reads its share of the topics' partitions, and lets the others know how
    /// far it got.
    ///
    /// # Errors
    /// A name is malformed, or the client has no ZooKeeper.
    pub fn consumer(
        &self,
        group: &str,
        topics: &[&str],
        options: ConsumerOptions,
    ) -> Result<Consumer, Error> {
        Consumer::new(&self.shared, group, topics, options)
    }

    /// Whether some broker has a topic for one side, as ZooKeeper knows it now. Leaves no trace there.
    ///
    /// # Errors
    /// ZooKeeper cannot be asked, or the client has none.
    pub async fn registered(&self, topic: &str, side: Side) -> Result<Registered, Error> {
        error::check_topic(topic)?;
        let cluster = self.shared.cluster("finding a topic's brokers").await?;
        cluster.registered(topic, side).await
    }

    /// Who owns a topic's partitions in a group, and how far the group has read them, as ZooKeeper knows it now.
    ///
    /// # Errors
    /// ZooKeeper cannot be asked, or the client has none.
    pub async fn owners(&self, group: &str, topic: &str) -> Result<Vec<Owned>, Error> {
        error::check_group(group)?;
        error::check_topic(topic)?;
        let cluster = self.shared.cluster("a consumer group").await?;
        cluster.owners(group, topic).await
    }

    /// Ends the session with ZooKeeper, and returns when nothing of it is left there, or after two seconds. A
    /// consumer that was dropped leaves its group first. Nothing that needs ZooKeeper works any more afterwards.
    ///
    /// A process that ends without this leaves its session open until it times out.
    pub async fn close(&self) {
        let closing = async {
            let mut session = self.shared.session.lock().await;
            if let Session::Open(cluster) = std::mem::replace(&mut *session, Session::Closed) {
                drop(session);
                Cluster::closed(cluster).await;
            }
        };
        // Whoever closes is about to end, and does not wait for a ZooKeeper that is away.
        let _in_time = tokio::time::timeout(CLOSE_MAX, closing).await;
    }

    /// A reader that belongs to no group and leaves no trace.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }
}

impl Shared {
    /// The session with ZooKeeper.
    async fn cluster(&self, what: &'static str) -> Result<Arc<Cluster>, Error> {
        let Brokers::ZooKeeper(zookeeper) = &self.brokers else {
            return Err(Error::NeedsZooKeeper(what));
        };
        let mut session = Arc::clone(&self.session).lock_owned().await;
        match &*session {
            Session::Open(cluster) if !cluster.is_over() => return Ok(Arc::clone(cluster)),
            Session::Closed => return Err(Error::Closed),
            Session::Open(_) | Session::NotOpened => {}
        }
        // In a task of its own: a caller that gives up meanwhile would leave a session that nobody ends.
        let zookeeper = zookeeper.clone();
        let opening = tokio::spawn(async move {
            let opened = Arc::new(Cluster::connect(&zookeeper).await?);
            *session = Session::Open(Arc::clone(&opened));
            Ok(opened)
        });
        // The task ends early only where the whole runtime does.
        opening.await.unwrap_or(Err(Error::Closed))
    }
}
