//! ZooKeeper's client protocol, as 3.4.5 and later speak it.

pub mod four_letter;
pub mod frame;
