//! `chrysalis doctor`: what is wrong with a server, why, and what cures it.
//!
//! [`facts`] are gathered first: files, the kernel, the server's own answers. A check is a plain function over them that
//! finds one thing, so a test tells it of a fault by changing a fact. [`checks`] has all of them, the gravest first, and
//! the table in docs/operating.md is made from it. What one check finds may explain what others found: those are not told
//! beside it, because an operator is to be led to the cause.
//!
//! Nothing here changes a server. To add a check: a row in `checks`, and a fault in `tests` that triggers it.

mod check;
pub mod checks;
pub mod document;
mod examination;
pub mod facts;
mod finding;
mod gather;
mod json;
mod text;

pub use check::{Check, Severity};
pub use examination::{Examination, Found, examine};
pub use facts::Facts;
pub use finding::{Cure, Finding};
pub use gather::gather;
pub use json::as_json;
pub use text::as_text;

#[cfg(test)]
mod tests;
