//! What the library's tests have in common: golden files, transcripts, and the seed that a failing test prints.

pub(crate) mod golden;
mod replay;
pub(crate) mod transcript;

pub(crate) use replay::{Replay, seed_or};
