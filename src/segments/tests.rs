//! Tests of the segments as a whole: golden bytes, transcripts in `scripts/`, and properties.

mod golden;
mod properties;
mod script;
