//! The load: connections that each keep so many requests in flight.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::{Buf, BytesMut};
use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::Template;
use crate::client::zookeeper::{Client, Options};
use crate::coordinator::Request;
use crate::wire::zookeeper::request::{self, xid};
use crate::wire::zookeeper::{frame, reply};

/// The longest reply there can be: to a get of the largest size.
const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Room for one read.
const READ_BYTES: usize = 64 * 1024;
/// The longest latency told apart.
const LATENCY_NS_MAX: u64 = 100_000_000_000;
/// How long the last replies may take after the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The session timeout asked for: a server that is measured may be slow.
const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of the last request of a connection. Nothing is compared with it.
const END_XID: i32 = i32::MAX;

/// What was measured.
#[derive(Debug)]
pub(super) struct Load {
    /// Nanoseconds from request to reply of all replies in the measured time.
    pub(super) latency: Histogram<u64>,
    /// Replies in the measured time that said what went wrong.
    pub(super) errors: u64,
    /// The number in the first of these.
    pub(super) first_error: Option<i32>,
    /// How long was measured.
    pub(super) measured: Duration,
    /// Requests that each connection sent in all.
    pub(super) sent: Vec<u64>,
}

/// When to count.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Counts {
    latency: Histogram<u64>,
    errors: u64,
    first_error: Option<i32>,
}

/// Opens a connection for each template and keeps `in_flight` requests under way on each.
pub(super) async fn run(
    address: SocketAddr,
    templates: Vec<Template>,
    in_flight: usize,
    warm_up: Duration,
    measured: Duration,
    stop: &Rc<Cell<bool>>,
) -> anyhow::Result<Load> {
    let counts = Rc::new(RefCell::new(Counts {
        latency: Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("the bounds are good ones"),
        errors: 0,
        first_error: None,
    }));
    let streams = open(address, templates.len()).await?;
    let start = Instant::now() + warm_up;
    let schedule = Schedule {
        start,
        end: start + measured,
    };
    let tasks = LocalSet::new();
    let connections: Vec<_> = streams
        .into_iter()
        .zip(templates)
        .map(|(stream, template)| {
            let connection = Connection {
                stream,
                template,
                schedule,
                stop: Rc::clone(stop),
                counts: Rc::clone(&counts),
                input: BytesMut::new(),
                output: Vec::new(),
                in_flight: VecDeque::with_capacity(in_flight),
                sent: 0,
            };
            tasks.spawn_local(connection.run(in_flight))
        })
        .collect();
    let sent = tasks.run_until(async {
        let mut sent = Vec::with_capacity(connections.len());
        for connection in connections {
            sent.push(connection.await.context("a connection's task")??);
        }
        anyhow::Ok(sent)
    });
    let sent = timeout(warm_up + measured + PATIENCE, sent)
        .await
        .context("the last replies did not come")??;
    drop(tasks);
    let counts = Rc::into_inner(counts)
        .expect("no connection is left to count")
        .into_inner();
    Ok(Load {
        latency: counts.latency,
        errors: counts.errors,
        first_error: counts.first_error,
        measured,
        sent,
    })
}

/// Opens `count` connections, each with a session.
async fn open(address: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut clients: Vec<Client> = Vec::with_capacity(count);
    let options = Options {
        session_timeout: SESSION_TIMEOUT,
        ..Options::default()
    };
    for number in 1..=count {
        match Client::connect(address, options).await {
            Ok(client) => clients.push(client),
            Err(error) => {
                for client in clients {
                    // One that cannot be ended ends by itself.
                    let _ended = client.close().await;
                }
                return Err(error).with_context(|| {
                    format!(
                        "open connection {number} of {count} (a server admits 60 from one address unless \
                         coordinator.connections_per_address_max, or maxClientCnxns, says otherwise)"
                    )
                });
            }
        }
    }
    Ok(clients.into_iter().map(Client::into_stream).collect())
}

struct Connection {
    stream: TcpStream,
    template: Template,
    schedule: Schedule,
    /// Set when nothing more is to be asked.
    stop: Rc<Cell<bool>>,
    counts: Rc<RefCell<Counts>>,
    input: BytesMut,
    output: Vec<u8>,
    /// When each request that waits for its reply was sent, in order.
    in_flight: VecDeque<Instant>,
    sent: u64,
}

impl Connection {
    /// Asks until the end, and gives how many requests were sent.
    async fn run(mut self, in_flight: usize) -> anyhow::Result<u64> {
        self.ask(in_flight, Instant::now());
        while !self.in_flight.is_empty() {
            self.write().await.context("send")?;
            self.read().await.context("receive")?;
            let now = Instant::now();
            let answered = self.take_replies(now)?;
            if now < self.schedule.end && !self.stop.get() {
                self.ask(answered, now);
            }
        }
        self.end_session().await.context("end the session")?;
        Ok(self.sent)
    }

    /// Ends the session, and returns when the server has answered, or closed the connection.
    async fn end_session(&mut self) -> anyhow::Result<()> {
        let mut frame = BytesMut::new();
        request::encode(END_XID, &Request::CloseSession, &mut frame)?;
        self.output.extend_from_slice(&frame);
        self.write().await?;
        match self.read().await {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn ask(&mut self, count: usize, now: Instant) {
        for _ in 0..count {
            self.template.put(self.sent, &mut self.output);
            self.sent += 1;
            self.in_flight.push_back(now);
        }
    }

    async fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest @ [_, ..]) = self.output.get(written..) {
            match self.stream.try_write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            self.input.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts the replies that are all there, and gives how many they were.
    fn take_replies(&mut self, now: Instant) -> anyhow::Result<usize> {
        let counted = self.schedule.start <= now && now < self.schedule.end;
        let mut counts = self.counts.borrow_mut();
        let mut answered = 0;
        let mut taken = 0;
        loop {
            let rest = self.input.get(taken..).unwrap_or_default();
            let whole = frame::frame_bytes(rest, PAYLOAD_BYTES_MAX)?;
            let Some(payload) = whole.and_then(|whole| rest.get(frame::HEADER_BYTES..whole)) else {
                break;
            };
            taken += frame::HEADER_BYTES + payload.len();
            let header = reply::decode_header(payload)?;
            if header.xid == xid::NOTIFICATION {
                continue;
            }
            let sent = self.in_flight.pop_front().context("a reply too many")?;
            answered += 1;
            if counted {
                let nanos = u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX);
                counts.latency.saturating_record(nanos);
                if header.error != 0 {
                    counts.errors += 1;
                    counts.first_error.get_or_insert(header.error);
                }
            }
        }
        self.input.advance(taken);
        Ok(answered)
    }
}
