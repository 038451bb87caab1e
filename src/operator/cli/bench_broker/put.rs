//! Puts: connections that each keep so many under way.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Context as _;
use bytes::{Buf, BytesMut};
use clap::value_parser;
use serde_json::json;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::frames::Frames;
use super::measured::{Cost, Measured};
use super::socket::{PATIENCE, Schedule, connect, read, refused};
use super::{Show, Subject};
use crate::operator::cli::bench_disk;
use crate::operator::cli::quantiles::{Times, per_second};
use crate::units::counted;
use crate::wire::metaq::{Limits, StatusCode, reply};

/// Room for one read of replies.
const READ_BYTES: usize = 64 * 1024;
/// How many stretches of frames one write takes.
const SLICES_MAX: usize = 64;

/// Measure puts: messages a second, and how long each one takes
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    chrysalis bench broker put --topic bench --partitions 4 --connections 8 --in-flight 64\n  \
    chrysalis bench broker put --connections 1 --in-flight 1 --disk /var/lib/chrysalis\n  \
    chrysalis bench broker put --ceiling")]
pub(super) struct Put {
    #[command(flatten)]
    pub(super) subject: Subject,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Puts that each connection has under way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = value_parser!(u32).range(0..=64 * 1024 * 1024))]
    size: u32,
    #[command(flatten)]
    pub(super) show: Show,
}

impl Put {
    /// Measures.
    pub(super) async fn measure(&self) -> anyhow::Result<Measured> {
        let disk = self.show.disk.as_deref();
        let disk = disk.map(|folder| bench_disk::one_at_a_time(folder, self.subject.seconds()));
        let disk = disk.transpose()?;
        let (address, name) = self.subject.address().await?;
        let in_flight = self.in_flight as usize;
        let mut streams = Vec::new();
        for _ in 0..self.connections {
            streams.push(connect(address).await?);
        }
        let schedule = Schedule::new(self.subject.warm_up(), self.subject.seconds());
        let times = Rc::new(RefCell::new(Times::new()));
        let cost = Cost::begin();
        let tasks = LocalSet::new();
        let mut running = Vec::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let (topic, partitions) = (&self.subject.topic, self.subject.partitions);
            let frames = Frames::new(topic, partitions, number, in_flight, self.size as usize);
            let connection = Connection::new(stream, frames, schedule, Rc::clone(&times));
            running.push(tasks.spawn_local(connection.run()));
        }
        tasks
            .run_until(async {
                for connection in running {
                    connection.await.context("a connection's task")??;
                }
                anyhow::Ok(())
            })
            .await
            .with_context(|| format!("measure {name}"))?;
        let busy = cost.end();
        let times = times.borrow();
        let rate = per_second(times.count(), schedule.counted());
        let megabytes = rate * f64::from(self.size) / 1e6;
        Ok(Measured {
            title: format!(
                "put {} B, {} x {} in flight, {}, {} s, {name}",
                self.size,
                self.connections,
                self.in_flight,
                counted(self.subject.partitions, "partitions"),
                self.subject.seconds,
            ),
            lines: vec![format!("{rate:.0} messages/s, {megabytes:.1} MB/s")],
            times: vec![("latency", times.quantiles())],
            busy,
            disk,
            json: json!({
                "bench": "broker put",
                "broker": name,
                "topic": self.subject.topic,
                "partitions": self.subject.partitions,
                "connections": self.connections,
                "in_flight": self.in_flight,
                "size_bytes": self.size,
                "seconds": self.subject.seconds,
                "messages": times.count(),
                "per_second": rate,
                "bytes_per_second": rate * f64::from(self.size),
            }),
        })
    }
}

struct Connection {
    stream: TcpStream,
    frames: Frames,
    schedule: Schedule,
    times: Rc<RefCell<Times>>,
    /// When the put in each place was sent.
    sent_at: Vec<Instant>,
    under_way: usize,
    /// Stretches of frames that are still to be written.
    writing: VecDeque<Range<usize>>,
    input: BytesMut,
}

impl Connection {
    fn new(
        stream: TcpStream,
        frames: Frames,
        schedule: Schedule,
        times: Rc<RefCell<Times>>,
    ) -> Connection {
        let sent_at = vec![Instant::now(); frames.count()];
        let input = BytesMut::with_capacity(READ_BYTES);
        let (under_way, writing) = (0, VecDeque::new());
        Connection {
            stream,
            frames,
            schedule,
            times,
            sent_at,
            under_way,
            writing,
            input,
        }
    }

    /// Puts until the end, and waits for what is under way then.
    async fn run(mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for place in 0..self.frames.count() {
            self.send(place, now);
        }
        while self.under_way > 0 {
            self.write().context("send")?;
            let interest = match self.writing.is_empty() {
                true => Interest::READABLE,
                // A broker that waits for us to read its replies must not wait for ever.
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = tokio::time::timeout(PATIENCE, self.stream.ready(interest)).await;
            let ready = ready.context("no reply came")?.context("wait")?;
            if ready.is_readable() {
                self.input.reserve(READ_BYTES);
                read(&self.stream, &mut self.input).context("receive")?;
                self.take_replies()?;
            }
        }
        Ok(())
    }

    /// Queues the put of a place.
    fn send(&mut self, place: usize, now: Instant) {
        let range = self.frames.range(place);
        self.sent_at[place] = now;
        self.under_way += 1;
        match self.writing.back_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.writing.push_back(range),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.writing.is_empty() {
            let stretches = self.writing.iter().take(SLICES_MAX);
            let slices: Vec<IoSlice<'_>> = stretches
                .map(|range| IoSlice::new(self.frames.bytes(range.clone())))
                .collect();
            match self.stream.try_write_vectored(&slices) {
                Ok(count) => self.written(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn written(&mut self, mut count: usize) {
        while let Some(first) = self.writing.front_mut() {
            let step = count.min(first.len());
            first.start += step;
            count -= step;
            if first.start < first.end {
                return;
            }
            self.writing.pop_front();
        }
    }

    /// Counts the replies that are whole, and sends again what they free.
    fn take_replies(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let (counts, over) = (self.schedule.counts(now), self.schedule.is_over(now));
        let mut taken = 0;
        while let Some(head) = reply::peek(&self.input[taken..], &Limits::DEFAULT)? {
            let whole = taken + head.header_bytes + head.body_bytes;
            if whole > self.input.len() {
                break;
            }
            if head.code != Some(StatusCode::SUCCESS) {
                let text = &self.input[taken + head.header_bytes..whole];
                let code = head.code.context("a put was answered with records")?;
                return Err(refused("a put", code, text).into());
            }
            taken = whole;
            let place = usize::try_from(head.opaque)
                .ok()
                .filter(|place| *place < self.frames.count());
            let place = place.context("a reply to something that was not asked")?;
            self.under_way -= 1;
            if counts {
                self.times.borrow_mut().record(now - self.sent_at[place]);
            }
            if !over {
                self.send(place, now);
            }
        }
        self.input.advance(taken);
        Ok(())
    }
}
