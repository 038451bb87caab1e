//! MetaQ's client protocol: lines of text with binary bodies.
//!
//! [`request::decode`] and [`reply::encode`] are the broker's side, [`request::encode`] and
//! [`reply::decode`] the client's. All four take or leave bytes in a buffer and keep no state; what
//! cannot be understood is a [`DecodeError`], and never a panic. Golden bytes in `tests/golden/metaq`
//! are the format's specification.

// Numbers as text.
mod decimal;
// Where one frame ends and the next begins.
mod frame;
// What a broker sends.
pub mod reply;
// What clients send.
pub mod request;
// The numbers in `result` lines.
pub mod status_code;
// Header lines cut into tokens.
mod token;
// Names of transactions.
mod transaction_key;

pub use frame::{DecodeError, Decoded, Limits};
pub use status_code::StatusCode;

#[cfg(test)]
mod tests;
