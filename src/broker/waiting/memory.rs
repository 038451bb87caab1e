//! How much a client's process was sent, and where the last message of each partition begins.
//!
//! A Java client remembers the ids of the last 4,096 messages that it read or passed over, in one memory of its
//! process: for all its groups, connections and brokers. A message may be sent again only while it is surely
//! in there, so what goes to a process is counted; what cannot be counted for one process counts for all.

use std::collections::{HashMap, VecDeque};

/// Messages that a process remembers: the 4,096 of the client, and some less for those that are on their way.
pub(super) const MEMORY: u64 = 4000;
/// Messages that may have gone to a process from here since it read one that it is to remember: a quarter of its memory.
pub(super) const REMEMBERED: u64 = 1000;
/// Known points of a partition, the newest last.
const POINTS_MAX: usize = 40;
/// Points closer to each other than so many messages become one.
const POINT_MESSAGES: u64 = 32;
/// No record is shorter.
const RECORD_BYTES_MIN: u64 = crate::segments::format::HEADER_BYTES as u64;

/// What was sent to the processes of clients, in messages.
#[derive(Debug)]
pub(super) struct Sent {
    processes: HashMap<String, u64, ahash::RandomState>,
    /// Messages to clients that are no process known by name.
    unattributed: u64,
    total: u64,
}

impl Sent {
    pub(super) fn new(hasher: ahash::RandomState) -> Sent {
        Sent {
            processes: HashMap::with_hasher(hasher),
            unattributed: 0,
            total: 0,
        }
    }

    /// `None`: to a client that is no process known by name.
    pub(super) fn count(&mut self, process: Option<&str>, messages: u64) {
        self.total += messages;
        match process {
            Some(process) => match self.processes.get_mut(process) {
                Some(sent) => *sent += messages,
                // One that was forgotten and comes back counts from all that was ever sent.
                None => {
                    self.processes.insert(process.to_owned(), self.total);
                }
            },
            None => self.unattributed += messages,
        }
    }

    /// A clock of messages: the difference of two readings is what the process may have been sent between.
    pub(super) fn reading(&mut self, process: &str) -> u64 {
        if !self.processes.contains_key(process) {
            self.processes.insert(process.to_owned(), self.total);
        }
        self.processes[process] + self.unattributed
    }

    /// Messages that were sent to clients that are no process known by name.
    pub(super) fn unattributed(&self) -> u64 {
        self.unattributed
    }

    /// Messages that were sent to anybody.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Messages that a process may have been sent since a reading.
    pub(super) fn since(&self, process: &str, reading: u64) -> u64 {
        self.processes.get(process).map_or(u64::MAX, |sent| {
            (sent + self.unattributed).saturating_sub(reading)
        })
    }

    /// Forgets the processes that nobody names.
    pub(super) fn keep(&mut self, named: impl Fn(&str) -> bool) {
        self.processes.retain(|process, _| named(process));
    }

    pub(super) fn clear(&mut self) {
        self.processes.clear();
    }
}

/// What was appended to a partition in this run: its last record, and how many messages lie between.
#[derive(Debug, Default)]
pub(super) struct Appended {
    last: Option<(u64, u64)>,
    messages: u64,
    /// Ends of runs, each with the messages counted up to there.
    points: VecDeque<(u64, u64)>,
}

impl Appended {
    /// Records were appended: from where, how many, the start of the last, the end.
    pub(super) fn run(&mut self, from: u64, messages: u64, last: u64, end: u64) {
        if self.points.back().is_none_or(|&(at, _)| at != from) {
            self.points.clear();
            self.points.push_back((from, self.messages));
        }
        self.messages += messages;
        self.last = Some((last, end));
        let close = |&(_, count): &(u64, u64)| self.messages - count < POINT_MESSAGES;
        if self.points.len() >= 2 && self.points.get(self.points.len() - 2).is_some_and(close) {
            self.points.pop_back();
        }
        self.points.push_back((end, self.messages));
        if self.points.len() > POINTS_MAX {
            self.points.pop_front();
        }
    }

    /// Whether there is more behind this offset, perhaps not to be seen yet.
    pub(super) fn reaches_beyond(&self, offset: u64) -> bool {
        self.last.is_some_and(|(_, end)| end > offset)
    }

    /// Where the record begins that ends here, if it is the last one.
    pub(super) fn last_before(&self, end: u64) -> Option<u64> {
        self.last.filter(|last| last.1 == end).map(|last| last.0)
    }

    /// At most so many messages lie between two offsets.
    pub(super) fn messages_between(&self, from: u64, to: u64) -> u64 {
        let bytes = to.saturating_sub(from) / RECORD_BYTES_MIN;
        if self.last == Some((from, to)) {
            return 1;
        }
        let below = self.points.partition_point(|&(at, _)| at <= from);
        let Some(&(_, before)) = below.checked_sub(1).and_then(|nth| self.points.get(nth)) else {
            return bytes;
        };
        let above = self.points.partition_point(|&(at, _)| at < to);
        let after = self
            .points
            .get(above)
            .map_or(self.messages, |&(_, count)| count);
        bytes.min(after - before)
    }
}

#[cfg(test)]
mod tests {
    use super::{Appended, Sent};
    use crate::units::{Random, Seed};

    #[test]
    fn messages_between_two_offsets_are_never_counted_too_few() {
        let mut random = Random::new(Seed(7));
        let mut appended = Appended::default();
        let mut ends = vec![1000];
        for _ in 0..2000 {
            let from = *ends.last().unwrap();
            let messages = 1 + random.below(40);
            let (mut last, mut end) = (from, from);
            for _ in 0..messages {
                last = end;
                end += 20 + random.below(100);
                ends.push(end);
            }
            appended.run(from, messages, last, end);
            assert_eq!(appended.last_before(end), Some(last));
            assert_eq!(appended.last_before(end - 1), None);
            assert_eq!(appended.messages_between(last, end), 1);
        }
        for _ in 0..5000 {
            let a = usize::try_from(random.below(ends.len() as u64)).unwrap();
            let b = usize::try_from(random.below(ends.len() as u64)).unwrap();
            let (a, b) = (a.min(b), a.max(b));
            let counted = appended.messages_between(ends[a], ends[b]);
            assert!(counted >= (b - a) as u64, "{a} to {b}: {counted}");
        }
        // Of the newest ones the count is not far off.
        let b = ends.len() - 1;
        assert!(appended.messages_between(ends[b - 300], ends[b]) < 300 + 3 * 40);
    }

    #[test]
    fn what_a_process_may_have_been_sent_is_never_counted_too_low() {
        let mut sent = Sent::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        let before = sent.reading("a");
        sent.count(Some("a"), 3);
        sent.count(Some("b"), 50);
        assert_eq!(sent.reading("a") - before, 3);
        // What has no name may be anybody's.
        sent.count(None, 4);
        assert_eq!(sent.reading("a") - before, 7);
        // Forgotten in between, it is not taken to have been idle.
        sent.keep(|process| process != "a");
        sent.count(Some("b"), 2000);
        assert!(sent.reading("a") - before > 1000);
    }
}
