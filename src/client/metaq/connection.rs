//! One connection to a broker: many requests under way, answers in any order.
//!
//! Requests are appended to an output buffer and leave together; a task reads the answers and gives each
//! to whoever waits for its opaque. A connection that is silent for a while is asked for its version, which
//! is also what keeps the broker from closing it. A connection that ends fails everything
//! under way; it is not opened again (see [`super::connections`]).

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::address::Address;
use super::error::Error;
use crate::broker::Request;
use crate::net::resolve;
use crate::wire::metaq::reply::{self, Content};
use crate::wire::metaq::{Decoded, Limits, request};

/// How much one read takes at most.
const READ_BYTES: usize = 128 * 1024;

/// How a connection behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for the connection.
    pub connect_timeout: Duration,
    /// After how long a silence the broker is asked for a sign of life.
    pub heartbeat_after: Duration,
    /// How long that may take before the connection is given up.
    pub heartbeat_timeout: Duration,
    /// How many requests may be under way; the next one waits.
    pub in_flight_max: usize,
    /// The longest answer that is accepted, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for Options {
    /// The Java client's figures, but for the limits, which it does not have.
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(10),
            heartbeat_after: Duration::from_secs(10),
            heartbeat_timeout: Duration::from_secs(5),
            in_flight_max: 20_000,
            answer_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// An open connection to a broker.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    in_flight: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    state: Mutex<State>,
    /// There is something to write, or the connection is to end.
    work: Notify,
}

#[derive(Debug)]
struct State {
    output: BytesMut,
    waiting: HashMap<i32, oneshot::Sender<Content>>,
    opaque_next: i32,
    /// Why the connection has ended, once it has.
    ended: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disconnected(&self, reason: &str) -> Error {
        Error::Disconnected {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }

    /// Fails everything under way.
    fn end(&self, reason: String) {
        let mut state = self.state();
        if state.ended.is_none() {
            state.ended = Some(reason);
        }
        state.waiting.clear();
        state.output.clear();
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The name is unknown, or nobody accepts connections there in time.
    pub async fn open(address: &Address, options: &Options) -> Result<Connection, Error> {
        let stream = connect(address, options.connect_timeout).await?;
        let shared = Arc::new(Shared {
            address: address.clone(),
            state: Mutex::new(State {
                output: BytesMut::new(),
                waiting: HashMap::new(),
                opaque_next: i32::MIN,
                ended: None,
            }),
            work: Notify::new(),
        });
        let driver = Driver::new(stream, Arc::clone(&shared), options.clone());
        tokio::spawn(driver.drive());
        let in_flight = Arc::new(Semaphore::new(options.in_flight_max));
        Ok(Connection { shared, in_flight })
    }

    /// Where the broker is.
    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Whether it has not ended yet, as far as is known.
    pub fn is_open(&self) -> bool {
        self.shared.state().ended.is_none()
    }

    /// Sends a request, after waiting for room if too many are under way. Requests leave in the
    /// order of these calls.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn send(&self, request: &Request) -> Result<Pending, Error> {
        let permit = Arc::clone(&self.in_flight).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (sender, answer) = oneshot::channel();
        let opaque = {
            let mut state = self.shared.state();
            if let Some(reason) = &state.ended {
                return Err(self.shared.disconnected(reason));
            }
            let opaque = state.opaque();
            request::encode(&mut state.output, opaque, request);
            state.waiting.insert(opaque, sender);
            opaque
        };
        self.shared.work.notify_one();
        Ok(Pending {
            opaque,
            answer,
            shared: Arc::clone(&self.shared),
            _permit: permit,
        })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The connection has ended, or no answer came in time.
    pub async fn ask(&self, request: &Request, timeout: Duration) -> Result<Content, Error> {
        self.send(request).await?.answer(timeout).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.end("closed by this client".to_string());
        self.shared.work.notify_one();
    }
}

impl State {
    /// A number that no request under way has.
    fn opaque(&mut self) -> i32 {
        loop {
            let opaque = self.opaque_next;
            self.opaque_next = self.opaque_next.wrapping_add(1);
            if !self.waiting.contains_key(&opaque) {
                return opaque;
            }
        }
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Pending {
    opaque: i32,
    answer: oneshot::Receiver<Content>,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The connection has ended, or no answer came in time.
    pub async fn answer(self, timeout: Duration) -> Result<Content, Error> {
        self.answer_by(Instant::now() + timeout, timeout).await
    }

    /// Waits for the answer until `deadline`, which is `after` the beginning of what the answer is to.
    pub(super) async fn answer_by(
        mut self,
        deadline: Instant,
        after: Duration,
    ) -> Result<Content, Error> {
        match tokio::time::timeout_at(deadline, &mut self.answer).await {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(_)) => {
                let state = self.shared.state();
                let reason = state.ended.as_deref().unwrap_or("the answer was lost");
                Err(self.shared.disconnected(reason))
            }
            Err(_) => Err(Error::Timeout {
                address: self.shared.address.clone(),
                after,
            }),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.state().waiting.remove(&self.opaque);
    }
}

async fn connect(address: &Address, timeout: Duration) -> Result<TcpStream, Error> {
    let connected = tokio::time::timeout(timeout, async {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in resolve::addresses(&address.host_port()).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(Ok(stream)),
                Err(error) => failure = error,
            }
        }
        Ok::<_, Error>(Err(failure))
    });
    let failed = |source| Error::Connect {
        address: address.clone(),
        source,
    };
    let in_time = connected
        .await
        .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?;
    let stream = in_time?.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// The task that owns the socket.
struct Driver {
    stream: TcpStream,
    shared: Arc<Shared>,
    options: Options,
    limits: Limits,
    input: BytesMut,
    /// Bytes the input must have before decoding can get any further.
    need: usize,
    writing: BytesMut,
    last_io: Instant,
    heartbeat: Option<(Instant, oneshot::Receiver<Content>)>,
}

impl Driver {
    fn new(stream: TcpStream, shared: Arc<Shared>, options: Options) -> Driver {
        let limits = Limits {
            body_bytes: options.answer_bytes_max,
            ..Limits::DEFAULT
        };
        Driver {
            stream,
            shared,
            options,
            limits,
            input: BytesMut::new(),
            need: 0,
            writing: BytesMut::new(),
            last_io: Instant::now(),
            heartbeat: None,
        }
    }

    async fn drive(mut self) {
        let reason = match self.run().await {
            Ok(()) => "closed by this client".to_string(),
            Err(reason) => reason,
        };
        tracing::debug!(address = %self.shared.address, reason, "connection ended");
        self.shared.end(reason);
    }

    /// Reads and writes until the connection ends; the error is the reason in words.
    async fn run(&mut self) -> Result<(), String> {
        loop {
            if !self.write().map_err(|error| format!("write: {error}"))? {
                return Ok(());
            }
            let interest = if self.writing.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let check = self.next_check();
            tokio::select! {
                ready = self.stream.ready(interest) => {
                    let ready = ready.map_err(|error| format!("wait: {error}"))?;
                    if ready.is_readable() {
                        self.read()?;
                    }
                }
                () = self.shared.work.notified() => {}
                () = tokio::time::sleep_until(check) => self.beat()?,
            }
        }
    }

    /// Writes until nothing is left or the broker takes no more; false once the connection is to end.
    fn write(&mut self) -> io::Result<bool> {
        loop {
            if self.writing.is_empty() {
                let mut state = self.shared.state();
                if state.ended.is_some() {
                    return Ok(false);
                }
                std::mem::swap(&mut self.writing, &mut state.output);
                if self.writing.is_empty() {
                    return Ok(true);
                }
            }
            match self.stream.try_write(&self.writing) {
                Ok(count) => {
                    self.writing.advance(count);
                    self.last_io = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(self.shared.state().ended.is_none());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One read, and all whole answers in what has come so far.
    fn read(&mut self) -> Result<(), String> {
        // An announced length makes no room: as much again as has come already.
        let missing = self.need.saturating_sub(self.input.len());
        self.input
            .reserve(READ_BYTES.max(missing.min(self.input.len())));
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => return Err("closed by the broker".to_string()),
            Ok(_) => self.last_io = Instant::now(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("read: {error}")),
        }
        let mut state = self.shared.state();
        while self.input.len() >= self.need.max(1) {
            match reply::decode(&mut self.input, &self.limits) {
                Ok(Decoded::NotYet { need }) => self.need = need,
                Ok(Decoded::Frame(answer)) => {
                    self.need = 0;
                    if let Some(waiting) = state.waiting.remove(&answer.opaque) {
                        // Whoever asked may have given up meanwhile.
                        let _unheard = waiting.send(answer.content);
                    }
                }
                Ok(Decoded::TooLarge { body, .. }) => {
                    return Err(format!(
                        "an answer of {body} bytes is more than is accepted"
                    ));
                }
                Err(error) => return Err(format!("not the protocol: {error}")),
            }
        }
        Ok(())
    }

    /// When silence has to be looked at again.
    fn next_check(&mut self) -> Instant {
        if let Some((sent, answer)) = &mut self.heartbeat {
            if answer.try_recv().is_err() {
                return *sent + self.options.heartbeat_timeout;
            }
            self.heartbeat = None;
        }
        self.last_io + self.options.heartbeat_after
    }

    /// Asks for a sign of life, or gives up when the last one asked for has not come.
    fn beat(&mut self) -> Result<(), String> {
        if self.next_check() > Instant::now() {
            return Ok(());
        }
        if self.heartbeat.is_some() {
            return Err("no answer to a heartbeat".to_string());
        }
        let (sender, answer) = oneshot::channel();
        let mut state = self.shared.state();
        let opaque = state.opaque();
        request::encode(&mut state.output, opaque, &Request::Version);
        state.waiting.insert(opaque, sender);
        self.heartbeat = Some((Instant::now(), answer));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
