//! `chrysalis produce`: sends messages.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::brokers::{BrokersArgument, Errand, PartitionArgument, id_time, place};
use super::interrupt::Interrupt;
use super::printing::{Printing, Until};
use super::zk::runtime;
use crate::client::metaq::{
    Client, Message, Options, Producer, ProducerOptions, Sending, Side, Stored,
};
use crate::report::{self, Code};

mod tally;

use tally::{Failure, Tally, Unit};

/// Messages under way at a time.
const UNDER_WAY_MAX: usize = 1000;
/// Lines read ahead of the sending.
const LINES_AHEAD: usize = 1000;
/// What is gathered before it is printed, while there is more to do.
const OUT_BYTES: usize = 16 * 1024;
/// How much earlier than the whole its parts give up, so that they can say why.
const TO_SAY_WHY: Duration = Duration::from_millis(100);

/// Send messages to a topic
///
/// Sends each MESSAGE. Without one (or with `-`), and without --file, sends each line of standard input. Prints where each
/// message went once it is on stable storage there. Put `--` before a message that begins with `--`.
///
/// After the first message that is not stored it sends no more, waits for those under way, and says which one was not stored
/// and how many are. If standard output is closed early it still sends everything, and ends with an error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis produce orders hello world\n  \
    chrysalis produce orders --attribute urgent --partition 1-0 hello\n  \
    chrysalis produce orders --file picture.png\n  \
    chrysalis produce orders -- --not-an-option\n  \
    seq 1000 | chrysalis produce orders --quiet --broker 127.0.0.1:8123")]
pub(super) struct Produce {
    /// The topic
    topic: String,
    /// What to send; `-` alone takes the lines of standard input
    #[arg(value_name = "MESSAGE", conflicts_with = "file")]
    messages: Vec<String>,
    /// Send the content of this file as one message; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A short text that consumers see beside each message
    #[arg(long, value_name = "TEXT")]
    attribute: Option<String>,
    /// Where to send it; a number alone means that partition of any broker [default: each partition in turn;
    /// with --broker, the broker chooses]
    #[arg(long, value_name = "BROKER-PARTITION")]
    partition: Option<PartitionArgument>,
    /// How long it may take, in seconds: all of it, or, with lines of standard input, the beginning and then each line
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    #[command(flatten)]
    brokers: BrokersArgument,
    /// Print one JSON object for each message
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print only how many were sent
    #[arg(long)]
    quiet: bool,
}

/// A message under way.
struct UnderWay {
    number: u64,
    bytes: usize,
    deadline: Instant,
    sending: Sending,
}

/// What is sent, how, and what is told of it.
struct Run<'a> {
    produce: &'a Produce,
    producer: Producer,
    /// When all has to be done; without it each message has a time of its own.
    until: Option<Instant>,
    tally: &'a mut Tally,
    out: Answers<'a>,
}

impl Produce {
    /// Sends, and tells where it went.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        let messages = std::mem::take(&mut self.messages);
        let unit = match (&self.file, messages.as_slice()) {
            (Some(_), _) => Unit::File,
            (None, []) => Unit::Line,
            (None, [one]) if one == "-" => Unit::Line,
            (None, several) if several.iter().any(|one| one == "-") => {
                let text = "`-` stands for the lines of standard input, and has no other messages beside it; \
                            `echo - | chrysalis produce` sends a dash";
                return Err(super::usage_error(text).into());
            }
            (None, [_]) => Unit::Message,
            (None, _) => Unit::Messages,
        };
        let given = match (unit, &self.file) {
            (_, Some(path)) => vec![content(path)?],
            (Unit::Line, None) => Vec::new(),
            (_, None) => messages.into_iter().map(Bytes::from).collect(),
        };
        runtime()?.block_on(self.send(unit, given))
    }

    async fn send(&self, unit: Unit, given: Vec<Bytes>) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut interrupt = Interrupt::listen()?;
        let mut printing = Printing::begin(Until::Written)?;
        let client = self.brokers.client_with(Options {
            connect_timeout: self.time(),
            ..Options::default()
        })?;
        let errand = Errand {
            brokers: &self.brokers,
            topic: &self.topic,
            side: Side::Producers,
        };
        let mut tally = Tally::new(unit);
        let sending = async {
            let producer = self.ready(&client, errand, started).await?;
            let mut run = Run {
                produce: self,
                producer,
                until: (unit != Unit::Line).then(|| started + self.time()),
                tally: &mut tally,
                out: Answers::new(&mut printing),
            };
            let messages = match unit {
                Unit::Line => lines().map_err(super::no_thread)?,
                _ => these(given),
            };
            run.send_all(messages).await;
            let out = run.out.failure.take();
            anyhow::Ok(out)
        };
        let sent = interrupt.or(sending).await;
        client.close().await;
        let out = match sent {
            None => return Err(tally.interrupted(&errand).into()),
            Some(out) => out?,
        };
        let out = match out {
            None if self.quiet => {
                // Whoever is told of no single message has to know how many there were before it went wrong.
                let seconds = started.elapsed().as_secs_f64();
                let line = format!("{} messages in {seconds:.3} s\n", tally.stored());
                printing.print(line.into_bytes()).await.failure
            }
            out => out,
        };
        Ok(tally.told(&errand, out)?)
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// A producer that knows the topic's brokers and is connected to them.
    async fn ready(
        &self,
        client: &Client,
        errand: Errand<'_>,
        started: Instant,
    ) -> Result<Producer, report::Error> {
        let patience = self.time() - TO_SAY_WHY;
        let getting_ready = async {
            errand.find_topic(client, patience).await?;
            let producer = client.producer_with(ProducerOptions {
                send_timeout: self.time(),
                publish_timeout: patience.saturating_sub(started.elapsed()),
            });
            let published = producer.publish(&self.topic).await;
            published.map_err(|error| errand.explain(error, &errand.what()))?;
            Ok(producer)
        };
        timeout_at(started + self.time(), getting_ready)
            .await
            .unwrap_or_else(|_| {
                let what = format!(
                    "{}: neither ZooKeeper nor a broker was ready within {} s",
                    errand.what(),
                    self.timeout
                );
                Err(report::Error::new(Code::E0401, what)
                    .means("Nothing was sent.")
                    .cure(self.brokers.reach()))
            })
    }
}

impl Run<'_> {
    /// Sends until the first failure, and waits for all that is under way then.
    async fn send_all(&mut self, mut messages: mpsc::Receiver<io::Result<Bytes>>) {
        let mut under_way = VecDeque::new();
        loop {
            // What is next: another message, if there is room for it, or the answer to the oldest.
            let more = !self.tally.has_failed();
            let next = if more && under_way.len() < UNDER_WAY_MAX {
                messages.try_recv().ok()
            } else {
                None
            };
            if let Some(message) = next {
                under_way.extend(self.start(message).await);
            } else if let Some(oldest) = under_way.pop_front() {
                self.finish(oldest).await;
            } else {
                self.out.flush().await;
                if !more {
                    return;
                }
                match messages.recv().await {
                    Some(message) => under_way.extend(self.start(message).await),
                    None => return,
                }
            }
        }
    }

    async fn start(&mut self, message: io::Result<Bytes>) -> Option<UnderWay> {
        let payload = match message {
            Ok(payload) => payload,
            Err(error) => {
                self.tally.ends_early(error);
                return None;
            }
        };
        let number = self.tally.starts();
        let bytes = payload.len();
        let message = Message {
            payload,
            attribute: self.produce.attribute.clone(),
        };
        let deadline = self
            .until
            .unwrap_or_else(|| Instant::now() + self.produce.time());
        let topic = &self.produce.topic;
        let starting = async {
            match self.produce.partition {
                Some(PartitionArgument { broker, number }) => {
                    self.producer.start_to(topic, broker, number, message).await
                }
                None => self.producer.start(topic, message).await,
            }
        };
        match timeout_at(deadline, starting).await {
            Ok(Ok(sending)) => Some(UnderWay {
                number,
                bytes,
                deadline,
                sending,
            }),
            Ok(Err(error)) => {
                self.tally.failed(number, Failure::Told(error));
                None
            }
            Err(_) => {
                self.tally.failed(number, Failure::NotStarted);
                None
            }
        }
    }

    async fn finish(&mut self, message: UnderWay) {
        match message.sending.stored_by(message.deadline).await {
            Ok(stored) => {
                self.tally.is_stored();
                if !self.produce.quiet {
                    let line = self.produce.line(stored, message.bytes);
                    self.out.add(&line).await;
                }
            }
            Err(error) => self.tally.failed(message.number, Failure::Told(error)),
        }
    }
}

impl Produce {
    /// What is told of a message that is stored.
    fn line(&self, stored: Stored, bytes: usize) -> String {
        let Stored {
            message_id,
            broker,
            partition,
            offset,
        } = stored;
        let topic = &self.topic;
        if self.json {
            // An id does not fit into every JSON reader's numbers.
            let object = json!({
                "topic": topic, "broker": broker, "partition": partition, "offset": offset,
                "id": message_id.to_string(), "time": id_time(message_id), "size_bytes": bytes,
            });
            format!("{object}\n")
        } else {
            let place = place(broker, partition);
            format!("{topic} {place} offset {offset} id {message_id}\n")
        }
    }
}

/// What is told of single messages, on its way to standard output.
struct Answers<'a> {
    printing: &'a mut Printing,
    gathered: Vec<u8>,
    /// Why nothing more can be told.
    failure: Option<io::Error>,
}

impl<'a> Answers<'a> {
    fn new(printing: &'a mut Printing) -> Answers<'a> {
        Answers {
            printing,
            gathered: Vec::new(),
            failure: None,
        }
    }

    async fn add(&mut self, line: &str) {
        self.gathered.extend_from_slice(line.as_bytes());
        if self.gathered.len() >= OUT_BYTES {
            self.flush().await;
        }
    }

    /// Prints what was gathered. Who cannot be told any more keeps no message from being sent.
    async fn flush(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        if self.failure.is_none() && !gathered.is_empty() {
            self.failure = self.printing.print(gathered).await.failure;
        }
    }
}

/// The content of a file, or of standard input.
fn content(path: &Path) -> Result<Bytes, report::Error> {
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        false => std::fs::read(path),
    };
    read.map(Bytes::from).map_err(|error| {
        report::Error::new(Code::E0407, format!("read {}", path.display()))
            .because(error)
            .means("Nothing was sent.")
    })
}

/// Messages that are there already.
fn these(given: Vec<Bytes>) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(given.len().max(1));
    for message in given {
        sender
            .try_send(Ok(message))
            .expect("there is room for all of them");
    }
    receiver
}

/// The lines of standard input, read by a thread of its own, because reading them may block.
fn lines() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    if io::stdin().is_terminal() {
        let _told = writeln!(
            io::stderr(),
            "reading the terminal: each line is a message; Ctrl-D on an empty line ends it"
        );
    }
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::Builder::new().spawn(move || {
        for line in io::BufReader::new(io::stdin()).split(b'\n') {
            if sender.blocking_send(line.map(Bytes::from)).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
