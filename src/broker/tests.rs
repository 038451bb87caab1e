//! Tests of the broker as a whole: transcripts in `scripts/`, golden vectors, and properties.

mod golden;
mod harness;
mod properties;
mod script;
