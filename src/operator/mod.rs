//! What people see: commands, and the status they show.

pub mod cli;
pub mod status;
