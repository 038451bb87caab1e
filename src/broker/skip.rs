//! Past damage: where an operator wants it, a get that meets a damaged record is sent on to the next good
//! one instead of being refused.
//!
//! The search for that record reads the file, so it is work for the disk; the gets that need it wait. What
//! was found is remembered with the file until the process ends, and searched for again then.
//!
//! The operator's word holds for what the partition held when it was given: damage in later messages wants another
//! one. It is about this server's own files, another one's may be whole. So it is no entry of the journal but a small
//! file of this server, a line for each partition:
//!
//! ```text
//! 2 1073745920 orders            partition 2 of orders, what is in front of offset 1073745920
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;

use super::Broker;
use super::event::{Effect, Ticket, Warning};
use super::reply::{Refusal, RefusalKind, Reply};
use super::request::Name;
use super::waiting::WaitingGet;
use crate::segments::FileId;
use crate::segments::search::Outcome;
use crate::segments::verify::Range;

/// Gets that may wait for searches at a time.
const SEARCHING_MAX: usize = 8192;

/// Searches under way, and the gets that wait for them.
#[derive(Debug, Default)]
pub(super) struct Searches {
    jobs: BTreeMap<Ticket, (Range, Vec<WaitingGet>)>,
}

impl Searches {
    pub(super) fn clear(&mut self) {
        self.jobs.clear();
    }
}

impl Broker {
    /// Lets consumers of a partition go on behind damage in what it holds now.
    pub(super) fn skip_damage(&mut self, topic: &Name, partition: i32, effects: &mut Vec<Effect>) {
        let topic = self.catalog.find(topic);
        let id = topic.and_then(|topic| self.catalog.topic(topic).partition(partition));
        if let Some(id) = id {
            let partition = &mut self.partitions[id.0 as usize];
            partition.skips_below = partition.segments.end();
            self.save_skips(effects);
        }
    }

    /// What [`Effect::SaveSkips`] kept, before the first event. Lines that say nothing are passed over: at worst
    /// damage is told of once more.
    pub fn restore_skips(&mut self, content: &str) {
        for line in content.lines() {
            let mut words = line.splitn(3, ' ');
            let number = words.next().and_then(|word| word.parse().ok());
            let below = words.next().and_then(|word| word.parse().ok());
            if let (Some(number), Some(below), Some(topic)) = (number, below, words.next())
                && let Some(topic) = self.catalog.find(&Name::from(topic))
                && let Some(id) = self.catalog.topic(topic).partition(number)
            {
                self.partitions[id.0 as usize].skips_below = below;
            }
        }
    }

    /// Forgets what is not about the files that are there: they are gone, or others are in their place.
    pub(super) fn forget_skips(&mut self, effects: &mut Vec<Effect>) {
        let mut any = false;
        for partition in &mut self.partitions {
            let (first, end) = (partition.segments.first(), partition.segments.end());
            let below = partition.skips_below;
            if below > 0 && (below <= first || below > end) {
                partition.skips_below = 0;
                any = true;
            }
        }
        if any {
            self.save_skips(effects);
        }
    }

    fn save_skips(&self, effects: &mut Vec<Effect>) {
        let mut content = String::new();
        for partition in self.partitions.iter().filter(|it| it.skips_below > 0) {
            let topic = &self.catalog.topic(partition.topic).name;
            let (number, below) = (partition.number, partition.skips_below);
            // Writing into a string does not fail.
            let _ = writeln!(content, "{number} {below} {topic}");
        }
        let content = Bytes::from(content);
        effects.push(Effect::SaveSkips { content });
    }

    /// Sends a get on that met damage at `at`, or lets it wait until it is known whereto.
    pub(super) fn pass_damage(
        &mut self,
        file: FileId,
        at: u64,
        get: WaitingGet,
        effects: &mut Vec<Effect>,
    ) -> Option<Reply> {
        let partition = &mut self.partitions[file.partition.0 as usize];
        let visible = partition.visible;
        let segment = partition.segments.starting_at(file.start)?;
        // Nobody is sent back: what a consumer has behind it, it has seen.
        let from = at.max(get.offset.saturating_sub(file.start));
        if let Some(next) = segment.verified.detour(from) {
            return Some(Reply::Moved(file.start + next));
        }
        let length = segment.end().min(visible).saturating_sub(file.start);
        let range = Range {
            file,
            from,
            // What was written in this run is good, and begins with a record.
            to: length.min(segment.verified.fresh_from()),
            length,
        };
        let jobs = &mut self.searches.jobs;
        if jobs.values().map(|(_, gets)| gets.len()).sum::<usize>() >= SEARCHING_MAX {
            let kind = RefusalKind::Unavailable;
            let text = "too many reads behind damage at a time".to_owned();
            return Some(Reply::Refused(Refusal { kind, text }));
        }
        let same = |(other, _): &&mut (Range, _)| (other.file, other.from) == (file, from);
        if let Some((_, gets)) = jobs.values_mut().find(same) {
            gets.push(get);
            return None;
        }
        let ticket = self.ticket();
        self.searches.jobs.insert(ticket, (range, vec![get]));
        effects.push(Effect::Search { ticket, range });
        None
    }

    /// A search is done: the gets that waited for it go on.
    pub(super) fn searched(&mut self, ticket: Ticket, outcome: Outcome, effects: &mut Vec<Effect>) {
        let Some((range, gets)) = self.searches.jobs.remove(&ticket) else {
            return;
        };
        let file = range.file;
        let next = match outcome {
            Outcome::Found(position) => Some(position),
            Outcome::Nothing => Some(range.to),
            Outcome::Unreadable => None,
        };
        let segments = &mut self.partitions[file.partition.0 as usize].segments;
        let Some(segment) = segments.starting_at(file.start) else {
            // Deleted meanwhile: the gets are told where the partition begins.
            for get in gets {
                self.serve(get, effects);
            }
            return;
        };
        if let Some(next) = next {
            segment.verified.learn_detour(range.from, next);
            let (topic, number) = self.name_of(file.partition);
            effects.push(Effect::Warn(Warning::DamageSkipped {
                topic: topic.clone(),
                partition: number,
                from: file.start + range.from,
                to: file.start + next,
            }));
        }
        for get in gets {
            let reply = match next {
                Some(next) => Reply::Moved(file.start + next),
                None => self.get_failed(file.partition, "the file cannot be read"),
            };
            effects.push(Effect::Reply {
                connection: get.connection,
                opaque: get.opaque,
                reply,
            });
        }
    }
}
