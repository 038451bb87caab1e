//! Tests of the coordinator as a whole: transcripts in `scripts/`, and properties.

mod harness;
mod model;
mod properties;
mod script;
