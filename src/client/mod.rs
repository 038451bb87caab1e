//! Clients in Rust, offered as the crate's library and used by the commands.

// A MetaQ producer and consumer.
pub mod metaq;
// Who reads which partition of a consumer group (pure).
pub mod rebalance;
// A small ZooKeeper client.
pub mod zookeeper;
