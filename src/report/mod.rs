//! Telling: error codes and their pages, what an operator reads when something fails, exit codes, logs,
//! metrics.
//!
//! Nothing here decides anything. An [`Error`] is for people: the parts of the program have error types
//! of their own, which are turned into one where they meet an operator.

mod code;
mod error;
mod exit;
mod names;

// Lines for people, and those that could not be written.
pub mod lines;
pub mod metrics;
// Log lines that are not repeated.
pub mod throttle;
pub mod tracing;

pub use code::{Code, NotACode};
pub use error::{Error, chain};
pub use exit::ExitCode;
pub use names::{shell_word, some_of};
