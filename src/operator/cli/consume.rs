//! `chrysalis consume`: reads messages.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::brokers::{BrokersArgument, Errand, PATIENCE, PartitionArgument, place};
use super::interrupt::{Interrupt, interrupted};
use super::output_failed;
use super::printing::{Printing, Until};
use super::zk::runtime;
use crate::client::metaq::{Client, Error, Fetched, PartitionRange, Reader, Received, Side, Start};
use crate::client::rebalance::Partition;
use crate::report::{self, Code};

mod line;
mod member;

use line::Form;

/// What one request asks for.
const FETCH_BYTES: usize = 1024 * 1024;
/// The largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The first and the longest pause before asking again for new messages.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// What is gathered before it is printed.
const OUT_BYTES: usize = 64 * 1024;

/// Read messages of a topic
///
/// Without --group, reads all partitions to their end, and changes nothing on the server. With --group, joins a consumer
/// group: reads what the group has not read yet, and shares the partitions with its other members; it ends when the group
/// has read all that was there when it began. With --follow it goes on and waits for new messages.
///
/// Prints the payload of each message and a line feed. A terminal gets control characters as \u{1b}; files and pipes get
/// the bytes as they are. With --verbose and --json a message is always one line.
///
/// With --group, a message is consumed when it was written to a file or a terminal, or read from a pipe. The first thousand
/// messages go into a pipe one by one, so that `| head -5` consumes five. After those, a reader that ends early may have
/// read up to 64 KiB more than it used.
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
    /// Read only this partition; a number alone means that partition of every broker
    #[arg(long, value_name = "BROKER-PARTITION")]
    partition: Option<PartitionArgument>,
    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// With --group, without --follow: how long to wait for other members that do not read on. A consumer that has died
    /// holds its partitions until its session times out
    #[arg(long, value_name = "SECONDS", requires = "group", conflicts_with = "follow", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=3600))]
    wait: u32,
    #[command(flatten)]
    brokers: BrokersArgument,
    /// Print partition and offset before each message, and its attribute in [ ]
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
struct Printer {
    printing: Printing,
    gathered: Vec<u8>,
    form: Form,
    left: Option<u64>,
}

impl Consume {
    /// Reads, and prints what comes.
    pub(super) fn run(self) -> anyhow::Result<()> {
        runtime()?.block_on(self.consume())
    }

    async fn consume(&self) -> anyhow::Result<()> {
        let mut interrupt = Interrupt::listen()?;
        let until = match self.group {
            Some(_) => Until::Taken,
            None => Until::Written,
        };
        let mut printer = Printer {
            printing: Printing::begin(until)?,
            gathered: Vec::new(),
            form: self.form(),
            left: self.max,
        };
        let client = self.brokers.client()?;
        let errand = self.errand();
        let found = interrupt.or(errand.find_topic(&client, PATIENCE)).await;
        let read = match (found, &self.group) {
            (None, _) => None,
            (Some(Err(error)), _) => Some(Err(error.into())),
            (Some(Ok(())), Some(group)) => {
                self.as_member(&client, group, &mut printer, &mut interrupt)
                    .await
            }
            (Some(Ok(())), None) => interrupt.or(self.alone(&client, &mut printer)).await,
        };
        client.close().await;
        match read {
            Some(read) => read,
            // That is how one ends what goes on and on.
            None if self.follow => Ok(()),
            None => Err(interrupted(&errand.what()).into()),
        }
    }

    fn errand(&self) -> Errand<'_> {
        Errand {
            brokers: &self.brokers,
            topic: &self.topic,
            side: Side::Consumers,
        }
    }

    fn form(&self) -> Form {
        match (self.json, self.verbose) {
            (true, _) => Form::Json,
            (_, true) => Form::Verbose,
            _ if io::stdout().is_terminal() => Form::Terminal,
            _ => Form::Payload,
        }
    }

    /// Without a group. What was read is printed, also where it does not end well.
    async fn alone(&self, client: &Client, printer: &mut Printer) -> anyhow::Result<()> {
        let read = self.read(&client.reader(), printer).await;
        let printed = printer.flush().await;
        read.and(printed)
    }

    /// All partitions in turn.
    async fn read(&self, reader: &Reader, printer: &mut Printer) -> anyhow::Result<()> {
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
                    if !self.follow && !fetched {
                        place.tell_invisible();
                    }
                    if self.follow || !fetched {
                        break;
                    }
                }
            }
            printer.flush().await?;
            if !self.follow {
                return Ok(());
            }
            pause = if any {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            if !any {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn places(&self, reader: &Reader) -> anyhow::Result<Vec<ReadingPlace>> {
        let errand = self.errand();
        let ranges = reader
            .partitions(&self.topic)
            .await
            .map_err(|error| errand.explain(error, &errand.what()))?;
        let wanted = |range: &PartitionRange| {
            self.partition.is_none_or(|wanted| {
                let any_broker = wanted.broker.is_none() || range.broker.is_none();
                range.partition == wanted.number && (any_broker || wanted.broker == range.broker)
            })
        };
        let mut found: Vec<PartitionRange> =
            ranges.iter().filter(|it| wanted(it)).cloned().collect();
        if let Some(partition) = self.partition.filter(|_| found.is_empty()) {
            let brokers = ranges.iter().filter_map(|range| range.broker);
            found = self.unshown(reader, partition, brokers.collect()).await?;
        }
        let mut places: Vec<ReadingPlace> = found
            .into_iter()
            .map(|range| ReadingPlace::new(range, self.from))
            .collect();
        if places.is_empty() {
            return Err(self.no_partition().into());
        }
        if let Start::At(offset) = self.from {
            let beyond = |place: &ReadingPlace| offset > place.range.end;
            if !self.follow && places.iter().all(beyond) {
                return Err(self.all_beyond(offset, &places).into());
            }
            for place in &mut places {
                place.tell_start(offset, self.follow);
            }
        }
        Ok(places)
    }

    /// The partitions that were named and that ZooKeeper does not show any more, of these brokers or of the one that was
    /// named.
    async fn unshown(
        &self,
        reader: &Reader,
        wanted: PartitionArgument,
        mut brokers: BTreeSet<u16>,
    ) -> anyhow::Result<Vec<PartitionRange>> {
        if self.brokers.direct().is_some() {
            // It has told of all it has.
            return Ok(Vec::new());
        }
        if let Some(broker) = wanted.broker {
            brokers = BTreeSet::from([broker]);
        }
        let errand = self.errand();
        let mut found = Vec::new();
        for broker in brokers {
            let partition = Partition {
                broker,
                number: wanted.number,
            };
            let range = reader.unshown(&self.topic, partition).await;
            found.extend(range.map_err(|error| errand.explain(error, &errand.what()))?);
        }
        for range in &found {
            let name = place(range.broker, range.partition);
            note(&format!(
                "{name}: ZooKeeper does not show it, because the topic has fewer partitions now; it is read from its broker"
            ));
        }
        Ok(found)
    }

    fn no_partition(&self) -> report::Error {
        let subject = match self.partition {
            Some(partition) => format!("partition {partition} of topic {}", self.topic),
            None => format!("topic {}", self.topic),
        };
        let cure = match self.brokers.direct() {
            Some(_) => {
                "A broker asked without ZooKeeper knows only topics that hold a message.".to_owned()
            }
            None => {
                let (dir, topic) = (self.brokers.dir(), &self.topic);
                format!("See what there is: chrysalis topic describe {dir} {topic}.")
            }
        };
        report::Error::new(Code::E0303, format!("there is no {subject}")).cure(cure)
    }

    fn all_beyond(&self, offset: i64, places: &[ReadingPlace]) -> report::Error {
        let ends: Vec<String> = places
            .iter()
            .map(|place| format!("{} at {}", place.name(), place.range.end))
            .collect();
        let what = format!("offset {offset} is beyond the end of {}", self.topic);
        report::Error::new(Code::E0409, what)
            .means(format!("Nothing was read; it ends: {}.", ends.join(", ")))
            .cure("Begin at an offset that consume --verbose shows, at first, or, with --follow, at last.")
    }

    /// Asks once; whether anything came, and whether more is wanted.
    async fn fetch(
        &self,
        reader: &Reader,
        place: &mut ReadingPlace,
        printer: &mut Printer,
    ) -> anyhow::Result<(bool, bool)> {
        let errand = self.errand();
        let fetched = match reader.get(&place.range, place.offset, place.size).await {
            Err(error) if self.follow && is_away(&error) => {
                // A restart of the broker is no end of what there is to follow.
                if !std::mem::replace(&mut place.is_away, true) {
                    note(&format!(
                        "{}. Trying again until then",
                        errand.explain(error, &errand.what())
                    ));
                }
                return Ok((false, true));
            }
            fetched => fetched.map_err(|error| errand.explain(error, &errand.what()))?,
        };
        place.is_away = false;
        match fetched {
            Fetched::Messages(messages) => {
                place.is_chosen = false;
                for message in messages {
                    if !self.follow && message.offset >= place.range.end {
                        place.offset = message.offset;
                        return Ok((true, true));
                    }
                    place.offset = message.next_offset;
                    if !printer.add(&message).await? {
                        return Ok((true, false));
                    }
                }
                Ok((true, true))
            }
            Fetched::Moved(offset) => {
                let moved = offset != place.offset;
                if moved && place.offset != i64::MAX {
                    note(&gap(&place.name(), place.offset, offset));
                }
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

/// Says something that is no error, and that nobody who reads the messages should find among them.
fn note(text: &str) {
    let _told = writeln!(io::stderr(), "{text}");
}

/// What is said where reading goes on elsewhere.
fn gap(partition: &str, from: i64, to: i64) -> String {
    if to > from {
        format!(
            "{partition}: what was at offsets {from} to {to} is passed over: deleted by retention, or given up as damaged"
        )
    } else {
        format!("{partition}: nothing is at offset {from}; reading goes on at {to}")
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
    /// The offset is one that a person chose.
    is_chosen: bool,
    size: usize,
    /// Its broker does not answer, and that was told.
    is_away: bool,
}

impl ReadingPlace {
    fn new(range: PartitionRange, from: Start) -> ReadingPlace {
        let offset = match from {
            Start::First => range.first,
            Start::End => range.end,
            Start::At(offset) => offset.max(range.first).min(range.end),
        };
        ReadingPlace {
            is_chosen: from == Start::At(offset),
            range,
            offset,
            size: FETCH_BYTES,
            is_away: false,
        }
    }

    fn name(&self) -> String {
        place(self.range.broker, self.range.partition)
    }

    /// Says where reading begins, if not at the offset that was asked for.
    fn tell_start(&self, asked: i64, follow: bool) {
        let PartitionRange { first, end, .. } = self.range;
        let name = self.name();
        if asked < first {
            note(&format!(
                "{name}: its first message is at offset {first}; what was before is deleted. Reading begins there"
            ));
        } else if asked > end {
            let what = match follow {
                true => "what comes from now on is read",
                false => "nothing of it is read",
            };
            note(&format!(
                "{name}: it ends at offset {end}, before {asked}; {what}"
            ));
        }
    }

    /// Metamorphosis names an end that nobody can see before it has flushed.
    fn tell_invisible(&self) {
        let (name, offset, end) = (self.name(), self.offset, self.range.end);
        note(&format!(
            "{name}: the broker shows nothing from offset {offset} on yet, although the partition ends at {end}"
        ));
    }

    fn nothing_here(&self) -> report::Error {
        let what = format!(
            "no message begins at offset {} of {}",
            self.offset,
            self.name()
        );
        let error = report::Error::new(Code::E0409, what);
        match self.is_chosen {
            true => error
                .means("Nothing was read: offsets count bytes, so the next message's is not one higher.")
                .cure("Begin at an offset that consume --verbose shows, or at first."),
            false => error
                .means("All before it was read; what the broker sends there is damaged.")
                .cure("Look at the broker's log."),
        }
    }
}

impl Printer {
    /// Prints a message sooner or later; whether more are wanted.
    async fn add(&mut self, message: &Received) -> anyhow::Result<bool> {
        self.form.put(message, &mut self.gathered);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if self.gathered.len() >= OUT_BYTES {
            self.flush().await?;
        }
        Ok(self.left != Some(0))
    }

    /// Prints what was gathered.
    async fn flush(&mut self) -> anyhow::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        match self.printing.print(gathered).await.failure {
            Some(error) => Err(output_failed(error).into()),
            None => Ok(()),
        }
    }
}
