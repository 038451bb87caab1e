//! Which processes read from other brokers, too: what those send is in the same memory of ids. Brokers of the same ensemble
//! tell how much that is (`beside`); what others send cannot be counted here, and is assumed.
//!
//! A process is known by its consumers' names in the owner nodes of the groups that own something here. One whose other
//! groups are all elsewhere, or that reads from another cluster, is not known; docs/compatibility.md says so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::identity::{self, Client};
use super::{Brokers, ConsumerId, Elsewhere, GroupId, Waiting};
use crate::broker::request::Name;
use crate::units::{Moment, ServerId};

/// No process is expected to read more messages a millisecond from other brokers.
const MESSAGES_A_MS: u128 = 20;

/// As many messages as a process may have read from other brokers in this time.
pub(super) fn read_at_most(passed: Duration) -> u64 {
    // A millisecond that has begun counts whole.
    u64::try_from((passed.as_millis() + 1) * MESSAGES_A_MS).unwrap_or(u64::MAX / 2)
}

/// The processes that own partitions of other brokers, and of which, with how many groups say so.
#[derive(Debug, Default)]
pub(super) struct Processes {
    brokers: BTreeMap<String, BTreeMap<Option<ServerId>, usize>>,
}

impl Processes {
    pub(super) fn has(&self, process: &str) -> bool {
        self.brokers.contains_key(process)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.brokers.is_empty()
    }

    /// All of them, in a fixed order.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.brokers.keys().map(String::as_str)
    }

    /// The brokers that a process reads from.
    pub(super) fn brokers(&self, process: &str) -> impl Iterator<Item = Option<ServerId>> {
        let brokers = self.brokers.get(process);
        brokers.into_iter().flat_map(|it| it.keys().copied())
    }

    pub(super) fn clear(&mut self) {
        self.brokers.clear();
    }

    fn add(&mut self, process: &str, brokers: &Brokers) {
        let known = self.brokers.entry(process.to_owned()).or_default();
        for broker in brokers {
            *known.entry(*broker).or_default() += 1;
        }
    }

    fn remove(&mut self, process: &str, brokers: &Brokers) {
        let Some(known) = self.brokers.get_mut(process) else {
            return;
        };
        for broker in brokers {
            if let Some(groups) = known.get_mut(broker) {
                *groups -= 1;
                if *groups == 0 {
                    known.remove(broker);
                }
            }
        }
        if known.is_empty() {
            self.brokers.remove(process);
        }
    }
}

impl Waiting {
    /// These consumers of a group own partitions of other brokers.
    pub(super) fn note_elsewhere(&mut self, id: GroupId, consumers: &[Elsewhere]) {
        let group = self.group_mut(id);
        let name = group.name.clone();
        let process = |one: &Elsewhere| match identity::client(name.as_str(), one.consumer.as_str())
        {
            Client::Remembers { process } => Some((process, one.brokers.clone())),
            Client::Rereads | Client::Unknown => None,
        };
        let now: Vec<(String, Brokers)> = consumers.iter().filter_map(process).collect();
        let before = std::mem::replace(&mut group.elsewhere, now.clone());
        for (process, brokers) in &now {
            self.elsewhere.add(process, brokers);
        }
        self.forget_elsewhere(&before);
    }

    /// A group says this of them no more.
    pub(super) fn forget_elsewhere(&mut self, processes: &[(String, Brokers)]) {
        for (process, brokers) in processes {
            self.elsewhere.remove(process, brokers);
        }
    }

    /// Of which other brokers a consumer owns partitions, by what was read of its group.
    pub(super) fn note_brokers(&mut self, now: Moment, owner: ConsumerId, elsewhere: &[Elsewhere]) {
        let consumer = self.consumer_mut(owner);
        let named = |name: &Name| elsewhere.iter().find(|one| one.consumer == *name);
        let brokers = named(&consumer.name).map_or_else(Brokers::new, |one| one.brokers.clone());
        let before = std::mem::replace(&mut consumer.brokers, brokers);
        if consumer.brokers != before && consumer.is_elsewhere() {
            self.stir(now);
            self.hold_beside_others(now, owner);
            self.make_room(now, owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Processes, read_at_most};
    use crate::broker::waiting::Brokers;
    use crate::broker::waiting::memory::MEMORY;
    use crate::units::ServerId;
    use std::time::Duration;

    #[test]
    fn a_process_reads_elsewhere_as_long_as_one_of_its_groups_does() {
        let mut elsewhere = Processes::default();
        let brokers =
            |ids: &[u16]| -> Brokers { ids.iter().map(|id| Some(ServerId(*id))).collect() };
        elsewhere.add("10.0.0.1-17", &brokers(&[2]));
        elsewhere.add("10.0.0.1-17", &brokers(&[2, 3]));
        let of = |elsewhere: &Processes| elsewhere.brokers("10.0.0.1-17").collect::<Brokers>();
        assert_eq!(of(&elsewhere), brokers(&[2, 3]));
        elsewhere.remove("10.0.0.1-17", &brokers(&[2, 3]));
        assert!(elsewhere.has("10.0.0.1-17"));
        assert_eq!(of(&elsewhere), brokers(&[2]));
        elsewhere.remove("10.0.0.1-17", &brokers(&[2]));
        assert!(!elsewhere.has("10.0.0.1-17"));
    }

    #[test]
    fn twenty_thousand_messages_a_second_fill_the_memory_in_a_fifth_of_one() {
        assert!(read_at_most(Duration::from_millis(198)) < MEMORY);
        assert!(read_at_most(Duration::from_millis(199)) >= MEMORY);
    }
}
