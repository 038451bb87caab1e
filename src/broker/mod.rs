//! Topics, partitions and waiting gets.
//!
//! The core knows no socket, file or clock: requests and what the disk and the consensus report come in as
//! [`Event`]s, everything the world must do leaves as [`Effect`]s.

pub mod event;
pub mod options;
pub mod reply;
pub mod request;
pub mod topic;

pub use event::{Effect, Event, Pressure, Ticket, TopicRegistration, Warning};
pub use options::{Options, WaitingOptions};
pub use reply::{Refusal, RefusalKind, Reply};
pub use request::{Get, Name, OffsetQuery, Put, Request, Sync, Transaction, TransactionStep};
pub use topic::{Section, Settings, Topics};

use crate::units::{Moment, Seed};

/// The state of one broker identity.
#[derive(Debug)]
pub struct Broker {
    options: Options,
}

impl Broker {
    /// A broker without any partition.
    pub fn new(options: Options, _seed: Seed) -> Broker {
        Broker { options }
    }

    /// Takes in one event. Everything the world must now do is pushed to `effects`, in order.
    pub fn handle(&mut self, _now: Moment, _event: Event, _effects: &mut Vec<Effect>) {}

    /// When [`Event::Tick`] must come at the latest.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// What an operator may see.
    pub fn status(&self) -> Status {
        Status {
            topics: self.options.topics.sections.len(),
        }
    }
}

/// What an operator may see of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Configured sections.
    pub topics: usize,
}
