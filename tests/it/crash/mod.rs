//! Nothing acknowledged is lost: the journal on a disk that forgets, tears, rots and fails.
//!
//! `CHRYSALIS_TESTS=full` runs many more seeds. A failure prints the command that replays it.

/// When a batch closes, how long it gets, and whose records go first.
mod batches;
/// Files whose checksums are right and whose numbers are not.
mod forged;
/// The journal under power cuts, damage and failing calls.
mod journal;
/// What must be remembered.
mod model;
/// What outlives the file it was written in, and what frees files.
mod reuse;
/// A journal on the simulated disk, driven by a seed.
mod world;
