//! Gets: partitions read from the start, each on a connection of its own, one request under way on each,
//! as consumers do. At its end a partition is read again, until the time is over.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context as _;
use bytes::{Buf, BytesMut};
use clap::value_parser;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::measured::{Cost, Measured};
use super::socket::{PATIENCE, Schedule, connect, read, refused};
use super::{Show, Subject};
use crate::broker::{Get as GetRequest, Name, OffsetQuery, Request};
use crate::operator::cli::bench_disk;
use crate::operator::cli::quantiles::{Times, per_second};
use crate::segments::format::{HEADER_BYTES, Header};
use crate::units::counted;
use crate::wire::metaq::reply::Peeked;
use crate::wire::metaq::{Limits, StatusCode, reply, request};

/// What the broker sees as the group. It owns nothing, so nothing is held back for it.
const GROUP: &str = "chrysalis_bench";

/// Measure gets: how fast partitions are read from the start
///
/// The partitions have to hold messages: run put before.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis bench broker put --seconds 30 && chrysalis bench broker get\n  \
    chrysalis bench broker get --ceiling --json")]
pub(super) struct Get {
    #[command(flatten)]
    pub(super) subject: Subject,
    /// Bytes asked for at a time
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024, value_parser = value_parser!(u32).range(20..=64 * 1024 * 1024))]
    max_size: u32,
    #[command(flatten)]
    pub(super) show: Show,
}

/// What was read in the measured time.
#[derive(Debug, Default)]
struct Counts {
    messages: Cell<u64>,
    bytes: Cell<u64>,
    /// How often a partition was read to its end.
    rounds: Cell<u64>,
}

impl Get {
    /// Measures.
    pub(super) async fn measure(&self) -> anyhow::Result<Measured> {
        let disk = self.show.disk.as_deref();
        let disk = disk.map(|folder| bench_disk::one_at_a_time(folder, self.subject.seconds()));
        let disk = disk.transpose()?;
        let (address, name) = self.subject.address().await?;
        let mut connections = Vec::new();
        for partition in 0..self.subject.partitions {
            connections.push(self.connection(address, partition.into()).await?);
        }
        let schedule = Schedule::new(self.subject.warm_up(), self.subject.seconds());
        let counts = Rc::new(Counts::default());
        let cost = Cost::begin();
        let tasks = LocalSet::new();
        let running: Vec<_> = connections
            .into_iter()
            .map(|connection| tasks.spawn_local(connection.run(schedule, Rc::clone(&counts))))
            .collect();
        let mut times = Times::new();
        tasks
            .run_until(async {
                for connection in running {
                    times.add(&connection.await.context("a connection's task")??);
                }
                anyhow::Ok(())
            })
            .await
            .with_context(|| format!("measure {name}"))?;
        let busy = cost.end();
        let messages = per_second(counts.messages.get(), schedule.counted());
        let bytes = per_second(counts.bytes.get(), schedule.counted());
        let rounds = counts.rounds.get();
        Ok(Measured {
            title: format!(
                "get {} B at a time, {}, {} s, {name}",
                self.max_size,
                counted(self.subject.partitions, "partitions"),
                self.subject.seconds,
            ),
            lines: vec![
                format!("{messages:.0} messages/s, {:.1} MB/s", bytes / 1e6),
                format!("partitions read to the end: {rounds}"),
            ],
            times: vec![("latency", times.quantiles())],
            busy,
            disk,
            json: json!({
                "bench": "broker get",
                "broker": name,
                "topic": self.subject.topic,
                "partitions": self.subject.partitions,
                "max_size_bytes": self.max_size,
                "seconds": self.subject.seconds,
                "gets": times.count(),
                "messages": counts.messages.get(),
                "per_second": messages,
                "bytes_per_second": bytes,
                "rounds": rounds,
            }),
        })
    }

    async fn connection(&self, address: SocketAddr, partition: i32) -> anyhow::Result<Connection> {
        let mut connection = Connection {
            stream: connect(address).await?,
            topic: Name::from(&*self.subject.topic),
            partition,
            first: 0,
            max_size: i32::try_from(self.max_size)?,
            input: BytesMut::new(),
        };
        let end = connection.nearest(i64::MAX).await?;
        connection.first = connection.nearest(0).await?;
        anyhow::ensure!(
            end > connection.first,
            "partition {partition} of {} holds nothing to read; chrysalis bench broker put fills it",
            self.subject.topic,
        );
        Ok(connection)
    }
}

/// One partition's reader.
struct Connection {
    stream: TcpStream,
    topic: Name,
    partition: i32,
    first: i64,
    max_size: i32,
    input: BytesMut,
}

impl Connection {
    async fn run(mut self, schedule: Schedule, counts: Rc<Counts>) -> anyhow::Result<Times> {
        let mut times = Times::new();
        let mut offset = self.first;
        let mut progress = false;
        loop {
            let asked = Instant::now();
            if schedule.is_over(asked) {
                return Ok(times);
            }
            let get = Request::Get(GetRequest {
                topic: self.topic.clone(),
                group: Name::from_static(GROUP),
                partition: self.partition,
                offset,
                max_size: self.max_size,
            });
            let head = self.ask(&get).await?;
            let now = Instant::now();
            let body = &self.input[head.header_bytes..head.header_bytes + head.body_bytes];
            match head.code {
                None => {
                    let (messages, bytes) = whole_messages(body)?;
                    anyhow::ensure!(messages > 0, "a message is larger than --max-size");
                    offset = offset.saturating_add_unsigned(bytes);
                    progress = true;
                    if schedule.counts(now) {
                        times.record(now - asked);
                        counts.messages.set(counts.messages.get() + messages);
                        counts.bytes.set(counts.bytes.get() + bytes);
                    }
                }
                Some(StatusCode::NOT_FOUND) if progress => {
                    offset = self.first;
                    progress = false;
                    counts.rounds.set(counts.rounds.get() + 1);
                }
                // Retention was here: the partition begins later now.
                Some(StatusCode::MOVED) => {
                    self.first = number(body)?;
                    offset = self.first;
                }
                Some(code) => return Err(refused("a get", code, body).into()),
            }
            self.input.advance(head.header_bytes + head.body_bytes);
        }
    }

    async fn nearest(&mut self, offset: i64) -> anyhow::Result<i64> {
        let query = Request::Offset(OffsetQuery {
            topic: self.topic.clone(),
            group: Name::from_static(GROUP),
            partition: self.partition,
            offset,
        });
        let head = self.ask(&query).await?;
        let answer = self.input.split_to(head.header_bytes + head.body_bytes);
        let text = &answer[head.header_bytes..];
        match head.code {
            Some(StatusCode::SUCCESS) => number(text),
            Some(StatusCode::NOT_FOUND) => Ok(0),
            Some(code) => Err(refused("an offset request", code, text).into()),
            None => anyhow::bail!("an offset request was answered with records"),
        }
    }

    /// Asks, and waits until the whole answer is at the head of the input.
    async fn ask(&mut self, request: &Request) -> anyhow::Result<Peeked> {
        let mut out = BytesMut::new();
        request::encode(&mut out, 0, request);
        self.stream.write_all(&out).await.context("send")?;
        loop {
            let head = reply::peek(&self.input, &Limits::DEFAULT)?;
            if let Some(head) =
                head.filter(|head| head.header_bytes + head.body_bytes <= self.input.len())
            {
                return Ok(head);
            }
            let size = usize::try_from(self.max_size).unwrap_or(0);
            self.input.reserve(size);
            let readable = tokio::time::timeout(PATIENCE, self.stream.readable()).await;
            readable.context("no reply came")?.context("wait")?;
            read(&self.stream, &mut self.input).context("receive")?;
        }
    }
}

/// How many whole messages stand at the head of a piece of a partition, and in how many bytes.
fn whole_messages(piece: &[u8]) -> anyhow::Result<(u64, u64)> {
    let mut rest = piece;
    let mut messages = 0;
    while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
        let header = Header::decode(header).context("what a get brought is no message")?;
        let length = usize::try_from(header.record_bytes())?;
        let Some(after) = rest.get(length..) else {
            break;
        };
        rest = after;
        messages += 1;
    }
    Ok((messages, (piece.len() - rest.len()) as u64))
}

fn number(text: &[u8]) -> anyhow::Result<i64> {
    let text = String::from_utf8_lossy(text);
    text.trim()
        .parse()
        .with_context(|| format!("{text:?} is no offset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_cut_off_is_not_counted() {
        let header = Header {
            length: 5,
            checksum: 0,
            message_id: 1,
            flag: 0,
        }
        .encode();
        let record = [&header[..], b"hello"].concat();
        let piece = record.repeat(3);
        assert_eq!(whole_messages(&piece).expect("messages"), (3, 75));
        assert_eq!(whole_messages(&piece[..74]).expect("messages"), (2, 50));
        assert_eq!(whole_messages(&piece[..10]).expect("messages"), (0, 0));
        whole_messages(&[0xff; 20]).expect_err("no message");
    }
}
