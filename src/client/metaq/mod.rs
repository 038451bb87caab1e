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
//! # Ok(())
//! # }
//! ```
//!
//! A client runs in a tokio runtime. It has one connection to each broker and one session with ZooKeeper,
//! which all its producers and consumers share; all of them end when it and they are dropped.

use std::sync::Arc;

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
pub use cluster::{Registered, Side, ZooKeeper};
pub use connection::{Connection, Options, Pending};
pub use connections::Connections;
pub use consumer::{Consumer, ConsumerOptions, Start};
pub use error::Error;
pub use fetch::Fetched;
pub use message::{Message, Received};
pub use producer::{Producer, ProducerOptions, Sending, Stored};
pub use progress::{NotAProgress, Progress};
pub use reader::{PartitionRange, Reader};

use cluster::Cluster;

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
    /// The session with ZooKeeper, opened when it is first needed and again when it is over.
    cluster: tokio::sync::Mutex<Option<Arc<Cluster>>>,
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
        let cluster = tokio::sync::Mutex::default();
        Client {
            shared: Arc::new(Shared {
                brokers,
                connections,
                cluster,
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
        let mut cluster = self.cluster.lock().await;
        if let Some(open) = cluster.as_ref().filter(|cluster| !cluster.is_over()) {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(Cluster::connect(zookeeper).await?);
        *cluster = Some(Arc::clone(&opened));
        Ok(opened)
    }
}
