//! What the library's tests have in common: transcripts, and the seed that a failing test prints.

mod replay;
pub(crate) mod transcript;

pub(crate) use replay::{Replay, seed_or};
