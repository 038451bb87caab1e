//! What people see: commands, and the status they show.

pub mod cli;
pub mod cluster;
mod escaped;
pub mod status;
pub mod text;
