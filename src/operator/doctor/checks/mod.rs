//! Every check, in the order in which an operator is told what they find: within one severity, the causes first.
//!
//! A certificate will have its checks here when servers speak TLS: a group of its own, before `ensemble`.

use super::check::Check;

// What the broker's clients meet.
mod broker;
// The disk, and what lies on it.
mod disk;
// The other servers.
mod ensemble;
// The host.
mod machine;
// The process.
mod process;
// What the server says of itself.
mod said;
// Why a server does not start.
mod start;

static GROUPS: [&[Check]; 7] = [
    &start::CHECKS,
    &process::CHECKS,
    &ensemble::CHECKS,
    &disk::CHECKS,
    &broker::CHECKS,
    &machine::CHECKS,
    &said::CHECKS,
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Check> {
    GROUPS.iter().flat_map(|group| group.iter())
}

#[cfg(test)]
pub(super) use said::CLAIMED;
