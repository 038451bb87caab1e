//! One server on a machine: the shell around [`crate::node`]. What knows sockets, tasks, the clock, the
//! environment or an operator is here.

// What an operator is told when a server cannot start or go on.
mod advice;
// Accepting connections, whatever the port.
mod accept;
// Local commands.
mod control;
// What becomes of a damaged journal where there are others.
mod damaged_journal;
// How the file descriptors are shared out.
mod descriptors;
// Connections to other servers.
mod dial;
// Sockets, the disk's descriptor and the clock become events.
mod event_loop;
// What a start would meet.
pub(crate) mod foresight;
// Whether the server serves, and does all it is there for.
mod health;
// From a folder to its journal.
mod journal_start;
// The folders that are this server's alone.
mod ours;
// What a start would refuse.
mod preflight;
// A new certificate before the present one ends.
mod renewal;
// That an ensemble goes on with one server, or what clients have seen may be lost.
pub(crate) mod recovery;
// One server from start to stop.
mod run;
// How servers of a cluster know each other.
mod security;
// The configuration as each part wants it.
mod settings;
// From a folder to a node.
mod startup;
// How the server is doing.
mod status;
// What the machine says of itself.
mod system;
// `topic describe`.
mod topic_detail;
// Topics on disk at the start.
mod topics;
// The web port.
mod web;

pub use advice::{ended, flag, unreadable};
pub use preflight::preflight;
pub use run::run;
pub use settings::log as log_options;
pub use startup::{Start, open};
pub use system::{Random, System};
