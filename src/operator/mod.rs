//! What people see: commands, and the status they show.

pub mod cli;
pub mod cluster;
// What is wrong, why, and what cures it.
pub mod doctor;
mod escaped;
pub mod status;
pub mod text;
