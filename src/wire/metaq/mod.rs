//! MetaQ.

mod decimal;
pub mod status_code;
mod token;
