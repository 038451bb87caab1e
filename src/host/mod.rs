//! What of Chrysalis is on this host, what should be, and the way from the one to the other.
//!
//! [`Facts`] are what is there, a [`Wish`] is what should be, and a [`Plan`] is the difference as data: [`Step`]s that
//! can be told, carried out and undone. Nothing is remembered between two runs: a plan is made anew from what is there,
//! so a run that was cut off at any place goes on when it is run again, and a second run of one that ended finds
//! nothing to do.

mod facts;
mod layout;
mod plan;
mod proof;
mod removal;
mod step;
mod tools;
mod units;
mod wish;

pub use facts::Facts;
pub use layout::{COMMAND, DEFAULT_PREFIX, Layout};
pub use plan::{Plan, plan};
pub use proof::{Proof, prove};
pub use removal::{Kept, Removal, removal};
pub use step::{Bring, Failed, Step, carry_out};
pub use units::ACCOUNT;
pub use wish::{NewServer, Source, Wish};

/// What a step or a question to the host needs that went wrong, for an operator.
type Result<T> = std::result::Result<T, crate::report::Error>;
