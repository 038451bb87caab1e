//! How a server is doing, as text: the model is `appliance::status`, and `--json` shows it as it is.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::escaped;
use super::text::wrap;
use crate::appliance::status::{
    BrokerStatus, CertificateStatus, Consumer, Consumers, CoordinatorStatus, Owners,
    PartitionConsumer, PartitionStatus, Registration, ServerState, ServerStatus, TopicDetail,
    TopicSummary,
};
use crate::report::some_of;
use crate::units::counted;

/// The whole status, for people: in lines of at most so many columns, or with each row in a line of its own.
pub fn server(status: &ServerStatus, columns: Option<usize>) -> String {
    let mut lines = Lines {
        text: String::new(),
        columns: columns.unwrap_or(usize::MAX),
    };
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
        if it.consumers.few_threads > 0 {
            lines.row("consumers", &consumers(&it.consumers));
        }
        lines.row("registration", &registration(&it.registration));
        if let Owners::Unseen { reason } = &it.owners {
            let text = format!("not seen: {reason}; no get waits for a message");
            lines.row("owners", &text);
        }
    }
    if let Some(it) = &status.certificate {
        lines.row("certificate", &certificate(it));
    }
    let journal = &status.journal;
    lines.row(
        "journal",
        &format!(
            "{} of at most {} needed; {} written since the start through {}; {} since it was made",
            journal.files_needed,
            counted(journal.files_max, "files"),
            bytes(journal.written_bytes),
            journal.backend,
            counted(journal.batches, "batches"),
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

fn certificate(it: &CertificateStatus) -> String {
    let ends = &it.ends;
    match (&it.not_renewed, it.renewed_here) {
        (Some(why), _) => format!("until {ends}, and there is no new one: {why}"),
        (None, true) => format!("until {ends}; this server renews it before"),
        (None, false) => {
            format!("until {ends}; it has to be renewed by hand, because authority.key is not here")
        }
    }
}

fn coordinator(it: &CoordinatorStatus) -> String {
    let mut text = format!(
        "{}, zxid 0x{:x}; {} ({} ephemeral), {}, {}; {}, {} since the start",
        it.role,
        it.zxid,
        counted(it.znodes, "znodes"),
        it.ephemerals,
        counted(it.sessions, "sessions"),
        counted(it.watches, "watches"),
        counted(it.connections, "connections"),
        counted(it.requests, "requests"),
    );
    if let Some(readers) = it.read_only_sessions {
        let _ = write!(
            text,
            "; no server leads: {} of clients that only read, and what they read may be old",
            counted(readers, "sessions")
        );
    }
    text
}

fn broker(it: &BrokerStatus) -> String {
    let mut text = format!(
        "{}, {}, {}; {}, {} waiting; {} ({} failed), {} since the start",
        counted(it.topics, "topics"),
        counted(it.partitions, "partitions"),
        counted(it.messages, "messages"),
        counted(it.connections, "connections"),
        counted(it.held_gets, "gets"),
        counted(it.puts, "puts"),
        it.puts_failed,
        counted(it.gets, "gets"),
    );
    if it.refusing_puts {
        text.push_str("; refuses puts for lack of room");
    }
    for (what, names) in [("damaged", &it.damaged), ("closed", &it.closed)] {
        if !names.is_empty() {
            let _ = write!(text, "; {what}: {}", some_of(names));
        }
    }
    text
}

fn consumers(it: &Consumers) -> String {
    let mut text = format!(
        "{} with fewer threads than partitions: {}, and {} a 404 instead",
        counted(it.few_threads, "consumers"),
        counted(it.turns, "turns"),
        counted(it.refused, "times"),
    );
    let reasons: Vec<String> = (it.not_turned.iter())
        .map(|(group, why)| format!("group {}: {}", in_a_line(group), why.reason))
        .collect();
    if !reasons.is_empty() {
        let _ = write!(text, "; {}", some_of(&reasons));
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
        let mut remarks = Vec::new();
        if !topic.configured {
            remarks.push("not configured any more".to_owned());
        }
        for (count, what) in [(topic.closed, "closed"), (topic.damaged, "damaged")] {
            if count > 0 {
                remarks.push(format!("{} {what}", counted(count, "partitions")));
            }
        }
        rows.push([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.messages.to_string(),
            bytes(topic.bytes),
            yes_or_no(topic.accept_publish),
            yes_or_no(topic.accept_subscribe),
            remarks.join("; "),
        ]);
    }
    table(&rows)
}

/// One topic, what holds for it, its partitions and who reads them, for people.
pub fn topic(detail: &TopicDetail) -> String {
    let topic = &detail.topic;
    let mut text = format!("{}: {}\n", topic.name, amount(topic));
    if !topic.configured {
        text.push_str(
            "It is not configured any more: it can be read and not written. What holds for it:\n",
        );
    }
    let settings = detail.settings.iter().map(|setting| {
        let section = setting.section.clone();
        [
            format!("  {}", setting.key),
            setting.value.clone(),
            section.unwrap_or_else(|| "default".to_owned()),
        ]
    });
    text.push_str(&columns(&settings.collect::<Vec<_>>(), [Left; 3]));
    if !detail.partitions.is_empty() {
        let mut rows = vec![
            [
                "PARTITION",
                "STATE",
                "FIRST",
                "END",
                "BYTES",
                "MESSAGES",
                "FILES",
                "WAITING",
            ]
            .map(str::to_owned),
        ];
        rows.extend(detail.partitions.iter().map(partition));
        let sides = [Right, Left, Right, Right, Right, Right, Right, Right];
        text.push('\n');
        text.push_str(&columns(&rows, sides));
    }
    if !detail.consumers.is_empty() {
        let mut rows =
            vec![["GROUP", "PARTITION", "OFFSET", "BEHIND", "WAITING", "OWNER"].map(str::to_owned)];
        rows.extend(detail.consumers.iter().map(consumer));
        text.push('\n');
        text.push_str(&columns(&rows, [Left, Right, Right, Right, Right, Left]));
    }
    if let Some(servers) = &detail.offsets_at {
        let _ = writeln!(
            text,
            "\nGroups keep their offsets in another ZooKeeper: chrysalis zk --server {servers} ls /"
        );
    }
    if !detail.few_threads.is_empty() {
        text.push('\n');
        text.push_str(&few_threads(&detail.few_threads));
    }
    text
}

/// Consumers with fewer fetch threads than partitions: what turns that takes, and why some of them get 404s.
fn few_threads(consumers: &[Consumer]) -> String {
    let mut rows =
        vec![["FEW THREADS", "PARTITIONS", "THREADS", "TURNS", "404S"].map(str::to_owned)];
    let mut reasons = String::new();
    for it in consumers {
        let name = in_a_line(&it.consumer);
        if let Some(why) = &it.not_turned {
            let _ = writeln!(reasons, "{name} gets 404s instead of turns: {}", why.reason);
        }
        rows.push([
            name,
            match it.elsewhere {
                true => format!("{} and others", it.partitions),
                false => it.partitions.to_string(),
            },
            it.threads.to_string(),
            it.turns.to_string(),
            it.refused.to_string(),
        ]);
    }
    columns(&rows, [Left, Right, Right, Right, Right]) + &reasons
}

/// How much there is of a topic: `2 partitions, 10 messages, 4 KiB`.
pub fn amount(topic: &TopicSummary) -> String {
    let messages = counted(topic.messages, "messages");
    let bytes = bytes(topic.bytes);
    match topic.configured {
        true => {
            let partitions = counted(topic.partitions, "partitions");
            format!("{partitions}, {messages}, {bytes}")
        }
        false => format!("{messages}, {bytes}"),
    }
}

fn partition(it: &PartitionStatus) -> [String; 8] {
    let mut state = match (it.closed, it.read_only) {
        (true, _) => "closed".to_owned(),
        (false, true) => "not shown".to_owned(),
        (false, false) => "open".to_owned(),
    };
    if let Some(offset) = it.damaged_at {
        let _ = write!(state, ", damaged at {offset}");
    }
    [
        it.partition.to_string(),
        state,
        it.min_offset.to_string(),
        it.max_offset.to_string(),
        bytes(it.max_offset.saturating_sub(it.min_offset)),
        it.messages.to_string(),
        it.segments.to_string(),
        it.held_gets.to_string(),
    ]
}

fn consumer(it: &PartitionConsumer) -> [String; 6] {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        it.group.clone(),
        it.partition.to_string(),
        or_unknown(it.offset.map(|offset| offset.to_string())),
        or_unknown(it.behind_bytes.map(bytes)),
        it.held_gets.to_string(),
        it.owner
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), |owner| in_a_line(owner)),
    ]
}

/// A name that anybody may have written.
fn in_a_line(name: &str) -> String {
    escaped::in_a_line(name.as_bytes())
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
struct Lines {
    text: String,
    columns: usize,
}

impl Lines {
    fn title(&mut self, title: fmt::Arguments<'_>) {
        let title = wrap(&title.to_string(), self.columns, 0, 2);
        let _ = writeln!(self.text, "{title}");
    }

    fn row(&mut self, name: &str, value: &str) {
        const INDENT: usize = 16;
        let value = wrap(value, self.columns, INDENT, INDENT);
        let _ = writeln!(self.text, "  {name:<13} {value}");
    }
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

use Side::{Left, Right};

/// Rows in columns as wide as their widest cell, titles included.
fn columns<const COLUMNS: usize>(rows: &[[String; COLUMNS]], sides: [Side; COLUMNS]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), side) in row.iter().zip(widths).zip(sides) {
            let _ = match side {
                Left => write!(line, "{cell:<width$}  "),
                Right => write!(line, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn widths<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    })
}

/// Rows in columns as wide as their widest cell; numbers to the right.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
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
