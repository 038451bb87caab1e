//! End to end: from the start of a send until a consumer has the message, with one message at a time.

use std::time::Duration;

use anyhow::Context as _;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use clap::value_parser;
use serde_json::json;
use tokio::time::Instant;

use super::Show;
use super::frames::payload;
use super::measured::{Cost, Measured};
use crate::client::metaq::{
    Client, Consumer, ConsumerOptions, Message, Producer, Received, Side, Start,
};
use crate::operator::cli::bench_disk;
use crate::operator::cli::brokers::{self, BrokersArgument, Errand};
use crate::operator::cli::interrupt::Interrupt;
use crate::operator::cli::quantiles::Times;
use crate::units::counted;

/// The group that the consumer joins.
const GROUP: &str = "chrysalis_bench";
/// How long to wait for a message before it is taken for lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a first message is sent until the consumer hears one.
const KNOCK: Duration = Duration::from_millis(200);
/// Nanoseconds and the run's own number, before the rest of the payload.
const STAMP_BYTES: usize = 16;

/// Measure end to end: from a send until a member of a consumer group has the message
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  \
    chrysalis bench broker latency --interval-ms 1000 --seconds 60")]
pub(super) struct Latency {
    /// The topic
    #[arg(long, value_name = "NAME", default_value = "test")]
    topic: String,
    /// The time between two messages
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(0..=3_600_000))]
    interval_ms: u32,
    /// How long to measure
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=86_400))]
    pub(super) seconds: u32,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = value_parser!(u32).range(16..=64 * 1024 * 1024))]
    size: u32,
    #[command(flatten)]
    brokers: BrokersArgument,
    #[command(flatten)]
    pub(super) show: Show,
}

impl Latency {
    /// Measures.
    pub(super) async fn measure(
        &self,
        interrupt: &mut Interrupt,
    ) -> Option<anyhow::Result<Measured>> {
        let client = match self.brokers.client() {
            Ok(client) => client,
            Err(error) => return Some(Err(error.into())),
        };
        let measured = interrupt.or(self.measure_with(&client)).await;
        client.close().await;
        measured
    }

    async fn measure_with(&self, client: &Client) -> anyhow::Result<Measured> {
        let disk = self.show.disk.as_deref();
        let time = Duration::from_secs(self.seconds.into());
        let disk = disk
            .map(|folder| bench_disk::one_at_a_time(folder, time))
            .transpose()?;
        let errand = Errand {
            brokers: &self.brokers,
            topic: &self.topic,
            side: Side::Producers,
        };
        let mut run = Run::begin(client, errand, self.size as usize).await?;
        let measured = run.messages(self, time).await;
        run.consumer.close().await;
        let (sent, heard, busy) = measured?;
        Ok(Measured {
            title: format!(
                "end to end, {} B, one message each {} ms, {} s, topic {}",
                self.size, self.interval_ms, self.seconds, self.topic,
            ),
            lines: vec![counted(heard.count(), "messages")],
            times: vec![
                ("acknowledged", sent.quantiles()),
                ("received", heard.quantiles()),
            ],
            busy,
            disk,
            json: json!({
                "bench": "broker latency",
                "topic": self.topic,
                "size_bytes": self.size,
                "interval_ms": self.interval_ms,
                "seconds": self.seconds,
                "messages": heard.count(),
            }),
        })
    }
}

struct Run<'a> {
    errand: Errand<'a>,
    producer: Producer,
    consumer: Consumer,
    /// Tells this run's messages from those of others in the topic.
    number: u64,
    rest: Vec<u8>,
    started: Instant,
}

impl<'a> Run<'a> {
    /// A producer, and a consumer that hears it.
    async fn begin(client: &Client, errand: Errand<'a>, size: usize) -> anyhow::Result<Run<'a>> {
        let topic = errand.topic;
        let what = format!("measure topic {topic}");
        for side in [Side::Producers, Side::Consumers] {
            let errand = Errand { side, ..errand };
            errand.find_topic(client, brokers::PATIENCE).await?;
        }
        let producer = client.producer();
        producer
            .publish(topic)
            .await
            .map_err(|error| errand.explain(error, &what))?;
        let options = ConsumerOptions {
            start: Start::End,
            ..ConsumerOptions::default()
        };
        let consumer = client.consumer(GROUP, &[topic], options);
        let consumer = consumer.map_err(|error| errand.explain(error, &what))?;
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let number = u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(0);
        let rest = payload(size.saturating_sub(STAMP_BYTES));
        let started = Instant::now();
        let mut run = Run {
            errand,
            producer,
            consumer,
            number,
            rest,
            started,
        };
        run.knock().await?;
        Ok(run)
    }

    /// Sends until the consumer hears it: it needs its share of the partitions first, and each partition has to be
    /// heard once.
    async fn knock(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut quiet = false;
        while !quiet {
            anyhow::ensure!(Instant::now() < deadline, "the consumer hears nothing");
            self.send().await?;
            quiet = tokio::time::timeout(KNOCK, self.hear()).await.is_ok();
        }
        // What was sent before is behind us once nothing more comes.
        while tokio::time::timeout(KNOCK, self.hear()).await.is_ok() {}
        Ok(())
    }

    async fn messages(
        &mut self,
        latency: &Latency,
        time: Duration,
    ) -> anyhow::Result<(Times, Times, f64)> {
        let interval = Duration::from_millis(latency.interval_ms.into());
        let (mut sent, mut heard) = (Times::new(), Times::new());
        let cost = Cost::begin();
        let begin = Instant::now();
        let mut next = begin;
        while begin.elapsed() < time {
            tokio::time::sleep_until(next).await;
            next = Instant::now() + interval;
            let asked = Instant::now();
            // The consumer may have the message before the producer has its answer.
            let (producer, errand) = (&self.producer, self.errand);
            let message = stamp(self.started, self.number, &self.rest);
            let acknowledged = async {
                let stored = producer.send(errand.topic, message).await;
                let stored = stored.map_err(|error| errand.explain(error, &errand.what()))?;
                anyhow::Ok((stored, asked.elapsed()))
            };
            let received = async {
                let heard = tokio::time::timeout(PATIENCE, hear(&mut self.consumer, self.number));
                let at = heard.await.context("a message was not received")??;
                anyhow::Ok((self.started.elapsed()).saturating_sub(at))
            };
            let ((_, acknowledged), received) = tokio::try_join!(acknowledged, received)?;
            sent.record(acknowledged);
            heard.record(received);
        }
        Ok((sent, heard, cost.end()))
    }

    async fn send(&self) -> anyhow::Result<()> {
        let message = stamp(self.started, self.number, &self.rest);
        let errand = self.errand;
        let stored = self.producer.send(errand.topic, message).await;
        stored.map_err(|error| errand.explain(error, &errand.what()))?;
        Ok(())
    }

    async fn hear(&mut self) -> anyhow::Result<Duration> {
        hear(&mut self.consumer, self.number).await
    }
}

/// The next message of this run: when it was sent, since the run's start.
async fn hear(consumer: &mut Consumer, number: u64) -> anyhow::Result<Duration> {
    loop {
        let message = consumer.next().await.context("the consumer ended")?;
        if let Some(at) = stamped(&message, number) {
            return Ok(at);
        }
    }
}

fn stamp(started: Instant, number: u64, rest: &[u8]) -> Message {
    let mut payload = BytesMut::with_capacity(STAMP_BYTES + rest.len());
    payload.put_u64(number);
    payload.put_u64(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    payload.put_slice(rest);
    Message::new(payload.freeze())
}

fn stamped(message: &Received, number: u64) -> Option<Duration> {
    let mut payload: Bytes = message.payload.clone();
    let ours = payload.try_get_u64().ok()? == number;
    let nanos = payload.try_get_u64().ok()?;
    ours.then(|| Duration::from_nanos(nanos))
}
