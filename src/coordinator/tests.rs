//! Tests of the coordinator as a whole: transcripts in `scripts/`, and properties.

pub(super) mod harness;
mod model;
mod moves;
mod properties;
mod script;
mod walk;
