//! Tests of the broker as a whole: transcripts in `scripts/`, golden vectors, and properties.

mod golden;
mod harness;
mod java_brokers;
mod java_client;
mod java_consumers;
mod java_matrix;
mod properties;
mod script;
mod words;
