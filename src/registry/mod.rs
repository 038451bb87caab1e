//! The broker's nodes in ZooKeeper, built-in or external, in both of Metamorphosis's layouts.
//!
//! The node says what it wants to be seen as ([`Wanted`]); a task holds a session and makes it so, again
//! after every expiry, and takes away what is no longer wanted. What is wanted is worked out without
//! I/O in `plan`; `session` and `nodes` do the talking through the `zookeeper-client` crate. Layout and
//! moments are those of `spec/metamorphosis.md` 3.1.
//!
//! Not here: the tree of this process, into which the node looks itself for what consumers register.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::units::ServerId;

// What consumers' owner nodes say.
pub mod owners;
// What nodes there should be, worked out without I/O.
mod plan;
// One session's nodes.
mod nodes;
// Sessions that keep them as they should be.
mod session;

/// How clients are to see this broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The broker's id among its cluster's.
    pub broker: ServerId,
    /// `meta://host:port`, as clients connect to it.
    pub url: String,
    /// CRC-32 of the configuration's bytes; slaves and dashboards watch it.
    pub config_checksum: u32,
    /// The topics, by name.
    pub topics: BTreeMap<String, Topic>,
}

/// How one topic is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions of it this broker has.
    pub partitions: u32,
    /// Whether producers find it here.
    pub accept_publish: bool,
    /// Whether consumers find it here.
    pub accept_subscribe: bool,
}

/// Where and how to register.
#[derive(Clone, Debug)]
pub struct Options {
    /// ZooKeeper's connect string: `host:port,host:port/chroot`. Names are resolved here.
    pub servers: String,
    /// The root of all nodes, `/meta` unless configured otherwise.
    pub root: String,
    /// The session's timeout.
    pub session_timeout: Duration,
}

/// How it stands with the registration, for operators.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Standing {
    /// No connection yet, or it was lost. Clients that are connected go on; new ones find this broker until
    /// its session ends.
    #[default]
    Connecting,
    /// All is as wanted.
    Registered,
    /// A node that must not be touched stands in the way: which, and what is known about it. This broker
    /// waits until it goes.
    Conflict(String),
    /// The last attempt went wrong; the text says how, and it is tried again.
    Failing(String),
    /// Nothing is registered any more: the server stops.
    Withdrawn,
}

/// What was asked by [`Registry::ask`], answered.
pub type Answers = mpsc::UnboundedReceiver<owners::Answer>;

/// The node's end of the registration.
pub struct Registry {
    wanted: watch::Sender<Option<Wanted>>,
    standing: watch::Receiver<Standing>,
    questions: mpsc::UnboundedSender<owners::Question>,
    owners: watch::Receiver<owners::Standing>,
    task: tokio::task::JoinHandle<()>,
}

impl Registry {
    /// Starts to register, and to answer what is asked of owner nodes. Must be called on a runtime.
    pub fn start(options: Options, wanted: Wanted) -> (Registry, Answers) {
        let broker = wanted.broker;
        let (wanted, wanted_seen) = watch::channel(Some(wanted));
        let (tell, standing) = watch::channel(Standing::default());
        let (questions, asked) = mpsc::unbounded_channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let (tell_owners, owners) = watch::channel(owners::Standing::default());
        let reader = owners::Reader::new(&options.root, broker, asked, answer, tell_owners);
        let task = tokio::spawn(session::keep(options, wanted_seen, tell, reader));
        let registry = Registry {
            wanted,
            standing,
            questions,
            owners,
            task,
        };
        (registry, answers)
    }

    /// Asks what owner nodes say. Each question is answered once.
    ///
    /// # Errors
    /// The question, if there is nobody left to ask.
    pub fn ask(&self, question: owners::Question) -> Result<(), owners::Question> {
        self.questions
            .send(question)
            .map_err(|mpsc::error::SendError(question)| question)
    }

    /// Whether owner nodes can be read now.
    pub fn owners(&self) -> owners::Standing {
        self.owners.borrow().clone()
    }

    /// Changes what is wanted; a topic whose settings changed is taken away and made again, because
    /// clients watch children and not data.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&wanted);
            *now = Some(wanted);
            changed
        });
    }

    /// How it stands now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Resolves when [`Registry::standing`] has changed.
    pub async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            // The task ended: nothing will change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Takes every node away, for at most `patience`, so that clients leave before the server stops.
    pub async fn withdraw(mut self, patience: Duration) {
        self.wanted.send_replace(None);
        if tokio::time::timeout(patience, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}
