//! A MetaQ producer and consumer in Rust.

pub mod rebalance;
