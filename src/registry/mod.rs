//! The broker's nodes in ZooKeeper, built-in or external, in both of Metamorphosis's layouts.
//!
//! The node says what it wants to be seen as ([`Wanted`]); a task holds a session and makes it so, again
//! after every expiry, and takes away what is no longer wanted. What is wanted is worked out without
//! I/O in `plan`; `session` and `nodes` do the talking through the `zookeeper-client` crate. Layout and
//! moments are those of `metamorphosis-server` 1.4.6.2.
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
// One node, and what is done about it.
mod errand;
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
    /// The nodes are being made as they are wanted now.
    Registering,
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

/// A wish, and its number: they rise.
#[derive(Clone, Debug)]
struct Wish {
    number: u64,
    wanted: Wanted,
}

/// The node's end of the registration.
pub struct Registry {
    wish: watch::Sender<Option<Wish>>,
    /// How it stands, and with which wish.
    standing: watch::Receiver<(u64, Standing)>,
    questions: mpsc::UnboundedSender<owners::Question>,
    owners: watch::Receiver<owners::Standing>,
    task: tokio::task::JoinHandle<()>,
}

impl Registry {
    /// Starts to register, and to answer what is asked of owner nodes. Must be called on a runtime.
    pub fn start(options: Options, wanted: Wanted) -> (Registry, Answers) {
        let broker = wanted.broker;
        let (wish, wish_seen) = watch::channel(Some(Wish { number: 0, wanted }));
        let (tell, standing) = watch::channel((0, Standing::default()));
        let (questions, asked) = mpsc::unbounded_channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let (tell_owners, owners) = watch::channel(owners::Standing::default());
        let reader = owners::Reader::new(&options.root, broker, asked, answer, tell_owners);
        let task = tokio::spawn(session::keep(options, wish_seen, tell, reader));
        let registry = Registry {
            wish,
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
        self.wish.send_if_modified(|now| {
            if now.as_ref().is_some_and(|now| now.wanted == wanted) {
                return false;
            }
            let number = now.as_ref().map_or(0, |now| now.number + 1);
            *now = Some(Wish { number, wanted });
            true
        });
    }

    /// How it stands now, with what is wanted now.
    pub fn standing(&self) -> Standing {
        let number = self.wish.borrow().as_ref().map(|wish| wish.number);
        match &*self.standing.borrow() {
            (met, Standing::Registered) if Some(*met) != number => Standing::Registering,
            (_, standing) => standing.clone(),
        }
    }

    /// Resolves when the first wish is true, or is known to wait for something that may take long.
    pub fn settled(&self) -> impl Future<Output = ()> + use<> {
        let mut standing = self.standing.clone();
        async move {
            let settled = |(_, standing): &(u64, Standing)| match standing {
                Standing::Connecting | Standing::Registering => false,
                Standing::Registered
                | Standing::Conflict(_)
                | Standing::Failing(_)
                | Standing::Withdrawn => true,
            };
            // An error says that the task has ended: nothing will change any more.
            let _ = standing.wait_for(settled).await;
        }
    }

    /// Takes every node away, for at most `patience`, so that clients leave before the server stops.
    pub async fn withdraw(mut self, patience: Duration) {
        self.wish.send_replace(None);
        if tokio::time::timeout(patience, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}
