//! Which processes read from other brokers, too: what those send is in the same memory of ids, and cannot be counted here.
//!
//! A process is known by its consumers' names in the owner nodes of the groups that own something here. One whose other
//! groups are all elsewhere, or that reads from another cluster, is not known; docs/compatibility.md says so.

use std::collections::HashMap;
use std::time::Duration;

use super::identity::{self, Client};
use super::{GroupId, Waiting};
use crate::broker::request::Name;

/// No process is expected to read more messages a millisecond from other brokers.
const MESSAGES_A_MS: u128 = 20;

/// As many messages as a process may have read from other brokers in this time.
pub(super) fn read_at_most(passed: Duration) -> u64 {
    // A millisecond that has begun counts whole.
    u64::try_from((passed.as_millis() + 1) * MESSAGES_A_MS).unwrap_or(u64::MAX / 2)
}

/// The processes that own partitions of other brokers, with how many groups say so.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    processes: HashMap<String, usize>,
}

impl Elsewhere {
    pub(super) fn has(&self, process: &str) -> bool {
        self.processes.contains_key(process)
    }

    pub(super) fn clear(&mut self) {
        self.processes.clear();
    }

    fn add(&mut self, process: &str) {
        *self.processes.entry(process.to_owned()).or_default() += 1;
    }

    fn remove(&mut self, process: &str) {
        if let Some(groups) = self.processes.get_mut(process) {
            *groups -= 1;
            if *groups == 0 {
                self.processes.remove(process);
            }
        }
    }
}

impl Waiting {
    /// These consumers of a group own partitions of other brokers.
    pub(super) fn note_elsewhere(&mut self, id: GroupId, consumers: &[Name]) {
        let group = self.group_mut(id);
        let name = group.name.clone();
        let process = |consumer: &Name| match identity::client(name.as_str(), consumer.as_str()) {
            Client::Remembers { process } => Some(process),
            Client::Rereads | Client::Unknown => None,
        };
        let now: Vec<String> = consumers.iter().filter_map(process).collect();
        let before = std::mem::replace(&mut group.elsewhere, now.clone());
        for process in &now {
            self.elsewhere.add(process);
        }
        self.forget_elsewhere(&before);
    }

    /// A group says this of them no more.
    pub(super) fn forget_elsewhere(&mut self, processes: &[String]) {
        for process in processes {
            self.elsewhere.remove(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Elsewhere, read_at_most};
    use crate::broker::waiting::memory::MEMORY;
    use std::time::Duration;

    #[test]
    fn a_process_reads_elsewhere_as_long_as_one_of_its_groups_does() {
        let mut elsewhere = Elsewhere::default();
        elsewhere.add("10.0.0.1-17");
        elsewhere.add("10.0.0.1-17");
        elsewhere.remove("10.0.0.1-17");
        assert!(elsewhere.has("10.0.0.1-17"));
        elsewhere.remove("10.0.0.1-17");
        assert!(!elsewhere.has("10.0.0.1-17"));
    }

    #[test]
    fn twenty_thousand_messages_a_second_fill_the_memory_in_a_fifth_of_one() {
        assert!(read_at_most(Duration::from_millis(198)) < MEMORY);
        assert!(read_at_most(Duration::from_millis(199)) >= MEMORY);
    }
}
