//! `chrysalis consume`: reads messages.

use std::io::{BufWriter, Write};
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;

use super::brokers::{
    BrokersArgument, PATIENCE, PartitionArgument, explain_read, find_topic, place,
};
use super::zk::runtime;
use crate::client::metaq::{
    Client, Consumer, ConsumerOptions, Error, Fetched, PartitionRange, Reader, Received, Side,
    Start,
};
use crate::report::{self, Code};

/// What one request asks for.
const FETCH_BYTES: usize = 1024 * 1024;
/// The largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The first and the longest pause before asking again for new messages.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// What is gathered before it is printed.
const OUT_BYTES: usize = 64 * 1024;
/// Messages of a group that are printed before they are taken for consumed.
const PRINTED_MAX: usize = 1000;
/// A group's member that does not follow ends when nothing has come for so long.
const IDLE: Duration = Duration::from_secs(5);

/// Read messages of a topic
///
/// Without --group, reads all partitions and leaves no trace: up to the end, or, with --follow, on and on. With
/// --group, joins a consumer group: reads what the group has not read yet, shares the partitions with its other
/// members, and what was printed counts as consumed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis consume orders\n  \
    chrysalis consume orders --follow --from last --json\n  \
    chrysalis consume orders --partition 1-0 --from 4096 --max 10\n  \
    chrysalis consume orders --group billing --follow")]
pub(super) struct Consume {
    /// The topic
    topic: String,
    /// Read as a member of this group
    #[arg(long, value_name = "NAME", conflicts_with_all = ["partition", "broker"])]
    group: Option<String>,
    /// Wait for new messages until interrupted
    #[arg(long)]
    follow: bool,
    /// Where to begin: first, last (what comes from now on), or an offset; with --group only where the
    /// group has not read yet
    #[arg(long, value_name = "first|last|OFFSET", default_value = "first", value_parser = parse_start)]
    from: Start,
    /// Read only this partition; a number alone is that of every broker
    #[arg(long, value_name = "BROKER-PARTITION")]
    partition: Option<PartitionArgument>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    #[command(flatten)]
    brokers: BrokersArgument,
    /// Print where each message stands before it
    #[arg(long, short, conflicts_with = "json")]
    verbose: bool,
    /// Print one JSON object for each message
    #[arg(long)]
    json: bool,
}

fn parse_start(text: &str) -> Result<Start, String> {
    match text {
        "first" => Ok(Start::First),
        "last" => Ok(Start::End),
        _ => match text.parse() {
            Ok(offset) if offset >= 0 => Ok(Start::At(offset)),
            _ => Err("expected first, last, or an offset".to_string()),
        },
    }
}

/// Where messages go, and how many may.
struct Printer<'a> {
    out: &'a mut dyn Write,
    json: bool,
    verbose: bool,
    left: Option<u64>,
}

impl Consume {
    /// Reads, and prints what comes.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let client = self.brokers.client()?;
        let (json, verbose, left) = (self.json, self.verbose, self.max);
        // A write for each line would cost more than the reading.
        let mut out = BufWriter::with_capacity(OUT_BYTES, out);
        let mut printer = Printer {
            out: &mut out,
            json,
            verbose,
            left,
        };
        runtime()?.block_on(async {
            let what = format!("read {}", self.topic);
            find_topic(&client, &self.topic, Side::Consumers, &what, PATIENCE).await?;
            match &self.group {
                Some(group) => self.consume(&client, group, &mut printer).await,
                None => self.read(&client.reader(), &mut printer).await,
            }
        })?;
        Ok(out.flush()?)
    }

    /// As a member of a group.
    async fn consume(
        &self,
        client: &Client,
        group: &str,
        printer: &mut Printer<'_>,
    ) -> anyhow::Result<()> {
        let what = format!("consume {} as {group}", self.topic);
        let options = ConsumerOptions {
            start: self.from,
            ..ConsumerOptions::default()
        };
        let consumer = client.consumer(group, &[&self.topic], options);
        let mut consumer = consumer.map_err(|error| explain_read(error, &what))?;
        let printed = self.print_all(&mut consumer, printer).await;
        consumer.close().await;
        printed
    }

    async fn print_all(
        &self,
        consumer: &mut Consumer,
        printer: &mut Printer<'_>,
    ) -> anyhow::Result<()> {
        loop {
            let mut more = true;
            // What could not be printed is not consumed, so nothing is before it is out of our hands.
            for _ in 0..PRINTED_MAX {
                let Some(message) = consumer.more_ready() else {
                    break;
                };
                more = printer.print(&message)?;
                if !more {
                    break;
                }
            }
            printer.out.flush()?;
            consumer.acknowledge();
            if !more {
                return Ok(());
            }
            let idle = async {
                match self.follow {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(IDLE).await,
                }
            };
            tokio::select! {
                message = consumer.next() => {
                    let Some(message) = message else { return Ok(()) };
                    if !printer.print(&message)? {
                        printer.out.flush()?;
                        consumer.acknowledge();
                        return Ok(());
                    }
                }
                () = idle => return Ok(()),
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    }

    /// Without a group: all partitions in turn.
    async fn read(&self, reader: &Reader, printer: &mut Printer<'_>) -> anyhow::Result<()> {
        let mut places = self.places(reader).await?;
        let mut pause = PAUSE_MIN;
        loop {
            let mut any = false;
            for place in &mut places {
                while self.follow || place.offset < place.range.end {
                    let (fetched, more) = self.fetch(reader, place, printer).await?;
                    any |= fetched;
                    if !more {
                        return Ok(());
                    }
                    if self.follow || !fetched {
                        break;
                    }
                }
            }
            printer.out.flush()?;
            if !self.follow {
                return Ok(());
            }
            pause = if any {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            if !any {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = tokio::signal::ctrl_c() => return Ok(()),
                }
            }
        }
    }

    async fn places(&self, reader: &Reader) -> anyhow::Result<Vec<ReadingPlace>> {
        let what = format!("read {}", self.topic);
        let ranges = reader
            .partitions(&self.topic)
            .await
            .map_err(|error| explain_read(error, &what))?;
        let wanted = |range: &PartitionRange| {
            self.partition.is_none_or(|wanted| {
                let any_broker = wanted.broker.is_none() || range.broker.is_none();
                range.partition == wanted.number && (any_broker || wanted.broker == range.broker)
            })
        };
        let places: Vec<ReadingPlace> = ranges
            .into_iter()
            .filter(wanted)
            .map(|range| {
                let offset = match self.from {
                    Start::First => range.first,
                    Start::End => range.end,
                    Start::At(offset) => offset,
                };
                ReadingPlace {
                    range,
                    offset,
                    size: FETCH_BYTES,
                    is_away: false,
                }
            })
            .collect();
        if places.is_empty() {
            let subject = match self.partition {
                Some(partition) => format!("partition {partition} of topic {}", self.topic),
                None => format!("topic {}", self.topic),
            };
            let cure = match self.brokers.direct() {
                Some(_) => {
                    "A broker asked without ZooKeeper knows only topics that hold a message."
                }
                None => {
                    "Look what there is: chrysalis topic list DIR, or chrysalis zk ls /meta/brokers/topics."
                }
            };
            return Err(
                report::Error::new(Code::E0303, format!("there is no {subject}"))
                    .cure(cure)
                    .into(),
            );
        }
        Ok(places)
    }

    /// Asks once; whether anything came, and whether more is wanted.
    async fn fetch(
        &self,
        reader: &Reader,
        place: &mut ReadingPlace,
        printer: &mut Printer<'_>,
    ) -> anyhow::Result<(bool, bool)> {
        let what = || format!("read {}", self.topic);
        let fetched = match reader.get(&place.range, place.offset, place.size).await {
            Err(error) if self.follow && is_away(&error) => {
                // A restart of the broker is no end of what there is to follow.
                if !std::mem::replace(&mut place.is_away, true) {
                    let explained = explain_read(error, &what());
                    let _told = writeln!(std::io::stderr(), "{explained}. Trying again until then");
                }
                return Ok((false, true));
            }
            fetched => fetched.map_err(|error| explain_read(error, &what()))?,
        };
        place.is_away = false;
        match fetched {
            Fetched::Messages(messages) => {
                for message in messages {
                    if !self.follow && message.offset >= place.range.end {
                        place.offset = message.offset;
                        return Ok((true, true));
                    }
                    place.offset = message.next_offset;
                    if !printer.print(&message)? {
                        return Ok((true, false));
                    }
                }
                Ok((true, true))
            }
            Fetched::Moved(offset) => {
                let moved = offset != place.offset;
                place.offset = offset;
                Ok((moved, true))
            }
            Fetched::Larger(bytes) if bytes <= MESSAGE_BYTES_MAX && bytes > place.size => {
                place.size = bytes;
                Ok((true, true))
            }
            Fetched::Nothing => Ok((false, true)),
            Fetched::Larger(_) | Fetched::NotAMessage => Err(place.nothing_here().into()),
        }
    }
}

/// Whether the broker may only be restarting.
fn is_away(error: &Error) -> bool {
    matches!(
        error,
        Error::Connect { .. } | Error::Disconnected { .. } | Error::Timeout { .. }
    )
}

/// How far one partition is read.
struct ReadingPlace {
    range: PartitionRange,
    offset: i64,
    size: usize,
    /// Its broker does not answer, and that was told.
    is_away: bool,
}

impl ReadingPlace {
    fn nothing_here(&self) -> report::Error {
        let place = place(self.range.broker, self.range.partition);
        let what = format!("no message begins at offset {} of {place}", self.offset);
        report::Error::new(Code::E0303, what)
            .means("Either the offset is not that of a message, or the partition is damaged there.")
            .cure("Begin at an offset that consume --verbose has shown, or at first.")
    }
}

impl Printer<'_> {
    /// Prints a message; whether more are wanted.
    fn print(&mut self, message: &Received) -> std::io::Result<bool> {
        if self.json {
            writeln!(self.out, "{}", as_json(message))?;
        } else {
            if self.verbose {
                let place = place(message.broker, message.partition);
                write!(
                    self.out,
                    "{place} offset {} id {} ",
                    message.offset, message.id
                )?;
            }
            if let Some(attribute) = &message.attribute {
                write!(self.out, "[{attribute}] ")?;
            }
            self.out.write_all(&message.payload)?;
            self.out.write_all(b"\n")?;
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(self.left != Some(0))
    }
}

/// One object; a payload that is not text is in base 64.
fn as_json(message: &Received) -> serde_json::Value {
    let (field, payload) = match std::str::from_utf8(&message.payload) {
        Ok(text) => ("payload", text.to_string()),
        Err(_) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&message.payload);
            ("payload_base64", encoded)
        }
    };
    json!({
        "topic": *message.topic,
        "broker": message.broker,
        "partition": message.partition,
        "offset": message.offset,
        "id": message.id,
        "flag": message.flag,
        "attribute": message.attribute,
        field: payload,
    })
}
