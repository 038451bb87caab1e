//! How a server is doing, as text: the model is `appliance::status`, and `--json` shows it as it is.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::appliance::status::{
    BrokerStatus, CoordinatorStatus, PartitionStatus, Registration, ServerState, ServerStatus,
    TopicDetail, TopicSummary,
};

/// The whole status, for people.
pub fn server(status: &ServerStatus) -> String {
    let mut lines = Lines::default();
    let state = match status.state {
        ServerState::Starting => "is starting",
        ServerState::Serving => "serves",
        ServerState::Stopping => "is stopping",
    };
    let uptime = duration(Duration::from_secs(status.uptime_s));
    lines.title(format_args!(
        "{} {state}, up {uptime} (process {}, version {})",
        status.name, status.pid, status.version
    ));
    lines.row("ports", &status.ports.to_string());
    if let Some(advertised) = &status.advertised {
        lines.row("advertised", advertised);
    }
    if let Some(it) = &status.coordinator {
        lines.row("coordinator", &coordinator(it));
    }
    if let Some(it) = &status.broker {
        lines.row("broker", &broker(it));
        lines.row("registration", &registration(&it.registration));
    }
    let journal = &status.journal;
    lines.row(
        "journal",
        &format!(
            "{} of at most {} files needed, {} written in {} batches through {}",
            journal.files_needed,
            journal.files_max,
            bytes(journal.written_bytes),
            journal.batches,
            journal.backend
        ),
    );
    let disk = &status.disk;
    lines.row(
        "disk",
        &format!(
            "{} free of {}",
            bytes(disk.free_bytes),
            bytes(disk.total_bytes)
        ),
    );
    lines.row("memory", &bytes(status.resident_bytes));
    for warning in &status.warnings {
        lines.row("warning", warning);
    }
    lines.text
}

fn coordinator(it: &CoordinatorStatus) -> String {
    format!(
        "{}, zxid 0x{:x}, {} znodes ({} ephemeral), {} watches, {} sessions, {} connections, {} requests",
        it.role,
        it.zxid,
        it.znodes,
        it.ephemerals,
        it.watches,
        it.sessions,
        it.connections,
        it.requests
    )
}

fn broker(it: &BrokerStatus) -> String {
    let mut text = format!(
        "{} topics, {} partitions, {} connections, {} gets waiting, {} messages stored, {} puts ({} failed), {} gets",
        it.topics,
        it.partitions,
        it.connections,
        it.held_gets,
        it.messages,
        it.puts,
        it.puts_failed,
        it.gets
    );
    if it.refusing_puts {
        text.push_str("; refuses puts for lack of room");
    }
    if !it.damaged.is_empty() {
        let _ = write!(text, "; damaged: {}", it.damaged.join(", "));
    }
    text
}

fn registration(it: &Registration) -> String {
    match it {
        Registration::Off => "off".to_owned(),
        Registration::Registered => "clients find this broker in ZooKeeper".to_owned(),
        Registration::Trying => "not in ZooKeeper yet, trying".to_owned(),
        Registration::Failing { reason } => format!("not in ZooKeeper, trying: {reason}"),
    }
}

/// The list of topics, for people.
pub fn topics(topics: &[TopicSummary]) -> String {
    let mut rows = vec![
        [
            "TOPIC",
            "PARTITIONS",
            "MESSAGES",
            "BYTES",
            "PUBLISH",
            "SUBSCRIBE",
            "",
        ]
        .map(str::to_owned),
    ];
    for topic in topics {
        let remark = if topic.configured {
            ""
        } else {
            "not configured any more"
        };
        rows.push([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.messages.to_string(),
            bytes(topic.bytes),
            yes_or_no(topic.accept_publish),
            yes_or_no(topic.accept_subscribe),
            remark.to_owned(),
        ]);
    }
    table(&rows)
}

/// One topic and its partitions, for people.
pub fn topic(detail: &TopicDetail) -> String {
    let topic = &detail.topic;
    let mut lines = Lines::default();
    lines.title(format_args!(
        "{}: {} messages, {}",
        topic.name,
        topic.messages,
        bytes(topic.bytes)
    ));
    lines.row(
        "old segments",
        &format!("{} at {}", detail.delete_policy, detail.delete_when),
    );
    lines.row("producers", found(topic.accept_publish));
    lines.row("consumers", found(topic.accept_subscribe));
    if !topic.configured {
        lines.row(
            "note",
            "it is not configured any more: it can be read and not written",
        );
    }
    let mut rows = vec![
        [
            "PARTITION",
            "FIRST OFFSET",
            "END OFFSET",
            "SEGMENTS",
            "WAITING GETS",
            "",
        ]
        .map(str::to_owned),
    ];
    rows.extend(detail.partitions.iter().map(partition));
    lines.text + &table(&rows)
}

fn partition(it: &PartitionStatus) -> [String; 6] {
    let remark = match (it.damaged_at, it.closed) {
        (Some(offset), _) => format!("damaged at offset {offset}"),
        (None, true) => "closed".to_owned(),
        (None, false) => String::new(),
    };
    let numbers = [
        it.partition.to_string(),
        it.min_offset.to_string(),
        it.max_offset.to_string(),
    ];
    let [partition, min_offset, max_offset] = numbers;
    [
        partition,
        min_offset,
        max_offset,
        it.segments.to_string(),
        it.held_gets.to_string(),
        remark,
    ]
}

fn found(found: bool) -> &'static str {
    match found {
        true => "find it here",
        false => "do not find it here",
    }
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// A number of bytes, to three digits or so: `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10;
    let mut unit = 0;
    tenths /= 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[unit]),
        (whole, _) if whole >= 100 => format!("{whole} {}", UNITS[unit]),
        (whole, tenth) => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

/// A time in its two largest units: `3 d 4 h`, `12 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Lines of a name and what belongs to it.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn title(&mut self, title: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{title}");
    }

    fn row(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "  {name:<13} {value}");
    }
}

/// Rows in columns as wide as their widest cell; numbers to the right.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let is_number = cell.starts_with(|c: char| c.is_ascii_digit());
            let _ = match is_number {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests;
