//! `chrysalis produce`: sends messages.

use std::collections::VecDeque;
use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use super::brokers::{BrokersArgument, PartitionArgument, explain, find_topic, place};
use super::zk::runtime;
use crate::client::metaq::{Message, Producer, ProducerOptions, Sending, Side, Stored};

/// Messages under way at a time.
const UNDER_WAY_MAX: usize = 1000;
/// Lines read ahead of the sending.
const LINES_AHEAD: usize = 1000;

/// Send messages to a topic
///
/// Each MESSAGE is one; without any, and without --file, each line of standard input is one. Prints where each one
/// went, after it is on stable storage there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis produce orders hello world\n  \
    chrysalis produce orders --attribute urgent --partition 1-0 hello\n  \
    chrysalis produce orders --file picture.png\n  \
    seq 1000 | chrysalis produce orders --quiet --broker 127.0.0.1:8123")]
pub(super) struct Produce {
    /// The topic
    topic: String,
    /// What to send
    #[arg(value_name = "MESSAGE", conflicts_with = "file")]
    messages: Vec<String>,
    /// Send the content of this file as one message
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A short text that consumers see beside each message
    #[arg(long, value_name = "TEXT")]
    attribute: Option<String>,
    /// Where to send it; a number alone is that of any broker [default: to each partition in turn]
    #[arg(long, value_name = "BROKER-PARTITION")]
    partition: Option<PartitionArgument>,
    /// How long to wait for each answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
    #[command(flatten)]
    brokers: BrokersArgument,
    /// Print one JSON object for each message
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print how many were sent, and nothing for each of them
    #[arg(long)]
    quiet: bool,
}

impl Produce {
    /// Sends, and tells where it went.
    pub(super) fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        runtime()?.block_on(self.send(out))
    }

    async fn send(mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let timeout = Duration::from_secs(self.timeout.into());
        let options = ProducerOptions {
            send_timeout: timeout,
            publish_timeout: timeout,
        };
        let client = self.brokers.client()?;
        let what = format!("send to {}", self.topic);
        find_topic(&client, &self.topic, Side::Producers, &what, timeout).await?;
        let producer = client.producer_with(options);
        producer
            .publish(&self.topic)
            .await
            .map_err(|error| explain(error, &what))?;
        let started = Instant::now();
        let mut count = 0;
        let sent = self.send_all(&producer, &mut count, out).await;
        if self.quiet {
            // Whoever is told of no single message has to know how many there were before it went wrong.
            let seconds = started.elapsed().as_secs_f64();
            writeln!(out, "{count} messages in {seconds:.3} s")?;
        }
        sent
    }

    /// Counts those that are stored, in order.
    async fn send_all(
        &mut self,
        producer: &Producer,
        count: &mut u64,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut messages = self.messages()?;
        let mut under_way = VecDeque::new();
        loop {
            // What is next: another message, if there is room for it, or the answer to the oldest.
            let next = if under_way.len() < UNDER_WAY_MAX {
                messages.try_recv().ok()
            } else {
                None
            };
            if let Some(message) = next {
                under_way.push_back(self.start(producer, message?).await?);
                continue;
            }
            if let Some(oldest) = under_way.pop_front() {
                self.finish(oldest, out).await?;
                *count += 1;
                continue;
            }
            match messages.recv().await {
                Some(message) => under_way.push_back(self.start(producer, message?).await?),
                None => return Ok(()),
            }
        }
    }

    /// What to send, in order.
    fn messages(&mut self) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Bytes>>> {
        let given: Vec<Bytes> = match &self.file {
            Some(path) => {
                let content =
                    std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
                vec![content.into()]
            }
            None => std::mem::take(&mut self.messages)
                .into_iter()
                .map(Bytes::from)
                .collect(),
        };
        if given.is_empty() {
            return lines(std::io::stdin()).context("start a thread for standard input");
        }
        let (sender, receiver) = mpsc::channel(given.len());
        for message in given {
            sender
                .try_send(Ok(message))
                .expect("there is room for all of them");
        }
        Ok(receiver)
    }

    async fn start(&self, producer: &Producer, payload: Bytes) -> anyhow::Result<Sending> {
        let message = Message {
            payload,
            attribute: self.attribute.clone(),
        };
        let sending = match self.partition {
            Some(PartitionArgument { broker, number }) => {
                producer
                    .start_to(&self.topic, broker, number, message)
                    .await
            }
            None => producer.start(&self.topic, message).await,
        };
        Ok(sending.map_err(|error| explain(error, &format!("send to {}", self.topic)))?)
    }

    async fn finish(&self, sending: Sending, out: &mut dyn Write) -> anyhow::Result<()> {
        let stored = sending.stored().await;
        let stored = stored.map_err(|error| explain(error, &format!("send to {}", self.topic)))?;
        if self.json {
            let Stored {
                message_id,
                broker,
                partition,
                offset,
            } = stored;
            let topic = &self.topic;
            let object = json!({
                "topic": topic, "broker": broker, "partition": partition, "offset": offset, "id": message_id,
            });
            writeln!(out, "{object}")?;
        } else if !self.quiet {
            let place = place(stored.broker, stored.partition);
            writeln!(
                out,
                "{} {place} offset {} id {}",
                self.topic, stored.offset, stored.message_id
            )?;
        }
        Ok(())
    }
}

/// The lines of a stream, read by a thread of its own, because reading them may block.
fn lines(
    stream: impl Read + Send + 'static,
) -> std::io::Result<mpsc::Receiver<anyhow::Result<Bytes>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::Builder::new().spawn(move || {
        for line in std::io::BufReader::new(stream).split(b'\n') {
            let line = line.map(Bytes::from).context("read standard input");
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}
