//! The figures that `stats` shows, with the names and the grammar of Metamorphosis: monitor tools take
//! them apart by position.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::put::Pending;
use super::request::Name;
use super::{Broker, Reply};
use crate::units::{LatencyHistogram, Moment};

/// Real-time figures begin anew after this time.
const WINDOW: Duration = Duration::from_secs(30 * 60);

/// What real-time figures are kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Put,
    Get,
    Offset,
    GetMiss,
    PutFailed,
    MessageSize,
}

const ITEMS: [(Item, &str); 6] = [
    (Item::Put, "put"),
    (Item::Get, "get"),
    (Item::Offset, "offset"),
    (Item::GetMiss, "get_miss"),
    (Item::PutFailed, "put_failed"),
    (Item::MessageSize, "message_size"),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counter {
    count: u64,
    value: u64,
}

/// The real-time figures of one topic. An item that was never recorded is different from one that is zero.
#[derive(Debug, Default)]
pub(super) struct TopicStats {
    counters: [Option<Counter>; ITEMS.len()],
    window: u64,
}

/// Counters of the broker.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) puts: u64,
    pub(super) gets: u64,
    pub(super) offsets: u64,
    pub(super) get_misses: u64,
    pub(super) puts_failed: u64,
    /// Gets that asked beyond the end.
    pub(super) gets_beyond_end: u64,
    pub(super) damaged_records: u64,
    /// Bytes of the records that were put and are visible.
    pub(super) put_bytes: u64,
    /// Bytes of records that gets were given.
    pub(super) get_bytes: u64,
    pub(super) put_latency: LatencyHistogram,
    pub(super) checkpoints: u64,
    started: Moment,
    window: u64,
    window_from: Moment,
}

impl Stats {
    pub(super) fn new(started: Moment) -> Stats {
        Stats {
            started,
            window_from: started,
            ..Stats::default()
        }
    }

    fn turn_window(&mut self, now: Moment) {
        if now.since(self.window_from) >= WINDOW {
            self.reset(now);
        }
    }

    fn reset(&mut self, now: Moment) {
        self.window += 1;
        self.window_from = now;
    }

    /// Counts puts that are answered now. Those that one read brought arrived together.
    pub(super) fn stored(&mut self, now: Moment, pending: &Pending) {
        self.put_bytes += pending.bytes as u64;
        for together in pending
            .replies
            .chunk_by(|one, next| one.arrived == next.arrived)
        {
            let took = now.since(together[0].arrived);
            self.put_latency.record_many(took, together.len() as u64);
        }
    }

    /// Records one occurrence for a topic that keeps real-time figures.
    pub(super) fn record(&mut self, now: Moment, topic: &mut TopicStats, item: Item, value: u64) {
        self.turn_window(now);
        topic.turn_window(self.window);
        let counter = topic.counters[item as usize].get_or_insert_default();
        counter.count += 1;
        counter.value += value;
    }
}

impl TopicStats {
    fn turn_window(&mut self, window: u64) {
        if self.window != window {
            self.window = window;
            self.counters
                .iter_mut()
                .flatten()
                .for_each(|counter| *counter = Counter::default());
        }
    }
}

/// `Count=c,Value=v,Value/Count=x,Count/Duration=y,Duration=s`.
fn figures(counter: Counter, duration_s: u64) -> String {
    let ratio = |dividend: u64, divisor: u64| match divisor {
        0 => "invalid".to_owned(),
        _ => two_decimals(dividend, divisor),
    };
    let Counter { count, value } = counter;
    format!(
        "Count={count},Value={value},Value/Count={},Count/Duration={},Duration={duration_s}",
        ratio(value, count),
        ratio(count, duration_s),
    )
}

/// A ratio with at most two decimals.
fn two_decimals(dividend: u64, divisor: u64) -> String {
    let hundredths = u128::from(dividend) * 100;
    let divisor = u128::from(divisor);
    let (mut quotient, rest) = (hundredths / divisor, hundredths % divisor);
    // To the nearest, a tie to the even one, as Java's number format does.
    if rest * 2 > divisor || rest * 2 == divisor && quotient % 2 == 1 {
        quotient += 1;
    }
    let (whole, part) = (quotient / 100, quotient % 100);
    match part {
        0 => whole.to_string(),
        part if part % 10 == 0 => format!("{whole}.{}", part / 10),
        part => format!("{whole}.{part:02}"),
    }
}

impl Broker {
    /// Answers `stats`.
    pub(super) fn stats(&mut self, now: Moment, item: &Name) -> Reply {
        self.stats.turn_window(now);
        let item = item.as_str();
        if item == "config" {
            return Reply::Text(self.catalog.config_text.clone());
        }
        let mut lines = Lines("STATS\r\n".to_owned());
        match item {
            item if item.trim().is_empty() => self.stats_broker(now, &mut lines),
            "topics" => self.stats_topics(&mut lines),
            "offsets" => self.stats_offsets(&mut lines),
            "realtime" => self.stats_realtime(now, &mut lines),
            "help" => {
                lines.line("*EMPTY*", "figures of the broker");
                lines.line("help", "this list");
                lines.line("topics", "messages and bytes of each topic");
                lines.line("offsets", "first and last offset of each partition");
                lines.line("realtime", "what happened in the last half hour");
                lines.line("config", "the broker's configuration file");
            }
            "reset" => {
                self.stats.reset(now);
                lines.line("reset", "ok");
            }
            topic => self.stats_topic(now, topic, &mut lines),
        }
        lines.0.push_str("END\r\n");
        Reply::Text(Bytes::from(lines.0))
    }

    fn stats_broker(&self, now: Moment, lines: &mut Lines) {
        let stats = &self.stats;
        lines.line("pid", self.options.pid);
        lines.line("broker_id", self.options.broker_id);
        lines.line("port", self.options.port);
        lines.line("uptime", now.since(stats.started).as_secs());
        lines.line("version", &self.options.version);
        lines.line("slave", false);
        lines.line("curr_connections", self.connections.len());
        lines.line("threads", self.options.threads);
        lines.line("cmd_put", stats.puts);
        lines.line("cmd_get", stats.gets);
        lines.line("cmd_offset", stats.offsets);
        lines.line("tx_begin", 0);
        lines.line("tx_xa_begin", 0);
        lines.line("tx_commit", 0);
        lines.line("tx_rollback", 0);
        lines.line("get_miss", stats.get_misses);
        lines.line("put_failed", stats.puts_failed);
        let messages: u64 = self
            .partitions
            .iter()
            .map(|one| one.segments.messages())
            .sum();
        let under_way = self.writer.messages_under_way(|_| true);
        lines.line("total_messages", messages + under_way);
        lines.line(
            "topics",
            self.topics_with_files().count() + self.topics_without_files().len(),
        );
        lines.line("config_checksum", self.catalog.config_checksum);
    }

    /// The topics with files: name, partitions with files, messages, bytes; by name.
    fn topics_with_files(&self) -> impl Iterator<Item = (&Name, usize, u64, u64)> {
        let mut list: Vec<_> = self
            .catalog
            .iter()
            .filter_map(|(_, topic)| {
                let ids = topic.partitions().iter().map(|&(_, id)| id);
                let ids: Vec<_> = ids.filter(|&id| self.partition(id).has_files()).collect();
                let partitions: Vec<_> = ids.iter().map(|&id| self.partition(id)).collect();
                let messages: u64 = partitions.iter().map(|one| one.segments.messages()).sum();
                let under_way = self.writer.messages_under_way(|id| ids.contains(&id));
                let bytes = partitions
                    .iter()
                    .map(|one| one.segments.end() - one.segments.first())
                    .sum();
                let row = (&topic.name, partitions.len(), messages + under_way, bytes);
                (!partitions.is_empty()).then_some(row)
            })
            .collect();
        list.sort_by_key(|&(name, ..)| name);
        list.into_iter()
    }

    /// The configured topics that have no files, in the order of the configuration.
    fn topics_without_files(&self) -> Vec<&Name> {
        let has_files = |name: &&Name| {
            let topic = self.catalog.find(name).map(|id| self.catalog.topic(id));
            topic.is_some_and(|topic| {
                topic
                    .partitions()
                    .iter()
                    .any(|&(_, id)| self.partition(id).has_files())
            })
        };
        self.catalog
            .configured_names()
            .iter()
            .filter(|name| !has_files(name))
            .collect()
    }

    fn stats_topics(&self, lines: &mut Lines) {
        for (topic, partitions, messages, bytes) in self.topics_with_files() {
            let settings = self.catalog.settings_for(topic.as_str());
            let settings = settings.as_deref().unwrap_or(&self.catalog.defaults);
            let value = format!(
                "partitions {partitions} message_count {messages} message_bytes {bytes} \
                 accept_publish {} accept_subscribe {}",
                settings.accept_publish, settings.accept_subscribe,
            );
            lines.line(topic.as_str(), value);
        }
        for topic in self.topics_without_files() {
            lines.line(topic.as_str(), "*Empty*");
        }
    }

    fn stats_offsets(&self, lines: &mut Lines) {
        let mut topics: Vec<_> = self.catalog.iter().map(|(_, topic)| topic).collect();
        topics.sort_by_key(|topic| &topic.name);
        for topic in topics {
            for &(number, id) in topic.partitions() {
                let partition = self.partition(id);
                if partition.has_files() {
                    let (first, end) = (partition.segments.first(), self.readable_end(id));
                    let value = format!("part {number} min_offset {first} max_offset {end}");
                    lines.line(topic.name.as_str(), value);
                }
            }
        }
    }

    fn stats_realtime(&mut self, now: Moment, lines: &mut Lines) {
        let duration_s = now.since(self.stats.window_from).as_secs();
        for (item, name) in ITEMS {
            let value = match self.realtime(item) {
                Some(counter) => figures(counter, duration_s),
                None => "null".to_owned(),
            };
            lines.line(&format!("realtime_{name}"), value);
        }
    }

    /// An item over all topics; `None` if none of them ever recorded it.
    fn realtime(&mut self, item: Item) -> Option<Counter> {
        let window = self.stats.window;
        let mut sum: Option<Counter> = None;
        for topic in self.catalog.iter_mut() {
            topic.stats.turn_window(window);
            if let Some(counter) = topic.stats.counters[item as usize] {
                let sum = sum.get_or_insert_default();
                sum.count += counter.count;
                sum.value += counter.value;
            }
        }
        sum
    }

    fn stats_topic(&mut self, now: Moment, topic: &str, lines: &mut Lines) {
        let name = Name::from(topic);
        let files = self.topics_with_files().find(|&(found, ..)| *found == name);
        let configured = self.catalog.configured_names().contains(&name);
        let (code, partitions, messages, bytes) = match files {
            Some((_, partitions, messages, bytes)) => (0, partitions, messages, bytes),
            None if configured => (2, 0, 0, 0),
            None => (1, 0, 0, 0),
        };
        lines.0.push_str(topic);
        lines.0.push_str("\r\n");
        lines.line("resultCode", code);
        lines.line("partitions", partitions);
        lines.line("message_count", messages);
        lines.line("bytes", bytes);
        let duration_s = now.since(self.stats.window_from).as_secs();
        let id = self.catalog.find(&name);
        for (item, key) in ITEMS {
            let any = self.realtime(item);
            let own = id.and_then(|id| self.catalog.topic(id).stats.counters[item as usize]);
            let value = match (any, own) {
                (None, _) => "null".to_owned(),
                (Some(_), None) => format!("Invalid keyTwo:{topic}"),
                (Some(_), Some(counter)) => figures(counter, duration_s),
            };
            lines.line(&format!("topic_realtime_{key}"), value);
        }
    }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        write!(self.0, "{key} {value}\r\n").expect("a string takes any text");
    }
}
